"""What the reference realm is made of: its settings and rules, agents, and what chance decides in ordinary Python."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LAVA, WATER, GRASS, SCRUB, FOREST, STONE, ORE = range(7)
WALKABLE = (LAVA, GRASS, SCRUB, FOREST)
OFFSETS = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1), 4: (-1, 0)}  # move -> change of (row, column)
MAGE = 2
NEVER = 2**31 - 1  # a waiting time or a ready tick that does not come
FEATURES = 11
COMPONENTS = ("uid", "population", "row", "col", "health", "food", "water", "freeze", "age", "damage")


@dataclass(frozen=True)
class Settings:
    """What has a fixed size or is switched for good. The map has the size of the array handed to `Realm`."""

    num_agents: int
    num_populations: int
    view: int = 15
    num_visible: int = 16
    layout: str = "blocks"  # or "free"
    resolution: str = "simultaneous"  # or "sequential"
    reward: str = "survival"  # or "death"
    reproduction: bool = False
    max_spawns: int = 1
    max_lifetime: int | None = None


@dataclass(frozen=True)
class Rules:
    """Every number of the rulebook, with its classic value. Triples are (melee, range, mage)."""

    start_health: int = 10
    start_food: int = 32
    start_water: int = 32
    max_health: int = 10
    max_food: int = 32
    max_water: int = 32
    forage_amount: int = 5
    drink_amount: int = 5
    heal_food_above: int = 16
    heal_water_above: int = 16
    heal_amount: int = 1
    food_metabolism: int = 1
    water_metabolism: int = 1
    starvation_damage: int = 1
    thirst_damage: int = 1
    immunity_ticks: int = 15
    attacks_enabled: bool = True  # chaos; False is law
    attack_range: tuple[int, int, int] = (1, 2, 3)
    attack_damage: tuple[int, int, int] = (10, 2, 1)
    freeze_ticks: int = 3
    immunity_blocks_drain: bool = False
    population_cap: int | None = None  # None: as many as there are slots
    spawn_rate: float = 1.0
    regrowth_probability: float = 0.025  # not used here: waiting times come with the draws
    birth_food_above: int = 20
    birth_water_above: int = 20
    birth_age: int = 15
    birth_probability: float = 0.1
    birth_food_cost: int = 12
    birth_water_cost: int = 12
    newborn_food: int = 12
    newborn_water: int = 12


class Draws(NamedTuple):
    """All the chance in one step."""

    regrowth: Sequence[int]  # [num_agents], waiting time (at least 1) of a harvest by the agent in that slot
    spawn: Sequence[Sequence[int]]  # [max_spawns, 3], 32-bit words: coin, population, tile
    reproduction: Sequence[Sequence[int]] = ()  # [num_agents, 2], 32-bit words of the agent in that slot: coin, tile


@dataclass(eq=False)  # two agents with equal numbers are still two agents
class Agent:
    """One agent. `cause` and `killer` are notes for the obituary; no rule reads them."""

    slot: int
    uid: int
    population: int
    row: int
    col: int
    health: int
    food: int
    water: int
    freeze: int = 0
    age: int = 0
    damage: int = -1  # -1: none
    cause: str | None = None
    killer: int = -1


Hit = namedtuple("Hit", "actor target style row col")  # row, col: where the actor stood before moving
Birth = namedtuple("Birth", "slot uid parent population row col")
# kind: birth, harvest, drink, attack or death; other: uid of the target or of the killer in combat, else -1
# amount: food or water gained, damage asked for by an attack, age at death
Event = namedtuple("Event", "kind uid other row col amount")


class Outcome(NamedTuple):
    """What a step gives to the owners of the slots before it, and what happened in it."""

    reward: np.ndarray  # float [num_agents]
    terminated: np.ndarray  # bool [num_agents]
    truncated: np.ndarray  # bool [num_agents]
    cause: list[str | None]  # [num_agents]: lava, starvation, thirst or combat for the dead, else None
    births: list[Birth]
    events: list[Event]


def choose(word: int, count: int) -> int:
    """Index of the choice that a 32-bit word makes among `count`."""
    return (int(word) * count) >> 32


def succeeds(word: int, probability: float) -> bool:
    """A coin: a probability is a 32-bit float wherever it is used, and 24 bits of the word compare with it exactly."""
    return (int(word) >> 8) < float(np.float32(probability)) * 2**24


def distance(a: Agent, b: Agent) -> int:
    """Chebyshev distance."""
    return max(abs(a.row - b.row), abs(a.col - b.col))


def spawn_tiles(material: np.ndarray, walkable: Sequence[int] = WALKABLE) -> list[tuple[int, int]]:
    """Walkable tiles without lava on the bounding box of all that is not lava, row by row."""
    rows, cols = np.nonzero(material != LAVA)
    if len(rows) == 0:
        return []
    top, bottom, left, right = rows.min(), rows.max(), cols.min(), cols.max()
    return [
        (row, col)
        for row in range(top, bottom + 1)
        for col in range(left, right + 1)
        if row in (top, bottom) or col in (left, right)
        if material[row, col] != LAVA and material[row, col] in walkable
    ]
