"""A browser for tests: Chromium, and what a page says of itself. Software rendering will do."""

import shutil
import time
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
PUBLIC = "hub.example.org"
FLAGS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
FLAGS += [f"--host-resolver-rules=MAP {PUBLIC} 127.0.0.1", "--no-proxy-server"]
FRAMES = "new Promise(done => { let n = 3; const next = () => n-- ? requestAnimationFrame(next) : done(); next(); })"
PICTURES = Path(__file__).resolve().parents[1] / ".cache" / "screenshots"


def state(page, what):
    return page.evaluate(f"(() => {{ const state = window.nmmo.state; return {what}; }})()")


def until(page, what, seconds=60.0):
    """Waits, without evaluating texts within the page, which it does not allow."""
    end = time.monotonic() + seconds
    while not page.evaluate(what):
        assert time.monotonic() < end, what
        page.wait_for_timeout(30)


def eventually(page, check, seconds=30.0):
    """``check(page)``, again and again until it holds: how long a page takes depends on the machine."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check(page)
        except AssertionError:
            if time.monotonic() > end:
                raise
        page.wait_for_timeout(30)


def at_rest(page, what):
    """What a moving picture says of itself, as soon as it has said the same for three frames."""
    told = None
    while told != (told := state(page, what)):
        page.evaluate(FRAMES)
    return told


def keep(page, name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


def step(page, playback):
    """Plays a tick: its frame."""
    before = playback.newest
    page.keyboard.press(".")
    until(page, f"window.nmmo.state.tick === {before + 1}")
    return playback.view.replay.frames[before + 1]
