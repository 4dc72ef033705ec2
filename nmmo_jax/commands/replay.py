"""The commands ``nmmo-jax replay info | cut | verify``."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax.common.progress import waiting
from nmmo_jax.common.text import console as terminal
from nmmo_jax.common.text import fault, in_full, safe, short, verdict
from nmmo_jax.components import Cause
from nmmo_jax.replay import Replay
from nmmo_jax.replay_file import load_replay, save_replay
from nmmo_jax.rules import Rules, as_rules


@dataclasses.dataclass
class Info:
    """Tell what a replay is of: its world, its rules, and what became of its populations."""

    replay: tyro.conf.Positional[Path]
    """A replay (.npz)."""

    def run(self) -> None:
        """Prints two tables."""
        replay = load_replay(self.replay)
        console = terminal()
        console.width = max(console.width, 80)
        facts = Table(box=None, show_header=False)
        for name, value in _facts(replay, self.replay.stat().st_size).items():
            facts.add_row(name, safe(value))
        console.print(safe(self.replay), style="bold", soft_wrap=True)
        console.print(facts)
        console.print(_populations(replay))


@dataclasses.dataclass
class Cut:
    """Write some of a replay's ticks to a file of their own, a replay like any other."""

    replay: tyro.conf.Positional[Path]
    """A replay (.npz)."""
    out: Path
    """File to write."""
    first: int | None = None
    """Tick of the world with which it begins. Default: the first there is."""
    last: int | None = None
    """Tick of the world with which it ends. Default: the last there is."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace --out if it exists."""

    def run(self) -> None:
        """Reads, then writes."""
        if self.out.exists() and not self.overwrite:
            raise FileExistsError(f"{self.out}: exists (--overwrite replaces it)")
        replay = load_replay(self.replay)
        part = replay.cut(*indices(replay, self.first, self.last))
        save_replay(part, self.out)
        ticks = f"ticks {part.frames[0].tick:,} to {part.frames[-1].tick:,}"
        terminal().print(f"{safe(self.out)}: {ticks}", soft_wrap=True)


@dataclasses.dataclass
class VerifyReplay:
    """Play replays again, from their first frame with their keys and actions, and say which match, to the last bit.

    Exit status: 0 all match, 1 some differ, 2 some cannot be read or played again.
    """

    replays: tyro.conf.Positional[tuple[Path, ...]]
    """Replays (.npz)."""

    def run(self) -> int:
        """Prints a line per file; returns the exit status."""
        if not self.replays:
            raise ValueError("REPLAYS: name at least one")
        console = terminal()
        matching = differing = unreadable = 0
        for path in self.replays:
            name = safe(path)
            try:
                replay = load_replay(path)
                with waiting(f"{name}: playing again ..."):
                    difference = replay.verify()
            except (ValueError, OSError) as error:
                unreadable += 1
                console.print(verdict("error", "red", fault(path, error)), soft_wrap=True)
                continue
            size = f"{len(replay):,} ticks, {replay.config.num_agents:,} agents"
            if difference is None:
                matching += 1
                console.print(verdict("match", "green", f"{name} ({size})"), soft_wrap=True)
            else:
                differing += 1
                tick = int(replay.frames[difference[0]].tick)
                told = f"{name} ({size}): first at tick {tick:,}, in {difference[1]}"
                console.print(verdict("differs", "red", told), soft_wrap=True)
        console.print(f"{matching} match, {differing} differ, {unreadable} cannot be read or played again")
        return 2 if unreadable else int(differing > 0)


def indices(replay: Replay, first: int | None, last: int | None) -> tuple[int, int]:
    """The frames of two ticks of the world; None: the first, and the last.

    Raises:
      ValueError: they are not there, or in the wrong order.
    """
    begin, end = (int(replay.frames[index].tick) for index in (0, -1))
    low, high = begin if first is None else first, end if last is None else last
    if not begin <= low <= high <= end:
        raise ValueError(f"ticks {low} to {high}: allowed are {begin} to {end}, in this order")
    return low - begin, high - begin


def _facts(replay: Replay, size: int) -> dict[str, str]:
    about, config = replay.about, replay.config
    rows, columns = np.asarray(replay.tiles.size).tolist()
    standard = as_rules(Rules(), config).named()
    changed = {name: value for name, value in replay.rules.named().items() if not np.array_equal(value, standard[name])}
    rules = [f"{name}={_number(np.asarray(value))}" for name, value in changed.items()]
    order = f"{config.resolution}, layout {config.layout}"
    lifetime = "" if config.max_lifetime is None else f", lives end at {config.max_lifetime:,} ticks"
    living = [int(replay.frames[index].agents.alive.sum()) for index in (0, -1)]
    per_tick = f", {size / len(replay):,.0f} per tick" if len(replay) else ""
    systems = {"systems": ", ".join(about["config"]["systems"])} if config.systems else {}
    return {
        "title": about["title"] or "-",
        "world": f"{rows:,} x {columns:,} tiles, {config.num_agents:,} places, {order}{lifetime}",
        **systems,
        "rules": f"version {about['rules_version']}; " + (", ".join(rules) or "those of chaos"),
        "ticks": f"{replay.frames[0].tick:,} to {replay.frames[-1].tick:,}",
        "living": f"{living[0]:,} at first, {living[1]:,} at last",
        "size": f"{size:,} bytes{per_tick}",
    }


def _number(value: np.ndarray) -> str:
    return ",".join(in_full(one).lower() for one in value.reshape(-1))


def _populations(replay: Replay) -> Table:
    """A row per population: who lived, was born and left."""
    number = replay.config.num_populations
    births, left = np.zeros(number, int), np.zeros((number, len(replay.config.cause_names)), int)
    for before, now in itertools.pairwise(replay.frames):
        births += _count(now, now.agents.uid >= before.next_uid, number)
        np.add.at(left, (before.agents.population[now.left], now.cause[now.left]), 1)
    counts = {
        "living\nat first": _count(replay.frames[0], True, number),
        "\nborn": births,
        **{
            ("dead:\n" if i == 0 else "\n") + ("hunger" if cause == "starvation" else cause): left[:, 1 + i]
            for i, cause in enumerate(replay.config.deadly)
        },
        **({"\nof age": left[:, Cause.NONE]} if replay.config.max_lifetime is not None else {}),
        "living\nat last": _count(replay.frames[-1], True, number),
    }
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", justify="right")
    table.add_column("\nplayed by")
    for name in counts:
        table.add_column(name, justify="right", no_wrap=True)
    for p, name in enumerate(replay.about["populations"]):
        cells = [f"{column[p]:,}" for column in counts.values()]
        table.add_row(str(p), short(name), *cells, end_section=p == number - 1)
    table.add_row("", "all", *(f"{column.sum():,}" for column in counts.values()))
    return table


def _count(frame: Any, which: Any, populations: int) -> np.ndarray:
    """Living agents of each population, ``[P]``."""
    return np.bincount(frame.agents.population[frame.agents.alive & which], minlength=populations)
