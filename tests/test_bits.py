"""The first set bits of masks, by both ways, against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.bits import count_bits, first_set, nth_bit, pack, pack_two


@pytest.mark.parametrize("count", [0, 1, 15, 100, 512, 513])
@pytest.mark.parametrize("size", [1, 31, 32, 33, 100])
def test_first_set(count, size):
    rng = np.random.default_rng(size)
    mask = rng.random((size, 4, 3)) < np.array([0.0, 0.3, 1.0])
    found = np.asarray(first_set(jnp.asarray(mask), count))
    assert found.shape == (count, 4, 3)
    for row in range(4):
        for col in range(3):
            expected = np.flatnonzero(mask[:, row, col])[:count]
            padded = np.pad(expected, (0, count - expected.size), constant_values=-1)
            np.testing.assert_array_equal(found[:, row, col], padded)


@pytest.mark.parametrize("size", [1, 16, 32, 45, 128])
def test_two_masks_packed_together_equal_each_packed_alone(size):
    masks = np.random.default_rng(size).random((2, size, 7)) < 0.5
    together = pack_two(*map(jnp.asarray, masks))
    for mask, packed in zip(masks, together, strict=True):
        np.testing.assert_array_equal(packed, pack(jnp.asarray(mask)))


@pytest.mark.parametrize("size", [1, 32, 45, 600])
def test_any_set_bit_is_found_by_its_rank(size):
    rng = np.random.default_rng(size)
    mask = rng.random((size, 50)) < np.linspace(0, 1, 50)
    n = rng.integers(0, size + 1, 50)
    words = pack(jnp.asarray(mask))
    np.testing.assert_array_equal(count_bits(words).sum(axis=0), mask.sum(axis=0))
    expected = [(*np.flatnonzero(column), *[-1] * (size + 1))[rank] for column, rank in zip(mask.T, n, strict=True)]
    np.testing.assert_array_equal(nth_bit(words, jnp.asarray(n)), expected)
