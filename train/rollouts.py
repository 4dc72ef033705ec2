"""Playing: the realms of one device go on for some ticks, and what is needed to learn from them is kept.

Observations are kept in a ring of T + 1 rows: a tick reads row t and writes row t + 1, and nothing else holds them. A
rollout begins with the last row of the one before.
"""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32

from nmmo_jax.components import Realm
from nmmo_jax.config import Config, Rules
from nmmo_jax.draws import fold_in
from nmmo_jax.observations import Observation
from nmmo_jax.vectorized import Vectorized
from train.distributions import Choices
from train.metrics import Sums, measure
from train.networks import clear, to_action


class Worlds(flax.struct.PyTreeNode):
    """The realms, and what is known of them when a rollout begins."""

    realm: Realm  # [R, ...]
    rules: Rules  # [R, ...]
    observed: Observation  # [T + 1, R, N, ...]; the last row is the present
    core: Any  # of recurrent networks, [P, R, N / P, ...]


class Step(NamedTuple):
    """What the agents did and what became of it, in a tick ``[R, N]``, or in T ``[T, R, N]``."""

    choices: Choices
    log_prob: Float32[Array, "T R N"]
    value: Float32[Array, "T R N"]
    reward: Float32[Array, "T R N"]
    alive: Bool[Array, "T R N"]  # when it observed: what is learned from
    terminated: Bool[Array, "T R N"]
    truncated: Bool[Array, "T R N"]
    core: Any  # before the tick, [T, P, R, N / P, ...]


class Rollout(NamedTuple):
    """T ticks, and what the agents expect after the last."""

    steps: Step
    last_value: Float32[Array, "R N"]


def to_populations(tree: Any, config: Config) -> Any:
    """``[R, N, ...]`` as ``[P, R, N / P, ...]``."""

    def move(leaf: jax.Array) -> jax.Array:
        return jnp.moveaxis(leaf.reshape(len(leaf), config.num_populations, -1, *leaf.shape[2:]), 1, 0)

    return jax.tree.map(move, tree)


def from_populations(tree: Any) -> Any:
    """``[P, R, N / P, ...]`` as ``[R, N, ...]``."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(leaf.shape[1], -1, *leaf.shape[3:]), tree)


def play(
    trinity: Any, params: Any, worlds: Worlds, many: Vectorized, key: jax.Array, play_key: jax.Array
) -> tuple[Worlds, Rollout, Sums]:
    """Plays as many ticks as the ring of observations has room for.

    Args:
      trinity: its Sword acts, its God shapes rewards.
      many: the environment of these realms.
      key, play_key: of the worlds' chance and of the agents'; the same for a whole run.
    """
    config, ticks = many.config, len(worlds.observed.visible_slot) - 1
    play_keys = jax.vmap(fold_in, (None, 0))(play_key, many.first_realm + jnp.arange(many.num_realms))

    def tick(carry, t):
        realm, observed, core = carry
        obs = jax.tree.map(lambda ring: jax.lax.dynamic_index_in_dim(ring, t, keepdims=False), observed)
        keys = jax.vmap(fold_in)(play_keys, realm.tick)
        decision, after = trinity.sword.act(params, keys, obs, realm, worlds.rules, core)
        action = jax.vmap(lambda choices, obs: to_action(choices, obs, config))(decision.choices, obs)
        new, next_realm, reward, terminated, truncated, info = many.step(key, realm, action, worlds.rules)
        reward = jax.vmap(trinity.god.reward)(reward, realm, next_realm, info)
        observed = jax.tree.map(
            lambda ring, new: jax.lax.dynamic_update_index_in_dim(ring, new, t + 1, 0), observed, new
        )
        newborn = realm.agents.uid != next_realm.agents.uid
        after = clear(after, to_populations(newborn, config))
        step = Step(
            decision.choices, decision.log_prob, decision.value, reward, realm.agents.alive, terminated, truncated, core
        )
        return (next_realm, observed, after), (step, measure(realm, info, reward, decision.value, config))

    first = jax.tree.map(lambda ring: ring.at[0].set(ring[-1]), worlds.observed)
    carry, (steps, sums) = jax.lax.scan(tick, (worlds.realm, first, worlds.core), jnp.arange(ticks))
    realm, observed, core = carry
    last = jax.tree.map(lambda ring: ring[-1], observed)
    last_value = trinity.sword.value(params, last, realm, worlds.rules, core)
    sums = jax.tree.map(lambda leaf: leaf.sum(axis=0), sums)
    return Worlds(realm, worlds.rules, observed, core), Rollout(steps, last_value), sums
