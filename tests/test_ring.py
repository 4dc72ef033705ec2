"""A ring of observations: what is in it, and that play with it is play without."""

import functools

import chex
import jax
import jax.numpy as jnp
import pytest

import nmmo_jax as nmmo
from nmmo_jax.policies.scripted import random

TICKS, REALMS = 5, 3
WORLDS = nmmo.vectorize(nmmo.make("law", num_agents=8, num_populations=2, rows=24, columns=24), REALMS)
KEY = jax.random.key(0)


def tick(obs, realms):
    keys = jax.vmap(jax.random.fold_in)(jax.random.split(jax.random.key(1), REALMS), realms.tick)
    obs, realms, reward, *_ = WORLDS.step(KEY, realms, jax.vmap(random)(keys, obs, obs.mask))
    return obs, realms, reward


@functools.partial(jax.jit, donate_argnums=(0, 1))
def play(ring, realms):
    return nmmo.unroll(tick, ring, realms)


def test_a_ring_has_what_each_tick_saw():
    obs, realms = WORLDS.reset(KEY, initial_population=4)
    ring, kept, once = nmmo.make_ring(obs, TICKS), realms, jax.jit(tick)
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[-1], ring), obs)
    ring, realms, rewards = play(ring, jax.tree.map(jnp.copy, kept))
    seen, told = [obs], []
    for _ in range(2 * TICKS):
        obs, kept, reward = once(obs, kept)
        seen.append(obs)
        told.append(reward)
    stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)  # noqa: E731
    chex.assert_trees_all_equal(ring, stack(seen[: TICKS + 1]))
    chex.assert_trees_all_equal(rewards, stack(told[:TICKS]))
    ring, realms, rewards = play(ring, realms)
    chex.assert_trees_all_equal(ring, stack(seen[TICKS:]))
    chex.assert_trees_all_equal((realms, rewards), (kept, stack(told[TICKS:])))


def test_what_is_no_number_of_ticks_is_refused():
    with pytest.raises(ValueError, match="ticks=0"):
        nmmo.make_ring(jnp.zeros(3), 0)
