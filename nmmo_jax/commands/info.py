"""The command ``nmmo-jax info``: what is installed, on what it runs, and what limits it."""

import dataclasses
import json
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import jax
import tyro
from rich.text import Text

from nmmo_jax.bench.machine import available_memory, machine
from nmmo_jax.common.requirements import Extra, extras, versions
from nmmo_jax.common.text import console as terminal
from nmmo_jax.common.text import safe
from nmmo_jax.config import MAX_AGENTS, MAX_POPULATIONS, MAX_SIDE, MAX_TICKS, RULES_VERSION
from nmmo_jax.world.pool import MAX_MAPS

_GIB, _MIB = 2**30, 2**20


@dataclasses.dataclass
class Info:
    """Tell what is installed, which devices JAX has, where compiled programs are kept, what the limits are, and with
    which command each optional extra comes.
    """

    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """As JSON, for programs and for reports of faults. It names folders of this machine."""

    def run(self) -> None:
        """Prints it, or JSON."""
        found = about()
        if self.json:
            print(json.dumps(found, indent=1))
            return
        console, sections = terminal(), _sections(found)
        width = max(len(name) for rows in sections.values() for name in rows)
        for title, rows in sections.items():
            console.print(title, style="bold")
            for name, text in rows.items():  # no table: in its cells a command would be broken, and could not be copied
                console.print(Text.assemble((f"  {name:{width}}  ", "cyan"), safe(text)), soft_wrap=True)


def about() -> dict[str, Any]:
    """All of it, as JSON has it; starts JAX. Sizes are bytes, sides of maps tiles.

    Raises:
      ValueError: the package is not installed, and its requirements are not known.
    """
    installed, optional = versions(), extras()
    here = machine()
    return {
        "versions": {"rules": RULES_VERSION, "python": platform.python_version(), **installed},
        "commit": here["commit"],
        "machine": {name: here[name] for name in ("system", "processor", "cores", "memory_bytes")}
        | {"available_bytes": available_memory(), "python": sys.executable},
        "backend": here["backend"],
        "devices": [_device(one) for one in jax.devices()],
        "processes": jax.process_count(),
        "flags": here["flags"],
        "cache": _cache(),
        "limits": {
            "agents": MAX_AGENTS,
            "populations": MAX_POPULATIONS,
            "side": MAX_SIDE,
            "maps": MAX_MAPS,
            "ticks": MAX_TICKS,
            "open_files": _open_files(),
        },
        "extras": {name: _extra(one) for name, one in optional.items()},
    }


def _device(device: Any) -> dict[str, Any]:
    stats = device.memory_stats() if device.process_index == jax.process_index() else None
    memory = (stats or {}).get("bytes_limit")
    return {"id": device.id, "kind": device.device_kind, "platform": device.platform, "memory_bytes": memory}


def _cache() -> dict[str, Any]:
    """Where JAX keeps compiled programs between runs, and what is there."""
    folder = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue] - made at run time
    if not folder:
        return {"folder": None, "programs": 0, "bytes": 0}
    if "://" in folder:  # of a bucket, which is not counted
        return {"folder": folder, "programs": None, "bytes": None}
    files = [path for path in Path(folder).glob("*") if path.is_file()]
    return {
        "folder": folder,
        "programs": sum(path.name.endswith("-cache") for path in files),
        "bytes": sum(path.stat().st_size for path in files),
    }


def _open_files() -> int | None:
    """Files and connections that a process may have open at once; None: any number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _extra(extra: Extra) -> dict[str, Any]:
    return {"there": not extra.missing, "missing": extra.missing, "command": extra.command}


def _sections(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Title -> name -> text, as people read them."""
    own, limits, cache = found["machine"], found["limits"], found["cache"]
    kinds = [(one["kind"], one["platform"], one["memory_bytes"]) for one in found["devices"]]
    devices = [
        f"{kinds.count(kind)} x {kind[0]} ({kind[1]})" + (f", {kind[2] / _GIB:.1f} GiB each" if kind[2] else "")
        for kind in dict.fromkeys(kinds)
    ]
    files = "any number" if limits["open_files"] is None else f"{limits['open_files']:,}"
    return {
        "Versions": {name: str(version) for name, version in found["versions"].items()}
        | ({"commit": found["commit"]} if found["commit"] else {}),
        "Machine": {
            "system": own["system"],
            "processor": f"{own['processor']}, {own['cores']} cores to use",
            "memory": f"{own['memory_bytes'] / _GIB:.1f} GiB, {own['available_bytes'] / _GIB:.1f} GiB to be had",
            "devices": ", ".join(devices),
            "backend": found["backend"] + (f", {found['processes']} processes" if found["processes"] > 1 else ""),
            "python": own["python"],
        },
        **({"Flags": found["flags"]} if found["flags"] else {}),
        "Compiled programs": {"kept in": _told(cache)},
        "Limits": {
            "agents": f"{limits['agents']:,} per world, in at most {limits['populations']:,} populations",
            "map": f"{limits['side']:,} x {limits['side']:,} tiles, {limits['maps']:,} maps at once",
            "ticks": f"{limits['ticks']:,}",
            "open files": f"{files} (ulimit -n)",
        },
        "Extras": {name: "there" if one["there"] else one["command"] for name, one in found["extras"].items()},
    }


def _told(cache: dict[str, Any]) -> str:
    if cache["folder"] is None:
        return "nowhere: every start compiles anew (JAX_COMPILATION_CACHE_DIR=FOLDER keeps them)"
    if cache["bytes"] is None:
        return cache["folder"]
    place = cache["folder"] if os.path.isdir(cache["folder"]) else f"{cache['folder']} (not there yet)"
    return f"{place}: {cache['programs']:,} programs, {cache['bytes'] / _MIB:,.0f} MiB"
