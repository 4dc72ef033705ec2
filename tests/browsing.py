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
PICTURES = Path(__file__).resolve().parents[1] / ".cache" / "screenshots"


def state(page, what):
    return page.evaluate(f"(() => {{ const state = window.nmmo.state; return {what}; }})()")


def until(page, what, seconds=60.0):
    """Waits, without evaluating texts within the page, which it does not allow."""
    end = time.monotonic() + seconds
    while not page.evaluate(what):
        assert time.monotonic() < end, what
        page.wait_for_timeout(30)


def keep(page, name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


def step(page, playback):
    """Plays a tick: its frame."""
    before = playback.newest
    page.keyboard.press(".")
    until(page, f"window.nmmo.state.tick === {before + 1}")
    return playback.view.replay.frames[before + 1]
