"""The client in a real browser: it draws who lives, tells what the server knows, and goes back exactly.

Pictures are left in .cache/screenshots. Needs Chromium; software rendering will do.
"""

import numpy as np
import pytest
from browsing import PUBLIC, at_rest, eventually, keep, needs_browser, state, step, sync_api, until
from proxy import PREFIX, front
from slow import slow_but

from nmmo_jax import make
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import players
from nmmo_jax.play.playing import Play
from nmmo_jax.viewer import protocol
from nmmo_jax.viewer.access import Access
from nmmo_jax.viewer.hub import Hub
from nmmo_jax.viewer.playback import Playback
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.server import serving
from nmmo_jax.world.draw import population_colours
from nmmo_jax.world.pool import MapPool
from train.policy import load_named

pytestmark = needs_browser
expect = sync_api.expect
NAMES = ("chaos128", "forager")
TICKS = 30
OVERLAYS = ("value", "visits", "density", "forest", "dependency", "target")


def make_env():
    return make("chaos", num_agents=16, num_populations=2, rows=24, columns=20, border=3)


@pytest.fixture(scope="module")
def served():
    """A playback that stands still at tick 30, and where it can be seen."""
    env = make_env()
    pool = MapPool.generated(0, 1, env.config)
    play = Play(env, players(NAMES, env, load_named), NAMES, pool, initial_population=12, title="chaos, 16 agents")
    for _ in range(TICKS):
        play.tick()
    playback = Playback(play, 2, TrainedPolicies(env, NAMES, load_named), seconds=0.3)
    playback.set_pace(paused=True)
    hub = Hub(
        playback,
        population_colours(2),
        {"game": "chaos", "can": dict.fromkeys(("value", "probabilities", "take", "realm"), True)},
    )
    with serving(hub, Access()) as port:
        yield playback, f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(browser, served):
    """The client, connected; no error may have been told at the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page, told = context.new_page(), []
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(served[1])
    until(page, "window.nmmo?.state.ready", 30)
    yield page
    assert told == []
    assert page.evaluate("window.nmmo.state.errors") == []
    context.close()


def seek(page, tick):
    """As a person: to a place on the timeline."""
    page.locator("#timeline input[type=range]").evaluate(
        "(slider, tick) => { slider.value = tick; slider.dispatchEvent(new Event('input')); }", tick
    )
    until(page, f"window.nmmo.state.tick === {tick}")


def agree(page, playback, tick):
    """What is drawn is what lived then."""
    replay = playback.view.replay
    frame = replay.frames[tick]
    alive = frame.agents.alive
    until(page, f"window.nmmo.state.tick === {tick}")
    assert state(page, "state.agentsDrawn") == alive.sum()
    assert sorted(state(page, "state.uids")) == sorted(frame.agents.uid[alive].tolist())
    assert state(page, "state.depleted") == len(replay.toggles(-1, tick))
    for slot in np.flatnonzero(alive)[::3]:
        told = state(page, f"state.agent({frame.agents.uid[slot]})")
        for name in ("row", "col", "health", "food", "water", "age"):
            assert told[name] == getattr(frame.agents, name)[slot], name


def test_the_world_is_drawn_and_scrubbed(page, served):
    playback, _ = served
    agree(page, playback, playback.newest)
    keep(page, "live")
    for tick in (3, 21, 0, 12):
        seek(page, tick)
        agree(page, playback, tick)
    assert not state(page, "state.live")
    keep(page, "scrubbed")
    page.keyboard.press("l")
    until(page, "window.nmmo.state.live")
    agree(page, playback, playback.newest)


@pytest.mark.slow
def test_a_clicked_agent_is_told_as_the_server_knows_it(page, served):
    playback, _ = served
    agents = playback.view.replay.frames[playback.newest].agents
    places = list(zip(agents.row, agents.col, strict=True))
    alone = [k for k in np.flatnonzero(agents.alive) if places.count(places[k]) == 1]
    slot = next(k for k in alone if agents.population[k] == 0)
    uid = int(agents.uid[slot])
    page.keyboard.press("t")  # from above, where nobody stands before another
    x, y = at_rest(page, f"state.screenPosition({uid})")
    page.mouse.click(x, y)
    until(page, f"window.nmmo.state.selected?.uid === {uid} && window.nmmo.state.selected.value != null")
    header, arrays = protocol.decode(playback.view.inspector.agent(playback.newest, uid, playback.snapshot.cores))
    told = state(page, "state.selected")
    assert told["value"] == pytest.approx(header["value"], rel=1e-5)
    for name in ("move", "style"):
        np.testing.assert_allclose(told[f"probability.{name}"], arrays[f"probability.{name}"], atol=1e-6)
    keep(page, "inspected")


@pytest.mark.parametrize("name", slow_but("density", of=OVERLAYS))
def test_overlays_show_what_is_computed(page, served, name):
    playback, _ = served
    agents = playback.view.replay.frames[playback.newest].agents
    uid = int(agents.uid[np.flatnonzero(agents.alive & (agents.population == 0))[0]])
    if name in ("dependency", "target"):
        while state(page, "state.selected?.uid") != uid:
            page.keyboard.press("n")
    page.locator("#chips button", has_text=name.capitalize()).click()
    until(page, f"window.nmmo.state.overlay?.name === '{name}' && window.nmmo.state.overlay.tick === {playback.newest}")
    chosen = uid if name in ("dependency", "target") else None
    header, arrays = protocol.decode(
        playback.view.inspector.overlay(playback.newest, name, chosen, playback.snapshot.cores)
    )
    values, checked = arrays["values"], 0
    for place in np.argwhere(np.isfinite(values.reshape(-1, *values.shape[-2:])[0]))[::7]:
        row, col = int(place[0]) + header["row"], int(place[1]) + header["col"]
        told = state(page, f"state.overlay.valueAt({row}, {col})")
        np.testing.assert_allclose(told, values[(..., *place)], rtol=1e-5, atol=1e-6)
        checked += 1
    assert checked > 2 or name == "target"
    keep(page, f"overlay-{name}")


def test_it_goes_on_and_a_person_plays(page, served):
    playback, _ = served
    before = playback.newest
    page.keyboard.press(".")
    until(page, f"window.nmmo.state.tick === {before + 1}")
    agree(page, playback, before + 1)
    agents = playback.view.replay.frames[playback.newest].agents
    uid = int(agents.uid[agents.alive][0])
    while state(page, "state.selected?.uid") != uid:
        page.keyboard.press("n")
    page.keyboard.press("g")
    until(page, f"window.nmmo.state.taken === {uid}")
    page.keyboard.press(" ")
    until(page, f"window.nmmo.state.tick > {before + 4}")
    page.keyboard.press(" ")
    until(page, "window.nmmo.state.paused")
    eventually(page, lambda page: agree(page, playback, playback.newest))
    slot = np.flatnonzero(agents.uid == uid)[0]
    moved = [int(frame.move[slot]) for frame in playback.view.replay.frames[before + 3 : before + 5]]
    assert moved == [0, 0]  # nobody has told it to


def test_a_person_is_told_of_what_its_agent_has_died(page, served):
    playback, _ = served
    frame, ground = playback.view.replay.frames[playback.newest], np.asarray(playback.view.replay.tiles.material)
    agents, walkable = frame.agents, (ground >= Material.GRASS) & (ground <= Material.FOREST)
    free = [k for k in np.flatnonzero(agents.alive) if walkable[3 : agents.row[k], agents.col[k]].all()]  # to lava
    slot = min(free, key=lambda k: agents.row[k])
    while state(page, "state.selected?.uid") != agents.uid[slot]:
        page.keyboard.press("n")
    page.keyboard.press("g")
    until(page, f"window.nmmo.state.taken === {agents.uid[slot]}")
    page.keyboard.down("ArrowUp")
    for _ in range(agents.row[slot]):
        page.wait_for_timeout(100)  # the key is to be heard before the tick
        step(page, playback)
        if not state(page, f"state.agent({agents.uid[slot]})"):
            break
    page.keyboard.up("ArrowUp")
    expect(page.locator("#toasts")).to_contain_text("has died: ")
    expect(page.locator("#control")).to_be_hidden()


@pytest.mark.slow
def test_with_a_token_and_behind_a_proxy(browser, served):
    """The page finds its files and its stream under the path of a proxy, and has the token in a cookie."""
    recorded = served[0].view.replay
    playback = Playback(recorded, 1, TrainedPolicies(make_env(), NAMES, load_named), seconds=0)
    access = Access("0.0.0.0", allowed=[PUBLIC])
    with (
        serving(Hub(playback, population_colours(2), {"game": "chaos", "can": {}}), access) as port,
        front(port) as own,
    ):
        direct, public = f"http://127.0.0.1:{port}/", f"http://{PUBLIC}:{own}{PREFIX}"
        for name, address in (("token", direct), ("proxy", public)):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            assert page.goto(address).status == 403
            page.goto(f"{address}?token={access.token}")
            until(page, "window.nmmo?.state.ready", 30)
            agree(page, playback, len(recorded))
            keep(page, name)
            assert page.goto(address).status == 200  # the cookie is enough
            until(page, "window.nmmo?.state.ready", 30)
            kept = [one for one in context.cookies() if one["name"] == f"nmmo-jax-{port}"]
            assert [one["httpOnly"] for one in kept] == [True]
            assert "nmmo-jax" not in page.evaluate("document.cookie")
            assert page.evaluate("window.nmmo.state.errors") == []
            context.close()
