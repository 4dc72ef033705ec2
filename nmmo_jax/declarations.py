"""What a game system can declare: its rules, columns, tables, materials, what agents see, seek and choose, and phases.

``nmmo_jax.system.System`` puts them together; ``docs/systems.md`` is the tutorial.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from nmmo_jax.common.spelling import near
from nmmo_jax.values import (
    check_bool,
    check_choice,
    check_color,
    check_float,
    check_function,
    check_int,
    check_name,
    check_several,
    check_unique,
    keep,
)

STATS = ("health", "food", "water")
STYLES = ("melee", "range", "mage")
SCHEDULE = {
    "vitals": "in an agent's turn, after its vitals: who dies here does not act",
    "move": "in an agent's turn, after it has moved and before attacks strike",
    "act": "in an agent's turn, after attacks: own actions",
    "settle": "once per tick, after all turns and before the dead leave",
    "end": "once per tick, after births: tiles and tables; no more stats, nor what is booked",
}
"""The points of a tick at which systems run, in order, and what each is for."""
SHARED = {
    "offence": "added to the damage of an agent's attacks that do some; one number, or one for each style",
    "defence": "taken from the damage of each attack on an agent, down to 0",
    "stance": "the style in which an agent is at home, for a system that says what attacks do (``System.blow``)",
}
"""Agents' columns that the classic systems read, of whichever systems have them; their values are added up."""
MAX_KINDS = 256  # of a category
INTEGERS = ("bool", "int8", "int16", "int32", "uint8", "uint16")


@dataclasses.dataclass(frozen=True)
class Rule:
    """A number that a system plays by: traced, can be set, swept, and differ from realm to realm.

    Attributes:
      default: what it is where nothing else is said.
      unit, meaning: for tables and messages.
      dtype: ``int32``, ``float32`` or ``bool``.
      low, high: what is allowed, the lower number first.
    """

    name: str
    default: Any
    unit: str = ""
    meaning: str = ""
    dtype: Literal["int32", "float32", "bool"] = "int32"
    low: float = 0
    high: float = 30_000

    def __post_init__(self):
        told = f"rule {check_name('rule', self.name)}"
        check_choice(f"{told}: dtype", self.dtype, ("int32", "float32", "bool"))
        if self.dtype == "bool":
            keep(self, low=0, high=1, default=check_bool(f"{told}: default", self.default))
            return
        most = 2**31 - 1 if self.dtype == "int32" else 1e30
        check: Callable[..., Any] = check_int if self.dtype == "int32" else check_float
        keep(self, low=check(f"{told}: low", self.low, -most, most))
        keep(self, high=check(f"{told}: high", self.high, self.low, most))
        if self.low == self.high:
            raise ValueError(f"{told}: low={self.low}, high={self.high}: must differ")
        keep(self, default=check(f"{told}: default", self.default, self.low, self.high))

    @property
    def metadata(self) -> dict[str, Any]:
        """As of a field of ``Rules``."""
        return {name: getattr(self, name) for name in ("unit", "meaning", "dtype", "low", "high")}


@dataclasses.dataclass(frozen=True)
class Column:
    """Whole numbers, one per agent, tile or row of a table. Values that are set saturate at ``low`` and ``high``.

    Attributes:
      each: of agents that have several, ``[K, N]``: the names of the K.
      dtype: one of ``INTEGERS``: digests are the same on every machine, which those of other numbers would not be.
      empty: where nobody is; of tiles, at the beginning.
      newborn: of a newborn: a number, or the name of one of the system's rules; None: as ``empty``.
      inherited: whether who is born by another agent has what its parent has instead.
      low, high: the allowed interval; None: that of the type.
      category: whether its numbers are names of kinds: networks read each of them as an input of its own.
      names: of a category: those names, from ``low`` to ``high``, for people who watch.
      booked: of agents, whether ``Config.ledger`` books it, as food: where all of it came from, and where it went.
    """

    name: str
    dtype: str = "int16"
    empty: int = 0
    newborn: int | str | None = None
    inherited: bool = False
    low: int | None = None
    high: int | None = None
    category: bool = False
    unit: str = ""
    meaning: str = ""
    each: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    booked: bool = False

    def __post_init__(self):
        check_name("column", self.name)
        check_bool(f"column {self.name}: inherited", self.inherited)
        check_bool(f"column {self.name}: booked", self.booked)
        keep(self, each=check_several(f"column {self.name}: each", self.each, str))
        check_unique(f"column {self.name}: each", [*self.each])
        for name in self.each:
            check_name(f"column {self.name}: each", name)
        if self.dtype not in INTEGERS:
            told = f"column {self.name}: dtype={self.dtype!r}: must be one of {', '.join(INTEGERS)}"
            raise ValueError(f"{told}{near(str(self.dtype), INTEGERS)}")
        limits = (0, 1) if self.dtype == "bool" else (np.iinfo(self.dtype).min, np.iinfo(self.dtype).max)
        for name, limit in zip(("low", "high"), limits, strict=True):
            own = getattr(self, name)
            value = int(limit) if own is None else check_int(f"column {self.name}: {name}", own, *map(int, limits))
            keep(self, **{name: value})
        low, high = self.bounds
        if low > high:
            raise ValueError(f"column {self.name}: low={low}: must be at most high={high}")
        keep(self, newborn=self.empty if self.newborn is None else self.newborn)
        for name in ("empty", "newborn"):
            if not isinstance(getattr(self, name), str):
                keep(self, **{name: check_int(f"column {self.name}: {name}", getattr(self, name), low, high)})
        _check_category(f"column {self.name}", self.category, low, high)
        if self.names and not self.category:
            raise ValueError(f"column {self.name}: names={self.names!r}: must be (), as category is False")
        keep(self, names=_check_names(f"column {self.name}", self.names, high - low + 1))
        if self.booked and self.category:
            raise ValueError(f"column {self.name}: booked=True: must be False, as category is True")

    @property
    def blank(self) -> np.ndarray:
        """``empty`` in its type."""
        return np.asarray(self.empty, self.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one agent's numbers."""
        return (len(self.each),) if self.each else ()

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
        if self.name in ("agents", "own"):
            told = "a list of agents is one of all agents, and of own of what each has itself"
            raise ValueError(f"table: name={self.name!r}: must be another, as {told}")
        keep(self, capacity=check_int(f"table {self.name}: capacity", self.capacity, 1, 65_536))
        keep(self, columns=check_several(f"table {self.name}: columns", self.columns, Column))
        check_unique(f"table {self.name}: columns", [*(column.name for column in self.columns), "alive"])


@dataclasses.dataclass(frozen=True)
class NewMaterial:
    """A material of tiles beyond the classic seven.

    Attributes:
      walkable: whether agents can stand on it.
      color: in pictures and the viewer, ``"#rrggbb"``.
      spent: the name of the material as which it is seen while it is not ready (``World.deplete``); empty: it always
        is.
    """

    name: str
    walkable: bool = True
    color: str = "#808080"
    meaning: str = ""
    spent: str = ""

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
      category: as of a ``Column``.
    """

    name: str
    function: Callable[..., Any]
    shape: tuple[int | str, ...] = ()
    low: int = 0
    high: int = 32_767
    category: bool = False
    meaning: str = ""

    def __post_init__(self):
        check_name("observation", self.name)
        shape = check_several(f"observation {self.name}: shape", self.shape, int | str)
        for size in (size for size in shape if size != "view"):
            check_int(f"observation {self.name}: shape", size, 1, 65_536)
        keep(self, shape=shape, low=check_int(f"observation {self.name}: low", self.low, -32_768, 32_767))
        keep(self, high=check_int(f"observation {self.name}: high", self.high, self.low, 32_767))
        _check_category(f"observation {self.name}", self.category, self.low, self.high)
        check_function(f"observation {self.name}", self.function)


@dataclasses.dataclass(frozen=True)
class Listing:
    """Rows of a table that an agent sees, as a part of its observation, and among which it can choose.

    Attributes:
      table: of the system, ``"other.table"`` of another, or ``"agents"``: the agents, by slot. ``"own"``: what the
        observer itself has in columns with as many numbers (``Column.each``) as ``most``, of which row k are the k-th.
      most: how many an agent sees at most.
      columns: which columns of the table are shown, in this order; of ``"agents"``, those of the system. ``row`` and
        ``col`` are shown as differences from the observer's.
      rows: ``rows(world) -> Int32[N, most]``, which rows each agent sees, -1 for none. None: of a table with columns
        ``row`` and ``col``, what lies in its window; of ``"agents"``, the visible agents, as far as there is room; of
        ``"own"``, all, and a number from 0 on says that the one in its place is there.
      near: of what lies in the window, what is at most so many tiles away comes first; then by number of the row.
    """

    name: str
    table: str
    most: int
    columns: tuple[str, ...]
    rows: Callable[..., Any] | None = None
    near: int = 1
    meaning: str = ""

    def __post_init__(self):
        check_name("observation", self.name)
        if not isinstance(self.table, str):
            raise ValueError(f"observation {self.name}: table={self.table!r}: must be the name of a table")
        keep(self, most=check_int(f"observation {self.name}: most", self.most, 1, 65_536))
        keep(self, near=check_int(f"observation {self.name}: near", self.near, 0, 127))
        keep(self, columns=check_several(f"observation {self.name}: columns", self.columns, str))
        check_unique(f"observation {self.name}: columns", [*self.columns])
        if not self.columns:
            raise ValueError(f"observation {self.name}: columns=(): must be one or more")
        if self.rows is not None:
            check_function(f"observation {self.name}: rows", self.rows)


@dataclasses.dataclass(frozen=True)
class Argument:
    """One choice of an action.

    Attributes:
      name: the field of ``Action`` (of a system: the key in ``Action.of``) and the key of the mask.
      size: how many choices a policy has; of a system's argument among something it follows from that.
      nothing: the choice that means nothing and is always allowed.
      mask_shape: of one agent's mask; default, ``(size,)``.
      meaning: what is chosen.
      among: what the choices are; empty: ``size`` numbers. ``Action`` takes, -1 for nothing, of
        ``"visible"``, the visible agents in the order in which they are listed (the first, oneself, means nothing, and
        so does one's own slot): the slot of one;
        ``"window"``, the tiles in view, row by row (the middle one means nothing): its flat index on the map;
        the name of a ``Listing``, nothing and then what is listed: the row in its table.
      mask: ``mask(world) -> Bool[N, K]``, which choices do something, of a system's argument; None: all. K is the size;
        of a ``Listing`` its ``most``. ``world.visible_slot`` and ``world.listed`` say what is chosen from.
      effect: ``effect(world, after) -> Bool[N]``, who was acted for as chosen, for ``check_system``; None: not checked.
      names: of its numbers from 0 on, for people who play; empty: they have none.
    """

    name: str
    size: int = 0
    nothing: int = 0
    mask_shape: tuple[int, ...] = ()
    meaning: str = ""
    among: str = ""
    mask: Callable[..., Any] | None = None
    effect: Callable[..., Any] | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.mask_shape:
            keep(self, mask_shape=(self.size,))
        keep(self, names=_check_names(f"argument {self.name}", self.names, 0 if self.among else self.size))
        for name in ("mask", "effect"):
            if getattr(self, name) is not None:
                check_function(f"argument {self.name}: {name}", getattr(self, name))

    @property
    def no_choice(self) -> int:
        """What stands in ``Action`` for the choice that means nothing."""
        return -1 if self.among else self.nothing


@dataclasses.dataclass(frozen=True)
class Head:
    """One action of a tick, given by its arguments in order."""

    name: str
    arguments: tuple[Argument, ...]

    def __post_init__(self):
        check_name("head", self.name)
        keep(self, arguments=check_several(f"head {self.name}: arguments", self.arguments, Argument))


@dataclasses.dataclass(frozen=True)
class Goal:
    """Places worth reaching or fleeing: who asks is told how many steps away the nearest is.

    Attributes:
      places: ``places(view)``, bits of the tiles in view that are such, made of what ``nmmo_jax.goals.View`` has.
    """

    name: str
    places: Callable[..., Any]
    meaning: str = ""

    def __post_init__(self):
        check_name("goal", self.name)
        check_function(f"goal {self.name}", self.places)


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a system does at a point of the tick: ``function(world) -> world``, of ``nmmo_jax.systems.world.World``."""

    point: str
    function: Callable[..., Any]

    def __post_init__(self):
        if self.point not in SCHEDULE:
            raise ValueError(
                f"phase: point={self.point!r}: must be one of {', '.join(SCHEDULE)}{near(str(self.point), SCHEDULE)}"
            )
        check_function(f"phase {self.point}", self.function)


def _check_category(what: str, category: bool, low: int, high: int) -> None:
    if check_bool(f"{what}: category", category) and (high - low >= MAX_KINDS or high > 32_767 or low < -32_768):
        raise ValueError(f"{what}: category=True: {low} to {high} must be at most {MAX_KINDS} kinds of 16 bits")


def _check_names(what: str, names: Any, number: int) -> tuple[str, ...]:
    """Names of so many numbers, or none at all."""
    names = check_several(f"{what}: names", names, str)
    if names and len(names) != number:
        raise ValueError(f"{what}: names: {len(names)}: must be {number}, one for each number")
    if not all(name.strip() for name in names):
        raise ValueError(f"{what}: names={names}: must not be empty")
    check_unique(f"{what}: names", [*names])
    return names
