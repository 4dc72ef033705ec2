"""A study: cells that are computed once each, and what is told of them.

A cell is a part of a study that does not depend on how the others came out: a match, a row of a sweep, a training. Its
result is kept in a file of its own as soon as it is known, so that a study can be interrupted at any time and goes on.
"""

import json
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn

from nmmo_jax.commands.progress import Shown
from nmmo_jax.commands.report import versions
from nmmo_jax.config import RULES_VERSION
from nmmo_jax.files import write, write_json
from nmmo_jax.signals import Signals
from train.runs import alone, difference

CELLS = "cells"  # of a study's folder
Told = Callable[[float, str], None]  # how much of a cell is done (0 to 1), and a few words; may raise
Result = Mapping[str, np.ndarray]
Results = Mapping[str, Result]


class Cell(NamedTuple):
    """A part of a study.

    Attributes:
      name: of its file; letters, digits, ``-``, ``.`` and ``_``.
      work: how long it takes, in any unit that is the same for all cells.
      compute: ``compute(told) -> {name: array}``. It calls ``told`` every few seconds; KeyboardInterrupt that comes
        of that goes on through it.
    """

    name: str
    work: float
    compute: Callable[[Told], Mapping[str, Any]]


class Study(Protocol):
    """What a command asks for. What cannot be is refused when it is made, before anything is compiled."""

    def cells(self) -> Sequence[Cell]:
        """The parts, in the order in which they are computed; a later one may read what an earlier one has left."""
        ...

    def report(self, out: Path, results: Results) -> RenderableType:
        """Writes figures and numbers of all cells into the folder, and returns what is shown on the terminal."""
        ...


def open_study(out: Path, name: str, asked: dict[str, Any], made_of: dict[str, int] | None = None) -> None:
    """A folder for a study, new or one in which the same was asked for.

    Args:
      name: of the command.
      asked: its settings, ready for JSON, kept in config.json.
      made_of: of ``train.studies.entrants.made_of``: the checkpoints that its policies are read from.

    Raises:
      ValueError: something else is in it: the message says what differs.
      OSError: it cannot be written.
    """
    mine = {"study": name, "asked": asked, "made_of": made_of, "rules_version": RULES_VERSION}
    path = out / "config.json"
    if path.exists():
        there = read_config(out)
        for part, value in mine.items():
            if there.get(part) != value:
                raise ValueError(f"out={out}: {part} differs: {difference(there.get(part), value)}")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out={out}: is not empty, and holds no study")
    else:
        (out / CELLS).mkdir(parents=True, exist_ok=True)
        write_json(path, {**mine, "versions": versions()})


def read_config(out: Path) -> dict[str, Any]:
    """What ``open_study`` wrote.

    Raises:
      ValueError: there is none, or it cannot be read.
    """
    try:
        return json.loads((out / "config.json").read_text())
    except OSError:
        raise ValueError(f"{out}: holds no study (no config.json)") from None
    except ValueError as error:
        raise ValueError(f"{out / 'config.json'}: damaged: {error}") from None


def compute(cells: Sequence[Cell], out: Path, console: Console | None = None) -> tuple[dict[str, Result], float]:
    """The results of all cells: those in the folder as they are, the others computed, and the seconds it took.

    Raises:
      KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP came; what was done is kept.
      ValueError: two cells of one name; or another process works in the folder.
    """
    if len({cell.name for cell in cells}) < len(cells):
        raise ValueError("cells: must have different names")
    results, began = {}, time.perf_counter()
    (out / CELLS).mkdir(exist_ok=True)
    with alone(out), Signals() as watch, _Progress(cells, console) as progress:
        for cell in cells:
            path = out / CELLS / f"{cell.name}.npz"
            if not path.exists():

                def told(share: float, words: str, name: str = cell.name) -> None:
                    progress.update(name, share, words)
                    if watch.asked:
                        raise KeyboardInterrupt

                told(0.0, "")
                found: dict[str, Any] = {name: np.asarray(value) for name, value in cell.compute(told).items()}
                write(path, lambda file, found=found: np.savez_compressed(file, **found))
            results[cell.name] = _read(path)
            progress.finish(cell)
            if watch.asked:
                raise KeyboardInterrupt
    return results, time.perf_counter() - began


def left(cells: Sequence[Cell], out: Path) -> list[str]:
    """Names of the cells that have not been computed."""
    return [cell.name for cell in cells if not (out / CELLS / f"{cell.name}.npz").exists()]


def _read(path: Path) -> Result:
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged ({error}): without it, it is computed again") from None


class _Progress(Shown):
    """How much of a study is done, and the time left: what took so long so far, for what is left."""

    def __init__(self, cells: Sequence[Cell], console: Console | None):
        columns = (BarColumn(bar_width=20), TextColumn("{task.fields[told]}"))
        super().__init__(1.0, *columns, console=console, begin="beginning")
        self._work = {cell.name: cell.work for cell in cells}
        self._total = max(sum(self._work.values()), 1e-9)
        self._done, self._number = 0.0, 0
        self._first: tuple[float, float] | None = None

    def update(self, name: str, share: float, words: str) -> None:
        now, done = time.perf_counter(), self._done + share * self._work[name]
        self._first = self._first or (now, done)
        began, before = self._first
        told = f"part {self._number + 1} of {len(self._work)}, {name}" + (f": {words}" if words else "")
        if done > before and now - began > 1:
            seconds = int((now - began) / (done - before) * (self._total - done))
            told += f", {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"
        self.show(f"{done / self._total:.0%}", done / self._total, told, f"{done / self._total:.0%}, {told}")

    def finish(self, cell: Cell) -> None:
        self._done += cell.work
        self._number += 1
        if self._number == len(self._work):
            self.show("100%", 1.0, "all parts", "100%, all parts", last=True)
