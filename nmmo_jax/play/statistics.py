"""What a run is measured by: counts kept on the device, and what is made of them on the host.

``accumulate`` adds one tick of a batch of realms to a ``Tally``, inside jit; ``add`` adds the tallies of
several stretches up on the host, in 64 bits. The rest are formulas over histograms of ages, in NumPy:
P populations, B bins, one per age in ticks (completed vitals), of which the last holds that age and above.
"""

from collections.abc import Iterable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Int32

from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.environment import Info
from nmmo_jax.kinds import WALKABLE, Material
from nmmo_jax.rules import Rules
from nmmo_jax.world.pool import MapPool


class Tally(flax.struct.PyTreeNode):
    """Counts of one stretch of play per population, summed over realms: int32 on the device, int64 after ``add``."""

    steps: Int[Array, "P"]  # agent-steps: agents that acted, summed over ticks
    living: Int[Array, "P"]  # agents that held a place after the tick, summed over ticks
    aged: Int[Array, "P"]  # ticks of age gained
    births: Int[Array, "P"]
    deaths: Int[Array, "D P"]  # by cause, in the order of ``Config.deadly``
    truncations: Int[Array, "P"]
    harvests: Int[Array, "P"]
    forage: Int[Array, "P"]  # food gained from harvests
    died: Int[Array, "P B"]  # deaths by age


def empty_tally(config: Config, bins: int) -> Tally:
    """A tally in which nothing has happened yet."""
    zero = jnp.zeros(config.num_populations, jnp.int32)
    return Tally(
        steps=zero,
        living=zero,
        aged=zero,
        births=zero,
        deaths=jnp.zeros((len(config.deadly), config.num_populations), jnp.int32),
        truncations=zero,
        harvests=zero,
        forage=zero,
        died=jnp.zeros((config.num_populations, bins), jnp.int32),
    )


def accumulate(
    tally: Tally,
    before: Realm,
    after: Realm,
    terminated: Bool[Array, "R N"],
    truncated: Bool[Array, "R N"],
    info: Info,
) -> Tally:
    """The tally with one tick of R realms added. Layout ``blocks``: a population is a block of slots.

    Args:
      before, after: the realms before and after the tick, and with ``terminated``, ``truncated`` and ``info``
        what ``Vectorized.step`` returned.
    """
    populations, bins = tally.died.shape
    realms, slots = terminated.shape
    held = before.agents.alive

    def count(of_slots: jax.Array) -> Int32[Array, "P"]:
        return of_slots.reshape(realms, populations, -1).sum((0, 2), dtype=jnp.int32)

    population = jnp.arange(populations)
    born = info.births.population[..., None] == population  # failed attempts have population -1
    bin_of = jnp.where(terminated, jnp.minimum(info.age, bins - 1), bins)  # beyond the table: dropped
    block = jnp.broadcast_to(jnp.repeat(population, slots // populations), bin_of.shape)
    return Tally(
        steps=tally.steps + count(info.acted),
        living=tally.living + count(after.agents.alive),
        aged=tally.aged + count(jnp.where(held, info.age - before.agents.age, 0)),
        births=tally.births + born.sum((0, 1), dtype=jnp.int32),
        deaths=tally.deaths + jnp.stack([count(info.cause == 1 + cause) for cause in range(len(tally.deaths))]),
        truncations=tally.truncations + count(truncated),
        harvests=tally.harvests + count(info.outcome.harvested),
        forage=tally.forage + count(info.outcome.forage),
        died=tally.died.at[block, bin_of].add(1, mode="drop"),
    )


def add(total: Tally, part: Tally) -> Tally:
    """The sum of two tallies, as 64-bit NumPy arrays."""
    return jax.tree.map(lambda a, b: np.asarray(a, np.int64) + np.asarray(b, np.int64), total, part)


def population_curve(after: Realm, populations: int) -> Float32[Array, "2 P"]:
    """Living agents of each population per realm: mean over R realms, and standard deviation between them."""
    alive = after.agents.alive
    living = alive.reshape(alive.shape[0], populations, -1).sum(2, dtype=jnp.int32).astype(jnp.float32)
    return jnp.stack([living.mean(0), living.std(0)])


def depleted_share(after: Realm) -> Float32[Array, ""]:
    """Share of a realm's forests that are depleted, mean over realms; 0 where there is no forest."""
    forest = after.tiles.material == Material.FOREST
    depleted = forest & (after.tiles.ready_tick > after.tick[:, None, None])
    return (depleted.sum((1, 2)) / jnp.maximum(forest.sum((1, 2)), 1)).mean()


def kaplan_meier(died: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Survival by age from lives of which some had not ended.

    The product-limit estimate S(a) = prod_{i <= a} (1 - d_i / n_i), with d_i deaths at age i among the n_i that
    reached it (Kaplan and Meier, J. Amer. Statist. Assoc. 53, 1958); a life censored at age i counts in n_i.

    Args:
      died: ``[..., B]`` deaths by age.
      censored: ``[..., B]`` lives last seen alive at that age.

    Returns:
      ``[..., B - 1]`` share that lives beyond each age, and ``[..., B - 1]`` how many reached it.
    """
    ended = (died + censored)[..., ::-1]
    reached = np.cumsum(ended, axis=-1)[..., ::-1]
    survival = np.cumprod(1.0 - died / np.maximum(reached, 1), axis=-1)
    return survival[..., :-1], reached[..., :-1]


def survival_quantile(survival: np.ndarray, died: float) -> int | None:
    """The first age by which this share has died; None where it never did. ``survival``: ``[B - 1]``."""
    beyond = np.flatnonzero(survival <= 1.0 - died + 1e-12)
    return int(beyond[0]) if beyond.size else None


def histogram_quantile(counts: np.ndarray, share: float) -> int | None:
    """The lowest age that at least this share of the counted do not exceed.

    None where nothing was counted, or where the age is in the last, open bin.
    """
    total = counts.sum()
    if total == 0:
        return None
    index = int(np.searchsorted(np.cumsum(counts), share * total))
    return index if index < counts.size - 1 else None


def age_histogram(ages: np.ndarray, bins: int) -> np.ndarray:
    """Counts of ages, ``[B]``."""
    return np.bincount(np.minimum(ages, bins - 1), minlength=bins).astype(np.int64)


def reachable(material: np.ndarray, spawn_tile: np.ndarray, walkable: Iterable[int] = WALKABLE) -> np.ndarray:
    """The tiles to which an agent born on this map can walk without crossing lava, ``[R, C]``.

    Args:
      material: ``[R, C]`` underlying materials.
      spawn_tile: flat indices of the spawn tiles.
      walkable: materials, of a world ``Config.walkable``.
    """
    ways = [kind for kind in walkable if kind != Material.LAVA]
    padded = np.pad(material, 1, constant_values=Material.LAVA)
    way, width = np.isin(padded, ways).reshape(-1), padded.shape[1]
    unseen, row, col = way.copy(), *np.divmod(spawn_tile, material.shape[1])
    frontier = np.unique((row + 1) * width + col + 1)
    frontier = frontier[unseen[frontier]]
    while frontier.size:
        unseen[frontier] = False
        around = np.unique(frontier[:, None] + np.array([1, -1, width, -width]))
        frontier = around[unseen[around]]
    return (way & ~unseen).reshape(padded.shape)[1:-1, 1:-1]


def reachable_forests(material: np.ndarray, spawn_tile: np.ndarray, walkable: Iterable[int] = WALKABLE) -> int:
    """Number of forests that are ``reachable``."""
    return int((reachable(material, spawn_tile, walkable) & (material == Material.FOREST)).sum())


def maps_of(pool: MapPool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Materials and spawn tiles of every map, as ``reachable`` takes them."""
    material, spawn, number = (np.asarray(one) for one in (pool.material, pool.spawn_tile, pool.num_spawn_tiles))
    return [(one, tiles[:some]) for one, tiles, some in zip(material, spawn, number, strict=True)]


def food_per_tick(forests: Any, rules: Rules) -> Any:
    """The food that so many forests yield per tick if each is harvested as soon as it is ready."""
    return min(float(rules.forage_amount), float(rules.max_food)) * float(rules.regrowth_probability) * forests


def food_yield(forests: int, ticks: int, amount: int, probability: float) -> float:
    """The food that a map can be expected to yield at most in this many ticks.

    A forest harvested as soon as it is ready gives ``amount`` at once and again whenever it has regrown, which it
    does in each of the ``ticks - 1`` ticks that follow with this probability (a waiting time of mean 1 / p). So

        yield = forests * amount * (1 + probability * (ticks - 1)).

    Args:
      forests: that can be reached.
      amount: food per harvest.
      probability: of regrowth, per tick.
    """
    return forests * amount * (1.0 + probability * max(ticks - 1, 0)) if ticks else 0.0
