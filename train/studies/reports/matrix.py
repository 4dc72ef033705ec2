"""The report on the published experiments: tables beside the published one, figures and files."""

from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import quoted
from train.studies.intervals import Interval, mean_interval
from train.studies.matrix import Matrix
from train.studies.reports import charts
from train.studies.reports.text import markdown, write_report
from train.studies.reports.tournament import report as report_tournament
from train.studies.study import Results

# Mean lifetimes in law, by size of the world, of the row's training against the column's: 16, 32, 64, 128. A single run
# of the original. Source: jsuarez/extra/plottourney.py in the repository of Neural MMO v1.0.
PUBLISHED = {
    16: [
        [106.1, 104.2, 89.8, 91.8],
        [119.0, 112.7, 115.7, 106.7],
        [205.7, 225.7, 208.5, 186.9],
        [735.8, 785.6, 782.0, 595.2],
    ],
    32: [
        [85.9, 81.5, 76.6, 69.4],
        [101.8, 97.4, 93.5, 82.4],
        [175.1, 166.6, 158.2, 150.7],
        [467.6, 452.1, 453.8, 343.8],
    ],
    64: [
        [70.3, 68.1, 59.7, 53.7],
        [81.3, 77.1, 69.4, 64.1],
        [119.1, 128.7, 107.0, 96.5],
        [228.3, 248.2, 241.6, 176.9],
    ],
    128: [
        [67.2, 65.5, 53.5, 47.8],
        [74.3, 74.3, 62.4, 52.5],
        [93.8, 97.0, 88.6, 75.1],
        [109.7, 121.5, 122.0, 106.9],
    ],
}
TRAINED = (16, 32, 64, 128)  # rows and columns of ``PUBLISHED``


def report(study: Matrix, out: Path, results: Results) -> RenderableType:
    """A figure, learning, tables and figures of every game's tournament in folders of their own, report.md."""
    _learning(study, out, results)
    shown, told, parts = [], {}, []
    for game, tournament in study.tournaments.items():
        folder = out / f"tournament-{game}"
        folder.mkdir(exist_ok=True)
        of_game = {
            name.removeprefix(f"{game}-"): result for name, result in results.items() if name.startswith(f"{game}-m")
        }
        shown.append(report_tournament(tournament, folder, of_game))
        lifetimes = tournament.lifetimes(of_game)
        parts += _tables(study, game, tournament.interval(of_game, "aged"))
        if len(study.agents) > 1:
            told[game] = {
                "rows_ordered": study.orders(lifetimes),
                "largest_less_smallest": study.gain(lifetimes).as_json(),
            }
            parts.append(_verdict(study, game, lifetimes))
        parts.append(embedded(f"tournament-{game}/lifetimes", "lifetimes"))
    write_json(out / "results.json", {"seeds": list(study.seeds), "budget": study.budget, **told})
    write_report(
        out,
        "# The published experiments",
        f"{len(study.seeds)} seeds; a population has learned from {study.budget:,} living agent-steps on average "
        f"({_learned(study, results)}). Mean lifetimes in ticks with 95 % intervals over seeds, in brackets those "
        f"published (law; a single run of the original, whose budgets were far larger).{_changed(study)}",
        embedded("learning"),
        *parts,
    )
    return Group(*shown)


def _changed(study: Matrix) -> str:
    """How the worlds differ from those published, if they do."""
    fields = [f"{name}={value}" for name, value in study.world.items() if name != "systems"]
    changed = ", ".join([*(system.name for system in study.world.get("systems", ())), *fields])
    return f" The worlds are not those published: {quoted(changed)}." if changed else ""


def _learned(study: Matrix, results: Results) -> str:
    """The least and the most that a population has learned from, of each training."""
    parts = []
    for name, result in results.items():
        if name.startswith("train-"):
            steps = result["steps"][-1]
            parts.append(f"{name.removeprefix('train-')}: {steps.min():,.0f} to {steps.max():,.0f}")
    return ", ".join(parts)


def _tables(study: Matrix, game: str, lifetimes: Interval) -> list[str]:
    parts = []
    for index, size in enumerate(study.sizes):
        rows = []
        for row, own in enumerate(study.agents):
            cells = [str(lifetimes.at(index, row, column)) for column in range(len(study.agents))]
            if game == "law" and size in PUBLISHED:
                published = (PUBLISHED[size][TRAINED.index(own)][TRAINED.index(other)] for other in study.agents)
                cells = [f"{cell} ({old})" for cell, old in zip(cells, published, strict=True)]
            rows.append([str(own), *cells])
        heads = ["trained at", *(f"vs {number}" for number in study.agents)]
        parts += [f"## {game}, worlds of {size}", markdown(heads, rows)]
    return parts


def _verdict(study: Matrix, game: str, lifetimes: np.ndarray) -> str:
    ordered, gain = np.array(study.orders(lifetimes)), study.gain(lifetimes)
    sure = np.asarray(gain.low) > 0
    return (
        f"Order of the rows ({game}): larger training worlds live longer throughout in {ordered.sum()} of "
        f"{ordered.size} columns (published: all). Those trained at {study.agents[-1]} outlive those trained at "
        f"{study.agents[0]} with an interval above 0 in {sure.sum()} of {sure.size} columns."
    )


def _learning(study: Matrix, out: Path, results: Results) -> None:
    made, axes = charts.figure(len(study.games), squeeze=False)
    for game, one in zip(study.games, axes[0], strict=True):
        for index, number in enumerate(study.agents):
            curve = results[f"train-{game}{number}"]
            steps, colour = curve["steps"].mean(axis=(1, 2)), charts.COLOURS[index]
            charts.line(one, steps, mean_interval(curve["lifetime"].T), colour, f"{game}{number}")
        charts.plain(
            one, f"Training of {game}, {len(study.seeds)} seeds", xlabel="living agent-steps per population",
            ylabel="lifetime in training (ticks)", ylim=(0, None),
        )  # fmt: skip
        charts.legend(one)
    charts.save(out, "learning", made)
