"""A study of evolution: worlds in which newborns inherit, beside the same worlds without selection.

Founders with genomes of chance come from the spawn ring. Then, from the same worlds and with the same chance:
"selection", in which newborns inherit from parents or from the long-lived, and the control "drift", in which each has
the genome of one of those born last, whether that lived long or not, with the same mutations. What has become of the
genomes is tested in a common garden, worlds that are the same for all, without inheritance or births by agents; and,
where agents give birth, by how fast a few of them spread among others.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.environment import Environment
from nmmo_jax.world.pool import MapPool
from train.studies.evolution import Evolution, Evolving, Record
from train.studies.genomes import Source
from train.studies.lineage import growth
from train.studies.study import Cell, OnProgress, read_cell

VARIANTS = ("selection", "drift")
FOUNDING = "founding"
_STATE = "state_"  # in a cell's file, leaves of what is needed to go on
INVADER = 1  # population of those who were put among others


class Invasion(NamedTuple):
    """Who is put among whom: genomes of those born last at the end of a part of the study; None: those they have."""

    name: str
    told: str
    world: str  # part of the study at whose end it takes place
    genomes: str | None


@dataclasses.dataclass(frozen=True)
class Amount:
    """How much is computed; times in ticks."""

    worlds: int
    founding: int  # in which the spawn ring brings founders
    ticks: int  # of a stretch
    stretches: int
    garden: int  # that lifetimes are counted in
    settle: int  # before that
    mutants: int  # put into a world
    horizon: int  # that they are followed for


class Evolve:
    """The study.

    Args:
      out: its folder, in which a stretch finds what the one before it left.
      env: layout ``free``, two populations; with reproduction the spawn ring closes after the founding.
      amount: how much is computed.
      sigma: standard deviation of a mutation, in every gene.
    """

    def __init__(self, out: Path, env: Environment, amount: Amount, sigma: float, seed: int):
        for field in dataclasses.fields(Amount):
            least = 2 if field.name == "worlds" else 0 if field.name == "settle" else 1
            if not least <= getattr(amount, field.name) <= 10**7:
                raise ValueError(f"{field.name}={getattr(amount, field.name)}: allowed are {least} to 10,000,000")
        if not 0 <= sigma <= 10:
            raise ValueError(f"mutation={sigma}: allowed are numbers from 0 to 10")
        if amount.mutants >= env.config.num_agents:
            raise ValueError(f"mutants={amount.mutants}: must be fewer than agents={env.config.num_agents}")
        MapPool.check(seed, amount.worlds, env.config)
        self.out, self.env, self.amount, self.sigma, self.seed = out, env, amount, sigma, seed
        self.by_parents = env.config.reproduction
        self.source = Source.PARENT if self.by_parents else Source.LONG_LIVED

    @cached_property
    def evolution(self) -> Evolution:
        """The one program of all parts."""
        return Evolution(self.env, self.amount.worlds)

    @property
    def end(self) -> int:
        """Ticks of a world."""
        return self.amount.founding + self.amount.stretches * self.amount.ticks

    def parts(self, variant: str) -> list[str]:
        """Names of the cells in which a variant lives, from the first tick on."""
        return [FOUNDING, *(f"{variant}-{k + 1}" for k in range(self.amount.stretches))]

    def gardens(self) -> list[str]:
        """Parts of whose genomes lifetimes are measured."""
        return list(dict.fromkeys(part for variant in VARIANTS for part in self.parts(variant)))

    def invasions(self) -> list[Invasion]:
        """Where agents give birth."""
        last = self.parts("selection")[-1]
        return [
            Invasion("neutral", "the residents' own genomes", last, None),
            Invasion("founders", "founders' genomes among the evolved", last, FOUNDING),
            Invasion("drift", "drifted genomes among the evolved", last, self.parts("drift")[-1]),
        ] if self.by_parents else []  # fmt: skip

    def cells(self) -> list[Cell]:
        """The founding, stretches of each variant, gardens and invasions."""
        amount, cells = self.amount, [Cell(FOUNDING, float(self.amount.founding), self._found)]
        for variant in VARIANTS:
            source = self.source if variant == "selection" else Source.RECENT
            for before, part in zip(self.parts(variant), self.parts(variant)[1:], strict=False):
                cells.append(Cell(part, float(amount.ticks), self._stretch(before, source)))
        for part in self.gardens():
            cells.append(Cell(f"garden-{part}", float(amount.settle + amount.garden), self._garden(part)))
        for invasion in self.invasions():
            cells.append(Cell(f"invasion-{invasion.name}", float(amount.horizon), self._invade(invasion)))
        return cells

    def tiles(self, split: str) -> Any:
        """A map for each world, of ``train`` or ``held_out``."""
        pool = MapPool.generated(self.seed, self.amount.worlds, self.env.config, split=split)
        return pool.tiles(jnp.arange(self.amount.worlds))

    def _found(self, on_progress: OnProgress) -> dict[str, Any]:
        state = self.evolution.begin(self.seed, self.tiles("train"))
        return self._play(state, self.amount.founding, Source.PARENT, None, on_progress)

    def _stretch(self, before: str, source: Source) -> Callable[[OnProgress], dict[str, Any]]:
        # After the founding the ring brings nobody to worlds in which agents give birth.
        rules = self.env.rules.replace(spawn_rate=jnp.float32(0)) if self.by_parents else None
        return lambda on_progress: self._play(self.state(before), self.amount.ticks, source, rules, on_progress)

    def _play(self, state: Evolving, ticks: int, source: Source, rules: Any, on_progress: OnProgress) -> dict[str, Any]:
        def going(played: int) -> None:
            on_progress(played / ticks, "")

        state, record = self.evolution.run(state, ticks, source, self.sigma, rules, going)
        leaves = jax.tree.leaves((state.realm, state.genomes))
        return {**record._asdict(), **{f"{_STATE}{k}": np.asarray(leaf) for k, leaf in enumerate(leaves)}}

    def state(self, part: str) -> Evolving:
        """What a part has left."""
        fresh = self.evolution.begin(self.seed, self.tiles("train"))
        leaves, shape = jax.tree.flatten((fresh.realm, fresh.genomes))
        left = read_cell(self.out, part)
        leaves = [jnp.asarray(left[f"{_STATE}{k}"], leaf.dtype) for k, leaf in enumerate(leaves)]
        realm, genomes = jax.tree.unflatten(shape, leaves)
        return fresh.replace(realm=realm, genomes=genomes)

    def _garden(self, part: str) -> Callable[[OnProgress], dict[str, Any]]:
        """Ages at death and deaths, ``[R]``, of agents with the genomes of a part, in worlds that are the same for all
        parts: held-out maps, one birth per tick on the spawn ring.
        """

        def compute(on_progress: OnProgress) -> dict[str, Any]:
            amount, total = self.amount, self.amount.settle + self.amount.garden
            state = self.evolution.begin(self.seed, self.tiles("held_out"))
            state = state.replace(genomes=self.state(part).genomes)
            rules = self.env.rules.replace(birth_probability=jnp.float32(0), spawn_rate=jnp.float32(1))
            _, record = self.evolution.run(state, total, Source.POOL, 0.0, rules, lambda n: on_progress(n / total, ""))
            realm, _, _, age = record.deaths[record.deaths[:, 1] >= amount.settle].T
            return {"aged": np.bincount(realm, age, amount.worlds), "died": np.bincount(realm, minlength=amount.worlds)}

        return compute

    def _invade(self, invasion: Invasion) -> Callable[[OnProgress], dict[str, Any]]:
        """Births, deaths and ticks lived, ``[R, 2]``, of residents and of those who were put among them."""

        def compute(on_progress: OnProgress) -> dict[str, Any]:
            state = self.state(invasion.world)
            genomes = None if invasion.genomes is None else self.state(invasion.genomes).genomes
            state, chosen = replaced(state, genomes, self.amount.mutants, self.seed)
            rules = self.env.rules.replace(spawn_rate=jnp.float32(0))
            begin, uid = int(state.realm.tick[0]), np.asarray(state.realm.agents.uid)
            alive = np.asarray(state.realm.agents.alive)
            ticks = self.amount.horizon
            _, record = self.evolution.run(
                state, ticks, Source.PARENT, 0.0, rules, lambda n: on_progress(n / ticks, "")
            )
            first = [(r, uid[r, n], int(chosen[r, n])) for r, n in zip(*np.nonzero(alive), strict=True)]
            return spread(record, np.array(first, np.int32).reshape(-1, 3), begin, ticks, self.amount.worlds)

        return compute


def replaced(state: Evolving, genomes: Any, mutants: int, seed: int) -> tuple[Evolving, np.ndarray]:
    """Worlds in which some of the living, drawn at random, are of population ``INVADER``, and who that is, ``[R, N]``.

    Nothing else about them changes but their genomes. Worlds in which fewer than four times as many live stay as they
    are: nobody is rare there.

    Args:
      genomes: ``Genomes`` of whose pools they get one each, drawn at random; None: they keep their own.
    """
    generator = np.random.default_rng(seed)
    alive, genome = np.asarray(state.realm.agents.alive), np.array(state.genomes.genome)
    chosen = np.zeros(alive.shape, bool)
    for realm, living in enumerate(alive):
        if living.sum() >= 4 * mutants:
            slots = generator.choice(np.flatnonzero(living), mutants, replace=False)
            chosen[realm, slots] = True
            if genomes is not None:
                full = int((genomes.pool_uid[realm] >= 0).sum())
                genome[realm, slots] = np.asarray(genomes.pool[realm])[generator.integers(0, full, mutants)]
    agents = state.realm.agents
    population = jnp.where(chosen, INVADER, agents.population).astype(agents.population.dtype)
    realm = state.realm.replace(agents=agents.replace(population=population))
    return state.replace(realm=realm, genomes=state.genomes.replace(genome=jnp.asarray(genome))), chosen


def spread(record: Record, first: np.ndarray, begin: int, ticks: int, realms: int) -> dict[str, np.ndarray]:
    """Births, deaths and ticks lived by realm and population, ``[R, 2]``.

    Args:
      record: of ``ticks`` ticks from ``begin`` on.
      first: ``[K, 3]``, realm, uid and population of who lived before.
    """
    of = {(realm, uid): population for realm, uid, population in first.tolist()}
    births, deaths, steps = (np.zeros((realms, 2), np.int64) for _ in range(3))
    for realm, _, population in first:
        steps[realm, population] += ticks
    for realm, tick, uid, _, _, population in record.births.tolist():
        of[realm, uid] = population
        births[realm, population] += 1
        steps[realm, population] += begin + ticks - 1 - tick  # its first tick is the next
    for realm, tick, uid, _ in record.deaths.tolist():
        deaths[realm, of[realm, uid]] += 1
        steps[realm, of[realm, uid]] -= begin + ticks - 1 - tick
    return {"births": births, "deaths": deaths, "steps": steps}


def advantage(found: Any) -> np.ndarray:
    """Growth rate of who was put among others, beyond that of these others, ``[R]``; NaN where nobody was."""
    rate = growth(*(np.asarray(found[name]) for name in ("births", "deaths", "steps")))
    return rate[:, INVADER] - rate[:, 0]
