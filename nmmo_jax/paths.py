"""Ways over the tiles that agents see, for all agents at once: the one search of scripts and networks.

A window is kept as one word per row, a bit per tile: a step in all directions is five shifts of words, and a search of
20 steps for 8,192 agents takes milliseconds. Arrays are ``[W, N]``, rows of the window and agents.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt, UInt8

from nmmo_jax.systems.movement import DIRECTIONS

MAX_RADIUS = 15  # what a word holds; of larger windows the middle is used
DETOUR = 6  # how much longer than straight across the window a way may be, in steps
FAR = 64  # a distance in steps that stands for "unknown or unreachable"

Bits = UInt[Array, "W N"]


def middle(tiles: UInt8[Array, "N 2 W W"]) -> UInt8[Array, "N 2 W W"]:
    """At most ``MAX_RADIUS`` tiles in each direction, and at least one (unseen tiles are taken for lava)."""
    view = tiles.shape[-1]
    if view == 1:
        return jnp.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)))
    cut = max(view // 2 - MAX_RADIUS, 0)
    return tiles[..., cut : view - cut, cut : view - cut]


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


def around(bits: UInt[Array, "*F W N"]) -> Bool[Array, "*F 5 N"]:
    """The bits of one's own tile and of the four beside it, in the order of ``DIRECTIONS``."""
    centre = bits.shape[-2] // 2
    found = [(bits[..., centre + row, :] >> (centre + col)) & 1 for row, col in DIRECTIONS]
    return jnp.stack(found, axis=-2).astype(bool)


def reached_by_others(here: Bits, others: Bits, ground: Bits, steps: int) -> Bits:
    """Tiles that another reaches within so many steps, and one does not reach before."""

    def step(_, state):
        mine, theirs = state
        reached = theirs | (spread(theirs) & ground & ~mine)
        return mine | (spread(mine) & ground & ~reached), reached

    return jax.lax.fori_loop(0, steps, step, (here, others))[1]


class Race(NamedTuple):
    """Which tiles have been reached first: by oneself, or by others, of whom ``first`` come before one at equal steps
    and ``last`` after.
    """

    mine: Bits
    first: Bits
    last: Bits

    def enter(self, mine: Bits, first: Bits, last: Bits) -> "Race":
        """With more who start now, where nobody else has been."""
        first = self.first | (first & ~self.mine & ~self.last)
        mine = self.mine | (mine & ~first & ~self.last)
        return Race(mine, first, self.last | (last & ~first & ~mine))

    def run(self, ground: Bits, steps: int) -> "Race":
        """So many steps later."""

        def step(_, race):
            return race.enter(*(spread(bits) & ground for bits in race))

        return jax.lax.fori_loop(0, steps, step, self)


def nearest_of(starts: Bits, goals: Bits, ground: Bits, steps: int) -> Bits:
    """Of the goals those that are the nearest of some start, within so many steps; all of several as near.

    A flood from the goals says how far each tile is; back through its fronts all starts go downhill together.
    """

    def flood(reached, _):
        further = jax.lax.optimization_barrier(spread(reached) & ground)  # else computed again for the stack
        return further, further & ~reached

    first = goals & ground
    _, fronts = jax.lax.scan(flood, first, length=steps)
    fronts = jnp.concatenate([first[None], fronts])

    def go(walkers, front):
        return (spread(walkers) | starts) & front, None

    return jax.lax.scan(go, jnp.zeros_like(first), fronts, reverse=True)[0]


def steps_to(goals: UInt[Array, "F W N"], ground: Bits) -> UInt8[Array, "F 5 N"]:
    """Steps from one's own tile and the four beside it to the nearest of F kinds of goals; ``FAR``: no way in sight."""
    fields, width, n = goals.shape
    depth = min(2 * (width // 2) + DETOUR, FAR)

    def step(_, state):
        reached, missing = state
        return spread(reached) & ground[None], missing + 1 - around(reached).astype(jnp.uint8)

    missing = jnp.zeros((fields, len(DIRECTIONS), n), jnp.uint8)  # steps before it was reached
    missing = jax.lax.fori_loop(0, depth, step, (goals & ground[None], missing))[1]
    return jnp.where(missing < depth, missing, jnp.uint8(FAR))
