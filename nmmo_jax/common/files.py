"""Files of ours: written in whole or not at all, and read back only as they were written.

JSON and archives of arrays carry a checksum (SHA-256) of what they hold, each line of a log one of its own (CRC-32),
so that a flipped bit, or a number changed by hand, is not taken for what was written. What a file must hold is said by
a type, where it is read.
"""

import contextlib
import hashlib
import itertools
import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec
import numpy as np

from nmmo_jax.common.signals import ending, saving

Kind = TypeVar("Kind")
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]

_SUM, _LINE_SUM = "sha256", "crc32"  # names of the checksums
_PART = ".part"  # how the name of a file ends that is still being written
_MOST_BYTES = 200  # of a name to which something is added
_numbers = itertools.count()
_UNSEALED = "has no checksum: an earlier version wrote it, or something else"


def write(path: Path, content: Callable[[BinaryIO], Any]) -> None:
    """Writes a file in whole or not at all: under another name beside it, which then takes its place.

    Raises:
      OSError: of the file that was asked for.
    """
    part = beside(path, f"{os.getpid()}-{next(_numbers)}{_PART}")
    try:
        with ending(lambda: part.unlink(missing_ok=True)):
            with open(part, "wb") as file:
                content(file)
                file.flush()
                os.fsync(file.fileno())  # some file systems tell only now that the disk is full
            with saving():
                os.replace(part, path)
    except OSError as error:
        raise _of(path, error) from None
    finally:
        with contextlib.suppress(OSError):  # where even that cannot be asked for
            part.unlink(missing_ok=True)


def beside(path: Path, suffix: str) -> Path:
    """A hidden file beside another, whose name is never too long."""
    name = path.name
    if len(os.fsencode(name)) > _MOST_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return path.with_name(f".{name}.{suffix}")


def is_part(path: Path) -> bool:
    """Whether it is what a process that was killed has left of a file that it was writing."""
    return path.name.startswith(".") and path.name.endswith(_PART)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes an object as JSON, its checksum last; see ``write``.

    Raises:
      ValueError, TypeError: it is not ready for JSON.
      OSError: as ``write``.
    """
    value = json.loads(json.dumps(value, allow_nan=False))  # keys as they will be read
    text = json.dumps({**value, _SUM: _sum_of(value)}, indent=2) + "\n"
    write(path, lambda file: file.write(text.encode()))


def read_json(path: Path, kind: type[Kind], **known: Any) -> Kind:
    """Reads what ``write_json`` wrote.

    Args:
      kind: a ``TypedDict`` or the like, as ``msgspec`` knows them; what it does not name may be there all the same.
      known: what fields must be, such as the number of a format; looked at before all else.

    Raises:
      ValueError: names the file, and in what it is not as it was written, or not of that kind.
      OSError: it cannot be read.
    """
    value = _parsed(path.read_bytes(), str(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path}: no object of JSON")
    for name, wanted in known.items():
        if value.get(name) != wanted:
            raise ValueError(f"{path}: its {name} is {_short(value.get(name))}, and this version reads {wanted!r}")
    told = value.pop(_SUM, None)
    if told != _known(_sum_of, value):
        how = _UNSEALED if told is None else "damaged, or changed: its checksum is another"
        raise ValueError(f"{path}: {how}")
    return of_kind(value, kind, str(path))


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes a compressed NumPy archive (``.npz``) of arrays, and their checksum; see ``write``."""
    known: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    known[_SUM] = np.frombuffer(bytes.fromhex(checksum(known)), np.uint8)
    write(path, lambda file: np.savez_compressed(file, **known))


def read_arrays(path: Path, check: Callable[[dict[str, np.ndarray]], Any] | None = None) -> dict[str, np.ndarray]:
    """Reads what ``write_arrays`` wrote.

    Args:
      check: called before all else with the arrays as they are; raises ValueError for what is of another version.

    Raises:
      ValueError: it is no such archive, or not as it was written; names the file.
      OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            seal = arrays.pop(_SUM, np.zeros(0, np.uint8)).tobytes().hex()
        except Exception as error:  # whatever a damaged file leads NumPy and zipfile to raise
            raise ValueError(f"{path}: damaged, or no archive of arrays: {one_line(error)}") from None
    if check is not None:
        try:
            check(arrays)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    if seal != checksum(arrays):
        how = "damaged, or changed: its checksum is another" if seal else _UNSEALED
        raise ValueError(f"{path}: {how}")
    return arrays


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Adds an object to a log, a line of JSON each, with its checksum.

    Raises:
      OSError: of that file; the line may have been written in part, and is then no line yet.
    """
    try:
        with open(path, "ab") as file:
            file.write((line_of(value) + "\n").encode())
    except OSError as error:
        raise _of(path, error) from None


def line_of(value: Mapping[str, Any]) -> str:
    """A line of a log; numbers that are not finite, which JSON does not know, are null in it."""
    value = json.loads(json.dumps(value), parse_constant=lambda _: None)
    return json.dumps({**value, _LINE_SUM: _line_sum_of(value)})


def read_lines(path: Path, kind: type[Kind]) -> list[Kind]:
    """Reads a log of ``append_line``; a last line that is still being written, or never was to its end, is left out.

    Raises:
      ValueError: names the file and the line that is damaged or not of that kind.
      OSError: it cannot be read.
    """
    lines = []
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        where = f"{path}: line {number}"
        value = _parsed(text, where)
        if not isinstance(value, dict) or value.pop(_LINE_SUM, None) != _known(_line_sum_of, value):
            raise ValueError(f"{where}: damaged, or changed: its checksum is another")
        lines.append(of_kind(value, kind, where))
    return lines


def of_kind(value: Any, kind: type[Kind], where: str) -> Kind:
    """A value of JSON as it is, once it is known to be of a kind.

    Raises:
      ValueError: it is not; begins with ``where``.
    """
    try:
        msgspec.convert(value, kind)
    except (msgspec.MsgspecError, OverflowError, RecursionError) as error:
        raise ValueError(f"{where}: {one_line(error)}") from None
    return value


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of arrays, their names, types and shapes, in hexadecimal; in whatever order they come."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        total.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return total.hexdigest()


def one_line(error: BaseException) -> str:
    """What an error says, on a line that can be read to its end."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}..."


def _of(path: Path, error: OSError) -> OSError:
    """The same of the file that was asked for, not of the one beside it."""
    if error.errno is None:  # of a library
        return OSError(f"{path}: {one_line(error)}")
    return OSError(error.errno, error.strerror, str(path))


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json.loads(text.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # of encodings, too
        raise ValueError(f"{where}: damaged, or no JSON: {one_line(error)}") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _canonical(value: Mapping[str, Any]) -> bytes:
    """The same for equal values, however a file is laid out."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _known(sum_of: Callable[[Mapping[str, Any]], str], value: Mapping[str, Any]) -> str:
    """The checksum of what was read; of what is nested so deep that there is none, no checksum."""
    try:
        return sum_of(value)
    except RecursionError:
        return ""


def _sum_of(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(value)).hexdigest()


def _line_sum_of(value: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(_canonical(value)):08x}"
