"""Crafts: what is made of goods, by a table of recipes."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int8, Int16, Int32

from nmmo_jax.common.apart import apart
from nmmo_jax.common.lookup import one_of
from nmmo_jax.declarations import Argument, Head, Phase
from nmmo_jax.mmo.items import carried, in_combat, put, take
from nmmo_jax.mmo.kinds import (
    ARROW,
    AXE,
    BOTTOM,
    BOW,
    CHISEL,
    CRYSTAL,
    FISH,
    GLOVES,
    HAT,
    HERB,
    KINDS,
    MAX_LEVEL,
    MEAT,
    NONE,
    ORE,
    PICKAXE,
    POTION,
    RATION,
    ROD,
    RUNES,
    SKILLS,
    SPEAR,
    TOP,
    WAND,
    WHETSTONE,
    WOOD,
)
from nmmo_jax.mmo.packs import PLACES, Pack, beside, byte
from nmmo_jax.system import System
from nmmo_jax.systems.world import World
from nmmo_jax.values import check_choice, check_int, check_several, check_unique

TRADES = SKILLS[3:]  # skills in which something is crafted
MOST_RECIPES = 255
_PLACE, _LEVEL = 7, 11  # bits below the place, and the level, in the code of what is in a place; a quantity has 7


@dataclasses.dataclass(frozen=True)
class Recipe:
    """So many of a product, by a skill, of one or two ingredients.

    Attributes:
      product, amount: kind, and how many.
      skill: one of ``TRADES``.
      ingredients: kind and quantity of each.
    """

    product: int
    amount: int
    skill: str
    ingredients: tuple[tuple[int, int], ...]


RECIPES = (
    Recipe(RATION, 1, "fishing", ((FISH, 1), (WOOD, 1))),
    Recipe(RATION, 1, "fishing", ((MEAT, 1), (WOOD, 1))),
    Recipe(POTION, 1, "herbalism", ((HERB, 2),)),
    Recipe(WHETSTONE, 5, "prospecting", ((ORE, 1),)),
    Recipe(ARROW, 5, "carving", ((WOOD, 1),)),
    Recipe(RUNES, 5, "alchemy", ((CRYSTAL, 1),)),
    Recipe(SPEAR, 1, "prospecting", ((ORE, 2), (WOOD, 1))),
    Recipe(BOW, 1, "carving", ((WOOD, 2), (HERB, 1))),
    Recipe(WAND, 1, "alchemy", ((CRYSTAL, 2), (WOOD, 1))),
    Recipe(HAT, 1, "prospecting", ((ORE, 1), (HERB, 1))),
    Recipe(TOP, 1, "prospecting", ((ORE, 3), (CRYSTAL, 1))),
    Recipe(BOTTOM, 1, "prospecting", ((ORE, 2), (HERB, 1))),
    Recipe(ROD, 1, "carving", ((WOOD, 2), (ORE, 1))),
    Recipe(GLOVES, 1, "herbalism", ((HERB, 2), (WOOD, 1))),
    Recipe(PICKAXE, 1, "prospecting", ((ORE, 1), (WOOD, 1))),
    Recipe(AXE, 1, "carving", ((WOOD, 1), (ORE, 1))),
    Recipe(CHISEL, 1, "alchemy", ((CRYSTAL, 1), (ORE, 1))),
)


class Store(NamedTuple):
    """What of a pack can be taken for a craft.

    Attributes:
      kind: of what is not worn, else 0.
      code: level, place counted from the last, and quantity, in bits one below the other.
    """

    kind: Int8[Array, "12 N"]
    level: Int8[Array, "12 N"]
    quantity: Int8[Array, "12 N"]
    code: Int16[Array, "12 N"]


def _store(pack: Pack) -> Store:
    later = np.arange(PLACES - 1, -1, -1, dtype=np.int16)[:, None]
    level, quantity = (part.astype(jnp.int16) for part in (pack.level, pack.quantity))
    code = level << _LEVEL | later << _PLACE | quantity
    return apart(Store(jnp.where(pack.worn, jnp.int8(NONE), pack.kind), pack.level, pack.quantity, code))


def _taken(store: Store, kind: Any, quantity: Any, limit: Int8[Array, "N"]) -> Int16[Array, "N"]:
    """The place from which so many of a kind, of at most this level, are taken, as a code; 0: there are none.

    Of the places that would do, the one with the largest code is taken: of the highest level, of those the first.
    """
    kind, quantity, limit = beside(kind, quantity, limit)
    fits = (store.kind == kind) & (store.quantity >= quantity) & (store.level <= limit)
    return jnp.where(fits, store.code, jnp.int16(0)).max(axis=0)


def _left(code: Int16[Array, "N"], quantity: Any) -> Int16[Array, "N"]:
    """How many are left where so many are taken."""
    return (code & (1 << _PLACE) - 1) - jnp.asarray(quantity, code.dtype)


def _stacked(pack: Pack, kind: Any, amount: Any, most: Any, level: Int16[Array, "N"]) -> Bool[Array, "N"]:
    """Whether there is a stack of that kind and level with room for so many; ``most``: that a place has."""
    kind, room, level = beside(*(byte(jnp.asarray(number)) for number in (kind, most - amount, level)))
    return ((pack.kind == kind) & (pack.level == level) & (pack.quantity <= room)).any(axis=0)


def _roomy(pack: Pack) -> Bool[Array, "N"]:
    """Whether a place is empty."""
    return (pack.kind == NONE).any(axis=0)


def _limits(world: World) -> Int8[Array, "8 N"]:
    """Up to which level agents can craft, by skill."""
    limit = jnp.full((len(SKILLS), world.config.num_agents), MAX_LEVEL, jnp.int32)
    return apart(world.find("skills.level", limit).astype(jnp.int8))


@dataclasses.dataclass(frozen=True)
class Possible:
    """The mask: for which recipes of a table an agent has ingredients and room."""

    recipes: tuple[Recipe, ...]

    def __call__(self, world: World) -> Bool[Array, "N K"]:
        """Of nothing, and of each recipe."""
        pack, limits = carried(world), _limits(world)
        store, roomy, free = _store(pack), _roomy(pack), ~in_combat(world)
        needs = {(*one, recipe.skill) for recipe in self.recipes for one in recipe.ingredients}
        taken = {
            (kind, quantity, skill): _taken(store, kind, quantity, limits[SKILLS.index(skill)])
            for kind, quantity, skill in sorted(needs)
        }
        taken, free, roomy = apart((taken, free, roomy))
        can = [jnp.ones_like(free)]
        for recipe in self.recipes:
            codes = [(taken[*one, recipe.skill], one[1]) for one in recipe.ingredients]
            there, room, level = free, roomy, jnp.full(free.shape, MAX_LEVEL, jnp.int16)
            for code, quantity in codes:
                there &= code > 0
                room |= _left(code, quantity) == 0
                level = jnp.minimum(level, code >> _LEVEL)
            if (most := KINDS[recipe.product].most) > 1:
                room |= _stacked(pack, recipe.product, recipe.amount, most, level)
            can.append(there & room)
        return apart(jnp.stack(can)).T


@dataclasses.dataclass(frozen=True)
class Craft:
    """The phase: agents make what they have chosen from a table."""

    recipes: tuple[Recipe, ...]

    def __call__(self, world: World) -> World:
        """After it."""
        chosen = world.chosen("craft")
        rows = jnp.asarray(self._rows(), jnp.int32).T.at[:, jnp.maximum(chosen - 1, 0)].get(mode="clip")
        product, amount, skill, *ingredients = apart(rows)
        pack = carried(world)
        store = _store(pack)
        limit = apart(one_of(_limits(world), skill).astype(jnp.int8))
        makes, room = (chosen > 0) & ~in_combat(world), _roomy(pack)
        level = jnp.full(chosen.shape, MAX_LEVEL, jnp.int16)
        places = []
        for kind, quantity in zip(ingredients[::2], ingredients[1::2], strict=True):
            code, needed = _taken(store, kind.astype(jnp.int8), quantity.astype(jnp.int8), limit), quantity > 0
            makes &= (code > 0) | ~needed
            room |= needed & (_left(code, quantity) == 0)
            level = jnp.where(needed, jnp.minimum(level, code >> _LEVEL), level)
            places.append((needed, PLACES - 1 - ((code >> _PLACE) & 15).astype(jnp.int32), quantity))
        most = jnp.asarray([kind.most for kind in KINDS], jnp.int32)[product]
        makes &= room | _stacked(pack, product, amount, most, level)
        makes, level, product, amount, places = apart((makes, level, product, amount, places))
        for needed, place, quantity in places:
            world = world.through("items", functools.partial(take, who=makes & needed, place=place, amount=quantity))
        world = world.through("items", lambda w: put(w, makes, product, level, amount))
        for name in TRADES:
            world = world.tell(f"crafted_{name}", makes & (skill == SKILLS.index(name)), level)
        return world

    def _rows(self) -> list[tuple[int, ...]]:
        """Of each recipe product, amount, skill, and kind and quantity of two ingredients, 0 for none."""
        pairs = [(*recipe.ingredients, (NONE, 0))[:2] for recipe in self.recipes]
        rows = [(one.product, one.amount, SKILLS.index(one.skill)) for one in self.recipes]
        return [(*row, *first, *second) for row, (first, second) in zip(rows, pairs, strict=True)]


def has_crafted(before: World, after: World) -> Bool[Array, "N"]:
    """Who has less of some kind."""
    kinds = jnp.arange(1, len(KINDS), dtype=jnp.int32)

    def total(world: World) -> Int32[Array, "K N"]:
        there = world["items.kind"][:, None] == kinds[:, None]
        return jnp.where(there, world["items.quantity"][:, None], 0).sum(axis=0, dtype=jnp.int32)

    return (total(after) < total(before)).any(axis=0)


def crafts(recipes: Iterable[Recipe] = RECIPES) -> System:
    """The unit with a table of recipes of one's own; choice k is the k-th of them.

    Raises:
      ValueError: names the recipe, the value and what is allowed.
    """
    table = check_several("recipes", recipes, Recipe)
    check_int("recipes: how many", len(table), 1, MOST_RECIPES)
    table = tuple(_checked(f"recipe {number}", recipe) for number, recipe in enumerate(table, 1))
    meaning = "nothing, or which recipe"
    names = ("nothing", *(f"{one.amount} {KINDS[one.product].name} of {_told(one)}" for one in table))
    names = names if len({*names}) == len(names) else ()  # one that is there twice is told by its number
    mask = Possible(table)
    craft = Argument("craft", len(table) + 1, mask=mask, effect=has_crafted, meaning=meaning, names=names)
    return System(
        name="crafts",
        meaning="what is made of goods, by a table of recipes",
        needs=("items",),
        heads=(Head("craft", (craft,)),),
        events=tuple(f"crafted_{skill}" for skill in TRADES),
        phases=(Phase("act", Craft(table)),),
    )


def _told(recipe: Recipe) -> str:
    """The ingredients in words."""
    return ", ".join(f"{quantity} {KINDS[kind].name}" for kind, quantity in recipe.ingredients)


def _checked(told: str, recipe: Recipe) -> Recipe:
    """A recipe whose numbers are Python's own."""
    product = check_int(f"{told}: product", recipe.product, 1, len(KINDS) - 1)
    amount = check_int(f"{told}: amount of {KINDS[product].name}", recipe.amount, 1, KINDS[product].most)
    check_choice(f"{told}: skill", recipe.skill, TRADES)
    given = check_several(f"{told}: ingredients", recipe.ingredients, tuple | list)
    check_int(f"{told}: ingredients: how many", len(given), 1, 2)
    ingredients = []
    for one in given:
        if len(one) != 2:
            raise ValueError(f"{told}: ingredient {one!r}: must be (kind, quantity)")
        kind = check_int(f"{told}: kind of an ingredient", one[0], 1, len(KINDS) - 1)
        quantity = check_int(f"{told}: quantity of {KINDS[kind].name}", one[1], 1, KINDS[kind].most)
        ingredients.append((kind, quantity))
    names = [KINDS[kind].name for kind in (product, *(kind for kind, _ in ingredients))]
    check_unique(f"{told}: product and ingredients", names)
    return Recipe(product, amount, recipe.skill, tuple(ingredients))


CRAFTS = crafts()
