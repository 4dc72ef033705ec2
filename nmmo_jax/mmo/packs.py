"""Packs: what agents carry, and what is put into them and taken out.

N agents, each with 12 places; by comparing and selecting all places at once, as there are few. Agents come last and
numbers are bytes, so that a CPU works on 32 of them at once: with places last, in words, this took eight times as long.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int8, Int32

from nmmo_jax.common.apart import apart
from nmmo_jax.mmo.kinds import BOTTOM, FISH, HAT, NONE, RATION, SPEAR, STACK, WHETSTONE

PLACES = 12
HAND, AMMUNITION = BOTTOM + 1, BOTTOM + 2  # where things are worn, after hat, top and bottom
_PLACE = np.arange(PLACES, dtype=np.int8)[:, None]
_LEVEL, _QUANTITY, _WORN = 5, 9, 16  # their first bits; kinds are the lowest


class Pack(NamedTuple):
    """What is in the places of packs, int8 ``[12, N]``; or one item of each agent, int32 ``[N]``. Kind 0 is nothing."""

    kind: Int[Array, "*P N"]
    level: Int[Array, "*P N"]
    quantity: Int[Array, "*P N"]
    worn: Bool[Array, "*P N"]


def at(place: Int32[Array, "N"]) -> Bool[Array, "12 N"]:
    """True in that place; nowhere for -1."""
    return place.astype(jnp.int8)[None] == _PLACE


def beside(*numbers: Any) -> tuple[Any, ...]:
    """Numbers, of each agent ``[N]`` or one for all, so that they can be compared with places ``[12, N]``."""
    return tuple(jnp.asarray(number)[None] if jnp.ndim(number) else number for number in numbers)


def item_at(pack: Pack, place: Int32[Array, "N"]) -> Pack:
    """What is in one place of each pack, nothing for -1."""
    return _decoded(apart(jnp.where(at(place), _coded(pack), 0).sum(axis=0, dtype=jnp.int32)))


def packs_of(pack: Pack, slot: Int32[Array, "N"]) -> Pack:
    """The packs of other agents, as if nothing of it were worn."""
    kind, level, quantity = (part.astype(jnp.int32) for part in pack[:3])
    code, half = kind | level << _LEVEL | quantity << _QUANTITY, PLACES // 2
    words = apart((code[:half] | code[half:] << 16).T)  # two places in each: half as many to look up
    words = apart(words.at[slot].get(mode="clip")).T
    found = _decoded(jnp.concatenate([words & 0xFFFF, words >> 16 & 0xFFFF]))
    kind, level, quantity = (part.astype(jnp.int8) for part in found[:3])
    return apart(Pack(kind, level, quantity, jnp.zeros(pack.kind.shape, bool)))


def brought(item: Pack, to: Int32[Array, "N"]) -> Pack:
    """What arrives at each agent of one item from each, who all have another receiver; -1 for none."""
    n = to.size
    return _decoded(jnp.zeros(n, jnp.int32).at[jnp.where(to >= 0, to, n)].set(_coded(item), mode="drop"))


def worn_as(kind: Int[Array, "*P N"]) -> Int8[Array, "*P N"]:
    """Where it is worn: 1 to 3 hat, top, bottom; ``HAND``; ``AMMUNITION``; 0: it cannot be."""
    kind = byte(kind)
    held = jnp.where(kind < WHETSTONE, jnp.int8(HAND), jnp.where(kind < RATION, jnp.int8(AMMUNITION), jnp.int8(0)))
    return jnp.where(kind < SPEAR, kind, held)


def worn_at(pack: Pack, where: int) -> Pack:
    """What each agent wears there, nothing where it does not."""
    worn = pack.worn & (worn_as(pack.kind) == where)
    return _decoded(apart(jnp.where(worn, _coded(pack), 0).sum(axis=0, dtype=jnp.int32)))


def armour_levels(pack: Pack) -> Int32[Array, "N"]:
    """The levels of hat, top and bottom that are worn, added up."""
    armour = pack.worn & (pack.kind >= HAT) & (pack.kind <= BOTTOM)
    return jnp.where(armour, pack.level.astype(jnp.int32), 0).sum(axis=0, dtype=jnp.int32)


def place_in(pack: Pack, kind: Any, level: Any, amount: Any) -> Int32[Array, "N"]:
    """Where so many items would be put, -1 where they do not fit.

    Args:
      kind, level, amount: ``[N]``, or one for all.
    """
    kind, level, amount = apart(tuple(byte(jnp.asarray(number)) for number in (kind, level, amount)))
    stacks = ((kind >= WHETSTONE) & (kind < RATION)) | (kind >= FISH)
    some = (kind > NONE) & (amount > 0) & (amount <= jnp.where(stacks, jnp.int8(STACK), jnp.int8(1)))
    stacking, kind, level, room = beside(stacks, kind, level, STACK - amount)
    onto = stacking & (pack.kind == kind) & (pack.level == level) & (pack.quantity <= room)
    empty = jnp.where(pack.kind == NONE, PLACES + _PLACE, np.int8(2 * PLACES))  # after every stack
    first = jnp.where(onto, _PLACE, empty).min(axis=0).astype(jnp.int32)
    place = jnp.where(first < PLACES, first, first - PLACES)
    return apart(jnp.where(some & (first < 2 * PLACES), place, -1))


def with_item(pack: Pack, who: Bool[Array, "N"], kind: Any, level: Any, amount: Any) -> tuple[Pack, Bool[Array, "N"]]:
    """Packs with so many items more, where they fit; and where they did. Args as of ``place_in``."""
    place = jnp.where(who, place_in(pack, kind, level, amount), -1)
    place, kind, level, amount = apart((place, *(byte(jnp.asarray(number)) for number in (kind, level, amount))))
    here = at(place)
    kind, level = (jnp.where(here, new, old) for new, old in ((kind, pack.kind), (level, pack.level)))
    return apart(Pack(kind, level, pack.quantity + jnp.where(here, amount, 0), pack.worn)), place >= 0


def without(pack: Pack, here: Bool[Array, "12 N"], amount: Any) -> Pack:
    """Packs with so many items less (``[N]``, or one for all) in these places; where none is left, they are empty."""
    left = pack.quantity - jnp.where(here, byte(jnp.asarray(amount)), 0)
    there = (pack.kind > NONE) & (left > 0)
    kind, level, left = (jnp.where(there, values, 0) for values in (pack.kind, pack.level, left))
    return apart(Pack(kind, level, left, pack.worn & there))


def with_all(pack: Pack, who: Bool[Array, "N"], others: Pack) -> Pack:
    """Packs with what is in others, in order of their places, in the places that are empty, while there are some."""
    empty, there = (pack.kind == NONE) & who[None], others.kind > NONE
    wanted, rank = apart((jnp.where(empty, _rank(empty), -1), jnp.where(there, _rank(there), -2)))
    kind, level, quantity = (
        part + jnp.where(wanted[:, None] == rank[None], other[None], 0).sum(axis=1, dtype=jnp.int8)
        for part, other in zip(pack[:3], others[:3], strict=True)
    )
    return apart(Pack(kind, level, quantity, pack.worn))


def _rank(there: Bool[Array, "12 N"]) -> Int8[Array, "12 N"]:
    """How many there are in the places before each."""
    word = jnp.where(there, 1 << _PLACE.astype(np.int32), 0).sum(axis=0, dtype=jnp.int32)
    return jax.lax.population_count(word[None] & ((1 << _PLACE.astype(np.int32)) - 1)).astype(jnp.int8)


def byte(number: jax.Array) -> Int8[Array, "*P N"]:
    """As a byte; what is larger or below 0 means no more than the largest or 0."""
    return number if number.dtype == jnp.int8 else jnp.clip(number, 0, 127).astype(jnp.int8)


def _coded(pack: Pack) -> Int32[Array, "*P N"]:
    """An item in one number, so that one pass finds it."""
    kind, level, quantity, worn = (part.astype(jnp.int32) for part in pack)
    return kind | level << _LEVEL | quantity << _QUANTITY | worn << _WORN


def _decoded(code: Int32[Array, "*P N"]) -> Pack:
    kind, level = code & 31, code >> _LEVEL & 15
    return Pack(kind, level, code >> _QUANTITY & 127, (code >> _WORN & 1).astype(bool))
