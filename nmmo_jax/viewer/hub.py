"""The browsers that watch a playback: what each asks for, and what each is sent.

The play never waits for a browser: each has a task of its own that sends it the newest frame when the last has gone
out, so that a slow one misses frames. What people ask to inspect is worked out in one more thread, for the frame that
is newest when it begins.
"""

import asyncio
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from nmmo_jax.viewer import protocol, scene
from nmmo_jax.viewer.playback import Playback, RealmView

_FRAME_SECONDS = 1 / 15  # at least, between frames: the browser moves what is between, and the play has the cores
_INSPECT_SECONDS = 0.05  # before what is asked about a frame is worked out: several who ask come together


@dataclasses.dataclass(eq=False)
class Client:
    """One browser."""

    wake: asyncio.Event
    sent: tuple[int, int | None] = (0, None)  # session and tick that it has
    tick: int | None = None  # that it went back to; None: it follows the newest
    selected: int | None = None
    overlay: str | None = None
    taken: int | None = None
    error: str = ""  # the last that it was sent
    resend: bool = False  # whether the frame is sent although it has it
    outbox: dict[str, bytes] = dataclasses.field(default_factory=dict)  # by kind, the newest of each

    def put(self, kind: str, message: bytes) -> None:
        """Sends it a message, unless another of its kind comes first."""
        self.outbox[kind] = message
        self.wake.set()

    def put_error(self, error: Exception | str) -> None:
        """Sends it what cannot be done, once."""
        if str(error) != self.error:
            self.error = str(error)
            self.put("error", protocol.encode("error", {"message": self.error}))


class Hub:
    """A playback and the browsers that watch it.

    Args:
      colours: of the populations.
      about: more fields of the hello.
    """

    def __init__(self, playback: Playback, colours: list[str], about: dict[str, Any]):
        self.playback, self._colours, self._about = playback, colours, about
        self._choices = protocol.choice_fields(playback.view.replay.config)
        self.clients: set[Client] = set()
        self._inspecting = ThreadPoolExecutor(1, "inspector")
        self._asked = asyncio.Event()
        self._encoded = functools.lru_cache(maxsize=64)(self._frame)
        self._snapshot = playback.snapshot  # the same for all, so that what is sent is put together once
        self._pending, self._published = False, 0.0

    async def connect(self, connection: ServerConnection) -> None:
        """One browser, from its coming to its going."""
        client = Client(asyncio.Event())
        self.clients.add(client)
        sender = asyncio.create_task(self._send(connection, client))
        try:
            async for message in connection:
                try:
                    self._handle(client, protocol.parse_request(message, self._choices))
                    client.error = ""
                except ValueError as error:
                    client.error = ""  # who asks twice is answered twice
                    client.put_error(error)
                client.wake.set()
                self._asked.set()
        except ConnectionClosed:
            pass
        finally:
            self.clients.discard(client)
            self._release(client)
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await sender

    async def inspect(self) -> None:
        """Works out, for as long as there is a playback, what is asked about agents and the map."""
        loop = asyncio.get_running_loop()
        while True:
            await self._asked.wait()
            await asyncio.sleep(_INSPECT_SECONDS)
            self._asked.clear()
            asked: dict[tuple[Any, ...], list[Client]] = {}
            view, newest, cores = self._snapshot
            for client in self.clients:
                if client.sent[0] != view.session:
                    continue
                index = _index(view, client.tick, newest)
                if client.selected is not None:
                    asked.setdefault(("agent", index, client.selected), []).append(client)
                if client.overlay is not None:
                    asked.setdefault(("overlay", index, client.overlay, client.selected), []).append(client)
                if client.taken is not None:
                    asked.setdefault(("mask", newest, client.taken), []).append(client)
            for (kind, index, *rest), clients in asked.items():
                known = cores if index == newest else None
                work = functools.partial(getattr(view.inspector, kind), index, *rest, cores=known)
                try:
                    message = await loop.run_in_executor(self._inspecting, work)
                except Exception as error:  # whatever it is, the others are still to be answered
                    for client in clients:
                        client.put_error(error if isinstance(error, ValueError) else f"{kind}: {error!r}")
                    continue
                for client in clients:
                    client.put(kind, message)

    def notify(self, loop: asyncio.AbstractEventLoop) -> None:
        """There is a new frame, or another pace; from the thread of the playback."""
        if not self._pending:
            self._pending = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._publish, loop)

    def _publish(self, loop: asyncio.AbstractEventLoop) -> None:
        wait = self._published + _FRAME_SECONDS - loop.time()
        if wait > 0:
            loop.call_later(wait, self._publish, loop)
            return
        self._pending, self._published = False, loop.time()
        self._snapshot = self.playback.snapshot
        tick = int(self._snapshot.view.replay.frames[self._snapshot.newest].tick)
        for client in self.clients:
            if self.playback.failed:
                client.put_error(self.playback.failed)
            client.resend = client.resend or client.sent[1] == tick
            client.wake.set()
        self._asked.set()

    async def _send(self, connection: ServerConnection, client: Client) -> None:
        try:
            while True:
                await self._send_newest(connection, client)
                await client.wake.wait()
                client.wake.clear()
        finally:  # who cannot be sent anything is not heard either
            await connection.close()

    async def _send_newest(self, connection: ServerConnection, client: Client) -> None:
        view, newest, _ = self._snapshot
        first = int(view.replay.frames[0].tick)
        forgotten = client.sent[1] is not None and client.sent[1] < first
        if client.sent[0] != view.session or forgotten:
            self._release(client)
            client.sent, client.tick, client.selected, client.taken = (view.session, None), None, None, None
            client.outbox.clear()
            fields = {**self._about, "realm": self.playback.realm, "realms": self.playback.realms}
            fields |= {"source": "live" if self.playback.live else "replay", "overlays": view.inspector.list()}
            await connection.send(scene.hello(view.replay, self._colours, fields))
            await connection.send(view.totals.history())
        index = _index(view, client.tick, newest)
        since = -1 if client.sent[1] is None else client.sent[1] - first
        if index != since or client.resend:
            client.sent, client.resend = (view.session, first + index), False
            if not self.playback.control.is_taken(client.taken):
                client.taken = None
            await connection.send(self._encoded(view, index, since, client.tick is None, client.taken, self._pace()))
            self._asked.set()
        while client.outbox:
            _, message = client.outbox.popitem()
            await connection.send(message)

    def _release(self, client: Client) -> None:
        """The agent that somebody played, if the world is still the one it lived in: elsewhere others have its uid."""
        if client.taken is not None and client.sent[0] == self.playback.view.session:
            self.playback.control.release(client.taken)
        client.taken = None

    def _pace(self) -> tuple[Any, ...]:
        playback = self.playback
        rates = round(playback.ticks_per_second, 2), round(playback.agent_steps_per_second)
        since = playback.compiling  # read once: the thread of the playback changes it
        compiling = None if since is None else round(time.perf_counter() - since)
        return playback.paused, playback.seconds, compiling, *rates

    def _frame(
        self, view: RealmView, index: int, since: int, live: bool, taken: int | None, pace: tuple[Any, ...]
    ) -> bytes:
        paused, seconds, compiling, ticks, steps = pace
        fields = {"live": live, "taken": taken, "paused": paused, "seconds": seconds, "compiling": compiling}
        fields |= {"ticks_per_second": ticks, "agent_steps_per_second": steps}
        fields |= {"first": int(view.replay.frames[0].tick), "last": int(view.replay.frames[-1].tick)}
        if self.playback.live:
            fields["last"] = int(view.replay.frames[len(view.totals.living) - 1].tick)
        return scene.frame(view.replay, view.totals, index, since, fields)

    def _handle(self, client: Client, request: dict[str, Any]) -> None:
        """Does what a browser asks for.

        Raises:
          ValueError: it cannot be done.
        """
        playback, do = self.playback, request["do"]
        for_all: dict[str, Callable[[], None]] = {
            "play": lambda: playback.set_pace(paused=False),
            "pause": lambda: playback.set_pace(paused=True),
            "step": playback.step,
            "restart": playback.restart,
            "speed": lambda: playback.set_pace(seconds=float(request["seconds"])),
            "realm": lambda: playback.show_realm(request["realm"]),
        }
        if do in for_all:
            for_all[do]()
        elif do == "seek":
            first = int(playback.view.replay.frames[0].tick)
            last = first + len(playback.view.totals.living) - 1
            if not first <= request["tick"] <= last:
                raise ValueError(f"seek: tick {request['tick']}: allowed are {first} to {last}")
            client.tick, client.resend = request["tick"], True
        elif do == "follow":
            client.tick, client.resend = None, True
        elif do == "select":
            client.selected = request["uid"]
        elif do == "overlay":
            client.overlay = request["name"]
        elif client.sent[0] != playback.view.session:
            raise ValueError(f"{do}: another realm is shown now")
        elif do == "take":
            if playback.control.is_taken(request["uid"]) and client.taken != request["uid"]:
                raise ValueError(f"agent {request['uid']}: somebody else plays it")
            self._release(client)
            playback.take(request["uid"])
            client.taken, client.resend = request["uid"], True
        elif client.taken is None:
            raise ValueError(f"{do}: take an agent first")
        elif do == "release":
            self._release(client)
            client.resend = True
        else:
            playback.control.act(client.taken, request["choices"])


def _index(view: RealmView, tick: int | None, newest: int) -> int:
    """The frame of a tick, or the nearest that is kept; of none, the newest."""
    return newest if tick is None else min(max(tick - int(view.replay.frames[0].tick), 0), len(view.replay))
