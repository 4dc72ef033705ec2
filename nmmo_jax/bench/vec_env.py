"""Agent-steps per second of random play through ``train.vec_env.VecEnv``, in the full house.

    python -m nmmo_jax.bench.vec_env

Actions are made by NumPy, of observations that it reads; their time counts, and is also told apart. Only living agents
that acted are counted.
"""

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from nmmo_jax.bench.machine import machine, peak_memory, run_program
from nmmo_jax.bench.rows import observation_bytes, row
from nmmo_jax.bench.throughput import rates
from nmmo_jax.common.cores import cores
from train.vec_env import VecEnv
from train.vec_rows import Observations


@dataclasses.dataclass
class Rate:
    """Measure ``VecEnv`` on the full house under random play, and print it as JSON."""

    realms: int = 64
    """Realms side by side."""
    ticks: int = 16
    """Ticks that are timed together."""
    repeats: int = 10
    """Times that so many ticks are timed."""
    warm_up: int = 256
    """Ticks before, in which the house settles."""
    seed: int = 0
    """Of births and play."""
    out: Path | None = None
    """File for the result. Default: standard output."""


def main(args: Rate) -> dict[str, Any]:
    """Measures, and returns a record ready for JSON.

    Raises:
      ValueError: what cannot be measured.
      RuntimeError: a realm fell below its number of living agents.
    """
    world = row("full_house")
    env = VecEnv(world.environment, args.realms, args.seed, world.tiles, initial_population=world.initial_population)
    found = rate(env, args.ticks, args.repeats, args.warm_up, args.seed)
    fewest, least = found["least_population"], world.at_least_alive
    if fewest < least:
        raise RuntimeError(f"{fewest} agents alive in a realm: must be at least {least} at every tick")
    record = {
        "row": "vec_env",
        "policy": "random",
        **{name: value for name, value in dataclasses.asdict(args).items() if name != "out"},
        "devices": cores() if jax.default_backend() == "cpu" else 1,  # a core is a device elsewhere, too
        "agents": env.config.num_agents,
        "populations": env.config.num_populations,
        **found,
        "state_bytes_per_realm": sum(leaf.nbytes for leaf in jax.tree.leaves(env.realms)) // args.realms,
        "observation_bytes_per_agent": observation_bytes(world.environment),
        "peak_memory_bytes": peak_memory(),
    }
    return record | {"machine": machine()}


def rate(env: VecEnv, ticks: int, repeats: int = 1, warm_up: int = 1, seed: int = 0) -> dict[str, Any]:
    """Plays a new ``env`` with random actions by NumPy: agent-steps per second, of living agents that acted, with the
    time for the actions and without it. The time to compile is that of the start and the first tick.

    Raises:
      ValueError: ``ticks``, ``repeats`` or ``warm_up`` below 1, or ``seed`` below 0.
    """
    given = {"ticks": ticks, "repeats": repeats, "warm_up": warm_up, "seed": seed}
    for name, value in given.items():
        least = 0 if name == "seed" else 1
        if value < least:
            raise ValueError(f"{name}={value}: must be at least {least}")
    rng, began = np.random.default_rng(seed), time.perf_counter()
    observations = env.reset()
    observations, *_ = env.step(random_actions(rng, observations))
    compile_seconds = time.perf_counter() - began
    for _ in range(warm_up - 1):
        observations, *_ = env.step(random_actions(rng, observations))
    steps, seconds, stepping, fewest = [0] * repeats, [0.0] * repeats, [0.0] * repeats, env.config.num_agents
    for index in range(repeats):
        for _ in range(ticks):
            began = time.perf_counter()
            actions = random_actions(rng, observations)
            chosen = time.perf_counter()
            observations, rewards, *_ = env.step(actions)
            ended = time.perf_counter()
            seconds[index], stepping[index] = seconds[index] + ended - began, stepping[index] + ended - chosen
            steps[index] += int(np.count_nonzero(rewards.acted))
            fewest = min(fewest, int(np.diff(observations.offsets).min()))
    return {
        **rates(steps, seconds),
        "without_actions": round(statistics.median(a / b for a, b in zip(steps, stepping, strict=True))),
        "mean_population": round(sum(steps) / (repeats * ticks * env.num_realms), 2),
        "least_population": fewest,
        "compile_seconds": round(compile_seconds, 2),
    }


def random_actions(rng: np.random.Generator, observations: Observations) -> dict[str, np.ndarray]:
    """Uniform over all moves; over styles; then over oneself and whom that style reaches."""
    move, style = (
        rng.integers(observations.mask[name].shape[1], size=len(observations.uid)) for name in ("move", "style")
    )
    reached = observations.mask["target"][np.arange(len(style)), style]
    lot = rng.integers(1, 256, reached.shape, np.uint8)
    return {"move": move, "style": style, "target": (lot * reached).argmax(axis=1)}


if __name__ == "__main__":
    run_program("vec_env", main, tyro.cli(Rate))
