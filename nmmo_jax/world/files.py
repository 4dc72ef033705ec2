"""Maps in files: one call to read and one to write, whatever the format."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from nmmo_jax.common.files import write
from nmmo_jax.config import Config
from nmmo_jax.world.tiled import ANY_SIZE, Encoding, PathLike, read_tmx, write_tmx
from nmmo_jax.world.tiles import check_map


def load_map(
    path: PathLike, tileset: PathLike | None = None, layer: str | None = None, config: Config = ANY_SIZE
) -> UInt8[np.ndarray, "R C"]:
    """Reads a map from a ``.tmx`` or ``.npy`` file.

    Args:
      path: the file.
      tileset: for ``.tmx``, see ``read_tmx``.
      layer: for ``.tmx``, see ``read_tmx``.
      config: of the world that it is for: says which materials there can be, and how large it may be. Default: the
        classic ones, any size.

    Raises:
      ValueError: another suffix, or a file that holds no map; names the file.
      OSError: the file cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".tmx":
        return check_map(read_tmx(path, tileset, layer, config), config, str(path), spawns=False)
    if suffix != ".npy":
        raise ValueError(f"{path}: maps are .tmx or .npy files")
    if tileset is not None or layer is not None:
        raise ValueError(f"{path}: a tileset or layer belongs to a .tmx map")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a false size costs no memory
    except OSError:
        raise
    except Exception:  # whatever a damaged file leads NumPy to raise
        raise ValueError(f"{path}: not a .npy file of whole numbers [rows, columns]") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: an archive of arrays: must be a single one, as numpy.save writes it")
    return check_map(array, config, str(path), spawns=False)


def save_map(
    path: PathLike, material: UInt8[np.ndarray, "R C"], encoding: Encoding = "csv", config: Config = ANY_SIZE
) -> None:
    """Writes a map as ``.tmx`` (with ``encoding``, see ``write_tmx``) or ``.npy`` (uint8), in whole or not at all.

    Args:
      config: of the world, whose materials there can be; default, the classic ones.

    Raises:
      ValueError: another suffix, an unknown encoding, or no map.
      OSError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".tmx":
        write_tmx(path, material, encoding, config)
    elif suffix == ".npy":
        content = io.BytesIO()  # NumPy's own writing to files does not say why it failed
        np.save(content, check_map(material, config, "material", spawns=False))
        write(Path(path), lambda file: file.write(content.getvalue()))
    else:
        raise ValueError(f"{path}: maps are written as .tmx or .npy")
