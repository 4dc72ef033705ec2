"""Searches for settings: ranges as they are typed, the same trials whatever comes between, and what is left."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from test_ablate import SET
from test_training import TINY

from nmmo_jax.commands import ablate, train
from nmmo_jax.commands.settings import parse_dimension, parse_factor
from nmmo_jax.commands.tune import Tune
from train.studies import tuning as module
from train.studies.evaluation import Evaluation
from train.studies.reports.tuning import report
from train.studies.study import compute
from train.studies.tuning import Dimension, Tuning

OVER = ("learning_rate=0.0001..0.1:log", "discount=0.9..0.999", "ticks=4,8", "epochs=1..3")
TRIALS, BUDGET = 9, 4_000
QUIET = Console(quiet=True)


@pytest.fixture(scope="module", autouse=True)
def optuna():
    return pytest.importorskip("optuna")


def made(out, over=OVER, pruner="median", trials=TRIALS):
    dimensions = [parse_dimension(text) for text in over]
    return Tuning(out, TINY, dimensions, trials, (0, 1), 2 * BUDGET, 2, settle=0, ticks=50, seed=0, pruner=pruner)


def test_ranges_and_values():
    assert parse_dimension(OVER[0]) == Dimension("learning_rate", (0.0001, 0.1), ranged=True, log=True)
    assert parse_dimension("discount = 0..1") == Dimension("discount", (0.0, 1.0), ranged=True)
    assert parse_dimension("hidden=16..64:log") == Dimension("hidden", (16, 64), True, log=True, whole=True)
    assert parse_dimension("core=none,gru") == Dimension("core", ("none", "gru"))
    assert parse_dimension("shared_weights=true,false").values == (True, False)
    assert [str(parse_dimension(text)) for text in OVER] == list(OVER)


@pytest.mark.parametrize(("text", "told"), [
    ("learning_rat=0..1", "there is no learning_rat; did you mean learning_rate?"), ("ticks", "must be NAME=LOW..HIGH"),
    ("discount=0.9:0.99", "a range must be LOW..HIGH"), ("discount=0..1:lin", "a range must be LOW..HIGH"),
    ("ticks=8,16:log", "a range must be LOW..HIGH"), ("discount=0..0.5..1", "a range must be LOW..HIGH"),
    ("discount=0..1:log", "must begin above 0"), ("discount=1..0.9", "LOW must be below HIGH"),
    ("discount=nan..1", "must be values"), ("ticks=1.5..4", "must be a whole number"),
    ("core=gru", "at least two different"), ("ticks=4,4", "at least two different"), ("ticks=4,", "whole number"),
    ("core=none,lstm", "allowed are none, gru"), ("core=none..gru", "is no number"),
    ("max_food=3..4", "is of the world"), ("seed=1..2", "use --seed"),
])  # fmt: skip
def test_what_is_no_range(text, told):
    with pytest.raises(ValueError) as error:
        parse_dimension(text)
    assert str(error.value).startswith(f"--over {text}: ") and told in str(error.value)


@pytest.mark.parametrize(("flags", "told"), [
    ("--over discount=0.9..1.5", "--over: discount=1.5: allowed are numbers from 0 to 1; of discount=1.5"),
    ("--over realms=8..64", "--over realms=8..64: realms=9: must be divisible by groups=8; realms=a,b,c names values"),
    ("--over realms=8,16 groups=8,16", "--over: realms=8: must be divisible by groups=16; of realms=8 groups=16"),
    ("--over ticks=4,8 ticks=4,8", "--over ticks ticks: must be one or more settings, each once"),
    ("--trials 1", "--trials 1: allowed are whole numbers from 2"), ("--seeds 0", "--seeds 0: allowed are whole"),
    ("--agent-steps 0", "--agent-steps 0: allowed are whole numbers"), ("--worlds 0", "--worlds 0: allowed are 1 to"),
    ("--pruner medan", "--pruner medan: allowed are median, halving, none; did you mean median?"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_compiled(flags, told, refused, tmp_path):
    assert refused("tune", "law16", *flags.split(), "--out", tmp_path / "out").startswith(told)
    assert not (tmp_path / "out").exists()


def test_without_optuna_it_is_said_how_to_get_it(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    told = refused("tune", "law16", "--out", tmp_path / "out")
    assert told.startswith("optuna cannot be imported") and "-m pip install optuna" in told
    assert not (tmp_path / "out").exists()


@pytest.fixture
def quick(monkeypatch):
    """Without training and play: who learns at a rate near 0.01 lives longer, from the first eighth on."""
    monkeypatch.setattr(module, "train_seeds", train_seeds := Trainings())
    monkeypatch.setattr(module, "learning_curve", lambda folder: train_seeds.curves[folder.name])
    monkeypatch.setattr(Evaluation, "play", lambda _, policy, on_progress: train_seeds.play(policy, on_progress))
    monkeypatch.setattr(Evaluation, "_yield", 10.0)
    return train_seeds


class Trainings:
    def __init__(self):
        self.curves, self.begun, self.stop_at, self.lives = {}, [], None, {}

    def __call__(self, experiment, seeds, budget, out, on_progress):
        assert (tuple(seeds), budget) == ((0, 1), BUDGET)
        self.begun.append(out.name)
        self.lives[out.name] = 40 - 10 * abs(np.log10(experiment.settings.learning_rate) + 2)
        for call in range(1, 17):
            life = self.lives[out.name] * call / 16
            self.curves[out.name] = {
                "lifetime": np.full((call, 2), self.lives[out.name] / 16) * np.arange(1, call + 1)[:, None],
                "steps": np.full((call, 2, 2), BUDGET / 16) * np.arange(1, call + 1)[:, None, None],
                "speed": np.full(call, 1_000.0),
            }
            if self.stop_at == (out.name, call):
                raise KeyboardInterrupt
            on_progress(call / 16, f"lifetime {life:.1f}")

    def play(self, policy, on_progress):
        on_progress(1.0, policy)
        died = 0 if self.stop_at == "nobody dies" else 1
        lives = np.full((2, 1), self.lives[Path(policy).parent.name])
        return {"aged": lives, "deaths": np.full((2, 1, 4), died / 4), "forage": lives}


def run(study, out):
    out.mkdir(exist_ok=True)
    return compute(study.cells(), out, QUIET)[0]


@pytest.mark.parametrize("pruner", ["median", "halving", "none"])
def test_an_interrupted_search_tries_what_another_does(pruner, quick, tmp_path):
    whole = made(tmp_path / "whole", pruner=pruner)
    trials = whole.read_all(run(whole, tmp_path / "whole"))
    stopped = [number for number, one in enumerate(trials) if one.stopped]
    assert (len(stopped) > 0) == (pruner != "none") and len({one.settings["learning_rate"] for one in trials}) == TRIALS
    assert trials[0].settings == {"learning_rate": 0.001, "discount": 0.99, "ticks": 4, "epochs": 1}  # the base's
    for number in (4, 6, 8):
        quick.stop_at = (f"trial-00{number}", 1 if number in stopped else 12)
        with pytest.raises(KeyboardInterrupt):
            run(made(tmp_path / "parts", pruner=pruner), tmp_path / "parts")
    quick.stop_at = None
    again = made(tmp_path / "parts", pruner=pruner)
    results = run(again, tmp_path / "parts")
    for one, other in zip(trials, again.read_all(results), strict=True):
        assert one.settings == other.settings
        np.testing.assert_array_equal([one.lifetime, *one.curve], [other.lifetime, *other.curve])
    assert again.importance() == whole.importance()
    (tmp_path / "parts" / "cells" / "trial-002.npz").unlink()  # one in the midst, computed from those before it
    last = made(tmp_path / "parts", pruner=pruner)
    assert last.read_all(run(last, tmp_path / "parts"))[2].settings == trials[2].settings


def test_trials_that_live_short_are_stopped_early(quick, tmp_path):
    study = made(tmp_path)
    trials = study.read_all(run(study, tmp_path))
    ended, words = [one.lifetime for one in trials if not one.stopped], []
    made(tmp_path).cells()[1].compute(lambda _, told: words.append(told))
    assert words[0] == f"best {trials[0].lifetime:.1f} (trial-000), lifetime {trials[1].curve[0] / 1.5:.1f}"
    for one in trials:
        if one.stopped:
            reached = np.isfinite(one.curve).sum()
            assert 2 <= reached < 8 and one.curve[reached - 1] < max(ended) * reached / 8
    assert max(ended) > trials[0].lifetime and study.importance().keys() == {d.name for d in study.dimensions}
    quick.stop_at = "nobody dies"
    assert made(tmp_path / "other")._play(0, lambda _: None)[:, 0].tolist() == [50, 50]  # as long as was looked


def test_the_report(quick, tmp_path, monkeypatch):
    study = made(tmp_path)
    results = run(study, tmp_path)
    report(study, tmp_path, results, given=(*SET[0], "learning_rate=0.002"))
    told = json.loads((tmp_path / "results.json").read_text())
    best = told["trials"][told["best"]]
    assert best["lifetime"] == max(one["lifetime"] or 0 for one in told["trials"]) and told["searched"] == list(OVER)
    line = told["command"].split()
    assert line[:4] == ["nmmo-jax", "train", "law16", "--set"] and f"discount={best['settings']['discount']}" in line
    text = (tmp_path / "report.md").read_text()
    assert told["command"] in text and "(parallel.png)" in text and "(learning.png)" in text
    for name in ("parallel", "learning"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    # What is to be pasted is understood, and says the same.
    pairs = train.Train(experiment="law16", set=(tuple(line[4:]),))
    chosen = {}
    monkeypatch.setattr("train.smith.Native", lambda one, *_, **__: chosen.update(one=one) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pairs.run()
    assert {name: getattr(chosen["one"].settings, name) for name in best["settings"]} == best["settings"]
    over = text.partition("--over ")[2].split()[0]
    assert parse_factor(over)[1] == [best["settings"]] and "nmmo-jax ablate law16 --over" in text
    assert ablate.Ablate(over=(over,))._filled().study(tmp_path).variants[1].changes == best["settings"]


def test_the_command_goes_on_and_names_a_damaged_trial(quick, tmp_path, capsys):
    out = tmp_path / "out"
    flags = {"experiment": "law16", "set": SET, "over": OVER, "seeds": 2, "agent_steps": 2 * BUDGET, "trials": 4}
    quick.stop_at = ("trial-002", 5)
    assert Tune(**flags, worlds=2, out=out).run() == 130
    assert "2 of 4 parts are done" in capsys.readouterr().out
    quick.stop_at = None
    path = out / "cells" / "trial-001.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r"trial-001\.npz: damaged, .*; without this file, it is computed again"):
        Tune(resume=out).run()
    path.write_bytes(whole)
    assert Tune(resume=out).run() == 0
    assert "nmmo-jax train law16 --set" in " ".join(capsys.readouterr().out.split())
    assert quick.begun == ["trial-000", "trial-001", "trial-002", "trial-002", "trial-003"]
