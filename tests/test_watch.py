"""The viewer: what browsers are told of a world, and what they may say."""

import contextlib
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import MANNERS, WORLD, begun, played

from nmmo_jax import make
from nmmo_jax.bench import watch
from nmmo_jax.components import observed_material
from nmmo_jax.kinds import WALKABLE, Material
from nmmo_jax.observations import observe
from nmmo_jax.viewer import protocol
from nmmo_jax.viewer.inspector import Inspector
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.scene import Totals, attack_map, frame, land, slot_of, told_apart
from train.policy import load_named

NAMES = ("chaos128", "forager")
TICKS = 40
CHOICES = protocol.choice_fields(make("chaos", systems=[MANNERS]).config)


@pytest.fixture(scope="module")
def play():
    return begun(*NAMES)


@pytest.fixture(scope="module")
def policies(play):
    return TrainedPolicies(play.env, NAMES, load_named)


@pytest.fixture(scope="module")
def replay(play):
    return played(play, TICKS)


@pytest.fixture(scope="module")
def inspector(replay, policies):
    return Inspector(replay, policies, contextlib.nullcontext())


def test_messages_come_out_as_they_went_in():
    arrays = {"a": np.arange(5, dtype=np.int16), "b": np.zeros((0, 3), np.float32), "c": np.ones((2, 3), np.uint8)}
    message = protocol.encode("kind", {"x": float("nan"), "y": [np.int64(3), "é"]}, **arrays)
    header, got = protocol.decode(message)
    assert (header["kind"], header["x"], header["y"]) == ("kind", None, [3, "é"])
    assert all((got[name] == array).all() and got[name].dtype == array.dtype for name, array in arrays.items())
    with pytest.raises(ValueError, match="version 2 of the viewer's messages"):
        protocol.decode(message[:4] + b"\2" + message[5:])


def test_populations_can_be_told_apart_by_name():
    assert told_apart(["a", "b"]) == ["a", "b"]
    assert told_apart(["a"] * 3) == ["a 1", "a 2", "a 3"]
    assert told_apart(["a", "b", "a", "b", "c"]) == ["a 1", "b 1", "a 2", "b 2", "c"]
    assert told_apart(["a", "a 1", "a"]) == ["a 2", "a 1", "a 3"]


def test_land_is_what_is_not_lava():
    material = np.zeros((9, 12), np.uint8)
    assert land(material) == ((0, 0), (9, 12))  # none at all
    material[3:6, 2:11] = Material.GRASS
    material[4, 5] = Material.LAVA
    assert land(material) == ((3, 2), (3, 9)) and land(material, 2) == ((1, 0), (7, 12))


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.text() | st.binary() | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*protocol.REQUESTS, "do", "uid"]),
        lambda some: st.lists(some) | st.dictionaries(st.sampled_from(["do", "uid", "tick", "move", "x"]), some),
    ).map(json.dumps)
)  # fmt: skip
def test_whatever_is_asked_is_understood_or_refused(message):
    with contextlib.suppress(ValueError):
        asked = protocol.parse_request(message, CHOICES)
        assert set(asked) - {"do"} <= set(protocol.REQUESTS[asked["do"]])


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ('{"do": "speed", "seconds": -5}', "speed: seconds -5: allowed are 0 to 60"),
        ('{"do": "speed", "seconds": 60.1}', "speed: seconds 60.1: allowed are 0 to 60"),
        ('{"do": "speed", "seconds": NaN}', "speed: seconds NaN: allowed are 0 to 60"),
        ('{"do": "speed", "seconds": 1e999}', "speed: seconds Infinity: allowed are 0 to 60"),
        ('{"do": "speed", "seconds": true}', "speed: seconds true: must be a number"),
        ('{"do": "speed", "seconds": [[]]}', "speed: seconds list: must be a number"),
        ('{"do": "speed"}', "speed: seconds is missing"),
        ('{"do": "speed", "seconds": 1, "minutes": 2}', "speed: has no minutes"),
        ('{"do": "play", "seconds": 1}', "play: has no seconds"),
        ('{"do": "realm", "realm": -1}', "realm: realm -1: allowed are 0 to 2147483647"),
        ('{"do": "realm", "realm": 1.0}', "realm: realm 1.0: must be a whole number"),
        ('{"do": "seek", "tick": 1e5}', "seek: tick 100000.0: must be a whole number"),
        ('{"do": "seek", "tick": null}', "seek: tick null: must be a whole number"),
        ('{"do": "select", "uid": 2147483648}', "select: uid 2147483648: allowed are 0 to 2147483647"),
        ('{"do": "take", "uid": -1}', "take: uid -1: allowed are 0 to 2147483647"),
        ('{"do": "act"}', "act: choices is missing"),
        ('{"do": "act", "choices": [1]}', "act: choices list: must be an object"),
        ('{"do": "act", "choices": {"move": 5}}', "act: move 5: allowed are 0 to 4"),
        ('{"do": "act", "choices": {"style": -1}}', "act: style -1: allowed are 0 to 2"),
        ('{"do": "act", "choices": {"target": -2}}', "act: target -2: allowed are -1 to 2147483647"),
        ('{"do": "act", "choices": {"pose": 3}}', "act: pose 3: allowed are 0 to 2"),
        ('{"do": "act", "choices": {"pose": "1"}}', "act: pose 1: must be a whole number"),
        ('{"do": "act", "choices": {"friend": -2}}', "act: friend -2: allowed are -1 to 2147483647"),
        ('{"do": "act", "choices": {"dance": 1}}', "act: has no dance"),
        ('{"do": "overlay", "name": 5}', "overlay: name 5: must be a text"),
        ('{"do": "seek", "tick": ' + "9" * 60 + "}", "seek: tick " + "9" * 40 + "…: allowed are"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(message, error):
    with pytest.raises(ValueError) as refused:
        protocol.parse_request(message, CHOICES)
    assert str(refused.value).startswith(error)


@pytest.mark.slow
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
        assert header["age"] == pytest.approx(agents.age.mean())
        since = index
    died = sum(header["deaths"].values())
    assert died == sum(int(one.left.sum()) for one in replay.frames) > 0
    assert header["lifetime"] == pytest.approx(
        np.mean(np.concatenate([one.left_age[one.left] for one in replay.frames]))
    )


@pytest.mark.slow
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


def test_hits_from_far_are_on_the_map_of_hits():
    """Which is as wide as the longest reach, but not wider than agents see."""

    def hits(reach, view, row):
        agents = SimpleNamespace(uid=np.array([7, 8]), row=np.array([10, row]), col=np.array([10, 10]))
        frame = SimpleNamespace(agents=agents, hit=np.array([1, -1]), style=np.array([2, 0]))
        rules, config = SimpleNamespace(attack_range=(1, 2, reach)), SimpleNamespace(radius=view)
        return attack_map(SimpleNamespace(frames=[frame, frame], rules=rules, config=config), 1, 0)

    shown = hits(reach=5, view=7, row=15)
    assert shown.shape == (11, 11, 3) and shown[10, 5, 2] == shown.sum() == 1
    assert hits(reach=3, view=7, row=12).shape == (7, 7, 3)
    assert hits(reach=30_000, view=4, row=12)[6, 4, 2] == 1


def with_room(replay):
    """A frame in which both populations live, and have room."""
    for index, one in enumerate(replay.frames):
        blocks = one.agents.alive.reshape(2, 8)
        if blocks.any(axis=1).all() and not blocks.all(axis=1).any():
            return index
    raise AssertionError("no such frame")


@pytest.mark.slow
def test_the_value_of_standing_is_that_of_an_agent_there(replay, policies):
    """An agent in a slot of its own, seen by nobody yet, expects what the probe did."""
    realm = replay.realm(with_room(replay))
    slot = int(np.flatnonzero(~np.asarray(realm.agents.alive[:8]))[0])
    row, col = (axis[:40] for axis in np.nonzero(np.isin(replay.tiles.material, WALKABLE)))
    values = policies.tile_values(realm, 0, row.astype(np.int32), col.astype(np.int32))
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
        judged = policies.forward(realm.replace(agents=realm.agents.replace(**agents)))
        assert values[k] == pytest.approx(judged.value[slot], rel=1e-4)


@pytest.mark.slow
def test_dependency_is_the_difference_that_another_makes(replay, policies):
    realm = replay.realm(with_room(replay))
    slot = int(np.flatnonzero(np.asarray(realm.agents.alive[:8]))[0])
    difference = policies.dependency(realm, slot)
    free = 8 + int(np.flatnonzero(~np.asarray(realm.agents.alive[8:]))[-1])
    alone, checked = policies.forward(realm).value[slot], 0
    for at in np.argwhere(np.isfinite(difference))[::17]:
        place = np.asarray([realm.agents.row[slot], realm.agents.col[slot]]) + at - replay.config.radius
        copy = {name: leaf.at[free].set(leaf[slot]) for name, leaf in vars(realm.agents).items()}
        copy |= {"population": copy["population"].at[free].set(1), "uid": copy["uid"].at[free].set(999)}
        copy |= {
            "row": copy["row"].at[free].set(place[0].astype(np.int16)),
            "col": copy["col"].at[free].set(place[1].astype(np.int16)),
        }
        beside = policies.forward(realm.replace(agents=realm.agents.replace(**copy)))
        assert difference[tuple(at)] == pytest.approx(beside.value[slot] - alone, abs=2e-3)
        checked += 1
    assert checked > 3


@pytest.mark.slow
def test_overlays_are_what_they_say(replay, inspector):
    def values(name, index, uid=None):
        header, arrays = protocol.decode(inspector.overlay(index, name, uid))
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
            inspector.overlay(TICKS, name, uid)


@pytest.mark.slow
def test_an_agent_is_told_as_it_is(replay, inspector, policies):
    realm = replay.realm(TICKS)
    slot = int(np.flatnonzero(np.asarray(realm.agents.alive[:8]))[0])
    uid = int(realm.agents.uid[slot])
    header, told = protocol.decode(inspector.agent(TICKS, uid))
    judged, obs = policies.forward(realm), observe(realm, replay.rules, replay.config)
    assert header["found"] and header["value"] == pytest.approx(judged.value[slot])
    np.testing.assert_array_equal(told["tiles"], obs.tiles[slot])
    assert told["visible"][0] == uid
    for name in ("move", "style", "target"):
        shares = told[f"probability.{name}"]
        np.testing.assert_allclose(shares, judged.probabilities[name][slot])
        np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-5)
    header, _ = protocol.decode(inspector.agent(TICKS, 10_000))
    assert not header["found"]
    scripted = int(np.flatnonzero(np.asarray(realm.agents.alive[8:]))[0]) + 8
    header, told = protocol.decode(inspector.agent(TICKS, int(realm.agents.uid[scripted])))
    assert header["value"] is None and "probability.move" not in told and "tiles" in told


@pytest.mark.slow
def test_what_watching_costs_is_measured():
    record = watch.main(watch.WatchBenchmark(game="chaos", policy="random", agents=16, seconds=0.5, repeats=1))
    assert record["living"] > 0 and record["bytes_per_tick"] > 500
    assert record["ticks_per_second_alone"][0] > 0 and record["ticks_per_second_watched"][0] > 0
    assert "value_overlay_ms" not in record


def test_nobody_trained_is_seen_into_as_far_as_can_be(replay):
    inspector = Inspector(replay, TrainedPolicies(make("chaos", **WORLD), ("random",)), contextlib.nullcontext())
    assert [one["name"] for one in inspector.list()] == ["forest", "visits", "density"]
    agents = replay.frames[TICKS].agents
    header, told = protocol.decode(inspector.agent(TICKS, int(agents.uid[agents.alive][0])))
    assert header["value"] is None and told["tiles"].any() and "probability.move" not in told
    with pytest.raises(ValueError, match="none of that name here"):
        inspector.overlay(TICKS, "value", None)
