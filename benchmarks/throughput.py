"""Agent-steps per second of the world under random play, observations written to a rollout buffer.

    taskset -c 0 python benchmarks/throughput.py --row full_house
    python benchmarks/throughput.py --row full_house --devices 2  # on a CPU a device is a core

Only living agents that acted are counted. Compilation is timed apart; then ``--ticks`` ticks run in one call, repeated.

The buffer has ``--ticks`` + 1 rows: a tick reads its observation in row t and writes the next into row t + 1. Carried
through the scan beside a buffer, observations would be copied twice more, at a quarter of all time on a CPU.

``full_house`` is fixed as data in ``full_house.json``: rules, map and policy under which at least 120 of 128 places are
alive at every tick, which is asserted. Under random play of ``chaos`` and ``law`` about 12 are.
"""

import contextlib
import dataclasses
import json
import math
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import nmmo_jax
from nmmo_jax.draws import fold_in
from nmmo_jax.policies.scripted import POLICIES

FULL_HOUSE = Path(__file__).parent / "full_house.json"


@dataclasses.dataclass
class Throughput:
    """What to measure."""

    row: Literal["full_house", "chaos", "law"] = "full_house"
    """full_house: nearly all places alive; law: no attacks."""
    realms: int = 64
    """Realms side by side."""
    agents: int = 128
    """Places per realm (full_house: 128)."""
    populations: int = 8
    """Populations per realm (full_house: 8)."""
    devices: int = 1
    """Over which the realms are shared out."""
    ticks: int = 16
    """Ticks per call, and of the rollout buffer."""
    repeats: int = 10
    """Calls that are timed."""
    warm_up: int = 256
    """Ticks before the first timed call, so that populations have settled."""
    seed: int = 0
    """Of births and play, and of the maps of chaos and law."""


def setting(args: Throughput) -> tuple[nmmo_jax.Environment, str, np.ndarray | None, int, int]:
    """Environment, policy, map (None: one generated per realm), initial population, and the fewest that must live.

    Raises:
      ValueError: a full house of other size than its file's, or measured before it has settled.
    """
    if args.row != "full_house":
        env = nmmo_jax.make(args.row, num_agents=args.agents, num_populations=args.populations)
        return env, "random", None, 0, 0
    data = json.loads(FULL_HOUSE.read_text())
    if args.warm_up < data["settled_after"]:
        raise ValueError(f"warm_up={args.warm_up}: must be at least {data['settled_after']} for a full house")
    for name, field in {"agents": "num_agents", "populations": "num_populations"}.items():
        if getattr(args, name) != data["overrides"][field]:
            raise ValueError(f"{name}={getattr(args, name)}: a full house has {data['overrides'][field]}")
    tiles = np.array([[int(tile) for tile in row] for row in data["map"]], np.uint8)
    env = nmmo_jax.make(data["game"], **data["overrides"])
    return env, data["policy"], tiles, data["initial_population"], data["at_least_alive"]


def devices(number: int) -> list[Any]:
    """So many devices; on a CPU, cores.

    Raises:
      ValueError: there are not as many.
    """
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        with contextlib.suppress(RuntimeError):  # JAX has started, with as many as it has
            # No more than asked for: a device that is not used costs the others a tenth of their speed.
            jax.config.update("jax_num_cpu_devices", max(1, min(number, os.cpu_count() or 1)))
    if not 1 <= number <= len(jax.devices()):
        raise ValueError(f"devices={number}: allowed are 1 to {len(jax.devices())}")
    return jax.devices()[:number]


def main(args: Throughput) -> dict[str, Any]:
    """Measures, and returns a record ready for JSON.

    Raises:
      RuntimeError: a realm of the full house fell below its number of living agents.
    """
    for name, least in {"realms": 1, "ticks": 1, "repeats": 1, "warm_up": 0}.items():
        if getattr(args, name) < least:
            raise ValueError(f"{name}={getattr(args, name)}: must be at least {least}")
    chosen = devices(args.devices)  # before anything starts JAX with one device
    env, policy, tiles, initial_population, at_least = setting(args)
    key, play_key = jax.random.key(args.seed), jax.random.key(args.seed + 1)
    here, remainder = divmod(args.realms, args.devices)
    if remainder:
        raise ValueError(f"realms={args.realms}: must be divisible by devices={args.devices}")

    def play(carry):
        first = jax.lax.axis_index("realms") * here
        many = nmmo_jax.vectorize(env, here, first)
        play_keys = jax.vmap(fold_in, (None, 0))(play_key, first + jnp.arange(here))

        def tick(carry, t):
            realm, rollout = carry
            obs = jax.tree.map(lambda buffer: jax.lax.dynamic_index_in_dim(buffer, t, keepdims=False), rollout)
            keys = jax.vmap(fold_in)(play_keys, realm.tick)
            action = jax.vmap(POLICIES[policy])(keys, obs, realm)
            obs, realm, *_, info = many.step(key, realm, action)
            rollout = jax.tree.map(
                lambda buffer, new: jax.lax.dynamic_update_index_in_dim(buffer, new, t + 1, 0), rollout, obs
            )
            alive = realm.agents.alive.sum(axis=1)
            return (realm, rollout), (info.acted.sum(), alive.sum(), alive.min())

        realm, rollout = carry
        rollout = jax.tree.map(lambda buffer: buffer.at[0].set(buffer[-1]), rollout)
        carry, (acted, alive, fewest) = jax.lax.scan(tick, (realm, rollout), jnp.arange(args.ticks))
        total = jax.lax.psum((acted.sum(), alive.sum()), "realms")
        return carry, *total, jax.lax.pmin(fewest.min(), "realms")

    mesh = jax.make_mesh((args.devices,), ("realms",), (AxisType.Auto,), devices=chosen)
    whole, split = PartitionSpec(), (PartitionSpec("realms"), PartitionSpec(None, "realms"))
    play = jax.shard_map(play, mesh=mesh, in_specs=(split,), out_specs=(split, whole, whole, whole), check_vma=False)
    many = nmmo_jax.vectorize(env, args.realms)
    obs, realm = jax.jit(lambda key: many.reset(key, tiles=tiles, initial_population=initial_population))(key)
    rows = jax.tree.map(lambda leaf: jnp.zeros((args.ticks + 1, *leaf.shape), leaf.dtype).at[-1].set(leaf), obs)
    shardings = (NamedSharding(mesh, spec) for spec in split)
    carry = tuple(jax.device_put(part, sharding) for part, sharding in zip((realm, rows), shardings, strict=True))
    start = time.perf_counter()
    play = jax.jit(play, donate_argnums=0).lower(carry).compile()
    compile_seconds = time.perf_counter() - start
    for _ in range(max(1, math.ceil(args.warm_up / args.ticks))):
        carry, *_ = play(carry)
    jax.block_until_ready(carry)
    rates, speeds, populations, fewest = [], [], [], env.config.num_agents
    for _ in range(args.repeats):
        start = time.perf_counter()
        carry, acted, alive, least = jax.block_until_ready(play(carry))
        seconds = time.perf_counter() - start
        rates.append(int(acted) / seconds)
        speeds.append(args.ticks * args.realms / seconds)
        populations.append(int(alive) / (args.ticks * args.realms))
        fewest = min(fewest, int(least))
    if fewest < at_least:
        raise RuntimeError(f"full house: {fewest} agents alive in a realm: must be at least {at_least} at every tick")
    return {
        **dataclasses.asdict(args),
        "agents": env.config.num_agents,
        "populations": env.config.num_populations,
        "agent_steps_per_second": round(statistics.median(rates)),
        "worst": round(min(rates)),
        "mean_population": round(statistics.mean(populations), 2),
        "least_population": fewest,
        "realm_ticks_per_second": round(statistics.median(speeds)),
        "compile_seconds": round(compile_seconds, 2),
        "state_bytes_per_realm": sum(leaf.nbytes for leaf in jax.tree.leaves(carry[0])) // args.realms,
        "rules_version": nmmo_jax.RULES_VERSION,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "machine": f"{platform.machine()} {platform.system()}",
    }


if __name__ == "__main__":
    try:
        print(json.dumps(main(tyro.cli(Throughput)), indent=1))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"throughput: {error}")
