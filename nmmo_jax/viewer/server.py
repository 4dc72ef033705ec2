"""Serves the client and what it shows: one port for files and for the stream, one process, any number of browsers."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from websockets.asyncio.server import Server, serve

from nmmo_jax.viewer import protocol
from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.hub import Hub
from nmmo_jax.viewer.site import Connection, Site

_CLOSE_SECONDS = 1  # a browser that has stalled does not hold up the end


async def start_server(hub: Hub, access: Access) -> Server:
    """Begins to serve, and the playback; close the server, then the playback.

    Raises:
      OSError: the address cannot be had.
    """
    loop, site = asyncio.get_running_loop(), Site(access)

    server = await serve(
        hub.connect,
        access.addresses,  # pyright: ignore[reportArgumentType] - as of create_server
        access.port,
        process_request=site.answer,
        create_connection=Connection,
        max_size=protocol.MOST * 4,  # bytes; what is longer closes the connection
        close_timeout=_CLOSE_SECONDS,
        compression=None,  # costs more than it saves on the same machine
    )
    server.inspecting = asyncio.create_task(hub.inspect())  # pyright: ignore - kept alive with the server

    hub.playback.start(lambda: hub.notify(loop))
    return server


@contextlib.contextmanager
def serving(hub: Hub, access: Access) -> Iterator[int]:
    """Serves, in a thread of its own: what interrupts the main thread ends it in order. Yields the port.

    Raises:
      OSError: the address cannot be had.
    """
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def run() -> None:
        try:
            server, end = await start_server(hub, access), asyncio.Event()
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
        hub.playback.close()
