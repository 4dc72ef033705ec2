"""The network that is trained unless another is asked for: one encoder for the value and all actions.

Tiles, the agent itself and the others it sees become hidden layers of their own, side by side; two dense layers, with
a recurrent core after them where one is asked for; and from that everything. What systems show is added before the
second of them; of a list the maximum over a hidden layer of each. Whom to choose among the visible, or what among a
list: a query meets the attributes, or that hidden layer, of each.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from nmmo_jax.actions import Argument, heads
from nmmo_jax.config import Config
from nmmo_jax.goals import CLASSIC
from nmmo_jax.kinds import NUM_MATERIALS
from nmmo_jax.observations import FEATURES, NUM_FEATURES
from train.cores import CORES
from train.inputs import NUM_RULES, Inputs, approach, entries, footing, layer_name, shown
from train.layers import Weights, attend, dense, max_over_others, orthogonal, scaled, tile_layer

CROWD = 3  # as many agents on a tile are a crowd


class Default(nn.Module):
    """Of one population: a value, and logits for every argument of the action heads.

    Attributes:
      config: gives the inputs' sizes and, by ``heads(config)``, the outputs.
      hidden: width of the dense layers and the core; the encoders of tiles and of oneself have half of it, that of
        the others a quarter.
      auto_target: whether choices among the visible are left out.
      core: which of ``CORES`` agents remember with, or none.
      near: how far from itself an agent reads tiles one by one; 0: all that is in view.
      dtype: of what lies between layers, float32 or bfloat16; weights, what agents remember and what comes out are
        float32.
    """

    config: Config
    hidden: int = 64
    auto_target: bool = False
    core: str = "none"
    near: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, inputs: Inputs, core: Any, value: bool = True) -> tuple[dict[str, Float32[Array, "*B A"]], Any]:
        """Logits by argument, not masked, ``value`` (``[*B, 1]``) unless it is not asked for, and the next core.

        Args:
          inputs: its ``rules`` are read if they are there.
          core: ``[*B, hidden]``, of the recurrent core after the dense layers; of pieces of L ticks, ``*B`` without its
            last axis, which they are; the empty tuple: there is none.
        """
        batch, width = inputs.self.shape[:-1], self.hidden
        inputs = jax.tree.map(lambda leaf: leaf.reshape(math.prod(batch), *leaf.shape[len(batch) :]), inputs)

        (x,) = self._dense(self._encode(inputs), self._weights(width, math.sqrt(2), "trunk"))
        for name, leaf in shown(inputs, self.config).items():  # at first without effect
            x += self._dense(leaf, self._seen(name))[0]
        listed = {}
        for name, features in entries(inputs, self.config).items():
            (each,) = self._dense(features, self._weights(width // 4, math.sqrt(2), f"list_{name}"))
            listed[name] = nn.relu(each)
            most = jnp.where(inputs.present[name][..., None], listed[name], 0).max(axis=-2)
            x += self._dense(most, self._seen(name))[0]
        (x,) = self._dense(nn.relu(x), self._weights(width, math.sqrt(2), "trunk2"))
        x = nn.relu(x)
        if self.core != "none":
            ticks = math.prod(batch[core.ndim - 1 :])  # one, or those of a piece
            fresh = (inputs.self[:, list(FEATURES).index("age")] == 0).reshape(-1, ticks)
            remember = CORES[self.core](dtype=self.dtype, name=self.core)
            after, told = remember(core.reshape(-1, width), x.reshape(-1, ticks, width), fresh)
            core = after.reshape(core.shape)
            x += told.reshape(x.shape).astype(x.dtype)

        ends = {"value": self._weights(1, 1.0, "value")} if value else {}
        for argument in self._arguments():
            size = {"visible": NUM_FEATURES + 1}.get(argument.among, argument.size)
            size = width // 4 + 1 if argument.among in listed else size
            ends[argument.name] = self._weights(size, 0.01, layer_name(argument.name))
        outputs = dict(zip(ends, dense(x, *ends.values(), dtype=self.dtype, out=jnp.float32), strict=True))
        for argument in self._arguments():
            query = outputs[argument.name]
            if argument.among in listed:  # a query meets each, and one number is for nothing
                each = jnp.einsum("bkh,bh->bk", listed[argument.among], query[..., :-1])
                outputs[argument.name] = jnp.concatenate([query[..., -1:], each], axis=-1)
            elif argument.among == "visible":
                each = attend(inputs.visible, query[:, :-1], self.config)
                nothing = jnp.arange(argument.size) == argument.nothing
                outputs[argument.name] = each + query[:, -1:] * nothing
        return {name: output.reshape(*batch, -1) for name, output in outputs.items()}, core

    def _arguments(self) -> list[Argument]:
        """Those that are learned."""
        every = [argument for head in heads(self.config) for argument in head.arguments]
        return [one for one in every if not (self.auto_target and one.among == "visible" and one.name == "target")]

    def _encode(self, inputs: Inputs) -> Float[Array, "B H"]:
        config = self.config
        own = scaled(inputs.self, config)
        if inputs.rules is not None:
            own = jnp.concatenate([own, inputs.rules[..., :NUM_RULES]], axis=-1)  # others: ``shown``
        others = self.param("others", orthogonal(math.sqrt(2)), (NUM_FEATURES, self.hidden // 4))
        if inputs.steps is not None:
            steps = approach(inputs.steps[..., : len(CLASSIC), :])  # to systems' own goals: ``shown``
            own = jnp.concatenate([own, footing(inputs.tiles, config), steps.reshape(len(steps), -1)], axis=-1)
        itself, observer = self._dense(
            own,
            self._weights(self.hidden // 2, math.sqrt(2), "self"),
            self._weights(self.hidden // 4, 1.0, "observer"),
        )
        # The maximum of the others' hidden layers, where the observer's own attributes are added to each.
        crowd = observer + max_over_others(inputs.visible, inputs.listed, others, config).astype(self.dtype)
        return nn.relu(jnp.concatenate([self.ground(self._near(inputs.tiles)), itself, crowd], axis=-1))

    def ground(self, tiles: UInt8[Array, "B 2 S S"]) -> Float[Array, "B H/2"]:
        """What is made of the tiles that are read, before the rectifier: weights of its own for every tile."""
        side, width, begin = tiles.shape[-1], self.hidden // 2, orthogonal(math.sqrt(2))
        weights = self.param("tiles", begin, (NUM_MATERIALS + 1, side**2, width)) * _nearness(side)[:, None]
        new = [
            self.param(f"material_{material.name}", begin, (1, side**2, width)) * _nearness(side)[:, None]
            for system in self.config.systems
            for material in system.materials
        ]
        material, crowd = jnp.concatenate([weights[:-1], *new]) if new else weights[:-1], weights[-1]
        bias = self.param("tiles_bias", nn.initializers.zeros, (width,), jnp.float32)
        return bias.astype(self.dtype) + tile_layer(tiles, material, crowd, CROWD, self.dtype)

    def _near(self, tiles: UInt8[Array, "B 2 W W"]) -> UInt8[Array, "B 2 S S"]:
        """The tiles that the layer over tiles reads."""
        cut = max(self.config.radius - self.near, 0) if self.near else 0
        return tiles[..., cut : self.config.view - cut, cut : self.config.view - cut]

    def _dense(self, x: Float[Array, "*B I"], *weights: Weights) -> list[Float[Array, "*B O"]]:
        return dense(x, *weights, dtype=self.dtype)

    def _weights(self, outputs: int, gain: float, name: str) -> Weights:
        return Weights(outputs, orthogonal(gain), name=name)

    def _seen(self, name: str) -> Weights:
        """Of what a system shows: it has no effect at first."""
        return Weights(self.hidden, nn.initializers.zeros, None, name=f"see_{name}")


def _nearness(side: int) -> np.ndarray:
    """What the weights of each tile are multiplied by, ``[side * side]``: most for those close by (root mean square 2).

    What is near matters most, so its weights begin larger and are learned in larger steps. Measured: in imitation of
    a forager this halves the steps to the same loss.
    """
    away = np.abs(np.arange(side) - side // 2)
    near = 1 / (1 + np.maximum(away[:, None], away).reshape(-1))
    return (2 * near / np.sqrt((near**2).mean())).astype(np.float32)
