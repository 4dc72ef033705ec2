"""The living in blocks: each once, in order, seeing what ``observe`` shows them; and play with them is play without."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmo_jax as nmmo
from nmmo_jax import Config
from nmmo_jax.draws import fold_in
from nmmo_jax.neighbours import MOST_IN_PAIRS
from nmmo_jax.policies.scripted import BY_AGENT, POLICIES, play
from tests.worlds import random_realm

REALMS = 5
MOOD = nmmo.System("mood", observe=(nmmo.Leaf("mood", lambda world: world.place % 3, high=2),))
WORLDS = {  # configuration, rows of a block
    "one word": (Config(num_agents=16, num_populations=4, rows=20, columns=18, view=5, num_visible=4), 7),
    "odd": (Config(num_agents=40, num_populations=1, rows=24, columns=30, view=7, num_visible=16), 64),
    "one block": (Config(num_agents=96, num_populations=8, rows=40, columns=40), 10_000),
    "crowd": (Config(num_agents=288, num_populations=1, rows=40, columns=40, view=9, num_visible=6), 100),
    "system": (
        Config(num_agents=16, num_populations=2, rows=20, columns=20, systems=(MOOD,)),
        16,
    ),
}


def stacked(rng, config):
    """Realms with nobody in the first, and all kinds of fullness in the others."""
    rules = nmmo.Environment(config).rules
    realms = [random_realm(rng, config, rules) for _ in range(REALMS)]
    first = realms[0]
    realms[0] = first.replace(agents=first.agents.replace(alive=jnp.zeros_like(first.agents.alive)))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *realms)


@functools.cache
def compiled(name):
    config, block = WORLDS[name]
    many = nmmo.vectorize(nmmo.Environment(config), REALMS)

    @jax.jit
    def both(realms, rules):
        whole = many.observe(realms, rules)
        kept = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), whole)
        most = nmmo.most_living(many, block)
        kept = jax.tree.map(lambda leaf: jnp.full((most, *leaf.shape[1:]), 99).astype(leaf.dtype), kept)
        whose, calls = jnp.full((most, 3), -1), jnp.zeros((), jnp.int32)
        count = jnp.zeros(realms.agents.alive.shape, jnp.int32)

        def one(carry, obs, who):
            kept, whose, count, calls = carry
            rows = jnp.stack([who.realm, who.slot, who.there], axis=-1)
            new = who.put(count, who.of(count) + 1)
            return who.write(kept, obs), who.write(whose, rows), new, calls + 1

        return whole, *nmmo.fold_living(many, realms, one, (kept, whose, count, calls), rules, block)

    return config, both


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_each_of_the_living_is_shown_once_what_it_sees(name):
    config, both = compiled(name)
    rng, full = np.random.default_rng(3), 0
    for index in range(4):
        realms = stacked(rng, config)
        reach = rng.integers(0, 4, (REALMS, 3))
        rules = nmmo.Environment(config).rules.replace(attack_range=reach, immunity_ticks=rng.integers(0, 30, REALMS))
        if index == 3:  # all places of the last two realms, where there is room
            alive = realms.agents.alive.at[3:].set(realms.agents.row[3:] >= 0)
            realms = realms.replace(agents=realms.agents.replace(alive=alive))
        whole, kept, whose, count, calls = both(realms, rules)
        alive = np.asarray(realms.agents.alive)
        realm, slot = np.nonzero(alive)
        number = len(realm)
        full += number * 4 >= alive.size
        order = np.lexsort(np.asarray(whose)[:number, 1::-1].T)
        crowd = config.num_agents > MOST_IN_PAIRS  # of whom those who stand near each other come one after another
        assert crowd != (order == np.arange(number)).all()
        np.testing.assert_array_equal(whose[order], np.stack([realm, slot, np.ones(number, int)], axis=-1))
        assert not np.any(np.asarray(whose)[number:, 2] == 1)
        np.testing.assert_array_equal(count, alive)
        assert calls == -(-number // min(WORLDS[name][1], alive.size))
        chex.assert_trees_all_equal(
            jax.tree.map(lambda leaf, order=order: leaf[order], kept),
            jax.tree.map(lambda leaf, realm=realm, slot=slot: leaf[realm, slot], whole),
        )
    assert full  # and not only few


@pytest.mark.slow
def test_few_and_many_are_looked_for_in_both_ways():
    config, both = compiled("odd")
    rng = np.random.default_rng(5)
    realms = stacked(rng, config)
    for share in (0.05, 0.2, 0.3, 1.0):
        alive = jnp.asarray(rng.random(realms.agents.alive.shape) < share) & (realms.agents.row >= 0)
        some = realms.replace(agents=realms.agents.replace(alive=alive))
        whole, kept, *_ = both(some, nmmo.Environment(config).rules)
        realm, slot = np.nonzero(np.asarray(alive))
        seen = jax.tree.map(lambda leaf, realm=realm, slot=slot: leaf[realm, slot], whole)
        chex.assert_trees_all_equal(jax.tree.map(lambda leaf, realm=realm: leaf[: len(realm)], kept), seen)


LAW = nmmo.make("law", num_agents=32, num_populations=2, rows=32, columns=32)


@functools.cache
def players():
    many = nmmo.vectorize(LAW, REALMS)
    policies = {name: POLICIES[name] for name in sorted(BY_AGENT)} | {"both": play(("forager", "random"))}

    @jax.jit
    def run(realms):
        keys = jax.vmap(fold_in, (None, 0))(jax.random.key(5), jnp.arange(REALMS))
        obs = many.observe(realms)
        whole = {name: jax.vmap(one)(keys, obs, realms) for name, one in policies.items()}

        def act(actions, obs, who):
            realm = realms.replace(agents=who.of(realms.agents))
            return who.put(actions, {name: one(keys[who.realm], obs, realm) for name, one in policies.items()})

        return whole, nmmo.fold_living(many, realms, act, jax.tree.map(jnp.zeros_like, whole), block=50)

    return many, run


@pytest.mark.slow
def test_scripts_do_in_blocks_what_they_do_in_realms():
    many, run = players()
    _, realms = many.reset(jax.random.key(2), initial_population=24)
    whole, blocks = run(realms)
    there = realms.agents.alive
    assert there.sum() > 60
    for name in whole:
        same = jax.tree.map(lambda a, b: jnp.where(there, a == b, True).all(), whole[name], blocks[name])
        assert all(jax.tree.leaves(same)), name


def test_play_is_the_same():
    many = nmmo.vectorize(LAW, REALMS)
    key, play_key = jax.random.key(1), jax.random.key(8)

    def keys(realms):
        return jax.vmap(fold_in, (None, 0))(play_key, realms.tick)

    @jax.jit
    def plain(realms):
        def tick(realms, _):
            obs = many.observe(realms)
            _, realms, reward, *_ = many.step(key, realms, jax.vmap(POLICIES["random"])(keys(realms), obs, realms))
            return realms, reward

        return jax.lax.scan(tick, realms, length=20)

    @jax.jit
    def blocks(realms):
        nothing = nmmo.Action(*[jnp.zeros((REALMS, 32), jnp.int32)] * 3)  # pyright: ignore[reportArgumentType]

        def tick(realms, _):
            now = keys(realms)

            def act(action, obs, who):
                return who.put(action, POLICIES["random"](now[who.realm], obs, realms))

            action = nmmo.fold_living(many, realms, act, nothing, block=16)
            _, realms, reward, *_ = many.step(key, realms, action)
            return realms, reward

        return jax.lax.scan(tick, realms, length=20)

    _, realms = many.reset(key, initial_population=8)
    chex.assert_trees_all_equal(plain(realms), blocks(realms))


@pytest.mark.slow
def test_episodes_are_realms_too():
    env = nmmo.make("law", num_agents=16, num_populations=2, rows=24, columns=24, horizon=8)
    many = nmmo.vectorize(nmmo.autoreset(env, initial_population=6), 2)
    obs, episodes = jax.jit(many.reset)(jax.random.key(0))
    kept = jax.tree.map(jnp.zeros_like, obs)
    back = jax.jit(lambda e, k: nmmo.fold_living(many, e, lambda kept, obs, who: who.put(kept, obs), k))(episodes, kept)
    alive = episodes.realm.agents.alive
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[alive], back), jax.tree.map(lambda x: x[alive], obs))


def test_bad_input_is_refused():
    many = nmmo.vectorize(LAW, REALMS)
    with pytest.raises(ValueError, match="block=0"):
        nmmo.fold_living(many, None, lambda carry, obs, who: carry, (), block=0)
    with pytest.raises(ValueError, match="many: Environment: must be many realms"):
        nmmo.fold_living(LAW, None, lambda carry, obs, who: carry, ())  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="realm: NoneType"):
        nmmo.fold_living(many, None, lambda carry, obs, who: carry, ())
