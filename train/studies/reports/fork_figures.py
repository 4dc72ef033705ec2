"""Figures of ``nmmo-jax fork``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.patches import FancyArrowPatch

from nmmo_jax.common.text import drawn
from nmmo_jax.kinds import Material
from nmmo_jax.world.draw import PALETTE, map_image
from train.studies.intervals import Interval, mean_interval
from train.studies.reports import charts
from train.studies.study import Result

_ARROWS = 60  # at most, of the strongest
_LEVEL = 4  # names below an axis, that are not turned
_NEAR = 15  # tiles around a removed agent that are shown
_COLD, _WARM = "#2166ac", "#b2182b"  # lives longer without, lives shorter without


def dependency(out: Path, world: Result, labels: tuple[str, ...], title: str, colours: np.ndarray = PALETTE) -> None:
    """dependency.png: a world at the fork, arrows from the removed to the others, and one removal from near."""
    effect = (world["lived"][:, 1:] - world["lived"][:, :1]).astype(float)
    row, col, own = world["row"], world["col"], np.eye(effect.shape[1], dtype=bool)
    interval = mean_interval(effect)
    clear = ((np.asarray(interval.low) > 0) | (np.asarray(interval.high) < 0)) & ~own
    mean = np.where(own, 0, interval.mean)
    strength = np.where(clear, abs(mean), 0)
    most = max(float(strength.max(initial=0)), 1.0)
    figure, (left, right) = charts.figure(2, size=(5.6, 5.6))
    for axes in (left, right):
        axes.imshow(0.35 * map_image(world["material"], 1, colours=colours) / 255 + 0.65)
        axes.set(xlabel="column (tiles)", ylabel="row (tiles)")
    inside = np.argwhere(world["material"] != Material.LAVA)
    (top, start), (bottom, end) = inside.min(axis=0), inside.max(axis=0)
    left.set(xlim=(start - 2, end + 2), ylim=(bottom + 2, top - 2))
    for flat in np.argsort(-strength, axis=None)[:_ARROWS]:
        removed, other = np.unravel_index(flat, strength.shape)
        if (size := strength[removed, other]) > 0:
            colour = _COLD if mean[removed, other] > 0 else _WARM
            ends = {"posA": (col[removed], row[removed]), "posB": (col[other], row[other])}
            style = {"arrowstyle": "-|>", "mutation_scale": 8, "shrinkA": 2, "shrinkB": 2, "alpha": 0.8}
            left.add_patch(FancyArrowPatch(**ends, **style, color=colour, linewidth=0.4 + 1.6 * size / most))
    plays = np.asarray(labels)[world["population"] % len(labels)]
    edge = {"edgecolor": "white", "linewidth": 0.4, "zorder": 3}
    for index, kind in enumerate(dict.fromkeys(labels)):
        left.scatter(
            col[plays == kind],
            row[plays == kind],
            16,
            charts.COLOURS[index % len(charts.COLOURS)],
            label=drawn(kind),
            **edge,
        )
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=4, frameon=False)
    shown = min(_ARROWS, int((strength > 0).sum()))
    left.set_title(
        f"{'all' if shown == clear.sum() else f'the {shown} strongest of'} {clear.sum():,} clear effects on life, from "
        f"the removed to the other\nblue: it lives longer without; red: shorter; at most {most:.0f} ticks",
        loc="left",
        fontsize="medium",
    )
    if effect.shape[1]:
        _near(figure, right, world, mean, int(strength.sum(axis=1).argmax()), plays)
    charts.title(figure, f"Who depends on whom, world 0: {title}")
    charts.save(out, "dependency", figure)


def _near(figure: Any, axes: Any, world: Result, mean: np.ndarray, chosen: int, plays: np.ndarray) -> None:
    """What the removal of one agent does to those around it."""
    row, col = world["row"].astype(int), world["col"].astype(int)
    others = np.arange(row.size) != chosen
    scale = max(float(abs(mean[chosen]).max()), 1.0)
    colours = {"cmap": "RdBu", "vmin": -scale, "vmax": scale, "edgecolor": "0.3", "linewidth": 0.5}
    dots = axes.scatter(col[others], row[others], 60, mean[chosen][others], **colours)
    axes.scatter(col[chosen], row[chosen], 260, "#ffd400", marker="*", edgecolor="black", linewidth=0.6, zorder=3)
    far = np.maximum(abs(row - row[chosen]), abs(col - col[chosen]))
    for other in np.flatnonzero(others & (far <= _NEAR) & (abs(mean[chosen]) >= 0.5)):
        axes.annotate(f"{mean[chosen, other]:+.0f}", (col[other], row[other]), (6, 4), textcoords="offset points")
    height, width = world["material"].shape
    row_, col_ = (np.clip(at[chosen], _NEAR, most - 1 - _NEAR) for at, most in ((row, height), (col, width)))
    axes.set(xlim=(col_ - _NEAR - 0.5, col_ + _NEAR + 0.5), ylim=(row_ + _NEAR + 0.5, row_ - _NEAR - 0.5))
    figure.colorbar(dots, ax=axes, shrink=0.75, pad=0.02, label="ticks lived more without it (mean over futures)")
    touched = int(np.count_nonzero(mean[chosen]))
    axes.set_title(
        f"without agent {world['uid'][chosen]} (star), {drawn(plays[chosen])}:\n"
        f"{touched} of {others.sum()} others live longer or shorter",
        loc="left",
        fontsize="medium",
    )


def distance(
    out: Path, worlds: Sequence[Result], rows: Sequence[dict[str, Any]], horizon: int, tiles: Sequence[int], title: str
) -> None:
    """distance.png: effects by the distance at the fork, and when a difference came how far.

    Args:
      rows: bins of distance, as ``train.studies.dependency.by_distance`` gives them.
      horizon: ticks after the fork.
      tiles: how far a change can have come after 0, 1, 2 ... ticks; empty: any distance.
    """
    figure, (first, second) = charts.figure(2, size=(5.6, 4.2))
    place = np.arange(len(rows))
    for name, label, colour in (("lived_abs", "absolute", charts.COLOURS[0]), ("lived", "signed", charts.COLOURS[1])):
        effect = Interval(*np.array([row[name] for row in rows]).reshape(-1, 3).T)  # no row: nobody had company
        charts.points(first, place, effect, colour, label, linewidth=1.2)
    first.axhline(0, color="0.6", linewidth=0.8)
    first.set_xticks(place, [row["tiles"] for row in rows], rotation=20, ha="right", fontsize="small")
    first.legend(frameon=False)
    charts.plain(
        first,
        "difference in ticks lived, per pair",
        xlabel="distance at the fork (tiles)",
        ylabel="ticks (interval: over worlds)",
    )
    changed, apart = [], []
    for one in worlds:
        row, col = one["row"].astype(int), one["col"].astype(int)
        far = np.maximum(abs(row[:, None] - row), abs(col[:, None] - col))
        others = ~np.eye(far.shape[0], dtype=bool)
        apart.append(np.broadcast_to(far[others], (one["changed"].shape[0], others.sum())).ravel())
        changed.append(one["changed"][:, 1:][:, others].ravel())
    far, when, ticks = np.concatenate(apart), np.concatenate(changed), np.arange(horizon + 1)
    width = 2
    bins = int(far.max(initial=1)) // width + 1
    total = np.bincount(far // width, minlength=bins)
    share = np.full((horizon + 1, bins), np.nan)
    for tick in ticks:
        known = np.bincount(far[when <= tick] // width, minlength=bins)
        share[tick] = np.where(known > 0, known / np.maximum(total, 1), np.nan)  # nobody: left white
    box = (0, bins * width, -0.5, horizon + 0.5)
    scale = {"cmap": "viridis", "norm": LogNorm(1e-4, 1)}
    image = second.imshow(share, origin="lower", aspect="auto", extent=box, interpolation="none", **scale)
    if tiles:
        line = {"color": _WARM, "linewidth": 1.5, "linestyle": "--"}
        second.plot(tiles, ticks, **line, label="the farthest that anything can come")
        second.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 0.12))
    second.set(xlim=(0, bins * width), ylim=(0, horizon))
    figure.colorbar(image, ax=second, label="share of the others (white: nobody)")
    charts.plain(
        second, "who has been changed by then", xlabel="distance at the fork (tiles)", ylabel="ticks after the fork"
    )
    second.grid(False)
    charts.title(figure, f"Without one agent: {title}")
    charts.save(out, "distance", figure)


def effect(
    out: Path, worlds: Sequence[Result], effects: dict[str, dict[str, Interval]], horizon: int, title: str
) -> None:
    """effect.png: who of those at the fork is still alive, in both branches; and effects by policy."""
    figure, (first, second) = charts.figure(2, size=(5.6, 4.2))
    ticks = np.arange(horizon + 1)
    for branch, label in enumerate(("as it is", "changed")):
        alive = [np.mean(one["lived"][:, branch, :, None] >= ticks, axis=(0, 1)) for one in worlds if one["uid"].size]
        if alive:
            charts.line(first, ticks, mean_interval(alive), charts.COLOURS[branch], label)
    first.legend(frameon=False)
    charts.plain(
        first,
        "of those who live at the fork (band: over worlds)",
        xlabel="ticks after the fork",
        ylabel="share that lived through",
        ylim=(0, 1.02),
    )
    place, names = np.arange(len(effects)), list(effects)
    shown = {"lived": "life (ticks)", "food": "food gained", "water": "water gained", "damage": "damage taken"}
    for index, (name, label) in enumerate(shown.items()):
        values = Interval(*np.array([effects[one][name] for one in names]).T)
        charts.points(second, place + 0.15 * (index - 1.5), values, charts.COLOURS[index], label, linestyle="none")
    second.axhline(0, color="0.6", linewidth=0.8)
    turned: dict[str, Any] = {"rotation": 20, "ha": "right", "fontsize": "small"} if len(names) > _LEVEL else {}
    second.set_xticks(place, [drawn(name, 16) for name in names], **turned)
    charts.legend(second)
    charts.plain(second, "effect per agent (interval: over worlds)", ylabel="changed minus as it is")
    charts.title(figure, title)
    charts.save(out, "effect", figure)
