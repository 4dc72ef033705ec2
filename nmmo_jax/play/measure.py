"""Plays realms for a number of ticks and measures what happens in them.

Play runs in chunks: a chunk is one call of one compiled program, which keeps realms and statistics on the
devices and hands small counts to the host. Realms are shared out over devices; no result depends on how.
"""

import contextlib
import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from nmmo_jax.common.cores import cores
from nmmo_jax.common.signals import Signals
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.draws import fold_in, split
from nmmo_jax.environment import Environment
from nmmo_jax.events import no_events
from nmmo_jax.play import statistics
from nmmo_jax.play.lives import Lives, comings_and_goings, events_of, turnover
from nmmo_jax.play.players import Players
from nmmo_jax.play.statistics import Tally
from nmmo_jax.vectorized import vectorize
from nmmo_jax.world.pool import MapPool

_INT32_MAX = 2**31 - 1
_MOST_TICKS = 256  # per chunk
_SECONDS = 0.4  # a chunk should take: how often progress moves and Ctrl-C is heard
_MOST_LOGGED = 2**22  # rows of the log of a chunk
_MOST_BINS = 10_001  # of the histogram of ages: exact to 9,999 ticks
_MOST_POINTS = 4_096  # of a curve over time
_AXIS = "realms"
_FORCED = "xla_force_host_platform_device_count"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a run of R realms on M maps has shown. P populations, B bins of age, K points in time.

    Attributes:
      ticks: played, by each realm.
      tally: counts over all ticks; births include the initial population.
      living_ages: per population, ages in ticks of the agents that hold a place at the end, in all realms.
      stride: ticks per point in time; the curves are means over so many ticks.
      population: ``[K, 2, P]`` agents per realm: mean over realms, standard deviation between them.
      depleted: ``[K]`` share of the forests that are depleted, mean over realms.
      visits: ``[M, P, rows, columns]`` agent-ticks spent on each tile.
      devices: over which the realms were shared out.
      compile_seconds, play_seconds: wall time.
      interrupted: whether it was ended before its time.
    """

    ticks: int
    tally: Tally
    living_ages: list[np.ndarray]
    stride: int
    population: np.ndarray
    depleted: np.ndarray
    visits: np.ndarray | None
    devices: int
    compile_seconds: float
    play_seconds: float
    interrupted: bool


def use_all_cores(most: int | None = None) -> None:
    """Makes every core that the process may use, or ``most`` of them, a device of its own on a CPU.

    Not where JAX has started, or its number of devices is given: by JAX_NUM_CPU_DEVICES or jax_num_cpu_devices, or by
    XLA_FLAGS=--xla_force_host_platform_device_count.
    """
    configured: int = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    given = configured >= 0 or _FORCED in os.environ.get("XLA_FLAGS", "")
    if not given:
        with contextlib.suppress(RuntimeError):  # JAX has started
            jax.config.update("jax_num_cpu_devices", max(1, min(cores(), most or cores())))


def longest_chunk(env: Environment, realms: int, ticks: int) -> int:
    """The most ticks per chunk for which every count fits 32 bits.

    Raises:
      ValueError: there are none, or the visits of the whole run do not fit.
    """
    config, rules = env.config, env.rules
    harvest = max(1, min(int(rules.forage_amount), int(rules.max_food)))
    chunk = min(_MOST_TICKS, _INT32_MAX // (realms * config.num_agents * harvest))
    if chunk < 1:
        raise ValueError(
            f"realms={realms}: allowed are at most {_INT32_MAX // (config.num_agents * harvest):,} with "
            f"num_agents={config.num_agents} and {harvest} food per harvest, or the counts of a tick exceed 32 bits"
        )
    most = _INT32_MAX // (config.num_agents // config.num_populations)
    if ticks > most:
        raise ValueError(f"ticks={ticks}: allowed are at most {most:,}, or the visits of a tile may exceed 32 bits")
    return chunk


def measure(
    env: Environment,
    players: Players,
    pool: MapPool,
    *,
    realms: int,
    ticks: int,
    seed: int,
    initial_population: int = 0,
    watch: Signals,
    progress: Callable[[int, int, float], None] = lambda _ticks, _steps, _living: None,
    lives: Lives | None = None,
) -> Measured:
    """Compiles, plays, and measures.

    Args:
      env: in layout ``blocks``; what it has no ``Config.visits`` of is not told.
      players: what the agents do.
      pool: the maps; realm ``i`` is played on map ``i`` modulo their number.
      realms, ticks: how many, how long.
      seed: of births, regrowth and policies.
      initial_population: births in each realm before the first tick.
      watch: what it hears ends the play after the chunk in hand.
      progress: called after every chunk with the ticks and agent-steps so far, and the agents per realm.
      lives: is told of all births, deaths and truncations.

    Raises:
      ValueError: counts that may not fit 32 bits.
      KeyboardInterrupt: a signal came before the play began.
    """
    longest = longest_chunk(env, realms, ticks)
    if lives is not None:
        env = Environment(dataclasses.replace(env.config, events=events_of(env.config)), env.rules, env.newborn)
        longest = max(1, min(longest, _MOST_LOGGED // (realms * turnover(env.config))))
    began = time.perf_counter()
    key, policy_key = split(jax.random.key(seed))
    devices = max(d for d in range(1, len(jax.devices()) + 1) if realms % d == 0)
    mesh = jax.make_mesh((devices,), (_AXIS,), (AxisType.Auto,), devices=jax.devices()[:devices])
    map_of_realm = np.arange(realms) % len(pool)

    def reset(key, tiles):
        return vectorize(env, realms).reset(key, tiles=tiles, initial_population=initial_population)[1]

    realm = jax.jit(reset)(key, pool.tiles(jnp.asarray(map_of_realm)))
    if lives is not None:
        lives.begin(realm)
    worlds = jax.device_put((realm, players.initial(realms)), NamedSharding(mesh, PartitionSpec(_AXIS)))
    bins = min(ticks + 2, _MOST_BINS)
    program = chunk_program(env, players, realms, mesh, longest, bins)
    params = jax.device_put(players.params, NamedSharding(mesh, PartitionSpec()))
    program = program.lower(key, policy_key, params, worlds, jnp.int32(0)).compile()

    total = _wide(statistics.empty_tally(env.config, bins))
    total = total.replace(births=np.array([ages.size for ages in living_ages(realm, env.config)]))
    curves = TimeCurves(ticks, env.config)
    played, chunk = 0, 1
    compiled = time.perf_counter()
    if watch.asked:
        raise KeyboardInterrupt
    watch.grace = None  # from now on there is something to lose
    while not played or (played < ticks and not watch.asked):
        start = time.perf_counter()
        worlds, part, population, depleted, log = program(key, policy_key, params, worlds, jnp.int32(chunk))
        if lives is not None:
            lives.add(jax.tree.map(lambda column, chunk=chunk: np.asarray(column)[:chunk], log))
        total = jax.tree.map(np.add, total, _wide(part))
        curves.append(np.asarray(population)[:chunk], np.asarray(depleted)[:chunk])
        played += chunk
        progress(played, int(total.steps.sum()), float(population[chunk - 1, 0].sum()))
        longer = chunk * min(4.0, _SECONDS / (time.perf_counter() - start))
        chunk = max(1, min(int(longer), longest, ticks - played))
    interrupted = played < ticks

    realm, _ = worlds
    if lives is not None:
        lives.finish(realm)
    ages = living_ages(realm, env.config)
    visits = None
    if env.config.visits:
        visits = np.zeros((len(pool), *realm.probes.visits.shape[1:]), np.int64)
        np.add.at(visits, map_of_realm, np.asarray(realm.probes.visits))
    return Measured(
        ticks=played,
        tally=total,
        living_ages=ages,
        stride=curves.stride,
        population=curves.population,
        depleted=curves.depleted,
        visits=visits,
        devices=devices,
        compile_seconds=compiled - began,
        play_seconds=time.perf_counter() - compiled,
        interrupted=interrupted,
    )


def chunk_program(env: Environment, players: Players, realms: int, mesh: Mesh, longest: int, bins: int) -> Any:
    """The jitted program of one chunk: ``(key, policy_key, params, worlds, ticks) -> worlds, Tally, population,
    depleted, log``, where worlds are the realms and what their agents remember.

    ``ticks`` is traced and at most ``longest``; the curves ``[longest, 2, P]`` and ``[longest]`` are 0 beyond it. The
    log is of births, deaths and truncations, ``Events`` of ``[longest, R, turnover]``; None without ``Config.events``.
    """
    rows = turnover(env.config)
    populations, here = env.config.num_populations, realms // mesh.size

    def chunk(key, policy_key, params, worlds, ticks):
        first = jax.lax.axis_index(_AXIS) * here
        world = vectorize(env, here, first)
        keys = jax.vmap(fold_in, (None, 0))(policy_key, first + jnp.arange(here))

        def tick(k, carry):
            (before, core), tally, population, depleted, log = carry
            tick_keys = jax.vmap(fold_in)(keys, before.tick)
            # What step observes is dropped, and so not computed: one observation per tick.
            action, core = players.play(params, tick_keys, world, before, core)
            _, after, _, terminated, truncated, info = world.step(key, before, action)
            tally = statistics.accumulate(tally, before, after, terminated, truncated, info)
            population = population.at[k].set(statistics.population_curve(after, populations))
            depleted = depleted.at[k].set(statistics.depleted_share(after))
            if info.events is not None:
                found = jax.vmap(functools.partial(comings_and_goings, rows=rows))(info.events)
                log = jax.tree.map(lambda column, new: column.at[k].set(new), log, found)
            return (after, core), tally, population, depleted, log

        nothing = statistics.empty_tally(env.config, bins), jnp.zeros((longest, 2, populations)), jnp.zeros(longest)
        log = no_events((longest, here), rows) if env.config.events else None
        worlds, tally, population, depleted, log = jax.lax.fori_loop(0, ticks, tick, (worlds, *nothing, log))
        mean, deviation = population[:, 0], population[:, 1]
        all_mean = jax.lax.pmean(mean, _AXIS)
        all_deviation = jnp.sqrt(jax.lax.pmean(deviation**2 + (mean - all_mean) ** 2, _AXIS))
        population = jnp.stack([all_mean, all_deviation], axis=1)
        return worlds, jax.lax.psum(tally, _AXIS), population, jax.lax.pmean(depleted, _AXIS), log

    shared, split = PartitionSpec(), PartitionSpec(_AXIS)
    mapped = jax.shard_map(
        chunk,
        mesh=mesh,
        in_specs=(shared, shared, shared, split, shared),
        out_specs=(split, shared, shared, shared, PartitionSpec(None, _AXIS)),
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=3)


def living_ages(realm: Realm, config: Config) -> list[np.ndarray]:
    """Ages in ticks of the agents that hold a place, per population, over all realms."""
    shape = (-1, config.num_populations, config.num_agents // config.num_populations)
    alive, age = (np.asarray(x).reshape(shape) for x in (realm.agents.alive, realm.agents.age))
    return [age[:, p][alive[:, p]] for p in range(config.num_populations)]


class TimeCurves:
    """Values per tick as means over ``stride`` ticks, so that runs of any length fit in memory."""

    def __init__(self, ticks: int, config: Config):
        self.stride = math.ceil(ticks / _MOST_POINTS)
        points = math.ceil(ticks / self.stride)
        self._sums = np.zeros((points, 2, config.num_populations)), np.zeros(points)
        self._ticks = 0

    def append(self, population: np.ndarray, depleted: np.ndarray) -> None:
        """Adds the ticks that follow: ``[k, 2, P]`` and ``[k]``."""
        at = (self._ticks + np.arange(len(depleted))) // self.stride
        for total, values in zip(self._sums, (population, depleted), strict=True):
            np.add.at(total, at, values)
        self._ticks += len(depleted)

    @property
    def population(self) -> np.ndarray:
        """``[K, 2, P]`` agents per realm: mean over realms, standard deviation between them."""
        return self._means(self._sums[0])

    @property
    def depleted(self) -> np.ndarray:
        """``[K]`` share of the forests that are depleted, mean over realms."""
        return self._means(self._sums[1])

    def _means(self, sums: np.ndarray) -> np.ndarray:
        points = math.ceil(self._ticks / self.stride)
        ticks = np.minimum(self.stride, self._ticks - self.stride * np.arange(points))
        return (sums[:points].T / ticks).T


def _wide(tally: Tally) -> Tally:
    return jax.tree.map(lambda count: np.asarray(count, np.int64), tally)
