"""The spatial index lists whom comparing all pairs lists."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmo_jax
from nmmo_jax import neighbours, observations
from nmmo_jax.components import empty_agents
from nmmo_jax.config import Config
from nmmo_jax.neighbours import find_neighbours
from nmmo_jax.observations import find_in_pairs

SIZES = {"num_populations": 1, "layout": "free"}
SHAPES = {
    "usual": Config(num_agents=300, rows=60, columns=50, **SIZES),
    "sees nothing": Config(num_agents=20, rows=5, columns=6, view=1, num_visible=4, **SIZES),
    "sees everything": Config(num_agents=40, rows=9, columns=300, view=255, num_visible=64, **SIZES),
    "lists nobody": Config(num_agents=33, rows=10, columns=10, num_visible=1, **SIZES),
    "one row": Config(num_agents=64, rows=1, columns=90, view=3, num_visible=3, **SIZES),
    "alone": Config(num_agents=1, rows=3, columns=3, num_visible=2, **SIZES),
    "wide cells": Config(num_agents=520, rows=8192, columns=8192, num_visible=5, **SIZES),
}


def random_agents(config: Config, seed: int, realms: int = 4):
    """Agents of several realms: few and many, spread out and in crowds; who observes; how far is near."""
    rng = np.random.default_rng(seed)
    shape = (realms, config.num_agents)
    corner = rng.integers(0, [config.rows, config.columns], (realms, 2))
    spread = np.array([1, 8, 40, 10_000])[np.arange(realms) % 4]
    row, col = (
        np.minimum(corner[:, axis, None] + rng.integers(0, spread[:, None], shape), size - 1)
        for axis, size in enumerate((config.rows, config.columns))
    )
    alive = rng.random(shape) < rng.random((realms, 1)) ** 0.3
    agents = jax.vmap(lambda _: empty_agents(config))(jnp.arange(realms))
    agents = agents.replace(alive=jnp.asarray(alive), row=jnp.asarray(row, jnp.int16), col=jnp.asarray(col, jnp.int16))
    observer = alive | (rng.random(shape) < 0.1)  # who was just truncated still looks
    return agents, jnp.asarray(observer), jnp.asarray(rng.integers(0, 9, realms), jnp.int32)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_all_pairs(shape):
    config = SHAPES[shape]
    indexed = jax.jit(jax.vmap(lambda *args: find_neighbours(*args, config)))
    in_pairs = jax.jit(jax.vmap(lambda *args: find_in_pairs(*args, config)))
    listed = 0
    for seed in range(4 if shape == "wide cells" else 10):  # of a million cells, which are slow to look through
        world = random_agents(config, seed)
        found = indexed(*world)
        np.testing.assert_array_equal(found, in_pairs(*world))
        listed += int((found >= 0).sum())
    assert listed or shape in ("lists nobody", "alone")


@pytest.mark.parametrize(("name", "value"), [("_WORD", 0), ("_AT_ONCE", 1), ("_AT_ONCE", 5)])
def test_words_that_do_not_fit_and_runs_that_are_longer(monkeypatch, name, value):
    """Place and slot in words of their own; most observers among those whose runs are read on."""
    monkeypatch.setattr(neighbours, name, value)
    neighbours._searcher.cache_clear()
    config = dataclasses.replace(SHAPES["usual"], num_visible=7)
    indexed = jax.jit(jax.vmap(lambda *args: find_neighbours(*args, config)))
    in_pairs = jax.jit(jax.vmap(lambda *args: find_in_pairs(*args, config)))
    for seed in range(4):
        world = random_agents(config, seed)
        np.testing.assert_array_equal(indexed(*world), in_pairs(*world))
    neighbours._searcher.cache_clear()


@pytest.mark.slow
def test_realms_and_nested_realms_and_single_ones_agree():
    config = SHAPES["usual"]
    world = random_agents(config, seed=3)

    def find(*args):
        return find_neighbours(*args, config)

    one, each = jax.jit(find), jax.jit(jax.vmap(find))
    many = each(*world)
    halves = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), world)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.vmap(find)))(*halves).reshape(many.shape), many)
    for realm in range(4):
        np.testing.assert_array_equal(one(*jax.tree.map(lambda x, realm=realm: x[realm], world)), many[realm])
    shared = jax.jit(jax.vmap(find, in_axes=(0, 0, None)))(world[0], world[1], 2)
    np.testing.assert_array_equal(shared, each(world[0], world[1], jnp.full(4, 2, jnp.int32)))


@pytest.mark.slow
def test_a_large_realm_is_observed_through_the_index(monkeypatch):
    """All of an observation, final rows included, against the same by pairs."""
    env = nmmo_jax.make("chaos", num_agents=512, rows=70, columns=70, border=4, max_spawns=64, max_lifetime=6)
    assert env.config.num_agents > observations.MOST_IN_PAIRS
    many = nmmo_jax.vectorize(env, 2)
    key = jax.random.key(0)
    obs, realm = jax.jit(many.reset, static_argnames="initial_population")(key, initial_population=512)
    step = jax.jit(many.step)
    truncated = 0
    for _ in range(8):
        action = nmmo_jax.Action(move=realm.agents.uid % 5)
        before = realm
        obs, realm, _, _, leaves, _ = step(key, realm, action)
        truncated += int(leaves.sum())
    monkeypatch.setattr(observations, "MOST_IN_PAIRS", 512)
    expected = jax.jit(lambda *args: many.step(*args))(key, before, action)[0]
    jax.tree.map(np.testing.assert_array_equal, obs, expected)
    assert truncated
    assert (obs.visible_slot >= 0).sum() > 5_000
