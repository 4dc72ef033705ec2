"""Columns and tables of systems with other values: saturated at their bounds, and blank in rows that are not alive."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, Shaped

from nmmo_jax.bits import first_set
from nmmo_jax.common.lookup import lookup
from nmmo_jax.common.spelling import near
from nmmo_jax.declarations import Column, Table

Columns = Mapping[str, jax.Array]


def saturated(column: Column, value: Any, old: jax.Array, told: str) -> jax.Array:
    """A value, or one for all, in the type and within the bounds of a column.

    Raises:
      ValueError: no whole numbers, or of another shape than ``old``.
    """
    wide = whole(value, told)
    if wide.shape not in ((), old.shape):
        raise ValueError(f"{told}: shape {wide.shape}: must be {old.shape}")
    return jnp.broadcast_to(jnp.clip(wide, *column.bounds), old.shape).astype(column.dtype)


def whole(value: Any, told: str) -> jax.Array:
    """Whole numbers as int32; what is larger saturates.

    Raises:
      ValueError: they are none.
    """
    value = jnp.asarray(value)
    if not (jnp.issubdtype(value.dtype, jnp.integer) or value.dtype == bool):
        raise ValueError(f"{told}: {value.dtype}: must be whole numbers; round them as you mean it")
    if value.dtype.itemsize < 4 or value.dtype == jnp.int32:
        return value.astype(jnp.int32)
    low = 0 if jnp.issubdtype(value.dtype, jnp.unsignedinteger) else -(2**31)
    return jnp.clip(value, jnp.asarray(low, value.dtype), jnp.asarray(2**31 - 1, value.dtype)).astype(jnp.int32)


def with_columns(table: Table, old: Columns, new: Columns, told: str) -> dict[str, jax.Array]:
    """A table with other columns; rows that are not alive are blank.

    Raises:
      ValueError: a column that it does not have, or as ``saturated``.
    """
    columns = _declared(table, new, told)
    alive = jnp.asarray(new.get("alive", old["alive"]), bool)
    result = {"alive": jnp.broadcast_to(alive, old["alive"].shape)}
    for name, declared in columns.items():
        value = saturated(declared, new.get(name, old[name]), old[name], f"{told}.{name}")
        result[name] = jnp.where(alive, value, jnp.asarray(declared.blank))
    return result


def with_rows(table: Table, old: Columns, there: Bool[Array, "A"], new: Columns, told: str) -> dict[str, jax.Array]:
    """A table with new rows, which are alive, in its free ones: for each that is ``there``, while there is room.

    Args:
      new: columns ``[A]``, or one value for all; those that are missing are ``empty``.
    """
    if "alive" in new:
        raise ValueError(f"{told}.alive: new rows are alive; ``there`` says which there are")
    size = old["alive"].size
    free = first_set(~old["alive"], min(there.size, size))
    rank = jnp.cumsum(there, dtype=jnp.int32) - 1
    row = jnp.where(there & (rank < free.size), free.at[rank].get(mode="clip"), -1)
    row = jnp.where(row >= 0, row, size)  # beyond the table: dropped
    result = {"alive": old["alive"].at[row].set(True, mode="drop")}
    for name, declared in _declared(table, new, told).items():
        value = saturated(declared, new.get(name, declared.empty), jnp.zeros(there.shape), f"{told}.{name}")
        result[name] = old[name].at[row].set(value, mode="drop")
    return result


def without_rows(table: Table, old: Columns, rows: Shaped[Array, "*B"], told: str) -> dict[str, jax.Array]:
    """A table without these rows: their numbers, -1 for none; or True for each that goes.

    Raises:
      ValueError: flags of another shape than the table's.
    """
    alive = old["alive"]
    if rows.dtype == bool:
        if rows.shape != alive.shape:
            raise ValueError(f"{told}: flags of shape {rows.shape}: must be {alive.shape}, or numbers of rows")
        return with_columns(table, old, {"alive": alive & ~rows}, told)
    row = jnp.where(rows >= 0, rows, alive.size)
    return with_columns(table, old, {"alive": alive.at[row].set(False, mode="drop")}, told)


def widened(columns: Any) -> Any:
    """Columns as int32, whose sums do not wrap as those of shorter types would; bool as it is."""
    return jax.tree.map(lambda values: values if values.dtype == bool else values.astype(jnp.int32), columns)


def take_rows(table: Table, columns: Columns, rows: Int32[Array, "*B"]) -> dict[str, jax.Array]:
    """The columns at these rows; where a row is -1, not alive and ``empty``."""
    empty = {"alive": 0, **{column.name: column.empty for column in table.columns}}
    return {name: lookup(values, rows, empty[name]) for name, values in columns.items()}


def _declared(table: Table, given: Columns, told: str) -> dict[str, Column]:
    columns = {column.name: column for column in table.columns}
    for name in given:
        if name != "alive" and name not in columns:
            raise ValueError(f"{told}.{name}: its columns are alive, {', '.join(columns)}{near(name, columns)}")
    return columns
