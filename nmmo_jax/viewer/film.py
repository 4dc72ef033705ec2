"""Pictures of a replay as files: GIF, and MP4 with the extra ``video``."""

import contextlib
import struct
import subprocess
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata

from nmmo_jax.common.extras import need
from nmmo_jax.common.spelling import near
from nmmo_jax.viewer.render import Painter

FASTEST = {".gif": 50, ".mp4": 120}  # pictures per second; browsers slow GIFs down that say more
_CLEAR = 255  # index of the colour of a GIF's pixels that stay what they are
_MEANING = 192  # colours at most that a GIF keeps as they are
_SAMPLES = 6  # pictures whose colours are counted

Told = Callable[[int], None]


def film(suffix: str) -> Callable[[BinaryIO, Painter, float, Told], None]:
    """What writes all pictures of a painter into a file, at so many per second, and tells how many it has written.

    Raises:
      ValueError: there is none for that suffix, or the package that it needs is not installed.
    """
    if suffix not in FASTEST:
        raise ValueError(f"{suffix or 'no suffix'}: allowed are {', '.join(FASTEST)}{near(suffix, FASTEST)}")
    if suffix == ".gif":
        return write_gif
    codec: Any = need("imageio_ffmpeg", "imageio-ffmpeg", "video")
    try:
        program = codec.get_ffmpeg_exe()
    except RuntimeError as error:
        raise ValueError(f"{suffix}: imageio_ffmpeg cannot be used: {error}") from None
    return lambda file, painter, fps, told: _write_mp4(program, file, painter, fps, told)


def write_gif(file: BinaryIO, painter: Painter, fps: float, told: Told = lambda _number: None) -> None:
    """A GIF that begins anew when it ends: one table of colours, and of each picture what is new in it (GIF89a)."""
    palette, nearest = _palette(painter)
    height, width = painter.shape
    file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0) + palette.tobytes())  # 256 colours
    file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
    shown = np.full((height, width), _CLEAR, np.uint8)
    for k in range(len(painter)):
        pixels = nearest[_cell(painter.picture(k))]
        new = pixels != shown
        rows, columns = (np.flatnonzero(new.any(axis)) for axis in (1, 0))
        ends = [int(at[end]) for at in (rows, columns) for end in (0, -1)] if rows.size else [0, 0, 0, 0]
        top, bottom, left, right = ends
        part = np.where(new, pixels, _CLEAR)[top : bottom + 1, left : right + 1].astype(np.uint8)
        hundredths = round((k + 1) * 100 / fps) - round(k * 100 / fps)
        how = {"duration": 10 * hundredths, "transparency": _CLEAR, "disposal": 1}
        for piece in getdata(Image.fromarray(part), (left, top), **how):
            file.write(piece)
        shown = pixels
        told(k + 1)
    file.write(b";")


def _palette(painter: Painter) -> tuple[np.ndarray, np.ndarray]:
    """256 colours, and the index of the one that stands for each cell of colours: those that mean something, and the
    most frequent of the rest.
    """
    samples = np.unique(np.linspace(0, len(painter) - 1, _SAMPLES).astype(int))
    words = [painter.picture(int(k)).astype(np.uint32) @ np.array([2**16, 2**8, 1], np.uint32) for k in samples]
    word, times = np.unique(np.stack(words), return_counts=True)
    frequent = word[np.argsort(-times, kind="stable")][:, None] >> np.array([16, 8, 0], np.uint32) & 255
    meaning = painter.colours[:_MEANING]
    kept = np.concatenate([meaning, frequent.astype(np.uint8)])[:_CLEAR]
    cell = np.arange(2**15)[:, None] >> np.array([10, 5, 0]) & 31
    middle, known = cell * 8.0 + 4, kept.astype(float)
    nearest = ((known**2).sum(1) - 2 * middle @ known.T).argmin(1).astype(np.uint8)
    nearest[_cell(meaning)] = np.arange(len(meaning), dtype=np.uint8)  # they are themselves
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(kept)] = kept
    return palette, nearest


def _cell(colours: np.ndarray) -> np.ndarray:
    """Colours ``[..., 3]`` that are nearly the same have the same number, 0 to 2^15 - 1."""
    parts = colours.astype(np.int32) >> 3
    return parts[..., 0] << 10 | parts[..., 1] << 5 | parts[..., 2]


def _write_mp4(program: str, file: BinaryIO, painter: Painter, fps: float, told: Told) -> None:
    height, width = (side + side % 2 for side in painter.shape)  # the codec halves them
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
    made = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-f", "mp4", "-movflags", "+faststart"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # JAX's; the child becomes the codec at once
        codec = subprocess.Popen(
            [program, "-v", "error", "-y", *given, *made, file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us
        )
    assert codec.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it ended, and says why
            for k in range(len(painter)):
                picture = painter.picture(k)
                padding = ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0))
                codec.stdin.write(np.pad(picture, padding, mode="edge").tobytes())
                told(k + 1)
        said = codec.communicate()[1].decode(errors="replace").splitlines()
    except BaseException:
        codec.kill()
        codec.communicate()
        raise
    if codec.returncode:
        raise OSError(f"ffmpeg: {said[-1].split('] ')[-1] if said else codec.returncode}")
