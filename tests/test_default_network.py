"""The default network, the options of all networks, and what draws from them."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_networks import CONFIG, ENV, POPULATIONS, VISIBLE, one, random_inputs, random_masks
from worlds import random_realm

import train.default
import train.distributions
from nmmo_jax import actions
from nmmo_jax.config import RULE_FIELDS
from nmmo_jax.observations import FEATURES, NUM_FEATURES
from nmmo_jax.world.materials import NUM_MATERIALS, Material
from train.default import LIMIT, attend, max_over_others, scaled, scaled_visible
from train.distributions import entropy, log_prob, sample
from train.inputs import ENCODED_RULES, NOBODY, NUM_RULES, encode_rules, inputs_of, merge, split, tile_layer
from train.networks import (
    NETWORKS,
    Kind,
    NetworkOptions,
    clear,
    make_network,
    make_policy,
    nothing_seen,
    per_population,
    weakest,
)

SIZES = {"value": 1, "move": 5, "style": 3, "target": VISIBLE}


@functools.cache
def network(name="default", **options):
    """The network, parameters from NumPy (``init`` takes seconds to compile), and its compiled ``apply``."""
    made = make_network(CONFIG, name, NetworkOptions(hidden=16, **options))
    rng = np.random.default_rng(0)

    def normal(leaf):
        return jnp.asarray(rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[-2]), jnp.float32)

    params = jax.tree.map(normal, jax.eval_shape(made.init, jax.random.key(0)))
    return made, params, jax.jit(made.apply, static_argnums=3)


def assert_close(got, expected, tolerance=1e-4):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, expected)


def plain_scaled(x: np.ndarray) -> dict[str, np.ndarray]:
    """By name, of agents ``[..., F]``."""
    most = {"age": 50, "health": 10, "food": 32, "water": 32, "row": 35, "col": 32, "damage": 5, "freeze": 2}
    result = {}
    for index, name in enumerate(FEATURES):
        value = x[..., index].astype(np.float64)
        result[name] = value / 3 if name.endswith("_difference") else value / (most.get(name, 1) / 2) - 1
    return {name: np.clip(value, -LIMIT, LIMIT) for name, value in result.items()}


def plain_network(params, tiles, own, visible, listed) -> dict[str, np.ndarray]:
    """Of one agent."""

    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    def relu(x):
        return np.maximum(x, 0)

    distance = np.abs(np.arange(7) - 3)
    near = 1 / (1 + np.maximum(distance[:, None], distance)).reshape(-1)
    weights = params["tiles"] * (2 * near / np.sqrt((near**2).mean()))[:, None]
    from_tiles = sum(weights[material, place] for place, material in enumerate(tiles[0].reshape(-1)))
    from_tiles = from_tiles + np.minimum(tiles[1].reshape(-1), 3) @ weights[-1] + params["tiles_bias"]
    own = np.stack(list(plain_scaled(own).values()))
    attributes = plain_scaled(visible)
    attributes["row"], attributes["col"] = np.abs(attributes["row_difference"]), np.abs(attributes["col_difference"])
    attributes = np.stack(list(attributes.values()), axis=-1)
    others = attributes[1:][listed[1:]] @ params["others"] + dense("observer", own)
    from_others = relu(others).max(axis=0) if len(others) else np.zeros(4)
    x = np.concatenate([relu(from_tiles), relu(dense("self", own)), from_others])
    x = relu(dense("trunk2", relu(dense("trunk", x))))
    query = dense("target", x)
    target = attributes @ query[:-1]
    target[0] += query[-1]
    return {"target": target} | {name: dense(name, x) for name in ("value", "move", "style")}


def test_the_network_equals_the_plain_computation():
    _, params, apply = network()
    inputs = random_inputs()
    outputs, core = apply(params, inputs, ())
    assert core == ()
    for population, agent in itertools.product(range(POPULATIONS), range(6)):
        seen = one(inputs, (population, agent))
        expected = plain_network(jax.tree.map(np.float64, one(params, population)), *seen[:4])
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


@pytest.mark.parametrize("platform", ["cpu", "default"])
def test_gradients_of_the_layers_are_those_of_their_plain_forms(monkeypatch, platform):
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, **forms: forms[platform](*args))
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


def test_a_core_carries_and_clears():
    made, params, apply = network(core="gru")
    inputs, start = random_inputs(), made.initial((POPULATIONS, 6))
    assert start.shape == (POPULATIONS, 6, 16)
    assert make_network(CONFIG).initial((POPULATIONS, 6)) == ()
    first, core = apply(params, inputs, start)
    second, after = apply(params, inputs, core)
    assert core.shape == after.shape == start.shape
    assert core.dtype == jnp.float32
    assert (np.abs(first["value"] - second["value"]).max(axis=-1) > 1e-4).all()

    fresh = np.arange(18).reshape(POPULATIONS, 6) % 2 == 0
    cleared, _ = apply(params, inputs, clear(core, fresh))
    assert_close(cleared["value"][fresh], first["value"][fresh])
    assert_close(cleared["value"][~fresh], second["value"][~fresh])
    assert clear((), fresh) == ()


def test_an_automatic_target_is_the_weakest_other_agent_in_range():
    _, params, apply = network(auto_target=True)
    assert not any("target" in str(path) for path, _ in jax.tree_util.tree_leaves_with_path(params))
    assert "target" not in str(jax.tree_util.tree_structure(network("classic", auto_target=True)[1]))
    inputs, mask = random_inputs(200), random_masks(600)
    inputs.visible[..., 1] %= 3  # healths that are often equal
    logits = merge(apply(params, inputs, (), False)[0])
    assert logits["target"].shape == (600, VISIBLE)
    draw = jax.jit(sample, static_argnums=(4, 5))
    choices = [draw(jax.random.key(seed), jnp.arange(600), logits, mask, CONFIG, 1e-3) for seed in (0, 1)]
    visible = merge(inputs).visible
    for agent, choice in itertools.product(range(600), choices):
        allowed = np.flatnonzero(mask["target"][agent, choice["style"][agent]])[1:]
        weakest_first = sorted(allowed, key=lambda index: (visible[agent, index, 1], visible[agent, index, 2], index))
        assert choice["target"][agent] == (weakest_first[0] if weakest_first else 0)

    without = {name: log for name, log in logits.items() if name != "target"}
    flat = without | {"target": jnp.zeros((600, VISIBLE))}
    nothing = mask | {"target": np.broadcast_to(np.arange(VISIBLE) == 0, (600, 3, VISIBLE))}
    zero = choices[0] | {"target": jnp.zeros(600, jnp.int32)}
    assert_close(log_prob(choices[0], logits, mask, CONFIG, 1e-3), log_prob(zero, flat, nothing, CONFIG, 1e-3))
    assert_close(entropy(logits, mask, CONFIG, 1e-3), entropy(flat, nothing, CONFIG, 1e-3))


def test_what_depends_on_an_automatic_choice_has_the_entropy_given_that_choice(monkeypatch):
    first = actions.Argument("first", 2, 0, (2,), "")
    second = actions.Argument("second", 3, 0, (2, 3), "")
    monkeypatch.setattr(train.distributions, "heads", lambda config: (actions.Head("both", (first, second)),))
    mask = {"first": np.array([[True, True]]), "second": np.array([[[True] * 3, [True, False, False]]])}
    for best, expected in ((0, np.log(3)), (1, 0)):
        logits = {"first": jnp.array([[1 - best, best]]), "second": jnp.zeros((1, 3))}
        assert_close(entropy(logits, mask, CONFIG), np.array([expected]))


def test_the_weakest_has_the_lowest_health_and_then_food():
    visible = np.zeros((5, NUM_FEATURES), np.int16)
    visible[:, list(FEATURES).index("health")] = [0, 5, 3, 3, 30_000]
    visible[:, list(FEATURES).index("food")] = [0, 0, 9, 8, 30_000]
    np.testing.assert_array_equal(np.argsort(-np.asarray(weakest(visible))), [3, 2, 1, 4, 0])


def test_rules_are_encoded_within_bounds_in_the_order_of_the_fields():
    encode = jax.jit(lambda rules: encode_rules(rules, CONFIG))
    rules = ENV.rules
    code = encode(rules)
    assert code.shape == (NUM_RULES,)
    position = 0
    for name in ENCODED_RULES:
        field = RULE_FIELDS[name]
        size = np.asarray(getattr(rules, name)).size
        low, high = field.metadata["low"], field.metadata["high"]
        assert (np.abs(code[position : position + size]) <= 1).all()
        ends = [
            encode_rules(rules.replace(**{name: jnp.full_like(getattr(rules, name), end)}), CONFIG)
            for end in (low, high)
            if name not in ("start_health", "max_health", "max_food", "max_water", "population_cap")
            and not (name.startswith("start_") and end == high)
        ]
        for got, expected in zip(ends, (-1, 1), strict=False):
            np.testing.assert_allclose(got[position : position + size], expected, rtol=1e-6)
            rest = np.delete(np.asarray(got), range(position, position + size))
            np.testing.assert_allclose(rest, np.delete(np.asarray(code), range(position, position + size)), rtol=1e-5)
        position += size
    assert position == NUM_RULES
    assert len(set(np.asarray(jax.vmap(lambda n: encode(rules.replace(forage_amount=n))[6])(jnp.arange(9))))) == 9


def test_rules_as_an_input_change_what_is_done():
    made, params, apply = network(rules_input=True)
    obs = jax.tree.map(lambda leaf: np.asarray(leaf), observed()[0])
    codes = [encode_rules(ENV.rules.replace(forage_amount=n), CONFIG) for n in (5, 25)]
    inputs = [split(inputs_of(obs, code), POPULATIONS) for code in codes]
    assert inputs[0].rules.shape == (POPULATIONS, CONFIG.num_agents // POPULATIONS, NUM_RULES)
    several = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), obs)
    np.testing.assert_array_equal(inputs_of(several, jnp.stack(codes)).rules[:, 0], np.stack(codes))
    few, many = (apply(params, each, ())[0] for each in inputs)
    assert (np.abs(few["value"] - many["value"]) > 1e-5).all()
    with pytest.raises(ValueError, match=r"inputs.rules=None"):
        made.apply(params, inputs[0]._replace(rules=None), ())
    _, params, apply = network()  # one that does not read them
    assert_close(*(apply(params, each, ()) for each in inputs))


@functools.cache
def observed():
    realm = random_realm(np.random.default_rng(11), CONFIG, ENV.rules)
    return jax.jit(ENV.observe)(realm), realm


@pytest.mark.parametrize("options", [{}, {"auto_target": True}])
def test_a_policy_does_what_the_masks_allow(options):
    _, act = make_policy(CONFIG, options=NetworkOptions(hidden=16, **options))
    obs, realm = observed()
    action = jax.jit(act)(network(**options)[1], jax.random.key(1), obs, realm)
    for agent in np.flatnonzero(realm.agents.alive):
        mask = one(obs.mask, agent)
        assert mask["move"][action.move[agent]]
        position = np.flatnonzero(obs.visible_slot[agent] == action.target[agent])[0]
        assert mask["target"][action.style[agent], position]


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


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("hidden", 2, "from 4"),
        ("hidden", 64.0, "whole numbers"),
        ("core", "lstm", "none, gru"),
        ("shared_weights", 1, "True and False"),
        ("auto_target", "yes", "True and False"),
    ],
)
def test_bad_options_are_refused_by_name(field, value, allowed):
    with pytest.raises(ValueError, match=f"{field}={value!r}: .*{allowed}"):
        NetworkOptions(**{field: value})


def test_options_that_a_network_does_not_have_are_refused_by_name():
    with pytest.raises(ValueError, match="core='gru': must be 'none' for network='classic'"):
        make_network(CONFIG, "classic", NetworkOptions(core="gru"))
    with pytest.raises(ValueError, match="rules_input=True: must be False for network='classic'"):
        make_network(CONFIG, "classic", NetworkOptions(rules_input=True))
    with pytest.raises(ValueError, match="core='gru'"):
        make_policy(CONFIG, options=NetworkOptions(core="gru"))
