"""The first look at a world in a real browser, on screens of all sizes."""

import re
import threading
import time

import pytest
from browsing import at_rest, eventually, keep, needs_browser, state, sync_api, until
from watched import begun, played

from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.hub import Hub
from nmmo_jax.viewer.playback import Playback
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.server import serving
from nmmo_jax.world.draw import population_colours

pytestmark = needs_browser
expect = sync_api.expect
SCREENS = {"desktop": (1280, 800), "upright": (390, 844), "lying": (844, 390)}


@pytest.fixture(scope="module")
def served():
    """A world in which nobody has died yet, all populations of one policy, and its address."""
    play = begun("forager")
    played(play, 3)
    playback = Playback(play, 1, TrainedPolicies(play.env, ("forager",)), seconds=0.6)
    playback.set_pace(paused=True)
    with serving(Hub(playback, population_colours(2), {"game": "chaos", "can": {}}), Access()) as port:
        yield play.replay, f"http://127.0.0.1:{port}/"


@pytest.fixture
def opened(browser, served):
    """``opened(width, height)``: the page in a window of that size."""
    pages = []

    def open_page(width, height):
        pages.append(browser.new_page(viewport={"width": width, "height": height}))
        pages[-1].goto(served[1])
        until(pages[-1], "window.nmmo?.state.ready", 30)
        return pages[-1]

    yield open_page
    for page in pages:
        assert page.evaluate("window.nmmo.state.errors") == []
        page.close()


def box(page, place):
    """Left, top, right, bottom."""
    found = page.locator(place).bounding_box()
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


def land_is_framed(page):
    """All of it is in the picture, below the switches, and fills it one way or the other."""
    left, top, right, bottom = box(page, "#view")
    top = box(page, "#chips")[3]
    row, col, rows, columns = state(page, "state.land")
    corners = [(row + i * rows, col + j * columns) for i in (0, 1) for j in (0, 1)]
    places = [state(page, f"state.screenPlace({r}, {c})") for r, c in corners]
    xs, ys = zip(*places, strict=True)
    assert left <= min(xs) < max(xs) <= right and top <= min(ys) < max(ys) <= bottom, (places, left, top, right, bottom)
    assert max(xs) - min(xs) > 0.95 * (right - left) or max(ys) - min(ys) > 0.9 * (bottom - top)


def lies_beside_the_view(page, panel, width, height):
    left, top, right, bottom = box(page, f"#{panel}")
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert bottom - top > 0.35 * height and right - left > 240
    seen = box(page, "#view")  # beside the panel, not below it
    assert seen[0] >= right - 1 or seen[2] <= left + 1 or seen[3] <= top + 1


@pytest.mark.parametrize("screen", SCREENS)
def test_all_land_is_seen_at_first_and_nothing_lies_over_it(opened, screen):
    page = opened(*SCREENS[screen])
    eventually(page, land_is_framed)
    keep(page, f"first-{screen}")
    width, height = SCREENS[screen]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("n")
    for panel in ("inspector", "world"):
        if page.locator(f"#{panel}").is_hidden():
            page.locator(f"#show-{panel}").click()
        eventually(page, lambda page, panel=panel: lies_beside_the_view(page, panel, width, height))
        keep(page, f"{panel}-{screen}")
    for button in page.locator("header button:visible, footer button:visible, footer select").all():
        found = button.bounding_box()
        assert found["x"] >= 0 and found["x"] + found["width"] <= width, button
        assert found["y"] >= 0 and found["y"] + found["height"] <= height, button


def test_the_land_stays_framed_when_a_phone_is_turned_until_somebody_looks_elsewhere(opened):
    page = opened(*SCREENS["upright"])
    page.set_viewport_size({"width": 844, "height": 390})
    eventually(page, land_is_framed)
    whole = at_rest(page, "state.screenPlace(12, 10)")
    page.locator("#view").hover()
    page.mouse.wheel(0, -600)
    until(page, f"window.nmmo.state.screenPlace(12, 10)[0] !== {whole[0]}")
    before = at_rest(page, "state.screenPlace(12, 10)")
    page.set_viewport_size({"width": 390, "height": 844})
    until(page, f"window.nmmo.state.screenPlace(12, 10)[0] !== {before[0]}")
    at_rest(page, "state.screenPlace(12, 10)")
    row, col, *_ = state(page, "state.land")
    assert min(state(page, f"state.screenPlace({row}, {col})")) < 0


def test_it_is_said_that_the_first_tick_is_compiled(browser, monkeypatch):
    play, done = begun("forager"), threading.Event()
    tick = play.tick
    monkeypatch.setattr(play, "tick", lambda actions: done.wait(60) and tick(actions))
    playback = Playback(play, 1, TrainedPolicies(play.env, ("forager",)), seconds=0.3)
    with serving(Hub(playback, population_colours(2), {"game": "chaos", "can": {}}), Access()) as port:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        time.sleep(3)  # who comes later is told since when
        page.goto(f"http://127.0.0.1:{port}/")
        now = page.locator("#timeline output")
        expect(now).to_have_text(re.compile(r"^compiling, ([3-9]|[1-9][0-9]) s$"), timeout=30_000)
        keep(page, "compiling")
        done.set()
        expect(now).to_have_text(re.compile(r"^tick [1-9]"), timeout=60_000)
        assert state(page, "state.errors") == [] and playback.compiling is None
        page.close()


def test_populations_speeds_and_lifetimes_say_what_they_are(opened, served):
    page = opened(1280, 800)
    assert state(page, "state.populations") == ["forager 1", "forager 2"]
    expect(page.locator("#world .populations").first).to_contain_text("forager 2")
    speeds = page.locator("#timeline option").all_inner_texts()
    assert [one for one in speeds if one][:5] == [
        "0.83 ticks/s", "1.7 ticks/s", "3.3 ticks/s", "6.7 ticks/s", "17 ticks/s"
    ]  # fmt: skip
    assert "fastest" in speeds[5]
    expect(page.locator("#timeline select")).to_have_value("0.6")
    agents = [frame.agents for frame in served[0].frames]
    history = state(page, "state.history")
    assert history["ages"] == pytest.approx([one.age[one.alive].mean() for one in agents])
    assert not served[0].frames[-1].left.any() and not any(one == one for one in history["lifetimes"] if one)
    expect(page.locator("#world")).to_contain_text("Mean age of the living")
