"""The report on a study of evolution: figures, numbers, and the table of all lives."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Group, RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_arrays, write_json
from nmmo_jax.common.text import in_full
from train.studies.evolution import CHUNK
from train.studies.evolving import FOUNDING, VARIANTS, Evolve, advantage
from train.studies.intervals import Interval, mean_interval, ratio_interval
from train.studies.lineage import Lineage, clades, common_ancestor, depths, lineage, living, shannon, simpson
from train.studies.reports import evolution_figures as figures
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results

_POINTS = 40  # of curves over time


class History(NamedTuple):
    """A variant over time, from the first tick on; intervals are over worlds.

    Attributes:
      table: all its lives.
      ticks: ``[T]`` ends of the bins of time.
      lifetime: ``[T]`` mean age of those who died in each bin.
      population: ``[T]`` alive at its end.
      by_agents: ``[T]`` share of the births that agents gave.
      difference: ``[T]`` between the genes of two of the living, root mean square.
      founders: ``[T]`` with living descendants, of the worlds in which somebody lives.
      shannon, simpson: ``[T]`` effective numbers of them.
      extinct: ``[T]`` worlds in which nobody lives.
    """

    table: Lineage
    ticks: np.ndarray
    lifetime: Interval
    population: Interval
    by_agents: Interval
    difference: Interval
    founders: Interval
    shannon: Interval
    simpson: Interval
    extinct: np.ndarray


class Ancestry(NamedTuple):
    """Of the living at the end, a value per world, NaN where nobody lives."""

    generations: np.ndarray  # since their founders, mean
    founders: np.ndarray  # that have living descendants
    coalescence: np.ndarray  # ticks since the birth of the most recent common ancestor; NaN: they have none


def report(study: Evolve, out: Path, results: Results) -> RenderableType:
    """Figures lifetimes, diversity, clades and tree; lineage.npz, results.json and report.md."""
    told = {variant: history(study, results, variant) for variant in VARIANTS}
    ancestry = {variant: _ancestry(one.table, study.amount.worlds, study.end - 1) for variant, one in told.items()}
    parts = [FOUNDING, *(part for variant in VARIANTS for part in study.parts(variant)[1:])]
    garden = {part: _ratio(results[f"garden-{part}"]) for part in parts}
    change = {variant: _change(results, study.parts(variant)[-1]) for variant in VARIANTS}
    fitness = {one: mean_interval(advantage(results[f"invasion-{one.name}"])) for one in study.invasions()}
    tables = {f"{variant}_{name}": column for variant, one in told.items()
              for name, column in one.table._asdict().items()}  # fmt: skip
    write_arrays(out / "lineage.npz", tables)
    figures.lifetimes(out, study, told, garden)
    figures.diversity(out, study, told)
    world = _crowded(told["selection"].table, study.amount.worlds, study.end - 1)
    figures.muller(out, study, {variant: one.table.of(world) for variant, one in told.items()}, world)
    figures.tree(out, study, told["selection"].table.of(world), world)
    curves = ("lifetime", "population", "by_agents", "difference", "founders", "shannon", "simpson")
    write_json(
        out / "results.json",
        {
            "worlds": study.amount.worlds,
            "ticks": told["selection"].ticks.tolist(),
            **{variant: {name: getattr(one, name).as_json() for name in curves} | {"extinct": one.extinct.tolist()}
               for variant, one in told.items()},
            "garden": {part: one.as_json() for part, one in garden.items()},
            "garden_change": {variant: one.as_json() for variant, one in change.items()},
            "ancestry": {variant: {name: mean_interval(value).as_json() for name, value in one._asdict().items()}
                         for variant, one in ancestry.items()},
            "invasion": {one.name: value.as_json() for one, value in fitness.items()},
            "world_of_figures": world,
        },
    )  # fmt: skip
    shown = _tables(study, told, garden, change, ancestry, fitness)
    how = "from their parents" if study.by_parents else "from the long-lived"
    amount = study.amount
    write_report(
        out,
        "# Evolution",
        f"Newborns inherit {how}; mutations of {in_full(study.sigma)}; {amount.worlds} worlds of at most "
        f"{study.env.config.num_agents} agents, {amount.founding:,} ticks with founders and "
        f"{amount.stretches * amount.ticks:,} after that. Drift: the same without selection.",
        *(part for title, heads, rows in shown for part in (f"## {title}", markdown(heads, rows))),
        *map(embedded, ("lifetimes", "diversity", "clades", "tree")),
    )
    return Group(*(table(*one) for one in shown))


def history(study: Evolve, results: Results, variant: str) -> History:
    """What a variant came to."""
    found = [results[part] for part in study.parts(variant)]
    table = lineage(*(np.concatenate([part[name] for part in found]) for name in ("births", "deaths")))
    worlds, end = study.amount.worlds, study.end
    edges = np.linspace(0, end, min(_POINTS, end) + 1).astype(int)
    ticks = edges[1:]
    dead = table.death >= 0

    def bins(tick: np.ndarray, realm: np.ndarray, weight: Any = None) -> np.ndarray:
        return np.histogram2d(realm, tick, bins=(np.arange(worlds + 1), edges), weights=weight)[0]

    deaths = bins(table.death[dead], table.realm[dead])
    ages = bins(table.death[dead], table.realm[dead], table.age[dead])
    births = bins(table.tick, table.realm)
    by_agents = bins(table.tick, table.realm, (table.parent_uid >= 0).astype(float))
    alive = np.stack([[living(one, tick - 1).sum() for tick in ticks] for one in map(table.of, range(worlds))])
    sizes = [clades(table.of(world), ticks - 1)[1] for world in range(worlds)]
    # Recorded at the end of chunks; the last one that is over counts.
    spread, when = _spread(study, found)
    index = np.maximum(np.searchsorted(when, ticks, side="right") - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        numbers = [np.stack([of(one) for one in sizes]) for of in (shannon, simpson)]
    return History(
        table=table,
        ticks=ticks,
        lifetime=ratio_interval(ages, deaths),
        population=mean_interval(alive),
        by_agents=ratio_interval(by_agents, births),
        difference=mean_interval(spread[index].T),
        founders=mean_interval(np.stack([np.where(one.any(-1), (one > 0).sum(-1), np.nan) for one in sizes])),
        shannon=mean_interval(numbers[0]),
        simpson=mean_interval(numbers[1]),
        extinct=(alive == 0).sum(axis=0),
    )


def _spread(study: Evolve, found: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Diversity ``[K, R]`` of all chunks, and the ticks at which they end."""
    lengths = [study.amount.founding] + [study.amount.ticks] * study.amount.stretches
    ends, start = [], 0
    for part, length in zip(found, lengths, strict=True):
        ends += [start + min((k + 1) * CHUNK, length) for k in range(len(part["diversity"]))]
        start += length
    return np.concatenate([part["diversity"] for part in found]), np.array(ends)


def _ancestry(table: Lineage, worlds: int, end: int) -> Ancestry:
    found = np.full((3, worlds), np.nan)
    for world in range(worlds):
        own = table.of(world)
        alive = living(own, end)
        if alive.any():
            common = common_ancestor(own.genome_uid, own.uid[alive])
            coalescence = end - own.tick[common] if common >= 0 else np.nan
            sizes = clades(own, np.array([end]))[1]
            found[:, world] = depths(own.genome_uid)[alive].mean(), (sizes > 0).sum(), coalescence
    return Ancestry(*found)


def _crowded(table: Lineage, worlds: int, end: int) -> int:
    """The world of the figures: that with the median number of survivors, among those with any."""
    number = np.array([living(table.of(world), end).sum() for world in range(worlds)])
    order = np.argsort(number, kind="stable")
    order = order[number[order] > 0] if number.any() else order
    return int(order[len(order) // 2])


def _ratio(garden: Any) -> Interval:
    return ratio_interval(garden["aged"], garden["died"])


def _change(results: Results, part: str) -> Interval:
    """By how much lifetimes in the garden differ from those of the founders, world by world."""
    after, before = (results[f"garden-{one}"] for one in (part, FOUNDING))
    with np.errstate(invalid="ignore", divide="ignore"):
        return mean_interval(after["aged"] / after["died"] - before["aged"] / before["died"])


_Shown = tuple[str, list[str], list[list[str]]]


def _tables(study: Evolve, told: Any, garden: Any, change: Any, ancestry: Any, fitness: Any) -> list[_Shown]:
    """Title, head and rows of each."""
    over = f"95 % over {study.amount.worlds} worlds"
    founded = max(int(np.searchsorted(told["selection"].ticks, study.amount.founding, side="right")) - 1, 0)
    rows = []
    for variant, one in told.items():
        last = (getattr(one, name).at(-1) for name in ("lifetime", "population", "difference"))
        rows.append([variant, *map(str, (one.lifetime.at(founded), *last)), str(one.extinct[-1])])
    head = ["", "founders", "at the end", "population", "genes differ", "empty"]
    shown: list[_Shown] = [(f"Lifetimes in ticks, and what else there is at the end ({over})", head, rows)]
    rows = [[v, *map(str, (garden[FOUNDING], garden[study.parts(v)[-1]], change[v]))] for v in VARIANTS]
    shown.append((f"Lifetimes of genomes in the garden ({over})", ["", "founders'", "the last", "difference"], rows))
    rows = []
    for variant, one in ancestry.items():
        having = np.isfinite(one.coalescence)
        since = f"{one.coalescence[having].mean():,.0f}" if having.any() else "-"
        lived = np.isfinite(one.generations).sum()
        rows.append([variant, *map(str, map(mean_interval, one[:2])), f"{having.sum()} of {lived}", since])
    head = ["", "generations", "founders left", "worlds with one common ancestor", "born ticks ago"]
    shown.append((f"Ancestry of the living at the end ({over})", head, rows))
    if fitness:
        rows = [[one.told, str(value)] for one, value in fitness.items()]
        shown.append((f"Invasion: growth rate per head and tick, beyond the residents' ({over})", ["", "rate"], rows))
    return shown
