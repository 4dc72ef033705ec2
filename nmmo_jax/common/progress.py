"""How far a run has come: a bar on a terminal, now and then a line elsewhere. All speaks on standard error."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from nmmo_jax.common.text import column, safe
from nmmo_jax.common.text import console as terminal

_LINE_SECONDS = 10.0  # between lines where there is no terminal


class Shown:
    """A context in which ``show`` tells where a run stands; until then, what it begins with."""

    def __init__(
        self,
        total: float,
        *columns: ProgressColumn,
        console: Console | None = None,
        expand: bool = False,
        begin: str = "compiling",
    ):
        self.console, self._begin = console or terminal(stderr=True), begin
        self._bar = Bar(column("{task.description}"), *columns, console=self.console, expand=expand)
        self._task = self._bar.add_task(begin, total=total, start=False, told="")
        self._said: float | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar.start()
        else:
            self.console.print(f"{self._begin} ...")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._bar.stop()

    def show(self, what: str, completed: float, told: str, line: str, last: bool = False) -> None:
        """``told`` beside the bar, or the ``line``."""
        now, what, told = time.perf_counter(), safe(what), safe(told)
        if self._said is None:
            self._bar.start_task(self._task)
        self._bar.update(self._task, completed=completed, description=what, told=told)
        if not self.console.is_terminal and (last or self._said is None or now - self._said > _LINE_SECONDS):
            self._said = now
            self.console.print(safe(line), soft_wrap=True)


class Progress(Shown):
    """Of a simulation: ticks, agent-steps per second, time left and agents per realm."""

    def __init__(self, ticks: int, console: Console | None = None):
        console = console or terminal(stderr=True)
        wide = [BarColumn(bar_width=None)] if console.width >= 100 else []
        counts = (*wide, MofNCompleteColumn(), column("{task.fields[told]}"))
        left = (TimeRemainingColumn(compact=True), column("left"))
        super().__init__(ticks, *counts, *left, console=console, expand=True)
        self.ticks, self._first = ticks, None

    def update(self, ticks: int, steps: int, living: float) -> None:
        """Says where the run stands.

        Args:
          ticks: played so far.
          steps: agent-steps so far, of all realms.
          living: agents per realm.
        """
        now = time.perf_counter()
        self._first = self._first or (now, steps)  # the time that the first took is not known
        began, first = self._first
        rate = (steps - first) / max(now - began, 1e-9)
        told = f"{rate:,.0f} agent-steps/s, {living:.0f} alive" if rate else f"{living:.0f} alive"
        self.show("playing", ticks, told, f"{ticks:,} of {self.ticks:,} ticks, {told}", last=ticks == self.ticks)


@contextmanager
def waiting(told: str, console: Console | None = None) -> Iterator[None]:
    """Something that takes long and does not tell how far it has come: a spinner on a terminal, a line elsewhere."""
    console = console or terminal(stderr=True)
    if console.is_terminal:
        with console.status(Text(safe(told))):
            yield
    else:
        console.print(safe(told), soft_wrap=True)
        yield
