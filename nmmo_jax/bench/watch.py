"""What watching costs: how much browsers slow the play down, the bytes that they are sent, how long inspecting takes.

    python -m nmmo_jax.bench.watch

The play is as fast as it can be, alone and then with five browsers in a process of their own, of which one has stalled,
in turn.
"""

import asyncio
import dataclasses
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from nmmo_jax.bench.machine import machine, run_program
from nmmo_jax.environment import make
from nmmo_jax.play.players import players
from nmmo_jax.play.playing import Play
from nmmo_jax.viewer import scene
from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.hub import Hub
from nmmo_jax.viewer.playback import Playback
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.server import start_server
from nmmo_jax.world.draw import population_colours
from nmmo_jax.world.pool import MapPool
from train.policy import load_named

_BROWSERS = """
import asyncio, sys
from websockets.asyncio.client import connect

async def watch(address):
    async with connect(address, max_size=None) as socket:
        async for _ in socket:
            pass

async def main():
    address = f"ws://127.0.0.1:{sys.argv[1]}/ws"
    stalled = await connect(address, max_queue=1, max_size=None)
    await asyncio.gather(*(watch(address) for _ in range(4)))

asyncio.run(main())
"""
_SETTLE = 2.0  # seconds, for browsers to come


@dataclasses.dataclass
class WatchBenchmark:
    """Measure what watching costs, and print it as JSON."""

    game: str = "law"
    """law, chaos or large."""
    policy: str = "law128"
    """What all populations play."""
    agents: int = 128
    """Places, all filled at first."""
    seconds: float = 10.0
    """Of each measurement."""
    repeats: int = 3
    """Measurements alone, and as many with browsers."""
    out: Path | None = None
    """File for the result. Default: standard output."""


def main(args: WatchBenchmark) -> dict[str, Any]:
    """Measures; ``slowdown`` is the share of the ticks per second that is lost, of the medians.

    Raises:
      ValueError: what cannot be measured.
    """
    if args.repeats < 1 or not args.seconds > 0:
        raise ValueError(f"repeats={args.repeats}, seconds={args.seconds}: must be above 0")
    env = make(args.game, num_agents=args.agents, num_populations=8)
    names = [args.policy] * 8
    pool = MapPool.generated(0, 1, env.config)
    play = Play(env, players((args.policy,), env, load_named), names, pool, initial_population=args.agents)
    play.run(64)
    play.tick()  # which is another program, compiled before anything is timed
    playback = Playback(play, 1, TrainedPolicies(env, names, load_named), seconds=0)
    view, frames = playback.view, range(60, 64)
    record = {
        **{name: value for name, value in dataclasses.asdict(args).items() if name != "out"},
        "living": float(np.mean([view.totals.living[index].sum() for index in frames])),
        "bytes_per_tick": round(
            np.mean([len(scene.frame(view.replay, view.totals, index, index - 1, {})) for index in frames])
        ),
    }
    if view.inspector.policies.trained:
        seconds = _seconds(lambda index: view.inspector.overlay(index, "value", None))
        record["value_overlay_ms"] = round(1e3 * seconds, 1)
    alone, watched = asyncio.run(_rates(playback, args))
    slowdown = 1 - statistics.median(watched) / statistics.median(alone)
    return {
        **record,
        "ticks_per_second_alone": [round(rate, 1) for rate in alone],
        "ticks_per_second_watched": [round(rate, 1) for rate in watched],
        "slowdown": round(slowdown, 4),
        "machine": machine(),
    }


def _seconds(inspect: Any) -> float:
    """That inspecting a frame takes, after the first."""
    inspect(50)
    taken = []
    for index in range(51, 56):
        began = time.perf_counter()
        inspect(index)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


async def _rates(playback: Playback, args: WatchBenchmark) -> tuple[list[float], list[float]]:
    hub = Hub(playback, population_colours(8), {"can": {}})
    server = await start_server(hub, Access())
    port = server.sockets[0].getsockname()[1]

    async def rate() -> float:
        await asyncio.sleep(_SETTLE)
        first, began = playback.newest, time.perf_counter()
        await asyncio.sleep(args.seconds)
        return (playback.newest - first) / (time.perf_counter() - began)

    alone, watched = [], []
    try:
        for _ in range(args.repeats):
            alone.append(await rate())
            browsers = subprocess.Popen([sys.executable, "-c", _BROWSERS, str(port)])
            watched.append(await rate())
            there = len(hub.clients)
            browsers.kill()
            browsers.wait()
            if there != 5:
                raise RuntimeError(f"{there} of 5 browsers watched")
    finally:
        server.close()
        playback.close()
    return alone, watched


if __name__ == "__main__":
    run_program("watch", main, tyro.cli(WatchBenchmark))
