"""The role-playing units against their plain reference: hostile random play, the same chance for both.

Compared at every tick: all columns of agents, monsters, ground, who died of what, and all that agents see and may do.
"""

from collections import Counter

import jax
import numpy as np
import pytest
from mmo_twins import both, check_deaths, check_same, differences, look, twin_of
from mmo_worlds import random_numbers, random_start, world
from slow import slow_but

# What must have happened at least once, by the units that make it possible.
HAPPENS = {
    "skills": ["level"],
    "monsters": [
        *("monster appeared", "monster moved", "monster fled", "monster hurt", "monster forgot"),
        *("monster 0 killed", "monster 1 killed", "monster 2 killed"),
        *("agent hurt by monsters", "agent killed by monsters"),
    ],
    "items": [
        *("put on", "taken off", "exchanged", "consumed", "destroyed", "ammunition", "last ammunition"),
        *("gift", "gift contested", "gift without room", "gold looted", "item looted"),
    ],
    "professions": [
        *("vein harvested", "tree harvested", "gems harvested", "herbs harvested", "shoal harvested"),
        *("harvest without room", "harvest with a tool", "find"),
    ],
    "crafts": [*(f"recipe {number}" for number in range(1, 18))],
}
TOGETHER = {("monsters", "items"): ["monster looted", "drop"]}


def play(names: tuple[str, ...], resolution: str, seeds: range, ticks: int = 14) -> Counter:
    """Plays realms and their twins; returns what has happened in all of them."""
    happened = Counter()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        config, rules = world(names, resolution, **random_numbers(rng))
        key, realm = jax.random.key(seed), random_start(rng, config, rules)
        twin = twin_of(config, rules, realm)
        obs = jax.device_get(look(realm, rules, config))
        told = f"{'+'.join(names)}, {resolution}, seed {seed}"
        check_same(f"{told}, at the beginning", differences(jax.device_get(realm), obs, twin, config))
        for tick in range(ticks):
            realm, obs, deaths, outcome = both(key, realm, twin, rng, obs, rules, config)
            check_deaths(f"{told}, tick {tick}", deaths, outcome, config)
            check_same(f"{told}, tick {tick}", differences(realm, obs, twin, config))
        happened += twin.happened
    return happened


def expected(names: tuple[str, ...], resolution: str) -> list[str]:
    """What should happen where these units are played."""
    all_of_them = [what for name in names for what in HAPPENS[name]]
    all_of_them += [what for those, some in TOGETHER.items() if set(those) <= set(names) for what in some]
    if "professions" in names and resolution == "simultaneous":
        all_of_them.append("harvest contested")
    return all_of_them


def check(names: str, resolution: str, seeds: range) -> None:
    units = tuple(names.split())
    happened = play(units, resolution, seeds)
    never = [what for what in expected(units, resolution) if not happened[what]]
    assert not never, f"never happened: {never}; did: {dict(happened)}"


ALL = "skills monsters items professions crafts"
SINGLE = ("skills", "monsters", "items", "items professions", "items crafts")
PAIRS = ("skills monsters", "skills items", "monsters items", "items professions crafts")


@pytest.mark.parametrize("resolution", slow_but("simultaneous", of=["simultaneous", "sequential"]))
def test_all_units_equal_the_reference(resolution):
    check(ALL, resolution, range(20))


@pytest.mark.slow
@pytest.mark.parametrize("units", SINGLE)
def test_each_unit_equals_the_reference(units):
    check(units, "simultaneous", range(12))


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
@pytest.mark.parametrize("units", (*SINGLE, *PAIRS, ALL))
def test_some_units_equal_the_reference_at_length(units, resolution):
    check(units, resolution, range(100, 130))
