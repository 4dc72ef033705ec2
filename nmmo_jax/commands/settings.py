"""Settings of training on the command line: all of them by name, and the values that a study gives one or several."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, ClassVar, get_args

import tyro

from nmmo_jax.commands.overrides import PROBES, WORLD, Overrides, Systems, of_game, parse_set, types_of
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.values import check_int

PLAY: dict[str, Any] = {"settle": 256, "ticks": 512}  # of every form

MOST_SEEDS = 1_000
_NOT = {"seed": "--seed", "maps": "must stay 0: seeds that share maps are not independent"}


def of_training() -> dict[str, Any]:
    """The fields of ``train.settings.Settings`` and of ``train.networks.NetworkOptions``, and their types."""
    from train.networks import NetworkOptions
    from train.settings import Settings

    own = types_of(Settings) | types_of(NetworkOptions)
    return {name: kind for name, kind in own.items() if kind is not NetworkOptions}


def fields() -> dict[str, Any]:
    """What ``train.settings.experiment`` takes by keyword, and the types."""
    return of_training() | WORLD


@dataclasses.dataclass
class StudyOfSettings(StudyCommand):
    """What commands share that train with different settings, and play what was learned on unseen maps."""

    FLAGS: ClassVar[dict[str, str]] = {"experiment": "EXPERIMENT"}

    experiment: tyro.conf.Positional[str] = "law128"
    """law or chaos, and how many agents: law16, law32, law64, law128, chaos16 ... chaos128."""
    seeds: int | None = None
    """Trainings of each, from --seed on. Default: by form."""
    agent_steps: int | None = None
    """That a training learns from: of living agents, all populations together. Default: by form."""
    worlds: int | None = None
    """That what was learned is played in, every one on a map of its own not seen in training. Default: by form."""
    settle: int | None = None
    """Ticks of play before any are counted. Default: 256."""
    ticks: int | None = None
    """That are counted. Default: 512."""
    set: Overrides = ()
    """The base: any field of the training's settings, or of the world's configuration and rules, as in nmmo-jax train:
    realms=16 hidden=32 regrowth_probability=0.05."""
    system: Systems = ()
    """Game systems to train and play with, and --set their rules: poison:POISON of poison.py here, or of an installed
    module."""

    def base(self) -> Any:
        """The ``train.settings.Experiment`` that is changed."""
        from train.settings import experiment, game_of

        systems = of_game(game_of(self.experiment), self.system)
        return experiment(self.experiment, **parse_set(self.set, _NOT | PROBES, fields(), systems=systems))

    def amounts(self) -> tuple[Any, ...]:
        """Seeds, agent-steps, worlds, ticks to settle, ticks counted and the seed of maps, as the studies take them."""
        assert self.seeds is not None and self.agent_steps is not None
        assert self.worlds is not None and self.settle is not None and self.ticks is not None
        number = check_int("seeds", self.seeds, 1, MOST_SEEDS)
        seeds = tuple((self.seed + index) % 2**32 for index in range(number))
        return seeds, self.agent_steps, self.worlds, self.settle, self.ticks, self.seed


def parse_changes(pairs: Iterable[str], told: str) -> dict[str, Any]:
    """Settings of training and their values from ``name=value``, of a study that compares some.

    Args:
      told: with which messages begin.

    Raises:
      ValueError: no such setting (told is the nearest), one of the world, or a value of another type.
    """
    world = dict.fromkeys(WORLD, "is of the world, the same in all trainings; --set sets it")
    try:
        return parse_set(pairs, world | _NOT, fields(), reproduction=True, flag="--over")
    except ValueError as error:
        raise ValueError(f"{told}: {str(error).removeprefix('--over ')}") from None


def parse_factor(text: str) -> tuple[str, list[dict[str, Any]]]:
    """What changes, and its values one by one, from ``NAME=a:b:c`` (or ``NAME=a,b,c``), or, where settings change
    together, ``NAME=a,OTHER=b:NAME=c,OTHER=d``.

    >>> parse_factor("ticks=64,realms=16:ticks=128,realms=8")
    ('ticks, realms', [{'ticks': 64, 'realms': 16}, {'ticks': 128, 'realms': 8}])

    Raises:
      ValueError: not of that form, or as ``parse_changes``.
    """
    told = f"--over {text}"
    name, found = text.partition("=")[0].strip(), []
    for part in text.split(":"):
        pairs = [pair.strip() for pair in part.split(",")]
        named = ["=" in pair for pair in pairs]
        if all(named) and len(pairs) > 1:
            found.append(parse_changes(pairs, told))
        elif not any(named[1:]) and all(pairs) and "=" in text:
            found += [parse_changes([pair if "=" in pair else f"{name}={pair}"], told) for pair in pairs]
        else:
            raise ValueError(
                f"{told}: must be NAME=VALUE:VALUE, or NAME=VALUE,OTHER=VALUE of settings that go together"
            )
    return ", ".join(dict.fromkeys(key for one in found for key in one)), found


def parse_dimension(text: str) -> Any:
    """A ``train.studies.tuning.Dimension``: a setting and where it is searched, from ``NAME=LOW..HIGH``,
    ``NAME=LOW..HIGH:log`` or ``NAME=a,b,c``.

    >>> parse_dimension("learning_rate=0.0001..0.01:log")
    Dimension(name='learning_rate', values=(0.0001, 0.01), ranged=True, log=True, whole=False)

    Raises:
      ValueError: not of that form, or as ``parse_changes``.
    """
    from train.studies.tuning import Dimension

    told = f"--over {text}"
    name, equals, given = (part.strip() for part in text.partition("="))
    if not equals or not given:
        raise ValueError(f"{told}: must be NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=a,b,c")
    parts, scale = given.partition(":")[0].split(".."), given.partition(":")[2].strip()
    ranged = len(parts) > 1
    if (":" in given and (scale != "log" or not ranged)) or len(parts) > 2:
        raise ValueError(f"{told}: a range must be LOW..HIGH or LOW..HIGH:log, values a,b,c")
    texts = parts if ranged else given.split(",")
    values = [parse_changes([f"{name}={one.strip()}"], told)[name] for one in texts]
    if len(set(map(repr, values))) < len(values) or len(values) < 2:
        raise ValueError(f"{told}: must be at least two different values")
    kind = of_training()[name]
    kinds = get_args(kind) or (kind,)
    if not ranged:
        return Dimension(name, tuple(values))
    low, high = values
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in values):
        raise ValueError(f"{told}: must be values a,b,c: {name} is no number")
    if not low < high:
        raise ValueError(f"{told}: LOW must be below HIGH")
    if scale and low <= 0:
        raise ValueError(f"{told}: a range in log must begin above 0")
    whole = float not in kinds
    return Dimension(name, (low, high) if whole else (float(low), float(high)), True, bool(scale), whole)
