"""Where the log goes besides the run's folder: TensorBoard, as its files tell it, and a stand-in for wandb."""

import struct
import sys
from types import SimpleNamespace

import pytest

from train.loggers import Loggers, scalars

LINE = {"update": 2, "lifetime": 20.5, "harvested": None, "populations": {"lifetime": [20.0, None], "note": "text"}}


def events_of(folder):
    """What was written, file by file: (step, name, value), and ("from", step) where readers drop what came before.

    A record is its length (8 bytes), a checksum (4), the event, a checksum (4).
    """
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.*"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += size + 16
            if event.session_log.status:
                found.append(("from", event.step))
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return found


def test_numbers_of_a_line():
    assert scalars(LINE) == {"update": 2, "lifetime": 20.5, "lifetime/0": 20.0}
    assert scalars({"update": 1, "populations": {"mean": 3.0}}) == {"update": 1}


def test_tensorboard(tmp_path):
    for update in (0, 1):  # broken off after 2, and continued from a checkpoint of 1
        loggers = Loggers(["tensorboard"])
        loggers.open(tmp_path, update, {})
        with loggers:
            loggers.send(LINE)
    line = [(2, "update", 2.0), (2, "lifetime", 20.5), (2, "lifetime/0", 20.0)]
    assert events_of(tmp_path / "tensorboard") == [("from", 1), *line, ("from", 2), *line]


def test_wandb(tmp_path, monkeypatch):
    calls = []

    def init(**given):
        run = SimpleNamespace(id=given["id"] or "new-id")
        run.log = lambda numbers, step: calls.append((numbers, step))
        run.finish = lambda exit_code: calls.append(exit_code)
        calls.append(given)
        return run

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Error=OSError))
    monkeypatch.setenv("WANDB_PROJECT", "elsewhere")
    with pytest.raises(KeyboardInterrupt):
        run_with_wandb(tmp_path, 0, KeyboardInterrupt)
    monkeypatch.delenv("WANDB_PROJECT")
    run_with_wandb(tmp_path, 2)
    numbers = {"update": 2, "lifetime": 20.5, "lifetime/0": 20.0}
    first, *sent, status = calls[:3]
    assert (first["id"], first["project"], first["config"]) == (None, "elsewhere", {"seed": 3})
    assert (sent, status) == ([(numbers, 2)], 1)
    assert (calls[3]["id"], calls[3]["resume"], calls[3]["project"]) == ("new-id", "allow", "nmmo-jax")
    assert calls[4:] == [(numbers, 2), 0]

    def refuse(**given):
        raise OSError("nobody is logged in")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(ValueError, match=r"loggers='wandb': nobody is logged in"):
        run_with_wandb(tmp_path, 0)


def run_with_wandb(folder, update, error=None):
    loggers = Loggers(["wandb"])
    loggers.open(folder, update, {"seed": 3})
    with loggers:
        loggers.send(LINE)
        if error:
            raise error


def test_what_is_not_there_is_told_before_anything_else(tmp_path, monkeypatch, refused):
    with pytest.raises(ValueError, match=r"loggers='paper': allowed are tensorboard, wandb"):
        Loggers(["paper"])
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    told = refused("train", "law16", "--out", tmp_path / "run", "--log", "wandb")
    assert "-m pip install wandb, or pip install '.[wandb]'" in told
    assert not (tmp_path / "run").exists()
