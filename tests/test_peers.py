"""``nmmo-jax bench --peers``: environments of others, their drivers, what is told of them, and what is refused."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
from measured import FOUND, MACHINE

from nmmo_jax import cli
from nmmo_jax.bench import figures, peers
from nmmo_jax.bench import results as files
from nmmo_jax.commands import bench as command
from nmmo_jax.common.files import write_json

DRIVERS = Path(__file__).parents[1] / "benchmarks" / "peers"
TIMED = {"agent_steps": [50] * 10, "seconds": [0.001] * 10}
LINE = {"package": "fake", "version": "1.0", "setting": "a | b", **TIMED}


def wheel(folder):
    """A package ``fake``, as pip takes it without a network."""
    path = folder / "fake-1.0-py3-none-any.whl"
    about = "fake-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fake.py", "import time\n\ndef play(index):\n    time.sleep(0.001)\n    return 50 + index\n")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: fake\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of a peer that installs and is timed by our drivers' own means; ours is a stub."""
    place = tmp_path / "peers"
    place.mkdir()
    (place / "fake.txt").write_text(f"# python: >=3.8\n{wheel(tmp_path)}\n")
    source = f"import sys\nsys.path.append({str(DRIVERS)!r})\nimport fake, timing\n"
    (place / "fake.py").write_text(source + "print('hello')\ntiming.tell('fake', 'a | b', fake.play, warm_up=2)\n")
    (place / "fake.py").rename(place / "drive.py")  # a driver of the package's own name would be imported in its place
    (place / "fake.txt").rename(place / "drive.txt")
    monkeypatch.setattr(peers, "FOLDER", place)
    monkeypatch.setattr(peers, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(peers, "measure", lambda job: TIMED | {"agents": 128, "mean_population": 127.9})
    monkeypatch.setattr(command, "ask", lambda: json.loads(json.dumps(FOUND)))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return place


@pytest.mark.slow
def test_a_peer_is_installed_and_timed_in_turn_and_told_of(folder, tmp_path, capsys, monkeypatch):
    (folder / "gone.txt").write_text("no-such-package==9\n")
    (folder / "gone.py").write_text("")
    (folder / "old.txt").write_text("# python: <3.8\nold\n")
    (folder / "old.py").write_text("")
    (folder / "rude.txt").write_text("")
    (folder / "rude.py").write_text("raise SystemExit('no | such\\x1b world')")
    out = tmp_path / "a" / "peers.json"
    assert command.Bench(peers=True, out=out).run() == 1  # one failed
    told = capsys.readouterr()
    assert [line for line in told.err.splitlines() if "drive" in line] == [
        "drive, installing ...",
        "drive, round 1 of 2 ...",
        "drive, round 2 of 2 ...",
    ]
    record = peers.read(out)
    assert [row["name"] for row in record["rows"]] == ["full_house", "chaos", "drive"]
    fake = record["rows"][-1]
    assert fake["version"] == "1.0" and fake["agent_steps"] == [52, *range(53, 62)] * 2 and len(fake["seconds"]) == 20
    assert 0 < fake["worst"] <= fake["agent_steps_per_second"]
    assert record["missing"] == {
        "gone": "pip: No matching distribution found for no-such-package==9",
        "old": "needs Python <3.8, and there is none like that on PATH",
    }
    assert list(record["failed"]) == ["rude"]
    shown = " ".join(told.out.split())
    for words in ("gone: not there: pip: No matching", "rude: failed: no | such", "a | b", f"peers: {out}"):
        assert words in shown
    assert "| fake 1.0 | a \\| b |" in peers.table(record) and "fake 1.0 (a \\| b)" in peers.sentence(record)
    assert command.Bench(show=out).run() == 0
    assert " ".join(capsys.readouterr().out.split()) in shown
    monkeypatch.setattr(figures, "RECORD", out)
    row = {"group": "full_house", "row": "full_house", "policy": "random", "devices": 1, "agent_steps_per_second": 9}
    results = files.new(MACHINE) | {"rows": [row | {"realms": 64, "agents": 128}]}
    drawn = figures.peers_figure(results)
    assert "fake 1.0: a | b" in [text.get_text() for text in drawn.axes[0].get_yticklabels()]  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.slow
def test_an_environment_is_used_again_and_made_anew_where_it_is_not_complete(folder, tmp_path, monkeypatch):
    peer, *_ = peers.find(folder)
    asked = []

    def stopped(command, *_, **__):
        asked.append(command[2])
        if "pip" in command:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(peers, "output_of", stopped)
        with pytest.raises(KeyboardInterrupt):
            command.Bench(peers=True, out=tmp_path / "none" / "x.json").run()
    assert asked == ["venv", "pip"] and not (tmp_path / "none").exists()
    python = peers.install(peer, tmp_path / "cache")
    record = peers.drive(peer, python)
    assert record["package"] == "fake"
    monkeypatch.setattr(peers, "output_of", stopped)
    assert peers.install(peer, tmp_path / "cache") == python and len(asked) == 2
    peer.requirements.write_text(peer.requirements.read_text() + "# changed\n")
    with pytest.raises(KeyboardInterrupt):
        peers.install(peer, tmp_path / "cache")
    monkeypatch.undo()
    monkeypatch.setattr(peers, "CACHE", peer.driver)  # a file
    with pytest.raises(RuntimeError, match="Not a directory"):
        peers.install(peer, peer.driver)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "its last line is no JSON"),
        ("{", "its last line is no JSON"),
        ("[]", "its last line: Expected `object`, got `array`"),
        (json.dumps(LINE | {"seconds": [0.1]}), "length >= 10"),
        (json.dumps(LINE | {"seconds": [0.1] * 11}), "must be as many"),
        (json.dumps(LINE | {"seconds": [0.0] * 10}), "> 0.0"),
        (json.dumps(LINE | {"agent_steps": [-1] * 10}), ">= 0"),
        (json.dumps({**TIMED}), "missing required field `package`"),
    ],
)
def test_what_a_driver_must_print(line, message, tmp_path):
    driver = tmp_path / "a.py"
    driver.write_text(f"print({line!r})\n")
    peer = peers.Peer("a", driver, driver, peers.SpecifierSet())
    with pytest.raises(RuntimeError, match=r"a\.py: ") as error:
        peers.drive(peer, Path(sys.executable))
    assert message in str(error.value)


def test_pip_is_quoted_where_it_says_what_is_wrong():
    told = "ERROR: one\n  NameError: no name\n  [end of output]\nerror: failed\nhint: See above\n"
    assert peers._why(told) == "pip: NameError: no name"
    assert peers._why("ERROR: one\nnote: x") == "pip: one" and peers._why("") == "pip: it says nothing"


def test_another_python_is_looked_for(monkeypatch, tmp_path):
    other = tmp_path / "python3.9"
    other.write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "python3.10").write_text("#!/bin/sh\nexit 127\n")  # a name only
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(peers.platform, "python_version", lambda: "3.12.1")
    assert peers._python(peers.SpecifierSet(">=3.8,<3.11")) == str(other)
    assert peers._python(peers.SpecifierSet(">=3.8")) == sys.executable


def test_the_drivers_that_come_with_it_are_whole():
    found = peers.find(DRIVERS)
    assert {peer.name for peer in found} >= {"craftax_symbolic", "nmmo_2", "smax_3m"}
    for peer in found:
        compile(peer.driver.read_text(), peer.driver, "exec")
    cited = json.loads(figures.PEERS.read_text())["peers"]
    assert {one["driver"] for one in cited if "driver" in one} <= {peer.name for peer in found}


def test_what_cannot_be_is_refused_in_a_line(folder, tmp_path, capsys, monkeypatch):
    there = tmp_path / "there.json"
    timed = {"format": peers.FORMAT, "version": peers.VERSION, "machine": MACHINE, "rounds": 2}
    write_json(there, timed | {"rows": [], "missing": {}, "failed": {}})
    empty, lonely, odd, none = (tmp_path / name for name in ("empty", "lonely", "odd", "none"))
    for place, text in ((empty, None), (lonely, ""), (odd, "# python: newer\n"), (none, "# python: <3\n")):
        place.mkdir()
        if text is not None:
            (place / "a.txt").write_text(text)
        if place in (odd, none):
            (place / "a.py").write_text("")
    for arguments, place, message in (
        (["--peers", "--full"], folder, "--full: means nothing with --peers, which measures others"),
        (["--peers", "--only", "chaos"], folder, "--only: means nothing with --peers"),
        (["--peers", "--figures", "a"], folder, "--figures: means nothing with --peers"),
        (["--peers", "--show", str(there)], folder, "--peers: means nothing with --show, which measures nothing"),
        (["--peers", "--overwrite"], folder, "--overwrite: belongs to --out"),
        (["--peers", "--out", str(there)], folder, f"--out {there}: is there already; --overwrite replaces it"),
        (["--peers", "--out", str(tmp_path)], folder, "is a folder"),
        (["--peers"], empty, f"--peers: {empty}: has none: they come with a checkout, not with the installed"),
        (["--peers"], lonely, "a.txt: has no driver a.py beside it"),
        (["--peers"], odd, "a.txt: # python: newer: must be versions as pip has them"),
        (["--peers"], none, "--peers: none can be installed: a: needs Python <3, and there is none"),
        (["--compare", str(there), str(there)], folder, "there.json compares ours with others already; --show shows"),
        (["--show", str(there), "--figures", str(tmp_path)], folder, "there.json is of peers, which has none"),
    ):
        monkeypatch.setattr(peers, "FOLDER", place)
        with pytest.raises(SystemExit) as status:
            cli.main(["bench", *arguments])
        assert status.value.code == 2
        told = [line for line in capsys.readouterr().err.splitlines() if not line.endswith("...")]
        assert len(told) == 1 and message in told[0], told
