"""Distances within what agents see, for all agents at once.

A window is kept as one word per row, a bit per tile: a step in all directions is five shifts of words, and
a search 26 steps deep for 8,192 agents takes milliseconds. Arrays are ``[rows, N]``, agents last.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, UInt

from nmmo_jax.kinds import Material
from nmmo_jax.observations import Observation
from nmmo_jax.policies.foraging import FAR, MOVES, Mask, Places, heading, may_stand
from nmmo_jax.systems.movement import DIRECTIONS

MAX_RADIUS = 15  # what a word holds; of larger windows the middle is used
DETOUR = 6  # how much longer than straight across the window a way may be, in steps
RACE_STEPS = 3  # how far ahead agents see that another one reaches a forest first

Bits = UInt[Array, "W N"]


def look(obs: Observation, mask: Mask) -> Places:
    """What a forager learns from its window. Forests that another agent reaches first or with it do not count."""
    window = middle(obs)
    material, count = window[:, 0], window[:, 1]
    radius = material.shape[1] // 2
    ground = pack(may_stand(material))
    forest = pack(material == Material.FOREST)
    shore = spread(pack(material == Material.WATER)) & ground
    here = jnp.zeros_like(ground).at[radius].set(1 << radius)
    others = pack(count > 0) & ~here
    free = forest & ~here & ~reached_by_others(here, others, ground)
    end = window_end(heading(obs), ground)
    food, water, away = steps_to(jnp.stack([free, shore, end]), ground)
    return Places(
        food=food,
        water=water,
        away=away,
        safe=around(ground) & mask["move"],
        on_forest=(forest & here).any(axis=0),
        beside_water=(shore & here).any(axis=0),
    )


def middle(obs: Observation) -> UInt[Array, "N 2 W W"]:
    """At most ``MAX_RADIUS`` tiles in each direction, and at least one (unseen tiles are taken for lava)."""
    tiles = obs.tiles
    view = tiles.shape[-1]
    if view == 1:
        return jnp.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)))
    cut = max(view // 2 - MAX_RADIUS, 0)
    return tiles[..., cut : view - cut, cut : view - cut]


def safe_moves(obs: Observation, mask: Mask) -> Bool[Array, "N 5"]:
    """Moves that succeed and do not end on lava, as far as one sees."""
    window = middle(obs)
    centre = window.shape[-1] // 2
    ground = [may_stand(window[:, 0, centre + row, centre + col]) for row, col in DIRECTIONS]
    return jnp.stack(ground, axis=1) & mask["move"]


def pack(tiles: Bool[Array, "N W W"]) -> Bits:
    """One word per row of the window; bit k is column k."""
    width = tiles.shape[-1]
    word = jnp.uint16 if width <= 16 else jnp.uint32
    return (tiles.astype(word) << jnp.arange(width, dtype=word)[None, None]).sum(axis=-1, dtype=word).T


def spread(bits: UInt[Array, "*F W N"]) -> UInt[Array, "*F W N"]:
    """The tiles and those beside them; may set bits beyond the window's last column."""
    nothing = jnp.zeros_like(bits[..., :1, :])
    above = jnp.concatenate([nothing, bits[..., :-1, :]], axis=-2)
    below = jnp.concatenate([bits[..., 1:, :], nothing], axis=-2)
    return bits | (bits << 1) | (bits >> 1) | above | below


def around(bits: UInt[Array, "*F W N"]) -> Bool[Array, "*F N 5"]:
    """The bits of one's own tile and of the four beside it."""
    centre = bits.shape[-2] // 2
    found = [(bits[..., centre + row, :] >> (centre + col)) & 1 for row, col in DIRECTIONS]
    return jnp.stack(found, axis=-1).astype(bool)


def reached_by_others(here: Bits, others: Bits, ground: Bits) -> Bits:
    """Tiles that another agent reaches within ``RACE_STEPS``, and one does not reach before."""

    def step(_, state):
        mine, theirs = state
        reached = theirs | (spread(theirs) & ground & ~mine)
        return mine | (spread(mine) & ground & ~reached), reached

    return jax.lax.fori_loop(0, RACE_STEPS, step, (here, others))[1]


def window_end(towards: Int32[Array, "N"], ground: Bits) -> Bits:
    """The walkable tiles on the edge of the window that lies in a given direction."""
    width = ground.shape[0]
    row, towards = jnp.arange(width, dtype=jnp.int32)[:, None], towards[None]
    on_edge = ((towards == 2) & (row == width - 1)) | ((towards == 4) & (row == 0))
    column = jnp.where(towards == 1, 1 << (width - 1), jnp.where(towards == 3, 1, 0))
    return jnp.where(on_edge, (1 << width) - 1, column).astype(ground.dtype) & ground


def steps_to(goals: UInt[Array, "F W N"], ground: Bits) -> Int32[Array, "F N 5"]:
    """Steps from one's own tile and the four beside it to the nearest of F kinds of goals; FAR: no way in sight."""

    def step(steps, state):
        reached, distance = state
        distance = jnp.where(around(reached), jnp.minimum(distance, jnp.asarray(steps, jnp.uint8)), distance)
        return spread(reached) & ground[None], distance

    fields, width, n = goals.shape
    distance = jnp.full((fields, n, MOVES), FAR, jnp.uint8)
    depth = min(2 * (width // 2) + DETOUR, FAR)
    return jax.lax.fori_loop(0, depth, step, (goals, distance))[1].astype(jnp.int32)
