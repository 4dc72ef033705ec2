"""The command ``nmmo-jax tune``: a search for settings of training."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from nmmo_jax.commands.overrides import flat
from nmmo_jax.commands.settings import PLAY, StudyOfSettings, parse_dimension


@dataclasses.dataclass
class Tune(StudyOfSettings):
    """Search for settings of training with which populations live long on maps not seen in training, with optuna.

    Trials run one after another; those that live short while they learn are stopped early. The folder gets report.md
    with the best settings as a command to train with, results.json and figures, parallel and learning; runs/ in it
    holds the trainings. Ctrl-C keeps what is done, and --resume goes on exactly. Needs the package optuna.
    """

    NAME: ClassVar[str] = "tune"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": PLAY | {"trials": 8, "seeds": 1, "agent_steps": 400_000, "worlds": 4},
        "hour": PLAY | {"trials": 32, "seeds": 2, "agent_steps": 1_500_000, "worlds": 8},
        "night": PLAY | {"trials": 128, "seeds": 3, "agent_steps": 3_000_000, "worlds": 16},
    }

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

    def study(self, out: Path) -> Any:
        """A ``train.studies.tuning.Tuning``."""
        from train.studies.tuning import Tuning

        assert self.trials is not None
        dimensions = [parse_dimension(text) for text in self.over]
        return Tuning(out, self.base(), dimensions, self.trials, *self.amounts(), pruner=self.pruner)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.tuning import report

        return lambda *of: report(*of, given=tuple(flat(self.set)), systems=tuple(self.system))
