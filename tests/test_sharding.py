"""Realms split over devices play as they do on one."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from small import KEY, small

from nmmo_jax import Action, digest, vectorize


@pytest.mark.skipif(jax.device_count() < 2, reason="there is one device")
def test_sharding_over_devices_changes_nothing():
    many = vectorize(small(), 4)
    action = Action(move=np.arange(64).reshape(4, 16) % 5)
    mesh = jax.make_mesh((2,), ("realm",), axis_types=(jax.sharding.AxisType.Auto,))
    begun = jax.jit(lambda key: many.reset(key, initial_population=6)[1])(KEY)
    step = jax.jit(lambda key, realms: many.step(key, realms, action)[1])

    def play(realms):
        for _ in range(6):
            realms = step(KEY, realms)
        return realms, np.asarray(jax.jit(jax.vmap(digest))(realms))

    split, there = play(jax.device_put(begun, NamedSharding(mesh, PartitionSpec("realm"))))
    _, here = play(begun)
    assert len(split.agents.food.sharding.device_set) == 2
    np.testing.assert_array_equal(there, here)
    assert len({tuple(row) for row in here.tolist()}) == 4
