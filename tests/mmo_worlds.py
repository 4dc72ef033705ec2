"""Small role-playing worlds in which much happens: rules, beginnings and hostile play, from a NumPy generator."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from mmo_reference_parts import FEEDS, GOODS, PLACES, STACK, STACKS, WORN_AS, Item, thresholds
from reference_parts import GRASS, LAVA

from nmmo_jax.checking import senseless
from nmmo_jax.config import Config
from nmmo_jax.observations import Observation
from nmmo_jax.presets import PRESETS, preset
from nmmo_jax.scenario import make_realm
from nmmo_jax.testing import WORLD

HARVESTED = ("vein", "tree", "gems", "herbs", "shoal")
WEIGHTS = {"grass": 12, "forest": 2, "water": 1, "stone": 1, "lava": 0.3, **dict.fromkeys(HARVESTED, 2)}


def units(names) -> tuple:
    """The systems of these names, in the order in which they act."""
    return tuple(system for system in PRESETS["mmo"]["systems"] if system.name in names)


def world(names, resolution: str, **numbers) -> tuple[Config, object]:
    """Configuration and rules of a world in which much happens."""
    given = {
        **{**WORLD, "events": 0, "ledger": False, "resolution": resolution, "systems": units(names)},
        **dict.fromkeys(("max_health", "max_food", "max_water"), 90),
        **dict.fromkeys(("start_health", "start_food", "start_water"), 60),
        **dict.fromkeys(("food_metabolism", "water_metabolism"), 3),
        **dict.fromkeys(("heal_food_above", "heal_water_above"), 40),
        **{"starvation_damage": 4, "thirst_damage": 4, "heal_amount": 3, "immunity_ticks": 2},
        **{"attack_range": (2, 3, 3), "forage_amount": 20, "drink_amount": 20},
        **numbers,
    }
    if resolution == "sequential":  # another shape of world as well
        given |= {"layout": "free", "max_lifetime": 16, "view": 9, "num_visible": 10}
    known = {system.name for system in given["systems"]}
    return preset("chaos", **{name: value for name, value in given.items() if name.partition(".")[0] in known | {name}})


def random_numbers(rng: np.random.Generator) -> dict:
    """Rules by which much happens, and that differ from seed to seed."""
    return {
        "freeze_ticks": int(rng.integers(0, 3)),
        "attacks_enabled": bool(rng.random() < 0.9),
        "immunity_blocks_drain": bool(rng.random() < 0.3),
        "attack_damage": [18, 15, int(rng.choice([0, 12, 12]))],
        "skills.curve": int(rng.integers(0, 2)),
        "skills.spread": int(rng.choice([0, 20, 50])),
        "skills.accuracy": bool(rng.random() < 0.4),
        "skills.attack_experience": 60,
        "skills.damage_experience": int(rng.integers(0, 8)),
        "skills.craft_experience": 90,
        "skills.ammunition_experience": 50,
        "skills.consumable_experience": 70,
        "skills.offence_per_level": int(rng.integers(0, 6)),
        "skills.defence_per_level": int(rng.integers(0, 4)),
        "monsters.cap": int(rng.integers(8, 30)),
        "monsters.neutral_from": int(rng.integers(10, 50)),
        "monsters.aggressive_from": int(rng.integers(50, 70)),
        "monsters.chicken_health": 15,
        "monsters.goblin_health": 25,
        "monsters.troll_health": 30,
        "monsters.offence_per_level": 4,
        "monsters.defence_per_level": 1,
        "monsters.sight": int(rng.integers(2, 7)),
        "monsters.remembers": int(rng.integers(0, 5)),
        "monsters.healing": int(rng.integers(0, 3)),
        "monsters.wander": float(rng.choice([0.0, 0.5, 1.0])),
        "items.combat_ticks": int(rng.choice([0, 1, 2])),
        "items.armour": 1,
        "items.tool": int(rng.integers(0, 6)),
        "items.weapon": int(rng.integers(0, 4)),
        "items.ammunition_per_level": 2,
        "items.reach": int(rng.integers(1, 5)),
        "professions.herbs_regrowth": 0.2,
        "professions.shoal_regrowth": 0.3,
        "professions.find": float(rng.choice([0.1, 0.5, 1.0])),
    }


# ------------------------------------------------------------------------------------------------ beginnings


def random_item(rng: np.random.Generator) -> Item:
    kind = int(rng.integers(1, 23))
    if rng.random() < 0.5:
        kind = int(rng.choice([*STACKS, *FEEDS, *GOODS, *GOODS]))
    quantity = int(rng.choice([1, 2, 6, STACK - 1, STACK])) if kind in STACKS else 1
    return Item(kind, int(rng.choice([1, 1, 1, 2, 3, 10])), quantity)


def random_pack(rng: np.random.Generator) -> list[Item | None]:
    """Nearly full or half empty, with something of it worn."""
    full = rng.choice([0.4, 0.8, 1.0])
    pack = [random_item(rng) if rng.random() < full else None for _ in range(PLACES)]
    taken = set()
    for item in pack:
        if item and item.kind in WORN_AS and WORN_AS[item.kind] not in taken and rng.random() < 0.7:
            item.worn = True
            taken.add(WORN_AS[item.kind])
    return pack


def packed(packs: list[list[Item | None]]) -> dict[str, np.ndarray]:
    names = ("kind", "level", "quantity", "worn")
    return {
        f"items.{name}": np.array([[getattr(item, name) if item else 0 for item in pack] for pack in packs], int).T
        for name in names
    }


def random_ground(rng: np.random.Generator, config: Config) -> np.ndarray:
    """A ring of grass within lava, and inside it a bit of everything."""
    names = [name for name in WEIGHTS if name in config.material_names]
    weights = np.array([WEIGHTS[name] for name in names], float)
    numbers = [config.material_names.index(name) for name in names]
    material = rng.choice(numbers, (config.rows, config.columns), p=weights / weights.sum())
    outside = np.ones(material.shape, bool)
    b = config.border
    outside[b:-b, b:-b] = False
    material[b:-b, b:-b][[0, -1]] = GRASS
    material[b:-b, b:-b][:, [0, -1]] = GRASS
    material[outside] = LAVA
    return material.astype(np.uint8)


def random_start(rng: np.random.Generator, config: Config, rules):
    """A realm in which everybody is grown, stands close to the others, and carries much; with monsters about."""
    material, n = random_ground(rng, config), config.num_agents
    good = [number for number in config.walkable if number != LAVA]
    middle = np.argwhere(np.isin(material, good))
    middle = middle[(np.abs(middle - [config.rows // 2, config.columns // 2]) <= 4).all(axis=1)]
    place = middle[rng.integers(0, len(middle), n)]
    known, of = {system.name for system in config.systems}, {}
    if "skills" in known:
        steps = thresholds(int(rules.of["skills"]["curve"]))
        level = rng.integers(1, 4, (8, n))
        of["skills.level"] = level
        of["skills.experience"] = np.array(steps)[level - 1] + rng.integers(0, 60, (8, n))
        of["skills.combat_level"] = level[:3].max(axis=0)
    if "items" in known:
        of |= packed([random_pack(rng) for _ in range(n)])
        of["items.gold"] = rng.choice([0, 5, 29_999], n)
    if "monsters" in known:
        there = middle[rng.integers(0, len(middle), 6)]
        kind = np.arange(6) % 3
        of["monsters.monsters"] = {"row": there[:, 0], "col": there[:, 1], "kind": kind, "level": kind + 1}
        of["monsters.monsters"] |= {"health": np.full(6, 14), "style": rng.integers(0, 3, 6)}
    block = n // config.num_populations
    stats = {name: rng.integers(20, 90, n) for name in ("health", "food", "water")}
    return make_realm(
        config,
        material,
        row=place[:, 0],
        col=place[:, 1],
        slot=np.arange(n),
        population=np.arange(n) // block,
        uid=rng.permutation(2 * n)[:n],
        next_uid=2 * n,
        age=rng.integers(2, 9, n),
        ready_tick=np.where(rng.random(material.shape) < 0.1, rng.integers(0, 9, material.shape), 0),
        rules=rules,
        of=of,
        **stats,
    )


def hostile(rng: np.random.Generator, obs: Observation, config: Config):
    """Senseless, but that some attack whom they see, and some stay where they are."""
    action, n = senseless(rng, obs, config), config.num_agents
    seen = np.where(obs.visible_slot >= 0, rng.random(obs.visible_slot.shape), -1)
    target = np.take_along_axis(obs.visible_slot, seen.argmax(axis=1)[:, None], axis=1)[:, 0]
    target = np.where(rng.random(n) < 0.25, target, action.target).astype(np.int32)
    move = np.where(rng.random(n) < 0.3, 0, action.move).astype(np.int32)
    return action.replace(move=jnp.asarray(move), target=jnp.asarray(target))
