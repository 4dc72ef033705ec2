"""The report on a run: its numbers, a table of them, and files."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax.common.text import short
from nmmo_jax.environment import Environment
from nmmo_jax.kinds import Material
from nmmo_jax.play.measure import Measured
from nmmo_jax.play.statistics import (
    age_histogram,
    food_yield,
    histogram_quantile,
    kaplan_meier,
    reachable_forests,
    survival_quantile,
)
from nmmo_jax.world.pool import MapPool

_QUANTILES = (0.1, 0.5, 0.9)
_DIED = {"lava": "dead:\nlava", "starvation": "\nhunger"}


def censored_lives(measured: Measured, env: Environment) -> np.ndarray:
    """Lives that did not end by death, by age, ``[P, B]``: those still alive, and those truncated."""
    bins, oldest = measured.tally.died.shape[1], env.config.max_lifetime or 0
    lives = [
        np.r_[ages, np.full(truncated, oldest, np.int64)]
        for ages, truncated in zip(measured.living_ages, measured.tally.truncations, strict=True)
    ]
    return np.stack([age_histogram(ages, bins) for ages in lives])


def summarise(
    measured: Measured, env: Environment, pool: MapPool, map_names: list[str], policies: tuple[str, ...], realms: int
) -> dict[str, Any]:
    """The numbers of a run, ready for JSON. Ages and lifetimes are in ticks, food in food."""
    maps, attainable = [], 0.0
    material, spawn_tile = np.asarray(pool.material), np.asarray(pool.spawn_tile)
    for i, name in enumerate(map_names):
        spawns = spawn_tile[i, : int(pool.num_spawn_tiles[i])]
        forests = reachable_forests(material[i], spawns, env.config.walkable)
        share = len(range(i, realms, len(map_names)))  # realms on this map
        amount = min(int(env.rules.forage_amount), int(env.rules.max_food))
        food = food_yield(forests, measured.ticks, amount, float(env.rules.regrowth_probability))
        attainable += share * food
        forests_in_all = int((material[i] == Material.FOREST).sum())
        maps.append(
            {"name": name, "realms": share, "forests": forests_in_all, "reachable_forests": forests, "yield": food}
        )
    tally, realm_ticks = measured.tally, measured.ticks * realms
    censored = censored_lives(measured, env)

    def numbers(which: list[int]) -> dict[str, Any]:
        return _of_populations(which, measured, censored, env, realm_ticks, attainable)

    points = len(measured.depleted)
    weights = np.minimum(measured.stride, measured.ticks - measured.stride * np.arange(points))
    steps = int(tally.steps.sum())
    return {
        "ticks": measured.ticks,
        "interrupted": measured.interrupted,
        "realms": realms,
        "agent_steps": steps,
        "agent_steps_per_second": steps / measured.play_seconds,
        "realm_ticks_per_second": realm_ticks / measured.play_seconds,
        "play_seconds": measured.play_seconds,
        "compile_seconds": measured.compile_seconds,
        "devices_used": measured.devices,
        "maps": maps,
        "food_attainable": attainable,
        "forests_depleted": float(np.average(measured.depleted, weights=weights)),
        "all": numbers(list(range(len(policies)))),
        "populations": [{"population": p, "policy": name, **numbers([p])} for p, name in enumerate(policies)],
    }


def _of_populations(
    which: list[int], measured: Measured, censored: np.ndarray, env: Environment, realm_ticks: int, attainable: float
) -> dict[str, Any]:
    """The numbers of some populations together."""
    tally = measured.tally

    def total(counts: ArrayLike) -> int:
        return int(np.asarray(counts)[which].sum())

    died = np.asarray(tally.died)[which].sum(axis=0)
    survival, _ = kaplan_meier(died, censored[which].sum(axis=0))
    deaths, truncations = int(died.sum()), total(tally.truncations)
    living_ages = np.concatenate([measured.living_ages[p] for p in which])
    # Whoever was ever born has grown as old as it was when it died, was truncated, or is now.
    at_death = total(tally.aged) - int(living_ages.sum(dtype=np.int64)) - truncations * (env.config.max_lifetime or 0)
    return {
        "births": total(tally.births),
        "deaths": deaths,
        "deaths_by_cause": {cause: total(tally.deaths[i]) for i, cause in enumerate(env.config.deadly)},
        "truncations": truncations,
        "still_alive": living_ages.size,
        "lifetime": {
            "mean": at_death / deaths if deaths else None,
            "quantiles": {str(q): histogram_quantile(died, q) for q in _QUANTILES},
            "median_kaplan_meier": survival_quantile(survival, 0.5),
        },
        "mean_population": total(tally.living) / realm_ticks,
        "agent_steps": total(tally.steps),
        "harvests": total(tally.harvests),
        "food_harvested": total(tally.forage),
        "food_harvested_over_yield": total(tally.forage) / attainable if attainable else None,
    }


def table(metrics: dict[str, Any], title: str) -> Table:
    """The numbers per population, for a terminal of 80 columns or more."""
    caption = (
        "Life in ticks: mean age of those who died in this run; median by Kaplan-Meier, which also counts who is still "
        "alive (- where it was not reached). "
        "food/yield: food harvested, over the most that the maps can be expected to yield."
    )
    rows = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    rows.title_justify = rows.caption_justify = "left"
    truncated = metrics["all"]["truncations"] > 0
    causes = {cause: _DIED.get(cause, f"\n{cause}") for cause in metrics["all"]["deaths_by_cause"]}
    rows.add_column("", justify="right")
    rows.add_column("policy")
    counts = ["births", *causes.values(), *(["trun-\ncated"] if truncated else []), "alive\nat end"]
    for name in [*counts, "life,\nmean", "life,\nmedian", "popu-\nlation", "food/\nyield"]:
        rows.add_column(name, justify="right", no_wrap=True)

    def add(index: str, policy: str, row: dict[str, Any], last: bool = False) -> None:
        lifetime = row["lifetime"]
        counts = [row["births"], *(row["deaths_by_cause"][cause] for cause in causes)]
        counts += [row["truncations"]] if truncated else []
        rows.add_row(
            index,
            short(policy),
            *(f"{count:,}" for count in [*counts, row["still_alive"]]),
            _number(lifetime["mean"], ".1f"),
            _number(lifetime["median_kaplan_meier"], "d"),
            _number(row["mean_population"], ".1f"),
            _number(row["food_harvested_over_yield"], ".1%"),
            end_section=last,
        )

    for row in metrics["populations"]:
        add(str(row["population"]), row["policy"], row, last=row is metrics["populations"][-1])
    add("", "all", metrics["all"])
    return rows


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
