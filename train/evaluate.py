"""How long agents live: a policy played in worlds that it has not been trained in, without learning."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action
from nmmo_jax.draws import fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.vectorized import vectorize
from train.metrics import Sums, means, measure
from train.networks import clear, to_action
from train.rollouts import to_populations
from train.trinity import Sword

Act = Callable[[Any, jax.Array, Any, Any, Any], tuple[Action, Any]]


def evaluate(
    env: Environment, act: Act, params: Any, core: Any, *, realms: int, settle: int, ticks: int, seed: int
) -> dict[str, Any]:
    """Mean lifetime, population and the rest of ``train.metrics.means``, over worlds generated from a seed.

    Args:
      act: ``act(params, keys, obs, realm, core) -> action, core`` for realms ``[R, ...]``, keys of the tick.
      core: of the agents, at the start.
      settle: ticks before any are counted, so that lives that began in an empty world are over.
      ticks: that are counted; lives that end in them count.
      seed: of maps, births and play; other than that of training.
    """
    many = vectorize(env, realms)
    key = jax.random.key(seed)
    index = jnp.arange(realms)

    def tick(carry, _):
        params, obs, realm, core = carry
        keys = jax.vmap(lambda r, tick: fold_in(fold_in(fold_in(key, 1), r), tick))(index, realm.tick)
        action, core = act(params, keys, obs, realm, core)
        obs, after, reward, _, _, info = many.step(key, realm, action)
        if jax.tree.leaves(core):
            core = clear(core, to_populations(realm.agents.uid != after.agents.uid, env.config))
        return (params, obs, after, core), measure(realm, info, reward, jnp.zeros_like(reward), env.config)

    @jax.jit
    def play(params, core):
        obs, realm = many.reset(key)
        carry, _ = jax.lax.scan(tick, (params, obs, realm, core), length=settle)
        _, sums = jax.lax.scan(tick, carry, length=ticks)
        return jax.tree.map(lambda leaf: leaf.sum(axis=0), sums)

    sums: Sums = jax.tree.map(np.asarray, play(params, core))
    return means(sums, {}, ticks * realms, 0.0)


def scripted(name: str) -> Act:
    """A scripted policy; it has neither parameters nor a core."""
    return lambda params, keys, obs, realm, core: (jax.vmap(POLICIES[name])(keys, obs, realm), core)


def learned(sword: Sword, env: Environment) -> Act:
    """The policy of a Sword, with its parameters and ``sword.network.initial`` cores."""

    def act(params, keys, obs, realm, core):
        rules = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(keys), *leaf.shape)), env.rules)
        decision, core = sword.act(params, keys, obs, realm, rules, core)
        return jax.vmap(lambda choices, obs: to_action(choices, obs, env.config))(decision.choices, obs), core

    return act


def cores(sword: Sword, env: Environment, realms: int) -> Any:
    """The cores of agents that have seen nothing yet."""
    config = env.config
    return sword.network.initial((config.num_populations, realms, config.num_agents // config.num_populations))
