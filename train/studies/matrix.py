"""The published experiments: {law, chaos} x {16, 32, 64, 128} agents, trained at equal budgets and cross-evaluated.

A population for every 16 agents, each with weights of its own; all populations of all sizes learn from as many living
agent-steps. Then populations trained at one size meet those trained at another, in worlds of all sizes.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType

from nmmo_jax.environment import make
from nmmo_jax.files import write_json
from train.settings import EXPERIMENTS, experiment
from train.studies import charts
from train.studies.entrants import Entrant
from train.studies.intervals import Interval, mean_interval
from train.studies.seeds import train_seeds
from train.studies.study import Cell, Results, Told
from train.studies.text import markdown, write_report
from train.studies.tournament import Tournament

# Mean lifetimes in law, by size of the world, of the row's training against the column's: 16, 32, 64, 128. A single run
# of the original. Source: jsuarez/extra/plottourney.py in the repository of Neural MMO v1.0.
PUBLISHED = {
    16: [
        [106.1, 104.2, 89.8, 91.8],
        [119.0, 112.7, 115.7, 106.7],
        [205.7, 225.7, 208.5, 186.9],
        [735.8, 785.6, 782.0, 595.2],
    ],
    32: [
        [85.9, 81.5, 76.6, 69.4],
        [101.8, 97.4, 93.5, 82.4],
        [175.1, 166.6, 158.2, 150.7],
        [467.6, 452.1, 453.8, 343.8],
    ],
    64: [
        [70.3, 68.1, 59.7, 53.7],
        [81.3, 77.1, 69.4, 64.1],
        [119.1, 128.7, 107.0, 96.5],
        [228.3, 248.2, 241.6, 176.9],
    ],
    128: [
        [67.2, 65.5, 53.5, 47.8],
        [74.3, 74.3, 62.4, 52.5],
        [93.8, 97.0, 88.6, 75.1],
        [109.7, 121.5, 122.0, 106.9],
    ],
}
TRAINED = (16, 32, 64, 128)  # rows and columns of ``PUBLISHED``


@dataclasses.dataclass
class Matrix:
    """The study.

    Attributes:
      out: its folder; every training has one in it.
      games, agents: the experiments, by game and number of agents.
      seeds: of training.
      budget: living agent-steps that every population learns from.
      sizes, worlds, settle, ticks, seed: of the tournaments, as in ``Tournament``.
    """

    out: Path
    games: Sequence[str]
    agents: Sequence[int]
    seeds: Sequence[int]
    budget: int
    sizes: Sequence[int]
    worlds: int
    settle: int
    ticks: int
    seed: int

    def __post_init__(self):
        self.agents = sorted(self.agents)
        for game in self.games:
            for number in self.agents:
                if f"{game}{number}" not in EXPERIMENTS:
                    raise ValueError(f"{game}{number}: no such experiment; there are {', '.join(EXPERIMENTS)}")
        if any(not given or len(set(given)) < len(given) for given in (self.agents, self.games)):
            raise ValueError(f"agents={tuple(self.agents)}, games={tuple(self.games)}: each once, at least one")
        if len(self.seeds) < 2:
            raise ValueError(f"seeds={len(self.seeds)}: at least 2, or there are no intervals")
        if self.budget < 1:
            raise ValueError(f"budget={self.budget}: must be at least 1")
        self.tournaments = {game: self._tournament(game) for game in self.games}

    def _tournament(self, game: str) -> Tournament:
        env = make(game, num_agents=-(-max(self.sizes, default=1) // 8) * 8, num_populations=8)
        folders = {number: self.out / f"{game}{number}" for number in self.agents}
        who = [
            Entrant(f"{game}{number}", tuple(str(folder / f"seed-{seed}") for seed in self.seeds))
            for number, folder in folders.items()
        ]
        return Tournament(who, env, self.sizes, self.worlds, self.settle, self.ticks, self.seed)

    def cells(self) -> list[Cell]:
        """Trainings, then matches."""
        found = []
        for game in self.games:
            for number in self.agents:
                # In seconds on two cores, roughly.
                work = len(self.seeds) * self.budget * (number // 16) / 130_000 + 20
                found.append(Cell(f"train-{game}{number}", work, self._training(f"{game}{number}")))
        each = len(self.sizes) * self.worlds * max(self.sizes) * (self.settle + self.ticks) / 400_000
        for game, tournament in self.tournaments.items():
            found += [Cell(f"{game}-{cell.name}", each * cell.work, cell.compute) for cell in tournament.cells()]
        return found

    def _training(self, name: str) -> Any:
        def compute(told: Told) -> dict[str, np.ndarray]:
            folder = self.out / name
            train_seeds(experiment(name), self.seeds, self.budget, folder, told)
            return learning_curve(folder)

        return compute

    def report(self, out: Path, results: Results) -> RenderableType:
        """learning.png, tables and figures of every game's tournament in folders of their own, report.md."""
        self._learning(out, results)
        shown, told, parts = [], {}, []
        for game, tournament in self.tournaments.items():
            folder = out / f"tournament-{game}"
            folder.mkdir(exist_ok=True)
            of_game = {
                name.removeprefix(f"{game}-"): result
                for name, result in results.items()
                if name.startswith(f"{game}-m")
            }
            shown.append(tournament.report(folder, of_game))
            lifetimes = tournament.lifetimes(of_game)
            parts += self._tables(game, tournament.interval(of_game, "aged"))
            if len(self.agents) > 1:
                told[game] = {
                    "rows_ordered": self.orders(lifetimes),
                    "largest_less_smallest": self._gain(lifetimes).as_json(),
                }
                parts.append(self._verdict(game, lifetimes))
            parts.append(f"![lifetimes](tournament-{game}/lifetimes.png)")
        write_json(out / "results.json", {"seeds": list(self.seeds), "budget": self.budget, **told})
        write_report(
            out,
            "# The published experiments",
            f"{len(self.seeds)} seeds; a population has learned from {self.budget:,} living agent-steps on average "
            f"({self._learned(results)}). Mean lifetimes in ticks with 95 % intervals over seeds, in brackets those "
            "published (law; a single run of the original, whose budgets were far larger).",
            "![learning](learning.png)",
            *parts,
        )
        return Group(*shown)

    def _learned(self, results: Results) -> str:
        """The least and the most that a population has learned from, of each training."""
        parts = []
        for name, result in results.items():
            if name.startswith("train-"):
                steps = result["steps"][-1]
                parts.append(f"{name.removeprefix('train-')}: {steps.min():,.0f} to {steps.max():,.0f}")
        return ", ".join(parts)

    def orders(self, lifetimes: np.ndarray) -> list[list[bool]]:
        """Whether a larger training size lives longer, mean over seeds: by size of the world and opponent."""
        return (np.diff(np.nanmean(lifetimes, axis=-1), axis=1) > 0).all(axis=1).tolist()

    def _gain(self, lifetimes: np.ndarray) -> Interval:
        """Lifetime of those trained in the largest worlds less that of the smallest, ``[sizes, opponents]``.

        Against the same training of the opponent: in unit k of a match, who has the second seat is replicate k + 1.
        """
        smallest, largest = np.roll(lifetimes[:, 0], 1, axis=-1), lifetimes[:, -1].copy()
        largest[:, -1] = np.roll(largest[:, -1], 1, axis=-1)
        return mean_interval(np.moveaxis(largest - smallest, -1, 0))

    def _tables(self, game: str, lifetimes: Interval) -> list[str]:
        parts = []
        for index, size in enumerate(self.sizes):
            rows = []
            for row, own in enumerate(self.agents):
                cells = [str(lifetimes.at(index, row, column)) for column in range(len(self.agents))]
                if game == "law" and size in PUBLISHED:
                    published = (PUBLISHED[size][TRAINED.index(own)][TRAINED.index(other)] for other in self.agents)
                    cells = [f"{cell} ({old})" for cell, old in zip(cells, published, strict=True)]
                rows.append([str(own), *cells])
            heads = ["trained at", *(f"vs {number}" for number in self.agents)]
            parts += [f"## {game}, worlds of {size}", markdown(heads, rows)]
        return parts

    def _verdict(self, game: str, lifetimes: np.ndarray) -> str:
        ordered, gain = np.array(self.orders(lifetimes)), self._gain(lifetimes)
        sure = np.asarray(gain.low) > 0
        return (
            f"Order of the rows ({game}): larger training worlds live longer throughout in {ordered.sum()} of "
            f"{ordered.size} columns (published: all). Those trained at {self.agents[-1]} outlive those trained at "
            f"{self.agents[0]} with an interval above 0 in {sure.sum()} of {sure.size} columns."
        )

    def _learning(self, out: Path, results: Results) -> None:
        made, axes = charts.figure(len(self.games), squeeze=False)
        for game, one in zip(self.games, axes[0], strict=True):
            for index, number in enumerate(self.agents):
                curve = results[f"train-{game}{number}"]
                steps, colour = curve["steps"].mean(axis=(1, 2)), charts.COLOURS[index]
                charts.line(one, steps, mean_interval(curve["lifetime"].T), colour, f"{game}{number}")
            charts.plain(
                one, f"Training of {game}, {len(self.seeds)} seeds", xlabel="living agent-steps per population",
                ylabel="lifetime in training (ticks)", ylim=(0, None),
            )  # fmt: skip
            charts.legend(one)
        charts.save(out, "learning", made)


def learning_curve(folder: Path) -> dict[str, np.ndarray]:
    """From the log of a training: ``lifetime [K, S]`` (NaN: nobody died) and ``steps [K, S, P]`` learned from."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lifetime = np.array([line["lifetime"] for line in lines], np.float64)
    return {"lifetime": lifetime, "steps": np.array([line["steps"] for line in lines], np.float64)}
