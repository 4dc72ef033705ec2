"""Specifications, digest, events, autoreset and presets of the environment."""

import dataclasses

import chex
import jax
import numpy as np
import pytest
from small import GRASS, KEY, SMALL, jit_digest, jit_of
from worlds import random_action, random_draws, random_realm

import nmmo_jax
from nmmo_jax import Action, Config, Environment, MapPool, Rules, autoreset, make, make_realm, vectorize
from nmmo_jax.events import Event
from nmmo_jax.kinds import Material
from nmmo_jax.rules import RULE_FIELDS, as_rules


@pytest.mark.parametrize("game", [pytest.param("law", marks=pytest.mark.slow), "chaos"])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        pytest.param(
            {"num_agents": 6, "num_populations": 3, "rows": 24, "columns": 30, "view": 5, "num_visible": 20},
            marks=pytest.mark.slow,
        ),
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


@pytest.mark.slow
@pytest.mark.parametrize("alone", [False, True])
def test_autoreset_starts_anew_on_maps_of_the_pool(alone):
    """Realms together, and one of them by itself too."""
    config = dataclasses.replace(SMALL, horizon=4)
    maps = [GRASS, np.where(np.arange(18) % 5 == 4, Material.FOREST, GRASS).astype(np.uint8)]
    env = autoreset(Environment(config), MapPool.from_maps(maps, config), initial_population=5)
    many = vectorize(env, 6)
    _, episode = jax.jit(many.reset)(KEY)
    step = jax.jit(many.step)
    own = jax.random.fold_in(KEY, 2)
    one_step = jax.jit(lambda one: env.step(own, one, Action(move=np.ones(16, np.int32)))[1])
    one = jax.jit(env.reset)(own)[1] if alone else None
    action = Action(move=np.ones((6, 16), np.int32))
    seen, digests = set(), []
    for tick in range(1, 13):
        obs, episode, _, _, _, info = step(KEY, episode, action)
        over = tick % 4 == 0
        assert (np.asarray(info.horizon) == over).all()
        np.testing.assert_array_equal(episode.realm.tick, [tick % 4] * 6)
        np.testing.assert_array_equal(episode.number, [tick // 4] * 6)
        if alone:
            one = one_step(one)
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
