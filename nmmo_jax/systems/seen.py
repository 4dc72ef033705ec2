"""The world at a point of a tick, as a system sees it: what can be read and asked of it, and its chance."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Int16, Int32, UInt32

from nmmo_jax.common.apart import apart
from nmmo_jax.common.spelling import near
from nmmo_jax.components import (
    Agents,
    Draws,
    Happening,
    Orders,
    Outcome,
    Realm,
    Tiles,
    per_agent,
)
from nmmo_jax.config import ARGUMENTS, Config
from nmmo_jax.declarations import SCHEDULE, Column, Table
from nmmo_jax.draws import words
from nmmo_jax.rules import OwnRules, Rules
from nmmo_jax.system import System
from nmmo_jax.systems import combat
from nmmo_jax.systems.movement import can_enter
from nmmo_jax.systems.rivals import first_of_each
from nmmo_jax.systems.tables import take_rows, widened

LATE = ("end", "observe")  # points at which no stat can be changed any more


@dataclasses.dataclass(frozen=True)
class Seen:
    """One realm, for one system. N = ``Config.num_agents``, R x C the map.

    Attributes:
      system: whose it is.
      point: of ``SCHEDULE``, or ``observe`` where agents look.
      realm, rules, config: as everywhere.
      turn: Bool[N], whom it can touch: the living whose turn it is; at ``settle``, ``end`` and ``observe`` all.
      acting: Bool[N], of them those who have not died since.
      visible_slot: Int32[N, V], where agents look: whom each lists, -1 for nobody.
      visible: likewise, by name of an attribute (``FEATURES``) Int16[N, V]: theirs, as observed.
      listed: where masks and what is shown are made: by name of a ``Listing`` Int32[N, K], the rows that each agent
        sees, -1 for none.
      entries: likewise, Int16[N, K, F]: the columns of these rows, as they are shown.
    """

    system: System
    point: str
    realm: Realm
    rules: Rules
    config: Config
    turn: Bool[Array, "N"]
    acting: Bool[Array, "N"]
    outcome: Outcome | None = None
    orders: Orders | None = None
    draws: Draws | None = None
    visible_slot: Int32[Array, "N V"] | None = None
    visible: dict[str, Int16[Array, "N V"]] = dataclasses.field(default_factory=dict)
    listed: dict[str, Int32[Array, "N K"]] = dataclasses.field(default_factory=dict)
    entries: dict[str, Int16[Array, "N K F"]] = dataclasses.field(default_factory=dict)

    @property
    def agents(self) -> Agents:
        """The classic columns of agents. Rows of empty slots mean nothing."""
        return self.realm.agents

    @property
    def tiles(self) -> Tiles:
        """The map."""
        return self.realm.tiles

    @property
    def tick(self) -> Int32[Array, ""]:
        """Ticks since the realm began."""
        return self.realm.tick

    @property
    def alive(self) -> Bool[Array, "N"]:
        """Who lives: holds a place and has health left."""
        return self.agents.alive & (self.agents.health > 0)

    @property
    def rule(self) -> Any:
        """The system's own rules as attributes, ``world.rule.damage``; the classic ones are ``world.rules``."""
        return OwnRules(self.system.name, self.rules.of.get(self.system.name, {}))

    @property
    def place(self) -> Int32[Array, "N"]:
        """Flat index (row * C + column) of the tile on which each agent stands."""
        return self.agents.row.astype(jnp.int32) * self.config.columns + self.agents.col.astype(jnp.int32)

    def __getitem__(self, name: str) -> Any:
        """A column or table of the system, or ``"other.column"`` of another: int32 (or bool), so that sums do not wrap.

        Columns of agents have their ``empty`` value where nobody is; with ``each`` they are ``[K, N]``. A table is a
        dict of its columns.
        """
        system, column, values = self._find(name)
        values = widened(values)
        if column in {one.name: one for one in system.agents}:
            here = self.turn if self.point == "observe" else self.agents.alive  # who has just left looks once more
            return jnp.where(
                per_agent(here, values), values, jnp.asarray(column_of(system, column).empty, values.dtype)
            )
        return values

    def chosen(self, argument: str) -> Int32[Array, "N"]:
        """What agents chose of one of the system's arguments, or a classic one; who does not act: what means nothing.

        Of an argument among something: a slot, a row of a table, or the flat index of a tile; -1 for nothing. An action
        can name what an agent does not see: whether it is in reach, or still there, is for the system to check.
        """
        known = {one.name: one for one in self.system.arguments}
        if argument in ARGUMENTS and self.orders is not None:
            return jnp.where(self.acting, getattr(self.orders, argument), -1 if argument == "target" else 0)
        if argument not in known:
            raise self._error(
                f"chosen({argument!r})", f"its arguments are {', '.join(known) or 'none'}{near(argument, known)}"
            )
        if self.orders is None:
            raise self._error(f"chosen({argument!r})", "choices are known in phases")
        return jnp.where(self.acting, self.orders.of[argument], known[argument].no_choice)

    def find(self, name: str, otherwise: Any) -> Any:
        """``world["other.column"]`` where that system is there; ``otherwise`` where it is not."""
        owner, _, _ = name.rpartition(".")
        return self[name] if owner in self.realm.of else jnp.asarray(otherwise)

    def told(self, event: str) -> Happening:
        """An event of this tick, of whichever system tells it; where none does, it has not happened."""
        outcome = self._outcome(f"told({event!r})")
        for deeds in outcome.of.values():
            if event in deeds.events:
                return deeds.events[event]
        zero = jnp.zeros(self.config.num_agents, jnp.int32)
        return Happening(zero > 0, zero - 1, zero)

    def damage(
        self,
        style: Int32[Array, "*B"],
        stance: Int32[Array, "*B"],
        offence: Int32[Array, "*B"],
        defence: Int32[Array, "*B"],
        word: UInt32[Array, "*B"],
    ) -> Int32[Array, "*B"]:
        """What attacks do, of whomever on whomever, as all attacks in this world: see ``System.blow``."""
        return combat.damage_of(style, stance, offence, defence, word, self.rules, self.config)

    def attack(
        self, style: Int32[Array, "N"], stance: Int32[Array, "N"], defence: Int32[Array, "N"]
    ) -> Int32[Array, "N"]:
        """What agents' attacks do on something that is no agent, with that stance and defence."""
        if self.draws is None:
            raise self._error("attack", "chance is there in phases")
        return combat.attack(self.realm, style, stance, defence, self.draws, self.rules, self.config)

    def shared(self, name: str, style: Int32[Array, "N"] | None = None) -> Int32[Array, "N"]:
        """A column of ``SHARED``, added up over all systems that have it; of ``offence`` that of a style."""
        found = combat.shared(name, self.realm, self.config, style)
        nothing = jnp.full(self.config.num_agents, -1 if name == "stance" else 0, jnp.int32)
        return nothing if found is None else found.astype(jnp.int32)

    def winners(self, thing: Int32[Array, "N"], counter: int = -1) -> Bool[Array, "N"]:
        """Of the acting who want the same thing, exactly one, each as likely.

        Args:
          thing: a row, or any other number from 0; -1: nothing.
          counter: of the chance, as of ``words``.
        """
        wants = self.acting & (thing >= 0)
        return first_of_each(jnp.where(wants, thing, -1), self.words(counter)[:, 0], self.agents.uid)

    def row(self, table: str, rows: Int32[Array, "*B"]) -> dict[str, jax.Array]:
        """The columns of a table at these rows; where a row is -1, not alive and ``empty``."""
        system, name, columns = self._find(table)
        return take_rows(self._table(system, name), widened(columns), rows)

    def words(self, counter: int = 0) -> UInt32[Array, "N 2"]:
        """Raw chance, two words per agent, which depend on (key, tick, system, uid, counter) and on nothing else."""
        uid = self.agents.uid
        return jnp.stack(apart(words(self._key(), uid, jnp.full_like(uid, counter))), axis=-1)

    def words_of(self, shape: tuple[int, ...], counter: int = 0) -> UInt32[Array, "*S 2"]:
        """Raw chance for tiles, rows or the whole realm (``()``): two words for each index of an array."""
        number = 1
        for size in shape:
            number *= size
        index = jnp.arange(number, dtype=jnp.uint32)
        # Uids are below 2^31: these counters are none of theirs.
        pair = apart(words(self._key(), index + jnp.uint32(2**31), jnp.full_like(index, counter)))
        return jnp.stack(pair, axis=-1).reshape(*shape, 2)

    def ready(self, place: Int32[Array, "*B"]) -> Bool[Array, "*B"]:
        """Whether tiles, by their flat index, are ready: see ``NewMaterial.spent``."""
        return self.tiles.ready_tick.reshape(-1).at[place].get(mode="clip") <= self.tick

    def standing_on(self, material: str) -> Bool[Array, "N"]:
        """Who of the acting stands on a tile of that material."""
        return self.acting & (self.tiles.material.reshape(-1)[self.place] == self.number_of(material))

    def can_enter(
        self, row: Int32[Array, "*B"], col: Int32[Array, "*B"], but: tuple[str, ...] = ()
    ) -> Bool[Array, "*B"]:
        """Whether a place is on the map, and agents can stand there; ``but``: materials that do not count."""
        return can_enter(self.tiles, row, col, self.config, but=tuple(map(self.number_of, but)))

    def distance(self, row: Int[Array, "N *B"], col: Int[Array, "N *B"]) -> Int32[Array, "N *B"]:
        """Tiles from each agent to places, the larger of rows and columns (Chebyshev)."""
        pairs = (self.agents.row, row), (self.agents.col, col)
        away = [jnp.asarray(there, jnp.int32) - _beside(here, there) for here, there in pairs]
        return jnp.maximum(*map(jnp.abs, away))

    def away(self, name: str) -> Int32[Array, "N K"]:
        """Tiles from each agent to what it lists, where masks and what is shown are made: of a ``Listing`` with row and
        col, or of ``"visible"``; where the list has ended, 0. They are known there: nothing is looked up for them.
        """
        places = {"row": self.visible.get("row_difference"), "col": self.visible.get("col_difference")}
        if name != "visible":
            names = [one.name for one in self.config.lists[name].columns] if name in self.entries else []
            places = {place: self.entries[name][..., names.index(place)] for place in ("row", "col") if place in names}
        known = [place.astype(jnp.int32) for place in places.values() if place is not None]
        if len(known) < 2:
            raise self._error(f"away({name!r})", "must be a listing with row and col, or visible, where masks are made")
        return jnp.maximum(*map(jnp.abs, known))

    def number_of(self, material: str) -> int:
        """The number of a material, as it is in ``tiles.material``."""
        names = self.config.material_names
        if material not in names:
            raise self._error(f"material {material!r}", f"there are {', '.join(names)}{near(material, names)}")
        return names.index(material)

    def _table(self, system: System, name: str) -> Table:
        for table in system.tables:
            if table.name == name:
                return table
        names = [table.name for table in system.tables]
        raise self._error(f"table {name!r}", f"there are {', '.join(names) or 'none'}{near(name, names)}")

    def _find(self, name: str) -> tuple[System, str, Any]:
        owner, dot, column = name.rpartition(".")
        system = self.system if not dot else next((one for one in self.config.systems if one.name == owner), None)
        own = {} if system is None else self.realm.of[system.name]
        if system is None or column not in own:
            there = self.realm.of[self.system.name]
            raise self._error(f"world[{name!r}]", f"it has {', '.join(there) or 'nothing'}{near(name, there)}")
        return system, column, own[column]

    def _outcome(self, what: str) -> Outcome:
        if self.outcome is None or self.point in LATE:
            raise self._error(what, f"can be done at {', '.join(point for point in SCHEDULE if point not in LATE)}")
        return self.outcome

    def _key(self) -> jax.Array:
        if self.draws is None or self.system.name not in self.draws.of:
            raise self._error("words", "chance is there in phases, of draws made by draw(key, ...) with this system")
        return jax.random.wrap_key_data(self.draws.of[self.system.name], impl="threefry2x32")

    def _error(self, what: str, must: str) -> ValueError:
        return ValueError(f"system {self.system.name}, at {self.point}: {what}: {must}")


def _beside(here: Int[Array, "N"], there: Int[Array, "N *B"]) -> Int32[Array, "N ..."]:
    return here.astype(jnp.int32).reshape(-1, *[1] * (jnp.ndim(there) - 1))


def column_of(system: System, name: str) -> Column:
    """A column of agents or tiles by its name."""
    return next(column for column in (*system.agents, *system.tiles) if column.name == name)
