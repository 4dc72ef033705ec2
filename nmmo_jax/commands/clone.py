"""The command ``nmmo-jax clone``: networks learn to choose as scripted policies do, and go on by reinforcement."""

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from nmmo_jax.commands.overrides import PROBES, Overrides, Systems, parse_set
from nmmo_jax.commands.settings import fields, of_training
from nmmo_jax.commands.studying import StudyCommand

Variants = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE,..."), tyro.conf.UseAppendAction]
_OWN = {"seed": "--seed", "maps": "cannot be: seeds that share maps are not independent", **PROBES}


@dataclasses.dataclass
class Clone(StudyCommand):
    """Train networks to choose as scripted policies do, in states that they come to themselves, then by reinforcement.

    Beside these learns a network that nobody has told anything, from as many agent-steps in all. Writes a figure,
    lifetimes, a folder for every training in runs/ (with policies for nmmo-jax evaluate, tournament and watch),
    results.json and report.md: agreement with the teachers, lifetimes and harvest on maps not seen in training.
    Exit status: 0; 2 bad input; 130 interrupted, with --resume FOLDER to go on.
    """

    NAME: ClassVar[str] = "clone"
    FLAGS: ClassVar[dict[str, str]] = {"teacher": "TEACHER", "name": "--experiment"}
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {
            "seeds": 1, "clone_steps": 800_000, "ppo_steps": 1_400_000, "worlds": 8, "settle": 192, "ticks": 320,
        },
        "hour": {
            "seeds": 3, "clone_steps": 6_000_000, "ppo_steps": 8_000_000, "worlds": 16, "settle": 256, "ticks": 512,
        },
        "night": {
            "seeds": 3, "clone_steps": 60_000_000, "ppo_steps": 90_000_000, "worlds": 32, "settle": 512, "ticks": 1_024,
        },
    }  # fmt: skip

    teacher: tyro.conf.Positional[tuple[str, ...]] = ("forager", "planner")
    """Whom to learn from: random, wanderer, forager, fighter, planner. Default: forager and planner."""
    experiment: str = "law128"
    """law or chaos, and how many agents: law16, law32, law64, law128, chaos16 ... chaos128."""
    variant: Variants = ()
    """A network to compare, as the settings that it has beside those of --set: --variant network=default
    --variant shared_weights=true,core=gru. Default: one network, as --set says."""
    seeds: int | None = None
    """Trainings of each kind; intervals are over them, of one seed over worlds. Default: by form."""
    clone_steps: int | None = None
    """Agent-steps that a clone learns from: of living agents, all populations together. Default: by form."""
    ppo_steps: int | None = None
    """Agent-steps of reinforcement learning after that; from nothing it has both. Default: by form."""
    mixture: float = 0.3
    """Share of the cloning in which choices of the teacher are played less and less, from all to none."""
    worlds: int | None = None
    """That are played, every one on a map of its own that was not seen in training. Default: by form."""
    settle: int | None = None
    """Ticks before any are counted. Default: by form."""
    ticks: int | None = None
    """That are counted. Default: by form."""
    set: Overrides = ()
    """Any other setting of the trainings, or field of the worlds' configuration and rules, as in nmmo-jax train:
    hidden=128 realms=16 regrowth_probability=0.05."""
    system: Systems = ()
    """Game systems to train and play with, and --set their rules: poison:POISON of poison.py here, or of an installed
    module. What they let agents choose is not learned: scripted policies know nothing of it."""

    def study(self, out: Path) -> Any:
        """See ``StudyCommand``."""
        from train.studies.clone import Cloning

        given = parse_set(self.set, _OWN, fields(), systems=self.system)
        variants = {}
        for text in self.variant:
            pairs = re.split(r",(?=\s*\w+\s*=)", text)
            variants[text] = parse_set(pairs, _OWN, of_training(), flag="--variant")
        if len(variants) < len(self.variant):
            raise ValueError(f"--variant {' '.join(self.variant)}: each must be given once")
        assert self.seeds is not None and self.clone_steps is not None and self.ppo_steps is not None
        assert self.worlds is not None and self.settle is not None and self.ticks is not None
        return Cloning(
            out, self.teacher, self.experiment, given, variants or {"": {}}, self.seeds, self.clone_steps,
            self.ppo_steps, self.mixture, self.worlds, self.settle, self.ticks, self.seed,
        )  # fmt: skip

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.clone import report

        return report
