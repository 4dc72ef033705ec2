"""The simulator against the plain reference realm: hostile random play, the same draws handed to both.

Shapes come from a handful of configurations, so that compilation stays affordable; maps, starts, rules,
actions and draws are random. Everything is compared at every tick: state, observations, masks, rewards,
flags, causes, births, events, visits and the ledger.
"""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
import reference
from slow import slow_but
from worlds import random_action, random_draws, random_realm, random_rules

from nmmo_jax.actions import Action
from nmmo_jax.components import Cause, Realm
from nmmo_jax.config import Config
from nmmo_jax.environment import transition
from nmmo_jax.events import Event
from nmmo_jax.ledger import SINKS, SOURCES
from nmmo_jax.observations import observe
from nmmo_jax.rules import RULE_FIELDS, Rules, as_rules

PROBES = {"visits": True, "events": 400, "ledger": True}
SHAPES = {
    "blocks": Config(num_agents=24, num_populations=4, rows=16, columns=13, view=7, num_visible=6, **PROBES),
    "free": Config(
        num_agents=20,
        num_populations=7,
        rows=9,
        columns=17,
        view=9,
        num_visible=25,
        layout="free",
        reward="death",
        max_spawns=3,
        max_lifetime=12,
        **PROBES,
    ),
    "sequential": Config(
        num_agents=18,
        num_populations=3,
        rows=10,
        columns=10,
        view=5,
        num_visible=9,
        resolution="sequential",
        max_spawns=2,
        **PROBES,
    ),
    "sequential-free": Config(
        num_agents=15,
        num_populations=4,
        rows=8,
        columns=12,
        view=15,
        num_visible=1,
        layout="free",
        resolution="sequential",
        max_lifetime=9,
        **PROBES,
    ),
    # More agents than are compared in pairs: these see each other through the spatial index.
    "indexed": Config(num_agents=264, num_populations=8, rows=26, columns=31, view=7, num_visible=12, **PROBES),
    "crowd": Config(num_agents=96, num_populations=8, rows=12, columns=12, view=15, num_visible=16, **PROBES),
}


def play(realm: Realm, action, draws, rules, config):
    realm, reward, terminated, truncated, info = transition(realm, Action(**action), draws, rules, config)
    leaving = truncated if config.max_lifetime is not None else None
    return realm, reward, terminated, truncated, info, observe(realm, rules, config, leaving)


jit_play = jax.jit(play, static_argnames="config")
jit_observe = jax.jit(observe, static_argnames="config")


def inside(realm: Realm) -> tuple[slice, slice]:
    """The map without its padding, which the reference does not have."""
    rows, columns = np.asarray(realm.tiles.size)
    return slice(0, rows), slice(0, columns)


def reference_of(config: Config, rules: Rules, realm: Realm) -> reference.Realm:
    """The reference realm in the same state."""
    names = {field.name for field in dataclasses.fields(reference.Settings)}
    settings = reference.Settings(**{k: v for k, v in dataclasses.asdict(config).items() if k in names})
    plain = {name: np.asarray(getattr(rules, name)).tolist() for name in RULE_FIELDS}
    map_only = inside(realm)
    twin = reference.Realm(settings, reference.Rules(**plain), np.asarray(realm.tiles.material)[map_only])
    twin.ready_tick = np.array(realm.tiles.ready_tick, np.int64)[map_only]
    twin.tick = int(realm.tick)
    agents = jax.device_get(realm.agents)
    for slot in np.flatnonzero(agents.alive):
        stats = {name: getattr(agents, name)[slot] for name in ("health", "food", "water", "freeze", "age", "damage")}
        twin.place(slot, agents.population[slot], agents.row[slot], agents.col[slot], agents.uid[slot], **stats)
    twin.next_uid = int(realm.next_uid)
    return twin


def assert_same_state(realm: Realm, twin: reference.Realm) -> None:
    agents, expected = jax.device_get(realm.agents), twin.arrays()
    alive = expected["alive"]
    np.testing.assert_array_equal(agents.alive, alive)
    for name in expected:
        np.testing.assert_array_equal(getattr(agents, name)[alive], expected[name][alive], err_msg=name)
    assert (agents.uid[~alive] == -1).all()
    forest = twin.material == reference.FOREST
    np.testing.assert_array_equal(np.asarray(realm.tiles.ready_tick)[inside(realm)][forest], twin.ready_tick[forest])
    visits = np.asarray(realm.probes.visits)
    np.testing.assert_array_equal(visits[:, *inside(realm)], twin.visits)
    assert visits.sum() == twin.visits.sum()
    assert (int(realm.tick), int(realm.next_uid)) == (twin.tick, twin.next_uid)


def assert_same_observation(obs, twin: reference.Realm) -> None:
    expected = twin.observe()
    obs = jax.device_get(obs)
    for name in ("tiles", "self", "visible", "visible_slot"):
        np.testing.assert_array_equal(getattr(obs, name), expected[name], err_msg=name)
        assert getattr(obs, name).dtype == expected[name].dtype, name
    for name, mask in obs.mask.items():
        np.testing.assert_array_equal(mask, expected[name], err_msg=f"mask {name}")


def assert_same_outcome(result, expected: reference.Outcome, owners: np.ndarray) -> None:
    _, reward, terminated, truncated, info, _ = jax.device_get(result)
    np.testing.assert_array_equal(reward, expected.reward)
    np.testing.assert_array_equal(terminated, expected.terminated)
    np.testing.assert_array_equal(truncated, expected.truncated)
    causes = [None if cause == Cause.NONE else Cause(cause).name.lower() for cause in info.cause]
    assert causes == expected.cause
    born = [tuple(row) for row in zip(*dataclasses.astuple(info.births), strict=True) if row[0] >= 0]
    if info.births.slot.size > owners.size:  # births by agents are listed by the parent's slot
        born.sort(key=lambda birth: birth[1])
    assert born == [tuple(birth) for birth in expected.births]
    events = info.events
    assert events.overflow == 0
    assert (events.kind[events.count :] == -1).all()
    columns = (events.uid, events.other_uid, events.row, events.col, events.amount)
    got = [
        (Event(events.kind[i]).name.lower(), *(int(column[i]) for column in columns))
        for i in range(events.count)
        if events.kind[i] != Event.TRUNCATION
    ]
    assert sorted(got) == sorted(expected.events)
    population_of = {uid: population for uid, population in zip(info.uid, info.population, strict=True) if uid >= 0}
    population_of |= {birth.uid: birth.population for birth in expected.births}
    for i in range(events.count):
        assert events.population[i] == population_of[events.uid[i]]
        assert (events.detail[i] >= 0) == (events.kind[i] in (Event.ATTACK, Event.DEATH))
    assert (events.kind[: events.count] == Event.TRUNCATION).sum() == truncated.sum()
    assert (info.population[~owners] == -1).all()


def assert_same_ledger(before: dict, after: dict, ledger, expected: dict, populations: int) -> None:
    for name in (*itertools.chain(*SOURCES.values()), *itertools.chain(*SINKS.values())):
        np.testing.assert_array_equal(getattr(ledger, name), [expected[p, name] for p in range(populations)], name)
    for stat in SOURCES:
        for population in range(populations):
            totals = [
                state[stat][state["alive"] & (state["population"] == population)].sum() for state in (before, after)
            ]
            change = sum(getattr(ledger, name)[population] for name in SOURCES[stat])
            change -= sum(getattr(ledger, name)[population] for name in SINKS[stat])
            assert totals[1] - totals[0] == change, (stat, population)


def play_one(config: Config, seed: int, ticks: int) -> int:
    """Plays one random realm in both; returns the number of agent-ticks."""
    rng = np.random.default_rng(seed)
    rules = as_rules(random_rules(rng, config), config)
    realm = random_realm(rng, config, rules)
    twin = reference_of(config, rules, realm)
    assert_same_observation(jit_observe(realm, rules, config), twin)
    lived = 0
    for _ in range(ticks):
        action, draws = random_action(rng, config.num_agents), random_draws(rng, config)
        before = twin.arrays()
        result = jit_play(realm, action, draws, rules, config)
        expected = twin.step(action, draws)
        realm = result[0]
        assert_same_state(realm, twin)
        assert_same_outcome(result, expected, before["alive"])
        if rng.random() < 0.5:  # the reference is slow to look around
            assert_same_observation(result[-1], twin)
        ledger = jax.device_get(result[4].ledger)
        assert_same_ledger(before, twin.arrays(), ledger, twin.ledger, config.num_populations)
        lived += int(result[4].acted.sum())
    return lived


@pytest.mark.parametrize("shape", slow_but("blocks", "sequential", of=SHAPES))
def test_equals_the_reference(shape):
    realms = {"crowd": 6, "indexed": 3}.get(shape, 20)  # in which the reference takes long to look around
    lived = sum(play_one(SHAPES[shape], seed, ticks=25) for seed in range(realms))
    assert lived > 1000  # the comparison is of play, not of empty worlds


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference_at_length(shape):
    realms = 10 if shape == "indexed" else 150  # the reference takes a second to look around among 264 agents
    assert sum(play_one(SHAPES[shape], seed, ticks=60) for seed in range(1000, 1000 + realms)) > 10_000
