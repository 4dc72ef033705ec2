"""The host's side of training: calls the one loop, logs, saves, and can be interrupted and continued at any time."""

import dataclasses
import functools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

import nmmo_jax
from nmmo_jax.commands.progress import waiting
from nmmo_jax.config import RULE_FIELDS
from nmmo_jax.files import write_json
from nmmo_jax.signals import Signals, saving
from train.checkpoint import FOLDER, Checkpoints
from train.evaluate import evaluate, scripted
from train.figures import write_figures
from train.loggers import Loggers
from train.loop import Report, Train, make_train
from train.metrics import means
from train.policy import load_policy
from train.progress import TrainingProgress
from train.record import record
from train.runs import alone, difference, forget_after
from train.settings import Experiment
from train.trinity import Trinity
from train.vec_env import VecEnv

__all__ = ["Native", "VecEnv", "describe"]

PATIENCE = 10  # updates in a row with steps that were not finite, after which a run stops
EVALUATION = {"realms": 16, "settle": 256, "ticks": 512, "seed": 1_000_003}
_SAVE_SECONDS = 60.0


@dataclasses.dataclass
class Native:
    """A training run in a folder.

    >>> smith.Native(experiment("law128"), out=Path("runs/law128"), minutes=4).run()

    Attributes:
      experiment: what is trained.
      trinity: classes of the three levels.
      out: folder of the run: config.json, metrics.jsonl, checkpoints, figures.
      minutes: of wall time after which it ends, compilation included; None: no limit.
      updates: after which it ends, those before an interruption included; None: no limit.
      resume: whether the folder's last checkpoint is continued.
      per_call: updates in one compiled call.
      every: of how many updates a checkpoint is kept for good; None: only the latest and the best.
      loggers: where each line of metrics.jsonl is also sent: "tensorboard", "wandb".
    """

    experiment: Experiment
    trinity: Trinity = dataclasses.field(default_factory=Trinity)
    out: Path = Path("runs/train")
    minutes: float | None = None
    updates: int | None = None
    resume: bool = False
    per_call: int = 8
    every: int | None = None
    loggers: Sequence[str] = ()
    console: Console | None = None

    def run(self) -> dict[str, Any]:
        """Trains until the time or the updates are over, or a signal asks to stop; returns the last line of the log.

        Raises:
          ValueError: the folder cannot be continued, there is something in it already, or another process works in
            it; or a logger that is not installed.
          RuntimeError: the gradients of a population were not finite ``PATIENCE`` updates in a row.
        """
        loggers = Loggers(self.loggers)
        checkpoints = self._prepare()
        with alone(self.out):
            return self._train(loggers, checkpoints)

    def _train(self, loggers: Loggers, checkpoints: Checkpoints) -> dict[str, Any]:
        loggers.open(self.out, checkpoints.latest() or 0, describe(self.experiment, self._levels))
        began = time.perf_counter()
        train = make_train(self.experiment, self.trinity)
        state, about = self._start(train, checkpoints)
        watch, streak, saved_at, line = Signals(), _Streak(), time.perf_counter(), about
        with loggers, watch, TrainingProgress(self.updates, self.minutes, self.console) as progress:
            while not self._over(about["update"], began) and not watch.asked:
                number = self.per_call if self.updates is None else min(self.per_call, self.updates - about["update"])
                if self.every is not None:
                    number = min(number, self.every - about["update"] % self.every)
                called = time.perf_counter()
                state, report = train.run(state, number)
                report = jax.device_get(report)
                watch.grace = None  # from now on there is something to lose
                seconds = time.perf_counter() - called
                line = self._tell(report, about, seconds)
                about = {name: line[name] for name in ("update", "agent_steps", "seconds")}
                logged = {**self._levels.pantheon.log(line), **about}
                with (self.out / "metrics.jsonl").open("a") as log:
                    log.write(json.dumps(logged) + "\n")
                loggers.send(logged)
                progress.update(line)
                broken = streak.see(report, line["update"])
                if broken is not None:
                    latest = checkpoints.latest()
                    left = "there is no checkpoint yet" if latest is None else f"the last checkpoint is of {latest}"
                    raise RuntimeError(
                        f"population {broken[0]}: gradients were not finite {PATIENCE} updates in a row, from update "
                        f"{broken[1]} on; {left}"
                    )
                due = self.every is not None and about["update"] % self.every == 0
                if due or (streak.clean and time.perf_counter() - saved_at > _SAVE_SECONDS):
                    self._save(train, checkpoints, state, about, line)
                    saved_at = time.perf_counter()
            if checkpoints.latest() != about["update"]:
                self._save(train, checkpoints, state, about, line)
            write_figures(self.out)
        return {**line, "interrupted": watch.asked is not None}

    def evaluate(self, which: str = "best") -> dict[str, dict[str, Any]]:
        """The trained populations, and random play, the forager and the planner, on maps not seen in training."""
        env, settings = self._levels.god.env, self.experiment.settings
        policy = load_policy(self.out, which, env=env, sword=self.trinity.sword)
        players = {name: (scripted(name), (), ()) for name in ("random", "forager", "planner")}
        players["trained"] = (policy.act, policy.params, policy.initial(EVALUATION["realms"]))
        told = {}
        with waiting("evaluating ...", self.console), Signals() as watch:
            for name, player in players.items():
                told[name] = evaluate(env, *player, **EVALUATION)
                if watch.asked:  # raised in the midst of JAX's own callbacks it would be lost
                    raise KeyboardInterrupt
        write_json(self.out / "evaluation.json", {**EVALUATION, "network": settings.network, **told})
        return told

    def record(self, which: str = "best") -> None:
        """Leaves a replay of the trained populations on a map not seen in training, and a film: ``train.record``."""
        env = self._levels.god.env
        policy = load_policy(self.out, which, env=env, sword=self.trinity.sword)
        with waiting("recording ...", self.console), Signals() as watch:

            def told(_number: int) -> None:
                if watch.asked:
                    raise KeyboardInterrupt

            record(self.out, policy, env, settle=EVALUATION["settle"], seed=EVALUATION["seed"], told=told)

    @functools.cached_property
    def _levels(self) -> Trinity:
        return self.trinity.of(self.experiment)

    def _prepare(self) -> Checkpoints:
        checkpoints = Checkpoints(self.out / FOLDER, self.every)
        mine = describe(self.experiment, self._levels)
        if self.resume:
            if not (self.out / "config.json").exists():
                raise ValueError(f"resume: {self.out}: holds no run (no config.json)")
            there = json.loads((self.out / "config.json").read_text())
            for part in ("experiment", "config", "rules", "settings", "trinity"):
                if there.get(part) != mine[part]:
                    raise ValueError(f"resume: {self.out}: {part} differs: {difference(there.get(part), mine[part])}")
            return checkpoints
        if self.out.exists() and any(self.out.iterdir()):
            raise ValueError(f"out={self.out}: is not empty; resume goes on with the run in it")
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(self.out / "config.json", mine)
        return checkpoints

    def _start(self, train: Train, checkpoints: Checkpoints) -> tuple[Any, dict[str, Any]]:
        if self.resume and checkpoints.latest() is not None:
            kept, about = checkpoints.restore(train.template)
            about = {name: about[name] for name in ("update", "agent_steps", "seconds")}
            forget_after(self.out / "metrics.jsonl", about["update"])
            return train.restored(kept), about
        forget_after(self.out / "metrics.jsonl", 0)
        return train.init(jax.random.key(self.experiment.settings.seed)), {
            "update": 0,
            "agent_steps": 0,
            "seconds": 0.0,
        }

    def _over(self, update: int, began: float) -> bool:
        if self.updates is not None and update >= self.updates:
            return True
        return self.minutes is not None and time.perf_counter() - began >= 60 * self.minutes

    def _tell(self, report: Report, about: dict[str, Any], seconds: float) -> dict[str, Any]:
        settings, number = self.experiment.settings, len(report.skipped)
        sums = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64).sum(axis=0), report.sums)
        told = {name: np.asarray(value, np.float64).mean(axis=0) for name, value in report.losses.items()}
        line = means(sums, told, number * settings.ticks * settings.realms)
        steps = line.pop("agent_steps")
        return {
            "update": about["update"] + number,
            "agent_steps": about["agent_steps"] + steps,
            "seconds": round(about["seconds"] + seconds, 3),
            "agent_steps_per_second": round(steps / seconds),
            "skipped": int(report.skipped.sum()),
            **line,
        }

    def _save(
        self, train: Train, checkpoints: Checkpoints, state: Any, about: dict[str, Any], line: dict[str, Any]
    ) -> None:
        about = {**about, **describe(self.experiment, self._levels)}
        score = self._levels.pantheon.score(line) if "lifetime" in line else None  # there was no update
        with saving():
            checkpoints.save(about["update"], train.saved(state), about, score)


def describe(experiment: Experiment, levels: Trinity) -> dict[str, Any]:
    """All that is needed to make the experiment again, and the names of its three levels, ready for JSON."""
    rules = {name: np.asarray(getattr(experiment.env.rules, name)).tolist() for name in RULE_FIELDS}
    return {
        "experiment": experiment.name,
        "config": dataclasses.asdict(experiment.env.config),
        "rules": rules,
        "settings": dataclasses.asdict(experiment.settings),
        "trinity": {name: type(level).__qualname__ for name, level in levels._asdict().items()},
        "rules_version": nmmo_jax.RULES_VERSION,
        "nmmo_jax": nmmo_jax.__version__,
        "jax": jax.__version__,
    }


class _Streak:
    """How many updates in a row each population had steps that were not finite."""

    def __init__(self):
        self._since: dict[int, int] = {}

    @property
    def clean(self) -> bool:
        """Whether the last update was good for all."""
        return not self._since

    def see(self, report: Report, update: int) -> tuple[int, int] | None:
        """A population that has run out of patience, and the update with which it began."""
        skipped = np.asarray(report.skipped)
        for index, row in enumerate(skipped, update - len(skipped) + 1):
            self._since = {int(p): self._since.get(int(p), index) for p in np.flatnonzero(row)}
            for population, since in self._since.items():
                if index - since + 1 >= PATIENCE:
                    return population, since
        return None
