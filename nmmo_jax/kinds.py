"""What has kinds: materials of tiles, causes of death, events. Those of systems follow these, see ``Config``."""

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
MAX_MATERIALS = 32  # with those of systems: one bit for each in a word
WALKABLE = (Material.LAVA, Material.GRASS, Material.SCRUB, Material.FOREST)


def is_walkable(material: jax.Array, walkable: tuple[int, ...] = WALKABLE) -> jax.Array:
    """Whether agents can stand on tiles of this material (bool, same shape).

    Args:
      walkable: the materials on which they can; of a world, ``Config.walkable``.
    """
    # One bit per material: membership is a shift, cheaper than a table lookup inside a fused kernel.
    bits = sum(1 << number for number in walkable)
    return ((jnp.uint32(bits) >> material.astype(jnp.uint32)) & 1).astype(bool)


class Cause(IntEnum):
    """What took an agent's health to zero."""

    NONE = 0
    LAVA = 1
    STARVATION = 2
    THIRST = 3
    COMBAT = 4


class Event(IntEnum):
    """Kinds of event, in the order in which a tick lists them; those of systems follow."""

    HARVEST = 0  # amount: food gained
    DRINK = 1  # amount: water gained
    ATTACK = 2  # other: the target; amount: damage (0 if immune); detail: style
    DEATH = 3  # other: the killer; amount: age; detail: Cause; style: the killer's
    TRUNCATION = 4  # amount: age
    BIRTH = 5  # other: the parent
