"""The seven materials of the classic game, those of systems, and what follows from them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from nmmo_jax.config import Config
    from nmmo_jax.system import NewMaterial


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
MAX_MATERIALS = 32  # one bit for each in a word
WALKABLE = (Material.LAVA, Material.GRASS, Material.SCRUB, Material.FOREST)


def new_materials(config: Config) -> tuple[NewMaterial, ...]:
    """The materials of a world's systems; their numbers follow those of ``Material``."""
    return tuple(material for system in config.systems for material in system.materials)


def material_names(config: Config) -> tuple[str, ...]:
    """The materials of a world by their numbers, in lower case."""
    return (*(material.name.lower() for material in Material), *(material.name for material in new_materials(config)))


def walkable(config: Config) -> tuple[int, ...]:
    """The numbers of the materials on which agents can stand."""
    new = enumerate(new_materials(config), NUM_MATERIALS)
    return (*map(int, WALKABLE), *(number for number, material in new if material.walkable))


def is_walkable(material: jax.Array, config: Config) -> jax.Array:
    """Whether agents can stand on tiles of this material (bool, same shape)."""
    # One bit per material: membership is a shift, cheaper than a table lookup inside a fused kernel.
    bits = sum(1 << number for number in walkable(config))
    return ((jnp.uint32(bits) >> material.astype(jnp.uint32)) & 1).astype(bool)
