"""Sweeps: worlds under all combinations of some rules' values, side by side in one program.

Every point of the grid is played in as many worlds, world w of each on the same map w, so that points differ by their
rules and not by their maps. Intervals are over the worlds of a point.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nmmo_jax.common.text import listed
from nmmo_jax.config import MAX_TICKS
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import labels, players
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.world.pool import MapPool
from train.policy import load_named
from train.studies.axis import MOST_POINTS, Axis
from train.studies.census import Census
from train.studies.intervals import Interval, mean_interval, ratio_interval
from train.studies.study import Cell, OnProgress, Results


class Measure(NamedTuple):
    """A measure of a point: ``of(counts, ticks) -> Interval`` from sums ``[worlds, points]`` over so many ticks."""

    title: str
    of: Callable[[Mapping[str, np.ndarray], int], Interval]
    violence: bool = False  # measured where there are attacks
    unit: str = ""  # none: a share


MEASURES = {
    "lifetime": Measure("mean age at death (ticks)", lambda n, _: ratio_interval(n["aged"], n["died"]), unit="ticks"),
    "mortality": Measure("deaths per agent-tick", lambda n, _: ratio_interval(n["died"], n["steps"]), unit="per tick"),
    "population": Measure("population (agents)", lambda n, ticks: mean_interval(n["living"] / ticks), unit="agents"),
    "births": Measure("births per tick", lambda n, ticks: mean_interval(n["births"] / ticks), unit="per tick"),
    "depleted": Measure("share of forests that are not ready", lambda n, _: mean_interval(n["depleted"])),
    "extinct": Measure("share of worlds that were empty at some tick", lambda n, _: mean_interval(n["empty"] > 0)),
    "empty": Measure("share of ticks with nobody alive", lambda n, ticks: mean_interval(n["empty"] / ticks)),
    "combat": Measure("share of deaths by combat", lambda n, _: ratio_interval(n["combat"], n["died"]), True),
    "hits": Measure("hits per agent-tick", lambda n, _: ratio_interval(n["hits"], n["steps"]), True, "per tick"),
}


def _by(cause: str) -> str:
    return f"dead_{cause}"


@dataclasses.dataclass
class Sweep:
    """A study of a grid of rules.

    Attributes:
      axes: the fields and their values; points are all combinations, the last field fastest.
      env: what the points have in common.
      names: policies, as ``nmmo_jax.play.players.players`` takes them.
      worlds: of each point, every one on a map of its own, not seen in training.
      settle: ticks before any are counted.
      ticks: that are counted.
      seed: of maps and play.
      initial: agents in each world before the first tick, as many as its cap allows.
      batch: worlds, of all points, that are played side by side: a cell.
    """

    axes: Sequence[Axis]
    env: Environment
    names: tuple[str, ...]
    worlds: int
    settle: int
    ticks: int
    seed: int
    initial: int = 0
    batch: int = 64

    def __post_init__(self):
        fields = [axis.field for axis in self.axes]
        if not fields or len(set(fields)) < len(fields):
            raise ValueError(f"--over {' '.join(fields)}: must name at least one rule, and each once")
        for name, low, high in (
            ("worlds", 1, 2**16),
            ("settle", 0, MAX_TICKS // 2),
            ("ticks", 1, MAX_TICKS // 2),
            ("initial", 0, self.env.config.num_agents),
            ("batch", 1, 2**16),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"--{name} {getattr(self, name)}: allowed are {low} to {high:,}")
        if (number := int(np.prod(self.shape))) > MOST_POINTS:
            raise ValueError(f"--over: {number:,} points: allowed are at most {MOST_POINTS:,}")
        MapPool.check(self.seed, self.worlds, self.env.config, "held_out")
        self._check_points()
        self.players = players(self.names, self.env, load_named)
        # Worlds that fill up the last batch are played and thrown away.
        self.realms = min(self.batch, len(self.points) * self.worlds)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid."""
        return tuple(len(axis.values) for axis in self.axes)

    @functools.cached_property
    def points(self) -> np.ndarray:
        """Values of the fields, ``[points, fields]``, float64."""
        return np.array(list(itertools.product(*(axis.values for axis in self.axes))), np.float64)

    def rules(self, points: Any) -> Rules:
        """The rules of points by index, a scalar or an array."""
        return self.env.rules.put({axis.field: self.points[points, i].tolist() for i, axis in enumerate(self.axes)})

    def _check_points(self) -> None:
        config = self.env.config
        try:
            as_rules(self.rules(np.arange(len(self.points))), config, batched=True)
        except ValueError:
            for point in range(len(self.points)):  # told of the first that cannot be, not of all of them
                try:
                    as_rules(self.rules(point), config)
                except ValueError as error:
                    raise ValueError(f"--over: {error}") from None
            raise

    def cells(self) -> list[Cell]:
        """Batches of worlds."""
        number = -(-len(self.points) * self.worlds // self.realms)
        return [
            Cell(f"worlds-{batch:04d}", 1.0, lambda on_progress, batch=batch: self._play(batch, on_progress))
            for batch in range(number)
        ]

    @functools.cached_property
    def census(self) -> Census:
        """The program, the same for all batches."""
        return Census(self.env, self.players, self.realms, bins=1)

    @functools.cached_property
    def _pool(self) -> MapPool:
        return MapPool.generated(self.seed, self.worlds, self.env.config, split="held_out")

    def _play(self, batch: int, on_progress: OnProgress) -> dict[str, np.ndarray]:
        """Sums over ticks and populations, ``[realms]``."""
        first = batch * self.realms
        which = np.minimum(first + np.arange(self.realms), len(self.points) * self.worlds - 1)
        rules = as_rules(self.rules(which // self.worlds), self.env.config, batched=True)
        tiles = self._pool.tiles(jnp.asarray(which % self.worlds))
        total = self.settle + self.ticks
        worlds = self.census.begin(self.seed, tiles, rules, self.initial, first)
        worlds, _ = self.census.run(
            worlds, self.settle, rules=rules, on_progress=lambda n: on_progress(n / total, "settling")
        )
        _, counted = self.census.run(
            worlds,
            self.ticks,
            rules=rules,
            stride=self.ticks,
            on_progress=lambda n: on_progress((self.settle + n) / total, ""),
        )
        counts: Any = counted.counts
        causes = self.env.config.deadly
        return {
            **{name: getattr(counts, name).sum(axis=1) for name in ("aged", "died", "births", "living", "steps")},
            "combat": counts.deaths[:, :, causes.index("combat")].sum(axis=1),
            **{_by(cause): counts.deaths[:, :, causes.index(cause)].sum(axis=1) for cause in self._new_causes},
            "hits": counts.attacks.sum(axis=(1, 2)),
            "empty": counts.empty,
            "depleted": counted.depleted[0],
        }

    def counts(self, results: Results) -> dict[str, np.ndarray]:
        """Sums over ticks and populations, ``[points, worlds]``."""
        each, number = [results[cell.name] for cell in self.cells()], len(self.points) * self.worlds
        return {name: np.concatenate([one[name] for one in each])[:number].reshape(-1, self.worlds) for name in each[0]}

    def measures(self, results: Results) -> dict[str, Interval]:
        """``kinds`` of all points, ``[points]``; those of violence where there are attacks."""
        counts = {name: one.T.astype(np.float64) for name, one in self.counts(results).items()}
        attacks = bool(np.any(np.asarray(self.rules(np.arange(len(self.points))).attacks_enabled)))
        told = {name: one for name, one in self.kinds.items() if attacks or not one.violence}
        return {name: one.of(counts, self.ticks) for name, one in told.items()}

    @property
    def kinds(self) -> dict[str, Measure]:
        """``MEASURES``, and deaths by causes of systems."""

        def share(cause: str) -> Measure:
            return Measure(f"share of deaths by {cause}", lambda n, _: ratio_interval(n[_by(cause)], n["died"]))

        return MEASURES | {_by(cause): share(cause) for cause in self._new_causes}

    @property
    def _new_causes(self) -> list[str]:
        return [cause for system in self.env.config.systems for cause in system.causes]

    @property
    def title(self) -> str:
        """What was played, in a line."""
        points = " x ".join(map(str, self.shape))
        return (
            f"{points} points, {self.worlds} worlds each, {listed(labels(self.names))}, "
            f"{self.ticks:,} ticks after {self.settle:,}"
        )
