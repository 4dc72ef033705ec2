"""Intervals over units that are independent of each other: seeds, worlds or maps.

Agents of one world share its food and each other's company, so that they never are. Axis 0 of what is given is that of
the units; where a unit has nothing to say (nobody died in a world) it is NaN, or 0 over 0, and left out.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95  # of all intervals


class Interval(NamedTuple):
    """An estimate and its interval, scalars or arrays; NaN where nothing is known (no unit; one unit: no interval)."""

    mean: Any
    low: Any
    high: Any

    def __str__(self) -> str:
        """One estimate as text."""
        if not np.isfinite(self.mean):
            return "-"
        if np.isposinf(self.high):
            return f"{self.mean:.1f} (from {self.low:.1f})"
        digits = 1 if abs(self.mean) >= 10 else 2 if abs(self.mean) >= 1 else 3
        if not np.isfinite(self.low):
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ± {(self.high - self.low) / 2:.{digits}f}"

    def at(self, *index: int) -> "Interval":
        """One of many."""
        return Interval(*(value[index] for value in self))

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON: None in place of NaN."""
        return {name: _plain(value) for name, value in self._asdict().items()}


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Mean over the units, ``[S, ...]``, with Student's t interval."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    number = known.sum(axis=0)
    mean = over(np.where(known, values, 0).sum(axis=0), number)
    squares = np.where(known, (values - mean) ** 2, 0).sum(axis=0)
    return _t_interval(mean, np.sqrt(over(squares, (number - 1) * number)), number, level)


def ratio_interval(amounts: ArrayLike, counts: ArrayLike, level: float = LEVEL) -> Interval:
    """Sum of amounts over sum of counts, both ``[S, ...]``: the mean age at death, from ages and deaths per world.

    The variance of a ratio of sums over S clusters, linearised: S / (S - 1) * sum((y - r x)^2) / sum(x)^2
    (Cochran, Sampling Techniques, 3rd ed., 1977, section 6.3), with Student's t of S - 1 degrees of freedom.
    """
    amounts, counts = np.asarray(amounts, np.float64), np.asarray(counts, np.float64)
    known = np.isfinite(amounts) & np.isfinite(counts) & ((counts > 0) | (amounts > 0))
    amounts, counts = np.where(known, amounts, 0), np.where(known, counts, 0)
    number, total = known.sum(axis=0), counts.sum(axis=0)
    ratio = over(amounts.sum(axis=0), total)
    residuals = ((amounts - np.nan_to_num(ratio) * counts) ** 2).sum(axis=0)
    error = over(np.sqrt(over(number * residuals, number - 1)), total)
    return _t_interval(ratio, error, number, level)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    units: np.ndarray,
    level: float = LEVEL,
    draws: int = 500,
    seed: int = 0,
) -> Interval:
    """What ``statistic`` makes of units ``[S, ...]``, with percentiles over samples of the units with replacement, and
    the estimate within; of one unit, no interval.

    Source: Efron, Bootstrap methods: another look at the jackknife, Ann. Statist. 7 (1979).
    """
    found = statistic(units)
    if len(units) < 2:
        return Interval(found, *np.full((2, *np.shape(found)), np.nan))
    generator = np.random.default_rng(seed)
    samples = [statistic(units[generator.integers(0, len(units), len(units))]) for _ in range(draws)]
    tail = (1 - level) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN")  # of what nothing is known
        low, high = np.nanquantile(np.asarray(samples, np.float64), [tail, 1 - tail], axis=0, method="inverted_cdf")
    # Of few units an estimate may be beyond all but a few of its samples.
    return Interval(found, np.minimum(low, found), np.maximum(high, found))


def _t_interval(mean: np.ndarray, error: np.ndarray, number: np.ndarray, level: float) -> Interval:
    half = stats.t.ppf((1 + level) / 2, np.maximum(number - 1, 1)) * error
    half = np.where(number > 1, half, np.nan)
    return Interval(*(_scalar(x) for x in (mean, mean - half, mean + half)))


def over(amount: ArrayLike, number: ArrayLike) -> np.ndarray:
    """Amount per number, NaN where there are none; both ``[...]``."""
    amount, number = np.asarray(amount, np.float64), np.asarray(number, np.float64)
    return np.divide(amount, number, out=np.full(np.broadcast(amount, number).shape, np.nan), where=number > 0)


def _scalar(value: np.ndarray) -> Any:
    return float(value) if np.ndim(value) == 0 else value


def _plain(value: Any) -> Any:
    if np.ndim(value):
        return [_plain(one) for one in value]
    return float(value) if np.isfinite(value) else None
