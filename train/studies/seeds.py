"""Training of several seeds of one experiment in one program, until each population has learned enough.

As a program: ``python -m train.studies.seeds law16 --seeds 0 1 2 --budget 3_000_000 --out runs/seeds``.
"""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NotRequired, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.progress import BarColumn

from nmmo_jax.common import entry
from nmmo_jax.common.files import Count, Number, append_line, read_json, read_lines, write_json
from nmmo_jax.common.folders import Folder, new_folder
from nmmo_jax.common.program import run_program
from nmmo_jax.common.progress import Shown
from nmmo_jax.common.signals import Signals
from nmmo_jax.common.text import column, safe
from nmmo_jax.play.measure import use_all_cores
from train.checkpoint import FOLDER, Checkpoints
from train.loop import Report, make_train
from train.metrics import means
from train.runs import CONFIG, LOG, begins_anew, difference, forget_after
from train.settings import Experiment, completed, describe, experiment
from train.studies.intervals import over
from train.trees import fit
from train.trinity import Sword, Trinity

_ROWS_PER_CALL = 600_000  # places of agents times ticks: a few seconds on two cores
_LEAST_CALLS = 32  # in which the budget is used up, so that it is not overshot by much
_SAVE_SECONDS = 60.0
_VERSIONS = ("nmmo_jax", "jax")  # of ``describe``: others may go on with a training


class Line(TypedDict):
    """A line of ``LOG``, of one call, as far as others read it: lists over seeds."""

    update: Count
    lifetime: list[Number | None]  # None: nobody died
    steps: list[list[Count]]
    agent_steps_per_second: NotRequired[Count]  # before there was an ``ablate`` it was not told


class Done(TypedDict):
    """The contents of done.json, written at the end."""

    budget: Count
    reached: bool
    update: Count
    seconds: Number
    steps: list[list[Count]]


def train_seeds(
    experiment: Experiment,
    seeds: Sequence[int],
    budget: int,
    out: Path,
    on_progress: Callable[[float, str], None],
    snapshots: Sequence[float] = (1.0,),
    *,
    learner: Callable[[Experiment], Sword] = Sword,
    begin: Any = None,
    asked: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Trains all seeds until a population has learned from ``budget`` living agent-steps, on average over all of them.

    Each seed is trained as ``train.smith.Native`` would with that seed in its settings. The folder gets config.json,
    metrics.jsonl (a line per call: ``lifetime``, ``population`` and ``skipped`` of its updates, lists over seeds, and
    ``steps``, learned from so far, by seed and population), checkpoints of the whole state, done.json at the end, and
    ``seed-K`` for each seed, which ``train.policy.load_policy`` reads. Called again with the same arguments it goes on
    exactly from the last checkpoint, or returns at once where it has ended.

    Args:
      on_progress: ``on_progress(fraction, words)`` is called every few seconds with how much of the budget is used, 0
        to 1. It may raise KeyboardInterrupt: the state is saved, and the exception goes on.
      snapshots: fractions of the budget at which the parameters are kept, 0 to 1; those at its end always are.
      learner: the Sword that learns, of the base class's network: what it has learned is played by that.
      begin: parameters to begin with, arrays ``[seeds, P, ...]``; None: those of ``learner``, by seed.
      asked: what else the training depends on, ready for JSON: kept in config.json, and the same at every call.

    Returns:
      What done.json holds: ``budget``; ``reached``, False where nobody was left to learn; ``update``; ``seconds`` of
      wall time; ``steps`` by seed and population.

    Raises:
      ValueError: an argument that cannot be, a folder that holds something else, or one in which another process works.
    """
    _check(experiment, seeds, budget, snapshots)
    there = (out / CONFIG).exists()
    with new_folder(out, overwrite=there, otherwise="it holds no training of seeds") as folder, Signals() as watch:
        trinity = Trinity(sword=learner)
        _open(out, experiment, seeds, budget, snapshots, trinity, asked)
        done = out / "done.json"
        if not done.exists():
            write_json(done, _train(experiment, seeds, budget, folder, on_progress, snapshots, watch, trinity, begin))
        return dict(read_json(done, Done))


def _train(
    experiment: Experiment,
    seeds: Sequence[int],
    budget: int,
    folder: Folder,
    on_progress: Callable[[float, str], None],
    snapshots: Sequence[float],
    watch: Signals,
    trinity: Trinity,
    begin: Any,
) -> dict[str, Any]:
    out, checkpoints = folder.path, Checkpoints(folder.path / FOLDER)
    train = make_train(experiment, trinity, seeds=len(seeds))
    if checkpoints.latest() is None:
        steps = np.zeros((len(seeds), experiment.env.config.num_populations), int)
        about = {"update": 0, "seconds": 0.0, "steps": steps.tolist(), "extinct": False}
        begins_anew(out)
        state = train.init(jnp.stack([jax.random.key(seed) for seed in seeds]))
        if begin is not None:
            where = jax.tree.map(lambda leaf: leaf.sharding, train.template.params)
            state = state.replace(params=jax.device_put(fit(begin, state.params), where))
        if 0 in snapshots:
            _export(experiment, seeds, state.params, about, out)
        checkpoints.save(0, train.saved(state), about)  # so that a log without checkpoints has lost them
    else:
        kept, restored = checkpoints.restore(train.template)
        about = {name: restored[name] for name in ("update", "seconds", "steps", "extinct")}
        state = train.restored(kept)
    forget_after(out, about["update"])
    updates, saved_at = _updates_per_call(experiment, len(seeds), budget), time.perf_counter()

    def save() -> None:
        checkpoints.save(about["update"], train.saved(state), about)

    while (fraction := _used(about, budget)) < 1 and not about["extinct"]:
        began = time.perf_counter()
        state, report = train.run(state, updates)
        report = jax.device_get(report)
        watch.grace = None  # from now on there is something to lose: it waits until ``on_progress`` raises
        line, words = _tell(experiment, report, about, time.perf_counter() - began)
        append_line(out / LOG, line)
        folder.keep()
        about = {name: line[name] for name in ("update", "seconds", "steps")}
        # Where there is no horizon, a world that nobody was in for so many ticks stays empty.
        about["extinct"] = experiment.env.config.horizon is None and not report.sums.steps.any()
        now = _used(about, budget)
        if any(fraction < snapshot <= now < 1 for snapshot in snapshots):
            _export(experiment, seeds, state.params, about, out)
            save()  # so that what is done again is not older than a snapshot
            saved_at = time.perf_counter()
        try:
            on_progress(min(now, 1.0), words)
        except KeyboardInterrupt:
            save()
            raise
        if time.perf_counter() - saved_at > _SAVE_SECONDS:
            save()
            saved_at = time.perf_counter()
    _export(experiment, seeds, state.params, about, out)
    extinct = about.pop("extinct")
    return {"budget": budget, "reached": not extinct or _used(about, budget) >= 1, **about}


def learning_curve(folder: Path) -> dict[str, np.ndarray]:
    """From the log of a training: ``lifetime [K, S]`` (NaN: nobody died), ``steps [K, S, P]`` learned from, and
    ``speed [K]``, agent-steps per second; of K calls.
    """
    lines = read_lines(folder / LOG, Line)
    return {
        "lifetime": np.array([line["lifetime"] for line in lines], np.float64),
        "steps": np.array([line["steps"] for line in lines], np.float64),
        "speed": np.array([line.get("agent_steps_per_second", np.nan) for line in lines]),
    }


def lifetime_at(curve: Mapping[str, np.ndarray], budget: int, share: float) -> np.ndarray:
    """How long agents lived while they learned, ``[S]``, when a share of the budget was used: the mean over the calls
    of the last eighth of the budget up to there. NaN: nobody died.
    """
    used = curve["steps"].mean(axis=(1, 2)) / budget
    last = int(np.argmax(used >= share)) if used[-1] >= share else len(used) - 1
    some = curve["lifetime"][: last + 1][used[: last + 1] > min(share - 1 / 8, used[last] - 1e-9)]
    return over(np.nansum(some, axis=0), np.isfinite(some).sum(axis=0))


def _used(about: dict[str, Any], budget: int) -> float:
    return float(np.mean(about["steps"])) / budget


def _updates_per_call(experiment: Experiment, seeds: int, budget: int) -> int:
    """Of the arguments alone, so that one that was interrupted ends and keeps snapshots where another does."""
    settings, config = experiment.settings, experiment.env.config
    rows = settings.realms * settings.ticks * config.num_agents
    most = budget * config.num_populations // (_LEAST_CALLS * rows)
    return max(1, min(most, round(_ROWS_PER_CALL / (rows * seeds))))


def _tell(experiment: Experiment, report: Report, about: dict[str, Any], seconds: float) -> tuple[dict[str, Any], str]:
    """A line of the log, and a few words."""
    settings, updates = experiment.settings, len(report.skipped)
    sums = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64).sum(axis=0), report.sums)
    ticks, config = updates * settings.ticks * settings.realms, experiment.env.config
    each = [
        means(jax.tree.map(lambda leaf, seed=seed: leaf[seed], sums), {}, ticks, config)
        for seed in range(len(sums.steps))
    ]
    steps = np.asarray(about["steps"]) + sums.steps.astype(int)
    rate = round(float(sums.steps.sum()) / seconds)
    lifetimes = [one["lifetime"] for one in each]
    line = {
        "update": about["update"] + updates,
        "agent_steps": int(steps.sum()),
        "seconds": round(about["seconds"] + seconds, 3),
        "agent_steps_per_second": rate,
        "lifetime": lifetimes,
        "population": [one["population"] for one in each],
        "steps": steps.tolist(),
        "skipped": report.skipped.sum(axis=(0, 2)).tolist(),
    }
    known = [lifetime for lifetime in lifetimes if lifetime is not None]
    words = f"{rate:,} agent-steps/s" + (f", lifetime {np.mean(known):.1f}" if known else "")
    return line, words


def _export(experiment: Experiment, seeds: Sequence[int], params: Any, about: dict[str, Any], out: Path) -> None:
    """The parameters of every seed, in a folder of its own."""
    params = jax.device_get(params)
    for index, seed in enumerate(seeds):
        own = dataclasses.replace(experiment, settings=dataclasses.replace(experiment.settings, seed=seed))
        steps = about["steps"][index]
        of = {"update": about["update"], "agent_steps": sum(steps), "seconds": about["seconds"], "steps": steps}
        Checkpoints(out / f"seed-{seed}", every=1).save(
            about["update"],
            {"params": jax.tree.map(lambda leaf, index=index: leaf[index], params)},
            {**of, **describe(own, Trinity().of(own))},
        )


def _check(experiment: Experiment, seeds: Sequence[int], budget: int, snapshots: Sequence[float]) -> None:
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise ValueError(f"seeds={list(seeds)}: must be one or more different whole numbers from 0 to 2^32 - 1")
    if budget < 1:
        raise ValueError(f"budget={budget}: must be at least 1")
    if not all(0 <= snapshot <= 1 for snapshot in snapshots):
        raise ValueError(f"snapshots={list(snapshots)}: allowed are 0 to 1")
    if experiment.settings.maps:
        raise ValueError(f"maps={experiment.settings.maps}: must be 0: seeds that share maps are not independent")


def _open(
    out: Path,
    experiment: Experiment,
    seeds: Sequence[int],
    budget: int,
    snapshots: Sequence[float],
    trinity: Trinity,
    asked: Mapping[str, Any],
) -> None:
    mine = {**asked, "seeds": list(seeds), "budget": budget, "snapshots": list(snapshots)}
    mine |= describe(experiment, trinity.of(experiment))
    path = out / CONFIG
    if path.exists():
        there = completed(read_json(path, dict[str, Any]))
        for part in sorted((mine.keys() | there.keys()) - {*_VERSIONS}):
            if there.get(part) != mine.get(part):
                raise ValueError(f"out={out}: {part} differs: {difference(there.get(part), mine.get(part))}")
    else:
        write_json(path, mine)


@dataclasses.dataclass
class Seeds:
    """Train several seeds of an experiment; called again with the same arguments it goes on."""

    experiment: tyro.conf.Positional[str]
    """law16 ... law128, chaos16 ... chaos128."""
    seeds: tuple[int, ...]
    """Their numbers."""
    budget: int
    """Living agent-steps that each population learns from, on average."""
    out: Path
    """Folder."""

    def run(self) -> int:
        """Trains; returns the exit status."""
        use_all_cores()
        columns = (BarColumn(bar_width=20), column("{task.fields[told]}"))
        try:
            with Signals() as watch, Shown(1.0, *columns) as progress:

                def on_progress(fraction: float, words: str) -> None:
                    progress.show(f"{fraction:.0%}", fraction, words, f"{fraction:.1%}, {words}", last=fraction == 1)
                    if watch.asked:
                        raise KeyboardInterrupt

                train_seeds(experiment(self.experiment), self.seeds, self.budget, self.out, on_progress)
        except KeyboardInterrupt:
            print(f"{safe(self.out)}: saved; the same command goes on", file=sys.stderr)
            return 130
        return 0


def main() -> None:
    """Trains, and exits."""
    run_program(Seeds, "train.studies.seeds")


if __name__ == "__main__":
    entry.run("python -m train.studies.seeds", main)
