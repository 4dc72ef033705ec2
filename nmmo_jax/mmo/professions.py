"""Professions: what can be mined, felled, crushed, picked and fished, and grows again."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int32, UInt32

from nmmo_jax.common.apart import apart
from nmmo_jax.common.lookup import one_of
from nmmo_jax.config import Config
from nmmo_jax.declarations import Goal, NewMaterial, Phase, Rule
from nmmo_jax.draws import coin
from nmmo_jax.goals import View
from nmmo_jax.kinds import Material
from nmmo_jax.mmo.items import held, place_for, put
from nmmo_jax.mmo.kinds import (
    AXE,
    BOW,
    CHISEL,
    CRYSTAL,
    FISH,
    GLOVES,
    HERB,
    KINDS,
    MAX_LEVEL,
    NONE,
    ORE,
    PICKAXE,
    ROD,
    SPEAR,
    WAND,
    WOOD,
)
from nmmo_jax.paths import Bits
from nmmo_jax.system import System
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.systems.world import World
from nmmo_jax.world.tiles import grid

CONTEST, WAIT, FIND = range(3)  # counters of chance


@dataclasses.dataclass(frozen=True)
class Resource:
    """A material that is harvested.

    Attributes:
      material, spent: as which its tiles are seen, ready and not.
      colors: of both.
      regrowth: the default of its rule, per tick.
      tool: kind that makes its products better.
      product: kind that is harvested.
      event: what a harvest is called.
      find: kind that may be found beside the product.
      beside: whether agents stand beside it, and not on it.
    """

    material: str
    spent: str
    colors: tuple[str, str]
    regrowth: float
    tool: int
    product: int
    event: str
    find: int = NONE
    beside: bool = False


RESOURCES = (
    Resource("vein", "slag", ("#241922", "#b1c1b0"), 0.1, PICKAXE, ORE, "mined", find=WAND),
    Resource("tree", "stump", ("#773200", "#e1897c"), 0.105, AXE, WOOD, "felled", find=SPEAR),
    Resource("gems", "shards", ("#fa1ee4", "#cc88cc"), 0.1, CHISEL, CRYSTAL, "crushed", find=BOW),
    Resource("herbs", "weeds", ("#b5ff6b", "#8b7443"), 0.02, GLOVES, HERB, "picked"),
    Resource("shoal", "ocean", ("#7fffff", "#000ea9"), 0.02, ROD, FISH, "fished", beside=True),
)
CROSSES = ("vein", "tree", "gems")  # of several that meet on a tile the first
# So that 1,000 tiles of land have as much of each as in Neural MMO 2.1, at any size: rulebook-mmo, "Terrain".
CENTRES = 5  # of each kind of cross, of 1,024 tiles of grass and forest
HERBS = 3  # of 128
SHOALS = 1  # of 4 tiles of water beside grass


def sought(world: World) -> tuple[Int32[Array, "N"], Int32[Array, "N"]]:
    """What each agent harvests, by its place in ``RESOURCES`` (-1: nothing), and the flat index of the tile."""
    rows, columns = world.tiles.size
    step = np.array(DIRECTIONS, np.int32)[..., None]
    row, col = (
        at.astype(jnp.int32)[None] + step[:, axis] for axis, at in enumerate((world.agents.row, world.agents.col))
    )
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < columns)
    place = apart(jnp.where(inside, row * world.config.columns + col, world.place))
    material = apart(world.tiles.material.reshape(-1).at[place].get(mode="clip"))
    known = [world.number_of(one.material) for one in RESOURCES]
    some = functools.reduce(jnp.logical_or, (material == number for number in known))
    ready = apart(world.ready(jnp.where(some, place, 0)))  # most stand nowhere near one: theirs is in the cache
    found, where = jnp.full(world.place.shape, -1, jnp.int32), world.place
    for direction in reversed(range(len(DIRECTIONS))):  # the first is the last to be written
        for index, one in enumerate(RESOURCES):
            if one.beside == (direction > 0):
                there = material[direction] == known[index]
                there &= inside[direction] & ready[direction]
                found = jnp.where(there, index, found)
                where = jnp.where(there, place[direction], where)
    return found, where


def harvest(world: World) -> World:
    """Who gets a tile has its product, and sometimes finds a weapon; the tile is spent for a while."""
    resource, place = sought(world)
    tool, product, find = (
        one_of([getattr(one, name) for one in RESOURCES], resource) for name in ("tool", "product", "find")
    )
    kind, level = held(world)
    level = jnp.where(kind == tool, jnp.minimum(level + 1, MAX_LEVEL), 1)
    fits = (resource >= 0) & (place_for(world, product, level, 1) >= 0)
    gets = world.winners(jnp.where(fits, place, -1), CONTEST)
    again = one_of([getattr(world.rule, f"{one.material}_regrowth") for one in RESOURCES], resource)
    gets, place, again = apart((gets, place, again))
    world = world.deplete(gets, place, again, WAIT).through("items", lambda w: put(w, gets, product, level, 1))
    finds = gets & (find != NONE) & coin(world.words(FIND)[:, 0], world.rule.find)
    finds &= place_for(world, find, level, 1) >= 0
    world = world.through("items", lambda w: put(w, finds, find, level, 1)).tell("weapon_found", finds, level)
    for index, one in enumerate(RESOURCES):
        world = world.tell(one.event, gets & (resource == index), level)
    return world


def grow(material: Int[Array, "R C"], words: UInt32[Array, "R C"], config: Config) -> Int[Array, "R C"]:
    """Crosses of vein, tree and gems, and herbs, where grass and forest are; shoals in water beside grass."""
    row, col = grid(config.rows, config.columns)
    to_row_edge, to_col_edge = jnp.minimum(row, config.rows - 1 - row), jnp.minimum(col, config.columns - 1 - col)
    inside = jnp.minimum(to_row_edge, to_col_edge) > config.border  # of the ring of grass
    number = config.material_names.index
    grass = material == Material.GRASS
    ground = inside & (grass | (material == Material.FOREST))
    cross, herbs, shoal = (words & 0x3FF) // CENTRES, (words >> 10) & 0x7F, (words >> 17) & 3
    result = jnp.where(ground & (herbs < HERBS), number("herbs"), material)
    for index, name in reversed([*enumerate(CROSSES)]):
        result = jnp.where(ground & _around(ground & (cross == index)), number(name), result)
    return jnp.where((material == Material.WATER) & _around(grass) & (shoal < SHOALS), number("shoal"), result)


def _around(places: Bool[Array, "R C"]) -> Bool[Array, "R C"]:
    """These places and the four beside each."""
    rows, columns = places.shape
    wide = jnp.pad(places, 1)
    return functools.reduce(
        jnp.logical_or, (wide[1 + row : 1 + row + rows, 1 + col : 1 + col + columns] for row, col in DIRECTIONS)
    )


@dataclasses.dataclass(frozen=True)
class Unclaimed:
    """A goal: tiles from which a resource is harvested, to which nobody else is nearer."""

    resource: Resource

    def __call__(self, view: View) -> Bits:
        """Bits of the window."""
        places = view.material(self.resource.material)
        return view.claimed(view.beside(places) if self.resource.beside else places)


PROFESSIONS = System(
    name="professions",
    meaning="what can be mined, felled, crushed, picked and fished",
    needs=("items",),
    rules=(
        *(
            Rule(
                f"{one.material}_regrowth",
                one.regrowth,
                unit="per tick",
                meaning=f"that {one.spent} is {one.material} again",
                dtype="float32",
                high=1,
            )
            for one in RESOURCES
        ),
        Rule("find", 0.025, unit="per harvest", meaning="that a weapon is found", dtype="float32", high=1),
    ),
    materials=(
        *(
            NewMaterial(one.material, not one.beside, one.colors[0], f"gives {KINDS[one.product].name}", one.spent)
            for one in RESOURCES
        ),
        *(NewMaterial(one.spent, not one.beside, one.colors[1], f"{one.material}, not ready") for one in RESOURCES),
    ),
    terrain=grow,
    events=(*(one.event for one in RESOURCES), "weapon_found"),
    goals=tuple(
        Goal(one.material, Unclaimed(one), f"{'beside ' if one.beside else ''}{one.material}, and nobody is nearer")
        for one in RESOURCES
    ),
    phases=(Phase("vitals", harvest),),
)
