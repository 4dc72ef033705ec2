"""Pictures of maps, and the colours of the game: palettes, arrays of pixels, PNG files. Needs no library to draw."""

import colorsys
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from nmmo_jax.common.files import write
from nmmo_jax.config import STYLES, Config
from nmmo_jax.declarations import STATS
from nmmo_jax.kinds import Cause, Material

# Near to nature, and told apart by lightness where red and green, or blue and yellow, are not: under
# simulated protanopia, deuteranopia and tritanopia any two stay at least 18 apart in CIELAB.
COLOURS: dict[Material, tuple[int, int, int]] = {
    Material.LAVA: (214, 74, 26),
    Material.WATER: (56, 112, 190),
    Material.GRASS: (134, 178, 82),
    Material.SCRUB: (226, 206, 150),
    Material.FOREST: (34, 84, 50),
    Material.STONE: (132, 132, 138),
    Material.ORE: (96, 52, 112),
}
# Okabe and Ito's, told apart by the colour-blind (jfly.uni-koeln.de/color).
POPULATION_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
PALETTE = np.array([COLOURS[material] for material in Material], np.uint8)
STYLE_COLOURS = dict(zip(STYLES, ("#e5484d", "#30c26b", "#4c8dff"), strict=True))  # as in the original
STAT_COLOURS = dict(zip(STATS, ("#f0565b", "#eab13c", "#48a9f8"), strict=True))
CAUSE_COLOURS = {
    Cause.LAVA: "#f2793a",
    Cause.STARVATION: STAT_COLOURS["food"],
    Cause.THIRST: STAT_COLOURS["water"],
    Cause.COMBAT: STYLE_COLOURS["melee"],
}

_APART = 2.5  # how much more kinds of things differ from each other than from the ground


def population_colours(number: int) -> list[str]:
    """A colour for each population, ``#rrggbb``: the first as in figures, then others all around the circle of hues."""
    golden = (5**0.5 - 1) / 2  # turns that never come close to an earlier one soon
    more = range(max(0, number - len(POPULATION_COLOURS)))
    others = [_of_hue(index * golden, (0.35, 0.6, 0.8)[index % 3]) for index in more]
    return [*POPULATION_COLOURS, *others][:number]


def cause_colours(config: Config) -> list[str]:
    """A colour for each of ``Config.deadly``, ``#rrggbb``: of systems' causes, in turn what is furthest from all
    before it.
    """
    colours, count = list(CAUSE_COLOURS.values()), len(CAUSE_COLOURS)
    candidates = [_of_hue(hue / 24, lightness) for lightness in (0.6, 0.75) for hue in range(24)]
    return colours + _furthest(candidates, colours, len(config.deadly) - count, 1.0)


def kind_colours(number: int, ground: UInt8[np.ndarray, "M 3"] = PALETTE) -> list[str]:
    """A colour for each kind of thing on the map, ``#rrggbb``: in turn what is furthest from the ground, and even more
    so from all before it; of very many they come again.

    Args:
      ground: the colours of materials: default, of the classic seven; ``palette`` has those of a world.
    """
    candidates = [_of_hue(hue / 24, lightness) for lightness in (0.3, 0.6, 0.8) for hue in range(24)]
    taken = [_hex(colour) for colour in ground.tolist()]
    found = _furthest(candidates, taken, min(number, len(candidates)), _APART)
    return [found[index % len(candidates)] for index in range(number)]


def _furthest(candidates: list[str], taken: list[str], number: int, apart: float) -> list[str]:
    """So many of the candidates, each as different as can be from the taken and, ``apart`` times as much, from those
    before it.
    """
    found: list[str] = []
    for _ in range(number):
        free = [one for one in candidates if one not in found] or candidates

        def least(one: str) -> float:
            among = [apart**-2 * _distance(one, other) for other in found]
            return min([_distance(one, other) for other in taken] + among)

        found.append(max(free, key=least))
    return found


def _hex(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _of_hue(turns: float, lightness: float) -> str:
    return _hex([round(255 * part) for part in colorsys.hls_to_rgb(turns % 1, lightness, 0.65)])


def _distance(one: str, other: str) -> int:
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return sum((a - b) ** 2 for a, b in pairs)


def palette(config: Config) -> UInt8[np.ndarray, "M 3"]:
    """The colours of a world's materials, those of its systems last."""
    own = [bytes.fromhex(material.color[1:]) for system in config.systems for material in system.materials]
    return np.concatenate([PALETTE, np.array([[*one] for one in own], np.uint8).reshape(-1, 3)])


def map_image(
    material: UInt8[np.ndarray, "R C"],
    scale: int = 8,
    outline: bool = False,
    colours: UInt8[np.ndarray, "M 3"] = PALETTE,
) -> UInt8[np.ndarray, "H W 3"]:
    """A map as pixels, ``H = R * scale``, ``W = C * scale``.

    Args:
      material: index of each tile's material.
      scale: side of a tile in pixels.
      outline: darkens two edges of every tile a little, so that tiles can be counted.
      colours: of the materials: default, of the classic seven; ``palette`` has those of a world.

    Raises:
      ValueError: a scale below 1, or a map that is not a rectangle of materials.
    """
    if scale < 1:
        raise ValueError(f"scale={scale}: must be at least 1 pixel per tile")
    material = np.asarray(material)
    if material.ndim != 2 or material.size == 0 or material.min() < 0 or material.max() >= len(colours):
        raise ValueError(f"material: must be a non-empty rectangle of whole numbers 0 to {len(colours) - 1}")
    image = colours[material].repeat(scale, axis=0).repeat(scale, axis=1)
    if outline:
        for edge in (image[scale - 1 :: scale], image[:, scale - 1 :: scale]):
            edge[:] = (edge * 0.88).astype(np.uint8)
    return image


def write_png(path: str | os.PathLike[str], image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Writes RGB pixels as a PNG file (format: ISO/IEC 15948), uninterlaced, every line unfiltered; see ``write``."""
    height, width, _ = image.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with the number of its filter: none
    lines[:, 1:] = np.ascontiguousarray(image, np.uint8).reshape(height, -1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),  # 8 bits, RGB
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    parts = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
             for kind, data in chunks)  # fmt: skip
    content = b"".join([b"\x89PNG\r\n\x1a\n", *parts])
    write(Path(path), lambda file: file.write(content))
