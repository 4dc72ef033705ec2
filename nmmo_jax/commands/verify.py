"""The command ``nmmo-jax verify``: recorded play against the simulator."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape

from nmmo_jax.recorded import compare, read_recording


@dataclasses.dataclass
class Verify:
    """Play recorded files through the simulator and say which match, to the last number.

    Exit status: 0 all match, 1 some differ, 2 some cannot be read.
    """

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Recordings (.npz)."""
    mode: Literal["sequential", "simultaneous"] = "sequential"
    """Order inside a tick. sequential: agents one after another, oldest first, as the original; everything must
    match. simultaneous: all at once; families that begin with law must match, others where nobody meets the
    result of another's turn (chaos_ordered)."""

    def run(self) -> int:
        """Prints a line per file; returns the exit status."""
        if not self.paths:
            raise ValueError("PATHS: name at least one recording")
        console = Console(highlight=False, soft_wrap=True)
        matching = differing = unreadable = 0
        for path in self.paths:
            try:
                recording = read_recording(path)
                difference = compare(recording, self.mode)
            except (ValueError, OSError) as error:
                unreadable += 1
                console.print(f"[red]error[/]    {escape(_with_path(path, error))}")
                continue
            size = f"{recording.num_ticks} ticks, {recording.num_agents} agents"
            if difference is None:
                matching += 1
                console.print(f"[green]match[/]    {escape(str(path))} ({size})")
            else:
                differing += 1
                console.print(f"[red]differs[/]  {escape(str(path))} ({size}): {escape(str(difference))}")
        console.print(f"{self.mode}: {matching} match, {differing} differ, {unreadable} cannot be read")
        return 2 if unreadable else int(differing > 0)


def _with_path(path: Path, error: Exception) -> str:
    text = str(error).splitlines()[0]
    return text if str(path) in text else f"{path}: {text}"
