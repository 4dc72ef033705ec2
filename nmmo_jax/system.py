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
from typing import Any, NamedTuple

from nmmo_jax.common.spelling import near
from nmmo_jax.declarations import (
    SHARED,
    STATS,
    STYLES,
    Argument,
    Column,
    Goal,
    Head,
    Leaf,
    Listing,
    NewMaterial,
    Phase,
    Rule,
    Table,
)
from nmmo_jax.values import check_choice, check_function, check_int, check_name, check_several, check_unique


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
      blow: ``blow(rule, style, stance, offence, defence, word) -> damage``, what an attack does, of arrays of any
        shape: with the system's rules, the attacker's style and its target's stance (-1 where nobody has one), raw
        chance uint32, all else int32. Such attacks take no food and water. One system of a world may have it; default:
        what the classic rules and ``SHARED`` columns say.
      causes: of deaths, by name.
      events: kinds of event, by name.
      phases: what it does, and when.
      observe: what agents see of it: numbers, and lists of rows of tables.
      goals: what is worth reaching or fleeing.
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
    blow: Callable[..., Any] | None = None
    causes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    observe: tuple[Leaf | Listing, ...] = ()
    goals: tuple[Goal, ...] = ()
    heads: tuple[Head, ...] = ()
    needs: tuple[str, ...] = ()

    def __post_init__(self):
        check_name("system", self.name)
        kinds = {"rules": Rule, "agents": Column, "tiles": Column, "tables": Table, "materials": NewMaterial}
        kinds |= {"phases": Phase, "observe": Leaf | Listing, "goals": Goal, "heads": Head}
        kinds |= dict.fromkeys(("stats", "causes", "events", "needs"), str)
        for field, kind in kinds.items():
            object.__setattr__(self, field, check_several(f"system {self.name}: {field}", getattr(self, field), kind))
        check_unique(f"system {self.name}: rules", [rule.name for rule in self.rules])
        state = [one.name for one in (*self.agents, *self.tiles, *self.tables)]
        check_unique(f"system {self.name}: columns and tables", state)
        for stat in self.stats:
            if stat not in STATS:
                raise ValueError(
                    f"system {self.name}: stats={stat!r}: must be one of {', '.join(STATS)}{near(str(stat), STATS)}"
                )
        for kind in ("causes", "events", "needs"):
            for name in getattr(self, kind):
                check_name(kind, name)
        for column in (*self.tiles, *(column for table in self.tables for column in table.columns)):
            if column.inherited or column.newborn != column.empty or column.each or column.booked:
                told = "newborn, inherited, each, booked: are for agents alone"
                raise ValueError(f"system {self.name}: column {column.name}: {told}")
        own = {rule.name for rule in self.rules}
        for column in self.agents:
            if isinstance(column.newborn, str) and column.newborn not in own:
                told = f"system {self.name}: column {column.name}: newborn={column.newborn!r}: no such rule"
                raise ValueError(f"{told}{near(column.newborn, own)}")
        for argument in self.arguments:
            check_name("argument", argument.name)
            if argument.mask_shape != (argument.size,) or (argument.among and (argument.size or argument.nothing)):
                told = f"size={argument.size}, nothing={argument.nothing}, mask_shape={argument.mask_shape}"
                raise ValueError(f"argument {argument.name}: {told}: follow from what is chosen among")
            if argument.among:
                continue
            size = check_int(f"argument {argument.name}: size", argument.size, 2, 65_536)
            check_int(f"argument {argument.name}: nothing", argument.nothing, 0, size - 1)
        for field in ("terrain", "blow"):
            if getattr(self, field) is not None:
                check_function(f"system {self.name}: {field}", getattr(self, field))
        self._check_shared()

    def _check_shared(self) -> None:
        for column in (column for column in self.agents if column.name in SHARED):
            if column.each and (column.name != "offence" or column.each != STYLES):
                told = f"system {self.name}: column {column.name}: each={column.each}"
                raise ValueError(f"{told}: must be (), or {STYLES} of offence")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Of all its heads, in order."""
        return tuple(argument for head in self.heads for argument in head.arguments)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """What it shows that is no list."""
        return tuple(one for one in self.observe if isinstance(one, Leaf))

    @property
    def listings(self) -> tuple[Listing, ...]:
        """The lists that it shows."""
        return tuple(one for one in self.observe if isinstance(one, Listing))


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
    having = [system.name for system in systems if system.blow is not None]
    if len(having) > 1:
        raise ValueError(f"systems: {' and '.join(having)} both say what an attack does (blow): one may")
    for kind in ("materials", "causes", "events", "heads", "arguments", "observe", "goals"):
        found = [*taken.get(kind, ())]
        for system in systems:
            found += [one if isinstance(one, str) else one.name for one in getattr(system, kind)]
        check_unique(f"systems: {kind}", found)
    lists = [listing.name for system in systems for listing in system.listings]
    for system in systems:
        for listing in system.listings:
            find_table(listing, system, systems)
        for argument in system.arguments:
            check_choice(f"argument {argument.name}: among", argument.among, ("", "visible", "window", *lists))
    return systems


class Listed(NamedTuple):
    """Where what is in a ``Listing`` comes from.

    Attributes:
      shower: the system that shows it.
      keeper, table: whose table it is, and its name; of the agents, the shower and ``"agents"``, and so of ``"own"``.
      rows: of that table; None: as many as agents.
      columns: those that are shown, in order.
    """

    listing: Listing
    shower: System
    keeper: System
    table: str
    rows: int | None
    columns: tuple[Column, ...]


def find_table(listing: Listing, shower: System, systems: Iterable[System]) -> Listed:
    """Where what is in a list comes from.

    Raises:
      ValueError: from a table, or columns, that are not there.
    """
    told = f"system {shower.name}: observation {listing.name}"
    name, _, table = listing.table.rpartition(".")
    keeper = next((system for system in systems if system.name == (name or shower.name)), shower)
    if listing.table == "agents":
        single = (column for column in shower.agents if not column.each)
        rows, columns = None, (Column("row"), Column("col"), *single)  # where they stand, and what is kept
    elif listing.table == "own":
        rows, columns = listing.most, tuple(one for one in shower.agents if len(one.each) == listing.most)
    else:
        found = next((one for one in keeper.tables if one.name == table and (not name or keeper.name == name)), None)
        if found is None:
            known = [
                one.name if system is shower else f"{system.name}.{one.name}"
                for system in systems
                for one in system.tables
            ]
            raise ValueError(f"{told}: table={listing.table!r}: no such table{near(listing.table, [*known, 'agents'])}")
        rows, columns = found.capacity, found.columns
    known = {column.name: column for column in reversed(columns)}
    for column in listing.columns:
        if column not in known:
            there = f"{listing.table} has {', '.join(sorted(known)) or 'none'}"
            raise ValueError(f"{told}: columns: {column!r}: {there}{near(column, known)}")
    if listing.rows is None and listing.table != "own" and not {"row", "col"} <= known.keys():
        raise ValueError(f"{told}: rows=None: {listing.table} must have the columns row and col to be found in view")
    return Listed(listing, shower, keeper, table, rows, tuple(known[column] for column in listing.columns))
