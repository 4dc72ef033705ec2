"""Of those who want the same thing, one gets it: pair by pair, by buckets, and in plain Python."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.neighbours import MOST_IN_PAIRS
from nmmo_jax.systems.seen import Seen, first_of_each


def expected(wanted, word, uid):
    first = {}
    for slot, thing in enumerate(wanted):
        if thing >= 0:
            first[thing] = min(first.get(thing, (2**32, 0, 0)), (int(word[slot]), int(uid[slot]), slot))
    return {slot for _, _, slot in first.values()}


@pytest.mark.parametrize("number", [7, MOST_IN_PAIRS, 1_000])
def test_the_first_of_each(number):
    """Few things that many want, all in one bucket, and equal words."""
    rng = np.random.default_rng(number)
    things = np.stack(
        [rng.integers(-1, 5, number), rng.integers(-1, 9, number) * 2**20, rng.integers(-1, 2**31 - 1, number)]
    )
    word = rng.integers(0, 2**32, things.shape, np.uint32)
    word[0] = word[0] % 3
    uid = np.stack([rng.permutation(3 * number)[:number] for _ in things]).astype(np.int32)
    things = np.maximum(things, -1).astype(np.int32)
    won = np.asarray(jax.jit(jax.vmap(first_of_each))(things, word, uid))

    def by_winners(wanted, word, uid):
        world = SimpleNamespace(
            acting=jnp.ones(number, bool),
            agents=SimpleNamespace(uid=uid),
            words=lambda counter: jnp.stack([word, word], axis=-1),
        )
        return Seen.winners(world, wanted)

    again = np.asarray(jax.jit(jax.vmap(by_winners))(things, word, uid))
    for one, (wanted, words, uids) in enumerate(zip(things, word, uid, strict=True)):
        assert set(np.flatnonzero(won[one])) == set(np.flatnonzero(again[one])) == expected(wanted, words, uids)
    assert not first_of_each(jnp.full(number, -1), word[0], uid[0]).any()
