"""Maps of the Tiled editor, in and out: .tmx files with .tsx tilesets.

A tile is known by the base name of its image: ``tiles/grass.png`` is grass wherever it lies; materials of systems go by
their names likewise. Format: "TMX Map Format" in the editor's manual. Whatever is wrong with a file is a ``ValueError``
that begins with its name; a file that is not there is a ``FileNotFoundError``.
"""

import base64
import binascii
import os
import re
import zlib
from pathlib import Path
from typing import Literal, get_args
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from jaxtyping import UInt8

from nmmo_jax.common.files import write
from nmmo_jax.common.spelling import near
from nmmo_jax.config import MAX_SIDE, Config
from nmmo_jax.kinds import Material
from nmmo_jax.values import check_choice
from nmmo_jax.world.draw import map_image, palette, write_png
from nmmo_jax.world.tiles import MISSING, check_map

Encoding = Literal["csv", "base64", "zlib", "gzip"]
TILESET_NAME = "nmmo-materials"
TILE_PIXELS = 16

_ALIASES = {"iron_ore": int(Material.ORE)}  # of the original's maps
_GID_BITS = 0x0FFF_FFFF  # the four bits above say how a tile is flipped or turned
ANY_SIZE = Config(rows=MAX_SIDE, columns=MAX_SIDE)  # a world of the classic materials
PathLike = str | os.PathLike[str]


def read_tmx(
    path: PathLike, tileset: PathLike | None = None, layer: str | None = None, config: Config = ANY_SIZE
) -> UInt8[np.ndarray, "R C"]:
    """Reads one tile layer of a Tiled map.

    Args:
      path: the ``.tmx`` file.
      tileset: a ``.tsx`` file to use instead of the map's one tileset. Default: what the map names, or,
        where that does not exist, a file of the same name beside the map.
      layer: name of the tile layer; may be left out where there is only one.
      config: of the world, whose materials there can be.

    Raises:
      ValueError: names the file, and the tile that has no material or whatever else is wrong.
      OSError: the file cannot be read.
    """
    root = _parse(path, "map")
    if root.get("infinite", "0") != "0":
        raise ValueError(f"{path}: an infinite map: turn off 'Infinite' in the map's properties in Tiled")
    if root.get("orientation", "orthogonal") != "orthogonal":
        raise ValueError(f"{path}: orientation {root.get('orientation')!r}: must be orthogonal")
    element = _layer(root, path, layer)
    rows, columns = (_integer(element, name, path) for name in ("height", "width"))
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise ValueError(f"{path}: {rows} rows, {columns} columns: allowed are 1 to {MAX_SIDE} of each")
    data = element.find("data")
    if data is None:
        raise ValueError(f"{path}: layer {element.get('name', '')!r} has no data")
    grid = _gids(data, rows, columns, path).reshape(rows, columns) & _GID_BITS
    found, inverse = np.unique(grid, return_inverse=True)
    names = _Tilesets(root, Path(path), tileset, config)
    known = np.empty(found.size, np.uint8)
    for i, gid in enumerate(found):
        try:
            known[i] = names.material(int(gid))
        except KeyError as error:
            row, col = np.argwhere(grid == gid)[0]
            raise ValueError(f"{path}: tile {gid} at row {row}, column {col}: {error.args[0]}") from None
    return known[inverse].reshape(rows, columns)


def _parse(path: PathLike, tag: str) -> ElementTree.Element:
    """The root of an XML file; a document type, in which entities could be declared, is refused."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise ValueError(f"{path}: has a document type declaration (<!DOCTYPE>), which no Tiled file needs")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(Path(path).read_bytes(), True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding that there is not
        raise ValueError(f"{path}: not XML: {error}") from None
    root = builder.close()
    if root.tag != tag:
        raise ValueError(f"{path}: begins with <{root.tag}>: must be a Tiled <{tag}>")
    return root


def _integer(element: ElementTree.Element, name: str, path: PathLike) -> int:
    text = element.get(name, "")
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII):
        raise ValueError(f"{path}: <{element.tag}> has {name}={text!r}: must be a whole number")
    return int(text)


def _layer(root: ElementTree.Element, path: PathLike, name: str | None) -> ElementTree.Element:
    """The tile layer of that name, or the only one; layers in groups count."""
    layers = list(root.iter("layer"))
    chosen = layers if name is None else [layer for layer in layers if layer.get("name") == name]
    if len(chosen) == 1:
        return chosen[0]
    known = [layer.get("name", "") for layer in layers]
    names = ", ".join(map(repr, known)) or "none"
    nearest = near(name, set(known) - {name}) if name and not chosen else ""
    wanted = "choose one by name" if name is None else f"exactly one must be called {name!r}{nearest}"
    raise ValueError(f"{path}: {len(layers)} tile layers ({names}): {wanted if layers else 'must have one'}")


def _gids(data: ElementTree.Element, rows: int, columns: int, path: PathLike) -> np.ndarray:
    """The layer's tile numbers, uint32, one per tile, row by row."""
    count, text = rows * columns, "".join(data.itertext())
    encoding, compression = data.get("encoding"), data.get("compression") or None
    if data.find("chunk") is not None:
        raise ValueError(f"{path}: data in chunks, as of an infinite map: turn off 'Infinite' in Tiled")
    if encoding is None:
        gids = [_integer(tile, "gid", path) if "gid" in tile.attrib else 0 for tile in data.iter("tile")]
    elif encoding == "csv":
        gids = _csv_gids(text, rows, columns, path)
    elif encoding == "base64":
        packed = _unpack(text, compression, 4 * count, path)
        if len(packed) % 4 == 0:
            return _counted(np.frombuffer(packed, "<u4"), count, path)
        raise ValueError(f"{path}: {len(packed)} bytes of data: must be 4 for each of {count} tiles")
    else:
        raise ValueError(f"{path}: encoding {encoding!r}: must be csv or base64")
    if gids and max(gids) >= 2**32:
        raise ValueError(f"{path}: tile {max(gids)}: tile numbers have 32 bits")
    return _counted(np.array(gids, np.uint32), count, path)


def _counted(gids: np.ndarray, count: int, path: PathLike) -> np.ndarray:
    if gids.size != count:
        raise ValueError(f"{path}: {gids.size} tiles of data: must be {count}, rows times columns")
    return gids


def _csv_gids(text: str, rows: int, columns: int, path: PathLike) -> list[int]:
    lines = [[word.strip() for word in line.strip().rstrip(",").split(",")] for line in text.strip().splitlines()]
    for number, line in enumerate(lines):
        if len(lines) == rows and len(line) != columns:  # other line breaks than one per row are allowed
            raise ValueError(f"{path}: {len(line)} tiles in row {number}: must be {columns}")
        for word in line:
            if not re.fullmatch(r"\d{1,10}", word, re.ASCII):
                raise ValueError(f"{path}: {word[:20]!r} in line {number} of the data: must be a tile number")
    return [int(word) for line in lines for word in line]


def _unpack(text: str, compression: str | None, size: int, path: PathLike) -> bytes:
    """Decodes base64 and decompresses, but never much more than ``size`` bytes."""
    window = {None: 0, "zlib": zlib.MAX_WBITS, "gzip": 16 + zlib.MAX_WBITS}
    if compression not in window:
        raise ValueError(f"{path}: compression {compression!r}: must be zlib, gzip or none (set it in Tiled)")
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)
        if compression is None:
            return packed
        stream = zlib.decompressobj(window[compression])
        unpacked = stream.decompress(packed, size + 4)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"{path}: data cannot be decoded: {error}") from None
    if not stream.eof and len(unpacked) <= size:
        raise ValueError(f"{path}: compressed data ends too early")
    return unpacked


class _Tilesets:
    """What the tiles of a map look like: tile number -> base name of its image -> material."""

    def __init__(self, root: ElementTree.Element, path: Path, override: PathLike | None, config: Config):
        """Loads the tilesets a map names, or ``override`` instead of the only one."""
        elements = root.findall("tileset")
        if not elements:
            raise ValueError(f"{path}: names no tileset")
        if override is not None and len(elements) > 1:
            raise ValueError(f"{path}: has {len(elements)} tilesets: tileset={override} can stand for one only")
        names = {name: number for number, name in enumerate(config.material_names)}
        self._materials = {**_ALIASES, **names}
        self.sets = []
        for element in elements:
            if override is not None:
                file = Path(override)
            elif source := element.get("source"):
                file = _beside(path, source)
            else:
                file = path
            tiles = element if file == path else _parse(file, "tileset")
            self.sets.append((_integer(element, "firstgid", path), file, _image_names(tiles, file)))
        self.sets.sort(key=lambda one: one[0])

    def material(self, gid: int) -> int:
        """Material of a tile number; ``KeyError`` says why there is none."""
        below = [one for one in self.sets if one[0] <= gid]
        if not below:
            raise KeyError("no tile is set there" if gid == 0 else "below the first number of every tileset")
        first, file, names = below[-1]
        name = names.get(gid - first)
        if name is None:
            raise KeyError(f"tileset {file} has no image for its tile {gid - first} (another tileset can be given)")
        if name not in self._materials:
            known = ", ".join(self._materials)
            told = near(name, self._materials) or MISSING
            raise KeyError(f"{name!r}, tile {gid - first} of {file}, is none of the materials {known}{told}")
        return self._materials[name]


def _beside(path: Path, source: str) -> Path:
    """The tileset a map names, relative to the map; if there is none, one of that name beside the map."""
    source = source.replace("\\", "/")
    places = (path.parent / source, path.parent / source.rsplit("/", 1)[-1])
    for place in places:
        if place.is_file():
            return place
    raise ValueError(f"{path}: its tileset {source!r} is not there (another tileset can be given)")


def _image_names(tileset: ElementTree.Element, path: Path) -> dict[int, str]:
    """Base name of each tile's image, lower case, by the tile's number in the tileset."""
    names = {}
    for tile in tileset.findall("tile"):
        image = tile.find("image")
        if image is not None:
            base = image.get("source", "").replace("\\", "/").rsplit("/", 1)[-1]
            names[_integer(tile, "id", path)] = base.rsplit(".", 1)[0].lower()
    return names


def write_tmx(
    path: PathLike, material: UInt8[np.ndarray, "R C"], encoding: Encoding = "csv", config: Config = ANY_SIZE
) -> None:
    """Writes a map for Tiled, with its tileset and images of the tiles beside it.

    The tileset is ``nmmo-materials.tsx``, or ``nmmo-materials-poison.tsx`` in a world with that material besides.

    Args:
      path: the ``.tmx`` file; it and the tileset are overwritten where they exist.
      material: the map.
      encoding: of the tile numbers: ``csv``, ``base64``, or base64 compressed with ``zlib`` or ``gzip``.
      config: of the world, whose materials there can be.

    Raises:
      ValueError: an unknown encoding, or no map.
      OSError: a file cannot be written.
    """
    check_choice("encoding", encoding, get_args(Encoding))
    material = check_map(material, config, "material", spawns=False)
    rows, columns = material.shape
    gids = material.astype("<u4") + 1
    if encoding == "csv":
        attributes, text = 'encoding="csv"', ",\n".join(",".join(map(str, row)) for row in gids)
    else:
        packed = gids.tobytes()
        if encoding != "base64":
            window = zlib.MAX_WBITS + (16 if encoding == "gzip" else 0)
            stream = zlib.compressobj(9, wbits=window)
            packed = stream.compress(packed) + stream.flush()
        attributes = 'encoding="base64"' + (f' compression="{encoding}"' if encoding != "base64" else "")
        text = base64.b64encode(packed).decode()
    size = f'width="{columns}" height="{rows}"'
    pixels = f'tilewidth="{TILE_PIXELS}" tileheight="{TILE_PIXELS}"'
    tileset = _write_tileset(Path(path).parent, pixels, config)
    _write_text(
        Path(path),
        f"""<?xml version="1.0" encoding="UTF-8"?>
<map version="1.10" orientation="orthogonal" renderorder="right-down" {size} {pixels} infinite="0" \
nextlayerid="2" nextobjectid="1">
 <tileset firstgid="1" source="{tileset}.tsx"/>
 <layer id="1" name="material" {size}>
  <data {attributes}>
{text}
</data>
 </layer>
</map>
""",
    )


def _write_tileset(folder: Path, pixels: str, config: Config) -> str:
    """The materials as a tileset of single images: tile 0 lava, 1 water, ...; gives its name.

    Worlds of other materials have tilesets of other names: maps of both can lie in one folder.
    """
    tileset = "-".join([TILESET_NAME, *config.material_names[len(Material) :]])
    images = folder / tileset
    images.mkdir(exist_ok=True)
    colours, tiles = palette(config), ""
    for number, name in enumerate(config.material_names):
        write_png(images / f"{name}.png", map_image(np.full((1, 1), number), TILE_PIXELS, True, colours))
        tiles += f"""
 <tile id="{number}">
  <image width="{TILE_PIXELS}" height="{TILE_PIXELS}" source="{tileset}/{name}.png"/>
 </tile>"""
    _write_text(
        folder / f"{tileset}.tsx",
        f"""<?xml version="1.0" encoding="UTF-8"?>
<tileset version="1.10" name="{tileset}" {pixels} tilecount="{len(config.material_names)}" columns="0">
 <grid orientation="orthogonal" width="1" height="1"/>{tiles}
</tileset>
""",
    )
    return tileset


def _write_text(path: Path, text: str) -> None:
    write(path, lambda file: file.write(text.encode()))
