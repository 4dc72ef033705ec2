"""The scoreboard: policies in a fixed set of worlds, each by itself and all together, and what they are rated.

Alone, a policy plays all populations of a world. Together, the policies sit at its populations in turn, in as many
rounds as there are policies, after which everyone has sat at every population once: where there are more policies than
populations, the neighbours in an order that is another in every world meet. All is played on the same maps, with the
same chance of births and regrowth; a map is the unit of all intervals.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nmmo_jax.config import Config
from nmmo_jax.environment import Environment, make
from nmmo_jax.play.players import players
from nmmo_jax.play.statistics import food_per_tick, maps_of, reachable_forests
from nmmo_jax.policies.workers import SCRIPTS, check_units
from nmmo_jax.world.pool import MapPool
from train.policy import Policy, load_named
from train.studies.census import Census
from train.studies.entrants import check_play
from train.studies.intervals import Interval, bootstrap, mean_interval, over, ratio_interval
from train.studies.moved import identity
from train.studies.ratings import Games, ratings, ticks_per_death
from train.studies.study import Cell, OnProgress, Result, Results

_KEPT = ("aged", "died", "steps", "living", "forage")


class World(NamedTuple):
    """What is played in: ``agents`` places in ``populations``, on generated maps of ``side`` x ``side`` tiles."""

    name: str
    game: str
    agents: int
    populations: int
    side: int

    def make(self) -> Environment:
        """The world."""
        return make(
            self.game, num_agents=self.agents, num_populations=self.populations, rows=self.side, columns=self.side
        )


_SHAPES = (("16-small", 16, 4, 40), ("32", 32, 4, 80), ("128", 128, 8, 80), ("128-large", 128, 8, 160))
WORLDS = tuple(World(f"{game}-{name}", game, *shape) for game in ("law", "chaos") for name, *shape in _SHAPES)


class Player(NamedTuple):
    """Who takes part: what tables call it, and its name as ``nmmo_jax.play.players.players`` takes it."""

    label: str
    name: str


@dataclasses.dataclass
class Scoreboard:
    """A study of ``Player``s.

    Attributes:
      maps: in every world, not seen in training.
      settle: ticks before any are counted.
      ticks: that are counted.
      seed: of maps and play.
      unfit: why a policy cannot play in a world, by name of the world and index.
    """

    players: Sequence[Player]
    worlds: Sequence[World]
    maps: int
    settle: int
    ticks: int
    seed: int
    unfit: dict[tuple[str, int], str] = dataclasses.field(default_factory=dict, init=False)

    def __post_init__(self):
        check_play(self, "maps")
        self._policies: dict[tuple[str, Config], Policy] = {}
        self._envs = {world.name: world.make() for world in self.worlds}
        for world in self.worlds:
            for index, one in enumerate(self.players):
                try:
                    if one.name in SCRIPTS:
                        check_units([one.name], self._envs[world.name].config)
                    else:
                        self._load(one.name, self._envs[world.name])
                except ValueError as error:
                    self.unfit[world.name, index] = str(error)
        self._census = functools.cache(self._new_census)

    def _load(self, name: str, env: Environment) -> Policy:
        known = name, env.config
        if known not in self._policies:
            self._policies[known] = load_named(name, env)
        return self._policies[known]

    def fit(self, world: World) -> list[int]:
        """Who can play in a world, by index."""
        return [index for index in range(len(self.players)) if (world.name, index) not in self.unfit]

    def origin(self, name: str) -> str | None:
        """Of a trained policy what it is, in a line."""
        loaded = next((one for (known, _), one in self._policies.items() if known == name), None)
        return None if loaded is None else f"seed {loaded.settings.seed}, {identity(name)}"

    def seats(self, world: World, turn: int) -> list[int]:
        """Who plays which population in a round, by index."""
        who = self.fit(world)
        order = np.random.default_rng((self.seed, *world.name.encode())).permutation(who).tolist()
        return [order[(turn + population) % len(who)] for population in range(world.populations)]

    def turns(self, world: World) -> int:
        """Rounds in which all meet: as many as they are, none of one alone."""
        return len(self.fit(world)) if len(self.fit(world)) > 1 else 0

    def cells(self) -> list[Cell]:
        """In every world a cell for each policy alone and for each round of all together."""
        found = []
        for world in self.worlds:
            seatings = {
                alone(world, index): ([index] * world.populations, self.players[index].label)
                for index in self.fit(world)
            }
            for turn in range(self.turns(world)):
                seatings[together(world, turn)] = self.seats(world, turn), f"round {turn + 1} of {self.turns(world)}"
            for name, (seats, words) in seatings.items():
                compute = functools.partial(self._play, world, seats, words)
                found.append(Cell(name, float(world.agents), compute))
        return found

    def _new_census(self, config: Config, fit: tuple[int, ...]) -> Census:
        env = Environment(config)  # the rules are given when it is played: law and chaos share a program
        names = tuple(self.players[index].name for index in fit)
        return Census(env, players(names, env, self._load, any_seat=True), self.maps, bins=1)

    def _pool(self, world: World) -> MapPool:
        return MapPool.generated(self.seed, self.maps, self._envs[world.name].config, split="held_out")

    def _play(self, world: World, seats: list[int], words: str, on_progress: OnProgress) -> dict[str, np.ndarray]:
        """Counts ``[maps, populations]``."""
        env, fit = self._envs[world.name], tuple(self.fit(world))
        census, total = self._census(env.config, fit), self.settle + self.ticks
        assert census.players.seat is not None
        given = {"params": census.players.seat([fit.index(one) for one in seats]), "rules": env.rules}
        worlds = census.begin(self.seed, self._pool(world).tiles(jnp.arange(self.maps)), env.rules)
        worlds, _ = census.run(worlds, self.settle, **given, on_progress=lambda n: on_progress(n / total, words))
        _, counted = census.run(
            worlds, self.ticks, **given, on_progress=lambda n: on_progress((self.settle + n) / total, words)
        )
        return {name: np.asarray(getattr(counted.counts, name)) for name in _KEPT}

    def alone(self, results: Results, world: World) -> dict[str, Interval]:
        """Of every policy by itself, ``[E]``: ``lifetime`` (mean age at death), agent-``ticks_per_death``,
        ``population`` and ``food`` (harvested, over what the maps can yield); NaN where it does not fit.
        """
        env, number = self._envs[world.name], len(self.players)
        counts = {name: np.full((self.maps, number), np.nan) for name in _KEPT}
        for index in self.fit(world):
            for name, values in counts.items():
                values[:, index] = results[alone(world, index)][name].sum(axis=1)
        forests = [reachable_forests(*one, env.config.walkable) for one in maps_of(self._pool(world))]
        most = food_per_tick(np.array(forests)[:, None], env.rules) * self.ticks
        return {
            "lifetime": ratio_interval(counts["aged"], counts["died"]),
            "ticks_per_death": ratio_interval(counts["steps"], counts["died"]),
            "population": mean_interval(counts["living"] / self.ticks),
            "food": mean_interval(over(counts["forage"], most)),
        }

    def _of_round(self, result: Result, seats: Sequence[int], name: str) -> np.ndarray:
        """Counts of a round by policy, ``[maps, E]``; 0 of those who do not play."""
        found = np.zeros((self.maps, len(self.players)))
        np.add.at(found.T, np.asarray(seats), result[name].T)
        return found

    def mixed(self, results: Results) -> dict[str, Interval]:
        """Of all together, ``[worlds, E]``: ``lifetime``, and ``advantage``, the lifetime over the geometric mean of
        those of all policies; and the ``advantage`` ``[E]`` ``overall``, its geometric mean over the worlds.
        """
        counts = np.zeros((2, len(self.worlds), self.maps, len(self.players)))
        for name, into in zip(("aged", "died"), counts, strict=True):
            for world, values in zip(self.worlds, into, strict=True):
                for turn in range(self.turns(world)):
                    values += self._of_round(results[together(world, turn)], self.seats(world, turn), name)
        aged, died = np.moveaxis(counts, 2, 1)  # [maps, worlds, E]
        both = bootstrap(_advantage, np.stack([aged, died], axis=1))
        advantage, overall = (Interval(*(np.exp(value[which]) for value in both)) for which in (slice(-1), -1))
        return {"lifetime": ratio_interval(aged, died), "advantage": advantage, "overall": overall}

    def ratings(self, results: Results) -> Interval:
        """Of all policies ``[E]``, from all rounds in all worlds; a game is a map in a round."""
        games: dict[int, list[Any]] = {unit: [] for unit in range(self.maps)}
        for world in self.worlds:
            for turn in range(self.turns(world)):
                result, seats = results[together(world, turn)], self.seats(world, turn)
                who = sorted(set(seats))
                scores = ticks_per_death(*(self._of_round(result, seats, name)[:, who] for name in ("steps", "died")))
                for unit in range(self.maps):
                    games[unit].append((who, scores[unit : unit + 1]))
        known: Mapping[int, Games] = {unit: some for unit, some in games.items() if some}
        return ratings(known, len(self.players), self.seed)


def alone(world: World, index: int) -> str:
    """Name of the cell of a policy by itself."""
    return f"{world.name}-alone-{index}"


def together(world: World, turn: int) -> str:
    """Name of the cell of a round."""
    return f"{world.name}-round-{turn}"


def _advantage(units: np.ndarray) -> np.ndarray:
    """Of ages and deaths ``[maps, 2, worlds, E]`` the logarithms ``[worlds + 1, E]``, those of all worlds last."""
    with np.errstate(divide="ignore"):
        lifetime = np.log(over(*units.sum(axis=0)))
    lifetime[~np.isfinite(lifetime)] = np.nan
    each = lifetime - _known_mean(lifetime, 1)[:, None]
    return np.concatenate([each, _known_mean(each, 0)[None]])


def _known_mean(values: np.ndarray, axis: int) -> np.ndarray:
    return over(np.nansum(values, axis=axis), np.isfinite(values).sum(axis=axis))
