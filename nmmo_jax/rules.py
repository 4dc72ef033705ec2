"""The numbers that a world plays by: every one of the rulebook, and of game systems, is a leaf of a pytree.

They are traced, and can differ from realm to realm under ``vmap``: a sweep over a thousand rule sets is one program.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.common.spelling import near
from nmmo_jax.config import MAX_AGENTS, MAX_AMOUNT, MAX_TICKS, STYLES, Config
from nmmo_jax.values import is_traced


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


class OwnRules:
    """The rules of a system as attributes."""

    def __init__(self, system: str, rules: dict[str, Any]):
        self.__dict__.update(rules)
        self._told = f"rules of {system}: {{}}: there are {', '.join(rules) or 'none'}"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(self._told.format(name) + near(name, vars(self)))


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
