"""Studies: cells are computed once, an interruption keeps what is done, and going on gives the same."""

import dataclasses
import errno
import io
import json
import os
import signal
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

from nmmo_jax.commands.fork import Fork
from nmmo_jax.commands.studying import StudyCommand
from train.studies.study import Cell, compute, left, open_study, read_config, study_folder

QUIET = Console(quiet=True)


def cells(calls, interrupt=None):
    def cell(name, number):
        def compute(told):
            calls.append(name)
            if name == interrupt:
                os.kill(os.getpid(), signal.SIGTERM)
            told(0.5, "half")
            return {"number": number, "twice": np.arange(number)}

        return Cell(name, 1.0, compute)

    return [cell("one", 1), cell("two", 2), cell("three", 3)]


def test_interrupted_goes_on(tmp_path):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        compute(cells(calls, interrupt="two"), tmp_path, QUIET)
    assert left(cells([]), tmp_path) == ["two", "three"]
    results, _ = compute(cells(calls), tmp_path, QUIET)
    assert calls == ["one", "two", "two", "three"]
    assert results["three"]["number"] == 3
    np.testing.assert_array_equal(results["two"]["twice"], [0, 1])
    compute(cells(calls), tmp_path, QUIET)
    assert len(calls) == 4


def test_a_cell_that_fails_leaves_nothing(tmp_path):
    def broken(told):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        compute([Cell("a", 1.0, broken)], tmp_path, QUIET)
    assert not list((tmp_path / "cells").iterdir())
    with pytest.raises(ValueError, match="different names"):
        compute([*cells([]), *cells([])], tmp_path, QUIET)


def test_a_damaged_cell_says_so(tmp_path):
    compute(cells([]), tmp_path, QUIET)
    path = tmp_path / "cells" / "two.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r"two\.npz: damaged, .*; without this file, it is computed again"):
        compute(cells([]), tmp_path, QUIET)
    for number in (0, np.nan):  # put in by hand
        with np.load(io.BytesIO(whole)) as archive:
            np.savez(path, **{**archive, "twice": np.full(2, number)})
        with pytest.raises(ValueError, match=r"two\.npz: damaged, or changed: .*; without this file, it is"):
            compute(cells([]), tmp_path, QUIET)
    path.unlink()
    assert compute(cells([]), tmp_path, QUIET)[0]["two"]["number"] == 2


def test_folder_of_something_else(tmp_path):
    with study_folder(tmp_path / "a", "sweep") as out:
        open_study(out, "sweep", {"seed": 1})
        compute(cells([]), out, QUIET)
        with pytest.raises(ValueError, match="another process works in it"), study_folder(out, "sweep"):
            pass
    with study_folder(tmp_path / "a", "sweep"):
        open_study(out, "sweep", {"seed": 1})
        with pytest.raises(ValueError, match="asked differs: seed is 1 there, 2 given"):
            open_study(out, "sweep", {"seed": 2})
        with pytest.raises(ValueError, match="study differs"):
            open_study(out, "evaluate", {"seed": 1})
    path = out / "config.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(ValueError, match=r"config\.json: damaged, or changed"):
        open_study(out, "sweep", {"seed": 2})
    path.write_text(json.dumps({"study": "sweep", "asked": {"seed": 1}, "made_of": None, "rules_version": 1}))
    with pytest.raises(ValueError, match=r"config\.json: has no checksum: an earlier version wrote it"):
        read_config(out)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter").write_text("dear")
    with pytest.raises(ValueError, match="is not empty; it holds no study"), study_folder(tmp_path / "b", "sweep"):
        pass


def test_a_study_of_which_nothing_was_computed_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: form.replace("%Y%m%d-%H%M%S", "then"))

    def failing(told):
        (out / "train").mkdir()  # as a training makes its folder
        (out / "train" / "checkpoint").write_text("steps")
        raise RuntimeError

    with pytest.raises(KeyboardInterrupt), study_folder(None, "sweep") as out:
        open_study(out, "sweep", {})
        compute(cells([], interrupt="one"), out, QUIET)
    assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError), study_folder(None, "sweep") as out, study_folder(None, "sweep") as other:
        assert [str(one) for one in (out, other)] == ["runs/sweep-then", "runs/sweep-then-2"]
        open_study(out, "sweep", {})
        compute([Cell("a", 1.0, failing)], out, QUIET)
    assert (out / "config.json").exists() and (out / "train" / "checkpoint").exists() and not other.exists()


@dataclasses.dataclass
class Count(StudyCommand):
    NAME: ClassVar[str] = "count"
    FORMS: ClassVar[dict] = {"minutes": {"most": 3}, "hour": {"most": 4}, "night": {"most": 5}}
    names: tuple[str, ...] = ()
    most: int | None = None
    stop: ClassVar[bool] = False

    def study(self, out):
        class Counting:
            def cells(self):
                return cells([], interrupt="two" if Count.stop else None)

        return Counting()

    def report(self):
        def report(_study, out, results):
            told = {"most": self.most, "names": self.names, "sum": sum(int(r["number"]) for r in results.values())}
            (out / "results.json").write_text(json.dumps(told))
            return "counted"

        return report


def test_command_is_resumed_as_it_was_asked(tmp_path, capsys, monkeypatch):
    out = tmp_path / "runs"
    monkeypatch.setattr(Count, "stop", True)
    assert Count(form="hour", names=("a", "b"), out=out).run() == 130
    assert f"count --resume {out} goes on" in capsys.readouterr().out
    monkeypatch.setattr(Count, "stop", False)
    assert Count(resume=out).run() == 0
    assert json.loads((out / "results.json").read_text()) == {"most": 4, "names": ["a", "b"], "sum": 6}
    with pytest.raises(ValueError, match="--form: means nothing with --resume"):
        Count(resume=out, form="night").run()
    with pytest.raises(ValueError, match="asked differs: form is 'hour' there, 'minutes' given"):
        Count(names=("a", "b"), out=out).run()
    with pytest.raises(ValueError, match="holds no study"):
        Count(resume=tmp_path).run()


def test_a_full_disk_ends_in_a_line_that_says_how_to_go_on(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "results.json")

    out = tmp_path / "out"
    with (
        monkeypatch.context() as patch,
        pytest.raises(OSError, match=f"No space .*; nmmo-jax count --resume {out} goes"),
    ):
        patch.setattr(json, "dumps", full)
        patch.setattr("train.studies.study.write_json", lambda path, value: path.write_text("{}"))
        Count(out=out).run()
    assert (out / "cells" / "three.npz").exists()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr("train.studies.study.write_arrays", full)
        Count(out=tmp_path / "none").run()
    assert not (tmp_path / "none").exists()  # there is nothing to go on with


def test_policies_are_kept_wherever_they_are(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    asked = Fork(policy=("mine", "forager", "law128"), swap="1=mine", rule=("food_metabolism=2",))._asked()
    here = str(tmp_path / "mine")
    assert (asked["policy"], asked["swap"], asked["rule"]) == (
        [here, "forager", "law128"],
        f"1={here}",
        ["food_metabolism=2"],
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["evaluate", "nobody"], "nobody"),
        (["evaluate", "--no-baselines"], "POLICY"),
        (["tournament"], "POLICY"),
        (["tournament", "random", "random"], "named once"),
        (["tournament", "random", "--sizes", "0"], "--sizes 0"),
        (["tournament", "random", "--populations", "3", "--agents", "12", "--sizes", "12"], "--populations 3"),
        (["tournament", "random", "hunter", "--game", "law"], "POLICY hunter: needs a world with the system monsters"),
        (["evaluate", "random", "miner", "--game", "law"], "POLICY miner: needs a world with the system professions"),
        (["experiment", "--agents", "17"], "law17"),
        (["experiment", "--seeds", "1"], "--seeds 1"),
        (["evaluate", "random", "--ticks", "0"], "--ticks 0"),
        (["evaluate", "random", "--seed", "-1"], "--seed -1"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(args, told, tmp_path, refused):
    assert told in refused(*args, "--out", tmp_path / "out")
    assert not Path(tmp_path / "out").exists()
