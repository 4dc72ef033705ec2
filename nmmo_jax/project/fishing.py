"""Fishing: who stands beside water catches a fish now and then."""

import jax.numpy as jnp

from nmmo_jax import Phase, Rule, System
from nmmo_jax.draws import coin


def beside_water(world):
    """Who of the acting has water to the north, south, west or east."""
    water = jnp.pad(world.tiles.material == world.number_of("water"), 1)
    beside = water[:-2, 1:-1] | water[2:, 1:-1] | water[1:-1, :-2] | water[1:-1, 2:]
    return world.acting & beside.reshape(-1)[world.place]


def fish(world):
    """A coin per agent and tick; a fish is food, and an event that can be counted."""
    caught = beside_water(world) & coin(world.words()[:, 0], world.rule.chance)
    return world.give(caught, "food", world.rule.food).tell("catch", caught, world.rule.food)


FISHING = System(
    name="fishing",
    meaning="who stands beside water catches a fish now and then",
    rules=(
        Rule("chance", 0.05, unit="per tick", meaning="that who is beside water catches one", dtype="float32", high=1),
        Rule("food", 5, unit="food", meaning="in each fish"),
    ),
    stats=("food",),
    events=("catch",),
    phases=(Phase("vitals", fish),),
)
