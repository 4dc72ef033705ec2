"""What removing each agent in turn says about who depends on whom; worlds as ``train.studies.forks.remove_each`` leaves
them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nmmo_jax.components import NEVER
from train.studies.intervals import Interval, mean_interval
from train.studies.study import Result

DISTANCES = (0, 2, 4, 8, 16, 32, 64)  # tiles: where the bins begin; the last is open


def differences(world: Result, name: str) -> np.ndarray:
    """Effect of each removal on each other, ``[F, removed, other]``; NaN on oneself."""
    effect = (world[name][:, 1:] - world[name][:, :1]).astype(np.float64)
    effect[:, np.arange(effect.shape[1]), np.arange(effect.shape[1])] = np.nan
    return effect


def tiles_apart(world: Result) -> np.ndarray:
    """Chebyshev distances at the fork, ``[U, U]``, in tiles."""
    row, col = world["row"].astype(int), world["col"].astype(int)
    return np.maximum(abs(row[:, None] - row), abs(col[:, None] - col))


def by_distance(worlds: Sequence[Result]) -> list[dict[str, Any]]:
    """Per bin of ``DISTANCES``: pairs in all futures, how many changed, and differences in life and food."""
    found = []
    for low, high in zip(DISTANCES, (*DISTANCES[1:], np.inf), strict=True):
        inside = [
            (tiles_apart(one) >= low) & (tiles_apart(one) < high) & ~np.eye(one["uid"].size, dtype=bool)
            for one in worlds
        ]
        if not any(map(np.any, inside)):
            continue

        def over_worlds(values: Any, inside: Any = inside) -> Interval:
            return mean_interval([mean(value[:, own]) for value, own in zip(values, inside, strict=True)])

        lived, food = ([differences(one, name) for one in worlds] for name in ("lived", "food"))
        found.append(
            {
                "tiles": f"{low} to {high - 1}" if np.isfinite(high) else f"{low} and more",
                "low": low,
                "pairs": sum(one["lived"].shape[0] * int(own.sum()) for one, own in zip(worlds, inside, strict=True)),
                "pairs_changed": sum(
                    int((one["changed"][:, 1:][:, own] < NEVER).sum()) for one, own in zip(worlds, inside, strict=True)
                ),
                "changed": over_worlds([one["changed"][:, 1:] < NEVER for one in worlds]),
                "lived": over_worlds(lived),
                "lived_abs": over_worlds([abs(one) for one in lived]),
                "food_abs": over_worlds([abs(one) for one in food]),
            }
        )
    return found


def by_policy(worlds: Sequence[Result], labels: tuple[str, ...]) -> dict[str, Any]:
    """Ticks of life that all others of a policy (columns) gain when one agent is removed, by its policy (rows)."""
    of = list(dict.fromkeys(labels))
    rows, intervals = [], []
    for removed in of:
        line = []
        for other in of:
            gains = []
            for one in worlds:
                own, effect = plays(one, labels), np.nan_to_num(differences(one, "lived"))
                gains.append(mean(effect[:, own == removed][..., own == other].sum(axis=2)))
            line.append(mean_interval(gains))
        intervals.append(line)
        rows.append([removed, *map(str, line)])
    return {"of": of, "rows": rows, "intervals": intervals}


def beyond_reach(worlds: Sequence[Result], step: int, horizon: int) -> dict[str, int]:
    """How many (pair, future, tick) are so far apart that nothing can have passed, and how many have changed.

    Args:
      step: tiles per tick, of ``train.studies.forks.reach``.
      horizon: ticks after the fork.
    """
    looked_at = changed = 0
    for one in worlds:
        apart, first = tiles_apart(one), one["changed"][:, 1:]
        ticks = np.minimum((apart - 1) // step, horizon)  # the last tick at which it is out of reach
        others = ~np.eye(apart.shape[0], dtype=bool) & (ticks > 0)
        looked_at += int(ticks[others].sum()) * first.shape[0]
        changed += int((first[:, others] <= ticks[others]).sum())
    return {"tiles_per_tick": step, "looked_at": looked_at, "changed": changed}


def strongest(worlds: Sequence[Result]) -> dict[str, Any]:
    """The pair with the largest effect on life in the even futures, measured in the odd ones; empty: no pair at all."""
    best: dict[str, Any] = {}
    size = -1.0
    for number, one in enumerate(worlds):
        effect = differences(one, "lived")
        if effect.shape[1] < 2:
            continue
        chosen = abs(np.nan_to_num(effect[::2].mean(axis=0)))
        removed, other = (int(index) for index in np.unravel_index(chosen.argmax(), chosen.shape))
        if chosen[removed, other] > size:
            size = float(chosen[removed, other])
            best = {
                "world": number,
                "removed": int(one["uid"][removed]),
                "other": int(one["uid"][other]),
                "tiles": int(tiles_apart(one)[removed, other]),
                "effect": mean_interval(effect[1::2, removed, other]),
            }
    return best


def plays(world: Result, labels: tuple[str, ...]) -> np.ndarray:
    """Which policy each agent of the fork plays, ``[U]``."""
    return np.asarray(labels)[world["population"] % len(labels)]


def mean(values: np.ndarray) -> float:
    """NaN of nothing."""
    return float(np.mean(values)) if values.size else float("nan")
