"""A small world that the viewer's tests watch."""

import asyncio

import jax.numpy as jnp

from nmmo_jax import make
from nmmo_jax.declarations import Argument, Column, Head, Listing, Phase, Table
from nmmo_jax.play.players import players
from nmmo_jax.play.playing import Play
from nmmo_jax.system import System
from nmmo_jax.viewer import protocol
from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.hub import Hub
from nmmo_jax.viewer.playback import Playback
from nmmo_jax.viewer.server import start_server
from nmmo_jax.world.pool import MapPool
from train.policy import load_named

WORLD = {"num_agents": 16, "num_populations": 2, "rows": 24, "columns": 20, "border": 3}


def _keep(world):
    friend = world.chosen("friend")
    uid = jnp.where(friend >= 0, world.agents.uid[jnp.maximum(friend, 0)], -1)
    return world.set(pose=world.chosen("pose"), friend=uid, gift=world.chosen("gift"), place=world.chosen("place"))


def _wrap(world):
    return world.add("gifts", jnp.ones(4, bool), kind=jnp.arange(4) + 5)


def _poses(world):
    """Who stands can sit, and only who sits can lie down."""
    return jnp.stack([world.alive, world.alive, world["pose"] == 1], axis=-1)


MANNERS = System(
    "manners",
    agents=[
        Column("pose", high=2, meaning="as it was chosen"),
        *(Column(name, "int32", empty=-1) for name in ("friend", "gift", "place")),
    ],
    tables=[Table("gifts", 4, [Column("kind", high=9)])],
    observe=[
        Listing("gifts", "gifts", 3, ["kind"], rows=lambda world: jnp.full((16, 3), jnp.array([2, -1, 0]))),
        Listing("pack", "agents", 4, ["pose"]),
    ],
    heads=[
        Head("pose", [Argument("pose", 3, mask=_poses, meaning="0 stand, 1 sit, 2 lie")]),
        Head("friend", [Argument("friend", among="visible", meaning="whom it greets")]),
        Head("give", [Argument("gift", among="gifts"), Argument("place", among="window")]),
        Head("follow", [Argument("leader", among="pack")]),
    ],
    causes=["boredom"],
    phases=[Phase("act", _keep), Phase("end", _wrap)],
)
"""What agents choose is kept as it is: of fixed choices, of agents, of what is listed, of places."""


def _arrive(world):
    """At the end of the first tick, one where each of the first agents stands; they stay."""
    first = jnp.arange(3)
    row, col = world.agents.row[:3], world.agents.col[:3]
    none = ~world["beasts"]["alive"].any()
    return world.add("beasts", jnp.broadcast_to(none, 3), row=row, col=col, kind=first, level=first + 5)


def _hunt(world):
    return world.set(struck=world.chosen("prey"), used=world.chosen("use"), made=world.chosen("make"))


def _carry(world):
    some = jnp.broadcast_to(jnp.array([0, 2, 0, 1])[:, None], (4, 16))
    return world.set(kind=some, level=some * 3, worn=some == 1)


def _near(world):
    beast = world.row("beasts", world.listed["beasts_in_view"])
    return world.distance(beast["row"], beast["col"]) <= 3


PLACES = tuple(f"place_{number}" for number in range(1, 5))
ZOO = System(
    "zoo",
    agents=[
        *(Column(name, "int32", empty=-1) for name in ("struck", "used", "made")),
        Column("kind", "int8", low=0, high=2, category=True, each=PLACES, names=("none", "hat", "ration")),
        Column("level", "int8", low=0, each=PLACES),
        Column("worn", "bool", each=PLACES),
        Column("rank", "uint8", high=9, newborn=1, each=("fishing", "carving")),
    ],
    tables=[
        Table(
            "beasts",
            5,
            [
                *(Column(name, low=0) for name in ("row", "col", "level")),
                Column("kind", "uint8", high=2, category=True, names=("hen", "goblin", "troll")),
            ],
        )
    ],
    observe=[
        Listing("beasts_in_view", "beasts", 4, ["row", "col", "kind", "level"]),
        Listing("satchel", "own", 4, ["kind", "level", "worn"]),
    ],
    heads=[
        Head("hunt", [Argument("prey", among="beasts_in_view", mask=_near)]),
        Head("use", [Argument("use", among="satchel", mask=lambda world: world["kind"].T > 0)]),
        Head("make", [Argument("make", 3, names=("nothing", "hook", "line"))]),
    ],
    phases=[Phase("act", _hunt), Phase("settle", _carry), Phase("end", _arrive)],
)
"""Things that have a place and kinds, of which some are near; and what an agent carries."""


def begun(*names, systems=()):
    """A play that has just begun, population p with policy p modulo their number."""
    env = make("chaos", **WORLD, systems=systems)
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


def served(play, policies, session, seconds=0.02, realms=2):
    """Runs ``session(playback, port)`` beside a server of a world."""

    async def run():
        playback = Playback(play, realms, policies, seconds)
        server = await start_server(Hub(playback, ["#000000"] * 2, {"can": {}}), Access())
        try:
            async with asyncio.timeout(60):
                await session(playback, server.sockets[0].getsockname()[1])
        finally:
            server.close()
            playback.close()

    asyncio.run(run())
