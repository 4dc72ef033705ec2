"""Packs: what agents carry, and what is put into them and taken out.

N agents, each with 12 places; by comparing and selecting all places at once, as there are few.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from nmmo_jax.mmo.kinds import BOTTOM, FISH, HAT, NONE, RATION, SPEAR, STACK, WHETSTONE

PLACES = 12
HAND, AMMUNITION = BOTTOM + 1, BOTTOM + 2  # where things are worn, after hat, top and bottom
_PLACE = np.arange(PLACES, dtype=np.int32)
_LEVEL, _QUANTITY, _WORN = 5, 9, 16  # their first bits; kinds are the lowest


class Pack(NamedTuple):
    """What is in the places of packs, ``[N, 12]``; or one item of each agent, ``[N]``. Kind 0 is nothing."""

    kind: Int32[Array, "N *P"]
    level: Int32[Array, "N *P"]
    quantity: Int32[Array, "N *P"]
    worn: Bool[Array, "N *P"]


def at(place: Int32[Array, "N"]) -> Bool[Array, "N 12"]:
    """True in that place; nowhere for -1."""
    return place[:, None] == _PLACE


def item_at(pack: Pack, place: Int32[Array, "N"]) -> Pack:
    """What is in one place of each pack, nothing for -1."""
    return _decoded(jnp.where(at(place), _coded(pack), 0).sum(axis=1))


def packs_of(pack: Pack, slot: Int32[Array, "N"]) -> Pack:
    """The packs of other agents."""
    return _decoded(_coded(pack)[slot])


def brought(item: Pack, to: Int32[Array, "N"]) -> Pack:
    """What arrives at each agent of one item from each, who all have another receiver; -1 for none."""
    n = to.size
    return _decoded(jnp.zeros(n, jnp.int32).at[jnp.where(to >= 0, to, n)].set(_coded(item), mode="drop"))


def worn_as(kind: Int32[Array, "*B"]) -> Int32[Array, "*B"]:
    """Where it is worn: 1 to 3 hat, top, bottom; ``HAND``; ``AMMUNITION``; 0: it cannot be."""
    held = jnp.where(kind < WHETSTONE, HAND, jnp.where(kind < RATION, AMMUNITION, 0))
    return jnp.where(kind < SPEAR, kind, held)


def worn_at(pack: Pack, where: int) -> Pack:
    """What each agent wears there, nothing where it does not."""
    worn = pack.worn & (worn_as(pack.kind) == where)
    return _decoded(jnp.where(worn, _coded(pack), 0).sum(axis=1))


def armour_levels(pack: Pack) -> Int32[Array, "N"]:
    """The levels of hat, top and bottom that are worn, added up."""
    return jnp.where(pack.worn & (pack.kind >= HAT) & (pack.kind <= BOTTOM), pack.level, 0).sum(axis=1)


def place_in(pack: Pack, kind: Any, level: Any, amount: Any) -> Int32[Array, "N"]:
    """Where so many items would be put, -1 where they do not fit.

    Args:
      kind, level, amount: ``[N]``, or one for all.
    """
    kind, level, amount = jnp.asarray(kind), jnp.asarray(level), jnp.asarray(amount)
    stacks = ((kind >= WHETSTONE) & (kind < RATION)) | (kind >= FISH)
    some = (kind > NONE) & (amount > 0) & (amount <= jnp.where(stacks, STACK, 1))
    onto = stacks[..., None] & (pack.kind == kind[..., None]) & (pack.level == level[..., None])
    onto &= pack.quantity + amount[..., None] <= STACK
    empty = jnp.where(pack.kind == NONE, PLACES + _PLACE, 2 * PLACES)  # after every stack
    first = jnp.where(onto, _PLACE, empty).min(axis=1)
    place = jnp.where(first < PLACES, first, first - PLACES)
    return jnp.where(some & (first < 2 * PLACES), place, -1)


def with_item(pack: Pack, who: Bool[Array, "N"], kind: Any, level: Any, amount: Any) -> tuple[Pack, Bool[Array, "N"]]:
    """Packs with so many items more, where they fit; and where they did. Args as of ``place_in``."""
    kind, level, amount = jnp.asarray(kind), jnp.asarray(level), jnp.asarray(amount)
    place = jnp.where(who, place_in(pack, kind, level, amount), -1)
    here = at(place)
    kind, level = (jnp.where(here, new[..., None], old) for new, old in ((kind, pack.kind), (level, pack.level)))
    return Pack(kind, level, pack.quantity + jnp.where(here, amount[..., None], 0), pack.worn), place >= 0


def without(pack: Pack, here: Bool[Array, "N 12"], amount: Any) -> Pack:
    """Packs with so many items less (``[N]``, or one for all) in these places; where none is left, they are empty."""
    left = pack.quantity - jnp.where(here, jnp.asarray(amount)[..., None], 0)
    there = (pack.kind > NONE) & (left > 0)
    kind, level, left = (jnp.where(there, values, 0) for values in (pack.kind, pack.level, left))
    return Pack(kind, level, left, pack.worn & there)


def with_all(pack: Pack, who: Bool[Array, "N"], others: Pack) -> Pack:
    """Packs with what is in others, in order of their places, in the places that are empty, while there are some."""
    empty, there = (pack.kind == NONE) & who[:, None], others.kind > NONE
    same = empty[:, :, None] & there[:, None, :] & (_rank(empty)[:, :, None] == _rank(there)[:, None, :])
    new = _decoded(jnp.where(same, _coded(others)[:, None, :], 0).sum(axis=2))
    return Pack(pack.kind + new.kind, pack.level + new.level, pack.quantity + new.quantity, pack.worn)


def _rank(there: Bool[Array, "N 12"]) -> Int32[Array, "N 12"]:
    """How many there are in the places before each."""
    word = jnp.where(there, 1 << _PLACE, 0).sum(axis=1)
    return jax.lax.population_count(word[:, None] & ((1 << _PLACE) - 1))


def _coded(pack: Pack) -> Int32[Array, "N *P"]:
    """An item in one number, so that one pass finds it."""
    return pack.kind | pack.level << _LEVEL | pack.quantity << _QUANTITY | pack.worn.astype(jnp.int32) << _WORN


def _decoded(code: Int32[Array, "N *P"]) -> Pack:
    kind, level = code & 31, code >> _LEVEL & 15
    return Pack(kind, level, code >> _QUANTITY & 127, (code >> _WORN & 1).astype(bool))
