"""The command ``nmmo-jax collapse``: a rule made worse slowly, and better again."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from nmmo_jax.commands.overrides import NO_EFFECT, PLACES, Overrides, Systems, find_systems, parse_set
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.environment import make

_OWN = {"reproduction": "--births", "layout": "--births", "spawn_rate": "--spawn-rate"}


@dataclasses.dataclass
class Collapse(StudyCommand):
    """Change a rule slowly until populations fall, and back: early-warning signals, and hysteresis.

    In two kinds of worlds: those in which agents are born on the spawn ring, whoever lives, and those in which living
    agents give birth. At two paces, so that hysteresis can be told from a lag. Writes figures (indicators, hysteresis),
    results.json and report.md. Ctrl-C keeps what is done, and --resume goes on.
    """

    NAME: ClassVar[str] = "collapse"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"worlds": 16, "settle": 256, "hold": 192},
        "hour": {"worlds": 64, "settle": 1_024, "hold": 768},
        "night": {"worlds": 128, "settle": 2_048, "hold": 3_072},
    }

    over: Annotated[str, tyro.conf.arg(metavar="FIELD=LOW:HIGH:NUMBER[:log]|FIELD=a,b,c")] = (
        "regrowth_probability=0.0005:0.02:12:log"
    )
    """The rule and its values."""
    begin: Literal["high", "low"] = "high"
    """With which of them to begin: that under which agents live well."""
    births: tuple[Literal["ring", "parents"], ...] = ("ring", "parents")
    """Where births come from. ring: the spawn ring, one per tick while there is room. parents: living agents, and the
    ring with --spawn-rate."""
    spawn_rate: float | None = None
    """Probability of a birth on the ring per tick where agents have parents: who comes to a world that is empty.
    Default: 0.01."""
    game: Literal["law", "chaos"] = "law"
    """law: no attacks. chaos: attacks with melee, range and mage."""
    policy: tuple[str, ...] = ("forager",)
    """What the populations play in turn, as in nmmo-jax simulate."""
    agents: int = 128
    """Capacity: agent slots per world."""
    populations: int = 8
    """Populations; divides --agents."""
    worlds: int | None = None
    """Of each kind, every one on a generated map of its own. Default: by form."""
    settle: int | None = None
    """Ticks before the first value is looked at. Default: by form."""
    hold: int | None = None
    """Ticks at each value, of which the second half is looked at. Default: by form."""
    slower: int = 4
    """How many times as long at each value in the slower change."""
    set: Overrides = ()
    """Any other field of the worlds' configuration and rules: max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module."""

    def check(self) -> None:
        """See ``StudyCommand``."""
        if self.spawn_rate is not None and "parents" not in self.births:
            raise ValueError("--spawn-rate: of worlds with parents, and --births is ring")

    def study(self, out: Path) -> Any:
        """A ``train.studies.collapse.Collapse``."""
        from nmmo_jax.commands.axes import parse_axis
        from train.studies.collapse import Collapse as Study
        from train.studies.collapse import Kind

        assert self.worlds is not None and self.settle is not None and self.hold is not None
        parents = "parents" in self.births
        axis = parse_axis(self.over, parents, find_systems(self.system))
        fixed = parse_set(self.set, {**PLACES, **NO_EFFECT, **_OWN}, reproduction=parents, systems=self.system)
        if axis.field in fixed or axis.field == "spawn_rate":
            raise ValueError(f"--over {axis.field}: is given a value of its own, too")
        if not self.births or len(set(self.births)) < len(self.births):
            raise ValueError(f"--births {' '.join(self.births)}: must be ring, parents or both")
        if not self.policy:
            raise ValueError("--policy: at least one must be named")
        rate = 0.01 if self.spawn_rate is None else self.spawn_rate
        own = {"ring": {}, "parents": {"reproduction": True, "layout": "free", "spawn_rate": rate}}
        common = {"num_agents": self.agents, "num_populations": self.populations, **fixed}
        kinds = [Kind(name, make(self.game, **common, **own[name])) for name in self.births]
        return Study(
            axis, self.begin == "high", kinds, self.policy, self.worlds, self.settle, self.hold, self.slower, self.seed
        )

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.collapse import report

        return report
