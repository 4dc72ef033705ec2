"""The command ``nmmo-jax fork``: worlds run on with one thing changed, and what that did."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from nmmo_jax.commands.overrides import NO_EFFECT, PLACES, RULES, Systems, flags_named, names_in, parse_set
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.commands.trained import load_trained
from nmmo_jax.common.text import safe, short
from nmmo_jax.config import MAX_TICKS
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import labels, players
from nmmo_jax.presets import preset
from nmmo_jax.rules import REPRODUCTION_RULES, as_rules
from nmmo_jax.world.pool import MapPool

DEFAULT_POLICIES = {"chaos": ("fighter", "forager"), "law": ("forager",)}
_OF_BIRTHS = dict.fromkeys(
    ("population_cap", "spawn_rate", *REPRODUCTION_RULES),
    "acts on births; effects are measured on who lives at the fork",
)


@dataclasses.dataclass
class Fork(StudyCommand):
    """Fork worlds and run them on with one thing changed: how much one agent matters to the others.

    Without --rule and --swap each living agent is removed in turn. Branches draw the same numbers, so that they differ
    only in what the change has caused. Effects are measured on the agents that live at the fork. Leaves report.md,
    results.json and figures; Ctrl-C keeps what is done, and --resume goes on.
    """

    NAME: ClassVar[str] = "fork"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"worlds": 8, "futures": 8, "horizon": 64},
        "hour": {"worlds": 24, "futures": 32, "horizon": 128},
        "night": {"worlds": 96, "futures": 64, "horizon": 128},
    }

    game: Literal["law", "chaos"] = "chaos"
    """law: no attacks. chaos: attacks with melee, range and mage."""
    policy: tuple[str, ...] = ()
    """What the populations play in turn, as in nmmo-jax simulate. Default: fighter and forager in chaos, forager in
    law."""
    agents: int = 128
    """Capacity: agent slots per world."""
    populations: int = 8
    """Populations; divides --agents."""
    at: int = 256
    """Tick of the fork."""
    horizon: int | None = None
    """Ticks after it."""
    worlds: int | None = None
    """Worlds, each on a generated map of its own."""
    futures: int | None = None
    """Futures of each world; even, at least 4."""
    births: bool = False
    """Whether births go on after the fork. A removed agent then leaves its slot to somebody born later, who may matter
    to others anywhere on the map."""
    set: Annotated[tuple[tuple[str, ...], ...], tyro.conf.arg(metavar="NAME=VALUE"), tyro.conf.UseAppendAction] = ()
    """Any other field of the worlds' configuration and rules, before the fork and after it: max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module."""
    rule: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE"), tyro.conf.UseAppendAction] = ()
    """Change this rule at the fork instead; values per style as a,b,c. Repeat for more."""
    swap: Annotated[str | None, tyro.conf.arg(metavar="P=POLICY")] = None
    """Have population P play this policy instead."""

    def study(self, out: Path) -> Any:
        """Removals, or one change."""
        from train.studies.counterfactual import Change, Forks, Removals

        assert self.worlds is not None and self.futures is not None and self.horizon is not None
        for flag, value, low, high in (
            ("at", self.at, 0, MAX_TICKS),
            ("horizon", self.horizon, 1, 10_000),
            ("worlds", self.worlds, 1, 4_096),
            ("futures", self.futures, 4, 4_096),
        ):
            if not low <= value <= high:
                raise ValueError(f"--{flag} {value}: allowed are {low} to {high:,}")
        if self.futures % 2:
            raise ValueError(f"--futures {self.futures}: must be even")
        if self.rule and self.swap:
            raise ValueError("--swap: one thing is changed, and --rule is given")
        others = parse_set(self.set, PLACES | NO_EFFECT, systems=self.system)
        config, rules = preset(self.game, num_agents=self.agents, num_populations=self.populations, **others)
        env = Environment(config, rules)
        MapPool.check(self.seed, self.worlds, config)
        given = self.policy or DEFAULT_POLICIES[self.game]
        if self.populations % len(given):
            raise ValueError(f"--policy: {len(given)} names for {self.populations} populations: must divide them")
        names = tuple(given[p % len(given)] for p in range(self.populations))
        none_born = {"spawn_rate": 0.0, **({"birth_probability": 0.0} if config.reproduction else {})}
        forks = Forks(
            env=env,
            after=env.rules if self.births else as_rules(rules.replace(**none_born), config),
            players=players(names, env, load_trained),
            names=names,
            labels=labels(names),
            worlds=self.worlds,
            futures=self.futures,
            at=self.at,
            horizon=self.horizon,
            seed=self.seed,
        )
        if self.rule:
            names = names_in(self.rule)
            changed = parse_set(self.rule, _OF_BIRTHS, RULES, systems=self.system, flag="--rule")
            changed.pop("systems", None)
            with flags_named({name: f"--rule {name}=" for name in names}):
                as_rules(rules.put(changed), config)
            return Change(forks, safe(", ".join(self.rule)), changed, None)
        if self.swap is not None:
            place, policy = self._swapped()
            other = tuple(policy if p == place else name for p, name in enumerate(names))
            return Change(
                forks, f"population {place} plays {short(labels((policy,))[0])}", {}, players(other, env, load_trained)
            )
        return Removals(forks)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.counterfactual import change, removals

        return change if self.rule or self.swap is not None else removals

    def policies(self) -> tuple[str, ...]:
        """See ``StudyCommand``."""
        return self.policy if self.swap is None else (*self.policy, self._swapped()[1])

    def _swapped(self) -> tuple[int, str]:
        place, equals, policy = str(self.swap).partition("=")
        if not equals or not place.strip().isdecimal() or int(place) >= self.populations:
            raise ValueError(f"--swap {self.swap}: must be P=POLICY, P a population from 0 to {self.populations - 1}")
        return int(place), policy.strip()
