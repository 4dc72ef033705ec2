"""The report on forks: figures, tables and files."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from nmmo_jax.common.drawing import embedded
from nmmo_jax.common.files import write_json
from nmmo_jax.common.text import quoted, short
from nmmo_jax.world.draw import palette
from train.studies.counterfactual import Change, Removals
from train.studies.dependency import beyond_reach, by_distance, by_policy, mean, plays, strongest
from train.studies.forks import reach
from train.studies.intervals import Interval, mean_interval
from train.studies.reports import fork_figures
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import Results

AMOUNTS = ("lived", "food", "water", "damage")  # of ``Outcomes``, of which effects are told
_OVER = "Intervals are over worlds."


def removals(study: Removals, out: Path, results: Results) -> RenderableType:
    """dependency.png, distance.png, results.json and report.md."""
    forks, worlds = study.forks, [results[cell.name] for cell in study.cells()]
    numbers = {
        "living": mean_interval([one["uid"].size for one in worlds]),
        "by_distance": by_distance(worlds),
        "by_policy": by_policy(worlds, forks.labels),
        "beyond_reach": None,
        "strongest": strongest(worlds),
    }
    config, born = forks.env.config, np.any(forks.after.spawn_rate)
    born |= config.reproduction and np.any(forks.after.birth_probability)
    tiles: list[int] = []
    # The planner knows the whole map, and births, lists of systems and what they do at ``settle`` know no distance.
    if "planner" not in forks.names and not born and not config.systems:
        tiles = [reach(config, forks.env.rules, tick) for tick in range(forks.horizon + 1)]
        numbers["beyond_reach"] = beyond_reach(worlds, tiles[1], forks.horizon)
    title = forks.title()
    fork_figures.dependency(out, worlds[0], forks.labels, title, palette(config))
    fork_figures.distance(out, worlds, numbers["by_distance"], forks.horizon, tiles, title)
    write_json(out / "results.json", _json(numbers))
    heads = ("tiles away", "pairs", "of them changed", "share", "life", "life, absolute", "food, absolute")
    rows = [
        [row["tiles"], f"{row['pairs']:,}", f"{row['pairs_changed']:,}"]
        + [str(row[name]) for name in ("changed", "lived", "lived_abs", "food_abs")]
        for row in numbers["by_distance"]
    ]
    births = "go on" if born else "stop at the fork"
    text = (
        f"# Without one agent\n\n{quoted(title)}. Births {births}. {numbers['living']} agents live at the fork. "
        "Intervals are over worlds.\n\nPairs (removed, other) in all futures, by their distance at the fork, in "
        "tiles (the larger of rows and columns). Changed: the other was not as it would have been, in any of its "
        "attributes, at some tick. Life: ticks that it lived more, and the size of that difference; food: units "
        "gained.\n\n"
        f"{markdown(heads, rows)}\n\n{embedded('distance')}\n\n{embedded('dependency')}\n\n"
        "Ticks of life that all others of a policy gain when one agent is removed:\n\n"
        f"{markdown(['removed', *numbers['by_policy']['of']], numbers['by_policy']['rows'])}\n"
    )
    if beyond := numbers["beyond_reach"]:
        text += (
            f"\nNothing comes farther than {beyond['tiles_per_tick']} tiles per tick. Pairs so far apart, in all "
            f"futures and at all ticks: {beyond['looked_at']:,}; of them changed: {beyond['changed']}.\n"
        )
    if best := numbers["strongest"]:
        text += (
            f"\nThe strongest, chosen by the even futures and measured in the odd ones: without agent "
            f"{best['removed']} of world {best['world']}, agent {best['other']}, {best['tiles']} tiles away, lived "
            f"{best['effect']} ticks more (interval over futures).\n"
        )
    write_report(out, text)
    # What a terminal has room for.
    return table(f"Without one agent: {title}", (*heads[:3], *heads[4:6]), [r[:3] + r[4:6] for r in rows], _OVER)


def change(study: Change, out: Path, results: Results) -> RenderableType:
    """effect.png, results.json and report.md."""
    forks, worlds = study.forks, [results[cell.name] for cell in study.cells()]
    effects: dict[str, dict[str, Interval]] = {}
    for label in ("all", *dict.fromkeys(forks.labels)):
        own = [(plays(one, forks.labels) == label) | (label == "all") for one in worlds]
        effects[label] = {
            name: mean_interval(
                [mean((one[name][:, 1] - one[name][:, 0])[:, who]) for one, who in zip(worlds, own, strict=True)]
            )
            for name in AMOUNTS
        }
    title = f"{study.what}: {forks.title()}"
    fork_figures.effect(out, worlds, effects, forks.horizon, title)
    write_json(out / "results.json", _json({"changed": study.what, "effects": effects}))
    heads = ("", "life, ticks", "food", "water", "damage")
    rows = [[label, *(str(row[name]) for name in AMOUNTS)] for label, row in effects.items()]
    text = (
        f"# {quoted(study.what)}\n\n{quoted(title)}. Effect per agent that lives at the fork; "
        "intervals are over worlds.\n\n"
        f"{markdown(heads, rows)}\n\n{embedded('effect')}\n"
    )
    write_report(out, text)
    return table(title, heads, [[short(label), *told] for label, *told in rows], _OVER)


def _json(value: Any) -> Any:
    """Ready for JSON."""
    if isinstance(value, Interval):
        return value.as_json()
    if isinstance(value, dict):
        return {name: _json(one) for name, one in value.items() if name != "rows"}
    return [_json(one) for one in value] if isinstance(value, list) else value
