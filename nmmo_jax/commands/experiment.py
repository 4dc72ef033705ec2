"""The command ``nmmo-jax experiment``: the published matrix, trained at equal budgets and cross-evaluated."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

from nmmo_jax.commands.overrides import PLACES, PROBES, Overrides, Systems, parse_set
from nmmo_jax.commands.settings import MOST_SEEDS
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.values import check_int

_OWN = {"num_populations": "is one for every 16 agents", "population_cap": "--sizes"}  # fields that cannot be set


@dataclasses.dataclass
class Experiment(StudyCommand):
    """Train the published experiments, several seeds each, at equal budgets, let them meet, and write it up.

    The experiments are {law, chaos} x {16, 32, 64, 128} agents; they meet in worlds of all sizes.

    Writes a figure, learning, a folder for every training (with policies for nmmo-jax evaluate, tournament and watch),
    the tournaments' tables and figures, results.json and report.md.
    Exit status: 0; 2 bad input; 130 interrupted, with --resume FOLDER to go on.
    """

    NAME: ClassVar[str] = "experiment"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"game": ("law",), "seeds": 2, "budget": 150_000, "worlds": 2, "settle": 128, "ticks": 256},
        "hour": {"game": ("law",), "seeds": 6, "budget": 2_000_000, "worlds": 4, "settle": 512, "ticks": 1_024},
        "night": {
            "game": ("law", "chaos"),
            "seeds": 10,
            "budget": 6_000_000,
            "worlds": 16,
            "settle": 1_024,
            "ticks": 2_048,
        },
    }

    game: tuple[Literal["law", "chaos"], ...] | None = None
    """law: no attacks. chaos: attacks. Default: by form."""
    agents: tuple[int, ...] = (16, 32, 64, 128)
    """Sizes of the worlds trained in, a population for every 16."""
    seeds: int | None = None
    """Trainings of each, from seeds 0, 1 ...; intervals are over them. Default: by form."""
    budget: int | None = None
    """Living agent-steps that every population learns from. Default: by form."""
    sizes: tuple[int, ...] = (16, 32, 64, 128)
    """Sizes of the worlds in which all meet."""
    worlds: int | None = None
    """Of each size, every one on a map of its own that was not seen in training. Default: by form."""
    settle: int | None = None
    """Ticks of a match before any are counted. Default: by form."""
    ticks: int | None = None
    """Ticks of a match that are counted. Default: by form."""
    set: Overrides = ()
    """Any other field of the configuration and rules of all worlds: regrowth_probability=0.05 max_spawns=2."""
    system: Systems = ()
    """Game systems to train and play with, and --set their rules: poison:POISON of poison.py here, or of an installed
    module."""

    def study(self, out: Path) -> Any:
        """See ``StudyCommand``."""
        from train.studies.matrix import Matrix

        assert self.game is not None and self.seeds is not None and self.budget is not None
        assert self.worlds is not None and self.settle is not None and self.ticks is not None
        seeds = tuple(range(check_int("seeds", self.seeds, 1, MOST_SEEDS)))
        play = (self.sizes, self.worlds, self.settle, self.ticks, self.seed)
        world = parse_set(self.set, {**PLACES, **PROBES, **_OWN}, systems=self.system)
        return Matrix(out, self.game, self.agents, seeds, self.budget, *play, world)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.matrix import report

        return report
