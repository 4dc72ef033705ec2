"""Realms from plain arrays: for tests, scenarios, probes, forks and recorded play."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.common.spelling import near
from nmmo_jax.components import (
    NEVER,
    NO_DAMAGE,
    Agents,
    Realm,
    empty_agents,
    empty_probes,
    empty_state,
)
from nmmo_jax.config import MAX_AMOUNT, MAX_TICKS, Config
from nmmo_jax.declarations import Table
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.world.tiles import check_map, make_tiles, pad_map

_make_tiles = jax.jit(make_tiles, static_argnums=1)


def make_realm(
    config: Config,
    material: Any,
    *,
    row: Any = (),
    col: Any = (),
    population: Any = 0,
    slot: Any = None,
    uid: Any = None,
    health: Any = None,
    food: Any = None,
    water: Any = None,
    freeze: Any = 0,
    age: Any = 0,
    damage: Any = NO_DAMAGE,
    ready_tick: Any = 0,
    tick: int = 0,
    next_uid: int | None = None,
    rules: Rules | None = None,
    spawns: bool = False,
    of: dict[str, Any] | None = None,
) -> Realm:
    """A realm from plain arrays, checked.

    Per-agent values are sequences of K whole numbers, or one number for all; K is the length of ``row``.

    Args:
      config: capacities; the map is padded with lava to ``rows`` x ``columns``.
      material: ``[rows, columns]`` underlying materials, at most the configured size.
      row, col: where each agent stands, in tiles; walkable.
      population: of each agent.
      slot: of each agent; default, the lowest free one (of its population's block in layout ``blocks``), in order.
      uid: order of birth; default, 0 to K - 1.
      health, food, water: default, what ``rules`` gives a newborn. Health 0 (sequential mode): killed after its turn.
      freeze, age: ticks.
      damage: taken since the last vitals, -1 for none.
      ready_tick: ``[rows, columns]`` or one number, the tick from which a forest is ready.
      tick: of the realm.
      next_uid: uid of the next newborn; default, one above the highest.
      rules: for the defaults of health, food and water; default, ``Rules()``.
      spawns: whether the map must have a tile on which agents can be born.
      of: columns of systems by name, ``{"scent.trail": [rows, columns], "rest.energy": of each agent}``, with ``each``
        ``[K, agents]``, or one number for all; default, those of newborns and of empty places. Tables by the columns of
        their first rows, ``{"fruit.fruit": {"row": [3, 8], "col": [5, 5]}}``; default, without rows.

    Raises:
      ValueError: names the field, the value and what is allowed.
    """
    rules = as_rules(Rules() if rules is None else rules, config)
    material = check_map(material, config, "material", spawns)
    _whole("tick", tick, 0, MAX_TICKS, ())
    row = np.atleast_1d(np.asarray(row, np.int64 if np.size(row) == 0 else None))
    number = row.size
    if number > config.num_agents:
        raise ValueError(f"row: {number} agents: allowed are at most num_agents={config.num_agents}")
    size = (number,)
    least_health = 0 if config.resolution == "sequential" else 1  # else the dead do not stay
    values = {
        "row": _whole("row", row, 0, material.shape[0] - 1, size),
        "col": _whole("col", col, 0, material.shape[1] - 1, size),
        "population": _whole("population", population, 0, config.num_populations - 1, size),
        "uid": _whole("uid", np.arange(number) if uid is None else uid, 0, NEVER - 1, size),
        "health": _whole("health", rules.start_health if health is None else health, least_health, MAX_AMOUNT, size),
        "food": _whole("food", rules.start_food if food is None else food, 0, MAX_AMOUNT, size),
        "water": _whole("water", rules.start_water if water is None else water, 0, MAX_AMOUNT, size),
        "freeze": _whole("freeze", freeze, 0, MAX_AMOUNT, size),
        "age": _whole("age", age, 0, MAX_TICKS, size),
        "damage": _whole("damage", damage, NO_DAMAGE, NEVER, size),
    }
    standing = material[values["row"], values["col"]]
    stands = np.isin(standing, config.walkable)
    if not stands.all():
        bad = int(np.flatnonzero(~stands)[0])
        raise ValueError(
            f"row, col: agent {bad} at ({values['row'][bad]}, {values['col'][bad]}) on "
            f"{config.material_names[standing[bad]]}: allowed are walkable tiles"
        )
    if np.unique(values["uid"]).size != number:
        raise ValueError(f"uid={values['uid'].tolist()}: must differ from each other")
    first_uid = int(values["uid"].max(initial=-1)) + 1
    next_uid = first_uid if next_uid is None else next_uid
    _whole("next_uid", next_uid, first_uid, NEVER, ())
    slot = _slots(slot, values["population"], config)
    ready = pad_map(_whole("ready_tick", ready_tick, 0, NEVER, material.shape), config).astype(np.int32)
    tiles = _make_tiles(jnp.asarray(pad_map(material, config)), config, material.shape)
    tiles = tiles.replace(ready_tick=jnp.asarray(ready))
    return Realm(
        tick=jnp.array(tick, jnp.int32),  # copied, as all that is given: a realm can be donated
        next_uid=jnp.array(next_uid, jnp.int32),
        tiles=tiles,
        agents=_fill(empty_agents(config), slot, values),
        probes=empty_probes(config),
        of=_own_state(of or {}, slot, material.shape, rules, config),
    )


def _own_state(
    of: dict[str, Any], slot: np.ndarray, size: tuple[int, ...], rules: Rules, config: Config
) -> dict[str, dict[str, Any]]:
    """What systems keep: the values given, and else those of newborns and of empty places."""
    state = {name: dict(own) for name, own in empty_state(config).items()}
    columns = [(system, one) for system in config.systems for one in (*system.agents, *system.tiles)]
    known = {f"{system.name}.{one.name}": (system, one) for system, one in columns}
    tables = {f"{system.name}.{one.name}": (system, one) for system in config.systems for one in system.tables}
    for name in of:
        if name not in {**known, **tables}:
            there = ", ".join({**known, **tables}) or "none"
            nearest = near(str(name), {**known, **tables})
            raise ValueError(f"of: {name!r}: no column of agents or tiles, and no table: there are {there}{nearest}")
    for name, (system, table) in tables.items():
        if name in of:
            state[system.name][table.name] = _table(f"of[{name!r}]", table, of[name])
    for name, (system, column) in known.items():
        own, (low, high) = state[system.name], column.bounds
        if column in system.tiles:
            if name in of:
                values = np.array(own[column.name])
                values[: size[0], : size[1]] = _whole(f"of[{name!r}]", of[name], low, high, size)
                own[column.name] = jnp.asarray(values)
            continue
        value = of.get(name, column.newborn)
        if isinstance(value, str):
            value = np.clip(np.rint(np.asarray(rules.of[system.name][value])).astype(int), low, high)
        values = np.array(own[column.name])
        values[..., slot] = _whole(f"of[{name!r}]", value, low, high, (*column.shape, slot.size))
        own[column.name] = jnp.asarray(values)
    return state


def _table(told: str, table: Table, given: Any) -> dict[str, jax.Array]:
    """A table whose first rows have the values given, and the ``empty`` ones of columns that are not."""
    columns = {column.name: column for column in table.columns}
    if not isinstance(given, Mapping) or not given or not given.keys() <= columns.keys():
        wrong = sorted(map(str, given.keys() - columns.keys())) if isinstance(given, Mapping) else []
        nearest = near(wrong[0], columns) if wrong else ""
        raise ValueError(f"{told}={given!r}: must be a mapping of some of its columns, {', '.join(columns)}{nearest}")
    number = max(np.size(values) for values in given.values())
    if number > table.capacity:
        raise ValueError(f"{told}: {number} rows: allowed are at most {table.capacity}")
    result = {"alive": jnp.arange(table.capacity) < number}
    for name, column in columns.items():
        values = np.full(table.capacity, column.blank)
        values[:number] = _whole(f"{told}[{name!r}]", given.get(name, column.empty), *column.bounds, (number,))
        result[name] = jnp.asarray(values)
    return result


def _fill(agents: Agents, slot: np.ndarray, values: dict[str, np.ndarray]) -> Agents:
    columns = {}
    for name, value in {**values, "alive": np.ones(slot.size, bool)}.items():
        column = np.array(getattr(agents, name))
        column[slot] = value
        columns[name] = jnp.asarray(column)
    return agents.replace(**columns)


def _slots(slot: Any, population: np.ndarray, config: Config) -> np.ndarray:
    """The slot of each agent, given or the lowest that are free."""
    number, blocks = population.size, config.layout == "blocks"
    block = config.num_agents // config.num_populations
    if slot is None:
        if not blocks:
            return np.arange(number)
        rank = np.array([np.count_nonzero(population[:k] == p) for k, p in enumerate(population)], np.int64)
        if (rank >= block).any():
            full = int(population[rank >= block][0])
            raise ValueError(f"population: more than {block} agents of population {full}: its block is full")
        return population * block + rank
    slot = _whole("slot", slot, 0, config.num_agents - 1, (number,))
    if np.unique(slot).size != number:
        raise ValueError(f"slot={slot.tolist()}: must differ from each other")
    if blocks and (slot // block != population).any():
        raise ValueError(
            f"slot={slot.tolist()}: in layout 'blocks' population p has the slots p * {block} to (p + 1) * {block} - 1"
        )
    return slot


def _whole(name: str, value: Any, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers in the given interval, broadcast to ``shape``."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}={value!r}: must be a rectangular array of numbers") from None
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype == bool and (low, high) == (0, 1):
        array = array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name}: type {array.dtype}: must be whole numbers")
    try:
        array = np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name}: shape {array.shape}: must be {shape} or a single number") from None
    outside = (array < low) | (array > high)
    if outside.any():
        raise ValueError(f"{name}={array[outside].flat[0]}: allowed are whole numbers from {low} to {high}")
    return array.astype(np.int64)
