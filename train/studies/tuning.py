"""A search for settings of training with optuna: trials one after another, asked for by what the former have shown.

A trial trains, and what was learned plays without learning on maps not seen in training: how long it lives there is
what is searched for. How long agents live while they learn, at eighths of the budget, tells which trials to stop early.

Everything follows from the seed and from the results of the trials before, which are the study's cells. So a search
that was interrupted goes on as if it had not been: optuna is told again what it was told, and its own memory is not
kept.
"""

import dataclasses
import itertools
import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmmo_jax.common.extras import need
from nmmo_jax.common.text import typed
from nmmo_jax.environment import Environment
from nmmo_jax.values import check_choice, check_int
from train.settings import Experiment, all_settings, changed
from train.studies.entrants import Entrant
from train.studies.evaluation import Evaluation
from train.studies.intervals import over
from train.studies.seeds import learning_curve, lifetime_at, train_seeds
from train.studies.study import Cell, OnProgress, Result, Results, read_cell

PRUNERS = ("median", "halving", "none")
RUNGS = 8  # parts of the budget, at whose ends a trial may be stopped
_RUNS = "runs"  # of the study's folder
_TRAINING = 0.9  # of the time of a trial, roughly
_MOST = 4_096  # combinations that are checked before anything is compiled
_STARTUP = 10  # trials at random, at most; of fewer trials a third


class Dimension(NamedTuple):
    """A setting, and where it is searched.

    Attributes:
      values: the least and the greatest where it is a range; all there are otherwise.
      log: whether equal ratios are equally probable at first.
      whole: of whole numbers.
    """

    name: str
    values: tuple[Any, ...]
    ranged: bool = False
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Any) -> Any:
        """What optuna asks for."""
        if not self.ranged:
            return trial.suggest_categorical(self.name, self.values)
        return (trial.suggest_int if self.whole else trial.suggest_float)(self.name, *self.values, log=self.log)

    def has(self, value: Any) -> bool:
        """Whether a value is among those that are searched."""
        return self.values[0] <= value <= self.values[1] if self.ranged else value in self.values

    def __str__(self) -> str:
        """As it is typed."""
        values = (".." if self.ranged else ",").join(map(typed, self.values))
        return f"{self.name}={values}{':log' if self.log else ''}"


class Trial(NamedTuple):
    """What came of one.

    Attributes:
      settings: by name.
      lifetime: on maps not seen in training, mean over seeds; NaN: it was stopped early.
      harvest: share of the food, likewise.
      curve: lifetimes while learning ``[RUNGS]``; NaN: it did not come so far, or nobody died.
      speed: living agent-steps per second of training, all seeds together.
    """

    settings: dict[str, Any]
    lifetime: float
    harvest: float
    curve: np.ndarray
    speed: float

    @property
    def stopped(self) -> bool:
        """Whether it was stopped early."""
        return math.isnan(self.lifetime)


class _Stopped(Exception):
    """A trial is stopped early."""


@dataclasses.dataclass
class Tuning:
    """The study.

    Attributes:
      out: its folder; every training has one in it.
      base: what is changed; its own values are the first trial, as far as they are within the ranges.
      dimensions: what is searched.
      trials: how many.
      seeds: of the trainings of each trial.
      agent_steps: living ones that each training learns from, all populations together.
      worlds, settle, ticks, seed: of play on maps not seen in training, as in ``Evaluation``; ``seed`` also of the
        search.
      pruner: one of ``PRUNERS``: stops a trial that lives shorter than the median of the former did as early (median),
        or than the better half of those that came as far, at an eighth, a quarter and half of the budget (halving).
    """

    out: Path
    base: Experiment
    dimensions: Sequence[Dimension]
    trials: int
    seeds: Sequence[int]
    agent_steps: int
    worlds: int
    settle: int
    ticks: int
    seed: int
    pruner: str = "median"

    def __post_init__(self):
        check_choice("pruner", self.pruner, PRUNERS)
        for name, limits in {"trials": (2, 100_000), "agent_steps": (1, 10**12)}.items():
            check_int(name, getattr(self, name), *limits)
        if not self.seeds:
            raise ValueError("seeds=0: must be at least 1")
        self._check()
        config = self.base.env.config
        self.budget = -(-self.agent_steps // config.num_populations)  # of each population
        folders = [self.folder(number) for number in range(self.trials)]
        who = [Entrant(one.name, tuple(str(one / f"seed-{seed}") for seed in self.seeds)) for one in folders]
        env = Environment(dataclasses.replace(config, horizon=None), self.base.env.rules)
        self._evaluation = Evaluation(who, env, self.worlds, self.settle, self.ticks, self.seed)
        self._optuna: Any = need("optuna", "optuna", "tune")
        self._optuna.logging.set_verbosity(self._optuna.logging.CRITICAL)
        startup, pruners = min(_STARTUP, -(-self.trials // 3)), self._optuna.pruners
        self._startup = startup
        self._study = self._optuna.create_study(
            direction="maximize",
            pruner={
                "median": lambda: pruners.MedianPruner(startup, n_warmup_steps=2),
                "halving": lambda: pruners.SuccessiveHalvingPruner(1, reduction_factor=2),
                "none": pruners.NopPruner,
            }[self.pruner](),
        )

    def _check(self) -> None:
        """Refuses settings that cannot be, and settings that cannot be together, at the ends of all ranges."""
        names = [one.name for one in self.dimensions]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"--over {' '.join(names)}: must be one or more settings, each once")
        for one in self.dimensions:  # numbers between the ends may not be divisible as they must
            for value in range(one.values[0], one.values[1] + 1)[:_MOST] if one.whole else ():
                try:
                    changed(self.base, {one.name: value})
                except ValueError as error:
                    raise ValueError(f"--over {one}: {error}; {one.name}=a,b,c names values") from None
        for values in itertools.islice(itertools.product(*(one.values for one in self.dimensions)), _MOST):
            try:
                changed(self.base, dict(zip(names, values, strict=True)))
            except ValueError as error:
                pairs = " ".join(f"{name}={typed(value)}" for name, value in zip(names, values, strict=True))
                raise ValueError(f"--over: {error}; of {pairs}") from None

    def folder(self, number: int) -> Path:
        """Of a trial's training."""
        return self.out / _RUNS / _name(number)

    def cells(self) -> list[Cell]:
        """A cell for every trial."""

        def cell(number: int) -> Cell:
            return Cell(_name(number), 1.0, lambda on_progress: self._trial(number, on_progress))

        return [cell(number) for number in range(self.trials)]

    def _trial(self, number: int, on_progress: OnProgress) -> dict[str, Any]:
        self._tell_again(number)
        trial, settings = self._ask(number)
        folder, told, best = self.folder(number), 0, self._best()

        def judge(used: float) -> None:
            """Tells of the parts of the budget that are used up."""
            nonlocal told
            while told + 1 < RUNGS and used >= (told + 1) / RUNGS:
                told += 1
                if self._stops(trial, told, _at(learning_curve(folder), self.budget, told)):
                    raise _Stopped

        def training(used: float, words: str) -> None:
            on_progress(_TRAINING * used, f"{best}{words}")
            judge(used)

        try:
            train_seeds(changed(self.base, settings), self.seeds, self.budget, folder, training)
            judge(_used(learning_curve(folder), self.budget))
            lives = self._play(number, lambda share: on_progress(_TRAINING + (1 - _TRAINING) * share, f"{best}playing"))
        except _Stopped:
            lives = np.full((len(self.seeds), 2), np.nan)
        curve = learning_curve(folder)
        reached = _used(curve, self.budget)
        result = {
            "settings": json.dumps(settings),
            "lives": lives,
            "curve": [_at(curve, self.budget, rung) if reached >= rung / RUNGS else np.nan for rung in _rungs()],
            "told": told,
            "speed": np.median(curve["speed"]),
        }
        self._end(trial, self.read(result))
        return result

    def _play(self, number: int, on_progress: Any) -> np.ndarray:
        """Lifetime and harvest of each seed, ``[S, 2]``."""
        names = self._evaluation.entrants[number].replicates
        each = []
        for index, name in enumerate(names):
            one = self._evaluation.play(name, lambda share, _, index=index: on_progress((index + share) / len(names)))
            each.append(self._evaluation.lives(one))
        lives = np.array(each)
        # Nobody can be seen to live longer.
        lives[:, 0] = np.where(np.isfinite(lives[:, 0]), lives[:, 0], self.settle + self.ticks)
        return lives

    def _tell_again(self, number: int) -> None:
        """Tells optuna of the trials before one, as far as it does not know of them, as it was told then."""
        while (known := len(self._study.trials)) < number:
            result = read_cell(self.out, _name(known))
            one = self.read(result)
            self._study.enqueue_trial(one.settings)
            trial, _ = self._ask(known)
            for rung in range(1, int(result["told"]) + 1):
                self._stops(trial, rung, float(one.curve[rung - 1]))
            self._end(trial, one)

    def _ask(self, number: int) -> tuple[Any, dict[str, Any]]:
        """The next trial, and its settings: of the seed, its number and the trials before."""
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if number == 0 and not self._study.trials:
            own = all_settings(self.base)
            self._study.enqueue_trial({one.name: own[one.name] for one in self.dimensions if one.has(own[one.name])})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._startup)
            trial = self._study.ask()
            return trial, {one.name: one.suggest(trial) for one in self.dimensions}

    def _stops(self, trial: Any, rung: int, lifetime: float) -> bool:
        """Tells optuna how long agents lived; whether the trial is stopped. Where nobody died, it is not."""
        if not math.isfinite(lifetime):
            return False
        trial.report(lifetime, rung)
        return bool(trial.should_prune())

    def _end(self, trial: Any, one: Trial) -> None:
        if one.stopped:
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, one.lifetime)

    def _best(self) -> str:
        done = [trial for trial in self._study.trials if trial.state.name == "COMPLETE"]
        return f"best {self._study.best_value:.1f} ({_name(self._study.best_trial.number)}), " if done else ""

    def read(self, result: Result) -> Trial:
        """What a cell holds."""
        lives = np.asarray(result["lives"]).mean(axis=0)
        settings = json.loads(str(result["settings"]))
        return Trial(settings, float(lives[0]), float(lives[1]), np.asarray(result["curve"]), float(result["speed"]))

    def read_all(self, results: Results) -> list[Trial]:
        """All trials, in order."""
        return [self.read(results[_name(number)]) for number in range(self.trials)]

    def importance(self) -> dict[str, float]:
        """How much of what sets good trials apart is each setting's, the most first; empty: too few trials tell.

        PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023) of the trials that were not stopped.
        """
        self._tell_again(self.trials)
        of = self._optuna.importance
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = of.get_param_importances(self._study, evaluator=of.PedAnovaImportanceEvaluator())
            except (RuntimeError, ValueError):
                return {}
        return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def _rungs() -> range:
    return range(1, RUNGS + 1)


def _used(curve: Result, budget: int) -> float:
    return float(curve["steps"][-1].mean()) / budget


def _at(curve: Result, budget: int, rung: int) -> float:
    """How long agents lived while they learned, mean over seeds, when so many parts of the budget were used."""
    each = lifetime_at(curve, budget, rung / RUNGS)
    return float(over(np.nansum(each), np.isfinite(each).sum()))


def _name(number: int) -> str:
    return f"trial-{number:03d}"
