"""Realms split over devices play as they do on one."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import jax, numpy as np
import nmmo_jax as nmmo
from jax.sharding import NamedSharding, PartitionSpec

assert jax.device_count() == 2
config = nmmo.Config(num_agents=8, num_populations=2, rows=20, columns=20, border=2, view=5, num_visible=3)
many = nmmo.vectorize(nmmo.Environment(config), 4)
key = jax.random.key(0)
action = nmmo.Action(move=np.arange(32).reshape(4, 8) % 5)
mesh = jax.make_mesh((2,), ("realm",), axis_types=(jax.sharding.AxisType.Auto,))
step, hashes = jax.jit(many.step), jax.jit(jax.vmap(nmmo.digest))

def play(place):
    _, realms = jax.jit(many.reset, static_argnames="initial_population")(key, initial_population=6)
    realms = place(realms)
    for _ in range(6):
        _, realms, *_ = step(key, realms, action)
    return realms, np.asarray(hashes(realms))

split, there = play(lambda tree: jax.device_put(tree, NamedSharding(mesh, PartitionSpec("realm"))))
_, here = play(lambda tree: tree)
assert len(split.agents.food.sharding.device_set) == 2
assert (there == here).all(), (there, here)
assert len({tuple(row) for row in here.tolist()}) == 4
print("equal")
"""


def test_sharding_over_devices_changes_nothing():
    root = Path(__file__).resolve().parents[1]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": str(root)}
    result = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "equal", result.stderr
