"""Items that change hands: gifts, loot of agents and of monsters, and that nothing comes from nowhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from carrying import (
    FILLER,
    KEY,
    LEVELS,
    MONSTERS,
    STACKS,
    N,
    hand,
    look,
    own,
    pack_of,
    play,
    scene,
    told,
    world_of,
)

from nmmo_jax import Action
from nmmo_jax.draws import draw, fold_in, words
from nmmo_jax.mmo import packs
from nmmo_jax.mmo.items import DROPS, ITEMS, KINDS
from nmmo_jax.mmo.kinds import (
    ARROW,
    HAT,
    HERB,
    MEAT,
    ORE,
    SPEAR,
    TOP,
    WOOD,
)
from nmmo_jax.mmo.packs import Pack


@pytest.mark.slow
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


@pytest.mark.slow
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


def check_packs(realm):
    kind, level, quantity, worn = (np.asarray(realm.of["items"][name]).astype(int) for name in Pack._fields)
    most = np.array([one.most for one in KINDS])[kind]
    there = kind > 0
    assert ((quantity > 0) == there).all() and ((level > 0) == there).all() and (quantity <= most).all()
    where = np.asarray(packs.worn_as(jnp.asarray(kind))) * worn
    assert (where[worn > 0] > 0).all()
    for place in range(1, 6):
        assert ((where == place).sum(axis=0) <= 1).all()
    assert not kind[:, ~np.asarray(realm.agents.alive)].any()


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


@pytest.mark.slow
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
        before, lives = np.asarray(realm.of["items"]["quantity"]).sum(axis=0), np.asarray(realm.agents.health) > 0
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
        after = np.asarray(realm.of["items"]["quantity"]).sum(axis=0)
        assert (after == before + come - went)[stays].all()
        purse = np.asarray(realm.of["items"]["gold"]).astype(int)
        assert (purse == gold + amount["gold_gained"])[stays].all()
    assert all(happened.values()), happened


@pytest.mark.slow
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
