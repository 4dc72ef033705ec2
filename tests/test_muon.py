"""Muon as it is here, matrices one by one and all together, against that of optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from train import muon
from train.populations import each_population

SHAPES = {"wide": (6, 20), "tall": (24, 10), "column": (16, 1), "square": (16, 16), "bias": (16,), "tiles": (3, 5, 4)}
POPULATIONS, STEPS = 3, 5


@pytest.fixture(params=["cpu", "default"])
def form(request, monkeypatch):
    """That of a CPU, and that of accelerators."""
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, **forms: forms[request.param](*args))
    return request.param


def arrays(rng, shapes):
    return {name: jnp.asarray(rng.normal(size=(POPULATIONS, *shape)), jnp.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("shapes", [SHAPES, {"bias": (4,)}], ids=["all", "no matrix"])
def test_is_that_of_optax_step_by_step_and_goes_on_from_what_that_has_kept(form, shapes):
    rng, rate = np.random.default_rng(0), optax.linear_schedule(0.01, 0.002, STEPS)
    params, turns = arrays(rng, shapes), tuple(map(tuple, muon.TURNS.tolist()))
    theirs = each_population(optax.contrib.muon(rate, turns, consistent_rms=1.0))
    ours = each_population(muon.muon(rate))
    kept, own = theirs.init(params), ours.init(params)
    assert jax.tree.structure(kept) == jax.tree.structure(own)
    jax.tree.map(np.testing.assert_array_equal, kept, own)
    update = {optimiser: jax.jit(optimiser.update) for optimiser in (theirs, ours)}
    for _ in range(STEPS):
        gradients = arrays(rng, shapes)
        went_on, _ = update[ours](gradients, kept, params)  # from what theirs had kept
        change, own = update[ours](gradients, own, params)
        expected, kept = update[theirs](gradients, kept, params)
        for got in (change, went_on):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), got, expected)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), own, kept)
