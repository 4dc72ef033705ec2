"""``nmmo-jax bench``: a run that is interrupted and goes on, what is told of it, and what is refused."""

import json
import os
from pathlib import Path

import pytest
from measured import FOUND, MACHINE, stub

from nmmo_jax import cli
from nmmo_jax.bench import results as files
from nmmo_jax.bench import run
from nmmo_jax.bench.figures import figures
from nmmo_jax.bench.machine import ask
from nmmo_jax.bench.plan import GROUPS, plan
from nmmo_jax.bench.report import readme_table, results_tables
from nmmo_jax.bench.rows import row
from nmmo_jax.commands import bench as command
from nmmo_jax.commands.bench import Bench
from nmmo_jax.common.folders import new_file

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "systems"


@pytest.fixture(scope="module")
def complete():
    """Results of all jobs."""
    results = files.new(MACHINE)
    run.run(plan(True, FOUND), results, lambda: None, stub)
    return json.loads(json.dumps(results))


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_world_of_ones_own_beside_the_classic(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(command, "ask", lambda: FOUND)
    monkeypatch.setattr(run, "_record", lambda job, _: stub(job))
    out, own = tmp_path / "own.json", ("poison:POISON",)
    assert Bench(out=out, system=own, set=(("poison.damage=3",),)).run() == 0
    jobs = [one["name"] for one in files.read(out)["rows"]]
    named = "chaos+poison:POISON+poison.damage=3"
    assert jobs == ["chaos-1", f"{named}-1", "chaos-2", f"{named}-2"]
    (world,) = {one["world"] for one in files.read(out)["rows"] if "world" in one}
    assert row("chaos", world=world).environment.rules.named()["poison.damage"] == 3
    told = capsys.readouterr().out
    assert "poison.damage=3" in told and told.count("1,000,000") == 4
    assert "poison" not in readme_table(files.read(out))
    assert Bench(compare=(out, out)).run() == 0
    assert "poison.damage=3" in capsys.readouterr().out
    for bad, message in (
        ({"only": ("crowd",)}, "--only crowd: there are chaos, law .with --set or --system; other worlds are fixed"),
        ({"set": (("poison.damage=99999",),)}, "--set poison.damage=99999: allowed are whole numbers from 0"),
        ({"set": (("num_agents=4",),)}, "--set num_agents=4: num_agents is 128 in rows"),
        ({"system": ("no:X",)}, "--system no:X: no module no in"),
    ):
        with pytest.raises(ValueError, match=message):
            Bench(**{"out": tmp_path / "bad.json", "system": own, **bad}).run()
    assert not (tmp_path / "bad.json").exists()


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
        (["--show", str(good), "--set", "max_spawns=2"], "--set: means nothing with --show"),
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
