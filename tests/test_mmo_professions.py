"""Professions: what is harvested and found, by whom, how long it is spent, and the ground that has it."""

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmo_jax
from nmmo_jax import Action
from nmmo_jax.draws import coin, fold_in, waiting_time, words
from nmmo_jax.goals import goals, with_steps
from nmmo_jax.kinds import Material
from nmmo_jax.mmo.items import ITEMS
from nmmo_jax.mmo.kinds import (
    AXE,
    BOW,
    CHISEL,
    CRYSTAL,
    FISH,
    GLOVES,
    HAT,
    HERB,
    ORE,
    PICKAXE,
    ROD,
    SPEAR,
    TOP,
    WAND,
    WOOD,
)
from nmmo_jax.mmo.professions import PROFESSIONS
from nmmo_jax.system import identity
from nmmo_jax.testing import WORLD, check_system

# As the rulebook's table has them: material, spent, tool, product, event, what is found.
TABLE = {
    "vein": ("slag", PICKAXE, ORE, "mined", WAND),
    "tree": ("stump", AXE, WOOD, "felled", SPEAR),
    "gems": ("shards", CHISEL, CRYSTAL, "crushed", BOW),
    "herbs": ("weeds", GLOVES, HERB, "picked", 0),
    "shoal": ("ocean", ROD, FISH, "fished", 0),
}
PLAY = {**WORLD, "systems": [ITEMS, PROFESSIONS], "spawn_rate": 0.0, "professions.find": 0.0}
ENV = nmmo_jax.make("law", **PLAY)
NUMBER = {name: number for number, name in enumerate(ENV.config.material_names)}
STEP = jax.jit(lambda key, realm, rules: ENV.step(key, realm, Action(), rules))
IN_TURN = nmmo_jax.make("law", **PLAY, resolution="sequential")


def dense(material, words, config):
    """Ground on which everything is within reach of everybody."""
    kinds = jnp.asarray([NUMBER[name] for name in (*TABLE, *TABLE)][:8], jnp.uint8)
    some = (material != Material.LAVA) & (words >> 30 == 0)
    return jnp.where(some, kinds[(words & 7).astype(jnp.int32)], material)


CROWDED = dataclasses.replace(PROFESSIONS, terrain=dense)


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_it_is_as_systems_are(resolution):
    check_system(CROWDED, needs=[ITEMS], reach=8, resolution=resolution, **{"professions.find": 0.5})


def world(tiles, agents, packs=None, tick=0, env=ENV, **more):
    """A realm on grass with materials at these places; of each agent a place, of some a pack of (kind, level, quantity,
    worn).
    """
    material = np.full((24, 22), int(Material.GRASS))
    for place, name in tiles.items():
        material[place] = NUMBER[name]
    pack = np.zeros((4, len(agents), 12), int)
    for agent, items in (packs or {}).items():
        for place, item in enumerate(items):
            pack[:, agent, place] = item
    row, col = zip(*agents, strict=True)
    of = {f"items.{name}": pack[k].T for k, name in enumerate(("kind", "level", "quantity", "worn"))}
    slot = np.arange(len(agents))
    known = {"slot": slot, "population": slot // 4, "tick": tick, "of": of, "rules": env.rules} | more
    return nmmo_jax.make_realm(env.config, material, row=row, col=col, **known)


def play(realm, seed=0, **rules):
    """A tick by other rules of professions: the realm after it, and what was told, ``{event: {slot: amount}}``."""
    given = {**PLAY, **{f"professions.{name}": value for name, value in rules.items()}}
    _, after, *_, info = STEP(jax.random.key(seed), realm, nmmo_jax.make("law", **given).rules)
    return after, told(info)


def told(info):
    events = {}
    for name, one in info.outcome.of["professions"].events.items():
        slots = np.flatnonzero(np.asarray(one.happened))
        if slots.size:
            events[name] = {int(slot): int(one.amount[slot]) for slot in slots}
    return events


def pack(realm, slot):
    """What an agent has, as (kind, level, quantity)."""
    columns = [np.asarray(realm.of["items"][name][:, slot]) for name in ("kind", "level", "quantity")]
    return [tuple(map(int, item)) for item in zip(*columns, strict=True) if item[0]]


def ready(realm, place):
    return bool(realm.tiles.ready_tick[place] <= realm.tick)


@pytest.mark.parametrize("name", TABLE)
def test_what_is_harvested(name):
    """The product of level 1, the event with its level, and a tile that looks spent."""
    spent, _, product, event, _ = TABLE[name]
    tile = (10, 11) if name == "shoal" else (10, 10)
    after, events = play(world({tile: name}, [(10, 10)]), **{f"{name}_regrowth": 0.0})
    assert pack(after, 0) == [(product, 1, 1)] and events == {event: {0: 1}}
    assert not ready(after, tile)
    looks = np.asarray(nmmo_jax.observed_material(after, ENV.config))
    assert looks[tile] == NUMBER[spent]
    again, events = play(after)
    assert pack(again, 0) == [(product, 1, 1)] and not events


def test_where_agents_stand():
    """On all but a shoal, and beside that alone; nobody enters shoal or ocean."""
    walkable = {ENV.config.material_names[number] for number in ENV.config.walkable}
    assert {name for one in TABLE for name in (one, TABLE[one][0]) if name not in walkable} == {"shoal", "ocean"}
    beside = world({(10, 11): "vein", (9, 10): "tree", (11, 10): "herbs"}, [(10, 10)])
    assert play(beside)[1] == {}
    assert play(world({(11, 11): "shoal"}, [(10, 10)]))[1] == {}  # across a corner


def test_no_tool_but_the_right_one_in_the_hand_makes_products_better():
    for name, (_, tool, product, event, _) in TABLE.items():
        tile = [(10, 11), (10, 11)] if name == "shoal" else [(10, 10), (10, 10)]
        other = next(one for one in (AXE, ROD) if one != tool)
        for item, level in [
            ((tool, 4, 1, 1), 5),
            ((tool, 10, 1, 1), 10),
            ((tool, 9, 1, 1), 10),
            ((tool, 4, 1, 0), 1),
            ((other, 4, 1, 1), 1),
        ]:
            after, events = play(world({tile[0]: name}, [(10, 10)], {0: [item]}))
            assert pack(after, 0) == [item[:3], (product, level, 1)] and events == {event: {0: level}}


def test_which_tile():
    """Where it stands comes before shoals, these in the order of moves, and what is not ready does not count."""
    around = {(10, 11): "shoal", (11, 10): "shoal", (10, 9): "shoal", (9, 10): "shoal"}
    places, waits = [*around], np.zeros((24, 22), int)
    for place in places:
        after, events = play(world(around, [(10, 10)], ready_tick=waits), shoal_regrowth=0.0)
        assert events == {"fished": {0: 1}} and [one for one in places if not ready(after, one)][-1] == place
        waits[place] = 9
    assert play(world(around, [(10, 10)], ready_tick=waits))[1] == {}
    after, events = play(world(around | {(10, 10): "vein"}, [(10, 10)]))
    assert events == {"mined": {0: 1}} and all(ready(after, place) for place in places)
    waits[:] = 0
    waits[10, 10] = 5
    assert play(world(around | {(10, 10): "vein"}, [(10, 10)], ready_tick=waits))[1] == {"fished": {0: 1}}
    # A tile of the next row is not beside the last of a row.
    assert play(world({(11, 0): "shoal"}, [(10, 21)]))[1] == {}
    assert play(world({(23, 21): "shoal"}, [(0, 0)]))[1] == {}


def test_what_does_not_fit_is_left():
    full = [(HAT, 1, 1, 0)] * 11
    for stack, fits in [((ORE, 1, 99, 0), True), ((ORE, 1, 100, 0), False), ((ORE, 2, 1, 0), False)]:
        after, events = play(world({(10, 10): "vein", (10, 11): "shoal"}, [(10, 10)], {0: [*full, stack]}))
        assert bool(events) == fits and ready(after, (10, 11))  # and who stands on something does not fish
        assert pack(after, 0)[-1] == ((ORE, 1, 100) if fits else stack[:3])
    # Who has no room does not take part: the other gets it, by any key.
    for seed in range(6):
        realm = world({(10, 10): "vein"}, [(10, 10), (10, 10)], {0: [*full, (TOP, 1, 1, 0)]})
        assert play(realm, seed)[1] == {"mined": {1: 1}}


def test_of_several_one_gets_it():
    """The one with the lowest word, in an order that no age decides; of shoals too, from two sides."""
    for tiles, agents in [({(10, 10): "gems"}, [(10, 10)] * 3), ({(10, 11): "shoal"}, [(10, 10), (10, 12), (9, 11)])]:
        got = set()
        for seed in range(12):
            realm = world(tiles, agents)
            _, events = play(realm, seed)
            (who,) = (winner for one in events.values() for winner in one)
            assert len(events) == 1 and who == int(np.argmin(chance(seed, realm, 0)[:3]))
            got.add(who)
        assert got == {0, 1, 2}


@pytest.mark.slow
def test_in_turn_the_oldest_gets_it():
    step = jax.jit(IN_TURN.step)
    realm = world({(10, 10): "gems"}, [(10, 10)] * 3, env=IN_TURN, uid=[7, 3, 5])
    for seed in range(3):
        *_, info = step(jax.random.key(seed), realm, Action())
        assert told(info) == {"crushed": {1: 1}}


def chance(seed, realm, counter):
    """First words of agents, as the rulebook says."""
    key = fold_in(fold_in(jax.random.key(seed), realm.tick), identity("professions"))
    uid = realm.agents.uid
    return np.asarray(words(key, uid, jnp.full_like(uid, counter))[0])


def test_how_long_a_tile_is_spent():
    """As long as the agent's own chance says, by the probability of what it harvested."""
    places = {(5, 5): "vein", (5, 8): "tree", (5, 11): "gems", (8, 5): "herbs", (8, 9): "shoal"}
    agents = [(5, 5), (5, 8), (5, 11), (8, 5), (8, 8)]
    given = {"vein": 0.5, "tree": 0.25, "gems": 1.0, "herbs": 0.0, "shoal": 0.05}
    for seed in range(4):
        realm = world(places, agents, tick=seed + 3)
        after, events = play(realm, seed, **{f"{name}_regrowth": one for name, one in given.items()})
        assert len(events) == 5
        word = jnp.asarray(chance(seed, realm, 1)[:5])
        waits = [int(waiting_time(word[k], jnp.float32(one))) for k, one in enumerate(given.values())]
        then = np.array([after.tiles.ready_tick[place] for place in places])
        assert then[2] == seed + 4 and then[3] == 2**31 - 1
        kept = [0, 1, 2, 4]
        assert then[kept].tolist() == (np.array(waits) + seed + 3)[kept].tolist()
    default = {rule.name: rule.default for rule in PROFESSIONS.rules}
    assert default == {
        "vein_regrowth": 0.1,
        "tree_regrowth": 0.105,
        "gems_regrowth": 0.1,
        "herbs_regrowth": 0.02,
        "shoal_regrowth": 0.02,
        "find": 0.025,
    }


def test_what_is_found():
    """A weapon of the product's level, in ground that has some, by a coin, if it fits beside the product."""
    for name, (_, tool, product, event, weapon) in TABLE.items():
        tile = (10, 11) if name == "shoal" else (10, 10)
        after, events = play(world({tile: name}, [(10, 10)], {0: [(tool, 3, 1, 1)]}), find=1.0)
        assert pack(after, 0) == [(tool, 3, 1), (product, 4, 1)] + ([(weapon, 4, 1)] if weapon else [])
        assert events == {event: {0: 4}} | ({"weapon_found": {0: 4}} if weapon else {})
    # One place is left: the product has it.
    realm = world({(10, 10): "vein"}, [(10, 10)], {0: [(HAT, 1, 1, 0)] * 11})
    after, events = play(realm, find=1.0)
    assert pack(after, 0)[-1] == (ORE, 1, 1) and events == {"mined": {0: 1}}
    # Who does not get the tile finds nothing.
    assert len(play(world({(10, 10): "vein"}, [(10, 10)] * 4), find=1.0)[1]["weapon_found"]) == 1
    places = {(5, col): "tree" for col in range(4, 16)}
    for seed in range(4):
        realm = world(places, [*places])
        _, events = play(realm, seed, find=0.3)
        falls = np.asarray(coin(jnp.asarray(chance(seed, realm, 2)), jnp.float32(0.3)))
        assert [*events.get("weapon_found", {})] == np.flatnonzero(falls).tolist()


def test_nobody_drinks_from_a_shoal():
    after, _ = play(world({(10, 11): "shoal", (5, 6): "water"}, [(10, 10), (5, 5)], water=[3, 3]))
    assert after.agents.water[:2].tolist() == [2, 2 + int(ENV.rules.drink_amount)]


def test_goals():
    """Steps to the nearest of each that nobody else is nearer to; of shoals, to their shore."""
    tiles = {(10, 12): "vein", (10, 9): "vein", (8, 10): "tree", (12, 10): "gems", (10, 11): "herbs", (9, 9): "shoal"}
    alone = world(tiles, [(10, 10)])
    config, named = ENV.config, [goal.name for goal in goals(ENV.config)]
    steps = jax.jit(lambda realm: with_steps(ENV.observe(realm), config).steps)

    def away(realm, slot=0):
        found = np.asarray(steps(realm))[slot]
        return {name: int(found[named.index(name), 0]) for name in TABLE}

    assert away(alone) == {"vein": 1, "tree": 2, "gems": 2, "herbs": 1, "shoal": 1}
    with_another = world(tiles, [(10, 10), (10, 8), (8, 11)])
    found = away(with_another)
    assert found["tree"] == 64 and found["vein"] == 2 and found["herbs"] == 1
    waits = np.zeros((24, 22), int)
    waits[10, 9] = waits[9, 9] = 9
    found = away(world(tiles, [(10, 10)], ready_tick=waits))
    assert found["vein"] == 2 and found["shoal"] == 64


def test_it_can_be_pickled():
    assert pickle.loads(pickle.dumps(PROFESSIONS)) == PROFESSIONS


def test_colours_differ():
    assert len({one.color for one in PROFESSIONS.materials}) == 10
