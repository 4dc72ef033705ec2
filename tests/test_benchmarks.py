"""The benchmark runs, and counts the living."""

import importlib.util
import sys
from pathlib import Path


def test_throughput():
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "throughput.py"
    spec = importlib.util.spec_from_file_location("throughput", path)
    throughput = importlib.util.module_from_spec(spec)
    sys.modules["throughput"] = throughput  # tyro and dataclasses look a class's module up
    spec.loader.exec_module(throughput)
    args = throughput.Throughput(realms=2, agents=8, populations=2, ticks=4, repeats=2, warm_up=8)
    record = throughput.main(args)
    assert 0 < record["mean_population"] <= 8
    assert 0 < record["worst"] <= record["agent_steps_per_second"]
    assert record["agent_steps_per_second"] <= 8 * record["realm_ticks_per_second"]
    assert record["checksum"] != 0
