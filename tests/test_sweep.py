"""Sweeps over rules: the grid, its points against runs of their own, and what is refused."""

import csv
import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax import Environment
from nmmo_jax.commands.axes import parse_axis
from nmmo_jax.commands.sweep import Sweep as Command
from nmmo_jax.rules import Rules
from nmmo_jax.world.pool import MapPool
from tests.small import SMALL
from train.studies.axis import Axis
from train.studies.reports.sweep import report
from train.studies.sweep import MEASURES, Sweep

AXES = [Axis("regrowth_probability", np.array([0.0, 0.1])), Axis("population_cap", np.array([0.0, 5.0, 16.0]))]
WORLDS, SETTLE, TICKS, REALMS = 2, 10, 60, 8


@pytest.fixture(scope="module")
def swept():
    """Twelve worlds in two batches of eight, of which four fill up."""
    study = Sweep(AXES, Environment(SMALL), ("random",), WORLDS, SETTLE, TICKS, seed=3, initial=8, batch=REALMS)
    cells = study.cells()
    return study, {cell.name: cell.compute(lambda *_: None) for cell in cells}


def test_ranges_and_lists():
    field, values, log = parse_axis("regrowth_probability=0.001:0.1:3:log")
    assert field == "regrowth_probability" and log
    np.testing.assert_allclose(values, [0.001, 0.01, 0.1])
    np.testing.assert_array_equal(parse_axis("population_cap=4:128:32").values, np.arange(4, 129, 4))
    np.testing.assert_array_equal(parse_axis("population_cap=1:4:7").values, [1, 2, 3, 4])  # rounded, and merged
    np.testing.assert_array_equal(parse_axis("spawn_rate=1,0.25").values, [0.25, 1])
    np.testing.assert_array_equal(parse_axis("attacks_enabled=false,true").values, [0, 1])
    np.testing.assert_array_equal(parse_axis("max_food=32:32:1").values, [32])


@pytest.mark.parametrize(("text", "message"), [
    ("population_cap", "must be FIELD=LOW:HIGH:NUMBER"), ("population_cap=", "must be FIELD"),
    ("cap=1,2", "there is no cap of one value; there are"),
    ("attack_range=1,2,3", "of one value"), ("population_cap=4,8,4", "given twice"),
    ("population_cap=4:8", "a range must be"), ("population_cap=4:8:2:lin", "a range must be"),
    ("population_cap=4:8:0", "at least one"), ("population_cap=8:4:3", "LOW must be at most HIGH"),
    ("spawn_rate=0:1:5:log", "above 0"), ("spawn_rate=a,1", "'a': must be a number"), ("spawn_rate=0:inf:3", "at most"),
])  # fmt: skip
def test_what_is_no_axis(text, message):
    with pytest.raises(ValueError, match=message):
        parse_axis(text)


@pytest.mark.parametrize(("change", "message"), [
    ({"over": ("spawn_rate=0,2",)}, r"rules.spawn_rate=2\.0: allowed are numbers from 0 to 1"),
    ({"over": ("population_cap=4,8.5",)}, "must be a whole number"),
    ({"over": ("population_cap=4,200",)}, "capacity num_agents=128"),
    ({"over": ("max_food=8:32:3", "start_food=8,16")}, "rules.start_food=16: must be at most rules.max_food=8"),
    ({"over": ("spawn_rate=0,1", "spawn_rate=0.5,1")}, "each once"), ({"over": ()}, "at least one rule"),
    ({"over": ("birth_age=1,2",)}, "--over birth_age=1,2: means nothing where agents do not give birth"),

    ({"over": ("spawn_rate=0,1",), "spawn_rate": 0.5}, "a value of its own"),
    ({"over": ("max_food=32,64",), "set": (("max_food=32",),)}, "a value of its own"),
    ({"over": ("regrowth_probability=0:1:300", "spawn_rate=0:1:300")}, "90,000 points"),
    ({"policy": ("nobody",)}, "policy=nobody"), ({"policy": ()}, "at least one"), ({"worlds": 0}, "--worlds 0"),
    ({"ticks": 0}, "--ticks 0"), ({"initial": 129}, "--initial 129"), ({"batch": 0}, "--batch 0"),
])  # fmt: skip
def test_bad_input_is_refused_before_anything_is_compiled(change, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        dataclasses.replace(Command(over=("population_cap=8,16",)), **change)._filled().study(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_points_are_what_runs_of_their_own_come_to(swept):
    """Three worlds with the rules, the map and the number of their point, in other company: equal to the last bit."""
    study, results = swept
    pool, census = MapPool.generated(3, WORLDS, SMALL, split="held_out"), study.census
    for realm, (regrowth, cap) in ((1, (0.0, 0)), (5, (0.0, 16)), (9, (0.1, 5))):
        rules = Rules(regrowth_probability=regrowth, population_cap=cap)
        worlds = census.begin(3, pool.tiles(jnp.full(REALMS, realm % WORLDS)), rules, 8, first=realm)
        worlds, _ = census.run(worlds, SETTLE, rules=rules)
        _, counted = census.run(worlds, TICKS, rules=rules, stride=TICKS)
        there = {name: value[realm % REALMS] for name, value in results[f"worlds-000{realm // REALMS}"].items()}
        for name in ("aged", "died", "births", "living", "steps"):
            assert there[name] == getattr(counted.counts, name)[0].sum(), (realm, name)
        assert there["hits"] == counted.counts.attacks[0].sum() and there["empty"] == counted.counts.empty[0]
        assert there["depleted"] == counted.depleted[0, 0] and there["combat"] == counted.counts.deaths[0, :, 3].sum()
        assert realm == 1 or there["died"] > 0


def test_cells_are_the_same_for_any_number_of_devices():
    """A sweep goes on where there are others."""
    for batch in (5, 64):
        study = Sweep(AXES, Environment(SMALL), ("random",), WORLDS, SETTLE, TICKS, seed=3, initial=8, batch=batch)
        assert study.realms == min(batch, 12)


def test_extreme_points_are_what_they_must_be(swept):
    study, results = swept
    found = study.measures(results)
    mean = {name: np.asarray(interval.mean).reshape(study.shape) for name, interval in found.items()}
    assert set(found) == set(MEASURES)
    for name in ("population", "births", "depleted"):
        assert (mean[name][:, 0] == 0).all()  # nobody may live where the cap is 0
    assert (mean["extinct"][:, 0] == 1).all() and (mean["empty"][:, 0] == 1).all()
    assert np.isnan(mean["lifetime"][:, 0]).all() and np.isnan(mean["hits"][:, 0]).all()
    assert (mean["population"] <= [0, 5, 16]).all() and (mean["population"][:, 1:] > 0).all()
    assert (mean["hits"][:, 2] > 0).all() and (mean["combat"][:, 1:] <= 1).all()
    assert mean["depleted"][0, 2] > mean["depleted"][1, 2] > 0  # what does not grow again is gone


def test_the_report(swept, tmp_path):
    study, results = swept
    report(study, tmp_path, results)
    rows = list(csv.DictReader((tmp_path / "points.csv").open()))
    assert [(float(row["regrowth_probability"]), float(row["population_cap"])) for row in rows] == [
        (r, c) for r in (0, 0.1) for c in (0, 5, 16)
    ]
    living = np.concatenate([one["living"] for one in results.values()])[:12].reshape(6, 2).sum(axis=1)
    for row, each in zip(rows, living, strict=True):
        assert float(row["population"]) == pytest.approx(each / WORLDS / TICKS, rel=1e-5)
    assert rows[0]["lifetime"] == "" and rows[0]["extinct"] == "1"
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["fields"]["population_cap"] == [0, 5, 16] and told["points"] == 6
    assert told["measures"]["population"]["lowest"] == 0
    text = (tmp_path / "report.md").read_text()
    assert "(sweep.png)" in text and "`population_cap`: 3 values, 0 to 16" in text
    assert (tmp_path / "sweep.png").stat().st_size > 10_000


def test_one_field_and_three_are_drawn_too(swept, tmp_path):
    """Numbers that are made up: only the shapes of the grid differ."""
    whole, _ = swept
    for axes in (AXES[:1], [*AXES, Axis("spawn_rate", np.array([0.5, 1.0]))]):
        study = dataclasses.replace(whole, axes=axes)
        number = len(study.points) * WORLDS
        made = {name: np.arange(number) + 1 for name in ("aged", "died", "births", "living", "steps", "combat", "hits")}
        made |= {"empty": np.zeros(number), "depleted": np.full(number, 0.5)}
        results = {
            cell.name: {name: value[i * study.realms : (i + 1) * study.realms] for name, value in made.items()}
            for i, cell in enumerate(study.cells())
        }
        report(study, tmp_path, results)
        assert "the same everywhere" in (tmp_path / "report.md").read_text()
        assert len((tmp_path / "points.csv").read_text().splitlines()) == 1 + len(study.points)


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was(tmp_path):
    over = ("spawn_rate=0.2:1:5", "population_cap=4,16")
    small = {"agents": 16, "populations": 4, "policy": ("random",), "worlds": 2, "settle": 8, "ticks": 16, "batch": 8}
    assert Command(over=over, **small, out=tmp_path / "sweep").run() == 0
    told = (tmp_path / "sweep" / "points.csv").read_text()
    (tmp_path / "sweep" / "cells" / "worlds-0001.npz").unlink()
    assert Command(resume=tmp_path / "sweep").run() == 0
    assert (tmp_path / "sweep" / "points.csv").read_text() == told and len(told.splitlines()) == 11
