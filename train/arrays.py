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
from train import distributed
from train.trees import Leaf, is_key

logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax tells of what it does; what goes wrong is raised


def save_arrays(path: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Writes arrays into a new folder, and reads them back. Those that lie on the devices of several processes are
    written by all of them, each its own share, which it reads back; the first looks at the files.

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
        files = distributed.led(lambda: _sums(path)) if any(map(_apart, full.values())) else _sums(path)
        mine = files if distributed.first() else {}
        back = read_arrays(path, {name: _like(value) for name, value in full.items()}, mine)
        for name, value in full.items():
            if any(a.tobytes() != b.tobytes() for a, b in zip(_parts(back[name]), _parts(value), strict=True)):
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
    full = {name: _how(leaf) for name, leaf in wanted.items() if leaf.size}
    values = {}
    if full:
        args = ocp.args.PyTreeRestore(item=full, restore_args=full, partial_restore=True)
        # Others are waited for only where all read.
        here = None if any(map(_apart, wanted.values())) else {jax.process_index()}
        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index() if here else 0, active_processes=here
        )
        try:
            with (
                _plain_path(path) as there,
                ocp.Checkpointer(
                    ocp.PyTreeCheckpointHandler(multiprocessing_options=alone), multiprocessing_options=alone
                ) as orbax,
            ):
                values = dict(orbax.restore(there, args=args))
        except Exception as error:  # JAX, orbax and TensorStore raise what they like
            raise ValueError(f"{path}: damaged: {one_line(error)}") from None
    for name, leaf in wanted.items():
        if not leaf.size:
            like = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
            values[name] = np.zeros(like.shape, like.dtype)
        if not isinstance(values.get(name), np.ndarray | jax.Array):
            raise ValueError(f"{path}: damaged: {name} is missing")
    return {name: _placed(values[name], leaf) for name, leaf in wanted.items()}


def _apart(leaf: Leaf) -> bool:
    """Whether it is, or is wanted, on devices of several processes."""
    sharding = getattr(leaf, "sharding", None)
    return sharding is not None and not sharding.is_fully_addressable


def _like(value: Any) -> Leaf:
    """How it is read back: where it is spread over processes as it is there, else into memory of the host."""
    apart = _apart(value)
    return (
        jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=value.sharding)
        if apart
        else np.empty(value.shape, value.dtype)
    )


def _parts(value: Any) -> list[np.ndarray]:
    """What of it is here."""
    return [np.asarray(one.data) for one in value.addressable_shards] if _apart(value) else [np.asarray(value)]


def _sums(path: Path) -> dict[str, str]:
    for note in path.rglob("commit_success.txt"):  # in which orbax writes where this was made, and nothing reads
        note.unlink()
    return {str(one.relative_to(path)): _sum_of(one) for one in path.rglob("*") if one.is_file()}


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


def _how(leaf: Leaf) -> Any:
    """How orbax reads it: what is spread over processes straight to where it is wanted, the rest into memory."""
    if not _apart(leaf):
        return ocp.RestoreArgs(restore_type=np.ndarray)
    like = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
    return ocp.ArrayRestoreArgs(sharding=leaf.sharding, global_shape=like.shape, dtype=like.dtype)


def _placed(value: np.ndarray | jax.Array, leaf: Leaf) -> jax.Array | np.ndarray:
    """A value as read, as the template has it and where it wants it."""
    if isinstance(leaf, np.ndarray | np.generic):
        return value
    array = (
        value
        if isinstance(value, jax.Array)
        else jax.device_put(value, getattr(leaf, "sharding", None) if getattr(leaf, "committed", True) else None)
    )
    if not is_key(leaf):
        return array
    names: list[Any] = []  # the implementation's, of a template that may be a shape only
    jax.eval_shape(lambda key: names.append(jax.random.key_impl(key)), leaf)
    return jax.random.wrap_key_data(array, impl=names[0])
