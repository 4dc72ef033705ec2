"""The tables: everything a realm is, as fixed-capacity arrays.

Shapes are those of one realm; ``vectorize`` puts a realm axis in front. N = ``Config.num_agents``,
R x C = ``Config.rows`` x ``Config.columns``, P = ``Config.num_populations``, S = perimeter of the padded map.
"""

import dataclasses
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int16, Int32, Shaped, UInt8, UInt32

from nmmo_jax.config import Config
from nmmo_jax.declarations import Column
from nmmo_jax.kinds import Cause as Cause
from nmmo_jax.kinds import Material
from nmmo_jax.system import System

NEVER = 2**31 - 1  # a tick that does not come
NO_UID = -1
NO_DAMAGE = -1


class Tiles(flax.struct.PyTreeNode):
    """The map. Only ``ready_tick`` changes during play: of forests, and of what ``NewMaterial.spent`` speaks of."""

    material: UInt8[Array, "R C"]  # underlying material; a depleted forest stays forest here
    ready_tick: Int32[Array, "R C"]  # tick from which a tile is ready (0 at first, NEVER: not again)
    spawn_tile: Int32[Array, "S"]  # flat indices (row * C + column) of the spawn tiles, row-major; rest 0
    num_spawn_tiles: Int32[Array, ""]
    size: Int32[Array, "2"]  # rows and columns of the map itself; what is padded beyond cannot be entered


class Agents(flax.struct.PyTreeNode):
    """The agents, one row per slot. Rows of empty slots hold leftovers that mean nothing."""

    alive: Bool[Array, "N"]  # holds its place (sequential: so does, for one tick, who died after its turn)
    uid: Int32[Array, "N"]  # order of birth in this realm, never reused; -1 in an empty slot
    population: Int16[Array, "N"]
    row: Int16[Array, "N"]
    col: Int16[Array, "N"]
    health: Int16[Array, "N"]
    food: Int16[Array, "N"]
    water: Int16[Array, "N"]
    freeze: Int16[Array, "N"]  # ticks, the coming vitals' countdown included
    age: Int32[Array, "N"]  # completed vitals
    damage: Int32[Array, "N"]  # taken since the last vitals; -1: none


class Killer(flax.struct.PyTreeNode):
    """Who brought each agent's health to zero, and how; -1: nobody."""

    uid: Int32[Array, "N"]
    style: Int32[Array, "N"]


class Probes(flax.struct.PyTreeNode):
    """Instruments that play never reads; None where ``Config`` leaves them off."""

    visits: Int32[Array, "P R C"] | None = None  # agent-ticks spent on each tile
    killer: Killer | None = None


State = dict[str, dict[str, Any]]  # by system, then by column (an array) or table (its columns by name)


class Realm(flax.struct.PyTreeNode):
    """One persistent world."""

    tick: Int32[Array, ""]
    next_uid: Int32[Array, ""]  # births so far
    tiles: Tiles
    agents: Agents
    probes: Probes
    of: State = dataclasses.field(default_factory=dict)  # what systems keep


class Orders(NamedTuple):
    """A complete action, int32: move 0 to 4, style 0 to 2, target a slot or -1 for no attack; and those of systems."""

    move: Int32[Array, "N"]
    style: Int32[Array, "N"]
    target: Int32[Array, "N"]
    of: dict[str, Int32[Array, "N"]] = {}  # noqa: RUF012 - never changed


class Draws(flax.struct.PyTreeNode):
    """All the chance of one tick."""

    regrowth: Int32[Array, "N"]  # ticks until a forest harvested by this agent is ready; NEVER: not again
    spawn: UInt32[Array, "A 3"]  # per attempt at a birth on the spawn ring, raw words: (coin, population, tile)
    reproduction: UInt32[Array, "N 2"] | None = None  # raw words of each agent: (coin, tile); None where it is off
    of: dict[str, UInt32[Array, "2"]] = dataclasses.field(default_factory=dict)  # key data of each system, of the tick


class Births(flax.struct.PyTreeNode):
    """The births of one tick, one row per attempt; rows with slot -1 are attempts that failed.

    A = ``max_spawns`` attempts on the spawn ring, in order. With ``Config.reproduction`` A = N + ``max_spawns``: row
    k < N is what the agent in slot k gave birth to, and the ring's attempts follow. ``uid`` has the order of birth.
    """

    slot: Int32[Array, "A"]
    uid: Int32[Array, "A"]
    parent_uid: Int32[Array, "A"]  # -1: born on the spawn ring
    population: Int32[Array, "A"]
    row: Int32[Array, "A"]
    col: Int32[Array, "A"]


class Outcome(flax.struct.PyTreeNode):
    """What one tick did to the agent that held each slot before it; events, ledger and rewards read it.

    Amounts are what really changed hands or was used, after clamping; all int32 of shape [N].
    """

    acted: Bool[Array, "N"]  # was alive at its turn and acted
    dead: Bool[Array, "N"]  # found dead at its turn or killed by its own vitals: leaves in this tick's cull
    cause: Int32[Array, "N"]  # Cause of what took its health to zero in this tick
    harvested: Bool[Array, "N"]
    forage: Int32[Array, "N"]
    beside_water: Bool[Array, "N"]
    drink: Int32[Array, "N"]
    healing: Int32[Array, "N"]
    food_used: Int32[Array, "N"]
    water_used: Int32[Array, "N"]
    starvation: Int32[Array, "N"]  # health lost for want of food
    thirst: Int32[Array, "N"]
    attack_target: Int32[Array, "N"]  # slot of whom it hit, -1: nobody
    attack_style: Int32[Array, "N"]
    attack_damage: Int32[Array, "N"]  # health points its hit asked of the target (0 if immune)
    damage_taken: Int32[Array, "N"]  # health lost to attacks
    food_gained: Int32[Array, "N"]  # by its attack
    water_gained: Int32[Array, "N"]
    food_drained: Int32[Array, "N"]  # by attacks on it
    water_drained: Int32[Array, "N"]
    of: dict[str, "Deeds"] = dataclasses.field(default_factory=dict)  # by system


class Happening(flax.struct.PyTreeNode):
    """An event of a system, per agent: whether it happened, with whom, and how much."""

    happened: Bool[Array, "N"]
    other_uid: Int32[Array, "N"]  # -1: nobody
    amount: Int32[Array, "N"]


class Deeds(flax.struct.PyTreeNode):
    """What a system did to agents in a tick: what each gained and lost, by stat, and with ``Config.ledger`` by booked
    column (``items.gold``); and events by kind.
    """

    gained: dict[str, Int32[Array, "N"]]
    lost: dict[str, Int32[Array, "N"]]
    events: dict[str, Happening]


def empty_outcome(config: Config) -> Outcome:
    """The outcome of a tick in which nothing has happened yet."""
    zero, no = jnp.zeros(config.num_agents, jnp.int32), jnp.zeros(config.num_agents, bool)
    flags = ("acted", "dead", "harvested", "beside_water")
    names = [field.name for field in dataclasses.fields(Outcome) if field.name != "of"]
    fields = {name: no if name in flags else zero for name in names}
    books = config.books if config.ledger else {}
    of = {
        system.name: Deeds(
            gained=dict.fromkeys((*system.stats, *books.get(system.name, ())), zero),
            lost=dict.fromkeys((*system.stats, *books.get(system.name, ())), zero),
            events=dict.fromkeys(system.events, Happening(no, zero - 1, zero)),
        )
        for system in config.systems
    }
    return Outcome(**{**fields, "attack_target": zero - 1}, of=of)


def empty_agents(config: Config) -> Agents:
    """A table in which every slot is empty."""
    n = config.num_agents
    short = ("population", "row", "col", "health", "food", "water", "freeze")
    return Agents(  # an array for each, so that they can be donated
        alive=jnp.zeros(n, bool),
        uid=jnp.full(n, NO_UID, jnp.int32),
        age=jnp.zeros(n, jnp.int32),
        damage=jnp.full(n, NO_DAMAGE, jnp.int32),
        **{name: jnp.zeros(n, jnp.int16) for name in short},
    )


def empty_state(config: Config) -> State:
    """What systems keep in a realm without agents, at its beginning."""
    return {system.name: _empty(system, config) for system in config.systems}


def _empty(system: System, config: Config) -> dict[str, Any]:
    def full(shape: tuple[int, ...], columns: tuple[Column, ...]) -> dict[str, jax.Array]:
        return {column.name: jnp.full((*column.shape, *shape), column.empty, column.dtype) for column in columns}

    tables = {
        table.name: {"alive": jnp.zeros(table.capacity, bool), **full((table.capacity,), table.columns)}
        for table in system.tables
    }
    return full((config.num_agents,), system.agents) | full((config.rows, config.columns), system.tiles) | tables


def own_columns(state: State, tiles: Tiles) -> State:
    """Of what systems keep, the columns of agents: those that are no tables, and not as large as the map."""
    found = {
        system: {name: column for name, column in own.items() if is_of_agents(column, tiles)}
        for system, own in state.items()
    }
    return {system: own for system, own in found.items() if own}


def is_of_agents(column: Any, tiles: Tiles) -> bool:
    """Whether what a system keeps is a column of agents, not of tiles, and no table."""
    return not isinstance(column, dict) and jnp.shape(column) != jnp.shape(tiles.material)


def per_agent(values: Shaped[Array, "N"], like: jax.Array) -> Shaped[Array, "*K N"]:
    """With an axis in front for the numbers that agents have in a column."""
    return values.reshape(*[1] * (like.ndim - 1), -1)


def put_columns(state: State, columns: State) -> State:
    """What systems keep, with other columns."""
    return {system: {**own, **columns.get(system, {})} for system, own in state.items()}


def empty_probes(config: Config) -> Probes:
    """The instruments that ``config`` switches on, at their beginning."""
    n, populations = config.num_agents, config.num_populations
    visits = jnp.zeros((populations, config.rows, config.columns), jnp.int32) if config.visits else None
    killer = Killer(uid=jnp.full(n, NO_UID, jnp.int32), style=jnp.full(n, -1, jnp.int32)) if config.events else None
    return Probes(visits=visits, killer=killer)


def check_realm(realm: Any, config: Config, number: int | None = None) -> None:
    """Raises ``ValueError`` where a realm was made by another configuration; all that it looks at is known inside jit.

    Args:
      number: of realms, where there is an axis for them in front.
    """
    if not isinstance(realm, Realm):
        raise ValueError(f"realm: {type(realm).__name__}: must be a Realm")
    front, n, populations = () if number is None else (number,), config.num_agents, config.num_populations
    expected: dict[str, tuple[Any, tuple[int, ...], str]] = {
        "agents.alive": (realm.agents.alive, (n,), f"num_agents={n}"),
        "tiles.material": (
            realm.tiles.material,
            (config.rows, config.columns),
            f"rows={config.rows}, columns={config.columns}",
        ),
    }
    visits, killer = realm.probes.visits, realm.probes.killer
    if config.visits or visits is not None:
        shape = (populations, config.rows, config.columns)
        expected["probes.visits"] = (visits, shape, f"visits={config.visits}, num_populations={populations}")
    if config.events or killer is not None:
        expected["probes.killer"] = (None if killer is None else killer.uid, (n,), f"events={config.events}")
    wanted, found = (_shapes(state) for state in (jax.eval_shape(lambda: empty_state(config)), realm.of))
    for name in wanted.keys() ^ found.keys():
        names = ", ".join(system.name for system in config.systems) or "none"
        what = "is not there" if name in wanted else "is there without its system"
        raise ValueError(f"realm.of.{name}: {what}; configured systems: {names}: reset with these")
    for name, shape in wanted.items():
        if found[name] != (*front, *shape):
            raise ValueError(f"realm.of.{name}: shape {found[name]}: must be {(*front, *shape)}")
    for name, (leaf, shape, setting) in expected.items():
        if leaf is None:
            raise ValueError(f"realm.{name}=None: made without this probe, which {setting} needs: reset with it on")
        if jnp.shape(leaf) != (*front, *shape):
            many = "; vectorize plays many realms" if not front and jnp.ndim(leaf) > len(shape) else ""
            axis = f"num_realms={number}, " if front else ""
            raise ValueError(
                f"realm.{name}: shape {jnp.shape(leaf)}: must be {(*front, *shape)}, as {axis}{setting}{many}"
            )


def _shapes(state: State) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): jnp.shape(leaf) for path, leaf in leaves}


def observed_material(realm: Realm, config: Config | None = None) -> UInt8[Array, "R C"]:
    """The map as agents see it: a forest that is not ready looks like scrub, and materials of systems as they say.

    Args:
      config: of the realm; None: the classic materials.
    """
    tiles = realm.tiles
    seen = tiles.material
    spent = {int(Material.FOREST): int(Material.SCRUB)} if config is None else config.spent
    for material, looks in spent.items():
        depleted = (tiles.material == material) & (tiles.ready_tick > realm.tick)
        seen = jnp.where(depleted, jnp.uint8(looks), seen)
    return seen
