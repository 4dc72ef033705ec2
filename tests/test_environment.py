"""The contract of the environment: calls, ownership, births, specs, errors."""

import dataclasses
import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from worlds import random_action, random_draws, random_realm

import nmmo_jax
from nmmo_jax import Action, Config, Environment, MapPool, Rules, autoreset, digest, make, make_realm, vectorize
from nmmo_jax.actions import as_orders
from nmmo_jax.config import RULE_FIELDS, as_rules
from nmmo_jax.draws import choose, coin, waiting_time
from nmmo_jax.events import Event
from nmmo_jax.world.materials import Material

SMALL = Config(num_agents=16, num_populations=4, rows=20, columns=18, view=5, num_visible=4, border=2)
GRASS = np.full((20, 18), Material.GRASS, np.uint8)
KEY = jax.random.key(7)
jit_digest = jax.jit(digest)


@functools.cache
def small() -> Environment:
    return Environment(SMALL)


@functools.cache
def jit_of(config: Config):
    env = Environment(config)
    return env, jax.jit(env.reset, static_argnames="initial_population"), jax.jit(env.step)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_agents", 0),
        ("num_agents", 100_000),
        ("num_agents", 12.0),
        ("num_agents", True),
        ("num_populations", 0),
        ("num_populations", 3),
        ("num_populations", 200),
        ("rows", 0),
        ("columns", -4),
        ("view", 14),
        ("view", 0),
        ("num_visible", 0),
        ("border", -1),
        ("layout", "rows"),
        ("resolution", "random"),
        ("reward", "gold"),
        ("max_spawns", 0),
        ("max_lifetime", 0),
        ("horizon", 0),
        ("visits", 1),
        ("events", -1),
        ("ledger", None),
        ("start_health", 0),
        ("start_health", 11),
        ("start_food", -1),
        ("max_water", 40_000),
        ("max_food", 31),
        ("regrowth_probability", float("nan")),
        ("regrowth_probability", 1.5),
        ("spawn_rate", -0.1),
        ("forage_amount", 2.5),
        ("forage_amount", "many"),
        ("attack_damage", 3),
        ("attack_damage", (1, 2)),
        ("attack_damage", (1, 2, -3)),
        ("immunity_ticks", 1e12),
        ("population_cap", 129),
        ("attacks_enabled", 2),
        ("no_such_field", 1),
    ],
)
def test_bad_values_name_field_and_value(field, value):
    with pytest.raises(ValueError, match=rf"{field}") as error:
        make("chaos", **{field: value})
    assert f"{field}={value!r}" in str(error.value) or f"{field}={list(value)!r}" in str(error.value)
    assert re.search("allowed|must|no field", str(error.value))
    assert len(str(error.value).splitlines()) == 1


def test_unknown_game():
    with pytest.raises(ValueError, match="'law'"):
        make("peace")


def test_bad_arguments_of_reset_and_step():
    env = small()
    with pytest.raises(ValueError, match="initial_population=17"):
        env.reset(KEY, initial_population=17)
    with pytest.raises(ValueError, match="larger than"):
        env.reset(KEY, tiles=np.full((21, 18), 2))
    with pytest.raises(ValueError, match="material 9 at row 3, column 4"):
        bad = GRASS.copy()
        bad[3, 4] = 9
        env.reset(KEY, tiles=bad)
    with pytest.raises(ValueError, match="no tile to spawn on"):
        env.reset(KEY, tiles=np.full((20, 18), Material.STONE))
    with pytest.raises(ValueError, match="rectangle"):
        env.reset(KEY, tiles=np.zeros((0, 4), int))
    with pytest.raises(ValueError, match="population_cap"):
        env.reset(KEY, rules=Rules(population_cap=17))
    realm = make_realm(SMALL, GRASS)
    with pytest.raises(ValueError, match=r"action.move: float32 of shape \(16,\)"):
        env.step(KEY, realm, Action(move=np.zeros(16, np.float32)))
    with pytest.raises(ValueError, match=r"action.target: .*shape \(3,\)"):
        env.step(KEY, realm, Action(target=np.zeros(3, np.int32)))
    with pytest.raises(ValueError, match="num_realms"):
        vectorize(env, 0)
    with pytest.raises(ValueError, match="3 maps"):
        vectorize(env, 2).reset(KEY, tiles=np.stack([GRASS] * 3))
    with pytest.raises(ValueError, match=r"rules.start_food: shape \(3,\)"):
        vectorize(env, 2).reset(KEY, rules=Rules(start_food=np.array([1, 2, 3])), tiles=GRASS)
    with pytest.raises(ValueError, match="horizon"):
        autoreset(env)
    with pytest.raises(ValueError, match="num_spawn_tiles=0"):
        env.reset(KEY, tiles=make_realm(SMALL, np.full((20, 18), Material.STONE)).tiles)
    with pytest.raises(ValueError, match="different length"):
        env.reset(KEY, tiles=[[2, 2], [2]])
    with pytest.raises(ValueError, match="from_maps"):
        vectorize(env, 2).reset(KEY, tiles=[GRASS, GRASS[:5]])
    with pytest.raises(ValueError, match=r"rules.max_food: shape \(16,\).*vectorize"):
        env.step(KEY, realm, Action(), Rules(max_food=np.arange(32, 48)))
    with pytest.raises(ValueError, match="num_populations=40000"):
        Config(num_agents=65_536, num_populations=40_000)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"row": [3, 25]}, "row=25"),
        ({"row": [3, 0], "col": [0, 0]}, "on water"),
        ({"row": [3, 4, 5]}, "col: shape"),
        ({"population": [0, 4]}, "population=4"),
        ({"uid": [1, 1]}, "uid"),
        ({"slot": [0, 16]}, "slot=16"),
        ({"slot": [0, 0]}, "slot"),
        ({"slot": [0, 5]}, "layout 'blocks'"),
        ({"health": -1}, "health=-1"),
        ({"food": 1.5}, "food: type float64"),
        ({"age": [-1, 0]}, "age=-1"),
        ({"damage": -2}, "damage=-2"),
        ({"ready_tick": np.zeros((2, 2), int)}, "ready_tick: shape"),
        ({"next_uid": 1}, "next_uid=1"),
        ({"tick": -1}, "tick=-1"),
        ({"row": [3] * 5, "col": 3, "population": 0}, "its block is full"),
        ({"row": [3] * 17, "col": 3}, "17 agents"),
    ],
)
def test_make_realm_names_what_is_wrong(wrong, message):
    material = GRASS.copy()
    material[0, 0] = Material.WATER
    with pytest.raises(ValueError, match=message):
        make_realm(SMALL, material, **{"row": [3, 4], "col": [3, 4], **wrong})


# ---------------------------------------------------------------------------------------- births and ownership


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


def test_death_reward():
    config = dataclasses.replace(SMALL, reward="death")
    material = GRASS.copy()
    material[5, 5] = Material.LAVA
    realm = make_realm(config, material, row=[5, 6], col=[5, 5], population=[0, 1])
    _, _, reward, *_ = jit_of(config)[2](KEY, realm, Action())
    assert reward.tolist() == [-1.0] + [0.0] * 15


def test_truncation_hands_out_a_final_row_and_keeps_the_place():
    config = dataclasses.replace(SMALL, num_agents=2, num_populations=1, max_lifetime=3)
    env, _, step = jit_of(config)
    realm = make_realm(config, GRASS, row=[5, 5], col=[5, 6], age=[2, 0], spawns=True)
    obs, realm, reward, terminated, truncated, _ = step(KEY, realm, Action(move=np.array([2, 0])))
    assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([1, 1], [False, False], [True, False])
    assert realm.agents.alive.tolist() == [False, True]  # nobody was born into the place
    assert obs.self[0, :6].tolist() == [3, 10, 31, 31, 6, 5]  # age, health, food, water, and where it went
    assert obs.visible_slot[0].tolist() == [0, 1, -1, -1]
    assert obs.tiles[0, 2, 2].tolist() == [Material.GRASS, 1]
    assert obs.visible_slot[1].tolist() == [1, -1, -1, -1]
    assert obs.tiles[1, 3, 1].tolist() == [Material.GRASS, 0]  # the other does not see it there
    _, realm, reward, _, truncated, info = step(KEY, realm, Action())
    assert (reward.tolist(), truncated.tolist()) == ([0, 1], [False, False])
    assert info.births.slot.tolist() == [0]
    assert env.config.max_lifetime == 3


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


def test_crowds_beyond_255_saturate():
    config = dataclasses.replace(SMALL, num_agents=300, num_populations=1, num_visible=2)
    realm = make_realm(config, GRASS, row=[5] * 300, col=[5] * 299 + [6])
    obs = jax.jit(Environment(config).observe)(realm)
    assert obs.tiles[0, 2, 2].tolist() == [Material.GRASS, 255]
    assert obs.tiles[0, 2, 3].tolist() == [Material.GRASS, 1]


def test_a_lower_cap_takes_nobody_away_but_lets_nobody_in():
    _, reset, step = jit_of(SMALL)
    _, realm = reset(KEY, tiles=jnp.asarray(GRASS), initial_population=12)
    rules = as_rules(Rules(population_cap=5, attacks_enabled=False), SMALL)
    for _ in range(4):
        _, realm, *_ = step(KEY, realm, Action(), rules)
    assert int(realm.agents.alive.sum()) == 12 == int(realm.next_uid)


# -------------------------------------------------------------------------------------------------- randomness


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
        assert obs.tiles[0, 2, 2, 0] == expected
        assert nmmo_jax.observed_material(realm)[5, 5] == expected
        assert realm.tiles.material[5, 5] == Material.FOREST


# -------------------------------------------------------------------------------------- specs, digest, events


@pytest.mark.parametrize("game", ["law", "chaos"])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"num_agents": 6, "num_populations": 3, "rows": 24, "columns": 30, "view": 5, "num_visible": 20},
        {"num_agents": 40, "num_populations": 8, "layout": "free", "num_visible": 1, "view": 1, "max_lifetime": 4},
    ],
)
def test_observations_keep_their_specification(game, sizes):
    env = make(game, **sizes)
    n, rng = env.config.num_agents, np.random.default_rng(0)
    obs, realm = jax.jit(env.reset, static_argnames="initial_population")(KEY, initial_population=n)
    step = jax.jit(env.step)
    for _ in range(6):
        flat = {"tiles": obs.tiles, "self": obs.self, "visible": obs.visible, "visible_slot": obs.visible_slot}
        flat |= {f"mask.{name}": mask for name, mask in obs.mask.items()}
        specs = env.observation_spec()
        assert set(flat) == set(specs)
        for name, spec in specs.items():
            chex.assert_shape(flat[name], spec.shape)
            assert flat[name].dtype == spec.dtype, name
            values = np.asarray(flat[name])
            assert (values >= spec.low).all() and (values <= spec.high).all(), name
        for head in nmmo_jax.heads(env.config):
            for argument in head.arguments:
                assert obs.mask[argument.name].shape == (n, *argument.mask_shape)
                assert obs.mask[argument.name][..., argument.nothing].all()
        obs, realm, *_ = step(KEY, realm, Action(**random_action(rng, n)))
    assert realm.agents.alive.any()


def test_digest_sees_everything_that_matters():
    material = GRASS.copy()
    material[5:8, 5] = Material.FOREST
    realm = make_realm(SMALL, material, row=[5, 6], col=[5, 6], population=[0, 1], tick=5)
    base = tuple(np.asarray(jit_digest(realm)))
    slot = int(np.flatnonzero(np.asarray(realm.agents.alive))[0])
    changed = [
        realm.replace(tick=realm.tick + 1),
        realm.replace(next_uid=realm.next_uid + 1),
        realm.replace(tiles=realm.tiles.replace(material=realm.tiles.material.at[9, 9].set(1))),
        realm.replace(tiles=realm.tiles.replace(ready_tick=realm.tiles.ready_tick.at[5, 5].set(6))),
    ]
    for field in dataclasses.fields(realm.agents):
        column = getattr(realm.agents, field.name)
        other = column.at[slot].set(~column[slot] if column.dtype == bool else column[slot] + 1)
        changed.append(realm.replace(agents=realm.agents.replace(**{field.name: other})))
    digests = {tuple(np.asarray(jit_digest(other)).tolist()) for other in changed}
    assert len(digests) == len(changed)
    assert base not in digests
    # A ready tick that is past, or of a tile that is no forest, does not matter.
    for place, tick in (((5, 5), 4), ((9, 9), 100)):
        same = realm.replace(tiles=realm.tiles.replace(ready_tick=realm.tiles.ready_tick.at[place].set(tick)))
        assert tuple(np.asarray(jit_digest(same))) == base
    assert len(nmmo_jax.digest_hex(jit_digest(realm))) == 16


@pytest.mark.parametrize(
    ("resolution", "expected"), [("simultaneous", "1f93b48390b59024"), ("sequential", "c77e816ba3fcc8fe")]
)
def test_the_rules_have_not_moved(resolution, expected):
    """The same draws and actions end in the same state, whatever the backend or version of JAX.

    If behaviour is meant to change, RULES_VERSION moves, and these digests with it.
    """
    config = Config(num_agents=12, num_populations=3, rows=12, columns=10, resolution=resolution)
    rules = as_rules(Rules(), config)
    rng = np.random.default_rng(8)
    realm = random_realm(rng, config, rules)
    step = jax.jit(nmmo_jax.transition, static_argnames="config")
    for _ in range(30):
        action = Action(**random_action(rng, config.num_agents))
        realm, *_ = step(realm, action, random_draws(rng, config), rules, config)
    assert nmmo_jax.RULES_VERSION == 1
    assert realm.agents.alive.any()
    assert nmmo_jax.digest_hex(jit_digest(realm)) == expected


def test_events_report_what_found_no_room():
    config = dataclasses.replace(SMALL, events=3)
    material = np.full((20, 18), Material.FOREST, np.uint8)
    place = np.arange(6)
    realm = make_realm(config, material, row=place + 3, col=place + 3, population=place % 4, spawns=True)
    *_, info = jit_of(config)[2](KEY, realm, Action())
    events = info.events
    assert (int(events.count), int(events.overflow)) == (3, 4)  # six harvests and a birth
    assert events.kind.tolist() == [Event.HARVEST] * 3


def test_killer_is_the_largest_damage_then_the_oldest():
    config = dataclasses.replace(SMALL, events=30)
    rules = as_rules(
        Rules(spawn_rate=0.0, attack_damage=(5, 5, 1), immunity_ticks=0, max_health=9, start_health=9), config
    )
    realm = make_realm(
        config, GRASS, row=[5] * 4, col=[5] * 4, population=[0, 1, 2, 3], uid=[0, 7, 3, 5], rules=rules, health=9
    )
    slots = [int(np.flatnonzero(np.asarray(realm.agents.uid) == uid)[0]) for uid in (0, 7, 3, 5)]
    style, target = np.zeros(16, np.int32), np.full(16, -1, np.int32)
    target[slots[1:]] = slots[0]
    style[slots[1:]] = (0, 1, 2)  # uid 7 and uid 3 do 5 each, uid 5 does 1
    *_, info = jit_of(config)[2](KEY, realm, Action(style=style, target=target), rules)
    events = jax.device_get(info.events)
    death = int(np.flatnonzero(events.kind == Event.DEATH)[0])
    assert (events.uid[death], events.other_uid[death], events.style[death]) == (0, 3, 1)
    assert (events.detail[death], events.amount[death]) == (nmmo_jax.Cause.COMBAT, 1)


# -------------------------------------------------------------------------------------------------- autoreset


def test_autoreset_starts_anew_on_maps_of_the_pool():
    config = dataclasses.replace(SMALL, horizon=4)
    maps = [GRASS, np.where(np.arange(18) % 5 == 4, Material.FOREST, GRASS).astype(np.uint8)]
    env = autoreset(Environment(config), MapPool.from_maps(maps, config), initial_population=5)
    many = vectorize(env, 6)
    _, episode = jax.jit(many.reset)(KEY)
    step = jax.jit(many.step)
    one_step = jax.jit(env.step)
    _, one = jax.jit(env.reset)(jax.random.fold_in(KEY, 2))
    action = Action(move=np.ones((6, 16), np.int32))
    seen, digests = set(), []
    for tick in range(1, 13):
        obs, episode, _, _, _, info = step(KEY, episode, action)
        _, one, *_ = one_step(jax.random.fold_in(KEY, 2), one, Action(move=np.ones(16, np.int32)))
        over = tick % 4 == 0
        assert (np.asarray(info.horizon) == over).all()
        np.testing.assert_array_equal(episode.realm.tick, [tick % 4] * 6)
        np.testing.assert_array_equal(episode.number, [tick // 4] * 6)
        chex.assert_trees_all_equal(jax.tree.map(lambda x: x[2], episode), one)
        same = all(
            (a == b).all() for a, b in zip(jax.tree.leaves(obs), jax.tree.leaves(info.final_observation), strict=True)
        )
        assert same != over
        if over:
            assert (np.asarray(episode.realm.agents.alive).sum(axis=1) == 5).all()
            seen |= {np.asarray(material).tobytes() for material in episode.realm.tiles.material}
            digests.append(np.asarray(jit_digest(jax.tree.map(lambda x: x[0], episode.realm))).tolist())
    assert seen == {m.tobytes() for m in maps}
    assert len({tuple(d) for d in digests}) == 3  # every episode has chance of its own


def test_rules_and_configuration_are_what_the_rulebook_says():
    law, chaos = make("law"), make("chaos")
    differ = [n for n in RULE_FIELDS if not np.array_equal(getattr(law.rules, n), getattr(chaos.rules, n))]
    assert differ == ["attacks_enabled"]
    assert chaos.rules.attack_damage.tolist() == [10, 2, 1]
    assert chaos.rules.attack_range.tolist() == [1, 2, 3]
    assert int(make("chaos", num_agents=32, num_populations=2).rules.population_cap) == 32
