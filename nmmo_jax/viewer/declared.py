"""What the browser is told of a world's systems: what they keep of agents, their things on the map, what is chosen."""

from typing import Any, NamedTuple

import numpy as np

from nmmo_jax.actions import heads
from nmmo_jax.config import STYLES, Config
from nmmo_jax.declarations import Column, Table
from nmmo_jax.replay import Frame
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.viewer import protocol
from nmmo_jax.world.draw import kind_colours, palette

_COMPASS = {(0, 0): "stay", (0, 1): "east", (1, 0): "south", (0, -1): "west", (-1, 0): "north"}
_LABELS = {"move": [_COMPASS[one] for one in DIRECTIONS], "style": list(STYLES)}
NAMELESS = Column("kind", low=0, high=0, category=True)  # of tables without kinds


def columns_of_agents(config: Config) -> list[dict[str, Any]]:
    """What systems keep of each agent."""
    return [
        {**_told(column), "name": f"{system.name}.{column.name}", "system": system.name, "each": list(column.each)}
        for system in config.systems
        for column in system.agents
    ]


def numbers_of_agents(config: Config) -> dict[str, tuple[str, Column, tuple[int, ...]]]:
    """What systems keep of each agent, number by number: the system, the column, and which of several it is."""
    found = {}
    for system in config.systems:
        for column in system.agents:
            name = f"{system.name}.{column.name}"
            found |= {f"{name}.{part}": (system.name, column, (k,)) for k, part in enumerate(column.each)}
            if not column.each:
                found[name] = (system.name, column, ())
    return found


def _told(column: Column) -> dict[str, Any]:
    """A column, with the names of its numbers from ``low`` on."""
    low, _ = column.bounds
    names = list(column.names) or (["no", "yes"] if column.dtype == "bool" else [])
    said = {"name": column.name, "meaning": column.meaning, "unit": column.unit}
    return {**said, "names": names, "low": low, "empty": column.empty}


class Placed(NamedTuple):
    """A table whose rows are things on the map: they have a row and a column.

    Attributes:
      name: of system and table.
      kind: the column that says of what kind each is; of a table without such a column, one kind.
    """

    name: str
    system: str
    table: Table
    kind: Column

    def rows(self, frame: Frame) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Which rows are alive, and their columns."""
        kept = frame.of[self.system][self.table.name]
        number = np.flatnonzero(kept["alive"])
        return number, {column.name: kept[column.name][number] for column in self.table.columns}

    def kinds(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        """Of what kind each is, from 0."""
        if self.kind is NAMELESS:
            return np.zeros(len(columns["row"]), int)
        return columns["kind"].astype(int) - self.kind.bounds[0]

    @property
    def names(self) -> list[str]:
        """Of its kinds."""
        if self.kind is NAMELESS:
            return [self.table.name]
        low, high = self.kind.bounds
        return list(self.kind.names) or [f"{self.table.name} {number}" for number in range(low, high + 1)]


def placed_tables(config: Config) -> list[Placed]:
    """The tables of a world whose rows are things on the map."""
    found = []
    for system in config.systems:
        for table in system.tables:
            columns = {column.name: column for column in table.columns}
            if {"row", "col"} <= columns.keys():
                kind = columns["kind"] if "kind" in columns and columns["kind"].category else NAMELESS
                found.append(Placed(f"{system.name}.{table.name}", system.name, table, kind))
    return found


def colours_of_things(config: Config) -> list[list[str]]:
    """A colour for each kind of thing, ``#rrggbb``, by table."""
    names = [one.names for one in placed_tables(config)]
    colours = iter(kind_colours(sum(map(len, names)), palette(config)))
    return [[next(colours) for _ in some] for some in names]


def things(config: Config) -> list[dict[str, Any]]:
    """The tables of ``placed_tables``, their columns and kinds."""
    return [
        {
            "name": one.name,
            "columns": [_told(column) for column in one.table.columns],
            "kind": None if one.kind is NAMELESS else "kind",
            "low": one.kind.bounds[0],
            "kinds": [{"name": name, "colour": colour} for name, colour in zip(one.names, colours, strict=True)],
        }
        for one, colours in zip(placed_tables(config), colours_of_things(config), strict=True)
    ]


def arrays_of_things(frame: Frame, tables: list[Placed]) -> dict[str, np.ndarray]:
    """Of a frame: of each table the numbers of the rows that are alive, and each of their columns."""
    arrays = {}
    for one in tables:
        number, columns = one.rows(frame)
        arrays[f"table.{one.name}"] = number.astype(np.uint16)
        for name, values in columns.items():
            arrays[f"table.{one.name}.{name}"] = values.astype(np.uint8) if values.dtype == bool else values
    return arrays


def arguments(config: Config) -> list[dict[str, Any]]:
    """What agents choose, in the order of ``heads``, and which system it is of (null: classic)."""
    system = {argument.name: system.name for system in config.systems for argument in system.arguments}
    return [
        {
            "name": argument.name,
            "system": system.get(argument.name),
            "head": head.name,
            "size": argument.size,
            "nothing": argument.nothing,
            "meaning": argument.meaning,
            "among": argument.among,
            "agents": protocol.is_of_agents(argument, config),
            "table": _table(argument.among, config),
            "own": argument.among in config.lists and config.lists[argument.among].table == "own",
            "columns": [_told(column) for column in config.lists[argument.among].columns]
            if argument.among in config.lists
            else [],
            "labels": list(argument.names) or _LABELS.get(argument.name),
        }
        for head in heads(config)
        for argument in head.arguments
    ]


def _table(among: str, config: Config) -> str:
    """The table whose rows are chosen among, as it is called in frames; empty: none."""
    listed = config.lists.get(among)
    if listed is None or listed.table in ("agents", "own"):
        return ""
    return f"{listed.keeper.name}.{listed.table}"
