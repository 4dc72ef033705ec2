"""Plays realms, each under rules of its own, and counts per realm and population what happens in them.

>>> census = Census(env, players(("forager",), env), realms=64)
>>> worlds = census.begin(seed, tiles, rules)
>>> worlds, _ = census.run(worlds, settle)           # lives that began in an empty world are over
>>> worlds, counted = census.run(worlds, ticks)
>>> lifetime = ratio_interval(counted.counts.aged.sum(1), counted.counts.died.sum(1))

Realms are shared out over the devices; no result depends on how. A run may go on under other rules. Of game systems
it counts, where that is asked for, the events that they tell and the numbers that they keep of agents.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int32

from nmmo_jax.components import Realm, Tiles
from nmmo_jax.draws import fold_in
from nmmo_jax.draws import split as split_key
from nmmo_jax.environment import Environment
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import Players
from nmmo_jax.rules import Rules, as_rules, rule_ndim
from nmmo_jax.values import check_int
from nmmo_jax.vectorized import vectorize
from train.metrics import nothing_visited, visit
from train.studies.counts import Counts, by_population, kept_of_agents, no_counts, of_tick, together

MAX_REALMS = 2**20
BINS = 1_024  # ages that are told apart by default
_CHUNK = 64  # ticks per call, at most
_INT32_MAX = 2**31 - 1
_AXIS = "realms"


@dataclasses.dataclass(frozen=True)
class Counted:
    """What some ticks have shown.

    Attributes:
      ticks: how many.
      counts: sums over them.
      stride: ticks per point of the curves, which are means over so many.
      population: ``[T / stride, R, P]`` agents alive, float32.
      depleted: ``[T / stride, R]`` share of the forests that are not ready, float32.
    """

    ticks: int
    counts: Counts
    stride: int
    population: np.ndarray
    depleted: np.ndarray


class Worlds(flax.struct.PyTreeNode):
    """Realms that are being played: all that is needed to go on."""

    realm: Realm  # [R, ...]
    core: Any  # what the agents remember
    visited: Any  # see ``train.metrics.visit``
    key: Any  # of the worlds' chance
    policy_key: Any
    first: Int32[Array, ""]  # global index of the first realm


class Census:
    """The compiled program of one environment, its players and a number of realms.

    Args:
      players: what the agents do. Parameters may be others in every call of ``run``, of the same shapes.
      realms: R, shared out over as many devices as divide it.
      bins: ages that are told apart, B.
      of_systems: whether what game systems tell and keep is counted.
    """

    def __init__(self, env: Environment, players: Players, realms: int, bins: int = BINS, of_systems: bool = False):
        realms = check_int("realms", realms, 1, MAX_REALMS)
        self.env, self.players, self.realms, self.bins = env, players, realms, bins
        devices = max(d for d in range(1, len(jax.devices()) + 1) if realms % d == 0)
        self._mesh = jax.make_mesh((devices,), (_AXIS,), (AxisType.Auto,), devices=jax.devices()[:devices])
        self._reset = jax.jit(self._new, static_argnums=4)
        self._of_systems = of_systems
        self._program = _program(env, players, realms, self._mesh, bins, of_systems)
        # So many ticks that no sum over them is beyond 32 bits.
        most = max((column.bounds[1] for _, column, _ in kept_of_agents(env.config).values()), default=1)
        self._chunk = min(_CHUNK, max(1, _INT32_MAX // (most * env.config.num_agents))) if of_systems else _CHUNK

    def begin(
        self, seed: int, tiles: Tiles, rules: Rules | None = None, initial_population: int = 0, first: int = 0
    ) -> Worlds:
        """New worlds.

        Args:
          seed: of births, regrowth and policies. The same seed and index give a realm the same chance, whatever its
            rules and who plays in it.
          tiles: a map per realm, ``[R, ...]``, as of ``MapPool.tiles``.
          rules: scalars, or with a realm axis; default, those of the environment.
          first: global index of the first realm.
        """
        key, policy_key = split_key(jax.random.key(seed))
        realm = self._reset(key, tiles, self.rules(rules), jnp.int32(first), initial_population)
        shared, split = self._shardings()
        visited = nothing_visited(self.realms, self.env.config)
        placed = jax.device_put((realm, self.players.initial(self.realms), visited), split)
        return Worlds(*placed, *jax.device_put((key, policy_key, jnp.int32(first)), shared))

    def run(
        self,
        worlds: Worlds,
        ticks: int,
        *,
        params: Any = None,
        rules: Rules | None = None,
        stride: int = 1,
        on_progress: Callable[[int], None] = lambda _ticks: None,
    ) -> tuple[Worlds, Counted]:
        """Plays on; the worlds given are used up.

        Args:
          params: of the players; default, their own.
          rules: as for ``begin``.
          stride: ticks per point of the curves.
          on_progress: called every so many ticks with how many there were; may raise.
        """
        config, full = self.env.config, self.rules(rules)
        params = self.players.params if params is None else params
        params, full = jax.device_put((params, full), self._shardings())
        points = math.ceil(ticks / stride)
        population = np.zeros((points, self.realms, config.num_populations), np.float32)
        depleted = np.zeros((points, self.realms), np.float32)
        total, played = None, 0
        while played < ticks:
            some = min(self._chunk, ticks - played)
            worlds, counts, curves = self._program(params, full, worlds, jnp.int32(some))
            counts = jax.tree.map(lambda leaf: np.asarray(leaf, np.int64), counts)
            total = counts if total is None else together(total, counts, np)
            at = (played + np.arange(some)) // stride
            for curve, values in zip((population, depleted), curves, strict=True):
                np.add.at(curve, at, np.asarray(values)[:some])
            played += some
            on_progress(played)
        lengths = np.minimum(stride, ticks - stride * np.arange(points))
        population /= lengths[:, None, None]
        depleted /= lengths[:, None]
        if total is None:
            none = no_counts(self.env.config, self.realms, self.bins, self._of_systems)
            total = jax.tree.map(lambda leaf: np.asarray(leaf, np.int64), none)
        return worlds, Counted(ticks, total, stride, population, depleted)

    def rules(self, rules: Rules | None = None) -> Rules:
        """Rules with a realm axis on every leaf.

        Raises:
          ValueError: names a rule out of range, or of another number of realms.
        """
        known = as_rules(self.env.rules if rules is None else rules, self.env.config, batched=True)
        full = {}
        for name, leaf in known.named().items():
            if leaf.ndim == rule_ndim(name):
                leaf = jnp.broadcast_to(leaf, (self.realms, *leaf.shape))
            if leaf.shape[0] != self.realms:
                raise ValueError(f"rules.{name}: {leaf.shape[0]} values: must be one, or realms={self.realms}")
            full[name] = leaf
        return Rules.from_named(full)

    def _new(self, key: Any, tiles: Tiles, rules: Rules, first: Any, initial_population: int) -> Realm:
        return vectorize(self.env, self.realms, first).reset(key, rules, tiles, initial_population)[1]

    def _shardings(self) -> tuple[NamedSharding, NamedSharding]:
        return tuple(NamedSharding(self._mesh, spec) for spec in (PartitionSpec(), PartitionSpec(_AXIS)))  # pyright: ignore[reportReturnType]


def survival(exposed: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """Share of lives that outlast a number of ticks, ``[..., B - 1]``; NaN from where nobody was seen so old.

    The product-limit estimate prod (1 - ended / exposed): lives whose beginning or end was not seen count for the ticks
    in which they were (Kaplan and Meier, J. Amer. Statist. Assoc. 53, 1958).
    """
    exposed, ended = exposed[..., :-1].astype(np.float64), ended[..., :-1]
    hazard = np.divide(ended, exposed, out=np.full(exposed.shape, np.nan), where=exposed > 0)
    return np.cumprod(1 - hazard, axis=-1)


def median(share: np.ndarray) -> float:
    """The number of ticks that half outlast, of a curve ``[B - 1]`` of ``survival``; NaN if it does not come so far."""
    beyond = np.flatnonzero(share <= 0.5)
    return float(beyond[0] + 1) if beyond.size else math.nan


def _program(env: Environment, players: Players, realms: int, mesh: Mesh, bins: int, of_systems: bool) -> Any:
    """``(params, rules, worlds, ticks) -> worlds, counts, (population, depleted)``, of at most ``_CHUNK`` ticks."""
    here, populations = realms // mesh.size, env.config.num_populations

    def chunk(params: Any, rules: Rules, worlds: Worlds, ticks: Any) -> Any:
        first = worlds.first + jax.lax.axis_index(_AXIS) * here
        world = vectorize(env, here, first)
        keys = jax.vmap(fold_in, (None, 0))(worlds.policy_key, first + jnp.arange(here))
        forests = (worlds.realm.tiles.material == Material.FOREST).sum((1, 2))

        def tick(k: Any, carry: Any) -> Any:
            before, core, visited, counts, population, depleted = carry
            seen = world.observe(before, rules)
            action, core = players.act(params, jax.vmap(fold_in)(keys, before.tick), seen, before, core, rules)
            _, after, _, _, _, info = world.step(worlds.key, before, action, rules)
            visited, new = visit(visited, before, info.births)
            counts = together(counts, of_tick(before, after, info, new, env.config, bins, of_systems), jnp)
            alive = by_population(after.agents.alive, after.agents.population, populations)
            bare = (after.tiles.ready_tick > after.tick[:, None, None]) & (after.tiles.material == Material.FOREST)
            share = bare.sum((1, 2)) / jnp.maximum(forests, 1)
            return after, core, visited, counts, population.at[k].set(alive), depleted.at[k].set(share)

        curves = jnp.zeros((_CHUNK, here, populations), jnp.int32), jnp.zeros((_CHUNK, here))
        carry = (worlds.realm, worlds.core, worlds.visited, no_counts(env.config, here, bins, of_systems), *curves)
        realm, core, visited, counts, *curves = jax.lax.fori_loop(0, ticks, tick, carry)
        return worlds.replace(realm=realm, core=core, visited=visited), counts, tuple(curves)

    shared, split, second = PartitionSpec(), PartitionSpec(_AXIS), PartitionSpec(None, _AXIS)
    lies = Worlds(realm=split, core=split, visited=split, key=shared, policy_key=shared, first=shared)  # pyright: ignore[reportArgumentType]
    mapped = jax.shard_map(
        chunk,
        mesh=mesh,
        in_specs=(shared, split, lies, shared),
        out_specs=(lies, split, (second, second)),
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=2)
