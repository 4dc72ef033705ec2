"""The ground that professions have: what grows where, tile by tile, and how much of it there is."""

import jax
import jax.numpy as jnp
import numpy as np

import nmmo_jax
from nmmo_jax.kinds import Material
from nmmo_jax.mmo.items import ITEMS
from nmmo_jax.mmo.professions import PROFESSIONS, RESOURCES, grow
from nmmo_jax.testing import WORLD
from nmmo_jax.world.terrain import generate

CONFIG = nmmo_jax.make("law", **WORLD, systems=[ITEMS, PROFESSIONS]).config
NUMBER = {name: number for number, name in enumerate(CONFIG.material_names)}
KINDS = [one.material for one in RESOURCES]


def plain_ground(material, words, config):
    """``grow``, tile by tile."""
    rows, columns = material.shape
    grown = material.copy()

    def beside(row, col):
        near = [(row, col), (row + 1, col), (row - 1, col), (row, col + 1), (row, col - 1)]
        return [(r, c) for r, c in near if 0 <= r < rows and 0 <= c < columns]

    def ground(row, col):
        to_edge = min(row, col, rows - 1 - row, columns - 1 - col)
        return to_edge > config.border and material[row, col] in (Material.GRASS, Material.FOREST)

    for row in range(rows):
        for col in range(columns):
            word = int(words[row, col])
            centres = {int(words[place]) % 1024 // 5 for place in beside(row, col) if ground(*place)}
            if ground(row, col):
                crossed = [name for index, name in enumerate(("vein", "tree", "gems")) if index in centres]
                if crossed or word // 2**10 % 128 < 3:
                    grown[row, col] = NUMBER[(*crossed, "herbs")[0]]
            elif material[row, col] == Material.WATER and word // 2**17 % 4 == 0:
                by_grass = any(material[place] == Material.GRASS for place in beside(row, col))
                grown[row, col] = NUMBER["shoal"] if by_grass else Material.WATER
    return grown


def test_ground_tile_by_tile():
    rng, config = np.random.default_rng(0), CONFIG
    material = rng.choice(6, (24, 22), p=[0.05, 0.2, 0.4, 0.05, 0.25, 0.05]).astype(np.uint8)
    material[3, 3:-3] = Material.GRASS
    raw = rng.integers(0, 2**32, (24, 22), dtype=np.uint32)
    raw[rng.random(raw.shape) < 0.3] &= np.uint32(0xFFFFFC0F)  # more centres, that meet
    raw[rng.random(raw.shape) < 0.2] &= np.uint32(0xFFF803FF)
    grown = np.asarray(grow(jnp.asarray(material), jnp.asarray(raw), config))
    assert (grown == plain_ground(material, raw, config)).all() and grown.dtype == np.uint8
    assert {*np.unique(grown)} >= {NUMBER[name] for name in KINDS}


def test_how_much_there_is():
    """Of many generated maps, within five standard deviations of what independent words give."""
    config, plain = (nmmo_jax.Config(systems=systems) for systems in ((ITEMS, PROFESSIONS), ()))
    keys = jax.random.split(jax.random.key(0), 48)
    made, before = (np.asarray(jax.jit(jax.vmap(lambda key, c=c: generate(key, c)))(keys)) for c in (config, plain))
    row, col = np.indices((80, 80))
    to_edge = np.minimum(np.minimum(row, 79 - row), np.minimum(col, 79 - col))
    assert (made == before)[:, to_edge <= 9].all()  # border and ring
    ground = np.isin(before, (Material.GRASS, Material.FOREST)) & (to_edge > 9)
    changed = made != before
    grass = np.pad(before == Material.GRASS, ((0, 0), (1, 1), (1, 1)))
    grass = grass[:, 2:, 1:-1] | grass[:, :-2, 1:-1] | grass[:, 1:-1, 2:] | grass[:, 1:-1, :-2]
    shore = (before == Material.WATER) & grass
    assert not (changed & ~ground & ~shore).any()

    def near(count, number, probability):
        spread = (number * probability * (1 - probability)) ** 0.5
        assert abs(count - number * probability) < 5 * spread, (count, number * probability, spread)

    near((made == NUMBER["shoal"]).sum(), shore.sum(), 1 / 4)
    crossed = np.isin(made, [NUMBER[name] for name in ("vein", "tree", "gems")])
    near((made == NUMBER["herbs"]).sum(), (ground & ~crossed).sum(), 3 / 128)
    wide = np.pad(ground, ((0, 0), (1, 1), (1, 1)))
    arms = sum(
        wide[:, 1 + r : 81 + r, 1 + c : 81 + c] for r, c in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
    )  # centres that could reach a tile
    for name, first in (("vein", 0), ("tree", 1), ("gems", 2)):
        chance = np.where(ground, (1 - 5 * first / 1024) ** arms - (1 - 5 * (first + 1) / 1024) ** arms, 0)
        count, spread = (made == NUMBER[name]).sum(), (5 * chance.sum()) ** 0.5  # tiles of a cross come together
        assert abs(count - chance.sum()) < 5 * spread, (name, count, chance.sum())
