"""Invariants of the five role-playing units together, in random worlds found by hypothesis, under hostile play."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmo_invariants import (
    ALL,
    TICKS,
    check_accounts,
    check_created,
    check_growth,
    check_ledger,
    check_owners,
    check_state,
    look_of,
    play,
    step_of,
)
from mmo_worlds import hostile, random_numbers, random_start, units, world

from nmmo_jax import Environment, vectorize
from nmmo_jax.actions import Action, heads
from nmmo_jax.checking import check_same
from nmmo_jax.draws import draw, fold_in
from nmmo_jax.mmo.professions import RESOURCES

quick = settings(
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_hostile_play(resolution):
    happened = Counter()

    @quick
    @given(seed=seeds)
    def holds(seed):
        for tick in play(seed, resolution):
            for check in (check_state, check_growth, check_ledger, check_accounts, check_created):
                check(tick)
            for system in tick.config.systems:
                happened.update({event: int((tick.told(event) > 0).sum()) for event in system.events})

    holds()
    never = [event for event, times in happened.items() if not times]
    assert not never, f"never: {never}"


def trading(realm, config):
    """Plain ground without monsters, on which nobody uses, destroys or makes anything."""
    monsters = {name: jnp.zeros_like(column) for name, column in realm.of["monsters"]["monsters"].items()}
    known = [config.material_names.index(name) for one in RESOURCES for name in (one.material, one.spent)]
    ground = jnp.where(jnp.isin(realm.tiles.material, jnp.array(known)), 2, realm.tiles.material)
    of = {**realm.of, "monsters": {**realm.of["monsters"], "monsters": monsters}}
    realm = realm.replace(of=of, tiles=realm.tiles.replace(material=ground.astype(jnp.uint8)))
    return realm, {"prey": -1, "use": -1, "destroy": -1, "craft": 0}


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_no_item_has_two_owners(resolution):
    happened = Counter()

    @quick
    @given(seed=seeds)
    def holds(seed):
        numbers = {"monsters.cap": 0, "attacks_enabled": True}
        for tick in play(seed, resolution, start=trading, **numbers):
            happened.update(check_owners(tick))
            check_accounts(tick)

    holds()
    assert all(happened[what] for what in ("gift", "loot", "gold", "shot")), happened


# ------------------------------------------------------------------------------------- units without an effect


def without(realm, names):
    """The realm as it is without some units, but for the numbers of their ground."""
    return realm.replace(of={name: own for name, own in realm.of.items() if name not in names})


def restricted(action: Action, config) -> Action:
    """The choices that there are in a world of fewer units."""
    known = {one.name for head in heads(config) for one in head.arguments}
    return Action.from_named({name: choice for name, choice in action.named().items() if name in known})


def common(one, other):
    """Of two trees of dicts what both have."""
    if not isinstance(one, dict):
        return one, other
    pairs = {name: common(one[name], other[name]) for name in one.keys() & other.keys()}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


HARMLESS = {  # by unit: rules and choices by which it does nothing to agents
    "monsters": ({"monsters.offence_per_level": 0}, {"prey": -1}),
    "crafts": ({}, {"craft": 0}),
}


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["monsters", "crafts"])
def test_a_unit_without_contact_changes_no_life(unit):
    """Everything but its own columns is the same, to the bit, as where it is left out; so is what agents see."""
    names = tuple(name for name in ALL if name != unit)
    lost = Counter()

    @settings(quick, max_examples=6)
    @given(seed=seeds)
    def holds(seed):
        rng, (numbers, choices) = np.random.default_rng(seed), HARMLESS[unit]
        numbers = {**random_numbers(rng), **numbers}
        config, rules = world(ALL, "simultaneous", ledger=True, **numbers)
        fewer, fewer_rules = world(names, "simultaneous", ledger=True, **numbers)
        one, key = random_start(rng, config, rules), jax.random.key(seed)
        other, obs = without(one, (unit,)), jax.device_get(look_of(config)(one, rules))
        for _ in range(TICKS):
            action = hostile(rng, obs, config)
            kept = {name: jnp.full(config.num_agents, choice, jnp.int32) for name, choice in choices.items()}
            action = action.replace(of={**action.of, **kept})
            results = [
                step_of(config)(key, one, action, rules),
                step_of(fewer)(key, other, restricted(action, fewer), fewer_rules),
            ]
            told = f"tick {int(one.tick)}: with {unit} the world is another than without"
            (obs, one, *rest), (seen, other, *others) = jax.device_get(results)
            check_same((without(one, (unit,)), *rest[:3]), (other, *others[:3]), told)
            for name in ("cause", "births", "uid"):
                check_same(getattr(rest[3], name), getattr(others[3], name), f"{told}: {name}")
            check_same(*common(vars(obs), vars(seen)), f"{told}, as agents see it")
            check_same(*common(rest[3].ledger.named(), others[3].ledger.named()), f"{told}: ledger")
            lost["lives"] += rest[1].sum()

    holds()
    assert lost["lives"]


@quick
@given(seed=seeds, names=st.sets(st.sampled_from(ALL)), turned=st.booleans())
def test_no_unit_changes_the_chance_of_another(seed, names, turned):
    """Of the units that are left the chance is what it is among all, in whatever order; so is that of the classic."""
    names |= {"items"} if names & {"professions", "crafts"} else set()
    rng = np.random.default_rng(seed)
    config, rules = world(ALL, "simultaneous")
    fewer, fewer_rules = world(names, "simultaneous", systems=units(names)[:: -1 if turned else 1])
    realm, key = random_start(rng, config, rules), fold_in(jax.random.key(seed), seed % 1_000)
    every = draw(key, realm, rules, config)
    some = draw(key, without(realm, {*ALL} - names), fewer_rules, fewer)
    assert some.of.keys() == names
    check_same(*common(vars(every), vars(some)), "chance")


# ------------------------------------------------------------------------------------------------ how it is played


@pytest.mark.slow
def test_one_of_many_realms_is_what_it_is_alone():
    """All units together; of each by itself ``check_system`` looks at it."""
    config, _ = world(ALL, "simultaneous", ledger=True)
    env, number = Environment(config), 3
    together = jax.jit(vectorize(env, number).step)

    @settings(quick, max_examples=3)
    @given(seed=seeds)
    def holds(seed):
        rng, key = np.random.default_rng(seed), jax.random.key(seed)
        rules = world(ALL, "simultaneous", ledger=True, **random_numbers(rng))[1]
        realms = [random_start(rng, config, rules) for _ in range(number)]
        many = jax.tree.map(lambda *each: jnp.stack(each), *realms)
        for _ in range(4):
            actions = [hostile(rng, jax.device_get(look_of(config)(realm, rules)), config) for realm in realms]
            played = together(key, many, jax.tree.map(lambda *each: jnp.stack(each), *actions), rules)
            many = played[1]
            for index, (realm, action) in enumerate(zip(realms, actions, strict=True)):
                alone = step_of(config)(fold_in(key, index), realm, action, rules)
                one = jax.tree.map(lambda leaf, at=index: leaf[at], jax.device_get(played))
                check_same(alone, one, f"realm {index} is another than alone")
                realms[index] = alone[1]

    holds()


@pytest.mark.slow
def test_a_tick_without_jit_is_the_same():
    *_, tick = play(5, ticks=3)
    config, rules, key = tick.config, tick.rules, jax.random.key(5)
    rng = np.random.default_rng(5)
    action = hostile(rng, jax.device_get(look_of(config)(tick.after, rules)), config)
    realm = jax.tree.map(jnp.asarray, tick.after)
    compiled = step_of(config)(key, realm, action, rules)
    with jax.disable_jit():
        check_same(Environment(config).step(key, realm, action, rules), compiled, "without jit it is another")
