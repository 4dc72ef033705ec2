"""The same world under any setting of JAX: what is drawn, and the types and axes of what is computed."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import KEY, SMALL, small
from watched import MANNERS

from nmmo_jax import Action, Config, Environment, MapPool, Rules, digest, fold_living, make, vectorize
from nmmo_jax.draws import bits, fold_in, for_jax, split
from nmmo_jax.policies.scripted import BY_AGENT, POLICIES, offered
from nmmo_jax.policies.workers import worker
from nmmo_jax.presets import PRESETS
from train.examples.own_network import Own
from train.loop import make_train
from train.policy import load_policy
from train.settings import experiment
from train.trinity import Trinity

WORLDS = {
    "plain": SMALL,
    "sequential": Config(16, 4, 20, 18, 5, 4, 2, resolution="sequential", events=64, ledger=True, visits=True),
    "free": Config(16, 4, 20, 18, 5, 4, 2, layout="free", reproduction=True, events=64, ledger=True, max_lifetime=9),
    "crowd": Config(512, 4, 20, 18, 5, 4, 2),
    "systems": Config(16, 4, 20, 18, 5, 4, 2, systems=(MANNERS,)),
    "roles": Config(16, 4, 20, 18, 5, 4, 2, events=64, ledger=True, systems=PRESETS["mmo"]["systems"]),
    "crowded roles": Config(512, 4, 20, 18, 5, 4, 2, resolution="sequential", systems=PRESETS["mmo1024"]["systems"]),
}
STRICT = (
    lambda: jax.enable_x64(True),
    lambda: jax.numpy_dtype_promotion("strict"),
    lambda: jax.numpy_rank_promotion("raise"),
)


@pytest.mark.slow
def test_draws_are_those_of_jax():
    """Of its defaults, which are what the tests run with."""
    for shape in ((), (3,), (4, 5)):
        for dtype in (jnp.uint8, jnp.uint16, jnp.uint32):
            np.testing.assert_array_equal(bits(KEY, shape, dtype), jax.random.bits(KEY, shape, dtype))
    keys, theirs = split(KEY, 3), jax.random.split(KEY, 3)
    np.testing.assert_array_equal(jax.random.key_data(keys), jax.random.key_data(theirs))
    np.testing.assert_array_equal(jax.random.normal(for_jax(KEY), (7, 3)), jax.random.normal(KEY, (7, 3)))


@pytest.mark.slow
def test_draws_in_64_bits_are_those_of_jax():
    with jax.enable_x64(True):
        for drawn in (
            lambda key: jax.random.bits(key, (5,), jnp.uint64),
            lambda key: jax.random.uniform(key, (5,), jnp.float64),
            lambda key: jax.random.normal(key, (3, 2), jnp.float64),
            lambda key: jax.random.randint(key, (7,), 0, 10**12, jnp.int64),
            lambda key: jax.random.bernoulli(key, 0.3, (9,)),
        ):
            np.testing.assert_array_equal(drawn(for_jax(KEY)), drawn(KEY))


def program(function, *args):
    return jax.jit(lambda *args: function(*args)).lower(*args).as_text()


def drawing():
    """What draws, by name: a function and its arguments."""
    env = small()
    obs, realm = jax.eval_shape(env.reset, KEY)
    yield "reset", lambda key: env.reset(key, initial_population=4), (KEY,)
    yield "step", env.step, (KEY, realm, Action())
    yield "pool", lambda key: MapPool.generated(key, 2, SMALL).sample(key, (3,)), (KEY,)
    for name, policy in POLICIES.items():
        yield name, policy, (KEY, obs, realm)
    for name, trinity in {"default": Trinity(), "classic": Trinity(), "own": Trinity(sword=Own)}.items():
        network = {"network": "classic"} if name == "classic" else {}
        trained = experiment("law16", **network, rows=24, columns=24)
        yield f"{name} network", trinity.sword(trained).init, (KEY,)


@pytest.mark.slow
def test_programs_do_not_depend_on_how_jax_draws():
    with jax.threefry_partitionable(False):
        other = {name: program(function, *args) for name, function, args in drawing()}
        plain = program(lambda key: jax.random.bits(key, (8,)), KEY)
    assert plain != program(lambda key: jax.random.bits(key, (8,)), KEY), "the setting makes no difference any more"
    for name, function, args in drawing():
        assert other[name] == program(function, *args), name


def test_keys_of_another_kind_begin_the_same_world():
    data = jax.random.key_data(fold_in(jax.random.key(3), 5))
    for impl in ("rbg", "unsafe_rbg"):
        with jax.default_prng_impl(impl):
            np.testing.assert_array_equal(jax.random.key_data(fold_in(jax.random.key(3), 5)), data)
            np.testing.assert_array_equal(jax.random.key_data(fold_in(jax.random.PRNGKey(3), 5)), data)


def shapes(config):
    """Shapes and types of all that a world gives, and, of those that differ in that, of what policies choose."""
    env = Environment(config)
    obs, realm = jax.eval_shape(lambda key: env.reset(key, initial_population=4), KEY)
    action = Action(*[jax.ShapeDtypeStruct((config.num_agents,), jnp.int32)] * 3)
    result = jax.eval_shape(env.step, KEY, realm, action)
    several = jax.eval_shape(vectorize(env, 2).reset, KEY) if config == SMALL else ()
    players = POLICIES if config in (SMALL, WORLDS["crowd"]) else {}
    chosen = {name: jax.eval_shape(policy, KEY, obs, realm) for name, policy in players.items()}
    if {"items", "monsters"} <= {system.name for system in config.systems}:
        trade = jax.ShapeDtypeStruct((config.num_agents,), jnp.int32)
        chosen["worker"] = jax.eval_shape(lambda trade, obs: worker(trade, KEY, obs, config), trade, obs)
        chosen["offered"] = jax.eval_shape(lambda obs: offered(KEY, obs, config), obs)
    of_the_living = jax.eval_shape(functools.partial(in_blocks, vectorize(env, 2)), several[1]) if several else ()
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (obs, realm, result, several, chosen, of_the_living))


def in_blocks(many, realms):
    """What the living choose, in blocks, by every policy that goes by agent."""
    keys = split(KEY, 2)
    nothing = Action(*[jnp.zeros(realms.agents.alive.shape, jnp.int32)] * 3)

    def act(actions, obs, who):
        return {n: who.put(a, POLICIES[n](keys[who.realm], obs, realms)) for n, a in actions.items()}

    return fold_living(many, realms, act, dict.fromkeys(sorted(BY_AGENT), nothing), block=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_types_and_axes_are_named(name):
    usual = shapes(WORLDS[name])
    with contextlib.ExitStack() as settings:
        for setting in STRICT:
            settings.enter_context(setting())
        assert shapes(WORLDS[name]) == usual


@pytest.mark.slow
def test_the_same_world_in_64_bits():
    env = small()

    def play(key):
        def tick(realm, _):
            _, realm, *_ = env.step(key, realm, Action(move=realm.agents.uid % 5, target=realm.agents.uid % 7))
            return realm, digest(realm)

        return jax.lax.scan(tick, env.reset(key, initial_population=8)[1], length=8)[1]

    usual = jax.jit(play)(KEY)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(jax.jit(lambda key: play(key))(KEY), usual)


@pytest.mark.slow
def test_training_and_trained_policies_in_64_bits():
    def types():
        trained = experiment(
            "law16", realms=4, groups=2, ticks=4, minibatch=64, rows=24, columns=24, core="gru", horizon=9,
            rules_input=True,
        )  # fmt: skip
        train = make_train(trained, devices=jax.devices()[:1])
        state = jax.eval_shape(train.init, KEY)
        policy, many = load_policy("law128"), vectorize(make("law"), 2)
        obs, realm = jax.eval_shape(many.reset, KEY)
        keys = jax.eval_shape(lambda: split(KEY, 2))
        action = jax.eval_shape(policy.act, policy.params, keys, obs, realm, policy.initial(2))
        after = jax.eval_shape(lambda state: train.run(state, 1), state)
        return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), (state, after, policy.params, action))

    usual = types()
    with jax.enable_x64(True):
        assert types() == usual


@pytest.fixture(scope="module")
def begun():
    env, rules = small(), Rules(regrowth_probability=0.5)
    return jax.jit(lambda key: env.reset(key, rules, initial_population=12))(KEY)


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_scripted_policies_without_jit(name, begun):
    obs, realm = begun
    usual = jax.jit(POLICIES[name])(KEY, obs, realm)
    with jax.disable_jit():
        plain = POLICIES[name](KEY, obs, realm)
    jax.tree.map(np.testing.assert_array_equal, plain, usual)
