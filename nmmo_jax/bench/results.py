"""The file of a run: machine, rows, costs per system, start times. One JSON, written after every job."""

from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec

from nmmo_jax.common.files import of_kind, read_json, write_json

FORMAT = "nmmo-jax bench"
VERSION = 1
ALONE = ("systems", "start")  # jobs whose records are no rows, and have a place of their own
_Number = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Amount = Annotated[float, msgspec.Meta(ge=0, le=2**62)]


class _Machine(TypedDict):
    cores: _Number
    processor: str
    system: str
    jax: str
    backend: str
    device: str
    date: str
    commit: str | None


class _Results(TypedDict):
    machine: _Machine
    rows: list[dict[str, Any]]
    systems: dict[str, Any] | None
    start: dict[str, Any] | None


class _Skipped(TypedDict, total=False):
    skipped: str
    failed: str


class _Named(_Skipped):
    name: Annotated[str, msgspec.Meta(min_length=1)]


class _Row(TypedDict):
    group: str
    row: str
    policy: str
    realms: _Number
    agents: _Number
    populations: _Number
    devices: _Number
    agent_steps_per_second: _Amount
    worst: _Amount
    mean_population: _Amount
    least_population: _Amount
    compile_seconds: _Amount
    peak_memory_bytes: _Amount
    state_bytes_per_realm: _Amount
    observation_bytes_per_agent: _Amount


class _System(TypedDict):
    system: str
    alone_microseconds: _Amount | None
    in_place_microseconds: _Amount
    in_place_nanoseconds_per_agent: _Amount


class _Systems(TypedDict):
    realms: _Number
    living_agents: _Amount
    microseconds_per_tick: _Amount
    systems: list[_System]


class _Stage(TypedDict):
    seconds: _Amount
    step_compile_seconds: _Amount


class _Start(TypedDict):
    row: str
    realms: _Number
    cold: _Stage
    cached: _Stage


def new(machine: dict[str, Any]) -> dict[str, Any]:
    """Results without any."""
    return {"format": FORMAT, "version": VERSION, "machine": machine, "rows": [], **dict.fromkeys(ALONE)}


def read(path: Path) -> dict[str, Any]:
    """Reads the file of a run.

    Raises:
      OSError: it cannot be read.
      ValueError: names the file and what is wrong with it.
    """
    results: dict[str, Any] = dict(read_json(path, _Results, format=FORMAT, version=VERSION))
    for index, row in enumerate(results["rows"]):
        of_kind(row, _Named, f"{path}: rows[{index}]")
        if not _without(row):
            of_kind(row, _Row, f"{path}: rows[{index}] ({row['name']})")
    for name, kind in (("systems", _Systems), ("start", _Start)):
        part = results[name]
        if part is not None:
            of_kind(part, _Skipped if _without(part) else kind, f"{path}: {name}")
    return results


def _without(record: dict[str, Any]) -> bool:
    """Whether it says why nothing was measured."""
    return "skipped" in record or "failed" in record


def write(path: Path, results: dict[str, Any]) -> None:
    """Writes the file, in whole or not at all."""
    write_json(path, results)


def measured(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that have numbers."""
    return [row for row in results["rows"] if not _without(row)]


def part(results: dict[str, Any], name: str) -> dict[str, Any] | None:
    """What was measured of one of ``ALONE``; None: nothing."""
    found = results[name]
    return None if found is None or _without(found) else found


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two machines, by name."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return {name: (one.get(name), other.get(name)) for name in names}
