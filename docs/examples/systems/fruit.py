"""Fruit: it falls on the ground, lies there for a while, and who reaches it first can eat it."""

import jax.numpy as jnp

from nmmo_jax import Argument, Column, Goal, Head, Listing, Phase, Rule, System, Table
from nmmo_jax.draws import choose, coin

REACH = 1  # tiles


def fall(world):
    """Fruit rots, and a new one may fall on any tile on which agents can stand."""
    fruit = world["fruit"]
    world = world.set(fruit={"age": fruit["age"] + 1, "alive": fruit["alive"] & (fruit["age"] < world.rule.lasts)})
    word = world.words_of((1, 2))  # of one fruit: whether it falls; row and column
    row, col = choose(word[:, 1, 0], world.config.rows), choose(word[:, 1, 1], world.config.columns)
    falls = coin(word[:, 0, 0], world.rule.falls) & world.can_enter(row, col)
    return world.add("fruit", falls, row=row, col=col)


def in_reach(world):
    """Which of the fruit that an agent sees lies beside it, or where it stands."""
    fruit = world.row("fruit", world.listed["fruit_in_view"])
    return world.distance(fruit["row"], fruit["col"]) <= REACH


def eat(world):
    """Of those who want the same fruit one gets it."""
    wanted = world.chosen("eat")
    fruit = world.row("fruit", wanted)
    near = world.distance(fruit["row"], fruit["col"]) <= REACH
    wanted = jnp.where(fruit["alive"] & near, wanted, -1)
    gets = world.winners(wanted)
    world = world.give(gets, "food", world.rule.food).tell("fruit_eaten", gets, world.rule.food)
    return world.set(eaten=world["eaten"] + gets.astype(jnp.int32)).remove("fruit", jnp.where(gets, wanted, -1))


def has_eaten(before, after):
    """Who has eaten one more."""
    return after["eaten"] > before["eaten"]


FRUIT = System(
    name="fruit",
    meaning="fruit that falls, rots, and is eaten by who reaches it first",
    rules=[
        Rule("falls", 0.5, unit="per tick", meaning="that a fruit falls", dtype="float32", high=1),
        Rule("lasts", 100, unit="ticks", meaning="until it has rotted"),
        Rule("food", 10, unit="food", meaning="in each"),
    ],
    agents=[Column("eaten", low=0, meaning="fruit that it has eaten")],
    tables=[Table("fruit", 64, [Column("row"), Column("col"), Column("age", low=0)])],
    observe=[Listing("fruit_in_view", table="fruit", most=4, columns=["row", "col", "age"])],
    goals=[Goal("fruit", lambda view: view.claimed(view.listed("fruit_in_view")), "fruit that nobody is nearer to")],
    heads=[
        Head("eat", [Argument("eat", among="fruit_in_view", mask=in_reach, effect=has_eaten, meaning="which fruit")])
    ],
    stats=["food"],
    events=["fruit_eaten"],
    phases=[Phase("act", eat), Phase("end", fall)],
)
