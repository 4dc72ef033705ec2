"""What agents remember: recurrent cores, over one tick or over a piece of an agent's life.

Both take what comes in at L ticks, ``[B, L, H]``, and who is new, ``[B, L]``: a life that begins within a piece begins
without memory, and no gradient passes over its beginning.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32


class Gru(nn.Module):
    """A gated recurrent unit.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014), as in ``flax.linen.GRUCell``.
    """

    @nn.compact
    def __call__(
        self, core: Float32[Array, "B H"], x: Float32[Array, "B L H"], fresh: Bool[Array, "B L"]
    ) -> tuple[Float32[Array, "B H"], Float32[Array, "B L H"]]:
        """The core after the last tick, and what it tells at each."""
        width, given = x.shape[-1], {name: nn.Dense(x.shape[-1], name=f"i{name}")(x) for name in "rzn"}
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
    """A gated unit whose gate and candidate see the present only, so that a piece is one parallel scan through time.

    Source: Feng et al., Were RNNs all we needed? (2024).
    """

    @nn.compact
    def __call__(
        self, core: Float32[Array, "B H"], x: Float32[Array, "B L H"], fresh: Bool[Array, "B L"]
    ) -> tuple[Float32[Array, "B H"], Float32[Array, "B L H"]]:
        """As of ``Gru``."""
        # Gates begin nearly shut, half lives of some ticks to some hundred: a core that forgets at once learns nothing.
        bias = nn.initializers.constant(jnp.linspace(-5.0, 0.0, x.shape[-1]))
        gate = nn.sigmoid(nn.Dense(x.shape[-1], bias_init=bias, name="gate")(x))
        new = gate * nn.tanh(nn.Dense(x.shape[-1], name="candidate")(x))
        kept = jnp.where(fresh[..., None], 0, 1 - gate)

        def then(first: Any, second: Any) -> Any:
            return first[0] * second[0], second[0] * first[1] + second[1]

        kept, added = jax.lax.associative_scan(then, (kept, new), axis=1)
        told = kept * core[:, None] + added
        return told[:, -1], told


CORES = {"gru": Gru, "mingru": MinGru}
