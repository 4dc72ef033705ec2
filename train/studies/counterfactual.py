"""The study of ``nmmo-jax fork``: worlds that are forked, and what one change did to who lived at the fork."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import RenderableType

from nmmo_jax.commands.players import Players
from nmmo_jax.commands.playing import Play
from nmmo_jax.config import Rules, as_rules
from nmmo_jax.draws import fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.files import write_json
from nmmo_jax.world.pool import MapPool
from train.studies import fork_figures
from train.studies.dependency import beyond_reach, by_distance, by_policy, mean, plays, strongest
from train.studies.forks import fork, futures, instead, reach, remove_each, runner
from train.studies.intervals import Interval, mean_interval
from train.studies.study import Cell, Results, Told
from train.studies.text import markdown, table, write_report

AMOUNTS = ("lived", "food", "water", "damage")  # of ``Outcomes``, of which effects are told
_STREAM = 2**31 + 5  # of the run's key: beside those of ``nmmo_jax.draws.Stream``
_CHUNK = 64  # ticks of play between two words
_OVER = "Intervals are over worlds."


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

    def cells(self, compute: Callable[[int, Told], dict[str, Any]]) -> Sequence[Cell]:
        """One per world."""
        return [
            Cell(f"world-{world}", 1.0, lambda told, world=world: compute(world, told)) for world in range(self.worlds)
        ]

    @functools.cached_property
    def _first(self) -> Play:
        pool = MapPool.generated(self.seed, self.worlds, self.env.config)
        return Play(self.env, self.players, self.names, pool, seed=self.seed)

    def play(self, world: int, told: Told, share: float) -> Play:
        """A world at the fork."""
        play = self._first.beside(world)
        for tick in range(0, self.at, _CHUNK):
            told(share * tick / self.at, f"tick {tick}")
            play.run(min(_CHUNK, self.at - tick))
        return play

    def keys(self, world: int) -> Any:
        """Of a world's futures."""
        return futures(fold_in(fold_in(jax.random.key(self.seed), _STREAM), world), self.futures)

    def title(self) -> str:
        """What was played, in a line."""
        return (
            f"{', '.join(dict.fromkeys(self.labels))}; forked at tick {self.at}, {self.horizon} ticks, "
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

    def _world(self, world: int, told: Told) -> dict[str, Any]:
        forks = self.forks
        play = forks.play(world, told, 0.3)
        core = jax.tree.map(lambda leaf: leaf[0], play.cores)
        found = remove_each(
            self._run,
            play.realm,
            forks.keys(world),
            core,
            forks.after,
            told=lambda share: told(0.3 + 0.7 * share, "removing"),
        )
        return {**found, "material": play.realm.tiles.material}

    def report(self, out: Path, results: Results) -> RenderableType:
        """dependency.png, distance.png, results.json and report.md."""
        forks, worlds = self.forks, [results[cell.name] for cell in self.cells()]
        numbers = {
            "living": mean_interval([one["uid"].size for one in worlds]),
            "by_distance": by_distance(worlds),
            "by_policy": by_policy(worlds, forks.labels),
            "beyond_reach": None,
            "strongest": strongest(worlds),
        }
        if "planner" not in forks.names:  # it knows the whole map
            step = reach(forks.env.config, forks.env.rules, 1)
            numbers["beyond_reach"] = beyond_reach(worlds, step, forks.horizon)
        title = forks.title()
        fork_figures.dependency(out, worlds[0], forks.labels, title)
        tiles = [reach(forks.env.config, forks.env.rules, tick) for tick in range(forks.horizon + 1)]
        fork_figures.distance(out, worlds, numbers["by_distance"], tiles, title)
        write_json(out / "results.json", _json(numbers))
        heads = ("tiles away", "pairs", "of them changed", "share", "life", "life, absolute", "food, absolute")
        rows = [
            [row["tiles"], f"{row['pairs']:,}", f"{row['pairs_changed']:,}"]
            + [str(row[name]) for name in ("changed", "lived", "lived_abs", "food_abs")]
            for row in numbers["by_distance"]
        ]
        births = "go on" if np.any(forks.after.spawn_rate) else "stop at the fork"
        text = (
            f"# Without one agent\n\n{title}. Births {births}. {numbers['living']} agents live at the fork. Intervals "
            "are over worlds.\n\nPairs (removed, other) in all futures, by their distance at the fork, in tiles (the "
            "larger of rows and columns). Changed: the other was not as it would have been, in any of its attributes, "
            "at some tick. Life: ticks that it lived more, and the size of that difference; food: units gained.\n\n"
            f"{markdown(heads, rows)}\n\n![](distance.png)\n\n![](dependency.png)\n\n"
            "Ticks of life that all others of a policy gain when one agent is removed:\n\n"
            f"{markdown(['removed', *numbers['by_policy']['of']], numbers['by_policy']['rows'])}\n"
        )
        if beyond := numbers["beyond_reach"]:
            text += (
                f"\nNothing comes farther than {beyond['tiles_per_tick']} tiles per tick. Pairs so far apart, in all "
                f"futures and at all ticks: {beyond['looked_at']:,}; of them changed: {beyond['changed']}.\n"
            )
        if best := numbers["strongest"]:
            text += (
                f"\nThe strongest, chosen by the even futures and measured in the odd ones: without agent "
                f"{best['removed']} of world {best['world']}, agent {best['other']}, {best['tiles']} tiles away, lived "
                f"{best['effect']} ticks more (interval over futures).\n"
            )
        write_report(out, text)
        # What a terminal has room for.
        return table(f"Without one agent: {title}", (*heads[:3], *heads[4:6]), [r[:3] + r[4:6] for r in rows], _OVER)


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

    def _world(self, world: int, told: Told) -> dict[str, Any]:
        forks = self.forks
        play = forks.play(world, told, 0.5)
        told(0.5, "both branches")
        core = jax.tree.map(lambda leaf: leaf[0], play.cores)
        core = core if self.other is None else (core, jax.tree.map(lambda leaf: leaf[0], self.other.initial(1)))
        lives = self._run(fork(play.realm, 2), forks.keys(world), fork(core, 2), self._rules)
        agents = jax.device_get(play.realm.agents)
        living = np.flatnonzero(agents.alive)
        columns = {name: getattr(agents, name)[living] for name in ("uid", "population", "row", "col")}
        return {**columns, **{name: np.asarray(leaf)[..., living] for name, leaf in lives._asdict().items()}}

    def report(self, out: Path, results: Results) -> RenderableType:
        """effect.png, results.json and report.md."""
        forks, worlds = self.forks, [results[cell.name] for cell in self.cells()]
        effects: dict[str, dict[str, Interval]] = {}
        for label in ("all", *dict.fromkeys(forks.labels)):
            own = [(plays(one, forks.labels) == label) | (label == "all") for one in worlds]
            effects[label] = {
                name: mean_interval(
                    [mean((one[name][:, 1] - one[name][:, 0])[:, who]) for one, who in zip(worlds, own, strict=True)]
                )
                for name in AMOUNTS
            }
        title = f"{self.what}: {forks.title()}"
        fork_figures.effect(out, worlds, effects, forks.horizon, title)
        write_json(out / "results.json", _json({"changed": self.what, "effects": effects}))
        heads = ("", "life, ticks", "food", "water", "damage")
        rows = [[label, *(str(row[name]) for name in AMOUNTS)] for label, row in effects.items()]
        text = (
            f"# {self.what}\n\n{title}. Effect per agent that lives at the fork; intervals are over worlds.\n\n"
            f"{markdown(heads, rows)}\n\n![](effect.png)\n"
        )
        write_report(out, text)
        return table(title, heads, rows, _OVER)


def _json(value: Any) -> Any:
    """Ready for JSON."""
    if isinstance(value, Interval):
        return value.as_json()
    if isinstance(value, dict):
        return {name: _json(one) for name, one in value.items() if name != "rows"}
    return [_json(one) for one in value] if isinstance(value, list) else value


def _two(rules: Rules, changed: dict[str, Any]) -> Rules:
    """Rules of two branches, of which the second has some that are other."""
    other = rules.replace(**changed)
    both = {name: np.stack([np.asarray(getattr(rules, name)), np.asarray(getattr(other, name))]) for name in changed}
    return rules.replace(**both)
