"""The reference realm against play recorded from the original program, and against the rulebook by hand."""

import numpy as np
import pytest
from recordings import GOLDEN
from reference import (
    FOREST,
    GRASS,
    LAVA,
    NEVER,
    SCRUB,
    STONE,
    WATER,
    Draws,
    Realm,
    Rules,
    Settings,
    spawn_tiles,
)

RECORDINGS = sorted(path.name for path in GOLDEN.glob("*_N*_s*_r*.npz"))
HANDFUL = {
    *("law_N128_s3_r1.npz", "chaos_ordered_N128_s2_r0.npz", "chaos_ordered_N128_s3_r1.npz"),
    *("chaos_free_N128_s1_r0.npz", "chaos_free_N128_s2_r1.npz"),
}
needs_recordings = pytest.mark.skipif(not RECORDINGS, reason="no recorded play beside this repository")


# ------------------------------------------------------------------------------------------- recorded play

RECORDED_NAME = {"health": "health", "food": "food", "water": "water", "freeze": "freeze", "damage": "damage"}
RECORDED_NAME["age"] = "timeAlive"


def waiting_times(recording, tick):
    """When the forest under each agent was seen ready again, counted from `tick`."""
    waits = np.full(recording["move"].shape[1], NEVER)
    if "tiles_start" in recording:
        for slot, (row, col) in enumerate(recording["pos"][tick]):
            ready = np.flatnonzero(recording["tiles_start"][tick + 1 :, row, col] == FOREST)
            waits[slot] = ready[0] + 1 if len(ready) else NEVER
    return waits


def first_state(recording, resolution):
    """The realm in which a recording begins: agent i in slot i with uid i, and no births."""
    size, law = recording["move"].shape[1], str(recording["meta"][0]).startswith("family=law")
    settings = Settings(size, 8, layout="free", resolution=resolution)
    realm = Realm(settings, Rules(attacks_enabled=not law, spawn_rate=0.0), recording["map0"])
    for slot in np.flatnonzero(recording["present"][0]):
        stats = {name: recording[key][0, slot] for name, key in RECORDED_NAME.items()}
        realm.place(slot, recording["colorInd"][slot], *recording["pos"][0, slot], uid=slot, **stats)
    return realm


def assert_same(realm, recording, tick, present):
    """Every array of state, for everyone who is `present`, equals the record at the end of `tick` - 1."""
    state = realm.arrays()
    np.testing.assert_array_equal(state["alive"], present, f"present, tick {tick}")
    place = np.stack([state["row"], state["col"]], axis=-1)
    np.testing.assert_array_equal(place[present], recording["pos"][tick][present], f"pos, tick {tick}")
    for name, key in RECORDED_NAME.items():
        expected = recording[key][tick][present]
        np.testing.assert_array_equal(state[name][present], expected, f"{name}, tick {tick}")
    immune = state["age"] < realm.rules.immunity_ticks
    np.testing.assert_array_equal(immune[present], recording["immune"][tick][present], f"immune, tick {tick}")


def play(name, resolution):
    """Play a recording over again and hold every tick of it to what was recorded."""
    with np.load(GOLDEN / name) as file:
        recording = dict(file)
    present = recording["present"] if resolution == "sequential" else recording["alive"]
    if name.startswith("law"):  # nobody is killed after its own turn, so both modes match `present`
        np.testing.assert_array_equal(recording["present"], recording["alive"])
    realm = first_state(recording, resolution)
    assert_same(realm, recording, 0, present[0])
    np.testing.assert_array_equal(realm.observed_material(), recording["tiles_end"][0])
    ticks = len(recording["move"])
    for tick in range(ticks):
        action = {head: recording[head][tick] for head in ("move", "style", "target")}
        outcome = realm.step(action, Draws(waiting_times(recording, tick), np.zeros((1, 3), np.uint32)))
        assert_same(realm, recording, tick + 1, present[tick + 1])

        gone = present[tick] & ~present[tick + 1]
        np.testing.assert_array_equal(outcome.terminated, gone)
        np.testing.assert_array_equal(outcome.reward, present[tick + 1])
        by_lava = np.array([cause == "lava" for cause in outcome.cause])
        np.testing.assert_array_equal(by_lava, gone & recording["kill"][tick + 1], f"lava, tick {tick}")

        if "tiles_start" in recording and tick + 1 < ticks:
            np.testing.assert_array_equal(realm.observed_material(), recording["tiles_start"][tick + 1])
        realm.tick -= 1  # the record of a tick's end was taken before the regrowth that follows it
        np.testing.assert_array_equal(realm.observed_material(), recording["tiles_end"][tick + 1])
        realm.tick += 1


def recordings(families):
    """A good part in every run, everything when asked for."""
    chosen = [name for name in RECORDINGS if name.startswith(families)] or ["none"]
    slow = [name for name in chosen if "_N128_" in name and name not in HANDFUL]
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in chosen]


@needs_recordings
@pytest.mark.parametrize("name", recordings(("law", "chaos_ordered", "chaos_free")))
def test_sequential_is_the_recorded_play(name):
    play(name, "sequential")


@needs_recordings
@pytest.mark.parametrize("name", recordings(("law", "chaos_ordered")))
def test_simultaneous_is_the_recorded_play_where_order_does_not_matter(name):
    play(name, "simultaneous")


def random_play(rules, resolution, material, ticks=2000, seed=0):
    """What the statistics of the original hold: lives and their ends; per tick, who lived through it."""
    rng, size = np.random.default_rng(seed), 128
    realm = Realm(Settings(size, 8, resolution=resolution), rules, material)
    lifetimes, causes, population, forests = [], [], [], []
    for _ in range(ticks):
        owners = list(realm.slots)
        action = {head: rng.integers(0, count, size) for head, count in (("move", 5), ("style", 3))}
        action["target"] = np.full(size, -1)
        for agent in realm.occupants() if rules.attacks_enabled else []:
            action["target"][agent.slot] = rng.choice([other.slot for other in realm.in_sight(agent)])
        outcome = realm.step(action, Draws(rng.geometric(0.025, size), rng.integers(0, 2**32, (1, 3))))
        lifetimes += [owners[slot].age for slot in np.flatnonzero(outcome.terminated)]
        causes += [cause for cause in outcome.cause if cause]
        population.append(sum(agent.health > 0 and agent.age > 0 for agent in realm.occupants()))
        forests.append(np.count_nonzero(realm.observed_material() == FOREST))
    return np.array(lifetimes), np.array(causes), np.array(population), np.array(forests)


@needs_recordings
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
@pytest.mark.parametrize("family", ["Law", "Chaos"])
def test_random_play_lives_as_long_as_in_the_original(family, resolution):
    records = [np.load(path) for path in sorted(GOLDEN.glob(f"stats_{family}_*.npz"))]
    recorded = np.concatenate([record["lifetimes"] for record in records])
    rules = Rules(attacks_enabled=family == "Chaos")
    lifetimes, causes, population, forests = random_play(rules, resolution, records[0]["map0"])

    error = np.hypot(lifetimes.std() / len(lifetimes) ** 0.5, recorded.std() / len(recorded) ** 0.5)
    assert abs(lifetimes.mean() - recorded.mean()) < 3 * error
    assert 4 <= np.median(lifetimes) <= 5
    # At one birth per tick the population is the lifetimes summed over ticks, so it errs as much as they do.
    recorded_population = np.mean([record["pop"][200:].mean() for record in records])
    assert abs(population[200:].mean() - recorded_population) < 3 * error
    by_lava = np.concatenate([record["cause"] == 0 for record in records])
    spread = np.sqrt(by_lava.mean() * (1 - by_lava.mean()) * (1 / len(causes) + 1 / len(by_lava)))
    assert abs(np.mean(causes == "lava") - by_lava.mean()) < 3 * spread
    depleted = np.mean(forests[0] - forests[1000:])
    recorded_depleted = np.mean([1022 - record["forest_tiles"][1000:] for record in records])
    assert depleted == pytest.approx(recorded_depleted, rel=0.25)


# --------------------------------------------------------------------------------------- the rules by hand

MELEE, RANGE, MAGE = range(3)
STAY, EAST, SOUTH, WEST, NORTH = range(5)
MODES = pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
GROWN = {"age": 20}  # past immunity


def meadow(rows=9, cols=9, **tiles):
    """A map of grass with a few other tiles: meadow(5, 5, forest=(2, 2))."""
    material = np.full((rows, cols), GRASS)
    names = {"lava": LAVA, "water": WATER, "forest": FOREST, "stone": STONE}
    for name, place in tiles.items():
        material[place] = names[name]
    return material


def world(material=None, num_agents=4, rules=None, **settings):
    """A small realm in which nobody is born unless the rules say so."""
    settings = {"num_populations": 1, **settings}
    realm_rules = Rules(**{"spawn_rate": 0.0, **(rules or {})})
    return Realm(Settings(num_agents, **settings), realm_rules, meadow() if material is None else material)


def step(realm, moves=None, attacks=None, wait=NEVER, spawn=((0, 0, 0),)):
    """One step from a few entries: {slot: move}, {slot: (style, target)}."""
    size = realm.settings.num_agents
    action = {"move": [0] * size, "style": [0] * size, "target": [-1] * size}
    for slot, move in (moves or {}).items():
        action["move"][slot] = move
    for slot, (style, target) in (attacks or {}).items():
        action["style"][slot], action["target"][slot] = style, target
    return realm.step(action, Draws([wait] * size, spawn))


def stats(agent):
    return (agent.health, agent.food, agent.water)


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


# ------------------------------------------------------------------------------------- births and capacity

HIGH, MIDDLE, LOW = 2**32 - 1, 2**31, 0


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


# -------------------------------------------------------------------------------------------- observation


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
