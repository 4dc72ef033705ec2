"""Agent-steps per second through every adapter, beside ``vectorize``, on the same world in one run.

    python -m nmmo_jax.bench.adapters --out runs/adapters.json

The world is the full house, under random play. Only living agents that acted are counted. With ``native`` and JaxMARL
actions are drawn by JAX, worlds and play in one program; with the others by NumPy, and their time counts. PettingZoo is
one world, and is told beside one native world, too.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from nmmo_jax.bench.machine import machine, run_program
from nmmo_jax.bench.rows import Row, row
from nmmo_jax.bench.throughput import rates
from nmmo_jax.bench.vec_env import random_actions
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.vectorized import vectorize
from train.vec_env import VecEnv

Tick = Callable[[], int]  # plays some ticks, and tells how many agents acted


@dataclasses.dataclass
class Rate:
    """Measure every adapter on the full house, and print a table and JSON."""

    realms: int = 64
    """Realms side by side."""
    ticks: int = 16
    """Ticks that are timed together."""
    repeats: int = 10
    """Times that so many ticks are timed."""
    warm_up: int = 128
    """Ticks before."""
    seed: int = 0
    """Of births and play."""
    out: Path | None = None
    """File for the result. Default: standard output."""


def main(args: Rate) -> dict[str, Any]:
    """Measures, prints the table, and returns a record ready for JSON."""
    for name in ("realms", "ticks", "repeats", "warm_up"):
        if getattr(args, name) < 1:
            raise ValueError(f"{name}={getattr(args, name)}: must be at least 1")
    world, found = row("full_house"), {}
    for name, (start, realms) in adapters(args).items():
        play = start(world, realms, args)
        for _ in range(-(-args.warm_up // args.ticks)):
            play()
        steps, seconds = [], []
        for _ in range(args.repeats):
            began = time.perf_counter()
            steps.append(play())
            seconds.append(time.perf_counter() - began)
        alive = round(statistics.mean(steps) / args.ticks / realms, 1)
        found[name] = {"realms": realms, "mean_population": alive, **rates(steps, seconds)}
        print(line(name, found), flush=True)
    given = {name: value for name, value in dataclasses.asdict(args).items() if name != "out"}
    return {"row": "adapters", **given, "adapters": found, "machine": machine()}


def line(name: str, found: dict[str, Any]) -> str:
    """A line of the table, in Markdown; the first with its head."""
    one = found[name]
    native = found["native" if one["realms"] > 1 or "native, one realm" not in found else "native, one realm"]
    speed = one["agent_steps_per_second"]
    text = f"| {name} | {one['realms']} | {one['mean_population']} | {speed:,} | "
    text += f"{100 * speed / native['agent_steps_per_second']:.1f}% |"
    head = "| adapter | realms | living per realm | agent-steps per second | of native |\n|---|---|---|---|---|\n"
    return (head if len(found) == 1 else "") + text


def adapters(args: Rate) -> dict[str, tuple[Callable[[Row, int, Rate], Tick], int]]:
    """What starts each, and with how many realms."""
    return {
        "native": (_native, args.realms),
        "VecEnv": (_vec_env, args.realms),
        "Gymnasium": (_gymnasium, args.realms),
        "Gymnasium, copy=False": (lambda *given: _gymnasium(*given, copy=False), args.realms),
        "JaxMARL": (_jaxmarl, args.realms),
        "native, one realm": (_native, 1),
        "PettingZoo": (_pettingzoo, 1),
    }


def _native(world: Row, realms: int, args: Rate) -> Tick:
    many, key = vectorize(world.environment, realms), jax.random.key(args.seed)
    policy = jax.vmap(POLICIES["random"])

    def tick(carry, number):
        obs, state = carry
        keys = jax.random.split(jax.random.fold_in(key, number), realms)
        obs, state, reward, _, _, info = many.step(key, state, policy(keys, obs, obs.mask))
        return (obs, state), (info.acted.sum(), reward.sum())

    play = jax.jit(lambda carry, numbers: jax.lax.scan(tick, carry, numbers))
    reset = jax.jit(lambda tiles: many.reset(key, tiles=tiles, initial_population=world.initial_population))
    return _scanned(play, reset(world.tiles), args.ticks)


def _jaxmarl(world: Row, realms: int, args: Rate) -> Tick:
    from nmmo_jax.adapters.marl import MarlEnv

    env = MarlEnv(world.environment, world.tiles, world.initial_population)
    key = jax.random.key(args.seed)

    def act(key, state):  # over moves and whom one reaches, as the others: one draw for all agents
        actions: Any = POLICIES["random"](key, state.obs, state.obs.mask)
        where = (state.obs.visible_slot == actions.target[:, None]).argmax(axis=1)
        sizes = [one.size for one in env.chosen]
        numbers = (actions.move * sizes[1] + actions.style) * sizes[2] + where
        return {agent: numbers[place] for place, agent in enumerate(env.agents)}

    def tick(state, number):
        keys = jax.random.split(jax.random.fold_in(key, number), realms)
        obs, state, _, _, info = jax.vmap(env.step)(keys, state, jax.vmap(act)(keys, state))
        told = sum(one[:, 0].sum() for one in obs.values())  # or nobody would compute what agents see
        return state, (info["acted"].sum(), told)

    play = jax.jit(lambda carry, numbers: jax.lax.scan(tick, carry, numbers))
    _, state = jax.vmap(env.reset)(jax.random.split(key, realms))
    return _scanned(play, state, args.ticks)


def _scanned(play: Callable[..., Any], carry: Any, ticks: int) -> Tick:
    state, number = carry, 0

    def some() -> int:
        nonlocal state, number
        state, (acted, _) = play(state, np.arange(number, number + ticks))
        number += ticks
        return int(np.asarray(acted).sum())

    return some


def _vec_env(world: Row, realms: int, args: Rate) -> Tick:
    env = VecEnv(world.environment, realms, args.seed, world.tiles, world.initial_population)
    rng, obs = np.random.default_rng(args.seed), env.reset()

    def some() -> int:
        nonlocal obs
        acted = 0
        for _ in range(args.ticks):
            obs, rewards, *_ = env.step(random_actions(rng, obs))
            acted += int(np.count_nonzero(rewards.acted))
        return acted

    return some


def _random(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """``[n, 3]``, as ``random_actions``; ``mask`` of targets ``[n, 3, V]``."""
    move, style = rng.integers(5, size=len(mask)), rng.integers(3, size=len(mask))
    reached = mask[np.arange(len(mask)), style]
    lot = rng.integers(1, 256, reached.shape, np.uint8)
    return np.stack([move, style, (lot * reached.astype(np.uint8)).argmax(axis=1)], axis=1)


def _gymnasium(world: Row, realms: int, args: Rate, copy: bool = True) -> Tick:
    from nmmo_jax.adapters.vector import VectorEnv

    envs = VectorEnv(world.environment, realms, world.tiles, world.initial_population, copy=copy)
    rng, obs = np.random.default_rng(args.seed), envs.reset(seed=args.seed)[0]

    def some() -> int:
        nonlocal obs
        acted = 0
        for _ in range(args.ticks):
            obs, *_, info = envs.step(_random(rng, obs["mask_target"]))
            acted += int(np.count_nonzero(info["acted"]))
        return acted

    return some


def _pettingzoo(world: Row, realms: int, args: Rate) -> Tick:
    from nmmo_jax.adapters.parallel import ParallelEnv

    env = ParallelEnv(world.environment, "place", world.tiles, world.initial_population)
    rng, obs = np.random.default_rng(args.seed), env.reset(seed=args.seed)[0]

    def some() -> int:
        nonlocal obs
        acted = 0
        for _ in range(args.ticks):
            chosen = _random(rng, np.stack([one["mask_target"] for one in obs.values()]))
            obs, *_, infos = env.step(dict(zip(obs, chosen, strict=True)))
            acted += sum(info["acted"] for info in infos.values())
        return acted

    return some


if __name__ == "__main__":
    run_program("adapters", main, tyro.cli(Rate))
