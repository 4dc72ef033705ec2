"""Worlds for ``VecEnv``: deadly ones, that share their compiled programs, and the same driven by hand."""

import copy
import dataclasses
import functools

import chex
import jax
import numpy as np
from small import GRASS, SMALL

from nmmo_jax import Config, Environment, Rules, vectorize
from nmmo_jax.bench.vec_env import random_actions
from nmmo_jax.kinds import Material
from train.vec_env import VecEnv
from train.vec_rows import Observations

REALMS, TICKS = 3, 60
# Deadly, so that many die in every way; in the last realm nobody is born, so that it ends up empty.
DEADLY = Rules(immunity_ticks=2, attack_damage=(6, 5, 4), food_metabolism=2, spawn_rate=np.array([1.0, 0.9, 0.0]))
TRUNCATING = dataclasses.replace(SMALL, max_lifetime=9, layout="free", events=40, ledger=True, max_spawns=3)
SEQUENTIAL = dataclasses.replace(SMALL, resolution="sequential", reward="death", num_visible=3, visits=True)
MAP = GRASS.copy()
MAP[::3, ::4], MAP[1::5, 2::5], MAP[10, 3:9] = Material.FOREST, Material.WATER, Material.LAVA


@functools.cache
def template(config: Config) -> VecEnv:
    return VecEnv(Environment(config, DEADLY), REALMS, 5, MAP, initial_population=12)


def make_env(config: Config = TRUNCATING, **changed) -> VecEnv:
    """New worlds that share their compiled programs."""
    shared = template(config)
    env = copy.copy(shared)
    env._start, env._step = shared._start, shared._step  # a copy makes its own, as one that was unpickled must
    for name, value in changed.items():
        setattr(env, f"_{name}", value)
    return env


@functools.cache
def started() -> tuple[VecEnv, Observations]:
    env = make_env()
    return env, env.reset()


def by_hand(config: Config, seed: int):
    many, key = vectorize(Environment(config, DEADLY), REALMS), jax.random.key(seed)
    obs, realm = jax.jit(functools.partial(many.reset, tiles=MAP, initial_population=12))(key)
    return functools.partial(jax.jit(many.step), key), obs, realm


def hostile(rng: np.random.Generator, observations: Observations) -> dict[str, np.ndarray]:
    """Random play: mostly what is allowed, sometimes anything at all."""
    actions = random_actions(rng, observations)
    for name, values in actions.items():
        anything = rng.integers(-3, 20, len(values))
        actions[name] = np.where(rng.random(len(values)) < 0.2, anything, values)
    return actions


def check_rows(observations: Observations, where: np.ndarray, uid, population, obs, listed_uid) -> None:
    """The rows are those of the slots ``where [R, N]`` of padded observations."""
    realm, slot = np.nonzero(where)
    np.testing.assert_array_equal(observations.offsets, np.append(0, np.cumsum(where.sum(axis=1))))
    np.testing.assert_array_equal(observations.slot, slot)
    np.testing.assert_array_equal(observations.uid, uid[realm, slot])
    np.testing.assert_array_equal(observations.population, population[realm, slot])
    expected = {"tiles": obs.tiles, "self": obs.self, "visible": obs.visible, "mask": obs.mask}
    for name, table in expected.items():
        rows = jax.tree.map(lambda leaf: np.asarray(leaf)[realm, slot], table)
        chex.assert_trees_all_equal(getattr(observations, name), rows)
        chex.assert_trees_all_equal_dtypes(getattr(observations, name), rows)
    listed = np.asarray(obs.visible_slot)[realm, slot]
    np.testing.assert_array_equal(
        observations.visible_uid, np.where(listed >= 0, listed_uid[realm[:, None], listed], -1)
    )


def check_next_rows(before: Observations, after: Observations, next_row: np.ndarray) -> None:
    """They say what a search for every realm and uid says."""
    rows = [[(realm, uid) for realm, one in enumerate(told) for uid in one.uid.tolist()] for told in (before, after)]
    known = {agent: row for row, agent in enumerate(rows[1])}
    assert next_row.tolist() == [known.get(agent, -1) for agent in rows[0]]
