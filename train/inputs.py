"""What networks read of an observation, and how: stored integers go in, and are taken apart inside."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int16, UInt8

from nmmo_jax.config import Config
from nmmo_jax.observations import FEATURES, Observation
from nmmo_jax.world.materials import NUM_MATERIALS


class Inputs(NamedTuple):
    """What a network reads, as stored in an ``Observation``; any leading axes ``*B``."""

    tiles: UInt8[Array, "*B 2 W W"]  # material, agents on the tile
    self: Int16[Array, "*B F"]
    visible: Int16[Array, "*B V F"]
    listed: Bool[Array, "*B V"]  # whether that row is an agent


def inputs_of(obs: Observation) -> Inputs:
    """What a network reads of an observation."""
    return Inputs(obs.tiles, obs.self, obs.visible, obs.visible_slot >= 0)


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


def tile_layer(
    tiles: UInt8[Array, "*B 2 W W"],
    material: Float[Array, "M K O"],
    crowd: Float[Array, "K O"],
) -> Float32[Array, "*B O"]:
    """The linear layer over one-hot materials and agents per tile, ``K = W * W``.

    Plainly, ``one_hot(tiles[..., 0, :, :])`` and ``tiles[..., 1, :, :]``, flattened and multiplied by the weights. Here
    one plane is compared and multiplied at a time, several times faster on a CPU than one wide product: planes of a
    thousand agents stay in the cache. The first material is the baseline: six planes are multiplied, not seven.
    """
    planes = tiles.reshape(*tiles.shape[:-3], 2, math.prod(tiles.shape[-2:]))
    seen, agents = planes[..., 0, :], planes[..., 1, :]
    output = agents.astype(crowd.dtype) @ crowd + material[0].sum(axis=0)
    for index in range(1, NUM_MATERIALS):
        output += (seen == index).astype(material.dtype) @ (material[index] - material[0])
    return output


def split(tree, parts: int):
    """Axis 0 of every array, ``[N, ...]``, as ``[parts, N / parts, ...]``."""
    return jax.tree.map(lambda leaf: leaf.reshape(parts, -1, *leaf.shape[1:]), tree)


def merge(tree):
    """The first two axes of every array as one."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
