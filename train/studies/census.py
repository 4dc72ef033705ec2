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
from jaxtyping import Array, Int, Int32

from nmmo_jax.components import Realm, Tiles
from nmmo_jax.config import STYLES, Config
from nmmo_jax.declarations import Column
from nmmo_jax.draws import fold_in
from nmmo_jax.draws import split as split_key
from nmmo_jax.environment import Environment, Info
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import Players
from nmmo_jax.rules import Rules, as_rules, rule_ndim
from nmmo_jax.values import check_int
from nmmo_jax.vectorized import vectorize
from nmmo_jax.viewer.declared import numbers_of_agents
from train.metrics import nothing_visited, visit

MAX_REALMS = 2**20
BINS = 1_024  # ages that are told apart by default
_CHUNK = 64  # ticks per call, at most
_INT16_MAX, _INT32_MAX = 2**15 - 1, 2**31 - 1
_WRITTEN_OUT = 32  # populations up to which pairs of them are counted one by one, which is faster
_AXIS = "realms"


class Counts(flax.struct.PyTreeNode):
    """Sums over ticks, for R realms and P populations; as a result of ``Census.run`` 64-bit NumPy arrays."""

    steps: Int[Array, "R P"]  # of living agents that acted
    living: Int[Array, "R P"]  # agents alive after a tick
    births: Int[Array, "R P"]
    deaths: Int[Array, "R P D"]  # by cause, as in ``Config.deadly``
    aged: Int[Array, "R P"]  # ages at death, in ticks
    forage: Int[Array, "R P"]  # food harvested
    styles: Int[Array, "R P 3"]  # hits by style of attack
    attacks: Int[Array, "R P P"]  # hits of a population (axis 1) on another
    damage: Int[Array, "R P P"]  # health that they asked of it
    exposed: Int[Array, "R P B"]  # ticks that began at an age; the last bin is open
    ended: Int[Array, "R P B"]  # and ended in death: of them, ``ended / exposed`` died
    unique: Int[Array, "R P"] | None  # tiles that an agent stood on for the first time in its life, if that is kept
    empty: Int[Array, "R"]  # ticks after which nobody was alive
    # Of game systems, where it is asked for:
    told: Int[Array, "R P E"] | None = None  # their events, in the order of ``events_of_systems``
    held: Int[Array, "R P C"] | None = None  # numbers of ``kept_of_agents``, summed over ticks and who lives after them
    highest: Int[Array, "R P C"] | None = None  # the highest of them; -1: nobody lived

    @property
    def died(self) -> Any:
        """Deaths, ``[R, P]``."""
        return self.deaths.sum(axis=-1)


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
            total = counts if total is None else _together(total, counts, np)
            at = (played + np.arange(some)) // stride
            for curve, values in zip((population, depleted), curves, strict=True):
                np.add.at(curve, at, np.asarray(values)[:some])
            played += some
            on_progress(played)
        lengths = np.minimum(stride, ticks - stride * np.arange(points))
        population /= lengths[:, None, None]
        depleted /= lengths[:, None]
        if total is None:
            nothing = _nothing(self.env, self.realms, self.bins, self._of_systems)
            total = jax.tree.map(lambda leaf: np.asarray(leaf, np.int64), nothing)
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


def events_of_systems(config: Config) -> list[tuple[str, str]]:
    """The events that are counted: the system that tells it, and its name."""
    return [(system.name, name) for system in config.systems for name in system.events]


def kept_of_agents(config: Config) -> dict[str, tuple[str, Column, tuple[int, ...]]]:
    """The numbers that are counted, as ``numbers_of_agents`` names them: those from 0 on of at most 16 bits, but for
    categories and what is a row of a list, as a place of a pack is.
    """
    own = {(system.name, one.most) for system in config.systems for one in system.listings if one.table == "own"}

    def counts(system: str, column: Column) -> bool:
        low, high = column.bounds
        of_list = (system, len(column.each)) in own
        return low >= 0 and 1 < high <= _INT16_MAX and not column.category and not of_list

    found = numbers_of_agents(config)
    return {name: one for name, one in found.items() if counts(*one[:2])}


def _together(one: Counts, other: Counts, of: Any) -> Counts:
    """Counts of some ticks and of others; ``of``: ``numpy`` or ``jax.numpy``."""
    sums = jax.tree.map(of.add, one, other)
    return sums if sums.highest is None else sums.replace(highest=of.maximum(one.highest, other.highest))


def _nothing(env: Environment, realms: int, bins: int, of_systems: bool) -> Counts:
    p = env.config.num_populations
    events, kept = len(events_of_systems(env.config)), len(kept_of_agents(env.config))
    shapes = {"deaths": (p, len(env.config.deadly)), "styles": (p, 3), "attacks": (p, p), "damage": (p, p), "empty": ()}
    shapes |= dict.fromkeys(("exposed", "ended"), (p, bins))
    shapes |= {"told": (p, events), "held": (p, kept), "highest": (p, kept)}
    without = set() if of_systems else {"told", "held", "highest"}
    without |= set() if env.config.exploration else {"unique"}
    names = [field.name for field in dataclasses.fields(Counts)]
    found: dict[str, Any] = {name: jnp.zeros((realms, *shapes.get(name, (p,))), jnp.int32) for name in names}
    found["highest"] -= 1
    found.update(dict.fromkeys(without))
    return Counts(**found)


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
            counts = _together(counts, _of_tick(before, after, info, new, env.config, bins, of_systems), jnp)
            alive = _by_population(after.agents.alive, after.agents.population, populations)
            bare = (after.tiles.ready_tick > after.tick[:, None, None]) & (after.tiles.material == Material.FOREST)
            share = bare.sum((1, 2)) / jnp.maximum(forests, 1)
            return after, core, visited, counts, population.at[k].set(alive), depleted.at[k].set(share)

        curves = jnp.zeros((_CHUNK, here, populations), jnp.int32), jnp.zeros((_CHUNK, here))
        carry = (worlds.realm, worlds.core, worlds.visited, _nothing(env, here, bins, of_systems), *curves)
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


def _of_tick(
    before: Realm, after: Realm, info: Info, new: jax.Array | None, config: Config, bins: int, of_systems: bool
) -> Counts:
    """The counts of one tick of R realms."""
    held, outcome, old = before.agents.alive, info.outcome, before.agents
    realms, populations, causes = len(held), config.num_populations, len(config.deadly)
    realm = jnp.arange(realms)[:, None]
    dead = info.cause > 0
    index = jnp.maximum(outcome.attack_target, 0)
    hits = held & (outcome.attack_target >= 0)
    target = jnp.take_along_axis(old.population, index, axis=1)

    def total(what: jax.Array) -> Int32[Array, "R P"]:
        return _by_population(what, info.population, populations)

    def each(which: jax.Array, kinds: list[int], of: jax.Array) -> jax.Array:
        return jnp.stack([total(of & (which == kind)) for kind in kinds], axis=-1)

    def pairs(amount: jax.Array) -> Int32[Array, "R P P"]:
        if populations <= _WRITTEN_OUT:
            return jnp.stack([total(jnp.where(hits & (target == p), amount, 0)) for p in range(populations)], axis=-1)
        nothing = jnp.zeros((realms, populations, populations), jnp.int32)
        of = jnp.where(hits, info.population, populations)  # beyond the table: dropped
        return nothing.at[realm, of, target].add(amount.astype(jnp.int32), mode="drop")

    def ages(of: jax.Array) -> Int32[Array, "R P B"]:
        age = jnp.where(of, jnp.minimum(old.age, bins - 1), bins)  # beyond the table: dropped
        return jnp.zeros((realms, populations, bins), jnp.int32).at[realm, info.population, age].add(1, mode="drop")

    born = info.births.population
    return Counts(
        steps=total(info.acted),
        living=_by_population(after.agents.alive, after.agents.population, populations),
        births=_by_population(born >= 0, born, populations),
        deaths=each(info.cause, list(range(1, 1 + causes)), dead),
        aged=total(jnp.where(dead, info.age, 0)),
        forage=total(outcome.forage),
        styles=each(outcome.attack_style, list(range(len(STYLES))), hits),
        attacks=pairs(jnp.ones_like(index)),
        damage=pairs(outcome.attack_damage),
        exposed=ages(held),
        ended=ages(dead),
        unique=None if new is None else total(held & new),
        empty=(~after.agents.alive.any(axis=1)).astype(jnp.int32),
        **(_of_systems(after, info, config) if of_systems else {}),
    )


def _of_systems(after: Realm, info: Info, config: Config) -> dict[str, Int32[Array, "R P K"]]:
    """What game systems have told in a tick, and what they keep of who lives after it."""
    populations = config.num_populations
    own = jnp.where(after.agents.alive, after.agents.population, -1)
    told = [info.outcome.of[system].events[name].happened for system, name in events_of_systems(config)]
    kept = [after.of[system][column.name][:, *at] for system, column, at in kept_of_agents(config).values()]
    of_agents = [_by_population(one, info.population, populations) for one in told]
    sums = [_by_population(one.astype(jnp.int32), own, populations) for one in kept]
    mine = own[:, None, :] == jnp.arange(populations)[:, None]
    highest = [jnp.where(mine, one.astype(jnp.int32)[:, None, :], -1).max(axis=-1) for one in kept]
    nothing = jnp.zeros((*own.shape[:1], populations, 0), jnp.int32)
    each = {"told": of_agents, "held": sums, "highest": highest}
    return {name: jnp.stack(some, axis=-1) if some else nothing for name, some in each.items()}


def _by_population(
    what: Int32[Array, "R N"] | jax.Array, population: jax.Array, populations: int
) -> Int32[Array, "R P"]:
    """Sums over the slots of each population; slots of population -1 belong to none."""
    own = population[:, None, :] == jnp.arange(populations)[:, None]
    return jnp.where(own, what[:, None, :], 0).sum(axis=-1, dtype=jnp.int32)
