"""The file of a run: machine, rows, costs per system, start times. One JSON, written after every job."""

import json
from pathlib import Path
from typing import Any

from nmmo_jax.files import write_json

FORMAT = "nmmo-jax bench"
VERSION = 1
ALONE = ("systems", "start")  # jobs whose records are no rows, and have a place of their own
_PARTS = {"machine": dict, "rows": list, **dict.fromkeys(ALONE, (dict, type(None)))}
_NUMBERS = {
    "machine": ("cores",),
    "rows": (
        *("realms", "agents", "populations", "devices", "agent_steps_per_second", "worst", "mean_population"),
        *("least_population", "compile_seconds", "peak_memory_bytes", "state_bytes_per_realm"),
        "observation_bytes_per_agent",
    ),
    "systems": ("realms", "living_agents", "microseconds_per_tick"),
    "system": ("in_place_microseconds", "in_place_nanoseconds_per_agent"),
    "start": ("realms",),
    "stage": ("seconds", "step_compile_seconds"),
}
_TEXTS = {
    "machine": ("processor", "system", "jax", "backend", "device", "date"),
    "rows": ("row", "policy", "group"),
    "system": ("system",),
    "start": ("row",),
}
_LISTS = {"systems": ("systems",)}
_OBJECTS = {"start": ("cold", "cached")}


def new(machine: dict[str, Any]) -> dict[str, Any]:
    """Results without any."""
    return {"format": FORMAT, "version": VERSION, "machine": machine, "rows": [], **dict.fromkeys(ALONE)}


def read(path: Path) -> dict[str, Any]:
    """Reads the file of a run.

    Raises:
      OSError: it cannot be read.
      ValueError: names the file and what is wrong with it.
    """
    try:
        results = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: no JSON: {error}") from None
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise ValueError(f"{path}: not a result of nmmo-jax bench: must have format {FORMAT!r}")
    if results.get("version") != VERSION:
        raise ValueError(f"{path}: version {results.get('version')!r}: must be {VERSION}")
    for name, kind in _PARTS.items():
        if name not in results or not isinstance(results[name], kind):
            raise ValueError(f"{path}: {name}: missing or of the wrong type")
    _check(path, "machine", results["machine"], "machine")
    for index, row in enumerate(results["rows"]):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise ValueError(f"{path}: rows[{index}]: has no name")
        _check(path, f"rows[{index}] ({row['name']})", row, "rows")
    for name in ALONE:
        if results[name] is not None:
            _check(path, name, results[name], name)
    for index, system in enumerate((results["systems"] or {}).get("systems", ())):
        _check(path, f"systems.systems[{index}]", system, "system")
        if not isinstance(system.get("alone_microseconds", ""), (int, float, type(None))):
            raise ValueError(f"{path}: systems.systems[{index}]: alone_microseconds: missing, or no number")
    for name in ("cold", "cached"):
        if name in (results["start"] or {}):
            _check(path, f"start.{name}", results["start"][name], "stage")
    return results


def _check(path: Path, where: str, part: Any, kind: str) -> None:
    """That a part which was measured has what is told of it."""
    if not isinstance(part, dict):
        raise ValueError(f"{path}: {where}: no object")
    if "skipped" in part or "failed" in part:
        return
    kinds = (
        (_NUMBERS, (int, float), "number"),
        (_TEXTS, str, "text"),
        (_LISTS, list, "list"),
        (_OBJECTS, dict, "object"),
    )
    for fields, of, what in kinds:
        for name in fields.get(kind, ()):
            if not isinstance(part.get(name), of):
                raise ValueError(f"{path}: {where}: {name}: missing, or no {what}")
    if kind == "rows" and part["agents"] < 1:
        raise ValueError(f"{path}: {where}: agents={part['agents']}: must be at least 1")


def write(path: Path, results: dict[str, Any]) -> None:
    """Writes the file, in whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, results)


def measured(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that have numbers."""
    return [row for row in results["rows"] if "skipped" not in row and "failed" not in row]


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two machines, by name."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return {name: (one.get(name), other.get(name)) for name in names}
