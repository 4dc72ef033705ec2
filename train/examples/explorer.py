"""A God that rewards exploration, more the less an agent's population has been on the tile that it steps on.

python -m train.examples.explorer law128 --minutes 4 --set visits=true

The bonus is ``BONUS / sqrt(n)`` at the n-th tick that agents of the population spend there, by the probe ``visits``.
Source: Strehl and Littman, An analysis of model-based interval estimation for Markov decision processes (2008).
"""

from typing import Any

import jax.numpy as jnp

from nmmo_jax.cli import train
from train.trinity import God, Trinity

BONUS = 1.0  # the world's own reward is 1 for every tick lived through


class Explorer(God):
    """Adds the bonus to the world's own reward."""

    def __init__(self, experiment):
        super().__init__(experiment)
        if not self.config.visits:
            raise ValueError("visits=False: must be True for Explorer, which reads how often tiles were visited")

    def reward(self, reward, before, after, info):
        """With the bonus of the tile that an agent now stands on, if it is still there."""
        agents = after.agents
        visits: Any = after.probes.visits  # [P, rows, columns]
        still = before.agents.alive & (agents.uid == before.agents.uid)
        # The probe counts at the beginning of a tick: where an agent has just gone is not counted yet.
        tick = 1 + visits[agents.population, agents.row, agents.col]
        return reward + jnp.where(still, BONUS / jnp.sqrt(tick), 0)


if __name__ == "__main__":
    train(Trinity(god=Explorer))
