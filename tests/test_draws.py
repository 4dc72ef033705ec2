"""Draws: Threefry written out equals JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from nmmo_jax.draws import Stream, fold_in, words


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1, *map(int, Stream)])
def test_fold_in(number):
    key = jax.random.key(3)
    ours, theirs = fold_in(key, number), jax.random.fold_in(key, number)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(jax.random.key_data(ours), jax.random.key_data(theirs))


def test_fold_in_under_vmap():
    key, number = jax.random.key(4), jnp.arange(5)
    ours, theirs = (jax.vmap(f, (None, 0))(key, number) for f in (fold_in, jax.random.fold_in))
    np.testing.assert_array_equal(jax.random.key_data(ours), jax.random.key_data(theirs))


def test_words():
    key = jax.random.key(5)
    high, low = jnp.arange(9, dtype=jnp.uint32), jnp.arange(9, dtype=jnp.uint32)[::-1] * 0x10000001
    expected = threefry_2x32(jax.random.key_data(key), jnp.concatenate([high, low]))
    np.testing.assert_array_equal(jnp.concatenate(words(key, high, low)), expected)
