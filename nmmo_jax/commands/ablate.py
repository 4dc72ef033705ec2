"""The command ``nmmo-jax ablate``: what settings of training are worth, one thing changed at a time."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from nmmo_jax.commands.settings import PLAY, StudyOfSettings, parse_factor

FACTORS = (
    "steps_input=false,near=0",
    "near=0",
    "core=none:gru",
    "sequence=1",
    "shared_weights=false,minibatch=1024",
    "optimiser=adam",
    "learning_rate=0.0003:0.003",
    "discount=0.95:0.995",
    "decay=0.8:0.98",
    "ticks=16,realms=32:ticks=64,realms=8",
    "realms=8:32",
    "minibatch=1024",
    "epochs=2",
    "entropy_weight=0:0.03",
    "hidden=128",
    "loss=policy_gradient",
)


@dataclasses.dataclass
class Ablate(StudyOfSettings):
    """Change one setting of training at a time, and tell what it is worth, with intervals over seeds.

    The base and every variant learn from as many living agent-steps, several seeds each, then play without learning on
    maps not seen in training. The folder gets report.md, results.json and a figure, ablation, of the differences to
    the base; runs/ in it holds the trainings. Ctrl-C keeps what is done, and --resume goes on.
    """

    NAME: ClassVar[str] = "ablate"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": PLAY | {
            "over": ("learning_rate=0.0003:0.003", "discount=0.95"), "seeds": 5, "agent_steps": 300_000, "worlds": 4,
        },
        "hour": PLAY | {"over": FACTORS, "seeds": 5, "agent_steps": 1_000_000, "worlds": 8},
        "night": PLAY | {"over": FACTORS, "seeds": 5, "agent_steps": 10_000_000, "worlds": 16},
    }  # fmt: skip

    over: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME=VALUE:VALUE|NAME=VALUE,OTHER=VALUE")] = None
    """What is changed, each by itself: a setting and its values, or settings that change together. Default: by form."""

    def study(self, out: Path) -> Any:
        """A ``train.studies.ablation.Ablation``."""
        from train.studies.ablation import Ablation

        assert self.over is not None
        factors = [parse_factor(text) for text in self.over]
        return Ablation(out, self.base(), factors, *self.amounts())

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.ablation import report

        return report
