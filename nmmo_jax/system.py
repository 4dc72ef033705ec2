"""A game system as one unit: the declarations of all that it adds to the world.

A ``System`` names its rules, columns, tables, materials, causes of death, events, observations and actions, and the
functions that run at named points of a tick. State, chance, masks, networks, ledger, digest, replays, the command line
and the viewer follow from that. ``docs/systems.md`` is the tutorial; ``nmmo_jax.testing.check_system`` the test.

Names are permanent: chance and digests are seeded by the names of the system and its columns, so that adding a system
changes no number of a world without it, and the order of systems none of another's.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

from nmmo_jax.values import (
    check_bool,
    check_color,
    check_float,
    check_function,
    check_int,
    check_name,
    check_several,
    check_unique,
)

STATS = ("health", "food", "water")
SCHEDULE = {
    "vitals": "in an agent's turn, after its vitals: who dies here does not act",
    "move": "in an agent's turn, after it has moved and before attacks strike",
    "act": "in an agent's turn, after attacks: own actions",
    "settle": "once per tick, after all turns and before the dead leave",
    "end": "once per tick, after births: tiles and tables; no more stats",
}
"""The points of a tick at which systems run, in order, and what each is for."""
SHARED = {
    "offence": "added to the damage of an agent's attacks that do some",
    "defence": "taken from the damage of each attack on an agent, down to 0",
}
"""Agents' columns that the classic systems read, of whichever systems have them; their values are added up."""
INTEGERS = ("bool", "int8", "int16", "int32", "uint8", "uint16")


@dataclasses.dataclass(frozen=True)
class Rule:
    """A number that a system plays by: traced, can be set, swept, and differ from realm to realm.

    Attributes:
      default: what it is where nothing else is said.
      unit, meaning: for tables and messages.
      dtype: ``int32``, ``float32`` or ``bool``.
      low, high: what is allowed.
    """

    name: str
    default: Any
    unit: str = ""
    meaning: str = ""
    dtype: Literal["int32", "float32", "bool"] = "int32"
    low: float = 0
    high: float = 30_000

    def __post_init__(self):
        check_name("rule", self.name)
        if self.dtype == "bool":
            object.__setattr__(self, "low", 0)
            object.__setattr__(self, "high", 1)
            check_bool(f"rule {self.name}: default", self.default)
        else:
            check = check_int if self.dtype == "int32" else check_float
            check(f"rule {self.name}: default", self.default, self.low, self.high)  # pyright: ignore[reportArgumentType]

    @property
    def metadata(self) -> dict[str, Any]:
        """As of a field of ``Rules``."""
        return {name: getattr(self, name) for name in ("unit", "meaning", "dtype", "low", "high")}


@dataclasses.dataclass(frozen=True)
class Column:
    """Whole numbers, one per agent, tile or row of a table. Values that are set saturate at ``low`` and ``high``.

    Attributes:
      dtype: one of ``INTEGERS``: digests are the same on every machine, which those of other numbers would not be.
      empty: where nobody is; of tiles, at the beginning.
      newborn: of a newborn: a number, or the name of one of the system's rules; None: as ``empty``.
      low, high: the allowed interval; None: that of the type.
    """

    name: str
    dtype: str = "int16"
    empty: int = 0
    newborn: int | str | None = None
    low: int | None = None
    high: int | None = None
    unit: str = ""
    meaning: str = ""

    def __post_init__(self):
        check_name("column", self.name)
        if self.dtype not in INTEGERS:
            raise ValueError(f"column {self.name}: dtype={self.dtype!r}: must be one of {', '.join(INTEGERS)}")
        limits = (0, 1) if self.dtype == "bool" else (np.iinfo(self.dtype).min, np.iinfo(self.dtype).max)
        for name, limit in zip(("low", "high"), limits, strict=True):
            own = getattr(self, name)
            value = int(limit) if own is None else check_int(f"column {self.name}: {name}", own, *map(int, limits))
            object.__setattr__(self, name, value)
        low, high = self.bounds
        newborn = self.empty if self.newborn is None else self.newborn
        object.__setattr__(self, "newborn", newborn)
        for name in ("empty", "newborn"):
            if not isinstance(getattr(self, name), str):
                check_int(f"column {self.name}: {name}", getattr(self, name), low, high)

    @property
    def bounds(self) -> tuple[int, int]:
        """The allowed interval."""
        assert self.low is not None and self.high is not None  # since __post_init__
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class Table:
    """Things that are not agents, so many rows per realm. A column ``alive`` is there without being named.

    Rows that are not alive have the ``empty`` values of their columns.
    """

    name: str
    capacity: int
    columns: tuple[Column, ...]

    def __post_init__(self):
        check_name("table", self.name)
        check_int(f"table {self.name}: capacity", self.capacity, 1, 65_536)
        object.__setattr__(self, "columns", check_several(f"table {self.name}: columns", self.columns, Column))
        check_unique(f"table {self.name}: columns", [*(column.name for column in self.columns), "alive"])


@dataclasses.dataclass(frozen=True)
class NewMaterial:
    """A material of tiles beyond the classic seven.

    Attributes:
      walkable: whether agents can stand on it.
      color: in pictures and the viewer, ``"#rrggbb"``.
    """

    name: str
    walkable: bool = True
    color: str = "#808080"
    meaning: str = ""

    def __post_init__(self):
        check_name("material", self.name)
        check_bool(f"material {self.name}: walkable", self.walkable)
        check_color(f"material {self.name}", self.color)


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A part of every agent's observation: whole numbers.

    Attributes:
      function: ``function(world) -> [N, *shape]``, integers; rows of empty slots are made zero.
      shape: of one agent's; ``"view"`` stands for the side of the window.
      low, high: what it can be; values beyond saturate.
    """

    name: str
    function: Callable[..., Any]
    shape: tuple[int | str, ...] = ()
    low: int = 0
    high: int = 32_767
    meaning: str = ""

    def __post_init__(self):
        check_name("observation", self.name)
        object.__setattr__(self, "shape", tuple(self.shape))
        for size in self.shape:
            if size != "view":
                check_int(f"observation {self.name}: shape", size, 1, 65_536)
        for name in ("low", "high"):
            check_int(f"observation {self.name}: {name}", getattr(self, name), -32_768, 32_767)
        check_function(f"observation {self.name}", self.function)


@dataclasses.dataclass(frozen=True)
class Argument:
    """One choice of an action.

    Attributes:
      name: the field of ``Action`` (of a system: the key in ``Action.of``) and the key of the mask.
      size: how many choices a policy has; of a system's argument among the visible it follows from the configuration.
      nothing: the choice that means nothing and is always allowed.
      mask_shape: of one agent's mask; default, ``(size,)``.
      meaning: what is chosen.
      among_visible: whether the choices are the visible agents, in the order in which they are listed; ``Action`` takes
        the slot of one, -1 for nobody.
      mask: ``mask(world) -> Bool[N, size]``, which choices do something, of a system's argument; None: all. Among the
        visible, ``world.visible_slot`` says who they are.
      effect: ``effect(world, after) -> Bool[N]``, who was acted for as chosen, for ``check_system``; None: not checked.
    """

    name: str
    size: int = 0
    nothing: int = 0
    mask_shape: tuple[int, ...] = ()
    meaning: str = ""
    among_visible: bool = False
    mask: Callable[..., Any] | None = None
    effect: Callable[..., Any] | None = None

    def __post_init__(self):
        if not self.mask_shape:
            object.__setattr__(self, "mask_shape", (self.size,))


@dataclasses.dataclass(frozen=True)
class Head:
    """One action of a tick, given by its arguments in order; a later argument's mask may depend on an earlier."""

    name: str
    arguments: tuple[Argument, ...]

    def __post_init__(self):
        object.__setattr__(self, "arguments", check_several(f"head {self.name}: arguments", self.arguments, Argument))


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a system does at a point of the tick: ``function(world) -> world``, of ``nmmo_jax.systems.world.World``."""

    point: str
    function: Callable[..., Any]

    def __post_init__(self):
        if self.point not in SCHEDULE:
            raise ValueError(f"phase: point={self.point!r}: must be one of {', '.join(SCHEDULE)}")
        check_function(f"phase {self.point}", self.function)


@dataclasses.dataclass(frozen=True)
class System:
    """A game system: all that it adds. Lists are taken for tuples. Bad declarations raise ``ValueError``.

    Attributes:
      name: lower case; begins the names of its rules, ``poison.damage``, and is the key of its state, ``realm.of``.
      rules, agents, tiles, tables: its numbers, and its columns of agents and of tiles, and tables of its own.
      materials: of tiles.
      terrain: ``terrain(material, words, config) -> material``, what it makes of generated ground ``[R, C]``, uint8, by
        raw words ``[R, C]``, uint32.
      stats: which of ``STATS`` it changes, by the verbs of ``World``; each has an account in the ledger.
      causes: of deaths, by name.
      events: kinds of event, by name.
      phases: what it does, and when.
      observe: what agents see of it.
      heads: what agents can choose.
      needs: names of systems without which it cannot be.
      meaning: one sentence.
    """

    name: str
    meaning: str = ""
    rules: tuple[Rule, ...] = ()
    agents: tuple[Column, ...] = ()
    tiles: tuple[Column, ...] = ()
    tables: tuple[Table, ...] = ()
    materials: tuple[NewMaterial, ...] = ()
    terrain: Callable[..., Any] | None = None
    stats: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    observe: tuple[Leaf, ...] = ()
    heads: tuple[Head, ...] = ()
    needs: tuple[str, ...] = ()

    def __post_init__(self):
        check_name("system", self.name)
        kinds = {"rules": Rule, "agents": Column, "tiles": Column, "tables": Table, "materials": NewMaterial}
        kinds |= {"phases": Phase, "observe": Leaf, "heads": Head}
        kinds |= dict.fromkeys(("stats", "causes", "events", "needs"), str)
        for field, kind in kinds.items():
            object.__setattr__(self, field, check_several(f"system {self.name}: {field}", getattr(self, field), kind))
        check_unique(f"system {self.name}: rules", [rule.name for rule in self.rules])
        state = [one.name for one in (*self.agents, *self.tiles, *self.tables)]
        check_unique(f"system {self.name}: columns and tables", state)
        for stat in self.stats:
            if stat not in STATS:
                raise ValueError(f"system {self.name}: stats={stat!r}: must be one of {', '.join(STATS)}")
        for kind in ("causes", "events", "needs"):
            for name in getattr(self, kind):
                check_name(kind, name)
        own = {rule.name for rule in self.rules}
        for column in self.agents:
            if isinstance(column.newborn, str) and column.newborn not in own:
                raise ValueError(f"system {self.name}: column {column.name}: newborn={column.newborn!r}: no such rule")
        for argument in self.arguments:
            check_name("argument", argument.name)
            if argument.among_visible:
                continue
            size = check_int(f"argument {argument.name}: size", argument.size, 2, 65_536)
            check_int(f"argument {argument.name}: nothing", argument.nothing, 0, size - 1)
        if self.terrain is not None:
            check_function(f"system {self.name}: terrain", self.terrain)

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Of all its heads, in order."""
        return tuple(argument for head in self.heads for argument in head.arguments)


def identity(*names: str) -> int:
    """A 32-bit number that a name has forever, above those of the classic streams and salts."""
    word = int.from_bytes(hashlib.blake2s(".".join(names).encode(), digest_size=4).digest(), "little")
    return word % (2**31 - 1_024) + 1_024


def check_systems(systems: Any, taken: dict[str, Iterable[str]]) -> tuple[System, ...]:
    """The systems of a world as a tuple, checked against each other.

    Args:
      taken: the classic names of each kind of declaration (``materials``, ``causes``, ``events``, ``arguments``).

    Raises:
      ValueError: something else than systems, one twice, a name that another has, or one that needs what is not there.
    """
    systems = check_several("systems", systems, System)
    names = [system.name for system in systems]
    check_unique("systems", names)
    check_unique("systems: numbers of their names (another name would do)", [identity(name) for name in names])
    for system in systems:
        for need in system.needs:
            if need not in names:
                raise ValueError(f"systems: {system.name} needs {need}, which is not among {', '.join(names)}")
    for kind in ("materials", "causes", "events", "arguments", "observe"):
        found = [*taken.get(kind, ())]
        for system in systems:
            found += [one if isinstance(one, str) else one.name for one in getattr(system, kind)]
        check_unique(f"systems: {kind}", found)
    return systems
