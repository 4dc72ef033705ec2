"""Networks for all populations of a realm at once, behind ``init`` and ``apply``, and policies made of them.

Unless it is asked for, weights are not shared: every array of the parameters has a leading population axis.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int16, Int32, PRNGKeyArray

from nmmo_jax.actions import Action
from nmmo_jax.common.spelling import near
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.draws import for_jax
from nmmo_jax.draws import split as split_key
from nmmo_jax.goals import goals, with_steps
from nmmo_jax.observations import FEATURES, NUM_FEATURES, Observation, to_action
from nmmo_jax.systems.sight import leaf_shape
from nmmo_jax.values import check_bool, check_choice, check_int, keep_plain
from train.classic import Classic
from train.cores import CORES
from train.default import Default
from train.distributions import Logits, sample
from train.inputs import Inputs, inputs_of, merge, num_rules, split

Params = Any  # a tree of arrays [P, ...]; P = 1 with shared weights
Core = Any  # a tree of arrays [P, *B, ...]; the empty tuple where there is none

HIDDEN = (4, 65_536)


class Network(NamedTuple):
    """A network for every population, as pure functions. Axes ``[P, *B, ...]``: population first.

    Attributes:
      init: ``init(key) -> params``, different for every population unless ``shared_init``.
      apply: ``apply(params, inputs, core, value=True) -> (outputs, core)``. Outputs, by name, ``[P, *B, A]``: logits of
        every argument, not masked, and ``value`` (A = 1) unless it is not asked for; all float32, but int32 (an order
        of preference, see ``train.distributions``) for an argument that is not learned. The core is that after this
        observation; ``clear`` it where a slot's next agent is another. Of pieces of lives the last of ``*B`` is their
        ticks, and the core, which has no such axis, that before the first.
      initial: ``initial(shape) -> core``, the recurrent core's first state, for rows of that leading shape.
      floor: added to every probability when actions are drawn.
      steps: whether it reads ``Inputs.steps``, see ``nmmo_jax.goals.with_steps``.
    """

    init: Callable[[PRNGKeyArray], Params]
    apply: Callable[..., tuple[Logits, Core]]
    initial: Callable[[tuple[int, ...]], Core]
    floor: float
    steps: bool = False


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """What can be chosen about a network. Bad values raise ``ValueError``.

    Attributes:
      hidden: width of the network ``default``; ``classic`` is as wide as published.
      core: ``"none"``, or what agents remember with: ``"gru"``, ``"mingru"``.
      shared_weights: one set of weights for all populations, the parameters' population axis is 1.
      shared_init: populations begin equal.
      auto_target: the target is not learned: the weakest other agent in range of the style that was chosen.
      rules_input: the rules of the realm are an input, ``Inputs.rules``.
      steps_input: the steps to all goals are an input, ``Inputs.steps``.
      near: how many tiles away, in each direction, the network ``default`` reads tile by tile; 0: all that is in view.
        Beyond that it knows of the ground by the steps to goals.
      precision: of what lies between the layers of the network ``default``: ``"float32"``, ``"bfloat16"``, or
        ``"auto"``, bfloat16 but on a CPU. Weights, what agents remember and what comes out are always float32.
    """

    hidden: int = 64
    core: Literal["none", "gru", "mingru"] = "none"
    shared_weights: bool = False
    shared_init: bool = False
    auto_target: bool = False
    rules_input: bool = False
    steps_input: bool = True
    near: int = 3
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self):
        keep_plain(self)
        check_int("hidden", self.hidden, *HIDDEN)
        check_int("near", self.near, 0, 127)
        check_choice("core", self.core, ("none", *CORES))
        check_choice("precision", self.precision, ("auto", "float32", "bfloat16"))
        for name in ("shared_weights", "shared_init", "auto_target", "rules_input", "steps_input"):
            check_bool(name, getattr(self, name))


class Kind(NamedTuple):
    """A network by name.

    Attributes:
      module: ``module(config, options)`` is that of one population; called for each precision there is, with that in
        ``options.precision``.
      floor: as in ``Network``.
      options: which of the fields ``core``, ``rules_input``, ``steps_input`` and ``precision`` it has.
    """

    module: Callable[[Config, NetworkOptions], nn.Module]
    floor: float
    options: tuple[str, ...] = ()


def _classic(config: Config, options: NetworkOptions) -> nn.Module:
    return Classic(config, auto_target=options.auto_target)


def _default(config: Config, options: NetworkOptions) -> nn.Module:
    dtype = jnp.bfloat16 if options.precision == "bfloat16" else jnp.float32
    return Default(config, options.hidden, options.auto_target, options.core, options.near, dtype)


NETWORKS = {
    "default": Kind(_default, 0.0, ("core", "rules_input", "steps_input", "precision")),
    "classic": Kind(_classic, 1e-3),
}


def make_network(
    config: Config,
    name: str = "default",
    options: NetworkOptions | None = None,
    module: Callable[[Config, NetworkOptions], nn.Module] | None = None,
) -> Network:
    """The network of that name.

    Args:
      module: of one population, in place of that of this name, called as it is.

    Raises:
      ValueError: an unknown name, an option that this network does not have, or a layout in which populations have no
        slots of their own.
    """
    if name not in NETWORKS:
        raise ValueError(f"network={name!r}: must be one of {', '.join(NETWORKS)}{near(str(name), NETWORKS)}")
    if config.layout != "blocks":
        raise ValueError(f"layout={config.layout!r}: must be 'blocks', where every population has slots of its own")
    kind, options, plain = NETWORKS[name], options or NetworkOptions(), NetworkOptions()
    for field in ("core", "rules_input", "precision"):
        value, usual = getattr(options, field), getattr(plain, field)
        only = ("auto", "float32") if field == "precision" else (usual,)
        if field not in kind.options and value not in only:
            raise ValueError(f"{field}={value!r}: must be {usual!r} for network={name!r}, which has no other")
    module, has_core = module or kind.module, "core" in kind.options
    on_cpu, elsewhere = (
        module(config, dataclasses.replace(options, precision=precision))
        for precision in (("float32", "bfloat16") if options.precision == "auto" else [options.precision] * 2)
    )
    shared, steps = options.shared_weights, options.steps_input and "steps_input" in kind.options

    def initial(shape: tuple[int, ...]) -> Core:
        return jnp.zeros((*shape, options.hidden), jnp.float32) if options.core != "none" else ()

    def forward(module: nn.Module, value: bool, params: Params, rows: tuple[Inputs, Core]) -> tuple[Logits, Core]:
        inputs, core = rows
        if has_core:
            return module.apply({"params": params}, inputs, core, value)  # pyright: ignore[reportReturnType]
        return module.apply({"params": params}, inputs, value), core  # pyright: ignore[reportReturnType]

    def init(key: PRNGKeyArray) -> Params:
        def of_one(key):
            inputs, core = nothing_seen(config, options.rules_input, steps), initial(())
            return on_cpu.init(key, *((inputs, core) if has_core else (inputs,)))["params"]

        keys = for_jax(split_key(key, 1 if shared else config.num_populations))
        if options.shared_init:
            keys = jnp.broadcast_to(keys[:1], keys.shape)
        return jax.lax.map(of_one, keys)  # a vmap takes twice as long to compile

    def apply(params: Params, inputs: Inputs, core: Core = (), value: bool = True) -> tuple[Logits, Core]:
        if options.rules_input and inputs.rules is None:
            raise ValueError("inputs.rules=None: must be those of the realms, see inputs_of, with rules_input=True")
        if steps and inputs.steps is None:
            raise ValueError("inputs.steps=None: must be those to all goals, see with_steps, with steps_input=True")
        unread = {name: None for name, read in {"rules": options.rules_input, "steps": steps}.items() if not read}
        inputs = inputs._replace(**unread)
        usual, other = (functools.partial(forward, module, value) for module in (on_cpu, elsewhere))
        outputs, core = per_population(usual, params, (inputs, core), shared, other)
        if options.auto_target:
            outputs["target"] = weakest(inputs.visible)
        return outputs, core

    return Network(init, apply, initial, kind.floor, steps)


def make_policy(
    config: Config, name: str = "default", options: NetworkOptions | None = None
) -> tuple[Callable[[PRNGKeyArray], Params], Callable[..., Action]]:
    """The network of that name as a policy: ``init(key) -> params`` and ``act(params, key, obs, realm) -> Action``.

    ``act`` is for one realm; over realms, ``jax.vmap(act, in_axes=(None, 0, 0, 0))``. The key is the tick's own. What
    comes out for empty slots means nothing.

    >>> init, act = make_policy(env.config)
    >>> action = act(init(key), fold_in(key, realm.tick), obs, realm)

    Raises:
      ValueError: as ``make_network``, or options with which an observation alone is not enough to act.
    """
    network, options = make_network(config, name, options), options or NetworkOptions()
    for field, only in {"core": "none", "rules_input": False}.items():
        if getattr(options, field) != only:
            raise ValueError(
                f"{field}={getattr(options, field)!r}: must be {only!r} for a policy that is given nothing else"
            )

    def act(params: Params, key: PRNGKeyArray, obs: Observation, realm: Realm) -> Action:
        obs = with_steps(obs, config) if network.steps else obs
        outputs, _ = network.apply(params, split(inputs_of(obs), config.num_populations), value=False)
        choices = sample(key, realm.agents.uid, merge(outputs), obs.mask, config, network.floor)
        return to_action(choices, obs, config)

    return network.init, act


def clear(core: Core, fresh: Bool[Array, "*B"]) -> Core:
    """The core, with its first state where a slot has a new agent (or none)."""
    return jax.tree.map(
        lambda leaf: jnp.where(fresh.reshape(*fresh.shape, *[1] * (leaf.ndim - fresh.ndim)), 0, leaf), core
    )


def weakest(visible: Int16[Array, "*B V F"]) -> Int32[Array, "*B V"]:
    """The visible as targets in order of preference: the lowest health first, then the lowest food; oneself last."""
    names = list(FEATURES)
    health, food = (visible[..., names.index(name)].astype(jnp.int32) for name in ("health", "food"))
    last = jnp.iinfo(jnp.int32).min + 1
    return jnp.where(jnp.arange(visible.shape[-2]) == 0, last, -((health << 15) | food))  # both are below 2^15


def per_population(
    function: Callable[..., Any],
    params: Params,
    inputs: Any,
    shared: bool = False,
    elsewhere: Callable[..., Any] | None = None,
) -> Any:
    """``function(params, inputs)`` for every population, along axis 0 of both.

    One after another on a CPU, where what a population's agents see then stays in the cache: three times faster.
    All at once elsewhere.

    Args:
      shared: axis 0 of the parameters is 1, and all populations have the same.
      elsewhere: the function's form where it does not run on a CPU; default: the same.
    """
    if shared:
        params = jax.tree.map(lambda leaf: leaf[0], params)

    def in_turn(params, inputs):
        if shared:
            return jax.lax.map(lambda rows: function(params, rows), inputs)
        return jax.lax.map(lambda pair: function(*pair), (params, inputs))

    at_once = jax.vmap(elsewhere or function, in_axes=(None if shared else 0, 0))
    return jax.lax.platform_dependent(params, inputs, cpu=in_turn, default=at_once)


def nothing_seen(config: Config, rules: bool = False, steps: bool = True) -> Inputs:
    """The inputs of one agent that sees nothing: shapes and types."""
    view, visible = config.view, config.num_visible
    return Inputs(
        tiles=jnp.zeros((2, view, view), jnp.uint8),
        self=jnp.zeros(NUM_FEATURES, jnp.int16),
        visible=jnp.zeros((visible, NUM_FEATURES), jnp.int16),
        listed=jnp.zeros(visible, bool),
        rules=jnp.zeros(num_rules(config), jnp.float32) if rules else None,
        of={
            leaf.name: jnp.zeros(leaf_shape(leaf, config), jnp.int16)
            for system in config.systems
            for leaf in system.leaves
        }
        | {name: jnp.zeros((one.listing.most, len(one.columns)), jnp.int16) for name, one in config.lists.items()},
        present={name: jnp.zeros(one.listing.most, bool) for name, one in config.lists.items()},
        steps=jnp.zeros((len(goals(config)), 5), jnp.uint8) if steps else None,
    )
