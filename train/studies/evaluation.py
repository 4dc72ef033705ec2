"""Evaluation: policies in fixed conditions, each by itself, on maps not seen in training, beside baselines.

Every policy plays all populations of its own worlds; the worlds are the same for all, maps and chance. Beside random
play and the scripted agents stand three arithmetic baselines:

- births x lifetime: what the population is where births and deaths balance (Little's law);
- carrying capacity: agents that the food of all reachable forests feeds if each is harvested as soon as it is ready,
  A p F / m (A food per harvest, p regrowth per tick, F forests, m metabolism);
- mean field: agents that stand on tiles at random. A share e of the tiles that can be reached are forest, of which a
  share f is ready. An agent eats A e f per tick, and needs m; N agents deplete N e f forests per tick, and p F (1 - f)
  grow anew: so f = m / (A e), and N = p F (1 - f) / (e f).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter
from rich.console import RenderableType

from nmmo_jax.commands.report import write_json
from nmmo_jax.commands.statistics import reachable, reachable_forests
from nmmo_jax.environment import Environment
from nmmo_jax.world.draw import population_colours
from nmmo_jax.world.materials import Material
from nmmo_jax.world.pool import MapPool
from train.studies import charts
from train.studies.census import CAUSES, median, survival
from train.studies.entrants import Entrant, Stage, check_play
from train.studies.intervals import Interval, bootstrap, mean_interval, over, ratio_interval
from train.studies.study import Cell, Result, Results, Told
from train.studies.text import markdown, table, write_report

BINS = 4_096
_MOST_POINTS = 256  # of a curve over time
_AT_RISK = 10  # lives: survival is drawn while so many have come that far
_MEASURES = ("lifetime", "median", "population", "food", "coverage")


@dataclasses.dataclass
class Evaluation:
    """A study of ``Entrant``s.

    Attributes:
      env: their world; visits are counted.
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
        self.env = Environment(dataclasses.replace(self.env.config, visits=True), self.env.rules)
        self._stage = Stage(self.env, self.worlds, BINS)
        self._colours = population_colours(len(self.entrants))

    def cells(self) -> list[Cell]:
        """A cell for every replicate of every entrant."""

        def cell(index: int, number: int, policy: str) -> Cell:
            return Cell(f"policy-{index}-seed-{number}", 1.0, lambda told: self._play(policy, told))

        return [
            cell(index, number, policy)
            for index, entrant in enumerate(self.entrants)
            for number, policy in enumerate(entrant.replicates)
        ]

    def _pool(self) -> MapPool:
        return MapPool.generated(self.seed, self.worlds, self.env.config, split="held_out")

    def _play(self, policy: str, told: Told) -> dict[str, Any]:
        pool = self._pool()
        census, params = self._stage.census((policy,))
        stride = -(-(self.settle + self.ticks) // _MOST_POINTS)
        worlds = self._stage.begin(census, pool, self.seed)
        settle = -(-self.settle // stride) * stride  # in whole points
        total = settle + self.ticks
        worlds, before = census.run(
            worlds, settle, params=params, stride=stride, told=lambda n: told(n / total, policy)
        )
        worlds, counted = census.run(
            worlds,
            self.ticks,
            params=params,
            stride=stride,
            told=lambda n: told((settle + n) / total, policy),
        )
        visits = np.asarray(worlds.realm.probes.visits)
        curves = {
            name: np.concatenate([getattr(before, name), getattr(counted, name)]).astype(np.float32)
            for name in ("population", "depleted")
        }
        counts = {field.name: getattr(counted.counts, field.name) for field in dataclasses.fields(counted.counts)}
        alive = np.asarray(worlds.realm.agents.alive).sum(axis=1)
        # Who dies in lava has been there, but nobody lives there.
        visited = (visits > 0).any(axis=1) & (np.asarray(worlds.realm.tiles.material) != Material.LAVA)
        return {**counts, **curves, "stride": stride, "visited": visited, "alive": alive}

    def arithmetic(self) -> dict[str, np.ndarray]:
        """Of every world: ``forests`` and ``tiles`` that can be reached, ``yield`` in food per tick, ``capacity`` and
        ``mean_field`` in agents (NaN where agents need no food).
        """
        pool, rules = self._pool(), self.env.rules
        material, spawn = np.asarray(pool.material), np.asarray(pool.spawn_tile)
        number = np.asarray(pool.num_spawn_tiles)
        forests = np.array([reachable_forests(m, s[:n]) for m, s, n in zip(material, spawn, number, strict=True)])
        tiles = np.array([reachable(m, s[:n]).sum() for m, s, n in zip(material, spawn, number, strict=True)])
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
            "yield": amount * grow,
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
                found.append({name: mean_interval([one[name].mean for one in of_seeds]) for name in of_seeds[0]})
        return found

    def _over_worlds(self, one: Result, known: dict[str, np.ndarray]) -> dict[str, Interval]:
        died, steps = one["deaths"].sum(axis=(1, 2)), one["steps"].sum(axis=1)
        exposed, ended = one["exposed"].sum(axis=1), one["ended"].sum(axis=1)
        births, most = one["births"].sum(axis=1) / self.ticks, known["yield"] * self.ticks
        aged = one["aged"].sum(axis=1)
        return {
            "lifetime": ratio_interval(aged, died),
            "median": bootstrap(_median, np.stack([exposed, ended], axis=1)),
            "population": mean_interval(one["living"].sum(axis=1) / self.ticks),
            "little": mean_interval(births * over(aged, died)),
            "alive": mean_interval(one["alive"]),
            "food": mean_interval(over(one["forage"].sum(axis=1), most)),
            "coverage": mean_interval(one["visited"].sum(axis=(1, 2)) / np.maximum(known["tiles"], 1)),
            "unique": ratio_interval(one["unique"].sum(axis=1), steps),
            "hits": ratio_interval(one["attacks"].sum(axis=(1, 2)), steps),
            **{
                f"dead_{cause.name.lower()}": ratio_interval(one["deaths"].sum(axis=1)[:, c], died)
                for c, cause in enumerate(CAUSES)
            },
        }

    def report(self, out: Path, results: Results) -> RenderableType:
        """survival.png, population.png, causes.png, attacks.png (where there are attacks), results.json, report.md."""
        measures, known = self.measures(results), self.arithmetic()
        told = {
            "worlds": self.worlds,
            "settle": self.settle,
            "ticks": self.ticks,
            "arithmetic": {name: mean_interval(value).as_json()["mean"] for name, value in known.items()},
            "policies": [
                {
                    "policy": entrant.label,
                    "replicates": list(entrant.replicates),
                    "interval_over": "worlds" if len(entrant.replicates) == 1 else "seeds of training",
                    **{name: value.as_json() for name, value in one.items()},
                    "attacks_per_tick": self._attacks(results, index).tolist(),
                }
                for index, (entrant, one) in enumerate(zip(self.entrants, measures, strict=True))
            ],
        }
        write_json(out / "results.json", told)
        self._survival(out, results)
        self._population(out, results, known)
        self._causes(out, measures)
        attacks = any(one["hits"].mean > 0 for one in measures)
        if attacks:
            self._attack_figure(out, results)
        self._report(out, measures, known, attacks)
        return self._table(measures)

    def _together(self, results: Results, index: int, name: str) -> np.ndarray:
        """An array of all replicates of an entrant, ``[replicates, ...]``."""
        number = len(self.entrants[index].replicates)
        return np.stack([results[f"policy-{index}-seed-{n}"][name] for n in range(number)])

    def _attacks(self, results: Results, index: int) -> np.ndarray:
        """Hits per world and tick, by population and population hit, ``[P, P]``."""
        return self._together(results, index, "attacks").mean(axis=(0, 1)) / self.ticks

    def _survival(self, out: Path, results: Results) -> None:
        made, axes = charts.figure()
        longest = 1
        for index, entrant in enumerate(self.entrants):
            exposed, ended = (self._together(results, index, name).sum(axis=2) for name in ("exposed", "ended"))
            units = np.stack([exposed, ended], axis=2)
            units = units[0] if len(units) == 1 else units.sum(axis=1)  # worlds, or seeds
            enough = units[:, 0].sum(axis=0)[:-1] >= _AT_RISK
            at_risk = enough.size if enough.all() else int(enough.argmin())
            if at_risk == 0:
                continue
            units = units[..., : at_risk + 1]  # beyond, there may be samples in which nobody came so far
            curve = bootstrap(lambda some: survival(*some.sum(axis=0)), units, draws=200)
            curve = Interval(*(np.r_[1.0, value] for value in curve))
            charts.line(axes, np.arange(len(curve.mean)), curve, self._colours[index], entrant.label)
            longest = max(longest, len(curve.mean))
        charts.plain(
            axes,
            f"Survival (Kaplan-Meier), {self._conditions()}",
            xlabel="age (ticks)",
            ylabel="share still living",
            xscale="log" if longest > 1_000 else "linear",
            xlim=(1, max(longest, 2)),
            ylim=(0, 1.02),
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        charts.legend(axes)
        charts.save(out, "survival", made)

    def _population(self, out: Path, results: Results, known: dict[str, np.ndarray]) -> None:
        made, axes = charts.figure()
        for index, entrant in enumerate(self.entrants):
            curves = self._together(results, index, "population").sum(axis=-1)  # [replicates, points, worlds]
            units = curves[0].T if len(curves) == 1 else curves.mean(axis=2)
            tick = int(self._together(results, index, "stride")[0]) * np.arange(1, units.shape[1] + 1)
            charts.line(axes, tick, mean_interval(units), self._colours[index], entrant.label)
        cap = float(np.asarray(self.env.rules.population_cap))
        lines = {"cap": cap, "carrying capacity": known["capacity"].mean(), "mean field": known["mean_field"].mean()}
        for (label, value), dashes in zip(lines.items(), ((2, 2), (6, 2), (1, 1)), strict=True):
            if not np.isfinite(value):
                continue
            axes.axhline(value, color="0.5", linewidth=0.9, linestyle=(0, dashes), label=f"{label}: {value:.0f}")
        axes.axvline(self.settle, color="0.8", linewidth=0.8)
        charts.plain(
            axes, f"Population, {self._conditions()}", xlabel="time (ticks)", ylabel="living agents per world",
            ylim=(0, None),
        )  # fmt: skip
        charts.legend(axes)
        charts.save(out, "population", made)

    def _causes(self, out: Path, measures: Sequence[dict[str, Interval]]) -> None:
        made, axes = charts.figure(size=(7.0, 1.0 + 0.45 * len(measures)))
        left = np.zeros(len(measures))
        for cause, colour in zip(CAUSES, ("#d7301f", "#b8860b", "#2b8cbe", "#6a3d9a"), strict=True):
            share = np.nan_to_num([one[f"dead_{cause.name.lower()}"].mean for one in measures])
            axes.barh(range(len(measures)), share, left=left, color=colour, label=cause.name.lower())
            left += share
        axes.set_yticks(range(len(measures)), [one.label for one in self.entrants])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        charts.plain(axes, "Causes of death", xlabel="share of deaths")
        charts.legend(axes)
        charts.save(out, "causes", made)

    def _attack_figure(self, out: Path, results: Results) -> None:
        matrices = [self._attacks(results, index) for index in range(len(self.entrants))]
        across = len(matrices)
        names = [str(p) for p in range(self.env.config.num_populations)]
        made, axes = charts.figure(across, size=(3.2, 3.2), squeeze=False)
        for one, matrix, entrant in zip(axes[0], matrices, self.entrants, strict=True):
            charts.heat(one, matrix, [], names, names, vmin=0, cmap="magma")
            charts.plain(one, f"{entrant.label}: {matrix.sum():.2f} hits per tick", xlabel="population hit")
            one.grid(False)
        axes[0][0].set_ylabel("population")
        charts.save(out, "attacks", made)

    def _conditions(self) -> str:
        return f"{self.worlds} worlds not seen in training (95 %)"

    def _told(self, measures: Sequence[dict[str, Interval]], names: Sequence[str]) -> list[list[str]]:
        each = zip(self.entrants, measures, strict=True)
        return [[who.label, *(_shown(name, one[name]) for name in names)] for who, one in each]

    def _table(self, measures: Sequence[dict[str, Interval]]) -> RenderableType:
        caption = (
            "95 % intervals over worlds, or over seeds of training where there are several. lifetime: mean age at "
            "death in ticks; median: Kaplan-Meier; food: harvested over what the maps can yield; coverage: share of "
            "the tiles in reach on which anybody stood."
        )
        return table("", ["policy", *_MEASURES], self._told(measures, _MEASURES), caption)

    def _report(
        self, out: Path, measures: Sequence[dict[str, Interval]], known: dict[str, np.ndarray], attacks: bool
    ) -> None:
        names = [*_MEASURES, "unique", "little", "alive", "hits", *(f"dead_{cause.name.lower()}" for cause in CAUSES)]
        figures = ["survival", "population", "causes", *(["attacks"] if attacks else [])]
        write_report(
            out,
            "# Evaluation",
            f"{self._conditions()}, {self.ticks:,} ticks after {self.settle:,}. Carrying capacity "
            f"{known['capacity'].mean():.1f} agents, mean field {known['mean_field'].mean():.1f}; `little`: births per "
            "tick times lifetime, which is the population where both balance. `alive`: at the end, whose lives are "
            "not among the deaths.",
            markdown(["policy", *names], self._told(measures, names)),
            *(f"![{name}]({name}.png)" for name in figures),
        )


def _median(units: np.ndarray) -> Any:
    """Of counts of ticks and deaths by age, ``[units, 2, B]``; infinite where fewer than half have died."""
    found = median(survival(*units.sum(axis=0)))
    return np.asarray(np.inf if np.isnan(found) else found)


def _shown(name: str, interval: Interval) -> str:
    shares = ("food", "coverage", "unique")
    if name not in shares and not name.startswith("dead_"):
        return str(interval)
    if not np.isfinite(interval.mean):
        return "-"
    half = (interval.high - interval.low) / 2
    return f"{interval.mean:.1%}" + (f" ± {half:.1%}" if np.isfinite(half) else "")
