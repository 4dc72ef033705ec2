"""Generated terrain: ridges of noise cut at three heights, as in the classic game.

Formulas: rulebook, "The world". The window onto the noise is placed as in the original, whose maps all lie on
the diagonal of one endless field: a map takes a random point of that diagonal as its corner. (Where the field
is cut matters: the noise is zero at every vertex of its lattice in all octaves at once, and a window that hits
a vertex has a higher maximum, so lower heights and less stone. A window fixed to the vertex at the origin would
show 0.15 stone instead of 0.19; a window placed anywhere in the plane 0.22.)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, PRNGKeyArray, UInt8, UInt32

from nmmo_jax.config import Config
from nmmo_jax.draws import bits, fold_in
from nmmo_jax.kinds import Material
from nmmo_jax.system import identity
from nmmo_jax.world.noise import PERIOD, POSITION_BITS, STRETCH, VALUE_BITS, permutation, simplex
from nmmo_jax.world.tiles import grid

OCTAVES = 8
TILES_PER_UNIT = 5  # 16 units of the first octave's noise on 80 tiles
# Upper bounds of height over greatest height, in thousandths; what is higher is stone. (In the original a
# height of exactly 0 would be lava; the noise stays within +-0.9, so none is.)
HEIGHTS = ((300, Material.WATER), (570, Material.GRASS), (715, Material.FOREST))

_ALONG = round((1 + STRETCH) / TILES_PER_UNIT * 2**POSITION_BITS)  # skewed steps from a tile to the next
_ACROSS = round(STRETCH / TILES_PER_UNIT * 2**POSITION_BITS) % 2**32


def generate(key: PRNGKeyArray, config: Config) -> UInt8[Array, "R C"]:
    """A random map of the configured size; same key, same map, on every backend.

    ``config.border`` tiles of lava, one ring of grass, terrain inside. The texture has the same scale at every
    size; the larger a map, the higher its highest point, and so the less stone it shows.

    Raises:
      ValueError: the map has no room for the border and the ring.
    """
    check_size(config)
    words = bits(key, (PERIOD + 1,))
    material = materials(heights(permutation(words[:PERIOD]), words[PERIOD], config.rows, config.columns))
    row, col = grid(config.rows, config.columns)
    to_row_edge = jnp.minimum(row, config.rows - 1 - row)
    to_edge = jnp.minimum(to_row_edge, jnp.minimum(col, config.columns - 1 - col))
    material = jnp.where(to_edge == config.border, int(Material.GRASS), material)
    material = jnp.where(to_edge < config.border, int(Material.LAVA), material).astype(jnp.uint8)
    for system in config.systems:
        if system.terrain is not None:
            words = bits(fold_in(key, identity(system.name)), material.shape)
            made = jnp.asarray(system.terrain(material, words, config))
            if made.shape != material.shape or not jnp.issubdtype(made.dtype, jnp.integer):
                told = f"{made.dtype} of shape {made.shape}: must be materials of shape {material.shape}"
                raise ValueError(f"system {system.name}: terrain: {told}")
            material = jnp.clip(made, 0, len(config.material_names) - 1).astype(jnp.uint8)
    return material


def check_size(config: Config) -> None:
    """Raises ``ValueError`` where a generated map would have no room for its border and ring."""
    least = 2 * (config.border + 1)
    for name in ("rows", "columns"):
        if getattr(config, name) < least:
            raise ValueError(
                f"{name}={getattr(config, name)}: a generated map with border={config.border} "
                f"needs at least {least}, for the lava and a ring of grass on both sides"
            )


def heights(table: Int32[Array, "256"], corner: UInt32[Array, ""], rows: int, columns: int) -> Int32[Array, "R C"]:
    """Ridged noise on a grid of tiles, 16 fractional bits, from 0 to 2.39.

    With ``r_i = 1 - |noise|`` at frequency 2^i, the height is ``r_0`` in the first octave, and every later octave
    adds 2^-i times ``r_i`` times what stands. (That is ``2 (0.5 - |0.5 - (n/2 + 0.5)|)`` for each octave.)

    Args:
      table: permutation of the noise.
      corner: both skewed coordinates of tile (0, 0) in the first octave, 24 fractional bits.
      rows, columns: size in tiles.
    """
    row, col = (place.astype(jnp.uint32) for place in grid(rows, columns))
    u = corner + row * jnp.uint32(_ALONG) + col * jnp.uint32(_ACROSS)
    v = corner + row * jnp.uint32(_ACROSS) + col * jnp.uint32(_ALONG)

    def ridge(octave: jax.Array) -> jax.Array:
        return (1 << VALUE_BITS) - jnp.abs(simplex(table, u << octave, v << octave))

    first, *later = jax.lax.map(ridge, jnp.arange(OCTAVES, dtype=jnp.uint32))  # compiles the noise once
    height = first.astype(jnp.uint32)
    for i, one in enumerate(later, start=1):
        # height < 2.39 * 2^16 and the ridge <= 2^14: the product fits.
        height += (height * (one >> 2).astype(jnp.uint32)) >> (VALUE_BITS - 2 + i)
    return height.astype(jnp.int32)


def materials(height: Int32[Array, "R C"]) -> Int32[Array, "R C"]:
    """Cuts heights, relative to the greatest of the map, into water, grass, forest and stone."""
    highest = height.max()
    material = jnp.full(height.shape, Material.STONE, jnp.int32)
    for bound, kind in reversed(HEIGHTS):
        material = jnp.where(height * 1000 < highest * bound, int(kind), material)
    return material
