"""Processes that train as one: they meet, agree, give what one process gives, and notice that one of them is gone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from test_meeting import free_port

from train.checkpoint import FOLDER, Checkpoints, load_params
from train.settings import PUBLISHED, experiment
from train.smith import Native

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "num_populations": 2, "rows": 32, "columns": 32, "maps": 2,
    "realms": 4, "groups": 4, "ticks": 8, "hidden": 4,
}  # fmt: skip
# How a sum over devices is rounded depends on how many processes they belong to. Parameters, after two updates, as a
# share of the largest of their kind.
ROUNDING = 2e-3


def started(number, out, *more, devices=1, begin=("law16", "--published"), last=SETTINGS):
    """``nmmo-jax train`` in so many processes; ``last``: the settings of the last of them."""
    port, env = free_port(), {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)}
    pairs = [[f"{name}={value}" for name, value in one.items()] for one in (SETTINGS, last)]
    command = [sys.executable, "-m", "nmmo_jax", "train", *begin, *map(str, more), "--no-evaluate"]
    command += [f"--coordinator=127.0.0.1:{port}", f"--processes={number}"]
    command += ["--out" if begin else "--resume", str(out)]
    return [
        subprocess.Popen(
            [*command, f"--process-id={index}", *(["--set", *pairs[index == number - 1]] if begin else [])],
            cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for index in range(number)
    ]  # fmt: skip


@contextlib.contextmanager
def ended(processes):
    """In the end none of them is left."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def finished(processes):
    with ended(processes):
        told = [process.communicate(timeout=400) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), told
    return told


def alone(out, updates, **more):
    """The same in this process, with its two devices."""
    chosen = experiment("law16", **{**PUBLISHED, **SETTINGS})
    return Native(chosen, out=out, updates=updates, **more).run()


def assert_alike(there, here):
    (there, about), (here, other) = (load_params(folder, "latest") for folder in (there, here))
    assert about["update"] == other["update"] and about["agent_steps"] == other["agent_steps"]
    for a, b in zip(jax.tree.leaves(there), jax.tree.leaves(here), strict=True):
        np.testing.assert_allclose(a, b, atol=ROUNDING * np.abs(b).max(), rtol=0)


SHARES = """
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from train import distributed
from train.checkpoint import Checkpoints

port, index, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
assert distributed.first() and distributed.share(3) == 3
distributed.join(f"127.0.0.1:{port}", 2, index)
assert distributed.first() == (index == 0) and jax.process_count() == jax.device_count() == 2
assert distributed.share(["told", index]) == ["told", 0]
assert distributed.either(index == 0, index == 1, False) == [True, True, False]
assert distributed.led(lambda: index) == 0


def fails():
    raise OSError(2, "nothing is there")


try:
    distributed.led(fails)
except OSError as error:
    assert index == 0
except ValueError as error:
    assert index == 1 and "nothing is there" in str(error)

mesh = jax.make_mesh((2,), ("all",))
split, whole = NamedSharding(mesh, PartitionSpec("all")), NamedSharding(mesh, PartitionSpec())
numbers = np.arange(6, dtype=np.int32)
state = {
    "split": jax.make_array_from_callback((6,), split, lambda at: numbers[at]),
    "whole": jax.make_array_from_callback((6,), whole, lambda at: numbers[at]),
    "key": jax.jit(lambda: jax.random.key(7), out_shardings=whole)(),
}
checkpoints = Checkpoints(folder)
for step in (1, 2):
    checkpoints.save(step, state, {"update": step}, float(step))
template = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)
there, about = checkpoints.restore(template, 2)
assert about["update"] == 2 and there["split"].sharding == split
assert [one.data.tolist() for one in there["split"].addressable_shards] == [[3 * index, 3 * index + 1, 3 * index + 2]]
assert np.asarray(there["whole"]).tolist() == numbers.tolist()
assert np.asarray(jax.random.key_data(there["key"])).tolist() == [0, 7]
with distributed.together():
    if distributed.first():  # alone, while the other waits
        alone, _ = checkpoints.restore(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state))
        assert np.asarray(alone["split"]).tolist() == numbers.tolist()
        print(sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.slow
def test_two_processes_agree_and_save_their_shares(tmp_path):
    port, env = str(free_port()), {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SHARES, port]
    told = finished(
        [
            subprocess.Popen(
                [*command, str(index), str(tmp_path / "shares")],
                env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for index in range(2)
        ]
    )  # fmt: skip
    assert told[0][0].splitlines()[-1] == "['00000002']"
    template = {"split": jax.ShapeDtypeStruct((6,), np.int32), "whole": np.zeros(6, np.int32), "key": jax.random.key(0)}
    there, _ = Checkpoints(tmp_path / "shares").restore(template)
    assert np.asarray(there["split"]).tolist() == there["whole"].tolist() == [*range(6)]


FAILS = """
import sys

from train import distributed

index = int(sys.argv[2])
distributed.join(f"127.0.0.1:{sys.argv[1]}", 3, index)
with distributed.together():
    distributed.either()
    if index == 2:
        raise OSError(28, "No space left on device", "a file")
    distributed.share(None) if index else distributed.either()
"""


@pytest.mark.slow
def test_who_fails_says_it_to_all_and_all_end():
    port, env = str(free_port()), {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", FAILS, port, str(index)], env=env, text=True, stderr=subprocess.PIPE)
        for index in range(3)
    ]
    with ended(running):
        told = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [1, 1, 1]
    line = "nmmo-jax: process 2 of 3: [Errno 28] No space left on device: 'a file'\n"
    assert told[:2] == [line, line] and told[2].endswith("OSError: [Errno 28] No space left on device: 'a file'\n")


CLUSTERS = {
    "SLURM": lambda index, job: {
        "SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index),
    },
    "Open MPI": lambda index, job: {
        "OMPI_MCA_orte_hnp_uri": f"{job * 4096}.0;tcp://127.0.0.1:34911", "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(index), "OMPI_COMM_WORLD_LOCAL_RANK": str(index),
    },
}  # fmt: skip
DETECTED = """
from train import distributed

distributed.detect()
with distributed.together():
    print([distributed.first(), distributed.share("told"), distributed.either(not distributed.first())])
"""


@pytest.mark.slow
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_processes_of_a_cluster_find_each_other(cluster):
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(ROOT)}
    told = finished(
        [
            subprocess.Popen(
                # JAX makes a port of the number of the job.
                [sys.executable, "-c", DETECTED], env=env | CLUSTERS[cluster](index, os.getpid()),
                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for index in range(2)
        ]
    )  # fmt: skip
    assert [one.splitlines()[-1] for one, _ in told] == [f"[{first}, 'told', [True]]" for first in (True, False)]


@pytest.mark.slow
@pytest.mark.skipif(jax.device_count() < 2, reason="there is one device")
def test_two_processes_are_as_one_with_as_many_devices(tmp_path):
    told = finished(started(2, tmp_path / "two", "--updates", 2))
    alone(tmp_path / "one", 2)
    assert_alike(tmp_path / "two", tmp_path / "one")
    logs = [[json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()] for name in ("two", "one")]
    for there, here in zip(*logs, strict=True):
        assert (there["lifetime"], there["population"]) == pytest.approx((here["lifetime"], here["population"]))
    assert "saved at update 2" in told[0][0] and "saved" not in told[1][0] + told[1][1]


@pytest.mark.slow
def test_four_processes_are_as_one_and_go_on_as_two(tmp_path):
    finished(started(4, tmp_path / "four", "--updates", 2))
    alone(tmp_path / "one", 2)
    assert_alike(tmp_path / "four", tmp_path / "one")
    finished(started(2, tmp_path / "four", "--updates", 3, begin=()))
    alone(tmp_path / "one", 3, resume=True)
    assert_alike(tmp_path / "four", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_one_is_killed_and_the_rest_end_and_the_run_goes_on_alone(tmp_path, killed):
    out = tmp_path / "run"
    with ended(started(2, out, "--updates", 100_000, "--every", 1)) as processes:
        until = time.monotonic() + 400
        while (Checkpoints(out / FOLDER).latest() or 0) < 9:
            assert time.monotonic() < until and all(process.poll() is None for process in processes)
            time.sleep(0.05)
        processes[killed].send_signal(signal.SIGKILL)
        at = time.monotonic()
        rest = processes[1 - killed]
        _, told = rest.communicate(timeout=60)
        assert time.monotonic() - at < 10
    assert rest.returncode == 1
    words = f"nmmo-jax: process {killed} of 2 has ended: what was saved is whole, and --resume goes on with it"
    assert [line for line in told.splitlines() if line.startswith("nmmo-jax")] == [words]
    latest = Checkpoints(out / FOLDER).latest()
    line = alone(out, latest + 1, resume=True)
    assert line["update"] == latest + 1 > 9


@pytest.mark.slow
def test_a_signal_to_one_has_all_save_and_end(tmp_path):
    out = tmp_path / "run"
    with ended(started(2, out, "--updates", 100_000)) as processes:
        until = time.monotonic() + 400
        while not (out / "metrics.jsonl").exists():
            assert time.monotonic() < until and all(process.poll() is None for process in processes)
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGTERM)
        told = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [130, 143], told
    log = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    assert Checkpoints(out / FOLDER).latest() == log[-1]["update"] >= 8
    assert "goes on" in told[0][0]


@pytest.mark.slow
def test_other_settings_are_refused(tmp_path):
    with ended(started(2, tmp_path / "run", "--updates", 2, last={**SETTINGS, "epochs": 2})) as processes:
        told = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 2], told
    words = "settings differs: epochs is 1 in the first process, 2 here"
    lines = [one.splitlines()[-1] for one in told]
    assert lines == [f"nmmo-jax: process 1 of 2: {words}", f"nmmo-jax: {words}"]
    assert not (tmp_path / "run").exists()
