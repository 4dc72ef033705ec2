"""Results of studies as Parquet: a row per unit of observation, every column with its unit and meaning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmmo_jax.common.tables import Column, write_parquet
from nmmo_jax.play.provenance import rules_as_json
from nmmo_jax.references import config_as_json
from nmmo_jax.rules import rule_fields
from train.studies.evaluation import EVENT, HIGHEST, MEAN, Evaluation
from train.studies.evolving import VARIANTS, Evolve
from train.studies.intervals import Interval, mean_interval, over
from train.studies.lineage import ALIVE, Lineage, depths, founders, lineage
from train.studies.study import Results, read_config
from train.studies.sweep import Sweep
from train.studies.tournament import Tournament

COUNTED = {
    "steps": ("agent-ticks", "in which living agents acted"),
    "living": ("agent-ticks", "agents alive after a tick, summed over ticks"),
    "births": ("births", ""),
    "died": ("deaths", ""),
    "aged": ("ticks", "ages at death, summed"),
    "forage": ("food", "harvested"),
    "unique": ("tiles", "on which agents stood for the first time in their lives, summed over agents"),
    "combat": ("deaths", "by combat"),
    "hits": ("hits", "attacks that hit somebody"),
    "empty": ("ticks", "after which nobody was alive"),
    "depleted": ("", "share of the forests that are not ready, mean over ticks"),
}
_LIFETIME = ("ticks", "mean age at death, aged over died; null: nobody died")
_MEASURED = {
    "lifetime": ("ticks", "mean age at death"),
    "median": ("ticks", "age that half outlive (Kaplan-Meier)"),
    "population": ("agents", "alive per world"),
    "little": ("agents", "births per tick times lifetime"),
    "alive": ("agents", "alive per world at the end"),
    "food": ("", "harvested, over what the maps can yield"),
    "coverage": ("", "share of the tiles in reach on which anybody stood"),
    "unique": ("per tick", "tiles new to an agent, per agent-tick"),
    "hits": ("per tick", "attacks that hit, per agent-tick"),
}
_ARITHMETIC = {
    "forests": ("forests", "that can be reached"),
    "tiles": ("tiles", "that can be reached"),
    "yield": ("food per tick", "of all forests in reach, if each is harvested as soon as it is ready"),
    "capacity": ("agents", "that this food feeds"),
    "mean_field": ("agents", "that live on it where they stand on tiles at random"),
}


def about(study: Any, out: Path) -> dict[str, Any]:
    """What the tables of a study were made with, ready for JSON."""
    there: dict[str, Any] = dict(read_config(out))
    told = {
        "command": there["study"],
        **{name: there[name] for name in ("asked", "made_of", "rules_version", "versions")},
    }
    return {**told, "config": config_as_json(study.env.config), "rules": rules_as_json(study.env.rules)}


def evaluation(study: Evaluation, out: Path, results: Results) -> None:
    """populations.parquet, worlds.parquet, ages.parquet and measures.parquet."""
    config = study.env.config
    who = [(label.label, seed, name) for label in study.entrants for seed, name in enumerate(label.replicates)]
    each = [results[f"policy-{index}-seed-{seed}"] for index, one in enumerate(study.entrants)
            for seed in range(len(one.replicates))]  # fmt: skip

    def every(name: str) -> np.ndarray:
        return np.stack([one[name] for one in each])  # [cells, R, ...]

    def of(index: np.ndarray) -> list[Column]:
        return [
            Column("policy", [who[i][0] for i in index], "", "who plays"),
            Column("replicate", np.array([who[i][1] for i in index], np.int32), "", "which of several trainings"),
            Column("trained", [who[i][2] for i in index], "", "by name, or the folder of a run"),
        ]

    deaths = every("deaths")
    shape = deaths.shape[:3]
    cell, world, population = (axis.ravel().astype(np.int32) for axis in np.indices(shape))
    counts = {"steps": every("steps"), "living": every("living"), "births": every("births"), "died": deaths.sum(-1),
              "aged": every("aged"), "forage": every("forage"), "unique": every("unique"),
              "hits": every("attacks").sum(-1)}  # fmt: skip
    _write(study, out, "populations", [
        *of(cell), Column("world", world, "", "index of the world, and of its map"),
        Column("population", population, "", "index of the population"),
        *_counted(counts), *_causes(deaths, config.deadly),
        Column("lifetime", over(counts["aged"], counts["died"]).ravel(), *_LIFETIME),
    ])  # fmt: skip
    cell, world = (axis.ravel().astype(np.int32) for axis in np.indices(shape[:2]))
    visited = every("visited").sum(axis=(2, 3))
    _write(study, out, "worlds", [
        *of(cell), Column("world", world, "", "index of the world, and of its map"),
        Column("alive", every("alive").ravel(), "agents", "at the end"),
        *_counted({"empty": every("empty")}),
        Column("visited", visited.ravel(), "tiles", "on which anybody stood and could live"),
        *(Column(name, value[world], *_ARITHMETIC[name]) for name, value in study.arithmetic().items()),
    ])  # fmt: skip
    exposed = every("exposed")
    cell, world, population, age = (axis.astype(np.int32) for axis in np.nonzero(exposed))
    where = cell, world, population, age
    last = exposed.shape[-1] - 1
    _write(study, out, "ages", [
        *of(cell), Column("world", world, "", "index of the world, and of its map"),
        Column("population", population, "", "index of the population"),
        Column("age", age, "ticks", f"at which ticks began; {last}: that or more"),
        Column("exposed", exposed[where], "agent-ticks", "that began at this age"),
        Column("ended", every("ended")[where], "deaths", "in these ticks"),
    ])  # fmt: skip
    rows = [(entrant.label, name, one) for entrant, found in zip(study.entrants, study.measures(results), strict=True)
            for name, one in found.items()]  # fmt: skip
    told = [_measured(name) for _, name, _ in rows]
    _write(study, out, "measures", [
        Column("policy", [row[0] for row in rows], "", "who plays"),
        Column("measure", [row[1] for row in rows], "", "as in results.json"),
        *_interval("", Interval(*np.array([row[2] for row in rows], np.float64).T), "see unit", "the measure"),
        Column("unit", [one[0] for one in told], "", "of the measure; empty: a share"),
        Column("meaning", [one[1] for one in told], "", "of the measure"),
    ])  # fmt: skip


def _measured(name: str) -> tuple[str, str]:
    """Unit and meaning of a measure of an evaluation."""
    for begin, unit, meaning in (
        ("dead_", "", "share of deaths by {}"),
        (EVENT, "per life", "events {}, per life that ended"),
        (MEAN, "as of the column", "{} of living agents"),
        (HIGHEST, "as of the column", "{}: the highest of a world, mean over worlds"),
    ):
        if name.startswith(begin):
            return unit, meaning.format(name.removeprefix(begin))
    return _MEASURED[name]


def sweep(study: Sweep, out: Path, results: Results) -> None:
    """worlds.parquet and points.parquet."""
    counts = study.counts(results)
    point, world = (axis.ravel().astype(np.int32) for axis in np.indices((len(study.points), study.worlds)))
    _write(study, out, "worlds", [
        *_rules(study, point), Column("world", world, "", "index of the world, and of its map"), *_counted(counts),
        Column("lifetime", over(counts["aged"], counts["died"]).ravel(), *_LIFETIME),
    ])  # fmt: skip
    columns = _rules(study, np.arange(len(study.points)))
    for name, interval in study.measures(results).items():
        columns += _interval(name, interval, study.kinds[name].unit, study.kinds[name].title)
    _write(study, out, "points", columns)


def tournament(study: Tournament, out: Path, results: Results) -> None:
    """games.parquet, pairs.parquet and ratings.parquet."""
    labels, parts = [one.label for one in study.entrants], []
    for number, match in enumerate(study.matches()):
        found, seats = results[match.name], len(match.entrants)
        rotation, size, world, seat = (axis.ravel().astype(np.int32) for axis in np.indices(found["aged"].shape))
        me = np.array([labels[index] for index in match.entrants], object)
        other = me[::-1] if seats == 2 else np.full(seats, "all", object)
        parts.append({
            "match": np.full(seat.size, number, np.int32), "replicate": np.full(seat.size, match.replicate, np.int32),
            "policy": me[seat], "against": other[seat], "trained": np.array(match.policies, object)[seat],
            "size": np.array(study.sizes, np.int32)[size], "world": world, "seat": (seat + rotation) % seats,
            "steps": found["steps"].ravel(), "aged": found["aged"].ravel(),
            "deaths": found["deaths"].reshape(seat.size, -1),
        })  # fmt: skip
    all_of = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    deaths = all_of.pop("deaths")
    told = {
        "match": "index of those who meet", "replicate": "which of several trainings", "policy": "whose row it is",
        "against": "whom it meets; all: everybody", "trained": "by name, or the folder of a run",
        "size": "population cap of the world", "world": "index of the world, and of its map",
        "seat": "which populations it plays: those of this index modulo the number of those who meet",
    }  # fmt: skip
    _write(study, out, "games", [
        *(Column(name, all_of[name], "agents" if name == "size" else "", text) for name, text in told.items()),
        *_counted({"steps": all_of["steps"], "aged": all_of["aged"], "died": deaths.sum(axis=-1)}),
        *_causes(deaths, study.env.config.deadly),
        Column("lifetime", over(all_of["aged"], deaths.sum(axis=-1)), *_LIFETIME),
    ])  # fmt: skip
    _pairs(study, out, results, labels)
    _write(study, out, "ratings", [Column("policy", labels, "", "who plays"),
                                   *_interval("rating", study.ratings(results), "", "OpenSkill rating")])  # fmt: skip


def _pairs(study: Tournament, out: Path, results: Results, labels: Sequence[str]) -> None:
    wins = np.moveaxis(study.wins(results), -1, 0)
    size, row, other = (axis.ravel() for axis in np.indices(wins.shape[1:]))
    names = np.array(labels, object)
    found = {
        "lifetime": (study.interval(results, "aged"), "ticks", "mean age at death"),
        "ticks_per_death": (study.interval(results, "steps"), "ticks", "agent-ticks per death"),
        "win_rate": (mean_interval(wins), "", "share of games with more agent-ticks per death than the other"),
    }
    columns = [Column("size", np.array(study.sizes, np.int32)[size], "agents", "population cap of the worlds"),
               Column("policy", names[row], "", "whose row it is"),
               Column("against", names[other], "", "whom it meets")]  # fmt: skip
    for name, (interval, *about_it) in found.items():
        columns += _interval(name, Interval(*(np.asarray(value).ravel() for value in interval)), *about_it)
    _write(study, out, "pairs", columns)


def lineages(study: Evolve, results: Results) -> dict[str, Lineage]:
    """The lives of each variant, from the first tick on."""
    parts = {variant: [results[part] for part in study.parts(variant)] for variant in VARIANTS}
    return {variant: lineage(*(np.concatenate([part[name] for part in found]) for name in ("births", "deaths")))
            for variant, found in parts.items()}  # fmt: skip


def lives(study: Evolve, out: Path, results: Results) -> None:
    """lives.parquet."""
    each, ancestry = lineages(study, results), []
    for table in each.values():
        own = [table.of(realm).genome_uid for realm in range(study.amount.worlds)]
        ancestry.append((np.concatenate([founders(one) for one in own]), np.concatenate([depths(one) for one in own])))
    table = Lineage(*(np.concatenate(columns) for columns in zip(*each.values(), strict=True)))
    founder, depth = (np.concatenate(columns).astype(np.int32) for columns in zip(*ancestry, strict=True))
    alive = table.death == ALIVE
    variant = np.repeat(np.array([*each], object), [len(one.uid) for one in each.values()])

    def known(values: np.ndarray) -> Any:
        return np.ma.masked_equal(values, -1)

    _write(study, out, "lives", [
        Column("variant", variant, "", "selection or drift; both begin with the same lives, those of the founding"),
        Column("realm", table.realm, "", "index of the world"),
        Column("uid", table.uid, "", "order of birth in its world, from 0"),
        Column("parent_uid", known(table.parent_uid), "", "who gave birth to it; null: the spawn ring"),
        Column("genome_uid", known(table.genome_uid), "", "whose genome it has; null: nobody's, a founder"),
        Column("founder_uid", founder, "", "the founder from whom its genome descends"),
        Column("generation", depth, "", "inheritances since that founder"),
        Column("population", table.population, "", "index of its population"),
        Column("birth_tick", table.tick, "ticks", "in which it was born"),
        Column("died", ~alive, "", "whether it left; false: alive at the end, the life is censored on the right"),
        Column("death_tick", known(table.death), "ticks", "in which it left; null: alive at the end"),
        Column("age", np.where(alive, study.end - 1 - table.tick, table.age), "ticks", "at death or at the end"),
    ])  # fmt: skip


def rule_column(study: Sweep, field: str) -> tuple[str, str]:
    """Unit and meaning of a rule, as it is declared."""
    told = rule_fields(study.env.config)[field]
    return told["unit"], told["meaning"]


def _rules(study: Sweep, point: np.ndarray) -> list[Column]:
    return [Column(axis.field, study.points[point, i], *rule_column(study, axis.field))
            for i, axis in enumerate(study.axes)]  # fmt: skip


def _counted(counts: Mapping[str, np.ndarray]) -> list[Column]:
    def told(name: str) -> tuple[str, str]:
        return COUNTED.get(name, ("deaths", f"by {name.removeprefix('dead_')}"))

    return [Column(name, values.ravel(), *told(name)) for name, values in counts.items()]


def _causes(deaths: np.ndarray, causes: Sequence[str]) -> list[Column]:
    return [Column(f"dead_{cause}", deaths[..., i].ravel(), "deaths", f"by {cause}") for i, cause in enumerate(causes)]


def _interval(name: str, interval: Interval, unit: str, meaning: str) -> list[Column]:
    """Three columns; what is not finite is null, as in JSON."""
    values = (np.where(np.isfinite(value), value, np.nan) for value in np.asarray(interval, np.float64))
    ends = ("", "low", "high") if name else ("mean", "low", "high")
    told = (meaning, f"{meaning}: low end of the 95 % interval", f"{meaning}: high end of the 95 % interval")
    return [Column("_".join(filter(None, (name, end))), value, unit, text)
            for end, value, text in zip(ends, values, told, strict=True)]  # fmt: skip


def _write(study: Any, out: Path, name: str, columns: Sequence[Column]) -> None:
    write_parquet(out / f"{name}.parquet", columns, about(study, out))
