"""Packages that only some things need."""

import importlib
import sys
from types import ModuleType


def need(module: str, package: str, extra: str) -> ModuleType:
    """Imports a module that an extra of ``pyproject.toml`` brings.

    Raises:
      ValueError: it cannot be imported; the message says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        told = f"{sys.executable} -m pip install {package}, or pip install '.[{extra}]' in the folder of nmmo-jax"
        raise ValueError(f"{module} cannot be imported ({error}): {told}") from None
