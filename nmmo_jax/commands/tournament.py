"""The command ``nmmo-jax tournament``: policies in the same worlds, in pairs and all together."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

import tyro

from nmmo_jax.commands.overrides import NO_EFFECT, PLACES, Overrides, Systems, of_game, parse_set
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.environment import make


@dataclasses.dataclass
class Tournament(StudyCommand):
    """Let policies meet in the same worlds, in pairs and all together, and compare how long they live.

    Writes figures (lifetimes, wins), results.json and report.md: mean lifetimes with intervals, win rates, ratings.
    Exit status: 0; 2 bad input; 130 interrupted, with --resume FOLDER to go on.
    """

    NAME: ClassVar[str] = "tournament"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"worlds": 4, "settle": 256, "ticks": 512, "sizes": (32, 128)},
        "hour": {"worlds": 16, "settle": 512, "ticks": 1_024, "sizes": (16, 32, 64, 128)},
        "night": {"worlds": 64, "settle": 1_024, "ticks": 4_096, "sizes": (16, 32, 64, 128)},
    }

    FLAGS: ClassVar[dict[str, str]] = {"population_cap": "--sizes", "policy": "POLICY"}

    policy: tyro.conf.Positional[tuple[str, ...]] = ()
    """Who takes part, at least one: scripted policies by name (random, forager, hunter, miner ...); policies that come
    with the package; folders of runs; or a folder with seed-0, seed-1 ...: trainings that differ in their seed only,
    over which the intervals then are."""
    game: Literal["law", "chaos", "mmo"] | None = None
    """law: no attacks. chaos: attacks with melee, range and mage. mmo: the role-playing world. Default: the game in
    which the first trained policy was trained; mmo, where one of its trades is named; law."""
    agents: int = 128
    """Capacity: agent slots per world."""
    populations: int = 8
    """Populations per world, shared out among those who meet; divides --agents."""
    sizes: tuple[int, ...] | None = None
    """How many may live in a world: worlds of each of these sizes. Default: by form."""
    worlds: int | None = None
    """Of each size, every one on a map of its own that was not seen in training. Default: by form."""
    settle: int | None = None
    """Ticks before any are counted. Default: by form."""
    ticks: int | None = None
    """That are counted. Default: by form."""
    set: Overrides = ()
    """Any other field of the worlds' configuration and rules: regrowth_probability=0.05 max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module.
    Default: those that the first trained policy was trained with."""

    tables: tuple[Literal["parquet"], ...] = ()
    """Tables for other programs: parquet, with a row for each game and who played in it (games.parquet), and what
    these come to (pairs.parquet, ratings.parquet)."""

    def study(self, out: Path) -> Any:
        """See ``StudyCommand``."""
        from train.studies.entrants import entrants, trained_in
        from train.studies.tournament import Tournament as Study

        if not self.policy:
            raise ValueError("POLICY: at least one must take part")
        world = trained_in(self.policy)
        game = self.game or world.game
        taken = {**PLACES, **NO_EFFECT, "population_cap": "--sizes"}
        env = make(
            game,
            num_agents=self.agents,
            num_populations=self.populations,
            **parse_set(self.set, taken, systems=of_game(game, self.system or world.systems)),
        )
        who = entrants(self.policy, env)
        assert self.sizes is not None and self.worlds is not None
        assert self.settle is not None and self.ticks is not None
        return Study(who, env, self.sizes, self.worlds, self.settle, self.ticks, self.seed)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.tournament import report

        return report

    def tabulated(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports import tables

        return {"parquet": tables.tournament}
