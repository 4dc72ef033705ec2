"""How much memory there is, and may still be taken."""

import contextlib
import os
from pathlib import Path

import jax

_KIB = 1024


def available_memory() -> int:
    """Bytes that may still be taken, of the first device (accelerators) or of the machine."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * _KIB
    return physical_memory() // 2


def physical_memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
