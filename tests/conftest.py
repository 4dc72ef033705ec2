"""Two devices on the CPU, so that what is split over devices is tested wherever the tests run."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest

# Shells start what goes on in the background deaf to Ctrl-C, and it would pass that on to the commands that are tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
gc.set_threshold(100_000, 50, 100)  # tracing makes objects by the million; tests take a tenth less so

# The files that take longest, which begin first: else the last of them is waited for when all others are done.
LONGEST = (
    "recorded", "properties", "docs_code", "browser", "mmo_equivalence", "browser_look", "reference", "systems",
    "living", "births", "smith", "browser_systems", "vec_env", "mmo_monsters", "environment", "equivalence",
    "watch_load", "neighbours", "pretrained", "clone", "checkpoint", "replay",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    place = {f"test_{name}": index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture
def refused(capsys):
    """``refused(*arguments)``: the one line with which ``nmmo-jax`` says that it cannot be run so."""

    from nmmo_jax import cli  # JAX reads what is set above

    def run(*arguments):
        capsys.readouterr()  # what was said before
        with pytest.raises(SystemExit) as ended:
            cli.main([*map(str, arguments)])
        told = capsys.readouterr()
        assert ended.value.code == 2 and not told.out
        assert told.err.count("\n") == 1 and told.err.startswith("nmmo-jax: ")
        return told.err.removeprefix("nmmo-jax: ").rstrip()

    return run


@pytest.fixture(scope="module")
def example_systems():
    """The folder of the examples on Python's path, as a user has it who works in it."""
    folder = str(Path(__file__).parents[1] / "docs" / "examples" / "systems")
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a window."""
    from browsing import CHROMIUM, FLAGS, sync_api

    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
