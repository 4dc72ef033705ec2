"""What kinds of item there are, what each is for, and which monsters drop them."""

from typing import NamedTuple

SKILLS = ("melee", "range", "mage", "fishing", "herbalism", "prospecting", "carving", "alchemy")
"""In the order of the columns of levels. The first three are styles of attack."""
(
    NONE,
    HAT,
    TOP,
    BOTTOM,
    SPEAR,
    BOW,
    WAND,
    ROD,
    GLOVES,
    PICKAXE,
    AXE,
    CHISEL,
    WHETSTONE,
    ARROW,
    RUNES,
    RATION,
    POTION,
    FISH,
    MEAT,
    HERB,
    ORE,
    WOOD,
    CRYSTAL,
) = range(23)
MAX_LEVEL = 10  # of an item
STACK = 100  # the most in one place of a pack


class Kind(NamedTuple):
    """A kind of item.

    Attributes:
      worn: where: as hat, top or bottom, in the hand, or as ammunition; empty: it is not worn.
      skill: of ``SKILLS``, whose level must be that of the item; empty: any.
      most: how many can be in one place of a pack.
    """

    name: str
    worn: str = ""
    skill: str = ""
    most: int = 1


KINDS = (
    Kind("none", most=0),
    *(Kind(name, name) for name in ("hat", "top", "bottom")),
    *(
        Kind(name, "hand", skill)
        for name, skill in zip(
            ("spear", "bow", "wand", "rod", "gloves", "pickaxe", "axe", "chisel"), SKILLS, strict=True
        )
    ),
    *(
        Kind(name, "ammunition", skill, STACK)
        for name, skill in zip(("whetstone", "arrow", "runes"), SKILLS[:3], strict=True)
    ),
    *(Kind(name) for name in ("ration", "potion")),
    *(Kind(name, most=STACK) for name in ("fish", "meat", "herb", "ore", "wood", "crystal")),
)
"""By number."""


class Drop(NamedTuple):
    """What a monster may leave: one of ``number`` kinds from ``kind`` on, each as likely, with a probability."""

    kind: int
    number: int
    probability: float


DROPS = (
    (Drop(MEAT, 1, 1.0),),
    (Drop(MEAT, 1, 0.5), Drop(HAT, 3, 0.5), Drop(ROD, 5, 0.5)),
    (Drop(HAT, 3, 1.0), Drop(ROD, 5, 1.0), Drop(SPEAR, 3, 0.2)),
)
"""Of a chicken, a goblin and a troll, in order."""
