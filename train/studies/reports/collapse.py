"""What the study of collapses tells: figures, numbers, and whether there were warnings and hysteresis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import in_full, listed, quoted
from nmmo_jax.play.players import labels
from train.studies.axis import Axis
from train.studies.collapse import INDICATORS, Collapse, Ramp
from train.studies.intervals import mean_interval
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results

_PANELS = {  # of the figure, with the indicators that share them
    "agents": {"down": "mean"},
    "variance": {"variance": "variance"},
    "coefficient of variation": {"variation": "variation"},
    "autocorrelation": {"autocorrelation": "autocorrelation"},
    "time of recovery (ticks)": {"recovery": "from the autocorrelation", "response": "after half are removed"},
}
_DOWN, _UP = charts.COLOURS[0], charts.COLOURS[1]


def report(study: Collapse, out: Path, results: Results) -> RenderableType:
    """Writes the figures, results.json and report.md; returns a table and what follows."""
    axis, ramps = study.axis, study.ramps(results)
    said = findings(ramps)
    write_json(
        out / "results.json",
        {
            "field": axis.field,
            "values": ramps[0].values.tolist(),
            "ramps": [_numbers(one) for one in ramps],
            "findings": said,
        },
    )
    _indicators(out, axis, ramps)
    _hysteresis(out, axis, ramps)
    heads = ["", *(f"births from {one.kind}, {one.hold:,} ticks per value" for one in ramps)]
    numbers = [_column(one) for one in ramps]
    rows = [[name, *(column[name] for column in numbers)] for name in numbers[0]]
    worlds = ramps[0].of["down"].shape[1]
    who = quoted(listed(labels(study.names)))
    write_report(
        out,
        "# Collapse",
        f"`{axis.field}` from {in_full(ramps[0].values[0])} to {in_full(ramps[0].values[-1])} and back, in "
        f"{len(ramps[0].values)} values; {worlds} worlds, {who}. 95 % intervals over worlds.",
        "\n".join(f"- {one}" for one in said),
        "Kendall's tau of each indicator along the way there, up to the collapse of each world (1: it always rises), "
        "and agents more on the way there than on the way back:",
        markdown(heads, rows),
        embedded("indicators"),
        embedded("hysteresis"),
    )
    return Group(table("Kendall's tau on the way there", heads, rows), *said)


def findings(ramps: Sequence[Ramp]) -> list[str]:
    """Sentences on collapse, on warnings and on hysteresis, for each kind of worlds."""
    said = []
    for kind in dict.fromkeys(one.kind for one in ramps):
        fast, slow = (one for one in ramps if one.kind == kind)
        worlds, fallen = len(slow.gap), int((slow.of["steps"] < len(slow.values)).sum())
        said.append(f"{kind}: {fallen} of {worlds} worlds collapse where the rule is held for {slow.hold:,} ticks.")
        rising = [INDICATORS[name] for name, tau in slow.trends().items() if tau.low > 0]
        falling = [INDICATORS[name] for name, tau in slow.trends().items() if tau.high < 0]
        told = [f"{what}: {', '.join(names)}" for what, names in (("rising", rising), ("falling", falling)) if names]
        said.append(f"{kind}: indicators on the way there, {'; '.join(told) or 'none has a trend'}.")
        gap, quick = mean_interval(slow.gap), mean_interval(fast.gap)
        less = mean_interval(np.sign(gap.mean) * (fast.gap - slow.gap))  # how much nearer to 0 where it goes slower
        if gap.low > 0 or gap.high < 0:
            lag = "at least in part a lag" if less.low > 0 else "hysteresis, or a lag longer than either"
            verdict = f"{lag} (nearer to 0 by {less} where it goes slower)"
        else:
            verdict = "no hysteresis"
            if quick.low > 0 or quick.high < 0:
                verdict += ", and a lag where it goes faster"
        more = f"{gap} agents more on the way there than on the way back"
        said.append(f"{kind}: {more} at {slow.hold:,} ticks per value, {quick} at {fast.hold:,}: {verdict}.")
    return said


def _column(ramp: Ramp) -> dict[str, str]:
    fallen = int((ramp.of["steps"] < len(ramp.values)).sum())
    return {
        "worlds that collapse": f"{fallen} of {len(ramp.gap)}",
        **{INDICATORS[name]: str(tau) for name, tau in ramp.trends().items()},
        "agents, there - back": str(mean_interval(ramp.gap)),
    }


def _numbers(ramp: Ramp) -> dict[str, Any]:
    return {
        "births": ramp.kind,
        "hold": ramp.hold,
        "steps_before_collapse": ramp.of["steps"].tolist(),
        "tau": {name: tau.as_json() for name, tau in ramp.trends().items()},
        "gap": mean_interval(ramp.gap).as_json(),
        **{name: ramp.interval(name).as_json() for name in ("down", "up", *INDICATORS)},
    }


def _indicators(out: Path, axis: Axis, ramps: Sequence[Ramp]) -> None:
    kinds = list(dict.fromkeys(one.kind for one in ramps))
    made, axes = charts.figure(len(_PANELS), len(kinds), size=(3.1, 2.5), squeeze=False)
    for row, kind in zip(axes, kinds, strict=True):
        for panel, (title, drawn) in zip(row, _PANELS.items(), strict=True):
            for pace, ramp in enumerate(one for one in ramps if one.kind == kind):
                for name, label in drawn.items():
                    colour = charts.COLOURS[pace + (2 if name == "response" else 0)]
                    text = f"{ramp.hold:,} ticks per value,\n{label}"
                    charts.line(panel, ramp.values, ramp.interval(name), colour, text, marker="o", markersize=2)
                    if name == "down":
                        first = ramp.of["steps"].min()
                        if first < len(ramp.values):
                            panel.axvline(ramp.values[first], color=colour, linestyle=":", linewidth=1)
            where = {"xlabel": axis.field} if kind == kinds[-1] else {}
            charts.plain(panel, f"agents, births from {kind}" if panel is row[0] else title, **where)
            _along(panel, axis, ramps[0])
            panel.set_ylim(bottom=0)
        charts.legend(row[-1])
    over = f"95 % over {len(ramps[0].gap)} worlds"
    charts.title(made, f"On the way there (to the right); {over}; dotted: the first world collapses")
    charts.save(out, "indicators", made)


def _hysteresis(out: Path, axis: Axis, ramps: Sequence[Ramp]) -> None:
    kinds = list(dict.fromkeys(one.kind for one in ramps))
    made, axes = charts.figure(2, len(kinds), size=(4.4, 3.0), squeeze=False, sharex=True, sharey="row")
    for panel, ramp in zip(axes.flat, ramps, strict=True):
        charts.line(panel, ramp.values, ramp.interval("down"), _DOWN, "way there", marker="o", markersize=3)
        charts.line(panel, ramp.values[:-1], ramp.interval("up"), _UP, "way back", marker="o", markersize=3)
        title = f"births from {ramp.kind}, {ramp.hold:,} ticks per value\nthere - back: {mean_interval(ramp.gap)}"
        where = {"xlabel": axis.field} if panel in axes[-1] else {}
        charts.plain(panel, title, ylabel="agents" if panel in axes[:, 0] else "", **where)
        _along(panel, axis, ramp)
    for panel in axes.flat:
        panel.set_ylim(bottom=0)  # now that all of a row are drawn
    charts.legend(axes[0, -1])
    charts.title(made, f"Population; 95 % over {len(ramps[0].gap)} worlds")
    charts.save(out, "hysteresis", made)


def _along(panel: Any, axis: Axis, ramp: Ramp) -> None:
    """The way there goes to the right, whichever way the values go."""
    panel.set_xscale("log" if axis.log else "linear")
    charts.along(panel, axis)
    panel.set_xlim(ramp.values[0], ramp.values[-1])
