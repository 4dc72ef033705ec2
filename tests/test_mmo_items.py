"""Items of the role-playing world: every sentence of their rules by hand, and random play."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmo_jax
from nmmo_jax import Action, Column, Phase, System
from nmmo_jax.draws import choose, coin, draw, fold_in, words
from nmmo_jax.mmo import packs
from nmmo_jax.mmo.items import DROPS, ITEMS, KINDS, held, in_combat, place_for, put, take
from nmmo_jax.mmo.kinds import (
    ARROW,
    AXE,
    BOTTOM,
    BOW,
    FISH,
    HAT,
    HERB,
    MEAT,
    ORE,
    POTION,
    RATION,
    ROD,
    RUNES,
    SKILLS,
    SPEAR,
    STACK,
    TOP,
    WAND,
    WHETSTONE,
    WOOD,
)
from nmmo_jax.mmo.packs import Pack
from nmmo_jax.testing import WORLD, check_system

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
    shoots = (kind >= WHETSTONE) & (kind <= RUNES) & ~worn.any(axis=1, keepdims=True)
    return world.set(worn=worn | (shoots & (jnp.arange(12) == 0)))


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
    grown = world["skills.level"] + (world.words(10)[:, :1] >> 30 == 0)
    return world.through("skills", lambda own: own.set(level=grown))


FILLER = System("filler", needs=["skills", "monsters", "items"], events=["filled"], phases=[Phase("settle", fill)])


def test_check():
    check_system(ITEMS, needs=[LEVELS, MONSTERS, FILLER], reach=10, immunity_ticks=0)


@pytest.mark.slow
def test_nobody_is_born_with_anything():
    check_system(ITEMS, off={})


@pytest.mark.slow
def test_check_one_after_another():
    check_system(ITEMS, needs=[LEVELS, MONSTERS, FILLER], resolution="sequential", immunity_ticks=0)


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
    columns = [np.asarray(own[name])[agent].astype(int) for name in Pack._fields]
    return {place: tuple(map(int, item)) for place, item in enumerate(zip(*columns, strict=True)) if item[0]}


def told(info, event, agent=0):
    one = info.outcome.of["items"].events[event]
    return (int(one.other_uid[agent]), int(one.amount[agent])) if one.happened[agent] else None


def own(realm, name, agent=0):
    return np.asarray(realm.of["items"][name])[agent].tolist()


def random_packs(rng, number=300):
    """Full ones and others, of few kinds and levels so that there are stacks to put onto."""
    kind = rng.choice([0, 0, HAT, SPEAR, ARROW, ORE, RATION], (number, 12))
    kind[: number // 4] = rng.choice([HAT, ARROW, ORE], (number // 4, 12))
    level = np.where(kind, rng.integers(1, 3, kind.shape), 0)
    quantity = np.where(np.isin(kind, STACKS), rng.integers(1, STACK + 1, kind.shape), kind > 0)
    return Pack(kind, level, quantity, (rng.random(kind.shape) < 0.5) & (kind > 0))


def items_of(pack, agent):
    return [tuple(int(part[agent, place]) for part in pack) for place in range(12)]


def where_it_fits(items, kind, level, amount):
    most = KINDS[kind].most
    if not kind or amount > most or amount < 1:
        return -1
    for place, item in enumerate(items):
        if most > 1 and item[:2] == (kind, level) and item[2] + amount <= most:
            return place
    return next((place for place, item in enumerate(items) if item[0] == 0), -1)


def test_packs_in_python():
    rng = np.random.default_rng(0)
    pack = random_packs(rng)
    number = len(pack.kind)
    kind = rng.choice([0, HAT, ARROW, ORE, RATION, FISH], number)
    level, amount, who = rng.integers(1, 3, number), rng.integers(0, 103, number), rng.random(number) < 0.8
    amount = np.where(rng.random(number) < 0.4, 1, amount)
    place, others = rng.integers(-1, 12, number), rng.integers(0, number, number)

    def changed(pack, who, kind, level, amount, place, others):
        after, done = packs.with_item(pack, who, kind, level, amount)
        loot = packs.with_all(pack, who, packs.packs_of(pack, others))
        return after, done, packs.without(pack, packs.at(place), amount), loot, packs.item_at(pack, place)

    results = jax.jit(changed)(pack, who, kind, level, amount, place, others)
    after, done, fewer, loot, there = jax.device_get(results)
    for agent in range(number):
        items, n = items_of(pack, agent), int(amount[agent])
        expected, fits = list(items), where_it_fits(items, int(kind[agent]), int(level[agent]), n)
        assert bool(done[agent]) == (who[agent] and fits >= 0)
        if done[agent]:
            old = items[fits]
            expected[fits] = (int(kind[agent]), int(level[agent]), old[2] + n, old[3])
        assert items_of(after, agent) == expected
        expected, at = list(items), int(place[agent])
        if at >= 0:
            left = items[at][2] - n
            expected[at] = (*items[at][:2], left, items[at][3]) if left > 0 else (0, 0, 0, 0)
        assert items_of(fewer, agent) == expected
        assert tuple(int(part[agent]) for part in there) == (items[at] if at >= 0 else (0, 0, 0, 0))
        expected, given = list(items), [item for item in items_of(pack, int(others[agent])) if item[0]]
        for at in (at for at in range(12) if who[agent] and not items[at][0]):
            if given:
                expected[at] = (*given.pop(0)[:3], 0)
        assert items_of(loot, agent) == expected
    one = jnp.asarray([3, 5, 4])
    arrived = packs.brought(Pack(one, one, one, one > 9), jnp.asarray([2, -1, 0]))
    assert arrived.kind.tolist() == arrived.quantity.tolist() == [4, 0, 3]


def test_kinds_and_where_they_are_worn():
    names = ["", "hat", "top", "bottom", "hand", "ammunition"]
    worn = packs.worn_as(jnp.arange(len(KINDS))).tolist()
    assert [names[where] for where in worn] == [one.worn for one in KINDS]
    assert [KINDS[kind].name for kind in (HAT, TOP, BOTTOM, AXE, RUNES, RATION, ORE)] == (
        ["hat", "top", "bottom", "axe", "runes", "ration", "ore"]
    )
    empty = Pack(*(jnp.zeros((1, 12), int) for _ in range(3)), jnp.zeros((1, 12), bool))
    for kind, one in enumerate(KINDS):
        fits = [int(packs.place_in(empty, kind, 1, amount)[0]) >= 0 for amount in (0, 1, 2, 100, 101)]
        assert fits == [False, one.most >= 1, one.most >= 2, one.most >= 100, False]


def test_which_skill_a_kind_needs():
    """Agents of level 5 in one skill each."""
    levels = np.where(np.eye(8, dtype=bool), 5, 1)
    for kinds in (range(1, 13), range(13, len(KINDS))):
        carried = [(place, kind, 5) for place, kind in enumerate(kinds)]
        mask = look(scene([carried] * 8, of={"skills.level": levels})).mask["use"]
        for place, kind, _ in carried:
            one, able = KINDS[kind], [KINDS[kind].skill in ("", skill) for skill in SKILLS]
            usable = one.worn or RATION <= kind <= HERB
            assert mask[:8, 1 + place].tolist() == (able if usable else [False] * 8), one


def test_what_is_worn():
    """One in each place; at a level that one has; off at any."""
    carried = [(0, HAT, 2), (3, HAT, 1, 1, 1), (5, TOP, 9, 1, 1), (7, SPEAR, 1, 1, 1), (8, ROD, 1), (9, ARROW, 1, 7)]
    realm = scene([carried], of={"skills.level": [[1, 1, 1, 1, 1, 1, 1, 2]]})
    assert look(realm).mask["use"][0].tolist() == [1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0]
    after, info = (play(realm, use={0: 0})[k] for k in (1, 5))
    assert [place for place, item in pack_of(after).items() if item[3]] == [0, 5, 7]
    assert told(info, "item_worn") == (-1, HAT) and told(info, "item_used") is None
    after = play(after, use={0: 8})[1]
    assert [place for place, item in pack_of(after).items() if item[3]] == [0, 5, 8]
    after = play(after, use={0: 9})[1]
    assert [place for place, item in pack_of(after).items() if item[3]] == [0, 5, 8, 9]
    after, info = (play(after, use={0: 5})[k] for k in (1, 5))
    assert [place for place, item in pack_of(after).items() if item[3]] == [0, 8, 9] and told(info, "item_worn")[1] == 0
    after = play(after, use={0: 5})[1]  # its level is too high now
    assert [place for place, item in pack_of(after).items() if item[3]] == [0, 8, 9]
    assert {place: item[:2] for place, item in pack_of(after).items()} == {one[0]: one[1:3] for one in carried}


def test_without_skills_there_is_no_limit():
    env, step, observe = world_of(ITEMS)
    realm = scene([[(1, WAND, 10)]], env)
    assert jax.device_get(observe(realm)).mask["use"][0].tolist() == [1, 0, 1, *[0] * 10]
    after = play(realm, world=(env, step), use={0: 1})[1]
    assert pack_of(after) == {1: (WAND, 10, 1, 1)} and own(after, "offence") == [0, 0, 55]


@pytest.mark.parametrize(
    ("kind", "gains"),
    [
        (RATION, (60, 60, 0)),
        (POTION, (0, 0, 60)),
        (FISH, (24, 0, 0)),
        (MEAT, (24, 0, 0)),
        (HERB, (0, 0, 24)),
        (ORE, (0, 0, 0)),
    ],
)
def test_what_is_consumed(kind, gains):
    stack = 3 if kind in STACKS else 1
    for stat in (0, 30, 100):
        stats = {name: [max(stat, 1)] for name in ("food", "water", "health")}
        realm = scene([[(4, kind, 2, stack)]], of={"skills.level": [[2] * 8]}, **stats)
        after, info = (play(realm, use={0: 4})[k] for k in (1, 5))
        got = [int(getattr(after.agents, name)[0]) for name in ("food", "water", "health")]
        assert got == [min(max(stat, 1) + gain, 100) for gain in gains]
        left = stack - any(gains)
        assert pack_of(after) == ({4: (kind, 2, left, 0)} if left else {})
        assert told(info, "item_used") == ((-1, 1) if any(gains) else None)


def test_what_is_destroyed():
    realm = scene([[(0, ORE, 1, 40), (11, HAT, 1, 1, 1)]])
    assert np.flatnonzero(look(realm).mask["destroy"][0]).tolist() == [0, 1, 12]
    after, info = (play(realm, destroy={0: 0})[k] for k in (1, 5))
    assert list(pack_of(after)) == [11] and told(info, "item_destroyed") == (-1, 40)
    after = play(after, destroy={0: 11})[1]
    assert not pack_of(after) and own(after, "defence") == 0
    assert told(play(after, destroy={0: 3})[5], "item_destroyed") is None


def test_one_after_another_in_a_tick():
    """Use, then destroy, then giving, each of what is there then."""
    realm = scene([[(0, HAT, 1), (1, ORE, 1, 5), (2, MEAT, 1, 2)], []])
    after = play(realm, use={0: 0}, give_item={0: 0}, give_to={0: 1})[1]
    assert list(pack_of(after)) == [0, 1, 2] and not pack_of(after, 1)  # it is worn
    after = play(realm, use={0: 2}, destroy={0: 2}, give_item={0: 2}, give_to={0: 1})
    assert told(after[5], "item_destroyed") == (-1, 1) and told(after[5], "item_given") is None
    after = play(realm, destroy={0: 0}, use={0: 2}, give_item={0: 1}, give_to={0: 1})[1]
    assert pack_of(after) == {2: (MEAT, 1, 1, 0)} and pack_of(after, 1) == {0: (ORE, 1, 5, 0)}


@pytest.mark.parametrize("fight", ["attacks", "is attacked", "strikes a monster", "is bitten", "misses"])
def test_in_combat(fight):
    """In the three ticks after a fight, and not in that of the fight."""
    of = {"monsters.strikes": [fight == "strikes a monster", False], "monsters.bitten": [fight == "is bitten", False]}
    realm = scene([[(0, MEAT, 1, 9)], [(0, MEAT, 1, 9)]], of=of)
    attack = {"attacks": {0: 1}, "is attacked": {1: 0}, "misses": {0: 1}}.get(fight, {0: -1})
    if fight == "misses":
        realm = realm.replace(agents=realm.agents.replace(col=realm.agents.col.at[1].set(12)))
    _, after, *_, info = play(realm, style={0: 1, 1: 1}, target=attack, use={0: 0}, destroy={1: 5})
    assert told(info, "item_used")  # out of combat before
    quiet = {**after.of["monsters"], **dict.fromkeys(("strikes", "bitten"), jnp.zeros(N, bool))}
    after = after.replace(of={**after.of, "monsters": quiet})
    for tick in range(4):
        allowed = fight == "misses" or tick == 3
        obs = look(after)
        assert obs.of["busy"][0] == own(after, "busy") == (0 if allowed else 3 - tick)
        for name in ("use", "destroy", "give_item"):
            assert bool(obs.mask[name][0, 1]) == (allowed and (name != "give_item" or fight != "misses"))
        assert bool(obs.mask["give_to"][0, 1:].any()) == (allowed and fight != "misses")
        _, then, *_, info = play(after, use={0: 0})
        assert (told(info, "item_used") is not None) == allowed
        tries = play(after, destroy={0: 0}), play(after, give_item={0: 0}, give_to={0: 1})
        gave = told(tries[1][5], "item_given") is not None
        assert bool(pack_of(tries[0][1])) == (not allowed) and gave == (allowed and fight != "misses")
        after = then


def test_what_shoots():
    """One is used up by each attack of that style that hits, of what is worn."""
    carried = [(0, ARROW, 1, 2, 1), (1, ARROW, 1, 9), (2, WHETSTONE, 1, 5)]
    realm = scene([carried, []])
    for style in (0, 2):
        assert pack_of(play(realm, style={0: style}, target={0: 1})[1])[0] == (ARROW, 1, 2, 1)
    _, after, *_, info = play(realm, style={0: 1}, target={0: 1})
    assert pack_of(after)[0] == (ARROW, 1, 1, 1) and told(info, "ammunition_used") == (-1, 1)
    after = play(after, style={0: 1}, target={0: 1})[1]
    assert pack_of(after) == {1: (ARROW, 1, 9, 0), 2: (WHETSTONE, 1, 5, 0)}
    realm = scene([carried, []], of={"monsters.strikes": [True, False]})
    assert pack_of(play(realm, style={0: 1})[1])[0] == (ARROW, 1, 1, 1)
    far = scene([carried, []], col=[4, 9])
    assert pack_of(play(far, style={0: 1}, target={0: 1})[1])[0] == (ARROW, 1, 2, 1)
    _, after, *_, info = play(scene([carried, []]), style={0: 1}, target={0: 1}, use={0: 0})
    assert pack_of(after)[0] == (ARROW, 1, 1, 0)  # taken off after the shot


def test_offence_and_defence():
    """They count from the tick after."""
    carried = [
        (0, HAT, 2, 1, 1),
        (1, TOP, 3),
        (2, BOTTOM, 1, 1, 1),
        (3, BOW, 4),
        (4, ROD, 7, 1, 1),
        (5, ARROW, 2, 9, 1),
    ]
    realm = scene([carried, []], of={"skills.level": np.full((2, 8), 10)})
    after = play(realm)[1]
    assert own(after, "defence") == 3 * (2 + 1) + 15 and own(after, "offence") == [0, 25, 0]
    _, after, *_, info = play(after, use={0: 3}, style={0: 1}, target={0: 1})
    assert info.outcome.attack_damage[0] == 2 + 25
    assert own(after, "defence") == 9 and own(after, "offence") == [0, 25 + 25, 0]
    _, last, *_, info = play(after, style={0: 1, 1: 0}, target={0: 1, 1: 0})
    assert info.outcome.attack_damage[:2].tolist() == [2 + 50, 10 - 9]
    assert own(last, "offence", 1) == [0, 0, 0] and own(last, "defence", 1) == 0
    for kind, style, level in ((SPEAR, 0, 1), (WAND, 2, 10), (WHETSTONE, 0, 1), (RUNES, 2, 10)):
        after = play(scene([[(0, kind, level, 1, 1)]]))[1]
        expected = [0, 0, 0]
        expected[style] = 5 * (1 + level) if kind < ROD else 5 + 10 * level
        assert own(after, "offence") == expected and own(after, "defence") == 0


def test_gifts():
    full = [(place, HAT, 1) for place in range(11)]
    realm = scene([[(2, ORE, 1, 40), (3, HAT, 2, 1, 1)], [*full, (11, ORE, 1, 60)]])
    _, after, *_, info = play(realm, give_item={0: 2}, give_to={0: 1})
    assert pack_of(after) == {3: (HAT, 2, 1, 1)} and pack_of(after, 1)[11] == (ORE, 1, 100, 0)
    assert told(info, "item_given") == (1, 40)
    assert told(play(realm, give_item={0: 3}, give_to={0: 1})[5], "item_given") is None  # it is worn
    for other in ((ORE, 1, 61), (ORE, 2, 1), (WOOD, 1, 1)):  # no room
        realm = scene([[(2, ORE, 1, 40)], [*full, (11, *other)]])
        _, after, *_, info = play(realm, give_item={0: 2}, give_to={0: 1})
        assert pack_of(after) == {2: (ORE, 1, 40, 0)} and told(info, "item_given") is None
    for far in (3, 4):
        realm = scene([[(2, ORE, 1, 40)], []], col=[4, 4 + far])
        obs = look(realm)
        assert bool(obs.mask["give_item"][0, 3]) == (far == 3)
        _, after, *_ = play(realm, give_item={0: 2}, give_to={0: 1})
        assert bool(pack_of(after, 1)) == (far == 3)
    realm = scene([[(2, ORE, 1, 40)], []], col=[4, 8], row=[9, 9])
    for move in range(5):  # as they stand then
        after = play(realm, give_item={0: 2}, give_to={0: 1}, move={1: move})[1]
        assert bool(pack_of(after, 1)) == (after.agents.col[1] == 7)
    for nobody in ({0: 0}, {0: 5}, {0: -1}):
        assert pack_of(play(realm, give_item={0: 2}, give_to=nobody)[1])


def test_gifts_that_cross():
    """All leave, then they arrive: onto what is left."""
    full = [(place, HAT, 1) for place in range(11)]
    realm = scene([[*full, (11, ORE, 1, 40)], [*full, (11, ORE, 1, 50)]])
    _, after, *_ = play(realm, give_item={0: 11, 1: 11}, give_to={0: 1, 1: 0})
    assert pack_of(after)[11] == (ORE, 1, 50, 0) and pack_of(after, 1)[11] == (ORE, 1, 40, 0)
    realm = scene([[*full, (11, ORE, 1, 60)], [*full, (11, ORE, 1, 50)]])  # beside what is there it does not fit
    _, after, *_ = play(realm, give_item={0: 11, 1: 11}, give_to={0: 1, 1: 0})
    assert pack_of(after)[11] == (ORE, 1, 60, 0) and pack_of(after, 1)[11] == (ORE, 1, 50, 0)


def chance(realm, key, counter):
    """The words of each agent."""
    env = hand()[0]
    own = draw(fold_in(key, realm.tick), realm, env.rules, env.config).of["items"]
    uid = realm.agents.uid
    return [np.asarray(one) for one in words(jax.random.wrap_key_data(own), uid, jnp.full_like(uid, counter))]


def test_whose_gift_is_taken():
    """The lowest word of those who could give; another gift is not tried."""
    realm = scene([[(0, ORE, 1, 40)], [(0, WOOD, 1, 3)], [(0, HAT, 1, 1, 1)], []])
    to, got = {0: 3, 1: 3, 2: 3}, set()
    for seed in range(12):
        key = jax.random.key(seed)
        _, after, *_ = play(realm, key, give_item=dict.fromkeys(to, 0), give_to=to)
        first = int(np.argmin(chance(realm, key, 0)[0][:2]))
        assert pack_of(after, 3) == {0: [(ORE, 1, 40, 0), (WOOD, 1, 3, 0)][first]}
        assert [bool(pack_of(after, giver)) for giver in range(3)] == [first != 0, first != 1, True]
        got.add(first)
    assert got == {0, 1}


def test_what_the_killer_takes():
    carried = [(1, HAT, 2, 1, 1), (4, ORE, 1, 40), (7, MEAT, 3, 2), (8, WOOD, 1, 1)]
    looter = [(place, TOP, 1) for place in range(12) if place not in (2, 5, 6)] + [(2, ORE, 1, 3)]
    of = {"items.gold": [29_990, 100]}
    realm = scene([looter, carried], of=of, health=[50, 10])
    _, after, _, dead, _, info = play(realm, style={0: 0}, target={0: 1})
    assert dead[1] and pack_of(after)[2] == (ORE, 1, 3, 0)
    assert pack_of(after)[5] == (HAT, 2, 1, 0) and pack_of(after)[6] == (ORE, 1, 40, 0) and len(pack_of(after)) == 12
    assert own(after, "gold") == 30_000 and told(info, "gold_gained") == (1, 10)
    assert told(info, "item_looted") == (1, 41)
    assert not pack_of(after, 1) and own(after, "gold", 1) == 0


def test_who_is_the_killer():
    """The most damage, then the oldest; a killer who is dead takes nothing, and neither does who has not killed."""
    meat = [(0, MEAT, 1, 4)]

    def looters(styles, health=10, **more):
        realm = scene([[], [], [], meat], health=[50, 50, 50, health], **more)
        after = play(realm, style=styles, target=dict.fromkeys(styles, 3))[1]
        return [agent for agent in range(3) if pack_of(after, agent)]

    assert looters({0: 1, 1: 0, 2: 1}) == [1]
    assert looters({0: 0, 1: 0, 2: 0}) == [0]
    assert looters({0: 0, 1: 0, 2: 0}, uid=[7, 3, 9, 1]) == [1]
    assert looters({0: 0}, health=11) == []
    realm = scene([[(5, HAT, 1)], meat], health=[10, 10])
    _, after, _, dead, _, _ = play(realm, style={0: 0, 1: 0}, target={0: 1, 1: 0})
    assert dead[:2].all() and not any(pack_of(after, agent) for agent in range(2))
    realm = scene([[], meat], food=[50, 0], health=[50, 1])  # of hunger, before it is struck
    _, after, _, dead, _, _ = play(realm, style={0: 0}, target={0: 1})
    assert dead[1] and not pack_of(after)


def test_loot_one_after_another():
    """Who is killed after its own turn stays for a tick, and is looted once."""
    world = hand(resolution="sequential")
    for victim in (0, 2):  # before and after the killer's turn
        carried = [[], [], []]
        carried[victim] = [(0, MEAT, 1, 4), (3, HAT, 1)]
        health = [50, 50, 50]
        health[victim] = 5
        realm = scene(carried, world[0], health=health)
        after, given = realm, 0
        for _ in range(3):
            _, after, *_, info = play(after, world=world, style={1: 0}, target={1: victim})
            given += told(info, "item_looted", 1) is not None
        assert given == 1 and pack_of(after, 1) == {0: (MEAT, 1, 4, 0), 1: (HAT, 1, 1, 0)}
        assert not pack_of(after, victim) and not after.agents.alive[victim]


@pytest.mark.parametrize("monster", range(3))
def test_what_monsters_leave(monster):
    number, kinds = N, set()
    of = {"monsters.kills": [monster] * number, "monsters.of_level": [4] * number}
    realm = scene([[] for _ in range(number)], of=of, col=[3] * number, row=list(range(6, 6 + number)))
    for seed in range(9):
        key = jax.random.key(seed)
        _, after, *_, info = play(realm, key)
        expected = [[] for _ in range(number)]
        for index, drop in enumerate(DROPS[monster]):
            first, second = chance(realm, key, 1 + index)
            for agent in range(number):
                if first[agent] >> 8 < drop.probability * 2**24:
                    which = int(second[agent]) * drop.number >> 32
                    expected[agent].append((drop.kind + which, 4, 1, 0))
        for agent, items in enumerate(expected):
            assert list(pack_of(after, agent).values()) == items
            assert told(info, "item_dropped", agent) == ((-1, len(items)) if items else None)
            assert own(after, "gold", agent) == 4 and told(info, "gold_gained", agent) == (-1, 4)
            kinds |= {item[0] for item in items}
    assert kinds == {drop.kind + which for drop in DROPS[monster] for which in range(drop.number)}


def test_what_does_not_fit():
    """It is not left to anybody; gold only up to what a purse can have."""
    full = [(place, HAT, 1) for place in range(11)]
    of = {"monsters.kills": [0], "monsters.of_level": [4], "items.gold": [29_998]}
    _, after, *_, info = play(scene([[*full, (11, MEAT, 4, 100)]], of=of))
    assert pack_of(after)[11] == (MEAT, 4, 100, 0) and told(info, "item_dropped") is None
    assert own(after, "gold") == 30_000 and told(info, "gold_gained") == (-1, 2)
    _, after, *_ = play(scene([[*full, (11, MEAT, 4, 99)]], of=of))
    assert pack_of(after)[11] == (MEAT, 4, 100, 0)


def test_what_agents_see():
    carried = [(1, ARROW, 2, 30, 1), (9, ORE, 1, 5)]
    realm = scene([carried, []], of={"items.gold": [7, 0]})
    obs = look(realm)
    assert obs.of["pack"][0, 1].tolist() == [ARROW, 2, 30, 1] and obs.of["pack"][0, 9].tolist() == [ORE, 1, 5, 0]
    assert obs.of["gold"][:2].tolist() == [7, 0] and not np.asarray(obs.of["pack"][1:]).any()
    assert obs.rows["pack"][0].tolist() == [-1, 1, *[-1] * 7, 9, -1, -1]
    assert np.flatnonzero(obs.mask["give_item"][0]).tolist() == [0, 10]  # not what is worn
    assert obs.visible_slot[0, 1] == 1 and np.flatnonzero(obs.mask["give_to"][0]).tolist() == [0, 1]
    assert np.flatnonzero(obs.mask["give_to"][1]).tolist() == [0]  # with nothing to give


def look_and_take(world):
    kind, level = held(world)
    world = world.set(kind=kind, level=level, fights=in_combat(world))
    place = jnp.zeros(N, jnp.int32)
    return world.through("items", lambda items: take(items, items.acting & (kind > 0), place, 3))


def test_verbs_of_other_units():
    columns = [Column("kind"), Column("level"), Column("fights", "bool")]
    other = System("other", needs=["items"], agents=columns, phases=[Phase("act", look_and_take)])
    env, step, _ = world_of(ITEMS, other)
    carried = [[(0, ORE, 1, 3), (4, AXE, 6, 1, 1)], [(0, ORE, 1, 9)], [(0, ORE, 1, 4), (1, ROD, 2, 1, 1)]]
    after = play(scene(carried, env, of={"items.busy": [0, 2, 1]}), world=(env, step))[1]
    assert [pack_of(after, agent).get(0) for agent in range(3)] == [None, (ORE, 1, 9, 0), (ORE, 1, 1, 0)]
    seen = after.of["other"]
    assert seen["kind"][:3].tolist() == [AXE, 0, ROD] and seen["level"][:3].tolist() == [6, 0, 2]
    assert seen["fights"][:3].tolist() == [False, True, True]


def check_packs(realm):
    kind, level, quantity, worn = (np.asarray(realm.of["items"][name]).astype(int) for name in Pack._fields)
    most = np.array([one.most for one in KINDS])[kind]
    there = kind > 0
    assert ((quantity > 0) == there).all() and ((level > 0) == there).all() and (quantity <= most).all()
    where = np.asarray(packs.worn_as(jnp.asarray(kind))) * worn
    assert (where[worn > 0] > 0).all()
    for place in range(1, 6):
        assert ((where == place).sum(axis=1) <= 1).all()
    assert not kind[~np.asarray(realm.agents.alive)].any()


def random_action(rng, crowd):
    pick = functools.partial(rng.integers, size=N)
    chosen = {
        "move": pick(0, 5),
        "style": pick(0, 3),
        "target": np.where(rng.random(N) < crowd, pick(0, N), -1),
        "use": pick(-1, 12),
        "destroy": np.where(rng.random(N) < 0.1, pick(0, 12), -1),
        "give_item": pick(-1, 12),
        "give_to": pick(0, N),
    }
    return Action.from_named({name: value.astype(np.int32) for name, value in chosen.items()})


@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_nothing_comes_from_nowhere(resolution):
    """What each agent has more or less is told; packs are sound; the living and the dead own nothing twice."""
    env, step, _ = world_of(LEVELS, MONSTERS, ITEMS, FILLER, resolution=resolution)
    rng = np.random.default_rng(1)
    realm, happened = None, dict.fromkeys(ITEMS.events, 0)
    for tick in range(72):
        if tick % 9 == 0:
            row, col = rng.integers(9, 12, (2, N))
            carried = [[(3, ARROW, 1, 30, 1), (5, MEAT, 1, 20), (7, SPEAR, 1), (8, HERB, 1, 9)]] * N
            realm = scene(carried, env, row=row, col=col, health=[15] * N, tick=tick)
        before, lives = np.asarray(realm.of["items"]["quantity"]).sum(axis=1), np.asarray(realm.agents.health) > 0
        gold = np.asarray(realm.of["items"]["gold"]).astype(int)
        uid = np.asarray(realm.agents.uid)
        _, realm, *_, info = jax.device_get(step(KEY, realm, random_action(rng, 0.4)))
        check_packs(realm)
        events = {**info.outcome.of["items"].events, **info.outcome.of["filler"].events}
        amount = {name: np.where(one.happened, one.amount, 0) for name, one in events.items()}
        for name in happened:
            happened[name] += int(np.asarray(events[name].happened).sum())
        come = amount["filled"] + amount["item_dropped"] + amount["item_looted"]
        went = sum(amount[name] for name in ("item_used", "item_destroyed", "item_given", "ammunition_used"))
        for giver in np.flatnonzero(events["item_given"].happened):
            receiver = np.flatnonzero(uid == int(events["item_given"].other_uid[giver]))
            assert receiver.size == 1
            come[receiver[0]] += amount["item_given"][giver]
        victims = np.asarray(events["item_looted"].other_uid)[np.asarray(events["item_looted"].happened)]
        assert len(set(victims.tolist())) == victims.size
        for looter in np.flatnonzero(events["item_looted"].happened):
            victim = np.flatnonzero(uid == int(events["item_looted"].other_uid[looter]))[0]
            assert lives[victim] and not (realm.agents.alive[victim] and realm.agents.health[victim] > 0)
            assert amount["item_looted"][looter] <= before[victim] + come[victim] - went[victim]
        stays = np.asarray(realm.agents.alive) & (np.asarray(realm.agents.uid) == uid) & (realm.agents.health > 0)
        after = np.asarray(realm.of["items"]["quantity"]).sum(axis=1)
        assert (after == before + come - went)[stays].all()
        purse = np.asarray(realm.of["items"]["gold"]).astype(int)
        assert (purse == gold + amount["gold_gained"])[stays].all()
    assert all(happened.values()), happened


def test_gifts_conserve_every_kind():
    step = hand()[1]
    rng = np.random.default_rng(2)
    kinds = rng.choice([0, HAT, TOP, ARROW, ORE, WOOD, MEAT], (N, 12))
    carried = [
        [
            (place, int(kind), int(rng.integers(1, 4)), int(rng.integers(1, 60)) if kind in STACKS else 1)
            for place, kind in enumerate(row)
            if kind
        ]
        for row in kinds
    ]
    realm = scene(carried, row=rng.integers(9, 12, N), col=rng.integers(9, 12, N))

    def count(realm):
        kind, level, quantity = (np.asarray(realm.of["items"][name]).astype(int) for name in Pack._fields[:3])
        return np.bincount((kind * 11 + level).ravel(), quantity.ravel(), minlength=23 * 11)

    first, moved = count(realm), 0
    for _ in range(30):
        action = random_action(rng, 0)
        nothing = {"use": jnp.full(N, -1), "destroy": jnp.full(N, -1)}
        _, realm, *_, info = step(KEY, realm, action.replace(of={**action.of, **nothing}))
        moved += int(info.outcome.of["items"].events["item_given"].happened.sum())
        check_packs(realm)
        assert (count(realm) == first).all()
    assert moved > 20
