"""The command ``nmmo-jax ablate``: what settings of training are worth, one thing changed at a time."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from nmmo_jax.commands.overrides import Overrides, Systems
from nmmo_jax.commands.settings import base, parse_factor
from nmmo_jax.commands.studying import StudyCommand

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
_PLAY: dict[str, Any] = {"settle": 256, "ticks": 512}


@dataclasses.dataclass
class Ablate(StudyCommand):
    """Change one setting of training at a time, and tell what it is worth, with intervals over seeds.

    The base and every variant learn from as many living agent-steps, several seeds each, then play without learning on
    maps not seen in training. The folder gets report.md, results.json and a figure, ablation, of the differences to
    the base; runs/ in it holds the trainings. Ctrl-C keeps what is done, and --resume goes on.
    """

    NAME: ClassVar[str] = "ablate"
    FLAGS: ClassVar[dict[str, str]] = {"experiment": "EXPERIMENT"}
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": _PLAY | {
            "over": ("learning_rate=0.0003:0.003", "discount=0.95"), "seeds": 5, "agent_steps": 300_000, "worlds": 4,
        },
        "hour": _PLAY | {"over": FACTORS, "seeds": 5, "agent_steps": 1_000_000, "worlds": 8},
        "night": _PLAY | {"over": FACTORS, "seeds": 5, "agent_steps": 10_000_000, "worlds": 16},
    }  # fmt: skip

    experiment: tyro.conf.Positional[str] = "law128"
    """law or chaos, and how many agents: law16, law32, law64, law128, chaos16 ... chaos128."""
    over: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME=VALUE:VALUE|NAME=VALUE,OTHER=VALUE")] = None
    """What is changed, each by itself: a setting and its values, or settings that change together. Default: by form."""
    seeds: int | None = None
    """Trainings of each, from --seed on; intervals are over them. Default: 5."""
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
        """A ``train.studies.ablation.Ablation``."""
        from train.studies.ablation import Ablation

        assert self.over is not None and self.seeds is not None and self.agent_steps is not None
        assert self.worlds is not None and self.settle is not None and self.ticks is not None
        factors = [parse_factor(text) for text in self.over]
        chosen = base(self.experiment, self.set, self.system)
        seeds = tuple((self.seed + number) % 2**32 for number in range(self.seeds))
        play = (self.worlds, self.settle, self.ticks, self.seed)
        return Ablation(out, chosen, factors, seeds, self.agent_steps, *play)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.ablation import report

        return report
