"""Minibatches of the living of a rollout, on one device of several."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, PRNGKeyArray

from nmmo_jax.draws import fold_in, words
from train.rollouts import Rollout, Worlds
from train.settings import Experiment
from train.trinity import Batch, Trinity

AXIS = "realms"  # of the mesh of devices


class Rows:
    """The rows of a rollout on one device: numbered within each of G groups of realms and P populations.

    A row is an agent's place at ``Settings.piece`` ticks in a row, L; it is living if somebody lives there at one.
    """

    def __init__(self, experiment: Experiment, alive: Bool[Array, "T R N"]):
        settings, config = experiment.settings, experiment.env.config
        ticks, realms, agents = alive.shape
        self.first_group = jax.lax.axis_index(AXIS) * (realms * settings.groups // settings.realms)
        self.sequence, self.living = settings.piece, alive
        self.shape = (ticks // self.sequence, settings.realms // settings.groups, agents // config.num_populations)
        self.groups, self.populations = realms // self.shape[1], config.num_populations
        pieces = alive.reshape(self.shape[0], self.sequence, realms, agents).any(axis=1)
        grouped = pieces.reshape(self.shape[0], self.groups, self.shape[1], self.populations, self.shape[2])
        self.alive = grouped.transpose(1, 3, 0, 2, 4).reshape(self.groups, self.populations, -1)
        self.number = self.alive.sum(axis=-1, dtype=jnp.int32)  # [G, P]

    def batches(self, size: int) -> Int32[Array, ""]:
        """Minibatches with ``size`` rows of each group and population, until the most living have been taken."""
        return jax.lax.pmax(-(-self.number.max() // size), AXIS)

    def shuffled(self, key: PRNGKeyArray, size: int) -> Int32[Array, "G P K"]:
        """Numbers of the rows in random order, the living first; padded to whole minibatches."""
        rows = self.alive.shape[-1]
        counter = jnp.arange(self.populations * rows, dtype=jnp.uint32).reshape(self.populations, rows)

        def one(group, alive):
            word, _ = words(fold_in(key, group), counter, jnp.zeros_like(counter))
            word = jnp.where(alive, word >> 1, jnp.uint32(2**32 - 1))
            index = jnp.broadcast_to(jnp.arange(rows, dtype=jnp.int32), word.shape)
            return jax.lax.sort((word, index), num_keys=1)[1]

        order = jax.vmap(one)(self.first_group + jnp.arange(self.groups, dtype=jnp.int32), self.alive)
        return jnp.pad(order, ((0, 0), (0, 0), (0, -rows % size)))

    def batch(
        self,
        levels: Trinity,
        order: Int32[Array, "G P K"],
        index: Int32[Array, ""],
        size: int,
        worlds: Worlds,
        rollout: Rollout,
        advantage: Float32[Array, "T R N"],
        target: Float32[Array, "T R N"],
    ) -> Batch:
        """The minibatch of that index, ``[P, G * size, ...]``; where L is more than 1, ``[P, G * size, L, ...]``."""
        (_, realms, agents), steps = self.shape, rollout.steps
        row = jax.lax.dynamic_slice_in_dim(order, index * size, size, axis=2)
        filled = index * size + jnp.arange(size, dtype=jnp.int32) < self.number[..., None]
        group = jnp.arange(self.groups, dtype=jnp.int32)[:, None, None]
        population = jnp.arange(self.populations, dtype=jnp.int32)[:, None]
        piece, realm = row // (realms * agents), row // agents % realms + group * realms
        slot = row % agents + population * agents
        piece, realm, slot, filled = (
            x.transpose(1, 0, 2).reshape(self.populations, -1) for x in (piece, realm, slot, filled)
        )
        tick = piece * self.sequence
        core = jax.tree.map(lambda leaf: leaf[piece, population, realm, slot % agents], rollout.core)
        if self.sequence > 1:
            realm, slot, filled = realm[..., None], slot[..., None], filled[..., None]
            tick = tick[..., None] + jnp.arange(self.sequence, dtype=jnp.int32)
        weight = (filled & self.living[tick, realm, slot]).astype(jnp.float32)

        def take(tree):
            return jax.tree.map(lambda leaf: leaf.at[tick, realm, slot].get(mode="promise_in_bounds"), tree)

        obs = take(worlds.observed)
        choices, log_prob, advantage, target = take((steps.choices, steps.log_prob, advantage, target))
        # Of one agent each, under the rules of its realm.
        single = jax.tree.map(lambda leaf: leaf.reshape(-1, 1, *leaf.shape[tick.ndim :]), obs)
        realm = jnp.broadcast_to(realm, tick.shape).reshape(-1)
        rules = jax.tree.map(lambda leaf: leaf[realm], worlds.rules)
        inputs = levels.sword.read(single, rules)
        inputs = jax.tree.map(lambda leaf: leaf.reshape(*tick.shape, *leaf.shape[2:]), inputs)
        return Batch(inputs, obs.mask, choices, log_prob, advantage, target, core, weight)


def moments(
    values: Float32[Array, "T R N"], of: Bool[Array, "T R N"], populations: int
) -> tuple[Float32[Array, "P"], Float32[Array, "P"], Float32[Array, "P"]]:
    """Number, mean and standard deviation per population, over all devices."""

    def total(x):
        x = jnp.where(of, x, 0.0).reshape(*values.shape[:2], populations, -1)
        return jax.lax.psum(x.sum(axis=(0, 1, 3)), AXIS)

    number = total(jnp.ones_like(values))
    mean = total(values) / jnp.maximum(number, 1)
    centred = values - jnp.repeat(mean, values.shape[2] // populations)
    return number, mean, jnp.sqrt(total(centred**2) / jnp.maximum(number, 1))
