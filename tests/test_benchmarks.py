"""The benchmark runs, counts the living, insists on its full house, keeps what it has measured, and tells it."""

import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from test_training import SMALL as TRAINED

from nmmo_jax import Config, cli, make_realm
from nmmo_jax.bench import results as files
from nmmo_jax.bench import rows, run, systems, throughput, training, vec_env
from nmmo_jax.bench.figures import figures
from nmmo_jax.bench.machine import ask, commit, last_line, machine, pinned
from nmmo_jax.bench.plan import GROUPS, Job, plan
from nmmo_jax.bench.profile import instructions, own_times
from nmmo_jax.bench.report import readme_table, results_tables
from nmmo_jax.bench.rows import row
from nmmo_jax.bench.throughput import Throughput
from nmmo_jax.bench.training import Training
from nmmo_jax.commands import bench as command
from nmmo_jax.commands.bench import Bench
from nmmo_jax.common.cores import cores
from nmmo_jax.common.folders import new_file
from nmmo_jax.world.materials import is_walkable
from train import policy as policy_module
from train.checkpoint import Checkpoints
from train.settings import describe, experiment
from train.trinity import Trinity

SMALL = {"row": "chaos", "realms": 2, "agents": 8, "populations": 2, "ticks": 4}
MACHINE = {"backend": "cpu", "device": "cpu", "processor": "Abacus", "cores": 2, "system": "Linux", "jax": "1"}
MACHINE |= {"commit": "c0ffee", "date": "2020-01-01", "flags": {}}
FOUND = {"machine": MACHINE, "available_memory": 2**34, "devices": 1}


def record(options, rate=1_000_000):
    """A record as ``throughput`` leaves it."""
    defaults = {"policy": "random", "agents": 128, "populations": 8}
    numbers = {"agent_steps_per_second": rate, "worst": rate - 1, "mean_population": 127.5, "least_population": 122}
    numbers |= {"compile_seconds": 4.0, "peak_memory_bytes": 2**29, "state_bytes_per_realm": 36_740}
    numbers |= {"observation_bytes_per_agent": 950}
    return {**defaults, **options, **numbers, "machine": MACHINE | {"cores": options["devices"]}}


def stub(job):
    """Measures nothing."""
    if job.group == "systems":
        names = [*systems.FUNCTIONS, systems.REST, systems.WITHOUT_OBSERVATION, systems.OBSERVE, systems.STEP]
        costs = {"alone_microseconds": None, "in_place_microseconds": 2.0, "in_place_nanoseconds_per_agent": 3.0}
        parts = [{"system": name, **costs} for name in names]
        return {"realms": 64, "living_agents": 8_000.0, "microseconds_per_tick": 4_000.0, "systems": parts}
    if job.group == "start":
        stages = {"seconds": 9.0, "step_compile_seconds": 5.0}
        return {"row": "chaos", "realms": 64, "cold": stages, "cached": stages}
    if job.group == "training":
        return record({"row": "training", "policy": "default", **job.options}, rate=60_000)
    if job.group == "vec_env":
        return record({"row": "vec_env", "devices": 2, **job.options}, rate=300_000)
    return record(job.options)


@pytest.fixture(scope="module")
def complete():
    """Results of all jobs."""
    results = files.new(MACHINE)
    run.run(plan(True, FOUND), results, lambda: None, stub)
    return json.loads(json.dumps(results))


@pytest.fixture(scope="module")
def program():
    """A small row of chaos, compiled."""
    return throughput.compile_row(Throughput(**SMALL), row("chaos", 8, 2), throughput.devices(1))


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
    quarters = np.histogram2d(*place, bins=2)[0] / np.histogram2d(*np.nonzero(is_walkable(material)), bins=2)[0]
    assert quarters.min() > 0.7 * quarters.mean()


def test_what_cannot_be_measured_is_refused(monkeypatch, tmp_path):
    for wrong, message in (
        ({"warm_up": 8}, "warm_up=8: must be at least 256"),
        ({"agents": 64}, "agents=64: a full house has 128"),
        ({"devices": 1000, "realms": 1000}, "devices=1000: allowed are 1 to"),
        ({"realms": 3, "devices": 2}, "realms=3: must be divisible by devices=2"),
        ({"row": "crowd", "agents": 15}, "agents=15: allowed in a crowd are 16 to 65,536"),
        ({"row": "desert"}, "row='desert': allowed are full_house"),
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
    monkeypatch.setattr(training, "experiment", lambda name, **given: experiment("law16", **{**given, **TRAINED}))
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
    record = training.main(Training(updates=3, repeats=2, warm_up=2))  # a program of tests/test_training.py, too
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


def test_times_are_joined_to_the_source(program):
    events = [("loop", 0, 100), ("inner", 10, 30), ("inner", 50, 20), ("after", 100, 5)]
    events = [{"pid": 1, "tid": 1, "ts": ts, "dur": dur, "args": {"hlo_op": name}} for name, ts, dur in events]
    assert own_times([*events, {**events[0], "tid": 2, "dur": 1}]) == {"loop": 51, "inner": 50, "after": 5}
    known = instructions(program.play.as_text())
    owners = {name: systems.by_system({name: 1.0}, known, 1) for name in known}
    for system in systems.FUNCTIONS:
        if system != "cull":  # a word or two, fused into what comes after
            assert any(owner[system] for owner in owners.values()), system


def test_systems_alone():
    def double(realm, given):
        return realm + 1, (given * 2, given)

    assert systems.microseconds(double, jax.numpy.zeros((2, 3)), jax.numpy.ones((2, 4), int)) >= 0


def test_a_run_keeps_what_it_has_and_goes_on(tmp_path):
    jobs, results, saved, out = plan(True, FOUND), files.new(MACHINE), [], tmp_path / "run.json"
    assert {job.group for job in jobs} == set(GROUPS)
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.cores for job in jobs if job.group == "chaos"} == {1, 2}
    assert [job.name for job in jobs if job.group == "training"] == ["training-1", "training-2"]
    assert _named(jobs, "training-2").options == {"realms": 32, "devices": 2}
    assert _named(jobs, "vec_env").cores is None
    many = plan(True, FOUND | {"machine": MACHINE | {"cores": 12}})
    assert [job.cores for job in many if job.group == "training"] == [1, 8]  # the groups of realms

    def save():
        files.write(out, results)
        saved.append(files.read(out))

    def until(name):
        def measure(job):
            if job.name == name:
                raise KeyboardInterrupt
            if job.name == "chaos-1":
                raise RuntimeError("out of luck")
            return stub(job)

        return measure

    with pytest.raises(KeyboardInterrupt):
        run.run(jobs, results, save, until("law-2"))
    assert [one["name"] for one in saved[-1]["rows"]] == [job.name for job in jobs[: jobs.index(_named(jobs, "law-2"))]]
    assert run.failures(jobs, results) == {"chaos-1": "out of luck"}
    left = run.missing(jobs, results)
    assert _named(jobs, "chaos-1") in left and _named(jobs, "full_house-1") not in left
    run.run(left, results, save, stub)
    assert not run.missing(jobs, saved[-1]) and not run.failures(jobs, saved[-1])
    assert len(saved[-1]["rows"]) == len(jobs) - 2
    assert {one["cores"] for one in files.measured(saved[-1])} == {1, 2}
    small = plan(True, FOUND | {"available_memory": 2**28})
    run.run([_named(small, "realms-4096-2")], results, save, stub)
    assert "GiB of memory, and 0.2 GiB are available" in saved[-1]["rows"][-1]["skipped"]


def _named(jobs, name):
    return next(job for job in jobs if job.name == name)


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


def test_what_is_told(complete, tmp_path):
    assert "| full house | 1,000,000 | 1,000,000 | 127.5 |" in readme_table(complete)
    assert "| one core | two cores |" in readme_table(complete)
    assert "| training, default network | 60,000 | 60,000 | 127.5 |" in readme_table(complete)
    assert "| `VecEnv`, random play |  | 300,000 | 127.5 |" in readme_table(complete)
    older = complete | {"rows": [one for one in complete["rows"] if one["group"] not in ("training", "vec_env")]}
    files.write(tmp_path / "older.json", older)
    older = readme_table(files.read(tmp_path / "older.json"))
    assert "full house, classic network" in older and "training" not in older and "VecEnv" not in older
    text = results_tables(complete)
    for words in (
        "training, default | 32 | 128",
        "VecEnv | 64 | 128",
        "crowd | 1 | 65,536",
        "full house, classic",
        "features of the visible",
        "9.0 s cold",
        "36,740 bytes",
    ):
        assert words in text
    assert set(figures(complete)) == {"realms", "crowd", "peers", "systems"}
    assert figures(files.new(MACHINE)) == {}
    assert readme_table(files.new(MACHINE)).startswith("Abacus, two cores")


def test_the_command_shows_and_compares(complete, tmp_path, capsys):
    paths = tmp_path / "a.json", tmp_path / "b.json"
    faster = json.loads(json.dumps(complete))
    faster["machine"] |= {"jax": "2", "cores": 4}
    faster["rows"] = [
        {**one, "agent_steps_per_second": 1_500_000, "cores": 4} for one in faster["rows"] if one["group"] != "law"
    ]
    for path, results in zip(paths, (complete, faster), strict=True):
        files.write(path, results)
    assert Bench(show=paths[0], figures=tmp_path / "figures").run() == 0
    assert (tmp_path / "figures" / "crowd.png").stat().st_size > 10_000
    assert "1,000,000" in capsys.readouterr().out
    assert Bench(compare=paths).run() == 0
    told = capsys.readouterr().out
    for words in ("1.50", "only in A: law-1, law-2", "jax: A 1, B 2"):
        assert words in told
    for name, rate in (("training, default", "60,000"), ("VecEnv", "300,000")):
        assert any(name in line and rate in line and "1,500,000" in line for line in told.splitlines()), name


def test_the_command_measures_goes_on_and_replaces(complete, tmp_path, monkeypatch, capsys):
    out = tmp_path / "deep" / "run.json"
    monkeypatch.setattr(command, "ask", lambda: json.loads(json.dumps(FOUND)))
    measured = []

    def stubbed(jobs, results, save):
        measured.extend(job.name for job in jobs)
        if measured[-1] == "chaos-2" and measured.count("chaos-2") == 1:
            raise KeyboardInterrupt
        run.run(jobs, results, save, stub)

    monkeypatch.setattr(command, "run", stubbed)
    assert Bench(out=out).run() == 130
    assert "interrupted: 4 of 8 are missing in" in capsys.readouterr().out.replace("\n", " ")
    assert Bench(out=out).run() == 0
    assert measured.count("full_house-1") == 1 and measured.count("chaos-2") == 2
    with pytest.raises(ValueError, match=r"holds results that are complete; --overwrite replaces them"):
        Bench(out=out).run()
    assert [name for name in measured if name.startswith("training")] == ["training-1", "training-2"]
    assert "vec_env" not in measured
    assert Bench(out=out, only=("law", "realms-64-2")).run() == 0
    assert Bench(out=out, overwrite=True).run() == 0
    assert measured.count("full_house-1") == 2 and len(files.read(out)["rows"]) == 11
    assert Bench(out=tmp_path / "learning.json", only=("training", "vec_env")).run() == 0
    assert measured[-3:] == ["training-1", "training-2", "vec_env"]
    with new_file(out), pytest.raises(ValueError, match=r"run\.json: another process writes it"):
        Bench(out=out).run()
    assert [path.name for path in out.parent.iterdir()] == ["run.json"]
    monkeypatch.setattr(command, "ask", lambda: FOUND | {"machine": MACHINE | {"jax": "3"}})
    with pytest.raises(ValueError, match=r"of another jax; --overwrite replaces them"):
        Bench(out=out).run()


def test_bad_input_of_the_command(complete, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "ask", lambda: FOUND)
    good, foreign, corrupt = tmp_path / "good.json", tmp_path / "foreign.json", tmp_path / "corrupt.json"
    files.write(good, complete)
    foreign.write_text('{"metrics": 1}')
    corrupt.write_text('{"format": ')
    holed, complete_but = (json.loads(json.dumps(complete)) for _ in range(2))
    del holed["rows"][0]["agents"]
    files.write(tmp_path / "holed.json", holed)
    del complete_but["systems"]["systems"][1]["in_place_microseconds"]
    files.write(tmp_path / "cost.json", complete_but)
    files.write(tmp_path / "cut.json", {name: part for name, part in complete.items() if name != "start"})
    (tmp_path / "unsealed.json").write_text(json.dumps(complete))
    (tmp_path / "changed.json").write_text(good.read_text().replace("1000000", "2000000"))
    complete_but = json.loads(json.dumps(complete))
    complete_but["rows"][0]["agent_steps_per_second"] = 10**400
    files.write(tmp_path / "long.json", complete_but)
    files.write(tmp_path / "skipped.json", complete | {"systems": {"skipped": 1}})
    for arguments, message in (
        (
            ["--compare", str(good), str(foreign)],
            "foreign.json: its format is None, and this version reads 'nmmo",
        ),
        (["--compare", str(corrupt), str(good)], "corrupt.json: damaged, or no JSON"),
        (["--show", str(tmp_path / "holed.json")], "rows[0] (full_house-1): Object missing required field `agents`"),
        (
            ["--show", str(tmp_path / "cost.json")],
            "systems: Object missing required field `in_place_micro",
        ),
        (["--show", str(tmp_path / "cut.json")], "cut.json: Object missing required field `start`"),
        (["--show", str(tmp_path / "unsealed.json")], "unsealed.json: has no checksum: an earlier version wrote it"),
        (["--show", str(tmp_path / "changed.json")], "changed.json: damaged, or changed"),
        (["--show", str(tmp_path / "long.json")], "long.json: rows[0] (full_house-1): "),
        (["--show", str(tmp_path / "skipped.json")], "skipped.json: systems: Expected `str`, got `int`"),
        (["--out", os.devnull], "must be an ordinary file"),
        (["--show", str(tmp_path / "none.json")], "none.json: No such file"),
        (["--show", str(good), "--full"], "--full: means nothing with --show"),
        (["--out", str(foreign)], "foreign.json: its format is None"),
        (["--out", str(tmp_path)], "is a folder"),
        (["--out", str(good / "x.json")], "is no folder"),
        (["--only", "everything"], "--only everything: there are full_house, chaos"),
        (["--only"], "--only: name at least one group or row after it"),
        (["--show", str(good), "--figures", str(foreign)], f"--figures {foreign}: cannot be made: File exists"),
    ):
        with pytest.raises(SystemExit) as status:
            cli.main(["bench", *arguments])
        assert status.value.code == 2
        told = capsys.readouterr().err
        assert message in told and len(told.splitlines()) == 1, told


def test_the_machine_can_be_asked_for():
    found = ask()
    assert found["devices"] >= 1 and found["available_memory"] > 2**20
