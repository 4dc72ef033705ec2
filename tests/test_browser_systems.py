"""The client in a real browser, in worlds with game systems: what is shown of them, and what people choose."""

import contextlib

import numpy as np
import pytest
from browsing import at_rest, keep, needs_browser, state, step, sync_api, until
from slow import slow_but
from watched import MANNERS, ZOO, begun, played

from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.hub import Hub
from nmmo_jax.viewer.playback import Playback
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.scene import slot_of
from nmmo_jax.viewer.server import serving
from nmmo_jax.world.draw import population_colours

pytestmark = needs_browser
expect = sync_api.expect


@contextlib.contextmanager
def watching(browser, system, ticks, width=1280, height=800):
    """A page that shows a world with a system, standing still; its playback and its page."""
    play = begun("wanderer", systems=[system])
    played(play, ticks)
    playback = Playback(play, 1, TrainedPolicies(play.env, ("wanderer",)), seconds=0.3)
    playback.set_pace(paused=True)
    hub = Hub(playback, population_colours(2), {"game": "chaos", "can": {"take": True}})
    with serving(hub, Access()) as port:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"http://127.0.0.1:{port}/")
        until(page, "window.nmmo?.state.ready", 30)
        yield playback, page
        assert page.evaluate("window.nmmo.state.errors") == []
        page.close()


def take(page, playback, uid=None):
    """Plays an agent: its slot."""
    page.keyboard.press("n")
    while uid is not None and state(page, "state.selected?.uid") != uid:
        page.keyboard.press("n")
    page.keyboard.press("g")
    until(page, "window.nmmo.state.taken != null")
    return slot_of(playback.view.replay, playback.newest, state(page, "state.taken"))


def masked(page, playback):
    """Waits for what can be chosen after the newest frame."""
    until(page, f"window.nmmo.state.masked === {playback.newest}")


def menu(page, name):
    """The menu of an argument, open."""
    argument = name.rpartition(" ")[2]
    part = page.locator(f"#control section:has-text('{name}')")
    if part.is_hidden():
        page.locator("#control .tabs").get_by_role("button", name=argument, exact=True).click()
    return part


@pytest.mark.slow
def test_a_person_chooses_what_a_system_offers(browser):
    """By mouse and by keyboard; what does nothing now cannot be chosen."""
    with watching(browser, MANNERS, 4) as (playback, page):
        slot = take(page, playback)
        uid = state(page, "state.taken")
        pose = menu(page, "manners: pose")
        assert "0 stand, 1 sit, 2 lie" in pose.inner_text()
        lie = pose.get_by_role("button", name="2", exact=True)
        expect(lie).to_be_disabled()
        pose.get_by_role("button", name="1", exact=True).click()
        menu(page, "manners: gift").get_by_role("button", name="1 kind 7", exact=True).click()
        place = menu(page, "manners: place").locator("input")
        place.fill("113")
        place.press("Enter")
        other = menu(page, "manners: friend").get_by_role("button", disabled=False).nth(1)
        other_uid = int(other.inner_text().rpartition("#")[2])
        other.click()
        keep(page, "chosen")
        assert step(page, playback).choices["pose"][slot] == 1
        frame = playback.view.replay.frames[playback.newest]
        assert frame.of["manners"]["friend"][slot] == other_uid != uid
        before = playback.view.replay.frames[playback.newest - 1].agents
        assert frame.choices["gift"][slot] == 2  # the row that is listed first
        assert frame.choices["place"][slot] == before.row[slot] * 20 + before.col[slot] + 1  # right of the middle
        for _ in MANNERS.arguments[1:]:  # from friend, which was clicked last, around to pose
            page.keyboard.press("c")
        expect(lie).to_be_enabled()
        page.keyboard.press("Digit2")
        expect(lie).to_have_attribute("aria-pressed", "true")
        assert step(page, playback).choices["pose"][slot] == 2
        expect(lie).to_have_attribute("aria-pressed", "false")
        assert step(page, playback).choices["pose"][slot] == 0
        place = menu(page, "manners: place").locator("input")
        for typed in ("113", ""):  # emptied, it chooses nothing else
            place.fill(typed)
            place.press("Enter")
        agents = playback.view.replay.frames[playback.newest].agents
        beside = int(agents.row[slot]) * 20 + int(agents.col[slot]) + 1
        assert place.evaluate("(field) => field.validity.valid")
        place.blur()
        assert step(page, playback).choices["place"][slot] == beside
        # What its action asks for beside it can be chosen ticks later: both are done then.
        menu(page, "manners: gift").get_by_role("button", name="1 kind 7", exact=True).click()
        frame = step(page, playback)
        assert frame.choices["gift"][slot] == 2 and frame.choices["place"][slot] >= 0
        assert step(page, playback).choices["gift"][slot] == -1


@pytest.mark.slow
def test_things_are_drawn_and_told_where_one_points(browser):
    with watching(browser, ZOO, 3) as (playback, page):
        beasts = playback.view.replay.frames[3].of["zoo"]["beasts"]
        told = state(page, "state.things")
        assert state(page, "state.thingsDrawn") == len(told) == 3
        for number, one in enumerate(told):
            assert one["number"] == number
            assert all(one[name] == beasts[name][number] for name in ("row", "col", "kind", "level"))
        page.keyboard.press("t")
        page.mouse.move(*at_rest(page, "state.thingPosition(0, 1)"))
        label = page.locator("#thing")
        expect(label).to_contain_text("goblin 1")
        expect(label).to_contain_text(f"row{beasts['row'][1]}")
        expect(label).to_contain_text("level6")
        keep(page, "things")
        page.mouse.move(300, 790)
        expect(label).to_be_hidden()
        kinds = page.locator("#world .kinds")
        assert [one.inner_text() for one in kinds.locator("li:has(.thing)").all()] == ["hen", "goblin", "troll"]
        expect(kinds.locator("li:has-text('forest') i")).to_have_count(2)  # ready, and harvested
        expect(kinds.locator("li:has-text('water') i")).to_have_count(1)
        page.keyboard.press("n")
        kept = page.locator("#inspector .kept")
        until(page, "document.querySelector('#inspector .kept table')")
        expect(kept).to_contain_text("rank")
        rows = [one.inner_text().split() for one in kept.locator("tbody tr").all()]
        assert rows[:2] == [
            ["place", "2", "ration", "6", "no"],
            ["place", "4", "hat", "3", "yes"],
        ]  # the others are empty
        assert rows[2:] == [["fishing", "1"], ["carving", "1"]]
        keep(page, "kept")


@pytest.mark.parametrize("size", slow_but((390, 844), of=[(1280, 800), (390, 844), (844, 390)]))
def test_a_person_hunts_and_uses_what_it_carries_by_keyboard(browser, size):
    with watching(browser, ZOO, 1, *size) as (playback, page):
        slot = take(page, playback, int(playback.view.replay.frames[1].agents.uid[1]))
        masked(page, playback)
        frame = playback.view.replay.frames[1]
        at, names = (
            (int(frame.agents.row[slot]), int(frame.agents.col[slot])),
            playback.view.replay.config.material_names,
        )
        ground = page.locator("#control .ground")
        material = np.asarray(playback.view.replay.tiles.material)
        spent = np.isin(np.arange(material.size), playback.view.replay.toggles(-1, 1)).reshape(material.shape)
        beside = {"stands on": (0, 0), "north": (-1, 0), "east": (0, 1), "south": (1, 0), "west": (0, -1)}
        for word, (down, right) in beside.items():
            tile = at[0] + down, at[1] + right
            expect(ground).to_contain_text(f"{word} {'harvested ' if spent[tile] else ''}{names[material[tile]]}")
        page.keyboard.press("Digit4")
        page.keyboard.press("f")
        expect(page.locator("#control .note").first).to_contain_text("attacks goblin level 6 here")
        frame = step(page, playback)
        assert frame.of["zoo"]["struck"][slot] == 1 and frame.style[slot] == 1  # who stands on the same tile
        masked(page, playback)
        page.keyboard.down("f")  # held, it strikes in every tick
        for _ in range(2):
            masked(page, playback)
            assert step(page, playback).of["zoo"]["struck"][slot] == 1
        page.keyboard.up("f")
        step(page, playback)
        assert step(page, playback).of["zoo"]["struck"][slot] == -1
        page.keyboard.press("c")
        page.keyboard.press("c")
        use = page.locator("#control section:has-text('zoo: use')")
        buttons = [one.inner_text() for one in use.get_by_role("button").all() if one.is_visible()]
        assert buttons == ["0 nothing", "1 empty", "2 ration level 6", "3 empty", "4 hat level 3 worn"]
        page.keyboard.press("Digit1")  # nothing is there
        page.keyboard.press("Digit2")
        keep(page, f"menu-{size[0]}")
        assert step(page, playback).of["zoo"]["used"][slot] == 1
        page.keyboard.press("c")
        expect(page.locator("#control section:has-text('zoo: make')")).to_contain_text("2 line")
        page.keyboard.press("Digit2")
        assert step(page, playback).of["zoo"]["made"][slot] == 2
        page.keyboard.press("Escape")
        expect(page.locator("#control .menu section:visible")).to_have_count(0)
        at_rest(page, "state.thingPosition(0, 1)")
        keep(page, f"hunt-{size[0]}")
        masked(page, playback)
        page.mouse.click(*at_rest(page, "state.thingPosition(0, 1)"))
        assert step(page, playback).of["zoo"]["struck"][slot] == 1
        masked(page, playback)
        page.keyboard.press("f")  # the same again, and not the first of those that are as near
        assert step(page, playback).of["zoo"]["struck"][slot] == 1
        box = page.locator("#control").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0]
        page.keyboard.press("?")
        expect(page.locator("#help")).to_contain_text("strike the nearest thing in reach")
        keep(page, f"help-{size[0]}")


@pytest.mark.slow
def test_choices_of_systems_in_words(browser):
    """Of tiles and of what is listed those that are most probable, by what they are."""
    with watching(browser, MANNERS, 1) as (_, page):
        found = page.evaluate(
            """async () => {
        const { Inspector } = await import("./inspector.js");
        const world = { view: 5, nameOf: (uid) => `#${uid}` };
        const byChoice = (about, shares, data) =>
            Inspector.prototype.byChoice.call({ world }, { columns: [], ...about }, shares, data).map(
                (row) => row.querySelector("span")?.textContent ?? row.textContent);
        const number = (name) => ({ name, names: [], low: 0 });
        const tiles = new Array(25).fill(0.01);
        [tiles[20], tiles[12]] = [0.5, 0.2];
        const data = { "thing.gift": [-1, 7, -1, 3], "shown.gift": [4, 0, 9], "thing.leader": [-1, 6],
            "shown.leader": [2, 5] };
        return [
            byChoice({ name: "place", among: "window", nothing: 12 }, tiles),
            byChoice({ name: "gift", among: "gifts", nothing: 0, columns: [number("kind")] }, [0.1, 0.3, 0, 0.6], data),
            byChoice({ name: "leader", among: "pack", agents: true, nothing: 0,
                columns: [number("pose"), number("age")] }, [0.1, 0.9], data),
            byChoice({ name: "pose", among: "" }, [0.2, 0, 0.8]),
        ]; }"""
        )
        assert found[0][:2] == ["+2 row -2 col", "nothing"] and found[0][16:] == ["and 9 more"]
        assert found[1:] == [["kind 9", "kind 4", "nothing"], ["#6 pose 2 age 5", "nobody"], ["0", "1", "2"]]
