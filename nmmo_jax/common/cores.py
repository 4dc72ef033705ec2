"""How many cores of the machine this process may use."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def cores(system: Path = Path("/")) -> int:
    """Cores that the process may use, at least 1: those that it is bound to (``taskset``, batch queues), or as many as
    the time that its control groups give it is worth (containers), rounded.

    Args:
      system: the folder in which /proc and /sys are.
    """
    count = getattr(os, "process_cpu_count", None)  # of Python 3.13
    bound = count() if count else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([bound or 1, *(int(quota + 0.5) for quota in _quotas(system))]))


def _quotas(system: Path) -> Iterator[float]:
    """Of each control group of this process, and those that it is in: seconds of processor per second."""
    with contextlib.suppress(OSError):
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            root = system / "sys/fs/cgroup" / (controllers and "cpu")
            group = Path(path.lstrip("/"))
            for folder in {root / group, *(root / parent for parent in group.parents), root}:
                with contextlib.suppress(OSError, ValueError):
                    if controllers:
                        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
                    else:
                        quota, period = (folder / "cpu.max").read_text().split()
                    if quota != "max" and int(quota) > 0:
                        yield int(quota) / int(period)
