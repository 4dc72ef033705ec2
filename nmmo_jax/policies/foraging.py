"""What the scripted foragers share: when to eat, when to drink, and the step towards it.

Amounts are those of the classic rulebook, which the observation does not tell.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, PRNGKeyArray, UInt32

from nmmo_jax.actions import Action
from nmmo_jax.config import Config
from nmmo_jax.draws import shape_of, words
from nmmo_jax.goals import View
from nmmo_jax.kinds import Material
from nmmo_jax.observations import FEATURES, Observation
from nmmo_jax.paths import FAR, around, steps_to
from nmmo_jax.systems.movement import DIRECTIONS

MOVES = len(DIRECTIONS)
MOST = 32  # food and water an agent can hold
PORTION = 5  # food from a forest, water per tick beside water
TURN_TICKS = 12  # how long an agent that explores keeps its heading

# Habits, found by trial in crowded worlds; lifetimes change little around these values.
FULL = 28  # an agent that drinks goes on until it has this much water
LEAST_WATER = 1  # it leaves for water while it would arrive with this much

Mask = dict[str, Bool[Array, "N ..."]]


class Places(flax.struct.PyTreeNode):
    """What a forager knows, for its own tile and the four beside it (in the order of ``DIRECTIONS``).

    Distances are in steps, at most FAR.
    """

    food: Int32[Array, "N 5"]  # to the nearest forest worth going to; counts hindrances too
    water: Int32[Array, "N 5"]  # to the nearest tile beside water
    away: Int32[Array, "N 5"]  # the smaller, the better for exploring
    safe: Bool[Array, "N 5"]  # can be entered, and is not lava
    on_forest: Bool[Array, "N"]  # stands on a ready forest
    beside_water: Bool[Array, "N"]


def look(key: PRNGKeyArray, obs: Observation, mask: Mask) -> Places:
    """What a forager learns from its window. Forests that another agent reaches first or with it do not count."""
    view = View(obs, Config())  # scripts know the classic materials
    forest, shore = view.material("forest"), view.beside(view.material("water"))
    goals = jnp.stack([view.mine(forest), shore, view.edge(heading(key, obs))])
    food, water, away = jnp.moveaxis(steps_to(goals, view.ground), -1, 1).astype(jnp.int32)
    return Places(
        food=food,
        water=water,
        away=away,
        safe=safe_moves(view, mask),
        on_forest=(forest & view.here).any(axis=0),
        beside_water=(shore & view.here).any(axis=0),
    )


def safe_moves(view: View, mask: Mask) -> Bool[Array, "N 5"]:
    """Moves that succeed and do not end on lava, as far as one sees."""
    ground = jnp.stack(around(view.ground, len(view.ground) // 2), axis=-1)
    return (ground > 0) & mask["move"]


def feature(obs: Observation, name: str) -> Int32[Array, "N"]:
    """One of the observer's own numbers."""
    return obs.self[:, list(FEATURES).index(name)].astype(jnp.int32)


def own_slot(key: PRNGKeyArray, obs: Observation) -> UInt32[Array, "N"]:
    """The slot of each agent, which its chance goes by.

    With one key they are all those of a realm, and nothing need be read: a ring that is read when it has been written
    to is copied for that. With a key for each they are any, and see themselves first.
    """
    if shape_of(key) == ():
        return jnp.arange(obs.self.shape[0], dtype=jnp.uint32)
    return jnp.maximum(obs.visible_slot[:, 0], 0).astype(jnp.uint32)


def chances(key: PRNGKeyArray, obs: Observation, number: int) -> Int32[Array, "N K"]:
    """So many numbers from 0 to 255 of each agent, by its slot.

    Args:
      key: of the realm, or for each agent that of its own.
    """
    counter = own_slot(key, obs)[:, None] * np.uint32(number) + np.arange(number, dtype=np.uint32)[None]
    high, low = words(key if shape_of(key) == () else key[:, None], jnp.zeros_like(counter), counter)
    return ((high ^ low) & 255).astype(jnp.int32)


def may_stand(material: jax.Array) -> jax.Array:
    """Whether a tile can be entered and survived: grass, scrub or forest (bool, same shape)."""
    return (material >= Material.GRASS) & (material <= Material.FOREST)


def heading(key: PRNGKeyArray, obs: Observation) -> Int32[Array, "N"]:
    """A move 1 to 4 that an agent keeps for ``TURN_TICKS`` without a memory: a hash of its slot and age."""
    age = feature(obs, "age").astype(jnp.uint32) // TURN_TICKS
    word = age * jnp.uint32(0x9E3779B1) + own_slot(key, obs)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        word = (word ^ (word >> shift)) * jnp.uint32(factor)
    return 1 + (word >> 30).astype(jnp.int32)


def expected_food(obs: Observation, places: Places) -> Int32[Array, "N"]:
    """Food after the coming vitals, which precede the coming move."""
    return jnp.minimum(feature(obs, "food") + PORTION * places.on_forest.astype(jnp.int32), MOST) - 1


def expected_water(obs: Observation, places: Places) -> Int32[Array, "N"]:
    """Water after the coming vitals."""
    return jnp.minimum(feature(obs, "water") + PORTION * places.beside_water.astype(jnp.int32), MOST) - 1


def is_thirsty(obs: Observation, places: Places) -> Bool[Array, "N"]:
    """Whether water goes before food: it is about to be out of reach, or the agent is drinking and not yet full.

    Water is never used up, so nobody who knows of some need die of thirst; forests can only be hoped for.
    """
    water, steps = expected_water(obs, places), places.water[:, 0]
    return (water - steps < LEAST_WATER) | ((steps == 0) & (water < FULL))


def forage(key: PRNGKeyArray, obs: Observation, places: Places) -> Int32[Array, "N"]:
    """The move towards food or water, whichever fills more for the way; exploring where that is unknown."""
    worth_food = MOST - expected_food(obs, places) - places.food[:, 0]
    worth_water = MOST - expected_water(obs, places) - places.water[:, 0]
    eats = (~is_thirsty(obs, places) & (worth_food >= worth_water))[:, None]
    goal = jnp.where(eats, places.food, places.water)
    on_the_way = jnp.where(eats, places.water, places.food)
    known = (goal < FAR).any(axis=1, keepdims=True)
    return descend(key, obs, jnp.where(known, goal, places.away), on_the_way, places.safe)


def in_peace(move: Int32[Array, "N"]) -> Action:
    """A move, and no attack."""
    return Action(move=move, style=jnp.zeros_like(move), target=jnp.full_like(move, -1))


def descend(
    key: PRNGKeyArray,
    obs: Observation,
    goal: Int32[Array, "N 5"],
    second: Int32[Array, "N 5"],
    safe: Bool[Array, "N 5"],
) -> Int32[Array, "N"]:
    """The safe move of the smallest goal, among equals of the smallest second, among those any. Staying is safe."""
    chance = chances(key, obs, MOVES)
    score = (goal * (2 * FAR) + second) * 256 + chance
    score = jnp.where(safe.at[:, 0].set(True), score, jnp.iinfo(jnp.int32).max)
    return jax.lax.argmin(score, 1, jnp.int32)
