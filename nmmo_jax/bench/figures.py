"""Figures of a run, as matplotlib figures that nothing global knows of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from nmmo_jax.bench.peers import RECORD, read
from nmmo_jax.bench.report import devices_of, nanoseconds
from nmmo_jax.bench.results import measured, part
from nmmo_jax.bench.systems import OBSERVE, STEP, WITHOUT_OBSERVATION
from nmmo_jax.common.drawing import drawing, write_figure
from nmmo_jax.common.text import drawn, heading, safe

PEERS = Path(__file__).parent / "peers.json"
_OURS, _OTHERS, _ACCENT = "#0072B2", "#B0B0B0", "#D55E00"  # Okabe and Ito's, told apart by the colour-blind
_BOUND = 1.5  # times the cost at 128 agents, that a crowd should stay below
_KINDS = {
    "world": "the world, observations built (but where it says game only)",
    "network": "with the networks of the classic game",
}


@drawing()
def figures(results: dict[str, Any]) -> dict[str, Figure]:
    """The figures that these results allow, by name."""
    made = {name: draw(results) for name, draw in _FIGURES.items()}
    return {name: figure for name, figure in made.items() if figure is not None}


def write_figures(results: dict[str, Any], folder: Path) -> list[Path]:
    """Writes the figures, in the formats of ``drawing``, into a folder, which is made; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, figure in figures(results).items() for path in write_figure(folder / name, figure)]


def realms_figure(results: dict[str, Any]) -> Figure | None:
    """Throughput over the number of realms, at full house."""
    rows = _group(results, "realms")
    if not rows:
        return None
    figure, axes = _figure((7, 4.2))
    realms, rates = [row["realms"] for row in rows], [row["agent_steps_per_second"] for row in rows]
    axes.plot(realms, rates, color=_OURS, linewidth=1.4, zorder=1)
    for number in sorted({row["devices"] for row in rows}):
        chosen = [row for row in rows if row["devices"] == number]
        label = drawn("on " + devices_of(chosen[0], results["machine"]))
        points = [row["realms"] for row in chosen], [row["agent_steps_per_second"] for row in chosen]
        axes.scatter(*points, s=36, label=label, color=_ACCENT if number == 1 and len(rows) > len(chosen) else _OURS)
    axes.set(xscale="log", yscale="log", ylim=(min(rates) / 2, max(rates) * 2))
    axes.set(xlabel="realms of 128 places side by side", ylabel="living agent-steps per second")
    axes.set_xticks(realms, [f"{number:,}" for number in realms])
    axes.xaxis.set_minor_locator(NullLocator())
    _decades(axes.yaxis, 2, 5)
    axes.legend(frameon=False, loc="lower right")
    _title(figure, axes, "Throughput over realms: full house, random policy", results)
    return figure


def crowd_figure(results: dict[str, Any]) -> Figure | None:
    """Cost per living agent over the number of agents in a realm, at equal density."""
    rows = sorted(_group(results, "crowd"), key=lambda row: row["agents"])
    if not rows:
        return None
    figure, axes = _figure((7, 4.2))
    agents, costs = [row["agents"] for row in rows], [nanoseconds(row) for row in rows]
    axes.plot(agents, costs, "o-", color=_OURS, linewidth=1.4)
    for place, cost in zip(agents, costs, strict=True):
        axes.annotate(f"{cost:,.0f}", (place, cost), (0, 7), textcoords="offset points", ha="center", fontsize="small")
    base = next((nanoseconds(row) for row in rows if row["agents"] == 128), None)
    if base is not None:
        axes.axhline(_BOUND * base, color=_ACCENT, linewidth=1, linestyle="--", label=f"{_BOUND} x the cost at 128")
        axes.legend(frameon=False, loc="upper left")
    axes.set(xscale="log", ylim=(0, 1.25 * max(*costs, _BOUND * (base or 0))))
    axes.set(xlabel="places per realm, at equal density", ylabel="nanoseconds per living agent-step")
    axes.set_xticks(agents, [f"{number:,}" for number in agents])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _title(figure, axes, f"Cost of a crowd, on {devices_of(rows[0], results['machine'])}", results)
    return figure


@drawing()
def write_cost_figure(record: dict[str, Any], folder: Path) -> list[Path]:
    """Writes the figure cost into a folder, which is made: what training costs per place of a world, over places.

    Args:
      record: of ``nmmo_jax.bench.memory``; rows that were not timed are left out, and without any nothing is written.
    """
    rows = sorted((one for one in record["rows"] if "nanoseconds_per_place" in one), key=lambda one: one["agents"])
    if not rows:
        return []
    figure, axes = _figure((7, 4.2))
    agents, costs = [one["agents"] for one in rows], [one["nanoseconds_per_place"] for one in rows]
    axes.plot(agents, costs, "o-", color=_OURS, linewidth=1.4)
    for one in rows:
        label = f"{drawn(one['experiment'])}: {one['nanoseconds_per_place']:,.0f}"
        place = one["agents"], one["nanoseconds_per_place"]
        axes.annotate(label, place, (0, 8), textcoords="offset points", ha="center", fontsize="small")
    axes.set(xscale="log", xlim=(min(agents) / 2, max(agents) * 2), ylim=(0, 1.25 * max(costs)))
    axes.set(xlabel="places per world", ylabel="nanoseconds per place and tick, acting and learning")
    axes.set_xticks(agents, [f"{number:,}" for number in agents])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _title(figure, axes, f"Cost of training, on {devices_of(rows[0], record['machine'])}", record)
    folder.mkdir(parents=True, exist_ok=True)
    return write_figure(folder / "cost", figure)


def peers_figure(results: dict[str, Any]) -> Figure | None:
    """One core of ours beside one core of the others', in one run (``bench --peers``) or on such a machine."""
    ours = [
        row for row in measured(results) if row["devices"] == 1 and row["group"] in ("full_house", "chaos", "classic")
    ]
    if results["machine"]["backend"] != "cpu" or not ours:
        return None
    data = json.loads(PEERS.read_text())
    bars: dict[str, list[tuple[str, int, str]]] = {kind: [] for kind in _KINDS}
    for row in ours:
        kind = "world" if row["policy"] == "random" else "network"
        label = f"nmmo-jax: {drawn(row['row']).replace('_', ' ')}, {row['realms']} x {row['agents']}"
        bars[kind].append((label, row["agent_steps_per_second"], _OURS))
    record: dict[str, Any] = read(RECORD) if RECORD.is_file() else {"rows": []}
    for row in record["rows"]:
        label = f"{drawn(row['package'])} {drawn(row['version'])}: {drawn(row['setting'], None)}"
        bars["world"].append((label, row["agent_steps_per_second"], _ACCENT))
    for peer in data["peers"]:
        # What was measured in one run with ours need not be cited.
        if peer["hardware"] == data["core"] and peer.get("driver") not in [row["name"] for row in record["rows"]]:
            bars[peer["kind"]].append((f"{peer['system']}: {peer['setting']}", peer["agent_steps_per_second"], _OTHERS))
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True, height_ratios=[len(one) + 1 for one in bars.values()])
    for axes, (kind, rows) in zip(panels, bars.items(), strict=True):
        rows.sort(key=lambda bar: bar[1])
        labels, rates, colours = zip(*rows, strict=True)
        axes.barh(labels, rates, color=colours, height=0.7)
        for place, rate in enumerate(rates):
            axes.annotate(f"{rate:,}", (rate, place), (4, 0), textcoords="offset points", va="center", fontsize="small")
        axes.set(xscale="log", xlim=(100, 3e7))
        axes.set_title(_KINDS[kind], loc="left", fontsize="medium")
        _plain(axes, "x")
    told = f"living agent-steps per second (logarithmic); grey: others, on {data['core']}"
    if record["rows"]:
        told += f"\norange: in one run, in turn, on one core of {safe(record['machine'].get('processor'))}"
    figure.supxlabel(told, fontsize="medium")
    _decades(panels[-1].xaxis)
    machine = f"{safe(results['machine']['processor'])}, jax {safe(results['machine']['jax'])}"
    figure.suptitle(heading(f"One core: {machine}", figure.get_figwidth()), x=0.01, ha="left")
    return figure


def systems_figure(results: dict[str, Any]) -> Figure | None:
    """What each system costs, in place and alone."""
    systems = part(results, "systems")
    if systems is None:
        return None
    rows = [one for one in systems["systems"] if one["system"] not in (WITHOUT_OBSERVATION, OBSERVE, STEP)]
    rows.sort(key=lambda one: one["in_place_microseconds"])
    figure, axes = _figure((7.5, 4.6))
    places = range(len(rows))
    axes.barh(
        [place + 0.2 for place in places],
        [one["in_place_microseconds"] for one in rows],
        0.38,
        color=_OURS,
        label="in place",
    )
    axes.barh(
        [place - 0.2 for place in places],
        [one["alone_microseconds"] or 0 for one in rows],
        0.38,
        color=_OTHERS,
        label="alone",
    )
    axes.set_yticks(places, [drawn(one["system"]) for one in rows])
    axes.set_xlabel(
        f"microseconds per tick of {systems['realms']} realms, {systems['living_agents']:,.0f} living agents"
    )
    axes.legend(frameon=False, loc="lower right")
    _plain(axes, "x")
    _title(figure, axes, "Where a tick goes: full house, one device", results)
    return figure


_FIGURES: dict[str, Callable[[dict[str, Any]], Figure | None]] = {
    "realms": realms_figure,
    "crowd": crowd_figure,
    "peers": peers_figure,
    "systems": systems_figure,
}


def _group(results: dict[str, Any], group: str) -> list[dict[str, Any]]:
    return [row for row in measured(results) if row["group"] == group]


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    _plain(axes, "y")
    return figure, axes


def _title(figure: Figure, axes: Axes, title: str, results: dict[str, Any]) -> None:
    machine = results["machine"]
    device = machine["processor"] if machine["backend"] == "cpu" else machine["device"]
    axes.set_title(
        heading(f"{title}\n{safe(device)}, jax {safe(machine['jax'])}", figure.get_figwidth()),
        loc="left",
        fontsize="medium",
    )


def _decades(axis: Any, *between: int) -> None:
    """Labels at the powers of ten of a logarithmic axis, and at these multiples of them."""
    axis.set_major_locator(LogLocator(subs=(1, *between)))
    axis.set_major_formatter(EngFormatter(sep=" "))
    axis.set_minor_formatter(NullFormatter())


def _plain(axes: Axes, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=False)
    axes.grid(axis="x" if grid == "x" else "y", linewidth=0.5, alpha=0.3)
    axes.set_axisbelow(True)
