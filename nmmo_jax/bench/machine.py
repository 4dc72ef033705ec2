"""What a result was measured on and with. Runs as a program, so that who only asks need not start JAX.

python -m nmmo_jax.bench.machine
"""

import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from nmmo_jax.common.cores import cores
from nmmo_jax.common.files import write_json
from nmmo_jax.common.memory import available_memory, physical_memory
from nmmo_jax.config import RULES_VERSION

_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "JAX_", "XLA_PYTHON_CLIENT_")  # names, or how names begin
_NO_FLAGS = ("JAX_COMPILATION_CACHE_DIR",)  # a path, which tells nothing
_KIB = 1024


def run_program(name: str, measure: Callable[[Any], dict[str, Any]], settings: Any) -> dict[str, Any]:
    """The end of a program that measures: its record as JSON, into ``settings.out`` or on standard output.

    What cannot be measured or written ends with a readable line.
    """
    try:
        record = measure(settings)
        if settings.out is None:
            print(json.dumps(record, indent=1))
        else:
            write_json(settings.out, record)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{name}: {error}")
    return record


def machine() -> dict[str, Any]:
    """The machine, versions, flags and commit, without names of hosts or paths; starts JAX."""
    devices = jax.local_devices()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "rules_version": RULES_VERSION,
        "commit": commit(),
        **{name: version(name) for name in ("nmmo-jax", "jax", "jaxlib", "numpy")},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": cores(),
        "memory_bytes": physical_memory(),
        "backend": jax.default_backend(),
        "device": devices[0].device_kind,
        "flags": {
            name: " ".join("PATH" if os.sep in word else word for word in value.split())
            for name, value in sorted(os.environ.items())
            if name.startswith(_FLAGS) and name not in _NO_FLAGS
        },
    }


def ask() -> dict[str, Any]:
    """``machine`` and ``memory`` of a process that ends at once, so that this one takes no accelerator's memory.

    Raises:
      OSError: that process failed.
    """
    command = [sys.executable, "-m", "nmmo_jax.bench.machine"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise OSError(f"JAX does not start: {last_line(result.stderr)}")
    return json.loads(result.stdout)


def last_line(text: str) -> str:
    """The last line that says something: of a traceback, the error."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("For simplicity, JAX")]
    return lines[-1].strip() if lines else "it says nothing"


def _bound() -> list[int]:
    """Cores to which this process is bound."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextlib.contextmanager
def pinned(number: int | None) -> Iterator[None]:
    """Has processes that are started within run on so many cores; None, or a system that cannot: on all."""
    before = _bound()
    if number is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    os.sched_setaffinity(0, before[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def peak_memory() -> int:
    """Bytes at the most so far: of the first device where it counts them (accelerators), else of the process."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


def processor() -> str:
    """Model of the processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit of the checkout this package is in, "+changes" where its code differs; None outside of one."""
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("ls-files", "__init__.py") == "":  # installed inside somebody else's checkout
            return None
        changes = git("status", "--porcelain", "--", ":/nmmo_jax", ":/train")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    print(json.dumps({"machine": machine(), "available_memory": available_memory(), "devices": jax.device_count()}))
