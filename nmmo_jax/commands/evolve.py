"""The command ``nmmo-jax evolve``: agents that inherit their behaviour, and what selection makes of it."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

from nmmo_jax.commands.overrides import NO_EFFECT, Overrides, Systems, parse_set
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.environment import make
from nmmo_jax.world.terrain import check_size

# Worlds in which some founders of chance can live on: without them all die out before they have learned anything.
_RICH: dict[str, Any] = {
    "forage_amount": 10,
    "regrowth_probability": 0.1,
    "birth_food_above": 12,
    "birth_water_above": 12,
    "birth_age": 10,
    "birth_probability": 0.2,
    "birth_food_cost": 10,
    "birth_water_cost": 10,
    "newborn_food": 10,
    "newborn_water": 10,
}

_OWN = {
    "num_agents": "--agents",
    "num_populations": "is 2: residents, and who is put among them",
    "num_visible": "is 2: agents look at tiles only",
    **dict.fromkeys(("rows", "columns"), "--side"),
    **dict.fromkeys(("reproduction", "layout"), "--inherit"),
}


@dataclasses.dataclass
class Evolve(StudyCommand):
    """Let newborns inherit the weights of a small network, with mutations, and see what selection makes of them.

    Beside it, as a control, the same worlds without selection: newborns have the genome of one of those born last,
    however long that lived. The folder gets figures (lifetimes, diversity, clades, tree), lineage.npz (every life
    and whose genome it had), results.json and report.md. Ctrl-C keeps what is done; --resume goes on.
    """

    NAME: ClassVar[str] = "evolve"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"worlds": 16, "ticks": 2_048, "garden": 192, "mutants": 6, "horizon": 192},
        "hour": {"worlds": 32, "ticks": 16_384, "garden": 768, "mutants": 6, "horizon": 384},
        "night": {"worlds": 32, "ticks": 65_536, "garden": 1_536, "mutants": 6, "horizon": 384},
    }

    FLAGS: ClassVar[dict[str, str]] = {"rows": "--side", "columns": "--side"}

    inherit: Literal["parents", "long-lived"] = "parents"
    """parents: living agents give birth, and their offspring has their genome; the spawn ring closes after the
    founding. long-lived: all are born on the spawn ring, with the genome of one of the living, drawn in proportion to
    age."""
    agents: int = 96
    """Capacity: agent slots per world."""
    side: int = 48
    """Rows and columns of the generated maps, border included."""
    worlds: int | None = None
    """Worlds, each on a map of its own: intervals are over them."""
    founding: int | None = None
    """Ticks in which those born on the spawn ring are founders, with genomes of chance. Default: 2,048 with parents,
    128 otherwise."""
    ticks: int | None = None
    """After the founding."""
    stretches: int = 4
    """Parts in which they are computed; genomes are tested after each. Divides --ticks."""
    mutation: float = 0.1
    """Standard deviation of what is added to every gene of a newborn."""
    garden: int | None = None
    """Ticks in which the lifetimes of genomes are measured, in worlds that are the same for all."""
    mutants: int | None = None
    """Put into a world, to see whether they spread (with parents)."""
    horizon: int | None = None
    """Ticks that they are followed for."""
    set: Overrides = ()
    """Any other field of the worlds' configuration and rules: birth_probability=0.1. Default: those of law; with
    parents, a richer world."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module."""

    tables: tuple[Literal["parquet", "trees"], ...] = ()
    """Tables for other programs: parquet, with a row for each agent that lived (lives.parquet); trees, lineages as
    tree sequences that tskit reads (selection.trees, drift.trees)."""

    def check(self) -> None:
        """See ``StudyCommand``."""
        for flag, value in (("--mutants", self.mutants), ("--horizon", self.horizon)):
            if value is not None and self.inherit != "parents":
                raise ValueError(f"{flag}: of mutants that spread by giving birth, and --inherit is {self.inherit}")

    def study(self, out: Path) -> Any:
        """A ``train.studies.evolving.Evolve``."""
        from train.studies.evolving import Amount
        from train.studies.evolving import Evolve as Study

        assert self.worlds is not None and self.ticks is not None and self.garden is not None
        assert self.mutants is not None and self.horizon is not None
        parents = self.inherit == "parents"
        founding = (2_048 if parents else 128) if self.founding is None else self.founding
        if self.stretches < 1 or self.ticks % self.stretches:
            raise ValueError(f"--stretches {self.stretches}: must divide --ticks {self.ticks}")
        if self.agents < 2:
            raise ValueError(f"--agents {self.agents}: must be at least 2")
        world = {
            **(_RICH if parents else {}),
            **parse_set(self.set, {**NO_EFFECT, **_OWN}, reproduction=parents, systems=self.system),
        }
        env = make(
            "law",
            num_agents=self.agents,
            num_populations=2,
            rows=self.side,
            columns=self.side,
            num_visible=2,
            layout="free",
            reproduction=parents,
            **world,
        )
        check_size(env.config)
        amount = Amount(
            worlds=self.worlds,
            founding=founding,
            ticks=self.ticks // self.stretches,
            stretches=self.stretches,
            garden=self.garden,
            settle=128,
            mutants=self.mutants,
            horizon=self.horizon,
        )
        return Study(out, env, amount, self.mutation, self.seed)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.evolution import report

        return report

    def tabulated(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports import tables, trees

        return {"parquet": tables.lives, "trees": trees.write}
