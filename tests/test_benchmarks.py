"""The benchmark runs, counts the living, insists on its full house, keeps what it has measured, and tells it."""

import inspect
import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from rich.console import Console
from test_training import SMALL as TRAINED

from nmmo_jax import Config, make_realm
from nmmo_jax.bench import results as files
from nmmo_jax.bench import rows, run, systems, throughput, training, units, vec_env
from nmmo_jax.bench.machine import commit, last_line, machine, pinned
from nmmo_jax.bench.plan import Job
from nmmo_jax.bench.profile import Instruction, instructions, own_times
from nmmo_jax.bench.report import readme_table
from nmmo_jax.bench.rows import row
from nmmo_jax.bench.throughput import Throughput
from nmmo_jax.bench.training import Training
from nmmo_jax.common.cores import cores
from nmmo_jax.kinds import is_walkable
from nmmo_jax.presets import PRESETS
from train import policy as policy_module
from train.checkpoint import Checkpoints
from train.settings import describe, experiment
from train.trinity import Trinity

SMALL = {"row": "chaos", "realms": 2, "agents": 8, "populations": 2, "ticks": 4}


@pytest.fixture(scope="module")
def program():
    """A small row of chaos, compiled."""
    return throughput.compile_row(Throughput(**SMALL), row("chaos", 8, 2), throughput.devices(1))


@pytest.mark.slow
def test_throughput(program, monkeypatch, tmp_path):
    monkeypatch.setattr(throughput, "compile_row", lambda *_: program)
    record = throughput.main(Throughput(**SMALL, repeats=2, warm_up=8, profile=tmp_path))
    assert 0 < record["mean_population"] <= 8
    assert 0 < record["worst"] <= record["agent_steps_per_second"]
    assert record["agent_steps_per_second"] <= 8 * record["realm_ticks_per_second"] * 1.01
    assert 0 < record["state_bytes_per_realm"] <= 48 * 1024
    assert record["buffer_bytes"] == 5 * 2 * 8 * record["observation_bytes_per_agent"]
    assert len(record["seconds"]) == len(record["agent_steps"]) == 2
    assert record["peak_memory_bytes"] > record["buffer_bytes"]
    slowest = record["profile"]
    assert slowest[0]["microseconds_per_tick"] >= slowest[-1]["microseconds_per_tick"]
    assert any("[" in one["shape"] and "jit" in one["operation"] for one in slowest)
    json.dumps(record)


@pytest.mark.slow
def test_the_full_house_is_full_also_on_two_cores():
    """As a user measures it: nothing else decides how many devices there are."""
    command = [sys.executable, "-m", "nmmo_jax.bench.throughput", "--realms=2", "--ticks=32", "--repeats=2"]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    number = min(2, os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
    told = subprocess.run(
        [*command, f"--devices={number}"], env=environment, capture_output=True, text=True, check=False
    )
    assert not told.returncode, told.stderr
    record = json.loads(told.stdout)
    assert record["devices"] == number
    assert 120 <= record["least_population"] <= record["mean_population"] <= record["agents"] == 128


@pytest.mark.slow
def test_a_crowd_is_as_dense_as_the_full_house():
    record = throughput.main(Throughput(row="crowd", agents=16, realms=2, ticks=8, repeats=2))
    assert math.ceil(0.8 * 16) <= record["least_population"] <= record["agents"] == 16
    full = row("full_house").tiles
    for agents in (16, 1024, 65_536):
        crowd = row("crowd", agents)
        config = crowd.environment.config
        assert config.rows * config.columns / agents == pytest.approx(80 * 80 / 128, rel=0.03)
        assert config.max_spawns == max(1, agents // 128)
        side = min(80, config.rows)
        assert (crowd.tiles[:side, :side] == full[:side, :side]).all()
    material = full[:40, :40]
    start = np.argwhere(is_walkable(material))[0]
    realm = make_realm(
        Config(num_agents=512, rows=40, columns=40), material, row=[start[0]] * 8, col=start[1], population=np.arange(8)
    )
    agents = jax.jit(rows.scatter)(jax.random.key(1), realm).agents
    place = np.asarray(agents.row), np.asarray(agents.col)
    assert np.asarray(is_walkable(material[place])).all()
    ground = np.nonzero(is_walkable(material))
    quarters = np.histogram2d(*place, bins=2)[0] / np.histogram2d(*ground, bins=2)[0]
    assert quarters.min() > 0.7 * quarters.mean()


@pytest.mark.slow
def test_what_cannot_be_measured_is_refused(monkeypatch, tmp_path):
    for wrong, message in (
        ({"warm_up": 8}, "warm_up=8: must be at least 256"),
        ({"agents": 64}, "agents=64: a full house has 128"),
        ({"devices": 1000, "realms": 1000}, "devices=1000: allowed are 1 to"),
        ({"realms": 3, "devices": 2}, "realms=3: must be divisible by devices=2"),
        ({"row": "crowd", "agents": 15}, "agents=15: allowed in a crowd are 16 to 65,536"),
        ({"row": "desert"}, "row='desert': allowed are full_house"),
        ({"world": '{"max_spawns": 2}'}, "max_spawns.*: of chaos and law; the world of full_house is fixed"),
        ({"row": "chaos", "world": "{"}, "world={: must be fields and their values as JSON"),
        ({"row": "chaos", "world": '{"systems": ["no:X"]}'}, "no:X: no module no in"),
        ({"row": "chaos", "world": '{"num_agents": 5}'}, r'world={"num_agents": 5}: num_agents: use agents'),
        ({"row": "law", "world": '{"num_populations": 5}'}, "num_populations: use populations"),
        ({"row": "chaos", "agents": 12}, "num_agents=12: must be divisible by num_populations=8"),
        ({"devices": 0}, "devices=0: allowed are 1 to"),
        *(({name: 0}, f"{name}=0: must be at least 1") for name in ("realms", "ticks", "repeats", "agents")),
    ):
        with pytest.raises(ValueError, match=message):
            throughput.main(Throughput(**wrong))
    monkeypatch.setattr(rows, "PRESETS", {"chaos": {}, "law": {}})
    with pytest.raises(ValueError, match="row='huge': this version has no such preset"):
        row("huge")
    monkeypatch.setattr(throughput.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(ValueError, match=r"policy='classic': needs the package train, .*\(train.networks\)"):
        throughput.policy("classic", row("chaos").environment.config)
    data = json.loads(rows.FULL_HOUSE.read_text())
    data |= {"settled_after": 0, "initial_population": 64}
    data["overrides"]["population_cap"] = 64
    (tmp_path / "thin.json").write_text(json.dumps(data))
    monkeypatch.setattr(rows, "FULL_HOUSE", tmp_path / "thin.json")
    with pytest.raises(RuntimeError, match=r"full_house: 6[0-4] agents alive in a realm: must be at least 120"):
        throughput.main(Throughput(realms=2, ticks=32, repeats=1, warm_up=0))


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """Has the benchmark train a small world, with parameters that come with the package."""
    small = experiment("law16", **TRAINED)
    levels = Trinity().of(small)
    params = jax.tree.map(lambda leaf: leaf + 0.125, jax.jit(levels.sword.init)(jax.random.key(1)))
    Checkpoints(tmp_path / training.EXPERIMENT).save(0, {"params": params}, describe(small, levels))
    for module in (training, policy_module):
        monkeypatch.setattr(module, "PRETRAINED", tmp_path)
    return params


@pytest.mark.slow
def test_training_goes_on_from_the_policy_of_the_package(pretrained, monkeypatch, tmp_path):
    begun, compile_training = [], training.compile_training

    def compiled(*given):
        program = compile_training(*given)
        begun.append(jax.device_get((program.state.params, program.state.optimiser, program.state.update)))
        return program

    monkeypatch.setattr(training, "compile_training", compiled)
    monkeypatch.setattr(training, "_AT_LEAST_ALIVE", 1)
    record = training.main(Training(realms=8, updates=3, repeats=2, warm_up=2))  # a program of test_training.py, too
    params, optimiser, update = begun[0]
    jax.tree.map(np.testing.assert_array_equal, params, jax.device_get(pretrained))
    assert update == 0 and not any(np.any(leaf) for leaf in jax.tree.leaves(optimiser))
    assert len(record["seconds"]) == len(record["agent_steps"]) == 2
    assert record["mean_population"] == round(sum(record["agent_steps"]) / (2 * 3 * 4 * 8), 2)
    assert 1 < record["least_population"] <= record["mean_population"] <= record["agents"] == 16
    assert 0 < record["worst"] <= record["agent_steps_per_second"]
    assert (record["row"], record["policy"], record["devices"]) == ("training", "classic", 1)
    results = files.new(record["machine"])
    run.keep(results, Job("training-1", "training", "nmmo_jax.bench.training", {"realms": 8}, 1), record)
    files.write(tmp_path / "run.json", json.loads(json.dumps(results)))
    assert files.measured(files.read(tmp_path / "run.json"))[0]["cores"] == cores()


@pytest.mark.slow
def test_training_that_says_nothing_is_refused(pretrained, monkeypatch, tmp_path):
    settings = experiment("law128").settings
    full, thin = (np.full((2, 3), round(living * settings.ticks * settings.realms)) for living in (81.5, 79.5))
    assert training.populations(full, settings) == {"mean_population": 81.5, "least_population": 81.5}
    with pytest.raises(RuntimeError, match=r"79.5 agents alive per realm: must be at least 80 on average"):
        training.populations(thin, settings)
    for wrong, message in (
        *(({name: 0}, f"{name}=0: must be at least 1") for name in ("updates", "repeats", "warm_up")),
        ({"devices": 1000}, "devices=1000: allowed are 1 to"),
    ):
        with pytest.raises(ValueError, match=message):
            training.main(Training(**wrong))
    other = experiment("law16", **{**TRAINED, "view": 7})
    with pytest.raises(ValueError, match="view=7: must be 5"):
        training.compile_training(Training(), other, jax.devices()[:1])
    monkeypatch.setattr(training, "PRETRAINED", tmp_path / "none")
    with pytest.raises(ValueError, match=r"policy='law128': must be in .*none, and is not"):
        training.main(Training())


@pytest.mark.slow
def test_vec_env_is_measured_in_the_full_house(monkeypatch):
    record = vec_env.main(vec_env.Rate(realms=1, ticks=2, repeats=2))
    assert 120 <= record["least_population"] <= record["mean_population"] <= record["agents"] == 128
    assert record["devices"] == (cores() if jax.default_backend() == "cpu" else 1)
    assert 0 < record["state_bytes_per_realm"] <= 48 * 1024
    results = files.new(record["machine"])
    run.keep(results, Job("vec_env", "vec_env", "nmmo_jax.bench.vec_env", {"realms": 1}, None), record)
    assert "| `VecEnv`, random play |" in readme_table(json.loads(json.dumps(results)))
    monkeypatch.setattr(vec_env, "rate", lambda *_: record | {"least_population": 119})
    with pytest.raises(RuntimeError, match="119 agents alive in a realm: must be at least 120 at every tick"):
        vec_env.main(vec_env.Rate(realms=1))


@pytest.mark.slow
def test_times_are_joined_to_the_source(program):
    events = [("loop", 0, 100), ("inner", 10, 30), ("inner", 50, 20), ("after", 100, 5)]
    events = [{"pid": 1, "tid": 1, "ts": ts, "dur": dur, "args": {"hlo_op": name}} for name, ts, dur in events]
    assert own_times([*events, {**events[0], "tid": 2, "dur": 1}]) == {"loop": 51, "inner": 50, "after": 5}
    known = instructions(program.play.as_text())
    owners = {name: systems.by_system({name: 1.0}, known, 1) for name in known}
    for system in systems.FUNCTIONS:
        if system != "cull":  # a word or two, fused into what comes after
            assert any(owner[system] for owner in owners.values()), system


def test_units_are_told_apart_by_their_files():
    """What is called within a unit's file is its own, wherever it is written; a fusion is of who makes most of it."""
    chosen = PRESETS["mmo"]["systems"]
    of = {system.name: inspect.getsourcefile(units._plain(system.phases[0].function)) for system in chosen}
    assert len(set(of.values())) == len(chosen) == 5
    known = {
        "pack": Instruction("s8[12,8]", "", ("without", "act", "turn"), ("/packs.py", of["items"], "/environment.py")),
        "put": Instruction("s8[12,8]", "", ("put", "craft"), (of["items"], of["crafts"])),
        "move": Instruction("s8[8]", "", ("movement",), ("/movement.py",)),
        "both": Instruction("s8[8]", "", ("fused",), (), ("pack", "move")),
    }
    for name, owner in {"pack": "items", "put": "crafts", "move": units.REST, "both": "items", "?": units.REST}.items():
        total = units.by_unit({name: 6.0}, known, 2, chosen)
        assert total[owner] == sum(total.values()) == 3.0, name


@pytest.mark.slow
def test_what_units_cost():
    record = units.main(units.Units(realms=1, ticks=2, warm_up=96))
    assert [one["unit"] for one in record["units"]] == [
        "skills",
        "monsters",
        "items",
        "professions",
        "crafts",
        units.REST,
    ]
    for one in record["units"][:-1]:
        assert one["in_place_microseconds"] > 0 and one["alone_microseconds"]
    console = Console(width=200)
    with console.capture() as captured:
        console.print(units.table(record))
    assert all(one["unit"] in captured.get() for one in record["units"])


def test_systems_alone():
    def double(realm, given):
        return realm + 1, (given * 2, given)

    assert systems.microseconds(double, jax.numpy.zeros((2, 3)), jax.numpy.ones((2, 4), int)) >= 0


@pytest.mark.slow
def test_a_job_runs_in_a_process_of_its_own():
    options = {"row": "chaos", "realms": 1, "agents": 4, "populations": 2, "ticks": 2, "repeats": 1, "warm_up": 2}
    found = run.measure(Job("tiny", "chaos", "nmmo_jax.bench.throughput", options, 1))
    assert found["agents"] == 4 and found["machine"]["rules_version"] == 1
    with pytest.raises(RuntimeError, match="throughput: realms=0: must be at least 1"):
        run.measure(Job("none", "chaos", "nmmo_jax.bench.throughput", {"realms": 0}, None))


def test_what_a_machine_is():
    found = machine()
    assert found["backend"] == jax.default_backend() and found["cores"] == cores() >= 1
    assert found["commit"] is None or len(found["commit"].removesuffix("+changes")) == 12
    assert commit() == found["commit"]
    with pinned(1):
        assert cores() == 1 or not hasattr(__import__("os"), "sched_setaffinity")
    assert cores() == found["cores"]
    assert last_line("Traceback\nValueError: no\n\n") == "ValueError: no"
