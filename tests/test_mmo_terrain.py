"""The role-playing world's ground: as much as in Neural MMO 2.1, of any size, where the rulebook says; its counts."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from nmmo_jax import Config
from nmmo_jax.bench import terrain
from nmmo_jax.bench.terrain import KINDS, RESOURCES, counts, land, table
from nmmo_jax.kinds import Material
from nmmo_jax.mmo.items import ITEMS
from nmmo_jax.mmo.professions import PROFESSIONS
from nmmo_jax.world.terrain import generate

MMO = Config(systems=(ITEMS, PROFESSIONS))
MAPS = 32
# Tiles on 1,000 and tiles of a piece in 32 maps of 2.1's, as the rulebook has them.
THEIRS = {"vein": (14.1, 3.7), "tree": (14.2, 3.7), "gems": (14.1, 3.7), "herbs": (15.9, 1.1), "shoal": (15.9, 1.1)}

made = jax.jit(generate, static_argnums=1)


def test_there_is_as_much_as_in_neural_mmo_2():
    """Within a sixth, in pieces as large within a quarter. (The standard error of the means is a twentieth at most.)"""
    keys = jax.random.split(jax.random.key(0), MAPS)
    told = counts(np.stack([land(np.asarray(made(key, MMO)), MMO) for key in keys]))
    for name, (per_1000, tiles) in THEIRS.items():
        found = told["kinds"][name]
        assert found["per_1000"] == pytest.approx(per_1000, rel=1 / 6), name
        assert found["tiles"] == pytest.approx(tiles, rel=1 / 4), name
    assert sum(told["kinds"][name]["per_1000"] for name in KINDS) == pytest.approx(1000, abs=0.1)
    assert told["steps"]["water"] < 6 and told["largest"] > 0.95 and sum(told["danger"].values()) == pytest.approx(1)


@pytest.mark.parametrize(("rows", "columns", "border"), [(30, 61, 9), (64, 27, 2)])
def test_any_size(rows, columns, border):
    """Ring and border stay; what is harvested from is where grass and forest were, shoals in water beside grass."""
    config = dataclasses.replace(MMO, rows=rows, columns=columns, border=border)
    key = jax.random.key(3)
    before = np.asarray(made(key, dataclasses.replace(config, systems=())))
    after = np.asarray(made(key, config))
    assert after.shape == (rows, columns) and after.dtype == np.uint8
    assert (after == made(key, config)).all() and (after != made(jax.random.key(4), config)).any()
    row, col = np.indices(after.shape)
    inside = np.minimum(np.minimum(row, rows - 1 - row), np.minimum(col, columns - 1 - col)) > border
    assert (after == before)[~inside].all()
    number = config.material_names.index
    grass = np.pad(before == Material.GRASS, 1)
    shore = grass[2:, 1:-1] | grass[:-2, 1:-1] | grass[1:-1, 2:] | grass[1:-1, :-2]
    ground, shoal = np.isin(before, (Material.GRASS, Material.FOREST)), after == number("shoal")
    grown = np.isin(after, [number(name) for name in RESOURCES]) & ~shoal
    assert grown.any() and ground[grown].all()
    assert shoal.any() and (before[shoal] == Material.WATER).all() and shore[shoal].all()
    assert (after == before)[~(grown | shoal)].all()


def test_counts():
    """Of two lands of three rows and five columns, drawn by hand."""
    letters = "~.To$123%"  # water, grass, forest, stone, then the resources
    drawn = ("..~~. .oo.. $....", ".TTT. oooo. o.1$%")
    lands = np.array([[[letters.index(one) for one in row] for row in one.split()] for one in drawn], np.uint8)
    told = counts(lands)
    assert told["kinds"]["water"] == {"per_1000": 66.67, "sd": 66.67, "pieces": 33.33, "tiles": 2}
    assert told["kinds"]["forest"]["tiles"] == 3 and told["kinds"]["vein"]["pieces"] == 66.67
    assert told["kinds"]["stone"] == {"per_1000": 233.33, "sd": 100, "pieces": 66.67, "tiles": 3.5}
    assert told["open"] == round(20 / 30, 3)  # all but water, stone and the shoal
    assert told["largest"] == 17 / 20  # three tiles are behind the second land's stone
    assert told["steps"]["water"] == round((2 + 1 + 1 + 3 + 1 + 2 + 4 + 3 + 2 + 2 + 3) / 11, 2)  # the first land's
    assert told["danger"] == {"below_50": 0, "50_to_80": 19 / 20, "from_80": 1 / 20}
    odd = np.full((24, 22), int(Material.LAVA))
    with pytest.raises(ValueError, match=r"material lava: must be one of water, grass, .*, shoal"):
        land(odd, Config())


def test_beside_neural_mmo_2(monkeypatch):
    """Its maps under our names, in a column of their own; a game without professions is refused."""

    def fake(command, cores, settings):
        names = ["void", "fish", "grass", "foilage", "ore"]
        np.savez(command[-1], land=np.array([[[1, 2], [3, 4]]], np.uint8), names=names, seconds=[0.5])

    monkeypatch.setattr(terrain.peers, "install", lambda peer, cache: Path(peer.name))
    monkeypatch.setattr(terrain, "output_of", fake)
    record = terrain.main(terrain.Terrain(games=(), maps=1, peer=("Small",)))
    (row,) = record["rows"]
    assert row["game"].startswith("nmmo 2.") and row["seconds_per_map"] == 0.5
    assert {name for name, one in row["kinds"].items() if one["per_1000"] == 250} == {
        "shoal", "grass", "forest", "vein"
    }  # fmt: skip
    assert table(record).row_count == len(KINDS) + 9
    with pytest.raises(ValueError, match="game=law: has no gems: must be one with professions"):
        terrain.main(terrain.Terrain(games=("law",)))
