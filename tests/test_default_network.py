"""The default network, the options of all networks, and what draws from them."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plain_network import plain_network
from sights import CONFIG, POPULATIONS, VISIBLE, one, random_inputs, random_masks, random_weights

import train.default
import train.distributions
from nmmo_jax import actions
from nmmo_jax.kinds import NUM_MATERIALS, Material
from nmmo_jax.observations import NUM_FEATURES
from train.distributions import entropy, log_prob
from train.inputs import NOBODY, merge
from train.layers import LIMIT, attend, max_over_others, scaled, scaled_visible, tile_layer
from train.networks import (
    NETWORKS,
    Kind,
    NetworkOptions,
    make_network,
    nothing_seen,
    per_population,
)

SIZES = {"value": 1, "move": 5, "style": 3, "target": VISIBLE}


@functools.cache
def network(name="default", **options):
    """The network, parameters, and its compiled ``apply``."""
    made = make_network(CONFIG, name, NetworkOptions(hidden=16, **options))
    return made, random_weights(made.init), jax.jit(made.apply, static_argnums=3)


def assert_close(got, expected, tolerance=1e-4):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, expected)


def test_the_network_equals_the_plain_computation():
    _, params, apply = network()
    inputs = random_inputs()
    outputs, core = apply(params, inputs, ())
    assert core == ()
    for population, agent in itertools.product(range(POPULATIONS), range(6)):
        seen = one(inputs, (population, agent))
        expected = plain_network(jax.tree.map(np.float64, one(params, population)), *seen[:4], seen.steps)
        assert_close(one(outputs, (population, agent)), {name: expected[name] for name in outputs})


def test_shapes_with_any_axes_and_without_the_value():
    _, params, apply = network()
    inputs = random_inputs()
    deeper = jax.tree.map(lambda leaf: leaf.reshape(POPULATIONS, 2, 3, *leaf.shape[2:]), inputs)
    outputs, acting = apply(params, inputs, ())[0], apply(params, deeper, (), False)[0]
    assert {name: output.shape for name, output in outputs.items()} == {
        k: (POPULATIONS, 6, n) for k, n in SIZES.items()
    }
    assert {output.dtype for output in outputs.values()} == {jnp.dtype(jnp.float32)}
    del outputs["value"]
    assert_close(acting, jax.tree.map(lambda leaf: leaf.reshape(POPULATIONS, 2, 3, -1), outputs))


@functools.cache
def initial_parameters():
    return jax.jit(network()[0].init)(jax.random.key(0))


@pytest.mark.slow
def test_initial_policies_are_nearly_uniform_and_the_layers_orthogonal():
    params = initial_parameters()
    outputs = network()[2](params, random_inputs(), ())[0]
    for name in ("move", "style", "target"):
        assert np.abs(outputs[name]).max() < 0.3
    kernel = params["trunk"]["kernel"][0]
    assert_close(kernel.T @ kernel, 2 * np.eye(kernel.shape[1]))
    assert all((leaf[0] != leaf[1]).any() for leaf in jax.tree.leaves(params) if leaf.any())


def test_a_new_argument_gets_an_output_of_its_own(monkeypatch):
    def more(config):
        return *actions.heads(config), actions.Head("speak", (actions.Argument("word", 4, 0, (4,), "what is said"),))

    monkeypatch.setattr(train.default, "heads", more)
    made = make_network(CONFIG)
    params = jax.eval_shape(made.init, jax.random.key(0))
    assert jax.eval_shape(made.apply, params, random_inputs(), ())[0]["word"].shape == (POPULATIONS, 6, 4)


class Small(nn.Module):
    @nn.compact
    def __call__(self, inputs, value=True):
        return {"move": nn.Dense(5)(inputs.self.astype(jnp.float32))}


@pytest.mark.parametrize("shared_init", [False, True])
@pytest.mark.parametrize("shared_weights", [False, True])
def test_populations_share_weights_or_begin_equal_only_where_asked(monkeypatch, shared_weights, shared_init):
    monkeypatch.setitem(NETWORKS, "small", Kind(lambda config, options: Small(), 0.0))
    made = make_network(CONFIG, "small", NetworkOptions(shared_weights=shared_weights, shared_init=shared_init))
    kernel = made.init(jax.random.key(0))["Dense_0"]["kernel"]
    assert kernel.shape == (1 if shared_weights else POPULATIONS, NUM_FEATURES, 5)
    assert (kernel[0] == kernel[-1]).all() == (shared_weights or shared_init)


@pytest.mark.slow
def test_shared_weights_are_one_set_for_all():
    _, params, apply = network()
    only = jax.tree.map(lambda leaf: leaf[:1], params)
    same = jax.tree.map(lambda leaf: leaf.repeat(POPULATIONS, axis=0), only)
    _, of_all, apply_shared = network(shared_weights=True)
    assert jax.tree.map(jnp.shape, of_all) == jax.tree.map(jnp.shape, only)
    inputs = random_inputs()
    assert_close(apply_shared(only, inputs, ()), apply(same, inputs, ()))

    rows = jnp.arange(24.0).reshape(POPULATIONS, 2, 4)

    def total(weights, shared):
        return (per_population(lambda weights, rows: jnp.tanh(rows @ weights), weights, rows, shared) ** 2).sum()

    one_set = jnp.linspace(-0.1, 0.1, 20).reshape(1, 4, 5)
    gradient = jax.grad(total)(one_set, True)
    of_each = jax.grad(total)(one_set.repeat(POPULATIONS, axis=0), False)
    assert_close(gradient, of_each.sum(axis=0, keepdims=True))


def test_junk_that_is_not_listed_does_not_matter_nor_does_the_order_of_the_others():
    _, params, apply = network()
    inputs = random_inputs()
    junk = inputs._replace(visible=np.where(inputs.listed[..., None], inputs.visible, 99).astype(np.int16))
    full = inputs._replace(listed=np.ones_like(inputs.listed))
    order = np.array([0, 3, 1, 4, 2])
    before, after = apply(params, full, ())[0], apply(params, full._replace(visible=full.visible[..., order, :]), ())[0]
    assert_close(after.pop("target"), before.pop("target")[..., order])
    assert_close(after, before)
    before, after = apply(params, inputs, ())[0], apply(params, junk, ())[0]
    for name in ("value", "move", "style"):
        np.testing.assert_array_equal(before[name], after[name])


def gradients_agree(ours, plain, *weights):
    def of(function):
        def total(*weights):
            output = function(*weights)
            return (output * jnp.cos(jnp.arange(output.size).reshape(output.shape))).sum()

        return jax.jit(jax.value_and_grad(total, argnums=tuple(range(len(weights)))))(*weights)

    assert_close(of(ours), of(plain), 1e-3)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_gradients_of_the_layers_are_those_of_their_plain_forms(monkeypatch, platform):
    def there(*args, default, **forms):
        return forms.get(platform, default)(*args)

    monkeypatch.setattr(jax.lax, "platform_dependent", there)
    rng = np.random.default_rng(0)
    seen = one(random_inputs(20), 0)
    listed = seen.listed.copy()
    listed[0, 1:] = False  # one who is alone
    visible = seen.visible.copy()
    visible[:, 3] = visible[:, 2]  # two who look alike: the gradient goes to one of them

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    def plain_max(kernel):
        layer = scaled_visible(visible, CONFIG).reshape(visible.shape) @ kernel
        first = jnp.arange(VISIBLE) == 3
        layer = jnp.where((listed & ~(first & listed[:, 2:3]))[..., None], layer, NOBODY)[:, 1:]
        return jnp.where(listed[:, 1:].any(axis=1, keepdims=True), layer.max(axis=1), NOBODY)

    def ours_max(kernel):
        return max_over_others(visible, listed, kernel, CONFIG)

    kernel = normal(NUM_FEATURES, 8)
    alone, together = ours_max(kernel)[0], ours_max(kernel)[1:]
    assert (alone == NOBODY).all()
    assert_close(together, plain_max(kernel)[1:])
    gradients_agree(lambda kernel: ours_max(kernel)[1:], lambda kernel: plain_max(kernel)[1:], kernel)

    gradients_agree(
        lambda query: attend(visible, query, CONFIG),
        lambda query: jnp.einsum("bvf,bf->bv", scaled_visible(visible, CONFIG).reshape(visible.shape), query),
        normal(20, NUM_FEATURES),
    )

    def plain_tiles(material, crowd):
        one_hot = jax.nn.one_hot(seen.tiles[:, 0].reshape(20, -1), NUM_MATERIALS)
        count = jnp.minimum(seen.tiles[:, 1], 2).reshape(20, -1).astype(jnp.float32)
        return jnp.einsum("bkm,mko->bo", one_hot, material) + count @ crowd

    gradients_agree(
        lambda material, crowd: tile_layer(jnp.asarray(seen.tiles), material, crowd, 2),
        plain_tiles,
        normal(NUM_MATERIALS, 49, 6),
        normal(49, 6),
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"precision": "float32"}, {"precision": "bfloat16"}, {}])
def test_on_an_accelerator_the_network_is_the_same(monkeypatch, options):
    inputs, masks = random_inputs(40), random_masks(120)
    choices = {name: np.zeros(120, int) for name in masks}

    def outputs(**options):
        made = make_network(CONFIG, options=NetworkOptions(hidden=16, core="mingru", **options))

        @jax.jit
        def both(params):
            def total(params):
                found, core = made.apply(params, inputs, jnp.full_like(made.initial((POPULATIONS, 40)), 0.5))
                logits = merge({name: logit for name, logit in found.items() if name != "value"})
                return (log_prob(choices, logits, masks, CONFIG)).mean() + (found["value"] ** 2).mean(), (found, core)

            return jax.grad(total, has_aux=True)(params)

        return both(made.init(jax.random.key(0)))

    expected = outputs(precision="float32")
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *args, default, **forms: forms.get("cuda", default)(*args)
    )
    found = outputs(**options)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.float32)}
    apart = jax.tree.map(lambda a, b: float(np.abs(a - b).max() / (np.abs(b).max() + 1e-6)), found, expected)
    furthest = max(jax.tree.leaves(apart))
    if options == {"precision": "float32"}:
        assert furthest < 1e-4, apart
    else:  # eight bits of precision
        assert 1e-4 < furthest < 0.1, apart


@pytest.mark.slow
def test_gradients_are_finite_and_reach_every_weight():
    made, params, _ = network(core="gru")
    inputs, masks = random_inputs(40), random_masks(120)
    choices = {name: np.zeros(120, int) for name in masks}

    @jax.jit
    @jax.grad
    def gradient(params):
        core = jax.tree.map(lambda leaf: leaf + 0.5, made.initial((POPULATIONS, 40)))
        outputs = merge(made.apply(params, inputs, core)[0])
        value = outputs.pop("value")
        return (log_prob(choices, outputs, masks, CONFIG) + entropy(outputs, masks, CONFIG)).sum() + (value**2).sum()

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params)):
        assert np.isfinite(leaf).all()
        assert (leaf != 0).any(axis=tuple(range(1, leaf.ndim))).all(), path
    hot = jax.tree.map(lambda leaf: 100 * leaf, params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(hot)))


def test_scaled_attributes_are_bounded():
    extreme = np.stack([np.full(NUM_FEATURES, 32_767), np.full(NUM_FEATURES, -32_768)]).astype(np.int16)
    assert np.abs(scaled(extreme, CONFIG)).max() == LIMIT


@pytest.mark.slow
def test_it_learns_quickly_to_walk_to_the_water_it_sees():
    rng, shape = np.random.default_rng(0), (POPULATIONS, 512)
    away = rng.integers(-3, 4, (*shape, 2))
    away[(away == 0).all(axis=-1)] = 1
    down, right = away[..., 0], away[..., 1]
    move = np.where(np.abs(down) > np.abs(right), np.where(down > 0, 2, 4), np.where(right > 0, 1, 3))
    inputs = jax.tree.map(lambda leaf: np.zeros((*shape, *leaf.shape), leaf.dtype), nothing_seen(CONFIG))
    inputs.tiles[:, :, 0] = rng.choice([Material.GRASS, Material.FOREST, Material.STONE], (*shape, 7, 7))
    inputs.tiles[np.arange(POPULATIONS)[:, None], np.arange(512), 0, 3 + down, 3 + right] = Material.WATER
    made, params, adam = network()[0], initial_parameters(), optax.adam(1e-2)

    def loss(params):
        log_p = jax.nn.log_softmax(made.apply(params, inputs, (), False)[0]["move"])
        return -jnp.take_along_axis(log_p, jnp.asarray(move)[..., None], axis=-1).mean()

    @jax.jit
    def learn(params):
        def step(carry, _):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params)
            change, state = adam.update(gradient, state)
            return (optax.apply_updates(params, change), state), value

        return jax.lax.scan(step, (params, adam.init(params)), length=60)[1]

    losses = learn(params)
    assert losses[0] == pytest.approx(np.log(5), rel=0.05)
    assert losses[-1] < 0.5 * losses[0], losses[::10]
