"""Movement: one step in one of four directions. Reads Tiles.material; writes Agents.row and col."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from nmmo_jax.components import Agents, Realm, Tiles
from nmmo_jax.config import Config
from nmmo_jax.kinds import is_walkable

# Index of the action -> (rows, columns); 0 stays.
DIRECTIONS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


def movement(realm: Realm, acting: Bool[Array, "N"], move: Int32[Array, "N"], config: Config) -> Realm:
    """Moves who acts, unless frozen; nothing happens on the way to stone, water or the outside."""
    agents = realm.agents
    step = jnp.asarray(DIRECTIONS, jnp.int32)[move]
    old_row, old_col = agents.row.astype(jnp.int32), agents.col.astype(jnp.int32)
    row, col = old_row + step[:, 0], old_col + step[:, 1]
    moves = acting & (agents.freeze <= 0) & can_enter(realm.tiles, row, col, config)
    agents = agents.replace(
        row=jnp.where(moves, row, old_row).astype(jnp.int16),
        col=jnp.where(moves, col, old_col).astype(jnp.int16),
    )
    return realm.replace(agents=agents)


def can_enter(
    tiles: Tiles,
    row: Int32[Array, "*K"],
    col: Int32[Array, "*K"],
    config: Config,
    realm: Int32[Array, "*K"] | None = None,
    but: tuple[int, ...] = (),
) -> Bool[Array, "*K"]:
    """Whether a place is inside the map and walkable (as observed: a depleted forest is walkable scrub).

    Args:
      but: walkable materials that do not count.
      realm: of tiles of many realms, which; broadcasts against ``row``.
    """
    size, place = tiles.size, row * config.columns + col
    if realm is not None:
        size, place = size[realm], place + realm * (config.rows * config.columns)
    inside = (row >= 0) & (row < size[..., 0]) & (col >= 0) & (col < size[..., 1])
    material = tiles.material.reshape(-1).at[place].get(mode="clip")
    return inside & is_walkable(material, tuple(one for one in config.walkable if one not in but))


def neighbouring(
    agents: Agents, tiles: Tiles, config: Config, realm: Int32[Array, "N"] | None = None
) -> Bool[Array, "N 5"]:
    """Whether each move leads to a tile that can be entered, in the order of ``DIRECTIONS``; as ``can_enter``."""
    step = jnp.asarray(DIRECTIONS, jnp.int32)
    row = agents.row.astype(jnp.int32)[:, None] + step[None, :, 0]
    col = agents.col.astype(jnp.int32)[:, None] + step[None, :, 1]
    return can_enter(tiles, row, col, config, None if realm is None else realm[:, None])
