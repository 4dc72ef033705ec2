"""Tournaments: populations of several policies in the same worlds, in pairs and all together.

In a match population p plays for entrant p modulo their number, and every entrant has as many places; then the seats
are changed and the same worlds are played again. All matches are played in the same worlds: maps, births and regrowth
have the same chance. World sizes are population caps: worlds of all sizes run side by side in one program.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nmmo_jax.environment import Environment
from nmmo_jax.world.pool import MapPool
from train.studies.entrants import Entrant, Programs, check_play
from train.studies.intervals import Interval, mean_interval, over, ratio_interval
from train.studies.ratings import ratings, ticks_per_death
from train.studies.study import Cell, OnProgress, Result, Results

_KEPT = ("aged", "deaths", "steps")


class Match(NamedTuple):
    """Entrants that meet, by index, and which of their replicates do."""

    entrants: tuple[int, ...]
    policies: tuple[str, ...]
    replicate: int

    @property
    def name(self) -> str:
        """Of its cell."""
        return f"match-{'-'.join(map(str, self.entrants))}-seed-{self.replicate}"


@dataclasses.dataclass
class Tournament:
    """A study of ``Entrant``s.

    Attributes:
      env: capacity and rules; worlds of every size have its capacity.
      sizes: population caps.
      worlds: of each size, every one on a map of its own, not seen in training.
      settle: ticks before any are counted.
      ticks: that are counted.
      seed: of maps and play.
    """

    entrants: Sequence[Entrant]
    env: Environment
    sizes: Sequence[int]
    worlds: int
    settle: int
    ticks: int
    seed: int

    def __post_init__(self):
        config = self.env.config
        if not self.sizes or len(set(self.sizes)) < len(self.sizes):
            raise ValueError(f"sizes={tuple(self.sizes)}: must be one or more, each once")
        for size in self.sizes:
            if not 1 <= size <= config.num_agents:
                raise ValueError(f"sizes={size}: allowed are 1 to num_agents={config.num_agents}")
        if config.num_populations % 2:
            raise ValueError(f"num_populations={config.num_populations}: must be even, for two entrants to share")
        numbers = {len(one.replicates) for one in self.entrants}
        if len(numbers - {1}) > 1:
            raise ValueError(f"seeds={sorted(numbers)}: entrants with several must have as many, or no intervals hold")
        check_play(self)
        self._programs = {
            seats: self._programs_of(seats) for seats in {len(match.entrants) for match in self.matches()}
        }

    def matches(self) -> list[Match]:
        """Every pair, an entrant and itself too, and all together; as many times as there are replicates.

        Replicate k of one meets replicate k + 1 of the other, so that no training plays twice in a pair and an
        entrant never meets the same training as itself, unless it has only one.
        """
        number = range(len(self.entrants))
        pairs = list(itertools.combinations_with_replacement(number, 2))
        groups = [*pairs, tuple(number)] if len(self.entrants) > 2 else pairs
        found = []
        for group in groups:
            every = [self.entrants[index].replicates for index in group]
            for k in range(max(map(len, every))):
                policies = tuple(one[(k + seat) % len(one)] for seat, one in enumerate(every))
                found.append(Match(tuple(group), policies, k))
        return found

    def cells(self) -> list[Cell]:
        """A match each."""

        def cell(match: Match) -> Cell:
            return Cell(match.name, float(len(match.entrants)), lambda on_progress: self._play(match, on_progress))

        return [cell(match) for match in self.matches()]

    def _programs_of(self, seats: int) -> Programs:
        """Worlds with as many populations for each of so many entrants."""
        config = self.env.config
        populations = config.num_populations if config.num_populations % seats == 0 else seats
        if populations > config.num_agents:
            raise ValueError(f"num_agents={config.num_agents}: fewer than the {seats} who meet")
        agents = config.num_agents // populations * populations
        config = dataclasses.replace(config, num_agents=agents, num_populations=populations)
        env = Environment(config, self.env.rules.replace(population_cap=jnp.int32(agents)))
        return Programs(env, len(self.sizes) * self.worlds)

    def _play(self, match: Match, on_progress: OnProgress) -> dict[str, np.ndarray]:
        """Counts ``[rotations, sizes, worlds, entrants, ...]``."""
        seats, programs = len(match.entrants), self._programs[len(match.entrants)]
        turns = seats if len(set(match.policies)) > 1 else 1  # by itself, every seat is the same
        pool = MapPool.generated(self.seed, self.worlds, programs.env.config, split="held_out")
        caps = np.minimum(np.repeat(self.sizes, self.worlds), programs.env.config.num_agents)
        rules = programs.env.rules.replace(population_cap=jnp.asarray(caps))
        total, rotations = self.settle + self.ticks, []
        for rotation in range(turns):
            # The policy of entrant e sits at (e + rotation) modulo their number.
            census, params = programs.census(tuple(match.policies[(seat - rotation) % seats] for seat in range(seats)))

            def going(ticks: int, before: int = 0, rotation: int = rotation) -> None:
                on_progress((rotation + (before + ticks) / total) / turns, " - ".join(self._labels(match)))

            worlds = programs.begin(census, pool, self.seed, rules)
            worlds, _ = census.run(worlds, self.settle, params=params, rules=rules, on_progress=going)
            _, counted = census.run(
                worlds, self.ticks, params=params, rules=rules, on_progress=lambda n, go=going: go(n, self.settle)
            )
            rotations.append({name: self._by_entrant(getattr(counted.counts, name), rotation, seats) for name in _KEPT})
        return {name: np.stack([one[name] for one in rotations]) for name in _KEPT}

    def _by_entrant(self, counts: np.ndarray, rotation: int, seats: int) -> np.ndarray:
        """``[R, P, ...]`` as ``[sizes, worlds, entrants, ...]``, summed over each one's populations."""
        shape = (len(self.sizes), self.worlds, -1, seats, *counts.shape[2:])
        return np.roll(counts.reshape(shape).sum(axis=2), -rotation, axis=2)

    def _labels(self, match: Match) -> list[str]:
        return [self.entrants[index].label for index in match.entrants]

    @property
    def _single(self) -> bool:
        """Whether worlds are the units of intervals, as no entrant has several replicates."""
        return all(len(one.replicates) == 1 for one in self.entrants)

    def pairs(self, results: Results, name: str) -> np.ndarray:
        """Counts of each entrant (axis 1) where it met each other (axis 2), ``[sizes, E, E, units]``, over rotations
        and causes; NaN where there is no such unit. Units are replicates, or worlds where nobody has several.
        """
        number = len(self.entrants)
        units = self.worlds if self._single else max(len(one.replicates) for one in self.entrants)
        found = np.full((len(self.sizes), number, number, units), np.nan)
        for match in self.matches():
            if len(match.entrants) == 2:
                counts = _sum(results[match.name], name, worlds=not self._single)  # [sizes, units, 2]
                where = slice(None) if self._single else slice(match.replicate, match.replicate + 1)
                for seat in (1, 0):  # against itself, the first seat counts
                    found[:, match.entrants[seat], match.entrants[1 - seat], where] = counts[..., seat]
        return found

    def lifetimes(self, results: Results) -> np.ndarray:
        """Mean age at death of each entrant against each other, ``[sizes, E, E, units]``; NaN where nobody died."""
        return over(self.pairs(results, "aged"), self.pairs(results, "deaths"))

    def interval(self, results: Results, amount: str) -> Interval:
        """``aged`` or ``steps`` per death, ``[sizes, E, E]``; over seeds, of those in whose worlds somebody died."""
        amounts, died = (np.moveaxis(self.pairs(results, name), -1, 0) for name in (amount, "deaths"))
        if self._single:
            return ratio_interval(amounts, np.nan_to_num(died))
        return mean_interval(over(amounts, died))

    def wins(self, results: Results) -> np.ndarray:
        """Share of games in which axis 1 does better than axis 2, ``[sizes, E, E, units]``, draws as half."""
        number = len(self.entrants)
        units = self.worlds if self._single else max(len(one.replicates) for one in self.entrants)
        found = np.full((len(self.sizes), number, number, units), np.nan)
        for match in self.matches():
            if len(match.entrants) == 2 and len(set(match.entrants)) == 2:
                score = _scores(results[match.name])  # [rotations, sizes, worlds, 2]
                won = ((score[..., 0] > score[..., 1]) / 2 + (score[..., 0] >= score[..., 1]) / 2).mean(axis=0)
                won = won if self._single else won.mean(axis=1, keepdims=True)
                where = slice(None) if self._single else slice(match.replicate, match.replicate + 1)
                one, other = match.entrants
                found[:, one, other, where], found[:, other, one, where] = won, 1 - won
        return found

    def ratings(self, results: Results) -> Interval:
        """Of all entrants ``[E]``, from the matches between different ones; see ``train.studies.ratings``.

        Units are replicates; or worlds, the same of all matches.
        """
        games: dict[int, list[Any]] = {}
        for match in self.matches():
            if len(set(match.entrants)) == len(match.entrants):
                scores = np.moveaxis(_scores(results[match.name]), 2, 0)  # [worlds, rotations, sizes, seats]
                each = enumerate(scores) if self._single else [(match.replicate, scores)]
                for unit, some in each:
                    games.setdefault(unit, []).append((match.entrants, some.reshape(-1, some.shape[-1])))
        return ratings(games, len(self.entrants), self.seed)

    @property
    def units(self) -> str:
        """What intervals are over."""
        number = max(len(one.replicates) for one in self.entrants)
        return f"{number} seeds of training" if number > 1 else f"{self.worlds} worlds of each size"

    def all_in_one(self, results: Results) -> dict[str, Interval]:
        """Of the worlds in which all meet: lifetime and share of first places, ``[sizes, E]``."""
        matches = [match for match in self.matches() if len(match.entrants) > 2]
        if not matches:
            return {}
        single = self._single
        each, firsts = [], []
        for match in matches:
            both = (_sum(results[match.name], name, worlds=not single) for name in ("aged", "deaths"))
            each.append([np.moveaxis(counts, 1, 0) for counts in both])  # of [sizes, units, E]
            score = _scores(results[match.name])
            best = score == score.max(axis=-1, keepdims=True)
            share = (best / best.sum(axis=-1, keepdims=True)).mean(axis=0)  # [sizes, worlds, E]
            firsts += list(np.moveaxis(share if single else share.mean(axis=1, keepdims=True), 1, 0))
        aged, died = (np.concatenate(counts) for counts in zip(*each, strict=True))
        lifetime = ratio_interval(aged, died) if single else mean_interval(over(aged, died))
        return {"lifetime": lifetime, "first": mean_interval(firsts)}


def _sum(result: Result, name: str, worlds: bool) -> np.ndarray:
    """Counts of a match, ``[sizes, units, entrants]``: over rotations and causes, and over worlds if asked."""
    counts = np.asarray(result[name], np.float64)
    if name == "deaths":
        counts = counts.sum(axis=-1)
    counts = counts.sum(axis=0)
    return counts.sum(axis=1, keepdims=True) if worlds else counts


def _scores(result: Result) -> np.ndarray:
    """In every world, ``[rotations, sizes, worlds, entrants]``."""
    return ticks_per_death(result["steps"], result["deaths"].sum(axis=-1))
