"""The study of what networks represent: each learns to choose as scripted policies do, then goes on by reinforcement.

A network that is told what to choose, in the states that it comes to itself, and still lives shorter than its teacher,
does not represent what the teacher computes (or has been told too little); one that does, and loses it by
reinforcement, shows what is wrong with that. Beside them learns a network that nobody has told anything, from as many
agent-steps in all.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.world.pool import MapPool
from train.checkpoint import Checkpoints, load_params
from train.cloning import Cloner, Tempered, check_teacher
from train.policy import Policy, load_policy
from train.settings import Experiment, experiment
from train.studies.agreement import AGREEMENT, watched
from train.studies.census import Census
from train.studies.entrants import check_play
from train.studies.evaluation import Evaluation
from train.studies.intervals import over
from train.studies.seeds import train_seeds
from train.studies.study import Cell, OnProgress, Result, Results

CLONE, AFTER, SCRATCH = "clone", "reinforced", "scratch"
TEMPERATURES = (1.0, 0.5, 1e-3)  # the last is as good as the choice that is most probable
SNAPSHOTS = (0.0, 1 / 8, 1 / 4, 1 / 2, 1.0)  # shares of a training after which what was learned is played
_RUNS = "runs"  # of the study's folder
_TEACHER = len(TEMPERATURES)  # who plays, beside the learner at each temperature


class Training(NamedTuple):
    """Trainings that differ in their seed.

    Attributes:
      name: of files.
      variant: index of the network.
      kind: ``CLONE``; ``AFTER``, reinforcement learning from a clone; or ``SCRATCH``, from nothing.
      teacher: of the clone; of ``SCRATCH`` the first of all, with whom it is compared.
      agent_steps: learned from, all populations together.
    """

    name: str
    variant: int
    kind: str
    teacher: str
    agent_steps: int


@dataclasses.dataclass
class Cloning:
    """The study.

    Attributes:
      out: its folder; every training has one in ``runs`` there.
      teachers: scripted policies.
      name, given: the experiment, and what else goes to ``experiment(name, **given)``.
      variants: networks by name, and what of each goes there, too.
      seeds: trainings of each kind.
      clone_steps, ppo_steps: agent-steps that a clone learns from, and that reinforcement does after it.
      mixture: share of the cloning in which choices of the teacher are played less and less.
      worlds, settle, ticks: that are played, as in ``Evaluation``.
      seed: the first of the trainings', and of maps and play.

    Raises:
      ValueError: what cannot be trained or played.
    """

    out: Path
    teachers: Sequence[str]
    name: str
    given: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]
    seeds: int
    clone_steps: int
    ppo_steps: int
    mixture: float
    worlds: int
    settle: int
    ticks: int
    seed: int

    def __post_init__(self):
        check_play(self)
        for name in self.teachers:
            check_teacher(name)
        if not self.teachers or len(set(self.teachers)) < len(self.teachers):
            raise ValueError(f"teacher={' '.join(self.teachers)}: must be one or more, each once")
        for name, most in {"seeds": 1_000, "clone_steps": 10**12, "ppo_steps": 10**12}.items():
            if not 1 <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name}={value}: allowed are 1 to {most:,}")
        if not 0 <= self.mixture <= 1:
            raise ValueError(f"mixture={self.mixture}: allowed are 0 to 1")
        common = experiment(self.name, **self.given)
        Cloner(common, self.teachers[0])  # says what does not go together
        if common.settings.maps:
            raise ValueError(f"maps={common.settings.maps}: must be 0: seeds that share maps are not independent")
        self.env, self.experiments = common.env, []
        for name, own in self.variants.items():
            try:
                self.experiments.append(experiment(self.name, **{**self.given, **own}))
            except ValueError as error:
                raise ValueError(f"--variant {name}: {error}") from None
        self.trainings = [one for index in range(len(self.experiments)) for one in self._planned(index)]
        self._programs: dict[tuple[int, str], Census] = {}

    @property
    def seed_numbers(self) -> list[int]:
        """Of the trainings."""
        return [(self.seed + number) % 2**32 for number in range(self.seeds)]

    def _planned(self, variant: int) -> list[Training]:
        found = []
        for teacher in self.teachers:
            found.append(Training(f"{variant}-{teacher}-{CLONE}", variant, CLONE, teacher, self.clone_steps))
            found.append(Training(f"{variant}-{teacher}-{AFTER}", variant, AFTER, teacher, self.ppo_steps))
        steps = self.clone_steps + self.ppo_steps
        return [*found, Training(f"{variant}-{SCRATCH}", variant, SCRATCH, self.teachers[0], steps)]

    def cells(self) -> list[Cell]:
        """Trainings, each with all seeds side by side and then what its seeds have learned played, one by one."""
        ticks, found = self.worlds * (self.settle + self.ticks) * self.env.config.num_agents, []
        for one in self.trainings:
            work = float(self.seeds * one.agent_steps)
            found.append(Cell(f"train-{one.name}", work, functools.partial(self._train, one)))
            for number in range(self.seeds):
                work = 0.25 * ticks * (len(SNAPSHOTS) + 2)
                found.append(Cell(f"play-{one.name}-{number}", work, functools.partial(self._play, one, number)))
        return found

    def _folder(self, training: Training, seed: int | None = None) -> Path:
        folder = self.out / _RUNS / training.name
        return folder if seed is None else folder / f"seed-{self.seed_numbers[seed]}"

    def _train(self, one: Training, on_progress: OnProgress) -> dict[str, Any]:
        chosen, folder = self.experiments[one.variant], self._folder(one)
        if one.kind == CLONE:
            return clone(
                chosen, one.teacher, self.seed_numbers, one.agent_steps, folder, self.mixture, on_progress, SNAPSHOTS
            )
        if one.kind == SCRATCH:
            return reinforce(chosen, self.seed_numbers, one.agent_steps, folder, on_progress, SNAPSHOTS)
        source = self._folder(self._clone_of(one))
        return reinforce(chosen, self.seed_numbers, one.agent_steps, folder, on_progress, SNAPSHOTS[1:], source)

    def _clone_of(self, one: Training) -> Training:
        return next(other for other in self.trainings if other.name == one.name.replace(AFTER, CLONE))

    def _play(self, one: Training, number: int, on_progress: OnProgress) -> dict[str, Any]:
        """Lives, harvest and agreement of every world, ``[K, R]``, in K plays: as ``plays`` says."""
        folder = self._folder(one, number)
        steps = Checkpoints(folder).steps()
        plays, found = _plays(len(steps), one.kind), {}
        learned = [Checkpoints(folder).about(step)["agent_steps"] for step in steps]
        for index, (at, who) in enumerate(plays):
            policy = load_policy(folder, steps[at], env=self.env)

            def part(share: float, index: int = index) -> None:
                on_progress((index + share) / len(plays), f"{index + 1} of {len(plays)}")

            for name, value in self._measure(one, folder, policy, who, part).items():
                found.setdefault(name, []).append(value)
        return {"agent_steps": np.asarray(learned), **{name: np.stack(value) for name, value in found.items()}}

    def _measure(self, one: Training, folder: Path, policy: Policy, who: int, part: Any) -> dict[str, np.ndarray]:
        key = (one.variant, one.teacher)
        if key not in self._programs:
            tempered = [functools.partial(Tempered, temperature=temperature) for temperature in TEMPERATURES]
            policies = [load_policy(folder, "latest", env=self.env, sword=sword) for sword in tempered]
            players = watched(policies, one.teacher, self.env.config)
            self._programs[key] = Census(self.env, players, self.worlds, bins=2)
        census, total = self._programs[key], self.settle + self.ticks
        pool = MapPool.generated(self.seed, self.worlds, self.env.config, split="held_out")
        worlds = census.begin(self.seed, pool.tiles(jnp.arange(self.worlds)))
        params = (policy.params, jnp.int32(who))
        worlds, _ = census.run(worlds, self.settle, params=params, on_progress=lambda n: part(n / total))
        before = np.array(worlds.core[1])  # a copy: the worlds are used up
        worlds, told = census.run(
            worlds, self.ticks, params=params, on_progress=lambda n: part((self.settle + n) / total)
        )
        agreement = dict(zip(AGREEMENT, (np.asarray(worlds.core[1]) - before).T, strict=True))
        counts = {name: getattr(told.counts, name).sum(axis=1) for name in ("aged", "died", "forage")}
        return {**counts, **agreement}

    def units(self, results: Results, training: Training) -> "Played":
        """What a training has come to, over seeds; of one seed, over worlds."""
        return played([results[f"play-{training.name}-{n}"] for n in range(self.seeds)], training.kind, self.food)

    @functools.cached_property
    def food(self) -> np.ndarray:
        """That reachable forests yield in the ticks that are counted, of every world."""
        env = Evaluation([], self.env, self.worlds, self.settle, self.ticks, self.seed)
        return env.arithmetic()["yield"] * self.ticks


class Played(NamedTuple):
    """Numbers of K plays by units, U: seeds, or worlds of one. Arrays ``[K, U]``.

    Attributes:
      agent_steps: ``[T]``, learned from until each of the first T plays, which are at temperature 1.
      where: of the other plays, ``(snapshot, who) -> k``; who: index of ``TEMPERATURES``, or behind them the teacher.
      lifetime: mean age at death, ticks.
      harvest: food from forests over what they yield.
      agreement: by name of ``AGREEMENT``, share of the choices of living agents that equal the teacher's: ``drawn`` by
        the learner, its ``likeliest``, and the ``teacher``'s own, asked a second time where it plays.
    """

    agent_steps: np.ndarray
    where: dict[tuple[int, int], int]
    lifetime: np.ndarray
    harvest: np.ndarray
    agreement: dict[str, np.ndarray]

    def last(self, values: np.ndarray, who: int = 0) -> np.ndarray:
        """Of what was learned in the end, ``[U]``."""
        return values[self.where[len(self.agent_steps) - 1, who]]


def played(seeds: Sequence[Result], kind: str, food: np.ndarray) -> Played:
    """What the cells of a training's seeds say.

    Args:
      food: that can be harvested, of every world ``[R]``.
    """
    learned = np.mean([one["agent_steps"] for one in seeds], axis=0)

    def units(name: str, of: np.ndarray | str) -> np.ndarray:
        amounts = np.stack([one[name] for one in seeds], axis=1)  # [K, S, R]
        number = of if isinstance(of, np.ndarray) else np.stack([one[of] for one in seeds], axis=1)
        number = np.broadcast_to(number, amounts.shape)
        worlds = len(seeds) == 1
        return over(*((x[:, 0] if worlds else x.sum(axis=2)) for x in (amounts, number)))

    where = {play: index for index, play in enumerate(_plays(len(learned), kind))}
    agreement = {name: units(name, "asked") for name in AGREEMENT[1:]}
    return Played(learned, where, units("aged", "died"), units("forage", food), agreement)


def _plays(snapshots: int, kind: str) -> list[tuple[int, int]]:
    """Which snapshot is played, and who plays: every one at temperature 1, the last clone also otherwise."""
    further = range(1, _TEACHER + 1) if kind == CLONE else ()
    return [*((at, 0) for at in range(snapshots)), *((snapshots - 1, who) for who in further)]


def clone(
    experiment: Experiment,
    teacher: str,
    seeds: Sequence[int],
    agent_steps: int,
    out: Path,
    mixture: float = 0.3,
    on_progress: OnProgress = lambda share, words: None,
    snapshots: Sequence[float] = (1.0,),
) -> dict[str, Any]:
    """Trains the network of an experiment to choose as a teacher does, by ``train.cloning.Cloner``.

    The folder is that of ``train.studies.seeds.train_seeds``, ``seed-K`` in it a policy as any other.

    >>> clone(experiment("law128", hidden=128), "forager", [0, 1, 2], 8_000_000, Path("runs/forager-clone"))

    Args:
      teacher: one of ``nmmo_jax.policies.scripted.POLICIES``.
      agent_steps: of living agents that each seed learns from, all populations together.
      mixture: share of them, at most, in which choices of the teacher are played less and less.

    Raises:
      ValueError: as ``train_seeds`` and ``Cloner``.
    """
    settings, config = experiment.settings, experiment.env.config
    # Where all places are taken the share is that; with fewer agents the steps take more ticks.
    ticks = round(mixture * agent_steps / (settings.realms * config.num_agents))
    learner, asked = functools.partial(Cloner, teacher=teacher, ticks=ticks), {"teacher": teacher, "ticks": ticks}
    budget = -(-agent_steps // config.num_populations)
    return train_seeds(experiment, seeds, budget, out, on_progress, snapshots, learner=learner, asked=asked)


def reinforce(
    experiment: Experiment,
    seeds: Sequence[int],
    agent_steps: int,
    out: Path,
    on_progress: OnProgress = lambda share, words: None,
    snapshots: Sequence[float] = (1.0,),
    source: Path | None = None,
) -> dict[str, Any]:
    """Reinforcement learning as the experiment says, each seed from what it has learned in another folder of ``clone``.

    Args:
      source: that folder; None: from nothing.

    Raises:
      ValueError: as ``train_seeds``; or parameters that are not of the experiment's network.
    """
    begin = None
    if source is not None:
        own = [load_params(source / f"seed-{seed}", "latest")[0] for seed in seeds]
        begin = jax.tree.map(lambda *leaves: jnp.stack(leaves), *own)
    asked = {"begin": None if source is None else source.name}
    budget = -(-agent_steps // experiment.env.config.num_populations)
    return train_seeds(experiment, seeds, budget, out, on_progress, snapshots, begin=begin, asked=asked)
