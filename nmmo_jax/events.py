"""The event log: a fixed-capacity table of what happened in one tick.

Switched on by ``Config.events``, the capacity per tick. Events beyond it are counted in ``overflow``.
"""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from nmmo_jax.bits import first_set
from nmmo_jax.common.lookup import lookup
from nmmo_jax.components import NO_UID, Births, Cause, Outcome, Realm
from nmmo_jax.config import Config
from nmmo_jax.kinds import Event as Event


class Events(flax.struct.PyTreeNode):
    """The events of one tick, E = ``Config.events`` rows; rows from ``count`` on are -1."""

    count: Int32[Array, ""]
    overflow: Int32[Array, ""]  # events that found no room
    tick: Int32[Array, "E"]  # realm.tick before the step
    kind: Int32[Array, "E"]
    uid: Int32[Array, "E"]
    other_uid: Int32[Array, "E"]
    population: Int32[Array, "E"]
    row: Int32[Array, "E"]
    col: Int32[Array, "E"]
    amount: Int32[Array, "E"]
    detail: Int32[Array, "E"]
    style: Int32[Array, "E"]


def no_events(shape: tuple[int, ...], rows: int) -> Events:
    """Logs in which nothing has happened, ``[*shape]``, of so many rows."""
    numbers = jnp.zeros(shape, jnp.int32)
    table = dict.fromkeys(Events.__dataclass_fields__.keys() - {"count", "overflow"}, jnp.full((*shape, rows), -1))
    return Events(count=numbers, overflow=numbers, **{name: one.astype(jnp.int32) for name, one in table.items()})


def collect_events(
    before: Realm,
    played: Realm,
    outcome: Outcome,
    terminated: Bool[Array, "N"],
    truncated: Bool[Array, "N"],
    births: Births,
    config: Config,
) -> Events:
    """Gathers the events of a tick: by kind, and by slot (births: by attempt) within a kind.

    Places are where the agent stood: before moving for harvest, drink and attack; at its death or truncation; after
    all have acted for what systems tell.

    Args:
      before: the realm before the tick.
      played: the realm after all have acted, before cull.
    """
    agents = played.agents
    n = agents.alive.size
    none = jnp.full(n, -1, jnp.int32)
    killer = played.probes.killer
    assert killer is not None  # on whenever Config.events is
    by_combat = terminated & (outcome.cause == Cause.COMBAT)
    # Per kind: who, other, amount, detail, style.
    kinds = {
        Event.HARVEST: (outcome.harvested, none, outcome.forage, none, none),
        Event.DRINK: (outcome.beside_water, none, outcome.drink, none, none),
        Event.ATTACK: (
            outcome.attack_target >= 0,
            lookup(agents.uid, outcome.attack_target, NO_UID),
            outcome.attack_damage,
            outcome.attack_style,
            outcome.attack_style,
        ),
        Event.DEATH: (
            terminated,
            jnp.where(by_combat, killer.uid, NO_UID),
            agents.age,
            outcome.cause,
            jnp.where(by_combat, killer.style, -1),
        ),
        Event.TRUNCATION: (truncated, none, agents.age, none, none),
    }
    happened = jnp.concatenate([*(kind[0] for kind in kinds.values()), births.slot >= 0])
    empty = jnp.full(births.slot.size, -1, jnp.int32)

    def place(name: str, of_births: jax.Array) -> jax.Array:
        stood, went = getattr(before.agents, name), getattr(agents, name)
        moved = (Event.DEATH, Event.TRUNCATION)
        return jnp.concatenate([*((went if kind in moved else stood).astype(jnp.int32) for kind in kinds), of_births])

    def column(of_agents: jax.Array, of_births: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.tile(of_agents.astype(jnp.int32), len(kinds)), of_births])

    def kind_column(index: int, of_births: jax.Array) -> jax.Array:
        return jnp.concatenate([*(kind[index] for kind in kinds.values()), of_births])

    kind = jnp.concatenate([jnp.repeat(jnp.asarray(list(kinds), jnp.int32), n), empty * 0 + Event.BIRTH])
    columns = {
        "tick": jnp.full(happened.size, played.tick),
        "kind": kind,
        "uid": column(agents.uid, births.uid),
        "other_uid": kind_column(1, births.parent_uid),
        "population": column(agents.population, births.population),
        "row": place("row", births.row),
        "col": place("col", births.col),
        "amount": kind_column(2, empty * 0),
        "detail": kind_column(3, empty),
        "style": kind_column(4, empty),
    }
    own = [outcome.of[system.name].events[name] for system in config.systems for name in system.events]
    if own:
        those = jax.tree.map(lambda *parts: jnp.concatenate(parts), *own)
        more = {
            "tick": jnp.full(those.happened.size, played.tick),
            "kind": jnp.repeat(len(Event) + jnp.arange(len(own), dtype=jnp.int32), n),
            "other_uid": those.other_uid,
            "amount": those.amount,
            **dict.fromkeys(("detail", "style"), jnp.tile(none, len(own))),
        }
        for name in ("uid", "population", "row", "col"):
            more[name] = jnp.tile(getattr(agents, name).astype(jnp.int32), len(own))
        happened = jnp.concatenate([happened, those.happened])
        columns = {name: jnp.concatenate([values, more[name]]) for name, values in columns.items()}
    index = first_set(happened, min(config.events, happened.size))
    index = jnp.pad(index, (0, config.events - index.size), constant_values=-1)
    total = happened.sum(dtype=jnp.int32)
    count = jnp.minimum(total, config.events)
    table = {name: lookup(values, index, -1) for name, values in columns.items()}
    return Events(count=count, overflow=total - count, **table)
