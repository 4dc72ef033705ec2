"""What is worth reaching or fleeing, and the steps to it: for networks that ask, and for scripts.

A ``Goal`` says which of the tiles in view are such; the classic ones are below, systems declare their own. The steps to
the nearest of each, from one's own tile and the four beside it, are found by one search for all.

>>> obs = with_steps(obs, config)  # obs.steps, [N, G, 5]
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int16, Int32

from nmmo_jax.common.spelling import near
from nmmo_jax.config import Config
from nmmo_jax.declarations import Goal
from nmmo_jax.observations import FEATURES, Observation
from nmmo_jax.paths import Bits, Race, middle, nearest_of, pack, reached_by_others, spread, steps_to

RACE_STEPS = 3  # how far ahead agents see that another one reaches a place first
CLAIM_STEPS = 8  # how far from itself an agent claims places
HUNGER = 6  # units of food that make a difference between two who claim the same
LEAD = 2  # steps that this difference is worth
_ROW, _COL = (list(FEATURES).index(f"{name}_difference") for name in ("row", "col"))
_FOOD, _SAME = (list(FEATURES).index(name) for name in ("food", "same_population"))


class View:
    """Windows of N agents as bits, one word per row: what goals are made of. ``&``, ``|`` and ``~`` put them together.

    Of windows larger than a word holds it is the middle. ``~`` sets bits beyond the window: ``& view.ground`` after it.
    """

    def __init__(self, obs: Observation, config: Config):
        self.obs, self.config = obs, config
        self._tiles = middle(obs.tiles)

    @functools.cached_property
    def ground(self) -> Bits:
        """Where one can stand and live: all walkable tiles but lava."""
        return pack(functools.reduce(jnp.logical_or, (self._tiles[:, 0] == number for number in self.config.livable)))

    @functools.cached_property
    def here(self) -> Bits:
        """One's own tile."""
        radius = self._tiles.shape[-1] // 2
        return jnp.zeros_like(self.ground).at[radius].set(1 << radius)

    @functools.cached_property
    def others(self) -> Bits:
        """Tiles on which others stand; not one's own."""
        return pack(self._tiles[:, 1] > 0) & ~self.here

    def material(self, name: str) -> Bits:
        """Tiles of a material, as observed: a forest is one that is ready."""
        names = self.config.material_names
        if name not in names:
            raise ValueError(f"material {name!r}: there are {', '.join(names)}{near(name, names)}")
        return pack(self._tiles[:, 0] == names.index(name))

    def beside(self, places: Bits) -> Bits:
        """Where one can stand at or beside those places."""
        return spread(places) & self.ground

    def agents(self, same_population: bool) -> Bits:
        """Tiles of the visible others, of one's own population or of all the others."""
        visible, which = self.obs.visible[:, 1:], self.obs.visible_slot[:, 1:] >= 0
        which &= (visible[..., _SAME] > 0) == same_population
        return self.places(visible[..., _ROW], visible[..., _COL], which)

    def listed(self, name: str) -> Bits:
        """Tiles of what a system lists, by name of a ``Listing`` with the columns ``row`` and ``col``."""
        if name not in self.config.lists:
            there = ", ".join(self.config.lists) or "none"
            raise ValueError(f"list {name!r}: there are {there}{near(name, self.config.lists)}")
        columns = [column.name for column in self.config.lists[name].columns]
        if not {"row", "col"} <= {*columns}:
            raise ValueError(f"list {name!r}: must have the columns row and col, has {', '.join(columns)}")
        row, col = (self.obs.of[name][..., columns.index(place)] for place in ("row", "col"))
        return self.places(row, col, self.obs.rows[name] >= 0)

    def shown(self, name: str) -> Bits:
        """Where a ``Leaf`` with a number for each tile in view, shape ``("view", "view")``, is not 0."""
        if name not in self.obs.of or self.obs.of[name].shape[1:] != self.obs.tiles.shape[2:]:
            raise ValueError(f"observation {name!r}: must be one of shape ('view', 'view')")
        plane = (self.obs.of[name] != 0).astype(jnp.uint8)[:, None]
        return pack(middle(plane)[:, 0] > 0)

    def places(self, row: Int16[Array, "N K"], col: Int16[Array, "N K"], which: Bool[Array, "N K"]) -> Bits:
        """Tiles by their differences from one's own; those that are not in the window do not count."""
        width = self._tiles.shape[-1]
        row, col = row.astype(jnp.int32) + width // 2, col.astype(jnp.int32) + width // 2
        which = which & (row >= 0) & (row < width) & (col >= 0) & (col < width)
        bit = jnp.where(which, jnp.left_shift(1, jnp.where(which, col, 0)), 0).astype(self.ground.dtype).T

        def one_by_one(row, bit):  # all at once a CPU would go number by number, and find every bit anew for each row
            bit, row = jax.lax.optimization_barrier((bit, row.astype(jnp.int16)))
            index, result = jnp.arange(width, dtype=jnp.int16)[:, None], jnp.zeros_like(self.ground)
            for one in range(len(bit)):
                result |= jnp.where(index == row[one][None], bit[one][None], 0)
            return result

        def at_once(row, bit):
            at = row[None] == jnp.arange(width, dtype=jnp.int32)[:, None, None]  # [W, K, N]
            return jax.lax.reduce(jnp.where(at, bit[None], 0), jnp.zeros((), bit.dtype), jax.lax.bitwise_or, (1,))

        return jax.lax.platform_dependent(row.T, bit, cpu=one_by_one, default=at_once)

    def edge(self, towards: Int32[Array, "N"]) -> Bits:
        """Where one can stand on the edge of the window that lies in a direction, a move 1 to 4."""
        width = self.ground.shape[0]
        row, towards = jnp.arange(width, dtype=jnp.int32)[:, None], towards[None]
        on_edge = ((towards == 2) & (row == width - 1)) | ((towards == 4) & (row == 0))
        column = jnp.where(towards == 1, 1 << (width - 1), jnp.where(towards == 3, 1, 0))
        return jnp.where(on_edge, (1 << width) - 1, column).astype(self.ground.dtype) & self.ground

    def mine(self, places: Bits) -> Bits:
        """Of those places the ones that no other agent reaches before one or with one, as far as ``RACE_STEPS``."""
        return places & ~self.here & ~reached_by_others(self.here, self.others, self.ground, RACE_STEPS)

    def claimed(self, places: Bits) -> Bits:
        """Of those places, where nobody stands yet, the ones that no other agent claims by being first there."""
        return places & ~self.here & ~self.others & ~self._claims

    def left(self, places: Bits) -> Bits:
        """Of the places that others claim the ones to which nobody goes, if each goes to the nearest that it claims."""
        theirs = places & ~self.here & ~self.others & self._claims
        return theirs & ~nearest_of(self.others, theirs, self._claims & self.ground, CLAIM_STEPS)

    @functools.cached_property
    def _claims(self) -> Bits:
        """Tiles of which others are first within ``CLAIM_STEPS``; of two as near, the one further up or left.

        The hungry come first: of those who are listed, who has less food than oneself by ``HUNGER`` leads by ``LEAD``
        steps, who has more by as much comes that much later.
        """
        width = len(self.here)
        row, centre = np.arange(width)[:, None], width // 2
        upper = np.where(row < centre, (1 << width) - 1, np.where(row == centre, (1 << centre) - 1, 0))
        food = self.obs.visible[..., _FOOD].astype(jnp.int32)
        more, there = food[:, 1:] - food[:, :1], self.obs.visible_slot[:, 1:] >= 0
        places = self.obs.visible[:, 1:, _ROW], self.obs.visible[:, 1:, _COL]
        early = self.places(*places, there & (more < -HUNGER))
        late = self.places(*places, there & (more > HUNGER)) & ~early
        nobody, equal = jnp.zeros_like(early), self.others & ~early & ~late
        first = equal & upper.astype(equal.dtype)
        race = Race(nobody, early, nobody).run(self.ground, LEAD).enter(self.here, first, equal & ~first)
        race = race.run(self.ground, LEAD).enter(nobody, nobody, late).run(self.ground, CLAIM_STEPS)
        return race.first | race.last


CLASSIC = (
    Goal("forest", lambda view: view.material("forest"), "a ready forest"),
    Goal("own_forest", lambda view: view.mine(view.material("forest")), "one that nobody else reaches first"),
    Goal("claimed_forest", lambda view: view.claimed(view.material("forest")), "one that is one's own by distance"),
    Goal("left_forest", lambda view: view.left(view.material("forest")), "another's to which nobody goes"),
    Goal("shore", lambda view: view.beside(view.material("water")), "a tile beside water"),
    Goal("others", lambda view: view.others, "another agent"),
)


def goals(config: Config) -> tuple[Goal, ...]:
    """The goals of a world, the classic ones and those of its systems, in the order of ``Observation.steps``."""
    return (*CLASSIC, *(goal for system in config.systems for goal in system.goals))


def with_steps(obs: Observation, config: Config) -> Observation:
    """The observation, any leading axes, with ``steps``: to the nearest of each of ``goals(config)``.

    Raises:
      ValueError: a goal that asks for what is not there, or gives something else than bits of the window.
    """
    batch = obs.self.shape[:-1]
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), obs)
    view, places = View(flat, config), []
    for goal in goals(config):
        bits = goal.places(view)
        if jnp.shape(bits) != view.ground.shape or bits.dtype != view.ground.dtype:
            told = f"{getattr(bits, 'dtype', type(bits).__name__)} of shape {jnp.shape(bits)}"
            must = f"bits of the view, {view.ground.dtype} of shape {view.ground.shape}"
            raise ValueError(f"goal {goal.name}: {told}: must be {must}")
        places.append(bits)
    steps = jnp.moveaxis(steps_to(jnp.stack(places), view.ground), -1, 0)
    return dataclasses.replace(obs, steps=jax.lax.stop_gradient(steps).reshape(*batch, *steps.shape[1:]))
