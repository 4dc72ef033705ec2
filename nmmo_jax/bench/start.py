"""Seconds from the start of a process to the first step's result: cold, and again with the compilation cache filled.

python -m nmmo_jax.bench.start
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tyro

from nmmo_jax.bench.machine import last_line, run_program

_REALMS = 64
# What a user writes, with the time of day after every stage. Compilation is what JAX says of it.
PROGRAM = f"""
import json, time
import jax
import nmmo_jax as nmmo
compiling, at = [], {{}}
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: compiling.append(seconds) if name.endswith("backend_compile_duration") else None)
at["import"] = time.time()
worlds = nmmo.vectorize(nmmo.make("chaos", num_agents=128, num_populations=8), {_REALMS})
key = jax.random.key(0)
obs, realms = jax.block_until_ready(jax.jit(worlds.reset)(key))
at["reset"] = time.time()
compiling.clear()
jax.block_until_ready(jax.jit(worlds.step)(key, realms, nmmo.Action()))
at["step"] = time.time()
print(json.dumps([at, sum(compiling)]))
"""


@dataclasses.dataclass
class Start:
    """Measure the seconds from the start of a process to the first step's result, and print them as JSON."""

    out: Path | None = None
    """File for the result. Default: standard output."""


def start_times() -> dict[str, Any]:
    """Seconds in all, of each stage, and of compiling the step, in two processes that share a new compilation cache.

    Raises:
      RuntimeError: a process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        return {"row": "chaos", "realms": _REALMS, "agents": 128} | {name: _one(folder) for name in ("cold", "cached")}


def _one(cache: str) -> dict[str, float]:
    settings = {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    began = time.time()
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"start: {last_line(result.stderr)}")
    at, compiling = json.loads(result.stdout)
    return {
        "seconds": round(at["step"] - began, 2),
        "import_seconds": round(at["import"] - began, 2),
        "reset_seconds": round(at["reset"] - at["import"], 2),
        "step_seconds": round(at["step"] - at["reset"], 2),
        "step_compile_seconds": round(max(0.0, compiling), 2),
    }


if __name__ == "__main__":
    run_program("start", lambda _: start_times(), tyro.cli(Start))
