"""Lets matplotlib be imported where MPLBACKEND names what is not installed here, or nobody can write at home.

MPLBACKEND is set so in the processes that a notebook starts. No figure of ours needs a backend; others keep theirs
where it can be had.
"""

import logging
import os
import sys

# At each start matplotlib says that it makes do with a temporary folder.
logging.getLogger("matplotlib").addFilter(
    lambda record: not str(record.msg).startswith(("Matplotlib created a temporary", "mkdir -p failed"))
)

if (_backend := os.environ.get("MPLBACKEND")) and "matplotlib" not in sys.modules:
    del os.environ["MPLBACKEND"]
    try:
        import matplotlib

        matplotlib.rcParams["backend"] = _backend
        os.environ["MPLBACKEND"] = _backend
    except (ImportError, ValueError):
        pass
