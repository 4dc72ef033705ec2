"""A study: cells that are computed once each, and the report on them.

A cell is a part of a study that does not depend on how the others came out: a match, a row of a sweep, a training. Its
result is kept in a file of its own as soon as it is known, so that a study can be interrupted at any time and goes on.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypedDict

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import BarColumn

from nmmo_jax.common.files import is_part, read_arrays, read_json, write_arrays, write_json
from nmmo_jax.common.folders import new_folder
from nmmo_jax.common.progress import Shown
from nmmo_jax.common.signals import Signals
from nmmo_jax.common.text import column
from nmmo_jax.config import RULES_VERSION
from nmmo_jax.play.provenance import versions
from train.runs import difference

CELLS = "cells"  # of a study's folder
_CONFIG = "config.json"
_LATER = ("figure_format", "tables")  # of what is asked for
OnProgress = Callable[[float, str], None]  # how much of a cell is done (0 to 1), and a few words; may raise
Result = Mapping[str, np.ndarray]
Results = Mapping[str, Result]


class Cell(NamedTuple):
    """A part of a study.

    Attributes:
      name: of its file; letters, digits, ``-``, ``.`` and ``_``.
      work: how long it takes, in any unit that is the same for all cells.
      compute: ``compute(on_progress) -> {name: array}``. It calls ``on_progress`` every few seconds;
        KeyboardInterrupt that comes of that goes on through it.
    """

    name: str
    work: float
    compute: Callable[[OnProgress], Mapping[str, Any]]


class Study(Protocol):
    """What a command asks for. What cannot be is refused when it is made, before anything is compiled."""

    def cells(self) -> Sequence[Cell]:
        """The parts, in the order in which they are computed; a later one may read what an earlier one has left."""
        ...


Report = Callable[[Any, Path, Results], RenderableType]
"""``report(study, out, results)`` writes figures and numbers of all cells into the folder, and returns what is shown on
the terminal."""


@contextlib.contextmanager
def study_folder(out: Path | None, name: str) -> Iterator[Path]:
    """A context in which a folder for a study, new or that of one, is this process's own.

    If it ends before anything of a new one was computed, nothing of it is left.

    Args:
      out: None: a new one in ``runs``, named after the command and when.
      name: of the command.

    Raises:
      ValueError: something else is in it, or another process works in it.
      OSError: it cannot be written.
    """
    there = out is not None and (out / _CONFIG).exists()
    with new_folder(out, name, overwrite=there, otherwise="it holds no study", begun=has_begun) as folder:
        yield folder.path


def has_begun(out: Path) -> bool:
    """Whether there is more in a study's folder than what was asked for: a cell, or what a cell has left so far."""
    own = (_CONFIG, CELLS, ".lock")
    there = [*out.iterdir(), *(out / CELLS).glob("*")]
    return any(one.name not in own and not is_part(one) for one in there)


def open_study(out: Path, name: str, asked: dict[str, Any], made_of: dict[str, Any] | None = None) -> None:
    """Keeps what is asked for in a study's folder, or compares it with what is there.

    Args:
      name: of the command.
      asked: its settings, ready for JSON, kept in config.json.
      made_of: of ``train.studies.moved.made_of``: the checkpoints that its policies are read from.

    Raises:
      ValueError: something else was asked for: the message says what differs.
      OSError: it cannot be written.
    """
    mine = {"study": name, "asked": asked, "made_of": made_of, "rules_version": RULES_VERSION}
    if (out / _CONFIG).exists():
        there = dict(read_config(out))
        for part, value in mine.items():
            if _computed(there.get(part)) != _computed(value):
                raise ValueError(f"out={out}: {part} differs: {difference(there.get(part), value)}")
    else:
        (out / CELLS).mkdir(exist_ok=True)
        write_json(out / _CONFIG, {**mine, "folder": str(out.resolve()), "versions": versions()})


def move_study(out: Path, asked: dict[str, Any], made_of: dict[str, str]) -> None:
    """Writes into a study's config.json where it and its policies lie now."""
    there = read_config(out)
    moved = {**there, "asked": asked, "made_of": made_of, "folder": str(out.resolve())}
    if moved != there:
        write_json(out / _CONFIG, moved)


class Asked(TypedDict):
    """What ``open_study`` keeps."""

    study: str
    asked: dict[str, Any]
    made_of: dict[str, Any] | None
    rules_version: int


def read_config(out: Path) -> Asked:
    """What ``open_study`` wrote.

    Raises:
      ValueError: there is none, or it is not as it was written.
      OSError: it cannot be read.
    """
    try:
        return read_json(out / _CONFIG, Asked)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{out}: holds no study (no config.json)") from None


def _computed(part: Any) -> Any:
    """Of what was asked for all that results depend on: figures can be drawn and tables written in other formats."""
    return {name: one for name, one in part.items() if name not in _LATER} if isinstance(part, dict) else part


def compute(cells: Sequence[Cell], out: Path, console: Console | None = None) -> tuple[dict[str, Result], float]:
    """The results of all cells: those in the folder as they are, the others computed, and the seconds it took.

    Raises:
      KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP came; what was done is kept.
      ValueError: two cells of one name; or the file of one is not as it was written.
    """
    if len({cell.name for cell in cells}) < len(cells):
        raise ValueError("cells: must have different names")
    results, began = {}, time.perf_counter()
    (out / CELLS).mkdir(exist_ok=True)
    with Signals() as watch, _Progress(cells, console) as progress:
        for cell in cells:
            if not _path(out, cell.name).exists():

                def on_progress(share: float, words: str, name: str = cell.name) -> None:
                    progress.update(name, share, words)
                    if watch.asked:
                        raise KeyboardInterrupt

                on_progress(0.0, "")
                write_arrays(_path(out, cell.name), cell.compute(on_progress))
            results[cell.name] = read_cell(out, cell.name)
            watch.grace = None  # now there is something to lose
            progress.finish(cell)
            if watch.asked:
                raise KeyboardInterrupt
    return results, time.perf_counter() - began


def left(cells: Sequence[Cell], out: Path) -> list[str]:
    """Names of the cells that have not been computed."""
    return [cell.name for cell in cells if not _path(out, cell.name).exists()]


def read_cell(out: Path, name: str) -> Result:
    """The result of a cell.

    Raises:
      ValueError: the file is not as it was written.
      OSError: it cannot be read.
    """
    try:
        return read_arrays(_path(out, name))
    except ValueError as error:
        raise ValueError(f"{error}; without this file, it is computed again") from None


def _path(out: Path, name: str) -> Path:
    return out / CELLS / f"{name}.npz"


class _Progress(Shown):
    """How much of a study is done, and the time left: what took so long so far, for what is left."""

    def __init__(self, cells: Sequence[Cell], console: Console | None):
        columns = (BarColumn(bar_width=20), column("{task.fields[told]}"))
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
