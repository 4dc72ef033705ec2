"""The host's side of training: goes on exactly after a kill, saves when asked to stop, refuses what cannot work."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import pytest
from test_loggers import events_of
from test_training import ROOT, SMALL, TINY, equal

from nmmo_jax import cli
from nmmo_jax.replay_file import load_replay
from train import smith
from train.checkpoint import Checkpoints
from train.loop import make_train
from train.settings import experiment


@pytest.fixture(scope="module")
def train():
    return make_train(TINY, devices=jax.devices()[:1])


def test_a_killed_run_goes_on_as_if_nothing_had_been(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "_SAVE_SECONDS", 0.0)
    whole = smith.Native(TINY, out=tmp_path / "whole", updates=6, per_call=3)
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    whole.run()
    part = {"out": tmp_path / "part", "per_call": 3, "loggers": ["tensorboard"]}
    smith.Native(TINY, updates=3, **part).run()
    with (tmp_path / "part" / "metrics.jsonl").open("a") as log:
        log.write('{"update": 6, "lost": true}\n{"update": 6, "populations": {}')  # killed while it wrote
    smith.Native(TINY, updates=6, **part, resume=True).run()
    told = [event for event in events_of(tmp_path / "part" / "tensorboard") if event[0] != "from"]
    states = [Checkpoints(tmp_path / name / "checkpoints").restore(train.template)[0] for name in ("whole", "part")]
    equal(*states)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "part")
    ]
    for one, other in zip(*logs, strict=True):
        for name in ("seconds", "agent_steps_per_second"):
            one.pop(name), other.pop(name)
        assert one == other
    lifetimes = [(line["update"], pytest.approx(line["lifetime"])) for line in logs[0]]
    assert [(step, value) for step, name, value in told if name == "lifetime"] == lifetimes
    smith.Native(TINY, out=tmp_path / "whole").record()
    replay = load_replay(tmp_path / "whole" / "replay.npz")
    assert (replay.config, len(replay), replay.frames[0].tick) == (TINY.env.config, 256, 256)
    assert replay.frames[0].agents.alive.sum() > 4  # the world has settled
    assert (tmp_path / "whole" / "world.gif").stat().st_size < 3e6
    drawn = {path.stem for path in (tmp_path / "part").glob("*.png")}
    assert drawn == {"learning", "lives", "exploration"}
    with pytest.raises(ValueError, match=r"is not empty; resume goes on"):
        smith.Native(TINY, out=tmp_path / "part", updates=8).run()
    with pytest.raises(ValueError, match=r"settings differs: learning_rate is 0.001 there, 0.5 given"):
        other = experiment("law16", **SMALL, learning_rate=0.5)
        smith.Native(other, out=tmp_path / "part", updates=8, resume=True).run()


@pytest.mark.slow
def test_signals_save_and_kill_loses_little(tmp_path):
    """As a user: SIGTERM saves and says how to go on; --resume goes on."""
    out = tmp_path / "run"
    settings = [f"{name}={json.dumps(value)}" for name, value in SMALL.items()]
    command = [
        sys.executable,
        "-m",
        "nmmo_jax.cli",
        "train",
        "law16",
        "--updates",
        "100000",
        "--out",
        str(out),
        "--set",
    ]
    process = subprocess.Popen([*command, *settings], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    while not (out / "metrics.jsonl").exists():
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"train --resume {out}" in " ".join(told.split())
    update = Checkpoints(out / "checkpoints").latest()
    again = [sys.executable, "-m", "nmmo_jax.cli", "train", "--resume", str(out), "--updates", str(update + 8)]
    result = subprocess.run([*again, "--no-evaluate"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    assert Checkpoints(out / "checkpoints").latest() == update + 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["law17"], "experiment='law17': allowed are law16"),
        (["law16", "--set", "realms=7"], "realms=7: must be divisible by groups=8"),
        (["law16", "--set", "ticks=0"], "ticks=0: must be a whole number, at least 1"),
        (["law16", "--set", "flying=1"], "flying=1: no field of the settings, the network's options, Config or Rules"),
        (
            ["law16", "--set", "realm=4"],
            "realm=4: no field of the settings, the network's options, Config or Rules; did you mean realms?",
        ),
        (["law16", "--set", "options=4"], "options=4: must be NetworkOptions"),
        (["law16", "--set", "network=deep"], "network='deep': allowed are"),
        (["law16", "--set", "layout=free"], "layout='free': training needs 'blocks'"),
        (["law16", "--set", "realms"], "--set realms: must be NAME=VALUE"),
        (["law16", "--set", "sample_cap=2"], "sample_cap=2: allowed are True and False"),
        (["law16", "--every", "0"], "every=0: must be at least 1"),
        (["--resume", "nowhere", "--published"], "--published: means nothing with --resume: a run goes on as it was"),
        (["law128", "--resume", "nowhere"], "EXPERIMENT: means nothing with --resume"),
        (["law16", "--minutes", "0"], "--minutes 0.0: must be above 0"),
        (["law16", "--minutes", "inf"], "--minutes inf: must be above 0, and at most"),
        (["law16", "--set", "seed=4294967296"], "seed=4294967296: allowed are whole numbers from 0 to 2^32 - 1"),
        (["--resume", "nowhere"], "--resume nowhere: holds no run"),
    ],
)
def test_bad_input(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", *arguments])
    assert ended.value.code == 2
    assert f"nmmo-jax: {message}" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_run_without_an_update_is_saved_too(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    line = smith.Native(TINY, out=tmp_path / "run", minutes=1e-9).run()
    assert line == {"update": 0, "agent_steps": 0, "seconds": 0.0, "interrupted": False}
    assert Checkpoints(tmp_path / "run" / "checkpoints").latest() == 0


def test_two_processes_cannot_train_in_one_folder(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    native = smith.Native(TINY, out=tmp_path / "run", minutes=1e-9)
    native.run()
    native.resume = True
    with (native.out / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process works in it"):
            native.run()
    native.run()


def test_an_evaluation_can_be_interrupted(tmp_path, monkeypatch):
    played = []

    def play(*_, **__):
        played.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        return {"lifetime": 1.0}

    monkeypatch.setattr(smith, "evaluate", play)
    monkeypatch.setattr(
        smith, "load_policy", lambda *_, **__: SimpleNamespace(act=0, params=0, initial=lambda realms: 0)
    )
    with pytest.raises(KeyboardInterrupt):
        smith.Native(TINY, out=tmp_path).evaluate()
    assert len(played) == 1
    monkeypatch.setattr(smith, "record", lambda *_, told, **__: [play(), told(0), pytest.fail("went on")])
    with pytest.raises(KeyboardInterrupt):
        smith.Native(TINY, out=tmp_path).record()
    assert not any(tmp_path.iterdir())
