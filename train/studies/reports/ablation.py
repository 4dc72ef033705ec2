"""The report on what settings of training are worth: a figure of differences, a table, and files."""

from pathlib import Path

import numpy as np
from rich.console import RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import drawn, quoted, typed
from train.settings import all_settings
from train.studies.ablation import MEASURES, SHARES, Ablation
from train.studies.intervals import Interval, mean_interval
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results

_HEADS = {
    "lifetime": "lifetime", "gain": "difference", "harvest": "harvest, %", "speed": "steps/s",
    "quarter": "1/4", "half": "1/2", "end": "end",
}  # fmt: skip
_UNITS = {"lifetime": "lifetime, ticks", "harvest": "food harvested, % of what grows"}
_BETTER, _WORSE, _UNSURE = "#009E73", "#D55E00", "0.45"


def report(study: Ablation, out: Path, results: Results) -> RenderableType:
    """The figure ablation, results.json, report.md, and the table for the terminal."""
    lives = study.lives(results) * [1, 100]
    means = [mean_interval(one) for one in lives]
    gains = [mean_interval(one - lives[0]) for one in lives]  # paired: the same seeds
    learning, speeds = study.learning(results), study.speeds(results)
    numbers = [
        [
            str(mean.at(0)),
            str(gain.at(0)) if index else "",
            str(mean.at(1)),
            f"{speed:,.0f}",
            *("-" if np.isnan(value) else f"{value:.1f}" for value in curve),
        ]
        for index, (mean, gain, speed, curve) in enumerate(zip(means, gains, speeds, learning, strict=True))
    ]
    _figure(study, out, gains)
    own = {name: value for name, value in all_settings(study.base).items() if name not in ("maps", "seed")}
    told = []
    for index, variant in enumerate(study.variants):
        one = {
            "factor": variant.factor,
            "changes": dict(variant.changes),
            **{name: means[index].at(m).as_json() for m, name in enumerate(MEASURES)},
            **{f"{name}_gain": gains[index].at(m).as_json() for m, name in enumerate(MEASURES)},
            "agent_steps_per_second": speeds[index],
            "learning": [None if np.isnan(value) else float(value) for value in learning[index]],
        }
        told.append(one)
    write_json(out / "results.json", {
        "experiment": study.base.name, "base": own, "seeds": list(study.seeds), "agent_steps": study.agent_steps,
        "learning_at": list(SHARES), "variants": told,
    })  # fmt: skip
    heads, caption = list(_HEADS.values()), _words(study)
    named = [
        [variant.factor or "base", variant.value, ", ".join(typed(own[name]) for name in variant.changes)]
        for variant in study.variants
    ]
    write_report(
        out,
        f"# What settings of training are worth: {study.base.name}",
        caption,
        " ".join(_findings(study, gains)),
        markdown(["changed", "to", "from", *heads], [[*a, *b] for a, b in zip(named, numbers, strict=True)]),
        embedded("ablation"),
        f"The base: {quoted(', '.join(f'{name}={typed(value)}' for name, value in own.items()))}.",
    )
    few = 4  # a terminal may have 80 columns
    rows = [[variant.label, *row[:few]] for variant, row in zip(study.variants, numbers, strict=True)]
    return table(f"{study.base.name}: lives on maps not seen in training", ["", *heads[:few]], rows,
                 "\n".join(_findings(study, gains)))  # fmt: skip


def _words(study: Ablation) -> str:
    return (
        f"Each training learned from {study.agent_steps:,} living agent-steps in all; {len(study.seeds)} seeds. "
        "Lifetime (ages at death, in ticks) and harvest (% of the food that grows within reach) are of "
        f"{study.ticks:,} ticks of play without learning, after {study.settle:,} that are not counted, in "
        f"{study.worlds} worlds on maps not seen in training, the same for all; ± is half of a 95 % interval over "
        "seeds (Student's t). Differences are paired: seed k less seed k of the base. Steps/s: "
        "living agent-steps per second of training, all seeds together, the median over calls. 1/4, 1/2, end: lifetime "
        "while learning at these shares of the budget, each over the eighth of it that ends there; where many worlds "
        "are trained in for few ticks nobody can have grown old."
    )


def _findings(study: Ablation, gains: list[Interval]) -> list[str]:
    """Which variants live longer or shorter than the base, beyond their intervals."""
    of = list(zip(study.variants, (gain.at(0) for gain in gains), strict=True))[1:]
    of.sort(key=lambda pair: -np.nan_to_num(pair[1].mean))
    longer = [f"{variant.label} ({gain})" for variant, gain in of if gain.low > 0]
    shorter = [f"{variant.label} ({gain})" for variant, gain in of[::-1] if gain.high < 0]
    return [
        f"Longer lives than the base, with an interval above 0: {', '.join(longer) or 'none'}.",
        f"Shorter: {', '.join(shorter) or 'none'}.",
        f"Of {len(of)} compared, {len(of) * 0.05:.1f} are expected beyond their intervals by chance alone.",
    ]


def _figure(study: Ablation, out: Path, gains: list[Interval]) -> None:
    """Differences to the base, the best on top."""
    mean = np.nan_to_num([gain.mean[0] for gain in gains[1:]], nan=-np.inf)
    order = 1 + np.argsort(mean, kind="stable")
    made, axes = charts.figure(len(MEASURES), size=(5.2, 1.4 + 0.3 * len(order)), sharey=True)
    for m, name in enumerate(MEASURES):
        for place, index in enumerate(order):
            gain = gains[index].at(m)
            colour = _BETTER if gain.low > 0 else _WORSE if gain.high < 0 else _UNSURE
            bars = np.nan_to_num([[gain.mean - gain.low], [gain.high - gain.mean]])
            axes[m].errorbar(gain.mean, place, xerr=bars, color=colour, marker="o", markersize=4, capsize=3)
        axes[m].axvline(0, color="black", linewidth=0.8)
        charts.plain(axes[m], xlabel=f"difference in {_UNITS[name]}")
        axes[m].grid(axis="x", linewidth=0.5, alpha=0.3)
    axes[0].set_ylim(-0.5, len(order) - 0.5)
    axes[0].set_yticks(range(len(order)), [drawn(study.variants[index].label, 48) for index in order])
    what = f"{study.base.name}, {len(study.seeds)} seeds of {study.agent_steps:,} agent-steps"
    charts.title(made, f"{what}: difference to the base, 95 %")
    charts.save(out, "ablation", made)
