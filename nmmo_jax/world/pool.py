"""Maps to draw from: prepared once, drawn by index inside jit."""

from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, PRNGKeyArray, UInt8

from nmmo_jax.components import Tiles
from nmmo_jax.config import Config
from nmmo_jax.draws import as_key, bits, choose, fold_in
from nmmo_jax.values import check_choice, check_int
from nmmo_jax.world.terrain import check_size, generate
from nmmo_jax.world.tiles import check_map, pad_map, spawn_tiles

SPLITS = {"train": 2**31, "held_out": 2**31 + 1}  # what the seed is folded with; no tick is as large
MAX_MAPS = 2**16
# Maps are generated in batches, the last one cut: one compilation for pools of any count, little memory.
_BATCH, _BATCH_TILES = 64, 2**22


@flax.struct.dataclass
class MapPool:
    """M maps of one padded size; a pytree, so it can be closed over or passed through jit.

    >>> pool = MapPool.generated(seed=0, count=64, config=config)
    >>> obs, realm = env.reset(key, tiles=pool.sample(key))
    """

    material: UInt8[Array, "M R C"]
    spawn_tile: Int32[Array, "M S"]
    num_spawn_tiles: Int32[Array, "M"]
    size: Int32[Array, "M 2"]  # rows and columns without the padding

    @classmethod
    def generated(
        cls, seed: int | PRNGKeyArray, count: int, config: Config, split: str = "train", first: int = 0
    ) -> "MapPool":
        """Generated terrain. The ``held_out`` maps of a seed are none of its ``train`` maps, however many there are.

        Map ``i`` depends on seed, split and ``i`` only: a larger pool begins with the maps of a smaller one.

        Args:
          seed: whole number, or a JAX key.
          count: number of maps, 1 to 65,536.
          config: gives the size and the border.
          split: ``train`` or ``held_out``.
          first: index of the first map.

        Raises:
          ValueError: names the argument, its value and what is allowed.
        """
        cls.check(seed, count, config, split)
        count, first = int(count), check_int("first", first, 0, 2**31)
        key = fold_in(_as_key(seed), SPLITS[split])
        batch = max(1, min(_BATCH, _BATCH_TILES // (config.rows * config.columns)))
        # What the ground depends on, so that other worlds with the same ground do not compile anew.
        ground = Config(rows=config.rows, columns=config.columns, border=config.border, systems=config.systems)
        index = first + np.arange(batch, dtype=np.uint32)
        batches = [_generate(key, index + start, ground) for start in range(0, count, batch)]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:count], *batches)

    @staticmethod
    def check(seed: int | PRNGKeyArray, count: int, config: Config, split: str = "train") -> None:
        """Raises what ``generated`` would, before anything is generated."""
        _as_key(seed)
        check_int("count", count, 1, MAX_MAPS)
        check_choice("split", split, tuple(SPLITS))
        check_size(config)

    @classmethod
    def from_maps(cls, maps: Sequence[Any], config: Config, names: Sequence[str] | None = None) -> "MapPool":
        """Given maps, of any sizes up to the configured one; lava fills the rest.

        Args:
          maps: arrays of materials ``[rows, columns]``.
          config: gives the padded size.
          names: what error messages call the maps (their files, say); default ``maps[0]``, ``maps[1]``, ...

        Raises:
          ValueError: no map, or one that cannot be played on: says which, what is wrong and where.
        """
        if not 1 <= len(maps) <= MAX_MAPS:
            raise ValueError(f"maps: {len(maps)} of them: allowed are 1 to {MAX_MAPS}")
        names = [f"maps[{i}]" for i in range(len(maps))] if names is None else names
        checked = [check_map(one, config, name) for one, name in zip(maps, names, strict=True)]
        padded = np.stack([pad_map(one, config) for one in checked])
        return _prepare(jnp.asarray(padded), jnp.asarray([one.shape for one in checked], jnp.int32), config)

    def __len__(self) -> int:
        return self.material.shape[0]

    def tiles(self, index: Int32[Array, "*B"] | int) -> Tiles:
        """The maps of these indices as tile tables ``[*B, ...]``, every forest ready."""
        material = self.material[index]
        return Tiles(
            material=material,
            ready_tick=jnp.zeros(material.shape, jnp.int32),
            spawn_tile=self.spawn_tile[index],
            num_spawn_tiles=self.num_spawn_tiles[index],
            size=self.size[index],
        )

    def sample(self, key: PRNGKeyArray, shape: tuple[int, ...] = ()) -> Tiles:
        """Tile tables ``[*shape, ...]`` of maps drawn uniformly, with replacement. Runs inside jit and vmap."""
        return self.tiles(choose(bits(key, shape), len(self)))


def _as_key(seed: int | PRNGKeyArray) -> PRNGKeyArray:
    if isinstance(seed, jax.Array) and (seed.ndim or jnp.issubdtype(seed.dtype, jax.dtypes.prng_key)):
        return as_key(seed, "seed")
    try:
        return jax.random.key(check_int("seed", seed, 0, 2**32 - 1))
    except ValueError as error:
        raise ValueError(f"{error}, and JAX keys") from None


@jax.jit(static_argnames="config")
def _generate(key: PRNGKeyArray, index: Int32[Array, "M"], config: Config) -> MapPool:
    material = jax.vmap(lambda i: generate(fold_in(key, i), config))(index)
    size = jnp.asarray((config.rows, config.columns), jnp.int32)
    return _prepare(material, jnp.broadcast_to(size, (index.size, 2)), config)


@jax.jit(static_argnames="config")
def _prepare(material: UInt8[Array, "M R C"], size: Int32[Array, "M 2"], config: Config) -> MapPool:
    spawn_tile, num_spawn_tiles = jax.vmap(lambda one: spawn_tiles(one, config))(material)
    return MapPool(material, spawn_tile, num_spawn_tiles, size)
