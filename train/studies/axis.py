"""A rule of the game and the values that a study gives it."""

from typing import NamedTuple

import numpy as np

from nmmo_jax.common.text import in_full, told_apart

MOST_POINTS = 2**16  # of a range, and of a grid


class Axis(NamedTuple):
    """A rule and its values, ascending, no two equal."""

    field: str
    values: np.ndarray
    log: bool = False

    @property
    def span(self) -> str:
        """From where to where, as text."""
        low, high = self.values[0], self.values[-1]
        return in_full(low) if low == high else f"{in_full(low)} to {in_full(high)}{', in log' if self.log else ''}"

    @property
    def texts(self) -> list[str]:
        """The values, as short as tells them apart."""
        return told_apart(self.values.tolist())

    def text_of(self, value: float) -> str:
        """One of the values, likewise."""
        return self.texts[int(np.searchsorted(self.values, value))]
