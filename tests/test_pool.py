"""Pools of maps: reproducible, training and held-out apart, drawn uniformly, in and out of jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.config import Config
from nmmo_jax.kinds import Material
from nmmo_jax.world.pool import MapPool
from nmmo_jax.world.tiles import make_tiles as make_tiles_eagerly

SMALL = Config(num_agents=8, num_populations=2, rows=20, columns=23, border=4)

make_tiles = jax.jit(make_tiles_eagerly, static_argnums=1)
sample = jax.jit(lambda pool, key: pool.sample(key))
sample_many = jax.jit(lambda pool, key: pool.sample(key, (40, 50)).material[..., 0, 0])


def bytes_of(pool: MapPool) -> list[bytes]:
    return [one.tobytes() for one in np.asarray(pool.material)]


def numbered(count: int) -> MapPool:
    """Maps that tell their index: the material of tile (0, 0)."""
    maps = np.full((count, 3, 4), Material.GRASS)
    maps[:, 0, 0] = np.arange(count)
    return MapPool.from_maps(list(maps), Config(rows=3, columns=4))


def test_generated_maps_are_reproducible_and_apart():
    train = bytes_of(MapPool.generated(5, 24, SMALL))
    assert bytes_of(MapPool.generated(5, 24, SMALL)) == train
    assert bytes_of(MapPool.generated(jax.random.key(5), 24, SMALL)) == train
    assert bytes_of(MapPool.generated(np.int64(5), 7, SMALL)) == train[:7]
    held_out = bytes_of(MapPool.generated(5, 24, SMALL, "held_out"))
    other = bytes_of(MapPool.generated(6, 24, SMALL))
    assert len({*train, *held_out, *other}) == 72


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, SMALL), "count=0: allowed are whole numbers from 1 to 65536"),
        ((0, 65537, SMALL), "count=65537"),
        ((0, True, SMALL), "count=True"),
        ((0, 1.0, SMALL), "count=1.0"),
        ((-1, 1, SMALL), "seed=-1"),
        ((2**32, 1, SMALL), "seed=4294967296"),
        (("0", 1, SMALL), "seed='0'"),
        ((0, 1, SMALL, "test"), "split='test': allowed are 'train', 'held_out'"),
        ((0, 1, Config(rows=9, columns=40, border=4)), "rows=9: a generated map with border=4"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MapPool.generated(*arguments)


def test_maps_of_different_sizes_are_padded_with_lava():
    config = Config(rows=6, columns=7)
    maps = [np.full((6, 7), Material.GRASS), np.full((2, 3), Material.FOREST), np.full((4, 1), Material.SCRUB)]
    maps[1][0, 1] = Material.WATER
    pool = MapPool.from_maps(maps, config)
    assert len(pool) == 3
    tiles = pool.tiles(jnp.arange(3))
    for i, one in enumerate(maps):
        rows, columns = one.shape
        np.testing.assert_array_equal(tiles.material[i, :rows, :columns], one)
        assert int((tiles.material[i] != Material.LAVA).sum()) == one.size
    np.testing.assert_array_equal(tiles.num_spawn_tiles, [22, 5, 4])
    np.testing.assert_array_equal(tiles.spawn_tile[1, :5], [0, 2, 7, 8, 9])


def test_bad_maps_are_named():
    good = np.full((3, 3), Material.GRASS)
    config = Config(rows=4, columns=4)
    for bad, message in (
        (np.full((5, 3), 2), "5 x 3 tiles: larger than the configured rows=4, columns=4"),
        (np.full((3, 3), 9), "material 9 at row 0, column 0"),
        (np.zeros((3, 3), int), "no tile to spawn on"),
        (np.ones(3), "shape"),
    ):
        with pytest.raises(ValueError, match=rf"maps\[1\]: {message}"):
            MapPool.from_maps([good, bad], config)
        with pytest.raises(ValueError, match=f"worlds/b.npy: {message}"):
            MapPool.from_maps([good, bad], config, names=["worlds/a.npy", "worlds/b.npy"])
    with pytest.raises(ValueError, match="0 of them"):
        MapPool.from_maps([], config)


def test_samples_are_prepared_maps_of_the_pool():
    pool = MapPool.generated(0, 5, SMALL)
    pooled = bytes_of(pool)
    keys = jax.random.split(jax.random.key(0), 6)
    batch = jax.vmap(lambda key: sample(pool, key))(keys)
    for i, key in enumerate(keys):
        tiles = sample(pool, key)
        assert np.asarray(tiles.material).tobytes() in pooled
        expected = make_tiles(tiles.material, SMALL)
        for ours, fresh, batched in zip(*map(jax.tree.leaves, (tiles, expected, batch)), strict=True):
            assert ours.dtype == fresh.dtype
            np.testing.assert_array_equal(ours, fresh)
            np.testing.assert_array_equal(batched[i], ours)
        eager = pool.sample(key)
        np.testing.assert_array_equal(eager.material, tiles.material)


def test_every_map_is_drawn_equally_often():
    drawn = np.asarray(sample_many(numbered(7), jax.random.key(1)))
    assert drawn.shape == (40, 50)
    counts = np.bincount(drawn.ravel(), minlength=7)
    assert ((counts - 2000 / 7) ** 2 / (2000 / 7)).sum() < 16.8  # chi-squared, 6 degrees of freedom, 1 %
