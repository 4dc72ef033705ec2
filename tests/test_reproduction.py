"""Births by living agents: against the plain reference, and what must hold of them in any play."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from test_equivalence import (
    assert_same_ledger,
    assert_same_observation,
    assert_same_outcome,
    assert_same_state,
    jit_play,
    reference_of,
)
from worlds import random_action, random_draws, random_realm, random_rules

from nmmo_jax import Action, Config, Environment, MapPool, Rules, make_realm, transition
from nmmo_jax.components import Draws, Realm
from nmmo_jax.draws import draw
from nmmo_jax.events import Event
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import players
from nmmo_jax.play.playing import Play
from nmmo_jax.replay_file import load_replay, save_replay
from nmmo_jax.rules import REPRODUCTION_RULES, as_rules
from train.inputs import ENCODED_RULES
from train.vec_env import VecEnv

FREE = Config(
    num_agents=14,
    num_populations=3,
    rows=9,
    columns=11,
    view=5,
    num_visible=3,
    layout="free",
    reproduction=True,
    max_spawns=2,
    max_lifetime=20,
    visits=True,
    events=200,
    ledger=True,
)
SHAPES = {
    "simultaneous": FREE,
    "sequential": dataclasses.replace(FREE, resolution="sequential", max_lifetime=None),
}
GROWING: dict[str, Any] = {"birth_food_above": 3, "birth_water_above": 3, "birth_age": 2, "birth_probability": 0.5}


def play_one(config: Config, seed: int, ticks: int) -> int:
    """Plays one random realm in both; returns how many were born by agents."""
    rng = np.random.default_rng(seed)
    rules = as_rules(random_rules(rng, config), config)
    realm = random_realm(rng, config, rules)
    twin = reference_of(config, rules, realm)
    born = 0
    for _ in range(ticks):
        action, draws = random_action(rng, config.num_agents), random_draws(rng, config)
        before = twin.arrays()
        result = jit_play(realm, action, draws, rules, config)
        expected = twin.step(action, draws)
        realm, births = result[0], jax.device_get(result[4].births)
        assert_same_state(realm, twin)
        assert_same_outcome(result, expected, before["alive"])
        ledger = jax.device_get(result[4].ledger)
        assert_same_ledger(before, twin.arrays(), ledger, twin.ledger, config.num_populations)
        parents = births.parent_uid >= 0
        np.testing.assert_array_equal(births.parent_uid[parents], before["uid"][np.flatnonzero(parents)])
        born += parents.sum()
    assert_same_observation(result[-1], twin)
    return int(born)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference(shape):
    assert sum(play_one(SHAPES[shape], seed, ticks=12) for seed in range(30)) > 60


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference_at_length(shape):
    assert sum(play_one(SHAPES[shape], seed, ticks=60) for seed in range(1000, 1080)) > 500


def nothing() -> dict[str, np.ndarray]:
    return {
        name: np.full(FREE.num_agents, value, np.int32) for name, value in (("move", 0), ("style", 0), ("target", -1))
    }


jit_draw = jax.jit(draw, static_argnames="config")


def step(seed: int, realm: Realm, action: dict[str, np.ndarray], rules: Rules) -> tuple:
    draws = jit_draw(jax.random.fold_in(jax.random.key(seed), realm.tick), realm, rules, FREE)
    return jit_play(realm, action, draws, rules, FREE)


def test_any_play_keeps_the_cap_the_lineage_and_the_energy():
    """What parents pay is what newborns get, where the rules say so; nobody is born of the dead or the unborn."""
    rng = np.random.default_rng(3)
    material = rng.choice([Material.GRASS, Material.FOREST, Material.WATER], (9, 11), p=[0.2, 0.6, 0.2])
    material[0] = Material.GRASS
    rules = as_rules(
        Rules(
            population_cap=12,
            birth_food_cost=4,
            birth_water_cost=4,
            newborn_food=4,
            newborn_water=4,
            regrowth_probability=0.3,
            **GROWING,
        ),
        FREE,
    )
    realm = make_realm(FREE, material, row=[0, 0, 0], col=[1, 4, 8], population=[0, 1, 2], rules=rules)
    born_at, parent_of, peak = dict.fromkeys(range(3), -1), {}, 0
    for tick in range(40):
        before = jax.device_get(realm.agents)
        realm, _, terminated, truncated, info, _ = step(1, realm, random_action(rng, FREE.num_agents), rules)
        agents, births = jax.device_get((realm.agents, info.births))
        peak = max(peak, int(agents.alive.sum()))
        assert (agents.alive | np.asarray(truncated)).sum() <= 12
        assert np.unique(agents.uid[agents.alive]).size == agents.alive.sum()
        stays = before.alive & ~np.asarray(terminated) & ~np.asarray(truncated)
        for row in np.flatnonzero(births.slot >= 0):
            uid, parent = int(births.uid[row]), int(births.parent_uid[row])
            assert uid not in born_at
            born_at[uid] = tick
            if row < FREE.num_agents:
                assert stays[row] and parent == before.uid[row] < uid and born_at[parent] < tick
                assert births.population[row] == before.population[row]
                parent_of[uid] = parent
            else:
                assert parent == -1
        for stat in ("food", "water"):
            paid, got = (getattr(info.ledger, f"{stat}_{name}") for name in ("to_offspring", "from_parents"))
            np.testing.assert_array_equal(paid, got)
    assert peak == 12
    assert len(parent_of) > 10
    assert len(set(parent_of) & set(parent_of.values())) > 2  # there are grandchildren
    assert sorted(born_at) == list(range(int(realm.next_uid)))


def test_removing_an_agent_that_bears_nobody_changes_only_what_it_caused():
    """Coin and place depend on the parent's uid: all others, their offspring included, live as before."""
    material = np.full((9, 11), Material.GRASS)
    material[:, 5] = Material.STONE
    rules = as_rules(Rules(attacks_enabled=False, spawn_rate=0.0, start_food=20, start_water=20, **GROWING), FREE)
    realm = make_realm(
        FREE, material, row=[1, 4, 7, 4], col=[1, 2, 3, 9], slot=[5, 2, 3, 0], uid=[0, 1, 2, 3], water=[32, 32, 32, 4]
    )
    absent = {"alive": realm.agents.alive.at[0].set(False), "uid": realm.agents.uid.at[0].set(-1)}
    without = realm.replace(agents=realm.agents.replace(**absent))
    for tick in range(7):
        moves = np.random.default_rng(tick).integers(0, 5, 100, np.int32)  # by uid
        realm, without = (
            step(6, one, nothing() | {"move": moves[one.agents.uid]}, rules)[0] for one in (realm, without)
        )
        expected = lives(realm)
        expected.pop(3, None)
        assert lives(without) == expected
    assert 8 < int(realm.next_uid) <= FREE.num_agents  # never full: a place left free would be another's


def lives(realm: Realm) -> dict[int, tuple]:
    alive = np.flatnonzero(realm.agents.alive)
    rows = zip(*(np.asarray(leaf)[alive].tolist() for leaf in jax.tree.leaves(realm.agents)), strict=True)
    return dict(zip(np.asarray(realm.agents.uid)[alive].tolist(), rows, strict=True))


@pytest.mark.slow
def test_where_nobody_gives_birth_it_is_as_if_it_were_off():
    off = dataclasses.replace(FREE, reproduction=False)
    rng = np.random.default_rng(0)
    rules = as_rules(Rules(birth_probability=0.0), FREE)
    realm = other = random_realm(rng, FREE, rules)
    for tick in range(8):
        action = random_action(rng, FREE.num_agents)
        key = jax.random.fold_in(jax.random.key(2), tick)
        on_draws, off_draws = (jit_draw(key, one, rules, config) for one, config in ((realm, FREE), (other, off)))
        assert off_draws.reproduction is None and on_draws.reproduction.shape == (FREE.num_agents, 2)
        np.testing.assert_array_equal(on_draws.regrowth, off_draws.regrowth)
        realm, *rest, info, obs = jit_play(realm, action, on_draws, rules, FREE)
        other, *others, other_info, other_obs = jit_play(other, action, off_draws, rules, off)
        births = jax.tree.map(lambda column: column[FREE.num_agents :], info.births)
        assert other_info.births.slot.shape == (FREE.max_spawns,)
        same = (realm, rest, info.replace(births=births), obs), (other, others, other_info, other_obs)
        jax.tree.map(np.testing.assert_array_equal, *same)


def test_off_reads_no_rule_of_reproduction():
    """The program with reproduction off is the same whatever those rules are: none of them is an input of it."""
    off = dataclasses.replace(FREE, reproduction=False)
    realm, action = make_realm(off, np.full((9, 11), Material.GRASS)), Action(move=np.zeros(FREE.num_agents, np.int32))

    def step(changed, realm):
        rules = as_rules(Rules(), off).replace(**changed)
        return Environment(off).step(jax.random.key(0), realm, action, rules)

    changed = {name: jnp.asarray(getattr(as_rules(Rules(), off), name)) for name in REPRODUCTION_RULES}
    jaxpr = jax.make_jaxpr(step)(changed, realm).jaxpr
    live = jax.interpreters.partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[1]
    assert not any(live[: len(changed)]) and any(live)


def test_trained_networks_read_the_rules_that_they_were_trained_with():
    assert set(REPRODUCTION_RULES) == {name for name in REPRODUCTION_RULES if hasattr(reference.Rules, name)}
    assert not set(ENCODED_RULES) & set(REPRODUCTION_RULES)
    assert len(REPRODUCTION_RULES) == 8


def test_bad_input():
    with pytest.raises(ValueError, match="reproduction=True: must be False in layout 'blocks'"):
        Config(reproduction=True)
    with pytest.raises(ValueError, match="reproduction=1: allowed are True and False"):
        Config(reproduction=1, layout="free")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"rules.newborn_food=12: must be at most rules.max_food=10"):
        Environment(FREE, Rules(start_food=10, max_food=10))
    Environment(dataclasses.replace(FREE, reproduction=False), Rules(start_food=10, max_food=10))
    with pytest.raises(ValueError, match=r"rules.birth_probability=2: allowed are numbers from 0 to 1"):
        Environment(FREE, Rules(birth_probability=2))
    realm = make_realm(FREE, np.full((9, 11), Material.GRASS))
    draws = Draws(regrowth=np.ones(14, np.int32), spawn=np.zeros((2, 3), np.uint32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"draws\.reproduction=None"):
        jax.eval_shape(lambda: transition(realm, Action(), draws, Rules(), FREE))


@pytest.mark.slow
def test_replays_play_again(tmp_path):
    env = Environment(
        FREE, Rules(newborn_food=20, newborn_water=20, regrowth_probability=0.5, spawn_rate=0.0, **GROWING)
    )
    pool = MapPool.from_maps([np.full((9, 11), Material.FOREST)], FREE)
    names = ("forager",) * FREE.num_populations
    replay = Play(env, players(names, env), names, pool, seed=3, initial_population=3).run(30)
    assert int(replay.frames[-1].next_uid) > 10  # the ring bears nobody
    save_replay(replay, tmp_path / "world.npz")
    again = load_replay(tmp_path / "world.npz")
    assert again.config.reproduction and again.rules.newborn_food == 20
    assert again.verify() is None and again.cut(7, 20).verify() is None


@pytest.mark.slow
def test_vec_env_and_worlds_with_rules_of_their_own():
    """Two worlds, one of which has births by agents alone and the other none of them: rows, events and ledger."""
    rules = Rules(spawn_rate=np.float32([0, 1]), **{**GROWING, "birth_probability": np.float32([0.5, 0])})
    env = VecEnv(Environment(FREE, rules), 2, tiles=np.full((9, 11), Material.GRASS), initial_population=3)
    env.reset()
    born, booked = np.zeros((2, 2), int), np.zeros(2, int)
    for _ in range(12):
        observations, _, _, info = env.step({})
        parents = info.events.other_uid >= 0
        births = info.events.kind == Event.BIRTH
        born += np.stack([(births & parents).sum(1), (births & ~parents).sum(1)], axis=1)
        booked += info.ledger.food_from_parents.sum(1) // 12
        np.testing.assert_array_equal(
            observations.uid, np.asarray(env.realms.agents.uid)[np.asarray(env.realms.agents.alive)]
        )
    assert born[0, 0] > 3 and born[0, 1] == 0
    assert born[1, 0] == 0 and born[1, 1] > 3
    np.testing.assert_array_equal(booked, born[:, 0])
