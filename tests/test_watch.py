"""The viewer's server: what browsers are told, what they may ask for, and that nobody can hold up the play."""

import asyncio
import contextlib
import json
import socket
import time

import jax
import numpy as np
import pytest
import websockets
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from nmmo_jax import cli, make
from nmmo_jax.bench import watch
from nmmo_jax.commands.players import players
from nmmo_jax.commands.playing import Play
from nmmo_jax.components import observed_material
from nmmo_jax.observations import observe
from nmmo_jax.viewer import protocol
from nmmo_jax.viewer import show as show_module
from nmmo_jax.viewer.minds import Minds
from nmmo_jax.viewer.overlays import Lens
from nmmo_jax.viewer.scene import Totals, frame, slot_of
from nmmo_jax.viewer.server import Gallery, open_gallery
from nmmo_jax.viewer.show import Show
from nmmo_jax.world.materials import WALKABLE, Material
from nmmo_jax.world.pool import MapPool

WORLD = {"num_agents": 16, "num_populations": 2, "rows": 24, "columns": 20, "border": 3}
NAMES = ("chaos128", "forager")
TICKS = 40


@pytest.fixture(scope="module")
def play():
    env = make("chaos", **WORLD)
    return Play(
        env, players(NAMES, env), NAMES, MapPool.generated(0, 1, env.config), initial_population=12, title="test"
    )


@pytest.fixture(scope="module")
def minds(play):
    return Minds(play.env, NAMES)


@pytest.fixture(scope="module")
def replay(play):
    for _ in range(TICKS):
        play.tick()
    return play.replay


@pytest.fixture(scope="module")
def lens(replay, minds):
    return Lens(replay, minds, contextlib.nullcontext())


def test_messages_come_out_as_they_went_in():
    arrays = {"a": np.arange(5, dtype=np.int16), "b": np.zeros((0, 3), np.float32), "c": np.ones((2, 3), np.uint8)}
    message = protocol.encode("kind", {"x": float("nan"), "y": [np.int64(3), "é"]}, **arrays)
    header, got = protocol.decode(message)
    assert (header["kind"], header["x"], header["y"]) == ("kind", None, [3, "é"])
    assert all((got[name] == array).all() and got[name].dtype == array.dtype for name, array in arrays.items())
    with pytest.raises(ValueError, match="version 2 of the viewer's messages"):
        protocol.decode(message[:4] + b"\2" + message[5:])


@settings(max_examples=200)
@given(
    st.text() | st.binary() | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*protocol.ASKED, "do", "uid"]),
        lambda some: st.lists(some) | st.dictionaries(st.sampled_from(["do", "uid", "tick", "move", "x"]), some),
    ).map(json.dumps)
)  # fmt: skip
def test_whatever_is_asked_is_understood_or_refused(message):
    with contextlib.suppress(ValueError):
        asked = protocol.read(message)
        assert set(asked) - {"do"} <= set(protocol.ASKED[asked["do"]])


def test_frames_tell_of_the_world(replay):
    totals = Totals(replay)
    depleted = np.zeros(replay.tiles.material.size, bool)
    since = -1
    for index in (0, 1, 2, 7, 30, 12, TICKS):  # with frames left out, and back
        header, told = protocol.decode(frame(replay, totals, index, since, {}))
        realm = replay.realm(index)
        depleted[told["toggled"]] ^= True
        expected = (realm.tiles.material == Material.FOREST) & (observed_material(realm) != Material.FOREST)
        np.testing.assert_array_equal(depleted, np.asarray(expected).reshape(-1))
        agents = jax.tree.map(lambda leaf, alive=realm.agents.alive: np.asarray(leaf[alive]), realm.agents)
        for name in ("uid", "row", "col", "food", "age", "damage"):
            np.testing.assert_array_equal(told[name], getattr(agents, name))
        assert header["tick"] == index
        assert told["living"].sum() == len(agents.uid)
        since = index
    died = sum(header["deaths"].values())
    assert died == sum(int(one.left.sum()) for one in replay.frames) > 0
    assert header["lifetime"] == pytest.approx(
        np.mean(np.concatenate([one.left_age[one.left] for one in replay.frames]))
    )


def test_a_frame_tells_who_hit_whom(replay):
    totals, hits = Totals(replay), 0
    for index in range(1, TICKS + 1):
        _, told = protocol.decode(frame(replay, totals, index, index - 1, {}))
        before = replay.frames[index - 1].agents
        for uid, _style, target, damage, *_ in told["attacks"]:
            slot, other = (slot_of(replay, index - 1, one) for one in (uid, target))
            assert replay.frames[index].hit[slot] == other
            assert replay.frames[index].hit_damage[slot] == damage
            hits += 1
        for uid, population, *_ in told["deaths"]:
            assert before.population[slot_of(replay, index - 1, uid)] == population
    assert hits > 0


def with_room(replay):
    """A frame in which both populations live, and have room."""
    for index, one in enumerate(replay.frames):
        blocks = one.agents.alive.reshape(2, 8)
        if blocks.any(axis=1).all() and not blocks.all(axis=1).any():
            return index
    raise AssertionError("no such frame")


def test_the_value_of_standing_is_that_of_an_agent_there(replay, minds):
    """An agent in a slot of its own, seen by nobody yet, expects what the probe did."""
    realm = replay.realm(with_room(replay))
    slot = int(np.flatnonzero(~np.asarray(realm.agents.alive[:8]))[0])
    row, col = (axis[:40] for axis in np.nonzero(np.isin(replay.tiles.material, WALKABLE)))
    values = minds.value_of_standing(realm, 0, row.astype(np.int32), col.astype(np.int32))
    for k in range(0, 40, 13):
        start = {name: int(getattr(replay.rules, f"start_{name}")) for name in ("health", "food", "water")}
        new = {
            "alive": True,
            "uid": 999,
            "population": 0,
            "row": row[k],
            "col": col[k],
            "freeze": 0,
            "age": 0,
            "damage": -1,
        }
        agents = {name: np.array(getattr(realm.agents, name)) for name in (*new, *start)}
        for name, value in {**new, **start}.items():
            agents[name][slot] = value
        judged = minds.judge(realm.replace(agents=realm.agents.replace(**agents)))
        assert values[k] == pytest.approx(judged.value[slot], rel=1e-4)


def test_dependency_is_the_difference_that_another_makes(replay, minds):
    realm = replay.realm(with_room(replay))
    slot = int(np.flatnonzero(np.asarray(realm.agents.alive[:8]))[0])
    difference = minds.dependency(realm, slot)
    free = 8 + int(np.flatnonzero(~np.asarray(realm.agents.alive[8:]))[-1])
    alone, checked = minds.judge(realm).value[slot], 0
    for at in np.argwhere(np.isfinite(difference))[::17]:
        place = np.asarray([realm.agents.row[slot], realm.agents.col[slot]]) + at - replay.config.radius
        copy = {name: leaf.at[free].set(leaf[slot]) for name, leaf in vars(realm.agents).items()}
        copy |= {"population": copy["population"].at[free].set(1), "uid": copy["uid"].at[free].set(999)}
        copy |= {
            "row": copy["row"].at[free].set(place[0].astype(np.int16)),
            "col": copy["col"].at[free].set(place[1].astype(np.int16)),
        }
        beside = minds.judge(realm.replace(agents=realm.agents.replace(**copy)))
        assert difference[tuple(at)] == pytest.approx(beside.value[slot] - alone, abs=2e-3)
        checked += 1
    assert checked > 3


def test_overlays_are_what_they_say(replay, lens):
    def values(name, index, uid=None):
        header, arrays = protocol.decode(lens.overlay(name, index, uid))
        return header, arrays["values"]

    for index in (TICKS, 9, 25):
        header, visits = values("visits", index)
        expected = np.zeros(visits.shape)
        for one in replay.frames[: index + 1]:
            agents = one.agents
            np.add.at(
                expected, (agents.population[agents.alive], agents.row[agents.alive], agents.col[agents.alive]), 1
            )
        np.testing.assert_array_equal(visits, expected)
        assert header["high"] == expected.max()
    realm = replay.realm(TICKS)
    _, forest = values("forest", TICKS)
    waiting = np.maximum(np.asarray(realm.tiles.ready_tick) - TICKS, 0)
    np.testing.assert_array_equal(forest, np.where(replay.tiles.material == Material.FOREST, waiting, np.nan))
    assert np.nanmax(forest) > 0
    _, density = values("density", TICKS)
    assert density.sum() == pytest.approx(int(realm.agents.alive.sum()), rel=0.2)  # some is blurred beyond the edge
    slot = int(np.flatnonzero(np.asarray(realm.agents.alive[:8]))[0])
    header, target = values("target", TICKS, int(realm.agents.uid[slot]))
    assert 0 <= np.nansum(target) <= 1 + 1e-5
    for name, uid, message in (("target", None, "select an agent"), ("nothing", None, "there is none of that name")):
        with pytest.raises(ValueError, match=message):
            lens.overlay(name, TICKS, uid)


def test_an_agent_is_told_as_it_is(replay, lens, minds):
    realm = replay.realm(TICKS)
    slot = int(np.flatnonzero(np.asarray(realm.agents.alive[:8]))[0])
    uid = int(realm.agents.uid[slot])
    header, told = protocol.decode(lens.agent(TICKS, uid))
    judged, obs = minds.judge(realm), observe(realm, replay.rules, replay.config)
    assert header["found"] and header["value"] == pytest.approx(judged.value[slot])
    np.testing.assert_array_equal(told["tiles"], obs.tiles[slot])
    assert told["visible"][0] == uid
    for name in ("move", "style", "target"):
        np.testing.assert_allclose(told[name], judged.probabilities[name][slot])
        np.testing.assert_allclose(told[name].sum(axis=-1), 1, rtol=1e-5)
    header, _ = protocol.decode(lens.agent(TICKS, 10_000))
    assert not header["found"]
    scripted = int(np.flatnonzero(np.asarray(realm.agents.alive[8:]))[0]) + 8
    header, told = protocol.decode(lens.agent(TICKS, int(realm.agents.uid[scripted])))
    assert header["value"] is None and "move" not in told and "tiles" in told


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
        server = await open_gallery(gallery, "127.0.0.1", 0)
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


def test_what_is_long_ago_is_forgotten(minds, monkeypatch):
    monkeypatch.setattr(show_module, "_HISTORY_BYTES", 1)
    fresh = Play(minds.env, players(NAMES, minds.env), NAMES, MapPool.generated(0, 1, minds.env.config))

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

    served(fresh, minds, session)


def test_files_are_served_and_nothing_else(play, minds):
    async def request(port, path, **headers):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        fields = {"Host": f"127.0.0.1:{port}", "Connection": "close"} | headers
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split()[1]), answer

    async def session(show, port):
        status, answer = await request(port, "/")
        assert status == 200 and b"<!doctype html>" in answer.lower()
        assert (await request(port, "/main.js"))[0] == 200
        for path in ("/../show.py", "/%2e%2e/show.py", "//etc/passwd", "/static/../../server.py", "/vendor"):
            assert (await request(port, path))[0] == 404, path
        assert (await request(port, "/", Origin="http://other.example"))[0] == 403
        for host in ("rebound.example", "[", ""):
            assert (await request(port, "/", Host=host))[0] in (400, 403)
        with pytest.raises(websockets.exceptions.InvalidStatus):
            async with connect(f"ws://127.0.0.1:{port}/ws", origin="http://other.example"):
                pass

    served(play, minds, session)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--replay", "nowhere.npz"], "nowhere.npz: No such file"),
        (["--port", "70000"], "--port 70000: allowed are 0 to 65535"),
        (["--speed", "-1"], "--speed -1.0: allowed are 0 to 60"),
        (["--realms", "0"], "--realms 0: must be at least 1"),
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
def test_bad_input(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["watch", *arguments])
    assert ended.value.code == 2
    assert f"nmmo-jax: {message}" in capsys.readouterr().err


def test_a_port_in_use_is_told(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        cli.main(["watch", "--port", str(taken.getsockname()[1])])
    assert ended.value.code == 2
    assert "Address already in use" in capsys.readouterr().err


@pytest.mark.slow
def test_what_watching_costs_is_measured():
    record = watch.main(watch.Watching(game="chaos", policy="random", agents=16, seconds=0.5, repeats=1))
    assert record["living"] > 0 and record["bytes_per_tick"] > 500
    assert record["ticks_per_second_alone"][0] > 0 and record["ticks_per_second_watched"][0] > 0
    assert "value_overlay_ms" not in record


def test_nobody_trained_is_seen_into_as_far_as_can_be(replay):
    lens = Lens(replay, Minds(make("chaos", **WORLD), ("random",)), contextlib.nullcontext())
    assert [one["name"] for one in lens.list()] == ["forest", "visits", "density"]
    agents = replay.frames[TICKS].agents
    header, told = protocol.decode(lens.agent(TICKS, int(agents.uid[agents.alive][0])))
    assert header["value"] is None and told["tiles"].any() and "move" not in told
    with pytest.raises(ValueError, match="none of that name here"):
        lens.overlay("value", TICKS, None)
