"""The command ``nmmo-jax niches``: whether populations come to live apart, and more so if there are more of them."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

from nmmo_jax.commands.overrides import PLACES, PROBES, Overrides, Systems, parse_set
from nmmo_jax.commands.studying import StudyCommand

_TRAINED: dict[str, Any] = {"populations": (1, 2, 4, 8), "agents": 128}


@dataclasses.dataclass
class Niches(StudyCommand):
    """Train 1, 2, 4 and 8 populations on equal data, and count the niches that they fill, against chance.

    A niche is where populations are (tiles, kinds of ground) and how they attack. Trained are populations with weights
    of their own and, as a control, with shared ones; with --policy, existing policies are measured instead. The
    folder gets report.md, results.json and figures: niches, over-training, maps, and styles where there are
    attacks; runs/ in it holds the trainings. Ctrl-C keeps what is done; --resume goes on.
    """

    NAME: ClassVar[str] = "niches"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": _TRAINED | {
            "games": ("law",), "seeds": 2, "agent_steps": 600_000, "realms": 8, "rows": 2_048,
            "maps": 2, "worlds": 4, "settle": 192, "ticks": 192,
        },
        "hour": _TRAINED | {
            "games": ("law",), "seeds": 4, "agent_steps": 8_000_000, "realms": 32, "rows": 8_192,
            "maps": 4, "worlds": 4, "settle": 256, "ticks": 384,
        },
        "night": _TRAINED | {
            "games": ("law", "chaos"), "seeds": 5, "agent_steps": 30_000_000, "realms": 32, "rows": 8_192,
            "maps": 4, "worlds": 8, "settle": 256, "ticks": 512,
        },
    }  # fmt: skip

    policy: tuple[str, ...] = ()
    """Folders of trained runs, each its own arm, or with seed-* in them one arm of several seeds; names of policies
    that come with the package. Nothing is trained then."""
    games: tuple[Literal["law", "chaos"], ...] | None = None
    """In which to train."""
    populations: tuple[int, ...] | None = None
    """Numbers of populations among the agents. Default: 1, 2, 4 and 8."""
    agents: int | None = None
    """16, 32, 64 or 128. Default: 128."""
    seeds: int | None = None
    """Trainings of each kind."""
    agent_steps: int | None = None
    """That a training learns from: of living agents, all populations together."""
    realms: int | None = None
    """Worlds in a training."""
    rows: int | None = None
    """Agent-steps per step of the optimiser, all populations together."""
    maps: int | None = None
    """Held-out maps that what was learned is played on, other ones for each seed."""
    worlds: int | None = None
    """Worlds on each map."""
    settle: int | None = None
    """Ticks before visits are counted."""
    ticks: int | None = None
    """In which they are."""
    set: Overrides = ()
    """Any other field of the configuration and rules of the worlds trained in: regrowth_probability=0.05
    max_spawns=2."""
    system: Systems = ()
    """Game systems to train with, and --set their rules: poison:POISON of poison.py here, or of an installed module.
    Policies of --policy are played in the world of their training, with its systems."""

    def check(self) -> None:
        """See ``StudyCommand``."""
        for name in ("games", "populations", "agents", "seeds", "agent_steps", "realms", "rows", "set", "system"):
            if self.policy and getattr(self, name) not in (None, ()):
                raise ValueError(f"--{name.replace('_', '-')}: of trainings, and with --policy nothing is trained")

    def study(self, out: Path) -> Any:
        """A ``train.studies.specialisation.Specialisation``."""
        from train.studies.specialisation import Amount, Specialisation

        fields = [field.name for field in dataclasses.fields(Amount)]
        amount = Amount(**{name: getattr(self, name) for name in fields})
        world = parse_set(self.set, PLACES | PROBES, systems=self.system)
        return Specialisation(out, amount, self.policy, world)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.specialisation import report

        return report
