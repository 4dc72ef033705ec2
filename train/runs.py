"""What a run's folder holds besides its checkpoints: how it was configured and asked for, and its log, line by line."""

import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from nmmo_jax.common.files import Count, Number, line_of, read_json, read_lines, write
from nmmo_jax.common.formats import Format
from train.checkpoint import FOLDER, Checkpoints
from train.settings import completed

CONFIG, LOG = "config.json", "metrics.jsonl"
PARTS = ("experiment", "config", "rules", "settings", "trinity")  # of config.json and of checkpoints, equal throughout


class Asked(TypedDict):
    """What a run was asked for, which it goes on with when it is resumed."""

    minutes: Number | None  # of training in all
    updates: Count | None  # in all
    every: Count | None
    loggers: list[str]
    figure_format: list[Format]


class RunConfig(TypedDict):
    """What config.json holds: ``train.settings.describe``, and what was asked for."""

    experiment: str
    config: dict[str, Any]
    rules: dict[str, Any]
    settings: dict[str, Any]
    trinity: dict[str, str]
    asked: Asked


class Line(TypedDict):
    """What a line of a log holds at least; whatever ``Pantheon.log`` adds comes with it."""

    update: Count
    agent_steps: NotRequired[Count]
    seconds: NotRequired[Number]
    populations: NotRequired[dict[str, Any]]


class Progress(TypedDict):
    """How far a run has come, as its checkpoints tell."""

    update: Count
    agent_steps: Count
    seconds: Number  # of training


def read_config(folder: Path) -> RunConfig:
    """Reads the config.json of a run.

    Raises:
      ValueError: there is none, or it is not as it was written: the message says what in it differs from the last
        checkpoint.
    """
    path = folder / CONFIG
    try:
        return read_json(path, RunConfig)
    except OSError:
        raise ValueError(f"{folder}: holds no run (no {CONFIG})") from None
    except ValueError as error:
        raise ValueError(f"{error}{_changed(folder)}") from None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Reads the metrics.jsonl of a run; a last line that is still being written is left out.

    Raises:
      ValueError: there is none, or a line is damaged: the message says which.
    """
    try:
        return [{**line} for line in read_lines(folder / LOG, Line)]
    except OSError:
        raise ValueError(f"{folder}: holds no log (no {LOG})") from None


def forget_after(folder: Path, update: int) -> None:
    """Takes from a run's log what will be done again.

    Raises:
      ValueError: a line of it is damaged.
    """
    if (folder / LOG).exists():
        kept = [line for line in read_log(folder) if line["update"] <= update]
        text = "".join(f"{line_of(line)}\n" for line in kept)
        write(folder / LOG, lambda file: file.write(text.encode()))


def begins_anew(folder: Path) -> None:
    """That nothing is lost if a run without a checkpoint begins at its beginning: the first is written before the log.

    Raises:
      ValueError: its log tells of updates.
    """
    if (folder / LOG).exists() and (told := read_log(folder)):
        lost = f"its log goes to update {told[-1]['update']}, and there is no checkpoint in {FOLDER}/"
        raise ValueError(f"resume: {folder}: {lost}")


def difference(there: Any, mine: Any, names: tuple[str, str] = ("there", "given")) -> str:
    """How what a folder holds differs from what was asked for, in words."""
    if not isinstance(there, dict) or not isinstance(mine, dict):
        return f"{there!r} {names[0]}, {mine!r} {names[1]}"
    differing = [name for name in {**there, **mine} if there.get(name) != mine.get(name)]
    return ", ".join(f"{name} is {there.get(name)!r} {names[0]}, {mine.get(name)!r} {names[1]}" for name in differing)


def differing(there: Any, mine: Any, names: tuple[str, str] = ("there", "given")) -> str:
    """The first of ``PARTS`` in which two descriptions of a run differ, and how; empty: they are of the same."""
    there, mine = completed(there), completed(mine)
    for part in PARTS:
        if there.get(part) != mine.get(part) and not (part == "trinity" and _alike(there.get(part), mine.get(part))):
            return f"{part} differs: {difference(there.get(part), mine.get(part), names)}"
    return ""


def _alike(there: Any, mine: Any) -> bool:
    """Whether the levels are the same where one of two files, of an older version, does not name their modules."""
    if not isinstance(there, dict) or not isinstance(mine, dict) or there.keys() != mine.keys():
        return False
    pairs = [(str(there[name]), str(mine[name])) for name in mine]
    return all(a == b or (a.count(":") != b.count(":") and a.split(":")[-1] == b.split(":")[-1]) for a, b in pairs)


def _changed(folder: Path) -> str:
    """In what a config.json that is not as it was written differs from the last checkpoint, as far as can be told."""
    try:
        there = json.loads((folder / CONFIG).read_text())
        told = differing(there, Checkpoints(folder / FOLDER).about(), ("there", "in the last checkpoint"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return f"; {told}" if told else ""
