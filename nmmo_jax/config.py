"""What a world is made of: ``Config`` compiles in, ``Rules`` are traced.

``Config`` holds shapes and switches; it is frozen and hashable, and a new one means a new compilation.
``Rules`` holds every number of the rulebook as a leaf of a pytree; it can differ from realm to realm
under ``vmap``, so a sweep over a thousand rule sets is one program.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.common.spelling import near
from nmmo_jax.kinds import MAX_MATERIALS, WALKABLE, Cause, Event, Material
from nmmo_jax.system import System, check_systems
from nmmo_jax.values import check_bool, check_int, is_traced, keep_plain, plain

RULES_VERSION = 1  # moves only when behaviour does; kept in replays, checkpoints and benchmark files
STYLES = ("melee", "range", "mage")
LAYOUTS = ("blocks", "free")
RESOLUTIONS = ("simultaneous", "sequential")
REWARDS = ("survival", "death")

MAX_AGENTS = 65_536  # with MAX_AMOUNT the largest sum over all agents still fits int32
MAX_AMOUNT = 30_000  # amounts are stored as int16
MAX_POPULATIONS = 2**15 - 1  # an agent's population is stored as int16
MAX_TICKS = 1_000_000_000
MAX_SIDE = 8_192
ARGUMENTS = ("move", "style", "target")  # of the classic actions
_TAKEN = {
    "materials": [one.name.lower() for one in Material],
    "causes": [one.name.lower() for one in Cause],
    "events": [one.name.lower() for one in Event],
    "arguments": ARGUMENTS,
    "observe": ("tiles", "self", "visible", "visible_slot", "mask"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Static configuration: capacities, sizes and switches. Bad values raise ``ValueError``.

    Attributes:
      num_agents: capacity, the number of agent slots per realm.
      num_populations: number of populations; divides ``num_agents`` in layout ``blocks``.
      rows, columns: padded size of the map in tiles; smaller maps are padded with lava.
      view: side of the square observation window in tiles, odd.
      num_visible: how many agents (the observer included) an observation lists.
      border: width of the lava border of generated terrain, in tiles.
      layout: ``blocks`` (slots grouped by population, quotas) or ``free`` (any slot, no quotas).
      resolution: ``simultaneous`` (all agents at once) or ``sequential`` (oldest first, as the original).
      reward: ``survival`` (+1 per tick lived through) or ``death`` (-1 on dying).
      reproduction: whether living agents give birth; layout ``free``.
      max_spawns: attempts at a birth on the spawn ring per tick.
      max_lifetime: age in ticks at which an agent leaves with ``truncated``, or None.
      horizon: tick from which ``info.horizon`` is set, or None.
      visits: probe, count visits per population and tile in ``realm.probes.visits``.
      events: probe, capacity of the event table per tick (0: off).
      ledger: probe, account for every unit of food, water and health in ``info.ledger``.
      systems: game systems beyond the classic ones, in the order in which they act at a point of the tick.
    """

    num_agents: int = 128
    num_populations: int = 8
    rows: int = 80
    columns: int = 80
    view: int = 15
    num_visible: int = 16
    border: int = 9
    layout: Literal["blocks", "free"] = "blocks"
    resolution: Literal["simultaneous", "sequential"] = "simultaneous"
    reward: Literal["survival", "death"] = "survival"
    reproduction: bool = False
    max_spawns: int = 1
    max_lifetime: int | None = None
    horizon: int | None = None
    visits: bool = False
    events: int = 0
    ledger: bool = False
    systems: tuple[System, ...] = ()

    def __post_init__(self):
        keep_plain(self)
        check_int("num_agents", self.num_agents, 1, MAX_AGENTS)
        check_int("num_populations", self.num_populations, 1, min(self.num_agents, MAX_POPULATIONS))
        check_int("rows", self.rows, 1, MAX_SIDE)
        check_int("columns", self.columns, 1, MAX_SIDE)
        check_int("view", self.view, 1, 255)
        if self.view % 2 == 0:
            raise ValueError(f"view={self.view}: must be odd, so that the observer stands in the middle")
        check_int("num_visible", self.num_visible, 1, MAX_AGENTS)
        check_int("border", self.border, 0, MAX_SIDE)
        _check_choice("layout", self.layout, LAYOUTS)
        _check_choice("resolution", self.resolution, RESOLUTIONS)
        _check_choice("reward", self.reward, REWARDS)
        check_int("max_spawns", self.max_spawns, 1, MAX_AGENTS)
        if self.max_lifetime is not None:
            check_int("max_lifetime", self.max_lifetime, 1, MAX_TICKS)
        if self.horizon is not None:
            check_int("horizon", self.horizon, 1, MAX_TICKS)
        for name in ("reproduction", "visits", "ledger"):
            check_bool(name, getattr(self, name))
        check_int("events", self.events, 0, 2**24)
        if self.layout == "blocks" and self.num_agents % self.num_populations:
            raise ValueError(
                f"num_agents={self.num_agents}: must be divisible by num_populations={self.num_populations} "
                "in layout 'blocks' (layout 'free' has no such limit)"
            )
        if self.reproduction and self.layout != "free":
            raise ValueError(
                f"reproduction={self.reproduction!r}: must be False in layout {self.layout!r}, where each population "
                "has a quota; layout 'free' has none"
            )

        object.__setattr__(self, "systems", check_systems(self.systems, _TAKEN))
        number = len(Material) + sum(len(system.materials) for system in self.systems)
        if number > MAX_MATERIALS:
            raise ValueError(f"systems: {number} materials with the classic ones: allowed are {MAX_MATERIALS}")

    def _names(self, kind: str) -> tuple[str, ...]:
        own = [one for system in self.systems for one in getattr(system, kind)]
        return (*_TAKEN[kind], *(one if isinstance(one, str) else one.name for one in own))

    @functools.cached_property
    def material_names(self) -> tuple[str, ...]:
        """The materials of tiles by their numbers, those of systems last."""
        return self._names("materials")

    @functools.cached_property
    def cause_names(self) -> tuple[str, ...]:
        """The causes of death by their numbers, ``none`` first, those of systems last."""
        return self._names("causes")

    @property
    def deadly(self) -> tuple[str, ...]:
        """The causes of death without ``none``: what counts of deaths have a place for."""
        return self.cause_names[1:]

    @functools.cached_property
    def event_names(self) -> tuple[str, ...]:
        """The kinds of event by their numbers, those of systems last."""
        return self._names("events")

    @functools.cached_property
    def walkable(self) -> tuple[int, ...]:
        """The numbers of the materials on which agents can stand."""
        own = [material for system in self.systems for material in system.materials]
        return (*map(int, WALKABLE), *(number for number, one in enumerate(own, len(Material)) if one.walkable))

    @property
    def radius(self) -> int:
        """How far an agent sees in each direction, in tiles."""
        return self.view // 2


def _rule(unit: str, meaning: str, default: Any, dtype: str = "int32", low: float = 0, high: float = MAX_AMOUNT):
    metadata = {"unit": unit, "meaning": meaning, "dtype": dtype, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


class Rules(flax.struct.PyTreeNode):
    """Every number of the rulebook, traced: scalars, or ``[3]`` for one value per attack style.

    Each leaf may carry leading realm axes under ``vmap`` (see ``vectorize``). Defaults are those of ``chaos``.
    ``replace`` changes fields; ``Environment`` checks the values (``validate_rules``).
    The unit, meaning, type and allowed interval of every field are in its metadata. The rules of systems are in ``of``,
    by system and name; ``named`` and ``from_named`` know all by one name each, ``"poison.damage"``.
    """

    start_health: Any = _rule("health", "of a newborn; at most max_health", 10, low=1)
    start_food: Any = _rule("food", "of a newborn; at most max_food", 32)
    start_water: Any = _rule("water", "of a newborn; at most max_water", 32)
    max_health: Any = _rule("health", "most an agent can have", 10, low=1)
    max_food: Any = _rule("food", "most an agent can have", 32)
    max_water: Any = _rule("water", "most an agent can have", 32)
    forage_amount: Any = _rule("food", "from harvesting a ready forest", 5)
    drink_amount: Any = _rule("water", "per tick beside water", 5)
    regrowth_probability: Any = _rule(
        "per tick", "that a depleted forest becomes ready (0: never, 1: next tick)", 0.025, "float32", 0, 1
    )
    heal_food_above: Any = _rule("food", "an agent heals only with more food than this", 16)
    heal_water_above: Any = _rule("water", "an agent heals only with more water than this", 16)
    heal_amount: Any = _rule("health", "healed per tick", 1)
    food_metabolism: Any = _rule("food", "used per tick", 1)
    water_metabolism: Any = _rule("water", "used per tick", 1)
    starvation_damage: Any = _rule("health", "lost per tick without food", 1)
    thirst_damage: Any = _rule("health", "lost per tick without water", 1)
    immunity_ticks: Any = _rule("ticks", "of age below which attacks do no damage", 15, high=MAX_TICKS)
    attacks_enabled: Any = _rule("", "whether attacks do anything", True, "bool", 0, 1)
    attack_range: Any = _rule("tiles", "Chebyshev reach of each style", (1, 2, 3))
    attack_damage: Any = _rule(
        "health, food, water", "D: taken from the target; as food and water given to the attacker", (10, 2, 1)
    )
    freeze_ticks: Any = _rule("ticks", "what a mage hit sets the target's freeze to", 3)
    immunity_blocks_drain: Any = _rule(
        "", "whether an attack on an immune target does nothing at all", False, "bool", 0, 1
    )
    population_cap: Any = _rule(
        "agents",
        "how many may live in a realm; at most num_agents (default: num_agents)",
        None,
        high=MAX_AGENTS,
    )
    spawn_rate: Any = _rule("probability", "of each of the max_spawns attempts per tick", 1.0, "float32", 0, 1)
    birth_food_above: Any = _rule("food", "reproduction: an agent gives birth only with more food than this", 20)
    birth_water_above: Any = _rule("water", "reproduction: an agent gives birth only with more water than this", 20)
    birth_age: Any = _rule("ticks", "reproduction: age from which an agent gives birth", 15, high=MAX_TICKS)
    birth_probability: Any = _rule(
        "per tick", "reproduction: that an agent which can give birth does so", 0.1, "float32", 0, 1
    )
    birth_food_cost: Any = _rule("food", "reproduction: what a parent pays, or all that it has", 12)
    birth_water_cost: Any = _rule("water", "reproduction: what a parent pays, or all that it has", 12)
    newborn_food: Any = _rule("food", "reproduction: of an agent born by another; at most max_food", 12)
    newborn_water: Any = _rule("water", "reproduction: of an agent born by another; at most max_water", 12)
    of: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def named(self) -> dict[str, Any]:
        """Every rule by its name, those of systems as ``system.rule``."""
        own = {name: getattr(self, name) for name in RULE_FIELDS}
        own |= {f"{system}.{name}": value for system, rules in self.of.items() for name, value in rules.items()}
        return own

    @classmethod
    def from_named(cls, values: Mapping[str, Any]) -> "Rules":
        """Rules with these values, by the names of ``named``."""
        of: dict[str, dict[str, Any]] = {}
        for name in (name for name in values if "." in name):
            system, _, rule = name.partition(".")
            of.setdefault(system, {})[rule] = values[name]
        return cls(**{name: value for name, value in values.items() if "." not in name}, of=of)

    def put(self, values: Mapping[str, Any]) -> "Rules":
        """With other values of some rules, by the names of ``named``."""
        return Rules.from_named({**self.named(), **values})

    def __eq__(self, other: object) -> bool:
        """Whether all values are equal, in the types they are declared with; what is traced equals itself alone."""
        return rule_values(self) == rule_values(other) if isinstance(other, Rules) else NotImplemented

    def __hash__(self) -> int:
        return hash(rule_values(self))


def rule_values(rules: Rules) -> tuple[Any, ...]:
    """What rules are compared and hashed by."""
    classic = tuple(_value(getattr(rules, name), field.metadata["dtype"]) for name, field in RULE_FIELDS.items())
    own = {name: value for name, value in rules.named().items() if name not in RULE_FIELDS}
    return classic + tuple((name, _value(own[name], None)) for name in sorted(own))


def _value(leaf: Any, dtype: str | None) -> Any:
    """A rule as something that is compared and hashed by value; without a declared type, as a float."""
    if any(map(is_traced, leaf if isinstance(leaf, tuple | list) else (leaf,))):
        return id(leaf)
    try:
        array = np.asarray(leaf)
    except ValueError:  # rows of different length
        return leaf
    if array.dtype.kind not in "biuf":
        return leaf  # what tree functions put in place of numbers
    if dtype is None:
        return array.shape, array.astype(np.float64).tobytes()
    same = array.astype(dtype)
    array = same if (same == array).all() or dtype == "float32" else array.astype(np.float64)
    return array.shape, array.tobytes()


RULE_FIELDS = {field.name: field for field in dataclasses.fields(Rules) if field.name != "of"}
STYLE_RULES = ("attack_range", "attack_damage")
REPRODUCTION_RULES = tuple(name for name in RULE_FIELDS if name.startswith(("birth_", "newborn_")))
PRESETS: dict[str, dict[str, Any]] = {
    "chaos": {},
    "law": {"attacks_enabled": False},
    "large": {"num_agents": 4_096, "rows": 1_024, "columns": 1_024, "max_spawns": 32},
    "huge": {"num_agents": 65_536, "rows": 2_048, "columns": 2_048, "max_spawns": 512},
}


def rule_ndim(name: str) -> int:
    """Number of axes of a rule for one realm: 1 (one value per style) or 0."""
    return 1 if name in STYLE_RULES else 0


@functools.cache
def rule_fields(config: Config) -> Mapping[str, Mapping[str, Any]]:
    """Unit, meaning, type and allowed interval of every rule of a world, by name, those of its systems included."""
    fields: dict[str, Mapping[str, Any]] = {name: field.metadata for name, field in RULE_FIELDS.items()}
    return fields | {f"{system.name}.{rule.name}": rule.metadata for system in config.systems for rule in system.rules}


def default_rules(config: Config) -> dict[str, Any]:
    """The rules of a world's systems where nothing else is said, by name."""
    return {f"{system.name}.{rule.name}": rule.default for system in config.systems for rule in system.rules}


def as_rules(rules: Rules, config: Config, batched: bool = False) -> Rules:
    """Rules as arrays of their declared types, with ``population_cap`` and what systems have by default filled in.

    Shapes are checked, and values where they are known (not traced).

    Args:
      batched: whether leaves may have a leading realm axis.

    Raises:
      ValueError: names the field, the value and what is allowed.
    """
    if not isinstance(rules, Rules):
        raise ValueError(f"rules: {type(rules).__name__}: must be a Rules")
    if rules.population_cap is None:
        rules = rules.replace(population_cap=config.num_agents)
    fields, given = rule_fields(config), rules.named()
    for name in given:
        if name not in fields:
            raise ValueError(f"rules.{name}: no such rule{near(name, fields)}; systems belong to the configuration")
    values = {**default_rules(config), **given}
    leaves = {name: _rule_array(name, values[name], metadata) for name, metadata in fields.items()}
    for name, leaf in leaves.items():
        if leaf.ndim - rule_ndim(name) not in ((0, 1) if batched else (0,)):
            raise ValueError(
                f"rules.{name}: shape {leaf.shape}: must be {'three values' if rule_ndim(name) else 'one value'}"
                + (", or that for each realm" if batched else "; rules per realm go with vectorize")
            )
    rules = Rules.from_named(leaves)
    _validate_known(rules, config)
    return rules


def _rule_array(name: str, value: Any, metadata: Mapping[str, Any]) -> jax.Array:
    if isinstance(value, tuple | list) and any(map(is_traced, value)):
        value = jnp.stack([jnp.asarray(one) for one in value])
    if isinstance(value, jax.Array) and value.dtype == jnp.dtype(metadata["dtype"]):
        array = value
    else:
        array = value if is_traced(value) else _known(name, value, metadata)
        array = jnp.asarray(array, jnp.dtype(metadata["dtype"]))
    if rule_ndim(name) and (array.ndim == 0 or array.shape[-1] != len(STYLES)):
        raise ValueError(f"rules.{name}={value!r}: must have {len(STYLES)} values, one per style {STYLES}")
    return array


def _known(name: str, value: Any, metadata: Any) -> np.ndarray:
    """A known rule as NumPy, in the range of its type; checked before it can wrap around."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in ("biuf" if metadata["dtype"] == "bool" else "iuf"):
        raise ValueError(f"rules.{name}={value!r}: must be a number")
    numbers = array.astype(np.float64)
    low, high, dtype = metadata["low"], metadata["high"], metadata["dtype"]
    bad = ~((numbers >= low) & (numbers <= high))
    if dtype != "float32":
        bad |= numbers != np.floor(numbers)
    if bad.any():
        kind = {"int32": "whole numbers", "float32": "numbers", "bool": "True or False, or numbers"}[dtype]
        raise ValueError(f"rules.{name}={value!r}: allowed are {kind} from {low} to {high}")
    return array


def _validate_known(rules: Rules, config: Config) -> None:
    """Checks what relates rules to each other and to the configuration, where the values are known."""
    known = {name: np.asarray(value) for name, value in rules.named().items() if not is_traced(value)}
    for name, value in known.items():
        _known(name, value, rule_fields(config)[name])
    starts = ["start_health", "start_food", "start_water"]
    if config.reproduction:
        starts += ["newborn_food", "newborn_water"]
    for name in starts:
        limit = f"max_{name.partition('_')[2]}"
        start, most = known.get(name), known.get(limit)
        if start is None or most is None or (start.ndim and most.ndim and start.shape != most.shape):
            continue  # realm axes that differ are refused by name in vectorize
        if np.any(start > most):
            raise ValueError(f"rules.{name}={start}: must be at most rules.{limit}={most}")
    cap = known.get("population_cap")
    if cap is not None and np.any(cap > config.num_agents):
        raise ValueError(f"rules.population_cap={cap}: allowed are 0 to the capacity num_agents={config.num_agents}")


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r}: allowed are {', '.join(map(repr, allowed))}{near(str(value), allowed)}")


def preset(name: str, **overrides: Any) -> tuple[Config, Rules]:
    """The configuration and rules of a game by name, any field of either by keyword.

    ``chaos`` and ``law`` are the classic games; ``large`` and ``huge`` are ``chaos`` with 4,096 agents on 1,024 x 1,024
    tiles and 65,536 on 2,048 x 2,048, of whom as large a share can be born per tick as in ``chaos``.

    >>> config, rules = preset("chaos", num_agents=32, num_populations=2, spawn_rate=0.5)
    >>> config.num_agents, rules.spawn_rate, rules.population_cap
    (32, 0.5, 32)
    """
    _check_choice("game", name, tuple(PRESETS))
    config_fields = {field.name for field in dataclasses.fields(Config)}
    values = {field: plain(value) for field, value in {**PRESETS[name], **overrides}.items()}
    config = Config(**{k: values.pop(k) for k in config_fields & values.keys()})
    known = config_fields | rule_fields(config).keys()
    for field in [field for field in overrides if field not in known]:
        raise ValueError(f"{field}={overrides[field]!r}: no field of Config or Rules{near(field, known)}")
    if values.get("population_cap") is None:
        values["population_cap"] = config.num_agents
    rules = Rules.from_named({**default_rules(config), **values})
    as_rules(rules, config)
    return config, rules
