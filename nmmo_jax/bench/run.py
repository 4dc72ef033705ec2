"""Runs the jobs of a plan, each in a process of its own, and keeps every result as soon as it is there."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nmmo_jax.bench.machine import last_line, pinned
from nmmo_jax.bench.plan import Job
from nmmo_jax.bench.results import ALONE
from nmmo_jax.common.files import read_json
from nmmo_jax.common.signals import Signals

Measure = Callable[[Job], dict[str, Any]]


def measure(job: Job) -> dict[str, Any]:
    """Runs a job in a process of its own, on its cores, without a compilation cache; returns its record.

    Raises:
      RuntimeError: the process failed; says how.
      KeyboardInterrupt: a signal came; the process has ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "record.json"
        output_of(job.command(str(out)), job.cores, {"JAX_ENABLE_COMPILATION_CACHE": "false"})
        try:
            return read_json(out, dict[str, Any])
        except (OSError, ValueError) as error:
            raise RuntimeError(f"its result cannot be read: {error}") from None


def output_of(
    command: list[str],
    cores: int | None = None,
    settings: Mapping[str, str] = {},
    why: Callable[[str], str] = last_line,
) -> str:
    """Runs a command on so many cores (None: all); returns what it printed.

    Args:
      settings: environment variables that it has besides those of this process.
      why: what is told of a failure, of all that it wrote on standard error.

    Raises:
      RuntimeError: it failed; says how.
      KeyboardInterrupt: a signal came; the process has ended.
    """
    with pinned(cores):
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    try:
        with Signals(process.terminate) as watch:
            watch.grace = None
            if watch.asked:  # before there was a process to wake
                process.terminate()
            printed, told = process.communicate()
    finally:
        process.kill()
    if watch.asked:
        raise KeyboardInterrupt
    if process.returncode < 0:
        raise RuntimeError(f"ended by signal {-process.returncode} (9: most likely out of memory)")
    if process.returncode:
        raise RuntimeError(why(told))
    return printed


def missing(jobs: list[Job], results: dict[str, Any]) -> list[Job]:
    """The jobs that have no result yet; those that failed have none."""
    done = {row["name"] for row in results["rows"] if "failed" not in row}
    done |= {name for name in ALONE if results[name] is not None and "failed" not in results[name]}
    return [job for job in jobs if job.name not in done]


def run(jobs: list[Job], results: dict[str, Any], save: Callable[[], None], measure: Measure = measure) -> None:
    """Measures the jobs in turn, into ``results``.

    A job that fails leaves ``{"failed": why}`` and does not end the run; one that cannot be measured here is kept as
    ``{"skipped": why}``.

    Args:
      save: called after every job.
    """
    for job in jobs:
        keep(results, job, _record(job, measure))
        save()


def _record(job: Job, measure: Measure) -> dict[str, Any]:
    if job.skipped is not None:
        return {"skipped": job.skipped}
    try:
        return measure(job)
    except RuntimeError as error:
        return {"failed": str(error)}


def keep(results: dict[str, Any], job: Job, record: dict[str, Any]) -> None:
    """Puts the record of a job in its place; what is common to all, the machine, is kept once."""
    machine = record.pop("machine", {})
    if job.name in ALONE:
        results[job.name] = record
        return
    cores = {"cores": machine["cores"]} if machine else {}
    rows = [row for row in results["rows"] if row["name"] != job.name]
    results["rows"] = [*rows, {"name": job.name, "group": job.group, **job.options, **cores, **record}]


def failures(jobs: list[Job], results: dict[str, Any]) -> dict[str, str]:
    """Why jobs failed, by name."""
    records = {row["name"]: row for row in results["rows"]} | {name: results[name] or {} for name in ALONE}
    return {job.name: records[job.name]["failed"] for job in jobs if "failed" in records.get(job.name, {})}
