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


@jax.jit
def stack(obs, realms):
    """What a scan over two calls' ticks shows and tells."""

    def one(state, _):
        obs, realms, told = tick(*state)
        return (obs, realms), (obs, told)

    (_, realms), (seen, told) = jax.lax.scan(one, (obs, realms), length=2 * TICKS)
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), obs, seen), told, realms


@pytest.mark.slow
def test_a_ring_has_what_each_tick_saw():
    obs, realms = jax.jit(WORLDS.reset, static_argnames="initial_population")(KEY, initial_population=4)
    seen, told, last = stack(obs, realms)
    ring = nmmo.make_ring(obs, TICKS)
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[-1], ring), obs)
    for part in (slice(0, TICKS), slice(TICKS, 2 * TICKS)):
        ring, realms, rewards = play(ring, realms)
        chex.assert_trees_all_equal(ring, jax.tree.map(lambda leaf, part=part: leaf[part.start : part.stop + 1], seen))
        chex.assert_trees_all_equal(rewards, told[part])
    chex.assert_trees_all_equal(realms, last)
    assert told.sum() > 0


def test_what_is_no_number_of_ticks_is_refused():
    with pytest.raises(ValueError, match="ticks=0"):
        nmmo.make_ring(jnp.zeros(3), 0)


def test_what_is_no_ring_or_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"ring: its arrays have \[\(1,\)\] rows"):
        nmmo.unroll(lambda obs, carry: (obs, carry, None), jnp.zeros((1, 3)), 0)
    with pytest.raises(ValueError, match=r"tick: gave observations .*2\].*: must be as those of the ring, .*3\]"):
        nmmo.unroll(lambda obs, carry: (obs[1:], carry, None), nmmo.make_ring(jnp.zeros(3), 2), 0)
