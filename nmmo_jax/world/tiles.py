"""From a plain array of materials to the tile table, checked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32, UInt8

from nmmo_jax.components import Tiles
from nmmo_jax.config import Config
from nmmo_jax.kinds import Material, is_walkable
from nmmo_jax.values import is_traced

MISSING = "; is a system missing (--system, Config.systems)?"  # said of materials that a world does not have


def make_tiles(
    material: UInt8[Array, "R C"], config: Config, size: Int32[Array, "2"] | tuple[int, int] | None = None
) -> Tiles:
    """The tile table of a map padded with lava to the configured size; every forest is ready. Runs inside jit.

    Args:
      size: rows and columns of the map without its padding; default, all of it.
    """
    spawn_tile, num_spawn_tiles = spawn_tiles(material, config)
    return Tiles(
        material=material.astype(jnp.uint8),
        ready_tick=jnp.zeros(material.shape, jnp.int32),
        spawn_tile=spawn_tile,
        num_spawn_tiles=num_spawn_tiles,
        size=jnp.asarray(material.shape if size is None else size, jnp.int32),
    )


def spawn_tiles(material: Int[Array, "R C"], config: Config) -> tuple[Int32[Array, "S"], Int32[Array, ""]]:
    """Where agents are born: the walkable, non-lava tiles on the bounding box of the non-lava area.

    Returns:
      Flat indices in row-major order (rest 0), as many as the perimeter of the padded map, and their number.
    """
    rows, columns = material.shape
    solid = material != Material.LAVA

    def bounds(occupied: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
        return _first(occupied), size - 1 - _first(occupied[::-1])

    top, bottom = bounds(solid.any(axis=1), rows)
    left, right = bounds(solid.any(axis=0), columns)
    row, col = grid(rows, columns)
    inside = (row >= top) & (row <= bottom) & (col >= left) & (col <= right)
    edge = (row == top) | (row == bottom) | (col == left) | (col == right)
    chosen = (inside & edge & solid & is_walkable(material, config.walkable)).reshape(-1)
    rank = jnp.cumsum(chosen, dtype=jnp.int32) - 1
    capacity = max_spawn_tiles(rows, columns)
    table = jnp.zeros(capacity, jnp.int32)
    table = table.at[jnp.where(chosen, rank, capacity)].set(jnp.arange(rows * columns, dtype=jnp.int32), mode="drop")
    return table, chosen.sum(dtype=jnp.int32)


def grid(rows: int, columns: int) -> tuple[Int32[Array, "R 1"], Int32[Array, "1 C"]]:
    """Row and column of every tile."""
    return jnp.arange(rows, dtype=jnp.int32)[:, None], jnp.arange(columns, dtype=jnp.int32)[None, :]


def _first(occupied: jax.Array) -> Int32[Array, ""]:
    return jax.lax.argmax(occupied, 0, jnp.int32)


def max_spawn_tiles(rows: int, columns: int) -> int:
    """The perimeter of a map in tiles, which no spawn ring can exceed."""
    return rows * columns - max(rows - 2, 0) * max(columns - 2, 0)


def pad_map(values: np.ndarray, config: Config) -> np.ndarray:
    """Values per tile in the upper left corner of an array of the configured size; the rest is 0, lava."""
    return np.pad(values, ((0, config.rows - values.shape[0]), (0, config.columns - values.shape[1])))


def check_map(material: Any, config: Config, name: str = "material", spawns: bool = True) -> np.ndarray:
    """Checks a map of known values; raises ``ValueError`` with what is wrong and where.

    Args:
      material: ``[rows, columns]``, whole numbers 0 to 6 and those of systems' materials, at most as large as the
        configured size.
      name: what error messages call the map.
      spawns: whether it needs a tile on which agents can be born.
    """
    most = len(config.material_names) - 1
    try:
        array = np.asarray(material)
    except ValueError:
        raise ValueError(f"{name}: rows of different length: must be a rectangle [rows, columns]") from None
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name}: shape {array.shape}: must be a non-empty rectangle [rows, columns]")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name}: type {array.dtype}: must be whole numbers 0 to {most}")
    bad = np.argwhere((array < 0) | (array > most))
    if bad.size:
        row, col = bad[0]
        allowed = f"allowed are 0 to {most}, {', '.join(config.material_names)}{MISSING}"
        raise ValueError(f"{name}: material {array[row, col]} at row {row}, column {col}: {allowed}")
    if array.shape[0] > config.rows or array.shape[1] > config.columns:
        raise ValueError(
            f"{name}: {array.shape[0]} x {array.shape[1]} tiles: larger than the configured "
            f"rows={config.rows}, columns={config.columns}"
        )
    if spawns and not has_spawn_tile(array, config):
        raise ValueError(f"{name}: no tile to spawn on: needs a walkable tile on the bounding box of its non-lava area")
    return array.astype(np.uint8)


def check_spawns(tiles: Tiles) -> None:
    """Raises ``ValueError`` where tile tables of known values hold a map on which nobody can be born."""
    if not is_traced(tiles.num_spawn_tiles) and not np.asarray(tiles.num_spawn_tiles).all():
        raise ValueError("tiles: num_spawn_tiles=0: needs a walkable tile on the bounding box of its non-lava area")


def has_spawn_tile(material: np.ndarray, config: Config) -> bool:
    """Whether ``spawn_tiles`` would find any (NumPy, for checks before anything compiles)."""
    rows, columns = np.nonzero(material != Material.LAVA)
    if rows.size == 0:
        return False
    edge = (rows == rows.min()) | (rows == rows.max()) | (columns == columns.min()) | (columns == columns.max())
    return bool(np.isin(material[rows[edge], columns[edge]], config.walkable).any())
