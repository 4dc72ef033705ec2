"""The seven materials of the classic game and what follows from them."""

from enum import IntEnum

import jax
import jax.numpy as jnp


class Material(IntEnum):
    """Index of a tile's material, as stored in ``Tiles.material`` and as observed."""

    LAVA = 0
    WATER = 1
    GRASS = 2
    SCRUB = 3
    FOREST = 4
    STONE = 5
    ORE = 6


NUM_MATERIALS = len(Material)
WALKABLE = (Material.LAVA, Material.GRASS, Material.SCRUB, Material.FOREST)
# One bit per material: membership is a shift, cheaper than a table lookup inside a fused kernel.
_WALKABLE_BITS = sum(1 << material for material in WALKABLE)


def is_walkable(material: jax.Array) -> jax.Array:
    """Whether agents can stand on tiles of this material (bool, same shape)."""
    return ((jnp.uint32(_WALKABLE_BITS) >> material.astype(jnp.uint32)) & 1).astype(bool)
