"""The reference realm against play recorded from the original program."""

import numpy as np
import pytest
from recordings import GOLDEN
from reference import Realm
from reference_parts import FOREST, NEVER, Draws, Rules, Settings

RECORDINGS = sorted(path.name for path in GOLDEN.glob("*_N*_s*_r*.npz"))
HANDFUL = {
    *("law_N128_s3_r1.npz", "chaos_ordered_N128_s2_r0.npz", "chaos_ordered_N128_s3_r1.npz"),
    *("chaos_free_N128_s1_r0.npz", "chaos_free_N128_s2_r1.npz"),
}
needs_recordings = pytest.mark.skipif(not RECORDINGS, reason="no recorded play beside this repository")

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
