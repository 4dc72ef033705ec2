"""Figures of a training run, from its log: a panel per number, a line per population."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from nmmo_jax.commands.report import write_figure

# Name of a figure -> panels: (number per population, title).
_FIGURES = {
    "learning": (
        ("lifetime", "lifetime, ticks"),
        ("population", "living agents per realm"),
        ("reward", "reward per agent-step"),
        ("value", "value"),
        ("entropy", "entropy, nats"),
        ("gradient_norm", "gradient norm"),
        ("policy_loss", "policy loss"),
        ("value_loss", "value loss"),
    ),
    "lives": (
        ("deaths_lava", "deaths by lava, share"),
        ("deaths_starvation", "deaths by starvation, share"),
        ("deaths_thirst", "deaths by thirst, share"),
        ("deaths_combat", "deaths by combat, share"),
        ("attacks_melee", "melee hits per agent-step"),
        ("attacks_range", "range hits per agent-step"),
        ("attacks_mage", "mage hits per agent-step"),
        ("damage_taken", "damage taken per agent-step"),
    ),
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")


def write_figures(folder: Path) -> list[Path]:
    """Draws the figures of a run's log into its folder; returns their paths. Nothing is drawn of an empty log."""
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if not lines:
        return []
    paths = [folder / f"{name}.png" for name in _FIGURES]
    for path, panels in zip(paths, _FIGURES.values(), strict=True):
        write_figure(path, _figure(lines, panels))
    return paths


def _figure(lines: list[dict[str, Any]], panels: tuple[tuple[str, str], ...]) -> Figure:
    figure = Figure(figsize=(12, 6), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, len(panels) // 2).flat, panels, strict=True):
        _panel(axes, lines, name, title)
    return figure


def _panel(axes: Axes, lines: list[dict[str, Any]], name: str, title: str) -> None:
    steps = [line["agent_steps"] for line in lines]
    number = len(lines[-1]["populations"][name])
    for population in range(number):
        values = [line["populations"][name][population] for line in lines]
        values = [float("nan") if value is None else value for value in values]
        axes.plot(steps, values, color=_COLOURS[population % len(_COLOURS)], linewidth=1, alpha=0.8)
    if name in lines[-1]:
        values = [float("nan") if line[name] is None else line[name] for line in lines]
        mean = [value / (number if name == "population" else 1) for value in values]
        axes.plot(steps, mean, color="black", linewidth=2)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("living agent-steps", fontsize=8)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
