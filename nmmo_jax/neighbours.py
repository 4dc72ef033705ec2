"""Who is in view of whom in a crowded realm: a spatial index instead of all pairs, with the same result.

The map is cut into strips as high as the radius of the view, and each strip into cells. With the agents sorted
by cell, all whom an observer can see stand in three runs of that table, one per strip. The runs are read one after
another, and the best so far are kept in a short sorted list. There are no capacities: a crowd makes the runs longer,
that is all.

Worth its length: for 8,192 agents in realms of 4,096, all pairs take 22 of 28 ms per tick on a CPU core, and this takes
1.4; at 65,536 agents and the same density it takes 1.7 for as many. Below some 300 agents all pairs are faster.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from nmmo_jax.bits import lowest_bits, pack_two
from nmmo_jax.components import Agents
from nmmo_jax.config import Config

MOST_IN_PAIRS = 256  # agents; above, the spatial index is faster (both measured at 256, 512 and 1,024)
NOBODY = 2**31 - 1
_FAR = 2**16  # above every slot of agents, so that whoever is near comes first
_OUTSIDE = -(2**14)  # a row from which nobody is in view


class Neighbourhood(NamedTuple):
    """What the search for one observer needs; all arrays of one shape."""

    slot: jax.Array
    row: jax.Array
    col: jax.Array
    near: jax.Array  # distance up to which others come first
    starts: tuple[jax.Array, ...]  # of the runs in the sorted table
    lengths: tuple[jax.Array, ...]


def find_neighbours(
    agents: Agents, observer: Bool[Array, "N"], near: Int32[Array, ""], config: Config
) -> Int32[Array, "N K"]:
    """Slots of the others that each observer lists, K = ``num_visible`` - 1; -1 where the list ends.

    Those at Chebyshev distance of at most ``near`` tiles come first, then the others in view; each group in slot order.
    """
    place = agents.row.astype(jnp.int32), agents.col.astype(jnp.int32)
    single = (*place, agents.alive, observer, jnp.asarray(near, jnp.int32))
    return _searcher(config, config.num_visible - 1, _FAR)(*(array[None] for array in single))[0]


def find_in_pairs(
    agents: Agents, observer: Bool[Array, "N"], near: Int32[Array, ""], config: Config
) -> Int32[Array, "N K"]:
    """``find_neighbours`` by comparing all pairs of agents."""
    distance = jnp.maximum(
        jnp.abs(agents.row[:, None] - agents.row[None, :]), jnp.abs(agents.col[:, None] - agents.col[None, :])
    )
    # Axes: whom is seen, by whom. The observer comes last, so that words of different observers lie side by side.
    slot = jnp.arange(agents.alive.size, dtype=jnp.int32)
    oneself = slot[:, None] == slot[None, :]
    sees = agents.alive[:, None] & observer[None, :] & ~oneself & (distance <= config.radius)
    inside, near = pack_two(sees, sees & (distance.astype(jnp.int32) <= near))
    bits = lowest_bits(jnp.concatenate([near, inside & ~near]), config.num_visible - 1)
    slot = bits % (32 * len(near))  # the second half of the words means the same slots
    return jnp.where(bits >= 0, slot, -1).T


def find_things(
    agents: Agents,
    observer: Bool[Array, "N"],
    table: Mapping[str, Array],
    near: int,
    most: int,
    config: Config,
) -> Int32[Array, "N K"]:
    """Rows of a table, of those with the columns ``alive``, ``row`` and ``col``, that each observer has in view.

    K = ``most``; -1 where there are no more. What is at most ``near`` tiles away comes first; each group in the order
    of rows. What is nowhere on the map is not in view.
    """
    places = [(agents.row, table["row"]), (agents.col, table["col"])]
    alive = table["alive"]
    for side, (_, thing) in zip((config.rows, config.columns), places, strict=True):
        alive &= (thing >= 0) & (thing < side)
    n, number = agents.alive.size, alive.size
    if n * number > MOST_IN_PAIRS**2:
        # One crowd of both, in which the agents only look and the things are only seen.
        row, col = (jnp.concatenate([one.astype(jnp.int32), other.astype(jnp.int32)]) for one, other in places)
        there = jnp.concatenate([jnp.zeros(n, bool), alive])
        looks = jnp.concatenate([observer, jnp.zeros(number, bool)])
        search = _searcher(config, most, 2**18)
        found = search(*(one[None] for one in (row, col, there, looks, jnp.asarray(near, jnp.int32))))[0][:n]
        return jnp.where(found >= 0, found - n, -1)
    away = [jnp.abs(thing[:, None].astype(jnp.int32) - agent[None].astype(jnp.int32)) for agent, thing in places]
    distance = jnp.maximum(*away)
    sees = alive[:, None] & observer[None] & (distance <= config.radius)
    inside, close = pack_two(sees, sees & (distance <= near))
    bits = lowest_bits(jnp.concatenate([close, inside & ~close]), most)
    return jnp.where(bits >= 0, bits % (32 * len(close)), -1).T


@functools.cache
def _searcher(config: Config, most: int, far: int):
    """``_search`` for at most so many. Here vmap makes more realms, not loops that wait for the slowest realm at every
    step.
    """
    search = jax.custom_batching.custom_vmap(functools.partial(_search, config, most, far))

    @search.def_vmap
    def batched(size, is_batched, *arrays):
        whole = [
            array if batched else jnp.broadcast_to(array, (size, *array.shape))
            for array, batched in zip(arrays, is_batched, strict=True)
        ]
        found = search(*(array.reshape(-1, *array.shape[2:]) for array in whole))
        return found.reshape(size, found.shape[0] // size, *found.shape[1:]), True

    return search


def _search(
    config: Config,
    most: int,
    far: int,
    row: Int32[Array, "R N"],
    col: Int32[Array, "R N"],
    alive: Bool[Array, "R N"],
    observer: Bool[Array, "R N"],
    near: Int32[Array, "R"],
) -> Int32[Array, "R N K"]:
    n = row.shape[1]
    slot, first, cell_at = _sort(config, row, col, alive | observer)
    take = jax.vmap(lambda table, index: table.at[index].get(mode="clip"))
    r, c, looks = take(row, slot), take(col, slot), take(observer, slot)
    left, right = jnp.maximum(c - config.radius, 0), jnp.minimum(c + config.radius, config.columns - 1)
    starts, lengths = [], []
    for strip in (-1, 0, 1):
        start, end = take(first, cell_at(r, left, strip)), take(first, cell_at(r, right, strip) + 1)
        starts.append(start + n * jnp.arange(row.shape[0], dtype=jnp.int32)[:, None])  # in the table of all realms
        lengths.append(jnp.where(looks, end - start, 0))
    near = jnp.broadcast_to(near[:, None], r.shape)
    observers = Neighbourhood(slot, r, c, near, tuple(starts), tuple(lengths))

    # Blocks of observers that stand close to each other have runs of similar length, and fit into the cache of a CPU;
    # an accelerator is better served by few and large ones.
    block = min(512 if jax.default_backend() == "cpu" else 2**16, slot.size)
    blocks = jax.tree.map(lambda x: jnp.pad(x.reshape(-1), (0, -x.size % block)).reshape(-1, block), observers)
    standing = jnp.where(take(alive, slot), r << 16 | c, _OUTSIDE << 16)
    read = functools.partial(_read_runs, slot.reshape(-1), standing.reshape(-1), config.radius, most, far)
    found = jax.lax.map(read, blocks).transpose(0, 2, 1).reshape(blocks.slot.size, most)[: slot.size]
    found = found.reshape(*slot.shape, most)

    rank = jnp.arange(n, dtype=jnp.int32)
    position = jax.vmap(lambda slot: jnp.zeros(n, jnp.int32).at[slot].set(rank, unique_indices=True))(slot)
    found = take(found, position)
    return jnp.where(found == NOBODY, -1, found % far)


def _sort(config: Config, row: Int32[Array, "R N"], col: Int32[Array, "R N"], present: Bool[Array, "R N"]):
    """Slots by cell, absent ones last; how many present agents stand in the cells before each; and a place's cell.

    Cell and slot share one 32-bit word, which a CPU sorts four times faster than pairs of words;
    cells are as many tiles wide as that needs.
    """
    n, height = row.shape[1], max(config.radius, 1)
    strips = -(-config.rows // height) + 2  # an empty one on either side
    bits, width = max(1, (n - 1).bit_length()), 1
    while (strips * -(-config.columns // width) + 1) << bits > 2**32:
        width *= 2
    cells = -(-config.columns // width)

    def cell_at(row, col, strip=0):
        return (row // height + 1 + strip) * cells + col // width

    cell = jnp.where(present, cell_at(row, col), strips * cells)
    count = jax.vmap(lambda cell: jnp.zeros(strips * cells + 1, jnp.int32).at[cell].add(1))(cell)
    words = jax.lax.sort(cell.astype(jnp.uint32) << bits | jnp.arange(n, dtype=jnp.uint32)[None], dimension=1)
    return (
        (words & np.uint32(2**bits - 1)).astype(jnp.int32),
        jnp.cumsum(count, axis=1, dtype=jnp.int32) - count,
        cell_at,
    )


def _read_runs(
    table: Int32[Array, "M"], standing: Int32[Array, "M"], radius: int, most: int, far: int, observers: Neighbourhood
) -> Int32[Array, "K B"]:
    """The first of those in view, in order: their slots, plus ``far`` beyond ``near``; then ``NOBODY``.

    Args:
      table, standing: slot and place (row << 16 | col) of the agents of all realms, sorted.
    """
    (first, second, third), (a, b, c) = observers.starts, observers.lengths
    total = a + b + c

    def candidate(i):
        at = i + jnp.where(i < a, first, jnp.where(i < a + b, second - a, third - a - b))
        slot, place = table.at[at].get(mode="clip"), standing.at[at].get(mode="clip")
        distance = jnp.maximum(jnp.abs((place >> 16) - observers.row), jnp.abs((place & 0xFFFF) - observers.col))
        seen = (i < total) & (distance <= radius) & (slot != observers.slot)
        return jnp.where(seen, slot + jnp.where(distance > observers.near, far, 0), NOBODY)

    def shifted(found, by):
        return jnp.concatenate([jnp.full((by, found.shape[1]), -1, found.dtype), found])[:most]

    def advance(step, found):
        # The k-th of two sorted lists together: the least, over how many come from the second, of the larger end.
        one, other = candidate(2 * step), candidate(2 * step + 1)
        with_one = jnp.maximum(shifted(found, 1), jnp.minimum(one, other)[None])
        with_both = jnp.maximum(shifted(found, 2), jnp.maximum(one, other)[None])
        return jnp.minimum(found, jnp.minimum(with_one, with_both))

    found = jnp.full((most, total.size), NOBODY, jnp.int32)
    return jax.lax.fori_loop(0, (total.max() + 1) // 2, advance, found)
