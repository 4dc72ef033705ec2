"""Figures of training runs, from their logs: a panel per number, a line per population; and several runs side by side.

``python -m train.figures RUN [RUN ...] --out learning.png`` compares runs: lifetimes by agent-steps and by time.
"""

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from nmmo_jax.common import entry
from nmmo_jax.common.drawing import drawing, marks, say_one, write_figure
from nmmo_jax.common.files import read_json
from nmmo_jax.common.formats import FORMATS, Format
from nmmo_jax.common.program import run_program
from nmmo_jax.common.text import drawn
from train.evaluate import Evaluation
from train.runs import LOG, read_log

# Name of a figure -> rows of panels: (number per population, title). {}: a panel per cause or ground of the log.
_FIGURES = {
    "learning": (
        (
            ("lifetime", "lifetime, ticks"),
            ("population", "living agents per realm"),
            ("reward", "reward per agent-step"),
            ("value", "value"),
        ),
        (
            ("entropy", "entropy, nats"),
            ("gradient_norm", "gradient norm"),
            ("policy_loss", "policy loss"),
            ("value_loss", "value loss"),
        ),
    ),
    "lives": (
        (("deaths_{}", "deaths by {}, share"),),
        (
            *((f"attacks_{name}", f"{name} hits per agent-step") for name in ("melee", "range", "mage")),
            ("damage_taken", "damage taken per agent-step"),
        ),
    ),
    "exploration": (
        (("visits_{}", "visits: time spent on {}, share"),),
        (("unique_{}", "unique: new {} tiles per agent-step"),),
        (("exploration_{}", "exploration of {}: unique over visits"),),
    ),
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C510A", "#7F7F7F")
_STYLES = ("-", "--", "-.", ":")  # of populations, and of runs, beyond the colours
_BASELINES = {"random": ":", "forager": "-.", "planner": "--"}
_POINTS = 150  # of a line; a longer log is drawn as means over as many parts
_MOST_NAMED = 16  # populations, in a legend
_MOST_DRAWN = 128  # populations with a line each; of more, which nobody could tell apart, a band

Lines = list[dict[str, Any]]


def write_figures(folder: Path, formats: Sequence[Format] = ("png",)) -> list[Path]:
    """Draws the figures of a run's log into its folder; returns their paths. Nothing is drawn of an empty log, nor of
    what it does not tell.
    """
    lines = read_log(folder) if (folder / LOG).exists() else []
    told = lines[-1].get("populations", {}) if lines else {}
    paths = []
    with drawing(formats):
        for name, rows in _FIGURES.items():
            rows = _rows(rows, told)
            if any(number in told for row in rows for number, _ in row):
                paths += write_figure(folder / name, _figure(lines, rows))
    return paths


def _rows(rows: Sequence[Sequence[tuple[str, str]]], told: Iterable[str]) -> list[list[tuple[str, str]]]:
    """Panels with a panel for each kind that the log tells of, in its order, in place of those with {}."""

    def panels(number: str, title: str) -> list[tuple[str, str]]:
        prefix, several, _ = number.partition("{}")
        kinds = [name.removeprefix(prefix) for name in told if name.startswith(prefix)] if several else [""]
        return [(number.format(kind), title.format(kind)) for kind in kinds]

    return [[one for panel in row for one in panels(*panel)] for row in rows]


@drawing()
def compare(runs: Sequence[Path]) -> Figure:
    """How long agents live in several runs, by living agent-steps and by wall time, beside the scripted agents of their
    evaluations.

    Raises:
      ValueError: there is no run, a folder has no log, or its log is empty, damaged or without lifetimes.
    """
    if not runs:
        raise ValueError("RUN: must be at least one folder of a training run")
    logs = [read_log(run) for run in runs]
    for run, lines in zip(runs, logs, strict=True):
        if not lines:
            raise ValueError(f"{run}: its log, metrics.jsonl, is empty")
        if "lifetime" not in lines[-1]:
            raise ValueError(f"{run}: its log, metrics.jsonl, tells no lifetime")
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    both = list(figure.subplots(1, 2, sharey=True))
    for axes, x, title in zip(both, ("agent_steps", "seconds"), ("living agent-steps", "wall seconds"), strict=True):
        for i, (name, lines) in enumerate(zip(_names(runs), logs, strict=True)):
            _plot(axes, [line[x] for line in lines], [line["lifetime"] for line in lines], i, 1.6, label=drawn(name))
        for label, (lifetime, style) in _baselines(runs).items():
            axes.axhline(lifetime, color="black", linewidth=1, linestyle=style, label=drawn(label))
        say_one(axes, max(map(len, logs)))
        _finish(axes, "", title)
    both[0].set_ylabel("lifetime, ticks (mean over populations)", fontsize=9)
    _legend(figure, both[0], 4)
    return figure


def _names(runs: Sequence[Path]) -> list[str]:
    """The folders' own names, or the whole paths where two have the same."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _baselines(runs: Sequence[Path]) -> dict[str, tuple[float, str]]:
    """Name -> lifetime and style of line, of the scripted agents; with the name of the run where runs differ."""
    told: dict[str, dict[float, str]] = {name: {} for name in _BASELINES}
    for run, name in zip(runs, _names(runs), strict=True):
        path = run / "evaluation.json"
        try:
            evaluation: dict[str, Any] = {**read_json(path, Evaluation)}
        except FileNotFoundError:
            evaluation = {}
        for policy in _BASELINES:
            lifetime = evaluation.get(policy, {}).get("lifetime")
            if lifetime is not None:
                told[policy].setdefault(lifetime, name)
    return {
        (policy if len(lifetimes) == 1 else f"{policy}, {name}"): (lifetime, _BASELINES[policy])
        for policy, lifetimes in told.items()
        for lifetime, name in lifetimes.items()
    }


def _figure(lines: Lines, rows: Sequence[Sequence[tuple[str, str]]]) -> Figure:
    columns = max(map(len, rows))
    figure = Figure(figsize=(max(13, 3.25 * columns), 2.7 * len(rows) + 0.6), layout="constrained")
    grid, named = figure.subplots(len(rows), columns, squeeze=False), None
    panels = [panel for row in rows for panel in (*row, *[("", "")] * (columns - len(row)))]
    for axes, (name, title) in zip(grid.flat, panels, strict=True):
        if name not in lines[-1]["populations"]:  # a Sword or a Pantheon that tells of other things
            axes.set_axis_off()
            continue
        steps = [line["agent_steps"] for line in lines]
        values = _numbers([line["populations"].get(name) or [None] for line in lines])
        if values.shape[1] > _MOST_DRAWN:
            _band(axes, steps, values)
        for population, one in enumerate(values.T if values.shape[1] <= _MOST_DRAWN else ()):
            label = f"population {population}" if population < _MOST_NAMED else None
            _plot(axes, steps, one, population, 1, label=label, alpha=0.8)
        _plot(axes, steps, _mean(values, 1), None, 2, label="mean")
        say_one(axes, len(lines))
        _finish(axes, title, "living agent-steps")
        named = axes
    if named is not None:
        _legend(figure, named, 9)
    return figure


def _numbers(rows: Sequence[Any]) -> np.ndarray:
    """As floats, with nan where nothing was told; shorter rows are all nan."""
    width = max(len(row) for row in rows)
    return np.array([row if len(row) == width else [None] * width for row in rows], float)


def _plot(axes: Axes, x: Any, y: Any, index: int | None, width: float, **options: Any) -> None:
    """A line; ``index`` gives its colour and style, None black."""
    x, y = np.asarray(x, float), np.array(y, float)
    parts = np.array_split(np.arange(len(x)), min(_POINTS, len(x)))
    x, y = (np.array([_mean(values[part], 0) for part in parts]) for values in (x, y))
    colour = "black" if index is None else _COLOURS[index % len(_COLOURS)]
    style = "-" if index is None else _STYLES[index // len(_COLOURS) % len(_STYLES)]
    axes.plot(x, y, color=colour, linestyle=style, linewidth=width, **{**marks(y), **options})


def _band(axes: Axes, x: Any, values: np.ndarray) -> None:
    """Where nine tenths of the populations are."""
    told = ~np.isnan(values).all(axis=1)
    if not told.any():
        return
    low, high = np.nanpercentile(values[told], (5, 95), axis=1)
    axes.fill_between(np.asarray(x, float)[told], low, high, alpha=0.3, linewidth=2, label="nine tenths of populations")


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Of what is told; nan where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis)


def _finish(axes: Axes, title: str, x: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=8)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.set_xlim(left=0)
    if axes.dataLim.ymin >= 0:
        axes.set_ylim(bottom=0)


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    """Of the lines of one panel, below all of them."""
    lines, labels = axes.get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)


@dataclasses.dataclass
class Compare:
    """Draw how long agents live in several training runs, side by side."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs."""
    out: Path = Path("learning.png")
    """The figure to write: .png, .svg or .pdf."""

    def run(self) -> None:
        """Draws it."""
        kind = self.out.suffix.lower().removeprefix(".")
        if kind not in FORMATS:
            raise ValueError(f"--out {self.out}: must end in {', '.join(f'.{one}' for one in FORMATS)}")
        with drawing((kind,)):
            write_figure(self.out.with_suffix(""), compare(self.runs))


def main(args: list[str] | None = None) -> None:
    """Compares, and exits."""
    run_program(Compare, "train.figures", args)


if __name__ == "__main__":
    entry.run("python -m train.figures", main)
