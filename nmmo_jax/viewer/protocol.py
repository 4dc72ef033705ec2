"""Messages between the server and the browser.

To the browser they are binary: ``NMMO``, the version (uint16), two zero bytes, the length of the header (uint32), the
header as JSON, and arrays. Numbers are little-endian, arrays begin at multiples of 8 bytes. The header says what
follows: ``{"kind": ..., "arrays": [[name, type, shape], ...], ...}``. docs/watch.md describes each kind.

From the browser they are JSON texts ``{"do": ..., ...}``.
"""

import json
import math
import struct
from typing import Any, NamedTuple

import numpy as np

from nmmo_jax.actions import Argument, heads, number_of_things
from nmmo_jax.config import Config

MAGIC, VERSION = b"NMMO", 1
MOST = 4_096  # characters that a browser has reason to send at once
SLOWEST = 60.0  # seconds per tick
_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4")
_LARGEST = 2**31 - 1
_SHOWN = 40  # characters of what was sent, in errors


class Field(NamedTuple):
    """What may be said in a message: a text, an object, or a number between two others."""

    kind: type
    low: float = 0
    high: float = _LARGEST
    nothing: bool = False  # null is allowed as well


# What may be asked for, with what belongs to it; all else is refused.
REQUESTS: dict[str, dict[str, Field]] = {
    "play": {},
    "pause": {},
    "step": {},
    "restart": {},
    "speed": {"seconds": Field(float, high=SLOWEST)},
    "realm": {"realm": Field(int)},
    "seek": {"tick": Field(int)},
    "follow": {},
    "select": {"uid": Field(int, nothing=True)},
    "overlay": {"name": Field(str, nothing=True)},
    "take": {"uid": Field(int)},
    "release": {},
    "act": {"choices": Field(dict)},  # by argument, as of ``choice_fields``
}


def choice_fields(config: Config) -> dict[str, Field]:
    """What people can choose for an agent of a world, by argument: as in ``Action``, but among agents a uid."""

    def field(one: Argument) -> Field:
        low = -1 if one.among else 0
        return Field(int, low) if is_of_agents(one, config) else Field(int, low, number_of_things(one, config) - 1)

    return {argument.name: field(argument) for head in heads(config) for argument in head.arguments}


def is_of_agents(argument: Argument, config: Config) -> bool:
    """Whether agents are chosen, the visible or those of a list: by uid, as their slots may be others' a tick later."""
    return argument.among == "visible" or (argument.among in config.lists and config.lists[argument.among].rows is None)


def encode(kind: str, fields: dict[str, Any] | None = None, **arrays: np.ndarray) -> bytes:
    """A message to the browser. Fields that are not finite numbers become null."""
    listed, parts, at = [], [], 0
    for name, array in arrays.items():
        array = np.ascontiguousarray(array)
        kind_of = f"{array.dtype.kind}{array.dtype.itemsize}"
        assert kind_of in _TYPES, f"{name}: {array.dtype}"
        listed.append([name, kind_of, list(array.shape)])
        parts += [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()]
        parts += [bytes(-len(parts[-1]) % 8)]
        at += len(parts[-2]) + len(parts[-1])
    header = json.dumps(_finite({"kind": kind, **(fields or {}), "arrays": listed}), separators=(",", ":")).encode()
    header += b" " * ((-12 - len(header)) % 8)
    return b"".join([MAGIC, struct.pack("<HHI", VERSION, 0, len(header)), header, *parts])


def decode(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a message to the browser.

    Raises:
      ValueError: it is none, or of another version.
    """
    if message[:4] != MAGIC or len(message) < 12:
        raise ValueError("not a message of the viewer")
    version, _, length = struct.unpack("<HHI", message[4:12])
    if version != VERSION:
        raise ValueError(f"version {version} of the viewer's messages; known is {VERSION}")
    header = json.loads(message[12 : 12 + length])
    arrays, at = {}, 12 + length
    for name, kind, shape in header["arrays"]:
        dtype = np.dtype(f"<{kind}")
        arrays[name] = np.frombuffer(message, dtype, math.prod(shape), at).reshape(shape)
        at += -(-arrays[name].nbytes // 8) * 8
    return header, arrays


def parse_request(message: str | bytes, choices: dict[str, Field]) -> dict[str, Any]:
    """What a browser asks for.

    Args:
      choices: of ``act``, by argument.

    Raises:
      ValueError: it cannot be read, or is none of ``REQUESTS``; says what is wrong, in words for who asked.
    """
    if not isinstance(message, str) or len(message) > MOST:
        raise ValueError(f"messages must be texts of at most {MOST:,} characters")
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        raise ValueError("messages must be JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("do"), str) or request["do"] not in REQUESTS:
        raise ValueError(f"do: must be one of {', '.join(REQUESTS)}")
    do, fields = request["do"], REQUESTS[request["do"]]
    _check(do, {name: value for name, value in request.items() if name != "do"}, fields)
    missing = [name for name in fields if name not in request]
    if missing:
        raise ValueError(f"{do}: {', '.join(missing)} is missing")
    if do == "act":
        _check(do, request["choices"], choices)
    return request


def _check(do: str, given: dict[str, Any], fields: dict[str, Field]) -> None:
    for name, value in given.items():
        if name not in fields:
            raise ValueError(f"{do}: has no {_short(name)}")
        if wrong := _wrong(fields[name], value):
            raise ValueError(f"{do}: {name} {_short(value)}: {wrong}")


def _wrong(field: Field, value: Any) -> str:
    """What speaks against a value; empty: nothing."""
    if value is None and field.nothing:
        return ""
    if field.kind is str:
        return "" if isinstance(value, str) else "must be a text"
    if field.kind is dict:
        return "" if isinstance(value, dict) else "must be an object"
    whole = field.kind is int
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return f"must be a {'whole ' if whole else ''}number"
    if not field.low <= value <= field.high:  # as of NaN
        return f"allowed are {field.low:g} to {field.high:{'d' if whole else 'g'}}"
    return ""


def _short(value: Any) -> str:
    known = type(value).__name__ if isinstance(value, list | dict) else json.dumps(value)
    text = value if isinstance(value, str) else known
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _finite(value: Any) -> Any:
    """Numbers that JSON can say."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
