"""Agent-steps per second of training: rollouts and updates together, of populations that keep their realms filled.

    taskset -c 0 python -m nmmo_jax.bench.training
    python -m nmmo_jax.bench.training --devices 2  # on a CPU a device is a core

The experiment ``law128``, with the network and the settings of the policy that comes with the package. What has not
learned dies young, and leaves little to learn from: it goes on with that policy's parameters, and a fresh optimiser.
After the warm-up ``--updates`` updates run in one call, repeated. Only the living are counted.
"""

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from nmmo_jax.bench.machine import machine, peak_memory, run_program
from nmmo_jax.bench.profile import profile, profile_table
from nmmo_jax.bench.rows import observation_bytes
from nmmo_jax.bench.throughput import devices, rates
from nmmo_jax.common.text import console
from train.checkpoint import load_params
from train.loop import State, make_train
from train.policy import PRETRAINED, load_policy
from train.settings import Experiment, Settings, experiment_of
from train.trees import fit

EXPERIMENT = "law128"  # and the name of its policy
_AT_LEAST_ALIVE = 80  # per realm of 128, in the mean of the timed updates


@dataclasses.dataclass
class Training:
    """Measure training, and print it as JSON."""

    realms: int = Settings.realms
    """Realms side by side."""
    devices: int = 1
    """Over which the realms are shared out."""
    updates: int = 4
    """Per call; each follows a rollout."""
    repeats: int = 5
    """Calls that are timed."""
    warm_up: int = 32
    """Updates before the first timed call, in which the realms fill: 1,024 ticks, some ten lifetimes."""
    seed: int = 0
    """Of births, play and generated maps."""
    out: Path | None = None
    """File for the result. Default: standard output."""
    profile: Path | None = None
    """Folder for a trace of one more call, of which the slowest parts are shown."""


@dataclasses.dataclass
class Program:
    """A training run, compiled and at its first update.

    Attributes:
      run: ``run(pool, state) -> state, report`` of one call; the state given is used up.
    """

    run: Any
    pool: Any
    state: State
    compile_seconds: float


def main(args: Training) -> dict[str, Any]:
    """Measures, and returns a record ready for JSON.

    Raises:
      ValueError: what cannot be measured.
      RuntimeError: too few agents were alive.
    """
    chosen = devices(args.devices)  # before anything starts JAX with one device
    learning = check(args)
    program = compile_training(args, learning, chosen)
    pool, state = program.pool, program.state
    realm = sum(leaf.nbytes for leaf in jax.tree.leaves(state.worlds.realm))
    for _ in range(math.ceil(args.warm_up / args.updates)):
        state, _ = program.run(pool, state)
    jax.block_until_ready(state)
    seconds, reports = [], []
    for _ in range(args.repeats):
        began = time.perf_counter()
        state, report = jax.block_until_ready(program.run(pool, state))
        seconds.append(time.perf_counter() - began)
        reports.append(report)
    steps = np.array([np.asarray(report.sums.steps).sum(axis=1) for report in reports])
    config, settings = learning.env.config, learning.settings
    record = {
        "row": "training",
        "policy": settings.network,
        **{name: value for name, value in dataclasses.asdict(args).items() if name not in ("out", "profile")},
        "ticks": settings.ticks,
        "agents": config.num_agents,
        "populations": config.num_populations,
        **rates(steps.sum(axis=1).tolist(), seconds),
        **populations(steps, settings),
        "compile_seconds": round(program.compile_seconds, 2),
        "state_bytes_per_realm": realm // settings.realms,
        "observation_bytes_per_agent": observation_bytes(learning.env),
        "peak_memory_bytes": peak_memory(),
    }
    if args.profile is not None:
        record["profile"] = profile(program.run, (pool, state), args.updates * settings.ticks, args.profile)
    return record | {"machine": machine()}


def check(args: Training) -> Experiment:
    """What is trained, where it can be measured as asked; before anything is compiled.

    Raises:
      ValueError: names the field, its value and what is allowed.
    """
    for name, least in {"updates": 1, "repeats": 1, "warm_up": 1, "seed": 0}.items():
        value = getattr(args, name)
        if value < least:
            raise ValueError(f"{name}={value}: must be at least {least}")
    if not (PRETRAINED / EXPERIMENT).is_dir():
        raise ValueError(f"policy={EXPERIMENT!r}: must be in {PRETRAINED.parent.name}/{PRETRAINED.name}, and is not")
    shipped = experiment_of(load_params(PRETRAINED / EXPERIMENT)[1])
    return dataclasses.replace(
        shipped, settings=dataclasses.replace(shipped.settings, realms=args.realms, seed=args.seed)
    )


def compile_training(args: Training, learning: Experiment, chosen: list[Any]) -> Program:
    """Compiles the training for the chosen devices, and starts it; see ``Program``.

    Raises:
      ValueError: the realms cannot be shared out.
    """
    train = make_train(learning, devices=chosen)
    params = load_policy(EXPERIMENT, env=learning.env).params
    state = train.init(jax.random.key(args.seed))
    params = fit(params, state.params)
    state = state.replace(params=jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), params, state.params))
    (pool,) = train.run.args
    began = time.perf_counter()
    run = train.compile(state, args.updates)
    return Program(run, pool, state, time.perf_counter() - began)


def populations(steps: np.ndarray, settings: Settings) -> dict[str, float]:
    """Living agents per realm: their mean, and the least that an update had in its own mean.

    Args:
      steps: agent-steps ``[repeats, updates]``.

    Raises:
      RuntimeError: the mean is too low.
    """
    living = steps / (settings.ticks * settings.realms)
    if living.mean() < _AT_LEAST_ALIVE:
        raise RuntimeError(f"{living.mean():.1f} agents alive per realm: must be at least {_AT_LEAST_ALIVE} on average")
    return {"mean_population": round(float(living.mean()), 2), "least_population": round(float(living.min()), 2)}


if __name__ == "__main__":
    result = run_program("training", main, tyro.cli(Training))
    if "profile" in result:
        console(stderr=True).print(profile_table(result["profile"]))
