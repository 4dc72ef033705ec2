"""The reference realm against the rulebook by hand: births, capacity, and what is seen."""

import numpy as np
from meadows import (
    GROWN,
    HIGH,
    LOW,
    MELEE,
    MIDDLE,
    MODES,
    RANGE,
    WEST,
    meadow,
    step,
    world,
)
from reference_parts import FOREST, GRASS, LAVA, SCRUB, STONE, WATER, spawn_tiles


def test_the_spawn_ring_of_an_odd_map():
    material = np.full((7, 8), LAVA)
    material[2:6, 1:6] = GRASS
    material[2, 2], material[5, 5], material[4, 1] = STONE, WATER, LAVA
    material[3, 3], material[2, 4] = FOREST, FOREST
    ring = [(2, 1), (2, 3), (2, 4), (2, 5), (3, 1), (3, 5), (4, 5), (5, 1), (5, 2), (5, 3), (5, 4)]
    assert spawn_tiles(material) == ring
    assert spawn_tiles(np.full((3, 3), LAVA)) == []
    assert spawn_tiles(np.array([[0, 0, 0], [0, 2, 5], [0, 0, 0]])) == [(1, 1)]
    realm = world(material, num_agents=4)
    births = realm.populate(4, [(HIGH, 0, LOW), (0, 0, HIGH), (0, 0, MIDDLE), (0, 0, 2**32 // 11)])
    assert [(birth.row, birth.col) for birth in births] == [ring[0], ring[10], ring[5], ring[0]]


def test_quotas_and_slots_of_blocks():
    realm = world(num_agents=9, num_populations=3, rules={"population_cap": 7, "spawn_rate": 1.0})
    births = realm.populate(9, [(HIGH, HIGH, 0)] * 9)  # quotas 3, 2, 2; always the last with room
    assert [birth.slot for birth in births] == [6, 7, 3, 4, 0, 1, 2]
    assert [birth.population for birth in births] == [2, 2, 1, 1, 0, 0, 0]
    assert [birth.uid for birth in births] == list(range(7)) and realm.next_uid == 7
    assert not step(realm).births  # full
    realm.slots[3] = realm.slots[7] = None
    # The word means the second of populations 1 and 2; then only 1 has room.
    assert [birth[:4] for birth in step(realm, spawn=[(0, MIDDLE, 0)]).births] == [(7, 7, -1, 2)]
    assert [birth[:4] for birth in step(realm, spawn=[(0, MIDDLE, 0)]).births] == [(3, 8, -1, 1)]


def test_layout_free_knows_no_quotas():
    realm = world(num_agents=5, num_populations=3, layout="free", rules={"population_cap": 4})
    births = realm.populate(5, [(0, HIGH, 0)] * 5)
    assert [(birth.slot, birth.population) for birth in births] == [(0, 2), (1, 2), (2, 2), (3, 2)]


def test_attempts_run_in_order_each_with_its_coin():
    realm = world(num_agents=4, num_populations=2, max_spawns=3, rules={"spawn_rate": 0.5})
    words = [(2**31 - 1, LOW, 0), (2**31, LOW, 0), (0, HIGH, 0)]  # heads, just tails, heads
    births = step(realm, spawn=words).births
    assert [(birth.slot, birth.uid, birth.population) for birth in births] == [(0, 0, 0), (2, 1, 1)]
    assert realm.tick == 1 and realm.slots[0].age == 0  # its first vitals come in the next tick
    outcome = step(realm, spawn=[(HIGH, 0, 0)] * 3)
    assert outcome.reward.tolist() == [1, 0, 1, 0] and not outcome.births


def test_the_spawn_rate_is_a_32_bit_float():
    # 0.7 * 2^24 = 11744051.2, of which the float keeps 11744051.
    for coin, born in (((11744050 << 8) + 255, 1), (11744051 << 8, 0)):
        assert len(step(world(rules={"spawn_rate": 0.7}), spawn=[(coin, 0, 0)]).births) == born
    assert len(step(world(rules={"spawn_rate": 1.0}), spawn=[(HIGH, 0, 0)]).births) == 1
    assert len(step(world(rules={"spawn_rate": 0.0}), spawn=[(LOW, 0, 0)]).births) == 0


def test_nobody_is_born_where_there_is_no_place_to_be():
    realm = world(np.full((3, 3), LAVA), rules={"spawn_rate": 1.0})
    assert not step(realm).births and realm.populate(2, [(0, 0, 0)] * 2) == [] and realm.next_uid == 0


@MODES
def test_the_place_of_a_truncated_agent_is_filled_in_that_tick(resolution):
    rules = {"spawn_rate": 1.0, "population_cap": 2}
    realm = world(num_agents=4, resolution=resolution, max_lifetime=3, rules=rules)
    old = realm.place(0, 0, 4, 4, age=2)
    realm.place(1, 0, 4, 5, age=0)
    outcome = step(realm, moves={0: WEST}, attacks={0: (RANGE, 1)})
    assert outcome.truncated.tolist() == [True, False, False, False] and not outcome.terminated.any()
    assert outcome.reward.tolist() == [1, 1, 0, 0] and outcome.cause == [None] * 4 and not outcome.births
    assert old.col == 3 and (realm.slots[1].food == 29) and realm.arrays()["uid"].tolist() == [-1, 1, -1, -1]

    seen = realm.observe()  # the one who left sees itself and the others, who do not see it
    assert seen["visible_slot"][0, :3].tolist() == [0, 1, -1]
    assert seen["self"][0].tolist() == [3, 10, 32, 32, 4, 3, 0, 0, 0, 1, 0]
    assert seen["tiles"][0, 1, 7, 7] == 1 and seen["tiles"][0, 1, 7, 9] == 1
    assert seen["move"][0].all() and seen["style"][0].all()
    assert seen["target"][0, :, 1].tolist() == [False, True, True]
    assert seen["visible_slot"][1, :2].tolist() == [1, -1] and seen["tiles"][1, 1, 7, 5] == 0

    assert [birth.slot for birth in step(realm).births] == [0]
    assert realm.observe()["self"][0, 0] == 0  # the newborn's own row


def test_one_who_dies_in_its_last_tick_is_dead():
    for resolution in ("simultaneous", "sequential"):
        realm = world(num_agents=2, resolution=resolution, max_lifetime=21, reward="death")
        realm.place(0, 0, 4, 4, **GROWN)
        realm.place(1, 0, 4, 5, **GROWN)
        outcome = step(realm, attacks={1: (MELEE, 0)})  # after the turn of its target
        assert outcome.terminated.tolist() == [True, False] and outcome.truncated.tolist() == [False, True]
        assert outcome.reward.tolist() == [-1, 0] and outcome.cause == ["combat", None]
        assert realm.observe()["visible_slot"][:, 0].tolist() == [-1, 1]


def test_order_of_the_visible():
    realm = world(meadow(30, 30), num_agents=10, num_populations=2, layout="free", num_visible=6)
    places = [(10, 16), (10, 10), (10, 13), (7, 10), (10, 18), (17, 17), (10, 10), (14, 10), (3, 3)]
    for slot, (row, col) in enumerate(places):
        realm.place(slot, slot % 2, row, col)
    seen = realm.observe()
    # In reach: 2, 3 and 6. Then 0, 5, 7 and 8 in the window, of which two fit; 4 is outside.
    assert seen["visible_slot"][1].tolist() == [1, 2, 3, 6, 0, 5]
    assert seen["visible"][1, 1].tolist() == [0, 10, 32, 32, 10, 13, 0, 3, 0, 0, 0]
    assert seen["visible"][1, 2].tolist() == [0, 10, 32, 32, 7, 10, -3, 0, 0, 1, 0]
    assert seen["target"][1].tolist() == [
        [True, False, False, True, False, False],
        [True, False, False, True, False, False],
        [True, True, True, True, False, False],
    ]
    assert seen["tiles"][1, 1].sum() == 8 and seen["tiles"][1, 1, 7, 7] == 2
    realm = world(meadow(30, 30), num_agents=10, rules={"attacks_enabled": False})
    for slot, (row, col) in enumerate(places):
        realm.place(slot, 0, row, col)
    assert realm.observe()["visible_slot"][1, :8].tolist() == [1, 2, 3, 6, 0, 5, 7, 8]


def test_the_window_and_the_moves_at_the_edge_of_the_map():
    realm = world(meadow(4, 5, stone=(0, 1), forest=(2, 0)), num_agents=2, view=5)
    realm.place(0, 0, 1, 0, age=40000, damage=7, freeze=1)
    realm.ready_tick[2, 0] = 1
    seen = realm.observe()
    assert seen["tiles"][0, 0].tolist() == [
        [LAVA] * 5,
        [LAVA, LAVA, GRASS, STONE, GRASS],
        [LAVA, LAVA, GRASS, GRASS, GRASS],
        [LAVA, LAVA, SCRUB, GRASS, GRASS],
        [LAVA, LAVA, GRASS, GRASS, GRASS],
    ]
    assert seen["self"][0].tolist() == [32767, 10, 32, 32, 1, 0, 0, 0, 7, 1, 1]
    assert seen["move"][0].tolist() == [True, True, True, False, True]
    realm.slots[0].freeze = 2
    assert realm.observe()["move"][0].tolist() == [True] + [False] * 4
    realm.tick = 1
    assert realm.observe()["tiles"][0, 0, 3, 2] == FOREST


def test_an_empty_slot_sees_nothing_and_may_do_nothing():
    seen = world(num_agents=2).observe()
    assert not seen["tiles"].any() and not seen["self"].any() and not seen["visible"].any()
    assert (seen["visible_slot"] == -1).all()
    for head in ("move", "style", "target"):
        assert seen[head][..., 0].all() and not seen[head][..., 1:].any()
    kinds = {name: array.dtype.name for name, array in seen.items()}
    assert kinds == {
        **{"tiles": "uint8", "self": "int16", "visible": "int16", "visible_slot": "int32"},
        **{"move": "bool", "style": "bool", "target": "bool"},
    }


def test_counts_of_agents_saturate():
    realm = world(num_agents=300)
    for slot in range(300):
        realm.place(slot, 0, 4, 4)
    assert realm.observe()["tiles"][0, 1, 7, 7] == 255
