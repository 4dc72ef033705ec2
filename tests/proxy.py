"""A proxy that shows a server under a path of its own, as JupyterHub, cloud IDEs and nginx do."""

import asyncio
import contextlib
import threading

PREFIX = "/user/somebody/proxy/8765/"


@contextlib.asynccontextmanager
async def proxied(port, host=None):
    """Serves what is at a port under ``PREFIX``; yields its own port.

    Args:
      host: said instead of the public name, as nginx does unless it is told otherwise; None: the public name is.
    """

    async def answer(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request, *fields = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            method, path, version = request.split(b" ")
            if not path.startswith(PREFIX.encode()):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                if host is not None:
                    fields = [f"Host: {host}".encode() if one.lower().startswith(b"host:") else one for one in fields]
                there, to_there = await asyncio.open_connection("127.0.0.1", port)
                path = path[len(PREFIX) - 1 :]
                to_there.write(b"\r\n".join([b" ".join([method, path, version]), *fields]))
                await asyncio.gather(_pass_on(reader, to_there), _pass_on(there, writer))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _pass_on(reader, writer):
    with contextlib.suppress(ConnectionError):
        while some := await reader.read(2**16):
            writer.write(some)
            await writer.drain()
    writer.close()


@contextlib.contextmanager
def front(port):
    """A proxy, in a thread of its own; its port."""
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    known = []

    async def run():
        async with proxied(port) as own:
            known.append(own)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield known[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(20)
