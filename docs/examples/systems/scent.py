"""Scent: agents leave a trail that fades, and smell where others have been."""

import jax
import jax.numpy as jnp

from nmmo_jax import Column, Leaf, Phase, Rule, System


def spread(world):
    """Each trail fades by a share; where agents stand it is refreshed."""
    trail = world["trail"]
    trail -= (trail * world.rule.fading + 99) // 100
    place = jnp.where(world.alive, world.place, trail.size)
    laid = trail.reshape(-1).at[place].add(world.rule.strength, mode="drop")
    return world.set(trail=laid.reshape(trail.shape))


def smell(world):
    """The trail on the tiles of each agent's window; nothing beyond the map."""
    view, radius = world.config.view, world.config.radius
    around = jnp.pad(world["trail"], radius)
    row, col = (place.astype(jnp.int32) for place in (world.agents.row, world.agents.col))
    return jax.vmap(lambda r, c: jax.lax.dynamic_slice(around, (r, c), (view, view)))(row, col)


SCENT = System(
    name="scent",
    meaning="a trail that agents leave and smell",
    rules=[
        Rule("strength", 100, meaning="laid per tick on the tile of each agent", high=1_000),
        Rule("fading", 5, unit="percent", meaning="lost per tick, rounded up", high=100),
    ],
    tiles=[Column("trail", low=0, high=1_000, meaning="how much there is to smell")],
    phases=[Phase("end", spread)],
    observe=[Leaf("smell", smell, shape=("view", "view"), low=0, high=1_000, meaning="the trail on each tile in view")],
)
