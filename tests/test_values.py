"""What is compared, copied, donated and counted: environments and rules by value, numbers as Python's own."""

import copy
import dataclasses
import functools
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import GRASS, KEY, SMALL, jit_of, small

from nmmo_jax import Action, Config, Environment, MapPool, Rules, autoreset, draw, make, make_realm, vectorize
from nmmo_jax.components import empty_agents, empty_probes
from nmmo_jax.policies.scripted import POLICIES
from train.networks import NetworkOptions
from train.policy import load_policy
from train.settings import Settings, experiment
from train.trinity import Trinity
from train.vec_env import VecEnv

KEYS = jax.random.split(KEY, 4)


@pytest.mark.slow
def test_a_batch_of_keys_is_refused_wherever_one_is_taken():
    env = small()
    obs, realm = jax.eval_shape(env.reset, KEY)
    many = vectorize(env, 4)
    horizon = autoreset(Environment(dataclasses.replace(SMALL, horizon=4)))
    takers = {
        "reset": env.reset,
        "step": lambda key: env.step(key, realm, Action()),
        "draw": lambda key: draw(key, realm, env.rules, SMALL),
        "many": many.reset,
        "many step": lambda key: many.step(key, jax.eval_shape(many.reset, KEY)[1], Action()),
        "autoreset": horizon.reset,
        "pool": lambda key: MapPool.generated(key, 2, SMALL),
        **{
            name: lambda key, policy=policy: jax.eval_shape(lambda obs, realm: policy(key, obs, realm), obs, realm)
            for name, policy in POLICIES.items()
        },
        "init": Trinity().of(experiment("law16", rows=24, columns=24)).sword.init,
    }
    for name, take in takers.items():
        for bad in (KEYS, jax.random.key_data(KEYS), np.zeros(2, np.int32)):
            with pytest.raises(ValueError, match=r"(key|seed): .*of shape \(.*must be one key"):
                jax.eval_shape(take, bad)
                pytest.fail(name)
    with pytest.raises(ValueError, match=r"keys of shape \(4,\).*vectorize"):
        env.reset(KEYS)
    with pytest.raises(ValueError, match=r"keys of shape \(4,\).*fold_in"):
        many.reset(KEYS)
    with pytest.raises(ValueError, match=r"key=7: must be one key"):
        env.reset(7)
    with pytest.raises(ValueError, match=r"keys: keys of shape \(\): must be keys of shape \(4,\)"):
        policy, worlds = load_policy("law128"), vectorize(make("law"), 4)
        jax.eval_shape(policy.act, policy.params, KEY, *jax.eval_shape(worlds.reset, KEY), policy.initial(4))


def test_a_realm_of_another_configuration_is_refused_by_name():
    env = small()
    obs, realm = jax.eval_shape(env.reset, KEY)
    two = jax.eval_shape(vectorize(env, 2).reset, KEY)[1]
    for change, named in {
        "events": "probes.killer=None.*events=4",
        "visits": "probes.visits=None.*visits=True",
        "num_agents": r"agents.alive: shape .16,.: must be .32,., as num_agents=32",
        "rows": r"tiles.material: shape .20, 18.: must be .24, 18., as rows=24",
    }.items():
        values = {"events": 4, "visits": True, "num_agents": 32, "rows": 24}
        other = Environment(dataclasses.replace(SMALL, **{change: values[change]}))
        with pytest.raises(ValueError, match=named):
            jax.eval_shape(other.step, KEY, realm, Action())
        with pytest.raises(ValueError, match=named):
            jax.eval_shape(other.observe, realm)
        with pytest.raises(ValueError, match=f"{change}="):
            jax.eval_shape(vectorize(other, 2).step, KEY, two, Action())
    with pytest.raises(ValueError, match="vectorize plays many"):
        env.step(KEY, two, Action())
    with pytest.raises(ValueError, match="num_realms=2"):
        vectorize(env, 2).step(KEY, realm, Action())
    with pytest.raises(ValueError, match="Observation: must be a Realm"):
        env.step(KEY, obs, Action())
    policy, worlds = load_policy("law128"), vectorize(Environment(dataclasses.replace(make("law").config, view=9)), 2)
    with pytest.raises(ValueError, match=r"obs.tiles: shape.*view=15"):
        jax.eval_shape(policy.act, policy.params, KEYS[:2], *jax.eval_shape(worlds.reset, KEY), policy.initial(2))


def test_environments_and_rules_are_compared_by_value():
    one, other = make("chaos", start_food=3), make("chaos", start_food=np.int64(3))
    assert one == other
    assert hash(one) == hash(other)
    assert one != make("chaos", start_food=4)
    assert one != Environment(one.config, one.rules, newborn=lambda _word, _room, _realm: 0)
    assert one != make("chaos", start_food=3, num_agents=64)
    assert (one.rules == other.rules) is True
    assert (Rules(start_food=3) == Rules(start_food=jnp.int32(3))) is True
    assert (Rules(start_food=3) == Rules(start_food=jnp.array([3, 3]))) is False
    assert Rules(start_food=3.5) != Rules(start_food=3)
    assert len({one.rules, other.rules, Rules()}) == 2
    assert experiment("law16") == experiment("law16")
    assert vectorize(one, 2) == vectorize(other, 2) != vectorize(other, 3)
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def food(env):
        traces.append(env)
        return env.rules.start_food + 0

    assert food(one) == food(other) == 3
    assert len(traces) == 1
    jax.eval_shape(same_when_traced, one.rules)


def same_when_traced(rules):
    config = make("chaos").config
    assert rules == rules
    assert Environment(config, rules) == Environment(config, rules)
    return rules


@pytest.mark.slow
def test_worlds_and_policies_can_be_pickled_and_copied():
    env = small()
    for one in (env, env.rules, SMALL, experiment("law16"), Trinity(), vectorize(env, 3)):
        assert pickle.loads(pickle.dumps(one)) == one
        assert copy.deepcopy(one) == one
    pool = MapPool.from_maps([GRASS], SMALL)
    jax.tree.map(np.testing.assert_array_equal, pickle.loads(pickle.dumps(pool)), pool)
    policy, worlds = load_policy("law128"), vectorize(make("law"), 2)
    again = pickle.loads(pickle.dumps(policy))
    jax.tree.map(np.testing.assert_array_equal, again.params, policy.params)
    obs, realm = jax.eval_shape(worlds.reset, KEY)
    assert program(policy, obs, realm) == program(again, obs, realm) == program(copy.deepcopy(policy), obs, realm)


def program(policy, obs, realm):
    arguments = policy.params, KEYS[:2], obs, realm, policy.initial(2)
    return jax.jit(lambda *arguments: policy.act(*arguments)).lower(*arguments).as_text()


@pytest.mark.slow
def test_a_pickled_vec_env_goes_on_from_the_same_state():
    env = VecEnv(small(), np.int64(2), seed=np.uint32(5), tiles=GRASS, initial_population=np.int64(4))
    seen = env.reset()
    copies = [env, pickle.loads(pickle.dumps(env))]
    for _ in range(2):
        move = {"move": np.ones(len(seen.uid), int)}
        first, *others = [one.step(move) for one in copies]
        for other in others:
            jax.tree.map(np.testing.assert_array_equal, other, first)
        seen = first[0]


def test_what_is_new_has_buffers_of_its_own():
    reset = jit_of(SMALL)[1]
    tiles = make_realm(SMALL, GRASS).tiles
    loud = dataclasses.replace(SMALL, events=8, visits=True)
    given = {
        "array": (jnp.asarray(GRASS), lambda map_: reset(KEY, None, map_)[1]),
        "tiles": (tiles, lambda tiles: reset(KEY, None, tiles)[1]),
        "not compiled": (tiles, lambda _: (empty_agents(loud), empty_probes(loud))),
        "tick": (jnp.int32(3), lambda tick: make_realm(SMALL, GRASS, tick=tick)),
    }
    for name, (mine, make_new) in given.items():
        pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((mine, make_new(mine)))]
        assert len(set(pointers)) == len(pointers), name
    realm = reset(KEY, None, tiles)[1]
    jax.jit(lambda realm: jax.tree.map(lambda leaf: leaf * leaf, realm), donate_argnums=0)(realm)
    assert not tiles.material.is_deleted()
    assert realm.tiles.material.is_deleted()


@pytest.mark.parametrize("kind", [np.int64, np.int16, np.array, jnp.asarray])
def test_numbers_are_kept_as_pythons_own(kind):
    switch = np.bool_ if kind is not np.array else np.array
    config = Config(num_agents=kind(16), num_populations=kind(4), events=kind(3), horizon=kind(9), visits=switch(True))
    settings = Settings(
        realms=kind(8), learning_rate=np.float32(1e-3), discount=np.array(0.5), sample_cap=switch(False),
        options=NetworkOptions(hidden=kind(32), shared_weights=switch(True)),
    )  # fmt: skip
    for one in (config, settings):
        json.dumps(dataclasses.asdict(one))
    assert type(config.num_agents) is int
    assert type(config.visits) is bool
    assert type(settings.learning_rate) is float
    assert type(vectorize(small(), kind(2)).num_realms) is int
    env = make("chaos", num_agents=kind(16), num_populations=kind(2), start_food=kind(3), spawn_rate=np.float32(0.5))
    assert env == make("chaos", num_agents=16, num_populations=2, start_food=3, spawn_rate=0.5)
    births = kind(3)
    jax.eval_shape(lambda key: small().reset(key, initial_population=births), KEY)


@pytest.mark.parametrize("bad", [np.float64(16), np.array([16]), np.bool_(True), "16", None])
def test_what_is_no_whole_number_is_refused(bad):
    with pytest.raises(ValueError, match="num_agents="):
        Config(num_agents=bad)
    with pytest.raises(ValueError, match="num_realms="):
        vectorize(small(), bad)
    with pytest.raises(ValueError, match="seed="):
        VecEnv(small(), 2, seed=bad)
    with pytest.raises(ValueError, match="realms="):
        Settings(realms=bad)
    with pytest.raises(ValueError, match="initial_population="):
        small().reset(KEY, initial_population=bad)
