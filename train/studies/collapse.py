"""Collapse: worlds whose rule is made worse step by step, and better again.

In every world one rule goes through its values and back. The first half of a step lets the world follow; the second is
the window that is looked at. On the way down, as that window begins, half of the agents are removed in a copy of the
worlds, which goes on with the same chance: how long the difference lasts is the time of recovery, without any model.

The same is done more slowly. What differs between the way down and the way up is hysteresis where it stays, however
slowly the rule is changed, and a lag where it goes.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.components import NEVER, Tiles
from nmmo_jax.config import MAX_TICKS
from nmmo_jax.draws import bits, fold_in, waiting_time
from nmmo_jax.environment import Environment
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import players
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.world.pool import MapPool
from train.policy import load_named
from train.studies.axis import Axis
from train.studies.census import Census, Worlds
from train.studies.early_warning import autocorrelation, recovery_time, trend, variance
from train.studies.intervals import Interval, mean_interval, ratio_interval
from train.studies.study import Cell, OnProgress, Result, Results

INDICATORS = {
    "variance": "variance",
    "variation": "coefficient of variation",
    "autocorrelation": "autocorrelation",
    "recovery": "time of recovery from the autocorrelation",
    "response": "time of recovery after half are removed",
    "forest_variance": "variance of ready forests",
    "forest_autocorrelation": "autocorrelation of ready forests",
}
LAG = 8  # ticks of the autocorrelation: one tick brings one birth at most, and tells little
COLLAPSED = 0.1  # of the population under the first value: with fewer a world has collapsed
RESPONSE = 128  # ticks, at most, that a removal is followed: beyond, chance has told the worlds apart
_LEAST = 4 * LAG  # ticks of a window
_BATCH = 16  # worlds of a cell
_REDRAW = 2**31  # folded into the key of policies with a step: beyond any realm


class Kind(NamedTuple):
    """Worlds that are looked at: their environment, by the name of where births come from."""

    name: str
    env: Environment


class Ramp(NamedTuple):
    """A rule's change in worlds of one kind at one pace.

    Attributes:
      kind: name of the kind of worlds.
      hold: ticks at each value.
      values: of the rule on the way down, ``[K]``.
      of: ``measures``.
    """

    kind: str
    hold: int
    values: np.ndarray
    of: Mapping[str, np.ndarray]

    @property
    def gap(self) -> np.ndarray:
        """Agents more on the way there than on the way back, mean over the values, ``[W]``."""
        return (self.of["down"][:-1] - self.of["up"]).mean(axis=0)

    def trends(self) -> dict[str, Interval]:
        """Kendall's tau of each indicator along the way down, before the collapse of each world."""
        return {name: mean_interval(trend(self.of[name], self.of["steps"])) for name in INDICATORS}

    def interval(self, name: str) -> Interval:
        """Over the worlds, of each value."""
        if name == "response":
            return ratio_interval(self.of["area"].T, self.of["removed"].T)
        return mean_interval(self.of[name].T)


@dataclasses.dataclass
class Collapse:
    """A study of what a rule's slow change does.

    Attributes:
      axis: the rule and its values, at least four.
      descending: whether the way down begins at the greatest value.
      kinds: of worlds.
      names: policies, as ``nmmo_jax.play.players.players`` takes them.
      worlds: of each kind, every one on a map of its own, not seen in training.
      settle: ticks under the first value before any are looked at.
      hold: ticks at each value.
      slower: how many times as long in the slower change.
      seed: of maps and play.
    """

    axis: Axis
    descending: bool
    kinds: Sequence[Kind]
    names: tuple[str, ...]
    worlds: int
    settle: int
    hold: int
    slower: int
    seed: int

    def __post_init__(self):
        for name, low, high in (
            ("worlds", 2, 2**12),  # or there are no intervals
            ("settle", 0, MAX_TICKS // 2),
            ("hold", 2 * _LEAST, 2**16),
            ("slower", 2, 64),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"--{name} {getattr(self, name)}: allowed are {low} to {high:,}")
        if len(self.axis.values) < 4:
            raise ValueError(f"--over {self.axis.field}: {len(self.axis.values)} values: must be at least 4")
        self.players = {}
        for kind in self.kinds:
            MapPool.check(self.seed, self.worlds, kind.env.config, "held_out")
            for value in self.axis.values:
                try:
                    as_rules(kind.env.rules.put({self.axis.field: float(value)}), kind.env.config)
                except ValueError as error:
                    raise ValueError(f"--over: {error}") from None
            self.players[kind.name] = players(self.names, kind.env, load_named)
        self.realms = min(_BATCH, self.worlds)

    @property
    def values(self) -> np.ndarray:
        """Of the rule on the way down, ``[K]``."""
        return self.axis.values[::-1] if self.descending else self.axis.values

    @property
    def paces(self) -> tuple[int, int]:
        """Ticks at each value, in the faster and the slower change."""
        return self.hold, self.hold * self.slower

    def cells(self) -> list[Cell]:
        """Batches of worlds of each kind at each pace."""
        found = []
        for kind in self.kinds:
            for hold in self.paces:
                for batch in range(-(-self.worlds // self.realms)):

                    def compute(
                        on_progress: OnProgress, kind: Kind = kind, hold: int = hold, batch: int = batch
                    ) -> Any:
                        return self._play(kind, hold, batch, on_progress)

                    found.append(Cell(f"{kind.name}-{hold}-{batch:03d}", float(hold), compute))
        return found

    @functools.cached_property
    def programs(self) -> dict[str, Census]:
        """One for each kind of worlds, the same for all paces and batches."""
        return {kind.name: Census(kind.env, self.players[kind.name], self.realms, bins=1) for kind in self.kinds}

    def _play(self, kind: Kind, hold: int, batch: int, on_progress: OnProgress) -> dict[str, np.ndarray]:
        """Curves over the windows, of S = 2 K - 1 steps, R realms and H ticks.

        Returns:
          ``population`` and ``depleted`` ``[S, R, H]``; ``response``, the population of the copy, ``[K, R, min(H,
          RESPONSE)]``, and ``removed``, how many agents were taken from it, ``[K, R]``.
        """
        census, path = self.programs[kind.name], [*self.values, *self.values[-2::-1]]
        first, lead = batch * self.realms, hold // 2
        followed = min(hold - lead, RESPONSE)
        which = np.minimum(first + np.arange(self.realms), self.worlds - 1)
        pool = MapPool.generated(self.seed, self.worlds, kind.env.config, split="held_out")
        worlds = census.begin(self.seed, pool.tiles(jnp.asarray(which)), None, kind.env.config.num_agents // 2, first)
        found: dict[str, list[np.ndarray]] = {name: [] for name in ("population", "depleted", "response", "removed")}
        total, done = self.settle + hold * len(path) + followed * len(self.values), 0

        def run(worlds: Worlds, ticks: int, rules: Rules, words: str) -> tuple[Worlds, Any]:
            nonlocal done
            worlds, counted = census.run(
                worlds, ticks, rules=rules, on_progress=lambda n: on_progress((done + n) / total, words)
            )
            done += ticks
            return worlds, counted

        for step, value in enumerate(path):
            rules, words = (
                kind.env.rules.put({self.axis.field: value}),
                f"{self.axis.field} {self.axis.text_of(value)}",
            )
            if step and self.axis.field == "regrowth_probability":
                worlds = redraw(worlds, jnp.float32(value), step)
            worlds, _ = run(worlds, lead + (0 if step else self.settle), rules, words)
            if step < len(self.values):
                copy, removed = halved(worlds)
                _, after = run(copy, followed, rules, words)
                found["response"].append(after.population.sum(axis=2).T.astype(np.int32))
                found["removed"].append(np.asarray(removed))
            worlds, window = run(worlds, hold - lead, rules, words)
            found["population"].append(window.population.sum(axis=2).T.astype(np.int32))
            found["depleted"].append(window.depleted.T)
        return {name: np.stack(arrays) for name, arrays in found.items()}

    def ramps(self, results: Results) -> list[Ramp]:
        """What every kind of worlds has shown at every pace."""
        return [
            Ramp(kind.name, hold, self.values, measures(self._joined(kind, hold, results), len(self.values)))
            for kind in self.kinds
            for hold in self.paces
        ]

    def _joined(self, kind: Kind, hold: int, results: Results) -> dict[str, np.ndarray]:
        each = [results[cell.name] for cell in self.cells() if cell.name.startswith(f"{kind.name}-{hold}-")]
        return {name: np.concatenate([one[name] for one in each], axis=1)[:, : self.worlds] for name in each[0]}


def redraw(worlds: Worlds, probability: jax.Array, step: int) -> Worlds:
    """Has the forests that are not ready wait anew, as after a change of ``regrowth_probability`` all of them do.

    The time until a forest is ready is drawn when it is harvested. It is geometric and has no memory, so that what is
    left of it may be drawn again, under the rule that now holds.
    """
    realm = worlds.realm
    key = fold_in(worlds.policy_key, jnp.uint32(_REDRAW + step))
    ready_tick = _drawn_again(key, realm.tiles, realm.tick, worlds.first, probability)
    # Lies as it did, so that the program need not be compiled for another layout.
    tiles = realm.tiles.replace(ready_tick=jax.device_put(ready_tick, realm.tiles.ready_tick.sharding))
    return worlds.replace(realm=realm.replace(tiles=tiles))


@jax.jit
def _drawn_again(key: Any, tiles: Tiles, tick: jax.Array, first: jax.Array, probability: jax.Array) -> jax.Array:
    keys = jax.vmap(fold_in, (None, 0))(key, first + jnp.arange(len(tick)))
    word = jax.vmap(lambda one: bits(one, tiles.ready_tick.shape[1:]))(keys)
    wait, now = waiting_time(word, probability), tick[:, None, None]
    again = jnp.where(wait < NEVER - now, now + wait, NEVER)
    return jnp.where((tiles.material == Material.FOREST) & (tiles.ready_tick > now), again, tiles.ready_tick)


def halved(worlds: Worlds) -> tuple[Worlds, jax.Array]:
    """A copy of the worlds without every second of their living agents, by slot, and how many those were, ``[R]``."""
    worlds = jax.tree.map(jnp.copy, worlds)
    agents = worlds.realm.agents
    gone = agents.alive & (jnp.cumsum(agents.alive, axis=1) % 2 == 0)
    agents = agents.replace(alive=agents.alive & ~gone, uid=jnp.where(gone, -1, agents.uid))
    return worlds.replace(realm=worlds.realm.replace(agents=agents)), gone.sum(axis=1)


def measures(result: Result, steps: int) -> Mapping[str, np.ndarray]:
    """What the report is made of, per step and world.

    Args:
      result: as of ``_play``, of W worlds.
      steps: K, values on the way down.

    Returns:
      ``down`` and ``up``, mean populations at the same values, ``[K, W]`` and ``[K - 1, W]``; on the way down,
      ``[K, W]``: ``variance``, ``variation`` (its root over the mean), ``autocorrelation`` and ``recovery`` of the
      population, ``forest_variance`` and ``forest_autocorrelation`` of the share of ready forests, and ``response``,
      the time of recovery after a removal: the area under the difference, ``area``, over the agents ``removed``, which
      is the time constant where it decays exponentially and is followed long enough; ``steps``, after how many steps a
      world had collapsed, ``[W]``.
    """
    population = result["population"]
    mean = population.mean(axis=2)
    down, up = population[:steps], mean[steps:][::-1]
    correlation = autocorrelation(down, LAG)
    ready = 1 - result["depleted"][:steps]
    gone = result["removed"]
    area = (down[..., : result["response"].shape[2]] - result["response"]).sum(axis=2)
    collapsed = mean[:steps] < COLLAPSED * mean[0]
    return {
        "down": mean[:steps],
        "up": up,
        "variance": variance(down),
        "variation": np.sqrt(variance(down)) / np.where(mean[:steps] > 0, mean[:steps], np.nan),
        "autocorrelation": correlation,
        "recovery": recovery_time(correlation, LAG),
        "forest_variance": variance(ready),
        "forest_autocorrelation": autocorrelation(ready * 1e3, LAG),
        "response": np.divide(area, gone, out=np.full(area.shape, np.nan), where=gone > 0),
        "removed": gone,
        "area": area,
        "steps": np.where(collapsed.any(axis=0), collapsed.argmax(axis=0), steps),
    }
