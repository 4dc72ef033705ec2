"""Ways over the tiles that agents see, for all agents at once: the one search of scripts and networks.

A window is kept as one word per row, a bit per tile: a step in all directions is five shifts of words, and a search of
20 steps for 8,192 agents takes milliseconds. Arrays are ``[W, N]``, rows of the window and agents.

An accelerator would write and read all of them at every step, 26 KB per agent and tick. There searches are made in
``Words``, with an array for each: a step needs nothing from other places of the same array, so that several in a row
are one kernel, and what is written and read is a ninth. A CPU is fastest with rows: words take it up to two and a half
times as long.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt, UInt8, UInt32

from nmmo_jax.systems.movement import DIRECTIONS

MAX_RADIUS = 15  # what a word holds; of larger windows the middle is used
DETOUR = 6  # how much longer than straight across the window a way may be, in steps
FAR = 64  # a distance in steps that stands for "unknown or unreachable"
AT_ONCE = 10  # steps in a kernel, where searches are made in words
COUNT = 6  # bits for the steps of a search
SHIFTS = range(0, COUNT * len(DIRECTIONS), COUNT)

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


@jax.tree_util.register_pytree_node_class
class Words:
    """Windows as words of 32 bits, each an array ``[*F, N]``: rows of at most 16 tiles by two, wider ones by one."""

    def __init__(self, words: Any, paired: bool):
        self.words, self.paired = tuple(words), paired

    @classmethod
    def of(cls, bits: UInt[Array, "*F W N"]) -> "Words":
        """Of rows."""
        rows = [bits[..., index, :].astype(jnp.uint32) for index in range(bits.shape[-2])]
        paired = bits.dtype == jnp.uint16
        if paired:
            rows = [row | (after << 16) for row, after in zip(rows[::2], [*rows[1::2], jnp.uint32(0)], strict=True)]
        return cls(rows, paired)

    def rows(self, number: int) -> UInt[Array, "*F W N"]:
        """As so many rows."""
        if not self.paired:
            return jnp.stack(self.words, axis=-2)
        rows = [row for word in self.words for row in (word & 0xFFFF, word >> 16)]
        return jnp.stack(rows[:number], axis=-2).astype(jnp.uint16)

    def bit(self, row: int, col: int) -> UInt32[Array, "*F N"]:
        """That of a tile."""
        index, shift = (row // 2, col + 16 * (row % 2)) if self.paired else (row, col)
        return (self.words[index] >> shift) & 1

    def spread(self) -> "Words":
        """As ``spread``."""
        nothing = jnp.zeros_like(self.words[0])
        beside = around = zip([nothing, *self.words], self.words, [*self.words[1:], nothing], strict=False)
        if self.paired:
            beside = (((x << 16) | (a >> 16), x, (x >> 16) | (b << 16)) for a, x, b in around)
        return self._new(x | (x << 1) | (x >> 1) | a | b for a, x, b in beside)

    def _new(self, words: Any) -> "Words":
        return Words(words, self.paired)

    def __and__(self, other: "Words") -> "Words":
        return self._new(x & y for x, y in zip(self.words, other.words, strict=True))

    def __or__(self, other: "Words") -> "Words":
        return self._new(x | y for x, y in zip(self.words, other.words, strict=True))

    def __invert__(self) -> "Words":
        return self._new(~x for x in self.words)

    def tree_flatten(self) -> tuple[Any, bool]:
        """For JAX."""
        return self.words, self.paired

    @classmethod
    def tree_unflatten(cls, paired: bool, words: Any) -> "Words":
        """For JAX."""
        return cls(words, paired)


def in_words(windows: Any) -> bool:
    """Whether these are words."""
    return isinstance(windows, Words)


def search(of: Callable[..., Any], *windows: Bits) -> Any:
    """``of(*windows)``, made in words but on a CPU; windows that come out are rows again."""

    def elsewhere(*windows):
        found, number = of(*map(Words.of, windows)), windows[-1].shape[-2]
        return jax.tree.map(lambda one: one.rows(number) if in_words(one) else one, found, is_leaf=in_words)

    return jax.lax.platform_dependent(*windows, cpu=of, default=elsewhere)


def repeat(times: int, step: Callable[[Any], Any], state: Any) -> Any:
    """So many steps, one after another; in words written out, ``AT_ONCE`` in a kernel."""
    if not in_words(jax.tree.leaves(state, is_leaf=in_words)[0]):
        return jax.lax.fori_loop(0, times, lambda _, state: step(state), state)
    for index in range(times):
        state = step(jax.lax.optimization_barrier(state) if index and index % AT_ONCE == 0 else state)
    return state


def spread(bits: Any) -> Any:
    """The tiles and those beside them, of windows ``[*F, W, N]`` or words; may set bits beyond the last column."""
    if isinstance(bits, Words):
        return bits.spread()
    nothing = jnp.zeros_like(bits[..., :1, :])
    above = jnp.concatenate([nothing, bits[..., :-1, :]], axis=-2)
    below = jnp.concatenate([bits[..., 1:, :], nothing], axis=-2)
    return bits | (bits << 1) | (bits >> 1) | above | below


def around(bits: Any, centre: int) -> list[UInt[Array, "*F N"]]:
    """The bits of one's own tile and of the four beside it, in the order of ``DIRECTIONS``; of words, all in one, each
    the lowest of ``COUNT``.
    """
    if isinstance(bits, Words):
        each = (bits.bit(centre + row, centre + col) for row, col in DIRECTIONS)
        return [functools.reduce(jnp.bitwise_or, (bit << shift for bit, shift in zip(each, SHIFTS, strict=True)))]
    return [((bits[..., centre + row, :] >> (centre + col)) & 1).astype(jnp.uint8) for row, col in DIRECTIONS]


def reached_by_others(here: Bits, others: Bits, ground: Bits, steps: int) -> Bits:
    """Tiles that another reaches within so many steps, and one does not reach before."""

    def of(here, others, ground):
        def step(state):
            mine, theirs = state
            reached = theirs | (spread(theirs) & ground & ~mine)
            return mine | (spread(mine) & ground & ~reached), reached

        return repeat(steps, step, (here, others))[1]

    return search(of, here, others, ground)


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

        def of(mine, first, last, ground):
            def step(race):
                return race.enter(*(spread(bits) & ground for bits in race))

            return repeat(steps, step, Race(mine, first, last))

        return search(of, *self, ground)


def nearest_of(starts: Bits, goals: Bits, ground: Bits, steps: int) -> Bits:
    """Of the goals those that are the nearest of some start, within so many steps; all of several as near.

    A flood from the goals says how far each tile is; back through its fronts all starts go downhill together.
    """

    def of(starts, goals, ground):
        def flood(reached, _):
            further = spread(reached) & ground
            if not in_words(further):
                further = jax.lax.optimization_barrier(further)  # else computed again for the stack
            return further, further & ~reached

        def go(walkers, front):
            return (spread(walkers) | starts) & front, None

        first = goals & ground
        unroll = AT_ONCE if in_words(first) else 1
        _, fronts = jax.lax.scan(flood, first, length=steps, unroll=unroll)
        fronts = jax.tree.map(lambda one, rest: jnp.concatenate([one[None], rest]), first, fronts)
        return jax.lax.scan(go, jax.tree.map(jnp.zeros_like, first), fronts, reverse=True, unroll=unroll)[0]

    return search(of, starts, goals, ground)


def steps_to(goals: UInt[Array, "F W N"], ground: Bits) -> UInt8[Array, "F 5 N"]:
    """Steps from one's own tile and the four beside it to the nearest of F kinds of goals; ``FAR``: no way in sight."""
    centre = ground.shape[0] // 2
    depth = min(2 * centre + DETOUR, FAR)

    def of(goals, ground):
        def step(state):
            reached, missing = state
            there = around(reached, centre)
            return spread(reached) & ground, [before + one - bits for before, bits in zip(missing, there, strict=True)]

        first, words = goals & ground, in_words(ground)
        one = sum(1 << shift for shift in SHIFTS) if words else 1
        none = [jnp.zeros_like(bits) for bits in around(first, centre)]  # steps before it was reached
        missing = repeat(depth, step, (first, none))[1]
        if words:
            missing = [(missing[0] >> shift).astype(jnp.uint8) % 2**COUNT for shift in SHIFTS]
        return jnp.stack(missing, axis=1)

    missing = search(of, goals, ground[None])
    return jnp.where(missing < depth, missing, jnp.uint8(FAR))
