"""Evolution: realms in which newborns inherit genomes, and a record of every life.

>>> evolution = Evolution(env, realms=16)
>>> state, record = evolution.run(evolution.begin(seed, tiles), ticks, Source.PARENT, sigma=0.1)
>>> table = lineage(record.births, record.deaths)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array

from nmmo_jax.components import Realm, Tiles
from nmmo_jax.draws import fold_in, split
from nmmo_jax.environment import Environment
from nmmo_jax.rules import Rules
from nmmo_jax.values import check_int
from nmmo_jax.vectorized import vectorize
from train.studies.genomes import Genomes, Source, act, diversity, inherit, no_genomes

BIRTH = ("realm", "tick", "uid", "parent_uid", "genome_uid", "population")
DEATH = ("realm", "tick", "uid", "age")
CHUNK = 64  # ticks per call
_AXIS = "realms"


class Evolving(flax.struct.PyTreeNode):
    """Realms that evolve: all that is needed to go on."""

    realm: Realm  # [R, ...]
    genomes: Genomes
    keys: Any  # three of the run: of the worlds, of what agents do, of inheritance


class Record(NamedTuple):
    """What some ticks have shown.

    Attributes:
      births: int32 ``[B, 6]``, a row per birth in the order of ticks, columns as in ``BIRTH``: ``parent_uid`` who gave
        birth to it (-1: the spawn ring), ``genome_uid`` whose genome it has (-1: nobody's).
      deaths: int32 ``[D, 4]``, columns as in ``DEATH``; of who left for its age, too.
      diversity: float32 ``[K, R]``, of the genomes of the living after every ``CHUNK`` ticks.
    """

    births: np.ndarray
    deaths: np.ndarray
    diversity: np.ndarray


class Evolution:
    """The compiled program of one environment and a number of realms, which are shared out over as many devices as
    divide it.

    Newborns of the spawn ring belong to population 0: others are there only where they were put, and their offspring.

    Args:
      env: each of its rules the same in all realms.
      devices: that there are; default, all.
    """

    def __init__(self, env: Environment, realms: int, devices: list[Any] | None = None):
        realms = check_int("realms", realms, 1, 2**20)
        self.env = Environment(env.config, env.rules, newborn=lambda _word, _room, _realm: jnp.int32(0))
        self.realms, many = realms, vectorize(self.env, realms)
        self._reset = jax.jit(lambda key, tiles: many.reset(key, None, tiles)[1])
        there = jax.devices() if devices is None else devices
        number = max(d for d in range(1, len(there) + 1) if realms % d == 0)
        mesh = jax.make_mesh((number,), (_AXIS,), (AxisType.Auto,), devices=there[:number])
        self._here = realms // number
        shared, realm, second = PartitionSpec(), PartitionSpec(_AXIS), PartitionSpec(None, _AXIS)
        lies = Evolving(realm=realm, genomes=realm, keys=shared)  # pyright: ignore[reportArgumentType]
        specs = {"in_specs": (lies, shared, shared, shared), "out_specs": (lies, second, realm)}
        self._program = jax.jit(jax.shard_map(self._chunk, mesh=mesh, check_vma=False, **specs))

    def begin(self, seed: int, tiles: Tiles) -> Evolving:
        """Empty worlds, on a map each, ``[R, ...]``."""
        keys = split(jax.random.key(seed), 3)
        return Evolving(self._reset(keys[0], tiles), no_genomes(self.realms, self.env.config), keys)

    def run(
        self,
        state: Evolving,
        ticks: int,
        source: Source,
        sigma: float,
        rules: Rules | None = None,
        on_progress: Callable[[int], None] = lambda _ticks: None,
    ) -> tuple[Evolving, Record]:
        """Plays on.

        Args:
          source: whose genome newborns inherit.
          sigma: standard deviation of a mutation, in every gene.
          rules: default, those of the environment.
          on_progress: called every so many ticks with how many there were; may raise.
        """
        rules = self.env.rules if rules is None else rules
        births, deaths, spread = [], [], []
        for start in range(0, ticks, CHUNK):
            some = min(CHUNK, ticks - start)
            inheritance = jnp.int32(source), jnp.float32(sigma)
            state, tables, found = self._program(state, rules, jnp.int32(some), inheritance)
            (uid, *columns), (dead, age) = (tuple(np.asarray(column)[:some] for column in table) for table in tables)
            first = int(state.realm.tick[0]) - some
            tick, realm, row = np.nonzero(uid >= 0)
            columns = [column[tick, realm, row] for column in columns]
            births.append(np.stack([realm, first + tick, uid[tick, realm, row], *columns], axis=1, dtype=np.int32))
            tick, realm, row = np.nonzero(dead >= 0)
            columns = [dead[tick, realm, row], age[tick, realm, row]]
            deaths.append(np.stack([realm, first + tick, *columns], axis=1, dtype=np.int32))
            spread.append(np.asarray(found))
            on_progress(start + some)
        return state, Record(np.concatenate(births), np.concatenate(deaths), np.stack(spread))

    def _chunk(self, state: Evolving, rules: Rules, ticks: Any, inheritance: Any) -> Any:
        """The state, the tables ``[CHUNK, R, ...]`` of births and of deaths, and the diversity at the end; of the R
        realms of one device.
        """
        first = jax.lax.axis_index(_AXIS) * self._here
        many = vectorize(self.env, self._here, first)
        n, rows = self.env.config.num_agents, self.env.config.max_spawns
        rows += n if self.env.config.reproduction else 0
        world_key, *policy_keys = state.keys
        of_realm = [jax.vmap(fold_in, (None, 0))(key, first + jnp.arange(self._here)) for key in policy_keys]

        def tick(k, carry):
            before, genomes, tables = carry
            acting, inheriting = (jax.vmap(fold_in)(keys, before.tick) for keys in of_realm)
            action = act(genomes.genome, acting, many.observe(before, rules), before, self.env.config)
            _, after, _, terminated, truncated, info = many.step(world_key, before, action, rules)
            genomes, whose = inherit(genomes, inheriting, before, after, info.births, *inheritance)
            left = jnp.where(terminated | truncated, info.uid, -1)
            born = (info.births.uid, info.births.parent_uid, whose, info.births.population)
            tables = jax.tree.map(lambda table, new: table.at[k].set(new), tables, (born, (left, info.age)))
            return after, genomes, tables

        def empty(columns: int, width: int) -> tuple[Array, ...]:
            return tuple(jnp.zeros((CHUNK, self._here, width), jnp.int32) for _ in range(columns))

        tables = empty(4, rows), empty(2, n)
        realm, genomes, tables = jax.lax.fori_loop(0, ticks, tick, (state.realm, state.genomes, tables))
        return state.replace(realm=realm, genomes=genomes), tables, diversity(genomes, realm)
