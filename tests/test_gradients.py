"""The forms in which a CPU learns give the gradients of the plain ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sights import CONFIG, POPULATIONS, random_inputs, random_masks

from nmmo_jax.environment import Environment
from train.cores import remember
from train.loop import gradients_of
from train.networks import NetworkOptions
from train.settings import Experiment, Settings
from train.trinity import Batch, Sword


def close(got, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, expected)


def pretend(monkeypatch, platform):
    def there(*args, default, **forms):
        return forms.get(platform, default)(*args)

    monkeypatch.setattr(jax.lax, "platform_dependent", there)


@pytest.mark.parametrize("ticks", [1, 2, 7, 32])
@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_what_is_remembered_is_that_of_one_tick_after_another(monkeypatch, platform, ticks):
    pretend(monkeypatch, platform)
    rng = np.random.default_rng(ticks)
    core, gates, asked = (
        jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((3, 5), (3, ticks, 10), (3, ticks, 5))
    )
    fresh = jnp.asarray(rng.random((3, ticks)) < 0.2)

    def plain(core, gates):
        told = []
        for tick in range(ticks):
            gate, new = jax.nn.sigmoid(gates[:, tick, :5]), jnp.tanh(gates[:, tick, 5:])
            core = jnp.where(fresh[:, tick, None], 0, (1 - gate) * core) + gate * new
            told.append(core)
        return jnp.stack(told, axis=1)

    def of(function):
        def total(core, gates):
            told = function(core, gates)
            return (told * asked).sum(), told

        return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(core, gates)

    close(of(lambda core, gates: remember(core, gates, fresh)), of(plain))


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_population_by_population_are_those_of_all_at_once(monkeypatch, shared):
    options = NetworkOptions(hidden=16, shared_weights=shared, precision="float32")
    sword = Sword(Experiment("own", Environment(CONFIG), Settings(options=options)))
    inputs, rng = random_inputs(20), np.random.default_rng(0)
    masks = jax.tree.map(lambda mask: mask.reshape(POPULATIONS, 20, *mask.shape[1:]), random_masks(POPULATIONS * 20))
    old, advantage, target = jnp.asarray(rng.normal(size=(3, POPULATIONS, 20)), jnp.float32)
    choices = {name: jnp.zeros((POPULATIONS, 20), jnp.int32) for name in masks}
    weight = jnp.asarray(rng.random((POPULATIONS, 20)) < 0.8, jnp.float32)
    batch = Batch(inputs, masks, choices, old, advantage, target, (), weight)
    params = sword.init(jax.random.key(0))
    found = {}
    for platform in ("cpu", "cuda"):
        pretend(monkeypatch, platform)
        found[platform] = jax.jit(lambda params: gradients_of(sword, params, batch))(params)
    close(found["cpu"], found["cuda"])


def test_a_sword_with_a_loss_of_its_own_sees_all_populations():
    class Own(Sword):
        def loss(self, params, batch):
            assert batch.weight.shape[0] == POPULATIONS
            return jax.tree.leaves(params)[0].sum() * batch.weight.mean(axis=1), {}

    sword = Own(Experiment("own", Environment(CONFIG), Settings(options=NetworkOptions(hidden=16))))
    none: Any = ()
    batch = Batch(none, none, none, none, none, none, none, jnp.ones((POPULATIONS, 4)))
    each, told = gradients_of(sword, {"weight": jnp.ones((POPULATIONS, 2))}, batch)[1]
    assert each.shape == (POPULATIONS,) and told == {}
