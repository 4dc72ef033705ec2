"""What training in worlds of several sizes takes: memory by part, and time.

    taskset -c 0 python -m nmmo_jax.bench.memory law128 medium large huge --out runs/memory.json --figures runs
    python -m nmmo_jax.bench.memory large --populations 4096 --own-weights --updates 0

Shows a table, and writes JSON and a figure. What lasts, and a rollout, is known from shapes; what a compiled update
needs at most is what XLA says that it will take. Updates that are timed are of full worlds: under the rules of the full
house, on maps without lava, with everybody born before the first tick and placed uniformly over the walkable tiles. So
costs of worlds of any size can be compared. Every experiment is measured in a process of its own.
"""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax.bench.figures import write_cost_figure
from nmmo_jax.bench.machine import last_line, machine, peak_memory, run_program
from nmmo_jax.bench.rows import full_rules, scatter
from nmmo_jax.common.memory import available_memory
from nmmo_jax.common.text import console
from nmmo_jax.draws import fold_in, split
from nmmo_jax.values import check_int
from nmmo_jax.vectorized import vectorize
from train.loop import State, Train, make_train
from train.settings import Experiment, experiment
from train.sizes import check_fits, parts, rollout_bytes

_FULL = 0.8  # share of places that must be alive in the mean of all ticks
_FILL = 1024  # what a run's key is folded with for the births before the first tick
_PER_REALM = ("state", "exploration", "observations", "rollout", "memory")


@dataclasses.dataclass
class Memory:
    """Measure what training takes, by experiment."""

    experiments: tyro.conf.Positional[tuple[str, ...]]
    """Names, as of nmmo-jax train."""
    populations: int | None = None
    """In place of as many as the experiment has."""
    own_weights: bool = False
    """A network for each population, in place of one that they share."""
    realms: int | None = None
    """Worlds side by side, in place of as many as the experiment has; groups are as many."""
    updates: int = 4
    """That are timed, after as many that are not; 0: none, memory only."""
    seed: int = 0
    """Of births, play and generated maps."""
    out: Path | None = None
    """File for the result. Default: standard output, without the table."""
    figures: Path | None = None
    """Folder for the figure cost.png: cost per place over places per world."""


def main(args: Memory) -> dict[str, Any]:
    """Measures all, each in a process of its own; a record ready for JSON.

    Raises:
      ValueError: what cannot be measured.
      RuntimeError: a process failed, or worlds did not stay full.
    """
    if not args.experiments:
        raise ValueError("EXPERIMENTS: must be at least one")
    check_int("updates", args.updates, 0)
    chosen = [asked(args, name) for name in args.experiments]
    if len(chosen) == 1:
        return {"rows": [row(args, chosen[0])], "machine": machine()}
    rows, told = [], {}
    for name in args.experiments:
        told = _in_a_process(args, name)
        rows += told["rows"]
    return {"rows": rows, "machine": told["machine"]}


def asked(args: Memory, name: str) -> Experiment:
    """An experiment with what flags have changed.

    Raises:
      ValueError: names the field, the value and what is allowed.
    """
    given = {"num_populations": args.populations, "realms": args.realms, "groups": args.realms, "seed": args.seed}
    given |= {"shared_weights": False if args.own_weights else None}
    given |= {**full_rules(), "border": 0}
    return experiment(name, **{field: value for field, value in given.items() if value is not None})


def row(args: Memory, learning: Experiment) -> dict[str, Any]:
    """Of one experiment: bytes by part, and what a compiled update takes; with updates, how long one takes.

    Raises:
      ValueError: it cannot fit.
    """
    config, settings = learning.env.config, learning.settings
    train = make_train(learning, devices=jax.devices()[:1])
    found = parts(train)
    check_fits(learning, found, available_memory())
    found["rollout"] = rollout_bytes(learning, train)
    result = {
        "experiment": learning.name,
        "agents": config.num_agents,
        "rows": config.rows,
        "columns": config.columns,
        "populations": config.num_populations,
        "networks": 1 if settings.options.shared_weights else config.num_populations,
        "realms": settings.realms,
        "ticks": settings.ticks,
        "bytes_per_realm": {name: found[name] // settings.realms for name in _PER_REALM},
        "bytes": {name: found[name] for name in ("parameters", "optimiser")},
        "devices": 1,
    }
    state = jax.eval_shape(train.init, jax.random.key(0))
    began = time.perf_counter()
    told = train.compile(state, max(args.updates, 1)).memory_analysis()
    result["compile_seconds"] = round(time.perf_counter() - began, 2)
    if told is not None:
        needed = told.argument_size_in_bytes + told.output_size_in_bytes - told.alias_size_in_bytes
        result["compiled_bytes"] = needed + told.temp_size_in_bytes
    if args.updates:
        result |= _timed(args, learning, train)
    return {**result, "peak_memory_bytes": peak_memory()}


def _filled(learning: Experiment, train: Train, state: State) -> State:
    """The state with its worlds full, everybody placed anew."""
    env, realms = learning.env, learning.settings.realms

    def fill(worlds):
        key, many = fold_in(state.key, _FILL), vectorize(env, realms)
        _, realm = many.reset(key, worlds.rules, worlds.realm.tiles, env.config.num_agents)
        return jax.vmap(scatter)(split(key, realms), realm)

    kept = train.saved(state)
    return train.restored(kept.replace(worlds=kept.worlds.replace(world=jax.jit(fill)(kept.worlds))))


def _timed(args: Memory, learning: Experiment, train: Train) -> dict[str, Any]:
    config, settings = learning.env.config, learning.settings
    state = jax.block_until_ready(_filled(learning, train, train.init(jax.random.key(args.seed))))
    state, _ = jax.block_until_ready(train.run(state, args.updates))
    began = time.perf_counter()
    _, report = jax.block_until_ready(train.run(state, args.updates))
    seconds = time.perf_counter() - began
    ticks, steps = args.updates * settings.ticks, int(np.asarray(report.sums.steps, np.int64).sum())
    places = ticks * settings.realms * config.num_agents
    if steps < _FULL * places:
        raise RuntimeError(f"{learning.name}: {steps} of {places} places alive: must be at least {_FULL:.0%}")
    return {
        "ticks_per_second": round(ticks / seconds, 3),  # of all realms side by side
        "agent_steps_per_second": round(steps / seconds),
        "mean_population": round(steps / (ticks * settings.realms), 1),
        "nanoseconds_per_place": round(1e9 * seconds / places, 1),
        "nanoseconds_per_agent_step": round(1e9 * seconds / steps, 1) if steps else None,
    }


def _in_a_process(args: Memory, name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "nmmo_jax.bench.memory", name, "--updates", str(args.updates)]
    command += ["--seed", str(args.seed), *(["--own-weights"] if args.own_weights else [])]
    for flag, value in (("--populations", args.populations), ("--realms", args.realms)):
        command += [] if value is None else [flag, str(value)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{name}: {last_line(result.stderr)}")
    return json.loads(result.stdout)


def table(record: dict[str, Any]) -> Table:
    """The rows, in millions of bytes."""
    made = Table(
        box=SIMPLE_HEAD, title="Training: millions of bytes, of what is by realm of each", title_justify="left"
    )
    names = ["experiment", "agents", "networks", "realms", *_PER_REALM, "parameters", "optimiser", "compiled", "peak"]
    names += ["ticks/s", "agent-steps/s", "alive", "ns per place"]
    for number, name in enumerate(names):
        made.add_column(name, justify="right" if number else "left")  # pyright: ignore[reportArgumentType]
    for one in record["rows"]:
        sizes = [*(one["bytes_per_realm"][name] for name in _PER_REALM), *one["bytes"].values()]
        sizes += [one.get("compiled_bytes"), one["peak_memory_bytes"]]
        rates = ("ticks_per_second", "agent_steps_per_second", "mean_population", "nanoseconds_per_place")
        made.add_row(
            one["experiment"],
            *(f"{one[name]:,}" for name in ("agents", "networks", "realms")),
            *("" if size is None else f"{size / 1e6:,.2f}" for size in sizes),
            *(f"{one[name]:,}" if name in one else "" for name in rates),
        )
    return made


if __name__ == "__main__":
    settings = tyro.cli(Memory)
    measured = run_program("memory", main, settings)
    if settings.out is not None:
        screen = console()
        screen.width = max(screen.width, 230)
        screen.print(table(measured))
    if settings.figures is not None:
        for path in write_cost_figure(measured, settings.figures):
            console(stderr=True).print(f"figure: {path}", soft_wrap=True)
