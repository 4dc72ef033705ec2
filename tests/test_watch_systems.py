"""The viewer in a world with a game system: what it is sent follows from declarations, and people can choose."""

import json
import threading

import numpy as np
import pytest
from PIL import ImageColor
from watched import MANNERS, ZOO, begun, played, served, until
from websockets.asyncio.client import connect

from nmmo_jax import make
from nmmo_jax.declarations import Column, Table
from nmmo_jax.kinds import Material
from nmmo_jax.presets import preset
from nmmo_jax.system import System
from nmmo_jax.viewer import protocol, scene
from nmmo_jax.viewer.declared import colours_of_things, things
from nmmo_jax.viewer.inspector import Inspector
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.render import Painter
from nmmo_jax.viewer.scene import Totals, slot_of
from nmmo_jax.world.draw import PALETTE, palette

NAMES = ("wanderer",)


@pytest.fixture(scope="module")
def play():
    play = begun(*NAMES, systems=[MANNERS])
    played(play, 4)
    return play


@pytest.fixture(scope="module")
def policies(play):
    return TrainedPolicies(play.env, NAMES)


@pytest.mark.slow
def test_an_agent_has_what_systems_keep_of_it(play, policies):
    """By system and column, so that two systems may have columns of one name."""
    frame = play.replay.frames[-1]
    slot = int(np.flatnonzero(frame.agents.alive)[0])
    inspector = Inspector(play.replay, policies, threading.Lock())
    header, _ = protocol.decode(inspector.agent(len(play.replay), int(frame.agents.uid[slot])))
    own = {column.name: frame.of["manners"][column.name][slot] for column in MANNERS.agents}
    assert header["own"] == {f"manners.{name}": value for name, value in own.items()}


@pytest.mark.slow
def test_a_hello_has_what_is_declared(play):
    header, _ = protocol.decode(scene.hello(play.replay, ["#000000"] * 2, {}))
    assert [one["name"] for one in header["causes"]] == ["lava", "starvation", "thirst", "combat", "boredom"]
    assert len({one["colour"] for one in header["causes"]}) == 5
    assert {one["name"]: one["meaning"] for one in header["own"]} == {"manners.pose": "as it was chosen"} | {
        f"manners.{name}": "" for name in ("friend", "gift", "place")
    }
    assert header["tables"] == []  # gifts have no place
    arguments = {one["name"]: one for one in header["arguments"]}
    assert list(arguments) == ["move", "style", "target", "pose", "friend", "gift", "place", "leader"]
    assert arguments["move"]["labels"] == ["stay", "east", "south", "west", "north"]
    assert [arguments["pose"][name] for name in ("system", "size", "nothing", "among", "labels")] == [
        "manners", 3, 0, "", None,
    ]  # fmt: skip
    assert arguments["friend"]["among"] == "visible" and arguments["friend"]["size"] == 16
    assert [arguments["gift"][name] for name in ("among", "size", "table")] == ["gifts", 4, "manners.gifts"]
    assert [one["name"] for one in arguments["gift"]["columns"]] == ["kind"]
    assert [name for name, one in arguments.items() if one["head"] == "give"] == ["gift", "place"]
    assert [name for name, one in arguments.items() if one["agents"]] == ["target", "friend", "leader"]
    assert [one["name"] for one in header["stats"]] == ["health", "food", "water"]
    assert "immune" in header["agents"] and "alive" not in header["agents"]


@pytest.fixture(scope="module")
def zoo():
    play = begun(*NAMES, systems=[ZOO])
    played(play, 3)
    return play


@pytest.mark.slow
def test_things_with_a_place_are_sent_with_each_frame(zoo):
    replay = zoo.replay
    header, _ = protocol.decode(scene.hello(replay, ["#000000"] * 2, {}))
    (table,) = header["tables"]
    assert table["name"] == "zoo.beasts" and table["kind"] == "kind" and table["low"] == 0
    assert [one["name"] for one in table["kinds"]] == ["hen", "goblin", "troll"]
    assert len({one["colour"] for one in table["kinds"]}) == 3
    assert [one["name"] for one in table["columns"]] == ["row", "col", "level", "kind"]
    assert table["columns"][3]["names"] == ["hen", "goblin", "troll"]
    totals = Totals(replay)
    for index, living in ((0, 0), (1, 3), (3, 3)):
        _, told = protocol.decode(scene.frame(replay, totals, index, index - 1, {}))
        assert told["table.zoo.beasts"].tolist() == [0, 1, 2][:living]
        for name in ("row", "col", "level", "kind"):
            kept = replay.frames[index].of["zoo"]["beasts"][name]
            np.testing.assert_array_equal(told[f"table.zoo.beasts.{name}"], kept[:living])
            assert told[f"table.zoo.beasts.{name}"].dtype == kept.dtype
    arguments = {one["name"]: one for one in header["arguments"]}
    assert arguments["prey"]["table"] == "zoo.beasts" and arguments["use"]["table"] == ""
    assert arguments["make"]["labels"] == ["nothing", "hook", "line"]


@pytest.mark.slow
def test_things_are_in_pictures(zoo):
    """A diamond in the colour of the kind, where nobody stands before it."""
    painter, replay = Painter(zoo.replay, [3], scale=12), zoo.replay
    picture, seen = painter.picture(0), 0
    (top, left), _ = scene.land(np.asarray(replay.tiles.material), 2)
    (colours,), agents = colours_of_things(replay.config), replay.frames[3].agents
    beasts = replay.frames[3].of["zoo"]["beasts"]
    for row, col, kind in zip(beasts["row"][:3], beasts["col"][:3], beasts["kind"][:3], strict=True):
        if not (agents.alive & (agents.row == row) & (agents.col == col)).any():
            y, x = (int(at) * 12 + 6 for at in (row - top, col - left))
            assert (picture[y - 1 : y + 1, x - 1 : x + 1] == ImageColor.getrgb(colours[kind])).all()
            seen += 1
    assert seen


def test_pictures_explain_what_systems_add(zoo):
    """Below them is what every kind of thing is called, and every material there is, ready and not."""
    replay = zoo.replay
    painter = Painter(replay, [3], scale=12)
    _, (tiles, _) = scene.land(np.asarray(replay.tiles.material), 2)
    picture = painter.picture(0)
    rows = picture.shape[0] - 60 - 12 * tiles
    legend = picture[-rows:].reshape(-1, 3)
    (colours,) = colours_of_things(replay.config)
    there = [PALETTE[one] for one in np.unique(replay.tiles.material) if one != Material.SCRUB]
    for colour in [*map(ImageColor.getrgb, colours), *there, PALETTE[Material.SCRUB]]:
        assert (legend == colour).all(-1).any(), colour
    assert rows > 18 and picture.shape == (*painter.shape, 3)


def test_things_are_told_from_the_ground():
    """Their colours are far from those of all materials that a world has, the ones of its systems too."""
    config = preset("mmo")[0]
    colours = np.array([ImageColor.getrgb(one) for one in colours_of_things(config)[0]])
    assert np.linalg.norm(colours[:, None] - palette(config).astype(int), axis=-1).min() > 60


def test_what_a_map_has_kinds_of_is_told_by_number_where_it_has_no_names():
    bare = System("bare", tables=[Table("rocks", 3, [Column("row"), Column("col")])])
    kinds = Column("kind", empty=4, low=4, high=5, category=True)
    herd = System("herd", tables=[Table("sheep", 3, [Column("row"), Column("col"), kinds]), Table("other", 2, [kinds])])
    rocks, sheep = things(make("chaos", systems=[bare, herd]).config)
    assert (rocks["kind"], [one["name"] for one in rocks["kinds"]]) == (None, ["rocks"])
    assert (sheep["kind"], sheep["low"], [one["name"] for one in sheep["kinds"]]) == ("kind", 4, ["sheep 4", "sheep 5"])
    assert len({one["colour"] for one in rocks["kinds"] + sheep["kinds"]}) == 3


def test_a_person_chooses_what_systems_offer(play, policies):
    async def session(playback, port):
        playback.set_pace(paused=True)
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:

            async def do(**asked):
                await socket.send(json.dumps(asked))

            async def refused(text, **asked):
                await do(**asked)
                await until(socket, lambda header, _: header["kind"] == "error" and text in header["message"])

            async def tick():
                """Plays one: its frame, and the mask after it."""
                wanted = playback.newest + 1
                await do(do="step")
                _, mask = await until(socket, lambda header, _: header["kind"] == "mask" and header["tick"] == wanted)
                return playback.view.replay.frames[wanted], mask

            header, arrays = await until(socket, lambda header, _: header["kind"] == "frame")
            uid, other = (int(one) for one in arrays["uid"][:2])
            await refused("take an agent first", do="act", choices={"pose": 1})
            await do(do="take", uid=uid)
            _, mask = await until(socket, lambda header, _: header["kind"] == "mask" and header["uid"] == uid)
            assert mask["mask.pose"].tolist() == [1, 1, 0] and mask["visible"][0] == uid
            assert mask["mask.friend"].shape == mask["visible"].shape and mask["mask.target"].ndim == 2
            await refused("pose 3: allowed are 0 to 2", do="act", choices={"pose": 3})
            await refused("has no dance", do="act", choices={"dance": 1})
            slot = slot_of(play.replay, header["tick"], uid)
            await do(do="act", choices={"pose": 1})
            await do(do="act", choices={"friend": other})  # the other stays as it was asked for
            frame, mask = await tick()
            assert frame.choices["pose"][slot] == 1
            assert frame.of["manners"]["friend"][slot] == other
            assert mask["mask.pose"].tolist() == [1, 1, 1]
            assert mask["thing.gift"].tolist() == [-1, 2, -1, 0] and mask["shown.gift"].tolist() == [[7], [0], [5]]
            assert mask["mask.gift"].tolist() == [1, 1, 0, 1]
            place = mask["thing.place"].reshape(15, 15)[7]
            assert place[7] == -1 and place[8] == place[6] + 2
            await refused("gift 4: allowed are -1 to 3", do="act", choices={"gift": 4})
            # Who is listed is known by uid: another may hold the slot when the choice comes.
            listed, agents = mask["thing.leader"], frame.agents
            assert listed[0] == -1 and listed[1] == uid and set(listed[2:]) - {-1} <= set(agents.uid[agents.alive])
            leader = int(listed[listed >= 0][-1])
            assert (where := slot_of(playback.view.replay, playback.newest, leader)) != leader
            await do(do="act", choices={"leader": 2**31 - 1})  # nobody
            frame, _ = await tick()
            assert frame.choices["leader"][slot] == -1
            await do(do="act", choices={"leader": leader})
            frame, _ = await tick()
            assert frame.choices["leader"][slot] == where
            await do(do="act", choices={"gift": 2, "place": int(place[8])})
            frame, mask = await tick()
            assert frame.of["manners"]["gift"][slot] == 2 and frame.of["manners"]["place"][slot] == place[8]
            frame, mask = await tick()  # nothing was asked for
            assert frame.choices["pose"][slot] == 0 and frame.choices["friend"][slot] == -1
            assert mask["mask.pose"].tolist() == [1, 1, 0]
            await do(do="act", choices={"pose": 1, "friend": -1})
            frame, _ = await tick()
            assert frame.choices["pose"][slot] == 1 and frame.of["manners"]["friend"][slot] == -1
            others = np.arange(len(frame.choices["pose"])) != slot
            assert not frame.choices["pose"][others].any()  # who plays by itself is not touched

    served(play, policies, session, realms=1)
