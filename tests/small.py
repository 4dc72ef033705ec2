"""A small environment that many tests share, compiled once per configuration."""

import functools

import jax
import numpy as np

from nmmo_jax import Config, Environment, digest
from nmmo_jax.kinds import Material

SMALL = Config(num_agents=16, num_populations=4, rows=20, columns=18, view=5, num_visible=4, border=2)
GRASS = np.full((20, 18), Material.GRASS, np.uint8)
KEY = jax.random.key(7)
jit_digest = jax.jit(digest)


@functools.cache
def small() -> Environment:
    return Environment(SMALL)


@functools.cache
def jit_of(config: Config):
    env = Environment(config)
    return env, jax.jit(env.reset, static_argnames="initial_population"), jax.jit(env.step)
