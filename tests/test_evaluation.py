"""Evaluation: its numbers from the counts of a small world, arithmetic by hand, and what is left in the folder."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from small import GRASS, SMALL

from nmmo_jax import Environment, Rules
from nmmo_jax.declarations import Argument, Column, Head, Phase
from nmmo_jax.kinds import Material
from nmmo_jax.play.statistics import reachable
from nmmo_jax.system import System
from nmmo_jax.world.pool import MapPool
from train.studies import evaluation as module
from train.studies.entrants import Entrant, entrants
from train.studies.evaluation import Evaluation
from train.studies.reports.evaluation import report
from train.studies.study import compute

WORLDS, SETTLE, TICKS = 2, 8, 24


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    env = Environment(SMALL, Rules(start_food=6, start_water=9))
    study = Evaluation(entrants(("random",), env), env, WORLDS, SETTLE, TICKS, 4)
    out = tmp_path_factory.mktemp("evaluation")
    (out / "cells").mkdir()
    return study, compute(study.cells(), out)[0], out


@pytest.mark.slow
def test_measures_are_those_of_the_counts(made):
    study, results, _ = made
    (one,), (counts,) = study.measures(results), results.values()
    deaths = counts["deaths"].sum()
    assert deaths > 10
    np.testing.assert_allclose(one["lifetime"].mean, counts["aged"].sum() / deaths)
    np.testing.assert_allclose(one["population"].mean, counts["living"].sum() / TICKS / WORLDS)
    np.testing.assert_allclose(one["dead_lava"].mean, counts["deaths"][..., 0].sum() / deaths)
    shares = sum(one[f"dead_{cause}"].mean for cause in ("lava", "starvation", "thirst", "combat"))
    np.testing.assert_allclose(shares, 1)
    assert counts["population"].shape == (SETTLE + TICKS, WORLDS, SMALL.num_populations)
    np.testing.assert_array_equal(counts["population"][SETTLE:].sum(axis=0), counts["living"])
    assert 0 < one["coverage"].mean <= 1
    assert one["lifetime"].low < one["lifetime"].mean < one["lifetime"].high


def test_several_trainings_are_the_units(made):
    study, results, _ = made
    seeds = dataclasses.replace(study, entrants=[Entrant("a", ("random", "random"))])
    counts = dict(results["policy-0-seed-0"])
    twice = {**counts, "aged": 3 * counts["aged"]}
    (one,) = seeds.measures({"policy-0-seed-0": counts, "policy-0-seed-1": twice})
    lifetime = counts["aged"].sum() / counts["deaths"].sum()
    np.testing.assert_allclose(one["lifetime"].mean, 2 * lifetime)
    np.testing.assert_allclose(one["lifetime"].high - one["lifetime"].mean, 12.706 * lifetime, rtol=1e-3)  # t, 1 degree


def test_arithmetic_by_hand(monkeypatch):
    ground = GRASS.copy()
    ground[:2], ground[-2:], ground[:, :2], ground[:, -2:] = (Material.LAVA,) * 4
    ground[4:8, 4:9] = Material.FOREST  # 20 of 16 x 14 tiles
    ground[12, 5:8] = ground[14, 5:8] = Material.STONE
    ground[13, 4:9] = [Material.STONE, *[Material.FOREST] * 3, Material.STONE]  # out of reach
    rules = Rules(regrowth_probability=0.1, forage_amount=40, food_metabolism=2)
    study = Evaluation([], Environment(SMALL, rules), 1, 0, 1, 0)
    monkeypatch.setattr(study, "_pool", lambda: MapPool.from_maps([ground], SMALL))
    known = {name: float(value[0]) for name, value in study.arithmetic().items()}
    tiles = 16 * 14 - 6 - 2 - 3
    assert known["forests"] == 20 and known["tiles"] == tiles == reachable(ground, np.array([2 * 18 + 2])).sum()
    np.testing.assert_allclose(known["yield"], 32 * 0.1 * 20)  # nobody can hold more than 32 food
    np.testing.assert_allclose(known["capacity"], 32 * 0.1 * 20 / 2)
    ready, share = 2 / (32 * 20 / tiles), 20 / tiles
    np.testing.assert_allclose(known["mean_field"], 0.1 * 20 * (1 - ready) / (share * ready))
    hungry = Evaluation([], Environment(SMALL, rules.replace(food_metabolism=30)), 1, 0, 1, 0)
    monkeypatch.setattr(hungry, "_pool", lambda: MapPool.from_maps([ground], SMALL))
    assert hungry.arithmetic()["mean_field"] == 0
    fasting = Evaluation([], Environment(SMALL, rules.replace(food_metabolism=0)), 1, 0, 1, 0)
    monkeypatch.setattr(fasting, "_pool", lambda: MapPool.from_maps([ground], SMALL))
    assert np.isnan(fasting.arithmetic()["capacity"])


def test_report(made):
    study, results, out = made
    report(study, out, results)
    told = json.loads((out / "results.json").read_text())["policies"][0]
    assert told["policy"] == "random" and told["interval_over"] == "worlds"
    assert np.shape(told["attacks_per_tick"]) == (4, 4) and np.sum(told["attacks_per_tick"]) > 0
    for name in ("survival", "population", "causes", "attacks"):
        assert (out / f"{name}.png").stat().st_size > 5_000
        assert f"![{name}]({name}.png)" in (out / "report.md").read_text()


def _get_on(world):
    level = world["level"] + jnp.array([[1], [0]])
    return world.set(level=level).tell("rested", world.chosen("rest") == 1).tell("slept", world.alive & False)


GETTING_ON = System(
    "getting_on",
    agents=[Column("level", "uint8", high=40, each=("walking", "sitting"))],
    events=["rested", "slept"],
    heads=[Head("rest", [Argument("rest", 2)])],
    phases=[Phase("act", _get_on)],
)


@pytest.mark.slow
def test_what_systems_tell_and_keep_is_told(tmp_path):
    """Whichever there are: events per life, and levels; in the report, and results.json."""
    env = Environment(dataclasses.replace(SMALL, systems=(GETTING_ON,)), Rules(start_food=6, start_water=9))
    study = Evaluation(entrants(("random", "forager"), env), env, WORLDS, SETTLE, TICKS, 4)
    (tmp_path / "cells").mkdir()
    results, _ = compute(study.cells(), tmp_path)
    random, forager = study.measures(results)
    counts = results["policy-0-seed-0"]
    rested = counts["told"][..., 0].sum() / counts["deaths"].sum()
    np.testing.assert_allclose(random["event.rested"].mean, rested)
    assert rested > 1 and forager["event.rested"].mean == random["event.slept"].mean == 0
    walking = counts["held"][..., 0].sum() / counts["living"].sum()
    np.testing.assert_allclose(random["mean.getting_on.level.walking"].mean, walking)
    assert walking > 1 and random["mean.getting_on.level.sitting"].mean == 0
    best = counts["highest"][..., 0].max(axis=1)
    np.testing.assert_allclose(random["highest.getting_on.level.walking"].mean, best.mean())
    report(study, tmp_path, results)
    told = (tmp_path / "report.md").read_text()
    shown = f"{random['mean.getting_on.level.walking']} ({best.mean():.3g})"
    assert f"| getting_on.level.walking | {shown} |" in told
    assert "| rested | " in told and "slept" not in told and "sitting" not in told
    assert json.loads((tmp_path / "results.json").read_text())["policies"][0]["event.rested"]["mean"] == rested


def test_nobody_was_there(made, tmp_path):
    """Worlds that nobody lived in are told of, not a reason to fail."""
    study, results, _ = made
    nothing = {name: np.zeros_like(value) for name, value in results["policy-0-seed-0"].items()}
    report(study, tmp_path, {"policy-0-seed-0": nothing | {"stride": np.array(1)}})
    told = json.loads((tmp_path / "results.json").read_text())["policies"][0]
    assert told["lifetime"]["mean"] is None and told["population"]["mean"] == 0


def test_a_median_that_was_not_reached():
    exposed, ended = np.array([[10, 10, 8, 0]] * 3), np.array([[0, 2, 1, 0]] * 3)
    assert module._median(np.stack([exposed, ended], axis=1)) == np.inf


def test_a_median_that_one_training_did_not_reach_is_not_told():
    assert str(module._over_seeds([40.0, np.inf, 42.0])) == "-"
    assert module._over_seeds([40.0, 42.0]).mean == 41
