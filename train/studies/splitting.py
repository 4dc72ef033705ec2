"""Probabilities of rare events by splitting: that a world's population falls to a level, and last to none.

Levels are numbers of living agents, falling. Worlds run until they first come down to the next level, or their time is
over. Those that have come down are forked, with new keys, into as many as there were at first, which run on to the
level after it. The product of the shares that came down estimates the probability of coming down to the last
(multilevel splitting: Kahn and Harris, Estimation of particle transmission by random sampling, 1951; Glasserman,
Heidelberger, Shahabuddin and Zajic, Multilevel splitting for estimating rare event probabilities, Oper. Res. 47, 1999).

The variant is fixed effort: so many worlds run at every level (Garvels, The splitting method in rare event simulation,
2000). It is unbiased for any levels that are fixed beforehand, because every world that has come down is forked into
equally many on average, and given where they start, the forks are independent: the share that comes down, times the
mean over those of the probability of going on to the last level, has that probability at the start as its mean. It
assumes that the state says all that the future depends on, which holds: chance comes from the key, and a realm and what
its agents remember is all that is handed on. Levels and their number only change how much the estimate varies.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Int32

from nmmo_jax.components import Realm, Tiles
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import Players
from nmmo_jax.rules import Rules
from train.studies.forks import advance, futures

_CHUNK = 64  # ticks per call
_AXIS = "worlds"


class Worlds(NamedTuple):
    """W worlds side by side.

    Attributes:
      realm, core: and what their agents remember, ``[W, ...]``.
      lowest: least number of agents that lived after a tick since they were forked, or at that moment, ``[W]``.
    """

    realm: Realm
    core: Any
    lowest: Int32[Array, "W"]


class Race:
    """Worlds that run until they come down to a level, or to a tick.

    Attributes:
      spent: ticks that all worlds have run so far.
    """

    def __init__(self, env: Environment, players: Players, width: int, ticks: int, tiles: Tiles, initial: int):
        """``width``: W. ``ticks``: when time is over. ``tiles``: the map of all. ``initial``: births before tick 0."""
        devices = max(d for d in range(1, len(jax.devices()) + 1) if width % d == 0)
        mesh = jax.make_mesh((devices,), (_AXIS,), (AxisType.Auto,), devices=jax.devices()[:devices])
        shared, split = PartitionSpec(), PartitionSpec(_AXIS)
        self.width, self.ticks, self.spent = width, ticks, 0
        self._players, self._tiles = players, tiles

        def begin(keys, rules, tiles):
            reset = jax.vmap(lambda key: env.reset(key, rules, tiles, initial)[1])
            realm = reset(keys)
            return Worlds(realm, players.initial(width), realm.agents.alive.sum(axis=1, dtype=jnp.int32))

        def run(params, rules, keys, worlds, level):
            def runs(worlds):
                return (worlds.lowest > level) & (worlds.realm.tick < ticks)

            def tick(carry):
                worlds, elapsed, spent = carry
                going = runs(worlds)
                own = players._replace(params=params)
                realm, core, _, _ = advance(env, own, keys, worlds.realm, worlds.core, rules)
                lowest = jnp.minimum(worlds.lowest, realm.agents.alive.sum(axis=1, dtype=jnp.int32))
                after = jax.tree.map(
                    lambda new, old: jnp.where(going.reshape(-1, *[1] * (new.ndim - 1)), new, old),
                    Worlds(realm, core, lowest),
                    worlds,
                )
                return after, elapsed + 1, spent + going

            nothing = jnp.zeros_like(worlds.lowest)
            carry = jax.lax.while_loop(
                lambda carry: (carry[1] < _CHUNK) & runs(carry[0]).any(), tick, (worlds, jnp.int32(0), nothing)
            )
            return carry[0], carry[2], runs(carry[0])

        self._begin = jax.jit(begin)
        specs = (shared, shared, split, split, shared)
        self._run = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False))

    def begin(self, rules: Rules, seed: int) -> Worlds:
        """W worlds at tick 0."""
        return self._begin(futures(jax.random.key(seed), self.width).world, rules, self._tiles)

    def run(
        self,
        worlds: Worlds,
        rules: Rules,
        level: int,
        seed: int,
        on_progress: Callable[[int], None] = lambda _ticks: None,
    ) -> tuple[Worlds, np.ndarray]:
        """Each world when it first has ``level`` agents or fewer, or at the last tick; and the fewest it ever had.

        Args:
          level: -1: never, all run to the last tick.
          seed: of all chance from here on; each world has its own.
          on_progress: called every few ticks with how many these were.
        """
        keys = futures(jax.random.key(seed), self.width)
        alive = worlds.realm.agents.alive.sum(axis=1, dtype=jnp.int32)
        worlds, running = worlds._replace(lowest=alive), True
        while running:
            worlds, spent, going = self._run(self._players.params, rules, keys, worlds, jnp.int32(level))
            self.spent += int(np.asarray(spent, np.int64).sum())
            on_progress(int(np.asarray(spent).max()))
            running = bool(np.asarray(going).any())
        return worlds, np.asarray(worlds.lowest)


def fixed_effort(
    begin: Callable[[int], Any],
    run: Callable[[Any, int, int], tuple[Any, np.ndarray]],
    levels: Sequence[int],
    generator: np.random.Generator,
) -> np.ndarray:
    """One run of splitting: the share of the worlds that came down to each level, of those forked at the one before.

    Args:
      begin: ``begin(seed) -> worlds``, a tree of arrays ``[W, ...]``.
      run: ``run(worlds, level, seed) -> worlds, lowest [W]``, as ``Race.run``.
      levels: falling; fixed before anything is known of the outcome.
      generator: of seeds, and of who is forked once more where the number does not divide W.

    Returns:
      ``[L]``. The product of the first k is an unbiased estimate of the probability of coming down to level k; from
      the first level on to which nobody came it is 0.

    Raises:
      ValueError: levels that do not fall.
    """
    levels = list(levels)
    if not levels or any(high <= low for high, low in itertools.pairwise(levels)):
        raise ValueError(f"levels={levels}: must fall, and be at least one")
    shares = np.zeros(len(levels))
    worlds = begin(_seed(generator))
    for k, level in enumerate(levels):
        worlds, lowest = run(worlds, level, _seed(generator))
        came = np.flatnonzero(lowest <= level)
        shares[k] = came.size / lowest.size
        if came.size == 0:
            break
        which = np.resize(generator.permutation(came), lowest.size)  # each equally often, or once more at random
        worlds = jax.tree.map(lambda leaf, which=which: leaf[which], worlds)
    return shares


def levels_from(initial: int) -> tuple[int, ...]:
    """Levels below a population, each three quarters of the one before, down to none.

    >>> levels_from(12)
    (9, 6, 4, 3, 2, 1, 0)
    """
    levels = []
    while initial > 0:
        initial = initial * 3 // 4
        levels.append(initial)
    return tuple(levels)


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**32))
