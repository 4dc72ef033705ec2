"""The host's side of training: goes on exactly after a kill, saves when asked to stop, refuses what cannot work."""

import errno
import fcntl
import json
import os
import shutil
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
from nmmo_jax.common.files import append_line, write_json
from nmmo_jax.replay_file import load_replay
from train import metrics, smith
from train.checkpoint import Checkpoints
from train.loop import make_train
from train.runs import forget_after, read_config, read_log
from train.settings import experiment


@pytest.fixture(scope="module")
def train():
    return make_train(TINY, devices=jax.devices()[:1])


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_been(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(smith, "_SAVE_SHARE", 1e9)
    whole = smith.Native(TINY, out=tmp_path / "whole", updates=6, per_call=3)
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    drawn = []
    monkeypatch.setattr(smith, "write_figures", lambda folder, formats: drawn.append((folder.name, *formats)))
    whole.run()
    part = {"out": tmp_path / "part", "per_call": 3, "loggers": ["tensorboard"]}
    smith.Native(TINY, updates=3, **part).run()
    append_line(tmp_path / "part" / "metrics.jsonl", {"update": 6, "lost": True})
    with (tmp_path / "part" / "metrics.jsonl").open("a") as log:
        log.write('{"update": 6, "populations": {}')  # killed while it wrote
    smith.Native(TINY, updates=6, out=part["out"], per_call=3, resume=True).run()  # the loggers are as they were
    told = [event for event in events_of(tmp_path / "part" / "tensorboard") if event[0] != "from"]
    states = [Checkpoints(tmp_path / name / "checkpoints").restore(train.template)[0] for name in ("whole", "part")]
    equal(*states)
    logs = [read_log(tmp_path / name) for name in ("whole", "part")]
    for one, other in zip(*logs, strict=True):
        for name in ("seconds", "agent_steps_per_second"):
            one.pop(name), other.pop(name)
        assert one == other
    lifetimes = [(line["update"], pytest.approx(line["lifetime"])) for line in logs[0]]
    assert [(step, value) for step, name, value in told if name == "lifetime"] == lifetimes
    assert drawn == [("whole", "png"), ("part", "png"), ("part", "png")]
    with pytest.raises(ValueError, match=r"is not empty; resume goes on"):
        smith.Native(TINY, out=tmp_path / "part", updates=8).run()
    with pytest.raises(ValueError, match=r"settings differs: learning_rate is 0.001 there, 0.5 given"):
        other = experiment("law16", **SMALL, learning_rate=0.5)
        smith.Native(other, out=tmp_path / "part", updates=8, resume=True).run()


@pytest.mark.slow
def test_gradients_that_stay_without_a_number_end_the_run(train, tmp_path, monkeypatch):
    def run(state, updates):
        state, report = train.run(state, updates)
        return state, report.replace(skipped=report.skipped.at[:, 1].set(1))

    monkeypatch.setattr(smith, "make_train", lambda *_: train._replace(run=run))
    monkeypatch.setattr(metrics.Streak, "patience", 5)
    message = r"population 1: gradients were not finite 5 updates in a row, from update 1 on; .* is of 0"
    with pytest.raises(smith.NotFinite, match=message):
        smith.Native(TINY, out=tmp_path / "run", updates=9, per_call=3).run()
    assert [line["update"] for line in read_log(tmp_path / "run")] == [3, 6]


@pytest.mark.slow
def test_a_run_is_drawn_and_recorded(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    native = smith.Native(TINY, out=tmp_path / "run", updates=3, per_call=3)
    native.run()
    assert {path.stem for path in native.out.glob("*.png")} == {"learning", "lives", "exploration"}
    native.record()
    replay = load_replay(native.out / "replay.npz")
    assert (replay.config, len(replay), replay.frames[0].tick) == (TINY.env.config, 256, 256)
    assert replay.frames[0].agents.alive.sum() > 4  # the world has settled
    assert (native.out / "world.gif").stat().st_size < 3e6


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
        (["law17"], "law17: allowed are law16"),
        (["law16", "--set", "realms=7"], "--set realms=7: must be divisible by groups=8"),
        (["law16", "--set", "sequence=3"], "--set sequence=3: must divide ticks=32"),
        (["law16", "--set", "minibatch=64", "sequence=32"], "--set minibatch=64: must be divisible by groups=8 times"),
        (["law16", "--set", "optimiser=moun"], "--set optimiser=moun: allowed are adam, muon; did you mean muon?"),
        (["law16", "--set", "learning_rate_end=0.1"], "--set learning_rate_end=0.1: means nothing without anneal"),
        (["law16", "--set", "anneal=8", "minibatch=0"], "--set anneal=8: must be 0 with --set minibatch=0"),
        (["law16", "--set", "near=-1"], "--set near=-1: allowed are whole numbers from 0 to 127"),
        (["law16", "--set", "core=lstm"], "--set core=lstm: allowed are"),
        (["law16", "--set", "ticks=0"], "--set ticks=0: must be a whole number, at least 1"),
        (["law16", "--set", "flying=1"], "--set flying=1: there is no flying; there are anneal, attack_damage"),
        (["law16", "--set", "realm=4"], "--set realm=4: there is no realm; did you mean realms?"),
        (["law16", "--set", "options=4"], "--set options=4: there is no options"),
        (["law16", "--set", "network=deep"], "--set network=deep: allowed are"),
        (["law16", "--set", "layout=free"], "--set layout=free: training needs 'blocks'"),
        (["law16", "--set", "realms"], "--set realms: must be NAME=VALUE"),
        (["law16", "--set", "sample_cap=2"], "--set sample_cap=2: allowed are true and false"),
        (["law16", "--every", "0"], "--every 0: allowed are whole numbers from 1"),
        (["--resume", "nowhere", "--published"], "--published: means nothing with --resume: a run goes on as it was"),
        (["law128", "--resume", "nowhere"], "EXPERIMENT: means nothing with --resume"),
        (["--resume", "nowhere", "--system", "poison:POISON"], "--system: means nothing with --resume"),
        (["law16", "--minutes", "0"], "--minutes 0.0: must be above 0"),
        (["law16", "--minutes", "inf"], "--minutes inf: must be above 0, and at most"),
        (
            ["law16", "--set", "seed=4294967296"],
            "--set seed=4294967296: allowed are whole numbers from 0 to 4294967295",
        ),
        (["--resume", "nowhere"], "--resume nowhere: holds no run"),
    ],
)
def test_bad_input(arguments, message, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("train", *arguments).startswith(message)
    assert not any(tmp_path.iterdir())


def test_a_run_without_an_update_is_saved_too(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    monkeypatch.setattr(smith, "write_figures", lambda *_: None)
    line = smith.Native(TINY, out=tmp_path / "run", updates=0).run()
    nothing = {"update": 0, "agent_steps": 0, "seconds": 0.0, "compile_seconds": 0, "interrupted": False}
    assert line == nothing
    assert Checkpoints(tmp_path / "run" / "checkpoints").latest() == 0


def test_a_run_goes_on_as_it_was_asked_for(train, tmp_path, monkeypatch):
    """Where it is to end, what is kept for good; and minutes are of training."""
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    monkeypatch.setattr(smith, "write_figures", lambda *_: None)
    out = tmp_path / "run"

    def native(**asked):
        return smith.Native(TINY, out=out, per_call=3, **asked)

    def stop(told, line):
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(smith.TrainingProgress, "update", stop)
        line = native(updates=9, every=3).run()
    assert (line["update"], line["interrupted"]) == (3, True)
    line = native(resume=True).run()
    assert (line["update"], line["interrupted"]) == (9, False)
    assert Checkpoints(out / "checkpoints").steps() == [0, 3, 6, 9]
    assert native(resume=True).run()["update"] == 9  # there is nothing left to do
    began = line["seconds"]
    line = native(resume=True, minutes=0.001).run()  # so many more
    assert line["update"] > 9 and line["seconds"] >= began + 0.06
    asked = read_config(out)["asked"]
    assert asked.pop("minutes") == pytest.approx(began / 60 + 0.001)
    assert asked == {"updates": None, "every": 3, "loggers": [], "figure_format": ["png"]}


def test_what_does_not_belong_together_is_not_gone_on_with(train, tmp_path, monkeypatch, refused):
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    monkeypatch.setattr(smith, "write_figures", lambda *_: None)
    out = tmp_path / "run"
    smith.Native(TINY, out=out, updates=3, per_call=3).run()
    log, config = ((out / name).read_bytes() for name in ("metrics.jsonl", "config.json"))

    def is_told(what):
        assert what in refused("train", "--resume", out, "--updates", 6)
        assert (out / "metrics.jsonl").read_bytes() == log

    edited = config.replace(b'"learning_rate": 0.001', b'"learning_rate": 0.01')
    assert edited != config
    (out / "config.json").write_bytes(edited)
    is_told("settings differs: learning_rate is 0.01 there, 0.001 in the last checkpoint")
    whole = json.loads(edited)
    del whole["sha256"]
    write_json(out / "config.json", whole)  # as if it had always been so
    is_told("settings differs: learning_rate is 0.01 there, 0.001 in the last checkpoint")
    (out / "config.json").write_bytes(config)
    (out / "checkpoints").rename(out / "elsewhere")
    is_told("its log goes to update 3, and there is no checkpoint in checkpoints/")
    (out / "elsewhere").rename(out / "checkpoints")
    data = max((out / "checkpoints" / "00000003").rglob("d/*"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:-1])
    is_told("damaged: its checksum is another")
    shutil.rmtree(out / "checkpoints")
    smith.Checkpoints(out / "checkpoints").save(0, {"params": jax.numpy.ones(3)}, read_config(out))
    is_told("does not fit")


def test_history_is_not_lost_while_it_is_shortened(tmp_path, monkeypatch):
    for update in range(4):
        append_line(tmp_path / "metrics.jsonl", {"update": update})

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        forget_after(tmp_path, 1)
    assert [line["update"] for line in read_log(tmp_path)] == [0, 1, 2, 3]
    forget_after(tmp_path, 1)
    assert [line["update"] for line in read_log(tmp_path)] == [0, 1]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_full_disk_is_told_in_a_line(train, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    monkeypatch.setattr(smith, "write_figures", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    smith.Native(TINY, out=tmp_path / "run", updates=3, per_call=3).run()

    def full(path, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(smith, "append_line", full)
        with pytest.raises(SystemExit):
            cli.main(["train", "--resume", "run", "--updates", "6"])
    left = "what was saved up to update 3 is whole, and resume goes on with it"
    assert capsys.readouterr().err.splitlines()[-1] == f"nmmo-jax: run/metrics.jsonl: No space left on device; {left}"
    assert smith.Native(TINY, out=tmp_path / "run", updates=6, per_call=3, resume=True).run()["update"] == 6


def test_what_fails_before_the_first_update_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(smith, "make_train", broken)
    for _ in range(2):
        with pytest.raises(MemoryError):
            smith.Native(TINY, out=tmp_path / "runs" / "run", updates=3).run()
        assert not any(tmp_path.iterdir())


def test_two_processes_cannot_train_in_one_folder(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    monkeypatch.setattr(smith, "write_figures", lambda *_: None)
    native = smith.Native(TINY, out=tmp_path / "run", updates=0)
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
    monkeypatch.setattr(smith, "record", lambda *_, on_progress, **__: [play(), on_progress(0), pytest.fail("went on")])
    with pytest.raises(KeyboardInterrupt):
        smith.Native(TINY, out=tmp_path).record()
    assert not any(tmp_path.iterdir())
