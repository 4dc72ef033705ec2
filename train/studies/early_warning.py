"""Early-warning signals: what a population's fluctuations tell of how near it is to a collapse.

A system that recovers ever more slowly from small disturbances fluctuates more, and remembers its state for longer:
variance, coefficient of variation and autocorrelation rise (Scheffer et al., Early-warning signals for critical
transitions, Nature 461, 2009; Dakos et al., Methods for detecting early warnings of critical transitions in time
series, PLoS ONE 7, 2012).
"""

import numpy as np
from scipy import stats


def detrended(series: np.ndarray) -> np.ndarray:
    """``[..., T]`` less its straight line of least squares."""
    series = np.asarray(series, np.float64)
    time = np.arange(series.shape[-1]) - (series.shape[-1] - 1) / 2
    centred = series - series.mean(axis=-1, keepdims=True)
    slope = (centred * time).sum(axis=-1, keepdims=True) / (time**2).sum()
    return centred - slope * time


def variance(series: np.ndarray) -> np.ndarray:
    """Of what ``detrended`` leaves, ``[...]``."""
    return (detrended(series) ** 2).mean(axis=-1)


def autocorrelation(series: np.ndarray, lag: int = 1) -> np.ndarray:
    """Of what ``detrended`` leaves, ``[...]``; NaN where nothing is left.

    Sums over T - lag products against sums over T squares, each by its number: biased towards 0 by some lag times over
    T, as every estimate from a short window.

    Raises:
      ValueError: the window is no longer than the lag.
    """
    rest = detrended(series)
    if not 0 < lag < rest.shape[-1]:
        raise ValueError(f"lag={lag}: allowed are 1 to {rest.shape[-1] - 1}, less than the length of the series")
    product, square = (rest[..., lag:] * rest[..., :-lag]).mean(axis=-1), (rest**2).mean(axis=-1)
    known = square > 1e-9  # a series on a line leaves rounding
    return np.divide(product, square, out=np.full(square.shape, np.nan), where=known)


def recovery_time(correlation: np.ndarray, lag: int = 1) -> np.ndarray:
    """Ticks in which a disturbance falls to 1/e, -lag / log(r), from the autocorrelation r at a lag.

    0 where r is not above 0 (it falls sooner than the lag can tell), NaN where r is not known or not below 1.
    """
    r = np.asarray(correlation, np.float64)
    inside = (r > 0) & (r < 1)
    time = -lag / np.log(np.where(inside, r, 0.5))
    return np.where(inside, time, np.where(r <= 0, 0.0, np.nan))


def trend(values: np.ndarray, until: np.ndarray | None = None) -> np.ndarray:
    """Kendall's tau-b of each unit's values ``[K, W]`` against their order, ``[W]``: 1 where they always rise.

    Args:
      until: how many of the values count, ``[W]``; default, all. NaN are left out; with fewer than three the trend is
        not known, and NaN.
    """
    steps, units = values.shape
    until = np.full(units, steps) if until is None else until
    found = np.full(units, np.nan)
    for unit in range(units):
        series = values[: until[unit], unit]
        known = np.isfinite(series)
        if known.sum() > 2:
            found[unit], _ = stats.kendalltau(np.flatnonzero(known), series[known])
    return found
