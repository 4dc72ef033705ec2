"""What is installed is whole: the wheel has all that the package reads, and its commands need nothing else."""

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LEFT_OUT = ("__pycache__", ".pyc")
USER = """
import jax
from nmmo_jax import Action, Environment, Observation, make
from train.settings import Experiment, experiment

env: Environment = make("law", num_agents=8, num_populations=2)
told: Experiment = experiment("law16")
obs: Observation = env.reset(jax.random.key(0))[0]
action: Action = Action()
reveal_type(env)
wrong: int = make("law")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source distribution, as ``make dist`` builds them."""
    hatchling = pytest.importorskip("hatchling.build")
    folder, before = tmp_path_factory.mktemp("dist"), os.getcwd()
    os.chdir(ROOT)
    try:
        return [folder / build(str(folder)) for build in (hatchling.build_wheel, hatchling.build_sdist)]
    finally:
        os.chdir(before)


def files(*folders):
    """Of the repository below folders, but what Python leaves there."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(ROOT)) for path in paths if not any(word in str(path) for word in LEFT_OUT)}


def test_the_wheel_has_all_files_of_the_packages_and_no_others(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    of_itself = {name for name in names if ".dist-info/" in name}
    assert names - of_itself == files("nmmo_jax", "train")
    assert {name.rpartition("/")[2] for name in of_itself} == {
        "METADATA", "WHEEL", "RECORD", "LICENSE", "entry_points.txt",
    }  # fmt: skip
    for name in ("nmmo_jax/py.typed", "train/py.typed", "nmmo_jax/bench/full_house.json",
                 "nmmo_jax/viewer/static/vendor/three/three.module.min.js", "nmmo_jax/viewer/static/index.html",
                 "train/pretrained/law128/evaluation.json"):  # fmt: skip
        assert name in names


def test_the_source_distribution_can_run_its_own_tests(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files("nmmo_jax", "train", "tests", "benchmarks", ".github") <= names
    assert {path for path in files("docs") if not path.startswith("docs/site/")} <= names
    assert {"pyproject.toml", "Makefile", "README.md", "LICENSE", "CITATION.cff", "CONTRIBUTING.md"} <= names
    assert {"requirements.lock", ".pre-commit-config.yaml"} <= names


def test_versions_and_pythons_agree():
    import nmmo_jax

    project = PROJECT["project"]
    assert project["version"] == nmmo_jax.__version__
    assert f"version: {nmmo_jax.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert "websockets>=17" in project["dependencies"] and "watch" not in project["optional-dependencies"]
    assert (
        f"Programming Language :: Python :: {sys.version_info.major}.{sys.version_info.minor}" in project["classifiers"]
    )


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """``installed(*words)``: starts ``python -I WORDS`` in an empty folder, where the wheel is installed and the
    repository is not.
    """
    folder = tmp_path_factory.mktemp("installed")
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(site)
    # What it needs is that of this environment; an editable nmmo-jax there is a .pth file, which is not read from here.
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")) + "\n")
    empty = tmp_path_factory.mktemp("empty")
    kept = ("PATH", "HOME", "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    env = {name: os.environ[name] for name in kept if name in os.environ}

    def start(*words, stderr=subprocess.PIPE):
        command = [python, "-I", *map(str, words)]
        return subprocess.Popen(command, cwd=empty, env=env, text=True, stdout=subprocess.PIPE, stderr=stderr)

    start.folder = empty
    return start


@pytest.fixture
def said(installed):
    """``said(*words)``: what it has printed, once it has ended well."""

    def run(*words):
        process = installed(*words)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, out + err
        return out

    return lambda *words: run(*words) if len(words) > 1 else run("-m", "nmmo_jax", *words[0].split())


@pytest.mark.slow
def test_commands_run_from_the_wheel_alone(installed, said):
    where = said("-c", "import nmmo_jax, train; print(nmmo_jax.__file__, train.__file__)").split()
    assert all(str(ROOT) not in one and "installed" in one for one in where)
    version = PROJECT["project"]["version"]
    assert said("--version").startswith(f"nmmo-jax {version} ")
    assert "simulate" in said("--help")
    about = json.loads(said("info --json"))
    assert about["versions"]["nmmo-jax"] == version and about["commit"] is None
    assert "played" in said("simulate --realms 2 --ticks 10 --out played --policy law128 forager")
    settings = "realms=4 groups=1 ticks=8 minibatch=0 anneal=0 hidden=16"
    assert "saved at update 2" in said(f"train law16 --updates 2 --no-evaluate --out trained --set {settings}")
    assert {path.name for path in installed.folder.iterdir()} == {"played", "trained"}


@pytest.mark.slow
def test_the_viewer_is_served_from_the_wheel_alone(installed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = installed("-m", "nmmo_jax", "watch", "--port", port, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 300
        while f":{port}" not in process.stdout.readline():
            assert process.poll() is None and time.monotonic() < until
        for name, word in (("", "<canvas"), ("vendor/three/three.module.min.js", "three"), ("main.js", "import")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=60) as page:
                assert word in page.read().decode(), name
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/nothing.js", timeout=60)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.slow
def test_users_have_the_types_of_what_is_installed(installed, said):
    pytest.importorskip("basedpyright")
    (installed.folder / "user.py").write_text(USER)
    python = said("-c", "import sys; print(sys.executable)")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", python.strip(), "user.py"]
    done = subprocess.run(command, cwd=installed.folder, capture_output=True, text=True, check=False)
    found = [
        one for one in json.loads(done.stdout)["generalDiagnostics"] if one["severity"] in ("error", "information")
    ]
    assert [(one["severity"], one["range"]["start"]["line"]) for one in found] == [("information", 9), ("error", 10)]
    assert "Environment" in found[0]["message"] and '"Environment" is not assignable to "int"' in found[1]["message"]
