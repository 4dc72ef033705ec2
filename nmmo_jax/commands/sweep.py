"""The command ``nmmo-jax sweep``: worlds under all combinations of some rules' values."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from nmmo_jax.commands.overrides import NO_EFFECT, PLACES, Overrides, Systems, find_systems, parse_set
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.environment import make

_OWN = {f"{name}": f"--{name.replace('_', '-')}" for name in ("reproduction", "spawn_rate", "population_cap")}


@dataclasses.dataclass
class Sweep(StudyCommand):
    """Play worlds under all combinations of some rules' values, and draw phase diagrams.

    Measured at each point, with intervals over its worlds: lifetime, population, births, forests that are not ready,
    worlds that were empty at some tick and ticks at which they were, in chaos deaths by combat and hits per agent-tick,
    and deaths by the causes of systems.
    Writes points.csv, results.json, report.md and a figure, sweep. Ctrl-C keeps what is done, and --resume goes on.
    """

    NAME: ClassVar[str] = "sweep"
    FORMS: ClassVar[dict[str, dict[str, Any]]] = {
        "minutes": {"worlds": 4, "settle": 192, "ticks": 192},
        "hour": {"worlds": 8, "settle": 1_024, "ticks": 1_024},
        "night": {"worlds": 32, "settle": 2_048, "ticks": 2_048},
    }

    over: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIELD=LOW:HIGH:NUMBER[:log]|FIELD=a,b,c")] = (
        "regrowth_probability=0.001:0.1:32:log",
        "population_cap=4:128:32",
    )
    """Rules and their values; points are all combinations. Figures are of the first two."""
    game: Literal["law", "chaos"] = "law"
    """law: no attacks. chaos: attacks with melee, range and mage."""
    policy: tuple[str, ...] = ("forager",)
    """What the populations play in turn, as in nmmo-jax simulate."""
    agents: int = 128
    """Capacity: agent slots per world."""
    populations: int = 8
    """Populations; divides --agents, unless agents reproduce."""
    reproduction: tyro.conf.FlagCreatePairsOff[bool] = False
    """Living agents give birth, too (layout free)."""
    spawn_rate: float = 1.0
    """Probability of a birth on the spawn ring per tick, while there is room."""
    population_cap: int | None = None
    """How many may live in a world, at most --agents. Default: --agents."""
    initial: int = 0
    """Agents in each world before the first tick, as many as its cap allows."""
    worlds: int | None = None
    """Worlds of each point, every one on a generated map of its own, the same maps for all points. Default: by form."""
    settle: int | None = None
    """Ticks before any are counted. Default: by form."""
    ticks: int | None = None
    """That are counted. Default: by form."""
    batch: int = 64
    """Worlds, of all points, that are played side by side."""
    set: Overrides = ()
    """Any other field of the worlds' configuration and rules, the same at all points: max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module."""

    tables: tuple[Literal["parquet", "netcdf"], ...] = ()
    """Tables for other programs: parquet, with a row for each point and world (worlds.parquet), and one for each point
    (points.parquet); netcdf, the grid with named axes (sweep.nc)."""

    def study(self, out: Path) -> Any:
        """A ``train.studies.sweep.Sweep``."""
        from nmmo_jax.commands.axes import parse_axis
        from train.studies.sweep import Sweep as Study

        assert self.worlds is not None and self.settle is not None and self.ticks is not None
        axes = [parse_axis(text, self.reproduction, find_systems(self.system)) for text in self.over]
        elsewhere = {**PLACES, **NO_EFFECT, **_OWN}
        fixed = parse_set(self.set, elsewhere, reproduction=self.reproduction, systems=self.system)
        fixed |= {"spawn_rate": self.spawn_rate, "population_cap": self.population_cap}
        given = {name for name, value in fixed.items() if value != getattr(type(self), name, None)}
        for axis in axes:
            if axis.field in given:
                raise ValueError(f"--over {axis.field}: is given a value of its own, too")
        if not self.policy:
            raise ValueError("--policy: at least one must be named")
        env = make(
            self.game,
            num_agents=self.agents,
            num_populations=self.populations,
            **{**({"reproduction": True, "layout": "free"} if self.reproduction else {}), **fixed},
        )
        return Study(axes, env, self.policy, self.worlds, self.settle, self.ticks, self.seed, self.initial, self.batch)

    def report(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports.sweep import report

        return report

    def tabulated(self) -> Any:
        """See ``StudyCommand``."""
        from train.studies.reports import grid, tables

        return {"parquet": tables.sweep, "netcdf": grid.write}
