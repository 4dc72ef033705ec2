"""The first set bits of a mask: who is visible, which slots are free."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

_MAX_UNROLLED = 64


def first_set(mask: Bool[Array, "*B M"], count: int) -> Int32[Array, "*B K"]:
    """Indices of the first ``count`` set entries along the last axis, in order; -1 where there are fewer.

    For small counts the mask is packed into 32-bit words whose lowest set bit is taken ``count`` times:
    on a CPU some fifteen times faster than sorting for 16 of 128.
    """
    if count == 0:
        return jnp.zeros((*mask.shape[:-1], 0), jnp.int32)
    if count > _MAX_UNROLLED:
        return _first_set_by_rank(mask, count)
    words = _pack(mask)
    position = jnp.arange(words.shape[-1], dtype=jnp.int32)
    found = []
    for _ in range(count):
        occupied = words != 0
        index = jnp.argmax(occupied, axis=-1).astype(jnp.int32)
        here = position == index[..., None]
        word = jnp.max(jnp.where(here, words, 0), axis=-1)
        bit = jax.lax.population_count((word & (~word + 1)) - 1).astype(jnp.int32)
        found.append(jnp.where(word != 0, 32 * index + bit, -1))
        words = jnp.where(here, words & (words - 1), words)
    return jnp.stack(found, axis=-1)


def _pack(mask: Bool[Array, "*B M"]) -> jax.Array:
    """The mask as uint32 words, lowest bit first."""
    pad = -mask.shape[-1] % 32
    mask = jnp.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, pad)])
    bits = mask.reshape(*mask.shape[:-1], -1, 32).astype(jnp.uint32) << jnp.arange(32, dtype=jnp.uint32)
    return bits.sum(axis=-1, dtype=jnp.uint32)


def _first_set_by_rank(mask: Bool[Array, "*B M"], count: int) -> Int32[Array, "*B K"]:
    flat = mask.reshape(-1, mask.shape[-1])
    rank = jnp.cumsum(flat, axis=-1, dtype=jnp.int32) - 1
    column = jnp.where(flat & (rank < count), rank, count)
    row = jnp.arange(flat.shape[0])[:, None]
    index = jnp.broadcast_to(jnp.arange(flat.shape[1], dtype=jnp.int32), flat.shape)
    found = jnp.full((flat.shape[0], count), -1, jnp.int32).at[row, column].set(index, mode="drop")
    return found.reshape(*mask.shape[:-1], count)
