"""Arrays in a folder, by orbax: written, and read back whole and as they were.

TensorStore and orbax take some paths for others (``[`` and ``*`` as patterns, a backslash as a separator) and refuse
names that are no Unicode: such a folder is reached through a link with a plain name.
"""

import contextlib
import errno
import hashlib
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from nmmo_jax.common.files import one_line
from train.trees import Leaf, is_key

logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax tells of what it does; what goes wrong is raised


def save_arrays(path: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Writes arrays into a new folder, and reads them back.

    Args:
      path: of the folder; that in which it lies is there.
      values: arrays by name, JAX's or NumPy's; keys of ``jax.random.key`` too.

    Returns:
      The checksum (SHA-256) of every file in the folder.

    Raises:
      OSError: they could not be written, or are not there as they were; names the folder.
    """
    plain = {name: jax.random.key_data(leaf) if is_key(leaf) else leaf for name, leaf in values.items()}
    full = {name: value for name, value in plain.items() if value.size}  # orbax takes no empty arrays
    try:
        with _plain_path(path) as there, ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
            orbax.save(there, args=ocp.args.PyTreeSave(full))
        for note in path.rglob("commit_success.txt"):  # in which orbax writes where this was made, and nothing reads
            note.unlink()
        files = {str(one.relative_to(path)): _sum_of(one) for one in path.rglob("*") if one.is_file()}
        back = read_arrays(path, {name: np.empty(value.shape, value.dtype) for name, value in full.items()}, files)
        for name, value in full.items():
            if back[name].tobytes() != np.asarray(value).tobytes():
                raise ValueError(f"{name} is not there as it was")
    except Exception as error:  # JAX, orbax and TensorStore raise what they like
        number = errno.ENOSPC if "No space left" in str(error) else errno.EIO
        told = "No space left on device" if number == errno.ENOSPC else one_line(error)
        raise OSError(number, told, str(path)) from error
    return files


def read_arrays(path: Path, wanted: Mapping[str, Leaf], files: Mapping[str, str]) -> dict[str, Any]:
    """Reads arrays of these names and no others, placed as wanted.

    Args:
      wanted: at each name an array or ``jax.ShapeDtypeStruct``: NumPy arrays come back as such, others as JAX's with
        its sharding, or uncommitted on the default device.
      files: the checksum of every file, as ``save_arrays`` returned it: what is damaged is not handed to TensorStore.

    Raises:
      ValueError: a file is missing or not as it was written, or an array is not there.
    """
    for name, told in files.items():
        try:
            there = _sum_of(path / name)
        except OSError as error:
            raise ValueError(f"{path / name}: damaged: {error.strerror}") from None
        if there != told:
            raise ValueError(f"{path / name}: damaged: its checksum is another")
    full = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name, leaf in wanted.items() if leaf.size}
    values = {}
    if full:
        args = ocp.args.PyTreeRestore(item=full, restore_args=full, partial_restore=True)
        try:
            with _plain_path(path) as there, ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
                values = dict(orbax.restore(there, args=args))
        except Exception as error:  # JAX, orbax and TensorStore raise what they like
            raise ValueError(f"{path}: damaged: {one_line(error)}") from None
    for name, leaf in wanted.items():
        if not leaf.size:
            like = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
            values[name] = np.zeros(like.shape, like.dtype)
        if not isinstance(values.get(name), np.ndarray):
            raise ValueError(f"{path}: damaged: {name} is missing")
    return {name: _placed(values[name], leaf) for name, leaf in wanted.items()}


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _plain_path(path: Path) -> Iterator[Path]:
    """A path to the same folder that means nothing else."""
    if re.fullmatch(r"[\w./+=@,: -]+", str(path), re.ASCII):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="nmmo-jax-") as folder:
        link = Path(folder) / "link"
        link.symlink_to(path.parent, target_is_directory=True)
        yield link / path.name


def _placed(value: np.ndarray, leaf: Leaf) -> jax.Array | np.ndarray:
    """A value as read, as the template has it and where it wants it."""
    if isinstance(leaf, np.ndarray | np.generic):
        return value
    array = jax.device_put(value, getattr(leaf, "sharding", None) if getattr(leaf, "committed", True) else None)
    if not is_key(leaf):
        return array
    names: list[Any] = []  # the implementation's, of a template that may be a shape only
    jax.eval_shape(lambda key: names.append(jax.random.key_impl(key)), leaf)
    return jax.random.wrap_key_data(array, impl=names[0])
