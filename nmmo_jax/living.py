"""Paying for the living: observations and what is made of them, over the living of all realms, in dense blocks.

Where few places are taken, observing all of them computes mostly nothing. Where all are, nothing is lost: what
gathering costs is made up for by blocks that stay in the cache of a CPU from the first look to the last write.

The living are numbered realm after realm, and taken so many at a time until all have been: nothing is left out, and
nothing depends on the size of a block. In a realm it goes slot after slot, or, above 256 places and without systems,
from neighbour to neighbour, so that what a block looks at lies in the cache, however large the map. Who is visible is
found per realm where that is so, or at least a quarter of the places is taken, and else in each block, among the living
of the realm alone. In worlds with systems everything is observed first, as what they show is theirs to say; there it
brings nothing but smaller batches for policies.

Worth its length: a core plays three times as many agent-steps of ``chaos`` under random play as by ``observe``, and as
many of the full house (``benchmarks/README.md``).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int16, Int32, UInt32

from nmmo_jax.autoreset import Episode
from nmmo_jax.bits import count_bits, lowest_bits, pack, pack_two
from nmmo_jax.components import Agents, Realm
from nmmo_jax.config import Config
from nmmo_jax.neighbours import MOST_IN_PAIRS, find_by_place
from nmmo_jax.observations import Observation, features_of, find_visible, observe, planes_of, seen_by, window_of
from nmmo_jax.rules import Rules, rule_ndim
from nmmo_jax.systems.movement import neighbouring
from nmmo_jax.values import check_int
from nmmo_jax.vectorized import Vectorized

Carry = TypeVar("Carry")

_BLOCK = 512  # agents: what a block computes fits into the L2 of a CPU core
_FULL = 4  # one in so many places taken: pairs of all places are then compared faster than the living are looked up
_WORD = 32


class Who(NamedTuple):
    """Whose the rows of a block are, K of them; behind the last of the living come rows of nobody.

    Attributes:
      realm, slot: int32 ``[K]``; 0 of nobody.
      there: bool ``[K]``, whether it is somebody's.
      first: int32, the number of the first row among all the living.
    """

    realm: Int32[Array, "K"]
    slot: Int32[Array, "K"]
    there: Bool[Array, "K"]
    first: Int32[Array, ""]

    def of(self, tree: Any) -> Any:
        """Of arrays ``[R, N, ...]`` the rows of these agents, ``[K, ...]``."""
        return jax.tree.map(lambda leaf: leaf[self.realm, self.slot], tree)

    def put(self, tree: Any, rows: Any) -> Any:
        """Arrays ``[R, N, ...]`` with the rows of these agents written."""
        realm = jnp.where(self.there, self.realm, np.iinfo(np.int32).max)

        def one(leaf: jax.Array, row: jax.Array) -> jax.Array:
            at = leaf.at[realm, self.slot]
            return at.set(row.astype(leaf.dtype), mode="drop")

        return jax.tree.map(one, tree, rows)

    def write(self, tree: Any, rows: Any, *before: Any) -> Any:
        """Arrays ``[M, ...]`` with these rows written as they are numbered, those of nobody behind them.

        Args:
          before: indices of axes in front of that of the rows: of a tick in arrays ``[T, M, ...]``.
        """

        def one(leaf: jax.Array, row: jax.Array) -> jax.Array:
            at = (*before, self.first, *[0] * (row.ndim - 1))
            row = row.reshape(*[1] * len(before), *row.shape).astype(leaf.dtype)
            return jax.lax.dynamic_update_slice(leaf, row, at)

        return jax.tree.map(one, tree, rows)


def most_living(many: Vectorized, block: int | None = None) -> int:
    """Rows that blocks can have in all, M: places of all realms, rounded up to whole blocks."""
    places = many.num_realms * many.config.num_agents
    block = _block(many, block)
    return -(-places // block) * block


def fold_living(
    many: Vectorized,
    realm: Any,
    function: Callable[[Carry, Observation, Who], Carry],
    carry: Carry,
    rules: Rules | None = None,
    block: int | None = None,
) -> Carry:
    """What a function makes of what the living see: ``carry = function(carry, obs, who)``, block after block.

    >>> def act(action, obs, who):
    ...     return who.put(action, policy(keys[who.realm], obs))
    >>> nothing = jax.tree.map(jnp.zeros_like, action)  # arrays [R, N]
    >>> action = nmmo_jax.fold_living(worlds, realms, act, nothing)
    >>> _, realms, *_ = worlds.step(key, realms, action)  # inside jit, observations that nobody reads are not made

    Args:
      realm: of all realms, as ``reset`` and ``step`` give it.
      function: gets the observation ``[K, ...]`` of some of the living, and whose it is; rows of nobody mean nothing.
        Agents who have just left (``Config.max_lifetime``) are not among the living.
      carry: what it begins with, any tree of arrays.
      rules: default, those of the environment.
      block: rows K of a block, at most as many as there are places. Default: 512 on a CPU, else all places.

    Raises:
      ValueError: what is not vectorized, realms of another kind, or ``block`` is below 1.
    """
    if not isinstance(many, Vectorized):
        raise ValueError(f"many: {type(many).__name__}: must be many realms, as vectorize makes them")
    config, size = many.config, _block(many, block)
    many._check(realm)
    rules, axes = many._rules(rules)
    realms = realm.realm if isinstance(realm, Episode) else realm
    order, number, starts = _in_order(realms.agents.alive)
    near, found = jnp.broadcast_to(rules.attack_range.max(axis=-1), number.shape), None
    if config.num_agents > MOST_IN_PAIRS and not config.systems:
        slots, found = find_by_place(realms.agents, near, config)
        order = _numbered(slots, number, starts)
    order = jnp.pad(order, (0, -order.size % size))
    look = _looker(realms, rules, axes, config, order, number, starts, size, near, found)

    def one(index: jax.Array, carry: Carry) -> Carry:
        first = index * size
        at = jax.lax.dynamic_slice_in_dim(order, first, size)
        there = first + jnp.arange(size, dtype=jnp.int32) < number.sum(dtype=jnp.int32)
        who = Who(at // config.num_agents, at % config.num_agents, there, first)
        return function(carry, look(who), who)

    return jax.lax.fori_loop(0, -(-number.sum(dtype=jnp.int32) // size), one, carry)


def _block(many: Vectorized, block: int | None) -> int:
    places = many.num_realms * many.config.num_agents
    usual = _BLOCK if jax.default_backend() == "cpu" else places
    return min(usual if block is None else check_int("block", block, 1), places)


def _in_order(
    alive: Bool[Array, "R N"],
) -> tuple[Int32[Array, "R*N"], Int32[Array, "R"], Int32[Array, "R"]]:
    """Places (realm * N + slot) of the living, in order, and then zeros; how many each realm has, and before it."""
    realms, n = alive.shape
    words = pack(alive.T).T  # [R, W]
    width = min(n, _WORD)
    each = count_bits(words).reshape(-1)
    before = (jnp.cumsum(each, dtype=jnp.int32) - each)[:, None]
    below = ((np.uint64(1) << np.arange(width, dtype=np.uint64)) - np.uint64(1)).astype(np.uint32)
    rank = (before + count_bits(words.reshape(-1, 1) & below[None])).reshape(realms, -1)[:, :n]
    at = jnp.where(alive, rank, alive.size).reshape(-1)
    place = jnp.arange(alive.size, dtype=jnp.int32)
    order = jnp.zeros(alive.size, jnp.int32).at[at].set(place, mode="drop")
    number = each.reshape(realms, -1).sum(axis=1, dtype=jnp.int32)
    return order, number, jnp.cumsum(number, dtype=jnp.int32) - number


def _numbered(slots: Int32[Array, "R N"], number: Int32[Array, "R"], starts: Int32[Array, "R"]) -> Int32[Array, "R*N"]:
    """As the order of ``_in_order``, of slots in another order, the living of each realm first."""
    realms, n = slots.shape
    rank, realm = jnp.arange(n, dtype=jnp.int32), jnp.arange(realms, dtype=jnp.int32)[:, None]
    at = jnp.where(rank < number[:, None], starts[:, None] + rank, slots.size)
    place = realm * n + slots
    return jnp.zeros(slots.size, jnp.int32).at[at.reshape(-1)].set(place.reshape(-1), mode="drop")


def _looker(
    realms: Realm,
    rules: Rules,
    axes: Rules,
    config: Config,
    order: Int32[Array, "M"],
    number: Int32[Array, "R"],
    starts: Int32[Array, "R"],
    size: int,
    near: Int32[Array, "R"],
    found: Int32[Array, "R N K"] | None,
) -> Callable[[Who], Observation]:
    """What gives the observation of a block.

    Args:
      near: distance up to which others come first.
      found: whom each sees, in the order of ``order``, where that is known.
    """
    n = config.num_agents
    if config.systems:  # what they show is a matter of whole realms
        all_of_it = jax.vmap(lambda realm, rules: observe(realm, rules, config), in_axes=(0, axes))(realms, rules)
        return lambda who: who.of(all_of_it)
    flat: Agents = jax.tree.map(lambda leaf: leaf.reshape(-1), realms.agents)
    planes = jax.vmap(lambda realm: planes_of(realm, config))(realms)
    features, spots = _tables(flat, order, -(-number.sum(dtype=jnp.int32) // size), size)

    def by_realm() -> Int32[Array, "R*N V"]:
        listed = jax.vmap(lambda agents, near: find_visible(agents, agents.alive, near, config))(realms.agents, near)
        return listed.reshape(-1, config.num_visible)

    def by_block(who: Who, agents: Agents) -> Int32[Array, "K V"]:
        start = starts[who.realm]
        rank = who.first + jnp.arange(size, dtype=jnp.int32) - start
        found = _search(spots, start, number[who.realm], rank, agents, near[who.realm], number.max(), config)
        found = jnp.concatenate([rank[None], found]).T
        return jnp.where(found >= 0, order.at[start[:, None] + found].get(mode="clip") % n, -1)

    full = number.sum(dtype=jnp.int32) * _FULL >= flat.alive.size
    listed = jnp.full((flat.alive.size, config.num_visible), -1, jnp.int32)
    if found is None:
        listed = jax.lax.cond(full, by_realm, lambda nobody=listed: nobody)

    def visible_to(who: Who, agents: Agents, at: Int32[Array, "K"]) -> Int32[Array, "K V"]:
        if found is None:
            return jax.lax.cond(full, lambda: listed[at], lambda: by_block(who, agents))
        rank = who.first + jnp.arange(size, dtype=jnp.int32) - starts[who.realm]
        others = found.at[who.realm, rank].get(mode="clip")
        return jnp.concatenate([who.slot[:, None], others], axis=1)

    def look(who: Who) -> Observation:
        at = who.realm * n + who.slot
        agents = jax.tree.map(lambda leaf: leaf[at], flat)
        mine = {name: x[who.realm] if x.ndim > rule_ndim(name) else x for name, x in rules.named().items()}
        visible = jnp.where(who.there[:, None], visible_to(who, agents, at), -1)
        seen = jnp.where(visible >= 0, who.realm[:, None] * n + visible, 0)
        return seen_by(
            agents, who.there, features[at], features[seen], visible, flat.age[seen],
            neighbouring(agents, realms.tiles, config, who.realm),
            window_of(planes, who.there, agents, config, who.realm), Rules.from_named(mine),
        )  # fmt: skip

    return look


def _tables(
    agents: Agents, order: Int32[Array, "M"], blocks: Int32[Array, ""], size: int
) -> tuple[Int16[Array, "R*N F"], Int32[Array, "M"]]:
    """Attributes of the living, by place; and where they stand, row << 16 | column, in order."""

    def some(index: jax.Array, tables: Any) -> Any:
        features, spots = tables
        at = jax.lax.dynamic_slice_in_dim(order, index * size, size)
        block = jax.tree.map(lambda leaf: leaf[at], agents)
        new = (block.row.astype(jnp.int32) << 16) | block.col.astype(jnp.int32)
        return features.at[at].set(features_of(block)), jax.lax.dynamic_update_slice_in_dim(spots, new, index * size, 0)

    features = jax.eval_shape(features_of, agents)
    empty = jnp.zeros(features.shape, features.dtype), jnp.zeros(order.size, jnp.int32)
    return jax.lax.fori_loop(0, blocks, some, empty)


def _search(
    spots: Int32[Array, "M"],
    start: Int32[Array, "K"],
    count: Int32[Array, "K"],
    rank: Int32[Array, "K"],
    agents: Agents,
    near: Int32[Array, "K"],
    most: Int32[Array, ""],
    config: Config,
) -> Int32[Array, "V K"]:
    """Whom each of a block sees among the living of its realm, by their number there; as ``find_in_pairs``, -1: nobody.

    Args:
      spots: where the living stand, row << 16 | column, in order.
      start, count: the first of one's realm, and how many it has; ``most``: the most of any realm.
      rank: one's own number in one's realm.
      near: distance up to which others come first.
    """
    words, row, col = -(-config.num_agents // _WORD), agents.row.astype(jnp.int32), agents.col.astype(jnp.int32)
    row, col, start, count, rank, near = (x[None] for x in (row, col, start, count, rank, near))

    def some(index: jax.Array, found: tuple[UInt32[Array, "W K"], UInt32[Array, "W K"]]) -> Any:
        other = _WORD * index + jnp.arange(_WORD, dtype=jnp.int32)[:, None]
        spot = spots.at[start + other].get(mode="clip")
        away = jnp.maximum(jnp.abs((spot >> 16) - row), jnp.abs((spot & 0xFFFF) - col))
        sees = (away <= config.radius) & (other < count) & (other != rank)
        new = pack_two(sees, sees & (away <= near))
        return tuple(jax.lax.dynamic_update_slice_in_dim(old, x, index, 0) for old, x in zip(found, new, strict=True))

    none = jnp.zeros((words, row.size), jnp.uint32)
    inside, close = jax.lax.fori_loop(0, -(-most // _WORD), some, (none, none))
    bits = lowest_bits(jnp.concatenate([close, inside & ~close]), config.num_visible - 1)
    return jnp.where(bits >= 0, bits % (_WORD * words), -1)
