"""What a census counts in a tick of many realms: sums per realm and population.

Of game systems, where that is asked for, the events that they tell and the numbers that they keep of agents.
"""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Int32

from nmmo_jax.components import Realm
from nmmo_jax.config import STYLES, Config
from nmmo_jax.declarations import Column
from nmmo_jax.environment import Info
from nmmo_jax.viewer.declared import numbers_of_agents

_INT16_MAX = 2**15 - 1
_WRITTEN_OUT = 32  # populations up to which pairs of them are counted one by one, which is faster


class Counts(flax.struct.PyTreeNode):
    """Sums over ticks, for R realms and P populations; as a result of ``Census.run`` 64-bit NumPy arrays."""

    steps: Int[Array, "R P"]  # of living agents that acted
    living: Int[Array, "R P"]  # agents alive after a tick
    births: Int[Array, "R P"]
    deaths: Int[Array, "R P D"]  # by cause, as in ``Config.deadly``
    aged: Int[Array, "R P"]  # ages at death, in ticks
    forage: Int[Array, "R P"]  # food harvested
    styles: Int[Array, "R P 3"]  # hits by style of attack
    attacks: Int[Array, "R P P"]  # hits of a population (axis 1) on another
    damage: Int[Array, "R P P"]  # health that they asked of it
    exposed: Int[Array, "R P B"]  # ticks that began at an age; the last bin is open
    ended: Int[Array, "R P B"]  # and ended in death: of them, ``ended / exposed`` died
    unique: Int[Array, "R P"] | None  # tiles that an agent stood on for the first time in its life, if that is kept
    empty: Int[Array, "R"]  # ticks after which nobody was alive
    # Of game systems, where it is asked for:
    told: Int[Array, "R P E"] | None = None  # their events, in the order of ``events_of_systems``
    held: Int[Array, "R P C"] | None = None  # numbers of ``kept_of_agents``, summed over ticks and who lives after them
    highest: Int[Array, "R P C"] | None = None  # the highest of them; -1: nobody lived

    @property
    def died(self) -> Any:
        """Deaths, ``[R, P]``."""
        return self.deaths.sum(axis=-1)


def events_of_systems(config: Config) -> list[tuple[str, str]]:
    """The events that are counted: the system that tells it, and its name."""
    return [(system.name, name) for system in config.systems for name in system.events]


def kept_of_agents(config: Config) -> dict[str, tuple[str, Column, tuple[int, ...]]]:
    """The numbers that are counted, as ``numbers_of_agents`` names them: those from 0 on of at most 16 bits, but for
    categories and what is a row of a list, as a place of a pack is.
    """
    own = {(system.name, one.most) for system in config.systems for one in system.listings if one.table == "own"}

    def counts(system: str, column: Column) -> bool:
        low, high = column.bounds
        of_list = (system, len(column.each)) in own
        return low >= 0 and 1 < high <= _INT16_MAX and not column.category and not of_list

    found = numbers_of_agents(config)
    return {name: one for name, one in found.items() if counts(*one[:2])}


def together(one: Counts, other: Counts, of: Any) -> Counts:
    """Counts of some ticks and of others; ``of``: ``numpy`` or ``jax.numpy``."""
    sums = jax.tree.map(of.add, one, other)
    return sums if sums.highest is None else sums.replace(highest=of.maximum(one.highest, other.highest))


def no_counts(config: Config, realms: int, bins: int, of_systems: bool) -> Counts:
    """Of so many realms, before anything has happened."""
    p = config.num_populations
    events, kept = len(events_of_systems(config)), len(kept_of_agents(config))
    shapes = {"deaths": (p, len(config.deadly)), "styles": (p, 3), "attacks": (p, p), "damage": (p, p), "empty": ()}
    shapes |= dict.fromkeys(("exposed", "ended"), (p, bins))
    shapes |= {"told": (p, events), "held": (p, kept), "highest": (p, kept)}
    without = set() if of_systems else {"told", "held", "highest"}
    without |= set() if config.exploration else {"unique"}
    names = [field.name for field in dataclasses.fields(Counts)]
    found: dict[str, Any] = {name: jnp.zeros((realms, *shapes.get(name, (p,))), jnp.int32) for name in names}
    found["highest"] -= 1
    found.update(dict.fromkeys(without))
    return Counts(**found)


def of_tick(
    before: Realm, after: Realm, info: Info, new: jax.Array | None, config: Config, bins: int, of_systems: bool
) -> Counts:
    """The counts of one tick of R realms."""
    held, outcome, old = before.agents.alive, info.outcome, before.agents
    realms, populations, causes = len(held), config.num_populations, len(config.deadly)
    realm = jnp.arange(realms)[:, None]
    dead = info.cause > 0
    index = jnp.maximum(outcome.attack_target, 0)
    hits = held & (outcome.attack_target >= 0)
    target = jnp.take_along_axis(old.population, index, axis=1)

    def total(what: jax.Array) -> Int32[Array, "R P"]:
        return by_population(what, info.population, populations)

    def each(which: jax.Array, kinds: list[int], of: jax.Array) -> jax.Array:
        return jnp.stack([total(of & (which == kind)) for kind in kinds], axis=-1)

    def pairs(amount: jax.Array) -> Int32[Array, "R P P"]:
        if populations <= _WRITTEN_OUT:
            return jnp.stack([total(jnp.where(hits & (target == p), amount, 0)) for p in range(populations)], axis=-1)
        nothing = jnp.zeros((realms, populations, populations), jnp.int32)
        of = jnp.where(hits, info.population, populations)  # beyond the table: dropped
        return nothing.at[realm, of, target].add(amount.astype(jnp.int32), mode="drop")

    def ages(of: jax.Array) -> Int32[Array, "R P B"]:
        age = jnp.where(of, jnp.minimum(old.age, bins - 1), bins)  # beyond the table: dropped
        return jnp.zeros((realms, populations, bins), jnp.int32).at[realm, info.population, age].add(1, mode="drop")

    born = info.births.population
    return Counts(
        steps=total(info.acted),
        living=by_population(after.agents.alive, after.agents.population, populations),
        births=by_population(born >= 0, born, populations),
        deaths=each(info.cause, list(range(1, 1 + causes)), dead),
        aged=total(jnp.where(dead, info.age, 0)),
        forage=total(outcome.forage),
        styles=each(outcome.attack_style, list(range(len(STYLES))), hits),
        attacks=pairs(jnp.ones_like(index)),
        damage=pairs(outcome.attack_damage),
        exposed=ages(held),
        ended=ages(dead),
        unique=None if new is None else total(held & new),
        empty=(~after.agents.alive.any(axis=1)).astype(jnp.int32),
        **(_of_systems(after, info, config) if of_systems else {}),
    )


def _of_systems(after: Realm, info: Info, config: Config) -> dict[str, Int32[Array, "R P K"]]:
    """What game systems have told in a tick, and what they keep of who lives after it."""
    populations = config.num_populations
    own = jnp.where(after.agents.alive, after.agents.population, -1)
    told = [info.outcome.of[system].events[name].happened for system, name in events_of_systems(config)]
    kept = [after.of[system][column.name][:, *at] for system, column, at in kept_of_agents(config).values()]
    of_agents = [by_population(one, info.population, populations) for one in told]
    sums = [by_population(one.astype(jnp.int32), own, populations) for one in kept]
    mine = own[:, None, :] == jnp.arange(populations)[:, None]
    highest = [jnp.where(mine, one.astype(jnp.int32)[:, None, :], -1).max(axis=-1) for one in kept]
    nothing = jnp.zeros((*own.shape[:1], populations, 0), jnp.int32)
    each = {"told": of_agents, "held": sums, "highest": highest}
    return {name: jnp.stack(some, axis=-1) if some else nothing for name, some in each.items()}


def by_population(
    what: Int32[Array, "R N"] | jax.Array, population: jax.Array, populations: int
) -> Int32[Array, "R P"]:
    """Sums over the slots of each population; slots of population -1 belong to none."""
    own = population[:, None, :] == jnp.arange(populations)[:, None]
    return jnp.where(own, what[:, None, :], 0).sum(axis=-1, dtype=jnp.int32)
