"""A scripted policy that is shown the whole realm: the ceiling that learners are measured against.

Its maps of distances are found by relaxation: every tile takes the smallest distance beside it plus one, a
fixed number of times over. One map serves all agents of a realm.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Int32, PRNGKeyArray, UInt8

from nmmo_jax.actions import Action
from nmmo_jax.components import Realm
from nmmo_jax.kinds import Material
from nmmo_jax.observations import Observation
from nmmo_jax.policies.foraging import (
    FAR,
    MOST,
    MOVES,
    Mask,
    Places,
    expected_food,
    expected_water,
    forage,
    heading,
    in_peace,
    is_thirsty,
    may_stand,
)
from nmmo_jax.systems.movement import DIRECTIONS

SWEEPS = 24  # how far food and water are sought, in steps
CLAIM_SWEEPS = 8  # how far from itself an agent claims forests, in steps

# Habits, found by trial like those of the forager; in steps.
WAIT_COST = 2  # for each tick until a forest is ready again
SECOND_HAND = 3  # for a forest that another agent is nearer to, but not going to next
MODEST = 24  # an agent with this much food or more lets others go first, a step for each unit
PATIENCE = 10  # units of food that make the difference of one step below that

UNCLAIMED = FAR << 16


def planner(key: PRNGKeyArray, obs: Observation, mask: Mask, realm: Realm) -> Action:
    """Goes to the best forest that no one else is about to take, and to the nearest water; attacks nobody."""
    agents, material = realm.agents, realm.tiles.material
    rows, columns = material.shape
    directions = jnp.asarray(DIRECTIONS, jnp.int32)
    row = agents.row.astype(jnp.int32)[:, None] + directions[None, :, 0]
    col = agents.col.astype(jnp.int32)[:, None] + directions[None, :, 1]
    place = jnp.clip(row, 0, rows - 1) * columns + jnp.clip(col, 0, columns - 1)

    ground = may_stand(material)
    forest = (material == Material.FOREST) & ground
    wait = jnp.clip(realm.tiles.ready_tick - realm.tick, 0, FAR)
    shore = functools.reduce(jnp.logical_or, shifts(material == Material.WATER, False)) & ground
    water = at(relax(jnp.where(shore, 0, FAR), ground, SWEEPS), place)
    places = Places(
        food=jnp.full_like(water, FAR),
        water=water,
        away=(jnp.arange(MOVES, dtype=jnp.int32)[None] != heading(key, obs)[:, None]).astype(jnp.int32),
        safe=at(ground, place).astype(bool) & mask["move"],
        on_forest=at(forest & (wait == 0), place)[:, 0].astype(bool),
        beside_water=water[:, 0] == 0,
    )
    here = jnp.where(agents.alive, place[:, 0], rows * columns)
    occupied = jnp.zeros(rows * columns, bool).at[here].set(True, mode="drop").reshape(rows, columns)
    eaten_now = occupied & (wait == 0)
    cost = jnp.where(forest & ~eaten_now, jnp.minimum(WAIT_COST * wait, FAR), FAR)
    food = share_out(cost, ground, here, place, delay(obs, places))
    return in_peace(forage(key, obs, places.replace(food=food)))


def delay(obs: Observation, places: Places) -> Int32[Array, "N"]:
    """How much later than its distance says an agent comes to a forest: the hungry go first, drinking takes time."""
    food = expected_food(obs, places)
    drinking = places.water[:, 0] + (MOST - expected_water(obs, places)) // 4
    return jnp.where(is_thirsty(obs, places), drinking, 0) + jnp.maximum(food - MODEST + 1, 0) + food // PATIENCE


def share_out(
    cost: Int32[Array, "R C"],
    ground: Bool[Array, "R C"],
    here: Int32[Array, "N"],
    place: Int32[Array, "N 5"],
    late: Int32[Array, "N"],
) -> Int32[Array, "N 5"]:
    """Distances to the forests, shared among the agents.

    Every tile belongs to the agent that can be there first. An agent goes to the cheapest forest of its own
    tiles, its goal, or, at a price, to any that is nobody's goal. A shortest way to one's own tiles
    leads over one's own tiles, so one map holds the distances of all.

    Args:
      cost: of each forest tile in steps beyond the way to it; FAR: not a goal.
      here: flat index of each agent's tile; R * C for empty slots.
      place: flat indices of that tile and of those beside it.
      late: steps by which each agent comes later than its distance says.
    """
    n = here.size
    owner, arrival = claim(here, late, ground)
    own = relax(cost, ground, CLAIM_SWEEPS, owner)
    best = jnp.append(at(own, place[:, 0]) + late, -1)  # of nobody (owner n): never
    is_goal = arrival + cost <= best[owner]
    left = relax(jnp.where(is_goal, FAR, cost), ground, SWEEPS)
    mine = at(owner, place) == jnp.arange(n, dtype=jnp.int32)[:, None]
    return jnp.minimum(jnp.where(mine, at(own, place), FAR), jnp.minimum(at(left, place) + SECOND_HAND, FAR))


def claim(
    here: Int32[Array, "N"], late: Int32[Array, "N"], ground: Bool[Array, "R C"]
) -> tuple[Int32[Array, "R C"], Int32[Array, "R C"]]:
    """Who is first at each tile (N: nobody within ``CLAIM_SWEEPS``) and when, in steps; ties go to the lower slot."""
    n = here.size
    start = jnp.minimum((late << 16) + jnp.arange(n, dtype=jnp.int32), UNCLAIMED)
    first = jnp.full(ground.size, UNCLAIMED, jnp.int32).at[here].min(start, mode="drop").reshape(ground.shape)

    def sweep(_, first):
        nearest = functools.reduce(jnp.minimum, shifts(first, UNCLAIMED))
        return jnp.where(ground, jnp.minimum(first, nearest + (1 << 16)), UNCLAIMED)

    first = jax.lax.fori_loop(0, CLAIM_SWEEPS, sweep, first)
    return jnp.where(first < UNCLAIMED, first & 0xFFFF, n), first >> 16


def relax(
    cost: Int32[Array, "R C"], ground: Bool[Array, "R C"], sweeps: int, owner: Int32[Array, "R C"] | None = None
) -> UInt8[Array, "R C"]:
    """The smallest cost plus way over walkable tiles, at most FAR; with ``owner``, over tiles of the same owner."""
    field = jnp.where(ground, cost, FAR).astype(jnp.uint8)
    walls = (
        [jnp.uint8(0)] * 4
        if owner is None
        else [jnp.where(o == owner, 0, FAR).astype(jnp.uint8) for o in shifts(owner, -1)]
    )

    def sweep(_, field):
        best = field
        for neighbour, wall in zip(shifts(field, FAR), walls, strict=True):
            best = jnp.minimum(best, neighbour + 1 + wall)
        return jnp.where(ground, best, FAR).astype(jnp.uint8)

    return jax.lax.fori_loop(0, sweeps, sweep, field)


def shifts(field: Array, fill: int) -> list[Array]:
    """The values of the four tiles beside each tile; ``fill`` outside the map."""
    row, column = jnp.full_like(field[:1], fill), jnp.full_like(field[:, :1], fill)
    return [
        jnp.concatenate([field[:, 1:], column], axis=1),
        jnp.concatenate([field[1:], row], axis=0),
        jnp.concatenate([column, field[:, :-1]], axis=1),
        jnp.concatenate([row, field[:-1]], axis=0),
    ]


def at(field: Int[Array, "R C"], place: Int32[Array, "*K"]) -> Int32[Array, "*K"]:
    """Values at flat indices."""
    return field.reshape(-1)[place].astype(jnp.int32)
