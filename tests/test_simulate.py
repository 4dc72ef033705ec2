"""The command `nmmo-jax simulate`: numbers that add up, files, interruption, and every kind of bad input."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from nmmo_jax.commands import simulate as simulate_module
from nmmo_jax.commands.simulate import Simulate
from nmmo_jax.common.folders import new_folder
from nmmo_jax.kinds import Material
from nmmo_jax.play import measure as measure_module
from nmmo_jax.play.measure import TimeCurves
from nmmo_jax.play.statistics import kaplan_meier, survival_quantile
from nmmo_jax.presets import preset
from nmmo_jax.replay_file import load_replay

FIGURES = ("population.png", "survival.png", "visits.png", "visits-2.png")
OLD = ("metrics.json", "replay.npz", "visits-7.png", "notes.txt")
SMALL = {"realms": 2, "ticks": 60, "agents": 8, "populations": 2, "policy": ("wanderer", "random")}
RUN = SMALL | {
    "max_lifetime": 25,
    "initial_population": 5,
    "set": (("start_food=12", "start_water=12", "attack_range=1,1,2"),),
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Two small maps of different size."""
    folder, rng = tmp_path_factory.mktemp("maps"), np.random.default_rng(0)
    kinds = [Material.GRASS, Material.FOREST, Material.WATER, Material.LAVA]
    paths = []
    for name, size in (("a.npy", (14, 12)), ("b.npy", (11, 16))):
        np.save(folder / name, rng.choice(kinds, size, p=[0.5, 0.25, 0.2, 0.05]).astype(np.uint8))
        paths.append(folder / name)
    return tuple(paths)


@pytest.fixture(scope="module")
def results(maps, tmp_path_factory):
    """A small run: its folder, its numbers and its arrays."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert Simulate(**RUN, map=maps, out=out, record=1).run() == 0
    return out, json.loads((out / "metrics.json").read_text()), np.load(out / "data.npz")


@pytest.mark.slow
def test_births_are_accounted_for(results):
    _, metrics, arrays = results
    for row in [*metrics["populations"], metrics["all"]]:
        assert row["deaths"] == sum(row["deaths_by_cause"].values())
        assert row["births"] - row["deaths"] - row["truncations"] == row["still_alive"]
    for name in ("births", "deaths", "truncations", "still_alive", "food_harvested", "agent_steps"):
        assert metrics["all"][name] == sum(row[name] for row in metrics["populations"]) > 0, name
    assert metrics["all"]["births"] >= 2 * 5  # the initial population
    assert metrics["agent_steps"] == metrics["all"]["agent_steps"]
    np.testing.assert_array_equal(arrays["died"].sum(axis=1), [row["deaths"] for row in metrics["populations"]])
    ended = (arrays["died"] + arrays["censored"]).sum(axis=1)
    np.testing.assert_array_equal(ended, [row["births"] for row in metrics["populations"]])


@pytest.mark.slow
def test_visits_are_vitals(results):
    _, metrics, arrays = results
    assert arrays["visits"].shape == (2, 2, 14, 16)
    for p, row in enumerate(metrics["populations"]):
        by_vitals = row["deaths"] - row["deaths_by_cause"]["combat"]
        assert arrays["visits"][:, p].sum() == row["agent_steps"] + by_vitals
    assert (arrays["visits"].sum(axis=1)[np.isin(arrays["material"], (Material.WATER, Material.STONE))] == 0).all()


@pytest.mark.slow
def test_lifetimes(results):
    _, metrics, arrays = results
    for p, row in enumerate(metrics["populations"]):
        died = arrays["died"][p]
        ages = np.repeat(np.arange(died.size), died)
        assert row["lifetime"]["mean"] == pytest.approx(ages.mean())
        assert row["lifetime"]["quantiles"]["0.5"] == np.quantile(ages, 0.5, method="inverted_cdf")
        survival, _ = kaplan_meier(died, arrays["censored"][p])
        assert row["lifetime"]["median_kaplan_meier"] == survival_quantile(survival, 0.5)
        assert arrays["censored"][p][25] >= row["truncations"]


def test_curves_agree_with_the_means(results):
    _, metrics, arrays = results
    mean = arrays["population"][:, 0].mean(axis=0)
    np.testing.assert_allclose(mean, [row["mean_population"] for row in metrics["populations"]], rtol=1e-5)
    assert metrics["forests_depleted"] == pytest.approx(arrays["depleted"].mean(), rel=1e-5)
    alive = arrays["population"][-1, 0] * 2
    np.testing.assert_allclose(alive, [row["still_alive"] for row in metrics["populations"]], rtol=1e-5)


def test_what_the_run_was_is_told(results):
    _, metrics, _ = results
    assert not metrics["interrupted"]
    assert metrics["ticks"] == metrics["ticks_asked"] == 60
    assert metrics["config"]["num_agents"] == 8
    assert (metrics["config"]["rows"], metrics["config"]["columns"]) == (14, 16)
    assert metrics["rules"]["attack_range"] == [1, 1, 2]
    assert metrics["rules"]["start_food"] == 12
    assert [row["policy"] for row in metrics["populations"]] == ["wanderer", "random"]
    assert metrics["versions"]["jax"] == jax.__version__
    assert 0 < metrics["all"]["food_harvested_over_yield"] < 1.5
    assert metrics["agent_steps_per_second"] > 0 < metrics["compile_seconds"]


def test_figures(results):
    out, _, _ = results
    for name in FIGURES:
        assert (out / name).read_bytes().startswith(b"\x89PNG"), name
    assert sorted(path.name for path in out.iterdir()) == sorted((*FIGURES, "metrics.json", "data.npz", "replay.npz"))


def test_the_replay_is_of_the_realm_that_was_measured(results):
    out, _, arrays = results
    replay = load_replay(out / "replay.npz")
    assert len(replay) == 60
    np.testing.assert_array_equal(replay.tiles.material, arrays["material"][1])
    assert replay.about["populations"] == ["wanderer", "random"]
    assert replay.about["title"] == "chaos, realm 1, b.npy, seed 0"
    visits = np.zeros(arrays["visits"][1].shape, int)
    for frame in replay.frames[:-1]:
        alive = frame.agents.alive
        np.add.at(visits, tuple(getattr(frame.agents, name)[alive] for name in ("population", "row", "col")), 1)
    np.testing.assert_array_equal(visits, arrays["visits"][1])  # every agent of every tick


def test_interruption_writes_what_there_is(maps, tmp_path, monkeypatch):
    def interrupt(self, ticks, steps, living):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(simulate_module.Progress, "update", interrupt)
    monkeypatch.setattr(measure_module, "_SECONDS", 0.0)  # every chunk is a single tick
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for name in OLD:
        (tmp_path / name).write_text("old")
    assert Simulate(**RUN, map=maps, out=tmp_path, overwrite=True).run() == 130
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["interrupted"]
    assert metrics["ticks"] == 1 < metrics["ticks_asked"]
    assert metrics["all"]["births"] - metrics["all"]["deaths"] == metrics["all"]["still_alive"] > 0
    for name in FIGURES:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG"), name
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {*FIGURES, "metrics.json", "data.npz", "notes.txt"}  # what was there of earlier results is gone


@pytest.mark.slow
def test_results_depend_neither_on_chunks_nor_on_devices(results, maps, tmp_path, monkeypatch):
    one = jax.devices()[:1]  # the first run used all that share two realms evenly
    monkeypatch.setattr(jax, "devices", lambda: one)
    monkeypatch.setattr(measure_module, "_SECONDS", 0.0)
    monkeypatch.setattr(simulate_module, "write_figure", lambda *_: None)
    Simulate(**RUN, map=maps, out=tmp_path).run()
    _, metrics, arrays = results
    again, again_arrays = json.loads((tmp_path / "metrics.json").read_text()), np.load(tmp_path / "data.npz")
    assert again["devices_used"] == 1
    assert again["populations"] == metrics["populations"]
    for name in arrays.files:
        np.testing.assert_allclose(again_arrays[name], arrays[name], rtol=1e-5, atol=1e-6)


def test_time_curves_of_long_runs_are_means(monkeypatch):
    monkeypatch.setattr(measure_module, "_MOST_POINTS", 4)
    config, _ = preset("law", num_agents=2, num_populations=1)
    curves, values = TimeCurves(11, config), np.arange(8.0)  # interrupted after 8 of 11 ticks
    for part in (values[:1], values[1:5], values[5:]):
        curves.append(np.stack([part, part], axis=1)[..., None], part)
    assert curves.stride == 3
    np.testing.assert_allclose(curves.depleted, [1, 4, 6.5])
    np.testing.assert_allclose(curves.population[:, 0, 0], [1, 4, 6.5])


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"realms": 0}, "--realms 0: allowed are 1 to"),
        ({"record": 2}, "--record 2: allowed are realms 0 to 1"),
        ({"record": 0, "ticks": 10**7}, "--record: a replay of 10,000,000 ticks: allowed are at most 4,194,304 ticks"),
        ({"ticks": 0}, "--ticks 0: allowed are 1 to"),
        ({"ticks": 10**9, "agents": 128, "populations": 8}, "--ticks 1000000000: allowed are at most"),
        ({"realms": 2**20, "agents": 65536, "populations": 8}, "--realms 1048576: allowed are at most"),
        ({"agents": 0}, "--agents 0"),
        ({"populations": 3}, "--agents 8: must be divisible by --populations 3 in layout 'blocks'"),
        ({"policy": ("forager", "dancer")}, "dancer"),
        ({"policy": ("forager",) * 3}, "--policy: 3 names for 2 populations"),
        ({"seed": -1}, "--seed -1"),
        ({"initial_population": 9}, "--initial-population 9: allowed are 0 to 8"),
        ({"population_cap": 9}, "--population-cap 9: allowed are 0 to the capacity --agents 8"),
        ({"spawn_rate": 1.5}, "--spawn-rate 1.5"),
        ({"max_lifetime": 0}, "--max-lifetime 0"),
        ({"set": (("max_food=5",),)}, "rules.start_food=32: must be at most --set max_food=5"),
        ({"set": (("spawn_rate=1",),)}, "use --spawn-rate"),
        ({"set": (("forage_amount=-1",),)}, "--set forage_amount=-1: allowed are whole numbers from 0 to 30000"),
        ({"map": ("nowhere.npy",)}, "nowhere.npy"),
        ({"map": ("nowhere.txt",)}, "nowhere.txt"),
        ({"maps": 0}, "--maps: 0 maps"),
        ({"maps": 3}, "--maps: 3 maps: allowed are 1 to 2, one per realm"),
        ({"map": ("a.npy",), "maps": 1}, "--maps: of generated maps, and --map is given"),
        ({"map": ("a.npy",), "border": 9}, "--border: of generated maps, and --map is given"),
        ({"tileset": "a.tsx"}, "--tileset"),
        ({"rows": 10}, "--rows 10: a generated map"),
        ({"columns": 0}, "--columns 0"),
    ],
)
def test_bad_input_is_told_before_anything_is_compiled(flags, message, tmp_path, monkeypatch):
    monkeypatch.setattr(simulate_module, "measure", None)
    out = tmp_path / "out"
    with pytest.raises((ValueError, OSError)) as error:
        Simulate(**{**SMALL, **flags}, out=out).run()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_maps_must_fit_and_have_a_place_to_spawn(maps, tmp_path):
    with pytest.raises(ValueError, match=r"a\.npy.*larger than the configured"):
        Simulate(**SMALL, map=maps, rows=13, out=tmp_path / "out").run()
    np.save(tmp_path / "stone.npy", np.full((5, 5), Material.STONE))
    with pytest.raises(ValueError, match=r"stone\.npy: no tile to spawn on"):
        Simulate(**SMALL, map=(tmp_path / "stone.npy",), out=tmp_path / "out").run()


def test_folder_must_be_usable(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out, message in (
        (tmp_path, "is not empty; --overwrite replaces"),
        (tmp_path / "file", "is a file, not a folder"),
        (tmp_path / "file" / "below", "is a file, not a folder"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            Simulate(**SMALL, out=out).run()
    assert (tmp_path / "file").read_text() == "mine"
    with new_folder(tmp_path / "out"), pytest.raises(ValueError, match="another process works in it"):
        Simulate(**SMALL, out=tmp_path / "out").run()


def test_overwriting_leaves_earlier_results_until_there_are_others(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    for name in OLD:
        (tmp_path / name).write_text("old")
    monkeypatch.setattr(simulate_module, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Simulate(**SMALL, out=tmp_path, overwrite=True).run()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(OLD)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_ends_before_the_first_tick_leaves_nothing(error, tmp_path, monkeypatch):
    def measured(*_, **__):
        raise error

    monkeypatch.setattr(simulate_module, "measure", measured)
    monkeypatch.chdir(tmp_path)
    for out in (None, tmp_path / "a" / "b"):
        with pytest.raises(error):
            Simulate(**SMALL, out=out).run()
        assert not list(tmp_path.iterdir())


def test_populations_take_the_policies_in_turn():
    assert Simulate(policy=("forager",))._policies() == ("forager",) * 8
    assert Simulate(populations=4, policy=("random", "forager"))._policies() == ("random", "forager") * 2
    assert len(set(Simulate(game="law")._policies())) > 1
