"""Where the time of a compiled program goes: the profiler's times, joined to the program's own text."""

import dataclasses
import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jax
from rich.box import SIMPLE_HEAD
from rich.table import Table

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.-]+) = (?P<shape>\(.*?\)|\S+) (?P<kind>[\w-]+)\(", re.M)
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?(?P<name>[\w.-]+) \(")
_SECTION = re.compile(r"^(FileNames|FunctionNames|FileLocations|StackFrames)\n((?:\d+ .*\n)*)", re.M)
_SHOWN = 25


@dataclasses.dataclass(frozen=True)
class Instruction:
    """A line of a compiled program.

    Attributes:
      shape: of its result.
      operation: of JAX, from which its result comes; "" where XLA has added it.
      functions: the functions of the source in which that was called, innermost first.
      files: likewise, the files in which they are.
      within: the instructions of the computation it calls (of a fusion: what was fused), by name.
    """

    shape: str
    operation: str
    functions: tuple[str, ...]
    files: tuple[str, ...] = ()
    within: tuple[str, ...] = ()


def trace(play: Any, arguments: tuple[Any, ...], folder: Path) -> dict[str, float]:
    """Microseconds that each instruction took in one call, without those that ran inside of it (loops).

    Args:
      play: compiled; the arguments it donates are gone afterwards.
      arguments: of the call.
      folder: for the trace, which TensorBoard and Perfetto read.

    Raises:
      RuntimeError: the profiler has left no trace of the program.
    """
    with jax.profiler.trace(str(folder)):
        jax.block_until_ready(play(*arguments))
    files = sorted(folder.rglob("*.trace.json.gz"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise RuntimeError("profile: the profiler has left no trace")
    events = json.loads(gzip.decompress(files[-1].read_bytes()))["traceEvents"]
    times = own_times([event for event in events if event.get("ph") == "X" and "hlo_op" in event.get("args", {})])
    if not times:
        raise RuntimeError("profile: the trace has no instruction of the program")
    return times


def own_times(events: list[dict[str, Any]]) -> dict[str, float]:
    """Microseconds per instruction, of complete events that may lie within one another on their thread."""
    total: Counter[str] = Counter()
    open_events: list[dict[str, Any]] = []
    thread = None
    for event in sorted(events, key=lambda event: (event["pid"], event["tid"], event["ts"], -event["dur"])):
        if thread != (event["pid"], event["tid"]):
            thread, open_events = (event["pid"], event["tid"]), []
        while open_events and event["ts"] >= open_events[-1]["ts"] + open_events[-1]["dur"]:
            open_events.pop()
        total[event["args"]["hlo_op"]] += event["dur"]
        if open_events:
            total[open_events[-1]["args"]["hlo_op"]] -= event["dur"]
        open_events.append(event)
    return dict(total)


def instructions(text: str) -> dict[str, Instruction]:
    """The instructions of a compiled program, by name, from its text (``compiled.as_text()``)."""
    tables = {name: dict(line.split(" ", 1) for line in body.splitlines()) for name, body in _SECTION.findall(text)}
    functions = {index: name.strip('"') for index, name in tables.get("FunctionNames", {}).items()}
    files = {index: name.strip('"') for index, name in tables.get("FileNames", {}).items()}
    locations = {
        index: (functions.get(_number("function_name_id", line), ""), files.get(_number("file_name_id", line), ""))
        for index, line in tables.get("FileLocations", {}).items()
    }
    frames = {
        index: (locations.get(_number("file_location_id", line), ("", "")), _number("parent_frame_id", line))
        for index, line in tables.get("StackFrames", {}).items()
    }
    found: dict[str, Instruction] = {}
    members: dict[str, list[str]] = {}  # of each computation
    calls: dict[str, str] = {}
    computation = ""
    for line in text.splitlines():
        if line.endswith("{") and (header := _COMPUTATION.match(line)):
            computation = header["name"]
        elif match := _INSTRUCTION.match(line):
            operation = re.search(r'op_name="([^"]*)"', line)
            names, frame = [], _number("stack_frame_id", line)
            while frame in frames:
                names.append(frames[frame][0])
                frame = str(int(frames[frame][1] or 1) - 1)  # the parent's number is written one too high; 0: none
            called_in = (tuple(name for name, _ in names), tuple(file for _, file in names))
            found[match["name"]] = Instruction(match["shape"], operation[1] if operation else "", *called_in)
            members.setdefault(computation, []).append(match["name"])
            if called := re.search(r"\b(?:calls|to_apply)=%?([\w.-]+)", line):
                calls[match["name"]] = called[1]
    for name, called in calls.items():
        found[name] = dataclasses.replace(found[name], within=tuple(members.get(called, ())))
    return found


def _number(field: str, line: str) -> str:
    match = re.search(rf"\b{field}=(\d+)", line)
    return match[1] if match else ""


def profile(play: Any, arguments: tuple[Any, ...], ticks: int, folder: Path) -> list[dict[str, Any]]:
    """The slowest instructions of one call: microseconds per tick, name, shape of the result, operation."""
    known, nothing = instructions(play.as_text()), Instruction("", "", ())
    times = trace(play, arguments, folder)
    slowest = sorted(times.items(), key=lambda item: -item[1])[:_SHOWN]
    return [
        {
            "microseconds_per_tick": round(time / ticks, 1),
            "name": name,
            "shape": known.get(name, nothing).shape,
            "operation": known.get(name, nothing).operation,
        }
        for name, time in slowest
    ]


def profile_table(rows: list[dict[str, Any]]) -> Table:
    """What ``profile`` returns, for a terminal."""
    table = Table(title="Slowest parts of a tick", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("µs per tick", justify="right", no_wrap=True)
    table.add_column("instruction")
    table.add_column("result")
    table.add_column("operation")
    for one in rows:
        cells = (f"{one['microseconds_per_tick']:,.1f}", one["name"], one["shape"], one["operation"])
        table.add_row(*cells)
    return table
