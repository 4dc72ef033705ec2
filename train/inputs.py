"""What networks read of an observation, and how: stored integers go in, and are taken apart inside."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int16, UInt8

from nmmo_jax.config import ARGUMENTS, STYLES, Config
from nmmo_jax.goals import CLASSIC, goals
from nmmo_jax.observations import FEATURES, Observation
from nmmo_jax.paths import FAR
from nmmo_jax.rules import REPRODUCTION_RULES, RULE_FIELDS, Rules, as_rules, rule_fields, rule_ndim
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.systems.sight import bounds_of, leaf_shape

# Networks play in layout ``blocks``, where nobody reproduces.
ENCODED_RULES = tuple(name for name in RULE_FIELDS if name not in REPRODUCTION_RULES)
NUM_RULES = sum(len(STYLES) if rule_ndim(name) else 1 for name in ENCODED_RULES)  # numbers of the classic rules
NOBODY = -1e9  # the maximum over nobody


class Inputs(NamedTuple):
    """What a network reads, as stored in an ``Observation``; any leading axes ``*B``."""

    tiles: UInt8[Array, "*B 2 W W"]  # material, agents on the tile
    self: Int16[Array, "*B F"]
    visible: Int16[Array, "*B V F"]
    listed: Bool[Array, "*B V"]  # whether that row is an agent
    rules: Float32[Array, "*B K"] | None = None  # of its realm, as ``encode_rules`` gives them
    of: dict[str, Int16[Array, "..."]] = {}  # noqa: RUF012 - what systems show, by name; never changed
    present: dict[str, Bool[Array, "*B K"]] = {}  # noqa: RUF012 - of what they list, whether it is something
    steps: UInt8[Array, "*B G 5"] | None = None  # to the nearest of each goal, see ``nmmo_jax.goals``


def inputs_of(obs: Observation, rules: Float32[Array, "*R K"] | None = None) -> Inputs:
    """What a network reads of an observation, ``[*R, N, ...]``.

    Args:
      rules: of each realm, from ``encode_rules``, for networks that take them.
    """
    if rules is not None:
        rules = jnp.broadcast_to(rules[..., None, :], (*obs.self.shape[:-1], rules.shape[-1]))
    present = {name: row >= 0 for name, row in obs.rows.items()}
    return Inputs(obs.tiles, obs.self, obs.visible, obs.visible_slot >= 0, rules, obs.of, present, obs.steps)


def encode_rules(rules: Rules, config: Config) -> Float32[Array, "K"]:
    """The rules of one realm as numbers from -1 to 1: ``ENCODED_RULES``, then those of systems; K = ``num_rules``.

    -1 is the lowest value that a field allows, 1 the highest. Between them the scale is linear where the interval is at
    most 1 wide (switches and probabilities), else that of ``log(1 + value - lowest)``: of 30,000 possible amounts the
    small ones are those between which the differences matter.

    Raises:
      ValueError: as ``as_rules``.
    """
    leaves, fields = as_rules(rules, config).named(), rule_fields(config)
    columns = []
    for name in (*ENCODED_RULES, *(name for name in fields if name not in RULE_FIELDS)):
        low, high = fields[name]["low"], fields[name]["high"]
        above = jnp.asarray(leaves[name], jnp.float32) - low
        share = above / (high - low) if high - low <= 1 else jnp.log1p(above) / math.log1p(high - low)
        columns.append(jnp.atleast_1d(2 * share - 1))
    return jnp.concatenate(columns)


def num_rules(config: Config) -> int:
    """How many numbers ``encode_rules`` gives."""
    return NUM_RULES + sum(len(system.rules) for system in config.systems)


def shown(inputs: Inputs, config: Config) -> dict[str, Float32[Array, "*B K"]]:
    """What systems show that is no list, by name: flat, in parts of the largest number that there can be; -1 to 1.

    Where rules are an input those of a system are there as ``rules-poison``, where steps are, those to a goal as
    ``steps-poison``: names that no system can give.
    """
    batch, result = inputs.self.shape[:-1], {}
    for leaf in (leaf for system in config.systems for leaf in system.leaves):
        flat = inputs.of[leaf.name].reshape(*batch, -1)
        result[leaf.name] = numbers(flat, leaf.low, leaf.high, leaf.category).reshape(*batch, -1)
    if inputs.rules is not None:
        first = NUM_RULES
        for system in (system for system in config.systems if system.rules):
            result[f"rules-{system.name}"] = inputs.rules[..., first : first + len(system.rules)]
            first += len(system.rules)
    if inputs.steps is not None:
        for index, goal in enumerate(goals(config)[len(CLASSIC) :], len(CLASSIC)):
            result[f"steps-{goal.name}"] = approach(inputs.steps[..., index, :])
    return result


def approach(steps: UInt8[Array, "*B 5"]) -> Float32[Array, "*B 7"]:
    """How near a goal is, and where it lies: whether there is a way in sight, its length in parts of 16 steps, what is
    left of nearness at that length, and of each of the four tiles beside one's own how many steps nearer it is.
    """
    known = steps < FAR
    length = jnp.where(known, steps, 0).astype(jnp.float32)
    own, there = length[..., :1], known[..., :1].astype(jnp.float32)
    nearer = jnp.where(known[..., 1:] & known[..., :1], own - length[..., 1:], -2)
    return jnp.concatenate([there, own / 16, there / (1 + own), jnp.clip(nearer, -2, 2)], axis=-1)


def footing(tiles: UInt8[Array, "*B 2 W W"], config: Config) -> Float32[Array, "*B 5"]:
    """Whether one's own tile and the four beside it can be entered and lived on, as far as one sees; 0 or 1."""
    safe = np.array(config.livable, np.uint8)
    radius = config.radius
    beside = [tiles[..., 0, radius + row, radius + col] for row, col in DIRECTIONS] if radius else [tiles[..., 0, 0, 0]]
    known = (jnp.stack(beside, axis=-1)[..., None] == safe).any(axis=-1).astype(jnp.float32)
    return jnp.pad(known, [(0, 0)] * (known.ndim - 1) + [(0, 5 - len(beside))])


def entries(inputs: Inputs, config: Config) -> dict[str, Float32[Array, "*B K F"]]:
    """What systems list, by name: the columns of each, in parts of the largest number that there can be; -1 to 1."""
    result = {}
    for name, one in config.lists.items():
        bounds = zip(*bounds_of(one, config), strict=True)
        parts = [
            numbers(inputs.of[name][..., index], int(low), int(high), column.category)
            for index, (column, (low, high)) in enumerate(zip(one.columns, bounds, strict=True))
        ]
        result[name] = jnp.concatenate(parts, axis=-1)
    return result


def widths(config: Config) -> dict[str, int]:
    """How many numbers ``shown`` and ``entries`` make of what systems show: of a leaf in all, of a list of each row."""

    def of_one(low: int, high: int, category: bool) -> int:
        return high - low + 1 if category else 1

    leaves = [leaf for system in config.systems for leaf in system.leaves]
    result = {
        leaf.name: math.prod(leaf_shape(leaf, config)) * of_one(leaf.low, leaf.high, leaf.category) for leaf in leaves
    }
    for name, one in config.lists.items():
        bounds = zip(*bounds_of(one, config), one.columns, strict=True)
        result[name] = sum(of_one(int(low), int(high), column.category) for low, high, column in bounds)
    return result


def numbers(values: Int16[Array, "*B"], low: int, high: int, category: bool) -> Float32[Array, "*B E"]:
    """Whole numbers as inputs: of a category one per kind, 1 for that it is; else E = 1, -1 to 1."""
    if category:
        return jax.nn.one_hot(values - low, high - low + 1, dtype=jnp.float32)
    return values[..., None].astype(jnp.float32) / max(abs(low), abs(high), 1)


def layer_name(argument: str) -> str:
    """What the layer of an output is called: an argument of a system may have the name of another layer."""
    return argument if argument in (*ARGUMENTS, "value") else f"choose_{argument}"


def centre(features: Int16[Array, "*B F"], config: Config) -> Float32[Array, "*B F"]:
    """Attributes centred as the original's networks read them: ``(x - m / 2) / m``; differences as they are.

    Source: the rulebook, Observation. There m is 71 for row and column of an 80 x 80 map: the padded side less 9.
    """
    most = {
        "age": 100,
        "health": 10,
        "food": 32,
        "water": 32,
        "row": max(config.rows - 9, 1),
        "col": max(config.columns - 9, 1),
        "row_difference": None,
        "col_difference": None,
        "damage": 5,
        "same_population": 1,
        "freeze": 2,
    }
    scale = np.array([1 / (most[name] or 1) for name in FEATURES], np.float32)
    shift = np.array([-0.5 if most[name] else 0 for name in FEATURES], np.float32)
    return features.astype(jnp.float32) * scale + shift


def only_listed(visible: Int16[Array, "*B V F"], listed: Bool[Array, "*B V"]) -> Int16[Array, "*B V F"]:
    """The visible agents, with the observer's row (the first) where the list has ended.

    A maximum over them is then one over the listed, with nothing to mask in the wider layer after it.
    """
    return jnp.where(listed[..., None], visible, visible[..., :1, :])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def max_layer(visible: Int16[Array, "*B V F"], kernel: Float32[Array, "F H"], config: Config) -> Float32[Array, "*B H"]:
    """The maximum over agents of a linear layer of their centred attributes.

    Its gradient goes to the first agent that attains it. Kept for the backward pass is which one that was, a byte in
    place of V numbers: several times faster than the derivative of ``max`` on a CPU.
    """
    return (centre(visible, config) @ kernel).max(axis=-2)


def _max_forward(visible, kernel, config):
    def step(carry, agent):
        best, who, index = carry
        value = centre(agent, config) @ kernel
        return (jnp.maximum(value, best), jnp.where(value > best, index, who), index + 1), None

    agents = jnp.moveaxis(visible, -2, 0)
    first = centre(agents[0], config) @ kernel
    small = jnp.uint8 if len(agents) <= 256 else jnp.int32
    (best, who, _), _ = jax.lax.scan(step, (first, jnp.zeros(first.shape, small), jnp.ones((), small)), agents[1:])
    return best, (visible, who)


def _max_backward(config, residual, cotangent):
    visible, who = residual

    def step(carry, agent):
        total, index = carry
        share = jnp.where(who == index, cotangent, 0).reshape(-1, cotangent.shape[-1])
        return (total + centre(agent, config).reshape(-1, agent.shape[-1]).T @ share, index + 1), None

    zero = jnp.zeros((visible.shape[-1], cotangent.shape[-1]), cotangent.dtype)
    (total, _), _ = jax.lax.scan(step, (zero, jnp.zeros((), who.dtype)), jnp.moveaxis(visible, -2, 0))
    return np.zeros(visible.shape, jax.dtypes.float0), total


max_layer.defvjp(_max_forward, _max_backward)


def split(tree, parts: int):
    """Axis 0 of every array, ``[N, ...]``, as ``[parts, N / parts, ...]``."""
    return jax.tree.map(lambda leaf: leaf.reshape(parts, -1, *leaf.shape[1:]), tree)


def merge(tree):
    """The first two axes of every array as one."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
