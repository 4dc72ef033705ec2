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
from jaxtyping import Array, Bool, Float32, Int16, UInt8

from nmmo_jax.actions import heads
from nmmo_jax.config import Config
from nmmo_jax.goals import CLASSIC
from nmmo_jax.kinds import NUM_MATERIALS
from nmmo_jax.observations import FEATURES, NUM_FEATURES
from train.cores import CORES
from train.inputs import NOBODY, NUM_RULES, Inputs, approach, entries, footing, layer_name, shown, tile_layer

CROWD = 3  # as many agents on a tile are a crowd
LIMIT = 4.0  # of a scaled attribute
TYPICAL = {"age": 50, "health": 10, "food": 32, "water": 32, "damage": 5, "same_population": 1, "freeze": 2}


class Default(nn.Module):
    """Of one population: a value, and logits for every argument of the action heads.

    Attributes:
      config: gives the inputs' sizes and, by ``heads(config)``, the outputs.
      hidden: width of the dense layers and the core; the encoders of tiles and of oneself have half of it, that of
        the others a quarter.
      auto_target: whether choices among the visible are left out.
      core: which of ``CORES`` agents remember with, or none.
      near: how far from itself an agent reads tiles one by one; 0: all that is in view.
    """

    config: Config
    hidden: int = 64
    auto_target: bool = False
    core: str = "none"
    near: int = 0

    @nn.compact
    def __call__(self, inputs: Inputs, core: Any, value: bool = True) -> tuple[dict[str, Float32[Array, "*B A"]], Any]:
        """Logits by argument, not masked, ``value`` (``[*B, 1]``) unless it is not asked for, and the next core.

        Args:
          inputs: its ``rules`` are read if they are there.
          core: ``[*B, hidden]``, of the recurrent core after the dense layers; of pieces of L ticks, ``*B`` without its
            last axis, which they are; the empty tuple: there is none.
        """
        batch = inputs.self.shape[:-1]
        inputs = jax.tree.map(lambda leaf: leaf.reshape(math.prod(batch), *leaf.shape[len(batch) :]), inputs)

        x = self._dense(self.hidden, math.sqrt(2), "trunk")(self._encode(inputs))
        for name, leaf in shown(inputs, self.config).items():  # at first without effect
            see = nn.Dense(self.hidden, use_bias=False, kernel_init=nn.initializers.zeros, name=f"see_{name}")
            x += see(leaf)
        listed = {}
        for name, features in entries(inputs, self.config).items():
            listed[name] = nn.relu(self._dense(self.hidden // 4, math.sqrt(2), f"list_{name}")(features))
            most = jnp.where(inputs.present[name][..., None], listed[name], 0).max(axis=-2)
            x += nn.Dense(self.hidden, use_bias=False, kernel_init=nn.initializers.zeros, name=f"see_{name}")(most)
        x = self._dense(self.hidden, math.sqrt(2), "trunk2")(nn.relu(x))
        x = nn.relu(x)
        if self.core != "none":
            ticks = math.prod(batch[core.ndim - 1 :])  # one, or those of a piece
            fresh = (inputs.self[:, list(FEATURES).index("age")] == 0).reshape(-1, ticks)
            remember = CORES[self.core](name=self.core)
            after, told = remember(core.reshape(-1, self.hidden), x.reshape(-1, ticks, self.hidden), fresh)
            core = after.reshape(core.shape)
            x += told.reshape(x.shape)

        outputs = {"value": self._dense(1, 1.0, "value")(x)} if value else {}
        for argument in (argument for head in heads(self.config) for argument in head.arguments):
            if argument.among in listed:  # a query meets each, and one number is for nothing
                query = self._dense(self.hidden // 4 + 1, 0.01, layer_name(argument.name))(x)
                each = (listed[argument.among] * query[..., None, :-1]).sum(axis=-1)
                outputs[argument.name] = jnp.concatenate([query[..., -1:], each], axis=-1)
            elif argument.among != "visible":
                outputs[argument.name] = self._dense(argument.size, 0.01, layer_name(argument.name))(x)
            elif not (self.auto_target and argument.name == "target"):
                query = self._dense(NUM_FEATURES + 1, 0.01, layer_name(argument.name))(x)
                outputs[argument.name] = attend(inputs.visible, query[:, :-1], self.config)
                outputs[argument.name] += query[:, -1:] * (jnp.arange(argument.size) == argument.nothing)
        return {name: output.reshape(*batch, -1) for name, output in outputs.items()}, core

    def _encode(self, inputs: Inputs) -> Float32[Array, "B H"]:
        config = self.config
        own = scaled(inputs.self, config)
        if inputs.rules is not None:
            own = jnp.concatenate([own, inputs.rules[..., :NUM_RULES]], axis=-1)  # others: ``shown``
        others = self.param("others", _orthogonal(), (NUM_FEATURES, self.hidden // 4))
        if inputs.steps is not None:
            steps = approach(inputs.steps[..., : len(CLASSIC), :])  # to systems' own goals: ``shown``
            own = jnp.concatenate([own, footing(inputs.tiles, config), steps.reshape(len(steps), -1)], axis=-1)
        parts = [
            self.ground(self._near(inputs.tiles)),
            self._dense(self.hidden // 2, math.sqrt(2), "self")(own),
            # The maximum of the others' hidden layers, where the observer's own attributes are added to each.
            self._dense(self.hidden // 4, 1.0, "observer")(own)
            + max_over_others(inputs.visible, inputs.listed, others, config),
        ]
        return nn.relu(jnp.concatenate(parts, axis=-1))

    def ground(self, tiles: UInt8[Array, "B 2 S S"]) -> Float32[Array, "B H/2"]:
        """What is made of the tiles that are read, before the rectifier: weights of its own for every tile."""
        side, width = tiles.shape[-1], self.hidden // 2
        weights = self.param("tiles", _orthogonal(), (NUM_MATERIALS + 1, side**2, width)) * _nearness(side)[:, None]
        new = [
            self.param(f"material_{material.name}", _orthogonal(), (1, side**2, width)) * _nearness(side)[:, None]
            for system in self.config.systems
            for material in system.materials
        ]
        material, crowd = jnp.concatenate([weights[:-1], *new]) if new else weights[:-1], weights[-1]
        bias = self.param("tiles_bias", nn.initializers.zeros, (width,), jnp.float32)
        return bias + tile_layer(tiles, material, crowd, CROWD)

    def _near(self, tiles: UInt8[Array, "B 2 W W"]) -> UInt8[Array, "B 2 S S"]:
        """The tiles that the layer over tiles reads."""
        cut = max(self.config.radius - self.near, 0) if self.near else 0
        return tiles[..., cut : self.config.view - cut, cut : self.config.view - cut]

    def _dense(self, outputs: int, gain: float, name: str) -> nn.Dense:
        return nn.Dense(outputs, kernel_init=nn.initializers.orthogonal(gain), name=name)


def _orthogonal() -> Any:
    return nn.initializers.orthogonal(math.sqrt(2), dtype=jnp.float32)


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


def _scale(config: Config) -> tuple[np.ndarray, np.ndarray]:
    side = {"row": config.rows - 1, "col": config.columns - 1}
    middle = [max(TYPICAL.get(name, side.get(name, 0)), 1) / 2 for name in FEATURES]
    difference = np.array([name.endswith("_difference") for name in FEATURES])
    scale = np.where(difference, 1 / max(config.radius, 1), 1 / np.array(middle))
    return scale.astype(np.float32), np.where(difference, 0, -1).astype(np.float32)


def _nearness(side: int) -> np.ndarray:
    """What the weights of each tile are multiplied by, ``[side * side]``: most for those close by (root mean square 2).

    What is near matters most, so its weights begin larger and are learned in larger steps. Measured: in imitation of
    a forager this halves the steps to the same loss.
    """
    away = np.abs(np.arange(side) - side // 2)
    near = 1 / (1 + np.maximum(away[:, None], away).reshape(-1))
    return (2 * near / np.sqrt((near**2).mean())).astype(np.float32)


def max_over_others(
    visible: Int16[Array, "B V F"], listed: Bool[Array, "B V"], kernel: Float32[Array, "F H"], config: Config
) -> Float32[Array, "B H"]:
    """The maximum over the others that are listed, all but the first, of a linear layer of ``scaled_visible``.

    ``NOBODY`` where there are none. Its gradient goes to the first that attains it.
    """
    return _max(visible, listed, kernel, config)


def _max_forward(visible, listed, kernel, config):
    number = visible.shape[1]

    def in_turn(visible, listed, kernel):  # the layers of one agent after another, which are never all in memory
        features, away = scaled_visible(visible, config), jnp.where(listed, 0, NOBODY)
        best = jnp.full((len(visible), kernel.shape[1]), NOBODY, jnp.float32)
        who = jnp.zeros(best.shape, jnp.int32 if number > 255 else jnp.uint8)
        for index in range(1, number):
            layer = _agent(features, index) @ kernel + away[:, index, None]
            who = jnp.where(layer > best, jnp.asarray(index, who.dtype), who)
            best = jnp.maximum(layer, best)
        return best, who

    def at_once(visible, listed, kernel):
        layer = scaled_visible(visible, config).reshape(visible.shape) @ kernel
        layer = jnp.where((listed & (jnp.arange(number) > 0))[..., None], layer, NOBODY)
        who = jnp.argmax(layer, axis=1).astype(jnp.int32 if number > 255 else jnp.uint8)
        return layer.max(axis=1), who

    best, who = jax.lax.platform_dependent(visible, listed, kernel, cpu=in_turn, default=at_once)
    return best, (visible, listed, who)


def _max_backward(config, residual, cotangent):
    visible, listed, who = residual

    def in_turn(visible, who, cotangent):
        features, total = scaled_visible(visible, config), jnp.zeros((NUM_FEATURES, cotangent.shape[1]), jnp.float32)
        for index in range(1, visible.shape[1]):
            total += _agent(features, index).T @ jnp.where(who == index, cotangent, 0)
        return total

    def at_once(visible, who, cotangent):
        index = jnp.arange(visible.shape[1])[:, None]
        share = jnp.where((who[:, None] == index) & (index > 0), cotangent[:, None], 0)  # 0: there was nobody
        return jnp.einsum("bvf,bvh->fh", scaled_visible(visible, config).reshape(visible.shape), share)

    total = jax.lax.platform_dependent(visible, who, cotangent, cpu=in_turn, default=at_once)
    return np.zeros(visible.shape, jax.dtypes.float0), np.zeros(listed.shape, jax.dtypes.float0), total


def _agent(features: Float32[Array, "B V*F"], index: int) -> Float32[Array, "B F"]:
    return features[:, index * NUM_FEATURES : (index + 1) * NUM_FEATURES]


_max: Any = jax.custom_vjp(lambda *args: _max_forward(*args)[0], nondiff_argnums=(3,))
_max.defvjp(_max_forward, _max_backward)


def attend(visible: Int16[Array, "B V F"], query: Float32[Array, "B F"], config: Config) -> Float32[Array, "B V"]:
    """The product of the query with the attributes (``scaled_visible``) of each of the visible."""
    return _attend(visible, query, config)


def _products(visible, query, config):
    number = visible.shape[1]
    products = scaled_visible(visible, config) * jnp.tile(query, (1, number))
    return products @ np.repeat(np.eye(number, dtype=np.float32), NUM_FEATURES, axis=0)


def _attend_forward(visible, query, config):
    return _products(visible, query, config), visible


def _attend_backward(config, visible, cotangent):
    features = scaled_visible(visible, config).reshape(visible.shape)
    return np.zeros(visible.shape, jax.dtypes.float0), (features * cotangent[..., None]).sum(axis=1)


_attend: Any = jax.custom_vjp(_products, nondiff_argnums=(2,))
_attend.defvjp(_attend_forward, _attend_backward)
