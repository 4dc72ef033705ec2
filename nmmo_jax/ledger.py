"""The ledger: where every unit of food, water and health, and of what systems book, came from and went in one tick.

Per population, the sum of a stat over its agents after a tick is that before it, plus its sources, minus
its sinks; exactly, in integers. ``death`` is what the leaving still had. With ``Config.reproduction``,
``to_offspring`` is what parents paid, and ``from_parents`` what their newborns began with; the health of these, which
nobody pays, is in ``health_birth``.

So it is of each ``Column.booked``, by its name: ``items.gold_gained_by_items`` is what agents had more of after a phase
of that system, each agent by itself, and ``items.gold_lost_to_items`` what they had less of: who gives has lost what
another has gained. What newborns inherit, which nobody pays, is ``from_parents``.
"""

import dataclasses
import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from nmmo_jax.components import Births, Outcome, Realm
from nmmo_jax.config import Config
from nmmo_jax.declarations import Column
from nmmo_jax.rules import Rules
from nmmo_jax.system import System
from nmmo_jax.systems.booking import amount
from nmmo_jax.systems.lifecycle import newborn_columns

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
    of: dict[str, Int32[Array, "P"]] = dataclasses.field(default_factory=dict)  # of systems and columns, by account

    def named(self) -> dict[str, Any]:
        """The amounts by account, those of systems among them."""
        classic = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "of"}
        return classic | self.of


def sources(config: Config) -> dict[str, tuple[str, ...]]:
    """The accounts of a world from which each stat and booked column comes: of a system that can give it food
    ``food_gained_by_NAME``.
    """
    first = SOURCES | {name: tuple(_births(name, column)) for name, column in config.booked.items()}
    return {what: (*first[what], *_accounts(what, "gained", config)) for what in first}


def sinks(config: Config) -> dict[str, tuple[str, ...]]:
    """The accounts of a world into which each stat and booked column goes: of a system that can take food
    ``food_lost_to_NAME``.
    """
    first = SINKS | {name: (f"{name}_death",) for name in config.booked}
    return {what: (*first[what], *_accounts(what, "lost", config)) for what in first}


def _births(name: str, column: Column) -> list[str]:
    return [f"{name}_birth", *([f"{name}_from_parents"] if column.inherited else [])]


def _accounts(what: str, way: str, config: Config) -> list[str]:
    return [_account(what, way, one.name) for one in config.systems if what in _changes(one, config)]


def _changes(system: System, config: Config) -> tuple[str, ...]:
    """What a system has accounts of."""
    return (*system.stats, *config.books[system.name])


def _account(what: str, way: str, system: str) -> str:
    return f"{what}_{way}_{'by' if way == 'gained' else 'to'}_{system}"


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

    def left(what: str) -> jax.Array:
        return total(jnp.where(leaves, amount(played, what), 0))

    newborns = born.sum(axis=1, dtype=jnp.int32)
    on_ring, nothing = newborns, jnp.zeros_like(newborns)
    inherited = dict.fromkeys(config.booked, nothing)
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
        inherited = {name: total(jnp.where(parents, amount(played, name), 0)) for name in config.booked}
    of, given = {}, newborn_columns(rules, config)
    for name, column in config.booked.items():
        system, _, label = name.partition(".")
        each = given[system][label] * math.prod(column.shape)
        of[f"{name}_birth"] = each * (on_ring if column.inherited else newborns)
        if column.inherited:
            of[f"{name}_from_parents"] = inherited[name]
        of[f"{name}_death"] = left(name)
    return Ledger(
        food_birth=on_ring * rules.start_food,
        food_from_parents=from_parents["food"],
        food_forage=total(outcome.forage),
        food_gained=total(outcome.food_gained),
        food_metabolism=total(outcome.food_used),
        food_drained=total(outcome.food_drained),
        food_to_offspring=to_offspring["food"],
        food_death=left("food"),
        water_birth=on_ring * rules.start_water,
        water_from_parents=from_parents["water"],
        water_drink=total(outcome.drink),
        water_gained=total(outcome.water_gained),
        water_metabolism=total(outcome.water_used),
        water_drained=total(outcome.water_drained),
        water_to_offspring=to_offspring["water"],
        water_death=left("water"),
        health_birth=newborns * rules.start_health,
        health_healing=total(outcome.healing),
        health_starvation=total(outcome.starvation),
        health_thirst=total(outcome.thirst),
        health_damage=total(outcome.damage_taken),
        health_death=left("health"),
        of=of
        | {
            _account(what, way, system.name): total(getattr(outcome.of[system.name], way)[what])
            for system in config.systems
            for way in ("gained", "lost")
            for what in _changes(system, config)
        },
    )
