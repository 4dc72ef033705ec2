"""Agent-steps per second of training by devices and by processes, each run as a user runs it.

    python -m nmmo_jax.bench.devices 1 2 4 8 2x1 4x1 --out runs/devices.json
    python -m nmmo_jax.bench.devices 1 2 4 8 2x1 4x1 --weak --set realms=8 minibatch=256

``4`` is one process with four devices, ``2x1`` two processes with one each, on this machine. On a CPU devices beyond
its cores share them: what is seen there is what sharing out costs, not what more machines bring. Rates are of the
log, from the end of the first call on. Every run plays the same worlds; with ``--weak`` each device has as many realms,
and as many rows of a minibatch, as the one of ``1``.
"""

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax.bench.machine import machine
from nmmo_jax.common.files import write_json
from nmmo_jax.common.program import run_program
from nmmo_jax.common.text import console
from nmmo_jax.values import check_int
from train.settings import experiment


@dataclasses.dataclass
class Devices:
    """Measure training on several devices, and by several processes."""

    shares: tyro.conf.Positional[tuple[str, ...]] = ("1", "2", "4", "8", "2x1", "4x1")
    """Devices of one process, or PROCESSESxDEVICES of each."""
    experiment: str = "law128"
    """What is trained."""
    updates: int = 24
    """In all, of which the first eight are not timed: they are one call."""
    set: tuple[str, ...] = ()
    """As of nmmo-jax train."""
    weak: bool = False
    """Realms and minibatch as many times as there are devices."""
    out: Path | None = None
    """File for the result, beside the table."""

    def run(self) -> int:
        """Measures, one after another.

        Raises:
          ValueError: what cannot be measured, or a run that failed.
        """
        check_int("updates", self.updates, 9)
        asked = [_share(one) for one in self.shares]
        rows = [_measured(self, *one) for one in asked]
        if self.out is not None:
            write_json(self.out, {"rows": rows, "machine": machine()})
        console().print(_table(rows))
        return 0


def _share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(?:(\d{1,3})x)?(\d{1,3})", text)
    if not found or not (processes := int(found[1] or 1)) or not int(found[2]):
        raise ValueError(f"SHARES {text}: must be a number of devices, or PROCESSESxDEVICES")
    return processes, int(found[2])


def _measured(args: Devices, processes: int, devices: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "nmmo_jax", "train", args.experiment, "--no-evaluate"]
        command += [f"--updates={args.updates}", f"--out={out}"]
        pairs = _more(args, processes * devices) if args.weak else args.set
        command += ["--set", *pairs] if pairs else []
        env = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)}
        if processes > 1:
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
            command += [f"--coordinator=127.0.0.1:{port}", f"--processes={processes}"]
        each = [[*command, *([f"--process-id={index}"] if processes > 1 else [])] for index in range(processes)]
        running = [
            subprocess.Popen(one, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for one in each
        ]
        told = [one.communicate()[1] for one in running]
        for one, words in zip(running, told, strict=True):
            if one.returncode:
                last = (words.strip().splitlines() or ["no word"])[-1]
                raise ValueError(f"SHARES {processes}x{devices}: a process ended with {one.returncode}: {last}")
        first, *_, last = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps, seconds = (last[name] - first[name] for name in ("agent_steps", "seconds"))
    return {
        "processes": processes,
        "devices": devices,
        "weak": args.weak,
        "agent_steps": last["agent_steps"],
        "lifetime": last["lifetime"],
        "agent_steps_per_second": round(steps / seconds),
    }


def _more(args: Devices, devices: int) -> list[str]:
    """What is set, with the realms and the minibatch of so many devices."""
    of_one, several = experiment(args.experiment).settings, ("realms", "minibatch")
    given = {name: str(getattr(of_one, name)) for name in several}
    for pair in args.set:
        name, _, value = pair.partition("=")
        given[name] = value
    for name in several:
        if not given[name].isdecimal():
            raise ValueError(f"--set {name}={given[name]}: must be a whole number with --weak")
        given[name] = str(int(given[name]) * devices)
    return [f"{name}={value}" for name, value in given.items()]


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in ("processes", "devices of each", "agent-steps/s", "of the first row", "agent-steps", "lifetime"):
        table.add_column(name, justify="right")
    for row in rows:
        rate, lifetime = row["agent_steps_per_second"], row["lifetime"]
        share = f"{rate / rows[0]['agent_steps_per_second']:.2f}"
        lives = "" if lifetime is None else f"{lifetime:.2f}"
        table.add_row(str(row["processes"]), str(row["devices"]), f"{rate:,}", share, f"{row['agent_steps']:,}", lives)
    return table


if __name__ == "__main__":
    run_program(Devices, "nmmo_jax.bench.devices")
