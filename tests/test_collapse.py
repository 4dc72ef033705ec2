"""Early-warning signals against known series, and a rule's slow change against plain runs."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from nmmo_jax import Environment
from nmmo_jax.commands.collapse import Collapse as Command
from nmmo_jax.components import NEVER
from nmmo_jax.kinds import Material
from nmmo_jax.rules import Rules
from nmmo_jax.world.pool import MapPool
from tests.small import SMALL
from train.studies.axis import Axis
from train.studies.collapse import LAG, Collapse, Kind, Ramp, halved, measures, redraw
from train.studies.early_warning import autocorrelation, detrended, recovery_time, trend, variance
from train.studies.reports.collapse import findings, report

CAPS = np.array([4.0, 8.0, 12.0, 16.0])
WORLDS, SETTLE, HOLD = 8, 8, 8 * LAG  # with as many worlds the program of test_sweep.py, compiled once


@pytest.fixture(scope="module")
def fallen():
    """A cap that goes from 16 to 4 and back, at two paces."""
    study = Collapse(
        Axis("population_cap", CAPS), True, [Kind("ring", Environment(SMALL))], ("random",), WORLDS, SETTLE, HOLD, 2, 5
    )
    return study, {cell.name: cell.compute(lambda *_: None) for cell in study.cells()}


def autoregressive(phi: float, shape: tuple[int, int]) -> np.ndarray:
    """x(t) = phi x(t - 1) + e(t), e of variance 1, from its stationary state."""
    noise = np.random.default_rng(0).normal(size=shape)
    series = np.zeros(shape)
    series[:, 0] = noise[:, 0] / np.sqrt(1 - phi**2)
    for t in range(1, shape[1]):
        series[:, t] = phi * series[:, t - 1] + noise[:, t]
    return series


@pytest.mark.parametrize("phi", [0.5, 0.9])
def test_indicators_of_a_known_process(phi):
    series = autoregressive(phi, (32, 8_192)) + np.linspace(100, 50, 8_192)
    assert variance(series).mean() == pytest.approx(1 / (1 - phi**2), rel=0.03)
    assert autocorrelation(series).mean() == pytest.approx(phi, abs=0.01)
    assert autocorrelation(series, 4).mean() == pytest.approx(phi**4, abs=0.02)
    for lag in (1, 4):
        time = recovery_time(autocorrelation(series, lag), lag).mean()
        assert time == pytest.approx(-1 / np.log(phi), rel=0.06)  # in which phi^t falls to 1/e


def test_what_is_left_of_a_line_and_what_is_not_known():
    line = 3.0 - 0.25 * np.arange(64)
    np.testing.assert_allclose(detrended(line), 0, atol=1e-12)
    wave = np.tile([1.0, -1.0, -1.0, 1.0], 16)  # across any line: its sum over time is 0
    np.testing.assert_allclose(variance(line + wave), 1)
    np.testing.assert_allclose(autocorrelation(line + wave, 2), -1)
    np.testing.assert_allclose(autocorrelation(np.stack([line + wave, line]), 4), [1, np.nan])
    known = np.array([np.exp(-0.1), -0.2, 0.0, 1.0, np.nan])
    np.testing.assert_allclose(recovery_time(known, 3), [30, 0, 0, np.nan, np.nan])
    with pytest.raises(ValueError, match="lag=64: allowed are 1 to 63"):
        autocorrelation(line, 64)


def test_trends_are_kendalls():
    values = np.random.default_rng(1).normal(size=(12, 5))
    values[4, 1] = values[3, 1]  # a tie
    for unit, found in enumerate(trend(values)):
        assert found == pytest.approx(stats.kendalltau(np.arange(12), values[:, unit]).statistic)
    agree = [np.sign(values[j, 0] - values[i, 0]) for j in range(12) for i in range(j)]
    assert trend(values)[0] == pytest.approx(sum(agree) / 66)
    rising = np.stack([np.r_[np.arange(6.0), np.zeros(6)], np.r_[np.nan, np.arange(11.0)]], axis=1)
    np.testing.assert_allclose(trend(rising, np.array([6, 12])), [1, 1])
    np.testing.assert_allclose(trend(rising, np.array([2, 3])), [np.nan, np.nan])


@pytest.mark.slow
def test_a_change_is_the_runs_that_it_is_made_of(fallen):
    """The copies that agents are taken from leave no trace."""
    study, results = fallen
    census = study.programs["ring"]
    pool = MapPool.generated(5, WORLDS, SMALL, split="held_out")
    worlds = census.begin(5, pool.tiles(jnp.arange(WORLDS)), None, SMALL.num_agents // 2)
    result = results[f"ring-{HOLD}-000"]
    for step, cap in enumerate([16, 12, 8, 4, 8]):
        rules = Rules(population_cap=cap)
        worlds, _ = census.run(worlds, HOLD // 2 + (0 if step else SETTLE), rules=rules)
        worlds, window = census.run(worlds, HOLD // 2, rules=rules)
        np.testing.assert_array_equal(result["population"][step], window.population.sum(2).T)
        np.testing.assert_array_equal(result["depleted"][step], window.depleted.T)
    assert len(result["population"]) == 7 and len(result["response"]) == 4
    assert results[f"ring-{2 * HOLD}-000"]["population"].shape == (7, WORLDS, HOLD)


@pytest.mark.slow
def test_half_are_removed_from_a_copy(fallen):
    study, _ = fallen
    census, pool = study.programs["ring"], MapPool.generated(5, WORLDS, SMALL, split="held_out")
    worlds = census.begin(5, pool.tiles(jnp.arange(WORLDS)), None, SMALL.num_agents // 2)
    dead = worlds.realm.agents.alive.at[:, 1].set(False)  # eight are left, or seven
    worlds = worlds.replace(realm=worlds.realm.replace(agents=worlds.realm.agents.replace(alive=dead)))
    copy, removed = halved(worlds)
    before, after = (np.asarray(one.realm.agents.alive) for one in (worlds, copy))
    number = before.sum(axis=1)
    assert set(number) == {7, 8} and (after.sum(1) == 4).all() and (removed == number - 4).all()
    assert (before >= after).all()
    known = np.asarray(copy.realm.agents.uid)
    np.testing.assert_array_equal(known, np.where(before & ~after, -1, worlds.realm.agents.uid))
    census.run(copy, 4)
    assert np.asarray(worlds.realm.agents.alive).sum() == number.sum()  # not used up with its copy


@pytest.mark.slow
def test_forests_wait_anew_after_a_change_of_regrowth(fallen):
    study, _ = fallen
    census, pool = study.programs["ring"], MapPool.generated(5, WORLDS, SMALL, split="held_out")
    worlds = census.begin(5, pool.tiles(jnp.arange(WORLDS)), None, SMALL.num_agents // 2)
    realm = worlds.realm
    side = jnp.full(realm.tiles.material.shape, Material.FOREST, jnp.uint8).at[:, :4].set(Material.GRASS)
    ready = jnp.full(side.shape, 500, jnp.int32).at[:, :8].set(90).at[:, 8, 0].set(NEVER)
    realm = realm.replace(tick=realm.tick + 100, tiles=realm.tiles.replace(material=side, ready_tick=ready))
    worlds = worlds.replace(realm=realm)

    def waits(probability: float, step: int = 1, of=worlds) -> np.ndarray:
        return np.asarray(redraw(of, jnp.float32(probability), step).realm.tiles.ready_tick)

    assert (waits(0.1)[:, :8] == 90).all()  # grass, and what is ready
    assert (waits(1.0)[:, 8:] == 101).all() and (waits(0.0)[:, 8:] == NEVER).all()
    drawn = waits(0.1)[:, 8:] - 100
    assert drawn.min() == 1 and drawn.mean() == pytest.approx(10, abs=1)  # geometric
    assert (drawn[0] != drawn[1]).any() and (drawn != waits(0.1, 2)[:, 8:] - 100).any()
    # By number of the realm, whichever others there are; both have the same forests.
    np.testing.assert_array_equal(waits(0.1, 1, worlds.replace(first=jnp.int32(1)))[0], waits(0.1)[1])


def made(tau: float, up: float = 10.0, last: float = 10.0) -> dict[str, np.ndarray]:
    """Four steps of two worlds that go back to normal in a known time."""
    time = np.arange(1, 257)
    population = np.full((7, 2, 256), 10.0)
    population[4:], population[3, 0] = up, last
    response = population[:4] - 4 * np.exp(-time / tau)
    gone, depleted = np.full((4, 2), 4), np.full((7, 2, 256), 0.5)
    return {"population": population, "depleted": depleted, "response": response, "removed": gone}


def test_measures_of_a_made_up_world():
    of = measures(made(20.0, up=7.0, last=0.5), 4)
    decay = np.exp(-1 / 20)
    np.testing.assert_allclose(of["response"], decay / (1 - decay), rtol=1e-4)  # a geometric sum: 19.5
    np.testing.assert_allclose(of["down"], [[10, 10]] * 3 + [[0.5, 10]])
    assert of["steps"].tolist() == [3, 4] and np.isnan(of["recovery"]).all() and (of["variance"] == 0).all()
    ramp = Ramp("ring", 512, np.array([4.0, 3, 2, 1]), of)
    np.testing.assert_allclose(ramp.gap, [3, 3])
    assert ramp.interval("response").mean == pytest.approx([decay / (1 - decay)] * 4, rel=1e-4)


def test_findings_say_what_the_intervals_do():
    values = np.array([4.0, 3, 2, 1])

    def said(fast: float, slow: float) -> str:
        each = []
        for hold, up in ((512, fast), (2_048, slow)):
            one = made(20.0, up)
            one["population"][4:, 1] += 0.1  # no two worlds alike
            each.append(Ramp("ring", hold, values, measures(one, 4)))
        return findings(each)[-1]

    assert said(2.0, 7.0).startswith("ring: 2.95 ± 0.64 agents more") and "in part a lag (nearer to 0 by 5.00" in said(
        2.0, 7.0
    )
    assert "hysteresis, or a lag" in said(7.0, 7.0) and "hysteresis, or a lag" in said(7.0, 2.0)
    assert "no hysteresis, and a lag" in said(7.0, 10.0) and said(10.0, 10.0).endswith("no hysteresis.")
    assert "in part a lag (nearer to 0 by 4.00" in said(18.0, 14.0) and "ring: -4.05" in said(18.0, 14.0)


def test_the_report(fallen, tmp_path):
    study, results = fallen
    report(study, tmp_path, results)
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["field"] == "population_cap" and told["values"] == [16, 12, 8, 4]
    assert [one["hold"] for one in told["ramps"]] == [HOLD, 2 * HOLD]
    mean = results[f"ring-{HOLD}-000"]["population"].mean(axis=(1, 2))
    np.testing.assert_allclose(told["ramps"][0]["down"]["mean"], mean[:4])
    np.testing.assert_allclose(told["ramps"][0]["up"]["mean"], mean[6:3:-1])
    text = (tmp_path / "report.md").read_text()
    for name in ("indicators", "hysteresis"):
        assert f"({name}.png)" in text and (tmp_path / f"{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize(("change", "message"), [
    ({"over": "population_cap=4,8,12"}, "must be at least 4"), ({"over": "population_cap=4:400:5"}, "num_agents=128"),
    ({"over": "spawn_rate=0:1:5"}, "a value of its own"), ({"hold": 4 * LAG}, "--hold 32"), ({"slower": 1}, "--slower"),
    ({"births": ("ring", "ring")}, "--births ring ring"), ({"spawn_rate": 2.0}, r"spawn_rate=2\.0"),
    ({"set": (("regrowth_probability=0.1",),)}, "a value of its own"), ({"policy": ()}, "at least one"),
    ({"worlds": 0}, "--worlds 0"),
])  # fmt: skip
def test_bad_input_is_refused_before_anything_is_compiled(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Command(), **change)._filled().study(tmp_path)
