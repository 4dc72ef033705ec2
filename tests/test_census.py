"""The census against a plain count of what ``step`` tells, and the likenesses that it promises."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import SMALL

from nmmo_jax import Environment, Rules, make, vectorize
from nmmo_jax.declarations import Column, Phase
from nmmo_jax.draws import fold_in
from nmmo_jax.play.players import players
from nmmo_jax.system import System
from nmmo_jax.world.pool import MapPool
from train.policy import load_named, load_policy
from train.studies.agreement import watched
from train.studies.census import Census, median, survival
from train.studies.counts import events_of_systems, kept_of_agents
from train.studies.forks import instead

REALMS, TICKS, BINS, SEED = 2, 30, 12, 3
RULES = Rules(
    population_cap=np.array([16, 9]), start_food=np.array([8, 12]), immunity_ticks=2, regrowth_probability=0.2
)
CONFIG = dataclasses.replace(SMALL, max_spawns=3)
NAMES = ("random",)
TOLD = []  # rules, as players have been told them


@pytest.fixture(scope="module")
def made():
    env = Environment(CONFIG)
    tiles = MapPool.generated(0, REALMS, CONFIG).tiles(jnp.arange(REALMS))
    who = players(NAMES, env)

    def act(params, keys, obs, realm, core, rules=None):
        TOLD.append(rules)
        return who.act(params, keys, obs, realm, core, rules)

    return Census(env, who._replace(act=act), REALMS, BINS), tiles


@pytest.fixture(scope="module")
def counted(made):
    census, tiles = made
    return census.run(census.begin(SEED, tiles, RULES, 4), TICKS, rules=RULES)


@pytest.fixture(scope="module")
def plain(made):
    """The same play, tick by tick: the realms before and after, and what the step told, as NumPy."""
    census, tiles = made
    env, rules, act = census.env, census.rules(RULES), census.players.act
    many = vectorize(env, REALMS)
    key, policy_key = jax.random.split(jax.random.key(SEED))

    @jax.jit
    def step(realm):
        keys = jax.vmap(lambda i, tick: fold_in(fold_in(policy_key, i), tick))(jnp.arange(REALMS), realm.tick)
        action, _ = act([], keys, many.observe(realm, rules), realm, [])
        _, after, _, _, _, info = many.step(key, realm, action, rules)
        return after, info

    realm, found = jax.jit(lambda: many.reset(key, rules, tiles, 4)[1])(), []
    for _ in range(TICKS):
        before, (realm, info) = realm, step(realm)
        found.append(jax.device_get((before, realm, info)))
    return found


@pytest.mark.slow
def test_players_are_told_the_rules_of_their_realms(counted):
    assert TOLD[0] is not None and TOLD[0].population_cap.ndim == 1


def test_counts_are_those_of_every_step(counted, plain):
    counts, p = counted[1].counts, CONFIG.num_populations
    there = {f.name: getattr(counts, f.name) for f in dataclasses.fields(counts)}
    assert {name for name, value in there.items() if value is None} == {"told", "held", "highest"}
    want = {name: np.zeros(value.shape, int) for name, value in there.items() if value is not None}
    stood = [[set() for _ in range(CONFIG.num_agents)] for _ in range(REALMS)]
    for before, after, info in plain:
        for r in range(REALMS):
            for n in np.flatnonzero(before.agents.alive[r]):
                own, age = before.agents.population[r, n], min(before.agents.age[r, n], BINS - 1)
                want["steps"][r, own] += info.acted[r, n]
                want["forage"][r, own] += info.outcome.forage[r, n]
                want["exposed"][r, own, age] += 1
                if info.cause[r, n]:
                    want["deaths"][r, own, info.cause[r, n] - 1] += 1
                    want["aged"][r, own] += info.age[r, n]
                    want["ended"][r, own, age] += 1
                hit = info.outcome.attack_target[r, n]
                if hit >= 0:
                    other = before.agents.population[r, hit]
                    want["attacks"][r, own, other] += 1
                    want["damage"][r, own, other] += info.outcome.attack_damage[r, n]
                    want["styles"][r, own, info.outcome.attack_style[r, n]] += 1
                tile = (before.agents.row[r, n], before.agents.col[r, n])
                want["unique"][r, own] += tile not in stood[r][n]
                stood[r][n].add(tile)
            for slot, own in zip(info.births.slot[r], info.births.population[r], strict=True):
                if slot >= 0:
                    want["births"][r, own] += 1
                    stood[r][slot] = set()
            for own in range(p):
                want["living"][r, own] += (after.agents.alive[r] & (after.agents.population[r] == own)).sum()
            want["empty"][r] += not after.agents.alive[r].any()
    for name, value in want.items():
        np.testing.assert_array_equal(getattr(counts, name), value, err_msg=name)
    assert all(counts.deaths.sum() > 20 and one.sum() > 0 for one in (counts.attacks, counts.damage, counts.unique))


def _live(world):
    """Something happens at every third age; an agent's steps are counted, and two skills by them."""
    steps = world["steps"] + 1
    skills = jnp.stack([steps // 2, jnp.full_like(steps, 7)])
    return world.set(steps=steps, skill=skills, place=skills, sign=steps * 0 - 1).tell("third", steps % 3 == 0)


DIARY = System(
    "diary",
    agents=[
        Column("steps", low=0, high=9),
        Column("kind", "uint8", high=3, category=True),
        Column("skill", "uint8", high=200, each=("carving", "fishing")),
        Column("place", "uint8", each=("one", "two")),
        Column("sign", low=-1),
        Column("number", "int32", low=0),
    ],
    events=["never", "third"],
    phases=[Phase("act", _live)],
)


@pytest.mark.slow
def test_what_systems_tell_and_keep():
    """Against a count of what every step tells; of what agents keep the numbers from 0 on that are not categories."""
    config = dataclasses.replace(CONFIG, systems=(DIARY,))
    env = Environment(config)
    names = [f"diary.{name}" for name in ("steps", "skill.carving", "skill.fishing", "place.one", "place.two")]
    assert list(kept_of_agents(config)) == names
    assert events_of_systems(config) == [("diary", "never"), ("diary", "third")]
    tiles = MapPool.generated(0, REALMS, config).tiles(jnp.arange(REALMS))
    census = Census(env, players(NAMES, env), REALMS, BINS, of_systems=True)
    counts = census.run(census.begin(SEED, tiles, None, 4), TICKS)[1].counts
    many, act = vectorize(env, REALMS), census.players.act
    key, policy_key = jax.random.split(jax.random.key(SEED))

    @jax.jit
    def step(realm):
        keys = jax.vmap(lambda i, tick: fold_in(fold_in(policy_key, i), tick))(jnp.arange(REALMS), realm.tick)
        action, _ = act([], keys, many.observe(realm), realm, [])
        _, after, _, _, _, info = many.step(key, realm, action)
        return after, info

    realm = jax.jit(lambda: many.reset(key, tiles=tiles, initial_population=4)[1])()
    told, held, highest = (np.zeros_like(one) for one in (counts.told, counts.held, counts.highest))
    highest -= 1
    for _ in range(TICKS):
        realm, info = step(realm)
        third = np.asarray(info.outcome.of["diary"].events["third"].happened)
        kept = {name: np.asarray(value) for name, value in realm.of["diary"].items()}
        numbers = np.stack([kept["steps"], *(kept[name][:, k] for name in ("skill", "place") for k in range(2))], -1)
        for r in range(REALMS):
            for n in np.flatnonzero(third[r]):
                told[r, info.population[r, n], 1] += 1
            for n in np.flatnonzero(realm.agents.alive[r]):
                own = realm.agents.population[r, n]
                held[r, own] += numbers[r, n]
                highest[r, own] = np.maximum(highest[r, own], numbers[r, n])
    np.testing.assert_array_equal(counts.told, told)
    np.testing.assert_array_equal(counts.held, held)
    np.testing.assert_array_equal(counts.highest, highest)
    assert told.sum() > 20 and highest.max() == 9


def test_curves_and_rules(counted, plain):
    result = counted[1]
    alive = np.stack([after.agents.alive.sum(axis=1) for _, after, _ in plain])
    np.testing.assert_array_equal(result.population.sum(axis=2), alive)
    assert alive[:, 1].max() == 9 < alive[:, 0].max()  # the cap of either world
    assert (result.depleted[-1] > 0).all()


def test_going_on_is_one_run(made, counted):
    census, tiles = made
    worlds = census.begin(SEED, tiles, RULES, 4)
    worlds, first = census.run(worlds, 13, rules=RULES)
    worlds, second = census.run(worlds, TICKS - 13, rules=RULES, stride=4)
    both = jax.tree.map(np.add, first.counts, second.counts)
    jax.tree.map(np.testing.assert_array_equal, both, counted[1].counts)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(worlds.realm), jax.device_get(counted[0].realm))
    curve = counted[1].population[13:]
    np.testing.assert_allclose(second.population, [part.mean(0) for part in np.split(curve, [4, 8, 12, 16])], rtol=1e-6)


def test_survival_by_hand():
    exposed, ended = np.array([4, 4, 2, 0, 0]), np.array([0, 2, 1, 0, 0])
    share = survival(exposed, ended)
    np.testing.assert_array_equal(share[:3], [1, 0.5, 0.25])
    assert np.isnan(share[3]) and median(share) == 2
    assert np.isnan(median(survival(np.array([4, 4, 1]), np.array([0, 1, 0]))))


def test_rules_of_other_realms_are_refused(made):
    with pytest.raises(ValueError, match="population_cap: 3 values"):
        made[0].rules(Rules(population_cap=np.array([1, 2, 3])))


@pytest.mark.slow
def test_players_of_every_kind_can_be_counted():
    """What a census plays is told of rules: those named, those of every other branch, those who are watched."""
    env = make("law", num_agents=16, num_populations=2)
    policy, key = load_policy("law128", env=env), jax.random.key(0)
    named = players(("law128", "forager"), env, load_named)
    obs, realm = jax.eval_shape(vectorize(env, REALMS).reset, key)
    keys = jax.eval_shape(lambda key: jax.random.split(key, REALMS), key)
    for who in (named, instead(named, players(("random",), env)), watched([policy], "forager", env.config)):
        core = jax.eval_shape(lambda who=who: who.initial(REALMS))
        given = (who.params, keys, obs, realm, core)
        assert jax.eval_shape(who.act, *given, env.rules) == jax.eval_shape(who.act, *given)
