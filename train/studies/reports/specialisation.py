"""What the study of specialisation tells: figures, numbers, and whether more populations fill more niches."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import EngFormatter
from rich.console import Group, RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import drawn, quoted, short
from nmmo_jax.config import STYLES
from nmmo_jax.world.draw import map_image, palette
from train.studies.intervals import Interval, mean_interval
from train.studies.niches import SIDE, Niches, ground_names
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.specialisation import OWN, SHARED, STRANGERS, Arm, Specialisation
from train.studies.study import Result, Results

KINDS = {
    "tiles": f"cells of {SIDE} x {SIDE} tiles",
    "ground": "kinds of ground",
    "styles": "styles of attack",
}  # what niches are counted in
_STYLE = {OWN: "-", SHARED: "--", STRANGERS: ":"}
_MOST_MAPS = 16  # populations whose visits are drawn


class Played(NamedTuple):
    """An arm and what its seeds have shown, S of them, at T points of training."""

    arm: Arm
    seeds: list[Result]

    def series(self, name: str) -> np.ndarray:
        """``[S, T, ...]``."""
        return np.stack([one[name] for one in self.seeds])

    def excess(self, kind: str) -> np.ndarray:
        """``[S, T]`` of ``Niches.excess``."""
        return self.series(kind)[..., Niches._fields.index("excess")]


def report(study: Specialisation, out: Path, results: Results) -> RenderableType:
    """Writes results.json, report.md and the figures; returns a table and what follows from it."""
    asked, arms = study.amount, study.arms
    played = [Played(arm, [results[f"play-{arm.name}-{seed}"] for seed in range(len(arm.folders))]) for arm in arms]
    kinds = [kind for kind in KINDS if any(np.isfinite(one.excess(kind)[:, -1]).any() for one in played)]
    said = [line for kind in kinds for line in findings(played, kind)]
    names = [name for name, drawn in (("niches", _niches(out, played, kinds)), ("maps", _maps(out, played))) if drawn]
    if any(one.arm.snapshots for one in played):
        _over_training(out, played, kinds)
        names.insert(1, "over-training")
    if "styles" in kinds:
        _styles(out, played)
        names.append("styles")
    numbers = {"asked": dataclasses.asdict(asked), "arms": {one.arm.name: _numbers(one, kinds) for one in played}}
    write_json(out / "results.json", {**numbers, "findings": said})
    rows = _rows(played, kinds)
    write_report(
        out,
        "# Specialisation",
        "Effective number of distinct niches, minus its mean where labels of populations are permuted within worlds; "
        "0: populations are no further apart than chance makes them. P populations; means over seeds, 95 % intervals.",
        "\n".join(f"- {kind}: {KINDS[kind]}" for kind in kinds)
        + f"\n- played: {asked.maps} held-out maps per seed, {asked.worlds} worlds on each, {asked.ticks} ticks after "
        f"{asked.settle}",
        markdown(rows[0], rows[1:]),
        "\n".join(f"- {quoted(line)}" for line in said),
        "\n".join(map(embedded, names)),
    )
    # What a terminal has room for.
    lines = [[f"{short(arm)}, {populations}", *values[: len(kinds)]] for arm, populations, *values in rows[1:]]
    return Group(table("Effective niches above chance", ["arm, populations", *kinds], lines), *said)


def findings(played: Sequence[Played], kind: str) -> list[str]:
    """Sentences on whether more populations fill more niches, and why. Differences are within seeds and their maps."""
    said = []
    for group in dict.fromkeys(one.arm.group for one in played if one.arm.group.endswith(OWN)):
        line = sorted((one for one in played if one.arm.group == group), key=lambda one: one.arm.populations)
        several = [one for one in line if one.arm.populations > 1 and np.isfinite(one.excess(kind)[:, -1]).any()]
        if not several:
            continue
        few, many = several[0], several[-1]
        place = f"{group}, {KINDS[kind]}: "
        if few is not many:
            less, more = few.arm.populations, many.arm.populations
            gap = mean_interval(many.excess(kind)[:, -1] - few.excess(kind)[:, -1])
            verdict = _verdict(gap, "more populations fill more niches, as published", "more fill fewer")
            said.append(
                f"{place}{_text(gap)} niches more above chance with {more} populations than with {less}: {verdict}."
            )
            each = [_text(mean_interval(one.excess(kind)[:, -1] / (one.arm.populations - 1))) for one in (few, many)]
            said.append(f"{place}per population beyond the first, {each[0]} with {less} and {each[1]} with {more}.")
        game = group.removesuffix(OWN)
        for other, meaning in (
            (SHARED, "weights of their own set populations apart"),
            (STRANGERS, "populations that learn together are further apart than those that have never met"),
        ):
            theirs_of = {one.arm.populations: one for one in played if one.arm.group == game + other}
            for own_one in several[::-1]:  # the most populations of which there are both
                if own_one.arm.populations in theirs_of:
                    theirs = theirs_of[own_one.arm.populations].excess(kind)[:, -1]
                    own = own_one.excess(kind)[:, -1]
                    gap = mean_interval(own - theirs)
                    said.append(
                        f"{place}{_text(mean_interval(theirs))} niches above chance for {other} in place of "
                        f"{_text(mean_interval(own))}, a difference of {_text(gap)}: "
                        f"{_verdict(gap, meaning, 'the other way round')}."
                    )
                    break
    return said


def _verdict(gap: Interval, above: str, below: str) -> str:
    if not np.isfinite(gap.low):
        return "one seed says nothing of chance"
    if gap.low > 0:
        return above
    return f"not so, {below}" if gap.high < 0 else f"these seeds do not decide whether {above}"


def _text(interval: Interval) -> str:
    """With two digits of the interval: between kinds of ground, niches are apart by thousandths."""
    half = (interval.high - interval.low) / 2
    if not np.isfinite(half) or not half:
        return str(interval)
    digits = int(np.clip(1 - np.floor(np.log10(half)), 0, 6))
    return f"{interval.mean:.{digits}f} ± {half:.{digits}f}"


def _rows(played: Sequence[Played], kinds: Sequence[str]) -> list[list[str]]:
    rows = [["arm", "P", *kinds, "p <= 0.05, tiles", "lifetime", "living"]]
    for one in played:
        p = one.series("tiles")[:, -1, Niches._fields.index("p")]
        excess = [_text(mean_interval(one.excess(kind)[:, -1])) for kind in kinds]
        life = [str(mean_interval(one.series(name)[:, -1])) for name in ("lifetime", "population")]
        rows.append([one.arm.group, str(one.arm.populations), *excess, f"{(p <= 0.05).sum()} of {len(p)}", *life])
    return rows


def _numbers(one: Played, kinds: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"group": one.arm.group, "populations": one.arm.populations}
    told["runs"] = [str(folder) for folder in one.arm.folders]
    for name in ("agent_steps", "lifetime", "population"):
        told[name] = mean_interval(one.series(name)).as_json()
    for kind in kinds:
        told[kind] = {
            field: {**mean_interval(one.series(kind)[..., i]).as_json(), "seeds": _plain(one.series(kind)[:, -1, i])}
            for i, field in enumerate(Niches._fields)
        }
    told["divergence_between_populations"] = _plain(np.mean([seed["overlap"] for seed in one.seeds], axis=0))
    told["ground"] = {
        "kinds": ground_names(one.arm.config),
        "counts": _plain(sum(seed["ground_counts"] for seed in one.seeds)),
    }
    if "styles" in kinds:
        counts = _plain(sum(seed["style_counts"] for seed in one.seeds))
        bits = mean_interval([mean_interval(seed["style_bits"]).mean for seed in one.seeds]).as_json()
        told["hits"] = {"styles": STYLES, "counts": counts, "bits_of_a_population": bits}
    return told


def _plain(values: Any) -> Any:
    """As lists, None in place of NaN."""
    if np.ndim(values):
        return [_plain(one) for one in values]
    return float(values) if np.isfinite(values) else None


def _colour(arm: Arm, arms: Sequence[Arm]) -> str:
    numbers = sorted({one.populations for one in arms})
    return charts.COLOURS[numbers.index(arm.populations) % len(charts.COLOURS)]


def _dash(arm: Arm) -> str:
    return next((dash for name, dash in _STYLE.items() if arm.group.endswith(name)), "-")


def _niches(out: Path, played: Sequence[Played], kinds: Sequence[str]) -> bool:
    """Excess by number of populations, a line per group."""
    if not kinds:
        return False
    made, axes = charts.figure(len(kinds), size=(5.0, 4.2), squeeze=False)
    groups = list(dict.fromkeys(one.arm.group for one in played))
    for at, kind in zip(axes[0], kinds, strict=True):
        at.axhline(0, color="black", linewidth=0.8)
        for i, group in enumerate(groups):
            line = sorted((one for one in played if one.arm.group == group), key=lambda one: one.arm.populations)
            x = [np.log2(one.arm.populations) + 0.05 * (i - (len(groups) - 1) / 2) for one in line]
            each = [mean_interval(one.excess(kind)[:, -1]) for one in line]
            together = Interval(*(np.array(part) for part in zip(*each, strict=True)))
            charts.points(
                at, x, together, charts.COLOURS[i % len(charts.COLOURS)], drawn(group), linestyle=_dash(line[0].arm)
            )
        numbers = sorted({one.arm.populations for one in played})
        at.set_xticks(np.log2(numbers), [str(number) for number in numbers])
        at.set_xlim(np.log2(numbers[0]) - 0.4, np.log2(numbers[-1]) + 0.4)
        charts.plain(at, KINDS[kind], xlabel="populations", ylabel="effective niches above chance")
    charts.legend(axes[0, -1])
    charts.save(out, "niches", made)
    return True


def _over_training(out: Path, played: Sequence[Played], kinds: Sequence[str]) -> None:
    """Excess and lifetime by agent-steps of training, a row per game and a line per arm."""
    several = [one for one in played if one.arm.snapshots]
    games = list(dict.fromkeys(_game(one.arm) for one in several))
    made, axes = charts.figure(len(kinds) + 1, len(games), size=(5.0, 4.2), squeeze=False)
    for row, game in zip(axes, games, strict=True):
        for at, kind in zip(row, [*kinds, "lifetime"], strict=True):
            for one in (one for one in several if _game(one.arm) == game):
                values = one.series("lifetime") if kind == "lifetime" else one.excess(kind)
                steps, colour = (
                    one.series("agent_steps").mean(axis=0),
                    _colour(one.arm, [other.arm for other in several]),
                )
                label = f"{drawn(one.arm.group)}, {one.arm.populations}"
                charts.line(at, steps, mean_interval(values), colour, label, linestyle=_dash(one.arm), marker=".")
            at.xaxis.set_major_formatter(EngFormatter(sep=""))
            label = "lifetime, ticks" if kind == "lifetime" else "effective niches above chance"
            steps = "living agent-steps of training, all populations"
            charts.plain(at, f"{drawn(game)}, {KINDS.get(kind, kind)}", xlabel=steps, ylabel=label)
        charts.legend(row[-1])
    charts.save(out, "over-training", made)


def _game(arm: Arm) -> str:
    return arm.group.partition(",")[0]


def _maps(out: Path, played: Sequence[Played]) -> bool:
    """Where the populations of one seed have been, of the arm with most of them."""
    one = max(played, key=lambda one: (one.arm.populations, one.arm.group.endswith(OWN)))
    visits, material = one.seeds[0]["visits"][:_MOST_MAPS], one.seeds[0]["material"]
    if not visits.any():
        return False
    columns = min(4, len(visits))
    rows = -(-len(visits) // columns)
    made, axes = charts.figure(columns, rows, size=(3.2, 3.4), squeeze=False)
    share = visits / np.maximum(visits.sum(axis=(1, 2), keepdims=True), 1)
    most = share.max()
    ground = map_image(material, 1, colours=palette(one.arm.config)).astype(float) / 255
    image = None
    for population, at in enumerate(axes.flat):
        at.set_axis_off()
        if population >= len(visits):
            continue
        at.imshow(0.65 + 0.35 * ground)  # pale
        seen = np.ma.masked_equal(share[population], 0)
        image = at.imshow(seen, cmap="inferno_r", norm=LogNorm(most / 1_000, most))
        at.set_title(f"population {population}", loc="left", fontsize="medium")
    made.colorbar(image, ax=axes, shrink=0.6, label="share of the population's visits")
    charts.title(
        made, f"{short(one.arm.group)}, {one.arm.populations} populations: one training, all worlds on one map"
    )
    charts.save(out, "maps", made)
    return True


def _styles(out: Path, played: Sequence[Played]) -> None:
    """Hits by style of attack, a bar per population, of the first seed of each arm that attacks."""
    hitting = [one for one in played if one.seeds[0]["style_counts"].any()]
    made, axes = charts.figure(min(4, len(hitting)), -(-len(hitting) // 4), size=(3.4, 3.0), squeeze=False)
    for at in axes.flat[len(hitting) :]:
        at.set_axis_off()
    for at, one in zip(axes.flat, hitting, strict=False):
        counts = one.seeds[0]["style_counts"]
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        below = np.zeros(len(share))
        for i, style in enumerate(STYLES):
            at.bar(range(len(share)), share[:, i], bottom=below, color=charts.COLOURS[i], label=style)
            below += share[:, i]
        at.set_xticks(range(len(share)))
        charts.plain(at, f"{drawn(one.arm.group)}, {one.arm.populations}", xlabel="population", ylabel="share of hits")
    charts.legend(axes.flat[min(len(hitting), axes.shape[1]) - 1])
    charts.save(out, "styles", made)
