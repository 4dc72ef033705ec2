"""The first set bits of a mask: who is visible, which slots are free."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, UInt32

_MOST_SELECTED = 512


def first_set(mask: Bool[Array, "M *B"], count: int) -> Int32[Array, "K *B"]:
    """Indices of the first ``count`` set entries along the first axis, in order; -1 where there are fewer.

    Unless there are many, the mask is packed into 32-bit words in which each is selected by its rank: on a CPU some
    thirty times faster than sorting for 16 of 128.
    """
    return lowest_bits(pack(mask), count) if count <= _MOST_SELECTED else _first_set_by_rank(mask, count)


def pack(mask: Bool[Array, "M *B"]) -> UInt32[Array, "M/32 *B"]:
    """The mask as 32-bit words, lowest bit first."""
    size = mask.shape[0]
    width = min(size, 32)  # a mask that fits one word is not padded: XLA would test each entry
    mask = jnp.pad(mask, [(0, -size % width)] + [(0, 0)] * (mask.ndim - 1))
    bit = (np.uint32(1) << np.arange(width, dtype=np.uint32)).reshape(-1, *[1] * (mask.ndim - 1))
    words = jnp.where(mask.reshape(-1, width, *mask.shape[1:]), bit, np.uint32(0))
    return words.sum(axis=1, dtype=jnp.uint32)


def pack_two(
    first: Bool[Array, "M *B"], second: Bool[Array, "M *B"]
) -> tuple[UInt32[Array, "M/32 *B"], UInt32[Array, "M/32 *B"]]:
    """Two masks packed in one pass, for those whose bits cost more to find than to pack."""
    padding = [(0, -first.shape[0] % 32)] + [(0, 0)] * (first.ndim - 1)
    first, second = jnp.pad(first, padding), jnp.pad(second, padding)
    # 16 entries of each mask share a word, the first's below, the second's above.
    bit = (jnp.uint32(1) << (jnp.arange(first.shape[0], dtype=jnp.uint32) % 16)).reshape(-1, *[1] * (first.ndim - 1))
    words = jnp.where(first, bit, 0) | jnp.where(second, bit << 16, 0)
    words = words.reshape(-1, 16, *first.shape[1:]).sum(axis=1, dtype=jnp.uint32)
    low, high = words[0::2], words[1::2]
    return (low & 0xFFFF) | (high << 16), (low >> 16) | (high & jnp.uint32(0xFFFF0000))


def lowest_bits(words: UInt32[Array, "W *B"], count: int) -> Int32[Array, "K *B"]:
    """Positions of the lowest ``count`` set bits, in order; -1 where there are fewer."""
    return nth_bit(words, jnp.arange(count, dtype=jnp.int32).reshape(-1, *[1] * (words.ndim - 1)))


def count_bits(words: UInt32[Array, "*B"]) -> Int32[Array, "*B"]:
    """How many bits of each word are set."""
    return jax.lax.population_count(words).astype(jnp.int32)


def nth_bit(words: UInt32[Array, "W *B"], n: Int32[Array, "*K"]) -> Int32[Array, "*K"]:
    """Position of the n-th set bit, from 0; -1 where there are no more. ``n`` broadcasts against ``[*B]``.

    All selections at once, in arithmetic that fuses into one loop: the word by its running count of bits, then
    the bit by halving the word. On a CPU half the time of taking the lowest bit again and again.
    """

    def search(carry, inputs):
        left, word, rank, start = carry
        candidate, position = inputs
        bits = count_bits(candidate)
        here = (left >= 0) & (left < bits)
        word, rank = jnp.where(here, candidate, word), jnp.where(here, left, rank)
        return (left - bits, word, rank, jnp.where(here, position, start)), None

    left = jnp.broadcast_to(n, np.broadcast_shapes(n.shape, words.shape[1:]))
    words = words.reshape(len(words), *[1] * (left.ndim + 1 - words.ndim), *words.shape[1:])
    carry = (left, jnp.zeros(left.shape, jnp.uint32), jnp.zeros_like(left), jnp.full_like(left, -1))
    position = 32 * jnp.arange(words.shape[0], dtype=jnp.int32)
    (_, word, rank, start), _ = jax.lax.scan(search, carry, (words, position), unroll=min(words.shape[0], 16))
    bit = start
    for half in (16, 8, 4, 2, 1):
        low = word & np.uint32((1 << half) - 1)
        bits = count_bits(low)
        above = rank >= bits
        rank = jnp.where(above, rank - bits, rank)
        word = jnp.where(above, word >> half, low)
        bit = jnp.where(above, bit + half, bit)
    return jnp.where(start >= 0, bit, -1)


def order(keys: Int32[Array, "M"] | UInt32[Array, "M"]) -> Int32[Array, "M"]:
    """Indices in the order of ascending keys, equal ones as they come."""
    return jax.lax.sort((keys, jnp.arange(keys.size, dtype=jnp.int32)), num_keys=1)[1]


def _first_set_by_rank(mask: Bool[Array, "M *B"], count: int) -> Int32[Array, "K *B"]:
    flat = mask.reshape(mask.shape[0], -1)
    rank = jnp.cumsum(flat, axis=0, dtype=jnp.int32) - 1
    place = jnp.where(flat & (rank < count), rank, count)
    index = jnp.broadcast_to(jnp.arange(flat.shape[0], dtype=jnp.int32)[:, None], flat.shape)
    found = jnp.full((count, flat.shape[1]), -1, jnp.int32)
    found = found.at[place, jnp.arange(flat.shape[1], dtype=jnp.int32)[None]].set(index, mode="drop")
    return found.reshape(count, *mask.shape[1:])
