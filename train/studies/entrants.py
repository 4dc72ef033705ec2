"""Who takes part in a study: policies, scripted or trained, and those trained alike from several seeds."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from nmmo_jax.config import MAX_TICKS
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import labels, players
from nmmo_jax.policies.workers import SCRIPTS, TRADES, check_units
from nmmo_jax.presets import PRESETS
from nmmo_jax.references import reference
from nmmo_jax.rules import Rules
from nmmo_jax.world.pool import MAX_MAPS, MapPool
from train.policy import check_name, find, load_named
from train.studies.census import BINS, Census, Worlds

_SEED = re.compile(r"seed-(\d+)")


class Entrant(NamedTuple):
    """A policy, or several that differ in the seed of their training.

    Attributes:
      label: what tables and figures call it.
      replicates: names as ``nmmo_jax.play.players.players`` takes them, one per seed.
    """

    label: str
    replicates: tuple[str, ...]


def entrants(names: Sequence[str], env: Environment) -> list[Entrant]:
    """Entrants by name: a scripted policy, a trained one, or a folder with ``seed-*`` (of ``train.studies.seeds``).

    Raises:
      ValueError: a name twice, one that means nothing, or a policy that does not fit the world.
    """
    found = named(names)
    check_units(names, env.config)
    for entrant in found:
        for one in entrant.replicates:
            if one not in SCRIPTS:
                load_named(one, env)
    return found


def named(names: Sequence[str]) -> list[Entrant]:
    """``entrants`` of whatever world.

    Raises:
      ValueError: a name twice, or one that means nothing.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"policy={' '.join(names)}: each must be named once")
    return [Entrant(label, replicates(name)) for label, name in zip(labels(tuple(names)), names, strict=True)]


def replicates(name: str) -> tuple[str, ...]:
    """The trainings that a name stands for, by seed, folders from the root: those in its ``seed-*``, or itself."""
    if in_package(name):
        return (name,)
    check_name(name)
    inside = [path for path in Path(name).glob("seed-*") if _SEED.fullmatch(path.name)]
    inside.sort(key=lambda path: int(path.name.removeprefix("seed-")))
    return tuple(str(path.resolve()) for path in inside) or (where(name),)


def where(name: str) -> str:
    """The same name for whatever folder a command is given in: folders from the root."""
    return name if in_package(name) else str(Path(name).resolve())


def in_package(name: str) -> bool:
    """Whether a name is that of a scripted policy, or of a trained one that comes with the package."""
    return name in SCRIPTS or find(name) != Path(name)


def check_play(study: Any, worlds: str = "worlds") -> None:
    """Refuses what ``worlds`` (or what it is called), ``settle`` and ``ticks`` of a study cannot be."""
    for name, least, most in ((worlds, 1, MAX_MAPS), ("settle", 0, MAX_TICKS // 2), ("ticks", 1, MAX_TICKS // 2)):
        if not least <= (value := getattr(study, name)) <= most:
            raise ValueError(f"{name}={value}: allowed are {least:,} to {most:,}")


class Programs:
    """Compiled programs of one world, one per combination of networks, whoever plays with them and wherever.

    Args:
      worlds: realms in every call.
      bins, of_systems: as in ``Census``.
    """

    def __init__(self, env: Environment, worlds: int, bins: int = BINS, of_systems: bool = False):
        self.env, self.worlds, self.bins, self.of_systems = env, worlds, bins, of_systems
        self._programs: dict[Any, Census] = {}

    def census(self, names: tuple[str, ...]) -> tuple[Census, Any]:
        """The program for policies by name (population p plays name p modulo their number), and their parameters."""
        each = tuple(sorted(set(names)))
        who = players(each, self.env, load_named, any_seat=len(each) > 1)
        if who.kind not in self._programs:
            self._programs[who.kind] = Census(self.env, who, self.worlds, self.bins, self.of_systems)
        if who.seat is None:
            return self._programs[who.kind], who.params
        seats = [each.index(names[p % len(names)]) for p in range(self.env.config.num_populations)]
        return self._programs[who.kind], who.seat(seats)

    def begin(self, census: Census, pool: MapPool, seed: int, rules: Rules | None = None) -> Worlds:
        """New worlds, realm i on map i modulo their number: the same for all who play in them."""
        return census.begin(seed, pool.tiles(jnp.arange(self.worlds) % len(pool)), rules)


class TrainedIn(NamedTuple):
    """A world as commands are given it; systems by ``module:NAME``."""

    game: str = "law"
    agents: int = 128
    populations: int = 8
    systems: tuple[str, ...] = ()


def trained_in(names: Sequence[str]) -> TrainedIn:
    """The world in which the first trained policy of these was trained; 128, 8 if none was, and the game mmo if one of
    its trades is named, else law.

    Raises:
      ValueError: a name that means nothing.
    """
    for name in names:
        if name not in SCRIPTS:
            policy = load_named(replicates(name)[0])
            config, game = policy.config, "chaos" if bool(policy.rules.attacks_enabled) else "law"
            game = next((name for name, has in PRESETS.items() if config.systems == has.get("systems")), game)
            systems = tuple(reference(system) for system in config.systems)
            return TrainedIn(game, config.num_agents, config.num_populations, systems)
    return TrainedIn("mmo" if TRADES.keys() & set(names) else "law")
