"""Serves the client and what it shows: one port for files and for the stream, one process, any number of browsers.

The play never waits for a browser: each has a task of its own that sends it the newest frame when the last has gone
out, so that a slow one misses frames. What people ask to look into is worked out in one more thread, for
the frame that is newest when it begins.
"""

import asyncio
import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from nmmo_jax.viewer import protocol, scene
from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.show import Show, Stage
from nmmo_jax.viewer.site import Connection, Site

_LEAST_SECONDS = 1 / 15  # between frames: the browser moves what is between, and the play has the cores
_LOOK_SECONDS = 0.05  # before what is asked about a frame is worked out: several who ask come together
_CLOSE_SECONDS = 1  # a browser that has stalled does not hold up the end


@dataclasses.dataclass(eq=False)
class Watcher:
    """One browser."""

    wake: asyncio.Event
    sent: tuple[int, int | None] = (0, None)  # session and tick that it has
    tick: int | None = None  # that it went back to; None: it follows the newest
    selected: int | None = None
    overlay: str | None = None
    taken: int | None = None
    told: str = ""  # the last error
    again: bool = False  # whether the frame is sent although it has it
    waiting: dict[str, bytes] = dataclasses.field(default_factory=dict)  # by kind, the newest of each

    def complain(self, error: Exception | str) -> None:
        """Tells it what cannot be done, once."""
        if str(error) != self.told:
            self.told = str(error)
            self.waiting["error"] = protocol.encode("error", {"message": self.told})
            self.wake.set()


class Gallery:
    """A show and those who watch it."""

    def __init__(self, show: Show, colours: list[str], about: dict[str, Any]):
        self.show, self._colours, self._about = show, colours, about
        self._choices = protocol.choice_fields(show.stage.replay.config)
        self.watchers: set[Watcher] = set()
        self._worker = ThreadPoolExecutor(1, "looker")
        self._look = asyncio.Event()
        self._encoded = functools.lru_cache(maxsize=64)(self._frame)
        self._now = show.now  # the same for all, so that what is sent is put together once
        self._pending, self._announced = False, 0.0

    async def watch(self, connection: ServerConnection) -> None:
        """One browser, from its coming to its going."""
        watcher = Watcher(asyncio.Event())
        self.watchers.add(watcher)
        sender = asyncio.create_task(self._tell(connection, watcher))
        try:
            async for message in connection:
                try:
                    self._do(watcher, protocol.read(message, self._choices))
                    watcher.told = ""
                except ValueError as error:
                    watcher.told = ""  # who asks twice is told twice
                    watcher.complain(error)
                watcher.wake.set()
                self._look.set()
        except ConnectionClosed:
            pass
        finally:
            self.watchers.discard(watcher)
            self._give_back(watcher)
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await sender

    async def look(self) -> None:
        """Works out, for as long as there is a show, what is asked about agents and the map."""
        loop = asyncio.get_running_loop()
        while True:
            await self._look.wait()
            await asyncio.sleep(_LOOK_SECONDS)
            self._look.clear()
            asked: dict[tuple[Any, ...], list[Watcher]] = {}
            stage, at, cores = self._now
            for watcher in self.watchers:
                if watcher.sent[0] != stage.session:
                    continue
                index = _index(stage, watcher.tick, at)
                if watcher.selected is not None:
                    asked.setdefault(("agent", index, watcher.selected), []).append(watcher)
                if watcher.overlay is not None:
                    asked.setdefault(("overlay", index, watcher.overlay, watcher.selected), []).append(watcher)
                if watcher.taken is not None:
                    asked.setdefault(("mask", at, watcher.taken), []).append(watcher)
            for (kind, index, *rest), who in asked.items():
                known = cores if index == at else None
                work = functools.partial(_look_into, stage, kind, index, *rest, cores=known)
                try:
                    message = await loop.run_in_executor(self._worker, work)
                except Exception as error:  # whatever it is, the others are still to be told
                    for watcher in who:
                        watcher.complain(error if isinstance(error, ValueError) else f"{kind}: {error!r}")
                    continue
                for watcher in who:
                    watcher.waiting[kind] = message
                    watcher.wake.set()

    def news(self, loop: asyncio.AbstractEventLoop) -> None:
        """There is a new frame, or another pace; from the thread of the show."""
        if not self._pending:
            self._pending = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._announce, loop)

    def _announce(self, loop: asyncio.AbstractEventLoop) -> None:
        wait = self._announced + _LEAST_SECONDS - loop.time()
        if wait > 0:
            loop.call_later(wait, self._announce, loop)
            return
        self._pending, self._announced = False, loop.time()
        self._now = self.show.now
        tick = int(self._now.stage.replay.frames[self._now.at].tick)
        for watcher in self.watchers:
            if self.show.failed:
                watcher.complain(self.show.failed)
            watcher.again = watcher.again or watcher.sent[1] == tick
            watcher.wake.set()
        self._look.set()

    async def _tell(self, connection: ServerConnection, watcher: Watcher) -> None:
        try:
            await self._send(connection, watcher)
        finally:  # who cannot be told anything is not heard either
            await connection.close()

    async def _send(self, connection: ServerConnection, watcher: Watcher) -> None:
        while True:
            stage, at, _ = self._now
            first = int(stage.replay.frames[0].tick)
            forgotten = watcher.sent[1] is not None and watcher.sent[1] < first
            if watcher.sent[0] != stage.session or forgotten:
                self._give_back(watcher)
                watcher.sent, watcher.tick, watcher.selected, watcher.taken = (stage.session, None), None, None, None
                watcher.waiting.clear()
                fields = {**self._about, "realm": self.show.realm, "realms": self.show.realms}
                fields |= {"source": "live" if self.show.live else "replay", "overlays": stage.lens.list()}
                await connection.send(scene.hello(stage.replay, self._colours, fields))
                await connection.send(stage.totals.history())
            index = _index(stage, watcher.tick, at)
            since = -1 if watcher.sent[1] is None else watcher.sent[1] - first
            if index != since or watcher.again:
                watcher.sent, watcher.again = (stage.session, first + index), False
                if not self.show.taken(watcher.taken):
                    watcher.taken = None
                await connection.send(
                    self._encoded(stage, index, since, watcher.tick is None, watcher.taken, self._pace())
                )
                self._look.set()
            while watcher.waiting:
                _, message = watcher.waiting.popitem()
                await connection.send(message)
            await watcher.wake.wait()
            watcher.wake.clear()

    def _give_back(self, watcher: Watcher) -> None:
        """The agent that somebody played, if the world is still the one it lived in: elsewhere others have its uid."""
        if watcher.taken is not None and watcher.sent[0] == self.show.stage.session:
            self.show.release(watcher.taken)
        watcher.taken = None

    def _pace(self) -> tuple[Any, ...]:
        show = self.show
        return show.paused, show.seconds, round(show.ticks_per_second, 2), round(show.agent_steps_per_second)

    def _frame(
        self, stage: Stage, index: int, since: int, live: bool, taken: int | None, pace: tuple[Any, ...]
    ) -> bytes:
        paused, seconds, ticks, steps = pace
        fields = {"live": live, "taken": taken, "paused": paused, "seconds": seconds}
        fields |= {"ticks_per_second": ticks, "agent_steps_per_second": steps}
        fields |= {"first": int(stage.replay.frames[0].tick), "last": int(stage.replay.frames[-1].tick)}
        if self.show.live:
            fields["last"] = int(stage.replay.frames[len(stage.totals.living) - 1].tick)
        return scene.frame(stage.replay, stage.totals, index, since, fields)

    def _do(self, watcher: Watcher, asked: dict[str, Any]) -> None:
        """What a browser asks for.

        Raises:
          ValueError: it cannot be done.
        """
        show, do = self.show, asked.pop("do")
        everybody: dict[str, Callable[[], None]] = {
            "play": lambda: show.pace(paused=False),
            "pause": lambda: show.pace(paused=True),
            "step": show.step,
            "rewind": show.rewind,
            "speed": lambda: show.pace(seconds=float(asked["seconds"])),
            "realm": lambda: show.choose(asked["realm"]),
        }
        if do in everybody:
            everybody[do]()
        elif do == "seek":
            stage = show.stage
            first = int(stage.replay.frames[0].tick)
            last = first + len(stage.totals.living) - 1
            if not first <= asked["tick"] <= last:
                raise ValueError(f"seek: tick {asked['tick']}: allowed are {first} to {last}")
            watcher.tick, watcher.again = asked["tick"], True
        elif do == "follow":
            watcher.tick, watcher.again = None, True
        elif do == "select":
            watcher.selected = asked["uid"]
        elif do == "overlay":
            watcher.overlay = asked["name"]
        elif do in ("take", "release", "act") and watcher.sent[0] != show.stage.session:
            raise ValueError(f"{do}: another realm is shown now")
        elif do == "take":
            if show.taken(asked["uid"]) and watcher.taken != asked["uid"]:
                raise ValueError(f"agent {asked['uid']}: somebody else plays it")
            self._give_back(watcher)
            show.take(asked["uid"])
            watcher.taken, watcher.again = asked["uid"], True
        elif watcher.taken is None:
            raise ValueError(f"{do}: take an agent first")
        elif do == "release":
            self._give_back(watcher)
            watcher.again = True
        else:
            show.act(watcher.taken, asked["choices"])


def _index(stage: Stage, tick: int | None, at: int) -> int:
    """The frame of a tick, or the nearest that is kept; of none, the newest."""
    return at if tick is None else min(max(tick - int(stage.replay.frames[0].tick), 0), len(stage.replay))


def _look_into(stage: Stage, kind: str, index: int, *rest: Any, cores: Any) -> bytes:
    if kind == "overlay":
        name, selected = rest
        return stage.lens.overlay(name, index, selected, cores)
    return getattr(stage.lens, kind)(index, *rest, cores=cores)


async def open_gallery(gallery: Gallery, access: Access) -> Server:
    """Begins to serve, and the show; close the server, then the show.

    Raises:
      OSError: the address cannot be had.
    """
    loop, site = asyncio.get_running_loop(), Site(access)

    server = await serve(
        gallery.watch,
        access.addresses,  # pyright: ignore[reportArgumentType] - as of create_server
        access.port,
        process_request=site.answer,
        create_connection=Connection,
        max_size=protocol.MOST * 4,  # bytes; what is longer closes the connection
        close_timeout=_CLOSE_SECONDS,
        compression=None,  # costs more than it saves on the same machine
    )
    server.looker = asyncio.create_task(gallery.look())  # pyright: ignore - kept alive with the server

    gallery.show.start(lambda: gallery.news(loop))
    return server


@contextlib.contextmanager
def opened(gallery: Gallery, access: Access) -> Iterator[int]:
    """Serves, in a thread of its own: what interrupts the main thread ends it in order. Yields the port.

    Raises:
      OSError: the address cannot be had.
    """
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def run() -> None:
        try:
            server, end = await open_gallery(gallery, access), asyncio.Event()
            ready.set_result((asyncio.get_running_loop(), end, server.sockets[0].getsockname()[1]))
        except BaseException as error:
            ready.set_exception(error)
            return
        await end.wait()
        server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 2 * _CLOSE_SECONDS)  # not for who has asked for nothing yet

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="server", daemon=True)
    thread.start()
    loop, end, port = ready.result()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        gallery.show.close()
