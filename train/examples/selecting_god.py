"""A God that selects through births: newborns go to the populations whose agents live longest.

python -m train.examples.selecting_god law128 --minutes 4 --set shared_weights=false

A newborn joins a population with a probability in proportion to the ``PRESSURE``-th power of the mean age of its living
agents, among those with room. Populations that do well thus have more of the world, and more to learn from; who has
nobody is as likely as if its agents were one tick old, so that nobody is lost for ever.
"""

import jax.numpy as jnp

from nmmo_jax.cli import train
from train.trinity import God, Trinity

PRESSURE = 4


class Selecting(God):
    """The world's own rules and rewards, with other births."""

    def newborn(self, word, room, realm):
        """One of the populations with room, by how old its living agents are."""
        agents, populations = realm.agents, self.config.num_populations
        own = agents.alive & (agents.population == jnp.arange(populations)[:, None])  # [P, N]
        age = jnp.where(own, agents.age, 0).sum(axis=1) / jnp.maximum(own.sum(axis=1), 1)
        weight = jnp.where(room, jnp.maximum(age, 1) ** PRESSURE, 0)
        beyond = jnp.cumsum(weight / weight.sum()) > (word >> 8) * jnp.float32(2**-24)
        # Rounding may leave nobody beyond, or one without room: then who has most.
        chosen = jnp.argmax(beyond)
        return jnp.where(beyond.any() & room[chosen], chosen, jnp.argmax(weight)).astype(jnp.int32)


if __name__ == "__main__":
    train(Trinity(god=Selecting))
