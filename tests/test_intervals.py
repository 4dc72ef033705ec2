"""Intervals over units: against SciPy, by hand, and by how often they hold."""

import numpy as np
import pytest
from scipy import stats

from train.studies.intervals import Interval, bootstrap, mean_interval, ratio_interval


def test_mean_is_student_t():
    values = np.random.default_rng(0).normal(5, 2, (7, 3))
    got = mean_interval(values)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(0), scale=stats.sem(values))
    np.testing.assert_allclose(got.mean, values.mean(0))
    np.testing.assert_allclose([got.low, got.high], [low, high])


def test_unknown_units_are_left_out():
    got = mean_interval([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]])
    assert got.mean[0] == 2 and got.low[0] < 1
    assert got.mean[1] == 2 and np.isnan(got.low[1])
    assert np.isnan(got.mean[2])
    assert got.as_json()["high"][1:] == [None, None]


def test_ratio_by_hand():
    ages, deaths = np.array([10.0, 30.0, 5.0, 0.0]), np.array([2, 3, 1, 0])
    got = ratio_interval(ages, deaths)
    ratio = 45 / 6
    variance = 3 / 2 * ((10 - 2 * ratio) ** 2 + (30 - 3 * ratio) ** 2 + (5 - ratio) ** 2) / 36
    half = stats.t.ppf(0.975, 2) * np.sqrt(variance)  # the world without deaths says nothing
    np.testing.assert_allclose(got, (ratio, ratio - half, ratio + half))
    assert np.isnan(ratio_interval([0, 0], [0, 0]).mean)
    assert ratio_interval([10, 10, 0], [0, 1, 0]).mean == 20  # where nobody died somebody lived


@pytest.mark.parametrize("kind", ["mean", "ratio", "bootstrap"])
def test_covers_the_truth_about_as_often_as_told(kind):
    rng, held = np.random.default_rng(1), 0
    for trial in range(200):
        counts = rng.poisson(20, 30) + 1
        amounts = rng.gamma(4 * counts, 2.5)  # 10 for each counted
        got = {
            "mean": lambda amounts=amounts, counts=counts: mean_interval(amounts / counts),
            "ratio": lambda amounts=amounts, counts=counts: ratio_interval(amounts, counts),
            "bootstrap": lambda amounts=amounts, counts=counts, trial=trial: bootstrap(
                lambda units: units[:, 0].sum() / units[:, 1].sum(),
                np.stack([amounts, counts], 1),
                seed=trial,
                draws=200,
            ),
        }[kind]()
        held += got.low <= 10 <= got.high
    assert 180 <= held <= 199  # of 200 at 95 %; the bootstrap is known to be a little short


def test_as_text():
    assert str(Interval(105.26, 100.0, 110.0)) == "105.3 ± 5.0"
    assert str(Interval(np.nan, np.nan, np.nan)) == "-"
    assert str(Interval(0.5, np.nan, np.nan)) == "0.500"


def test_an_estimate_lies_within_its_interval():
    """Of eight different units hardly a sample with replacement has eight, and none more."""
    found = bootstrap(lambda units: np.array([len(np.unique(units)), -len(np.unique(units))]), np.arange(8))
    assert found.mean.tolist() == [8, -8] and (found.low <= found.mean).all() and (found.mean <= found.high).all()
