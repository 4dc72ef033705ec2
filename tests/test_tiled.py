"""Tiled maps: the originals' with their traps, round trips, and every way in which a file can be wrong."""

import base64
import gzip
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from recordings import MAPS

from nmmo_jax.kinds import NUM_MATERIALS, Material
from nmmo_jax.world.files import load_map, save_map
from nmmo_jax.world.tiled import read_tmx, write_tmx

needs_maps = pytest.mark.skipif(not MAPS.is_dir(), reason=f"the original's maps are not there: {MAPS}")
LAVA, WATER, GRASS, _, FOREST, STONE, ORE = Material


def random_map(rows=7, columns=11, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, NUM_MATERIALS, (rows, columns)).astype(np.uint8)


# Counts are of the tile numbers in the files (12, 20, 8, 6, 18, 11), made without this package.
@needs_maps
@pytest.mark.parametrize(
    ("name", "tileset", "shape", "counts", "tiles"),
    [
        (
            "br.tmx",
            "tileset.tsx",
            (82, 82),
            {LAVA: 2880, WATER: 108, GRASS: 2860, FOREST: 204, STONE: 626, ORE: 46},
            {(10, 9): LAVA, (10, 10): GRASS, (41, 12): WATER, (41, 13): STONE, (41, 26): ORE, (41, 55): ORE},
        ),
        (
            "v1full.tmx",
            "tileset.tsx",
            (100, 72),
            {LAVA: 3040, WATER: 561, GRASS: 2518, FOREST: 724, STONE: 332, ORE: 25},
            {(20, 10): FOREST, (20, 15): GRASS, (20, 30): WATER, (50, 10): STONE, (50, 14): ORE, (50, 61): GRASS},
        ),
        (
            "testmap.tmx",
            None,
            (64, 64),
            {LAVA: 924, WATER: 108, GRASS: 2860, FOREST: 204},
            {(0, 0): LAVA, (1, 1): GRASS, (3, 3): WATER, (3, 7): LAVA, (3, 21): FOREST, (3, 63): LAVA},
        ),
    ],
)
def test_the_originals_maps(name, tileset, shape, counts, tiles):
    material = load_map(MAPS / name, tileset and MAPS / tileset)
    assert material.shape == shape
    assert material.dtype == np.uint8
    assert {Material(one): int((material == one).sum()) for one in np.unique(material)} == counts
    assert {at: Material(material[at]) for at in tiles} == tiles


@needs_maps
def test_the_tileset_that_br_names_is_the_wrong_one():
    with pytest.raises(ValueError, match=r"br\.tmx: tile 8 at row 10, column 10: .*tiles\.tsx has no .* tile 7"):
        load_map(MAPS / "br.tmx")


@pytest.mark.parametrize("encoding", ["csv", "base64", "zlib", "gzip"])
def test_round_trip(tmp_path, encoding):
    for shape in ((1, 1), (1, 9), (8, 1), (23, 17)):
        material = random_map(*shape)
        save_map(tmp_path / "map.TMX", material, encoding)
        np.testing.assert_array_equal(load_map(tmp_path / "map.TMX"), material)
    data = ElementTree.parse(tmp_path / "map.TMX").find("layer/data")
    compression = encoding if encoding in ("zlib", "gzip") else None
    assert (data.get("encoding"), data.get("compression")) == ("csv" if encoding == "csv" else "base64", compression)


def test_a_written_map_is_complete_for_tiled(tmp_path):
    write_tmx(tmp_path / "map.tmx", random_map())
    root = ElementTree.parse(tmp_path / "map.tmx").getroot()
    tileset = tmp_path / root.find("tileset").get("source")
    images = {tile.get("id"): tile.find("image") for tile in ElementTree.parse(tileset).iter("tile")}
    for material in Material:
        image = images[str(int(material))]
        assert Path(image.get("source")).stem == material.name.lower()
        assert (tmp_path / image.get("source")).read_bytes().startswith(b"\x89PNG")


def test_arrays_round_trip(tmp_path):
    material = random_map()
    save_map(tmp_path / "map.npy", material)
    loaded = load_map(tmp_path / "map.npy")
    np.testing.assert_array_equal(loaded, material)
    assert type(loaded) is np.ndarray
    assert loaded.dtype == np.uint8


# Building files by hand, in every form the format allows.

TILES = {1: "lava", 2: "Water", 3: "GRASS", 4: "scrub", 5: "forest", 6: "stone", 7: "iron_ore", 9: "brick"}
EXPECTED = np.array([[0, 1, 2], [4, 5, 6]], np.uint8)
NUMBERS = (1, 2, 3, 5, 6, 7)


def tileset_body(tiles=TILES) -> str:
    return "".join(f'<tile id="{i}"><image source="any/where\\{name}.PNG"/></tile>' for i, name in tiles.items())


def tsx(path: Path, tiles=TILES) -> Path:
    path.write_text(f"<tileset>{tileset_body(tiles)}</tileset>")
    return path


def csv(numbers, first=0) -> str:
    return '<data encoding="csv">' + ",".join(str(number + first) for number in numbers) + "</data>"


def packed(numbers, compress=None, kind="") -> str:
    data = struct.pack(f"<{len(numbers)}I", *numbers)
    text = base64.b64encode(compress(data) if compress else data).decode()
    return f'<data encoding="base64"{kind and f" compression={kind!r}"}>\n   {text}\n  </data>'


def layer(data=None, rows=2, columns=3, name="ground") -> str:
    return f'<layer name="{name}" width="{columns}" height="{rows}">{csv(NUMBERS) if data is None else data}</layer>'


def tmx(folder: Path, layers=None, tilesets=None, attributes='orientation="orthogonal" infinite="0"') -> Path:
    tilesets = f'<tileset firstgid="0">{tileset_body()}</tileset>' if tilesets is None else tilesets
    (folder / "map.tmx").write_text(f"<map {attributes}>{tilesets}{layer() if layers is None else layers}</map>")
    return folder / "map.tmx"


@pytest.mark.parametrize(
    "data",
    [
        csv(NUMBERS),
        '<data encoding="csv">\n1,2,3,\n5,6,7,\n</data>',
        '<data encoding="csv">1, 2\r\n3,5\r\n6\n7</data>',
        packed(NUMBERS),
        packed(NUMBERS, zlib.compress, "zlib"),
        packed(NUMBERS, gzip.compress, "gzip"),
        "<data>" + "".join(f'<tile gid="{number}"/>' for number in NUMBERS) + "</data>",
        csv([number | flag << 28 for number, flag in zip(NUMBERS, (8, 4, 2, 1, 15, 0), strict=True)]),
        packed([number | 0xA000_0000 for number in NUMBERS]),
    ],
    ids=["csv", "csv lines", "csv wrapped", "base64", "zlib", "gzip", "xml", "flipped csv", "flipped base64"],
)
def test_forms_of_data(tmp_path, data):
    np.testing.assert_array_equal(read_tmx(tmx(tmp_path, layer(data))), EXPECTED)


def test_tilesets(tmp_path):
    external = tsx(tmp_path / "tiles.tsx")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = tsx(elsewhere / "other.tsx")
    one = layer(csv(NUMBERS, first=1))
    for source in ("tiles.tsx", "../gone/tiles.tsx", "C:\\gone\\tiles.tsx", "elsewhere/other.tsx"):
        path = tmx(tmp_path, one, f'<tileset firstgid="1" source="{source}"/>')
        np.testing.assert_array_equal(read_tmx(path), EXPECTED, err_msg=source)
    path = tmx(tmp_path, one, '<tileset firstgid="1" source="nowhere.tsx"/>')
    with pytest.raises(ValueError, match=r"map\.tmx: its tileset 'nowhere\.tsx' is not there"):
        read_tmx(path)
    for override in (external, str(other)):
        np.testing.assert_array_equal(read_tmx(path, override), EXPECTED)
    # Two tilesets: 1 to 10, and from 11 on.
    two = '<tileset firstgid="11" source="tiles.tsx"/><tileset firstgid="1" source="elsewhere/other.tsx"/>'
    mixed = [number + (11 if i % 2 else 1) for i, number in enumerate(NUMBERS)]
    path = tmx(tmp_path, layer(csv(mixed)), two)
    np.testing.assert_array_equal(read_tmx(path), EXPECTED)
    with pytest.raises(ValueError, match="has 2 tilesets"):
        read_tmx(path, external)
    with pytest.raises(FileNotFoundError):
        read_tmx(path := tmx(tmp_path, one, '<tileset firstgid="1" source="x.tsx"/>'), tmp_path / "no.tsx")
    with pytest.raises(ValueError, match=r"map\.tmx: begins with <map>: must be a Tiled <tileset>"):
        read_tmx(path, tmx(elsewhere))


def test_layers(tmp_path):
    other = layer(csv([3] * 4), 2, 2, "roof")
    path = tmx(tmp_path, f"{layer()}<group>{other}</group><objectgroup/>")
    np.testing.assert_array_equal(read_tmx(path, layer="ground"), EXPECTED)
    np.testing.assert_array_equal(load_map(path, layer="roof"), np.full((2, 2), GRASS))
    with pytest.raises(ValueError, match=r"map\.tmx: 2 tile layers \('ground', 'roof'\): choose one by name"):
        read_tmx(path)
    with pytest.raises(ValueError, match="exactly one must be called 'cellar'"):
        read_tmx(path, layer="cellar")
    with pytest.raises(ValueError, match="must have one"):
        read_tmx(tmx(tmp_path, ""))


BOMB = zlib.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (layer(csv([1, 2, 3, 5, 8, 6])), r"tile 8 at row 1, column 1: tileset .*map\.tmx has no image for its tile 8"),
        (
            layer(csv([1, 2, 3, 5, 9, 6])),
            r"tile 9 at row 1, column 1: 'brick', tile 9 of .*, is none of the",
        ),
        (layer(csv([1, 2, 3, 5, 0, 6])), "tile 0 at row 1, column 1: tileset"),
        (layer(csv(NUMBERS[:5])), "5 tiles of data: must be 6"),
        (layer(csv((*NUMBERS, 1))), "7 tiles of data: must be 6"),
        (layer(csv([])), "'' in line 0|0 tiles of data"),
        (layer('<data encoding="csv">1,2\n3,5,6,7</data>'), "2 tiles in row 0: must be 3"),
        (layer('<data encoding="csv">1,2,3\n5,-6,7</data>'), "'-6' in line 1"),
        (layer('<data encoding="csv">1,2,3,5,x,7</data>'), "'x' in line 0"),
        (layer('<data encoding="csv">1,2,3,5,,7</data>'), "'' in line 0"),
        (layer('<data encoding="csv">1,2,3,5,6,4294967297</data>'), "tile 4294967297: tile numbers have 32 bits"),
        (layer(packed(NUMBERS[:4])), "4 tiles of data: must be 6"),
        (layer('<data encoding="base64">AAAA</data>'), "3 bytes of data"),
        (layer('<data encoding="base64">A*==</data>'), "cannot be decoded"),
        (layer(packed(NUMBERS, lambda data: data, "zlib")), "cannot be decoded"),
        (layer(packed(NUMBERS, lambda data: zlib.compress(data)[:-5], "zlib")), "ends too early"),
        (layer(packed(NUMBERS, lambda _: BOMB, "zlib")), "7 tiles of data: must be 6"),
        (layer(packed(NUMBERS, zlib.compress, "zstd")), "compression 'zstd': must be zlib, gzip or none"),
        (layer('<data encoding="hex">00</data>'), "encoding 'hex': must be csv or base64"),
        (layer('<data encoding="csv"><chunk x="0" y="0" width="3" height="2">1</chunk></data>'), "in chunks"),
        (layer("<objects/>"), "layer 'ground' has no data"),
        (layer(rows=0), "0 rows, 3 columns: allowed are 1 to"),
        (layer(columns=99999), "99999 columns: allowed are 1 to"),
        (layer(rows="two"), "<layer> has height='two': must be a whole number"),
    ],
)
def test_bad_layers(tmp_path, layers, message):
    path = tmx(tmp_path, layers)
    with pytest.raises(ValueError, match=message) as error:
        read_tmx(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributes": 'infinite="1"'}, "an infinite map"),
        ({"attributes": 'orientation="hexagonal"'}, "orientation 'hexagonal': must be orthogonal"),
        ({"tilesets": ""}, "names no tileset"),
        ({"tilesets": '<tileset firstgid="5"/>'}, "tile 1 at row 0, column 0: below the first number"),
        ({"tilesets": '<tileset firstgid="1"/>', "layers": layer(csv([0] * 6))}, "column 0: no tile is set there"),
        ({"tilesets": "<tileset/>"}, "<tileset> has firstgid=''"),
        ({"tilesets": '<tileset firstgid="0"><tile id="1"/></tileset>'}, "has no image for its tile 1"),
    ],
)
def test_bad_maps(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_tmx(tmx(tmp_path, **change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not XML"),
        (b"<map><layer></map>", "not XML"),
        (b"\x00\xff\x00", "not XML"),
        (b"<tileset/>", "begins with <tileset>: must be a Tiled <map>"),
        (b'<!DOCTYPE map [<!ENTITY a "1"><!ENTITY b "&a;&a;">]><map>&b;</map>', "document type"),
        (b'<!DOCTYPE map SYSTEM "http://example.org/x.dtd"><map/>', "document type"),
    ],
)
def test_bad_xml(tmp_path, text, message):
    path = tmp_path / "map.tmx"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=f"map.tmx: .*{message}"):
        load_map(path)


def test_bad_arrays_and_suffixes(tmp_path):
    path = tmp_path / "map.npy"
    for array, message in (
        (np.zeros((2, 3)), "type float64"),
        (np.zeros((2, 3, 4), np.uint8), "shape"),
        (np.full((2, 3), 7), "material 7 at row 0, column 0"),
        (np.array([["lava"]]), "type"),
    ):
        np.save(path, array)
        with pytest.raises(ValueError, match=rf"map\.npy: {message}"):
            load_map(path)
        if message != "type":
            with pytest.raises(ValueError, match=f"material: {message}"):
                save_map(path, array)
    np.save(path, np.array([[None]], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"not a \.npy file"):
        load_map(path)
    for content in (b"", b"not an array", b"\x93NUMPY\x01\x00\x10\x00"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a \.npy file"):
            load_map(path)
    with open(path, "wb") as file:
        np.savez(file, a=np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="archive"):
        load_map(path)
    with pytest.raises(FileNotFoundError):
        load_map(tmp_path / "gone.tmx")
    for call in (load_map, lambda path: save_map(path, random_map())):
        with pytest.raises(ValueError, match=r"map\.json: .*\.tmx or \.npy"):
            call(tmp_path / "map.json")
    with pytest.raises(ValueError, match="encoding='zstd': allowed are 'csv', 'base64', 'zlib', 'gzip'"):
        save_map(tmp_path / "map.tmx", random_map(), "zstd")
