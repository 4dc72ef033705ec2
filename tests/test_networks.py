"""The networks against an obvious NumPy computation from the same parameters, and policies made of them."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sights import CONFIG, ENV, POPULATIONS, VISIBLE, one, random_inputs, random_masks
from worlds import random_realm

import nmmo_jax
import train.classic
import train.distributions
from nmmo_jax import actions
from nmmo_jax.observations import FEATURES, NUM_FEATURES
from train.distributions import entropy, log_prob, sample
from train.inputs import centre, inputs_of, max_layer, merge, split
from train.networks import make_network, make_policy, per_population

NETWORK = make_network(CONFIG, "classic")
PARAMS = jax.jit(NETWORK.init)(jax.random.key(3))
_APPLY = jax.jit(NETWORK.apply, static_argnums=3)


def APPLY(params, inputs, value=True):
    return _APPLY(params, inputs, (), value)[0]


def plain_centre(x: np.ndarray) -> np.ndarray:
    columns = []
    for index, name in enumerate(FEATURES):
        most = {"age": 100, "health": 10, "food": 32, "water": 32, "row": 27, "col": 24, "damage": 5, "freeze": 2}.get(
            name
        )
        value = x[..., index].astype(np.float64)
        if most is not None:
            value = (value - most / 2) / most
        if name == "same_population":
            value = np.where(value == 1, 0.5, -0.5)
        columns.append(value)
    return np.stack(columns, axis=-1)


def plain_dense(params, x):
    return x @ params["kernel"] + params["bias"]


def plain_agents(encoder, visible, listed):
    return plain_dense(encoder["agents"], plain_centre(visible))[listed]


def plain_encoder(encoder, tiles, own, visible, listed) -> np.ndarray:
    """One agent's embedding, as published."""
    embedded = np.concatenate([encoder["materials"][tiles[0]], tiles[1][..., None]], axis=-1)
    from_tiles = plain_dense(encoder["tiles"], embedded.reshape(-1))
    from_self = plain_dense(encoder["self"], plain_centre(own))
    from_agents = plain_agents(encoder, visible, listed).max(axis=0)
    return plain_dense(encoder["mix"], np.concatenate([from_tiles, from_self, from_agents]))


def plain_network(params, tiles, own, visible, listed) -> dict[str, np.ndarray]:
    value, move, attack = (params[f"{name}_encoder"] for name in ("value", "move", "attack"))
    embedding = plain_encoder(attack, tiles, own, visible, listed)
    return {
        "value": plain_dense(value["value"], plain_encoder(value, tiles, own, visible, listed)),
        "move": plain_dense(move["move"], plain_encoder(move, tiles, own, visible, listed)),
        "style": plain_dense(attack["style"], embedding),
        "target": plain_agents(attack, visible, listed) @ embedding,
    }


def test_the_network_equals_the_plain_computation():
    inputs = random_inputs()
    outputs = APPLY(PARAMS, inputs)
    for population, agent in itertools.product(range(POPULATIONS), range(6)):
        seen = one(inputs, (population, agent))
        expected = plain_network(jax.tree.map(np.float64, one(PARAMS, population)), *seen[:4])
        got = one(outputs, (population, agent))
        got["target"] = got["target"][seen.listed]
        for name, value in expected.items():
            np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_outputs_follow_the_declaration_and_the_value_is_left_out_where_it_is_not_asked_for():
    inputs = random_inputs()
    outputs, acting = APPLY(PARAMS, inputs), APPLY(PARAMS, inputs, False)
    shapes = {"value": (3, 6, 1), "move": (3, 6, 5), "style": (3, 6, 3), "target": (3, 6, VISIBLE)}
    assert {name: output.shape for name, output in outputs.items()} == shapes
    assert {output.dtype for output in outputs.values()} == {jnp.dtype(jnp.float32)}
    assert set(acting) == set(outputs) - {"value"}
    for name, logits in acting.items():
        np.testing.assert_allclose(logits, outputs[name], rtol=1e-4, atol=1e-4)


def test_a_new_argument_gets_an_output_of_its_own(monkeypatch):
    def more(config):
        speak = actions.Argument("word", 4, 0, (4,), "what is said")
        return *actions.heads(config), actions.Head("speak", (speak,))

    for module in (train.classic, train.distributions):
        monkeypatch.setattr(module, "heads", more)
    network = make_network(CONFIG, "classic")

    def play(key, inputs, masks):
        params = network.init(key)
        logits = merge(network.apply(params, inputs, (), False)[0])
        choices = sample(key, jnp.arange(18), logits, masks, CONFIG)
        return params, logits, choices, log_prob(choices, logits, masks, CONFIG) + entropy(logits, masks, CONFIG)

    masks = random_masks(18) | {"word": np.ones((18, 4), bool)}
    params, logits, choices, numbers = jax.eval_shape(play, jax.random.key(0), random_inputs(), masks)
    assert params["speak_encoder"]["choose_word"]["kernel"].shape == (POPULATIONS, 32, 4)
    assert logits["word"].shape == (18, 4)
    assert choices["word"].shape == numbers.shape == (18,)


@pytest.mark.slow
def test_populations_share_no_weights():
    assert {leaf.shape[0] for leaf in jax.tree.leaves(PARAMS)} == {POPULATIONS}
    assert all((leaf[0] != leaf[1]).any() for leaf in jax.tree.leaves(PARAMS))
    inputs = random_inputs()
    other = jax.tree.map(lambda leaf: leaf.at[1].add(0.1), PARAMS)
    before, after = APPLY(PARAMS, inputs), APPLY(other, inputs)
    for name in before:
        same = (before[name] == after[name]).all(axis=(1, 2))
        np.testing.assert_array_equal(same, [True, False, True])


def test_populations_in_turn_equal_populations_at_once():
    def function(params, x):
        return x @ params

    params, x = jax.random.normal(jax.random.key(0), (2, 3, 4, 4))
    np.testing.assert_allclose(per_population(function, params, x), jax.vmap(function)(params, x), rtol=1e-5, atol=1e-6)


def test_the_order_of_the_visible_does_not_matter_nor_what_is_not_listed():
    inputs = random_inputs()
    junk = inputs._replace(visible=np.where(inputs.listed[..., None], inputs.visible, 99).astype(np.int16))
    before, after = APPLY(PARAMS, inputs), APPLY(PARAMS, junk)
    for name in ("value", "move", "style"):
        np.testing.assert_array_equal(before[name], after[name])
    full = inputs._replace(listed=np.ones_like(inputs.listed))
    order = np.array([0, 3, 1, 4, 2])
    before, after = APPLY(PARAMS, full), APPLY(PARAMS, full._replace(visible=full.visible[..., order, :]))
    for name in ("value", "move", "style"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after["target"], before["target"][..., order], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_gradients_are_finite_and_reach_every_weight():
    inputs, masks = random_inputs(), random_masks(18)
    choices = {name: np.zeros(18, int) for name in masks}

    def loss(params):
        outputs = merge(NETWORK.apply(params, inputs, ())[0])
        value = outputs.pop("value")
        terms = log_prob(choices, outputs, masks, CONFIG) + entropy(outputs, masks, CONFIG, 1e-3)
        return terms.sum() + (value**2).sum()

    gradient = jax.jit(jax.grad(loss))
    for leaf in jax.tree.leaves(gradient(PARAMS)):
        assert np.isfinite(leaf).all()
        assert (leaf != 0).any(axis=tuple(range(1, leaf.ndim))).all()
    hot = jax.tree.map(lambda leaf: 100 * leaf, PARAMS)  # probabilities that underflow
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(hot)))


def test_the_gradient_of_a_maximum_is_that_of_max():
    rng = np.random.default_rng(0)
    visible = jnp.asarray(random_inputs().visible[0])  # [6, V, F]
    kernel, weight = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((NUM_FEATURES, 8), (6, 8)))

    def plain(kernel):
        return (weight * (centre(visible, CONFIG) @ kernel).max(axis=1)).sum()

    def ours(kernel):
        return (weight * max_layer(visible, kernel, CONFIG)).sum()

    expected, got = jax.jit(jax.value_and_grad(plain))(kernel), jax.jit(jax.value_and_grad(ours))(kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, expected)


@pytest.fixture(scope="module")
def played():
    """Observations and realms, two of them, with empty slots; and the policy."""
    _, act = make_policy(CONFIG, "classic")
    rng, rules = np.random.default_rng(11), ENV.rules
    realm = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(random_realm(rng, CONFIG, rules) for _ in range(2)))
    obs = jax.jit(nmmo_jax.vectorize(ENV, 2).observe)(realm)
    keys = jax.random.split(jax.random.key(2), 2)
    return PARAMS, jax.jit(act), keys, obs, realm


@pytest.mark.slow
def test_a_policy_does_what_the_masks_allow(played):
    params, act, keys, obs, realm = played
    over = jax.jit(jax.vmap(act, in_axes=(None, 0, 0, 0)))
    action = over(params, keys, obs, realm)
    for index in range(2):  # over realms, as one by one
        alone = act(params, keys[index], one(obs, index), one(realm, index))
        jax.tree.map(np.testing.assert_array_equal, one(action, index), alone)
    alive = np.asarray(realm.agents.alive)
    assert alive.any()
    assert not alive.all()
    for index in itertools.product(range(2), range(CONFIG.num_agents)):
        move, style, target = (int(one(action, index).__dict__[name]) for name in ("move", "style", "target"))
        mask, slots = one(obs.mask, index), np.asarray(obs.visible_slot[index])
        assert mask["move"][move]
        assert mask["style"][style]
        if alive[index]:
            assert mask["target"][style, np.flatnonzero(slots == target)[0]]
        else:
            assert (move, style, target) == (0, 0, -1)


@pytest.mark.slow
def test_empty_slots_do_not_matter_and_chance_follows_the_uid(played):
    params, act, keys, obs, realm = played
    obs, realm = one(obs, 0), one(realm, 0)
    action = act(params, keys[0], obs, realm)
    alive = realm.agents.alive

    def scramble(leaf):
        return np.where(alive.reshape(-1, *[1] * (leaf.ndim - 1)), leaf, np.ones_like(leaf))

    after = act(params, keys[0], obs.replace(tiles=scramble(obs.tiles), visible=scramble(obs.visible)), realm)
    assert (action.move == after.move)[alive].all()
    # Within a population's block, slots changed round: everyone does as before.
    order = np.arange(CONFIG.num_agents).reshape(POPULATIONS, -1)[:, ::-1].reshape(-1)
    after = act(params, keys[0], one(obs, order), realm.replace(agents=one(realm.agents, order)))
    for name in ("move", "style", "target"):
        np.testing.assert_array_equal(getattr(after, name), getattr(action, name)[order])


def test_inputs_are_read_as_they_are_stored(played):
    *_, obs, _ = played
    inputs = split(inputs_of(one(obs, 0)), POPULATIONS)
    assert [leaf.dtype for leaf in jax.tree.leaves(inputs)] == [np.uint8, np.int16, np.int16, bool]
    assert {leaf.shape[:2] for leaf in jax.tree.leaves(inputs)} == {(POPULATIONS, CONFIG.num_agents // POPULATIONS)}


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(ValueError, match="network='perceptron': must be one of default, classic"):
        make_network(CONFIG, "perceptron")
    with pytest.raises(ValueError, match="layout='free'"):
        make_policy(dataclasses.replace(CONFIG, layout="free"))
