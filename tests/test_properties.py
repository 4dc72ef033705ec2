"""Invariants of play, on random worlds found by hypothesis."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slow import slow_but
from worlds import random_action, random_draws, random_realm, random_rules

from nmmo_jax import Action, Config, Environment, Rules, digest, make_realm, transition, vectorize
from nmmo_jax.components import Agents, Draws, Realm
from nmmo_jax.config import MAX_AGENTS, MAX_AMOUNT
from nmmo_jax.draws import draw
from nmmo_jax.environment import observe
from nmmo_jax.kinds import WALKABLE, Material
from nmmo_jax.rules import as_rules

BLOCKS = Config(num_agents=20, num_populations=5, rows=14, columns=11, view=7, num_visible=5, max_spawns=2)
FREE = Config(
    num_agents=12, num_populations=5, rows=9, columns=9, view=5, num_visible=4, layout="free", max_lifetime=15
)
IN_TURN = Config(num_agents=10, num_populations=2, rows=8, columns=10, view=5, num_visible=4, resolution="sequential")
FREE_IN_TURN = dataclasses.replace(FREE, resolution="sequential")
LONELY = Config(num_agents=60, num_populations=3, rows=14, columns=30, view=3, num_visible=2)
CONFIGS = {"blocks": BLOCKS, "free": FREE, "sequential": IN_TURN, "free in turn": FREE_IN_TURN}
N_STEPS = 12

quick = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
seeds = st.integers(0, 2**32 - 1)


@functools.cache
def env_of(name: str) -> Environment:
    return Environment(CONFIGS[name])


@functools.cache
def jit_step(name: str):
    return jax.jit(env_of(name).step)


@functools.cache
def jit_four(name: str):
    """Four realms, with rules of their own."""
    return jax.jit(vectorize(env_of(name), 4).step)


jit_transition = jax.jit(transition, static_argnames="config")
jit_observe = jax.jit(observe, static_argnames="config")
jit_digest = jax.jit(digest)
jit_draw = jax.jit(draw, static_argnames="config")


def world(config: Config, seed: int) -> tuple[np.random.Generator, Rules, Realm]:
    rng = np.random.default_rng(seed)
    rules = as_rules(random_rules(rng, config), config)
    return rng, rules, random_realm(rng, config, rules)


def actions(rng: np.random.Generator, config: Config) -> Action:
    return Action(**random_action(rng, config.num_agents))


def leaves_equal(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("name", slow_but("blocks", "sequential", of=CONFIGS))
@quick
@given(seed=seeds)
def test_invariants_of_play(name, seed):
    config = CONFIGS[name]
    rng, rules, realm = world(config, seed)
    key = jax.random.key(seed)
    seen: set[int] = set()
    held = set(np.asarray(realm.agents.uid)[np.asarray(realm.agents.alive)].tolist())
    for _ in range(N_STEPS):
        _, realm, _, _, _, _ = jit_step(name)(key, realm, actions(rng, config), rules)
        agents: Agents = jax.device_get(realm.agents)
        alive = agents.alive
        material = np.asarray(realm.tiles.material)
        assert np.isin(material[agents.row[alive], agents.col[alive]], WALKABLE).all()
        for stat in ("health", "food", "water"):
            assert (getattr(agents, stat)[alive] >= 0).all()
            assert (getattr(agents, stat)[alive] <= int(getattr(rules, f"max_{stat}"))).all()
        assert ((agents.freeze[alive] >= 0) & (agents.freeze[alive] <= max(4, int(rules.freeze_ticks)))).all()
        if config.resolution == "simultaneous":
            assert (agents.health[alive] > 0).all()
        cap, populations = int(rules.population_cap), config.num_populations
        assert alive.sum() <= cap
        if config.layout == "blocks":
            block = config.num_agents // populations
            slots = np.flatnonzero(alive)
            assert (agents.population[alive] == slots // block).all()
            quota = np.array([cap // populations + (p < cap % populations) for p in range(populations)])
            assert (np.bincount(agents.population[alive], minlength=populations) <= quota).all()
        now = set(agents.uid[alive].tolist())
        assert len(now) == alive.sum()
        assert (agents.uid[~alive] == -1).all()
        assert not (now - held) & seen, "a uid came back"
        seen |= held | now
        held = now
        assert max(now, default=-1) < int(realm.next_uid)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@quick
@given(seed=seeds)
def test_empty_slots_are_inert(name, seed):
    """Neither what an empty slot holds nor what is done there changes anything that is seen or lives."""
    config = CONFIGS[name]
    rng, rules, realm = world(config, seed)
    action, draws = random_action(rng, config.num_agents), random_draws(rng, config)
    alive = np.asarray(realm.agents.alive)

    def scribble(column):
        column = np.asarray(column)
        junk = rng.choice([-(2**31), -32_768, -1, 0, 3, 7, 32_767, 2**31 - 1], column.shape)
        return jnp.asarray(np.where(alive, column, junk.astype(column.dtype)))

    junk = jax.tree.map(scribble, realm.agents).replace(alive=realm.agents.alive, uid=realm.agents.uid)
    other = realm.replace(agents=junk)
    wild = {k: np.where(alive, v, random_action(rng, config.num_agents)[k]) for k, v in action.items()}
    nobody = np.zeros(config.num_agents, bool)
    leaves_equal(jit_observe(realm, rules, config, nobody), jit_observe(other, rules, config, nobody))
    assert (jit_digest(realm) == jit_digest(other)).all()
    first = jit_transition(realm, Action(**action), draws, rules, config)
    second = jit_transition(other, Action(**wild), draws, rules, config)
    assert (jit_digest(first[0]) == jit_digest(second[0])).all()
    leaves_equal(first[1:], second[1:])
    truncated = first[3]
    leaves_equal(jit_observe(first[0], rules, config, truncated), jit_observe(second[0], rules, config, truncated))


@pytest.mark.parametrize("name", ["free", "free in turn"])
@quick
@given(seed=seeds)
def test_slots_do_not_matter(name, seed):
    """In layout free the same agents in other slots live the same lives, tick after tick."""
    config = CONFIGS[name]
    rng, rules, realm = world(config, seed)
    key = jax.random.key(seed)
    rules = rules.replace(spawn_rate=jnp.float32(0))
    order = rng.permutation(config.num_agents)  # new slot k holds what was in slot order[k]
    new_slot = np.argsort(order)
    other = realm.replace(agents=jax.tree.map(lambda column: column[order], realm.agents))
    for _ in range(4):
        action = random_action(rng, config.num_agents)
        target = action["target"]
        in_range = (target >= 0) & (target < config.num_agents)
        moved_target = np.where(in_range, new_slot[np.where(in_range, target, 0)], target).astype(np.int32)
        moved = {name: (moved_target if name == "target" else value)[order] for name, value in action.items()}
        _, realm, reward, *_ = jit_step(name)(key, realm, Action(**action), rules)
        _, other, other_reward, *_ = jit_step(name)(key, other, Action(**moved), rules)
        np.testing.assert_array_equal(np.asarray(reward)[order], other_reward)
        alive = np.asarray(other.agents.alive)
        for a, b in zip(jax.tree.leaves(realm.agents), jax.tree.leaves(other.agents), strict=True):
            np.testing.assert_array_equal(np.asarray(a)[order][alive], np.asarray(b)[alive])
        np.testing.assert_array_equal(realm.tiles.ready_tick, other.tiles.ready_tick)


@quick
@given(seed=seeds)
def test_removing_an_agent_changes_only_what_it_caused(seed):
    """Below the cap, where the removed could meet nobody: all others, newborns included, live as before.

    They may live in other slots, so lives are compared by uid.
    """
    config = LONELY
    rng = np.random.default_rng(seed)
    material = rng.choice([2, 4], size=(config.rows, config.columns)).astype(np.uint8)
    material[:, 14:16] = Material.STONE
    material[:, 16:] = Material.GRASS  # the lonely one lives on the right, where there is nothing to contend for
    number = 5
    row, col = rng.integers(2, 12, number), rng.integers(0, 14, number)
    row[-1], col[-1] = 6, 24
    realm = make_realm(config, material, row=row, col=col, population=rng.integers(0, 3, number), spawns=True)
    slot = int(np.flatnonzero(np.asarray(realm.agents.uid) == number - 1)[0])
    without = realm.replace(
        agents=realm.agents.replace(alive=realm.agents.alive.at[slot].set(False), uid=realm.agents.uid.at[slot].set(-1))
    )
    rules = as_rules(Rules(attacks_enabled=False, regrowth_probability=0.3), config)
    moves = rng.integers(0, 5, (10, 100))  # by tick and uid

    def lives(realm: Realm) -> dict[int, tuple]:
        alive = np.flatnonzero(realm.agents.alive)
        rows = zip(*(np.asarray(leaf)[alive].tolist() for leaf in jax.tree.leaves(realm.agents)), strict=True)
        return dict(zip(np.asarray(realm.agents.uid)[alive].tolist(), rows, strict=True))

    for tick in range(10):
        realm, without = (
            jit_lonely()(jax.random.key(seed), one, Action(move=moves[tick][one.agents.uid]), rules)[1]
            for one in (realm, without)
        )
        expected = lives(realm)
        expected.pop(number - 1, None)
        assert lives(without) == expected
        np.testing.assert_array_equal(realm.tiles.ready_tick, without.tiles.ready_tick)


@functools.cache
def jit_lonely():
    return jax.jit(Environment(LONELY).step)


@quick
@given(seed=seeds)
def test_draws_depend_on_uid_and_tick_alone(seed):
    rng, rules, realm = world(BLOCKS, seed)
    key = jax.random.key(seed)
    order = rng.permutation(BLOCKS.num_agents)
    shuffled = realm.replace(agents=jax.tree.map(lambda column: column[order], realm.agents))
    one, other = (jit_draw(key, each, rules, BLOCKS) for each in (realm, shuffled))
    np.testing.assert_array_equal(np.asarray(one.regrowth)[order], other.regrowth)
    np.testing.assert_array_equal(one.spawn, other.spawn)


@pytest.mark.parametrize("name", slow_but("blocks", of=["blocks", "sequential"]))
def test_same_key_same_bits_and_jit_changes_nothing(name):
    config = CONFIGS[name]
    rng, rules, realm = world(config, 1)
    action, key = actions(rng, config), jax.random.key(1)
    first, again = (jit_step(name)(key, realm, action, rules) for _ in range(2))
    leaves_equal(first, again)
    with jax.disable_jit():
        leaves_equal(first, env_of(name).step(key, realm, action, rules))


@pytest.mark.parametrize("name", slow_but("blocks", of=["blocks", "sequential"]))
def test_one_realm_and_many(name):
    """vmap = loop, by global index, with rules per realm; splitting the realms over calls changes nothing."""
    env, key, number = env_of(name), jax.random.key(5), 4
    rng = np.random.default_rng(0)
    worlds = [world(env.config, seed)[1:] for seed in range(number)]
    rules, realms = (jax.tree.map(lambda *x: jnp.stack(x), *column) for column in zip(*worlds, strict=True))
    half = jax.jit(lambda first, *args: vectorize(env, 2, first).step(*args))
    for _ in range(3):
        action = jax.tree.map(lambda *x: np.stack(x), *(actions(rng, env.config) for _ in range(number)))
        result = jit_four(name)(key, realms, action, rules)
        for index in range(number):
            mine = jax.tree.map(lambda x, i=index: x[i], (realms, action, rules))
            one = jit_step(name)(jax.random.fold_in(key, index), *mine)
            leaves_equal(one, jax.tree.map(lambda x, i=index: x[i], result))
        parts = [
            half(first, key, *jax.tree.map(lambda x, k=first: x[k : k + 2], (realms, action, rules)))
            for first in (0, 2)
        ]
        leaves_equal(jax.tree.map(lambda *x: np.concatenate(x), *parts), result)
        realms = result[1]


@quick
@given(seed=seeds)
def test_realms_are_independent(seed):
    """What happens in one realm of a batch does not show in another."""
    rng = np.random.default_rng(seed)
    rules = as_rules(Rules(), BLOCKS)
    realms = [random_realm(rng, BLOCKS, rules) for _ in range(4)]
    acts = [actions(rng, BLOCKS) for _ in range(4)]
    key = jax.random.key(seed)

    def step():
        stacked = (jax.tree.map(lambda *x: np.stack(x), *items) for items in (realms, acts, [rules] * 4))
        return jax.device_get(jit_four("blocks")(key, *stacked))

    one = step()
    realms[1], acts[1] = random_realm(rng, BLOCKS, rules), actions(rng, BLOCKS)
    leaves_equal(*(jax.tree.map(lambda x: x[[0, 2, 3]], result) for result in (one, step())))


@pytest.mark.parametrize("value", [0, 1, MAX_AMOUNT])
@pytest.mark.parametrize("number", [64, MAX_AGENTS])
def test_extreme_rules_do_not_overflow(value, number):
    """Everyone on one tile, all attacking one agent, with the smallest and largest numbers."""
    config = Config(num_agents=number, num_populations=1, rows=8, columns=8, view=3, num_visible=4, ledger=True)
    most = max(value, 1)
    stats = {f"{kind}_{stat}": most for kind in ("start", "max") for stat in ("health", "food", "water")}
    amounts = ("forage_amount", "drink_amount", "heal_amount", "freeze_ticks", "heal_food_above", "heal_water_above")
    none = ("food_metabolism", "water_metabolism", "immunity_ticks")
    rules = Rules(
        **stats,
        **dict.fromkeys(amounts, value),
        **dict.fromkeys(none, 0),
        attack_damage=(value, value, value),
        attack_range=(value, value, value),
        spawn_rate=0.0,
    )
    rules = as_rules(rules, config)
    material = np.full((8, 8), Material.GRASS, np.uint8)
    place = np.full(number, 4)
    realm = make_realm(config, material, row=place, col=place, rules=rules)
    everyone_on_the_first = Action(style=np.full(number, 2, np.int32), target=np.zeros(number, np.int32))
    draws = Draws(regrowth=np.ones(number, np.int32), spawn=np.zeros((1, 3), np.uint32))
    realm, *_, info = jit_transition(realm, everyone_on_the_first, draws, rules, config)
    agents: Agents = jax.device_get(realm.agents)
    others = slice(1, None)
    assert info.acted.all()
    assert (np.asarray(info.outcome.attack_target)[others] == 0).all()
    assert agents.alive[0] == (value == 0)
    assert agents.alive[others].all()
    for stat in ("health", "food", "water"):  # one health regained would be above the maximum; gains are, too
        np.testing.assert_array_equal(getattr(agents, stat)[others], most)
    taken = int(info.outcome.damage_taken[0])
    assert taken == (most if value else 0)
    assert agents.damage[0] == ((number - 1) * value or -1)
    assert agents.freeze[0] == value
    assert info.ledger.food_drained[0] == (most if value else 0)
    assert info.ledger.food_gained[0] == 0
