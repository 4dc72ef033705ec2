"""Lets matplotlib be imported where MPLBACKEND names what is not installed here.

It is set so in the processes that a notebook starts. No figure of ours needs a backend; others keep theirs where it can
be had.
"""

import os
import sys

if (_backend := os.environ.get("MPLBACKEND")) and "matplotlib" not in sys.modules:
    del os.environ["MPLBACKEND"]
    try:
        import matplotlib

        matplotlib.rcParams["backend"] = _backend
        os.environ["MPLBACKEND"] = _backend
    except (ImportError, ValueError):
        pass
