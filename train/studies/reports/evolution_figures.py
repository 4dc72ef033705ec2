"""Figures of a study of evolution."""

from pathlib import Path
from typing import Any

import numpy as np

from nmmo_jax.world.draw import population_colours
from train.studies.evolving import VARIANTS
from train.studies.lineage import Lineage, clades, founders, living
from train.studies.reports import charts

_COLOURS: dict[str, str] = dict(zip(VARIANTS, (charts.COLOURS[0], charts.COLOURS[1]), strict=True))
_CLADES = 12  # that have a colour of their own
_GREY = "#c8c8c8"


def lifetimes(out: Path, study: Any, told: dict[str, Any], garden: dict[str, Any]) -> None:
    """Lifetimes as they were, population, and lifetimes in the garden."""
    made, axes = charts.figure(3, size=(4.2, 3.3))
    for variant, one in told.items():
        charts.line(axes[0], one.ticks, one.lifetime, _COLOURS[variant], variant)
        charts.line(axes[1], one.ticks, one.population, _COLOURS[variant], variant)
        parts = study.parts(variant)
        ends = study.amount.founding + study.amount.ticks * np.arange(len(parts))
        values = type(one.lifetime)(*np.array([garden[part] for part in parts]).T)
        charts.points(axes[2], ends, values, _COLOURS[variant], variant, linewidth=1.5)
    over = f"95 % over {study.amount.worlds} worlds"
    charts.plain(axes[0], f"Mean age of those who died; {over}", xlabel="tick", ylabel="ticks")
    charts.plain(axes[1], "Population of a world", xlabel="tick", ylabel="agents")
    charts.plain(axes[2], "Lifetime of the genomes in the same worlds", xlabel="tick of the genomes", ylabel="ticks")
    for one in axes:
        one.set_ylim(bottom=0)
        one.axvline(study.amount.founding, color="grey", linewidth=0.7, linestyle=":")
    axes[0].legend(frameon=False, fontsize="small")
    charts.save(out, "lifetimes", made)


def diversity(out: Path, study: Any, told: dict[str, Any]) -> None:
    """Of genes and of founders, over time."""
    made, axes = charts.figure(3, size=(4.2, 3.3))
    titles = {
        "difference": f"Difference between genes; 95 % over {study.amount.worlds} worlds",
        "founders": "Founders with living descendants",
        "simpson": "Effective number of founders (Simpson)",
    }
    for one, (name, title) in zip(axes, titles.items(), strict=True):
        for variant, of in told.items():
            charts.line(one, of.ticks, getattr(of, name), _COLOURS[variant], variant)
        charts.plain(one, title, xlabel="tick")
        one.axvline(study.amount.founding, color="grey", linewidth=0.7, linestyle=":")
        if name == "difference":
            one.set_ylim(bottom=0)
        else:
            one.set(yscale="log", ylim=(0.8, None))
    axes[0].legend(frameon=False, fontsize="small")
    charts.save(out, "diversity", made)


def muller(out: Path, study: Any, tables: dict[str, Lineage], world: int) -> None:
    """Living descendants of the founders with most of them, stacked, and all others in grey."""
    made, axes = charts.figure(len(tables), size=(6.0, 3.4), sharey=True)
    ticks = np.unique(np.linspace(0, study.end - 1, 400).astype(int))
    found = [clades(table, ticks) for table in tables.values()]
    number = np.zeros(1 + max(int(who.max(initial=-1)) for who, _ in found), int)
    for who, sizes in found:  # variants have the same founders
        number[who] += sizes.sum(axis=0)
    most = np.sort(np.argsort(-number, kind="stable")[:_CLADES])
    for one, variant, (who, sizes) in zip(axes, tables, found, strict=True):
        own = [sizes[:, who == uid].sum(axis=1) for uid in most]
        colours = [*population_colours(len(most)), _GREY]
        one.stackplot(ticks, *own, sizes.sum(axis=1) - sum(own), colors=colours, linewidth=0)
        charts.plain(one, f"{variant}, world {world}", xlabel="tick", ylabel="living descendants")
        one.axvline(study.amount.founding, color="black", linewidth=0.7, linestyle=":")
    charts.title(made, f"Descendants of the {_CLADES} founders with most of them (colours) and of all others (grey)")
    charts.save(out, "clades", made)


def tree(out: Path, study: Any, table: Lineage, world: int) -> None:
    """The living at the end and all whom they descend from: a line per life, in the colour of its founder."""
    end = study.end - 1
    survivors = np.flatnonzero(living(table, end))
    made, axes = charts.figure(size=(8.0, 6.0))
    place = _places(table.genome_uid, survivors)
    root = founders(table.genome_uid)
    colour = dict(zip(np.unique(root[survivors]), population_colours(len(survivors)), strict=False))
    last = {uid: end if table.death[uid] < 0 else int(table.tick[uid]) for uid in place}
    for uid in place:
        parent = int(table.genome_uid[uid])
        if parent >= 0:
            last[parent] = max(last[parent], int(table.tick[uid]))
            x = table.tick[uid]
            axes.plot([x, x], [place[parent], place[uid]], color=colour[root[uid]], linewidth=0.5)
    for uid, y in place.items():
        axes.plot([table.tick[uid], last[uid]], [y, y], color=colour[root[uid]], linewidth=0.9)
    title = f"{len(survivors)} who live at the end of world {world}, and whom they descend from: {len(place)} lives"
    charts.plain(axes, title, xlabel="tick", ylabel="")
    axes.set(yticks=[], xlim=(0, study.end))
    axes.spines["left"].set_visible(False)
    charts.save(out, "tree", made)


def _places(genome_uid: np.ndarray, survivors: np.ndarray) -> dict[int, float]:
    """Where each survivor and ancestor is drawn: survivors beside each other, ancestors in the middle of theirs."""
    kept, stack = set(), [int(uid) for uid in survivors]
    while stack:
        uid = stack.pop()
        if uid not in kept and uid >= 0:
            kept.add(uid)
            stack.append(int(genome_uid[uid]))
    children: dict[int, list[int]] = {uid: [] for uid in (-1, *kept)}
    for uid in sorted(kept):
        children[int(genome_uid[uid])].append(uid)
    own, place, stack = set(map(int, survivors)), {}, children[-1][::-1]
    rank = 0
    while stack:  # depth first, so that lines of different families do not cross
        uid = stack.pop()
        if uid in own:
            place[uid] = float(rank)
            rank += 1
        stack += children[uid][::-1]
    for uid in sorted(kept, reverse=True):  # children are younger
        if children[uid]:
            around = [place[child] for child in children[uid]] + ([place[uid]] if uid in own else [])
            place[uid] = (min(around) + max(around)) / 2
    return place
