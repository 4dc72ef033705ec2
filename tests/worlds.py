"""Small random worlds for the tests: maps, starts, rules, actions and draws, from a NumPy generator."""

import numpy as np

from nmmo_jax.components import NEVER, Draws, Realm
from nmmo_jax.config import MAX_AMOUNT, Config
from nmmo_jax.kinds import WALKABLE, Material
from nmmo_jax.rules import Rules
from nmmo_jax.scenario import make_realm

EXTREMES = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1], np.uint32)


def random_map(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Any materials in any shares; sometimes with a lava border of uneven width, so that the ring is odd."""
    weights = rng.dirichlet([0.1, 0.7, 2, 0.5, 2, 0.5, 0.2])
    material = rng.choice(7, size=(rows, columns), p=weights).astype(np.uint8)
    if rng.random() < 0.5:
        top, left = rng.integers(0, 4, 2)
        material[:top], material[:, :left] = Material.LAVA, Material.LAVA
    material[rng.integers(rows), rng.integers(columns)] = Material.GRASS
    return material


def random_realm(rng: np.random.Generator, config: Config, rules: Rules) -> Realm:
    """A realm with agents in any state, crowded onto few tiles half of the time; slots chosen at random."""
    rows = config.rows - int(rng.integers(0, 3))
    columns = config.columns - int(rng.integers(0, 3))
    material = random_map(rng, rows, columns)
    walkable = np.argwhere(np.isin(material, WALKABLE))
    if rng.random() < 0.5:
        walkable = walkable[rng.integers(0, len(walkable), 3)]
    cap = int(np.asarray(rules.population_cap))
    block = config.num_agents // config.num_populations
    slots = rng.permutation(config.num_agents)[: rng.integers(0, min(cap, config.num_agents) + 1)]
    if config.layout == "blocks":
        population = slots // block
        quota = np.array([cap // config.num_populations + (p < cap % config.num_populations) for p in population])
        rank = np.array([np.count_nonzero(population[:k] == p) for k, p in enumerate(population)], int)
        keep = rank < quota
        slots, population = slots[keep], population[keep]
    else:
        population = rng.integers(0, config.num_populations, slots.size)
    number = slots.size
    place = walkable[rng.integers(0, len(walkable), number)]
    most = {name: int(np.asarray(getattr(rules, f"max_{name}"))) for name in ("health", "food", "water")}
    corpses = 0 if config.resolution == "sequential" else 1
    return make_realm(
        config,
        material,
        row=place[:, 0],
        col=place[:, 1],
        slot=slots,
        population=population,
        uid=rng.permutation(3 * number)[:number],
        next_uid=3 * number,
        health=rng.integers(corpses, most["health"] + 1, number),
        food=rng.integers(0, most["food"] + 1, number),
        water=rng.integers(0, most["water"] + 1, number),
        freeze=rng.integers(0, 4, number),
        age=rng.integers(0, 40, number),
        damage=rng.integers(-1, 5, number),
        ready_tick=np.where(rng.random(material.shape) < 0.3, rng.integers(0, 20, material.shape), 0),
        tick=int(rng.integers(0, 10)),
        rules=rules,
    )


def random_rules(rng: np.random.Generator, config: Config) -> Rules:
    """Rules near the classic ones, or far from them; one time in four extreme."""
    kind = rng.integers(0, 4)
    high = {0: 3, 1: 12, 2: 40, 3: MAX_AMOUNT}[int(kind)]
    low = 0

    def amount(size=None):
        if kind == 3:
            return rng.choice([low, 1, high], size=size)
        return rng.integers(low, high + 1, size)

    damage = amount(3) if rng.random() < 0.4 else rng.integers(0, 3, 3)
    maxima = {name: max(1, int(amount())) for name in ("health", "food", "water")}
    rules = Rules(
        **{f"max_{name}": most for name, most in maxima.items()},
        start_health=int(rng.integers(1, maxima["health"] + 1)),
        start_food=int(rng.integers(0, maxima["food"] + 1)),
        start_water=int(rng.integers(0, maxima["water"] + 1)),
        forage_amount=int(amount()),
        drink_amount=int(amount()),
        heal_food_above=int(rng.integers(0, maxima["food"] + 1)),
        heal_water_above=int(rng.integers(0, maxima["water"] + 1)),
        heal_amount=int(amount()),
        food_metabolism=int(rng.integers(0, 2)),
        water_metabolism=int(rng.integers(0, 2)),
        starvation_damage=int(rng.integers(0, 3) * rng.integers(0, 2)),
        thirst_damage=int(rng.integers(0, 3) * rng.integers(0, 2)),
        immunity_ticks=int(rng.choice([0, 5, 15, 1000])),
        attacks_enabled=bool(rng.random() < 0.8),
        attack_range=np.asarray(rng.integers(0, 6, 3)),
        attack_damage=np.asarray(damage),
        freeze_ticks=int(rng.choice([0, 1, 3, high])),
        immunity_blocks_drain=bool(rng.random() < 0.3),
        population_cap=config.num_agents - int(rng.integers(0, config.num_agents + 1) * (rng.random() < 0.3)),
        spawn_rate=np.float32(rng.choice([0.0, 0.4, 1.0, 1.0, 1.0])),
    )
    if not config.reproduction:
        return rules
    return rules.replace(
        birth_food_above=int(rng.integers(0, 1 + maxima["food"] // 3)),
        birth_water_above=int(rng.integers(0, 1 + maxima["water"] // 3)),
        birth_age=int(rng.choice([0, 0, 3, 12])),
        birth_probability=np.float32(rng.choice([0.0, 0.3, 1.0, 1.0])),
        birth_food_cost=int(amount()),
        birth_water_cost=int(amount()),
        newborn_food=int(rng.integers(0, 1 + maxima["food"])),
        newborn_water=int(rng.integers(0, 1 + maxima["water"])),
    )


def random_action(rng: np.random.Generator, num_agents: int) -> dict[str, np.ndarray]:
    """Hostile play: every fifth value is out of range."""

    def head(size: int) -> np.ndarray:
        wild = rng.choice([-(2**31), -7, -1, size, size + 1, 2**31 - 1], num_agents)
        return np.where(rng.random(num_agents) < 0.2, wild, rng.integers(0, size, num_agents)).astype(np.int32)

    return {"move": head(5), "style": head(3), "target": head(num_agents)}


def random_draws(rng: np.random.Generator, config: Config) -> Draws:
    """Any draws, the extremes often."""
    n, attempts = config.num_agents, config.max_spawns
    words = rng.integers(0, 2**32, (attempts, 3), dtype=np.uint32)
    words = np.where(rng.random(words.shape) < 0.2, rng.choice(EXTREMES, words.shape), words)
    waiting = np.where(rng.random(n) < 0.1, NEVER, rng.integers(1, 12, n))
    draws = Draws(regrowth=waiting.astype(np.int32), spawn=words)  # type: ignore[arg-type]
    if not config.reproduction:
        return draws
    own = rng.integers(0, 2**32, (n, 2), dtype=np.uint32)
    return draws.replace(reproduction=np.where(rng.random(own.shape) < 0.2, rng.choice(EXTREMES, own.shape), own))
