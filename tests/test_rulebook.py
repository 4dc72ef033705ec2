"""The reference realm against the rulebook by hand: vitals, walking, fights."""

import pytest
from meadows import EAST, GROWN, MAGE, MELEE, MODES, NORTH, RANGE, SOUTH, WEST, meadow, stats, step, world
from reference_parts import FOREST, NEVER, SCRUB


@MODES
def test_vitals_in_their_order(resolution):
    realm = world(meadow(forest=(4, 4), water=(4, 5)), num_agents=5, resolution=resolution)
    fed = realm.place(0, 0, 4, 4, health=5, food=12, water=12, freeze=2, damage=3)
    realm.place(1, 0, 0, 0)  # far away: no heal can take it above the maximum
    hungry = realm.place(2, 0, 8, 8, health=5, food=16, water=32)
    thirsty = realm.place(3, 0, 0, 8, health=5, food=17, water=16)
    well = realm.place(4, 0, 8, 0, health=5, food=17, water=17)
    step(realm, moves={0: WEST})
    # +5 food and water before the threshold of healing is looked at, metabolism after.
    assert stats(fed) == (6, 16, 16) and fed.age == 1 and fed.damage == -1
    assert fed.freeze == 1 and fed.col == 4  # counted down, still frozen
    assert stats(realm.slots[1]) == (10, 31, 31)
    assert stats(hungry) == (5, 15, 31) and stats(thirsty) == (5, 16, 15)  # 16 is not above 16
    assert stats(well) == (6, 16, 16)
    step(realm, moves={0: WEST})
    assert stats(fed) == (6, 15, 20) and fed.col == 3  # depleted; 21 of water but 16 of food


@MODES
def test_hunger_and_thirst(resolution):
    realm = world(resolution=resolution)
    realm.place(0, 0, 1, 1, health=1, food=1, water=1)
    realm.place(1, 0, 3, 3, health=1, food=9, water=0)
    realm.place(2, 0, 5, 5, health=2, food=0, water=0)
    realm.place(3, 0, 7, 7, health=3, food=0, water=1)
    outcome = step(realm)
    assert outcome.cause == ["starvation", "thirst", "thirst", None]
    assert outcome.terminated.tolist() == [True, True, True, False]
    assert stats(realm.slots[3]) == (1, 0, 0)


@MODES
@pytest.mark.parametrize(("reward", "earned"), [("survival", [0, 1, 0]), ("death", [-1, 0, 0])])
def test_lava_kills_before_anything_else_happens(resolution, reward, earned):
    realm = world(meadow(lava=(0, 0), water=(0, 1)), num_agents=3, resolution=resolution, reward=reward)
    burning = realm.place(0, 0, 0, 0, water=9, freeze=2, age=7)
    realm.place(1, 0, 1, 0)
    outcome = step(realm, moves={0: SOUTH, 1: NORTH})
    assert outcome.cause == ["lava", None, None] and outcome.reward.tolist() == earned
    assert not outcome.truncated.any()
    assert (burning.row, burning.water, burning.freeze, burning.age) == (0, 9, 1, 7)
    assert realm.visits[0, 0, 0] == 1 and realm.visits.sum() == 2
    assert (realm.slots[1].row, realm.slots[1].col) == (0, 0)  # lava may be walked into
    assert step(realm).cause[1] == "lava"


@MODES
def test_a_contested_forest_goes_to_the_oldest(resolution):
    realm = world(meadow(forest=(4, 4)), resolution=resolution)
    young = realm.place(0, 0, 4, 4, uid=9, food=10)
    old = realm.place(3, 0, 4, 4, uid=2, food=10)
    step(realm, wait=3)
    assert (young.food, old.food) == (9, 14)
    assert realm.ready_tick[4, 4] == 3 and realm.observed_material()[4, 4] == SCRUB
    step(realm, wait=3)
    step(realm, wait=3)
    assert old.food == 12 and realm.observed_material()[4, 4] == FOREST  # tick 3: ready
    step(realm, wait=NEVER)
    assert old.food == 16 and realm.ready_tick[4, 4] == NEVER


@MODES
def test_walking_is_stopped_by_water_stone_and_the_edge(resolution):
    realm = world(meadow(3, 3, water=(0, 1), stone=(1, 0)), num_agents=5, resolution=resolution)
    for slot in range(4):
        realm.place(slot, 0, 0, 0)
    realm.place(4, 0, 1, 1)
    step(realm, moves={0: EAST, 1: SOUTH, 2: WEST, 3: NORTH, 4: SOUTH})
    assert [(agent.row, agent.col) for agent in realm.slots] == [(0, 0)] * 4 + [(2, 1)]


def test_two_may_kill_each_other_at_once_and_only_the_older_in_turn():
    blows = {0: (MELEE, 1), 1: (MELEE, 0)}
    at_once = world()
    for slot in (0, 1):
        at_once.place(slot, 0, 4, 4 + slot, **GROWN)
    outcome = step(at_once, attacks=blows)
    assert outcome.cause[:2] == ["combat", "combat"] and outcome.terminated[:2].all()
    assert [event.other for event in outcome.events if event.kind == "death"] == [1, 0]

    in_turn = world(resolution="sequential")
    for slot in (0, 1):
        in_turn.place(slot, 0, 4, 4 + slot, uid=1 - slot, **GROWN)
    outcome = step(in_turn, attacks=blows)
    assert outcome.cause[:2] == ["combat", None]  # uid 0 sits in slot 1, and finds no harm in the dead
    assert stats(in_turn.slots[1]) == (10, 32, 32)


@MODES
def test_immunity_stops_the_wound_but_not_the_drain(resolution):
    realm = world(resolution=resolution)
    child = realm.place(0, 0, 4, 4, age=13, health=7, food=10, water=9)
    thief = realm.place(1, 0, 4, 5, food=8, water=7, **GROWN)
    step(realm, attacks={1: (MAGE, 0)})
    assert stats(child) == (7, 8, 7) and child.damage == -1 and child.freeze == 3
    assert stats(thief) == (10, 8, 7)
    step(realm, attacks={1: (RANGE, 0)})  # its age is 15 by now
    assert stats(child) == (5, 5, 4) and child.damage == 2 and child.freeze == 2
    assert stats(thief) == (10, 9, 8)


@MODES
def test_immunity_may_block_the_drain_too(resolution):
    realm = world(resolution=resolution, rules={"immunity_blocks_drain": True})
    child = realm.place(0, 0, 4, 4, age=13, health=7, food=10, water=9)
    thief = realm.place(1, 0, 4, 5, food=8, water=7, **GROWN)
    assert realm.observe()["target"][1, :, 1].tolist() == [False] * 3  # 14 after vitals
    step(realm, attacks={1: (MAGE, 0)})
    assert stats(child) == (7, 9, 8) and child.freeze == 0 and stats(thief) == (10, 7, 6)
    assert realm.observe()["target"][1, :, 1].tolist() == [True] * 3
    step(realm, attacks={1: (MAGE, 0)})
    assert stats(child) == (6, 7, 6) and child.freeze == 3 and stats(thief) == (10, 7, 6)


def test_the_killer_is_who_did_most_and_then_the_oldest():
    realm = world(num_agents=5)
    realm.place(0, 0, 4, 4, health=1, food=9, **GROWN)
    for slot, uid in ((1, 1), (2, 7), (3, 5), (4, 6)):
        realm.place(slot, 0, 4, 5, uid=uid, **GROWN)
    outcome = step(realm, attacks={1: (MAGE, 0), 2: (RANGE, 0), 3: (RANGE, 0), 4: (MAGE, 0)})
    assert [(event.uid, event.other) for event in outcome.events if event.kind == "death"] == [(0, 5)]


def test_sums_are_clamped_once():
    def fight(resolution):
        realm = world(num_agents=3, resolution=resolution)
        realm.place(0, 0, 4, 4, food=4, water=32, **GROWN)
        realm.place(1, 0, 4, 5, food=20, water=20, health=10, **GROWN)
        realm.place(2, 0, 4, 6, food=20, water=20, **GROWN)
        agents = realm.occupants()
        step(realm, attacks={0: (RANGE, 1), 1: (MELEE, 0), 2: (RANGE, 1)})
        return agents

    rich, middle, poor = fight("simultaneous")
    assert stats(rich) == (0, 0, 23)  # 3 - 10 + 2; 31 - 10 + 2
    assert stats(middle) == (6, 25, 25) and middle.damage == 4  # 19 - 2 - 2 + 10
    assert stats(poor) == (10, 21, 21) and poor.damage == -1
    rich, middle, _ = fight("sequential")
    assert stats(rich) == (0, 0, 22)  # 5 - 10; 32 - 10, for the full 32 is reached before the loss
    assert stats(middle) == (7, 25, 25) and middle.damage == 2  # hit, healed by its vitals, hit again


def test_who_dies_in_vitals_is_out_of_it_at_once_and_a_target_in_turn():
    def drain(resolution):
        realm = world(resolution=resolution)
        realm.place(0, 0, 4, 4, health=1, food=1, water=9, **GROWN)
        robber = realm.place(1, 0, 4, 5, food=11, water=11, **GROWN)
        outcome = step(realm, attacks={0: (MELEE, 1), 1: (MELEE, 0)})
        assert outcome.cause[0] == "starvation" and realm.slots[0] is None
        return stats(robber)

    assert drain("simultaneous") == (10, 10, 10)
    assert drain("sequential") == (10, 20, 20)


def test_a_corpse_keeps_its_place_for_a_tick_in_sequential_mode():
    rules = {"spawn_rate": 1.0}
    realm = world(num_agents=3, num_populations=1, resolution="sequential", rules=rules)
    victim = realm.place(0, 0, 4, 4, food=9, water=3, **GROWN)
    realm.place(1, 0, 4, 5, **GROWN)
    realm.place(2, 0, 4, 6, food=12, water=12, **GROWN)
    outcome = step(realm, attacks={1: (MELEE, 0)})
    assert stats(victim) == (0, 0, 0) and victim.damage == 10
    assert outcome.reward.tolist() == [1, 1, 1] and not outcome.terminated.any() and not outcome.births

    seen = realm.observe()
    assert seen["move"][0].tolist() == [True] + [False] * 4
    assert seen["style"][0].tolist() == [True] + [False] * 2
    assert seen["target"][0].sum() == 3 and seen["target"][0, :, 0].all()
    assert seen["self"][0].tolist() == [21, 0, 0, 0, 4, 4, 0, 0, 10, 1, 0]
    assert seen["visible_slot"][0, :4].tolist() == [0, 1, 2, -1]
    assert seen["visible_slot"][1, :4].tolist() == [1, 0, 2, -1]
    assert seen["target"][2, :, 1].tolist() == [False, True, True]
    assert seen["tiles"][1, 1, 7, 6] == 1

    # In the next tick it neither eats nor ages nor acts, and is drained of what it no longer has.
    outcome = step(realm, moves={0: EAST}, attacks={0: (MELEE, 1), 2: (RANGE, 0)}, spawn=[(0, 0, 0)])
    assert (victim.age, victim.row, victim.col) == (21, 4, 4) and realm.visits[0, 4, 4] == 1
    assert stats(realm.slots[2]) == (10, 12, 12)  # 12 - 2 in two ticks, + 2
    assert outcome.terminated.tolist() == [True, False, False] and outcome.cause[0] == "combat"
    assert outcome.reward.tolist() == [0, 1, 1]
    assert [birth[:4] for birth in outcome.births] == [(0, 3, -1, 0)]  # its place is free in the same tick


@MODES
def test_reach_is_measured_before_the_own_move(resolution):
    realm = world(resolution=resolution)
    archer = realm.place(0, 0, 4, 2, **GROWN)
    target = realm.place(1, 0, 6, 4, **GROWN)
    step(realm, moves={0: WEST}, attacks={0: (RANGE, 1)})
    assert archer.col == 1 and realm.slots[1].food == 29
    step(realm, moves={0: EAST}, attacks={0: (RANGE, 1)})  # at distance 3 until it has moved
    assert archer.col == 2 and target.food == 28


def test_reach_to_who_moved_before():
    def shoot(resolution):
        realm = world(resolution=resolution)
        realm.place(0, 0, 4, 5, **GROWN)
        realm.place(1, 0, 4, 4, **GROWN)
        step(realm, moves={0: EAST}, attacks={1: (MELEE, 0)})
        return realm.slots[0] is None

    assert shoot("simultaneous") and not shoot("sequential")


@MODES
def test_what_makes_no_sense_means_nothing(resolution):
    realm = world(resolution=resolution)
    realm.place(1, 0, 4, 4, **GROWN)
    realm.place(0, 0, 4, 3, **GROWN)  # the younger: its hits still show at the end of the tick
    for attack in [(-1, 1), (3, 1), *((MELEE, target) for target in (-1, 0, 2, 4, -3, 2**31 - 1))]:
        assert not any(event.kind == "attack" for event in step(realm, attacks={0: attack}).events)
    step(realm, moves={0: 5, 1: -1}, attacks={0: (RANGE, 1)})  # a bad move spoils the move alone
    assert [realm.slots[slot].col for slot in (0, 1)] == [3, 4] and realm.slots[1].damage == 2
    step(realm, moves={0: WEST}, attacks={0: (7, 1)})  # and a bad style the attack alone
    assert realm.slots[0].col == 2 and realm.slots[1].damage == -1


@MODES
def test_law_and_harmless_hits(resolution):
    law = world(resolution=resolution, rules={"attacks_enabled": False})
    mild = world(resolution=resolution, rules={"attack_damage": (0, 0, 0)})
    for realm in (law, mild):
        for slot in (0, 1):
            realm.place(slot, 0, 4, 4, **GROWN)
        assert step(realm, attacks={1: (MAGE, 0)}).cause == [None] * 4
        assert stats(realm.slots[0]) == (10, 31, 31) and realm.slots[0].damage == -1
    assert law.slots[0].freeze == 0 and law.observe()["target"][0].sum() == 3
    assert mild.slots[0].freeze == 3  # a mage hit freezes, whatever it wounds


@MODES
def test_frozen_for_two_ticks_by_a_younger_mage(resolution):
    realm = world(resolution=resolution)
    target = realm.place(0, 0, 4, 4)
    realm.place(1, 0, 4, 5)
    step(realm, attacks={1: (MAGE, 0)})
    places, masks = [], []
    for _ in range(3):
        masks.append(realm.observe()["move"][0].sum())
        step(realm, moves={0: WEST})
        places.append((target.freeze, target.col))
    assert places == [(2, 4), (1, 4), (0, 3)] and masks == [1, 1, 5]
