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
from jaxtyping import Array, Bool, Int32, Shaped

from nmmo_jax.common.spelling import near
from nmmo_jax.components import (
    NEVER,
    NO_UID,
    Happening,
    Outcome,
    per_agent,
)
from nmmo_jax.declarations import SCHEDULE
from nmmo_jax.draws import waiting_time
from nmmo_jax.systems.seen import LATE, Seen, column_of
from nmmo_jax.systems.tables import saturated, whole, with_columns, with_rows, without_rows


@dataclasses.dataclass(frozen=True)
class World(Seen):
    """What a system sees (``Seen``), and the verbs by which it changes it; each gives another world."""

    def set(self, /, **values: Any) -> "World":
        """With other columns and tables of the system's own; numbers saturate at the bounds of their column.

        Of agents, only those who are ``acting`` get new values, of ``booked`` columns before ``end``; a table is given
        as a dict of the columns that change.
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
            if self.point in LATE and column_of(self.system, name).booked:
                points = ", ".join(point for point in SCHEDULE if point not in LATE)
                raise self._error(f"set({name!r})", f"is booked: can be changed at {points}")
            new = saturated(column_of(self.system, name), value, old, f"{self.system.name}.{name}")
            own[name] = jnp.where(per_agent(self.acting, new), new, old) if name in agents else new
        return self._with(realm=self.realm.replace(of={**self.realm.of, self.system.name: own}))

    def through(self, name: str, verb: Callable[["World"], "World"]) -> "World":
        """What a verb of a needed system does: ``verb`` is given this world as that system's, and changes its columns.

        Verbs are what a system's module offers to others. Who is acting stays who is acting.
        """
        if name not in self.system.needs:
            needs = ", ".join(self.system.needs) or "none"
            raise self._error(f"through({name!r})", f"it needs {needs}{near(name, self.system.needs)}")
        system = next(one for one in self.config.systems if one.name == name)
        return dataclasses.replace(verb(self._with(system=system)), system=self.system)

    def add(self, table: str, there: Bool[Array, "A"], /, **columns: Any) -> "World":
        """New rows of a table, for each that is ``there``, in order, while there is room.

        Args:
          columns: ``[A]``, or one value for all; ``empty`` where they are not given.
        """
        return self._put_rows(table, with_rows, there, columns)

    def remove(self, table: str, rows: Shaped[Array, "*B"]) -> "World":
        """Without these rows of a table: their numbers, -1 for none; or True for each that goes."""
        return self._put_rows(table, without_rows, rows)

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
