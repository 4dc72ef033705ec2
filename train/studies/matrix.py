"""The published experiments: {law, chaos} x {16, 32, 64, 128} agents, trained at equal budgets and cross-evaluated.

A population for every 16 agents, each with weights of its own; all populations of all sizes learn from as many living
agent-steps. Then populations trained at one size meet those trained at another, in worlds of all sizes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmmo_jax.common.spelling import near
from nmmo_jax.environment import make
from train.settings import EXPERIMENTS, experiment
from train.studies.entrants import Entrant
from train.studies.intervals import Interval, mean_interval
from train.studies.seeds import learning_curve, train_seeds
from train.studies.study import Cell, OnProgress
from train.studies.tournament import Tournament

OWN = {"shared_weights": False}  # as published


@dataclasses.dataclass
class Matrix:
    """The study.

    Attributes:
      out: its folder; every training has one in it.
      games, agents: the experiments, by game and number of agents.
      seeds: of training.
      budget: living agent-steps that every population learns from.
      sizes, worlds, settle, ticks, seed: of the tournaments, as in ``Tournament``.
      world: fields of ``Config`` and ``Rules`` of all worlds, where they are others than published.
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
    world: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.agents = sorted(self.agents)
        for game in self.games:
            for number in self.agents:
                if f"{game}{number}" not in EXPERIMENTS:
                    near_it = near(f"{game}{number}", EXPERIMENTS)
                    raise ValueError(f"{game}{number}: no such experiment; there are {', '.join(EXPERIMENTS)}{near_it}")
        if any(not given or len(set(given)) < len(given) for given in (self.agents, self.games)):
            raise ValueError(f"agents={tuple(self.agents)}, games={tuple(self.games)}: each once, at least one")
        if len(self.seeds) < 2:
            raise ValueError(f"seeds={len(self.seeds)}: at least 2, or there are no intervals")
        if self.budget < 1:
            raise ValueError(f"budget={self.budget}: must be at least 1")
        named = [f"{game}{number}" for game in self.games for number in self.agents]
        self.trainings = {name: experiment(name, **OWN, **self.world) for name in named}
        self.tournaments = {game: self._tournament(game) for game in self.games}

    def _tournament(self, game: str) -> Tournament:
        env = make(game, num_agents=-(-max(self.sizes, default=1) // 8) * 8, num_populations=8, **self.world)
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
        def compute(on_progress: OnProgress) -> dict[str, np.ndarray]:
            folder = self.out / name
            train_seeds(self.trainings[name], self.seeds, self.budget, folder, on_progress)
            return learning_curve(folder)

        return compute

    def orders(self, lifetimes: np.ndarray) -> list[list[bool]]:
        """Whether a larger training size lives longer, mean over seeds: by size of the world and opponent."""
        return (np.diff(np.nanmean(lifetimes, axis=-1), axis=1) > 0).all(axis=1).tolist()

    def gain(self, lifetimes: np.ndarray) -> Interval:
        """Lifetime of those trained in the largest worlds less that of the smallest, ``[sizes, opponents]``.

        Against the same training of the opponent: in unit k of a match, who has the second seat is replicate k + 1.
        """
        smallest, largest = np.roll(lifetimes[:, 0], 1, axis=-1), lifetimes[:, -1].copy()
        largest[:, -1] = np.roll(largest[:, -1], 1, axis=-1)
        return mean_interval(np.moveaxis(largest - smallest, -1, 0))
