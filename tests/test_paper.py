"""The plan for an accelerator: what is told of it, what is refused, and that what would run there does not grow."""

import copy
import json
from pathlib import Path

import pytest
from rich.console import Console

from nmmo_jax.bench import paper
from nmmo_jax.cli import main
from nmmo_jax.common.files import write_json

KEPT = Path(__file__).parents[1] / "benchmarks" / "results" / "h100.json"
MOST = {"launches": 1.02, "bytes_per_agent_step": 1.02, "memory_bytes": 1.05}
"""Times as much as what is kept, at most: versions of the compiler differ a little."""


def compiles():
    try:
        paper.check_compiler("h100")
    except ValueError:
        return False
    return True


@pytest.fixture(scope="module")
def kept():
    return paper.read(KEPT)


def shown(what):
    console = Console(width=120)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_what_is_told_of_a_plan(kept):
    told = shown(paper.summary(kept))
    for name, one in kept["programs"].items():
        assert name in told and f"{one['bytes_per_agent_step']:,}" in told
    world, roofs = kept["programs"]["world"], kept["roofs"]
    seconds = world["bytes"] / kept["device"]["bandwidth"]
    assert roofs["world"]["memory"] == round(world["agent_steps"] / seconds)
    launched = seconds + paper.LAUNCH * world["launches"]
    assert roofs["world"]["with_launches"] == round(world["agent_steps"] / launched)
    assert roofs["training"]["with_launches"] < roofs["training"]["memory"] < roofs["world"]["memory"]


def test_plans_side_by_side(kept, tmp_path, capsys):
    other = copy.deepcopy(kept)
    other["programs"]["world"]["launches"] *= 2
    for name, one in {"a": kept, "b": other}.items():
        write_json(tmp_path / f"{name}.json", one)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    told = capsys.readouterr().out
    assert not ended.value.code
    assert next(line.split()[-1] for line in told.splitlines() if "world, launches" in line) == "2.00"
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--show", str(tmp_path / "b.json")])
    assert not ended.value.code and f"{other['programs']['world']['launches']}" in capsys.readouterr().out


def test_what_is_no_plan_is_refused(refused, kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("damaged.json").write_text(json.dumps(kept | {"sha256": "0" * 64}))
    assert "damaged.json" in refused("bench", "--compare", KEPT, "damaged.json")
    assert refused("bench", "--plan", "h100", "--full").startswith("--full: means nothing with --plan")
    assert "h100" in refused("bench", "--plan", "h200")
    assert refused("bench", "--plan", "h100", "--overwrite").startswith("--overwrite: belongs to --out")
    assert refused("bench", "--show", KEPT, "--figures", ".").endswith("is a plan, which has none")
    Path("there.json").write_text("{}")
    assert refused("bench", "--plan", "h100", "--out", "there.json").startswith("--out there.json: is there already")


@pytest.mark.skipif(compiles(), reason="what compiles for a GPU is there")
def test_without_a_compiler_it_says_how_to_get_one(refused, tmp_path):
    out = tmp_path / "plan.json"
    told = refused("bench", "--plan", "h100", "--out", out)
    assert (
        told.startswith("--plan h100: nothing is here that compiles for a GPU")
        and "pip install jax-cuda12-plugin==" in told
    )
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.skipif(not compiles(), reason="needs the extra plan: make test-plan")
def test_what_would_run_does_not_grow(kept, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--plan", "h100", "--out", str(tmp_path / "plan.json")])
    assert not ended.value.code
    found = paper.read(tmp_path / "plan.json")
    for name, one in kept["programs"].items():
        for what, most in MOST.items():
            assert found["programs"][name].get(what, 0) <= most * one.get(what, 0), (name, what)
