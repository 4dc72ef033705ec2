"""What settings of training are worth: one thing changed at a time, at equal budgets, against what is otherwise equal.

The base and every variant of it are trained from the same seeds until they have learned from as many living
agent-steps. What was learned then plays without learning on maps not seen in training, the same for all. Seed k of a
variant is compared with seed k of the base: they begin in the same worlds and, where the network is the same, with the
same weights.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmmo_jax.common.text import typed
from nmmo_jax.environment import Environment
from train.settings import Experiment, all_settings, changed
from train.studies.entrants import Entrant
from train.studies.evaluation import Evaluation
from train.studies.intervals import mean_interval
from train.studies.seeds import learning_curve, lifetime_at, train_seeds
from train.studies.study import Cell, OnProgress, Results

SHARES = (1 / 4, 1 / 2, 1.0)  # of the budget, at which it is told how long agents live while they learn
MEASURES = ("lifetime", "harvest")  # on maps not seen in training
BASE = "base"
_RUNS = "runs"  # of the study's folder
_SPEED = 45_000  # agent-steps per second on two cores, roughly


class Variant(NamedTuple):
    """Settings that are trained.

    Attributes:
      name: of its files.
      factor: what is changed; nothing, of the base.
      changes: settings by name and their values.
    """

    name: str
    factor: str
    changes: Mapping[str, Any]

    @property
    def value(self) -> str:
        """The values, as text."""
        return ", ".join(map(typed, self.changes.values()))

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        return ", ".join(f"{name}={typed(value)}" for name, value in self.changes.items()) or BASE


@dataclasses.dataclass
class Ablation:
    """The study.

    Attributes:
      out: its folder; every training has one in it.
      base: what is changed.
      factors: what is changed in it, and the values one by one; those that the base has are left out.
      seeds: of trainings.
      agent_steps: living ones that each training learns from, all populations together.
      worlds, settle, ticks, seed: of play on maps not seen in training, as in ``Evaluation``.
    """

    out: Path
    base: Experiment
    factors: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]
    seeds: Sequence[int]
    agent_steps: int
    worlds: int
    settle: int
    ticks: int
    seed: int

    def __post_init__(self):
        if len(self.seeds) < 2:
            raise ValueError(f"seeds={len(self.seeds)}: at least 2, or there are no intervals")
        if self.agent_steps < 1:
            raise ValueError(f"agent_steps={self.agent_steps}: must be at least 1")
        own = all_settings(self.base)
        self.variants, self.trainings = [Variant(BASE, "", {})], {BASE: self.base}
        for factor, values in self.factors:
            for changes in values:
                if all(own[name] == value for name, value in changes.items()):
                    continue
                parts = [part for name, value in changes.items() for part in (name, typed(value))]
                variant = Variant("-".join(parts), factor, changes)
                if variant.name in self.trainings:
                    raise ValueError(f"--over {variant.label}: given twice")
                try:
                    self.trainings[variant.name] = changed(self.base, changes)
                except ValueError as error:
                    raise ValueError(f"--over {variant.label}: {error}") from None
                self.variants.append(variant)
        if len(self.variants) == 1:
            raise ValueError("--over: at least one value must be another than the base has")
        config = self.base.env.config
        self.budget = -(-self.agent_steps // config.num_populations)  # of each population
        who = [
            Entrant(one.label, tuple(str(self.folder(one) / f"seed-{seed}") for seed in self.seeds))
            for one in self.variants
        ]
        env = Environment(dataclasses.replace(config, horizon=None), self.base.env.rules)
        self.evaluation = Evaluation(who, env, self.worlds, self.settle, self.ticks, self.seed)

    def folder(self, variant: Variant) -> Path:
        """Of its training."""
        return self.out / _RUNS / variant.name

    def cells(self) -> list[Cell]:
        """Of the base and of each variant: the training of all seeds in one program, then the play of each."""
        agents, number = self.base.env.config.num_agents, len(self.seeds)
        work = number * self.agent_steps / _SPEED + 30  # in seconds on two cores, roughly
        each = self.worlds * agents * (self.settle + self.ticks) / 4 / _SPEED
        found = []
        for variant, entrant in zip(self.variants, self.evaluation.entrants, strict=True):
            found.append(Cell(f"train-{variant.name}", work, self._training(variant)))
            found += [
                Cell(f"play-{variant.name}-{seed}", each, self._play(policy))
                for seed, policy in zip(self.seeds, entrant.replicates, strict=True)
            ]
        return found

    def _training(self, variant: Variant) -> Callable[[OnProgress], dict[str, Any]]:
        def compute(on_progress: OnProgress) -> dict[str, Any]:
            folder = self.folder(variant)
            train_seeds(self.trainings[variant.name], self.seeds, self.budget, folder, on_progress)
            return learning_curve(folder)

        return compute

    def _play(self, policy: str) -> Callable[[OnProgress], dict[str, Any]]:
        return lambda on_progress: self.evaluation.play(policy, lambda share, _policy: on_progress(share, ""))

    def lives(self, results: Results) -> np.ndarray:
        """``MEASURES`` on maps not seen in training, ``[variants, seeds, 2]``; the base comes first."""
        each = [
            [self.evaluation.lives(results[f"play-{one.name}-{seed}"]) for seed in self.seeds] for one in self.variants
        ]
        return np.array(each, np.float64)

    def learning(self, results: Results) -> np.ndarray:
        """Lifetimes while learning at ``SHARES``, ``[variants, shares]``, means over seeds; NaN: nobody died."""
        curves = [results[f"train-{one.name}"] for one in self.variants]
        each = np.array([[lifetime_at(curve, self.budget, share) for share in SHARES] for curve in curves])
        return np.asarray(mean_interval(np.moveaxis(each, -1, 0)).mean)

    def speeds(self, results: Results) -> list[float]:
        """Living agent-steps per second of each variant, of all seeds together: the median over the calls, the first
        of which is also compiled.
        """
        return [float(np.median(results[f"train-{one.name}"]["speed"])) for one in self.variants]
