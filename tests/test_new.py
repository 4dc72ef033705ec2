"""A project that ``nmmo-jax new`` makes runs, and its own tests pass."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmmo_jax import cli
from nmmo_jax.commands.new import package

WORLD = ("visits=true", "view=5")
LEARNER = ("shared_weights=false", "core=none", "hidden=8", "optimiser=adam")
AMOUNT = ("realms=2", "groups=1", "ticks=4", "sequence=1", "minibatch=16", "epochs=1")
TINY = (*WORLD, *LEARNER, *AMOUNT)


NAME = "groe_fishing_world_2"


@pytest.fixture
def begun(tmp_path, capsys):
    """``begun(*arguments)``: what ``python -m`` says in the folder of a new project."""
    folder = tmp_path / "Große fishing-world 2"
    with pytest.raises(SystemExit) as ended:
        cli.main(["new", str(folder)])
    assert not ended.value.code and f"cd '{folder}'" in capsys.readouterr().out

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return folder, run


@pytest.mark.slow
def test_the_tests_of_a_new_project_pass(begun):
    _, run = begun
    assert "3 passed" in run("pytest", "-q")


@pytest.mark.slow
def test_a_new_project_trains(begun):
    folder, run = begun
    system = f"{NAME}.fishing:FISHING"
    asked = ("law16", "--system", system, "--set", *TINY, "--updates", "2", "--no-evaluate", "--out", "a")
    run(f"{NAME}.training", *asked)
    kept = json.loads((folder / "a" / "config.json").read_text())
    assert kept["trinity"]["god"] == f"{NAME}.explorer:Explorer" and system in json.dumps(kept)
    lines = [json.loads(line) for line in (folder / "a" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["update"] == 2


def test_a_folder_that_is_in_use_stays_as_it_is(tmp_path, refused):
    (tmp_path / "kept.txt").write_text("mine")
    assert refused("new", tmp_path).endswith("is not empty; a project begins in an empty folder")
    assert [one.name for one in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("folder", ["2nd", "...", "class", "tests", "jax", "json", "nmmo-jax"])
def test_names_that_no_package_can_have_are_refused(folder, tmp_path, refused):
    assert refused("new", tmp_path / folder).startswith(f"FOLDER {folder}: a Python package is named after it, and ")
    assert not (tmp_path / folder).exists()


def test_names_are_made_from_those_of_folders():
    assert package("My world-2") == "my_world_2" and package("été") == "ete"
