"""What agents remember: recurrent cores, over one tick or over a piece of an agent's life.

Both take what comes in at L ticks, ``[B, L, H]``, and who is new, ``[B, L]``: a life that begins within a piece begins
without memory, and no gradient passes over its beginning.
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from train.layers import Weights, dense, multiply

AT_ONCE = 8  # ticks


class Gru(nn.Module):
    """A gated recurrent unit.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014), as in ``flax.linen.GRUCell``.
    """

    dtype: Any = jnp.float32  # in which what comes in is multiplied

    @nn.compact
    def __call__(
        self, core: Float32[Array, "B H"], x: Float[Array, "B L H"], fresh: Bool[Array, "B L"]
    ) -> tuple[Float32[Array, "B H"], Float32[Array, "B L H"]]:
        """The core after the last tick, and what it tells at each."""
        width = x.shape[-1]
        given = dense(x, *(Weights(width, name=f"i{name}") for name in "rzn"), dtype=self.dtype, out=jnp.float32)
        given = dict(zip("rzn", given, strict=True))
        inner = {
            name: nn.Dense(width, name == "n", kernel_init=nn.initializers.orthogonal(), name=f"h{name}")
            for name in "rzn"
        }

        def step(core, tick):
            given, fresh = tick
            core = jnp.where(fresh[:, None], 0, core)
            reset, keep = (nn.sigmoid(given[name] + inner[name](core)) for name in "rz")
            core = (1 - keep) * nn.tanh(given["n"] + reset * inner["n"](core)) + keep * core
            return core, core

        first = jax.tree.map(lambda leaf: leaf[:, 0], (given, fresh))
        core, told = step(core, first)  # outside the loop: there parameters may be made
        if x.shape[1] == 1:
            return core, told[:, None]
        rest = jax.tree.map(lambda leaf: jnp.moveaxis(leaf[:, 1:], 1, 0), (given, fresh))
        core, others = jax.lax.scan(step, core, rest)
        return core, jnp.concatenate([told[:, None], jnp.moveaxis(others, 0, 1)], axis=1)


class MinGru(nn.Module):
    """A gated unit whose gate and candidate see the present only: they are products over a whole piece, and what is
    left to be done tick by tick is a multiplication and a sum.

    Source: Feng et al., Were RNNs all we needed? (2024). What they propose for that, a parallel scan through time,
    writes and reads about twice as much on a GPU, and is no faster on a CPU.
    """

    dtype: Any = jnp.float32  # in which what comes in is multiplied

    @nn.compact
    def __call__(
        self, core: Float32[Array, "B H"], x: Float[Array, "B L H"], fresh: Bool[Array, "B L"]
    ) -> tuple[Float32[Array, "B H"], Float32[Array, "B L H"]]:
        """As of ``Gru``."""
        # Gates begin nearly shut, half lives of some ticks to some hundred: a core that forgets at once learns nothing.
        shut = nn.initializers.constant(jnp.linspace(-5.0, 0.0, x.shape[-1]))
        gate, new = Weights(x.shape[-1], bias=shut, name="gate"), Weights(x.shape[-1], name="candidate")
        told = remember(core, multiply(x, gate, new, dtype=self.dtype), fresh)
        return told[:, -1], told


@jax.custom_vjp
def remember(
    core: Float32[Array, "B H"], gates: Float[Array, "B L 2*H"], fresh: Bool[Array, "B L"]
) -> Float32[Array, "B L H"]:
    """What a minimal gated unit tells at each tick, of its gates and candidates, side by side, before their curves.

    On a CPU ticks are doubled: each takes in the one before, then the two before those, and so on, so that a piece is
    some passes over all of it and not hundreds of small ones. Elsewhere ``AT_ONCE`` ticks are taken one after another
    in one kernel. What going back needs besides what was told is computed again.
    """
    return jax.lax.platform_dependent(core, gates, fresh, cpu=_doubled, default=_in_turn)


def _doubled(core, gates, fresh):
    if fresh.shape[1] == 1:
        return _tick(core[:, None], gates, fresh)
    keep, gate, new = _curves(gates, fresh)
    return _double(keep, (gate * new).at[:, 0].add(keep[:, 0] * core), 1)


def _double(keep: Float32[Array, "B L H"], x: Float32[Array, "B L H"], step: int) -> Float32[Array, "B L H"]:
    """``x[t] + keep[t] * result[t - step]``, where step is 1 or -1."""
    while abs(step) < x.shape[1]:
        x, keep = x + keep * _earlier(x, step), keep * _earlier(keep, step)
        x, keep = jax.lax.optimization_barrier((x, keep))  # else what is done before is done again for each who reads
        step *= 2
    return x


def _earlier(x: Float32[Array, "B L H"], step: int) -> Float32[Array, "B L H"]:
    """What was so many ticks before; 0 where that is in another piece."""
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (step, -step, 0), (0, 0, 0)))


def _in_turn(core, gates, fresh):
    def some(index, carry):
        core, told = carry
        now, new, rows = _some(gates, index), _some(fresh, index), []
        for tick in range(now.shape[1]):
            core = _tick(core, now[:, tick], new[:, tick])
            rows.append(core)
        return core, _put(told, rows, index)

    told = jnp.zeros((*fresh.shape, core.shape[-1]), jnp.float32)
    return jax.lax.fori_loop(0, _chunks(fresh), some, (core, told))[1]


def _forward(core, gates, fresh):
    told = remember(core, gates, fresh)
    return told, (core, gates, fresh, told)


def _backward(residual, cotangent):
    core, gates, fresh, told = residual
    before = jnp.concatenate([core[:, None], told[:, :-1]], axis=1)
    core, gates = jax.lax.platform_dependent(before, gates, fresh, cotangent, cpu=_back_doubled, default=_back_in_turn)
    return core, gates, np.zeros(fresh.shape, jax.dtypes.float0)


def _back_doubled(before, gates, fresh, cotangent):
    keep, gate, new = _curves(gates, fresh)
    later = _double(_earlier(keep, -1), cotangent, -1)
    kept = jnp.where(fresh[..., None], 0, before)
    change = later * (new - kept) * gate * (1 - gate), later * gate * (1 - new**2)
    return keep[:, 0] * later[:, 0], jnp.concatenate(change, axis=-1).astype(gates.dtype)


def _back_in_turn(before, gates, fresh, cotangent):
    last = _chunks(fresh) - 1

    def some(index, carry):
        later, change = carry
        index = last - index
        known, now, new, asked = (_some(x, index) for x in (before, gates, fresh, cotangent))
        rows = []
        for tick in reversed(range(now.shape[1])):
            _, pull = jax.vjp(functools.partial(_tick, fresh=new[:, tick]), known[:, tick], now[:, tick])
            later, row = pull(later + asked[:, tick])
            rows.insert(0, row)
        return later, _put(change, rows, index)

    start = jnp.zeros_like(before[:, 0]), jnp.zeros_like(gates)
    return jax.lax.fori_loop(0, _chunks(fresh), some, start)


remember.defvjp(_forward, _backward)


def _tick(core, gates, fresh):
    gate, new = jnp.split(gates.astype(jnp.float32), 2, axis=-1)
    gate = nn.sigmoid(gate)
    return jnp.where(fresh[..., None], 0, 1 - gate) * core + gate * nn.tanh(new)


def _curves(gates: Float[Array, "*B 2*H"], fresh: Bool[Array, "*B"]) -> tuple[Any, Any, Any]:
    """How much is kept; and gate and candidate, of which what is new is the product. For a CPU."""
    gate, new = jnp.split(gates.astype(jnp.float32), 2, axis=-1)
    gate, new = 0.5 + 0.5 * jnp.tanh(0.5 * gate), jnp.tanh(new)  # the sigmoid, without an exponential and a division
    gate, new = jax.lax.optimization_barrier((gate, new))  # else found again for each who reads
    return jnp.where(fresh[..., None], 0, 1 - gate), gate, new


def _chunks(fresh: Bool[Array, "B L"]) -> int:
    return fresh.shape[1] // math.gcd(fresh.shape[1], AT_ONCE)


def _some(x: jax.Array, index: Any) -> jax.Array:
    size = math.gcd(x.shape[1], AT_ONCE)
    return jax.lax.dynamic_slice_in_dim(x, index * size, size, 1)


def _put(x: jax.Array, rows: list[jax.Array], index: Any) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(x, jnp.stack(rows, axis=1), index * len(rows), 1)


CORES = {"gru": Gru, "mingru": MinGru}
