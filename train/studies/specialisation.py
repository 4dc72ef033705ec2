"""The study of specialisation: do populations that learn side by side come to live apart, more of them further?

Each arm is a training: so many populations among the same agents, with weights of their own or shared, on the same
number of living agent-steps in all. What it has learned then plays, without learning, on maps it has not been trained
on, and ``train.studies.niches`` says how many niches its populations fill there.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nmmo_jax.config import MAX_TICKS, Config
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import Players, labels
from nmmo_jax.policies.workers import SCRIPTS
from nmmo_jax.world.pool import MAX_MAPS, MapPool
from train.checkpoint import Checkpoints, load_params
from train.policy import find, load_policy
from train.settings import Experiment, experiment, experiment_of
from train.studies import niches
from train.studies.census import MAX_REALMS, Census
from train.studies.entrants import replicates
from train.studies.niches import CLASSIC
from train.studies.seeds import train_seeds
from train.studies.study import Cell, OnProgress
from train.trees import combine, pick

SNAPSHOTS = (1 / 8, 1 / 4, 1 / 2, 1.0)  # shares of the budget after which what was learned is kept
OWN, SHARED, STRANGERS = "own weights", "shared weights", "strangers"
_RUNS = "runs"  # of the study's folder


class Arm(NamedTuple):
    """Trainings that differ in their seed, and how they are played.

    Attributes:
      name: of its files.
      group: what a line of a figure is of; the arms of a group differ in the number of populations.
      populations: P.
      folders: of the runs, one per seed.
      snapshots: whether what was kept during training is played, too.
      config: of the world.
    """

    name: str
    group: str
    populations: int
    folders: tuple[Path, ...]
    snapshots: bool = True
    config: Config = CLASSIC


@dataclasses.dataclass(frozen=True)
class Amount:
    """How much is trained and played.

    Attributes:
      games: ``law``, ``chaos``.
      populations: numbers of them among ``agents``.
      seeds: trainings of each arm.
      agent_steps: living ones that each training learns from, all populations together.
      realms, rows: of a training: worlds, and agent-steps per step of the optimiser, all populations together.
      maps, worlds: that are played: held-out maps, other ones for each seed, and worlds on each, at least 2.
      settle, ticks: before visits are counted, and in which they are.
      seed: of trainings, maps and play.
    """

    games: tuple[str, ...]
    populations: tuple[int, ...]
    agents: int
    seeds: int
    agent_steps: int
    realms: int
    rows: int
    maps: int
    worlds: int
    settle: int
    ticks: int
    seed: int

    @property
    def seed_numbers(self) -> list[int]:
        """Of the trainings."""
        return [(self.seed + number) % 2**32 for number in range(self.seeds)]

    def __post_init__(self):
        least = {"seeds": 1, "agent_steps": 1, "realms": 1, "rows": 1, "maps": 1, "worlds": 2, "settle": 0, "ticks": 1}
        for name, low in least.items():
            high = {"maps": MAX_MAPS, "settle": MAX_TICKS // 2, "ticks": MAX_TICKS // 2}.get(name, 10**12)
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"--{name.replace('_', '-')} {getattr(self, name)}: allowed are {low} to {high:,}")
        if self.maps * self.worlds > MAX_REALMS:
            raise ValueError(f"--maps {self.maps} --worlds {self.worlds}: allowed are {MAX_REALMS:,} worlds in all")
        for name in ("games", "populations"):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given):
                raise ValueError(f"--{name} {' '.join(map(str, given))}: must be one or more, each once")
        if bad := set(self.games) - {"law", "chaos"}:
            raise ValueError(f"--games {bad.pop()}: allowed are law and chaos")
        if self.agents not in (16, 32, 64, 128):
            raise ValueError(f"--agents {self.agents}: allowed are 16, 32, 64 and 128, as published")
        for number in self.populations:
            if number < 1 or self.agents % number or self.rows % number:
                raise ValueError(f"--populations {number}: must divide agents={self.agents} and rows={self.rows}")


class Specialisation:
    """A ``train.studies.study.Study``: of trainings of its own, or of policies that are there.

    Attributes:
      arms: that are trained or there, and played.

    Args:
      out: folder of the study.
      policies: folders of runs, of several ``seed-*``, or names of policies that come with the package; where there are
        any, nothing is trained.
      world: fields of ``Config`` and ``Rules`` of the worlds trained in, where they are others than published.

    Raises:
      ValueError: what cannot be trained or played.
    """

    def __init__(
        self, out: Path, amount: Amount, policies: Sequence[str] = (), world: Mapping[str, Any] = MappingProxyType({})
    ):
        self._out, self.amount, self._world = out, amount, world
        self.trainings: dict[str, Experiment] = {}
        told = zip(policies, labels(tuple(policies)), strict=True)
        self.arms = [_given(index, name, label) for index, (name, label) in enumerate(told)]
        if not policies:
            self.arms = [arm for game in amount.games for arm in self._planned(game)]
        self._programs: dict[Any, tuple[Census, Environment]] = {}

    def cells(self) -> list[Cell]:
        """Trainings, each with all seeds side by side; then plays, one per arm and seed."""
        amount = self.amount
        trainings = [
            Cell(
                f"train-{name}",
                float(amount.seeds * amount.agent_steps),
                lambda on_progress, name=name: self._train(name, on_progress),
            )
            for name in self.trainings
        ]
        ticks = amount.maps * amount.worlds * (amount.settle + amount.ticks)
        plays = [
            Cell(
                f"play-{arm.name}-{seed}",
                ticks * amount.agents * (len(SNAPSHOTS) if arm.snapshots else 1) / 2.0,
                lambda on_progress, arm=arm, seed=seed: self._play(arm, seed, on_progress),
            )
            for arm in self.arms
            for seed in range(len(arm.folders))
        ]
        return [*trainings, *plays]

    def _planned(self, game: str) -> list[Arm]:
        amount, arms = self.amount, []
        for number in amount.populations:
            for group, shared in ((OWN, False), (SHARED, True)):
                if shared and number == 1:  # the same training
                    continue
                name = f"{game}-{number}-{group.split()[0]}"
                self.trainings[name] = experiment(
                    f"{game}{amount.agents}",
                    num_populations=number,
                    shared_weights=shared,
                    realms=amount.realms,
                    minibatch=amount.rows // number,
                    **self._world,
                )
                folders = tuple(self._out / _RUNS / name / f"seed-{seed}" for seed in amount.seed_numbers)
                config = self.trainings[name].env.config
                arms.append(Arm(name, f"{game}, {group}", number, folders, config=config))
                if not shared and 1 < number <= amount.seeds:  # with fewer seeds, some would have met
                    together = f"{game}-{number}-strangers", f"{game}, {STRANGERS}"
                    arms.append(Arm(*together, number, folders, False, config))
        return arms

    def _train(self, name: str, on_progress: OnProgress) -> dict[str, Any]:
        trained, amount = self.trainings[name], self.amount
        budget = -(-amount.agent_steps // trained.env.config.num_populations)  # of each population
        return train_seeds(trained, amount.seed_numbers, budget, self._out / _RUNS / name, on_progress, SNAPSHOTS)

    def _play(self, arm: Arm, seed: int, on_progress: OnProgress) -> dict[str, Any]:
        folder = arm.folders[seed]
        steps = Checkpoints(folder).steps() if arm.snapshots else ["best"]
        found: dict[str, list[Any]] = {}
        for number, step in enumerate(steps):
            params, about = load_params(folder, step)
            if arm.group.endswith(STRANGERS):
                params = self._strangers(arm, seed)
            census, env = self._programs_of(arm, folder, step)

            def part(share: float, words: str, number: int = number) -> None:
                on_progress((number + share) / len(steps), words)

            one = play(census, env, params, self.amount, seed, part)
            for key, value in {"agent_steps": about.get("agent_steps", np.nan), **one}.items():
                found.setdefault(key, []).append(value)
        series = ("agent_steps", "lifetime", "population", "tiles", "ground", "styles")
        return {key: np.asarray(value if key in series else value[-1]) for key, value in found.items()}

    def _strangers(self, arm: Arm, seed: int) -> Any:
        """Population p of the training with the p-th next seed: they have learned as much, but never met."""
        runs = [arm.folders[(seed + p) % len(arm.folders)] for p in range(arm.populations)]
        return combine([pick(load_params(run, "latest")[0], [p]) for p, run in enumerate(runs)])

    def _programs_of(self, arm: Arm, folder: Path, step: str | int) -> tuple[Census, Environment]:
        """The compiled program of an arm; strangers play in that of those who are together."""
        if arm.folders not in self._programs:
            trained = experiment_of(load_params(folder, step)[1]).env
            if not trained.config.exploration:
                raise ValueError(f"{folder}: exploration=False: must be True, as niches are counted by tiles visited")
            env = Environment(dataclasses.replace(trained.config, visits=True, horizon=None), trained.rules)
            policy = load_policy(folder, step, env=env)
            who = Players(policy.act, policy.params, policy.initial)
            self._programs[arm.folders] = Census(env, who, self.amount.maps * self.amount.worlds), env
        return self._programs[arm.folders]


def play(
    census: Census, env: Environment, params: Any, amount: Amount, seed: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Plays policies on held-out maps, and tells of their niches.

    The same seed gives the same maps and the same chance, whoever plays.

    Args:
      census: of ``amount.maps * amount.worlds`` realms.
      env: with ``Config.visits`` on.

    Returns:
      ``lifetime`` and ``population``, numbers; ``tiles``, ``ground`` and ``styles``, the four of ``niches.Niches``;
      ``overlap [P, P]``, divergences between cells of tiles, and ``style_bits [P]``; ``ground_counts [P, K]`` and
      ``style_counts [P, 3]``; ``visits [P, rows, columns]`` of all worlds on the first map, and its ``material``.
    """
    realms, populations = amount.maps * amount.worlds, env.config.num_populations
    pool = MapPool.generated(amount.seed, amount.maps, env.config, "held_out", seed * amount.maps)
    total = amount.settle + amount.ticks

    def progress_after(before: int) -> Any:
        return lambda ticks: on_progress((before + ticks) / total, f"{before + ticks:,} of {total:,} ticks")

    worlds = census.begin(amount.seed, pool.tiles(jnp.arange(realms) // amount.worlds), first=seed * realms)
    worlds, _ = census.run(worlds, amount.settle, params=params, on_progress=progress_after(0))
    before = np.array(worlds.realm.probes.visits, np.int64)  # a copy: the worlds are used up
    worlds, counted = census.run(worlds, amount.ticks, params=params, on_progress=progress_after(amount.settle))
    visits = np.asarray(worlds.realm.probes.visits, np.int64) - before
    visits = visits.reshape(amount.maps, amount.worlds, *visits.shape[1:])
    material, counts = np.asarray(pool.material), counted.counts
    cells = niches.cells_of(visits)
    ground = np.stack([niches.ground_of(*both, env.config) for both in zip(visits, material, strict=True)])
    died = int(counts.died.sum())
    return {
        "lifetime": counts.aged.sum() / died if died else np.nan,
        "population": counts.living.sum() / (amount.ticks * realms),
        "tiles": niches.niches(cells),
        # Ground and styles mean the same on all maps.
        "ground": niches.niches(ground.reshape(1, realms, populations, -1)),
        "styles": niches.niches(counts.styles[None]),
        "overlap": niches.divergence(cells.sum(axis=1)).mean(axis=0),
        "style_bits": niches.entropy(counts.styles.sum(axis=0)),
        "ground_counts": ground.sum(axis=(0, 1)),
        "style_counts": counts.styles.sum(axis=0),
        "visits": visits[0].sum(axis=0).astype(np.uint32),
        "material": material[0],
    }


def _given(index: int, name: str, label: str) -> Arm:
    """Policies that are there."""
    folder = find(name)
    if name in SCRIPTS or not folder.is_dir():
        raise ValueError(f"--policy {name}: must be the folder of a run or of several seed-*, or come with the package")
    folders = tuple(find(one) for one in replicates(name))
    configs = [experiment_of(load_params(one)[1]).env.config for one in folders]
    numbers = {config.num_populations for config in configs}
    if len(numbers) > 1:
        raise ValueError(f"--policy {name}: its runs differ in num_populations: {sorted(numbers)}")
    return Arm(f"policy-{index}", label, numbers.pop(), folders, False, configs[0])
