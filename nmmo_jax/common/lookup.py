"""Numbers by their index."""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


def lookup(table: jax.Array, index: Int[Array, "K"], fill: int) -> jax.Array:
    """``table[index]``, with ``fill`` where the index is -1."""
    found = table.at[jnp.maximum(index, 0)].get(mode="clip")
    return jnp.where(index >= 0, found, jnp.asarray(fill, table.dtype))


def one_of(values: Iterable[Any], index: Int[Array, "K"]) -> jax.Array:
    """``values[index]``, 0 where there is none: by comparison, which for a few is faster than to look it up."""
    return functools.reduce(jnp.add, (jnp.where(index == number, value, 0) for number, value in enumerate(values)))
