"""Pictures of maps: pixels, PNG files, and a palette that the colour-blind can read."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from nmmo_jax.config import Config
from nmmo_jax.kinds import NUM_MATERIALS
from nmmo_jax.system import System
from nmmo_jax.world.draw import CAUSE_COLOURS, COLOURS, PALETTE, cause_colours, map_image, write_png


def read_png(path: Path) -> np.ndarray:
    """The pixels of an unfiltered RGB PNG, its checksums verified."""
    data, chunks = path.read_bytes(), {}
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + size
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 2, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert (lines[:, 0] == 0).all()
    return lines[:, 1:].reshape(height, width, 3)


def test_pictures(tmp_path):
    material = np.random.default_rng(0).integers(0, NUM_MATERIALS, (7, 11)).astype(np.uint8)
    image = map_image(material, scale=5)
    assert image.shape == (35, 55, 3)
    for row, col in ((0, 0), (3, 7), (6, 10)):
        assert (image[5 * row : 5 * row + 5, 5 * col : 5 * col + 5] == PALETTE[material[row, col]]).all()
    outlined = map_image(material, scale=5, outline=True)
    assert ((outlined != image).any(-1).reshape(7, 5, 11, 5).sum((1, 3)) == 9).all()
    write_png(tmp_path / "map.png", outlined)
    np.testing.assert_array_equal(read_png(tmp_path / "map.png"), outlined)
    for bad in (np.full((2, 2), 7), np.zeros((0, 3), int), np.zeros(3, int)):
        with pytest.raises(ValueError, match="material: must be a non-empty rectangle"):
            map_image(bad)
    with pytest.raises(ValueError, match="scale=0"):
        map_image(material, scale=0)


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]


@pytest.mark.parametrize("vision", VISION)
def test_the_colour_blind_can_tell_materials_apart(vision):
    rgb = PALETTE / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(VISION[vision]), 0, 1) @ np.transpose(TO_XYZ) / (0.95047, 1, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert distance[np.triu_indices(len(COLOURS), 1)].min() > 18


def test_causes_have_colours_that_differ():
    """Those of systems, too, whose colours nobody declares: far from all others, and the same whoever comes later."""
    some = System("some", causes=["cold", "heat"])
    more = System("more", causes=[f"cause{k}" for k in range(6)])
    few, many = (Config(systems=systems) for systems in ([some], [some, more]))
    colours = cause_colours(many)
    assert len(colours) == len(many.deadly) == 12
    assert colours[:4] == list(CAUSE_COLOURS.values()) == cause_colours(Config())
    assert colours[:6] == cause_colours(few)
    rgb = np.array([[*bytes.fromhex(one[1:])] for one in colours], int)
    away = np.linalg.norm(rgb[:, None] - rgb, axis=-1)
    assert away[~np.eye(12, dtype=bool)].min() > 50
