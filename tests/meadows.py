"""Small realms of the reference, for the rules by hand."""

import numpy as np
import pytest
from reference import Realm
from reference_parts import FOREST, GRASS, LAVA, NEVER, STONE, WATER, Draws, Rules, Settings

MELEE, RANGE, MAGE = range(3)
STAY, EAST, SOUTH, WEST, NORTH = range(5)
MODES = pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
GROWN = {"age": 20}  # past immunity


def meadow(rows=9, cols=9, **tiles):
    """A map of grass with a few other tiles: meadow(5, 5, forest=(2, 2))."""
    material = np.full((rows, cols), GRASS)
    names = {"lava": LAVA, "water": WATER, "forest": FOREST, "stone": STONE}
    for name, place in tiles.items():
        material[place] = names[name]
    return material


def world(material=None, num_agents=4, rules=None, **settings):
    """A small realm in which nobody is born unless the rules say so."""
    settings = {"num_populations": 1, **settings}
    realm_rules = Rules(**{"spawn_rate": 0.0, **(rules or {})})
    return Realm(Settings(num_agents, **settings), realm_rules, meadow() if material is None else material)


def step(realm, moves=None, attacks=None, wait=NEVER, spawn=((0, 0, 0),)):
    """One step from a few entries: {slot: move}, {slot: (style, target)}."""
    size = realm.settings.num_agents
    action = {"move": [0] * size, "style": [0] * size, "target": [-1] * size}
    for slot, move in (moves or {}).items():
        action["move"][slot] = move
    for slot, (style, target) in (attacks or {}).items():
        action["style"][slot], action["target"][slot] = style, target
    return realm.step(action, Draws([wait] * size, spawn))


def stats(agent):
    return (agent.health, agent.food, agent.water)


HIGH, MIDDLE, LOW = 2**32 - 1, 2**31, 0
