"""The options of all networks: a core, automatic targets, rules as an input."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sights import CONFIG, ENV, POPULATIONS, VISIBLE, one, random_inputs, random_masks
from test_default_network import assert_close, network
from worlds import random_realm

import train.default
import train.distributions
from nmmo_jax import actions
from nmmo_jax.goals import with_steps
from nmmo_jax.observations import FEATURES, NUM_FEATURES
from nmmo_jax.rules import RULE_FIELDS
from train.distributions import entropy, log_prob, sample
from train.inputs import ENCODED_RULES, NUM_RULES, encode_rules, inputs_of, merge, split
from train.networks import (
    NetworkOptions,
    clear,
    make_network,
    make_policy,
    weakest,
)
from train.settings import Settings, changed, experiment


@pytest.mark.parametrize("core", ["gru", "mingru"])
def test_a_core_carries_and_clears(core):
    made, params, apply = network(core=core)
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

    # A piece of three ticks, at whose second some are new, is those ticks one after another.
    ticks = [random_inputs(seed=seed) for seed in range(3)]
    for tick, new in zip(ticks, (np.zeros_like(fresh), fresh, np.zeros_like(fresh)), strict=True):
        tick.self[..., list(FEATURES).index("age")] = np.where(new, 0, 1 + tick.self[..., 0])
    state, each = start + 0.5, []
    for tick, new in zip(ticks, (np.zeros_like(fresh), fresh, np.zeros_like(fresh)), strict=True):
        outputs, state = apply(params, tick, clear(state, new))
        each.append(outputs)
    piece, after = apply(params, jax.tree.map(lambda *leaves: np.stack(leaves, axis=2), *ticks), start + 0.5)
    assert_close(piece, jax.tree.map(lambda *leaves: np.stack(leaves, axis=2), *each))
    assert_close(after, state)


@pytest.mark.slow
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


@pytest.mark.slow
def test_rules_as_an_input_change_what_is_done():
    made, params, apply = network(rules_input=True)
    obs = jax.tree.map(lambda leaf: np.asarray(leaf), with_steps(observed()[0], CONFIG))
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


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("hidden", 2, "from 4"),
        ("hidden", 64.0, "whole numbers"),
        ("core", "lstm", "'none', 'gru', 'mingru'"),
        ("near", -1, "from 0"),
        ("precision", "float16", "'auto', 'float32', 'bfloat16'"),
        ("steps_input", "yes", "True and False"),
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
    with pytest.raises(ValueError, match="precision='bfloat16': must be 'auto' for network='classic'"):
        make_network(CONFIG, "classic", NetworkOptions(precision="bfloat16"))
    with pytest.raises(ValueError, match="core='gru'"):
        make_policy(CONFIG, options=NetworkOptions(core="gru"))


def test_options_go_by_their_own_names():
    for make in (
        lambda options: experiment("law16", options=options),
        lambda options: changed(experiment("law16"), {"options": options}),
    ):
        with pytest.raises(ValueError, match=r"options=.*each of its fields goes by its own name"):
            make(NetworkOptions(hidden=256))
    with pytest.raises(ValueError, match=r"network='clasic': allowed are .*did you mean classic"):
        Settings(network="clasic")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"network=\['default'\]: allowed are"):
        experiment("law16", network=["default"])
