"""Births, ownership of a step, and chance."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from small import GRASS, KEY, SMALL, jit_of, small
from worlds import random_action

import nmmo_jax
from nmmo_jax import Action, Config, Environment, Rules, make_realm, vectorize
from nmmo_jax.actions import as_orders
from nmmo_jax.draws import choose, coin, waiting_time
from nmmo_jax.kinds import Material
from nmmo_jax.rules import as_rules
from nmmo_jax.systems import lifecycle
from nmmo_jax.systems.lifecycle import plan_births, uniform


@pytest.mark.slow
def test_initial_population_ignores_spawn_rate_and_keeps_the_cap():
    env, reset, _ = jit_of(SMALL)
    rules = as_rules(Rules(spawn_rate=0.0, population_cap=6), SMALL)
    _, realm = reset(KEY, rules=rules, tiles=None, initial_population=16)
    alive = np.asarray(realm.agents.alive)
    assert alive.sum() == 6 == int(realm.next_uid)
    # Quotas 2, 2, 1, 1, and the lowest slots of each block of four.
    np.testing.assert_array_equal(alive.reshape(4, 4).sum(axis=1), [2, 2, 1, 1])
    assert (np.diff(alive.reshape(4, 4).astype(int), axis=1) <= 0).all()
    on_ring = np.isin(np.asarray(realm.agents.row)[alive], (2, 17)) | np.isin(
        np.asarray(realm.agents.col)[alive], (2, 15)
    )
    assert on_ring.all()
    assert env.config.border == 2


@pytest.mark.slow
def test_rewards_belong_to_who_held_the_slot():
    """An agent on lava dies; its slot is refilled in the same tick; the newborn is first paid on the next."""
    config = dataclasses.replace(SMALL, num_agents=1, num_populations=1)
    env, _, step = jit_of(config)
    material = GRASS.copy()
    material[5, 5] = Material.LAVA
    realm = make_realm(config, material, row=[5], col=[5], spawns=True)
    obs, realm, reward, terminated, truncated, info = step(KEY, realm, Action())
    assert (reward[0], terminated[0], truncated[0]) == (0, True, False)
    assert (info.uid[0], info.age[0], info.cause[0]) == (0, 0, nmmo_jax.Cause.LAVA)
    assert bool(realm.agents.alive[0])
    assert int(realm.agents.uid[0]) == 1
    assert obs.self[0, 0] == 0  # the newborn's
    _, realm, reward, terminated, *_ = step(KEY, realm, Action())
    assert (reward[0], terminated[0], int(realm.agents.age[0])) == (1, False, 1)
    # With nobody born, the row is empty.
    still = env.rules.replace(spawn_rate=jnp.float32(0))
    realm = make_realm(config, material, row=[5], col=[5])
    obs, realm, *_ = step(KEY, realm, Action(), still)
    assert int(realm.agents.uid[0]) == -1
    assert not obs.tiles.any() and not obs.self.any() and not obs.visible.any()
    assert (obs.visible_slot == -1).all()
    assert obs.mask["move"][0].tolist() == [True] + [False] * 4
    assert obs.mask["style"][0].tolist() == [True, False, False]
    assert obs.mask["target"][0].tolist() == [[True, False, False, False]] * 3
    _, _, reward, terminated, truncated, _ = step(KEY, realm, Action(), still)
    assert (reward[0], terminated[0], truncated[0]) == (0, False, False)


@pytest.mark.slow
def test_death_reward():
    config = dataclasses.replace(SMALL, reward="death")
    material = GRASS.copy()
    material[5, 5] = Material.LAVA
    realm = make_realm(config, material, row=[5, 6], col=[5, 5], population=[0, 1])
    _, _, reward, *_ = jit_of(config)[2](KEY, realm, Action())
    assert reward.tolist() == [-1.0] + [0.0] * 15


@pytest.mark.slow
def test_truncation_hands_out_a_final_row_and_keeps_the_place():
    config = dataclasses.replace(SMALL, num_agents=2, num_populations=1, max_lifetime=3)
    env, _, step = jit_of(config)
    realm = make_realm(config, GRASS, row=[5, 5], col=[5, 6], age=[2, 0], spawns=True)
    obs, realm, reward, terminated, truncated, _ = step(KEY, realm, Action(move=np.array([2, 0])))
    assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([1, 1], [False, False], [True, False])
    assert realm.agents.alive.tolist() == [False, True]  # nobody was born into the place
    assert obs.self[0, :6].tolist() == [3, 10, 31, 31, 6, 5]  # age, health, food, water, and where it went
    assert obs.visible_slot[0].tolist() == [0, 1, -1, -1]
    assert obs.tiles[0, :, 2, 2].tolist() == [Material.GRASS, 1]
    assert obs.visible_slot[1].tolist() == [1, -1, -1, -1]
    assert obs.tiles[1, :, 3, 1].tolist() == [Material.GRASS, 0]  # the other does not see it there
    _, realm, reward, _, truncated, info = step(KEY, realm, Action())
    assert (reward.tolist(), truncated.tolist()) == ([0, 1], [False, False])
    assert info.births.slot.tolist() == [0]
    assert env.config.max_lifetime == 3


@pytest.mark.slow
def test_population_cap_and_spawn_rate_per_realm():
    """Worlds for 4, 8 and 16 agents, and one in which nobody is born, side by side in one program."""
    many = vectorize(small(), 4)
    still = {"food_metabolism": 0, "water_metabolism": 0, "attacks_enabled": False}
    rules = Rules(population_cap=np.array([4, 8, 16, 16]), spawn_rate=np.array([1, 1, 1, 0.0]), **still)
    _, realms = jax.jit(many.reset)(KEY, rules, tiles=jnp.asarray(GRASS))
    step = jax.jit(many.step)
    alive = []
    for _ in range(20):
        _, realms, *_ = step(KEY, realms, Action(move=np.zeros((4, 16), np.int32)), rules)
        alive.append(np.asarray(realms.agents.alive).sum(axis=1))
    np.testing.assert_array_equal(alive[-1], [4, 8, 16, 0])
    np.testing.assert_array_equal(np.array(alive)[:4, 0], [1, 2, 3, 4])


@pytest.mark.slow
def test_births_are_uniform_over_populations_with_room_and_over_the_ring():
    config = dataclasses.replace(SMALL, num_agents=2000, num_populations=4, num_visible=1, view=1)
    _, realm = jit_of(config)[1](KEY, tiles=jnp.asarray(GRASS), initial_population=1800)
    agents = jax.device_get(realm.agents)
    alive = agents.alive
    counts = np.bincount(agents.population[alive], minlength=4)
    assert np.abs(counts - 450).max() < 4 * np.sqrt(1800 * 3 / 16)
    ring = {(r, c) for r in range(20) for c in range(18) if r in (0, 19) or c in (0, 17)}
    tiles = np.zeros((20, 18), int)
    np.add.at(tiles, (agents.row[alive], agents.col[alive]), 1)
    on_ring = np.array([tiles[tile] for tile in sorted(ring)])
    assert on_ring.sum() == 1800
    expected = 1800 / len(ring)
    chi_square = ((on_ring - expected) ** 2 / expected).sum()
    assert abs(chi_square - (len(ring) - 1)) < 4 * np.sqrt(2 * len(ring))


def test_spawn_ring_of_odd_maps():
    material = np.zeros((20, 18), np.uint8)
    material[4:9, 3:12] = Material.FOREST
    material[4, 3:8] = Material.WATER
    material[8, 11] = Material.LAVA
    realm = make_realm(SMALL, material)
    number = int(realm.tiles.num_spawn_tiles)
    got = [divmod(int(tile), 18) for tile in realm.tiles.spawn_tile[:number]]
    box = [(r, c) for r in range(4, 9) for c in range(3, 12) if r in (4, 8) or c in (3, 11)]
    assert got == [place for place in box if material[place] == Material.FOREST]


@pytest.mark.slow
def test_initial_births_are_those_of_the_reference():
    _, realm = jit_of(SMALL)[1](KEY, tiles=jnp.asarray(GRASS), initial_population=11)
    words = nmmo_jax.draws.birth_words(jax.random.fold_in(KEY, nmmo_jax.draws.Stream.INITIAL), 11)
    twin = reference.Realm(reference.Settings(16, 4), reference.Rules(), GRASS)
    twin.populate(11, np.asarray(words))
    for name, column in twin.arrays().items():
        alive = twin.arrays()["alive"]
        np.testing.assert_array_equal(np.asarray(getattr(realm.agents, name))[alive], column[alive], name)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("n", [128, 256, 300])
def test_actions_of_any_integer_type(dtype, n):
    config = Config(num_agents=n, num_populations=1)
    limits = np.iinfo(dtype)
    given = np.zeros(n, dtype)
    values = [0, 1, 2, 5, 7, 99, 127, 200, 255, 256, 299, 300, 2**32 + 3, limits.max, limits.min]
    values = [value for value in values if limits.min <= value <= limits.max]
    given[: len(values)] = values
    orders = as_orders(Action(move=given, style=np.ones(n, np.int8), target=given), config)
    expected = [value if 0 <= value < n else -1 for value in values]
    assert orders.target[: len(values)].tolist() == expected
    assert orders.move[: len(values)].tolist() == [value if 0 <= value < 5 else 0 for value in values]
    style = as_orders(Action(style=given, target=np.zeros(n, np.int8)), config)
    assert (np.asarray(style.target[: len(values)]) == [0 if 0 <= value < 3 else -1 for value in values]).all()


@pytest.mark.slow
def test_maps_of_different_size_side_by_side():
    """Each plays as it does alone, and its padding cannot be entered."""
    maps = [GRASS[:6, :6], GRASS[:9, :18], GRASS]
    tiles = jax.tree.map(lambda *x: jnp.stack(x), *(make_realm(SMALL, one).tiles for one in maps))
    many = vectorize(small(), 3)
    _, realms = jax.jit(many.reset, static_argnames="initial_population")(KEY, tiles=tiles, initial_population=9)
    step = jax.jit(many.step)
    alone = dataclasses.replace(SMALL, rows=6, columns=6)
    key = jax.random.fold_in(KEY, 0)
    _, one = jit_of(alone)[1](key, tiles=jnp.asarray(maps[0]), initial_population=9)
    rng = np.random.default_rng(3)
    for _ in range(12):
        moves = rng.integers(1, 3, (3, 16)).astype(np.int32)  # down and to the right, against the padding
        obs, realms, *_ = step(KEY, realms, Action(move=moves))
        obs_alone, one, *_ = jit_of(alone)[2](key, one, Action(move=moves[0]))
        for name in ("alive", "uid", "row", "col", "food"):
            np.testing.assert_array_equal(getattr(realms.agents, name)[0], getattr(one.agents, name), name)
        np.testing.assert_array_equal(obs.tiles[0], obs_alone.tiles)
        chex.assert_trees_all_equal(jax.tree.map(lambda x: x[0], obs.mask), obs_alone.mask)
        for index, size in enumerate(np.asarray(realms.tiles.size)):
            alive = np.asarray(realms.agents.alive[index])
            assert (np.asarray(realms.agents.row[index])[alive] < size[0]).all()
            assert (np.asarray(realms.agents.col[index])[alive] < size[1]).all()
    assert realms.tiles.size.tolist() == [[6, 6], [9, 18], [20, 18]]


@pytest.mark.parametrize(("layout", "populations"), [("blocks", 8), ("blocks", 1), ("free", 5)])
def test_attempts_at_once_are_as_one_after_another(monkeypatch, layout, populations):
    """With groups that are full, fill up, or never do; under any cap; of 100 attempts."""
    config = Config(num_agents=64, num_populations=populations, layout=layout, rows=20, columns=20, max_spawns=100)
    realm = jit_of(config)[1](KEY)[1]
    rng, worlds, attempts = np.random.default_rng(0), 200, config.max_spawns
    occupied = rng.random((worlds, config.num_agents)) < rng.random((worlds, 1))
    passed = rng.random((worlds, attempts)) < rng.random((worlds, 1))
    words = rng.integers(0, 2**32, (worlds, attempts, 3), np.uint32)
    cap = rng.integers(0, config.num_agents + 5, worlds, np.int32)

    def plan(most):
        monkeypatch.setattr(lifecycle, "MOST_IN_TURN", most)

        def one(occupied, passed, words, cap):
            rules = as_rules(Rules(), config).replace(population_cap=cap)
            return plan_births(realm, occupied, passed, words, rules, config)

        return jax.jit(jax.vmap(one))(occupied, passed, words, cap)

    at_once, in_turn = plan(64), plan(1000)
    jax.tree.map(np.testing.assert_array_equal, at_once, in_turn)
    born = np.asarray(in_turn.slot >= 0).sum(axis=1)
    assert born.min() == 0
    assert born.max() > 40


def test_crowds_beyond_255_saturate():
    config = dataclasses.replace(SMALL, num_agents=300, num_populations=1, num_visible=2)
    realm = make_realm(config, GRASS, row=[5] * 300, col=[5] * 299 + [6])
    obs = jax.jit(Environment(config).observe)(realm)
    assert obs.tiles[0, :, 2, 2].tolist() == [Material.GRASS, 255]
    assert obs.tiles[0, :, 2, 3].tolist() == [Material.GRASS, 1]


@pytest.mark.slow
def test_a_lower_cap_takes_nobody_away_but_lets_nobody_in():
    _, reset, step = jit_of(SMALL)
    _, realm = reset(KEY, tiles=jnp.asarray(GRASS), initial_population=12)
    rules = as_rules(Rules(population_cap=5, attacks_enabled=False), SMALL)
    for _ in range(4):
        _, realm, *_ = step(KEY, realm, Action(), rules)
    assert int(realm.agents.alive.sum()) == 12 == int(realm.next_uid)


def test_a_step_is_draw_then_transition_then_observe():
    env, reset, step = jit_of(SMALL)
    _, realm = reset(KEY, tiles=jnp.asarray(GRASS), initial_population=12)
    realm = realm.replace(tick=jnp.int32(41))
    action = Action(**random_action(np.random.default_rng(1), 16))
    obs, after, *rest = step(KEY, realm, action)

    @jax.jit
    def parts(realm, action):
        draws = nmmo_jax.draw(jax.random.fold_in(KEY, 41), realm, Rules(), SMALL)
        result = nmmo_jax.transition(realm, action, draws, Rules(), SMALL)
        return result, nmmo_jax.observe(result[0], Rules(), SMALL)

    result, seen = parts(realm, action)
    chex.assert_trees_all_equal((after, *rest), result)
    chex.assert_trees_all_equal(obs, seen)
    # Rules given to a jitted step, plain numbers and tuples as they are; and a key of the older kind.
    chex.assert_trees_all_equal(step(KEY, realm, action, Rules())[1], after)
    chex.assert_trees_all_equal(step(jax.random.PRNGKey(7), realm, action)[1], after)
    assert env.config.num_agents == 16


@pytest.mark.slow
def test_newborns_join_the_population_they_are_told_to():
    env = Environment(SMALL, newborn=lambda word, room, realm: jnp.where(realm.tick < 1, 2, 0))
    reset, step = jax.jit(env.reset, static_argnames="initial_population"), jax.jit(env.step)
    _, realm = reset(KEY, tiles=jnp.asarray(GRASS), initial_population=9)
    assert np.flatnonzero(realm.agents.alive).tolist() == [8, 9, 10, 11]  # four have room, five are not born
    assert (realm.agents.population[8:12] == 2).all() and int(realm.next_uid) == 4
    _, realm, *_, info = step(KEY, realm, Action())
    assert info.births.slot.tolist() == [-1]  # still full
    _, realm, *_, info = step(KEY, realm, Action())
    assert info.births.slot.tolist() == [0] and int(realm.agents.population[0]) == 0


@pytest.mark.parametrize("layout", ["blocks", "free"])
def test_newborns_of_ones_own_and_by_default(layout):
    config = dataclasses.replace(SMALL, layout=layout)
    realm = make_realm(config, GRASS, spawns=True)
    words = jnp.asarray(np.random.default_rng(2).integers(0, 2**32, (12, 3), dtype=np.uint32))
    rules = as_rules(Rules(population_cap=9), config)

    def births(newborn):
        def plan():
            return plan_births(realm, realm.agents.alive, jnp.ones(12, bool), words, rules, config, newborn)

        return jax.device_get(jax.jit(plan)())

    default = births(None)
    assert (default.slot >= 0).sum() == 9 and len(set(default.population[:9])) > 1
    chex.assert_trees_all_equal(births(lambda word, room, realm: uniform(word, room)), default)
    first = births(lambda word, room, realm: jnp.argmax(room))  # in blocks the first has room for three
    assert first.population[:9].tolist() == ([0, 0, 0, 1, 1, 2, 2, 3, 3] if layout == "blocks" else [0] * 9)
    wrong = jnp.array([-1, 4, 2**31 - 1])
    assert (births(lambda word, room, realm: wrong[word % 3]).slot == -1).all()
    with pytest.raises(ValueError, match=r"newborn: gave float32 of shape \(4,\): must give one whole number"):
        births(lambda word, room, realm: room * 1.0)
    with pytest.raises(ValueError, match=r"newborn=2: must be a function of \(word, room, realm\), or None"):
        Environment(config, newborn=2)


def test_choose_is_exact():
    rng = np.random.default_rng(0)
    words = np.concatenate([rng.integers(0, 2**32, 500, dtype=np.uint32), np.array([0, 2**32 - 1], np.uint32)])
    for n in (1, 2, 3, 7, 244, 32_767, 65_535, 65_536):
        expected = (words.astype(np.uint64) * n) >> np.uint64(32)
        np.testing.assert_array_equal(choose(jnp.asarray(words), n), expected)


@pytest.mark.parametrize("probability", [0.025, 0.5, 0.9])
def test_waiting_times_are_geometric(probability):
    words = np.random.default_rng(1).integers(0, 2**32, 200_000, dtype=np.uint32)
    times = np.asarray(waiting_time(jnp.asarray(words), jnp.float32(probability)))
    assert times.min() == 1
    spread = np.sqrt(1 - probability) / probability
    assert abs(times.mean() - 1 / probability) < 4 * spread / np.sqrt(times.size)
    for ticks in (1, 2, 10, 40):
        share = (1 - probability) ** ticks
        assert abs((times > ticks).mean() - share) < 4 * np.sqrt(share * (1 - share) / times.size) + 1e-9


def test_chances_of_zero_and_one():
    words = jnp.array([0, 1, 2**31, 2**32 - 1], jnp.uint32)
    assert (waiting_time(words, jnp.float32(0)) == nmmo_jax.components.NEVER).all()
    assert (waiting_time(words, jnp.float32(1)) == 1).all()
    assert not coin(words, jnp.float32(0)).any()
    assert coin(words, jnp.float32(1)).all()


def test_a_forest_regrows_at_its_tick():
    config = dataclasses.replace(SMALL, num_agents=1, num_populations=1)
    step = jit_of(config)[2]
    material = GRASS.copy()
    material[5, 5] = Material.FOREST
    for probability, expected in ((1.0, Material.FOREST), (0.0, Material.SCRUB)):
        realm = make_realm(config, material, row=[5], col=[5], tick=9)
        rules = as_rules(Rules(regrowth_probability=probability, spawn_rate=0.0), config)
        obs, realm, *_ = step(KEY, realm, Action(), rules)
        assert obs.tiles[0, 0, 2, 2] == expected
        assert nmmo_jax.observed_material(realm)[5, 5] == expected
        assert realm.tiles.material[5, 5] == Material.FOREST
