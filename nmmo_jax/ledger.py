"""The ledger: where every unit of food, water and health came from and went in one tick.

Per population, the sum of a stat over its agents after a tick is that before it, plus its sources, minus
its sinks; exactly, in integers. ``death`` is what the leaving still had. With ``Config.reproduction``,
``to_offspring`` is what parents paid, and ``from_parents`` what their newborns began with; the health of these, which
nobody pays, is in ``health_birth``.
"""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from nmmo_jax.components import Births, Outcome, Realm
from nmmo_jax.config import Config
from nmmo_jax.rules import Rules

SOURCES = {
    "food": ("food_birth", "food_from_parents", "food_forage", "food_gained"),
    "water": ("water_birth", "water_from_parents", "water_drink", "water_gained"),
    "health": ("health_birth", "health_healing"),
}
SINKS = {
    "food": ("food_metabolism", "food_drained", "food_to_offspring", "food_death"),
    "water": ("water_metabolism", "water_drained", "water_to_offspring", "water_death"),
    "health": ("health_starvation", "health_thirst", "health_damage", "health_death"),
}


class Ledger(flax.struct.PyTreeNode):
    """Amounts of one tick per population, in units of the stat that the name begins with."""

    food_birth: Int32[Array, "P"]  # on the spawn ring
    food_from_parents: Int32[Array, "P"]
    food_forage: Int32[Array, "P"]
    food_gained: Int32[Array, "P"]  # by own attacks
    food_metabolism: Int32[Array, "P"]
    food_drained: Int32[Array, "P"]  # by others' attacks
    food_to_offspring: Int32[Array, "P"]
    food_death: Int32[Array, "P"]
    water_birth: Int32[Array, "P"]
    water_from_parents: Int32[Array, "P"]
    water_drink: Int32[Array, "P"]
    water_gained: Int32[Array, "P"]
    water_metabolism: Int32[Array, "P"]
    water_drained: Int32[Array, "P"]
    water_to_offspring: Int32[Array, "P"]
    water_death: Int32[Array, "P"]
    health_birth: Int32[Array, "P"]
    health_healing: Int32[Array, "P"]
    health_starvation: Int32[Array, "P"]
    health_thirst: Int32[Array, "P"]
    health_damage: Int32[Array, "P"]
    health_death: Int32[Array, "P"]
    of: dict[str, Int32[Array, "P"]] = dataclasses.field(default_factory=dict)  # of systems, by account

    def named(self) -> dict[str, Any]:
        """The amounts by account, those of systems among them."""
        classic = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "of"}
        return classic | self.of


def sources(config: Config) -> dict[str, tuple[str, ...]]:
    """The accounts of a world from which each stat comes: of a system ``food_gained_by_NAME``, if it declares food."""
    return {stat: (*SOURCES[stat], *_accounts(stat, "gained", config)) for stat in SOURCES}


def sinks(config: Config) -> dict[str, tuple[str, ...]]:
    """The accounts of a world into which each stat goes: of a system ``food_lost_to_NAME``, if it declares food."""
    return {stat: (*SINKS[stat], *_accounts(stat, "lost", config)) for stat in SINKS}


def _accounts(stat: str, way: str, config: Config) -> list[str]:
    return [_account(stat, way, system.name) for system in config.systems if stat in system.stats]


def _account(stat: str, way: str, system: str) -> str:
    return f"{stat}_{way}_{'by' if way == 'gained' else 'to'}_{system}"


def account(
    before: Realm,
    played: Realm,
    outcome: Outcome,
    leaves: Bool[Array, "N"],
    births: Births,
    rules: Rules,
    config: Config,
) -> Ledger:
    """The ledger of a tick.

    Args:
      before: the realm before the tick.
      played: the realm after all have acted, before cull.
      leaves: who was culled.
    """
    populations = jnp.arange(config.num_populations, dtype=jnp.int32)[:, None]
    own = (before.agents.population[None].astype(jnp.int32) == populations) & before.agents.alive[None]
    born = births.population[None] == populations  # failed attempts have population -1

    def total(amount: jax.Array) -> jax.Array:
        return jnp.where(own, amount.astype(jnp.int32)[None], 0).sum(axis=1, dtype=jnp.int32)

    def left(stat: jax.Array) -> jax.Array:
        return total(jnp.where(leaves, stat, 0))

    newborns = born.sum(axis=1, dtype=jnp.int32)
    on_ring, nothing = newborns, jnp.zeros_like(newborns)
    from_parents = to_offspring = {"food": nothing, "water": nothing}
    if config.reproduction:
        parents = births.slot[: config.num_agents] >= 0  # the first rows are those of the agents, by slot
        offspring = total(parents)
        on_ring = newborns - offspring
        from_parents = {"food": offspring * rules.newborn_food, "water": offspring * rules.newborn_water}
        costs = {"food": rules.birth_food_cost, "water": rules.birth_water_cost}
        to_offspring = {
            stat: total(jnp.where(parents, jnp.minimum(cost, getattr(played.agents, stat).astype(jnp.int32)), 0))
            for stat, cost in costs.items()
        }
    return Ledger(
        food_birth=on_ring * rules.start_food,
        food_from_parents=from_parents["food"],
        food_forage=total(outcome.forage),
        food_gained=total(outcome.food_gained),
        food_metabolism=total(outcome.food_used),
        food_drained=total(outcome.food_drained),
        food_to_offspring=to_offspring["food"],
        food_death=left(played.agents.food),
        water_birth=on_ring * rules.start_water,
        water_from_parents=from_parents["water"],
        water_drink=total(outcome.drink),
        water_gained=total(outcome.water_gained),
        water_metabolism=total(outcome.water_used),
        water_drained=total(outcome.water_drained),
        water_to_offspring=to_offspring["water"],
        water_death=left(played.agents.water),
        health_birth=newborns * rules.start_health,
        health_healing=total(outcome.healing),
        health_starvation=total(outcome.starvation),
        health_thirst=total(outcome.thirst),
        health_damage=total(outcome.damage_taken),
        health_death=left(played.agents.health),
        of={
            _account(stat, way, system.name): total(getattr(outcome.of[system.name], way)[stat])
            for system in config.systems
            for way in ("gained", "lost")
            for stat in system.stats
        },
    )
