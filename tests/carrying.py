"""Agents with packs in a small world, by hand: for tests of items."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import nmmo_jax
from nmmo_jax import Action, Column, Phase, System
from nmmo_jax.draws import choose, coin
from nmmo_jax.mmo.items import ITEMS, KINDS, place_for, put
from nmmo_jax.mmo.kinds import (
    ARROW,
    HAT,
    ORE,
    RATION,
    RUNES,
    SKILLS,
    SPEAR,
    STACK,
    WHETSTONE,
)
from nmmo_jax.mmo.packs import Pack
from nmmo_jax.testing import WORLD

N = WORLD["num_agents"]
GROUND = np.full((24, 22), 2)
KEY = jax.random.key(3)
STACKS = [kind for kind, one in enumerate(KINDS) if one.most > 1]
QUIET = {  # nothing happens by itself
    "max_health": 100,
    "max_food": 100,
    "max_water": 100,
    "food_metabolism": 0,
    "water_metabolism": 0,
    "heal_amount": 0,
    "immunity_ticks": 0,
    "freeze_ticks": 0,
    "attack_range": (3, 3, 3),
    "spawn_rate": 0.0,
    "view": 9,
}


def strike(world):
    return world.tell("monster_hit", world["strikes"], 1)


def settle(world):
    world = world.set(slain_kind=world["kills"], slain_level=world["of_level"])
    return world.tell("monster_attack", world["bitten"], 1)


MONSTERS = System(  # what they do is in columns
    "monsters",
    agents=[
        *(Column(name, "int8", empty=-1, low=-1, high=2) for name in ("slain_kind", "kills")),
        *(Column(name, "int8", low=0, high=10) for name in ("slain_level", "of_level")),
        *(Column(name, "bool") for name in ("strikes", "bitten")),
    ],
    events=["monster_hit", "monster_attack"],
    phases=[Phase("act", strike), Phase("settle", settle)],
)


LEVELS = System("skills", agents=[Column("level", "int8", empty=1, low=1, high=10, each=SKILLS)])


def wear(world):
    """Ammunition in the first place, of those who wear nothing."""
    kind, worn = world["kind"], world["worn"]
    shoots = (kind >= WHETSTONE) & (kind <= RUNES) & ~worn.any(axis=0)
    return world.set(worn=worn | (shoots & (jnp.arange(12) == 0)[:, None]))


def fill(world):
    """Random items, and monsters and levels for the next tick; nothing in one tick of four, which can be looked at."""
    busy = world.tick % 4 != 3
    told = jnp.zeros(world.config.num_agents, jnp.int32)
    for counter in range(3):
        first, second = world.words(2 * counter), world.words(2 * counter + 1)
        kind, level = 1 + choose(first[:, 0], len(KINDS) - 1), 1 + choose(first[:, 1], 3)
        stack = (kind[:, None] == jnp.array(STACKS)).any(axis=1)
        amount = jnp.where(stack, 1 + choose(second[:, 0], 40), 1)
        who = (world.tick % 4 != 0) & world.acting & coin(second[:, 1], 0.5)
        told += jnp.where(who & (place_for(world, kind, level, amount) >= 0), amount, 0)
        world = world.through("items", lambda items, args=(who, kind, level, amount): put(items, *args))
    world = world.tell("filled", told > 0, told).through("items", wear)
    word = world.words(9)
    flag = [busy & coin(word[:, 0] << shift, 0.1) for shift in (0, 8, 16)]
    kills = jnp.where(flag[0], choose(word[:, 1], 3), -1)
    world = world.through(
        "monsters",
        lambda own: own.set(kills=kills, of_level=1 + choose(word[:, 1] << 8, 10), strikes=flag[1], bitten=flag[2]),
    )
    grown = world["skills.level"] + (world.words(10)[:, 0] >> 30 == 0)
    return world.through("skills", lambda own: own.set(level=grown))


FILLER = System("filler", needs=["skills", "monsters", "items"], events=["filled"], phases=[Phase("settle", fill)])


@functools.cache
def world_of(*systems, **more):
    env = nmmo_jax.make("chaos", **{**WORLD, **QUIET, **dict(more)}, systems=systems)
    return env, jax.jit(env.step), jax.jit(env.observe)


def hand(**more):
    return world_of(LEVELS, MONSTERS, ITEMS, **more)


def scene(carried, env=None, of=None, **more):
    """Agents in a row of tiles, side by side, with (place, kind, level, quantity, worn) each."""
    env = env or hand()[0]
    number = len(carried)
    columns = {name: np.zeros((number, 12), int) for name in Pack._fields}
    for agent, items in enumerate(carried):
        for place, *item in items:
            for name, value in zip(Pack._fields, [*item, *(1, 0)[len(item) - 2 :]], strict=True):
                columns[name][agent, place] = value
    of = {**{f"items.{name}": values for name, values in columns.items()}, **(of or {})}
    of = {name: np.asarray(values).T for name, values in of.items()}  # here by agent
    more = {"row": [9] * number, "col": list(range(4, 4 + number)), "slot": list(range(number)), **more}
    more["population"] = [slot * env.config.num_populations // N for slot in more["slot"]]
    for name in ("health", "food", "water"):
        more.setdefault(name, [50] * number)
    return nmmo_jax.make_realm(env.config, GROUND, rules=env.rules, of=of, **more)


def play(realm, key=KEY, world=None, **choices):
    """A tick in which agents choose, by argument and slot."""
    arguments = ("target", "use", "destroy", "give_item", "give_to")
    chosen = {**dict.fromkeys(("move", "style"), 0), **dict.fromkeys(arguments, -1)}
    chosen = {name: np.full(N, nothing, np.int32) for name, nothing in chosen.items()}
    for name, by_agent in choices.items():
        chosen[name][list(by_agent)] = list(by_agent.values())
    return jax.device_get((world or hand())[1](key, realm, Action.from_named(chosen)))


def look(realm):
    return jax.device_get(hand()[2](realm))


def pack_of(realm, agent=0):
    """What is in the places of an agent, by place."""
    own = realm.of["items"]
    columns = [np.asarray(own[name])[:, agent].astype(int) for name in Pack._fields]
    return {place: tuple(map(int, item)) for place, item in enumerate(zip(*columns, strict=True)) if item[0]}


def told(info, event, agent=0):
    one = info.outcome.of["items"].events[event]
    return (int(one.other_uid[agent]), int(one.amount[agent])) if one.happened[agent] else None


def own(realm, name, agent=0):
    return np.asarray(realm.of["items"][name])[..., agent].tolist()


def random_packs(rng, number=300):
    """Full ones and others, of few kinds and levels so that there are stacks to put onto."""
    kind = rng.choice([0, 0, HAT, SPEAR, ARROW, ORE, RATION], (number, 12))
    kind[: number // 4] = rng.choice([HAT, ARROW, ORE], (number // 4, 12))
    level = np.where(kind, rng.integers(1, 3, kind.shape), 0)
    quantity = np.where(np.isin(kind, STACKS), rng.integers(1, STACK + 1, kind.shape), kind > 0)
    numbers = (part.astype(np.int8).T for part in (kind, level, quantity))
    return Pack(*numbers, ((rng.random(kind.shape) < 0.5) & (kind > 0)).T)


def items_of(pack, agent):
    return [tuple(int(part[place, agent]) for part in pack) for place in range(12)]


def where_it_fits(items, kind, level, amount):
    most = KINDS[kind].most
    if not kind or amount > most or amount < 1:
        return -1
    for place, item in enumerate(items):
        if most > 1 and item[:2] == (kind, level) and item[2] + amount <= most:
            return place
    return next((place for place, item in enumerate(items) if item[0] == 0), -1)
