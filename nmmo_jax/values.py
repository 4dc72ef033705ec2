"""Values that are given: numbers as Python's own, and whether they are allowed."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.core import Tracer


def is_traced(value: Any) -> bool:
    """Whether a value is not known yet, so that it cannot be checked."""
    return isinstance(value, Tracer)


def plain(value: Any) -> Any:
    """A number (or name) of NumPy or JAX, a 0-d array too, as Python's own; all else as it is."""
    if is_traced(value) or not isinstance(value, np.generic | np.ndarray | jax.Array) or value.ndim:
        return value
    return value.item() if isinstance(value.dtype, np.dtype) else value  # keys of JAX are of other types


def keep_plain(settings: Any) -> None:
    """Makes every number in the fields of a frozen dataclass, while it is being made, Python's own."""
    for field in dataclasses.fields(settings):
        object.__setattr__(settings, field.name, plain(getattr(settings, field.name)))


def check_int(name: str, value: Any, low: int, high: int | None = None) -> int:
    """A whole number as Python's own; NumPy's and JAX's are taken too.

    Raises:
      ValueError: it is none, or not from ``low`` to ``high``.
    """
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < low or (high is not None and number > high):
        must = f"must be a whole number, at least {low}"
        must = must if high is None else f"allowed are whole numbers from {low} to {high}"
        raise ValueError(f"{name}={number!r}: {must}")
    return number


def check_float(name: str, value: Any, low: float, high: float) -> float:
    """A number as Python's own, ``check_int`` of any number."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
        raise ValueError(f"{name}={number!r}: allowed are numbers from {low:g} to {high:g}")
    return number


def check_bool(name: str, value: Any) -> bool:
    """True or False as Python's own, ``check_int`` of switches."""
    switch = plain(value)
    if not isinstance(switch, bool):
        raise ValueError(f"{name}={switch!r}: allowed are True and False")
    return switch
