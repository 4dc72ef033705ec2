"""Play of scripted policies, for tests that look at many ticks of it."""

import jax
import jax.numpy as jnp

from nmmo_jax import Rules, vectorize
from nmmo_jax.policies.scripted import play

GAMES = {"law": Rules(attacks_enabled=False), "chaos": Rules()}


def simulate(env, names, realms, ticks, watch, tiles=None):
    """A jitted function (rules, key) -> what ``watch(before, obs, action, info)`` saw, [ticks, realms, ...]."""
    policy, worlds = jax.vmap(play(names)), vectorize(env, realms)

    def run(rules, key):
        def tick(state, t):
            obs, realm = state
            keys = jax.random.split(jax.random.fold_in(key, t), realms)
            action = policy(keys, obs, realm)
            after_obs, after, _, _, _, info = worlds.step(key, realm, action, rules)
            return (after_obs, after), watch(realm, obs, action, info)

        return jax.lax.scan(tick, worlds.reset(key, rules, tiles), jnp.arange(ticks))[1]

    return jax.jit(run)
