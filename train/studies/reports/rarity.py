"""The report on how probable it is that a world dies out: a figure, a table and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter
from rich.console import RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import in_full, quoted
from train.studies.intervals import Interval
from train.studies.rarity import Rarity
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results


def report(study: Rarity, out: Path, results: Results) -> RenderableType:
    """The figure, results.json and report.md."""
    cases = [study.case(rate, results) for rate in study.rates]
    _figure(study, out, cases)
    told = [{name: _plain(value) for name, value in one.items()} for one in cases]
    write_json(out / "results.json", {"levels": list(study.levels), "cases": told})
    last = f"{study.levels[-1]} agents or fewer" if study.levels[-1] else "nobody"
    heads = ("births per tick", "by splitting", "by counting", "counted", "differ by, errors", "worth")
    rows = []
    for case in cases:
        counted = case["counted"][-1]
        rows.append(
            [
                in_full(case["rate"]),
                _told(case["estimate"], -1),
                f"{counted['share']:.2g} ({counted['low']:.2g} to {counted['high']:.2g})",
                f"{counted['number']} of {study.count:,}",
                "-" if case["differ"] is None else f"{case['differ']:+.1f}",
                "-" if case["worth"] is None else f"{case['worth']:.2g}",
            ]
        )
    levels = ", ".join(map(str, study.levels))
    write_report(
        out,
        f"# How probable: {last} within {study.ticks} ticks",
        f"{quoted(study.title)}. {study.initial} agents are born before "
        f"the first tick. By splitting: mean of {study.runs} independent runs of {study.effort} worlds per level "
        f"(levels {levels}) with Student's t interval. By counting: of {study.count:,} worlds, with the exact "
        "binomial interval of Clopper and Pearson. Differ by: the two, in standard errors of the difference. "
        "Worth: how many world-ticks of counting one of splitting is worth, at the same variance.",
        markdown(heads, rows),
        embedded("rare"),
    )
    return table(f"P({last} within {study.ticks} ticks): {study.title}", heads, rows)


def _figure(study: Rarity, out: Path, cases: Sequence[dict[str, Any]]) -> None:
    figure, (left, right) = charts.figure(2, size=(5.6, 4.2))
    place = np.arange(len(study.levels))
    for index, case in enumerate(cases):
        colour = charts.COLOURS[index % len(charts.COLOURS)]
        mean, low, high = (np.array(value) for value in case["estimate"])
        known = mean > 0
        label = f"{in_full(case['rate'])} births per tick"
        floor = np.maximum(low, mean / 100)  # an interval down to 0 has no end on a logarithmic axis
        charts.line(left, place[known], Interval(mean[known], floor[known], high[known]), colour, label)
        share, least, most = (np.array([one[name] for one in case["counted"]]) for name in ("share", "low", "high"))
        seen = share > 0
        dots = Interval(share[seen], least[seen], most[seen])
        charts.points(left, place[seen] + 0.06 * (index + 1), dots, colour, linestyle="none", mfc="white")
    if not any((np.array(case["estimate"][0]) > 0).any() for case in cases):
        left.set_ylim(1 / study.count, 1)  # nothing was seen, and a logarithmic axis has no 0
    left.set(yscale="log")
    left.set_xticks(place, map(str, study.levels))
    left.legend(frameon=False, fontsize="small", loc="lower left")
    charts.plain(
        left,
        "line and band: splitting; circles: counting",
        xlabel="living agents, at most (levels)",
        ylabel=f"probability within {study.ticks} ticks",
    )
    rates = np.asarray(study.rates)
    split = np.array([[float(value[-1]) for value in case["estimate"]] for case in cases])
    split[:, 1] = np.maximum(split[:, 1], split[:, 0] / 100)
    count = np.array([[case["counted"][-1][key] for key in ("share", "low", "high")] for case in cases])
    for each, label, colour, shift in ((split, "splitting", 0, 1.0), (count, "counting", 1, 1.02)):
        some = each[:, 0] > 0
        charts.points(right, rates[some] * shift, Interval(*each[some].T), charts.COLOURS[colour], label)
    for rate, (share, _, high) in zip(rates, count, strict=True):
        if share == 0:
            text = f"at most; none\nof {study.count:,} counted"
            right.scatter(rate, high, marker="v", color=charts.COLOURS[1])
            right.annotate(text, (rate, high), (6, 8), textcoords="offset points", fontsize="small", ha="right")
    if not (split[:, 0] > 0).any() and not count[:, 2].any():
        right.set_ylim(1 / study.count, 1)
    right.set(yscale="log")
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_full(value)))
    right.legend(frameon=False, fontsize="small", loc="lower left")
    charts.plain(right, f"{study.levels[-1]} agents at most", xlabel="births per tick", ylabel="probability")
    charts.title(figure, study.title)
    charts.save(out, "rare", figure)


def _told(estimate: Interval, index: int) -> str:
    mean, low, high = (float(value[index]) for value in estimate)
    return f"{mean:.2g} ({max(low, 0):.2g} to {high:.2g})" if np.isfinite(low) else f"{mean:.2g}"


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return value.as_json()
    return value.tolist() if isinstance(value, np.ndarray) else value
