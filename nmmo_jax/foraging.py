"""What the scripted foragers share: when to eat, when to drink, and the step towards it.

The amounts are those of the classic rulebook, which the observation does not tell.
"""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Int32, PRNGKeyArray

from nmmo_jax.observations import FEATURES, Observation
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.world.materials import Material

MOVES = len(DIRECTIONS)
FAR = 64  # a distance in steps that stands for "not within sight"
MOST = 32  # food and water an agent can hold
PORTION = 5  # food from a forest, water per tick beside water
TURN_TICKS = 12  # how long an agent that explores keeps its heading

# Habits, chosen by trial on generated maps with 128 agents; lifetimes move little around these values.
SATED = 27  # from this much food on an agent does not compete for forests
FULL = 28  # an agent that drinks goes on until it has this much water
LEAST_WATER = 1  # it leaves for water while it can still arrive with this much
LEAST_FOOD = 3
STEP_COST = 2  # units missing that are worth one step more


class Places(flax.struct.PyTreeNode):
    """Distances in steps, from one's own tile and from the four beside it (``DIRECTIONS``); FAR: unknown."""

    food: Int32[Array, "N 5"]  # to the nearest forest worth going to
    water: Int32[Array, "N 5"]  # to the nearest tile beside water
    away: Int32[Array, "N 5"]  # to the end of what is seen, in the direction of exploration
    safe: Bool[Array, "N 5"]  # may be entered, and is not lava
    on_forest: Bool[Array, "N"]  # stands on a ready forest
    beside_water: Bool[Array, "N"]


def feature(obs: Observation, name: str) -> Int32[Array, "N"]:
    """One of the observer's own numbers."""
    return obs.self[:, list(FEATURES).index(name)].astype(jnp.int32)


def may_stand(material: jax.Array) -> jax.Array:
    """Whether a tile can be entered and survived: grass, scrub and forest (bool, same shape)."""
    return (material >= Material.GRASS) & (material <= Material.FOREST)


def heading(obs: Observation) -> Int32[Array, "N"]:
    """A direction 1 to 4 that an agent keeps for ``TURN_TICKS`` without memory: a hash of its slot and age."""
    age = feature(obs, "age").astype(jnp.uint32) // TURN_TICKS
    x = age * jnp.uint32(0x9E3779B1) + jnp.arange(age.size, dtype=jnp.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> shift)) * jnp.uint32(factor)
    return 1 + (x >> 30).astype(jnp.int32)


def after_vitals(amount: Int32[Array, "N"], gains: Bool[Array, "N"]) -> Int32[Array, "N"]:
    """Food or water once the coming vitals, which precede the coming move, are over."""
    return jnp.minimum(amount + PORTION * gains, MOST) - 1


def is_thirsty(obs: Observation, places: Places) -> Bool[Array, "N"]:
    """Whether water goes before food: it would soon be out of reach, or the agent is drinking and not yet full.

    Water is never used up, so an agent need not die of thirst; forests it can only hope for.
    """
    water = after_vitals(feature(obs, "water"), places.beside_water)
    steps = places.water[:, 0]
    return (water - steps < LEAST_WATER) | ((steps == 0) & (water < FULL))


def forage(key: PRNGKeyArray, obs: Observation, places: Places) -> Int[Array, "N"]:
    """The move towards food or water, whichever is more urgent; where that is unknown, away."""
    food = after_vitals(feature(obs, "food"), places.on_forest)
    water = after_vitals(feature(obs, "water"), places.beside_water)
    starving = food - places.food[:, 0] < LEAST_FOOD
    worth_food = MOST - food - STEP_COST * places.food[:, 0]
    worth_water = MOST - water - STEP_COST * places.water[:, 0]
    eats = ~is_thirsty(obs, places) & (starving | (worth_food >= worth_water))[:]
    goal = jnp.where(eats[:, None], places.food, places.water)
    second = jnp.where(eats[:, None], places.water, places.food)
    goal = jnp.where((goal < FAR).any(axis=1, keepdims=True), goal, places.away)
    return descend(key, goal, second, places.safe)


def descend(
    key: PRNGKeyArray, goal: Int32[Array, "N 5"], second: Int32[Array, "N 5"], safe: Bool[Array, "N 5"]
) -> Int[Array, "N"]:
    """The safe move with the smallest goal, among equals the smallest second, among those any; stays if none is safe."""
    chance = (jax.random.bits(key, goal.shape, jnp.uint16) >> 8).astype(jnp.int32)
    score = (goal * (2 * FAR) + second) * 256 + chance
    return jnp.argmin(jnp.where(safe, score, jnp.iinfo(jnp.int32).max), axis=1)
