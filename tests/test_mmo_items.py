"""Items of the role-playing world: packs, what is worn, consumed and destroyed, combat, and verbs of others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from carrying import (
    FILLER,
    LEVELS,
    MONSTERS,
    STACKS,
    N,
    items_of,
    look,
    own,
    pack_of,
    play,
    random_packs,
    scene,
    told,
    where_it_fits,
    world_of,
)

from nmmo_jax import Column, Phase, System
from nmmo_jax.mmo import packs
from nmmo_jax.mmo.items import ITEMS, KINDS, held, in_combat, take
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
    TOP,
    WAND,
    WHETSTONE,
)
from nmmo_jax.mmo.packs import Pack
from nmmo_jax.testing import check_system


@pytest.mark.slow
def test_check():
    check_system(ITEMS, needs=[LEVELS, MONSTERS, FILLER], reach=10, immunity_ticks=0)


@pytest.mark.slow
def test_nobody_is_born_with_anything():
    check_system(ITEMS, off={})


@pytest.mark.slow
def test_check_one_after_another():
    check_system(ITEMS, needs=[LEVELS, MONSTERS, FILLER], resolution="sequential", immunity_ticks=0)


def test_packs_in_python():
    rng = np.random.default_rng(0)
    pack = random_packs(rng)
    number = pack.kind.shape[1]
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


@pytest.mark.slow
def test_kinds_and_where_they_are_worn():
    names = ["", "hat", "top", "bottom", "hand", "ammunition"]
    worn = packs.worn_as(jnp.arange(len(KINDS))).tolist()
    assert [names[where] for where in worn] == [one.worn for one in KINDS]
    assert [KINDS[kind].name for kind in (HAT, TOP, BOTTOM, AXE, RUNES, RATION, ORE)] == (
        ["hat", "top", "bottom", "axe", "runes", "ration", "ore"]
    )
    empty = Pack(*(jnp.zeros((12, 1), jnp.int8) for _ in range(3)), jnp.zeros((12, 1), bool))
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
