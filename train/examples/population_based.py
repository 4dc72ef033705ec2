"""A Pantheon with population-based training: the worst population becomes a copy of the best, learning at another rate.

python -m train.examples.population_based law128 --minutes 4 --set shared_weights=false

Every ``EVERY`` updates the population with the fewest ticks lived per death takes over the parameters, the optimiser's
state and the learning rate of that with the most, the rate times or divided by ``FACTOR``.
Source: Jaderberg et al., Population based training of neural networks (2017).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nmmo_jax.cli import train
from nmmo_jax.draws import for_jax
from train.populations import per_row
from train.trinity import Pantheon, Trinity

EVERY, FACTOR = 32, 1.25


class Members(NamedTuple):
    """The optimiser's state, where there is room for what is to be kept of a run."""

    inner: Any
    rate: jax.Array  # [P] learning rates, in units of ``Settings.learning_rate``
    steps: jax.Array  # [P] ticks lived by all agents since the last selection
    deaths: jax.Array  # [P]


class PopulationBased(Pantheon):
    """The default optimiser with a rate for every population, and selection among them, of networks of their own."""

    def __init__(self, experiment):
        if experiment.settings.options.shared_weights:
            raise ValueError(
                "shared_weights=True: must be False where populations are selected by what each has learned"
            )
        super().__init__(experiment)

    def optimiser(self):
        """Of which the state is ``Members``."""
        inner, none = super().optimiser(), jnp.zeros(self.config.num_populations, jnp.int32)

        def init(params):
            return Members(inner.init(params), jnp.ones(none.shape), none, none)

        def update(updates, state, params=None):
            updates, after = inner.update(updates, state.inner, params)
            updates = jax.tree.map(lambda leaf: leaf * per_row(state.rate, leaf), updates)
            return updates, state._replace(inner=after)

        return optax.GradientTransformation(init, update)

    def evolve(self, params, optimiser, sums, update, key):
        """Counts every update, and selects after every ``EVERY`` of them."""
        members = optimiser._replace(steps=optimiser.steps + sums.steps, deaths=optimiser.deaths + sums.deaths)
        return jax.lax.cond(update % EVERY == 0, select, lambda *same: same[:2], params, members, key)


def select(params, members, key):
    """Parameters and members with the worst as a copy of the best."""
    score = members.steps / jnp.maximum(members.deaths, 1)
    best, worst = jnp.argmax(score), jnp.argmin(score)

    def copy(leaf):  # counts of the optimiser are of all populations
        return leaf.at[worst].set(leaf[best]) if leaf.shape[:1] == score.shape else leaf

    params, members = jax.tree.map(copy, (params, members))
    up = jax.random.bernoulli(for_jax(key), jnp.float32(0.5))
    factor = jnp.where(best == worst, 1, jnp.where(up, FACTOR, 1 / FACTOR))
    none = jnp.zeros_like(members.steps)
    return params, members._replace(rate=members.rate.at[worst].multiply(factor), steps=none, deaths=none)


if __name__ == "__main__":
    train(Trinity(pantheon=PopulationBased))
