"""The commands of ``nmmo-jax``; the simulator imports nothing from here."""

import logging
import os
import sys

# Where nobody can write at home, matplotlib says at each start that it makes do with a temporary folder.
logging.getLogger("matplotlib").addFilter(
    lambda record: not str(record.msg).startswith(("Matplotlib created a temporary", "mkdir -p failed"))
)
# matplotlib cannot be imported where MPLBACKEND names what is not installed here, as it does in the processes that a
# notebook starts. No figure of ours needs a backend; others keep theirs where it can be had.
if (_backend := os.environ.get("MPLBACKEND")) and "matplotlib" not in sys.modules:
    del os.environ["MPLBACKEND"]
    import matplotlib

    try:
        matplotlib.rcParams["backend"] = _backend
        os.environ["MPLBACKEND"] = _backend
    except ValueError:
        pass
