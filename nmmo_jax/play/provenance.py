"""What the numbers of a run were made with: rules, versions and the machine, ready for JSON."""

import platform
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from nmmo_jax import __version__
from nmmo_jax.common.cores import cores
from nmmo_jax.config import RULES_VERSION
from nmmo_jax.rules import Rules


def rules_as_json(rules: Rules) -> dict[str, Any]:
    """Rules as plain numbers and lists."""
    return {name: np.asarray(value).tolist() for name, value in rules.named().items()}


def versions() -> dict[str, Any]:
    """What the numbers were made with."""
    device = jax.devices()[0]
    packages = {name: version(name) for name in ("jax", "jaxlib", "numpy", "flax")}
    return {
        "rules_version": RULES_VERSION,
        "nmmo-jax": __version__,
        **packages,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cores": cores(),
        "device": f"{device.platform}: {device.device_kind}",
    }
