"""Splitting: against a chain whose probabilities are summed up exactly, and a world in which they are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.actions import Action
from nmmo_jax.commands.rare import Rare
from nmmo_jax.environment import Environment
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import Players
from nmmo_jax.presets import preset
from nmmo_jax.world.tiles import make_tiles
from train.studies.splitting import Race, fixed_effort, levels_from

WIDTH, TICKS, LIFE, INITIAL = 64, 24, 4, 3


def test_splitting_is_unbiased():
    """A walk that falls by 1, or by 2 at once, or rises by 1, from 5; is it ever 0 within 12 steps?"""
    steps, chances, start, time = np.array([-1, -2, 1]), [0.2, 0.1, 0.7], 5, 12
    exact, mass = 0.0, {start: 1.0}
    for _ in range(time):
        after: dict[int, float] = {}
        for place, share in mass.items():
            for step, chance in zip(steps.tolist(), chances, strict=True):
                after[place + step] = after.get(place + step, 0.0) + share * chance
        exact += sum(share for place, share in after.items() if place <= 0)
        mass = {place: share for place, share in after.items() if place > 0}

    def begin(seed):
        return {"place": np.full(15, start), "time": np.zeros(15, int)}

    def run(worlds, level, seed):
        place, now, lowest = worlds["place"].copy(), worlds["time"].copy(), worlds["place"].copy()
        rng = np.random.default_rng(seed)
        while (going := (lowest > level) & (now < time)).any():
            place += np.where(going, rng.choice(steps, 15, p=chances), 0)
            now += going
            lowest = np.minimum(lowest, place)
        return {"place": place, "time": now}, lowest

    generator = np.random.default_rng(0)
    found = np.array([fixed_effort(begin, run, (3, 2, 0), generator).prod() for _ in range(600)])
    error = found.std() / np.sqrt(len(found))
    assert 0 < exact < 0.1
    assert error < exact / 20
    assert abs(found.mean() - exact) < 4 * error


@pytest.fixture(scope="module")
def race():
    """Agents that live for LIFE ticks exactly: the population is how many were born in so many ticks."""
    config, rules = preset(
        "law",
        num_agents=8,
        num_populations=1,
        rows=6,
        columns=6,
        view=3,
        num_visible=2,
        start_health=1,
        start_food=LIFE,
        water_metabolism=0,
    )

    def act(params, keys, obs, realm, core, rules=None):
        nothing = jnp.zeros(realm.agents.alive.shape, jnp.int32)
        return Action(move=nothing, style=nothing, target=nothing - 1), core

    tiles = make_tiles(jnp.full((6, 6), Material.GRASS, jnp.uint8), config)
    env = Environment(config, rules)
    return Race(env, Players(act, None, lambda realms: ()), WIDTH, TICKS, tiles, INITIAL), env.rules


def dies_out(rate: float) -> float:
    """That for LIFE of the TICKS ticks nobody is born, one after another."""
    streak = np.zeros(LIFE + 1)  # the last: it has happened
    streak[0] = 1
    for _ in range(TICKS):
        after = np.zeros_like(streak)
        after[0] = streak[:LIFE].sum() * rate
        after[1:] = streak[:LIFE] * (1 - rate)
        after[LIFE] += streak[LIFE]
        streak = after
    return float(streak[LIFE])


@pytest.mark.slow
def test_counting_meets_what_is_known(race):
    race, rules = race
    rules, exact = rules.replace(spawn_rate=0.6), dies_out(0.6)
    lowest = np.concatenate([race.run(race.begin(rules, seed), rules, -1, seed + 1)[1] for seed in range(0, 10, 2)])
    assert 0.1 < exact < 0.9
    assert abs((lowest == 0).mean() - exact) < 4 * np.sqrt(exact * (1 - exact) / lowest.size)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "runs"), [(0.8, 16), (0.93, 64)])
def test_splitting_meets_what_is_known(race, rate, runs):
    race, rules = race
    rules, exact = rules.replace(spawn_rate=rate), dies_out(rate)

    def run(worlds, level, seed):
        return race.run(worlds, rules, level, seed)

    generator = np.random.default_rng(1)
    found = [fixed_effort(lambda seed: race.begin(rules, seed), run, (2, 1, 0), generator).prod() for _ in range(runs)]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert exact < 0.05
    assert error < exact / 5
    assert abs(np.mean(found) - exact) < 4 * error


@pytest.mark.slow
def test_worlds_stop_where_they_come_down(race):
    race, rules = race
    rules = rules.replace(spawn_rate=0.6)
    race.spent = 0
    worlds, lowest = race.run(race.begin(rules, 0), rules, 1, 1)
    living, tick = np.asarray(worlds.realm.agents.alive).sum(axis=1), np.asarray(worlds.realm.tick)
    came = lowest <= 1
    assert 0 < came.sum() < WIDTH
    assert (living[came] == lowest[came]).all()
    assert (tick[~came] == TICKS).all() and (tick[came] >= LIFE).all() and (tick[came] < TICKS).any()
    assert race.spent == tick.sum()


def test_levels():
    assert levels_from(8) == (6, 4, 3, 2, 1, 0)
    with pytest.raises(ValueError, match=r"levels=\[2, 2\]: must fall"):
        fixed_effort(lambda seed: None, lambda *_: (None, np.zeros(1)), (2, 2), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rate": (0.1, 2.0)}, "--rate .*from 0 to 1"),
        ({"rate": (0.1, 0.1)}, "--rate .*all different"),
        ({"effort": 100, "count": 250}, "--count 250: must be a multiple of --effort 100"),
        ({"levels": (4, 4, 0)}, "--levels .*must fall"),
        ({"levels": (8, 0)}, "--levels .*below --initial-population"),
        ({"initial_population": 25}, "--initial-population 25: allowed are 1 to 24"),
        ({"runs": 1}, "--runs 1: allowed are 2"),
        ({"policy": ()}, "--policy: 0 names"),
    ],
)
def test_bad_input_is_refused_by_name(given, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        Rare(**given)._filled().study(tmp_path)


@pytest.mark.slow
def test_the_command(tmp_path):
    small = {"agents": 8, "ticks": 40, "initial_population": 4, "runs": 2, "effort": 16, "count": 32}
    assert Rare(out=tmp_path / "out", rate=(0.02, 1.0), **small).run() == 0
    for name in ("report.md", "results.json", "rare.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0
