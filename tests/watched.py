"""A small world that the viewer's tests watch."""

import asyncio

from nmmo_jax import make
from nmmo_jax.play.players import players
from nmmo_jax.play.playing import Play
from nmmo_jax.viewer import protocol
from nmmo_jax.world.pool import MapPool
from train.policy import load_named

WORLD = {"num_agents": 16, "num_populations": 2, "rows": 24, "columns": 20, "border": 3}


def begun(*names):
    """A play that has just begun, population p with policy p modulo their number."""
    env = make("chaos", **WORLD)
    pool = MapPool.generated(0, 1, env.config)
    return Play(env, players(names, env, load_named), (names * 2)[:2], pool, initial_population=12, title="test")


def played(play, ticks):
    """Its replay, so many ticks later."""
    for _ in range(ticks):
        play.tick()
    return play.replay


async def until(socket, wanted, seconds=20.0):
    """The first message of which ``wanted(header, arrays)`` is true."""
    async with asyncio.timeout(seconds):
        while True:
            header, arrays = protocol.decode(await socket.recv())
            if wanted(header, arrays):
                return header, arrays
