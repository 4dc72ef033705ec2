"""Where recorded play and maps of the original are, which this repository does not hold.

A folder with ``golden`` and ``maps``: beside the repository, or where NMMO_SHARED says. Without it, tests that read it
skip, and say so.
"""

import os
from pathlib import Path

SHARED = Path(os.environ.get("NMMO_SHARED", Path(__file__).resolve().parents[2] / "shared"))
GOLDEN = SHARED / "golden"
MAPS = SHARED / "maps"
