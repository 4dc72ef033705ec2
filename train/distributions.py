"""What is drawn from a network's logits: masked choices, their probability and their entropy.

Of n choices that are allowed, each has probability ``(p + floor) / (1 + n * floor)``, where p is the softmax of the
logits over the allowed. All is generated from ``nmmo_jax.actions.heads``: an argument whose mask has a row per choice
of the argument before it is masked by the row of what was chosen there.

An argument whose logits are integers is not learned: the allowed choice with the highest number is taken (the first of
several), which has no part in log-probability, entropy or gradient.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, PRNGKeyArray

from nmmo_jax.actions import Argument, heads
from nmmo_jax.config import Config
from nmmo_jax.draws import words

Logits = dict[str, Float32[Array, "*B A"] | Int32[Array, "*B A"]]  # by argument; integers: an order of preference
Masks = dict[str, Bool[Array, "..."]]  # by argument, [*B, A] or [*B, A before, A], as in ``Observation.mask``
Choices = dict[str, Int32[Array, "*B"]]

IMPOSSIBLE = -1e9  # a log-probability whose exponential is zero, yet finite: their product and its gradient are zero


def probabilities(
    logits: Float32[Array, "*B A"], mask: Bool[Array, "*B A"], floor: float = 0.0
) -> Float32[Array, "*B A"]:
    """Of every choice; 0 where the mask is False. At least one choice must be allowed."""
    p = jax.nn.softmax(jnp.where(mask, logits, IMPOSSIBLE))
    return jnp.where(mask, p + floor, 0) / (1 + floor * _number(mask))


def log_probabilities(
    logits: Float32[Array, "*B A"], mask: Bool[Array, "*B A"], floor: float = 0.0
) -> Float32[Array, "*B A"]:
    """Logarithm of ``probabilities``, exact for the smallest too; ``IMPOSSIBLE`` where the mask is False."""
    log_p = jax.nn.log_softmax(jnp.where(mask, logits, IMPOSSIBLE))
    if floor:
        log_p = jnp.logaddexp(log_p, math.log(floor)) - jnp.log1p(floor * _number(mask))
    return jnp.where(mask, log_p, IMPOSSIBLE)


def all_probabilities(logits: Logits, mask: Masks, config: Config, floor: float = 0.0) -> Logits:
    """Of every choice of every argument, in the shape of its mask: where that has a row per choice of the argument
    before it, given that choice.
    """
    result = {}
    for argument in _arguments(config):
        rows = logits[argument.name][..., None, :] if _conditional(argument) else logits[argument.name]
        if _is_order(rows):
            result[argument.name] = _one_hot(_first(rows, mask[argument.name]), argument.size).astype(jnp.float32)
        else:
            result[argument.name] = probabilities(rows, mask[argument.name], floor)
    return result


def sample(
    key: PRNGKeyArray, uid: Int32[Array, "N"], logits: Logits, mask: Masks, config: Config, floor: float = 0.0
) -> Choices:
    """A choice for every argument, int32 ``[N]``.

    By an exponential race, argmax of ``p / -log u`` with u uniform: faster on a CPU than Gumbel noise on logarithms.
    What an agent draws depends on the key and its uid, not on its slot or on who else is there.
    """
    total = sum(argument.size for argument in _arguments(config))
    counter = jnp.arange(-(-total // 2), dtype=jnp.uint32)  # two words each
    word = jnp.concatenate(words(key, uid[:, None], counter[None]), axis=-1)
    waiting = -jnp.log(((word >> 9).astype(jnp.float32) + 0.5) * 2.0**-23)  # 23 bits: u is strictly between 0 and 1
    choices, start = {}, 0
    for head in heads(config):
        before = None
        for argument in head.arguments:
            allowed = _allowed(argument, mask, before)
            if _is_order(logits[argument.name]):
                before = _first(logits[argument.name], allowed)
            else:
                p = probabilities(logits[argument.name], allowed, floor)
                race = p / waiting[:, start : start + argument.size]
                before = jax.lax.argmax(race, race.ndim - 1, jnp.int32)
            choices[argument.name] = before
            start += argument.size
    return choices


def log_prob(choices: Choices, logits: Logits, mask: Masks, config: Config, floor: float = 0.0) -> Float32[Array, "*B"]:
    """Log-probability of the choices of all arguments together, each given those before it."""
    result = jnp.zeros((), jnp.float32)
    for head in heads(config):
        before = None
        for argument in head.arguments:
            choice = choices[argument.name]
            if not _is_order(logits[argument.name]):
                allowed, chosen = _allowed(argument, mask, before), _one_hot(choice, argument.size)
                if floor:
                    log_p = log_probabilities(logits[argument.name], allowed, floor)
                    result += jnp.where(chosen, log_p, 0).sum(axis=-1)
                else:
                    x = _less_the_most(logits[argument.name], allowed)
                    result += jnp.where(chosen, x, 0).sum(axis=-1) - jnp.log(jnp.exp(x).sum(axis=-1))
            before = choice
    return result


def entropy(logits: Logits, mask: Masks, config: Config, floor: float = 0.0) -> Float32[Array, "*B"]:
    """Entropy of all arguments together, in nats: of each, its expectation over those before it."""
    result = jnp.zeros((), jnp.float32)
    for head in heads(config):
        before = None
        for argument in head.arguments:
            rows = logits[argument.name]
            if _conditional(argument):
                rows = rows[..., None, :]
            if _is_order(rows):
                p = _one_hot(_first(rows, mask[argument.name]), argument.size).astype(jnp.float32)
                own = jnp.zeros(p.shape[:-1], jnp.float32)
            else:
                own, p = _spread(rows, mask[argument.name], floor)
            if before is not None and _conditional(argument):
                own, p = (before * own).sum(axis=-1), (before[..., None] * p).sum(axis=-2)
            result, before = result + own, p
    return result


def _spread(
    logits: Float32[Array, "*B A"], mask: Bool[Array, "*B A"], floor: float
) -> tuple[Float32[Array, "*B"], Float32[Array, "*B A"]]:
    """Entropy of one choice, and its probabilities.

    Without a floor, and with ``e = exp(x)``, it is ``log(sum e) - sum(e * x) / sum e``: one pass of exponentials, which
    a CPU makes in half the time of logarithms of probabilities, forward and back.
    """
    if floor:
        log_p = log_probabilities(logits, mask, floor)
        p = jnp.exp(log_p)
        return -(p * log_p).sum(axis=-1), p
    x = _less_the_most(logits, mask)
    e = jnp.exp(x)
    total = e.sum(axis=-1)
    return jnp.log(total) - (e * x).sum(axis=-1) / total, e / total[..., None]


def _less_the_most(logits: Float32[Array, "*B A"], mask: Bool[Array, "*B A"]) -> Float32[Array, "*B A"]:
    """Logits of what is allowed, so that the highest is 0 and exponentials stay finite; else ``IMPOSSIBLE``."""
    x = jnp.where(mask, logits, IMPOSSIBLE)
    return x - jax.lax.stop_gradient(x.max(axis=-1, keepdims=True))


def _arguments(config: Config) -> list[Argument]:
    return [argument for head in heads(config) for argument in head.arguments]


def _conditional(argument: Argument) -> bool:
    """Whether its mask has a row per choice of the argument before it."""
    return len(argument.mask_shape) > 1


def _is_order(logits: jax.Array) -> bool:
    return jnp.issubdtype(logits.dtype, jnp.integer)


def _first(order: Int32[Array, "*B A"], mask: Bool[Array, "*B A"]) -> Int32[Array, "*B"]:
    """Which of the allowed has the highest number."""
    allowed = jnp.where(mask, order, jnp.iinfo(jnp.int32).min)
    return jax.lax.argmax(allowed, allowed.ndim - 1, jnp.int32)


def _number(mask: Bool[Array, "*B A"]) -> Float32[Array, "*B 1"]:
    return mask.sum(axis=-1, keepdims=True, dtype=jnp.int32).astype(jnp.float32)


def _allowed(argument: Argument, mask: Masks, before: Int32[Array, "*B"] | None) -> Bool[Array, "*B A"]:
    """The argument's mask, given what was chosen before it."""
    allowed = mask[argument.name]
    if before is None or not _conditional(argument):
        return allowed
    return (allowed & _one_hot(before, allowed.shape[-2])[..., None]).any(axis=-2)


def _one_hot(choice: Int32[Array, "*B"], size: int) -> Bool[Array, "*B A"]:
    """Faster than a gather on every backend, for few choices."""
    return choice[..., None] == jnp.arange(size, dtype=jnp.int32)
