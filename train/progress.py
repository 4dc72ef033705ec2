"""How far training has come: a bar on a terminal, now and then a line elsewhere."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_SECONDS = 10.0


class TrainingProgress:
    """A context in which ``update`` shows rate, mean lifetime, population, share of the food, and the time left."""

    def __init__(self, updates: int | None, minutes: float | None, console: Console | None = None):
        self._updates, self._minutes = updates, minutes
        self._console = Console(stderr=True, highlight=False) if console is None else console
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[told]}"))
        self._bar = Progress(*columns, console=self._console)
        self._task = self._bar.add_task("compiling", total=1.0, told="")
        self._began, self._said, self._first = time.perf_counter(), 0.0, None

    def __enter__(self) -> "TrainingProgress":
        if self._console.is_terminal:
            self._bar.start()
        else:
            self._console.print("compiling ...")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._bar.stop()

    def update(self, line: dict[str, Any]) -> None:
        """Shows a line of the log."""
        now = time.perf_counter()
        passed, shares = now - self._began, []
        if self._first is None:
            self._first = (line["update"], now)
        elif self._updates is not None:
            update, then = self._first
            done, left = line["update"] - update, self._updates - line["update"]
            shares.append((line["update"] / self._updates, (now - then) / max(done, 1) * left))
        if self._minutes is not None:
            shares.append((passed / (60 * self._minutes), max(0.0, 60 * self._minutes - passed)))
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
        self._bar.update(self._task, completed=min(share, 1.0), description="training", told=told)
        if not self._console.is_terminal and now - self._said > _LINE_SECONDS:
            self._said = now
            self._console.print(told, soft_wrap=True)
