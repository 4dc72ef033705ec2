"""The command ``nmmo-jax scoreboard``: policies in a fixed set of worlds, and what they are rated."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar, Self

import tyro

from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.common.spelling import near
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.policies.workers import SCRIPTS


@dataclasses.dataclass
class Scoreboard(StudyCommand):
    """Play policies in a fixed set of worlds, each by itself and all together, and rate them.

    Writes figures (rating, lifetimes), results.json and report.md: one table, of ratings and lifetimes with intervals.
    Exit status: 0; 2 bad input; 130 interrupted, with --resume FOLDER to go on.
    """

    NAME: ClassVar[str] = "scoreboard"
    FLAGS: ClassVar[dict[str, str]] = {"policy": "POLICY"}
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"maps": 8, "settle": 256, "ticks": 512},
        "hour": {"maps": 32, "settle": 512, "ticks": 2_048},
        "night": {"maps": 128, "settle": 1_024, "ticks": 4_096},
    }

    policy: tyro.conf.Positional[tuple[str, ...]] = ()
    """Who is entered: folders of runs, also of a Sword of one's own; a folder with seed-0, seed-1 ... enters each."""
    beside: tuple[str, ...] | None = None
    """Who takes part, too. Default: every scripted policy, and every one that comes with the package."""
    world: tuple[str, ...] | None = None
    """Only these of the worlds: law-16-small, law-32, law-128, law-128-large, and chaos. Default: all."""
    maps: int | None = None
    """In every world, not seen in training. Default: by form."""
    settle: int | None = None
    """Ticks before any are counted. Default: by form."""
    ticks: int | None = None
    """That are counted. Default: by form."""
    table: Path | None = None
    """A Markdown file to put the table in: in the place of the last one, or a new file."""

    def check(self) -> None:
        """See ``StudyCommand``."""
        from train.studies.reports.scoreboard import check_file

        if self.table is not None:
            check_file(self.table)

    def _filled(self) -> Self:
        from train.policy import shipped
        from train.studies.scoreboard import WORLDS

        filled = super()._filled()
        if filled.beside is None:
            beside = (name for name in (*POLICIES, *shipped()) if name not in self.policy)
            filled = dataclasses.replace(filled, beside=tuple(beside))
        return filled if filled.world else dataclasses.replace(filled, world=tuple(one.name for one in WORLDS))

    def policies(self) -> tuple[str, ...]:
        """See ``StudyCommand``."""
        return (*self.policy, *(self.beside or ()))

    def study(self, out: Path) -> Any:
        """See ``StudyCommand``."""
        from train.policy import load_named
        from train.studies.entrants import named
        from train.studies.scoreboard import WORLDS, Player
        from train.studies.scoreboard import Scoreboard as Study

        assert self.maps is not None and self.settle is not None and self.ticks is not None and self.world
        known = {world.name: world for world in WORLDS}
        for name in self.world:
            if name not in known:
                raise ValueError(f"--world {name}: allowed are {', '.join(known)}{near(name, known)}")
        if not self.policies():
            raise ValueError("POLICY: at least one must be named, with --beside and nobody")
        players, entered = [], named(self.policies())
        for entrant in entered:
            for one in entrant.replicates:
                if one not in SCRIPTS:
                    load_named(one)  # says what is wrong with it in any world
                seed = f"/{Path(one).name}" if len(entrant.replicates) > 1 else ""
                players.append(Player(entrant.label + seed, one))
        worlds = [known[name] for name in dict.fromkeys(self.world)]
        study = Study(players, worlds, self.maps, self.settle, self.ticks, self.seed)
        own = sum(len(entrant.replicates) for entrant in entered[: len(self.policy)])
        for index, player in enumerate(players[:own]):
            if all((world.name, index) in study.unfit for world in worlds):
                raise ValueError(
                    f"POLICY {player.label}: fits none of the worlds: {study.unfit[worlds[0].name, index]}"
                )
        return study

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.scoreboard import report

        return functools.partial(report, into=None if self.table is None else Path(self.table))
