"""The viewer's server under load: requests in floods, browsers that stall, signals."""

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

import pytest
from watched import begun, played, until
from websockets.asyncio.client import connect

from nmmo_jax.replay_file import load_replay
from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.hub import Hub
from nmmo_jax.viewer.playback import Playback
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.server import serving

NAMES = ("random",)


@pytest.fixture(scope="module")
def play():
    return begun(*NAMES)


@pytest.fixture(scope="module")
def policies(play):
    return TrainedPolicies(play.env, NAMES)


@pytest.fixture(scope="module")
def replay(play):
    return played(play, 10)


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
        {"do": "act", "choices": {"move": 1}},
        {"do": "take", "uid": 2},
        {"do": "release"},
    ],
    "beginning anew": [{"do": "restart"}],
    "nonsense": [{"do": "dance"}],
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_requests_holds_up_nobody(play, replay, policies, name):
    playback = Playback(play.beside(0), 2, policies, seconds=0.01)

    async def session(_, do):
        longest, last, at = 0.0, time.perf_counter(), playback.snapshot
        for asked in itertools.islice(itertools.cycle(FLOODS[name]), 1000):
            await do(**asked)
        for asked in ({"do": "play"}, {"do": "speed", "seconds": 0.01}):
            await do(**asked)
        while (now := time.perf_counter()) - last < 3 and longest < 3 and now < end:
            await asyncio.sleep(0.005)
            if playback.snapshot is not at:
                longest, last, at = max(longest, now - last), now, playback.snapshot
        return max(longest, time.perf_counter() - last)

    with serving(Hub(playback, ["#000000"] * 2, {"can": {}}), Access()) as port:
        end = time.perf_counter() + 1
        assert watched(port, session) < 2
        began = time.perf_counter()
    assert time.perf_counter() - began < 5  # and it ends


def test_the_last_request_of_a_kind_counts_and_the_end_comes_first(play, replay, policies):
    playback = Playback(play.beside(0), 100, policies, seconds=0)
    told = threading.Event()
    playback.set_pace(paused=True)
    playback.start(told.set)
    with playback.lock:  # which a tick waits for
        playback.step()
        time.sleep(0.2)  # it is in hand
        for realm in range(1, 100):
            playback.show_realm(realm)
            playback.step()
    deadline = time.monotonic() + 20
    while (playback.realm, playback.newest) != (99, 1):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert playback.view.session == 2  # nothing was shown between them
    with playback.lock:
        playback.step()
        time.sleep(0.2)
        playback.show_realm(5)
        closing = threading.Thread(target=playback.close)
        closing.start()
        time.sleep(0.2)
    closing.join(20)
    assert not closing.is_alive() and playback.realm == 99 and playback.failed is None


def test_the_realm_that_is_shown_is_not_begun_anew(play, replay, policies):
    playback = Playback(play.beside(0), 2, policies, seconds=60)
    playback.start(lambda: None)
    at = {}
    for realm in (0, 1, 0, 0):
        playback.show_realm(realm)
        time.sleep(0.1)
        at.setdefault(realm, playback.view.totals)
        assert playback.view.totals is at[realm]  # counted once
    playback.close()
    assert playback.view.session == 3


def test_what_stalls_does_not_hold_up_the_end(play, replay, policies, caplog):
    """A browser that reads nothing, and connections that have asked for nothing yet."""
    playback = Playback(play.beside(0), 1, policies, seconds=0.0)
    upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    upgrade += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    with caplog.at_level(logging.WARNING), contextlib.ExitStack() as connections:
        with serving(Hub(playback, ["#000000"] * 2, {"can": {}}), Access()) as port:
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
