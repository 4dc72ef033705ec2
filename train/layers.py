"""Layers that networks are made of, each in the form in which it is fastest: on a CPU, and elsewhere.

A CPU is fast with products of what lies in its cache, an accelerator with what is never written: there a layer over few
numbers is a sum that the compiler makes while it reads, and several layers over the same are one product. With
``dtype=bfloat16`` what lies between layers takes half the memory, and sums are still made in float32.
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int16, UInt8

from nmmo_jax.config import Config
from nmmo_jax.observations import FEATURES, NUM_FEATURES
from train.inputs import NOBODY

LIMIT = 4.0  # of a scaled attribute
CACHE = 2**16  # bytes of weights that a GPU looks up: about half of what the caches of its multiprocessors hold
TYPICAL = {"age": 50, "health": 10, "food": 32, "water": 32, "damage": 5, "same_population": 1, "freeze": 2}


class Weights(nn.Module):
    """The weights of a dense layer. Those of several over the same inputs are multiplied at once, see ``dense``.

    Attributes:
      outputs: how many numbers it gives.
      kernel, bias: how they begin; no bias: there is none.
    """

    outputs: int
    kernel: Any = nn.initializers.lecun_normal()
    bias: Any = nn.initializers.zeros

    @nn.compact
    def __call__(self, inputs: int) -> tuple[Float32[Array, "I O"], Float32[Array, "O"]]:
        """Kernel and bias."""
        kernel = self.param("kernel", self.kernel, (inputs, self.outputs), jnp.float32)
        zero = jnp.zeros(self.outputs, jnp.float32)
        return kernel, self.param("bias", self.bias, (self.outputs,), jnp.float32) if self.bias else zero


def orthogonal(gain: float) -> Any:
    """How kernels begin: orthogonal, times that."""
    return nn.initializers.orthogonal(gain, dtype=jnp.float32)


def dense(
    x: Float[Array, "*B I"], *weights: Weights, dtype: Any = jnp.float32, out: Any = None
) -> list[Float[Array, "*B O"]]:
    """Dense layers over the same inputs, as one product.

    Args:
      dtype: in which is multiplied.
      out: of what comes out, default: the same.
    """
    ends = np.cumsum([layer.outputs for layer in weights])
    return jnp.split(multiply(x, *weights, dtype=dtype, out=out), ends[:-1], axis=-1)


def multiply(
    x: Float[Array, "*B I"], *weights: Weights, dtype: Any = jnp.float32, out: Any = None
) -> Float[Array, "*B O"]:
    """As ``dense``, side by side."""
    kernels, biases = zip(*(layer(x.shape[-1]) for layer in weights), strict=True)
    out = jnp.dtype(out or dtype)
    return _product(x.astype(dtype), jnp.concatenate(kernels, axis=-1), out) + jnp.concatenate(biases).astype(out)


def _matmul(x, y, dtype, out=jnp.float32):
    return jnp.matmul(x.astype(dtype), y.astype(dtype), preferred_element_type=out)


def _product_forward(x: Float[Array, "*B I"], kernel: Float32[Array, "I O"], out: Any) -> Float[Array, "*B O"]:
    """In the type of ``x``, forward and back; sums, and the kernel's gradient, are made in float32."""
    return _matmul(x, kernel, x.dtype, out)


def _product_backward(out, residual, cotangent):
    x, kernel = residual
    cotangent = cotangent.astype(x.dtype)
    rows = [leaf.reshape(-1, leaf.shape[-1]) for leaf in (x, cotangent)]
    return cotangent @ kernel.astype(x.dtype).T, _matmul(rows[0].T, rows[1], x.dtype)


_product: Any = jax.custom_vjp(_product_forward, nondiff_argnums=(2,))
_product.defvjp(lambda x, kernel, out: (_product_forward(x, kernel, out), (x, kernel)), _product_backward)


def scaled(features: Int16[Array, "*B F"], config: Config) -> Float32[Array, "*B F"]:
    """Attributes from -1 to 1 where they are as usual, at most ``LIMIT`` from 0; differences in radii of the view."""
    scale, shift = _scale(config)
    return jnp.clip(features.astype(jnp.float32) * scale + shift, -LIMIT, LIMIT)


def scaled_visible(visible: Int16[Array, "B V F"], config: Config) -> Float32[Array, "B V*F"]:
    """``scaled``, with the distances along each axis in place of row and column, which the differences tell.

    All attributes of all agents in one row: that is how they lie, and how a CPU reads them fastest.
    """
    scale, shift = _scale(config)
    names, number = list(FEATURES), visible.shape[1]
    flat = visible.reshape(len(visible), number * NUM_FEATURES).astype(jnp.float32)
    result = jnp.clip(flat * np.tile(scale, number) + np.tile(shift, number), -LIMIT, LIMIT)
    for name in ("row", "col"):
        index, difference = names.index(name), names.index(f"{name}_difference")
        away = jnp.abs(jnp.roll(flat, index - difference, axis=1)) * scale[difference]
        result = jnp.where(np.tile(np.arange(NUM_FEATURES) == index, number), away, result)
    return result


def _columns(visible: Int16[Array, "B V F"], config: Config) -> list[Float32[Array, "B V"]]:
    """``scaled_visible``, attribute by attribute: what an accelerator computes anew wherever it is read."""
    scale, shift = _scale(config)
    names, result = list(FEATURES), []
    for index, name in enumerate(names):
        if name in ("row", "col"):
            index = names.index(f"{name}_difference")
            result.append(jnp.abs(visible[..., index].astype(jnp.float32)) * scale[index])
        else:
            column = visible[..., index].astype(jnp.float32)
            result.append(jnp.clip(column * scale[index] + shift[index], -LIMIT, LIMIT))
    return result


def _scale(config: Config) -> tuple[np.ndarray, np.ndarray]:
    side = {"row": config.rows - 1, "col": config.columns - 1}
    middle = [max(TYPICAL.get(name, side.get(name, 0)), 1) / 2 for name in FEATURES]
    difference = np.array([name.endswith("_difference") for name in FEATURES])
    scale = np.where(difference, 1 / max(config.radius, 1), 1 / np.array(middle))
    return scale.astype(np.float32), np.where(difference, 0, -1).astype(np.float32)


def max_over_others(
    visible: Int16[Array, "B V F"], listed: Bool[Array, "B V"], kernel: Float32[Array, "F H"], config: Config
) -> Float32[Array, "B H"]:
    """The maximum over the others that are listed, all but the first, of a linear layer of ``scaled_visible``.

    ``NOBODY`` where there are none. Its gradient goes to the first that attains it.
    """
    return _max(visible, listed, kernel, config)


def _max_forward(visible, listed, kernel, config):
    number = visible.shape[1]
    small = jnp.int32 if number > 255 else jnp.uint8

    def in_turn(visible, listed, kernel):
        features, away = scaled_visible(visible, config), jnp.where(listed, 0, NOBODY)
        layer = (features.reshape(-1, NUM_FEATURES) @ kernel).reshape(len(visible), number, -1)
        best = jnp.full((len(visible), kernel.shape[1]), NOBODY, jnp.float32)
        who = jnp.zeros(best.shape, small)
        for index in range(1, number):
            one = layer[:, index] + away[:, index, None]
            who = jnp.where(one > best, jnp.asarray(index, who.dtype), who)
            best = jnp.maximum(one, best)
        return best, who

    def at_once(visible, listed, kernel):  # one reduction, which reads the attributes and writes the maxima
        parts = [column[..., None] * row for column, row in zip(_columns(visible, config), kernel, strict=True)]
        layer = functools.reduce(jnp.add, parts)
        index = jax.lax.broadcasted_iota(jnp.int32, layer.shape, 1)
        layer = jnp.where(listed[..., None] & (index > 0), layer, NOBODY)

        def better(one, other):
            first = (one[0] > other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))
            return tuple(jnp.where(first, a, b) for a, b in zip(one, other, strict=True))

        best, who = jax.lax.reduce((layer, index), (jnp.float32(NOBODY), jnp.int32(0)), better, (1,))
        return best, who.astype(small)

    best, who = jax.lax.platform_dependent(visible, listed, kernel, cpu=in_turn, default=at_once)
    return best, (visible, listed, who)


def _max_backward(config, residual, cotangent):
    visible, listed, who = residual

    def product(visible, who, cotangent):
        number = visible.shape[1]
        features = scaled_visible(visible, config).reshape(len(visible), number, NUM_FEATURES)
        best = jnp.take_along_axis(features, who[..., None].astype(jnp.int32), axis=1, mode="promise_in_bounds")
        return jnp.einsum("bhf,bh->fh", best, jnp.where(who > 0, cotangent, 0))

    def at_once(visible, who, cotangent):
        best = jnp.take_along_axis(visible, who[..., None].astype(jnp.int32), axis=1)  # [B, H, F]
        share = jnp.where(who > 0, cotangent, 0)  # 0: there was nobody
        return (jnp.stack(_columns(best, config), axis=-1) * share[..., None]).sum(axis=0).T

    total = jax.lax.platform_dependent(visible, who, cotangent, cpu=product, default=at_once)
    return np.zeros(visible.shape, jax.dtypes.float0), np.zeros(listed.shape, jax.dtypes.float0), total


_max: Any = jax.custom_vjp(lambda *args: _max_forward(*args)[0], nondiff_argnums=(3,))
_max.defvjp(_max_forward, _max_backward)


def attend(visible: Int16[Array, "B V F"], query: Float32[Array, "B F"], config: Config) -> Float32[Array, "B V"]:
    """The product of the query with the attributes (``scaled_visible``) of each of the visible."""
    return _attend(visible, query, config)


def _products(visible, query, config):
    number = visible.shape[1]

    def product(visible, query):
        products = scaled_visible(visible, config) * jnp.tile(query, (1, number))
        return products @ np.repeat(np.eye(number, dtype=np.float32), NUM_FEATURES, axis=0)

    def at_once(visible, query):
        parts = [column * query[:, index, None] for index, column in enumerate(_columns(visible, config))]
        return functools.reduce(jnp.add, parts)

    return jax.lax.platform_dependent(visible, query, cpu=product, default=at_once)


def _attend_forward(visible, query, config):
    return _products(visible, query, config), visible


def _attend_backward(config, visible, cotangent):
    number = visible.shape[1]

    def product(visible, cotangent):
        products = scaled_visible(visible, config) * jnp.repeat(cotangent, NUM_FEATURES, axis=1)
        return products @ np.tile(np.eye(NUM_FEATURES, dtype=np.float32), (number, 1))

    def at_once(visible, cotangent):
        return jnp.stack([(column * cotangent).sum(axis=1) for column in _columns(visible, config)], axis=1)

    gradient = jax.lax.platform_dependent(visible, cotangent, cpu=product, default=at_once)
    return np.zeros(visible.shape, jax.dtypes.float0), gradient


_attend: Any = jax.custom_vjp(_products, nondiff_argnums=(2,))
_attend.defvjp(_attend_forward, _attend_backward)


def tile_layer(
    tiles: UInt8[Array, "*B 2 W W"],
    material: Float32[Array, "M K O"],
    crowd: Float32[Array, "K O"],
    most: int = 255,
    dtype: Any = jnp.float32,
) -> Float[Array, "*B O"]:
    """The linear layer over one-hot materials and agents per tile, ``K = W * W``.

    Plainly, ``one_hot(tiles[..., 0, :, :])`` and ``tiles[..., 1, :, :]``, flattened and multiplied by the weights. Here
    one plane is compared and multiplied at a time, several times faster on a CPU than one wide product: planes of a
    thousand agents stay in the cache. The first material is the baseline: six planes are multiplied, not seven. A GPU
    whose cache has room for them adds up the weights of what is there. The backward pass multiplies planes with the
    gradient, from the tiles as they are stored.

    Args:
      most: more agents than that on a tile are read as that many.
      dtype: in which is multiplied, and of what comes out; sums are made in float32.
    """
    return _tile_layer(tiles, material, crowd, most, dtype)


def _tiles_forward(tiles, material, crowd, most, dtype):
    def by_plane(tiles, material, crowd):
        seen, agents = _planes(tiles, most)
        output = _matmul(agents, crowd, dtype) + material[0].sum(axis=0)
        for index in range(1, len(material)):
            output += _matmul(seen == index, material[index] - material[0], dtype)
        return output

    def looked_up(tiles, material, crowd):
        seen, agents = _planes(tiles, most)
        weights = material[seen, jnp.arange(seen.shape[1])]
        return (weights + agents.astype(jnp.float32)[..., None] * crowd).sum(axis=1)

    forms = dict.fromkeys(("cuda", "rocm"), looked_up) if material.nbytes <= CACHE else {}
    output = jax.lax.platform_dependent(tiles, material, crowd, **forms, default=by_plane)
    return output.reshape(*tiles.shape[:-3], -1).astype(dtype), (tiles, len(material))


def _planes(tiles: UInt8[Array, "*B 2 W W"], most: int) -> tuple[UInt8[Array, "B K"], UInt8[Array, "B K"]]:
    planes = tiles.reshape(-1, 2, math.prod(tiles.shape[-2:]))
    return planes[:, 0], jnp.minimum(planes[:, 1], jnp.uint8(most))


def _tiles_backward(most, dtype, residual, cotangent):
    tiles, materials = residual
    seen, agents = _planes(tiles, most)
    cotangent = cotangent.reshape(-1, cotangent.shape[-1])
    others = [_matmul((seen == index).T, cotangent, dtype) for index in range(1, materials)]
    baseline = cotangent.astype(jnp.float32).sum(axis=0) - sum(others)
    crowd = _matmul(agents.T, cotangent, dtype)
    return np.zeros(tiles.shape, jax.dtypes.float0), jnp.stack([baseline, *others]), crowd


_tile_layer: Any = jax.custom_vjp(lambda *args: _tiles_forward(*args)[0], nondiff_argnums=(3, 4))
_tile_layer.defvjp(_tiles_forward, _tiles_backward)
