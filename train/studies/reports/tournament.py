"""The report on a tournament: tables, figures and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import drawn, quoted, short
from train.studies.intervals import Interval, mean_interval
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results
from train.studies.tournament import Tournament

_MOST = 16  # characters of a name beside and below a panel


def report(study: Tournament, out: Path, results: Results) -> RenderableType:
    """Writes figures, lifetimes and wins, results.json and report.md; returns tables."""
    lifetimes, per_death = (study.interval(results, amount) for amount in ("aged", "steps"))
    wins = mean_interval(np.moveaxis(study.wins(results), -1, 0))
    ratings, together = study.ratings(results), study.all_in_one(results)
    labels = [one.label for one in study.entrants]
    write_json(
        out / "results.json",
        {
            "entrants": [{"label": one.label, "replicates": list(one.replicates)} for one in study.entrants],
            "sizes": list(study.sizes),
            "units": study.units,
            "lifetime": lifetimes.as_json(),
            "ticks_per_death": per_death.as_json(),
            "win_rate": wins.as_json(),
            "rating": ratings.as_json(),
            "together": {name: value.as_json() for name, value in together.items()},
        },
    )
    _figure(study, out, "lifetimes", "Mean lifetime of the row's policy (ticks)", lifetimes)
    better = "Share of games in which the row's policy has more agent-ticks per death"
    _figure(study, out, "wins", better, wins, vmin=0, vmax=1)
    heads, number = ["", *(f"vs {label}" for label in labels)], range(len(labels))
    brief = [short(label) for label in labels]
    shown, parts = [], []
    for size, cap in enumerate(study.sizes):
        told = [[who, *(str(lifetimes.at(size, row, other)) for other in number)] for row, who in enumerate(brief)]
        title = f"Mean lifetime in worlds of {cap} (95 %, {study.units})"
        shown.append(table(title, ["", *(f"vs {who}" for who in brief)], told))
        both = [
            [label, *(f"{lifetimes.at(size, row, other)} [{per_death.at(size, row, other)}]" for other in number)]
            for row, label in enumerate(labels)
        ]
        parts += [f"## Worlds of {cap} agents", markdown(heads, both)]
        if together:
            parts.append(f"All in one world: {quoted(_listed(labels, together['lifetime'].at(size)))}.")
    order = np.argsort(-np.nan_to_num(ratings.mean))
    shown.append(
        table("OpenSkill ratings", ["policy", "rating"], [[brief[index], str(ratings.at(index))] for index in order])
    )
    last = study.settle + study.ticks
    write_report(
        out,
        "# Tournament",
        f"Mean lifetime in ticks with 95 % intervals over {study.units}; {study.worlds} worlds of each size, "
        f"{study.ticks:,} ticks after {study.settle:,}, every seat played. In brackets agent-ticks per death, in which "
        f"the living count, too: nobody can have died older than {last:,} ticks, so that mean ages at death that come "
        "near to it are too low.",
        *parts,
        "## Ratings (OpenSkill, Plackett-Luce)",
        f"{quoted(_listed(labels, ratings))}.",
        embedded("lifetimes"),
        embedded("wins"),
    )
    return Group(*shown)


def _figure(study: Tournament, out: Path, name: str, title: str, interval: Interval, **style: Any) -> None:
    labels = [drawn(one.label, _MOST) for one in study.entrants]
    size = (2.2 + 0.9 * len(labels), 1.4 + 0.6 * len(labels))
    made, panels = charts.figure(len(study.sizes), size=size, squeeze=False)
    for index, axes in enumerate(panels[0]):
        texts = [
            [str(interval.at(index, row, other)).replace(" ± ", "\n± ") for other in range(len(labels))]
            for row in range(len(labels))
        ]
        charts.heat(axes, interval.mean[index], texts, labels, [f"vs {label}" for label in labels], **style)
        axes.set_title(f"worlds of {study.sizes[index]}", loc="left", fontsize="medium")
    charts.title(made, f"{title}; 95 % over {study.units}")
    charts.save(out, name, made)


def _listed(labels: Sequence[str], interval: Interval) -> str:
    order = np.argsort(-np.nan_to_num(interval.mean))
    return ", ".join(f"{labels[index]} {interval.at(index)}" for index in order)
