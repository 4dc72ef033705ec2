"""Cores are those that the process may use, and a number of devices that was set stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmmo_jax.common.cores import cores

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a system that binds no processes")
def test_those_that_it_is_bound_to():
    everywhere = os.sched_getaffinity(0)
    assert 1 <= cores() <= len(everywhere)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, everywhere)


def test_what_control_groups_give(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    assert cores(tmp_path) == 16
    write("proc/self/cgroup", "0::/user/job\n")
    write("sys/fs/cgroup/user/job/cpu.max", "max 100000\n")
    assert cores(tmp_path) == 16
    write("sys/fs/cgroup/user/cpu.max", "350000 100000\n")
    assert cores(tmp_path) == 4
    write("sys/fs/cgroup/user/job/cpu.max", "20000 100000\n")
    assert cores(tmp_path) == 1
    write("proc/self/cgroup", "7:memory:/\n4:cpu,cpuacct:/docker/a\n0::/elsewhere\n")
    assert cores(tmp_path) == 16
    write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")  # as a container sees its own group
    write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    assert cores(tmp_path) == 16
    write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n")
    assert cores(tmp_path) == 2


def test_devices_that_were_asked_for_stay():
    code = "from nmmo_jax.play.measure import use_all_cores; import jax; use_all_cores(); print(len(jax.devices()))"
    told = {"XLA_FLAGS": "--xla_force_host_platform_device_count=5", "JAX_PLATFORMS": "cpu"}
    known = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=known | told, capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert result.stdout == "5\n"
