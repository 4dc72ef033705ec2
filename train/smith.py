"""The host's side of training: calls the one loop, logs, saves, and can be interrupted and continued at any time."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from nmmo_jax.common.files import append_line, of_kind, write_json
from nmmo_jax.common.folders import Folder, alone, new_folder
from nmmo_jax.common.formats import FORMATS, Format
from nmmo_jax.common.memory import available_memory
from nmmo_jax.common.progress import waiting
from nmmo_jax.common.signals import Signals
from nmmo_jax.common.spelling import near
from nmmo_jax.common.text import console
from nmmo_jax.config import MAX_TICKS, Config
from nmmo_jax.values import check_float, check_int
from train import distributed
from train.checkpoint import FOLDER, Checkpoints
from train.evaluate import evaluate, scripted
from train.figures import write_figures
from train.loggers import Loggers
from train.loop import Report, Train, make_train
from train.metrics import Streak, means
from train.policy import load_policy
from train.progress import TrainingProgress
from train.record import record
from train.runs import (
    CONFIG,
    LOG,
    Asked,
    Progress,
    begins_anew,
    differing,
    forget_after,
    read_config,
)
from train.settings import Experiment, describe
from train.sizes import check_fits, parts
from train.trinity import Trinity
from train.vec_env import VecEnv

__all__ = ["Native", "NotFinite", "VecEnv"]

EVALUATION = {"realms": 16, "settle": 256, "ticks": 512, "seed": 1_000_003}
"""Of the classic worlds, see ``evaluation``."""
_CROWD = 256  # agents of a realm up to which it is these
_SAVE_SECONDS, _SAVE_SHARE = 60.0, 0.05  # between saves at least; of the time that they may take


class NotFinite(RuntimeError):
    """The gradients of a population have not been finite for too long."""


@dataclasses.dataclass
class Native:
    """A training run in a folder. Of several processes (``train.distributed``), which all see it, the first writes and
    speaks, and each saves its own share of the arrays.

    >>> smith.Native(experiment("law128"), out=Path("runs/law128"), minutes=4).run()

    Attributes:
      experiment: what is trained.
      trinity: classes of the three levels.
      out: folder of the run: config.json, metrics.jsonl, checkpoints, figures. None: a new one in ``runs``; it is known
        once the run has begun.
      minutes: of training after which it ends, compilation and saving not included; of a run that is resumed, more
        minutes. None: no limit.
      updates: after which it ends, those before an interruption included; None: no limit.
      resume: whether the folder's last checkpoint is continued. A run goes on as it was asked for: where neither
        ``minutes`` nor ``updates`` is given, to the end that was; with ``every``, ``loggers`` and ``figure_format`` as
        they were, if they are not given.
      per_call: updates in one compiled call.
      every: of how many updates a checkpoint is kept for good; None: only the latest and the best.
      loggers: where each line of metrics.jsonl is also sent: "tensorboard", "wandb".
      figure_format: of the figures: "png", "svg", "pdf"; none given: png.
    """

    experiment: Experiment
    trinity: Trinity = dataclasses.field(default_factory=Trinity)
    out: Path | None = None
    minutes: float | None = None
    updates: int | None = None
    resume: bool = False
    per_call: int = 8
    every: int | None = None
    loggers: Sequence[str] = ()
    console: Console | None = None
    figure_format: Sequence[Format] = ()
    _new: Folder | None = dataclasses.field(default=None, init=False, repr=False)  # of a run that begins here

    def run(self) -> dict[str, Any]:
        """Trains until the time or the updates are over, or a signal asks to stop; returns the last line of the log,
        with ``interrupted`` and ``compile_seconds``.

        Raises:
          ValueError: the folder cannot be continued, there is something in it already, or another process works in
            it; or a logger that is not installed.
          OSError: something cannot be written; what was saved before is whole.
          NotFinite: the gradients of a population were not finite ``Streak.patience`` updates in a row.
        """
        self._check()
        with contextlib.ExitStack() as stack, distributed.noticing():
            out, asked = distributed.led(lambda: self._begin(stack))
            if not distributed.first():
                self.out, self.console, self.loggers = Path(out), console(quiet=True), ()
                if not self.out.is_dir():
                    raise ValueError(f"out={out}: is not there: all processes must see the folder that the first made")
            if told := differing(distributed.share(self._described), self._described, ("in the first process", "here")):
                raise ValueError(told)
            try:
                return self._train(asked)
            except OSError as error:
                latest = Checkpoints(self._folder / FOLDER).latest()
                if latest is None:
                    raise
                left = f"what was saved up to update {latest} is whole, and resume goes on with it"
                raise OSError(error.errno, f"{error.strerror or error}; {left}", error.filename or self.out) from error

    def _begin(self, stack: contextlib.ExitStack) -> tuple[str, Asked]:
        """Has the folder to itself, until the stack ends; where it is, and what the run is asked for."""
        if self.resume:
            read_config(self._folder)
            stack.enter_context(alone(self._folder))
            return str(self._folder.absolute()), self._as_it_was()
        otherwise = "resume goes on with the run in it"
        self._new = stack.enter_context(new_folder(self.out, self.experiment.name, otherwise=otherwise))
        self.out = self._new.path
        return str(self.out.absolute()), Asked(
            minutes=self.minutes,
            updates=self.updates,
            every=self.every,
            loggers=[*self.loggers],
            figure_format=[*(self.figure_format or ("png",))],
        )

    def _train(self, asked: Asked) -> dict[str, Any]:
        first, folder = distributed.first(), self._new
        loggers = Loggers(asked["loggers"] if first else ())
        checkpoints = Checkpoints(self._folder / FOLDER, asked["every"])
        train = make_train(self.experiment, self.trinity)
        shared = jax.process_count() if jax.default_backend() == "cpu" else jax.device_count()  # memories, not one
        check_fits(self.experiment, parts(train), available_memory() * shared)
        state, about, saved = self._start(train, checkpoints)
        if first:
            write_json(self._folder / CONFIG, {**self._described, "asked": asked})
        if saved is None:  # so that a run whose checkpoints are gone is known by its log
            self._save(train, checkpoints, state, about, about)
            saved = about["update"]
        if first:
            loggers.open(self._folder, about["update"], self._described)
        watch, streak, line = Signals(), Streak(), {**about}
        again = time.perf_counter() + _SAVE_SECONDS  # when it is saved next
        compiled: dict[int, float] = {}  # updates of a call -> seconds that it took to compile
        with loggers, watch, TrainingProgress(asked["updates"], asked["minutes"], self.console) as progress:
            # The clock of the first process, and a signal to any, hold for all.
            while not any(ends := distributed.either(first and _over(about, asked), watch.asked is not None)):
                number = self.per_call if asked["updates"] is None else asked["updates"] - about["update"]
                number = min(number, self.per_call)
                if asked["every"] is not None:
                    number = min(number, asked["every"] - about["update"] % asked["every"])
                if number not in compiled:
                    called = time.perf_counter()
                    train.compile(state, number)
                    compiled[number] = time.perf_counter() - called
                called = time.perf_counter()
                state, report = train.run(state, number)
                report = jax.device_get(report)
                watch.grace = None  # from now on there is something to lose
                line = self._tell(report, about, time.perf_counter() - called)
                about = _progress(line)
                if first:
                    self._log(line, about, loggers)
                progress.update(line)
                broken = streak.see(np.asarray(report.skipped), line["update"])
                if broken is not None:
                    raise NotFinite(
                        f"population {broken[0]}: gradients were not finite {streak.patience} updates in a row, "
                        f"from update {broken[1]} on; the last checkpoint is of {checkpoints.latest()}"
                    )
                due = asked["every"] is not None and about["update"] % asked["every"] == 0
                if distributed.share(due or (streak.clean and time.perf_counter() > again)):
                    called = time.perf_counter()
                    self._save(train, checkpoints, state, about, line)
                    saved, took = about["update"], time.perf_counter() - called
                    again = called + took + max(_SAVE_SECONDS, took / _SAVE_SHARE)
            if saved != about["update"]:
                self._save(train, checkpoints, state, about, line)
            if folder is not None:
                folder.keep()
            if first:
                write_figures(self._folder, asked["figure_format"])
        seconds = round(sum(compiled.values()), 3)
        return {**line, "compile_seconds": seconds, "interrupted": ends[1] or watch.asked is not None}

    def _log(self, line: dict[str, Any], about: Progress, loggers: Loggers) -> None:
        logged = {**self._levels.pantheon.log(line), **about}
        append_line(self._folder / LOG, logged)
        if self._new is not None:
            self._new.keep()
        loggers.send(logged)

    def _check(self) -> None:
        """What cannot be is said before anything is made; numbers become Python's own."""
        if self.updates is not None:
            self.updates = check_int("updates", self.updates, 0, MAX_TICKS)
        if self.every is not None:
            self.every = check_int("every", self.every, 1, MAX_TICKS)
        if self.minutes is not None:
            self.minutes = check_float("minutes", self.minutes, 0, 1e6)
        if not set(self.figure_format) <= set(FORMATS):
            nearest = near(next(one for one in self.figure_format if one not in FORMATS), FORMATS)
            raise ValueError(f"figure_format={[*self.figure_format]}: must be some of {', '.join(FORMATS)}{nearest}")
        Loggers(self.loggers)

    def evaluate(self, which: str = "best") -> dict[str, dict[str, Any]]:
        """The trained populations, and random play, the forager and the planner, on maps not seen in training."""
        env, settings = self._levels.god.env, self.experiment.settings
        policy, how = load_policy(self._folder, which, env=env, sword=self.trinity.sword), evaluation(env.config)
        players = {name: (scripted(name), (), ()) for name in ("random", "forager", "planner")}
        players["trained"] = (policy.act, policy.params, policy.initial(how["realms"]))
        told = {}
        with waiting("evaluating ...", self.console), Signals() as watch:
            for name, player in players.items():
                told[name] = evaluate(env, *player, **how)
                if watch.asked:  # raised in the midst of JAX's own callbacks it would be lost
                    raise KeyboardInterrupt
        write_json(self._folder / "evaluation.json", {**how, "network": settings.network, **told})
        return told

    def record(self, which: str = "best") -> None:
        """Leaves a replay of the trained populations on a map not seen in training, and a film: ``train.record``."""
        env = self._levels.god.env
        policy = load_policy(self._folder, which, env=env, sword=self.trinity.sword)
        with waiting("recording ...", self.console), Signals() as watch:

            def on_progress(_number: int) -> None:
                if watch.asked:
                    raise KeyboardInterrupt

            how = evaluation(env.config)
            record(self._folder, policy, env, settle=how["settle"], seed=how["seed"], on_progress=on_progress)

    @functools.cached_property
    def _levels(self) -> Trinity:
        return self.trinity.of(self.experiment)

    @functools.cached_property
    def _described(self) -> dict[str, Any]:
        return describe(self.experiment, self._levels)

    @property
    def _folder(self) -> Path:
        if self.out is None:
            raise ValueError("out=None: must be the folder of a run")
        return self.out

    def _as_it_was(self) -> Asked:
        """What the run in the folder is to go on to, once it is known to be this one."""
        there, checkpoints = read_config(self._folder), Checkpoints(self._folder / FOLDER)
        told, seconds = differing(there, self._described), 0.0
        if not told and checkpoints.latest() is not None:
            about = checkpoints.about()
            told, seconds = differing(there, about, ("there", "in the last checkpoint")), about.get("seconds", 0.0)
        if told:
            raise ValueError(f"resume: {self._folder}: {told}")
        asked = there["asked"]
        if self.minutes is not None or self.updates is not None:
            asked["updates"] = self.updates
            asked["minutes"] = None if self.minutes is None else self.minutes + seconds / 60
        asked["every"] = asked["every"] if self.every is None else self.every
        asked["loggers"] = [*(self.loggers or asked["loggers"])]
        asked["figure_format"] = [*(self.figure_format or asked["figure_format"])]
        return asked

    def _start(self, train: Train, checkpoints: Checkpoints) -> tuple[Any, Progress, int | None]:
        """The state to begin with, how far it has come, and the update of the last checkpoint; None: there is none.

        Raises:
          ValueError: the checkpoint with which it would go on is damaged, or there is none of what the log tells.
        """
        steps = distributed.led(checkpoints.steps)
        if not steps:
            distributed.led(lambda: begins_anew(self._folder))
            state = train.init(jax.random.key(self.experiment.settings.seed))
            return state, {"update": 0, "agent_steps": 0, "seconds": 0.0}, None
        try:
            kept, about = checkpoints.restore(train.template, steps[-1])
            about = of_kind(_progress(about), Progress, f"{self._folder / FOLDER}: step {steps[-1]}")
        except ValueError as error:
            others = f"; without the folder of that step, it goes on from {steps[-2]}" if len(steps) > 1 else ""
            raise ValueError(f"resume: {error}{others}") from None
        distributed.led(lambda: forget_after(self._folder, about["update"]))
        return train.restored(kept), about, steps[-1]

    def _tell(self, report: Report, about: Progress, seconds: float) -> dict[str, Any]:
        settings, number = self.experiment.settings, len(report.skipped)
        sums = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64).sum(axis=0), report.sums)
        told = {name: np.asarray(value, np.float64).mean(axis=0) for name, value in report.losses.items()}
        line = means(sums, told, number * settings.ticks * settings.realms, self.experiment.env.config)
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
        self, train: Train, checkpoints: Checkpoints, state: Any, about: Progress, line: Mapping[str, Any]
    ) -> None:
        score = self._levels.pantheon.score({**line}) if "lifetime" in line else None  # there was no update
        checkpoints.save(about["update"], train.saved(state), {**about, **self._described}, score)


def evaluation(config: Config) -> dict[str, int]:
    """How a run is evaluated at its end: ``realms``, ``settle``, ``ticks`` and ``seed`` of ``evaluate``.

    Crowds have fewer realms, for about as many agents; beyond a hundred times as many, fewer ticks.
    """
    if config.num_agents <= _CROWD:
        return EVALUATION
    classic = EVALUATION["realms"] * Config.num_agents
    ticks = EVALUATION["ticks"] if config.num_agents < 8 * classic else EVALUATION["ticks"] // 4
    return {**EVALUATION, "realms": max(classic // config.num_agents, 1), "ticks": ticks}


def _over(about: Progress, asked: Asked) -> bool:
    """Whether the updates or the minutes are over."""
    updates, minutes = asked["updates"], asked["minutes"]
    return (updates is not None and about["update"] >= updates) or (
        minutes is not None and about["seconds"] >= 60 * minutes
    )


def _progress(line: Mapping[str, Any]) -> Progress:
    return {"update": line.get("update"), "agent_steps": line.get("agent_steps"), "seconds": line.get("seconds")}  # pyright: ignore[reportReturnType]
