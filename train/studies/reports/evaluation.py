"""The report on an evaluation: a table, figures and files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter
from rich.console import Group, RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import drawn, short
from nmmo_jax.world.draw import cause_colours, population_colours
from train.studies.census import survival
from train.studies.evaluation import EVENT, HIGHEST, MEAN, Evaluation
from train.studies.intervals import Interval, bootstrap, mean_interval
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results

Measures = Sequence[dict[str, Interval]]  # of ``Evaluation.measures``

_AT_RISK = 10  # lives: survival is drawn while so many have come that far
_SHOWN = ("lifetime", "median", "population", "food", "coverage")
_CAPTION = (
    "95 % intervals over worlds, or over seeds of training where there are several. lifetime: mean age at death in "
    "ticks; median: Kaplan-Meier; food: harvested over what the maps can yield; coverage: share of the tiles in reach "
    "on which anybody stood."
)
_EVENTS = "What happened, per life that ended."
_KEPT = "What systems keep of agents: mean of those alive, and in brackets the highest in a world, mean over worlds."


def report(study: Evaluation, out: Path, results: Results) -> RenderableType:
    """Figures: survival, population, causes, attacks (where there are attacks); results.json, report.md."""
    measures, known = study.measures(results), study.arithmetic()
    write_json(
        out / "results.json",
        {
            "worlds": study.worlds,
            "settle": study.settle,
            "ticks": study.ticks,
            "arithmetic": {name: mean_interval(value).as_json()["mean"] for name, value in known.items()},
            "policies": [
                {
                    "policy": entrant.label,
                    "replicates": list(entrant.replicates),
                    "interval_over": "worlds" if len(entrant.replicates) == 1 else "seeds of training",
                    **{name: value.as_json() for name, value in one.items()},
                    "attacks_per_tick": study.attacks(results, index).tolist(),
                }
                for index, (entrant, one) in enumerate(zip(study.entrants, measures, strict=True))
            ],
        },
    )
    figures = ["survival", "population", "causes"]
    _survival(study, out, results)
    _population(study, out, results, known)
    _causes(study, out, measures)
    if any(one["hits"].mean > 0 for one in measures):
        figures.append("attacks")
        _attacks(study, out, results)
    names = [*_SHOWN, "unique", "little", "alive", "hits", *(f"dead_{cause}" for cause in study.env.config.deadly)]
    names = [name for name in names if name in measures[0]]  # without Config.exploration nothing is known of that
    write_report(
        out,
        "# Evaluation",
        f"{_conditions(study)}, {study.ticks:,} ticks after {study.settle:,}. Carrying capacity "
        f"{known['capacity'].mean():.1f} agents, mean field {known['mean_field'].mean():.1f}; `little`: births per "
        "tick times lifetime, which is the population where both balance. `alive`: at the end, whose lives are "
        "not among the deaths.",
        markdown(["policy", *names], _rows(study, measures, names)),
        *(part for told, heads, rows in _of_systems(study, measures) for part in (told, markdown(heads, rows))),
        *map(embedded, figures),
    )
    shown = [name for name in _SHOWN if name in measures[0]]
    rows = [[short(label), *told] for label, *told in _rows(study, measures, shown)]
    whole = table("", ["policy", *shown], rows, _CAPTION)
    others = [table("", heads, rows, told) for told, heads, rows in _of_systems(study, measures, in_full=False)]
    for other in others:
        other.columns[0].no_wrap = True
    return Group(whole, *others)


def _of_systems(
    study: Evaluation, measures: Measures, in_full: bool = True
) -> list[tuple[str, list[str], list[list[str]]]]:
    """What game systems tell and keep: of each a caption, and a table with a column for each policy. What did not
    happen at all has no row. In full: with intervals.
    """
    heads, found = ["", *(short(one.label) for one in study.entrants)], []
    for begin, told in ((EVENT, _EVENTS), (MEAN, _KEPT)):
        names = [name.removeprefix(begin) for name in measures[0] if name.startswith(begin)]
        rows = []
        for name in names:
            each = [one[f"{begin}{name}"] for one in measures]
            cells = [str(one if in_full else one._replace(low=np.nan, high=np.nan)) for one in each]
            if begin == MEAN:
                most = [one[f"{HIGHEST}{name}"].mean for one in measures]
                cells = [f"{cell} ({high:.3g})" for cell, high in zip(cells, most, strict=True)]
            if any(one.mean > 0 for one in each):
                rows.append([name, *cells])
        if rows:
            found.append((told, heads, rows))
    return found


def _survival(study: Evaluation, out: Path, results: Results) -> None:
    made, axes = charts.figure()
    colours, longest = population_colours(len(study.entrants)), 1
    for index, entrant in enumerate(study.entrants):
        exposed, ended = (study.together(results, index, name).sum(axis=2) for name in ("exposed", "ended"))
        units = np.stack([exposed, ended], axis=2)
        units = units[0] if len(units) == 1 else units.sum(axis=1)  # worlds, or seeds
        enough = units[:, 0].sum(axis=0)[:-1] >= _AT_RISK
        at_risk = enough.size if enough.all() else int(enough.argmin())
        if at_risk == 0:
            continue
        units = units[..., : at_risk + 1]  # beyond, there may be samples in which nobody came so far
        curve = bootstrap(lambda some: survival(*some.sum(axis=0)), units, draws=200)
        curve = Interval(*(np.r_[1.0, value] for value in curve))
        charts.line(axes, np.arange(len(curve.mean)), curve, colours[index], drawn(entrant.label))
        longest = max(longest, len(curve.mean))
    charts.plain(
        axes,
        f"Survival (Kaplan-Meier), {_conditions(study)}",
        xlabel="age (ticks)",
        ylabel="share still living",
        xscale="log" if longest > 1_000 else "linear",
        xlim=(1, max(longest, 2)),
        ylim=(0, 1.02),
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    charts.legend(axes)
    charts.save(out, "survival", made)


def _population(study: Evaluation, out: Path, results: Results, known: dict[str, np.ndarray]) -> None:
    made, axes = charts.figure()
    colours = population_colours(len(study.entrants))
    for index, entrant in enumerate(study.entrants):
        curves = study.together(results, index, "population").sum(axis=-1)  # [replicates, points, worlds]
        units = curves[0].T if len(curves) == 1 else curves.mean(axis=2)
        tick = int(study.together(results, index, "stride")[0]) * np.arange(1, units.shape[1] + 1)
        charts.line(axes, tick, mean_interval(units), colours[index], drawn(entrant.label))
    cap = float(np.asarray(study.env.rules.population_cap))
    lines = {"cap": cap, "carrying capacity": known["capacity"].mean(), "mean field": known["mean_field"].mean()}
    for (label, value), dashes in zip(lines.items(), ((2, 2), (6, 2), (1, 1)), strict=True):
        if not np.isfinite(value):
            continue
        axes.axhline(value, color="0.5", linewidth=0.9, linestyle=(0, dashes), label=f"{label}: {value:.0f}")
    axes.axvline(study.settle, color="0.8", linewidth=0.8)
    charts.plain(
        axes, f"Population, {_conditions(study)}", xlabel="time (ticks)", ylabel="living agents per world",
        ylim=(0, None),
    )  # fmt: skip
    charts.legend(axes)
    charts.save(out, "population", made)


def _causes(study: Evaluation, out: Path, measures: Measures) -> None:
    made, axes = charts.figure(size=(7.0, 1.0 + 0.45 * len(measures)))
    left = np.zeros(len(measures))
    config = study.env.config
    for cause, colour in zip(config.deadly, cause_colours(config), strict=True):
        share = np.nan_to_num([one[f"dead_{cause}"].mean for one in measures])
        axes.barh(range(len(measures)), share, left=left, color=colour, label=cause)
        left += share
    axes.set_yticks(range(len(measures)), [drawn(one.label) for one in study.entrants])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    charts.plain(axes, "Causes of death", xlabel="share of deaths")
    charts.legend(axes)
    charts.save(out, "causes", made)


def _attacks(study: Evaluation, out: Path, results: Results) -> None:
    each = {entrant.label: study.attacks(results, index) for index, entrant in enumerate(study.entrants)}
    each = {label: matrix for label, matrix in each.items() if matrix.any()}
    names = [str(p) for p in range(study.env.config.num_populations)]
    made, axes = charts.figure(len(each), size=(4.0, 3.4), squeeze=False)
    for one, (label, matrix) in zip(axes[0], each.items(), strict=True):
        image = charts.heat(one, matrix, [], names, names, vmin=0, cmap="magma")
        made.colorbar(image, ax=one, label="hits per world and tick")
        charts.plain(one, f"{drawn(label)}: {matrix.sum():.2f} hits per tick", xlabel="population hit")
        one.grid(False)
    axes[0][0].set_ylabel("population")
    charts.save(out, "attacks", made)


def _conditions(study: Evaluation) -> str:
    return f"{study.worlds} worlds not seen in training (95 %)"


def _rows(study: Evaluation, measures: Measures, names: Sequence[str]) -> list[list[str]]:
    each = zip(study.entrants, measures, strict=True)
    return [[who.label, *(_shown(name, one[name]) for name in names)] for who, one in each]


def _shown(name: str, interval: Interval) -> str:
    shares = ("food", "coverage", "unique")
    if name not in shares and not name.startswith("dead_"):
        return str(interval)
    if not np.isfinite(interval.mean):
        return "-"
    half = (interval.high - interval.low) / 2
    return f"{100 * interval.mean:.1f} ± {100 * half:.1f} %" if np.isfinite(half) else f"{interval.mean:.1%}"
