"""How far a run has come: a bar on a terminal, now and then a line elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_LINE_SECONDS = 10.0  # between lines where there is no terminal


class Progress:
    """A context in which ``update`` shows ticks, agent-steps per second, time left and agents per realm.

    Until the first update it says that the program is being compiled. Speaks on standard error.
    """

    def __init__(self, ticks: int, console: Console | None = None):
        self.ticks = ticks
        self._console = Console(stderr=True) if console is None else console
        wide = self._console.width >= 100
        self._bar = Bar(
            TextColumn("{task.description}"),
            *([BarColumn(bar_width=None)] if wide else []),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rates]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self._console,
            expand=True,
        )
        self._task = self._bar.add_task("compiling", total=ticks, start=False, rates="")
        self._began = self._said = 0.0
        self._first_steps = 0

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._bar.start()
        else:
            self._console.print("compiling ...")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._bar.stop()

    def update(self, ticks: int, steps: int, living: float) -> None:
        """Says where the run stands.

        Args:
          ticks: played so far.
          steps: agent-steps so far, of all realms.
          living: agents per realm.
        """
        now = time.perf_counter()
        if not self._began:
            self._began = self._said = now
            self._first_steps = steps  # the time they took is not known
            self._bar.start_task(self._task)
        rate = (steps - self._first_steps) / max(now - self._began, 1e-9)
        rates = f"{rate:,.0f} agent-steps/s, {living:.0f} alive" if rate else f"{living:.0f} alive"
        self._bar.update(self._task, completed=ticks, description="playing", rates=rates)
        if not self._console.is_terminal and (now - self._said > _LINE_SECONDS or ticks == self.ticks):
            self._said = now
            self._console.print(f"{ticks:,} of {self.ticks:,} ticks, {rates}", highlight=False, soft_wrap=True)
