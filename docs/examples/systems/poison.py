"""Poison: ground that hurts whoever stands on it."""

import jax.numpy as jnp

from nmmo_jax import NewMaterial, Phase, Rule, System
from nmmo_jax.kinds import Material


def suffer(world):
    """Who stands on poison loses health."""
    return world.hurt(world.standing_on("poison"), world.rule.damage, "poison")


def spoil(material, words, config):
    """One in sixteen tiles of generated grass is poisoned."""
    spoilt = (material == Material.GRASS) & (words >> 28 == 0)
    return jnp.where(spoilt, config.material_names.index("poison"), material)


POISON = System(
    name="poison",
    meaning="ground that hurts whoever stands on it",
    rules=[Rule("damage", 2, unit="health", meaning="lost per tick on poisoned ground")],
    materials=[NewMaterial("poison", walkable=True, color="#7a3b8f")],
    terrain=spoil,
    stats=["health"],
    causes=["poison"],
    phases=[Phase("vitals", suffer)],
)
