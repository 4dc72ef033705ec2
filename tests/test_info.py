"""``nmmo-jax info``: what is there, and how to get what is not."""

import json
import resource
import shlex
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import jax
import pytest
from packaging.requirements import Requirement

from nmmo_jax import cli
from nmmo_jax.common import requirements
from nmmo_jax.config import MAX_AGENTS, RULES_VERSION

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]


def told(capsys, *flags):
    with pytest.raises(SystemExit) as ended:
        cli.main(["info", *flags])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_as_json(capsys, tmp_path, monkeypatch):
    (tmp_path / "one-cache").write_bytes(b"12345")
    (tmp_path / "one-atime").write_bytes(b"123")
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        found = json.loads(told(capsys, "--json"))
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert found["cache"] == {"folder": str(tmp_path), "programs": 1, "bytes": 8}
    assert found["versions"]["jax"] == version("jax") and found["versions"]["rules"] == RULES_VERSION
    assert {"numpy", "flax", "optax", "orbax-checkpoint", "jaxlib"} <= found["versions"].keys()
    assert len(found["devices"]) == jax.device_count() and found["backend"] == jax.default_backend()
    assert found["machine"]["cores"] >= 1 and found["machine"]["memory_bytes"] > 2**28
    assert found["limits"]["agents"] == MAX_AGENTS
    assert found["limits"]["open_files"] in (None, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    assert found["extras"].keys() <= PROJECT["optional-dependencies"].keys()


def test_for_people(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = told(capsys).splitlines()
    assert ["jax", version("jax")] in [line.split() for line in lines]
    assert [line for line in lines if not line.startswith(" ")] == [
        "Versions", "Machine", *(["Flags"] if "Flags" in lines else []), "Compiled programs", "Limits", "Extras",
    ]  # fmt: skip
    for line in lines[lines.index("Extras") + 1 :]:  # a command is in one line, however long
        assert line.split(maxsplit=1)[1] == "there" or "-m pip install" in line


def test_extras_are_there_or_come_with_a_command(monkeypatch):
    needs = {
        "nmmo-jax": ["jax>=0.1", "nothere[x]>=2; extra == 'far'", "jax[gpu]>=0.1; extra == 'gpu'",
                     "jax; extra == 'near'", "jax>=99; extra == 'new'"],
        "jax": ["jaxlib", "plugin>=3; extra == 'gpu'"],
    }  # fmt: skip
    extras = {"Provides-Extra": ["far", "gpu", "near", "new"]}
    monkeypatch.setattr(requirements, "requires", needs.get)
    monkeypatch.setattr(requirements, "metadata", lambda _: type("", (), {"get_all": lambda _, key: extras[key]})())
    found = requirements.extras()
    assert {name: extra.missing for name, extra in found.items()} == {
        "far": ["nothere[x]>=2"], "gpu": ["jax[gpu]>=0.1"], "near": [], "new": ["jax>=99"],
    }  # fmt: skip
    words = shlex.split(found["far"].command)
    assert words == [sys.executable, "-m", "pip", "install", "nothere[x]>=2"]
    assert requirements.versions().keys() == {"nmmo-jax", "jaxlib", "jax"}


def test_hints_name_packages_that_the_extras_name():
    """``need`` is told of the same packages as pyproject.toml: where nmmo-jax is a wheel, `.[video]` is nowhere."""
    extras = PROJECT["optional-dependencies"]
    root = Path(__file__).resolve().parents[1]
    named = {"optuna": "tune", "imageio-ffmpeg": "video", "tensorboardX": "tensorboard", "wandb": "wandb"}
    for package, extra in named.items():
        assert [Requirement(text).name for text in extras[extra]] == [package]
    text = "".join(path.read_text() for folder in ("nmmo_jax", "train") for path in (root / folder).rglob("*.py"))
    assert "nmmo-jax[" not in text  # no index may have it


def test_what_is_not_installed_is_a_line(monkeypatch, refused):
    def missing(_):
        raise requirements.PackageNotFoundError

    monkeypatch.setattr(requirements, "requires", missing)
    assert refused("info").startswith("nmmo-jax is not installed here: ")
