"""Losses over rows of agent-steps: advantages, clipped policy optimisation (PPO) and the published policy gradient.

Nothing here knows of populations or networks: arrays have any axes, and ``weight`` says which rows count.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32


class Terms(NamedTuple):
    """What a loss is made of, per row."""

    policy: Float32[Array, "*B"]
    value: Float32[Array, "*B"]
    entropy: Float32[Array, "*B"]


def advantages(
    reward: Float32[Array, "T *B"],
    value: Float32[Array, "T *B"],
    following: Float32[Array, "T *B"],
    terminated: Bool[Array, "T *B"],
    truncated: Bool[Array, "T *B"],
    discount: float,
    decay: float,
) -> Float32[Array, "T *B"]:
    """Generalised advantage estimates of each step, for the agent that held the place before it.

    A step that terminates has no value after it. One that truncates is followed by the value of the final
    observation and by nothing else: what comes later belongs to another agent. Rows of empty places mean nothing, and
    reach no other: before an agent is born nobody's step looks ahead to it.

    Args:
      following: value of the observation after each step: of the next row of the same place, or, where the realm
        has started anew in between, of the last before it did.
      discount: of the next tick's value.
      decay: lambda; 1 gives discounted returns minus the value.

    Source: Schulman et al., High-dimensional continuous control using generalized advantage estimation (2016).
    """
    error = reward + discount * jnp.where(terminated, 0.0, following) - value
    goes_on = discount * decay * (~(terminated | truncated)).astype(jnp.float32)

    def back(later, step):
        error, goes_on = step
        advantage = error + goes_on * later
        return advantage, advantage

    return jax.lax.scan(back, jnp.zeros_like(value[0]), (error, goes_on), reverse=True)[1]


def ppo(
    log_prob: Float32[Array, "*B"],
    old_log_prob: Float32[Array, "*B"],
    advantage: Float32[Array, "*B"],
    value: Float32[Array, "*B"],
    target: Float32[Array, "*B"],
    entropy: Float32[Array, "*B"],
    clip: float,
) -> Terms:
    """The clipped surrogate loss, the squared error of the value, and the entropy.

    Source: Schulman et al., Proximal policy optimization algorithms (2017), eq. 7.
    """
    ratio = jnp.exp(log_prob - old_log_prob)
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return Terms(-jnp.minimum(ratio * advantage, clipped * advantage), 0.5 * (value - target) ** 2, entropy)


def policy_gradient(
    log_prob: Float32[Array, "*B"],
    advantage: Float32[Array, "*B"],
    value: Float32[Array, "*B"],
    target: Float32[Array, "*B"],
    entropy: Float32[Array, "*B"],
) -> Terms:
    """The published loss: log-probability times advantage, the squared error of the value, and the entropy."""
    return Terms(-log_prob * advantage, 0.5 * (value - target) ** 2, entropy)


def normalise(
    advantage: Float32[Array, "*B"], mean: Float32[Array, "*B"], deviation: Float32[Array, "*B"]
) -> Float32[Array, "*B"]:
    """Advantages less their mean, in standard deviations."""
    return (advantage - mean) / (deviation + 1e-8)
