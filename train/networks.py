"""Networks for all populations of a realm at once, behind ``init`` and ``apply``, and policies made of them.

Weights are not shared: every array of the parameters has a leading population axis.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, PRNGKeyArray

from nmmo_jax.actions import Action, heads
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.observations import NUM_FEATURES, Observation
from nmmo_jax.policies.scripted import slot_of
from train.classic import Classic
from train.distributions import Choices, sample
from train.inputs import Inputs, inputs_of, merge, split

Params = Any  # a tree of arrays [P, ...]


class Network(NamedTuple):
    """A network for every population, as pure functions.

    Attributes:
      init: ``init(key) -> params``, different for every population.
      apply: ``apply(params, inputs, value=True) -> outputs``. The inputs are ``Inputs`` with axes ``[P, ...]``,
        population first; the outputs, by name, float32 ``[P, ..., A]``: logits of every argument, not masked, and
        ``value`` (A = 1) unless it is not asked for.
      floor: added to every probability when actions are drawn.
    """

    init: Callable[[PRNGKeyArray], Params]
    apply: Callable[..., dict[str, Float32[Array, "P *B A"]]]
    floor: float


class Kind(NamedTuple):
    """A network by name: ``module(config)`` is that of one population."""

    module: Callable[[Config], nn.Module]
    floor: float


NETWORKS = {"classic": Kind(Classic, 1e-3)}


def make_network(config: Config, name: str = "classic") -> Network:
    """The network of that name.

    Raises:
      ValueError: an unknown name, or a layout in which populations have no slots of their own.
    """
    if name not in NETWORKS:
        raise ValueError(f"network={name!r}: must be one of {', '.join(NETWORKS)}")
    if config.layout != "blocks":
        raise ValueError(f"layout={config.layout!r}: must be 'blocks', where every population has slots of its own")
    module = NETWORKS[name].module(config)

    def init(key: PRNGKeyArray) -> Params:
        keys = jax.random.split(key, config.num_populations)
        return jax.vmap(lambda key: module.init(key, nothing_seen(config))["params"])(keys)

    def apply(params: Params, inputs: Inputs, value: bool = True) -> dict[str, jax.Array]:
        return per_population(lambda params, inputs: module.apply({"params": params}, inputs, value), params, inputs)

    return Network(init, apply, NETWORKS[name].floor)


def make_policy(
    config: Config, name: str = "classic"
) -> tuple[Callable[[PRNGKeyArray], Params], Callable[..., Action]]:
    """The network of that name as a policy: ``init(key) -> params`` and ``act(params, key, obs, realm) -> Action``.

    ``act`` is for one realm; over realms, ``jax.vmap(act, in_axes=(None, 0, 0, 0))``. The key is the tick's own. What
    comes out for empty slots means nothing.

    >>> init, act = make_policy(env.config)
    >>> action = act(init(key), fold_in(key, realm.tick), obs, realm)

    Raises:
      ValueError: as ``make_network``.
    """
    network = make_network(config, name)

    def act(params: Params, key: PRNGKeyArray, obs: Observation, realm: Realm) -> Action:
        logits = merge(network.apply(params, split(inputs_of(obs), config.num_populations), value=False))
        return to_action(sample(key, realm.agents.uid, logits, obs.mask, config, network.floor), obs, config)

    return network.init, act


def to_action(choices: Choices, obs: Observation, config: Config) -> Action:
    """The choices of one realm's agents as an action: a position in the list of the visible becomes the slot there."""
    listed = {argument.name for head in heads(config) for argument in head.arguments if argument.among_visible}
    return Action(**{name: slot_of(obs, choice) if name in listed else choice for name, choice in choices.items()})


def per_population(function: Callable[..., Any], params: Params, inputs: Any) -> Any:
    """``function(params, inputs)`` for every population, along axis 0 of both.

    One after another on a CPU, where what a population's agents see then stays in the cache: three times faster.
    All at once elsewhere.
    """
    function = jax.checkpoint(function)  # a backward pass computes again what would be slower to keep

    def in_turn(params, inputs):
        return jax.lax.map(lambda pair: function(*pair), (params, inputs))

    return jax.lax.platform_dependent(params, inputs, cpu=in_turn, default=jax.vmap(function))


def nothing_seen(config: Config) -> Inputs:
    """The inputs of one agent that sees nothing: shapes and types."""
    view, visible = config.view, config.num_visible
    return Inputs(
        tiles=jnp.zeros((2, view, view), jnp.uint8),
        self=jnp.zeros(NUM_FEATURES, jnp.int16),
        visible=jnp.zeros((visible, NUM_FEATURES), jnp.int16),
        listed=jnp.zeros(visible, bool),
    )
