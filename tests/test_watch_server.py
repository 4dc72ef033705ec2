"""The viewer's server: what people may ask of a playback, that nobody can hold it up, and that it ends."""

import asyncio
import json
import time

import numpy as np
import pytest
from watched import begun, played, served, until
from websockets.asyncio.client import connect

from nmmo_jax.viewer import playback as playback_module
from nmmo_jax.viewer import protocol
from nmmo_jax.viewer.playback import Playback
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.scene import slot_of

NAMES = ("random",)
TICKS = 10


@pytest.fixture(scope="module")
def play():
    return begun(*NAMES)


@pytest.fixture(scope="module")
def policies(play):
    return TrainedPolicies(play.env, NAMES)


@pytest.fixture(scope="module")
def replay(play):
    return played(play, TICKS)


def test_a_browser_sees_goes_back_and_plays(play, replay, policies):
    async def session(playback, port):
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
            assert header["paused"] and header["tick"] == playback.newest
            uid = int(arrays["uid"][arrays["age"].argmin()])
            await do(do="select", uid=uid)
            told, _ = await until(socket, lambda header, _: header["kind"] == "agent")
            assert (told["uid"], told["tick"]) == (uid, header["tick"])
            await do(do="overlay", name="visits")
            await until(socket, lambda header, _: header["kind"] == "overlay" and header["name"] == "visits")
            await do(do="take", uid=uid)
            await until(socket, lambda header, _: header["kind"] == "frame" and header["taken"] == uid)
            await do(do="act", choices={"move": 2})
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
        assert not playback.control.is_taken(uid)  # who leaves gives it back

    served(play, policies, session)


@pytest.mark.slow
def test_a_stalled_browser_holds_up_nobody(play, replay, policies, monkeypatch):
    encode = protocol.encode

    def padded(kind, fields=None, **arrays):
        """Beyond what sockets take in before somebody reads."""
        return encode(kind, fields, **arrays, padding=np.zeros(2**19, np.uint8))

    monkeypatch.setattr(protocol, "encode", padded)

    async def session(playback, port):
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

    served(play, policies, session)


def test_a_replay_is_played_to_its_end_and_again(replay, policies):
    part = replay.cut(3, 9)

    async def session(playback, port):
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:

            async def do(**asked):
                await socket.send(json.dumps(asked))

            hello, _ = await until(socket, lambda header, _: header["kind"] == "hello")
            assert hello["source"] == "replay"
            end, _ = await until(socket, lambda header, _: header["kind"] == "frame" and header["paused"])
            assert (end["tick"], end["first"], end["last"]) == (9, 3, 9)
            await do(do="restart")
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

    served(part, policies, session)


def test_what_is_long_ago_is_forgotten(play, policies, monkeypatch):
    monkeypatch.setattr(playback_module, "_HISTORY_BYTES", 1)

    async def session(playback, port):
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:
            await until(socket, lambda header, _: header["kind"] == "frame" and header["tick"] > 20)
            await socket.send(json.dumps({"do": "pause"}))
            await asyncio.sleep(0.3)
            replay, totals = playback.view.replay, playback.view.totals
            assert len(replay) < 5 and replay.frames[0].tick > 15
            assert len(totals.living) == len(replay) + 1
            assert totals.deaths[-1].sum() > sum(one.left.sum() for one in replay.frames)
            await socket.send(json.dumps({"do": "seek", "tick": 2}))
            await until(
                socket, lambda header, _: header["kind"] == "error" and "seek: tick 2: allowed are" in header["message"]
            )

    served(play.beside(0), policies, session)


@pytest.mark.parametrize("seconds", [-5, 61, float("nan"), float("inf")])
def test_a_pace_that_cannot_be_is_refused(play, replay, policies, seconds):
    playback = Playback(replay, 1, policies, 0.5)
    with pytest.raises(ValueError, match="allowed are 0 to 60"):
        playback.set_pace(seconds=seconds)
    assert playback.seconds == 0.5
