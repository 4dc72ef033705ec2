"""Vitals: freeze, lava, forage, drink, heal, metabolism, starvation and thirst, age.

Reads Tiles.material; writes Tiles.ready_tick, Agents and Probes.visits.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from nmmo_jax.components import NEVER, NO_DAMAGE, Cause, Draws, Outcome, Realm
from nmmo_jax.config import Config
from nmmo_jax.kinds import Material
from nmmo_jax.rules import Rules
from nmmo_jax.systems.movement import DIRECTIONS

# Below every tick, so that a claim on a forest wins against its ready_tick.
_CLAIM = -(2**31)


def vitals(
    realm: Realm, outcome: Outcome, turn: Bool[Array, "N"], draws: Draws, rules: Rules, config: Config
) -> tuple[Realm, Outcome]:
    """The vitals of the agents whose turn it is, each at the tile on which it stands."""
    agents = realm.agents
    found_dead = turn & (agents.health <= 0)
    living = turn & ~found_dead
    place = agents.row.astype(jnp.int32) * config.columns + agents.col.astype(jnp.int32)
    old_food, old_water, old_health = (stat.astype(jnp.int32) for stat in (agents.food, agents.water, agents.health))
    probes = realm.probes
    if probes.visits is not None:
        population = jnp.where(living, agents.population, config.num_populations)
        probes = probes.replace(visits=probes.visits.at[population, agents.row, agents.col].add(1, mode="drop"))
    in_lava = living & (realm.tiles.material.reshape(-1)[place] == Material.LAVA)
    safe = living & ~in_lava

    realm, harvested = harvest(realm, place, safe, draws, config)
    forage = jnp.where(harvested, rules.forage_amount, 0)
    food = _raise(old_food, forage, harvested, rules.max_food)
    beside_water = safe & _beside_water(realm, config)
    water = _raise(old_water, rules.drink_amount, beside_water, rules.max_water)
    well = safe & (food > rules.heal_food_above) & (water > rules.heal_water_above)
    health = _raise(old_health, rules.heal_amount, well, rules.max_health)
    healing = health - old_health
    fed, watered, healed = food, water, health

    food = jnp.where(safe, jnp.maximum(food - rules.food_metabolism, 0), food)
    water = jnp.where(safe, jnp.maximum(water - rules.water_metabolism, 0), water)
    health = jnp.where(safe & (food == 0), jnp.maximum(health - rules.starvation_damage, 0), health)
    starved = health
    health = jnp.where(safe & (water == 0), jnp.maximum(health - rules.thirst_damage, 0), health)
    dies = in_lava | (safe & (health <= 0))
    of_want = jnp.where(starved <= 0, jnp.int32(Cause.STARVATION), jnp.int32(Cause.THIRST))
    cause = jnp.where(in_lava, jnp.int32(Cause.LAVA), of_want)

    agents = agents.replace(
        food=food.astype(jnp.int16),
        water=water.astype(jnp.int16),
        health=health.astype(jnp.int16),
        freeze=jnp.where(living, jnp.maximum(agents.freeze - 1, 0), agents.freeze).astype(jnp.int16),
        age=agents.age + safe.astype(jnp.int32),
        damage=jnp.where(safe, NO_DAMAGE, agents.damage),
    )
    merge = _merger(turn)
    outcome = outcome.replace(
        acted=merge(outcome.acted, living & ~dies),
        dead=merge(outcome.dead, found_dead | dies),
        # Who is found dead was killed after its own turn: in this tick (then `cause` is set) or the last.
        cause=jnp.where(dies, cause, jnp.where(found_dead, _found(outcome, config), outcome.cause)),
        harvested=merge(outcome.harvested, harvested),
        forage=merge(outcome.forage, fed - old_food),
        beside_water=merge(outcome.beside_water, beside_water),
        drink=merge(outcome.drink, watered - old_water),
        healing=merge(outcome.healing, healing),
        food_used=merge(outcome.food_used, fed - food),
        water_used=merge(outcome.water_used, watered - water),
        starvation=merge(outcome.starvation, healed - starved),
        thirst=merge(outcome.thirst, starved - health),
    )
    return realm.replace(agents=agents, probes=probes), outcome


def harvest(
    realm: Realm, place: Int32[Array, "N"], hungry: Bool[Array, "N"], draws: Draws, config: Config
) -> tuple[Realm, Bool[Array, "N"]]:
    """Each ready forest is harvested by the oldest (lowest uid) agent that stands on it and is depleted.

    The contest is held in ``ready_tick`` itself: agents write claims below every tick, the lowest stays,
    and its owner replaces it by the tick at which the forest is ready again. The map is touched once.
    """
    tiles = realm.tiles
    ready_tick = tiles.ready_tick.reshape(-1)
    ready = (tiles.material.reshape(-1)[place] == Material.FOREST) & (ready_tick[place] <= realm.tick)
    wants = hungry & ready
    claim = _CLAIM + realm.agents.uid
    nowhere = config.rows * config.columns
    ready_tick = ready_tick.at[jnp.where(wants, place, nowhere)].min(claim, mode="drop")
    wins = wants & (ready_tick[place] == claim)
    again = jnp.where(draws.regrowth < NEVER - realm.tick, realm.tick + draws.regrowth, NEVER)
    ready_tick = ready_tick.at[jnp.where(wins, place, nowhere)].set(again, mode="drop")
    tiles = tiles.replace(ready_tick=ready_tick.reshape(tiles.ready_tick.shape))
    return realm.replace(tiles=tiles), wins


def _beside_water(realm: Realm, config: Config) -> Bool[Array, "N"]:
    """Whether one of the four neighbours inside the map is water."""
    material = realm.tiles.material.reshape(-1)
    row, col = realm.agents.row.astype(jnp.int32), realm.agents.col.astype(jnp.int32)
    beside = jnp.zeros(row.shape, bool)
    for d_row, d_col in DIRECTIONS[1:]:
        r, c = row + d_row, col + d_col
        inside = (r >= 0) & (r < config.rows) & (c >= 0) & (c < config.columns)
        beside |= inside & (material.at[r * config.columns + c].get(mode="clip") == Material.WATER)
    return beside


def _raise(stat: Int32[Array, "N"], amount: jax.Array, who: jax.Array, most: jax.Array) -> Int32[Array, "N"]:
    return jnp.where(who, jnp.minimum(stat + amount, most), stat)


def _found(outcome: Outcome, config: Config) -> Int32[Array, "N"] | Cause:
    """Of what those died who are found dead: in combat, or in this tick by a system."""
    if not config.systems:
        return Cause.COMBAT
    return jnp.where(outcome.cause == Cause.NONE, Cause.COMBAT, outcome.cause)


def _merger(turn: jax.Array):
    """Keeps what other turns of the tick have recorded."""
    return lambda old, new: jnp.where(turn, new, old)
