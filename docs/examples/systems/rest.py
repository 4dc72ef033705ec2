"""Rest: whatever agents do tires them; who sits down for a tick recovers, and who never does is worn out."""

import jax.numpy as jnp

from nmmo_jax import Argument, Column, Head, Leaf, Phase, Rule, System

SIT = 1  # the choice; 0 goes on


def tired(world):
    """Who has less energy than there can be."""
    return world["energy"] < world.rule.most


def spend(world):
    """A tick costs one unit of energy, or gives some to who sits; who has none is hurt."""
    sits = world.acting & tired(world) & (world.chosen("rest") == SIT)
    energy = world["energy"]
    rested = jnp.minimum(energy + world.rule.recovery, world.rule.most)
    world = world.set(energy=jnp.where(sits, rested, energy - 1)).tell("rest", sits, rested - energy)
    return world.hurt(world["energy"] == 0, world.rule.exhaustion, "exhaustion")


def allowed(world):
    """Going on always does something; sitting only for who is tired."""
    return jnp.stack([world.alive, tired(world)], axis=-1)


def has_rested(before, after):
    """Who has more energy than before."""
    return after["energy"] > before["energy"]


REST = System(
    name="rest",
    meaning="agents tire, and recover where they sit down",
    rules=[
        Rule("most", 30, unit="energy", meaning="of a newborn, and the most an agent can have", low=1, high=1_000),
        Rule("recovery", 5, unit="energy", meaning="gained in a tick of sitting", low=1),
        Rule("exhaustion", 1, unit="health", meaning="lost per tick without energy"),
    ],
    agents=[Column("energy", newborn="most", low=0, high=1_000, booked=True, meaning="ticks until it is worn out")],
    stats=["health"],
    causes=["exhaustion"],
    events=["rest"],
    heads=[Head("rest", [Argument("rest", 2, mask=allowed, effect=has_rested, meaning="0 go on, 1 sit down")])],
    observe=[Leaf("energy", lambda world: world["energy"], high=1_000, meaning="its own energy")],
    phases=[Phase("act", spend)],
)
