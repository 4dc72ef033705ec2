"""Every module has a layer, and the simulator loads nothing of those above its own."""

import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import nmmo_jax
import train

ROOT = Path(__file__).resolve().parents[1]
STEP = """
import sys
import jax
import nmmo_jax as nmmo

env = nmmo.make("law", num_agents=4, num_populations=2, rows=20, columns=20)
obs, realm = jax.jit(env.reset)(jax.random.key(0))
jax.jit(env.step)(jax.random.key(0), realm, nmmo.Action())
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def layers():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return generate.layers()


def test_every_module_has_a_layer(layers):
    there = [f"{root.__name__}.{one.name}" for root in (nmmo_jax, train) for one in pkgutil.iter_modules(root.__path__)]
    assert sorted(name for layer in layers for name in layer) == sorted(there), "see pyproject.toml"


def test_a_step_loads_the_simulator_only(layers, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # with which it is looked whether that can be had
    done = subprocess.run([sys.executable, "-c", STEP], cwd=ROOT, capture_output=True, text=True, check=False)
    loaded = done.stdout.split()
    own = {name for name in loaded if name.startswith("nmmo_jax.")}
    common = {f"nmmo_jax.common.{name}" for name in ("apart", "entry", "lookup", "mpl", "signals", "spelling")}
    simulator = next(layer for layer in layers if "nmmo_jax.environment" in layer)
    assert "nmmo_jax.environment" in own, done.stderr
    assert {".".join(name.split(".")[:2]) for name in own - common} <= {*simulator, "nmmo_jax.common"}
    assert common >= {name for name in own if name.startswith("nmmo_jax.common.")}
    # rich comes with flax.
    heavy = {"matplotlib", "openskill", "optax", "orbax", "scipy", "train", "tyro", "websockets"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
