"""The study of ``nmmo-jax rare``: how probable it is that a world dies out, by splitting and by counting."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.ticker import FuncFormatter
from rich.console import RenderableType
from scipy import stats

from nmmo_jax.commands.drawing import embedded
from nmmo_jax.commands.players import Players
from nmmo_jax.commands.text import in_full, quoted
from nmmo_jax.environment import Environment
from nmmo_jax.files import write_json
from nmmo_jax.world.pool import MapPool
from train.studies import charts
from train.studies.intervals import LEVEL, Interval, mean_interval
from train.studies.splitting import Race, fixed_effort
from train.studies.study import Cell, Results, Told
from train.studies.text import markdown, table, write_report

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

            def count(told: Told, index: int = index) -> dict[str, Any]:
                return self._count(index, told)

            found.append(Cell(f"count-{in_full(rate)}", self.count / self.effort, count))
            for run in range(self.runs):

                def split(told: Told, index: int = index, run: int = run) -> dict[str, Any]:
                    return self._split(index, run, told)

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

    def _count(self, index: int, told: Told) -> dict[str, Any]:
        race, rules = self._begin(), self._rules(index)
        seeds = np.random.default_rng([self.seed, index, _COUNTING]).integers(
            2**32, size=(self.count // self.effort, 2)
        )
        lowest = []
        for number, (first, second) in enumerate(seeds.tolist()):
            done = number / len(seeds)
            _, some = race.run(race.begin(rules, first), rules, -1, second, lambda _, done=done: told(done, "counting"))
            lowest.append(some)
        return {"lowest": np.concatenate(lowest), "spent": race.spent}

    def _split(self, index: int, run: int, told: Told) -> dict[str, Any]:
        race, rules = self._begin(), self._rules(index)

        def down(worlds: Any, level: int, seed: int) -> tuple[Any, np.ndarray]:
            done = list(self.levels).index(level) / len(self.levels)
            return race.run(worlds, rules, level, seed, lambda _: told(done, f"to {level} agents"))

        generator = np.random.default_rng([self.seed, index, run])
        shares = fixed_effort(lambda seed: race.begin(rules, seed), down, self.levels, generator)
        return {"shares": shares, "spent": race.spent}

    def report(self, out: Path, results: Results) -> RenderableType:
        """The figure, results.json and report.md."""
        cases = [self._case(rate, results) for rate in self.rates]
        self._figure(out, cases)
        told = [{name: _plain(value) for name, value in one.items()} for one in cases]
        write_json(out / "results.json", {"levels": list(self.levels), "cases": told})
        last = f"{self.levels[-1]} agents or fewer" if self.levels[-1] else "nobody"
        heads = ("births per tick", "by splitting", "by counting", "counted", "differ by, errors", "worth")
        rows = []
        for case in cases:
            counted = case["counted"][-1]
            rows.append(
                [
                    in_full(case["rate"]),
                    _told(case["estimate"], -1),
                    f"{counted['share']:.2g} ({counted['low']:.2g} to {counted['high']:.2g})",
                    f"{counted['number']} of {self.count:,}",
                    "-" if case["differ"] is None else f"{case['differ']:+.1f}",
                    "-" if case["worth"] is None else f"{case['worth']:.2g}",
                ]
            )
        levels = ", ".join(map(str, self.levels))
        write_report(
            out,
            f"# How probable: {last} within {self.ticks} ticks",
            f"{quoted(self.title)}. {self.initial} agents are born before "
            f"the first tick. By splitting: mean of {self.runs} independent runs of {self.effort} worlds per level "
            f"(levels {levels}) with Student's t interval. By counting: of {self.count:,} worlds, with the exact "
            "binomial interval of Clopper and Pearson. Differ by: the two, in standard errors of the difference. "
            "Worth: how many world-ticks of counting one of splitting is worth, at the same variance.",
            markdown(heads, rows),
            embedded("rare"),
        )
        return table(f"P({last} within {self.ticks} ticks): {self.title}", heads, rows)

    def _case(self, rate: float, results: Results) -> dict[str, Any]:
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

    def _figure(self, out: Path, cases: Sequence[dict[str, Any]]) -> None:
        figure, (left, right) = charts.figure(2, size=(5.6, 4.2))
        place = np.arange(len(self.levels))
        for index, case in enumerate(cases):
            colour = charts.COLOURS[index % len(charts.COLOURS)]
            mean, low, high = (np.array(value) for value in case["estimate"])
            known = mean > 0
            label = f"{in_full(case['rate'])} births per tick"
            floor = np.maximum(low, mean / 100)  # an interval down to 0 has no end on a logarithmic axis
            charts.line(left, place[known], Interval(mean[known], floor[known], high[known]), colour, label)
            share, least, most = (np.array([one[name] for one in case["counted"]]) for name in ("share", "low", "high"))
            seen = share > 0
            dots = Interval(share[seen], least[seen], most[seen])
            charts.points(left, place[seen] + 0.06 * (index + 1), dots, colour, linestyle="none", mfc="white")
        if not any((np.array(case["estimate"][0]) > 0).any() for case in cases):
            left.set_ylim(1 / self.count, 1)  # nothing was seen, and a logarithmic axis has no 0
        left.set(yscale="log")
        left.set_xticks(place, map(str, self.levels))
        left.legend(frameon=False, fontsize="small", loc="lower left")
        charts.plain(
            left,
            "line and band: splitting; circles: counting",
            xlabel="living agents, at most (levels)",
            ylabel=f"probability within {self.ticks} ticks",
        )
        rates = np.asarray(self.rates)
        split = np.array([[float(value[-1]) for value in case["estimate"]] for case in cases])
        split[:, 1] = np.maximum(split[:, 1], split[:, 0] / 100)
        count = np.array([[case["counted"][-1][key] for key in ("share", "low", "high")] for case in cases])
        for each, label, colour, shift in ((split, "splitting", 0, 1.0), (count, "counting", 1, 1.02)):
            some = each[:, 0] > 0
            charts.points(right, rates[some] * shift, Interval(*each[some].T), charts.COLOURS[colour], label)
        for rate, (share, _, high) in zip(rates, count, strict=True):
            if share == 0:
                text = f"at most; none\nof {self.count:,} counted"
                right.scatter(rate, high, marker="v", color=charts.COLOURS[1])
                right.annotate(text, (rate, high), (6, 8), textcoords="offset points", fontsize="small", ha="right")
        if not (split[:, 0] > 0).any() and not count[:, 2].any():
            right.set_ylim(1 / self.count, 1)
        right.set(yscale="log")
        right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_full(value)))
        right.legend(frameon=False, fontsize="small", loc="lower left")
        charts.plain(right, f"{self.levels[-1]} agents at most", xlabel="births per tick", ylabel="probability")
        charts.title(figure, self.title)
        charts.save(out, "rare", figure)


def _told(estimate: Interval, index: int) -> str:
    mean, low, high = (float(value[index]) for value in estimate)
    return f"{mean:.2g} ({max(low, 0):.2g} to {high:.2g})" if np.isfinite(low) else f"{mean:.2g}"


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return value.as_json()
    return value.tolist() if isinstance(value, np.ndarray) else value
