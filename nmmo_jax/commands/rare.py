"""The command ``nmmo-jax rare``: how probable it is that a world dies out."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

from nmmo_jax.commands.overrides import NO_EFFECT, PLACES, Overrides, Systems, parse_set
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.commands.trained import load_trained
from nmmo_jax.common.text import listed
from nmmo_jax.config import MAX_TICKS
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import labels, players
from nmmo_jax.presets import preset
from nmmo_jax.world.pool import MapPool


@dataclasses.dataclass
class Rare(StudyCommand):
    """Estimate how probable it is that a world dies out, by splitting, beside direct counting.

    Worlds that come down to a level are forked into many that run on to the next, so that events are seen that counting
    would have to wait for. All worlds are on one map. Leaves report.md, results.json and a figure, rare;
    Ctrl-C keeps what is done, and --resume goes on.
    """

    NAME: ClassVar[str] = "rare"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"rate": (0.05, 0.1, 0.2), "runs": 8, "effort": 128, "count": 2_048},
        "hour": {"rate": (0.05, 0.1, 0.15, 0.2, 0.25), "runs": 24, "effort": 512, "count": 32_768},
        "night": {"rate": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3), "runs": 48, "effort": 1_024, "count": 262_144},
    }

    game: Literal["law", "chaos"] = "law"
    """law: no attacks. chaos: attacks with melee, range and mage."""
    policy: tuple[str, ...] = ("wanderer",)
    """What the populations play in turn, as in nmmo-jax simulate."""
    agents: int = 24
    """Capacity: agent slots per world."""
    populations: int = 1
    """Populations; divides --agents."""
    rate: tuple[float, ...] | None = None
    """Births per tick (the rule spawn_rate), a case each."""
    ticks: int = 256
    """Until when."""
    initial_population: int = 8
    """Births before the first tick."""
    levels: tuple[int, ...] | None = None
    """Numbers of living agents, falling; the last is the event. Default: down to none, each three quarters of the one
    before."""
    runs: int | None = None
    """Independent runs of splitting."""
    effort: int | None = None
    """Worlds per level."""
    count: int | None = None
    """Worlds that are counted; a multiple of --effort."""
    set: Overrides = ()
    """Any other field of the worlds' configuration and rules: regrowth_probability=0.05 max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module."""

    def study(self, out: Path) -> Any:
        """The cases."""
        from train.studies.rarity import Rarity
        from train.studies.splitting import levels_from

        assert self.rate is not None and self.runs is not None and self.effort is not None and self.count is not None
        for flag, value, low, high in (
            ("ticks", self.ticks, 1, MAX_TICKS),
            ("initial-population", self.initial_population, 1, self.agents),
            ("runs", self.runs, 2, 4_096),
            ("effort", self.effort, 1, 65_536),
            ("count", self.count, self.effort, 2**24),
        ):
            if not low <= value <= high:
                raise ValueError(f"--{flag} {value}: allowed are {low:,} to {high:,}")
        if self.count % self.effort:
            raise ValueError(f"--count {self.count}: must be a multiple of --effort {self.effort}")
        if not self.rate or not all(0 <= rate <= 1 for rate in self.rate) or len(set(self.rate)) < len(self.rate):
            raise ValueError(f"--rate {self.rate}: must be numbers from 0 to 1, at least one, all different")
        levels = self.levels or levels_from(self.initial_population)
        falls = all(low < high for high, low in zip((self.initial_population, *levels), levels, strict=False))
        if not falls or levels[-1] < 0:
            raise ValueError(f"--levels {levels}: must fall, from below --initial-population to 0 or more")
        others = parse_set(self.set, {**PLACES, **NO_EFFECT, "spawn_rate": "--rate"}, systems=self.system)
        config, rules = preset(self.game, num_agents=self.agents, num_populations=self.populations, **others)
        env = Environment(config, rules)
        MapPool.check(self.seed, 1, config)
        if not self.policy or self.populations % len(self.policy):
            raise ValueError(f"--policy: {len(self.policy)} names for {self.populations} populations: must divide them")
        names = tuple(self.policy[p % len(self.policy)] for p in range(self.populations))
        return Rarity(
            env=env,
            players=players(names, env, load_trained),
            title=f"{self.game}, {listed(labels(names))}, at most {self.agents} agents",
            rates=self.rate,
            ticks=self.ticks,
            initial=self.initial_population,
            levels=levels,
            effort=self.effort,
            runs=self.runs,
            count=self.count,
            seed=self.seed,
        )

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.rarity import report

        return report
