"""The study of ``nmmo-jax rare``: how probable it is that a world dies out, by splitting and by counting."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy import stats

from nmmo_jax.common.text import in_full
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import Players
from nmmo_jax.world.pool import MapPool
from train.studies.intervals import LEVEL, mean_interval
from train.studies.splitting import Race, fixed_effort
from train.studies.study import Cell, OnProgress, Results

_COUNTING = 2**20  # in place of the number of a run, for seeds


@dataclasses.dataclass
class Rarity:
    """Worlds on one map that differ in how often somebody is born; is there a tick after which few, or none, live?

    Attributes:
      title: what is played.
      rates: values of the rule ``spawn_rate``.
      ticks: until when; ``initial``: births before the first.
      levels: numbers of agents, falling.
      effort: worlds per level of splitting; ``runs``: that are independent.
      count: worlds that are counted, a multiple of ``effort``.
    """

    env: Environment
    players: Players
    title: str
    rates: Sequence[float]
    ticks: int
    initial: int
    levels: Sequence[int]
    effort: int
    runs: int
    count: int
    seed: int

    def __post_init__(self) -> None:
        self._race: Race | None = None

    def cells(self) -> Sequence[Cell]:
        """Counting, then each run of splitting, for each of the rates."""
        found = []
        for index, rate in enumerate(self.rates):

            def count(on_progress: OnProgress, index: int = index) -> dict[str, Any]:
                return self._count(index, on_progress)

            found.append(Cell(f"count-{in_full(rate)}", self.count / self.effort, count))
            for run in range(self.runs):

                def split(on_progress: OnProgress, index: int = index, run: int = run) -> dict[str, Any]:
                    return self._split(index, run, on_progress)

                found.append(Cell(f"split-{in_full(rate)}-{run}", float(len(self.levels)), split))
        return found

    def _begin(self) -> Race:
        if self._race is None:
            tiles = MapPool.generated(self.seed, 1, self.env.config).tiles(0)
            self._race = Race(self.env, self.players, self.effort, self.ticks, tiles, self.initial)
        self._race.spent = 0
        return self._race

    def _rules(self, index: int) -> Any:
        return self.env.rules.replace(spawn_rate=jnp.float32(self.rates[index]))

    def _count(self, index: int, on_progress: OnProgress) -> dict[str, Any]:
        race, rules = self._begin(), self._rules(index)
        seeds = np.random.default_rng([self.seed, index, _COUNTING]).integers(
            2**32, size=(self.count // self.effort, 2)
        )
        lowest = []
        for number, (first, second) in enumerate(seeds.tolist()):
            done = number / len(seeds)
            _, some = race.run(
                race.begin(rules, first), rules, -1, second, lambda _, done=done: on_progress(done, "counting")
            )
            lowest.append(some)
        return {"lowest": np.concatenate(lowest), "spent": race.spent}

    def _split(self, index: int, run: int, on_progress: OnProgress) -> dict[str, Any]:
        race, rules = self._begin(), self._rules(index)

        def down(worlds: Any, level: int, seed: int) -> tuple[Any, np.ndarray]:
            done = list(self.levels).index(level) / len(self.levels)
            return race.run(worlds, rules, level, seed, lambda _: on_progress(done, f"to {level} agents"))

        generator = np.random.default_rng([self.seed, index, run])
        shares = fixed_effort(lambda seed: race.begin(rules, seed), down, self.levels, generator)
        return {"shares": shares, "spent": race.spent}

    def case(self, rate: float, results: Results) -> dict[str, Any]:
        """What came out at one rate, by level."""
        runs = [results[f"split-{in_full(rate)}-{run}"] for run in range(self.runs)]
        products = np.cumprod([run["shares"] for run in runs], axis=1)
        estimate = mean_interval(products)
        direct = results[f"count-{in_full(rate)}"]
        counted = []
        for level in self.levels:
            number = int((direct["lowest"] <= level).sum())
            interval = stats.binomtest(number, self.count).proportion_ci(LEVEL)
            counted.append({"number": number, "share": number / self.count, "low": interval.low, "high": interval.high})
        p, share = float(np.mean(products[:, -1])), counted[-1]["share"]
        spread = float(np.var(products[:, -1], ddof=1)) / self.runs if self.runs > 1 else 0.0
        error = np.sqrt(spread + share * (1 - share) / self.count)
        spent = sum(int(run["spent"]) for run in runs)
        worlds = p * (1 - p) / spread if spread else None  # that would have to be counted for the same variance
        return {
            "rate": rate,
            "estimate": estimate,
            "shares": np.mean([run["shares"] for run in runs], axis=0),
            "counted": counted,
            "differ": (p - share) / error if error else None,
            "spent": spent,
            "counting_spent": int(direct["spent"]),
            "worth": worlds * int(direct["spent"]) / self.count / spent if worlds else None,
        }
