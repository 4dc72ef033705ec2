"""What runs are measured by: the tally against the event log, formulas against cases worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.actions import Action
from nmmo_jax.environment import Environment
from nmmo_jax.events import Event
from nmmo_jax.kinds import WALKABLE, Material
from nmmo_jax.play.statistics import (
    accumulate,
    age_histogram,
    depleted_share,
    empty_tally,
    food_yield,
    histogram_quantile,
    kaplan_meier,
    population_curve,
    reachable_forests,
    survival_quantile,
)
from nmmo_jax.presets import preset
from nmmo_jax.scenario import make_realm
from nmmo_jax.vectorized import vectorize

LAVA, WATER, GRASS, FOREST, STONE = Material.LAVA, Material.WATER, Material.GRASS, Material.FOREST, Material.STONE
REALMS, TICKS, BINS = 2, 80, 9


@pytest.fixture(scope="module")
def played():
    """A tally of some rough ticks with few bins, and the events and realms it is of."""
    settings = {"num_agents": 8, "num_populations": 2, "rows": 12, "columns": 12, "view": 5, "num_visible": 4}
    config, rules = preset(
        "chaos", **settings, max_lifetime=30, events=128, start_food=9, start_water=9, immunity_ticks=3
    )
    material = np.random.default_rng(0).choice([GRASS, FOREST, WATER, LAVA], (12, 12), p=[0.5, 0.3, 0.18, 0.02])
    world = vectorize(Environment(config, rules), REALMS)

    @jax.jit
    def step(key, before, tally):
        moves, styles, targets = jax.random.split(jax.random.fold_in(key, before.tick[0]), 3)
        shape = (REALMS, config.num_agents)
        action = Action(
            move=jax.random.randint(moves, shape, 0, 5),
            style=jax.random.randint(styles, shape, 0, 3),
            target=jax.random.randint(targets, shape, -1, config.num_agents),
        )
        _, after, _, terminated, truncated, info = world.step(key, before, action)
        return after, accumulate(tally, before, after, terminated, truncated, info), info

    _, realm = jax.jit(lambda key: world.reset(key, tiles=material))(jax.random.key(1))
    tally, events, acted, living = empty_tally(config, BINS), [], 0, 0
    for _ in range(TICKS):
        realm, tally, info = step(jax.random.key(2), realm, tally)
        assert not info.events.overflow.any()
        events += [np.stack(jax.tree.leaves(info.events.replace(count=None, overflow=None)))]
        acted, living = acted + int(info.acted.sum()), living + int(realm.agents.alive.sum())
    names = [name for name in vars(info.events) if name not in ("count", "overflow")]
    columns = dict(zip(names, np.concatenate(events, axis=2).reshape(len(names), -1), strict=True))
    return jax.tree.map(np.asarray, tally), columns, realm, acted, living


def count(columns, kind, population, **where):
    chosen = (columns["kind"] == kind) & (columns["population"] == population)
    for name, value in where.items():
        chosen &= columns[name] == value
    return chosen.sum()


@pytest.mark.slow
def test_tally_agrees_with_the_event_log(played):
    tally, columns, realm, _, _ = played
    for p in range(2):
        assert tally.births[p] == count(columns, Event.BIRTH, p) > 0
        assert tally.truncations[p] == count(columns, Event.TRUNCATION, p)
        assert tally.harvests[p] == count(columns, Event.HARVEST, p) > 0
        harvest = (columns["kind"] == Event.HARVEST) & (columns["population"] == p)
        assert tally.forage[p] == columns["amount"][harvest].sum()
        for i in range(len(tally.deaths)):
            assert tally.deaths[i, p] == count(columns, Event.DEATH, p, detail=1 + i)
        ages = columns["amount"][(columns["kind"] == Event.DEATH) & (columns["population"] == p)]
        np.testing.assert_array_equal(tally.died[p], age_histogram(ages, BINS))
        leaving = ages.sum() + 30 * tally.truncations[p]
        alive = realm.agents.alive & (realm.agents.population == p)
        assert tally.aged[p] == leaving + realm.agents.age[alive].sum()
        assert tally.births[p] - tally.deaths[:, p].sum() - tally.truncations[p] == alive.sum()
    assert (tally.deaths.sum(axis=1) > 0).sum() >= 3  # the play was rough enough to show most causes


@pytest.mark.slow
def test_tally_counts_who_acts_and_who_lives(played):
    tally, _, _, acted, living = played
    assert tally.steps.sum() == acted
    assert tally.living.sum() == living


def test_curves():
    config, _ = preset("law", num_agents=4, num_populations=2, rows=3, columns=3)
    material = np.full((3, 3), FOREST)
    ready = np.zeros((3, 3), int)
    ready[0] = 6  # not ready at tick 5
    first = make_realm(config, material, row=[0, 1], col=[0, 0], population=[0, 0], ready_tick=ready, tick=5)
    second = make_realm(config, np.full((3, 3), GRASS), row=[1], col=[1], population=[1], tick=5)
    realms = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, second)
    np.testing.assert_allclose(population_curve(realms, 2), [[1, 0.5], [1, 0.5]])
    assert depleted_share(realms) == pytest.approx((3 / 9 + 0) / 2)


def test_kaplan_meier_by_hand():
    # Seven lives: deaths at 1, 2, 2 and 4; seen alive until 2, 3 and 5.
    died, censored = np.array([0, 1, 2, 0, 1, 0, 0]), np.array([0, 0, 1, 1, 0, 1, 0])
    survival, reached = kaplan_meier(died, censored)
    np.testing.assert_array_equal(reached, [7, 7, 6, 3, 2, 1])
    np.testing.assert_allclose(survival, np.cumprod([1, 6 / 7, 4 / 6, 1, 1 / 2, 1]))
    assert [survival_quantile(survival, q) for q in (0.1, 1 / 7, 0.5, 0.75)] == [1, 1, 4, None]
    both = kaplan_meier(np.stack([died, died]), np.stack([censored, 0 * censored]))[0]
    np.testing.assert_allclose(both[0], survival)
    np.testing.assert_allclose(both[1], [1, 3 / 4, 1 / 4, 1 / 4, 0, 0])


def test_lives_longer_than_the_bins_stay_at_risk():
    survival, reached = kaplan_meier(np.array([0, 1, 3]), np.array([0, 0, 4]))
    np.testing.assert_array_equal(reached, [8, 8])
    np.testing.assert_allclose(survival, [1, 7 / 8])


def test_nobody_died():
    survival, reached = kaplan_meier(np.zeros(4, int), np.zeros(4, int))
    assert (survival == 1).all()
    assert (reached == 0).all()
    assert survival_quantile(survival, 0.5) is None
    assert histogram_quantile(np.zeros(4, int), 0.5) is None


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 1.0])
def test_histogram_quantile(share):
    ages = np.array([3, 5, 5, 8])
    expected = np.quantile(ages, share, method="inverted_cdf")
    assert histogram_quantile(age_histogram(ages, 20), share) == expected
    assert histogram_quantile(age_histogram(ages, 6), 1.0) is None  # 8 is in the open bin


def test_reachable_forests():
    material = np.array(
        [
            [LAVA, GRASS, FOREST, GRASS, LAVA],
            [LAVA, GRASS, STONE, STONE, FOREST],  # the last: behind lava and stone
            [LAVA, FOREST, FOREST, WATER, STONE],
            [LAVA, LAVA, FOREST, WATER, FOREST],  # the last: behind water
        ]
    )
    assert reachable_forests(material, np.array([1])) == 4
    assert reachable_forests(material, np.array([9])) == 1
    assert reachable_forests(material, np.array([1, 9, 19])) == 6
    assert reachable_forests(material, np.array([], int)) == 0
    material[material == Material.STONE] = 7  # of a system
    assert reachable_forests(material, np.array([1])) == 4
    assert reachable_forests(material, np.array([1]), (*WALKABLE, 7)) > 4


def test_food_yield_is_what_tireless_harvest_gives():
    assert food_yield(3, 10, 5, 0.0) == 3 * 5  # nothing grows again
    assert food_yield(3, 10, 5, 1.0) == 3 * 5 * 10  # every tick
    assert food_yield(3, 0, 5, 1.0) == 0
    rng, harvests = np.random.default_rng(0), 0
    for _ in range(20_000):
        tick = 0
        while tick < 50:
            harvests += 1
            tick += rng.geometric(0.1)
    assert food_yield(20_000, 50, 1, 0.1) == pytest.approx(harvests, rel=0.01)
