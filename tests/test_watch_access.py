"""Who may have the viewer: what is asked of requests, the token, proxies; and what the command refuses."""

import asyncio
import contextlib
import logging
import socket

import pytest
from proxy import PREFIX, proxied
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus

from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.site import Connection, Site


def served(access, session):
    """Runs ``session(port)`` beside the client's files and a stream that says one word."""

    async def run():
        stream = serve(
            lambda connection: connection.send("here"),
            access.addresses,
            access.port,
            process_request=Site(access).answer,
            create_connection=Connection,
            close_timeout=1,
        )
        async with stream as server, asyncio.timeout(60):
            await session(server.sockets[0].getsockname()[1])

    asyncio.run(run())


async def asked(port, method="GET", path="/", fields=(), body="", version="1.1"):
    """Status, fields of the answer, and body. ``fields``: lines; a Host is added where there is none."""
    fields = [*fields]
    if not any(one.lower().startswith("host:") for one in fields):
        fields.append(f"Host: 127.0.0.1:{port}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([f"{method} {path} HTTP/{version}", *fields, "", body]).encode())
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    told = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split()[1]), told, rest


async def streams(port, name=None, path="/ws", **how):
    """Whether the stream begins; ``name``: that of the server, as a browser knows it."""
    try:
        async with connect(
            f"ws://{name or f'127.0.0.1:{port}'}{path}", host="127.0.0.1", port=port, proxy=None, **how
        ) as socket:
            return await socket.recv() == "here"
    except InvalidStatus as refused:
        assert refused.response.status_code == 403
        return False


def test_files_are_served_and_nothing_else():
    async def session(port):
        status, _, body = await asked(port)
        assert status == 200 and b"<!doctype html>" in body.lower()
        assert (await asked(port, path="/main.js", version="1.0"))[0] == 200
        for path in ("/../show.py", "/%2e%2e/show.py", "//etc/passwd", "/static/../../server.py", "/vendor"):
            assert (await asked(port, path=path))[0] == 404, path
        assert await streams(port)

    served(Access(), session)


def test_only_get_and_head(caplog):
    async def session(port):
        whole = await asked(port, path="/main.js")
        status, told, body = await asked(port, "HEAD", "/main.js")
        assert (status, body) == (200, b"")
        assert told["content-length"] == whole[1]["content-length"] == str(len(whole[2]))
        for path, fields in (("/nowhere", ()), ("/ws", ()), ("/", ["Host: elsewhere.example"])):
            status, _, body = await asked(port, "HEAD", path, fields)
            assert status in (403, 404, 405) and body == b""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "DANCE", "get"):
            for fields, body in (
                ((), ""),
                (["Content-Length: 3"], "a=1"),
                (["Transfer-Encoding: chunked"], "3\r\na=1\r\n0\r\n\r\n"),
            ):
                status, told, _ = await asked(port, method, "/", fields, body)
                assert (status, told["allow"]) == (405, "GET, HEAD"), (method, fields)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in b"POST / HTTP/1.1\r\n":  # however it comes
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([byte]))
                await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 405")
        writer.close()

    with caplog.at_level(logging.WARNING):
        served(Access(), session)
    assert not caplog.records


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Host: localhost"], 200),
        (["Host: [::1]:1234"], 200),
        (["Host: LOCALHOST:99", "Origin: http://localhost:99"], 200),
        (["Host: localhost", "Host: localhost"], 400),
        (["Host: localhost", "Host: other.example"], 400),
        (["Host:"], 400),
        (["Host: ["], 400),
        (["Host: localhost/x"], 400),
        (["Host: x@localhost"], 400),
        (["Host: http://localhost"], 400),
        (["Host: other.example"], 403),
        (["Host: 192.0.2.7"], 403),
        (["Host: localhost", "Origin: http://localhost", "Origin: http://localhost"], 400),
        (["Host: localhost", "Origin: http://localhost", "Origin: http://other.example"], 400),
        (["Host: localhost", "Origin: http://other.example"], 403),
        (["Host: localhost", "Origin: http://localhost:8000"], 403),
        (["Host: localhost", "Origin: null"], 403),
        (["Host: localhost", "Origin: "], 403),
        (["Host: hub.example.org", "Origin: https://hub.example.org"], 200),
        (["Host: HUB.example.org:8443", "Origin: https://hub.example.org:8443"], 200),
        (["Host: localhost:8765", "Origin: https://hub.example.org"], 200),
        (["Host: hub.example.org", "Origin: https://other.example"], 403),
        (["Host: localhost", "Origin: https://ide.example.org"], 200),
        (["Host: localhost", "Origin: http://ide.example.org"], 403),
        (["Host: localhost", "Origin: https://ide.example.org:8443"], 403),
        (["Host: nothub.example.org"], 403),
        (["Host: hub.example.org.evil.example"], 403),
    ],
)
def test_names_under_which_it_is_asked_for(fields, status, caplog):
    async def session(port):
        assert (await asked(port, fields=fields))[0] == status

    with caplog.at_level(logging.WARNING):
        served(Access(allowed=("hub.example.org", "https://IDE.example.org:443/")), session)
    assert not caplog.records


def test_pages_of_other_sites_get_no_stream():
    async def session(port):
        assert await streams(port, origin=f"http://127.0.0.1:{port}")
        assert not await streams(port, origin="http://other.example")
        assert not await streams(port, "rebound.example", origin="http://rebound.example")
        assert not await streams(port, "hub.example.org", origin="https://hub.example.org")

    served(Access(), session)


def test_other_machines_need_the_token():
    access = Access("0.0.0.0")

    async def session(port):
        own = access.urls(port)
        assert own == [f"http://{name}:{port}/?token={access.token}" for name in (socket.gethostname(), "127.0.0.1")]
        cookie = f"Cookie: theirs=1; nmmo-jax-{port}={access.token}"
        for path in ("/", "/main.js", "/ws"):
            for query in ("", "?token=", "?token=x", f"?token={access.token}x", f"?token={access.token[:-1]}"):
                assert (await asked(port, path=path + query))[0] == 403
        for fields in (["Cookie: token=x"], [f"Cookie: nmmo-jax-{port}="], [f"Cookie: nmmo-jax-1={access.token}"]):
            assert (await asked(port, fields=fields))[0] == 403
        assert not await streams(port)
        status, told, _ = await asked(port, path=f"/?token={access.token}")
        kept, *how = told["set-cookie"].split("; ")
        assert status == 200 and sorted(how) == ["HttpOnly", "SameSite=Strict"] and cookie.endswith(kept)
        for path in ("/", "/main.js"):
            status, told, _ = await asked(port, path=path, fields=[cookie])
            assert status == 200 and "set-cookie" not in told
        assert await streams(port, additional_headers={"Cookie": kept})
        assert await streams(port, path=f"/ws?token={access.token}")
        # The token does not make up for a name that could be another's.
        for host, expected in (
            ("192.0.2.7", 200),
            ("[2001:db8::7]:99", 200),
            (socket.gethostname(), 200),
            ("rebound.example", 403),
        ):
            assert (await asked(port, fields=[f"Host: {host}", cookie]))[0] == expected
        assert (await asked(port, fields=[cookie, "Origin: http://other.example"]))[0] == 403

    served(access, session)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_this_machine_needs_none(host):
    access = Access(host)
    assert access.token is None
    assert access.urls(80) == [f"http://{host}:80"]


def test_brackets_are_taken_off():
    try:
        access = Access("[::1]")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert access.urls(80) == ["http://[::1]:80"] and access.token is None


@pytest.mark.parametrize("says", [None, "127.0.0.1:8765"])
def test_behind_a_proxy(says):
    """Under its public name, or the one that the proxy has for it; the page and its stream lie under a path."""

    async def session(port):
        async with proxied(port, says) as front:
            name, origin = "hub.example.org", "https://hub.example.org"
            host = [f"Host: {name}", f"Origin: {origin}"]
            assert (await asked(front, path="/ws", fields=host))[0] == 404
            status, _, page = await asked(front, path=PREFIX, fields=host)
            assert status == 200 and b'src="main.js"' in page
            assert (await asked(front, path=f"{PREFIX}main.js", fields=host))[0] == 200
            assert await streams(front, name, f"{PREFIX}ws", origin=origin)
            assert not await streams(front, name, f"{PREFIX}ws", origin="https://other.example")

    served(Access(allowed=("hub.example.org",)), session)


def test_no_file_asks_for_anything_from_the_root():
    """Which lies outside the path that a proxy shows it under."""
    for path, (kind, body) in Site(Access())._files.items():
        if kind in ("text/html", "text/css", "text/javascript") and "/vendor/" not in path:
            for before in (b'src="/', b'href="/', b'from "/', b'import("/', b'fetch("/', b"url(/", b"location.host}/"):
                assert before not in body, path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--replay", "nowhere.npz"], "nowhere.npz: No such file"),
        (["--port", "70000"], "--port 70000: allowed are 0 to 65535"),
        (["--speed", "nan"], "--speed nan: allowed are 0 to 60"),
        (["--host", "256.1.1.1", "--port", "0"], "--host 256.1.1.1: "),
        (["--host", "nobody.invalid"], "--host nobody.invalid: "),
        (["--host", "a" * 80], f"--host {'a' * 80}: "),
        (["--host", "[::1"], "--host [::1: "),
        (["--host", ""], "--host '': must be an address of this machine, or its name"),
        (["--host", "192.0.2.7", "--port", "0"], "--host 192.0.2.7: Cannot assign requested address"),
        (["--host", "192.0.2.7"], "--host 192.0.2.7 --port 8765: Cannot assign requested address"),
        (
            ["--allow-origin", "https://hub.example.org/user"],
            "--allow-origin 'https://hub.example.org/user': must be a",
        ),
        (["--allow-origin", "*"], "--allow-origin '*': must be a name"),
        (["--speed", "-1"], "--speed -1.0: allowed are 0 to 60"),
        (["--realms", "0"], "--realms 0: allowed are 1 to 65536"),
        (["--policy", "nobody"], "--policy nobody: must be random, "),
        (["--policy", "random", "--checkpoint", "x"], "--checkpoint, --policy: give one of them"),
        (["--replay", "x", "--policy", "random"], "--policy: means nothing with --replay"),
        (["--record", "nowhere/x.npz"], "nowhere/x.npz: No such file or directory"),
        (["--record", "."], "--record .: exists"),
        (["--game", "law", "--initial-population", "200"], "--initial-population 200: allowed are 0 to 128"),
        (["--tileset", "x.tsx"], "--tileset: belongs to --map, which is not given"),
        (["--replay", "x", "--agents", "4"], "--agents: means nothing with --replay"),
        (["--rule", "flying=1"], "--set flying=1: there is no flying"),
    ],
)
def test_bad_input(arguments, message, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("watch", *arguments).startswith(message)


def test_a_port_in_use_is_told(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("watch", "--port", port) == f"--host 127.0.0.1 --port {port}: Address already in use"
