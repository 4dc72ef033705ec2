"""Hunting: which agent is nearest to each monster that looks for one.

All pairs of agents and hunters, as they are few: trolls appear on 4 to 6 % of the land (docs/rulebook-mmo.md, Terrain).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from nmmo_jax.common.apart import apart
from nmmo_jax.systems.world import World

MOST_SIGHT = 127  # tiles
NOBODY = 2**31 - 1  # above every uid
_BLOCK = 128  # hunters at a time


def nearest(
    world: World, seen: Bool[Array, "N"], row: Int32[Array, "M"], col: Int32[Array, "M"], hunts: Bool[Array, "M"]
) -> tuple[Int32[Array, "M"], Int32[Array, "M"]]:
    """The slot of the agent that is nearest to each monster that ``hunts``, of several the oldest.

    Args:
      seen: who can be hunted.
      row, col: of the monsters.

    Returns:
      Also how many tiles away it is: more than ``MOST_SIGHT`` where it is farther, and where there is none.
    """
    agents, number = apart((world.agents.row, world.agents.col, world.agents.uid, seen)), hunts.size
    if number <= _BLOCK:
        return _nearest(agents, row, col)
    place = jnp.where(hunts, jnp.cumsum(hunts, dtype=jnp.int32) - 1, number + _BLOCK)
    index = jnp.full(number + _BLOCK, number, jnp.int32)
    index = index.at[place].set(jnp.arange(number, dtype=jnp.int32), mode="drop")

    def look(k, found):
        some = jax.lax.dynamic_slice(index, (k * _BLOCK,), (_BLOCK,))
        new = _nearest(agents, row.at[some].get(mode="clip"), col.at[some].get(mode="clip"))
        return tuple(old.at[some].set(one, mode="drop") for old, one in zip(found, new, strict=True))

    blocks = (hunts.sum(dtype=jnp.int32) + _BLOCK - 1) // _BLOCK
    return jax.lax.fori_loop(
        0, blocks, look, (jnp.full(number, -1, jnp.int32), jnp.full(number, MOST_SIGHT + 1, jnp.int32))
    )


def _nearest(agents: tuple[jax.Array, ...], row: Int32[Array, "B"], col: Int32[Array, "B"]) -> tuple[Any, Any]:
    """Slot and distance. One row for each agent, so that the minima over agents are of whole rows of monsters."""
    agent_row, agent_col, uid, seen = (column[:, None] for column in agents)
    row, col = apart((row.astype(jnp.int16), col.astype(jnp.int16)))
    away = jnp.minimum(jnp.maximum(jnp.abs(agent_row - row[None]), jnp.abs(agent_col - col[None])), MOST_SIGHT + 1)
    away = apart(jnp.where(seen, away, MOST_SIGHT + 1).astype(jnp.uint8))
    least = apart(away.min(axis=0))
    oldest = apart(jnp.where((away == least[None]) & seen, uid, NOBODY).min(axis=0))
    slot = jnp.arange(len(uid), dtype=jnp.int32)[:, None]
    return jnp.where(uid == oldest[None], slot, -1).max(axis=0), least.astype(jnp.int32)
