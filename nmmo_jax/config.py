"""Shapes and switches of a world: ``Config`` is frozen and hashable, and a new one means a new compilation.

The numbers that it plays by are in ``nmmo_jax.rules``, and the games by name in ``nmmo_jax.presets``.
"""

import dataclasses
import functools
import math
from typing import Literal

from nmmo_jax.declarations import STYLES as STYLES
from nmmo_jax.declarations import Argument, Column, Head
from nmmo_jax.kinds import MAX_MATERIALS, WALKABLE, Cause, Event, Material
from nmmo_jax.system import Listed, System, check_systems, find_table
from nmmo_jax.values import check_bool, check_choice, check_int, keep_plain

RULES_VERSION = 1  # moves only when behaviour does; kept in replays, checkpoints and benchmark files
LAYOUTS = ("blocks", "free")
RESOLUTIONS = ("simultaneous", "sequential")
REWARDS = ("survival", "death")

MAX_AGENTS = 65_536  # with MAX_AMOUNT the largest sum over all agents still fits int32
MAX_AMOUNT = 30_000  # amounts are stored as int16
MAX_SUM = 2**31 - 1  # of what is booked, over all agents
MAX_POPULATIONS = 2**15 - 1  # an agent's population is stored as int16
MAX_TICKS = 1_000_000_000
MAX_SIDE = 8_192
ARGUMENTS = ("move", "style", "target")  # of the classic actions
_TAKEN = {
    "materials": [one.name.lower() for one in Material],
    "causes": [one.name.lower() for one in Cause],
    "events": [one.name.lower() for one in Event],
    "heads": ("move", "attack", "value"),
    "arguments": (*ARGUMENTS, "value", "realm", "uid"),  # outputs of networks, columns of actions in ``VecEnv``
    "observe": ("tiles", "self", "visible", "visible_slot", "mask", "window", "steps"),
    "goals": ("forest", "own_forest", "claimed_forest", "left_forest", "shore", "others"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Static configuration: capacities, sizes and switches. Bad values raise ``ValueError``.

    Attributes:
      num_agents: capacity, the number of agent slots per realm.
      num_populations: number of populations; divides ``num_agents`` in layout ``blocks``.
      rows, columns: padded size of the map in tiles; smaller maps are padded with lava.
      view: side of the square observation window in tiles, odd.
      num_visible: how many agents (the observer included) an observation lists.
      border: width of the lava border of generated terrain, in tiles.
      layout: ``blocks`` (slots grouped by population, quotas) or ``free`` (any slot, no quotas).
      resolution: ``simultaneous`` (all agents at once) or ``sequential`` (oldest first, as the original).
      reward: ``survival`` (+1 per tick lived through) or ``death`` (-1 on dying).
      reproduction: whether living agents give birth; layout ``free``.
      max_spawns: attempts at a birth on the spawn ring per tick.
      max_lifetime: age in ticks at which an agent leaves with ``truncated``, or None.
      horizon: tick from which ``info.horizon`` is set, or None.
      visits: probe, count visits per population and tile in ``realm.probes.visits``.
      events: probe, capacity of the event table per tick (0: off).
      ledger: probe, account for every unit of food, water, health and ``Column.booked`` in ``info.ledger``.
      exploration: whether training, evaluation and ``nmmo-jax simulate`` keep where agents have been: a bit per agent
        and tile, and visits per population and tile; without it they tell nothing of exploration. Play never reads it.
      systems: game systems beyond the classic ones, in the order in which they act at a point of the tick.
    """

    num_agents: int = 128
    num_populations: int = 8
    rows: int = 80
    columns: int = 80
    view: int = 15
    num_visible: int = 16
    border: int = 9
    layout: Literal["blocks", "free"] = "blocks"
    resolution: Literal["simultaneous", "sequential"] = "simultaneous"
    reward: Literal["survival", "death"] = "survival"
    reproduction: bool = False
    max_spawns: int = 1
    max_lifetime: int | None = None
    horizon: int | None = None
    visits: bool = False
    events: int = 0
    ledger: bool = False
    exploration: bool = True
    systems: tuple[System, ...] = ()

    def __post_init__(self):
        keep_plain(self)
        check_int("num_agents", self.num_agents, 1, MAX_AGENTS)
        check_int("num_populations", self.num_populations, 1, min(self.num_agents, MAX_POPULATIONS))
        check_int("rows", self.rows, 1, MAX_SIDE)
        check_int("columns", self.columns, 1, MAX_SIDE)
        check_int("view", self.view, 1, 255)
        if self.view % 2 == 0:
            raise ValueError(f"view={self.view}: must be odd, so that the observer stands in the middle")
        check_int("num_visible", self.num_visible, 1, MAX_AGENTS)
        check_int("border", self.border, 0, MAX_SIDE)
        check_choice("layout", self.layout, LAYOUTS)
        check_choice("resolution", self.resolution, RESOLUTIONS)
        check_choice("reward", self.reward, REWARDS)
        check_int("max_spawns", self.max_spawns, 1, MAX_AGENTS)
        if self.max_lifetime is not None:
            check_int("max_lifetime", self.max_lifetime, 1, MAX_TICKS)
        if self.horizon is not None:
            check_int("horizon", self.horizon, 1, MAX_TICKS)
        for name in ("reproduction", "visits", "ledger", "exploration"):
            check_bool(name, getattr(self, name))
        check_int("events", self.events, 0, 2**24)
        if self.layout == "blocks" and self.num_agents % self.num_populations:
            raise ValueError(
                f"num_agents={self.num_agents}: must be divisible by num_populations={self.num_populations} "
                "in layout 'blocks' (layout 'free' has no such limit)"
            )
        if self.reproduction and self.layout != "free":
            raise ValueError(
                f"reproduction={self.reproduction!r}: must be False in layout {self.layout!r}, where each population "
                "has a quota; layout 'free' has none"
            )

        object.__setattr__(self, "systems", check_systems(self.systems, _TAKEN))
        number = len(Material) + sum(len(system.materials) for system in self.systems)
        if number > MAX_MATERIALS:
            raise ValueError(f"systems: {number} materials with the classic ones: allowed are {MAX_MATERIALS}")
        for system in self.systems:
            for material in (material for material in system.materials if material.spent):
                told = f"system {system.name}: material {material.name}: spent"
                check_choice(told, material.spent, self.material_names)
            for column in (column for column in system.agents if column.shape):
                if (*column.shape, self.num_agents) == (self.rows, self.columns):  # taken for one of tiles
                    told = f"({len(column.each)}, {self.num_agents})"
                    raise ValueError(f"system {system.name}: column {column.name}: as large as the map, {told}")
        for name, column in self.booked.items() if self.ledger else ():
            most = max(map(abs, column.bounds)) * math.prod(column.shape) * self.num_agents
            if most > MAX_SUM:
                told = f"booked=True: {self.num_agents} agents can have {most}: allowed are {MAX_SUM} (see low, high)"
                raise ValueError(f"ledger=True: column {name}: {told}")

    def _names(self, kind: str) -> tuple[str, ...]:
        own = [one for system in self.systems for one in getattr(system, kind)]
        return (*_TAKEN[kind], *(one if isinstance(one, str) else one.name for one in own))

    @functools.cached_property
    def material_names(self) -> tuple[str, ...]:
        """The materials of tiles by their numbers, those of systems last."""
        return self._names("materials")

    @functools.cached_property
    def cause_names(self) -> tuple[str, ...]:
        """The causes of death by their numbers, ``none`` first, those of systems last."""
        return self._names("causes")

    @property
    def deadly(self) -> tuple[str, ...]:
        """The causes of death without ``none``: what counts of deaths have a place for."""
        return self.cause_names[1:]

    @functools.cached_property
    def event_names(self) -> tuple[str, ...]:
        """The kinds of event by their numbers, those of systems last."""
        return self._names("events")

    @functools.cached_property
    def walkable(self) -> tuple[int, ...]:
        """The numbers of the materials on which agents can stand."""
        own = [material for system in self.systems for material in system.materials]
        return (*map(int, WALKABLE), *(number for number, one in enumerate(own, len(Material)) if one.walkable))

    @functools.cached_property
    def spent(self) -> dict[int, int]:
        """The materials that are not always ready, and as which each is seen while it is not."""
        own = [material for system in self.systems for material in system.materials]
        names = self.material_names
        found = {names.index(one.name): names.index(one.spent) for one in own if one.spent}
        return {int(Material.FOREST): int(Material.SCRUB), **found}

    @property
    def livable(self) -> tuple[int, ...]:
        """Of ``walkable`` all but lava."""
        return tuple(number for number in self.walkable if number != Material.LAVA)

    @functools.cached_property
    def lists(self) -> dict[str, Listed]:
        """The lists that systems show, by name."""
        found = [find_table(one, system, self.systems) for system in self.systems for one in system.listings]
        return {one.listing.name: one for one in found}

    @functools.cached_property
    def booked(self) -> dict[str, Column]:
        """The columns that the ledger books, by ``system.column``."""
        return {
            f"{system.name}.{column.name}": column
            for system in self.systems
            for column in system.agents
            if column.booked
        }

    @functools.cached_property
    def books(self) -> dict[str, tuple[str, ...]]:
        """By system what of ``booked`` its phases can change: its own, and of whom it needs (``World.through``)."""
        of = {}
        for system in self.systems:
            reached = {system.name}
            for _ in self.systems:  # needed by whom it needs, and so on
                reached.update(need for one in self.systems if one.name in reached for need in one.needs)
            of[system.name] = tuple(name for name in self.booked if name.partition(".")[0] in reached)
        return of

    @functools.cached_property
    def own_heads(self) -> dict[str, tuple[Head, ...]]:
        """The heads of each system, with the sizes that follow from what is chosen among."""
        return {one.name: tuple(map(self._sized, one.heads)) for one in self.systems}

    def _sized(self, head: Head) -> Head:
        def with_size(one: Argument) -> Argument:
            if not one.among:
                return one
            size, nothing = self.num_visible, 0
            if one.among == "window":
                size, nothing = self.view**2, self.view**2 // 2
            elif one.among != "visible":
                size = 1 + self.lists[one.among].listing.most  # nothing, then what is listed
            return dataclasses.replace(one, size=size, nothing=nothing, mask_shape=(size,))

        return dataclasses.replace(head, arguments=tuple(map(with_size, head.arguments)))

    @property
    def radius(self) -> int:
        """How far an agent sees in each direction, in tiles."""
        return self.view // 2
