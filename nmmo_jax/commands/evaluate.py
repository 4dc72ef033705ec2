"""The command ``nmmo-jax evaluate``: policies in fixed conditions, beside baselines."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

import tyro

from nmmo_jax.commands.overrides import NO_EFFECT, PLACES, Overrides, Systems, of_game, parse_set
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.environment import make

BASELINES = ("random", "forager", "planner")


@dataclasses.dataclass
class Evaluate(StudyCommand):
    """Play policies in fixed conditions, each by itself, on maps not seen in training, beside baselines.

    Of game systems, as those of mmo, it tells what happened per life, and levels and all else that they keep of agents.
    Writes figures (survival, population, causes, and in chaos attacks), results.json and report.md.
    Exit status: 0; 2 bad input; 130 interrupted, with --resume FOLDER to go on.
    """

    NAME: ClassVar[str] = "evaluate"
    FLAGS: ClassVar[dict[str, str]] = {"policy": "POLICY"}
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"worlds": 16, "settle": 256, "ticks": 1_024},
        "hour": {"worlds": 64, "settle": 512, "ticks": 4_096},
        "night": {"worlds": 256, "settle": 1_024, "ticks": 16_384},
    }

    policy: tyro.conf.Positional[tuple[str, ...]] = ()
    """What is evaluated: scripted policies by name (forager, hunter, miner ...), policies that come with the package,
    folders of runs; or a folder with seed-0, seed-1 ...: trainings that differ in their seed only, over which the
    interval then is."""
    game: Literal["law", "chaos", "mmo"] | None = None
    """law: no attacks. chaos: attacks. mmo: the role-playing world. Default: the game in which the first trained policy
    was trained; mmo, where one of its trades is named; law."""
    agents: int | None = None
    """Capacity: agent slots per world. Default: as the first trained policy was trained; 128."""
    populations: int | None = None
    """Populations; divides --agents. Default: likewise; 8."""
    baselines: bool = True
    """Whether random play, the forager and the planner are played, too."""
    worlds: int | None = None
    """Worlds, every one on a map of its own. Default: by form."""
    settle: int | None = None
    """Ticks before any are counted. Default: by form."""
    ticks: int | None = None
    """That are counted. Default: by form."""
    set: Overrides = ()
    """Any other field of the world's configuration and rules: regrowth_probability=0.05 max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module.
    Default: those that the first trained policy was trained with."""

    tables: tuple[Literal["parquet"], ...] = ()
    """Tables for other programs: parquet, with a row for each policy, world and population (worlds.parquet), what it
    comes to (measures.parquet) and deaths by age (ages.parquet)."""

    def study(self, out: Path) -> Any:
        """See ``StudyCommand``."""
        from train.studies.entrants import entrants, trained_in
        from train.studies.evaluation import Evaluation

        names = (*self.policy, *(name for name in BASELINES if self.baselines and name not in self.policy))
        if not names:
            raise ValueError("POLICY: at least one must be named, with --no-baselines")
        world = trained_in(names)
        game = self.game or world.game
        env = make(
            game,
            num_agents=world.agents if self.agents is None else self.agents,
            num_populations=world.populations if self.populations is None else self.populations,
            **parse_set(self.set, PLACES | NO_EFFECT, systems=of_game(game, self.system or world.systems)),
        )
        assert self.worlds is not None and self.settle is not None and self.ticks is not None
        return Evaluation(entrants(names, env), env, self.worlds, self.settle, self.ticks, self.seed)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.evaluation import report

        return report

    def tabulated(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports import tables

        return {"parquet": tables.evaluation}
