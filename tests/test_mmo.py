"""The role-playing preset: its units together and apart, and the scripted trades that live in it."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.environment import make
from nmmo_jax.mmo.monsters import monsters
from nmmo_jax.mmo.skills import SKILLS_UNIT
from nmmo_jax.play.players import players
from nmmo_jax.policies.workers import TRADES, worker
from nmmo_jax.presets import PRESETS
from nmmo_jax.vectorized import vectorize
from train.settings import experiment

SMALL = {"num_agents": 14, "num_populations": 7, "rows": 48, "columns": 48, "border": 3, "max_spawns": 2}


def test_units_can_be_left_out():
    every = PRESETS["mmo"]["systems"]
    assert [system.name for system in every] == ["skills", "monsters", "items", "professions", "crafts"]
    alone = make("mmo", systems=[SKILLS_UNIT])
    assert [system.name for system in alone.config.systems] == ["skills"]
    assert int(alone.rules.max_health) == 100 and "monsters" not in alone.rules.of
    with pytest.raises(ValueError, match="crafts needs items"):
        make("mmo", systems=[every[-1]])


def test_a_configuration_can_be_pickled():
    config = make("mmo").config
    assert experiment("mmo", **{"items.armour": 4}).env.rules.named()["items.armour"] == 4
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("capacity", [0, 70_000, 2.5, "x", True])
def test_how_many_monsters_there_can_be(capacity):
    with pytest.raises(ValueError, match="monsters: capacity="):
        monsters(capacity)


@pytest.mark.parametrize(("name", "needed"), [("miner", "professions"), ("hunter", "monsters")])
def test_a_trade_needs_what_it_lives_by(name, needed):
    with pytest.raises(ValueError, match=f"policy={name}: needs a world with the system {needed}"):
        players((name,), make("mmo", systems=[SKILLS_UNIT]))


def test_one_program_serves_all_trades():
    env = make("mmo", **SMALL)
    alone = {name: players((name,), env) for name in TRADES}
    assert len({who.kind for who in alone.values()}) == 1 != len({str(who.params) for who in alone.values()})
    mixed = players((*TRADES, "random"), env)
    assert mixed.kind[0] == ("random", worker) and len(mixed.params) == 1


@pytest.mark.slow
def test_each_population_does_what_its_trade_does():
    env = make("mmo", **SMALL)
    many, key = vectorize(env, 2), jax.random.key(5)
    obs, realms = many.reset(key, initial_population=14)
    keys, mixed = jax.random.split(key, 2), players(tuple(TRADES), env)
    act = jax.jit(lambda params: mixed.act(params, keys, obs, realms, [])[0])
    together = act(mixed.params)
    population = np.asarray(realms.agents.population)
    moves = {}
    for number, name in enumerate(TRADES):
        alone, own = act(players((name,), env).params), population == number
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_array_equal(np.asarray(one)[own], np.asarray(other)[own])
        moves[name] = np.asarray(alone.move)
    assert any((moves["hunter"] != move).any() for move in moves.values())
    seated = players((*TRADES, "wanderer"), env, any_seat=True)  # who plays what, as parameters of one program
    act, names = jax.jit(lambda params: seated.act(params, keys, obs, realms, [])[0]), list(TRADES)
    for one, other in zip(jax.tree.leaves(act(seated.seat(range(7)))), jax.tree.leaves(together), strict=True):
        np.testing.assert_array_equal(one, other)
    smiths = act(seated.seat([names.index("smith")] * 6 + [len(names)]))
    np.testing.assert_array_equal(np.asarray(smiths.move)[population < 6], moves["smith"][population < 6])
    assert (np.asarray(smiths.move)[population == 6] != moves["smith"][population == 6]).any()


@pytest.mark.slow
def test_all_trades_work_craft_and_live():
    env = make("mmo", **SMALL)
    many, who = vectorize(env, 2), players(tuple(TRADES), env)
    key = jax.random.key(3)

    @functools.partial(jax.jit, donate_argnums=0)
    def play(state):
        def tick(state, _):
            obs, realms, core = state
            keys = jax.random.split(jax.random.fold_in(key, realms.tick[0]), 2)
            action, core = who.act(who.params, keys, obs, realms, core)
            obs, realms, *_, info = many.step(key, realms, action)
            told = {
                name: one.happened.any(axis=0)
                for deeds in info.outcome.of.values()
                for name, one in deeds.events.items()
            }
            return (obs, realms, core), (told, info.population[0])

        return jax.lax.scan(tick, state, length=200)

    obs, realms = many.reset(key, initial_population=14)
    (_, realms, _), (told, population) = play((obs, realms, who.initial(2)))
    happened = {name: np.asarray(some) for name, some in told.items()}
    for event in ("mined", "felled", "crushed", "picked", "fished", "monster_hit", "item_used", "item_worn"):
        assert happened[event].any(), event
    assert any(some.any() for name, some in happened.items() if name.startswith("crafted_"))
    alive = np.asarray(population >= 0).mean()
    assert alive > 0.5, f"{alive:.0%} of places are taken"
    level = jnp.where(realms.agents.alive[:, None], realms.of["skills"]["level"], 1)
    assert int(level.max()) > 1
