"""Ratings of who lives longer where several meet: OpenSkill, with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from openskill.models import PlackettLuce

from train.studies.intervals import Interval, bootstrap

RATING_SCALE = 40.0  # ratings as usual for games: 1000 + 40 mu, where OpenSkill's sigma begins at 25 / 3
_SHUFFLES, _SAMPLES = 2, 100  # of the order in which ratings hear of games; of the bootstrap
_MOST_GAMES = 2_000  # that a rating hears of

Games = Sequence[tuple[Sequence[int], np.ndarray]]  # who met, by index, and their scores ``[games, who]``


def ticks_per_death(steps: np.ndarray, died: np.ndarray) -> np.ndarray:
    """A score: agent-ticks per death, how long lives are if deaths come at a constant rate. The living count as well;
    where nobody died, it is all their ticks.
    """
    return steps / np.maximum(died, 1)


def ratings(units: Mapping[int, Games], number: int, seed: int) -> Interval:
    """OpenSkill ratings (Plackett-Luce) ``[number]`` from the games of all units, as many as ``_MOST_GAMES`` of them.

    Intervals are percentiles of a bootstrap over units.
    """
    if not units:
        return Interval(*np.full((3, number), np.nan))
    generator = np.random.default_rng(seed)

    def rate(some: np.ndarray) -> np.ndarray:
        told = [(who, score) for unit in some for who, scores in units[int(unit)] for score in scores]
        return _rate(told, number, generator)

    return bootstrap(rate, np.array(sorted(units)), draws=_SAMPLES)


def _rate(told: Games, number: int, generator: np.random.Generator) -> np.ndarray:
    model, mus = PlackettLuce(), []
    for _ in range(_SHUFFLES):  # a rating depends on the order of the games
        rating = [model.rating() for _ in range(number)]
        for index in generator.permutation(len(told))[:_MOST_GAMES]:
            who, score = told[index]
            rated = model.rate([[rating[one]] for one in who], scores=list(map(float, score)))
            for one, (new,) in zip(who, rated, strict=True):
                rating[one] = new
        mus.append([one.mu for one in rating])
    return 1000 + RATING_SCALE * (np.mean(mus, axis=0) - model.mu)
