"""Messages between the server and the browser.

To the browser they are binary: ``NMMO``, the version (uint16), two zero bytes, the length of the header (uint32), the
header as JSON, and arrays. Numbers are little-endian, arrays begin at multiples of 8 bytes. The header says what
follows: ``{"kind": ..., "arrays": [[name, type, shape], ...], ...}``. docs/watch.md describes each kind.

From the browser they are JSON texts ``{"do": ..., ...}``.
"""

import json
import math
import struct
from typing import Any

import numpy as np

MAGIC, VERSION = b"NMMO", 1
MOST = 4_096  # characters that a browser has reason to send at once
_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4")

# What may be asked for, with the types of what belongs to it; all else is refused.
_NUMBER, _NAME = (int, float), (str, type(None))
ASKED: dict[str, dict[str, Any]] = {
    "play": {},
    "pause": {},
    "step": {},
    "rewind": {},
    "speed": {"seconds": _NUMBER},
    "realm": {"realm": int},
    "seek": {"tick": int},
    "follow": {},
    "select": {"uid": (int, type(None))},
    "overlay": {"name": _NAME},
    "take": {"uid": int},
    "release": {},
    "act": {"move": int, "style": int, "target": int},
}


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


def read(message: str | bytes) -> dict[str, Any]:
    """What a browser asks for.

    Raises:
      ValueError: it cannot be read, or is none of ``ASKED``; says what is wrong, in words for the person who asked.
    """
    if not isinstance(message, str) or len(message) > MOST:
        raise ValueError(f"messages must be texts of at most {MOST:,} characters")
    try:
        asked = json.loads(message)
    except (ValueError, RecursionError):
        raise ValueError("messages must be JSON") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("do"), str) or asked["do"] not in ASKED:
        raise ValueError(f"do: must be one of {', '.join(ASKED)}")
    allowed = ASKED[asked["do"]]
    for name, value in asked.items():
        if name == "do":
            continue
        if name not in allowed:
            raise ValueError(f"{asked['do']}: has no {name}")
        if isinstance(value, bool) or not isinstance(value, allowed[name]):
            raise ValueError(f"{asked['do']}: {name} is of the wrong type")
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            raise ValueError(f"{asked['do']}: {name} is out of range")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{asked['do']}: {name} is not a finite number")
    missing = [name for name in allowed if name not in asked and asked["do"] != "act"]
    if missing:
        raise ValueError(f"{asked['do']}: {', '.join(missing)} is missing")
    return asked


def _finite(value: Any) -> Any:
    """Numbers that JSON can say."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
