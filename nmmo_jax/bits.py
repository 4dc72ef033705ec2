"""The first set bits of a mask: who is visible, which slots are free."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, UInt32

_MAX_SCANNED = 64


def first_set(mask: Bool[Array, "M *B"], count: int) -> Int32[Array, "K *B"]:
    """Indices of the first ``count`` set entries along the first axis, in order; -1 where there are fewer.

    For small counts the mask is packed into 32-bit words whose lowest set bit is taken ``count`` times:
    on a CPU some fifteen times faster than sorting for 16 of 128.
    """
    return lowest_bits(pack(mask), count) if count <= _MAX_SCANNED else _first_set_by_rank(mask, count)


def pack(mask: Bool[Array, "M *B"]) -> UInt32[Array, "M/32 *B"]:
    """The mask as 32-bit words, lowest bit first."""
    mask = jnp.pad(mask, [(0, -mask.shape[0] % 32)] + [(0, 0)] * (mask.ndim - 1))
    bit = jnp.uint32(1) << (jnp.arange(mask.shape[0], dtype=jnp.uint32) % 32)
    bits = jnp.where(mask, bit.reshape(-1, *[1] * (mask.ndim - 1)), 0)
    return bits.reshape(-1, 32, *mask.shape[1:]).sum(axis=1, dtype=jnp.uint32)


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
    position = jnp.arange(words.shape[0], dtype=jnp.int32).reshape(-1, *[1] * (words.ndim - 1))

    def take(words, _):
        index = jnp.argmax(words != 0, axis=0).astype(jnp.int32)
        here = position == index
        word = jnp.where(here, words, 0).max(axis=0)
        lowest = jax.lax.population_count((word & (~word + 1)) - 1).astype(jnp.int32)
        return jnp.where(here, words & (words - 1), words), jnp.where(word != 0, 32 * index + lowest, -1)

    return jax.lax.scan(take, words, length=count)[1]


def _first_set_by_rank(mask: Bool[Array, "M *B"], count: int) -> Int32[Array, "K *B"]:
    flat = mask.reshape(mask.shape[0], -1)
    rank = jnp.cumsum(flat, axis=0, dtype=jnp.int32) - 1
    place = jnp.where(flat & (rank < count), rank, count)
    index = jnp.broadcast_to(jnp.arange(flat.shape[0], dtype=jnp.int32)[:, None], flat.shape)
    found = jnp.full((count, flat.shape[1]), -1, jnp.int32)
    found = found.at[place, jnp.arange(flat.shape[1])].set(index, mode="drop")
    return found.reshape(count, *mask.shape[1:])
