"""Formats that figures are written in, for who asks for figures and does not draw them."""

from collections.abc import Sequence
from typing import Literal

from nmmo_jax.common.spelling import near

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = ("png", "svg", "pdf")


def check_formats(formats: Sequence[str]) -> None:
    """Refuses what figures cannot be written in."""
    if not formats or not set(formats) <= set(FORMATS):
        nearest = near(next((one for one in formats if one not in FORMATS), ""), FORMATS)
        raise ValueError(f"--figure-format {' '.join(formats)}: must be one or more of {', '.join(FORMATS)}{nearest}")
