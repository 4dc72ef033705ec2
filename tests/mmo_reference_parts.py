"""What the role-playing reference is made of: its tables, and one small object per agent, monster and item."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from reference_parts import Agent

SKILLS = ("melee", "range", "mage", "fishing", "herbalism", "prospecting", "carving", "alchemy")
MELEE, RANGE, MAGE, FISHING, HERBALISM, PROSPECTING, CARVING, ALCHEMY = range(8)
BEATS = {MELEE: RANGE, RANGE: MAGE, MAGE: MELEE}
AROUND = ((0, 1), (1, 0), (0, -1), (-1, 0))  # changes of (row, column) in the order of moves 1 to 4

HAT, TOP, BOTTOM, SPEAR, BOW, WAND, ROD, GLOVES, PICKAXE, AXE, CHISEL = range(1, 12)
WHETSTONE, ARROW, RUNES, RATION, POTION, FISH, MEAT, HERB, ORE, WOOD, CRYSTAL = range(12, 23)
ARMOUR, WEAPONS, TOOLS = (HAT, TOP, BOTTOM), (SPEAR, BOW, WAND), (ROD, GLOVES, PICKAXE, AXE, CHISEL)
AMMUNITION = (WHETSTONE, ARROW, RUNES)
STACKS = (*AMMUNITION, FISH, MEAT, HERB, ORE, WOOD, CRYSTAL)
STACK, PLACES, PURSE = 100, 12, 30_000

WORN_AS = {HAT: "hat", TOP: "top", BOTTOM: "bottom"}
WORN_AS |= dict.fromkeys((*WEAPONS, *TOOLS), "held") | dict.fromkeys(AMMUNITION, "ammunition")
STYLE_OF = {SPEAR: MELEE, BOW: RANGE, WAND: MAGE, WHETSTONE: MELEE, ARROW: RANGE, RUNES: MAGE}
SKILL_OF = STYLE_OF | {ROD: FISHING, GLOVES: HERBALISM, PICKAXE: PROSPECTING, AXE: CARVING, CHISEL: ALCHEMY}  # else any
GOODS = (ORE, WOOD, CRYSTAL)  # for crafts alone

PASSIVE, NEUTRAL, AGGRESSIVE = CHICKEN, GOBLIN, TROLL = range(3)
ATTEMPTS = 8  # of monsters to appear, per tick


class Drop(NamedTuple):
    """Of a monster: one of several kinds, with a probability."""

    kinds: tuple[int, ...]
    probability: float


DROPS = {
    CHICKEN: (Drop((MEAT,), 1.0),),
    GOBLIN: (Drop((MEAT,), 0.5), Drop(ARMOUR, 0.5), Drop(TOOLS, 0.5)),
    TROLL: (Drop(ARMOUR, 1.0), Drop(TOOLS, 1.0), Drop(WEAPONS, 0.2)),
}


class Ground(NamedTuple):
    """What can be harvested."""

    spent: str
    skill: int
    tool: int
    product: int
    experience: str
    found: int | None  # what it has now and then beside the product


GROUND = {
    "vein": Ground("slag", PROSPECTING, PICKAXE, ORE, "ammunition_experience", WAND),
    "tree": Ground("stump", CARVING, AXE, WOOD, "ammunition_experience", SPEAR),
    "gems": Ground("shards", ALCHEMY, CHISEL, CRYSTAL, "ammunition_experience", BOW),
    "herbs": Ground("weeds", HERBALISM, GLOVES, HERB, "consumable_experience", None),
    "shoal": Ground("ocean", FISHING, ROD, FISH, "consumable_experience", None),
}


class Recipe(NamedTuple):
    product: int
    quantity: int
    skill: int
    ingredients: tuple[tuple[int, int], ...]  # kind, how many


RECIPES = {
    1: Recipe(RATION, 1, FISHING, ((FISH, 1), (WOOD, 1))),
    2: Recipe(RATION, 1, FISHING, ((MEAT, 1), (WOOD, 1))),
    3: Recipe(POTION, 1, HERBALISM, ((HERB, 2),)),
    4: Recipe(WHETSTONE, 5, PROSPECTING, ((ORE, 1),)),
    5: Recipe(ARROW, 5, CARVING, ((WOOD, 1),)),
    6: Recipe(RUNES, 5, ALCHEMY, ((CRYSTAL, 1),)),
    7: Recipe(SPEAR, 1, PROSPECTING, ((ORE, 2), (WOOD, 1))),
    8: Recipe(BOW, 1, CARVING, ((WOOD, 2), (HERB, 1))),
    9: Recipe(WAND, 1, ALCHEMY, ((CRYSTAL, 2), (WOOD, 1))),
    10: Recipe(HAT, 1, PROSPECTING, ((ORE, 1), (HERB, 1))),
    11: Recipe(TOP, 1, PROSPECTING, ((ORE, 3), (CRYSTAL, 1))),
    12: Recipe(BOTTOM, 1, PROSPECTING, ((ORE, 2), (HERB, 1))),
    13: Recipe(ROD, 1, CARVING, ((WOOD, 2), (ORE, 1))),
    14: Recipe(GLOVES, 1, HERBALISM, ((HERB, 2), (WOOD, 1))),
    15: Recipe(PICKAXE, 1, PROSPECTING, ((ORE, 1), (WOOD, 1))),
    16: Recipe(AXE, 1, CARVING, ((WOOD, 1), (ORE, 1))),
    17: Recipe(CHISEL, 1, ALCHEMY, ((CRYSTAL, 1), (ORE, 1))),
}


@dataclass
class Item:
    """What is in one place of a pack."""

    kind: int
    level: int
    quantity: int = 1
    worn: bool = False

    def copy(self) -> Item:
        return Item(self.kind, self.level, self.quantity, self.worn)


@dataclass(eq=False)
class Monster:
    """One monster; who attacked it last is remembered by uid, and for how many ticks more."""

    number: int  # its row in the table
    row: int
    col: int
    kind: int
    level: int
    health: int
    style: int
    foe_uid: int = -1
    foe_slot: int = -1
    memory: int = 0

    def forget(self) -> None:
        self.foe_uid, self.foe_slot, self.memory = -1, -1, 0


@dataclass(eq=False)
class Character(Agent):
    """An agent with a trade. What is below `slain` is of the tick that is played, and forgotten with it."""

    experience: list[int] = field(default_factory=lambda: [0] * 8)
    level: list[int] = field(default_factory=lambda: [1] * 8)
    stance: int = MELEE
    combat_level: int = 1
    skill_offence: list[int] = field(default_factory=lambda: [0] * 3)
    skill_defence: int = 0
    pack: list[Item | None] = field(default_factory=lambda: [None] * PLACES)
    gold: int = 0
    last_busy: int = -1  # the last tick in which it is in combat
    item_offence: list[int] = field(default_factory=lambda: [0] * 3)
    item_defence: int = 0
    prey: Monster | None = None  # whom it has struck
    slain: Monster | None = None
    lessons: list[tuple[int, int]] = field(default_factory=list)  # skill, experience
    fights: bool = False  # it has hit, or lost health to an attack
    style: int | None = None  # in which it has hit
    wounds: list[tuple[Agent, int]] = field(default_factory=list)  # who has hit it, and what that did

    def forget(self) -> None:
        """A new tick begins."""
        self.prey, self.slain, self.lessons = None, None, []
        self.fights, self.style, self.wounds = False, None, []


class Blow(NamedTuple):
    """An agent's attack on a monster."""

    actor: Character
    monster: Monster
    damage: int


class Chance(Protocol):
    """Raw chance of one tick: two 32-bit words by unit, by uid or index, and counter; and waiting times."""

    def words(self, unit: str, uid: int, counter: int) -> tuple[int, int]: ...

    def words_of(self, unit: str, index: int, counter: int) -> tuple[int, int]: ...

    def waiting_time(self, word: int, probability: float) -> int: ...


@functools.cache
def thresholds(curve: int) -> list[int]:
    """The experience of each level: index 0 is that of level 1."""
    if curve == 0:
        steps = [round(90 * math.sqrt(level)) for level in range(1, 10)]
    else:
        steps = [math.floor(math.floor(level + 300 * 2 ** (level / 7)) / 4) for level in range(1, 99)]
    return [sum(steps[:level]) for level in range(len(steps) + 1)]


def danger(row: int, col: int, shape: Sequence[int], border: int) -> int:
    """0 where the land begins, 100 in the middle."""
    rows, columns = shape
    away = max(0, min(row, col, rows - 1 - row, columns - 1 - col) - border)
    half = max(1, (min(rows, columns) - 1) // 2 - border)
    return min(100, 100 * away // half)


FEEDS = {RATION: ("food", "water"), POTION: ("health",), FISH: ("food",), MEAT: ("food",), HERB: ("health",)}
MADE = (RATION, POTION)  # of those the others are raw


def far(a, b) -> int:
    """Chebyshev distance of whatever has a row and a column."""
    return max(abs(a.row - b.row), abs(a.col - b.col))
