"""Figures of a run, as matplotlib figures that nothing global knows of."""

import dataclasses
import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from nmmo_jax.common.drawing import drawing, marks, say_one
from nmmo_jax.common.text import drawn, heading
from nmmo_jax.config import Config
from nmmo_jax.kinds import Material
from nmmo_jax.play.measure import Measured
from nmmo_jax.play.statistics import kaplan_meier, survival_quantile
from nmmo_jax.world.draw import POPULATION_COLOURS, map_image, palette

_DASHES = ("-", "--", ":", "-.", (0, (6, 1)), (0, (3, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
_FEW = 8  # populations that are drawn one by one; more are drawn by policy
_LOGARITHMIC = 20  # times the shortest median is the longest age that a linear axis shows
_AT_RISK = 10  # survival is drawn while so many lives have come that far


@dataclasses.dataclass(frozen=True)
class Group:
    """Populations drawn as one line or one panel."""

    label: str
    populations: list[int]
    style: dict[str, Any]


def groups(policies: tuple[str, ...]) -> list[Group]:
    """What is drawn apart: each population; or, where there are many, those that share a policy.

    Colour tells the policy and dashes the population, or colour the population where all share one policy.
    """
    names = list(dict.fromkeys(policies))
    if len(policies) > _FEW:
        return [
            Group(
                f"{drawn(name)} ({policies.count(name)} populations)",
                [p for p, policy in enumerate(policies) if policy == name],
                {"color": POPULATION_COLOURS[i % len(POPULATION_COLOURS)]},
            )
            for i, name in enumerate(names)
        ]
    found = []
    for p, name in enumerate(policies):
        colour, dashes = (p, 0) if len(names) == 1 else (names.index(name), policies[:p].count(name))
        style = {"color": POPULATION_COLOURS[colour], "linestyle": _DASHES[dashes]}
        found.append(Group(f"{p} {drawn(name)}", [p], style))
    return found


@drawing()
def population_figure(measured: Measured, policies: tuple[str, ...], title: str, quota: float) -> Figure:
    """Agents of each population per realm over time, a panel each with the others in grey, and below them the share of
    forests that are depleted.

    Args:
      title: what was played.
      quota: places that a population may fill in a realm.
    """
    panels = groups(policies)
    across = min(4, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(max(7, 1 + 2.6 * across), 1.9 + 1.9 * down), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.9 * down, 1.9))
    upper, lower = parts
    every = upper.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    tick = np.minimum(measured.stride * np.arange(1, len(measured.depleted) + 1), measured.ticks)
    means = [measured.population[:, 0, panel.populations].sum(axis=1) for panel in panels]
    banded = False
    for axes in every.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel, mean in zip(every.flat, panels, means, strict=False):
        for other in means:
            axes.plot(tick, other, color="0.85", linewidth=0.6, zorder=1)
        axes.plot(tick, mean, linewidth=1.4, color=panel.style["color"], **marks(mean))
        deviation = measured.population[:, 1, panel.populations[0]]
        if len(panel.populations) == 1 and deviation.any():
            low, high = np.maximum(mean - deviation, 0), np.minimum(mean + deviation, np.ceil(quota))
            axes.fill_between(tick, low, high, color=panel.style["color"], alpha=0.2, linewidth=0)
            banded = True
        if len(policies) <= _FEW:
            axes.axhline(quota, color="0.6", linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set(xlim=(0, measured.ticks), ylim=(0, None))
        axes.set_title(panel.label, fontsize="medium", loc="left")
        axes.tick_params(labelsize="small")
        say_one(axes, len(tick))
        _plain(axes)
    upper.supylabel("living agents per realm", fontsize="medium")
    told = [f"Population: {title}"]
    told += ["band: ± 1 standard deviation between realms"] if banded else []
    told += ["dashed: places"] if len(policies) <= _FEW else []
    upper.suptitle(heading("; ".join(told), figure.get_figwidth()), x=0.01, ha="left", fontsize="medium")
    below = lower.subplots()
    below.plot(tick, measured.depleted, color="0.25", linewidth=1.2, **marks(measured.depleted))
    below.set(xlabel="time (ticks)", xlim=(0, measured.ticks), ylim=(0, None))
    below.set_title("forests depleted", fontsize="medium", loc="left")
    below.tick_params(labelsize="small")
    below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _plain(below)
    return figure


@drawing()
def survival_figure(measured: Measured, policies: tuple[str, ...], title: str, censored: np.ndarray) -> Figure:
    """Kaplan-Meier estimate of the share that lives beyond each age.

    Args:
      censored: ``[P, B]`` lives that did not end by death, by age.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    longest, shortest = 1, math.inf
    for group in groups(policies):
        died = np.asarray(measured.tally.died)[group.populations].sum(axis=0)
        survival, reached = kaplan_meier(died, censored[group.populations].sum(axis=0))
        shown = np.count_nonzero(reached >= min(_AT_RISK, reached[0]))
        if reached[0] == 0:
            continue
        median = survival_quantile(survival, 0.5)
        label = f"{group.label}: " + ("median not reached" if median is None else f"median {median}")
        style = {**group.style, **({"marker": "o"} if shown == 1 else {})}
        axes.step(np.arange(shown), survival[:shown], where="post", label=label, linewidth=1.4, **style)
        longest, shortest = max(longest, shown), min(shortest, median or math.inf)
    axes.axhline(0.5, color="0.6", linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set(xlim=(0, longest), ylim=(0, 1.02), ylabel="share still living (Kaplan-Meier)")
    axes.set_xlabel(f"age (ticks), while at least {_AT_RISK} lives have come so far")
    if longest > _LOGARITHMIC * shortest:
        axes.set(xscale="log", xlim=(1, longest))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title(heading(f"Survival: {title}", figure.get_figwidth()), loc="left", fontsize="medium")
    _legend(axes)
    _plain(axes)
    return figure


@drawing()
def visits_figure(
    visits: np.ndarray, material: np.ndarray, policies: tuple[str, ...], title: str, config: Config
) -> Figure:
    """Where the agents of each population spent their time, over the map; one logarithmic scale for all.

    Args:
      visits: ``[P, rows, columns]`` agent-ticks per tile.
      material: ``[rows, columns]`` the map.
      config: of the world.
    """
    panels = groups(policies)
    across = min(4, len(panels))
    down = math.ceil(len(panels) / across)
    colours = palette(config)
    pale = _pale(map_image(material, 1, colours=colours))
    summed = [visits[panel.populations].sum(axis=0) for panel in panels]
    norm = LogNorm(1, max(10, max(int(one.max()) for one in summed)))
    shown = (material != Material.LAVA) | (sum(summed) > 0)
    (top, bottom), (left, right) = (np.flatnonzero(shown.any(axis))[[0, -1]] for axis in (1, 0))
    height = np.clip(2.5 * (bottom - top + 3) / (right - left + 3), 1, 6)
    figure = Figure(figsize=(max(7, 0.8 + 2.6 * across), 0.9 + (height + 0.3) * down), layout="constrained")
    every = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes in every.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel, one in zip(every.flat, panels, summed, strict=False):
        axes.imshow(pale)
        axes.imshow(np.ma.masked_equal(one, 0), norm=norm, cmap="inferno_r")
        axes.set(xlim=(left - 1, right + 1), ylim=(bottom + 1, top - 1))
        axes.set_title(panel.label, fontsize="medium", loc="left")
        axes.tick_params(labelsize="small")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for axes in every[-1]:  # not below all of them, where the legend is
        axes.set_xlabel("column (tiles)")
    figure.supylabel("row (tiles)", fontsize="medium")
    figure.suptitle(heading(f"Visits: {title}", figure.get_figwidth()), x=0.01, ha="left")
    seen = np.unique(material[shown]).tolist()
    swatches = [
        Patch(facecolor=tuple(_pale(colours[one])), edgecolor="0.7", label=config.material_names[one]) for one in seen
    ]
    figure.legend(handles=swatches, loc="outside lower center", ncols=len(seen), fontsize="small", frameon=False)
    bar = figure.colorbar(ScalarMappable(norm, "inferno_r"), ax=every, shrink=0.8, pad=0.02)
    bar.set_label("agent-ticks per tile, all realms")
    return figure


def _pale(colours: np.ndarray) -> np.ndarray:
    """Of a map beneath something else: 0 to 255 as 0 to 1."""
    return 0.35 * colours / 255 + 0.65


def _legend(axes: Axes) -> None:
    if not axes.get_legend_handles_labels()[0]:
        return
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, handlelength=3)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.5, alpha=0.3)
