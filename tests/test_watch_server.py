"""The viewer's server: what people may ask of a show, that nobody can hold it up, and that it ends."""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from watched import begun, played
from websockets.asyncio.client import connect

from nmmo_jax.replay_file import load_replay
from nmmo_jax.viewer import protocol
from nmmo_jax.viewer import show as show_module
from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.minds import Minds
from nmmo_jax.viewer.scene import slot_of
from nmmo_jax.viewer.server import Gallery, open_gallery, opened
from nmmo_jax.viewer.show import Show

NAMES = ("random",)
TICKS = 10


@pytest.fixture(scope="module")
def play():
    return begun(*NAMES)


@pytest.fixture(scope="module")
def minds(play):
    return Minds(play.env, NAMES)


@pytest.fixture(scope="module")
def replay(play):
    return played(play, TICKS)


async def until(socket, wanted, seconds=20.0):
    """The first message of which ``wanted(header, arrays)`` is true."""
    async with asyncio.timeout(seconds):
        while True:
            header, arrays = protocol.decode(await socket.recv())
            if wanted(header, arrays):
                return header, arrays


def served(play, minds, session, seconds=0.02):
    """Runs ``session(show, port)`` beside a server of a world."""

    async def run():
        show = Show(play, 2, minds, seconds)
        gallery = Gallery(show, ["#000000"] * 2, {"can": {}})
        server = await open_gallery(gallery, Access())
        try:
            async with asyncio.timeout(60):
                await session(show, server.sockets[0].getsockname()[1])
        finally:
            server.close()
            show.close()

    asyncio.run(run())


def test_a_browser_sees_goes_back_and_plays(play, replay, minds):
    async def session(show, port):
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:

            async def do(**asked):
                await socket.send(json.dumps(asked))

            hello, arrays = await until(socket, lambda header, _: header["kind"] == "hello")
            assert hello["size"] == [24, 20] and hello["source"] == "live"
            np.testing.assert_array_equal(arrays["material"], play.replay.tiles.material)
            await until(socket, lambda header, _: header["kind"] == "frame" and header["live"])
            await do(do="nonsense")
            await until(
                socket, lambda header, _: header["kind"] == "error" and header["message"].startswith("do: must be")
            )
            await socket.send(b"\0\1\2")
            await until(socket, lambda header, _: header["kind"] == "error" and "texts" in header["message"])
            await do(do="seek", tick=7)
            header, arrays = await until(socket, lambda header, _: header["kind"] == "frame" and not header["live"])
            assert header["tick"] == 7
            np.testing.assert_array_equal(
                arrays["uid"], play.replay.frames[7].agents.uid[play.replay.frames[7].agents.alive]
            )
            await do(do="pause")
            await asyncio.sleep(0.3)  # for the tick in hand
            await do(do="follow")
            header, arrays = await until(socket, lambda header, _: header["kind"] == "frame" and header["live"])
            assert header["paused"] and header["tick"] == show.at
            uid = int(arrays["uid"][arrays["age"].argmin()])
            await do(do="select", uid=uid)
            told, _ = await until(socket, lambda header, _: header["kind"] == "agent")
            assert (told["uid"], told["tick"]) == (uid, header["tick"])
            await do(do="overlay", name="visits")
            await until(socket, lambda header, _: header["kind"] == "overlay" and header["name"] == "visits")
            await do(do="take", uid=uid)
            await until(socket, lambda header, _: header["kind"] == "frame" and header["taken"] == uid)
            await do(do="act", move=2)
            await do(do="step")
            after, _ = await until(socket, lambda h, _: h["kind"] == "frame" and h["tick"] == header["tick"] + 1)
            slot = slot_of(play.replay, header["tick"], uid)
            assert play.replay.frames[after["tick"]].move[slot] == 2
            await do(do="step")
            after, _ = await until(socket, lambda h, _: h["kind"] == "frame" and h["tick"] == header["tick"] + 2)
            assert play.replay.frames[after["tick"]].move[slot] == 0 and after["paused"]
            await do(do="realm", realm=1)
            hello, _ = await until(socket, lambda header, _: header["kind"] == "hello")
            assert hello["realm"] == 1
            await do(do="realm", realm=2)
            await until(
                socket, lambda header, _: header["kind"] == "error" and "allowed are 0 to 1" in header["message"]
            )
        await asyncio.sleep(0.2)
        assert not show.taken(uid)  # who leaves gives it back

    served(play, minds, session)


def test_a_stalled_browser_holds_up_nobody(play, replay, minds, monkeypatch):
    encode = protocol.encode

    def padded(kind, fields=None, **arrays):
        """Beyond what sockets take in before somebody reads."""
        return encode(kind, fields, **arrays, padding=np.zeros(2**19, np.uint8))

    monkeypatch.setattr(protocol, "encode", padded)

    async def session(show, port):
        address = f"ws://127.0.0.1:{port}/ws"
        async with connect(address, max_queue=1, close_timeout=0.1, max_size=None) as stalled:
            await stalled.recv()  # and then it reads no more
            async with connect(address, max_size=None) as well:
                began, first, seen = time.perf_counter(), len(replay), set()
                while time.perf_counter() - began < 3:
                    header, _ = protocol.decode(await well.recv())
                    seen |= {header["tick"]} if header["kind"] == "frame" else set()
                assert len(replay) - first > 50
                assert len(seen) > 25

    served(play, minds, session)


def test_a_replay_is_played_to_its_end_and_again(replay, minds):
    part = replay.cut(3, 9)

    async def session(show, port):
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:

            async def do(**asked):
                await socket.send(json.dumps(asked))

            hello, _ = await until(socket, lambda header, _: header["kind"] == "hello")
            assert hello["source"] == "replay"
            end, _ = await until(socket, lambda header, _: header["kind"] == "frame" and header["paused"])
            assert (end["tick"], end["first"], end["last"]) == (9, 3, 9)
            await do(do="rewind")
            await until(socket, lambda header, _: header["kind"] == "hello")
            await until(socket, lambda header, _: header["kind"] == "frame" and header["tick"] < 9)
            await do(do="pause")
            await do(do="seek", tick=5)
            past, arrays = await until(socket, lambda header, _: header["kind"] == "frame" and not header["live"])
            agents = replay.frames[5].agents
            assert past["tick"] == 5
            np.testing.assert_array_equal(arrays["uid"], agents.uid[agents.alive])
            uid = int(arrays["uid"][0])
            await do(do="select", uid=uid)
            told, _ = await until(socket, lambda header, _: header["kind"] == "agent")
            assert (told["uid"], told["tick"]) == (uid, 5)
            await do(do="take", uid=uid)
            await until(socket, lambda header, _: header["kind"] == "error" and "replay" in header["message"])

    served(part, minds, session)


def test_what_is_long_ago_is_forgotten(play, minds, monkeypatch):
    monkeypatch.setattr(show_module, "_HISTORY_BYTES", 1)

    async def session(show, port):
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:
            await until(socket, lambda header, _: header["kind"] == "frame" and header["tick"] > 20)
            await socket.send(json.dumps({"do": "pause"}))
            await asyncio.sleep(0.3)
            replay, totals = show.stage.replay, show.stage.totals
            assert len(replay) < 5 and replay.frames[0].tick > 15
            assert len(totals.living) == len(replay) + 1
            assert totals.deaths[-1].sum() > sum(one.left.sum() for one in replay.frames)
            await socket.send(json.dumps({"do": "seek", "tick": 2}))
            await until(
                socket, lambda header, _: header["kind"] == "error" and "seek: tick 2: allowed are" in header["message"]
            )

    served(play.beside(0), minds, session)


def watched(port, session):
    """Runs ``session(socket, do)`` as a browser."""

    async def run():
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None, proxy=None, close_timeout=0.1) as socket:
            await until(socket, lambda header, _: header["kind"] == "frame")
            return await session(socket, lambda **asked: socket.send(json.dumps(asked)))

    return asyncio.run(run())


FLOODS = {
    "the realm that is shown": [{"do": "realm", "realm": 0}],
    "realms in turn": [{"do": "realm", "realm": 1}, {"do": "realm", "realm": 0}],
    "going back": [{"do": "seek", "tick": tick} for tick in (0, 9, 3)],
    "the pace": [{"do": "speed", "seconds": 0.01}, {"do": "pause"}, {"do": "play"}],
    "looking": [
        {"do": "overlay", "name": "visits"},
        {"do": "select", "uid": 1},
        {"do": "overlay", "name": "density"},
        {"do": "select", "uid": 2},
    ],
    "playing": [
        {"do": "take", "uid": 1},
        {"do": "act", "move": 1},
        {"do": "take", "uid": 2},
        {"do": "release"},
    ],
    "beginning anew": [{"do": "rewind"}],
    "nonsense": [{"do": "dance"}],
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_requests_holds_up_nobody(play, replay, minds, name):
    show = Show(play.beside(0), 2, minds, seconds=0.01)

    async def session(_, do):
        longest, last, at = 0.0, time.perf_counter(), show.now
        for asked in itertools.islice(itertools.cycle(FLOODS[name]), 1000):
            await do(**asked)
        for asked in ({"do": "play"}, {"do": "speed", "seconds": 0.01}):
            await do(**asked)
        while (now := time.perf_counter()) - last < 3 and longest < 3 and now < end:
            await asyncio.sleep(0.005)
            if show.now is not at:
                longest, last, at = max(longest, now - last), now, show.now
        return max(longest, time.perf_counter() - last)

    with opened(Gallery(show, ["#000000"] * 2, {"can": {}}), Access()) as port:
        end = time.perf_counter() + 1
        assert watched(port, session) < 2
        began = time.perf_counter()
    assert time.perf_counter() - began < 5  # and it ends


def test_the_last_request_of_a_kind_counts_and_the_end_comes_first(play, replay, minds):
    show = Show(play.beside(0), 100, minds, seconds=0)
    told = threading.Event()
    show.pace(paused=True)
    show.start(told.set)
    with show.lock:  # which a tick waits for
        show.step()
        time.sleep(0.2)  # it is in hand
        for realm in range(1, 100):
            show.choose(realm)
            show.step()
    deadline = time.monotonic() + 20
    while (show.realm, show.at) != (99, 1):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert show.stage.session == 2  # nothing was shown between them
    with show.lock:
        show.step()
        time.sleep(0.2)
        show.choose(5)
        closing = threading.Thread(target=show.close)
        closing.start()
        time.sleep(0.2)
    closing.join(20)
    assert not closing.is_alive() and show.realm == 99 and show.failed is None


def test_the_realm_that_is_shown_is_not_begun_anew(play, replay, minds):
    show = Show(play.beside(0), 2, minds, seconds=60)
    show.start(lambda: None)
    at = {}
    for realm in (0, 1, 0, 0):
        show.choose(realm)
        time.sleep(0.1)
        at.setdefault(realm, show.stage.totals)
        assert show.stage.totals is at[realm]  # counted once
    show.close()
    assert show.stage.session == 3


@pytest.mark.parametrize("seconds", [-5, 61, float("nan"), float("inf")])
def test_a_pace_that_cannot_be_is_refused(play, replay, minds, seconds):
    show = Show(replay, 1, minds, 0.5)
    with pytest.raises(ValueError, match="allowed are 0 to 60"):
        show.pace(seconds=seconds)
    assert show.seconds == 0.5


def test_what_stalls_does_not_hold_up_the_end(play, replay, minds, caplog):
    """A browser that reads nothing, and connections that have asked for nothing yet."""
    show = Show(play.beside(0), 1, minds, seconds=0.0)
    upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    upgrade += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    with caplog.at_level(logging.WARNING), contextlib.ExitStack() as connections:
        with opened(Gallery(show, ["#000000"] * 2, {"can": {}}), Access()) as port:
            for begun in ("", "GET /main.js HTT", upgrade):
                connection = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
                connection.sendall(begun.encode())
            assert connection.recv(12) == b"HTTP/1.1 101"
            time.sleep(0.5)
            began = time.perf_counter()
        assert time.perf_counter() - began < 6
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", [0.0, 1.5])
def test_signals_end_it_in_order(number, moment, tmp_path):
    """With browsers connected, at full pace: the recording is written, and nothing is said but that."""
    record = tmp_path / "world.npz"
    arguments = ["--game", "law", "--agents", "16", "--policy", "random", "--speed", "0", "--port", "0"]
    program = subprocess.Popen(
        [sys.executable, "-u", "-m", "nmmo_jax.cli", "watch", *arguments, "--record", record],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert program.stdout is not None
    port = int(re.search(r":([0-9]+)", program.stdout.readline())[1])  # pyright: ignore[reportOptionalSubscript]

    async def browse(socket, do):
        await do(do="overlay", name="visits")
        await do(do="select", uid=3)
        await asyncio.sleep(moment)
        program.send_signal(number)
        async for _ in socket:
            pass

    try:
        watched(port, browse)
        output, errors = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode in (0, 128 + number)
    assert "Traceback" not in errors and len(errors.splitlines()) <= 1
    assert output == f"{record}: {len(load_replay(record))} ticks\n"
