"""A project that ``nmmo-jax new`` makes runs, and its own tests pass."""

import json
import os
import subprocess
import sys

import pytest

from nmmo_jax import cli
from nmmo_jax.commands.new import package

TINY = [
    "visits=true",
    "shared_weights=false",
    "core=none",
    "realms=2",
    "groups=1",
    "ticks=4",
    "sequence=1",
    "hidden=8",
    "minibatch=16",
    "view=5",
    "optimiser=adam",
    "epochs=1",
]


def test_a_new_project_runs_and_its_tests_pass(tmp_path, monkeypatch, capsys):
    folder, name = tmp_path / "Große fishing-world 2", "groe_fishing_world_2"
    with pytest.raises(SystemExit) as ended:
        cli.main(["new", str(folder)])
    assert not ended.value.code and f"cd '{folder}'" in capsys.readouterr().out

    def run(*arguments):
        root = os.path.dirname(os.path.dirname(cli.__file__))
        environment = {**os.environ, "PYTHONPATH": root}
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "3 passed" in run("pytest", "-q")
    system = f"{name}.fishing:FISHING"
    run(
        f"{name}.training", "law16", "--system", system, "--set", *TINY, "--updates", "2", "--no-evaluate", "--out", "a"
    )
    kept = json.loads((folder / "a" / "config.json").read_text())
    assert kept["trinity"]["god"] == f"{name}.explorer:Explorer" and system in json.dumps(kept)
    assert [json.loads(line)["update"] for line in (folder / "a" / "metrics.jsonl").read_text().splitlines()][-1] == 2


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
