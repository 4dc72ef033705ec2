"""How far training has come."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn

from nmmo_jax.common.progress import Shown
from nmmo_jax.common.text import column


class TrainingProgress(Shown):
    """A context in which ``update`` shows rate, mean lifetime, population, share of the food, and the time left."""

    def __init__(self, updates: int | None, minutes: float | None, console: Console | None = None):
        super().__init__(1.0, BarColumn(bar_width=20), column("{task.fields[told]}"), console=console)
        self._updates, self._minutes = updates, minutes
        self._first = None

    def update(self, line: dict[str, Any]) -> None:
        """Shows a line of the log."""
        now, shares = time.perf_counter(), []
        if self._first is None:
            self._first = (line["update"], now)
        elif self._updates is not None:
            update, then = self._first
            done, left = line["update"] - update, self._updates - line["update"]
            shares.append((line["update"] / self._updates, (now - then) / max(done, 1) * left))
        if self._minutes is not None:
            shares.append((line["seconds"] / (60 * self._minutes), max(0.0, 60 * self._minutes - line["seconds"])))
        share, left = max(shares, default=(0.0, None))
        lifetime = "" if line["lifetime"] is None else f"lifetime {line['lifetime']:.1f}, "
        told = (
            f"update {line['update']:,}, {line['agent_steps_per_second']:,} agent-steps/s, {lifetime}"
            f"{line['population']:.0f} alive"
        )
        if line["harvested"] is not None:
            told += f", {line['harvested']:.0%} of the food"
        if left is not None:
            told += f", {int(left) // 60}:{int(left) % 60:02d} left"
        self.show("training", min(share, 1.0), told, told)
