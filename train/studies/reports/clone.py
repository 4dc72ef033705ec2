"""The report on what networks represent: tables, what follows from them, a figure and files."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import EngFormatter
from rich.console import Group, RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import drawn, quoted, short
from train.studies.clone import AFTER, CLONE, SCRATCH, TEMPERATURES, Cloning, Played
from train.studies.intervals import Interval, mean_interval
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results

_TEACHER = len(TEMPERATURES)
_PLAYED = ("its clone", *(f"at temperature {one}" for one in TEMPERATURES[1:-1]), "most probable only")
_HEADS = ("policy", "lifetime", "harvest", "agrees", "most probable")
_CAPTION = (
    "95 % intervals over seeds, or over worlds of one. agrees: share of the choices equal to the teacher's in the same "
    "states, as played (a clone: at temperature 1), and if the most probable were taken; of a teacher, with itself "
    "asked again. in its teacher's play: a clone in states that the teacher comes to."
)


class Row(NamedTuple):
    """A line of the table, and its numbers by unit."""

    policy: str
    numbers: dict[str, np.ndarray]


def report(study: Cloning, out: Path, results: Results) -> RenderableType:
    """Figure: lifetimes; results.json, report.md."""
    all_played = {one.name: study.units(results, one) for one in study.trainings}
    tables, told, said = [], [], []
    for index, variant in enumerate(study.variants):
        rows, found = _rows(study, all_played, index), _findings(study, all_played, index)
        title = variant or "as set"
        said += [f"{variant}: {line}" if variant else line for line in found]
        cells = [[row.policy, *_cells(row)] for row in rows]
        tables.append((title, cells))
        numbers = [
            {"policy": row.policy, **{name: mean_interval(value).as_json() for name, value in row.numbers.items()}}
            for row in rows
        ]
        told.append({"variant": title, "policies": numbers, "curves": _curves(study, all_played, index)})
    asked = {name: getattr(study, name) for name in ("seeds", "clone_steps", "ppo_steps", "mixture", "worlds", "ticks")}
    over = "worlds" if study.seeds == 1 else "seeds of training"
    write_json(out / "results.json", {**asked, "interval_over": over, "variants": told, "findings": said})
    _figure(study, out, all_played)
    write_report(
        out,
        "# What networks represent",
        f"`{study.name}`, {study.seeds} seed{'s' * (study.seeds > 1)}: cloned for {study.clone_steps:,} agent-steps, "
        f"then reinforced for {study.ppo_steps:,}; from nothing for {study.clone_steps + study.ppo_steps:,}. Played on "
        f"{study.worlds} maps not seen in training, {study.ticks:,} ticks after {study.settle:,}. {_CAPTION}",
        *(f"## {quoted(title)}\n\n{markdown(_HEADS, cells)}" for title, cells in tables),
        "\n".join(f"- {quoted(line)}" for line in said),
        embedded("lifetimes"),
    )
    shown = [
        table(short(title) if len(tables) > 1 else "", _HEADS, cells, None if n + 1 < len(tables) else _CAPTION)
        for n, (title, cells) in enumerate(tables)
    ]
    return Group(*shown, *said)


def _rows(study: Cloning, all_played: dict[str, Played], variant: int) -> list[Row]:
    def row(policy: str, of: Played, who: int = 0, agrees: bool = True) -> Row:
        numbers = {"lifetime": of.last(of.lifetime, who), "harvest": of.last(of.harvest, who)}
        if agrees:
            numbers |= {name: of.last(of.agreement[name], who) for name in ("drawn", "likeliest")}
        return Row(policy, numbers)

    found = []
    for teacher in study.teachers:
        own, after = (all_played[f"{variant}-{teacher}-{kind}"] for kind in (CLONE, AFTER))
        itself = own.last(own.agreement["teacher"], _TEACHER)
        found.append(row(teacher, own, _TEACHER, agrees=False))
        found[-1].numbers["drawn"] = itself
        found += [row(_PLAYED[who], own, who) for who in range(_TEACHER)]
        there = {name: own.last(own.agreement[name], _TEACHER) for name in ("drawn", "likeliest")}
        found.append(Row("in its teacher's play", there))
        found.append(row("its clone, reinforced", after))
    return [*found, row("from nothing", all_played[f"{variant}-{SCRATCH}"], agrees=False)]


def _cells(row: Row) -> list[str]:
    shown = []
    for name in ("lifetime", "harvest", "drawn", "likeliest"):
        interval = mean_interval(row.numbers[name]) if name in row.numbers else Interval(*[np.nan] * 3)
        shown.append(str(interval) if name == "lifetime" else _percent(interval))
    return shown


def _findings(study: Cloning, all_played: dict[str, Played], variant: int) -> list[str]:
    """What is so, with the units' differences: they have played the same worlds."""
    said, scratch = [], all_played[f"{variant}-{SCRATCH}"]
    nothing = scratch.last(scratch.lifetime)
    for teacher in study.teachers:
        own, after = (all_played[f"{variant}-{teacher}-{kind}"] for kind in (CLONE, AFTER))
        lives = own.last(own.lifetime)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = mean_interval(lives / own.last(own.lifetime, _TEACHER))
        said.append(f"the clone of {teacher} lives {_percent(part)} as long as its teacher.")
        ends = after.last(after.lifetime)
        gap = mean_interval(ends - lives)
        verdict = _verdict(study, gap, "it lives longer by that", "it lives shorter by that")
        said.append(f"reinforcement changes the lifetime of the clone of {teacher} by {gap} ticks: {verdict}.")
        gap = mean_interval(ends - nothing)
        verdict = _verdict(study, gap, "cloning helps", "cloning does harm")
        said.append(
            f"after as many agent-steps in all, the reinforced clone of {teacher} lives {gap} ticks longer than who "
            f"learned from nothing: {verdict}."
        )
    return said


def _verdict(study: Cloning, gap: Interval, above: str, below: str) -> str:
    if not np.isfinite(gap.low):
        return "one world says nothing of chance" if study.seeds == 1 else "one seed says nothing of chance"
    if gap.low <= 0 <= gap.high:
        return "the interval does not decide"
    found = above if gap.low > 0 else below
    return f"{found}, as far as one training tells" if study.seeds == 1 else found


def _lines(study: Cloning, all_played: dict[str, Played], variant: int) -> list[tuple[str, str, np.ndarray, Interval]]:
    """``(kind, teacher, agent-steps, lifetime)`` of every line; a reinforced clone goes on where cloning ended."""
    found = []
    for teacher in study.teachers:
        own, after = (all_played[f"{variant}-{teacher}-{kind}"] for kind in (CLONE, AFTER))
        number = len(own.agent_steps)
        found.append((CLONE, teacher, own.agent_steps, mean_interval(own.lifetime[:number].T)))
        steps = np.r_[0, after.agent_steps] + own.agent_steps[-1]
        lives = np.concatenate([own.lifetime[number - 1 : number], after.lifetime])
        found.append((AFTER, teacher, steps, mean_interval(lives.T)))
    scratch = all_played[f"{variant}-{SCRATCH}"]
    return [*found, (SCRATCH, "", scratch.agent_steps, mean_interval(scratch.lifetime.T))]


def _curves(study: Cloning, all_played: dict[str, Played], variant: int) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "teacher": teacher or None, "agent_steps": steps.tolist(), "lifetime": lives.as_json()}
        for kind, teacher, steps, lives in _lines(study, all_played, variant)
    ]


def _figure(study: Cloning, out: Path, all_played: dict[str, Played]) -> None:
    made, axes = charts.figure(len(study.variants), size=(6.5, 4.5), squeeze=False, sharey=True)
    colours = dict(zip(study.teachers, charts.COLOURS, strict=False))
    labels = {CLONE: "clone of {}", AFTER: "clone of {}, reinforced", SCRATCH: "reinforced from nothing"}
    for index, (variant, at) in enumerate(zip(study.variants, axes[0], strict=True)):
        for kind, teacher, steps, lives in _lines(study, all_played, index):
            colour, dashes = colours.get(teacher, "0.35"), "--" if kind == AFTER else "-"
            charts.line(at, steps, lives, colour, labels[kind].format(teacher), linestyle=dashes, marker=".")
        for teacher in study.teachers:
            own = all_played[f"{index}-{teacher}-{CLONE}"]
            level = mean_interval(own.last(own.lifetime, _TEACHER)).mean
            at.axhline(level, color=colours[teacher], linewidth=1, linestyle=":", label=f"{teacher}: {level:.0f}")
        at.xaxis.set_major_formatter(EngFormatter(sep=""))
        charts.plain(
            at, drawn(f"{study.name}, {variant}" if variant else study.name), xlabel="living agent-steps learned from",
            ylabel="" if index else "lifetime on unseen maps (ticks)", ylim=(0, None),
        )  # fmt: skip
    charts.legend(axes[0][-1])
    charts.save(out, "lifetimes", made)


def _percent(interval: Interval) -> str:
    if not np.isfinite(interval.mean):
        return "-"
    half = (interval.high - interval.low) / 2
    return f"{100 * interval.mean:.1f} ± {100 * half:.1f} %" if np.isfinite(half) else f"{interval.mean:.1%}"
