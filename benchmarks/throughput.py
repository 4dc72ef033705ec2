"""Agent-steps per second of the world under random play, observations built and consumed.

    taskset -c 0 python benchmarks/throughput.py

Only living agents that acted are counted. Compilation is timed apart; then ``--ticks`` ticks run in one call, repeated.
"""

import dataclasses
import json
import platform
import statistics
import time
from typing import Literal

import jax
import jax.numpy as jnp
import tyro

import nmmo_jax
from nmmo_jax.policies.scripted import random


@dataclasses.dataclass
class Throughput:
    """What to measure."""

    game: Literal["law", "chaos"] = "chaos"
    """law: no attacks."""
    realms: int = 64
    """Realms side by side."""
    agents: int = 128
    """Places per realm."""
    populations: int = 8
    """Populations per realm."""
    ticks: int = 32
    """Ticks per call."""
    repeats: int = 10
    """Calls that are timed, after one that is not."""
    warm_up: int = 200
    """Ticks before the first timed call, so that populations have settled."""
    seed: int = 0
    """Of maps, births and play."""


def residue(leaf: jax.Array) -> jax.Array:
    """The sum of all elements modulo the range of their own type: it depends on each, and widening them first
    would cost as much as the tick.
    """
    leaf = leaf.astype(jnp.uint8) if leaf.dtype == bool else leaf
    return leaf.sum(dtype=leaf.dtype).astype(jnp.int32)


def main(args: Throughput) -> dict:
    """Measures, and returns a record ready for JSON."""
    env = nmmo_jax.make(args.game, num_agents=args.agents, num_populations=args.populations)
    many = nmmo_jax.vectorize(env, args.realms)
    key = jax.random.key(args.seed)

    def tick(carry, _):
        obs, realm, checksum = carry
        keys = jax.vmap(jax.random.fold_in)(jax.random.split(key, args.realms), realm.tick)
        obs, realm, *_, info = many.step(key, realm, jax.vmap(random)(keys, obs, obs.mask))
        # The barrier makes sure that the observation is written; the sum depends on every element.
        obs = jax.lax.optimization_barrier(obs)
        checksum += sum(residue(leaf) for leaf in jax.tree.leaves(obs))
        return (obs, realm, checksum), (info.acted.sum(), realm.agents.alive.sum())

    def play(carry):
        carry, (acted, alive) = jax.lax.scan(tick, carry, length=args.ticks)
        return carry, acted.sum(), alive.sum()

    obs, realm = jax.jit(many.reset)(key)
    carry = (obs, realm, jnp.int32(0))
    start = time.perf_counter()
    play = jax.jit(play, donate_argnums=0).lower(carry).compile()
    compile_seconds = time.perf_counter() - start
    for _ in range(max(1, -(-args.warm_up // args.ticks))):
        carry, acted, alive = play(carry)
    jax.block_until_ready(carry)
    rates, speeds, populations = [], [], []
    for _ in range(args.repeats):
        start = time.perf_counter()
        carry, acted, alive = jax.block_until_ready(play(carry))
        seconds = time.perf_counter() - start
        rates.append(int(acted) / seconds)
        speeds.append(args.ticks * args.realms / seconds)
        populations.append(int(alive) / (args.ticks * args.realms))
    return {
        **dataclasses.asdict(args),
        "agent_steps_per_second": round(statistics.median(rates)),
        "worst": round(min(rates)),
        "mean_population": round(statistics.mean(populations), 2),
        "realm_ticks_per_second": round(statistics.median(speeds)),
        "compile_seconds": round(compile_seconds, 2),
        "checksum": int(carry[2]),
        "rules_version": nmmo_jax.RULES_VERSION,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "machine": f"{platform.machine()} {platform.system()}",
    }


if __name__ == "__main__":
    print(json.dumps(main(tyro.cli(Throughput)), indent=1))
