"""Peers in one run with ours: each in an environment of its own, all on one core, in turn.

    nmmo-jax bench --peers --out benchmarks/results/peers.json --overwrite

A peer is two files in ``benchmarks/peers`` of a checkout. NAME.txt has requirements for pip, and a line
``# python: >=3.9`` that says which Pythons will do. NAME.py is its driver: it plays at random, keeps observations,
times some calls after all is compiled, and ends with a line of JSON: package, version, setting, and of each call
``agent_steps`` (living agents that acted) and ``seconds``.
"""

import contextlib
import dataclasses
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from rich.console import Group, RenderableType

from nmmo_jax.bench.machine import last_line
from nmmo_jax.bench.plan import Job
from nmmo_jax.bench.report import columns
from nmmo_jax.bench.run import measure, output_of
from nmmo_jax.bench.throughput import rates
from nmmo_jax.common.files import of_kind, read_json
from nmmo_jax.common.text import quoted, safe

FORMAT, VERSION = "nmmo-jax bench --peers", 1
_CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = _CHECKOUT / "benchmarks" / "peers"
RECORD = _CHECKOUT / "benchmarks" / "results" / "peers.json"
CACHE = _CHECKOUT / ".cache" / "peers"
OURS = ("full_house", "chaos")
_REALMS = 64
_ROUNDS = 2
_REPEATS = 10  # calls of a driver, at least
_DONE = "installed.txt"  # in an environment: what pip was asked for, written when it had done it
_PYTHONS = [f"3.{minor}" for minor in range(20, 7, -1)]
_ERROR = re.compile(r"^\s*(?:[\w.]*(?:Error|Exception): |ERROR: )")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=2**30)]


class _Timed(TypedDict):
    package: str
    version: str
    setting: str
    agent_steps: Annotated[list[_Count], msgspec.Meta(min_length=_REPEATS)]
    seconds: Annotated[list[_Seconds], msgspec.Meta(min_length=_REPEATS)]


class _Row(_Timed):
    name: str
    agent_steps_per_second: _Count
    worst: _Count


class _Record(TypedDict):
    machine: dict[str, Any]
    rounds: int
    rows: list[_Row]
    missing: dict[str, str]
    failed: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Peer:
    """A program that is timed beside ours.

    Attributes:
      name: of its files.
      driver: what times it.
      requirements: what pip is asked for.
      pythons: which Pythons it can have.
    """

    name: str
    driver: Path
    requirements: Path
    pythons: SpecifierSet


def find(folder: Path) -> list[Peer]:
    """The peers of a folder, by name.

    Raises:
      ValueError: it is not there or has none, a driver is missing, or Pythons are not told in a way that can be read.
    """
    found = []
    for path in sorted(folder.glob("*.txt")):
        driver, told = path.with_suffix(".py"), re.search(r"^# python:(.*)$", path.read_text(), re.MULTILINE)
        if not driver.is_file():
            raise ValueError(f"peers={path}: has no driver {driver.name} beside it")
        try:
            pythons = SpecifierSet(told[1].strip() if told else "")
        except InvalidSpecifier:
            line = told[0] if told else ""
            raise ValueError(f"peers={path}: {line}: must be versions as pip has them, >=3.9,<3.11") from None
        found.append(Peer(path.stem, driver, path, pythons))
    if not found:
        raise ValueError(f"peers={folder}: has none: they come with a checkout, not with the installed package")
    return found


def install(peer: Peer, cache: Path) -> Path:
    """The Python of an environment that has what a peer needs; made where there is none, or it is not complete.

    Raises:
      RuntimeError: it cannot be made; says why, in a line.
      KeyboardInterrupt: a signal came; what is there is made anew next time.
    """
    folder = cache / peer.name
    python = folder / "bin" / "python"
    base = _python(peer.pythons)
    wanted = f"{base}\n{peer.requirements.read_text()}"
    with contextlib.suppress(OSError):
        if (folder / _DONE).read_text() == wanted and python.exists():
            return python
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        output_of([base, "-m", "venv", str(folder)])
        output_of([str(python), "-m", "pip", "install", "-r", str(peer.requirements)], why=_why)
        (folder / _DONE).write_text(wanted)
    except OSError as error:
        raise RuntimeError(f"{folder}: {error.strerror}") from None
    return python


def _python(pythons: SpecifierSet) -> str:
    if pythons.contains(platform.python_version()):
        return sys.executable
    for number in _PYTHONS:
        path = shutil.which(f"python{number}") if pythons.contains(number) else None
        # There may be a name only, as pyenv has it for versions that are not chosen.
        if path and not subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode:
            return path
    raise RuntimeError(f"needs Python {pythons}, and there is none like that on PATH")


def _why(told: str) -> str:
    """Of what pip told, the last line that says what is wrong; behind it are hints that it is not pip's fault."""
    lines = [line.strip() for line in told.splitlines() if _ERROR.match(line)]
    return f"pip: {lines[-1].removeprefix('ERROR: ') if lines else last_line(told)}"


def drive(peer: Peer, python: Path) -> dict[str, Any]:
    """Runs a driver on one core; returns its record.

    Raises:
      RuntimeError: it failed, or its last line is not what it must be.
      KeyboardInterrupt: a signal came.
    """
    # Packages of ours, where they are on a path, are not theirs.
    settings = {"PYTHONPATH": "", "JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_PLATFORMS": "cpu"}
    printed = output_of([str(python), str(peer.driver)], 1, settings)
    try:
        record = of_kind(json.loads(last_line(printed)), _Timed, "its last line")
        if len(record["agent_steps"]) != len(record["seconds"]):
            raise ValueError("its last line: agent_steps and seconds: must be as many")
    except ValueError as error:
        told = "its last line is no JSON" if isinstance(error, json.JSONDecodeError) else error
        raise RuntimeError(f"{peer.driver.name}: {told}") from None
    return dict(record)


def _ours(name: str) -> dict[str, Any]:
    options = {"row": name, "realms": _REALMS, "loop": "living"}
    record = measure(Job(name, name, "nmmo_jax.bench.throughput", options, 1))
    places = f"{_REALMS} realms of {record['agents']} places, {record['mean_population']:.1f} alive"
    setting = f"{name.replace('_', ' ')}, {places}"
    told = {"package": "nmmo-jax", "version": version("nmmo-jax"), "setting": setting}
    return told | {part: record[part] for part in ("agent_steps", "seconds")}


def number_of_steps(peers: list[Peer]) -> int:
    """How often ``run`` says what it does."""
    return len(peers) + _ROUNDS * (len(OURS) + len(peers))


def run(peers: list[Peer], machine: dict[str, Any], told: Callable[[str], Any]) -> dict[str, Any]:
    """Installs peers, and times them and ours in turn, some rounds.

    Args:
      machine: as ``machine.machine`` says.
      told: called with what is done next.

    Raises:
      ValueError: none of them can be installed.
      KeyboardInterrupt: a signal came.
    """
    missing: dict[str, str] = {}
    failed: dict[str, str] = {}
    timed: dict[str, Callable[[], dict[str, Any]]] = {name: lambda name=name: _ours(name) for name in OURS}
    for peer in peers:
        told(f"{peer.name}, installing")
        try:
            python = install(peer, CACHE)
            timed[peer.name] = lambda peer=peer, python=python: drive(peer, python)
        except RuntimeError as error:
            missing[peer.name] = str(error)
    if len(missing) == len(peers):
        raise ValueError(f"peers=none can be installed: {'; '.join(f'{a}: {b}' for a, b in missing.items())}")
    rows: dict[str, dict[str, Any]] = {}
    for number in range(_ROUNDS):
        for name, time in timed.items():
            told(f"{name}, round {number + 1} of {_ROUNDS}")
            if name in failed:
                continue
            try:
                one = time()
            except RuntimeError as error:
                failed[name] = str(error)
                rows.pop(name, None)  # of a round before
                continue
            row = rows.setdefault(name, {"name": name, **one, "agent_steps": [], "seconds": []})
            for part in ("agent_steps", "seconds"):
                row[part] = row[part] + one[part]
    told("")
    done = [{**row, **rates(row["agent_steps"], row["seconds"])} for row in rows.values()]
    about = {"format": FORMAT, "version": VERSION, "machine": machine, "rounds": _ROUNDS}
    return {**about, "rows": done, "missing": missing, "failed": failed}


def is_one(path: Path) -> bool:
    """Whether a file says that it is a record of this; what cannot be read is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        return json.loads(path.read_bytes()).get("format") == FORMAT
    return False


def read(path: Path) -> dict[str, Any]:
    """A record; raises as ``read_json``."""
    return dict(read_json(path, _Record, format=FORMAT, version=VERSION))


def summary(record: dict[str, Any]) -> RenderableType:
    """All of a record, for a terminal."""
    table = columns("what, setting", "steps/s", "worst", *(f"{name.replace('_', ' ')} is" for name in OURS))
    for row, ratios in _compared(record):
        label = safe(f"{row['package']} {row['version']}: {row['setting']}")
        table.add_row(label, f"{row['agent_steps_per_second']:,}", f"{row['worst']:,}", *ratios)
    told = [safe(f"{name}: not there: {why}") for name, why in record["missing"].items()]
    told += [safe(f"{name}: failed: {why}") for name, why in record["failed"].items()]
    return Group(safe(_about(record)), table, *told)


def table(record: dict[str, Any]) -> str:
    """All of a record, in Markdown."""
    names = " | ".join(f"{name.replace('_', ' ')} is" for name in OURS)
    lines = [
        f"{_about(record)}, commit {record['machine'].get('commit')}, {record['machine'].get('date')}.",
        "",
        f"| | setting | agent-steps/s | worst | {names} |",
        f"|---|---|---|---|{'---|' * len(OURS)}",
    ]
    for row, ratios in _compared(record):
        name, setting = quoted(f"{row['package']} {row['version']}"), quoted(row["setting"])
        lines.append(
            f"| {name} | {setting} | {row['agent_steps_per_second']:,} | {row['worst']:,} | {' | '.join(ratios)} |"
        )
    for what, part in (("not there", record["missing"]), ("failed", record["failed"])):
        lines += [f"\n{quoted(name)}: {what}: {quoted(why)}" for name, why in part.items()]
    return "\n".join(lines) + "\n"


def sentence(record: dict[str, Any]) -> str:
    """How many times as fast the full house is as each peer, in Markdown."""
    told = []
    for row, ratios in _compared(record):
        if row["name"] not in OURS:
            called = f"{quoted(row['package'])} {quoted(row['version'])} ({quoted(row['setting'])})"
            told.append(f"{ratios[0].replace('x', 'times')} as many as {called}")
    about = (
        "In one run, in turn, on one core (`nmmo-jax bench --peers`), the full house has, in agent-steps per second,"
    )
    return f"{about} {', '.join(told)}.\n"


def _compared(record: dict[str, Any]) -> list[tuple[dict[str, Any], list[str]]]:
    """Rows, and how many times as fast each of ours is."""
    rates_of = {row["name"]: row["agent_steps_per_second"] for row in record["rows"]}
    return [(row, [_times(rates_of.get(name), row) for name in OURS]) for row in record["rows"]]


def _times(ours: int | None, row: dict[str, Any]) -> str:
    if not ours or row["name"] in OURS or not row["agent_steps_per_second"]:
        return ""
    ratio = ours / row["agent_steps_per_second"]
    return f"{ratio:,.0f} x" if ratio >= 10 else f"{ratio:.1f} x"


def _about(record: dict[str, Any]) -> str:
    machine = record["machine"]
    calls = min((len(row["seconds"]) for row in record["rows"]), default=0)
    own = f"{machine.get('processor')}, one core, {machine.get('system')}, jax {machine.get('jax')}"
    return f"{own}; {record['rounds']} rounds in turn, living agent-steps per second, median of {calls} calls"
