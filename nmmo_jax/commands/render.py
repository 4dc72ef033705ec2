"""The command ``nmmo-jax render``: pictures and films of a replay, without a browser."""

import dataclasses
from pathlib import Path

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

from nmmo_jax.commands.replay import indices
from nmmo_jax.common.files import write
from nmmo_jax.common.progress import Shown
from nmmo_jax.common.text import column, console, safe
from nmmo_jax.replay_file import load_replay
from nmmo_jax.viewer.film import FASTEST, film
from nmmo_jax.viewer.render import Painter
from nmmo_jax.world.draw import write_png

_FPS = 10.0


@dataclasses.dataclass
class Render:
    """Draw a replay, seen from above: a film (.gif, .mp4), or a picture of one tick (.png).

    Agents are discs in the colours of their populations; newborn ones have a white edge, frozen ones a pale blue one,
    and a cross is left by who died in that tick. Lines are attacks: melee red, range green, mage blue. A bar is what is
    left of an agent's health. Harvested forests look like scrub.
    """

    replay: tyro.conf.Positional[Path]
    """A replay (.npz), from simulate --record, train, watch --record or replay cut."""
    out: Path
    """File to write: .gif, .mp4 (needs the package imageio-ffmpeg) or .png."""
    first: int | None = None
    """Tick of the world with which a film begins. Default: the first there is."""
    last: int | None = None
    """Tick of the world with which a film ends. Default: the last there is."""
    every: int | None = None
    """Ticks from picture to picture of a film. Default: 1."""
    fps: float | None = None
    """Pictures per second of a film. Default: 10."""
    tick: int | None = None
    """Tick of a picture (.png). Default: the last there is."""
    scale: int | None = None
    """Pixels per tile. Default: what gives about 640 pixels."""
    window: int | None = None
    """Side of the square of tiles that is shown, where most agents are. Default: all land."""
    follow: int | None = None
    """Number (uid) of an agent that the window, 31 tiles if not given, goes along with."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace --out if it exists."""

    def run(self) -> None:
        """Reads, draws, writes.

        Raises:
          ValueError, OSError: what cannot be read, drawn or written.
        """
        suffix = self.out.suffix.lower()
        still = suffix == ".png"
        self._check(suffix, still)
        if self.out.exists() and not self.overwrite:
            raise FileExistsError(f"{self.out}: exists (--overwrite replaces it)")
        encode = None if still else film(suffix)
        replay = load_replay(self.replay)
        try:
            first, last = indices(replay, *((self.tick, self.tick) if still else (self.first, self.last)))
            frames = range(last, last + 1) if still else range(first, last + 1, self.every or 1)
            painter = Painter(replay, frames, self.scale, self.window, self.follow)
        except ValueError as error:
            raise ValueError(f"{self.replay}: {error}") from None
        if encode is None:
            write_png(self.out, painter.picture(0))
        else:
            fps, number = self.fps or _FPS, len(painter)
            columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True), column("left")
            with Shown(number, *columns, begin="drawing") as shown:

                def tell(done: int) -> None:
                    shown.show("drawing", done, "", f"{done:,} of {number:,} pictures", last=done == number)

                write(self.out, lambda file: encode(file, painter, fps, tell))
        height, width = painter.shape
        what = f"{width} x {height} pixels" if still else f"{len(painter):,} pictures of {width} x {height} pixels"
        size = f"{self.out.stat().st_size / 1e6:.2f} MB"
        console().print(f"{safe(self.out)}: {what}, {size}", soft_wrap=True)

    def _check(self, suffix: str, still: bool) -> None:
        if suffix not in (".png", *FASTEST):
            raise ValueError(f"--out {self.out}: must end in .png, {' or '.join(FASTEST)}")
        films = {"--first": self.first, "--last": self.last, "--every": self.every, "--fps": self.fps}
        for flag, value in films.items() if still else [("--tick", self.tick)]:
            if value is not None:
                raise ValueError(f"{flag} {value}: means nothing for a {'picture' if still else 'film'} ({suffix})")
        if self.every is not None and self.every < 1:
            raise ValueError(f"--every {self.every}: must be at least 1 tick")
        if self.fps is not None and not 0.1 <= self.fps <= FASTEST[suffix]:
            raise ValueError(f"--fps {self.fps}: allowed are 0.1 to {FASTEST[suffix]} for {suffix}")
