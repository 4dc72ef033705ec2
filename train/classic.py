"""The network as published: an encoder each for the value and for every action head, no nonlinearity but a maximum.

Source: the rulebook, Training as published.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.scipy.linalg import block_diag
from jaxtyping import Array, Float32

from nmmo_jax.actions import Argument, heads
from nmmo_jax.config import Config
from nmmo_jax.kinds import NUM_MATERIALS
from nmmo_jax.observations import NUM_FEATURES
from train.inputs import NOBODY, Inputs, centre, entries, layer_name, max_layer, only_listed, shown, widths
from train.layers import tile_layer


class Dense(nn.Module):
    """The weights of a dense layer, initialised as torch's: uniform within 1 / sqrt(inputs), the bias too."""

    inputs: int
    outputs: int

    @nn.compact
    def __call__(self) -> tuple[Float32[Array, "I O"], Float32[Array, "O"]]:
        """Kernel and bias."""

        def uniform(key, shape):
            return jax.random.uniform(key, shape, jnp.float32, -1, 1) * self.inputs**-0.5

        kernel = self.param("kernel", uniform, (self.inputs, self.outputs))
        return kernel, self.param("bias", uniform, (self.outputs,))


class Linear(NamedTuple):
    """An encoder with its outputs, O numbers per agent: linear in each of the inputs, and in the maxima."""

    material: Float32[Array, "M K O"]
    crowd: Float32[Array, "K O"]
    own: Float32[Array, "F O"]
    agents: Float32[Array, "F H"]  # of which the maximum over the visible is taken
    maxima: Float32[Array, "H O"]
    bias: Float32[Array, "O"]
    of: dict[str, Float32[Array, "K O"]]  # of what systems show, by name; of what they list, of the maxima
    lists: dict[str, Float32[Array, "F H"]]  # of which the maximum over what is listed is taken


class Encoder(nn.Module):
    """Tiles (the material's embedding, the number of agents) -> hidden; self -> hidden; agents -> hidden, of which the
    maximum; the three side by side -> hidden; that -> outputs.

    Attributes:
      outputs: name and size of each output; size 0: a product with the hidden layer of each visible agent instead.
    """

    config: Config
    hidden: int
    outputs: tuple[tuple[str, int], ...]

    @nn.compact
    def __call__(self) -> Linear:
        """The weights, multiplied out from the inputs to the outputs.

        As nothing nonlinear lies between the tiles and an output, 1,800 numbers per agent need not become ``hidden``
        numbers first. An output over visible agents takes F + 1 columns: the query as it meets their attributes, and a
        constant.
        """
        area = self.config.view**2
        embedding = self.param("materials", nn.initializers.normal(1.0, jnp.float32), (NUM_MATERIALS, NUM_MATERIALS))
        tiles, tiles_bias = Dense(area * (NUM_MATERIALS + 1), self.hidden, name="tiles")()
        own, own_bias = Dense(NUM_FEATURES, self.hidden, name="self")()
        agents, agents_bias = Dense(NUM_FEATURES, self.hidden, name="agents")()
        mix, mix_bias = Dense(3 * self.hidden, self.hidden, name="mix")()
        query = (jnp.concatenate([agents, agents_bias[None]]).T, jnp.zeros(NUM_FEATURES + 1, jnp.float32))
        ends = [Dense(self.hidden, size, name=layer_name(name))() if size else query for name, size in self.outputs]
        kernel, bias = (jnp.concatenate(parts, axis=-1) for parts in zip(*ends, strict=True))

        new = [material.name for system in self.config.systems for material in system.materials]
        rows = [self.param(f"material_{name}", nn.initializers.normal(1.0), (1, NUM_MATERIALS)) for name in new]
        embedding = jnp.concatenate([embedding, *rows]) if rows else embedding
        of, lists = {}, {}
        for name, width in widths(self.config).items():
            if name in self.config.lists:
                lists[name], _ = Dense(width, self.hidden, name=f"list_{name}")()
                width = self.hidden
            of[name] = self.param(f"see_{name}", nn.initializers.zeros, (width, self.hidden)) @ kernel
        from_tiles, from_own, maxima = jnp.split(mix @ kernel, 3)
        by_tile = (tiles @ from_tiles).reshape(area, NUM_MATERIALS + 1, -1)
        return Linear(
            material=jnp.einsum("me,keo->mko", embedding, by_tile[:, :NUM_MATERIALS]),
            crowd=by_tile[:, NUM_MATERIALS],
            own=own @ from_own,
            agents=agents,
            maxima=maxima,
            bias=tiles_bias @ from_tiles + own_bias @ from_own + agents_bias @ maxima + mix_bias @ kernel + bias,
            of=of,
            lists=lists,
        )


class Classic(nn.Module):
    """Of one population: a value, and logits for every argument of the action heads.

    Attributes:
      config: gives the inputs' sizes and, by ``heads(config)``, the outputs.
      hidden: width of the encoders.
      auto_target: whether choices among the visible are left out.
    """

    config: Config
    hidden: int = 32
    auto_target: bool = False

    @nn.compact
    def __call__(self, inputs: Inputs, value: bool = True) -> dict[str, Float32[Array, "*B A"]]:
        """Logits by argument, not masked, and ``value`` (``[*B, 1]``) unless it is not asked for."""
        config = self.config
        encoders: dict[str, tuple[tuple[str, int], ...]] = {"value": (("value", 1),)} if value else {}
        for head in heads(config):
            learned = [one for one in head.arguments if not (self.auto_target and one.name == "target")]
            if learned:
                encoders[head.name] = tuple((one.name, self._outputs(one)) for one in learned)
        parts = [Encoder(config, self.hidden, outputs, name=f"{name}_encoder")() for name, outputs in encoders.items()]

        # All encoders side by side: the inputs are taken apart and multiplied once.
        def beside(name: str) -> jax.Array:
            return jnp.concatenate([getattr(part, name) for part in parts], axis=-1)

        visible = only_listed(inputs.visible, inputs.listed)
        maxima = max_layer(visible, beside("agents"), config)
        output = centre(inputs.self, config) @ beside("own")
        output += tile_layer(inputs.tiles, beside("material"), beside("crowd"))
        for name, leaf in shown(inputs, config).items():
            output += leaf @ jnp.concatenate([part.of[name] for part in parts], axis=-1)
        listed = entries(inputs, config)
        for name, each in listed.items():
            layer = each @ jnp.concatenate([part.lists[name] for part in parts], axis=-1)
            most = layer.max(axis=-2, where=inputs.present[name][..., None], initial=NOBODY)
            most = jnp.where(inputs.present[name].any(axis=-1, keepdims=True), most, 0)
            output += most @ block_diag(*(part.of[name] for part in parts))
        output += maxima @ block_diag(*(part.maxima for part in parts)) + beside("bias")

        result, start = {}, 0
        for name, size in (output for outputs in encoders.values() for output in outputs):
            end = start + (size or NUM_FEATURES + 1)
            result[name] = output[..., start:end]
            if not size:
                query, shared = output[..., start : end - 1], output[..., end - 1 : end]
                result[name] = (centre(visible, config) * query[..., None, :]).sum(axis=-1) + shared
            start = end
        for argument in (argument for head in heads(config) for argument in head.arguments if argument.among in listed):
            query = result[argument.name]  # one number is for nothing
            each = (listed[argument.among] * query[..., None, :-1]).sum(axis=-1)
            result[argument.name] = jnp.concatenate([query[..., -1:], each], axis=-1)
        return result

    def _outputs(self, argument: Argument) -> int:
        """How many outputs an encoder has for an argument; 0: a query that meets the visible agents."""
        if argument.among in self.config.lists:
            return widths(self.config)[argument.among] + 1
        return 0 if argument.among == "visible" else argument.size
