"""The report on a search for settings: the best as a command, what mattered, every trial, and figures."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from rich.console import RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import drawn, told_apart, typed
from train.settings import all_settings
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results
from train.studies.tuning import RUNGS, Dimension, Trial, Tuning

_BEST = "#D55E00"
_BEHIND = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}  # of text that lines run through
_MOST_ROWS = 10  # of the table on the terminal


def report(
    study: Tuning, out: Path, results: Results, given: Sequence[str] = (), systems: Sequence[str] = ()
) -> RenderableType:
    """The figures parallel and learning, results.json, report.md, and the table for the terminal.

    Args:
      given, systems: of ``--set`` and ``--system``, which the command to train with has, too.
    """
    trials, importance = study.read_all(results), study.importance()
    order = sorted(range(len(trials)), key=lambda number: (-np.nan_to_num(trials[number].lifetime, nan=-1), number))
    best = trials[order[0]]
    line = _line(study, best, given, systems)
    _parallel(study, trials, order, out)
    _learning(study, trials, order[0], out)
    write_json(out / "results.json", {
        "experiment": study.base.name, "searched": [str(one) for one in study.dimensions],
        "seeds": list(study.seeds), "agent_steps": study.agent_steps, "pruner": study.pruner,
        "best": order[0], "command": line, "importance": importance,
        "trials": [_as_json(one) for one in trials],
    })  # fmt: skip
    heads = ["trial", "lifetime", "harvest, %", *(one.name for one in study.dimensions), "steps/s"]
    rows = [_row(study, trials[number], number) for number in order]
    own = all_settings(study.base)
    begun = [f"{one.name}={typed(own[one.name])}" for one in study.dimensions if one.has(own[one.name])]
    write_report(
        out,
        f"# A search for settings of training: {study.base.name}",
        f"{len(trials)} trials of {len(study.seeds)} seed{'s' * (len(study.seeds) > 1)}, each of "
        f"{study.agent_steps:,} living agent-steps in all; {sum(one.stopped for one in trials)} were stopped early "
        f"(pruner: {study.pruner}). Lifetime (what is searched for: ages at death, in ticks, mean over seeds) and "
        f"harvest (% of the food that grows within reach) are of {study.ticks:,} ticks of play without learning, after "
        f"{study.settle:,} that are not counted, in {study.worlds} worlds on maps not seen in training, the same for "
        "all.",
        "The best:",
        f"```\n{line}\n```",
        _compared(trials, order[0], begun),
        *(
            (
                "The best of many is also the luckiest. What it is worth with other seeds tells",
                f"```\n{_check(study, best, given, systems)}\n```",
            )
            if order[0]
            else ()
        ),
        "## What mattered",
        markdown(["setting", "importance"], [[name, f"{share:.2f}"] for name, share in importance.items()])
        + "\n\nPED-ANOVA: shares of what sets the best trials apart from the others, as far as so few tell."
        if importance
        else "Too few trials ended to tell.",
        embedded("parallel"),
        embedded("learning"),
        "## Trials",
        markdown(heads, rows),
    )
    caption = f"Best: {line}\nImportance: " + (", ".join(f"{n} {s:.2f}" for n, s in importance.items()) or "unknown")
    return table(f"{study.base.name}: lives on maps not seen in training", heads[:-1],
                 [row[:-1] for row in rows[:_MOST_ROWS]], caption)  # fmt: skip


def _line(study: Tuning, best: Trial, given: Sequence[str], systems: Sequence[str]) -> str:
    """The command that trains with the best settings."""
    searched = [f"{name}={typed(value)}" for name, value in best.settings.items()]
    return shlex.join(["nmmo-jax", "train", study.base.name, "--set", *_fixed(best, given), *searched, *_of(systems)])


def _check(study: Tuning, best: Trial, given: Sequence[str], systems: Sequence[str]) -> str:
    """The command that compares them with the base, with seeds that the search has not seen."""
    searched = ",".join(f"{name}={typed(value)}" for name, value in best.settings.items())
    fixed = ["--set", *given] if given else []
    seed = (study.seed + len(study.seeds)) % 2**32
    steps = ["--agent-steps", str(study.agent_steps), "--seed", str(seed)]
    return shlex.join(["nmmo-jax", "ablate", study.base.name, "--over", searched, *fixed, *_of(systems), *steps])


def _fixed(best: Trial, given: Sequence[str]) -> list[str]:
    return [pair for pair in given if pair.partition("=")[0].strip() not in best.settings]


def _of(systems: Sequence[str]) -> list[str]:
    return [word for name in systems for word in ("--system", name)]


def _compared(trials: list[Trial], best: int, begun: list[str]) -> str:
    first = trials[0]
    of = "the base's own settings" if len(begun) == len(first.settings) else "what of the base is within the ranges"
    if best == 0:
        return f"It is the first trial, {of}: nothing that was tried is better."
    reached = "was stopped early" if first.stopped else f"came to {first.lifetime:.1f}"
    return f"It came to {trials[best].lifetime:.1f} (trial {best}); the first trial, {of}, {reached}."


def _row(study: Tuning, one: Trial, number: int) -> list[str]:
    reached = f"stopped at {np.isfinite(one.curve).sum()}/{RUNGS}"
    lives = [reached, "-"] if one.stopped else [f"{one.lifetime:.1f}", f"{100 * one.harvest:.1f}"]
    return [str(number), *lives, *(_text(one.settings[d.name]) for d in study.dimensions), f"{one.speed:,.0f}"]


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else typed(value)


def _as_json(one: Trial) -> dict[str, Any]:
    def plain(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return {
        "settings": one.settings,
        "lifetime": plain(one.lifetime),
        "harvest": plain(one.harvest),
        "stopped": one.stopped,
        "learning": [plain(value) for value in one.curve],
        "agent_steps_per_second": one.speed,
    }


def _parallel(study: Tuning, trials: list[Trial], order: list[int], out: Path) -> None:
    """A line per trial through its settings to its lifetime; those stopped early end before that."""
    ended = [one.lifetime for one in trials if not one.stopped]
    norm = Normalize(min(ended, default=0), max([*ended, min(ended, default=0) + 1e-9]))
    colours, last = colormaps["viridis"], len(study.dimensions)
    made, axes = charts.figure(size=(2.2 + 1.8 * last, 4.2))
    for number in reversed(order):  # the best on top
        one, aside = trials[number], 0.03 * (number / max(len(trials) - 1, 1) - 0.5)  # so that equal ones are seen
        heights = [
            _height(d, one.settings[d.name]) + (0 if d.ranged and not d.whole else aside) for d in study.dimensions
        ]
        if one.stopped:
            axes.plot(range(last), heights, color="0.75", linewidth=0.8, linestyle=":")
            continue
        style = {"color": _BEST, "linewidth": 2.5} if number == order[0] else {"color": colours(norm(one.lifetime))}
        axes.plot(range(last + 1), [*heights, norm(one.lifetime)], **{"linewidth": 1.2, **style})
    for place, one in enumerate(study.dimensions):
        told = one.values if not one.ranged else (one.values[0], _middle(one), one.values[1])
        for value, text in zip(told, _short(told), strict=True):
            axes.text(
                place - 0.05, _height(one, value), text, ha="right", va="center", fontsize="x-small", bbox=_BEHIND
            )
        axes.axvline(place, color="0.3", linewidth=0.8)
    axes.axvline(last, color="0.3", linewidth=0.8)
    axes.set_xticks(range(last + 1), [*(drawn(one.name) for one in study.dimensions), "lifetime"])
    axes.set_xlim(-0.4, last + 0.1)
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    made.colorbar(ScalarMappable(norm, colours), ax=axes, label="lifetime on maps not seen in training (ticks)")
    charts.title(made, f"{study.base.name}: {len(trials)} trials, the best in red, dotted those stopped early")
    charts.save(out, "parallel", made)


def _height(one: Dimension, value: Any) -> float:
    """Where a value is between the bottom and the top of its axis."""
    if not one.ranged:
        return one.values.index(value) / (len(one.values) - 1)
    low, high, here = np.log([*one.values, value]) if one.log else (*one.values, value)
    return float((here - low) / (high - low))


def _middle(one: Dimension) -> float:
    low, high = one.values
    return float(f"{np.sqrt(low * high) if one.log else (low + high) / 2:.2g}")


def _short(values: Sequence[Any]) -> list[str]:
    numbers = all(isinstance(value, float) for value in values)
    return told_apart(values) if numbers else [typed(value) for value in values]


def _learning(study: Tuning, trials: list[Trial], best: int, out: Path) -> None:
    """How long agents lived while they learned, of every trial."""
    made, axes = charts.figure()
    x = np.arange(1, RUNGS + 1) / RUNGS * study.agent_steps
    for number, one in enumerate(trials):
        style = {"color": _BEST, "linewidth": 2.5, "zorder": 3} if number == best else {"color": "0.6", "linewidth": 1}
        label = "the best" if number == best else None
        axes.plot(x, one.curve, **style, linestyle=":" if one.stopped else "-", label=label, marker="o", markersize=2)
    charts.plain(axes, f"{study.base.name}: trials while learning, dotted those stopped early",
                 xlabel="living agent-steps", ylabel="lifetime (ticks)", ylim=(0, None))  # fmt: skip
    charts.legend(axes)
    charts.save(out, "learning", made)
