"""Scripted policies: pure functions of what one realm's agents see, to play against and to measure learners by.

Each draws one number per agent, so that equal agents differ. What is returned for empty slots means nothing.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, PRNGKeyArray, UInt

from nmmo_jax.actions import Action
from nmmo_jax.foraging import FAR, Places, forage, heading, may_stand
from nmmo_jax.observations import Observation
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.world.materials import Material

STEPS = 20  # how long a way within the window is followed
RACE_STEPS = 3
MAX_RADIUS = 15

Mask = dict[str, Bool[Array, "N ..."]]
Bits = UInt[Array, "W N"]


def forager(key: PRNGKeyArray, obs: Observation, mask: Mask) -> Action:
    return Action(move=forage(key, obs, look(obs, mask)))


def look(obs: Observation, mask: Mask) -> Places:
    radius = min(obs.tiles.shape[1] // 2, MAX_RADIUS)
    middle = obs.tiles.shape[1] // 2
    window = obs.tiles[:, middle - radius : middle + radius + 1, middle - radius : middle + radius + 1]
    material, count = window[..., 0], window[..., 1].at[:, radius, radius].set(0)
    ground = pack(may_stand(material))
    forest = pack(material == Material.FOREST)
    shore = spread(pack(material == Material.WATER)) & ground
    here = jnp.zeros_like(ground).at[radius].set(1 << radius)
    others = pack(count > 0)
    free = forest & ~here & ~lost_races(here, others, ground)
    food, water, away = flood(jnp.stack([free, shore, frontier(obs, ground)]), ground)
    on_forest, beside_water = (forest & here).any(axis=0), (shore & here).any(axis=0)
    safe = (cross(ground) & mask["move"].T).at[0].set(True)
    return Places(food.T, water.T, away.T, safe.T, on_forest, beside_water)


def pack(mask: Bool[Array, "N W W"]) -> Bits:
    width = mask.shape[-1]
    dtype = jnp.uint16 if width <= 16 else jnp.uint32
    return (mask.astype(dtype) << jnp.arange(width, dtype=dtype)).sum(axis=-1, dtype=dtype).T


def spread(bits):
    empty = jnp.zeros_like(bits[..., :1, :])
    above = jnp.concatenate([empty, bits[..., :-1, :]], axis=-2)
    below = jnp.concatenate([bits[..., 1:, :], empty], axis=-2)
    return bits | (bits << 1) | (bits >> 1) | above | below


def cross(bits) -> Bool[Array, "*B 5 N"]:
    middle = bits.shape[-2] // 2
    return jnp.stack([(bits[..., middle + r, :] >> (middle + c)) & 1 for r, c in DIRECTIONS], axis=-2).astype(bool)


def lost_races(here, others, ground):
    def step(_, state):
        mine, theirs = state
        reached = spread(theirs) & ground & ~mine
        return mine | (spread(mine) & ground & ~theirs & ~reached), theirs | reached

    return jax.lax.fori_loop(0, RACE_STEPS, step, (here, others))[1]


def frontier(obs, ground):
    towards = heading(obs)
    width = ground.shape[0]
    row = jnp.arange(width)[:, None]
    full = (1 << width) - 1
    horizontal = jnp.where(towards == 1, 1 << (width - 1), jnp.where(towards == 3, 1, 0))
    rows = ((towards == 2) & (row == width - 1)) | ((towards == 4) & (row == 0))
    return jnp.where(rows, full, horizontal).astype(ground.dtype) & ground


def flood(sources, ground):
    def step(k, state):
        reached, distance = state
        distance = jnp.minimum(distance, jnp.where(cross(reached), k.astype(jnp.uint8), jnp.uint8(FAR)))
        return spread(reached) & ground, distance

    shape = (*sources.shape[:-2], len(DIRECTIONS), sources.shape[-1])
    distance = jnp.full(shape, FAR, jnp.uint8)
    return jax.lax.fori_loop(0, STEPS, step, (sources, distance))[1].astype(jnp.int32)
