"""Values that are given: numbers as Python's own, and whether they are allowed."""

import dataclasses
import keyword
import re
from collections.abc import Iterable
from typing import Any, get_args

import jax
import numpy as np
from jax.core import Tracer

from nmmo_jax.common.spelling import near


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


def check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raises ``ValueError`` where a value is none of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r}: allowed are {', '.join(map(repr, allowed))}{near(str(value), allowed)}")


def check_several(name: str, values: Any, kind: Any) -> tuple[Any, ...]:
    """Several values of one type (or of a union), as a tuple.

    Raises:
      ValueError: they are not several, or one is of another type.
    """
    told = " or ".join(one.__name__ for one in get_args(kind) or [kind])
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name}={values!r}: must be several {told}, in a tuple or list")
    values = tuple(values)
    for value in values:
        if not isinstance(value, kind):
            raise ValueError(f"{name}: {value!r}: must be of type {told}")
    return values


def keep(settings: Any, **values: Any) -> None:
    """Sets fields of a frozen dataclass, while it is being made."""
    for name, value in values.items():
        object.__setattr__(settings, name, value)


def check_name(kind: str, name: Any) -> str:
    """A name as it is.

    Raises:
      ValueError: it is no plain word in lower case, or one of Python's own.
    """
    if not (isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]*", name)) or keyword.iskeyword(name):
        raise ValueError(f"{kind}: name={name!r}: must be a word of a-z, 0-9 and _")
    return name


def check_unique(what: str, names: list[Any]) -> None:
    """Raises ``ValueError`` where a name is there twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what}: {name} is there twice")


def check_function(what: str, function: Any) -> None:
    """Raises ``ValueError`` where something else than a function was given."""
    if not callable(function):
        raise ValueError(f"{what}: {function!r}: must be a function")


def check_color(what: str, color: str) -> None:
    """Raises ``ValueError`` where a color is not written as ``"#rrggbb"``."""
    digits = color[1:] if isinstance(color, str) else ""
    if len(digits) != 6 or color[0] != "#" or not set(digits.lower()) <= set("0123456789abcdef"):
        raise ValueError(f"{what}: color={color!r}: must be '#rrggbb'")
