"""The benchmark runs, counts the living, and insists on its full house."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def throughput():
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "throughput.py"
    spec = importlib.util.spec_from_file_location("throughput", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["throughput"] = module  # tyro and dataclasses look a class's module up
    spec.loader.exec_module(module)
    return module


def test_throughput(throughput):
    args = throughput.Throughput(row="chaos", realms=2, agents=8, populations=2, ticks=4, repeats=2, warm_up=8)
    record = throughput.main(args)
    assert 0 < record["mean_population"] <= 8
    assert 0 < record["worst"] <= record["agent_steps_per_second"]
    assert record["agent_steps_per_second"] <= 8 * record["realm_ticks_per_second"]
    assert 0 < record["state_bytes_per_realm"] <= 48 * 1024


def test_the_full_house_is_full(throughput):
    record = throughput.main(throughput.Throughput(realms=2, ticks=32, repeats=2, devices=2))
    assert 120 <= record["least_population"] <= record["mean_population"] <= record["agents"] == 128


def test_what_cannot_be_measured_is_refused(throughput, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="warm_up=8: must be at least 256"):
        throughput.main(throughput.Throughput(warm_up=8))
    with pytest.raises(ValueError, match="agents=64: a full house has 128"):
        throughput.main(throughput.Throughput(agents=64))
    for name in ("realms", "ticks", "repeats"):
        with pytest.raises(ValueError, match=f"{name}=0: must be at least 1"):
            throughput.main(throughput.Throughput(**{name: 0}))
    with pytest.raises(ValueError, match="devices=1000: allowed are 1 to"):
        throughput.main(throughput.Throughput(devices=1000))
    with pytest.raises(ValueError, match="realms=3: must be divisible by devices=2"):
        throughput.main(throughput.Throughput(realms=3, devices=2))
    data = json.loads(throughput.FULL_HOUSE.read_text())
    data |= {"settled_after": 0, "initial_population": 64}
    data["overrides"]["population_cap"] = 64
    (tmp_path / "thin.json").write_text(json.dumps(data))
    monkeypatch.setattr(throughput, "FULL_HOUSE", tmp_path / "thin.json")
    with pytest.raises(RuntimeError, match=r"full house: 6[0-4] agents alive in a realm: must be at least 120"):
        throughput.main(throughput.Throughput(realms=2, ticks=32, repeats=1, warm_up=0))
