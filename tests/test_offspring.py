"""Births by living agents, a tick at a time by hand: what is paid, who bears, in what order and where."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from test_equivalence import jit_play
from test_reproduction import FREE, SHAPES, nothing

from nmmo_jax import Rules, make_realm
from nmmo_jax.components import Draws, Realm
from nmmo_jax.config import Config
from nmmo_jax.events import Event
from nmmo_jax.kinds import Material
from nmmo_jax.rules import as_rules

WORDS = 2**32 - 1


def one_tick(
    realm: Realm, rules: Rules, words: Any = (0, 0), spawn: Any = (WORDS, 0, 0), config: Config = FREE, **action: Any
) -> tuple[Realm, Any]:
    """A tick with the same words for every agent, and for every attempt of the ring; arguments left out do nothing."""
    n = FREE.num_agents
    draws = Draws(
        regrowth=np.ones(n, np.int32),
        spawn=np.tile(np.uint32(spawn), (FREE.max_spawns, 1)),
        reproduction=np.broadcast_to(np.uint32(words), (n, 2)),
    )
    realm, _, _, _, info, _ = jit_play(realm, nothing() | action, draws, as_rules(rules, config), config)
    return realm, jax.device_get(info)


@pytest.mark.slow
def test_what_a_parent_pays_and_a_newborn_gets():
    realm = make_realm(
        FREE, np.full((9, 11), Material.GRASS), row=[4], col=[5], population=2, slot=[3], uid=[8], age=14
    )
    rules = Rules(spawn_rate=0.0)
    after, info = one_tick(realm, rules)
    agents = jax.device_get(after.agents)
    assert np.flatnonzero(agents.alive).tolist() == [0, 3]
    assert (agents.food[3], agents.water[3], agents.age[3]) == (31 - 12, 31 - 12, 15)
    assert (agents.food[0], agents.water[0], agents.health[0], agents.age[0], agents.population[0]) == (
        12,
        12,
        10,
        0,
        2,
    )
    assert (agents.row[0], agents.col[0], agents.uid[0], int(after.next_uid)) == (4, 6, 9, 10)
    rows = np.flatnonzero(info.births.slot >= 0)
    assert rows.tolist() == [3] and info.births.slot.shape == (FREE.num_agents + FREE.max_spawns,)
    assert [int(column[3]) for column in dataclasses.astuple(info.births)] == [0, 9, 8, 2, 4, 6]
    events = info.events
    assert (events.kind[0], events.uid[0], events.other_uid[0], events.count) == (Event.BIRTH, 9, 8, 1)
    ledger = info.ledger
    assert ledger.food_from_parents.tolist() == ledger.food_to_offspring.tolist() == [0, 0, 12]
    assert (ledger.food_birth.sum(), ledger.health_birth.tolist()) == (0, [0, 0, 10])
    poor, _ = one_tick(realm, dataclasses.replace(rules, birth_food_cost=40, birth_water_cost=31))
    assert (poor.agents.food[3], poor.agents.water[3]) == (0, 0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"birth_food_above": 31}, (0, 0)),
        ({"birth_water_above": 31}, (0, 0)),
        ({"birth_age": 16}, (0, 0)),
        ({"birth_probability": 0.0}, (0, 0)),
        ({"population_cap": 1}, (0, 0)),
        ({}, (WORDS, 0)),
    ],
)
def test_who_gives_no_birth(changed, words):
    realm = make_realm(FREE, np.full((9, 11), Material.GRASS), row=[4], col=[5], age=14)
    after, info = one_tick(realm, Rules(spawn_rate=0.0, **changed), words)
    assert (int(after.agents.alive.sum()), int(after.agents.food[0])) == (1, 31)
    assert (info.births.slot == -1).all() and (info.births.parent_uid == -1).all()


@pytest.mark.slow
def test_the_dead_that_hold_their_places_give_no_birth():
    config = SHAPES["sequential"]
    realm = make_realm(config, np.full((9, 11), Material.GRASS), row=[4, 4], col=[5, 6], slot=[0, 1], age=[20, 3])
    rules = Rules(spawn_rate=0.0, attack_damage=(10, 2, 1))
    for target, births in ((-1, 1), (0, 0)):  # the younger kills the older after its turn
        attack = np.full(FREE.num_agents, target, np.int32)
        after, info = one_tick(realm, rules, config=config, target=attack)
        assert int(after.agents.alive[0]) == 1 and int(after.agents.food[0]) == (19 if births else 21)
        assert (info.births.slot >= 0).sum() == births


def test_the_oldest_get_the_last_places_and_the_ring_what_is_left():
    realm = make_realm(
        FREE, np.full((9, 11), Material.GRASS), row=[4, 4, 4], col=[1, 4, 7], slot=[0, 1, 2], uid=[7, 3, 5], age=14
    )
    for cap, parents in ((4, [3]), (5, [3, 5]), (7, [3, 5, 7])):
        _, info = one_tick(realm, Rules(population_cap=cap), spawn=(0, 0, 0))
        births = info.births
        born = births.slot >= 0
        order = np.argsort(births.uid[born])
        assert births.uid[born][order].tolist() == list(range(8, 8 + born.sum()))
        assert births.slot[born][order].tolist() == list(range(3, 3 + born.sum()))
        assert births.parent_uid[born][order].tolist() == parents + [-1] * (cap - 3 - len(parents))


@pytest.mark.parametrize("own", [Material.GRASS, Material.FOREST])
def test_where_newborns_appear(own):
    """On the neighbours that are safe, each as often; on the parent's own tile where there is none."""
    around = {(3, 5): Material.LAVA, (5, 5): Material.SCRUB, (4, 4): Material.STONE, (4, 6): Material.GRASS}
    seen = []
    for blocked in (False, True):
        material = np.full((9, 11), Material.WATER)
        material[4, 5], material[0, 0] = own, Material.GRASS
        for place, what in around.items():
            material[place] = Material.ORE if blocked and what != Material.LAVA else what
        realm = make_realm(FREE, material, row=[4], col=[5], age=15)
        for word in (0, 2**31 - 1, 2**31, WORDS):
            _, info = one_tick(realm, Rules(spawn_rate=0.0), (0, word))
            seen.append((int(info.births.row[0]), int(info.births.col[0])))
    assert seen == [(4, 6), (4, 6), (5, 5), (5, 5)] + [(4, 5)] * 4
