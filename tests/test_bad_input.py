"""Bad input is refused by name, before anything compiles."""

import dataclasses
import re

import numpy as np
import pytest
from small import GRASS, KEY, SMALL, small

from nmmo_jax import Action, Config, Environment, Rules, autoreset, make, make_realm, vectorize
from nmmo_jax.kinds import Material
from train.vec_env import VecEnv


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


def test_bad_arguments_of_a_vec_env():
    env = Environment(SMALL)
    horizon = autoreset(Environment(dataclasses.replace(SMALL, horizon=5)))
    for made, message in (
        (lambda: VecEnv(horizon, 2), "must be an Environment"),  # pyright: ignore[reportArgumentType]
        (lambda: VecEnv(env, 0), "num_realms=0"),
        (lambda: VecEnv(env, 2, seed=-1), "seed=-1: allowed are"),
        (lambda: VecEnv(env, 2, initial_population=17), "initial_population=17: allowed are"),
        (lambda: VecEnv(env, 2, tiles=np.full((20, 18), 9)), "tiles"),
        (lambda: VecEnv(env, 2, tiles=np.stack([GRASS] * 3)), "tiles: 3 maps: must be num_realms=2"),
        (lambda: VecEnv(env, 2, arrays="numpy"), "arrays='numpy': must be a function"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(ValueError, match=message):
            made()
