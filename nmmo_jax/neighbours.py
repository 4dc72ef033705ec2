"""Who is in view of whom in a crowded realm: a spatial index instead of all pairs, with the same result.

The map is cut into strips as high as the radius of the view, and each strip into cells. With the agents sorted
by cell, all whom an observer can see stand in three runs of that table, one per strip. The first 16 of these are looked
at all at once, and each is put where as many are below it. Observers with longer runs, fewer than one in ten where
65,536 agents have 50 tiles each, are listed, and theirs are read to the end, two at a time, the best so far in a short
sorted list. There are no capacities: a crowd makes more runs longer, that is all.

Worth its length: for 8,192 agents in realms of 4,096, all pairs take 22 of 28 ms per tick on a CPU core, and this
took 1.4 when all runs were still read to the end. Below some 300 agents all pairs are faster.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from nmmo_jax.bits import lowest_bits, pack_two
from nmmo_jax.components import Agents
from nmmo_jax.config import Config

MOST_IN_PAIRS = 256  # agents; above, the spatial index is faster (both measured at 256, 512 and 1,024)
NOBODY = 2**31 - 1
_FAR = 2**16  # a power of two above every slot of agents, so that whoever is near comes first
_AT_ONCE = 16  # of an observer's runs
_WORD = 32  # bits, into which place and slot of an agent go where they fit


class Neighbourhood(NamedTuple):
    """What the search for one observer needs; all arrays of one shape."""

    slot: jax.Array
    row: jax.Array
    col: jax.Array
    near: jax.Array  # distance up to which others come first
    starts: tuple[jax.Array, ...]  # of the runs in the sorted table
    lengths: tuple[jax.Array, ...]

    @property
    def total(self) -> jax.Array:
        """The length of all runs."""
        first, second, third = self.lengths
        return first + second + third


@dataclasses.dataclass(frozen=True)
class Crowd:
    """Who can be seen, of all realms, sorted by cell.

    Attributes:
      words: place, and below it slot, in one word; or each in its own.
      field: so many last bits of its row are the first of a word, then as many of its column. Enough, as nobody in an
        observer's runs is further away than half of what they count.
      bits: of a slot.
    """

    words: tuple[Int32[Array, "M"], ...]
    field: int
    bits: int


def find_neighbours(
    agents: Agents, observer: Bool[Array, "N"], near: Int32[Array, ""], config: Config
) -> Int32[Array, "N K"]:
    """Slots of the others that each observer lists, K = ``num_visible`` - 1; -1 where the list ends.

    Those at Chebyshev distance of at most ``near`` tiles come first, then the others in view; each group in slot order.
    """
    place = agents.row.astype(jnp.int32), agents.col.astype(jnp.int32)
    single = (*place, agents.alive, observer, jnp.asarray(near, jnp.int32))
    return _searcher(config, config.num_visible - 1, _FAR)(*(array[None] for array in single))[0]


def find_by_place(
    agents: Agents, near: Int32[Array, "R"], config: Config
) -> tuple[Int32[Array, "R N"], Int32[Array, "R N K"]]:
    """Slots of the agents ``[R, N]`` of some realms, such that who stand near each other lie near each other, the
    living first; and in that order what ``find_neighbours`` has for them.
    """
    place = agents.row.astype(jnp.int32), agents.col.astype(jnp.int32)
    near = jnp.asarray(near, jnp.int32)
    return _search(config, config.num_visible - 1, _FAR, *place, agents.alive, agents.alive, near, in_order=True)


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
    in_order: bool = False,
) -> Any:
    """Lists of the others ``[R, N, K]``; see ``find_neighbours`` and, for ``in_order``, ``find_by_place``."""
    realms, n = row.shape
    crowd, order, first, cell_at = _sort(config, row, col, alive)
    slot = order if in_order else jnp.broadcast_to(jnp.arange(n, dtype=jnp.int32), row.shape)
    if in_order:
        row, col, observer = (_of_slots(column, order) for column in (row, col, observer))
    left, right = jnp.maximum(col - config.radius, 0), jnp.minimum(col + config.radius, config.columns - 1)
    starts, lengths = [], []
    for strip in (-1, 0, 1):
        start, end = _of_slots(first, cell_at(row, left, strip)), _of_slots(first, cell_at(row, right, strip) + 1)
        starts.append(start + n * jnp.arange(realms, dtype=jnp.int32)[:, None])  # in the table of all realms
        lengths.append(jnp.where(observer, end - start, 0))
    near = jnp.broadcast_to(near[:, None], row.shape)
    observers = Neighbourhood(slot, row, col, near, tuple(starts), tuple(lengths))
    observers = jax.tree.map(lambda x: x.reshape(-1), observers)

    # What is made of a block fits into the first cache of a CPU; an accelerator is better served by few and large ones.
    few, rest = (256, 512) if jax.default_backend() == "cpu" else (2**16, 2**14)
    few, rest = min(few, slot.size), min(rest, slot.size)
    blocks = jax.tree.map(lambda x: jnp.pad(x, (0, -x.size % few)).reshape(-1, few), observers)
    key = functools.partial(_key, crowd, config.radius, far)
    found = jax.lax.map(functools.partial(_read_few, key, most), blocks).transpose(0, 2, 1)
    found = _slots(found.reshape(blocks.slot.size, most)[: slot.size], far)

    index, number = _listed(observers.total > _AT_ONCE, rest)

    def read_on(k, found):
        who = jax.lax.dynamic_slice(index, (k * rest,), (rest,))
        some = jax.tree.map(lambda x: x.at[who].get(mode="clip"), observers)
        slots = _slots(_read_runs(key, most, some), far).T
        return found.at[who].set(slots, mode="drop")

    found = jax.lax.fori_loop(0, (number + rest - 1) // rest, read_on, found)
    found = found.reshape(realms, n, most)
    return (order, found) if in_order else found


def _slots(keys: Int32[Array, "*B"], far: int) -> Int32[Array, "*B"]:
    return jnp.where(keys == NOBODY, -1, keys & (far - 1))


def _listed(mask: Bool[Array, "M"], block: int) -> tuple[Int32[Array, "L"], Int32[Array, ""]]:
    """Indices of the set entries, in whole blocks, M where there are no more; and how many there are."""
    rank = jnp.cumsum(mask, dtype=jnp.int32)
    index = jnp.full(mask.size + -mask.size % block, mask.size, jnp.int32)
    place = jnp.where(mask, rank - 1, index.size)
    return index.at[place].set(jnp.arange(mask.size, dtype=jnp.int32), mode="drop"), rank[-1]


def _sort(config: Config, row: Int32[Array, "R N"], col: Int32[Array, "R N"], present: Bool[Array, "R N"]):
    """Who is present, by cell; their slots, and then those of the others; how many of them stand in the cells before
    each; and a place's cell.

    Cell and slot share one 32-bit word, which a CPU sorts four times faster than pairs of words;
    cells are as many tiles wide as that needs, and as leaves at most four of them for each that is sorted.
    """
    n, height = row.shape[1], max(config.radius, 1)
    strips = -(-config.rows // height) + 2  # an empty one on either side
    bits, width = max(1, (n - 1).bit_length()), 1
    while width < config.columns and strips * -(-config.columns // width) >= min(4 * n, 2 ** (32 - bits)):
        width *= 2
    cells = -(-config.columns // width)

    def cell_at(row, col, strip=0):
        return (row // height + 1 + strip) * cells + col // width

    cell = jnp.where(present, cell_at(row, col), strips * cells)
    count = jax.vmap(lambda cell: jnp.zeros(strips * cells + 1, jnp.int32).at[cell].add(1))(cell)
    words = jax.lax.sort(cell.astype(jnp.uint32) << bits | jnp.arange(n, dtype=jnp.uint32)[None], dimension=1)
    slot = (words & np.uint32(2**bits - 1)).astype(jnp.int32)
    furthest = max(2 * height - 1, config.radius + width - 1)
    field = furthest.bit_length() + 1  # and a sign
    together = 2 * field + bits <= _WORD
    field = field if together else 16
    place = (row & (2**field - 1)) << (32 - field) | (col & (2**field - 1)) << (32 - 2 * field)
    place, flat = _of_slots(place, slot).reshape(-1), slot.reshape(-1)
    crowd = Crowd((place | flat,) if together else (place, flat), field, bits)
    return crowd, slot, jnp.cumsum(count, axis=1, dtype=jnp.int32) - count, cell_at


def _of_slots(column: Array, slot: Int32[Array, "R K"]) -> Array:
    return jax.vmap(lambda column, slot: column.at[slot].get(mode="clip"))(column, slot)


def _key(crowd: Crowd, radius: int, far: int, observers: Neighbourhood, i: Int32[Array, "K 1"]) -> Int32[Array, "K B"]:
    """By what the i-th in an observer's runs is ordered: its slot, plus ``far`` beyond ``near``; ``NOBODY``: unseen."""
    observers = jax.tree.map(lambda x: x[None], observers)
    (first, second, third), (a, b, _) = observers.starts, observers.lengths
    total, shift = observers.total, 32 - crowd.field
    at = i + jnp.where(i < a, first, jnp.where(i < a + b, second - a, third - a - b))
    words = _look_up(crowd.words, at, total.max() > 0)
    place, slot = words[0], words[-1] & (2**crowd.bits - 1)
    row = (place - (observers.row << shift)) >> shift
    col = ((place << crowd.field) - (observers.col << shift)) >> shift
    distance = jnp.maximum(jnp.abs(row), jnp.abs(col))
    seen = (i < total) & (distance <= radius) & (slot != observers.slot)
    return jnp.where(seen, slot + jnp.where(distance > observers.near, far, 0), NOBODY)


def _look_up(
    words: tuple[Int32[Array, "M"], ...], at: Int32[Array, "*B"], any_there: Bool[Array, ""]
) -> tuple[Int32[Array, "*B"], ...]:
    """What stands at these places, if anything does.

    Under a condition, as XLA for CPUs would else fuse all that comes before and after into the reading, and compute it
    number by number: 110 ns per observer instead of 30.
    """

    def read(at):
        return tuple(word.at[at].get(mode="clip") for word in words)

    at = at.astype(jnp.uint32)  # never below zero
    if jax.default_backend() != "cpu":
        return read(at)
    return jax.lax.cond(any_there, read, lambda at: (at.astype(jnp.int32),) * len(words), at)


def _read_few(key, most: int, observers: Neighbourhood) -> Int32[Array, "K B"]:
    """The keys of those in view among the first of each observer's runs, in order; then ``NOBODY``."""
    keys = key(observers, jnp.arange(_AT_ONCE, dtype=jnp.int32)[:, None])
    # Sums written out, as XLA does not vectorise those of a reduction: 16 times slower.
    rank = jnp.zeros(keys.shape, jnp.int32)
    for i in range(_AT_ONCE):
        rank += (keys[i][None] < keys).astype(jnp.int32)
    place = jnp.arange(min(most, _AT_ONCE), dtype=jnp.int32)[:, None]
    found = jnp.full((len(place), keys.shape[1]), NOBODY, jnp.int32)
    for i in range(_AT_ONCE):
        found = jnp.where(rank[i][None] == place, keys[i][None], found)
    return jnp.pad(found, [(0, most - len(found)), (0, 0)], constant_values=NOBODY)


def _read_runs(key, most: int, observers: Neighbourhood) -> Int32[Array, "K B"]:
    """The keys of all in view, in order, the first of them; then ``NOBODY``."""

    def shifted(found, by):
        return jnp.concatenate([jnp.full((by, found.shape[1]), -1, found.dtype), found])[:most]

    def advance(step, found):
        # The k-th of two sorted lists together: the least, over how many come from the second, of the larger end.
        one, other = key(observers, 2 * step + jnp.arange(2, dtype=jnp.int32)[:, None])
        with_one = jnp.maximum(shifted(found, 1), jnp.minimum(one, other)[None])
        with_both = jnp.maximum(shifted(found, 2), jnp.maximum(one, other)[None])
        return jnp.minimum(found, jnp.minimum(with_one, with_both))

    total = observers.total
    found = jnp.full((most, total.size), NOBODY, jnp.int32)
    return jax.lax.fori_loop(0, (total.max() + 1) // 2, advance, found)
