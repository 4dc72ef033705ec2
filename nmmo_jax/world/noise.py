"""OpenSimplex noise of 2014 in two dimensions, in integers.

The noise of Kurt Spencer (public domain): points lie on a triangular lattice of side sqrt(2), obtained from
the square lattice by squishing; every lattice vertex carries one of eight gradients, chosen by a permutation
of 0..255; the value at a point is the sum, over the vertices nearer than sqrt(2), of
``(2 - d^2)^4 * (gradient . offset)``, divided by 47. At most four vertices are that near: the corners of the
point's triangle, and the mirror image of its farthest corner. Values lie within +-0.9.

Everything is 32-bit integer arithmetic that wraps around, so a seed gives the same map on every backend,
inside and outside jit; a float could differ in its last bit, and now and then a tile with it. Coordinates
are *skewed*: with ``s = (1/sqrt(3) - 1)/2``, ``u = x + s (x + y)`` and ``v = y + s (x + y)``, as uint32 with
24 fractional bits. Their 8 whole bits are all that the permutation looks at, so that coordinates of any size
lose nothing, and doubling a frequency is a shift. The result is within 3e-4 of the real-valued noise.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, UInt32

from nmmo_jax.bits import order

STRETCH = (1 / math.sqrt(3) - 1) / 2  # -0.2113: from points to skewed coordinates
SQUISH = (math.sqrt(3) - 1) / 2  # 0.3660: from skewed coordinates to points
POSITION_BITS = 24  # fractional bits of a skewed coordinate
VALUE_BITS = 16  # fractional bits of a noise value
PERIOD = 256  # length of the permutation

_DIVISOR = 47
_OFFSET_BITS = 15  # of an offset from a vertex: its square, at most 3, fits uint32
_SQUISH = round(SQUISH * 2**12)


def permutation(words: UInt32[Array, "256"]) -> Int32[Array, "256"]:
    """A uniformly drawn permutation of 0..255, from random words: all the chance there is in a noise field."""
    return order(words)


def simplex(table: Int32[Array, "256"], u: UInt32[Array, "*S"], v: UInt32[Array, "*S"]) -> Int32[Array, "*S"]:
    """Noise at points given by skewed coordinates.

    Args:
      table: a permutation of 0..255.
      u, v: skewed coordinates, 24 fractional bits, modulo 256.

    Returns:
      Noise values with 16 fractional bits.
    """
    fraction = (1 << POSITION_BITS) - 1
    one = 1 << _OFFSET_BITS
    a = ((u & fraction) >> (POSITION_BITS - _OFFSET_BITS)).astype(jnp.int32)
    b = ((v & fraction) >> (POSITION_BITS - _OFFSET_BITS)).astype(jnp.int32)
    # A unit rhombus holds two triangles; half a turn brings the upper one onto the lower.
    upper = a + b > one
    a, b = jnp.where(upper, one - a, a), jnp.where(upper, one - b, b)
    turn = _sign(upper)
    column = (u >> POSITION_BITS).astype(jnp.int32) + upper.astype(jnp.int32)
    row = (v >> POSITION_BITS).astype(jnp.int32) + upper.astype(jnp.int32)

    # a, b and the rest to one weigh the corners (1, 0), (0, 1), (0, 0): the lightest is the farthest.
    rest = one - a - b
    far_b = (b <= a) & (b <= rest)
    far_a = (a < b) & (a <= rest)
    fourth = (_sign(far_a), _sign(far_b))
    total = jnp.zeros(jnp.shape(u), jnp.int32)
    for i, j in ((0, 0), (1, 0), (0, 1), fourth):
        vertex = table.at[(column + turn * i) & (PERIOD - 1)].get(mode="promise_in_bounds") + row + turn * j
        index = table.at[vertex & (PERIOD - 1)].get(mode="promise_in_bounds")
        total += _contribution((index >> 1) & 7, a - i * one, b - j * one)
    scale = round(16 / _DIVISOR * 2**14)  # offsets were measured in the turned triangle: turn them back
    return (turn * total * scale) >> 14


def _sign(negative: jax.Array) -> Int32[Array, "*S"]:
    return jnp.where(negative, jnp.int32(-1), jnp.int32(1))


def _contribution(gradient: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """What one vertex adds, from its gradient (0 to 7) and the skewed offsets from it: 16 fractional bits.

    A 16th of it, that is, since the weight is ``(1 - d^2 / 2)^4``. Gradients are (5, 2) and its mirror images:
    bit 0 of the index swaps the axes, bits 1 and 2 change the signs of x and y.
    """
    ua, ub = a.astype(jnp.uint32), b.astype(jnp.uint32)
    square = ua * ua + ua * ub + ub * ub  # half of d^2, 30 fractional bits
    limit = jnp.uint32(1 << 2 * _OFFSET_BITS)
    weight = jnp.where(square < limit, limit - square, 0) >> (2 * _OFFSET_BITS - 16)
    weight = jnp.minimum(weight, (1 << 16) - 1)
    weight = (weight * weight) >> 16
    weight = ((weight * weight) >> 16).astype(jnp.int32)
    shared = ((a + b) * _SQUISH) >> 12
    x = jnp.where((gradient & 2) != 0, -(a + shared), a + shared)
    y = jnp.where((gradient & 4) != 0, -(b + shared), b + shared)
    slope = 2 * (x + y) + 3 * jnp.where((gradient & 1) != 0, y, x)
    return (weight * (slope >> 1)) >> 14  # the product is below 1.6 * 2^30
