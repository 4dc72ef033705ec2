"""The command ``nmmo-jax verify``: recorded play against the simulator."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from nmmo_jax.common.text import console as terminal
from nmmo_jax.common.text import fault, safe, verdict
from nmmo_jax.play.recorded import compare, read_recording


@dataclasses.dataclass
class Verify:
    """Play recorded files through the simulator and say which match, to the last number.

    Recordings are of the original, which has no systems and whose rules are its own: there is no --system and no --set.
    Replays of this program, with systems or without, are played again by nmmo-jax replay verify.
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
        console = terminal()
        matching = differing = unreadable = 0
        for path in self.paths:
            try:
                recording = read_recording(path)
                difference = compare(recording, self.mode)
            except (ValueError, OSError) as error:
                unreadable += 1
                console.print(verdict("error", "red", fault(path, error)), soft_wrap=True)
                continue
            size = f"{recording.num_ticks} ticks, {recording.num_agents} agents"
            if difference is None:
                matching += 1
                console.print(verdict("match", "green", f"{safe(path)} ({size})"), soft_wrap=True)
            else:
                differing += 1
                console.print(verdict("differs", "red", f"{safe(path)} ({size}): {difference}"), soft_wrap=True)
        console.print(f"{self.mode}: {matching} match, {differing} differ, {unreadable} cannot be read")
        return 2 if unreadable else int(differing > 0)
