"""How figures look, whatever a user's settings of matplotlib are, and the files that they are written to."""

import contextlib
import contextvars
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmmo_jax.common.files import write
from nmmo_jax.common.formats import Format

DPI = 150
_METADATA: dict[str, dict[str, Any]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "nmmo-jax"}  # text stays text; the same figure, the same file
_FEW = 10  # points of a line, up to which each is marked
_formats: contextvars.ContextVar[tuple[Format, ...]] = contextvars.ContextVar("formats", default=("png",))


@contextlib.contextmanager
def drawing(formats: Sequence[Format] | None = None) -> Iterator[None]:
    """A context in which figures are made as matplotlib makes them by default, and written in these formats; None: in
    those of the context around it, or PNG.
    """
    token = _formats.set(_formats.get() if formats is None else tuple(dict.fromkeys(formats)))
    try:
        with matplotlib.rc_context(), warnings.catch_warnings():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            warnings.filterwarnings("ignore", "Glyph .* missing from")  # a box stands for it
            yield
    finally:
        _formats.reset(token)


def files(name: str) -> list[str]:
    """Names of the files of a figure."""
    return [f"{name}.{one}" for one in _formats.get()]


def embedded(name: str, title: str = "") -> str:
    """A figure in Markdown: the first of its files that can be shown there, a link where none can."""
    shown = next((one for one in files(name) if not one.endswith(".pdf")), None)
    return f"[{name}.pdf]({name}.pdf)" if shown is None else f"![{title or name}]({shown})"


def write_figure(path: Path, figure: Figure) -> list[Path]:
    """Writes a figure in the formats of ``drawing``; see ``write``.

    Args:
      path: of the file, without its suffix.

    Returns:
      The files.
    """
    paths = [path.with_name(name) for name in files(path.name)]
    with drawing():
        for one in paths:
            kind = one.suffix.removeprefix(".")
            write(one, lambda file, kind=kind: figure.savefig(file, format=kind, dpi=DPI, metadata=_METADATA[kind]))
    return paths


def marks(values: Any) -> dict[str, Any]:
    """Style of a line: its points are marked where they are few, or lie alone and would not be seen."""
    known = np.isfinite(np.asarray(values, np.float64))
    beside = np.zeros(known.shape, bool)
    beside[1:] |= known[:-1]
    beside[:-1] |= known[1:]
    seen = known.sum() > _FEW and not (known & ~beside).any()
    return {} if seen else {"marker": "o", "markersize": 3}


def say_one(axes: Axes, points: int) -> None:
    """Says where curves are of one point only."""
    if points == 1 and not axes.texts:
        axes.text(0.98, 0.02, "one point", transform=axes.transAxes, ha="right", fontsize="x-small", color="0.4")
