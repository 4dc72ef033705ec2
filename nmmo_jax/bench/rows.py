"""The rows of the benchmark: which world each plays, with whom, and how full it must be.

- ``full_house``: fixed as data in ``full_house.json`` (rules, map, policy): at least 120 of 128 places are alive at
  every tick, once settled.
- ``chaos``, ``law``: the classic games as they are, on generated maps; under random play about 12 of 128 are alive. Or
  with systems and other fields of one's own (``world``).
- ``crowd``: the full house at another size and the same density: its map repeated and cropped to 80 sqrt(N / 128)
  tiles a side for N agents, births per tick with it, all places filled at the start and everybody placed anew,
  uniformly over the walkable tiles.
- ``mmo``, ``mmo1024``: the role-playing presets, likewise, where nobody hungers and wounds close every tick.
- ``large``, ``huge``: the presets, under the rules of the full house, on generated maps without lava, filled and
  placed as the crowd is.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nmmo_jax
from nmmo_jax.common.spelling import near
from nmmo_jax.components import Realm
from nmmo_jax.draws import fold_in, for_jax, split
from nmmo_jax.environment import Environment
from nmmo_jax.kinds import is_walkable
from nmmo_jax.presets import PRESETS
from nmmo_jax.references import find_system
from nmmo_jax.rules import RULE_FIELDS

FULL_HOUSE = Path(__file__).parent / "full_house.json"
PRESET_ROWS = ("large", "huge", "mmo", "mmo1024")
ROWS = ("full_house", "chaos", "law", "crowd", *PRESET_ROWS)
OPEN_ROWS = ("chaos", "law")  # whose worlds can have other fields and systems
CROWDS = (16, 65_536)  # agents per realm, fewest and most
_CROWDED = 0.8  # share of places that must be alive in a crowd
_WARM_UP = {"crowd": 32, "large": 32, "huge": 32}  # ticks: the newborn have lost their immunity
_WARM_UP |= {"mmo": 96, "mmo1024": 384}  # there are as many monsters as there can be
_UNHURT = {  # rules under which nobody of a role-playing world dies
    **dict.fromkeys(("food_metabolism", "water_metabolism", "heal_food_above", "heal_water_above"), 0),
    **dict.fromkeys(("start_health", "max_health", "heal_amount"), 5_000),
}
_WARM_UP_CLASSIC = 256


@dataclasses.dataclass(frozen=True)
class Row:
    """A world to be measured.

    Attributes:
      environment: its configuration and rules.
      tiles: map ``[rows, columns]``; None: one is generated per realm.
      initial_population: births before the first tick.
      at_least_alive: places per realm that must be alive at every tick.
      scattered: whether everybody is placed anew before the first tick, uniformly over the walkable tiles.
      warm_up: ticks until it has settled.
    """

    environment: Environment
    tiles: np.ndarray | None = None
    initial_population: int = 0
    at_least_alive: int = 0
    scattered: bool = False
    warm_up: int = _WARM_UP_CLASSIC


def row(name: str, agents: int | None = None, populations: int | None = None, world: str = "") -> Row:
    """The world of a row.

    Args:
      name: one of ``ROWS``.
      agents: places per realm, where the row leaves that open (default 128).
      populations: where the row leaves that open (default 8).
      world: of chaos and law, other fields of ``Config`` and ``Rules`` as JSON, systems by ``module:NAME``.

    Raises:
      ValueError: a row there is not, one of another size than it has, or a world that cannot be.
    """
    if name not in ROWS:
        raise ValueError(f"row={name!r}: allowed are {', '.join(ROWS)}{near(name, ROWS)}")
    if world and name not in OPEN_ROWS:
        raise ValueError(f"world={world}: of {' and '.join(OPEN_ROWS)}; the world of {name} is fixed")
    if name in PRESET_ROWS:
        return _preset(name, agents, populations)
    agents = 128 if agents is None else agents
    populations = 8 if populations is None else populations
    if name in PRESETS:
        return Row(nmmo_jax.make(name, num_agents=agents, num_populations=populations, **_own(world)))
    data = json.loads(FULL_HOUSE.read_text())
    tiles = np.array([[int(tile) for tile in line] for line in data["map"]], np.uint8)
    overrides = data["overrides"]
    if name == "crowd":
        return _crowd(overrides, tiles, agents, populations)
    for field, given in {"num_agents": agents, "num_populations": populations}.items():
        if given != overrides[field]:
            raise ValueError(f"{field.removeprefix('num_')}={given}: a full house has {overrides[field]}")
    return Row(
        nmmo_jax.make(data["game"], **overrides),
        tiles,
        data["initial_population"],
        data["at_least_alive"],
        warm_up=data["settled_after"],
    )


def _own(world: str) -> dict[str, Any]:
    try:
        given = json.loads(world or "{}")
        own = {**given, "systems": tuple(find_system(one) for one in given.get("systems", ()))}
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise ValueError(f"world={world}: must be fields and their values as JSON: {error}") from None
    for field in ("num_agents", "num_populations"):
        if field in own:
            raise ValueError(f"world={world}: {field}: use {field.removeprefix('num_')}")
    return own


def _crowd(overrides: dict[str, Any], tiles: np.ndarray, agents: int, populations: int) -> Row:
    low, high = CROWDS
    if not low <= agents <= high:
        raise ValueError(f"agents={agents}: allowed in a crowd are {low} to {high:,}")
    side = round(tiles.shape[0] * math.sqrt(agents / overrides["num_agents"]))
    repeats = math.ceil(side / tiles.shape[0])
    tiles = np.tile(tiles, (repeats, repeats))[:side, :side]
    size = {"num_agents": agents, "num_populations": populations, "rows": side, "columns": side}
    births = max(1, agents // overrides["num_agents"])
    env = nmmo_jax.make("chaos", **{**overrides, **size, "max_spawns": births})
    return Row(env, tiles, agents, math.ceil(_CROWDED * agents), scattered=True, warm_up=_WARM_UP["crowd"])


def _preset(name: str, agents: int | None, populations: int | None) -> Row:
    if name not in PRESETS:
        raise ValueError(
            f"row={name!r}: this version has no such preset; it has {', '.join(PRESETS)}{near(name, PRESETS)}"
        )
    rules = _UNHURT if name.startswith("mmo") else full_rules()
    env = nmmo_jax.make(name, **rules, border=0)
    for field, given in {"num_agents": agents, "num_populations": populations}.items():
        if given not in (None, getattr(env.config, field)):
            raise ValueError(f"{field.removeprefix('num_')}={given}: {name} has {getattr(env.config, field)}")
    number = env.config.num_agents
    return Row(env, None, number, math.ceil(_CROWDED * number), scattered=True, warm_up=_WARM_UP[name])


def full_rules() -> dict[str, Any]:
    """The rules of the full house, under which hardly anybody dies."""
    overrides = json.loads(FULL_HOUSE.read_text())["overrides"]
    return {field: value for field, value in overrides.items() if field in RULE_FIELDS}


def named(world: str) -> str:
    """What a ``world`` of a row is called: its systems, then its other fields."""
    given = json.loads(world)
    return ", ".join([*given.get("systems", ()), *(f"{name}={given[name]}" for name in given if name != "systems")])


def scatter(key: jax.Array, realm: Realm) -> Realm:
    """Places the agents of one realm anew, each uniformly over the walkable tiles; runs inside jit."""
    walkable = jnp.cumsum(is_walkable(realm.tiles.material).reshape(-1), dtype=jnp.int32)
    rank = jax.random.randint(for_jax(key), realm.agents.row.shape, 0, walkable[-1], jnp.int32)
    place = jnp.searchsorted(walkable, rank, side="right").astype(jnp.int32)
    columns = realm.tiles.material.shape[1]
    row, col = ((place // columns).astype(jnp.int16), (place % columns).astype(jnp.int16))
    return realm.replace(agents=realm.agents.replace(row=row, col=col))


def start(row: Row, key: jax.Array, realms: int) -> tuple[Any, Realm]:
    """Observations and realms ``[realms, ...]`` at their first tick."""
    many = nmmo_jax.vectorize(row.environment, realms)

    def begin(key, tiles):
        obs, realm = many.reset(key, tiles=tiles, initial_population=row.initial_population)
        if row.scattered:
            realm = jax.vmap(scatter)(split(fold_in(key, 1), realms), realm)
            obs = many.observe(realm)
        return obs, realm

    return jax.jit(begin)(key, row.tiles)  # as a constant XLA would compute with a large map for half a minute


def observation_bytes(environment: Environment) -> int:
    """Bytes of observation per place."""
    specs = environment.observation_spec().values()
    return sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in specs) // environment.config.num_agents
