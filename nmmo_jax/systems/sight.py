"""What agents see of systems: lists of rows of tables, numbers, and masks of what they can choose."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int16, Int32

from nmmo_jax.common.apart import apart
from nmmo_jax.common.lookup import lookup
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.declarations import Argument, Leaf
from nmmo_jax.neighbours import find_things
from nmmo_jax.rules import Rules
from nmmo_jax.system import Listed
from nmmo_jax.systems.tables import whole
from nmmo_jax.systems.world import World

SHORT = np.iinfo(np.int16)
PLACES = ("row", "col")


def look(
    realm: Realm,
    rules: Rules,
    config: Config,
    observer: Bool[Array, "N"],
    able: Bool[Array, "N"],
    visible_slot: Int32[Array, "N V"],
    visible: dict[str, Int16[Array, "N V"]],
) -> tuple[dict[str, Int16[Array, "N ..."]], dict[str, Int32[Array, "N K"]], dict[str, Bool[Array, "N A"]]]:
    """What systems show every agent: by name, the rows that are listed, and masks by argument.

    Args:
      observer: who looks; rows of others are zero (nothing is listed).
      able: who will act.
      visible: attributes of those whom each lists, as observed, by name.
    """
    seen = {"visible_slot": visible_slot, "visible": visible}
    worlds = {
        system.name: World(system, "observe", realm, rules, config, observer, able, **seen) for system in config.systems
    }
    listed = apart({name: _rows(one, worlds[one.shower.name]) for name, one in config.lists.items()})
    worlds = {name: dataclasses.replace(world, listed=listed) for name, world in worlds.items()}
    shown = apart({name: _entries(one, worlds[one.shower.name], listed[name]) for name, one in config.lists.items()})
    worlds = {name: dataclasses.replace(world, entries=shown) for name, world in worlds.items()}
    shown = {**shown}
    for world in worlds.values():
        shown |= {leaf.name: _leaf(leaf, world) for leaf in world.system.leaves}
    masks = {
        one.name: _mask(one, world, able)
        for world in worlds.values()
        for head in config.own_heads[world.system.name]
        for one in head.arguments
    }
    return shown, listed, masks


def leaf_shape(leaf: Leaf, config: Config) -> tuple[int, ...]:
    """The shape of what a system shows one agent."""
    return tuple(config.view if size == "view" else int(size) for size in leaf.shape)


def bounds_of(one: Listed, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """What the columns of a list can be as they are shown, int16 ``[F]`` each."""
    far: dict[str, int] = {"row": config.rows - 1, "col": config.columns - 1}
    if one.listing.table == "own":
        far = {}
    elif one.listing.rows is None:
        far = dict.fromkeys(PLACES, config.radius)
    limits = [(-far[one.name], far[one.name]) if one.name in far else one.bounds for one in one.columns]
    low, high = np.clip(np.array(limits, np.int64), SHORT.min, SHORT.max).astype(np.int16).T
    return low, high


def _rows(one: Listed, world: World) -> Int32[Array, "N K"]:
    """Which rows of its table each agent sees; -1 for none."""
    listing, config, number = one.listing, world.config, one.rows or world.config.num_agents
    shape = (config.num_agents, listing.most)
    if listing.rows is not None:
        rows = jnp.asarray(listing.rows(world))
        if rows.shape != shape or not jnp.issubdtype(rows.dtype, jnp.integer):
            told = f"{rows.dtype} of shape {rows.shape}: must be whole numbers of shape {shape}"
            raise ValueError(f"system {one.shower.name}: rows of {listing.name}: {told}")
        rows = rows.astype(jnp.int32)
    elif listing.table == "own":
        rows = jnp.broadcast_to(jnp.arange(listing.most, dtype=jnp.int32), shape)
    elif listing.table == "agents":
        assert world.visible_slot is not None
        some = world.visible_slot[:, : listing.most]
        rows = jnp.pad(some, [(0, 0), (0, listing.most - some.shape[1])], constant_values=-1)
    else:
        table = world.realm.of[one.keeper.name][one.table]
        rows = find_things(world.agents, world.turn, table, listing.near, listing.most, config)
    if listing.table == "own":
        return jnp.where((rows >= 0) & world.turn[:, None], jnp.arange(listing.most, dtype=jnp.int32), -1)
    if listing.rows is None:  # only the living are found
        return jnp.where(world.turn[:, None], rows, -1)
    alive = world.agents.alive if listing.table == "agents" else world.realm.of[one.keeper.name][one.table]["alive"]
    itself = jnp.zeros(rows.shape, bool)
    if listing.table == "agents":  # who has just left looks once more, at itself too
        itself = rows == jnp.arange(config.num_agents, dtype=jnp.int32)[:, None]
    there = (rows >= 0) & (rows < number) & (lookup(alive, rows, 0).astype(bool) | itself) & world.turn[:, None]
    return jnp.where(there, rows, -1)


def _entries(one: Listed, world: World, rows: Int32[Array, "N K"]) -> Int16[Array, "N K F"]:
    """The columns of what is listed, as they are shown; zero where the list has ended."""
    agents = world.agents
    own = {"row": agents.row, "col": agents.col}
    keeper = world.realm.of[one.keeper.name]
    table = {**keeper, **own} if one.listing.table in ("agents", "own") else keeper[one.table]
    low, high = bounds_of(one, world.config)
    columns = [jnp.clip(whole(table[name], name), SHORT.min, SHORT.max) for name in (each.name for each in one.columns)]
    values = apart(jnp.stack([column.astype(jnp.int16) for column in columns], axis=-1))
    if one.listing.table == "own":
        values = values.swapaxes(0, 1)
    else:
        nothing = jnp.zeros_like(agents.row)
        places = [own[each.name] if each.name in PLACES else nothing for each in one.columns]
        place = jnp.stack(places, axis=-1).astype(jnp.int32)
        values = apart(values.at[rows].get(mode="clip")).astype(jnp.int32) - place[:, None]  # one look for all columns
    low, high = (limit.astype(np.int32)[None, None] for limit in (low, high))
    values = jnp.clip(values.astype(jnp.int32), low, high)
    return jnp.where((rows >= 0)[..., None], values, 0).astype(jnp.int16)


def _leaf(leaf: Leaf, world: World) -> Int16[Array, "N ..."]:
    """What a system shows each agent; zero where nobody looks."""
    values, shape = jnp.asarray(leaf.function(world)), (world.config.num_agents, *leaf_shape(leaf, world.config))
    if values.shape != shape or not (jnp.issubdtype(values.dtype, jnp.integer) or values.dtype == bool):
        told = f"{values.dtype} of shape {values.shape}: must be whole numbers of shape {shape}"
        raise ValueError(f"system {world.system.name}: observation {leaf.name}: {told}")
    values = jnp.clip(whole(values, f"observation {leaf.name}"), leaf.low, leaf.high).astype(jnp.int16)
    return jnp.where(world.turn.reshape(-1, *[1] * (values.ndim - 1)), values, 0)


def _mask(argument: Argument, world: World, able: Bool[Array, "N"]) -> Bool[Array, "N A"]:
    """Which choices of a system's argument, as in ``Config.own_heads``, do something; nothing is always allowed."""
    config = world.config
    assert world.visible_slot is not None
    if argument.among == "visible":
        there = world.visible_slot >= 0
    elif argument.among == "window":
        there = tiles_in_view(world.agents.row, world.agents.col, config) >= 0
    elif argument.among:
        there = world.listed[argument.among] >= 0
    else:
        there = jnp.ones((config.num_agents, argument.size), bool)
    allowed = there if argument.mask is None else jnp.asarray(argument.mask(world))
    if allowed.shape != there.shape or allowed.dtype != bool:
        told = f"{allowed.dtype} of shape {allowed.shape}: must be bool of shape {there.shape}"
        raise ValueError(f"system {world.system.name}: mask of {argument.name}: {told}")
    allowed &= there & able[:, None]
    if argument.among in world.listed:
        allowed = jnp.pad(allowed, [(0, 0), (1, 0)])  # the first is nothing
    return allowed | (np.arange(argument.size) == argument.nothing)[None]


def tiles_in_view(row: Int16[Array, "*B"], col: Int16[Array, "*B"], config: Config) -> Int32[Array, "*B W*W"]:
    """Flat indices (row * C + column) of the tiles in the window of who stands there, row by row; -1 beyond the map."""
    step = np.arange(config.view**2, dtype=np.int32)
    step = step.reshape(*[1] * row.ndim, -1)
    row = row.astype(jnp.int32)[..., None] + (step // config.view - config.radius)
    col = col.astype(jnp.int32)[..., None] + (step % config.view - config.radius)
    inside = (row >= 0) & (row < config.rows) & (col >= 0) & (col < config.columns)
    return jnp.where(inside, row * config.columns + col, -1)
