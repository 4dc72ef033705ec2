"""The report on a sweep: its points, a figure, tables and files."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write, write_json
from nmmo_jax.common.text import in_full, quoted
from nmmo_jax.play.provenance import rules_as_json
from train.studies.intervals import Interval
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results
from train.studies.sweep import Sweep

_PANELS = 3  # in a row of the figure
_LABELS = 5  # at most, on an axis of it
_COLUMNS = ("measure", "least", "greatest", "half interval, median")


def report(study: Sweep, out: Path, results: Results) -> RenderableType:
    """points.csv, results.json, report.md and sweep.png."""
    found = study.measures(results)
    write(out / "points.csv", lambda file: file.write(_csv(study, found).encode()))
    ranges = {name: _range(study, interval) for name, interval in found.items()}
    write_json(
        out / "results.json",
        {
            "fields": {axis.field: axis.values.tolist() for axis in study.axes},
            "points": len(study.points),
            "worlds": study.worlds,
            "ticks": study.ticks,
            "settle": study.settle,
            "rules": rules_as_json(study.env.rules),
            "measures": {name: {"title": study.kinds[name].title, **value} for name, value in ranges.items()},
        },
    )
    differ = [name for name, value in ranges.items() if value["lowest"] != value["highest"]]
    charts.save(out, "sweep", _curves(study, found, differ) if len(study.axes) == 1 else _maps(study, found, differ))
    rows = {name: _row(study, value, full=True) for name, value in ranges.items()}
    write_report(
        out,
        "# Sweep",
        f"{quoted(study.title)}. 95 % intervals over the worlds of a point.",
        "\n".join(f"- `{axis.field}`: {len(axis.values)} values, {axis.span}" for axis in study.axes),
        markdown(_COLUMNS, [[study.kinds[name].title, *numbers] for name, numbers in rows.items()]),
        "All points are in points.csv.",
        embedded("sweep", "measures"),
    )
    return table(study.title, _COLUMNS, [[name, *_row(study, value)] for name, value in ranges.items()])


def _csv(study: Sweep, found: Mapping[str, Interval]) -> str:
    names = [axis.field for axis in study.axes] + [f"{m}{end}" for m in found for end in ("", "_low", "_high")]
    columns = [*study.points.T, *(np.asarray(value) for interval in found.values() for value in interval)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in zip(*columns, strict=True):
        point, measured = row[: len(study.axes)], row[len(study.axes) :]
        told = [f"{value:.6g}" if np.isfinite(value) else "" for value in measured]
        writer.writerow([*map(in_full, point), *told])
    return text.getvalue()


def _range(study: Sweep, interval: Interval) -> dict[str, Any]:
    """Least and greatest mean and where they are, and how sure they are; None where nothing is known."""
    known = np.isfinite(interval.mean)
    if not known.any():
        return dict.fromkeys(("lowest", "highest", "lowest_at", "highest_at", "half_interval"))
    ends = {"lowest": int(np.nanargmin(interval.mean)), "highest": int(np.nanargmax(interval.mean))}
    half = (np.asarray(interval.high) - interval.low)[known & np.isfinite(interval.low)] / 2
    return {
        **{name: float(interval.mean[point]) for name, point in ends.items()},
        **{f"{name}_at": study.points[point].tolist() for name, point in ends.items()},
        "half_interval": float(np.median(half)) if half.size else None,  # median over the points
    }


def _row(study: Sweep, value: Mapping[str, Any], full: bool = False) -> tuple[str, ...]:
    """Of a table.

    Args:
      full: whether all digits of the rules' values are told, or those that tell them apart.
    """

    def measure(x: float | None) -> str:
        return "-" if x is None else f"{x:.3g}"

    def place(point: Sequence[float] | None) -> str:
        if point is None:
            return ""
        told = (in_full(x) if full else axis.text_of(x) for axis, x in zip(study.axes, point, strict=True))
        return f" at {', '.join(told)}"

    if value["lowest"] == value["highest"]:
        return measure(value["lowest"]), "the same everywhere", "-"
    ends = (measure(value[end]) + place(value[f"{end}_at"]) for end in ("lowest", "highest"))
    return *ends, measure(value["half_interval"])


def _curves(study: Sweep, found: Mapping[str, Interval], differ: Sequence[str]) -> Figure:
    axis = study.axes[0]
    made, panels = _panels(len(differ), (4.2, 2.9))
    for panel, name in zip(panels, differ, strict=True):
        charts.line(panel, axis.values, found[name], charts.COLOURS[0], marker="o", markersize=3)
        charts.plain(panel, study.kinds[name].title, xlabel=axis.field, xscale="log" if axis.log else "linear")
        charts.along(panel, axis)
    charts.title(made, study.title)
    return made


def _maps(study: Sweep, found: Mapping[str, Interval], differ: Sequence[str]) -> Figure:
    """Of the first two fields: means over the others."""
    across, up = study.axes[:2]
    made, panels = _panels(len(differ), (4.6, 3.7))
    others = tuple(range(2, len(study.axes)))
    for panel, name in zip(panels, differ, strict=True):
        values = np.asarray(found[name].mean).reshape(study.shape)
        values = np.ma.masked_invalid(values).mean(axis=others) if others else values
        # In steps of the grid, whatever the values: a range in log is seen in log.
        image = panel.imshow(values.T, origin="lower", aspect="auto", cmap="viridis")
        made.colorbar(image, ax=panel)
        panel.set_title(study.kinds[name].title, loc="left", fontsize="medium")
        for ticks, axis, label in (
            (panel.set_xticks, across, panel.set_xlabel),
            (panel.set_yticks, up, panel.set_ylabel),
        ):
            at = np.unique(np.rint(np.linspace(0, len(axis.values) - 1, _LABELS)).astype(int))
            ticks(at, [axis.texts[i] for i in at])
            label(axis.field)
    over = f"; means over {', '.join(axis.field for axis in study.axes[2:])}" if others else ""
    nobody = "" if np.isfinite(found["lifetime"].mean).all() else "; white: nobody died"
    charts.title(made, study.title + over + nobody)
    return made


def _panels(number: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    columns = min(max(number, 1), _PANELS) if number != 4 else 2
    made, axes = charts.figure(columns, max(1, -(-number // columns)), size=size, squeeze=False)
    for spare in axes.flat[number:]:
        spare.set_axis_off()
    return made, list(axes.flat[:number])
