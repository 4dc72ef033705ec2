"""Rivals: of those who want the same thing, one gets it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, UInt32

from nmmo_jax.common.apart import apart
from nmmo_jax.components import NEVER
from nmmo_jax.neighbours import MOST_IN_PAIRS


def first_of_each(wanted: Int32[Array, "N"], word: UInt32[Array, "N"], uid: Int32[Array, "N"]) -> Bool[Array, "N"]:
    """Of those who want the same number (-1: none) the one with the lowest word, of equals the oldest."""
    return (in_pairs if wanted.size <= MOST_IN_PAIRS else by_buckets)(wanted, word, uid)


def in_pairs(wanted: Int32[Array, "N"], word: UInt32[Array, "N"], uid: Int32[Array, "N"]) -> Bool[Array, "N"]:
    """``first_of_each`` by comparing all."""
    wanted, word, uid = apart((wanted, word, uid))
    first = (word[:, None] < word[None]) | ((word[:, None] == word[None]) & (uid[:, None] < uid[None]))
    return (wanted >= 0) & ~((wanted[:, None] == wanted[None]) & first).any(axis=0)


def by_buckets(wanted: Int32[Array, "N"], word: UInt32[Array, "N"], uid: Int32[Array, "N"]) -> Bool[Array, "N"]:
    """``first_of_each`` where they are many: numbers share buckets, and in each round the first of a bucket settles its
    own. A round or two.
    """
    buckets = 1 << (4 * wanted.size - 1).bit_length()
    bucket = wanted & (buckets - 1)

    def settle(carry):
        left, won = carry
        at = jnp.where(left, bucket, buckets)
        lowest = jnp.full(buckets, 2**32 - 1, jnp.uint32).at[at].min(word, mode="drop").at[bucket].get(mode="clip")
        leads = left & (word == lowest)
        at = jnp.where(leads, bucket, buckets)
        oldest = jnp.full(buckets, NEVER, jnp.int32).at[at].min(uid, mode="drop").at[bucket].get(mode="clip")
        leads &= uid == oldest
        at = jnp.where(leads, bucket, buckets)
        settled = jnp.full(buckets, -1, jnp.int32).at[at].set(wanted, mode="drop").at[bucket].get(mode="clip")
        return left & (wanted != settled), won | leads

    _, won = jax.lax.while_loop(lambda carry: carry[0].any(), settle, (wanted >= 0, jnp.zeros(wanted.size, bool)))
    return won
