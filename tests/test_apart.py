"""What is computed apart is the same, however it is called, and is computed once on CPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.common.apart import apart


@pytest.mark.parametrize("first", [np.arange(-3, 3), np.zeros(4), np.full(2, np.nan, np.float32), np.array([True])])
def test_it_is_the_same(first):
    """With jit and without, of many at once, of which some are the same for all."""
    first = jnp.asarray(first)
    given = [first, first > 0, jnp.uint32(7), jnp.zeros((0, 3)), 5, None]
    for function in (apart, jax.jit(apart)):
        for one, other in zip(function(given), given, strict=True):
            np.testing.assert_array_equal(one, other) if other is not None else None
            assert getattr(one, "dtype", None) == getattr(other, "dtype", None) or function is not apart
    with jax.disable_jit():
        np.testing.assert_array_equal(apart(first), first)
    both = jax.vmap(lambda one: apart((one, first)))(jnp.stack([first, first]))
    np.testing.assert_array_equal(both[0], jnp.stack([first, first]))
    np.testing.assert_array_equal(both[1], jnp.stack([first, first]))
    assert apart(()) == () and apart(3) == 3


def test_it_is_computed_once_on_a_cpu_alone():
    """Twelve are made of each: without it, twelve times as much is computed."""

    def program(of):
        number = jnp.arange(8.0)

        def made(number):
            return jnp.where(jnp.arange(12)[:, None] > 3, of(number * 3 + 1)[None], 0)

        return jax.jit(jax.vmap(made)).trace(jnp.stack([number, number]))

    cpu = program(apart).lower(lowering_platforms=("cpu",))
    assert "conditional" in cpu.compile().as_text()
    assert "conditional" not in program(lambda same: same).lower(lowering_platforms=("cpu",)).compile().as_text()
    other = program(apart).lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.slice" not in other and "zeros" not in other  # the condition on a first number is not there
    assert "stablehlo.slice" in cpu.as_text()
