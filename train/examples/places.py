"""The default network with another encoder of tiles: three that could learn by themselves what the steps to goals tell.

nmmo-jax train law128 --sword train.examples.places:Convolving --set steps_input=false near=0

What came out is in docs/learning.md.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from train.default import CROWD, Default
from train.networks import make_network
from train.trinity import Sword

DILATIONS, CHANNELS = (1, 2, 4), 8  # of convolutions, that together see seven tiles far
TURNS, VALUES = 14, 4  # of value iteration: as many steps as across the window, and maps of values
HEADS = 4  # of attention


class Places(Default):
    """What is common to them. Agents are the last axis, ``[C, S, S, B]``: a CPU is many times faster with few channels
    so.
    """

    def planes(self, tiles):
        """``[M + 1, S, S, B]``: one-hot materials, and how many agents stand there."""
        tiles = jnp.moveaxis(tiles, 0, -1)
        kinds = jnp.arange(len(self.config.material_names), dtype=tiles.dtype)
        material = (tiles[0] == kinds[:, None, None, None]).astype(jnp.float32)
        return jnp.concatenate([material, jnp.minimum(tiles[1:], CROWD) / CROWD])

    def mixed(self, x, channels, name, bias=0.0):
        """A linear layer over channels."""
        kernel = self.param(name, nn.initializers.lecun_normal(), (len(x), channels))
        offset = self.param(f"{name}_bias", nn.initializers.constant(bias), (channels, 1, 1, 1))
        return jnp.einsum("io,iyxb->oyxb", kernel, x) + offset

    def told(self, seen):
        """What is known of the tiles within two steps, as one layer."""
        middle = seen.shape[1] // 2
        near = seen[:, max(middle - 2, 0) : middle + 3, max(middle - 2, 0) : middle + 3]
        return nn.Dense(self.hidden // 2, name="told")(near.reshape(-1, near.shape[-1]).T)


def beside(x, steps=1):
    """The map as it is so many steps to each of the eight sides, 0 beyond it; and as it is."""
    side, padded = x.shape[1], jnp.pad(x, ((0, 0), (steps, steps), (steps, steps), (0, 0)))
    at = (0, steps, 2 * steps)
    return [padded[:, row : row + side, col : col + side] for row in at for col in at]


class Convolutions(Places):
    """Residual convolutions, one upon the other."""

    def ground(self, tiles):
        """As of ``Default``."""
        x = self.mixed(self.planes(tiles), CHANNELS, "planes")
        for dilation in DILATIONS:
            x += nn.relu(self.mixed(jnp.concatenate(beside(x, dilation)), CHANNELS, f"conv{dilation}"))
        return self.told(x)


class ValueIteration(Places):
    """Maps of values that spread over the tiles, by the same rule in every turn.

    Source: Tamar et al., Value iteration networks (2016).
    """

    def ground(self, tiles):
        """As of ``Default``; a turn is the best of what is here and what is left of it from the four tiles beside."""
        planes = self.planes(tiles)
        reward = self.mixed(planes, VALUES, "reward")
        kept = nn.sigmoid(self.mixed(planes, VALUES, "kept", bias=2.0))

        def turn(_, value):
            return jnp.maximum(reward, kept * functools.reduce(jnp.maximum, beside(value)[1::2]))

        return self.told(jax.lax.fori_loop(0, TURNS, turn, reward))


class Attention(Places):
    """Attention over places: queries that are learned meet what is where."""

    def ground(self, tiles):
        """As of ``Default``."""
        side = tiles.shape[-1]
        away = np.stack(np.meshgrid(*[np.arange(side) - side // 2] * 2, indexing="ij")) / max(side // 2, 1)
        where = np.concatenate([away, np.abs(away), 1 / (1 + np.abs(away).max(axis=0, keepdims=True))])
        where = jnp.broadcast_to(jnp.asarray(where, jnp.float32)[..., None], (*where.shape, len(tiles)))
        x = nn.relu(self.mixed(jnp.concatenate([self.planes(tiles), where]), self.hidden // 2, "tokens"))
        weights = nn.softmax(self.mixed(x, HEADS, "queries"), axis=(1, 2))
        met = jnp.einsum("cyxb,hyxb->bhc", x, weights)
        return nn.Dense(self.hidden // 2, name="told")(met.reshape(len(tiles), -1))


class _Encoder(Sword):
    """Learns as the default, with one of these."""

    module = Default

    def make_network(self):
        """The default's, but for the encoder."""

        def module(config, options):
            return self.module(config, options.hidden, options.auto_target, options.core, options.near)

        return make_network(self.config, "default", self.settings.options, module)


class Convolving(_Encoder):
    """A Sword with ``Convolutions``."""

    module = Convolutions


class Iterating(_Encoder):
    """A Sword with ``ValueIteration``."""

    module = ValueIteration


class Attending(_Encoder):
    """A Sword with ``Attention``."""

    module = Attention
