"""Results for other programs: what is read back from Parquet, NetCDF and tree sequences is what the JSON tells."""

import csv
import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from small import SMALL

from nmmo_jax import Environment
from nmmo_jax.commands.evolve import Evolve
from nmmo_jax.commands.sweep import Sweep as SweepCommand
from nmmo_jax.commands.tournament import Tournament as TournamentCommand
from nmmo_jax.common.files import read_json
from nmmo_jax.common.tables import Column, write_parquet
from nmmo_jax.rules import RULE_FIELDS, Rules
from train.studies.axis import Axis
from train.studies.census import survival
from train.studies.entrants import Entrant, entrants
from train.studies.evaluation import Evaluation
from train.studies.lineage import Lineage, common_ancestor
from train.studies.reports import evaluation, grid, sweep, tables, tournament, trees
from train.studies.study import compute, open_study
from train.studies.sweep import Sweep
from train.studies.tournament import Tournament

parquet = pytest.importorskip("pyarrow.parquet")
ROOT = Path(__file__).parents[1]
AXES = [Axis("regrowth_probability", np.array([0.0, 0.1])), Axis("population_cap", np.array([0.0, 5.0, 16.0]))]
TWO = [Entrant("one", ("random",)), Entrant("other", ("wanderer",))]
FERTILE = ("birth_food_above=1", "birth_water_above=1", "birth_age=1", "birth_probability=0.3", "birth_food_cost=0",
           "birth_water_cost=0")  # fmt: skip


def played_by_chance(study):
    """Counts of a tournament that nobody played."""
    rng, found = np.random.default_rng(0), {}
    for match in study.matches():
        shape = (len({*match.policies}), len(study.sizes), study.worlds, 2)
        deaths = rng.integers(0, 5, (*shape, 4))
        aged = deaths.sum(axis=-1) * rng.integers(3, 9, shape)
        found[match.name] = {"aged": aged, "deaths": deaths, "steps": aged + 10}
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small study of each kind, as its command leaves it."""
    folder = tmp_path_factory.mktemp("science") / "runs"
    env, poor = Environment(SMALL), Environment(SMALL, Rules(start_food=6, start_water=9))
    made = {
        "sweep": (Sweep(AXES, env, ("random",), 2, 10, 60, seed=3, initial=8, batch=8), sweep.report, tables.sweep),
        "evaluate": (Evaluation(entrants(("random",), poor), poor, 2, 8, 24, 4), evaluation.report, tables.evaluation),
        "tournament": (Tournament(TWO, env, (8, 16), 2, 6, 20, 5), tournament.report,
                       tables.tournament),
    }  # fmt: skip
    found = {}
    for name, (study, report, tabulate) in made.items():
        out = folder / name
        out.mkdir(parents=True)
        open_study(out, name, {"seed": 3})
        results = played_by_chance(study) if name == "tournament" else compute(study.cells(), out)[0]
        report(study, out, results)
        tabulate(study, out, results)
        found[name] = study, results, out
    command = Evolve(agents=10, side=24, worlds=2, founding=24, ticks=48, stretches=2, garden=16, mutants=1, horizon=16,
                     set=(FERTILE,), out=folder / "evolve")  # fmt: skip
    assert command.run() == 0
    # The tables of a study that is over.
    assert Evolve(resume=folder / "evolve", tables=("parquet", "trees")).run() == 0
    found["evolve"] = command.study(folder / "evolve"), None, folder / "evolve"
    return found


def rows(out, name):
    return parquet.read_table(out / f"{name}.parquet").to_pandas()


def plain(values):
    """Numbers as JSON has them."""
    return [None if value is None or not np.isfinite(value) else value for value in values]


@pytest.mark.slow
def test_a_sweep(runs):
    study, _, out = runs["sweep"]
    points, worlds, told = rows(out, "points"), rows(out, "worlds"), json.loads((out / "results.json").read_text())
    assert len(points) == 6 and len(worlds) == 12 and worlds.died.sum() > 0
    for name, measure in told["measures"].items():
        known = points[name].dropna()
        assert [known.min(), known.max()] == [measure["lowest"], measure["highest"]], name
        assert points.loc[known.idxmax(), list(told["fields"])].tolist() == measure["highest_at"]
    with (out / "points.csv").open() as file:
        for row, (_, point) in zip(csv.DictReader(file), points.iterrows(), strict=True):
            assert row == {name: "" if np.isnan(value) else f"{value:.6g}" for name, value in point.items()}
    of = worlds.groupby(["regrowth_probability", "population_cap"])[["aged", "died"]].sum()
    np.testing.assert_allclose(points.lifetime, of.aged / of.died)
    schema = parquet.read_schema(out / "points.parquet")
    for axis in study.axes:
        declared = RULE_FIELDS[axis.field].metadata
        told = {b"unit": declared["unit"].encode(), b"meaning": declared["meaning"].encode()}
        assert schema.field(axis.field).metadata == told
    about = json.loads(schema.metadata[b"nmmo-jax"])
    config = json.loads((out / "config.json").read_text())
    assert about["command"] == "sweep" and about["asked"] == {"seed": 3} and about["versions"] == config["versions"]
    assert about["rules"]["max_food"] == 32 and about["config"]["num_agents"] == 16


@pytest.mark.slow
def test_a_sweep_as_a_grid(runs):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5py")
    study, results, out = runs["sweep"]
    grid.write(study, out, results)
    points = rows(out, "points")
    with xarray.open_dataset(out / "sweep.nc", engine="h5netcdf") as found:
        assert found.lifetime.dims == ("regrowth_probability", "population_cap")
        flat = found[[name for name in points if name not in found.dims]].to_dataframe().reset_index()
        for name in points:
            np.testing.assert_array_equal(flat[name], points[name], err_msg=name)
        assert found.count_died.dims == ("regrowth_probability", "population_cap", "world")
        np.testing.assert_array_equal(found.count_died.values.ravel(), rows(out, "worlds").died)
        assert found.lifetime.attrs == {"units": "ticks", "long_name": "mean age at death (ticks)"}
        assert found.population_cap.attrs["units"] == "agents" and found.depleted.attrs["units"] == "1"
        assert json.loads(found.attrs["nmmo-jax"])["command"] == "sweep"


@pytest.mark.slow
def test_an_evaluation(runs):
    _, _, out = runs["evaluate"]
    measures, of, ages = rows(out, "measures"), rows(out, "populations"), rows(out, "ages")
    (told,) = json.loads((out / "results.json").read_text())["policies"]
    assert {*measures.measure} == {name for name, value in told.items() if isinstance(value, dict)}
    for _, row in measures.iterrows():
        for end in ("mean", "low", "high"):
            assert plain([row[end]]) == [told[row.measure][end]], row.measure
    assert of.aged.sum() / of.died.sum() == told["lifetime"]["mean"]
    assert of[[name for name in of if name.startswith("dead_")]].sum().sum() == of.died.sum() > 10
    by_age = ages.groupby("age")[["exposed", "ended"]].sum()
    share = survival(*(np.bincount(by_age.index, by_age[name], minlength=99) for name in by_age))
    assert np.argmax(share <= 0.5) + 1 == told["median"]["mean"]
    worlds = rows(out, "worlds")
    assert worlds.alive.mean() == told["alive"]["mean"]
    np.testing.assert_allclose((worlds.visited / worlds.tiles).mean(), told["coverage"]["mean"])
    assert measures[measures.measure == "lifetime"].unit.item() == "ticks"


def test_a_tournament(runs):
    _, _, out = runs["tournament"]
    pairs, games, ratings = rows(out, "pairs"), rows(out, "games"), rows(out, "ratings")
    told = json.loads((out / "results.json").read_text())
    for name in ("lifetime", "ticks_per_death", "win_rate"):
        for end, suffix in (("mean", ""), ("low", "_low"), ("high", "_high")):
            assert plain(pairs[name + suffix]) == [x for size in told[name][end] for row in size for x in row]
    assert ratings["rating"].tolist() == told["rating"]["mean"]
    # Each game is a row for each of its two seats, and pairs are what these sum up to.
    assert (
        len(games) == 2 * (1 + 2 + 1) * 2 * 2
        and {*games.policy} == {"one", "other"}
        and {*games.trained} == {"random", "wanderer"}
    )
    own = games[games.policy == games.against]
    other = games[(games.policy != games.against) & (games.policy == "one")].groupby("size")[["aged", "died"]].sum()
    mine = pairs[(pairs.policy == "one") & (pairs.against == "other")].set_index("size")
    np.testing.assert_allclose(mine.lifetime, other.aged / other.died)
    assert {*own.seat} == {0, 1} and (games.died == games.filter(like="dead_").sum(axis=1)).all()


def test_lives_of_an_evolution(runs):
    _, _, out = runs["evolve"]
    lives, kept = rows(out, "lives"), np.load(out / "lineage.npz")
    for variant in ("selection", "drift"):
        own = lives[lives.variant == variant]
        for name, column in (("uid", "uid"), ("realm", "realm"), ("tick", "birth_tick"), ("population", "population")):
            np.testing.assert_array_equal(own[column], kept[f"{variant}_{name}"])
        for name, column in (("parent_uid",) * 2, ("genome_uid",) * 2, ("death", "death_tick")):
            np.testing.assert_array_equal(own[column].fillna(-1), kept[f"{variant}_{name}"])
        np.testing.assert_array_equal(own.age[own.died], kept[f"{variant}_age"][own.died])
        np.testing.assert_array_equal(own.age[~own.died], 71 - own.birth_tick[~own.died])
    indexed = lives.set_index(["variant", "realm", "uid"])
    heir = lives[lives.genome_uid.notna()]
    of = indexed.loc[[*zip(heir.variant, heir.realm, heir.genome_uid.astype(int), strict=True)]]
    assert len(heir) and (of.generation.to_numpy() + 1 == heir.generation.to_numpy()).all()
    assert (of.founder_uid.to_numpy() == heir.founder_uid.to_numpy()).all()


def test_trees_of_an_evolution(runs):
    tskit = pytest.importorskip("tskit")
    _, _, out = runs["evolve"]
    kept = np.load(out / "lineage.npz")
    table = Lineage(*(kept[f"selection_{name}"] for name in Lineage._fields))
    found = tskit.load(out / "selection.trees")
    assert found.num_nodes == found.num_individuals == len(table.uid) and found.time_units == "ticks"
    check_tree(found, table, end=71)
    tskit.validate_provenance(json.loads(found.provenance(0).record))
    assert json.loads(json.dumps(found.metadata))["nmmo-jax"]["command"] == "evolve"
    realm = int(np.argmax([len(found.samples(population=r)) for r in range(2)]))
    small = found.simplify(found.samples(population=realm), filter_populations=False)
    assert small.draw_svg().startswith("<svg") and {small.node(u).population for u in small.samples()} == {realm}


def check_tree(found, table, end):
    """Node k is row k: parents, times and who lives; and any two of the living meet where their lines do."""
    tree, first = found.first(), np.searchsorted(table.realm, table.realm)
    np.testing.assert_array_equal(tree.parent_array[:-1], np.where(table.genome_uid < 0, -1, first + table.genome_uid))
    np.testing.assert_array_equal(found.nodes_time, end - table.tick)
    np.testing.assert_array_equal(found.nodes_population, table.realm)
    alive = np.flatnonzero(table.death < 0)
    assert len(alive) > 3
    np.testing.assert_array_equal(found.samples(), alive)
    for k, row in enumerate(found.individuals()):
        names = ("realm", "uid", "parent_uid", "genome_uid", "population", "age")
        assert row.metadata | {"x": 0} == {name: int(getattr(table, name)[k]) for name in names} | {
            "birth_tick": table.tick[k], "death_tick": table.death[k], "x": 0
        }  # fmt: skip
        assert list(row.parents) == ([first[k] + table.parent_uid[k]] if table.parent_uid[k] >= 0 else [])
    for realm in range(int(table.realm.max()) + 1):
        own, there = table.of(realm), [node for node in alive if table.realm[node] == realm]
        common = common_ancestor(own.genome_uid, table.uid[there])
        if len(there) > 1:
            assert tree.mrca(*there) == (-1 if common < 0 else first[there[0]] + common)
        if common >= 0:
            assert found.node(tree.mrca(*there)).time == end - own.tick[common]


def test_trees_of_chance():
    pytest.importorskip("tskit")
    rng = np.random.default_rng(2)
    for _ in range(5):
        realm, tick = np.repeat([0, 1], 40), np.tile(np.arange(40), 2)
        genome = np.concatenate([[-1] + [int(rng.integers(0, uid)) for uid in range(1, 40)] for _ in range(2)])
        parent = np.where(rng.random(80) < 0.5, genome, -1)
        death = np.where(rng.random(80) < 0.8, tick + 5, -1)
        columns = (realm, tick, tick, parent, genome, realm, death, np.where(death < 0, -1, 5))
        table = Lineage(*(column.astype(np.int32) for column in columns))
        check_tree(trees.tree_sequence(table, 50, 2), table, 50)
        small = trees.tree_sequence(table, 50, 2, simplify=True)
        assert small.num_samples == (death < 0).sum() and small.num_nodes < 80
        pairs = [node.individual for node in small.nodes() if node.is_sample()]
        assert len({*pairs}) == small.num_samples


def test_what_is_not_known_is_null(tmp_path):
    path = tmp_path / "a.parquet"
    numbers, masked = np.array([1.5, np.nan]), np.ma.masked_equal([3, -1], -1)
    columns = [Column("a", numbers, "m", "length"), Column("b", masked, "", ""), Column("c", ["é", "x"], "", "text")]
    write_parquet(path, columns, {"x": 1})
    assert parquet.read_table(path).to_pylist() == [{"a": 1.5, "b": 3, "c": "é"}, {"a": None, "b": None, "c": "x"}]
    assert [one.name for one in tmp_path.iterdir()] == ["a.parquet"]


def test_what_cannot_be_written(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="--tables trees: must be some of parquet"):
        TournamentCommand(policy=("random",), tables=("trees",), out=out).run()
    pytest.importorskip("h5netcdf")  # which remembers what it did not find when it was imported
    for module, kind in (("pyarrow", "parquet"), ("h5py", "netcdf")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ValueError, match=rf"{module} cannot be imported .* pip install {module}, or .*\[science\]"):
            SweepCommand(tables=(kind,), out=out).run()
    assert not out.exists()


@pytest.mark.slow
def test_a_study_that_is_over_gets_tables(runs):
    _, _, out = runs["evolve"]
    told = read_json(out / "config.json", dict)
    assert told["asked"]["tables"] == ["parquet", "trees"]
    before = (out / "lives.parquet").read_bytes()
    assert Evolve(resume=out).run() == 0  # with those that were asked for last
    assert (out / "lives.parquet").read_bytes() == before
    assert dataclasses.asdict(Evolve())["tables"] == ()


def test_the_programs_of_the_page_run(runs, monkeypatch):
    for module in ("pandas", "xarray", "h5py", "tskit"):
        pytest.importorskip(module)
    study, results, out = runs["sweep"]
    grid.write(study, out, results)
    monkeypatch.chdir(out.parents[1])
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "science.md").read_text(), flags=re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        exec(compile(block, "science.md", "exec"), {})


@pytest.mark.slow
def test_sensitivity(monkeypatch):
    pytest.importorskip("SALib")
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples" / "science")
    import sensitivity

    found = sensitivity.main(samples=4, settle=4, ticks=24, agents=8)
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ("S1", "S1_conf", "ST", "ST_conf"), (4,)
    )
    assert np.isfinite(found["ST"]).all() and (found["ST"] >= 0).all() and found["ST"].max() > 0
