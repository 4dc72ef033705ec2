"""What the figures of studies share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from nmmo_jax.common.drawing import marks, say_one, write_figure
from nmmo_jax.common.text import heading
from nmmo_jax.world.draw import POPULATION_COLOURS
from train.studies.axis import Axis
from train.studies.intervals import Interval

COLOURS = POPULATION_COLOURS
_MOST_TICKS = 6  # of a rule's values


def figure(columns: int = 1, rows: int = 1, size: tuple[float, float] = (7.0, 4.5), **options: Any) -> Any:
    """A figure and its axes, ``[rows, columns]`` where there are several."""
    made = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return made, made.subplots(rows, columns, **options)


def plain(axes: Axes, title: str = "", **labels: Any) -> None:
    """Labels, without a frame."""
    axes.set(**labels)
    axes.set_title(title, loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.5, alpha=0.3)


def legend(axes: Axes) -> None:
    """Beside the axes, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, fontsize="small")


def line(axes: Axes, x: Any, interval: Interval, colour: Any, label: str | None = None, **style: Any) -> None:
    """Means as a line and their intervals as a band; of one point, as ``points``."""
    if np.size(interval.mean) == 1:  # a band of one point would not be seen
        points(axes, x, interval, colour, label)
        say_one(axes, 1)
        return
    axes.plot(x, interval.mean, color=colour, label=label, **{"linewidth": 1.5, **marks(interval.mean), **style})
    axes.fill_between(x, interval.low, interval.high, color=colour, alpha=0.15, linewidth=0)


def points(axes: Axes, x: Any, interval: Interval, colour: Any, label: str | None = None, **style: Any) -> None:
    """Means as points and their intervals as bars."""
    mean, low, high = (np.asarray(value, np.float64) for value in interval)
    bars = np.nan_to_num(np.stack([mean - low, high - mean]))
    axes.errorbar(x, mean, bars, color=colour, label=label, capsize=3, marker="o", markersize=4, **style)


def heat(
    axes: Axes, values: np.ndarray, texts: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str],
    **style: Any,
) -> Any:  # fmt: skip
    """A table of numbers ``[rows, columns]`` as colours with texts in them; returns the image."""
    image = axes.imshow(values, aspect="auto", **{"cmap": "viridis", **style})
    low, high = image.get_clim()
    for row, line_ in enumerate(texts):
        for column, text in enumerate(line_):
            bright = not values[row, column] <= (low + high) / 2  # unknown values are white
            axes.text(
                column, row, text, ha="center", va="center", fontsize="small", color="black" if bright else "white"
            )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    return image


def title(made: Figure, text: str) -> None:
    """What a figure is of, above all of it."""
    made.suptitle(heading(text, made.get_figwidth()), x=0.01, ha="left", fontsize="medium")


def along(axes: Axes, axis: Axis) -> None:
    """Ticks of a rule's values, in full, where they are few; never what is left of them beyond a common number."""
    if len(axis.values) <= _MOST_TICKS:
        axes.set_xticks(axis.values, axis.texts)
        axes.xaxis.set_minor_locator(NullLocator())
    elif not axis.log:
        axes.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))


def save(out: Path, name: str, made: Figure) -> None:
    """Writes a figure in the formats of ``drawing``."""
    write_figure(out / name, made)
