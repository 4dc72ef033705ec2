"""Evaluation: policies in fixed conditions, each by itself, on maps not seen in training, beside baselines.

Every policy plays all populations of its own worlds; the worlds are the same for all, maps and chance. Beside random
play and the scripted agents stand three arithmetic baselines:

- births x lifetime: what the population is where births and deaths balance (Little's law);
- carrying capacity: agents that the food of all reachable forests feeds if each is harvested as soon as it is ready,
  A p F / m (A food per harvest, p regrowth per tick, F forests, m metabolism);
- mean field: agents that stand on tiles at random. A share e of the tiles that can be reached are forest, of which a
  share f is ready. An agent eats A e f per tick, and needs m; N agents deplete N e f forests per tick, and p F (1 - f)
  grow anew: so f = m / (A e), and N = p F (1 - f) / (e f).

Of game systems, whichever there are, it tells the events per life, and the numbers that they keep of agents.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nmmo_jax.environment import Environment
from nmmo_jax.kinds import Material
from nmmo_jax.play.statistics import food_per_tick, maps_of, reachable, reachable_forests
from nmmo_jax.world.pool import MapPool
from train.studies.census import median, survival
from train.studies.counts import events_of_systems, kept_of_agents
from train.studies.entrants import Entrant, Programs, check_play
from train.studies.intervals import Interval, bootstrap, mean_interval, over, ratio_interval
from train.studies.study import Cell, OnProgress, Result, Results

BINS = 4_096
EVENT, MEAN, HIGHEST = "event.", "mean.", "highest."
"""How the names of measures of game systems begin: of events, and of the numbers that they keep of agents."""
_MOST_POINTS = 256  # of a curve over time


@dataclasses.dataclass
class Evaluation:
    """A study of ``Entrant``s.

    Attributes:
      env: their world; visits are counted, if ``Config.exploration``.
      worlds: on as many maps.
      settle: ticks before any are counted; the curves over time begin before.
      ticks: that are counted.
      seed: of maps and play.
    """

    entrants: Sequence[Entrant]
    env: Environment
    worlds: int
    settle: int
    ticks: int
    seed: int

    def __post_init__(self):
        check_play(self)
        config = self.env.config
        self.env = Environment(dataclasses.replace(config, visits=config.exploration), self.env.rules)
        self._programs = Programs(self.env, self.worlds, BINS, of_systems=True)

    def cells(self) -> list[Cell]:
        """A cell for every replicate of every entrant."""

        def cell(index: int, number: int, policy: str) -> Cell:
            return Cell(f"policy-{index}-seed-{number}", 1.0, lambda on_progress: self.play(policy, on_progress))

        return [
            cell(index, number, policy)
            for index, entrant in enumerate(self.entrants)
            for number, policy in enumerate(entrant.replicates)
        ]

    def _pool(self) -> MapPool:
        return MapPool.generated(self.seed, self.worlds, self.env.config, split="held_out")

    def play(self, policy: str, on_progress: OnProgress) -> dict[str, Any]:
        """What a policy by name does there, counted by world."""
        pool = self._pool()
        census, params = self._programs.census((policy,))
        stride = -(-(self.settle + self.ticks) // _MOST_POINTS)
        worlds = self._programs.begin(census, pool, self.seed)
        settle = -(-self.settle // stride) * stride  # in whole points
        total = settle + self.ticks
        worlds, before = census.run(
            worlds, settle, params=params, stride=stride, on_progress=lambda n: on_progress(n / total, policy)
        )
        worlds, counted = census.run(
            worlds,
            self.ticks,
            params=params,
            stride=stride,
            on_progress=lambda n: on_progress((settle + n) / total, policy),
        )
        curves = {
            name: np.concatenate([getattr(before, name), getattr(counted, name)]).astype(np.float32)
            for name in ("population", "depleted")
        }
        counts = {field.name: getattr(counted.counts, field.name) for field in dataclasses.fields(counted.counts)}
        told = {"stride": stride, "alive": np.asarray(worlds.realm.agents.alive).sum(axis=1)}
        if self.env.config.exploration:
            # Who dies in lava has been there, but nobody lives there.
            been = (np.asarray(worlds.realm.probes.visits) > 0).any(axis=1)
            told["visited"] = been & (np.asarray(worlds.realm.tiles.material) != Material.LAVA)
        return {**{name: count for name, count in counts.items() if count is not None}, **curves, **told}

    def arithmetic(self) -> dict[str, np.ndarray]:
        """Of every world: ``forests`` and ``tiles`` that can be reached, ``yield`` in food per tick, ``capacity`` and
        ``mean_field`` in agents (NaN where agents need no food).
        """
        rules, ways, each = self.env.rules, self.env.config.walkable, maps_of(self._pool())
        forests = np.array([reachable_forests(*one, ways) for one in each])
        tiles = np.array([reachable(*one, ways).sum() for one in each])
        amount, need = min(float(rules.forage_amount), float(rules.max_food)), float(rules.food_metabolism)
        grow = float(rules.regrowth_probability) * forests
        share = forests / np.maximum(tiles, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ready = need / (amount * share)
            field = np.where(ready < 1, grow * (1 - ready) / (share * ready), 0.0)
            capacity = amount * grow / need
        return {
            "forests": forests,
            "tiles": tiles,
            "yield": food_per_tick(forests, rules),
            "capacity": np.where(need > 0, capacity, np.nan),
            "mean_field": np.where(need > 0, np.nan_to_num(field), np.nan),
        }

    def measures(self, results: Results) -> list[dict[str, Interval]]:
        """The numbers of every entrant: over seeds of training where there are several, over worlds otherwise."""
        known, found = self.arithmetic(), []
        for index, entrant in enumerate(self.entrants):
            each = [results[f"policy-{index}-seed-{n}"] for n in range(len(entrant.replicates))]
            if len(each) == 1:
                found.append(self._over_worlds(each[0], known))
            else:
                of_seeds = [self._over_worlds(one, known) for one in each]
                found.append({name: _over_seeds([one[name].mean for one in of_seeds]) for name in of_seeds[0]})
        return found

    @functools.cached_property
    def _yield(self) -> float:
        """Food per tick, of all worlds together."""
        return float(self.arithmetic()["yield"].sum())

    def lives(self, one: Result) -> tuple[float, float]:
        """Of what ``play`` has counted: mean age at death (NaN: nobody died), and the share of the food harvested."""
        lifetime = over(one["aged"].sum(), one["deaths"].sum())
        return float(lifetime), float(over(one["forage"].sum(), self._yield * self.ticks))

    def _over_worlds(self, one: Result, known: dict[str, np.ndarray]) -> dict[str, Interval]:
        died, steps = one["deaths"].sum(axis=(1, 2)), one["steps"].sum(axis=1)
        exposed, ended = one["exposed"].sum(axis=1), one["ended"].sum(axis=1)
        births, most = one["births"].sum(axis=1) / self.ticks, known["yield"] * self.ticks
        aged = one["aged"].sum(axis=1)
        explored = {}
        if self.env.config.exploration:
            share = one["visited"].sum(axis=(1, 2)) / np.maximum(known["tiles"], 1)
            explored = {"coverage": mean_interval(share), "unique": ratio_interval(one["unique"].sum(axis=1), steps)}
        return {
            "lifetime": ratio_interval(aged, died),
            "median": bootstrap(_median, np.stack([exposed, ended], axis=1)),
            "population": mean_interval(one["living"].sum(axis=1) / self.ticks),
            "little": mean_interval(births * over(aged, died)),
            "alive": mean_interval(one["alive"]),
            "food": mean_interval(over(one["forage"].sum(axis=1), most)),
            **explored,
            "hits": ratio_interval(one["attacks"].sum(axis=(1, 2)), steps),
            **{
                f"dead_{cause}": ratio_interval(one["deaths"].sum(axis=1)[:, c], died)
                for c, cause in enumerate(self.env.config.deadly)
            },
            **self._of_systems(one, died),
        }

    def _of_systems(self, one: Result, died: np.ndarray) -> dict[str, Interval]:
        """What game systems tell, per life that ended, and what they keep: mean of the living, and the highest."""
        found, living = {}, one["living"].sum(axis=1)
        for index, (_, name) in enumerate(events_of_systems(self.env.config)):
            found[f"{EVENT}{name}"] = ratio_interval(one["told"][..., index].sum(axis=1), died)
        for index, name in enumerate(kept_of_agents(self.env.config)):
            highest = one["highest"][..., index].max(axis=1)
            found[f"{MEAN}{name}"] = ratio_interval(one["held"][..., index].sum(axis=1), living)
            found[f"{HIGHEST}{name}"] = mean_interval(np.where(living > 0, highest, np.nan))
        return found

    def together(self, results: Results, index: int, name: str) -> np.ndarray:
        """An array of all replicates of an entrant, ``[replicates, ...]``."""
        number = len(self.entrants[index].replicates)
        return np.stack([results[f"policy-{index}-seed-{n}"][name] for n in range(number)])

    def attacks(self, results: Results, index: int) -> np.ndarray:
        """Hits per world and tick, by population and population hit, ``[P, P]``."""
        return self.together(results, index, "attacks").mean(axis=(0, 1)) / self.ticks


def _over_seeds(values: Sequence[float]) -> Interval:
    """Of a number per training; a median beyond what was seen makes the mean one, too."""
    return Interval(np.inf, np.nan, np.nan) if np.isinf(values).any() else mean_interval(values)


def _median(units: np.ndarray) -> Any:
    """Of counts of ticks and deaths by age, ``[units, 2, B]``; infinite where fewer than half have died."""
    found = median(survival(*units.sum(axis=0)))
    return np.asarray(np.inf if np.isnan(found) else found)
