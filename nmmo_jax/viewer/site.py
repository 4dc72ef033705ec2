"""The files of the client, and the answers to who asks for them."""

from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from nmmo_jax.viewer.access import Access

STREAM = "/ws"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", "": "text/plain"}
_POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
_POLICY += "img-src 'self' data: blob:; connect-src 'self' ws: wss:"
_NOT_ALLOWED = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LONGEST_METHOD = 32  # characters


class Connection(ServerConnection):
    """Answers methods other than GET and HEAD, whose bodies websockets does not read."""

    _begun = b""  # until the method is known
    _refused = False

    def data_received(self, data: bytes) -> None:
        """As of ``asyncio.Protocol``."""
        if self._begun is None:
            super().data_received(data)
        elif not self._refused:
            self._begun += data
            method, space, _ = self._begun.partition(b" ")
            if space and method not in (b"GET", b"HEAD"):
                self._refused = True  # and what comes is not read: the browser closes, or the server after a while
                self.transport.write(_NOT_ALLOWED)
                self.transport.write_eof()
            elif space or len(self._begun) > _LONGEST_METHOD:
                data, self._begun = self._begun, None
                super().data_received(data)


class Site:
    """The files of the client, read once: nothing else can be asked for."""

    def __init__(self, access: Access):
        self._access = access
        self._files = dict(_found(files("nmmo_jax.viewer") / "static", ""))
        self._files["/"] = self._files["/index.html"]

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """A file, a refusal, or None for the stream."""
        response = self._answer(connection, request)
        if response is not None and request.method == "HEAD":
            response.body = b""
        return response

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        port = connection.local_address[1]
        if (refusal := self._access.refusal(request, port)) is not None:
            return connection.respond(*refusal)
        path = request.path.partition("?")[0]
        if path == STREAM:
            if request.method == "GET":
                return None
            response = connection.respond(HTTPStatus.METHOD_NOT_ALLOWED, "This is a WebSocket.\n")
            response.headers["Allow"] = "GET"
            return response
        if path not in self._files:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is no such file.\n")
        kind, body = self._files[path]
        fields = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
        }
        fields |= {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Connection": "close"}
        if self._access.shown(request):
            fields["Set-Cookie"] = self._access.cookie(port)
        return Response(HTTPStatus.OK.value, "OK", Headers(fields), body)


def _found(folder: Traversable, path: str) -> list[tuple[str, tuple[str, bytes]]]:
    found = []
    for one in folder.iterdir():
        at = f"{path}/{one.name}"
        if one.is_dir():
            found += _found(one, at)
        else:
            suffix = f".{one.name.rsplit('.', 1)[1]}" if "." in one.name else ""
            found.append((at, (_TYPES.get(suffix, "application/octet-stream"), one.read_bytes())))
    return found
