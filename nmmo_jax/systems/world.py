"""The world at a point of a tick, as a system sees it, and the verbs by which it changes it.

Nothing is changed in place: every verb gives another ``World``. Verbs touch the living alone, clamp as the classic
systems do, and book what really changed hands: causes of death, events and the ledger are right without more code.

At the points of an agent's turn (``vitals``, ``move``, ``act``) a system touches those whose turn it is and nobody
else: all at once, or one after another where the configuration says so. What it does to others, it does at ``settle``.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Int32, Shaped, UInt32

from nmmo_jax.common.spelling import near
from nmmo_jax.components import (
    NEVER,
    NO_UID,
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
from nmmo_jax.draws import waiting_time, words
from nmmo_jax.neighbours import MOST_IN_PAIRS
from nmmo_jax.rules import OwnRules, Rules
from nmmo_jax.system import System
from nmmo_jax.systems import combat
from nmmo_jax.systems.movement import can_enter
from nmmo_jax.systems.tables import saturated, take_rows, whole, widened, with_columns, with_rows, without_rows

_LATE = ("end", "observe")  # points at which no stat can be changed any more


@dataclasses.dataclass(frozen=True)
class World:
    """One realm, for one system. N = ``Config.num_agents``, R x C the map.

    Attributes:
      system: whose it is.
      point: of ``SCHEDULE``, or ``observe`` where agents look.
      realm, rules, config: as everywhere.
      turn: Bool[N], whom it can touch: the living whose turn it is; at ``settle``, ``end`` and ``observe`` all.
      acting: Bool[N], of them those who have not died since.
      visible_slot: Int32[N, V], where agents look: whom each lists, -1 for nobody.
      listed: where masks and what is shown are made: by name of a ``Listing`` Int32[N, K], the rows that each agent
        sees, -1 for none.
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
    listed: dict[str, Int32[Array, "N K"]] = dataclasses.field(default_factory=dict)

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

        Columns of agents have their ``empty`` value where nobody is. A table is a dict of its columns.
        """
        system, column, values = self._find(name)
        values = widened(values)
        if column in {one.name: one for one in system.agents}:
            here = self.turn if self.point == "observe" else self.agents.alive  # who has just left looks once more
            return jnp.where(per_agent(here, values), values, jnp.asarray(_column(system, column).empty, values.dtype))
        return values

    def set(self, /, **values: Any) -> "World":
        """With other columns and tables of the system's own; numbers saturate at the bounds of their column.

        Of agents, only those who are ``acting`` get new values; a table is given as a dict of the columns that change.
        """
        own = dict(self.realm.of[self.system.name])
        agents = {column.name for column in self.system.agents}
        for name, value in values.items():
            owner, _, old = self._find(name)
            if owner is not self.system:
                raise self._error(f"set({name!r})", "columns of another system are its own")
            if isinstance(old, dict):
                own[name] = with_columns(self._table(self.system, name), old, value, f"{self.system.name}.{name}")
                continue
            new = saturated(_column(self.system, name), value, old, f"{self.system.name}.{name}")
            own[name] = jnp.where(per_agent(self.acting, new), new, old) if name in agents else new
        return self._with(realm=self.realm.replace(of={**self.realm.of, self.system.name: own}))

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

    def through(self, name: str, verb: Callable[["World"], "World"]) -> "World":
        """What a verb of a needed system does: ``verb`` is given this world as that system's, and changes its columns.

        Verbs are what a system's module offers to others. Who is acting stays who is acting.
        """
        if name not in self.system.needs:
            needs = ", ".join(self.system.needs) or "none"
            raise self._error(f"through({name!r})", f"it needs {needs}{near(name, self.system.needs)}")
        system = next(one for one in self.config.systems if one.name == name)
        return dataclasses.replace(verb(self._with(system=system)), system=self.system)

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
        wants, uid = self.acting & (thing >= 0), self.agents.uid
        wanted = jnp.where(wants, thing, -1)
        word = self.words(counter)[:, 0]
        if uid.size <= MOST_IN_PAIRS:  # a CPU looks at all pairs of 128 in a tenth of the time that a sort takes
            same = wanted[:, None] == wanted
            least = jnp.where(same, word[:, None], jnp.uint32(2**32 - 1)).min(axis=0)
            oldest = jnp.where(same & (word[:, None] == least), uid[:, None], NEVER).min(axis=0)
            return wants & (word == least) & (uid == oldest)
        slot = jnp.arange(uid.size, dtype=jnp.int32)
        wanted, _, _, slot = jax.lax.sort((wanted, word, uid, slot), num_keys=3)
        first = (wanted >= 0) & (wanted != jnp.roll(wanted, 1)).at[0].set(True)
        return jnp.zeros(uid.size, bool).at[slot].set(first, unique_indices=True)

    def row(self, table: str, rows: Int32[Array, "*B"]) -> dict[str, jax.Array]:
        """The columns of a table at these rows; where a row is -1, not alive and ``empty``."""
        system, name, columns = self._find(table)
        return take_rows(self._table(system, name), widened(columns), rows)

    def add(self, table: str, there: Bool[Array, "A"], /, **columns: Any) -> "World":
        """New rows of a table, for each that is ``there``, in order, while there is room.

        Args:
          columns: ``[A]``, or one value for all; ``empty`` where they are not given.
        """
        return self._put_rows(table, with_rows, there, columns)

    def remove(self, table: str, rows: Shaped[Array, "*B"]) -> "World":
        """Without these rows of a table: their numbers, -1 for none; or True for each that goes."""
        return self._put_rows(table, without_rows, rows)

    def words(self, counter: int = 0) -> UInt32[Array, "N 2"]:
        """Raw chance, two words per agent, which depend on (key, tick, system, uid, counter) and on nothing else."""
        uid = self.agents.uid
        return jnp.stack(words(self._key(), uid, jnp.full_like(uid, counter)), axis=-1)

    def words_of(self, shape: tuple[int, ...], counter: int = 0) -> UInt32[Array, "*S 2"]:
        """Raw chance for tiles, rows or the whole realm (``()``): two words for each index of an array."""
        number = 1
        for size in shape:
            number *= size
        index = jnp.arange(number, dtype=jnp.uint32)
        # Uids are below 2^31: these counters are none of theirs.
        pair = words(self._key(), index + jnp.uint32(2**31), jnp.full_like(index, counter))
        return jnp.stack(pair, axis=-1).reshape(*shape, 2)

    def ready(self, place: Int32[Array, "*B"]) -> Bool[Array, "*B"]:
        """Whether tiles, by their flat index, are ready: see ``NewMaterial.spent``."""
        return self.tiles.ready_tick.reshape(-1)[place] <= self.tick

    def deplete(self, who: Bool[Array, "N"], place: Int32[Array, "N"], probability: Any, counter: int = 0) -> "World":
        """Of each of the acting in ``who`` the tile with this flat index is not ready until, in some later tick, a coin
        of this probability (one for all, or each its own) says so; ``counter`` as of ``words``.
        """
        ready = self.tiles.ready_tick.reshape(-1)
        wait = waiting_time(self.words(counter)[:, 0], jnp.asarray(probability, jnp.float32))
        then = jnp.where(wait >= NEVER - self.tick, NEVER, self.tick + wait)
        ready = ready.at[jnp.where(who & self.acting, place, ready.size)].set(then, mode="drop")
        tiles = self.tiles.replace(ready_tick=ready.reshape(self.tiles.ready_tick.shape))
        return self._with(realm=self.realm.replace(tiles=tiles))

    def standing_on(self, material: str) -> Bool[Array, "N"]:
        """Who of the acting stands on a tile of that material."""
        return self.acting & (self.tiles.material.reshape(-1)[self.place] == self.number_of(material))

    def can_enter(self, row: Int32[Array, "*B"], col: Int32[Array, "*B"]) -> Bool[Array, "*B"]:
        """Whether a place is on the map, and agents can stand there."""
        return can_enter(self.tiles, row, col, self.config)

    def distance(self, row: Int[Array, "N *B"], col: Int[Array, "N *B"]) -> Int32[Array, "N *B"]:
        """Tiles from each agent to places, the larger of rows and columns (Chebyshev)."""
        pairs = (self.agents.row, row), (self.agents.col, col)
        away = [jnp.asarray(there, jnp.int32) - _beside(here, there) for here, there in pairs]
        return jnp.maximum(*map(jnp.abs, away))

    def number_of(self, material: str) -> int:
        """The number of a material, as it is in ``tiles.material``."""
        names = self.config.material_names
        if material not in names:
            raise self._error(f"material {material!r}", f"there are {', '.join(names)}{near(material, names)}")
        return names.index(material)

    def hurt(self, who: Any, amount: Any, cause: str) -> "World":
        """Takes health of ``who``, Bool[N], down to 0; who has none left dies of that cause and leaves in this tick."""
        causes = self.system.causes
        if cause not in causes:
            raise self._error(
                f"hurt(cause={cause!r})", f"its causes are {', '.join(causes) or 'none'}{near(cause, causes)}"
            )
        world, _ = self._change("health", who, amount, -1)
        killed, outcome = self.acting & (world.agents.health <= 0), world._outcome("hurt")
        number = jnp.int32(self.config.cause_names.index(cause))
        outcome = outcome.replace(dead=outcome.dead | killed, cause=jnp.where(killed, number, outcome.cause))
        if self.point == "vitals":
            outcome = outcome.replace(acted=outcome.acted & ~killed)
        return world._with(outcome=outcome, acting=self.acting & ~killed)

    def heal(self, who: Any, amount: Any) -> "World":
        """Gives health, up to ``max_health``."""
        return self._change("health", who, amount, 1)[0]

    def give(self, who: Any, stat: str, amount: Any) -> "World":
        """Gives food or water (or health), up to what an agent can have."""
        return self._change(stat, who, amount, 1)[0]

    def take(self, who: Any, stat: str, amount: Any) -> tuple["World", Int32[Array, "N"]]:
        """Takes food or water, down to 0; and what was really taken of each."""
        if stat == "health":
            raise self._error("take(stat='health')", "use hurt, which needs a cause")
        return self._change(stat, who, amount, -1)

    def tell(self, event: str, who: Any, amount: Any = 0, other: Any = NO_UID) -> "World":
        """An event of the system for each of ``who``: with an amount, and the uid of another agent."""
        if event not in self.system.events:
            there = f"its events are {', '.join(self.system.events) or 'none'}"
            raise self._error(f"tell({event!r})", f"{there}{near(event, self.system.events)}")
        outcome = self._outcome("tell")
        deeds, n = outcome.of[self.system.name], self.config.num_agents
        old, who = deeds.events[event], self.turn & self.agents.alive & self._who(who, f"tell({event!r})")

        def put(new: Any, before: jax.Array) -> jax.Array:
            return jnp.where(who, jnp.broadcast_to(whole(new, f"{self.system.name}: tell({event!r})"), n), before)

        new = Happening(old.happened | who, put(other, old.other_uid), put(amount, old.amount))
        return self._with_deeds(outcome, deeds.replace(events={**deeds.events, event: new}))

    def _change(self, stat: str, who: Any, amount: Any, sign: int) -> tuple["World", Int32[Array, "N"]]:
        if stat not in self.system.stats:
            raise self._error(f"{stat} is changed", f"declared is stats={self.system.stats!r}")
        outcome = self._outcome(f"{stat} is changed")
        who = self._who(who, f"{stat} is changed") & self.acting
        old = getattr(self.agents, stat).astype(jnp.int32)
        # Below 2^30, so that no sum of two wraps around.
        amount = jnp.clip(jnp.broadcast_to(whole(amount, f"{self.system.name}: {stat}"), old.shape), 0, 2**30)
        most = jnp.maximum(getattr(self.rules, f"max_{stat}"), old)
        new = jnp.where(who, jnp.clip(old + sign * amount, 0, most), old)
        agents = self.agents.replace(**{stat: new.astype(jnp.int16)})
        moved = jnp.abs(new - old)
        deeds = outcome.of[self.system.name]
        name = "gained" if sign > 0 else "lost"
        account = getattr(deeds, name)
        deeds = deeds.replace(**{name: {**account, stat: account[stat] + moved}})
        return self._with(realm=self.realm.replace(agents=agents))._with_deeds(outcome, deeds), moved

    def _who(self, who: Any, what: str) -> Bool[Array, "#N"]:
        who = jnp.asarray(who)
        if who.dtype != bool or who.shape not in ((), (self.config.num_agents,)):
            must = f"whom: {who.dtype} of shape {who.shape}: must be bool of shape ({self.config.num_agents},)"
            raise self._error(what, must)
        return who

    def _with_deeds(self, outcome: Outcome, deeds: Any) -> "World":
        return self._with(outcome=outcome.replace(of={**outcome.of, self.system.name: deeds}))

    def _with(self, **changes: Any) -> "World":
        return dataclasses.replace(self, **changes)

    def _put_rows(self, name: str, function: Callable[..., dict[str, jax.Array]], *args: Any) -> "World":
        table, own = self._table(self.system, name), self.realm.of[self.system.name]
        own = {**own, name: function(table, own[name], *args, f"{self.system.name}.{name}")}
        return self._with(realm=self.realm.replace(of={**self.realm.of, self.system.name: own}))

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
        if self.outcome is None or self.point in _LATE:
            raise self._error(what, f"can be done at {', '.join(point for point in SCHEDULE if point not in _LATE)}")
        return self.outcome

    def _key(self) -> jax.Array:
        if self.draws is None or self.system.name not in self.draws.of:
            raise self._error("words", "chance is there in phases, of draws made by draw(key, ...) with this system")
        return jax.random.wrap_key_data(self.draws.of[self.system.name], impl="threefry2x32")

    def _error(self, what: str, must: str) -> ValueError:
        return ValueError(f"system {self.system.name}, at {self.point}: {what}: {must}")


def _beside(here: Int[Array, "N"], there: Int[Array, "N *B"]) -> Int32[Array, "N ..."]:
    return here.astype(jnp.int32).reshape(-1, *[1] * (jnp.ndim(there) - 1))


def _column(system: System, name: str) -> Column:
    return next(column for column in (*system.agents, *system.tiles) if column.name == name)
