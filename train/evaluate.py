"""How long agents live: a policy played in worlds that it has not been trained in, without learning."""

from collections.abc import Callable
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action
from nmmo_jax.common.files import Number
from nmmo_jax.draws import fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.vectorized import vectorize
from train.metrics import Sums, means, measure, nothing_visited, visit

_PLAY = 2**32 - 1  # what the key of the agents' chance is folded with: the number of no realm


class Lives(TypedDict):
    """What ``evaluate`` returns holds at least."""

    lifetime: Number | None


class Evaluation(TypedDict, total=False):
    """What a run's evaluation.json holds, by policy."""

    random: Lives
    forager: Lives
    planner: Lives
    trained: Lives


Act = Callable[[Any, jax.Array, Any, Any, Any], tuple[Action, Any]]


def evaluate(
    env: Environment, act: Act, params: Any, core: Any, *, realms: int, settle: int, ticks: int, seed: int
) -> dict[str, Any]:
    """Mean lifetime, population and the rest of ``train.metrics.means``, over worlds generated from a seed.

    Args:
      act: ``act(params, keys, obs, realm, core) -> action, core`` for realms ``[R, ...]``, keys of the tick; of a
        ``train.policy.Policy`` of this world, or ``scripted``.
      core: of the agents, at the start.
      settle: ticks before any are counted, so that lives that began in an empty world are over.
      ticks: that are counted; lives that end in them count.
      seed: of maps, births and play; other than that of training.
    """
    many = vectorize(env, realms)
    key = jax.random.key(seed)
    index = jnp.arange(realms, dtype=jnp.int32)

    def tick(carry, _):
        params, obs, realm, core, visited = carry
        keys = jax.vmap(lambda r, tick: fold_in(fold_in(fold_in(key, _PLAY), r), tick))(index, realm.tick)
        action, core = act(params, keys, obs, realm, core)
        seen, after, reward, _, _, info = many.step(key, realm, action)
        visited, first = visit(visited, realm, info.births)
        sums = measure(realm, first, info, reward, jnp.zeros_like(reward), env.rules, env.config)
        return (params, seen, after, core, visited), sums

    @jax.jit
    def play(params, core):
        obs, realm = many.reset(key)
        carry = (params, obs, realm, core, nothing_visited(realms, env.config))
        carry, _ = jax.lax.scan(tick, carry, length=settle)
        _, sums = jax.lax.scan(tick, carry, length=ticks)
        return jax.tree.map(lambda leaf: leaf.sum(axis=0, dtype=leaf.dtype), sums)

    sums: Sums = jax.tree.map(np.asarray, play(params, core))
    return means(sums, {}, ticks * realms, env.config)


def scripted(name: str) -> Act:
    """A scripted policy; it has neither parameters nor a core."""
    return lambda params, keys, obs, realm, core: (jax.vmap(POLICIES[name])(keys, obs, realm), core)
