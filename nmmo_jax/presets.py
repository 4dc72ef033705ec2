"""The games by name."""

import dataclasses
from typing import Any

from nmmo_jax.common.spelling import near
from nmmo_jax.config import Config
from nmmo_jax.mmo.crafts import CRAFTS
from nmmo_jax.mmo.items import ITEMS
from nmmo_jax.mmo.monsters import MONSTERS, MONSTERS_2048
from nmmo_jax.mmo.professions import PROFESSIONS
from nmmo_jax.mmo.skills import SKILLS_UNIT
from nmmo_jax.rules import Rules, as_rules, default_rules, rule_fields
from nmmo_jax.values import check_choice, plain

_MMO: dict[str, Any] = {
    **dict.fromkeys(("max_health", "max_food", "max_water", "start_health", "start_food", "start_water"), 100),
    **dict.fromkeys(("food_metabolism", "water_metabolism"), 5),
    **dict.fromkeys(("forage_amount", "drink_amount"), 100),
    **dict.fromkeys(("heal_food_above", "heal_water_above"), 50),
    **dict.fromkeys(("heal_amount", "starvation_damage", "thirst_damage"), 10),
    "immunity_ticks": 20,
    "attack_range": (3, 3, 3),
    "attack_damage": (10, 10, 10),
    "freeze_ticks": 0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "chaos": {},
    "law": {"attacks_enabled": False},
    "medium": {"num_agents": 1_024, "rows": 512, "columns": 512, "max_spawns": 8},
    "large": {"num_agents": 4_096, "rows": 1_024, "columns": 1_024, "max_spawns": 32, "exploration": False},
    "huge": {"num_agents": 65_536, "rows": 2_048, "columns": 2_048, "max_spawns": 512, "exploration": False},
    "mmo": {**_MMO, "systems": (SKILLS_UNIT, MONSTERS, ITEMS, PROFESSIONS, CRAFTS)},
    "mmo1024": {
        **_MMO,
        **{"num_agents": 1_024, "rows": 512, "columns": 512, "max_spawns": 8, "exploration": False},
        "systems": (SKILLS_UNIT, MONSTERS_2048, ITEMS, PROFESSIONS, CRAFTS),
    },
}


def preset(name: str, **overrides: Any) -> tuple[Config, Rules]:
    """The configuration and rules of a game by name, any field of either by keyword.

    ``chaos`` and ``law`` are the classic games; ``medium``, ``large`` and ``huge`` are ``chaos`` with 1,024 agents on
    512 x 512 tiles (as many on as many as Neural MMO 3 has), 4,096 on 1,024 x 1,024 and 65,536 on 2,048 x 2,048, of
    whom as large a share can be born per tick as in ``chaos``. With ``attacks_enabled=False`` they are ``law``.
    ``mmo`` is the role-playing world (docs/rulebook-mmo.md), of which ``systems=`` takes some of the units alone;
    ``mmo1024`` has 1,024 agents and 2,048 monsters on 512 x 512 tiles.

    >>> config, rules = preset("chaos", num_agents=32, num_populations=2, spawn_rate=0.5)
    >>> config.num_agents, rules.spawn_rate, rules.population_cap
    (32, 0.5, 32)
    """
    check_choice("game", name, tuple(PRESETS))
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
