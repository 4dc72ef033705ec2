"""A Sword with a network of one's own: a convolution over the tiles, the maximum over the others, two dense layers.

python -m train.examples.own_network law128 --minutes 4 --set shared_weights=false core=none

What it gives is generated from the declaration of actions: a system that adds actions needs no change here.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nmmo_jax.actions import heads
from nmmo_jax.cli import train
from nmmo_jax.config import Config
from nmmo_jax.draws import for_jax, split
from train.layers import scaled
from train.networks import Network, nothing_seen, per_population
from train.trinity import Sword, Trinity


class Convolutional(nn.Module):
    """The network of one population; see ``train.networks.Network`` for what goes in and comes out."""

    config: Config
    hidden: int

    @nn.compact
    def __call__(self, inputs, value=True):
        """Logits by argument and the value, of agents with any leading axes."""
        tiles = nn.Embed(len(self.config.material_names), 8)(inputs.tiles[..., 0, :, :])
        crowd = jnp.minimum(inputs.tiles[..., 1, :, :, None], 3) / 3
        tiles = nn.relu(nn.Conv(16, (3, 3), strides=2)(jnp.concatenate([tiles, crowd], axis=-1)))
        others = nn.relu(nn.Dense(self.hidden // 2)(scaled(inputs.visible, self.config)))
        most = jnp.where(inputs.listed[..., None], others, 0).max(axis=-2)
        x = [tiles.reshape(*tiles.shape[:-3], -1), most, scaled(inputs.self, self.config)]
        for _ in range(2):
            x = [nn.relu(nn.Dense(self.hidden)(jnp.concatenate(x, axis=-1)))]
        outputs = {"value": nn.Dense(1)(x[0])} if value else {}
        for argument in (argument for head in heads(self.config) for argument in head.arguments):
            if argument.among == "visible":  # a query meets what is known of each
                query = nn.Dense(self.hidden // 2, name=argument.name)(x[0])
                outputs[argument.name] = (others * query[..., None, :]).mean(axis=-1)
            else:
                outputs[argument.name] = nn.Dense(argument.size, name=argument.name)(x[0])
        return outputs


class Own(Sword):
    """Learns as the default, with another network; ``--set hidden=128`` makes it wider."""

    def make_network(self):
        """One set of weights per population, and nothing remembered."""
        module = Convolutional(self.config, self.settings.options.hidden)
        example = nothing_seen(self.config)

        def init(key):
            keys = for_jax(split(key, self.config.num_populations))
            return jax.lax.map(lambda key: module.init(key, example)["params"], keys)

        def apply(params, inputs, core=(), value=True):
            return per_population(
                lambda params, rows: module.apply({"params": params}, rows, value), params, inputs
            ), core

        return Network(init, apply, initial=lambda shape: (), floor=0.0)


if __name__ == "__main__":
    train(Trinity(sword=Own))
