"""The command ``nmmo-jax tune``: a search for settings of training."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from nmmo_jax.commands.overrides import Overrides, Systems, flat
from nmmo_jax.commands.settings import base, parse_dimension
from nmmo_jax.commands.studying import StudyCommand

_PLAY: dict[str, Any] = {"settle": 256, "ticks": 512}


@dataclasses.dataclass
class Tune(StudyCommand):
    """Search for settings of training with which populations live long on maps not seen in training, with optuna.

    Trials run one after another; those that live short while they learn are stopped early. The folder gets report.md
    with the best settings as a command to train with, results.json and figures, parallel and learning; runs/ in it
    holds the trainings. Ctrl-C keeps what is done, and --resume goes on exactly. Needs the package optuna.
    """

    NAME: ClassVar[str] = "tune"
    FLAGS: ClassVar[dict[str, str]] = {"experiment": "EXPERIMENT"}
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": _PLAY | {"trials": 8, "seeds": 1, "agent_steps": 400_000, "worlds": 4},
        "hour": _PLAY | {"trials": 32, "seeds": 2, "agent_steps": 1_500_000, "worlds": 8},
        "night": _PLAY | {"trials": 128, "seeds": 3, "agent_steps": 3_000_000, "worlds": 16},
    }

    experiment: tyro.conf.Positional[str] = "law128"
    """law or chaos, and how many agents: law16, law32, law64, law128, chaos16 ... chaos128."""
    over: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=LOW..HIGH[:log]|NAME=a,b,c")] = (
        "learning_rate=0.0001..0.01:log",
        "discount=0.95..0.999",
        "entropy_weight=0.0001..0.1:log",
        "ticks=16,32,64",
    )
    """Settings that are searched, and where: within a range, or among values."""
    trials: int | None = None
    """How many settings are tried, those of the base first. Default: by form."""
    pruner: Literal["median", "halving", "none"] = "median"
    """Which trials are stopped early: those below the median of the former at the same eighth of the budget; the worse
    half of those that came to an eighth, a quarter and half of it (successive halving); none."""
    seeds: int | None = None
    """Trainings of each trial, from --seed on, whose mean counts. Default: by form."""
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

    def study(self, out: Path) -> Any:
        """A ``train.studies.tuning.Tuning``."""
        from train.studies.tuning import Tuning

        assert self.trials is not None and self.seeds is not None and self.agent_steps is not None
        assert self.worlds is not None and self.settle is not None and self.ticks is not None
        dimensions = [parse_dimension(text) for text in self.over]
        chosen = base(self.experiment, self.set, self.system)
        seeds = tuple((self.seed + number) % 2**32 for number in range(self.seeds))
        play = (self.worlds, self.settle, self.ticks, self.seed)
        return Tuning(out, chosen, dimensions, self.trials, seeds, self.agent_steps, *play, self.pruner)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.tuning import report

        return lambda *of: report(*of, given=tuple(flat(self.set)), systems=tuple(self.system))
