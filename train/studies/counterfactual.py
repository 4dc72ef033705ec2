"""The study of ``nmmo-jax fork``: worlds that are forked, and what one change did to who lived at the fork."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from nmmo_jax.common.text import listed
from nmmo_jax.draws import fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import Players
from nmmo_jax.play.playing import Play
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.world.pool import MapPool
from train.studies.forks import fork, futures, instead, remove_each, runner
from train.studies.study import Cell, OnProgress

_STREAM = 2**31 + 5  # of the run's key: beside those of ``nmmo_jax.draws.Stream``
_CHUNK = 64  # ticks of play between two words


@dataclasses.dataclass(frozen=True)
class Forks:
    """Worlds, each on a map of its own, that are played until they are forked.

    Attributes:
      env: as they are played; ``after``: rules in the futures.
      names: what each population plays; ``labels``: what to call it.
      at: tick of the fork; ``horizon``: ticks after it.
      worlds, futures: how many; keys of a world's futures are its own.
    """

    env: Environment
    after: Rules
    players: Players
    names: tuple[str, ...]
    labels: tuple[str, ...]
    worlds: int
    futures: int
    at: int
    horizon: int
    seed: int

    def cells(self, compute: Callable[[int, OnProgress], dict[str, Any]]) -> Sequence[Cell]:
        """One per world."""
        return [
            Cell(f"world-{world}", 1.0, lambda on_progress, world=world: compute(world, on_progress))
            for world in range(self.worlds)
        ]

    @functools.cached_property
    def _first(self) -> Play:
        pool = MapPool.generated(self.seed, self.worlds, self.env.config)
        return Play(self.env, self.players, self.names, pool, seed=self.seed)

    def play(self, world: int, on_progress: OnProgress, share: float) -> Play:
        """A world at the fork."""
        play = self._first.beside(world)
        for tick in range(0, self.at, _CHUNK):
            on_progress(share * tick / self.at, f"tick {tick}")
            play.run(min(_CHUNK, self.at - tick))
        return play

    def keys(self, world: int) -> Any:
        """Of a world's futures."""
        return futures(fold_in(fold_in(jax.random.key(self.seed), _STREAM), world), self.futures)

    def title(self) -> str:
        """What was played, in a line."""
        return (
            f"{listed(self.labels)}; forked at tick {self.at}, {self.horizon} ticks, "
            f"{self.futures} futures, {self.worlds} worlds"
        )


class Removals:
    """Each of the living agents is removed in turn: who depends on whom."""

    def __init__(self, forks: Forks):
        self.forks = forks
        self._run = runner(forks.env, forks.players, forks.horizon, forks.futures)

    def cells(self) -> Sequence[Cell]:
        """One per world."""
        return self.forks.cells(self._world)

    def _world(self, world: int, on_progress: OnProgress) -> dict[str, Any]:
        forks = self.forks
        play = forks.play(world, on_progress, 0.3)
        core = jax.tree.map(lambda leaf: leaf[0], play.cores)
        found = remove_each(
            self._run,
            play.realm,
            forks.keys(world),
            core,
            forks.after,
            on_progress=lambda share: on_progress(0.3 + 0.7 * share, "removing"),
        )
        return {**found, "material": play.realm.tiles.material}


class Change:
    """The same worlds under another rule, or with another policy in a population: branch 1 beside branch 0."""

    def __init__(self, forks: Forks, what: str, rules: dict[str, Any], other: Players | None):
        self.forks, self.what, self.other = forks, what, other
        players = forks.players if other is None else instead(forks.players, other)
        self._run = runner(forks.env, players, forks.horizon, forks.futures)
        self._rules = as_rules(_two(forks.after, rules), forks.env.config, batched=True)

    def cells(self) -> Sequence[Cell]:
        """One per world."""
        return self.forks.cells(self._world)

    def _world(self, world: int, on_progress: OnProgress) -> dict[str, Any]:
        forks = self.forks
        play = forks.play(world, on_progress, 0.5)
        on_progress(0.5, "both branches")
        core = jax.tree.map(lambda leaf: leaf[0], play.cores)
        core = core if self.other is None else (core, jax.tree.map(lambda leaf: leaf[0], self.other.initial(1)))
        lives = self._run(fork(play.realm, 2), forks.keys(world), fork(core, 2), self._rules)
        agents = jax.device_get(play.realm.agents)
        living = np.flatnonzero(agents.alive)
        columns = {name: getattr(agents, name)[living] for name in ("uid", "population", "row", "col")}
        return {**columns, **{name: np.asarray(leaf)[..., living] for name, leaf in lives._asdict().items()}}


def _two(rules: Rules, changed: dict[str, Any]) -> Rules:
    """Rules of two branches, of which the second has some that are other."""
    one, other = rules.named(), rules.put(changed).named()
    return rules.put({name: np.stack([np.asarray(one[name]), np.asarray(other[name])]) for name in changed})
