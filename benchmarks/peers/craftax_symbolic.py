"""Craftax: one agent per world, symbolic observations, random actions.

Making a world takes as long as twenty steps, so worlds that end are replaced between calls by some that were made
before: the package's own reset, at every step, is twenty times as slow. Until then their agents are dead.
"""

import jax
import jax.numpy as jnp
from craftax.craftax_env import make_craftax_env_from_name
from timing import tell

WORLDS, TICKS = 256, 16

env = make_craftax_env_from_name("Craftax-Symbolic-v1", auto_reset=False)
params = env.default_params
actions = env.action_space(params).n


def play(worlds, ended, fresh, key):
    """Some ticks; returns worlds, which have ended, agents that acted, and observations ``[ticks, worlds, ...]``."""

    def renew(world, new):
        return jnp.where(ended.reshape(-1, *[1] * (world.ndim - 1)), new, world)

    def tick(carry, key):
        worlds, ended = carry
        act, step = jax.random.split(key)
        action = jax.random.randint(act, (WORLDS,), 0, actions)
        keys = jax.random.split(step, WORLDS)
        obs, worlds, _, done, _ = jax.vmap(env.step, (0, 0, 0, None))(keys, worlds, action, params)
        return (worlds, ended | done), (obs, (~ended).sum())

    begin = jax.tree.map(renew, worlds, fresh), jnp.zeros(WORLDS, bool)
    (worlds, ended), (obs, acted) = jax.lax.scan(tick, begin, jax.random.split(key, TICKS))
    return worlds, ended, acted.sum(), obs


_, fresh = jax.jit(jax.vmap(env.reset, (0, None)))(jax.random.split(jax.random.key(0), WORLDS), params)
state = jax.tree.map(jnp.copy, fresh), jnp.zeros(WORLDS, bool)
compiled = jax.jit(play, donate_argnums=0).lower(*state, fresh, jax.random.key(1)).compile()


def call(index):
    """Plays on."""
    global state
    *state, acted, _ = jax.block_until_ready(compiled(*state, fresh, jax.random.key(index)))
    return int(acted)


# Nobody dies in the first hundred ticks.
tell("craftax", f"{WORLDS} worlds of one agent, symbolic observations", call, warm_up=12)
