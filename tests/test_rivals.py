"""Of those who want the same thing, one gets it: pair by pair, by buckets, and in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.systems.rivals import by_buckets, first_of_each, in_pairs


def expected(wanted, word, uid):
    first = {}
    for slot, thing in enumerate(wanted):
        if thing >= 0:
            first[thing] = min(first.get(thing, (2**32, 0, 0)), (int(word[slot]), int(uid[slot]), slot))
    return {slot for _, _, slot in first.values()}


@pytest.mark.parametrize("search", [in_pairs, by_buckets, first_of_each])
@pytest.mark.parametrize("number", [7, 256, 600])
def test_the_first_of_each(number, search):
    """Few things that many want, all in one bucket, and hardly ever the same; equal words; three realms at once."""
    rng = np.random.default_rng(number)
    few, one_bucket = rng.integers(-1, 5, number), rng.integers(-1, 9, number) * 2**20
    things = np.maximum(np.stack([few, one_bucket, rng.integers(-1, 2**31 - 1, number)]), -1).astype(np.int32)
    word = rng.integers(0, 2**32, things.shape, np.uint32)
    word[0] %= 3
    uid = np.stack([rng.permutation(3 * number)[:number] for _ in things]).astype(np.int32)
    won = np.asarray(jax.jit(jax.vmap(search))(things, word, uid))
    for realm, chance in enumerate(zip(things, word, uid, strict=True)):
        assert set(np.flatnonzero(won[realm])) == expected(*chance)


def test_nobody_wants_anything():
    for search in (in_pairs, by_buckets):
        assert not search(jnp.full(5, -1), jnp.zeros(5, jnp.uint32), jnp.arange(5)).any()
