"""The files of the client, and who may have them."""

from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

STREAM = "/ws"
_LOCAL = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", "": "text/plain"}
_POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
_POLICY += "img-src 'self' data: blob:; connect-src 'self' ws: wss:"


class Site:
    """The files of the client, read once: nothing else can be asked for."""

    def __init__(self, host: str):
        # Under other names it could be asked for by a page whose name now means this machine.
        self._hosts = None if host in _EVERYWHERE else {*_LOCAL, host.strip("[]").lower()}
        self._files = dict(_found(files("nmmo_jax.viewer") / "static", ""))
        self._files["/"] = self._files["/index.html"]

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """A file, a refusal, or None for the stream."""
        origin = request.headers.get("Origin")
        try:
            host = urlsplit(f"//{request.headers.get('Host', '')}")
            asks = None if origin is None else urlsplit(origin).netloc
        except ValueError:
            return connection.respond(HTTPStatus.BAD_REQUEST, "No such name.\n")
        if self._hosts is not None and host.hostname not in self._hosts:
            return connection.respond(HTTPStatus.FORBIDDEN, "This server is not known under that name.\n")
        if asks is not None and asks != host.netloc:
            return connection.respond(HTTPStatus.FORBIDDEN, "Other sites may not look on.\n")
        path = request.path.split("?")[0]
        if path == STREAM:
            return None
        if path not in self._files:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is no such file.\n")
        kind, body = self._files[path]
        fields = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
        }
        fields |= {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Connection": "close"}
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
