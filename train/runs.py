"""What goes on in a folder: one process at a time."""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A context in which no other process works in a folder: each would remove what the other writes."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which ends with the process, however that ends
        except BlockingIOError:
            raise ValueError(f"out={folder}: another process works in it") from None
        yield


def forget_after(log: Path, update: int) -> None:
    """Takes from a log, of a JSON object per line, what will be done again."""
    if log.exists():
        told = [(line, _parsed(line)) for line in log.read_text().splitlines()]
        kept = [line for line, told in told if told is not None and told["update"] <= update]
        log.write_text("".join(f"{line}\n" for line in kept))


def difference(there: Any, mine: Any) -> str:
    """How what a folder holds differs from what was asked for, in words."""
    if not isinstance(there, dict) or not isinstance(mine, dict):
        return f"{there!r} there, {mine!r} given"
    names = [name for name in {**there, **mine} if there.get(name) != mine.get(name)]
    return ", ".join(f"{name} is {there.get(name)!r} there, {mine.get(name)!r} given" for name in names)


def _parsed(line: str) -> dict[str, Any] | None:
    """A line of the log; None: the process was killed while it wrote it."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
