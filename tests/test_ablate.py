"""Ablations: factors as they are typed, one training per variant and one comparison per seed, and what is left."""

import json

import numpy as np
import pytest
from test_training import SMALL, TINY

from nmmo_jax.commands import ablate
from nmmo_jax.commands.settings import of_training, parse_factor
from nmmo_jax.common.text import typed
from train.settings import all_settings, changed
from train.studies import ablation as module
from train.studies.ablation import Ablation
from train.studies.evaluation import Evaluation
from train.studies.seeds import lifetime_at

SET = (tuple(f"{name}={typed(value)}" for name, value in SMALL.items()),)
OVER = ("learning_rate=0.0003:0.003", "ticks=8,realms=16", "discount=0.99")  # the last is the base's
FLAGS = {"experiment": "law16", "set": SET, "over": OVER, "seeds": 3, "agent_steps": 8_000, "worlds": 2, "ticks": 8}
LIVES = {"base": 20, "learning_rate-0.0003": 10, "learning_rate-0.003": 30, "ticks-8-realms-16": 21}

CURVE = {
    "lifetime": np.full((4, 3), 5.0),
    "steps": np.full((4, 3, 2), 1_000.0) * np.arange(1, 5)[:, None, None],
    "speed": np.array([1.0, 900, 1_100, 1_000]),
}


def stop():
    raise KeyboardInterrupt


def made(out, factors=(("decay", [{"decay": 0.5}]),), seeds=(0, 1), agent_steps=1, base=TINY):
    return Ablation(out, base, factors, seeds, agent_steps, worlds=2, settle=0, ticks=8, seed=0)


def test_factors_and_their_values():
    assert parse_factor("learning_rate=0.0003:0.003") == (
        "learning_rate",
        [{"learning_rate": 0.0003}, {"learning_rate": 0.003}],
    )
    assert parse_factor("shared_weights=true")[1] == [{"shared_weights": True}]
    assert parse_factor("core=none,gru")[1] == [{"core": "none"}, {"core": "gru"}]
    assert parse_factor(" ticks = 64 , realms=16 : ticks=128,realms=8") == (
        "ticks, realms",
        [{"ticks": 64, "realms": 16}, {"ticks": 128, "realms": 8}],
    )


@pytest.mark.parametrize(("text", "told"), [
    ("learning_rat=1", "there is no learning_rat; did you mean learning_rate?"), ("ticks", "must be NAME=VALUE:VALUE"),
    ("ticks=", "must be a whole number"), ("ticks=8,16,realms=4", "must be NAME=VALUE:VALUE"),
    ("ticks=8.5", "must be a whole number"), ("core=lstm", "allowed are none, gru"), ("seed=1:2", "use --seed"),
    ("maps=4", "maps must stay 0"), ("max_food=40", "is of the world"), ("ticks=8,ticks=9", "given twice"),
])  # fmt: skip
def test_what_is_no_factor(text, told):
    with pytest.raises(ValueError) as error:
        parse_factor(text)
    assert str(error.value).startswith(f"--over {text}: ") and told in str(error.value)


def test_all_settings_can_be_changed_by_name():
    assert all_settings(TINY).keys() == of_training().keys()
    other = changed(TINY, {"core": "none", "shared_weights": True, "ticks": 8})
    assert (other.settings.options.shared_weights, other.settings.ticks, other.env) == (True, 8, TINY.env)
    assert TINY.settings.ticks == 4 and changed(TINY, {}) == TINY


def test_the_default_factors_are_of_the_published_worlds(tmp_path):
    for form, values in ablate.Ablate.FORMS.items():
        study = ablate.Ablate(form=form)._filled().study(tmp_path)
        assert len(study.variants) == 1 + sum(len(parse_factor(text)[1]) for text in values["over"])


@pytest.mark.parametrize(("flags", "told"), [
    ("--over realms=12", "--over realms=12: realms=12: must be divisible by groups=8"),
    ("--over learning_rate=0.1:0.1", "--over learning_rate=0.1: given twice"),
    ("--over learning_rate=-1", "--over learning_rate=-1: learning_rate=-1: allowed are numbers"),
    ("--over discount=0.99", "--over: at least one value must be another than the base has"),
    ("--set network=classic --over core=gru", "--over core=gru: core=gru: must be 'none' for --set network=classic"),
    ("--seeds 1", "--seeds 1: at least 2"), ("--agent-steps 0", "--agent-steps 0: must be at least 1"),
    ("--worlds 0", "--worlds 0: allowed are 1 to"), ("--set maps=4", "--set maps=4: maps must stay 0"),
    ("--set seed=4", "--set seed=4: use --seed"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_compiled(flags, told, refused, tmp_path):
    assert refused("ablate", "law16", *flags.split(), "--out", tmp_path / "out").startswith(told)
    assert not (tmp_path / "out").exists()
    assert refused("ablate", "law17").startswith("EXPERIMENT law17: allowed are law16")


def test_lifetime_at_a_share_of_the_budget():
    steps = np.arange(1, 17, dtype=float)[:, None, None] * np.ones((1, 2, 3))
    curve = {"steps": steps, "lifetime": np.stack([np.arange(16.0), np.full(16, np.nan)], axis=1)}
    np.testing.assert_allclose(lifetime_at(curve, 16, 1.0), [14.5, np.nan])  # the last two of sixteen calls
    np.testing.assert_allclose(lifetime_at(curve, 16, 0.25), [2.5, np.nan])
    assert lifetime_at(curve, 64, 1.0)[0] == 15  # it never came so far
    assert lifetime_at(curve, 1, 0.5)[0] == 0  # the first call was more than that


@pytest.fixture
def quick(monkeypatch):
    """Without training and play: curves and lives that are made up. The list of what was trained."""
    trained = []

    def train(experiment, seeds, budget, out, on_progress):
        assert (tuple(seeds), budget) == ((0, 1, 2), 4_000)
        on_progress(0.5, "half")
        trained.append(out.name)

    def play(_, policy, on_progress):
        variant, seed = policy.split("/")[-2:]
        on_progress(1.0, policy)
        lives = LIVES[variant] + int(seed[-1])
        return {"aged": np.full((2, 1), lives), "deaths": np.ones((2, 1, 4)) / 4, "forage": np.full((2, 1), lives)}

    monkeypatch.setattr(module, "train_seeds", train)
    monkeypatch.setattr(module, "learning_curve", lambda _: CURVE)
    monkeypatch.setattr(Evaluation, "play", play)
    monkeypatch.setattr(Evaluation, "_yield", 10.0)
    return trained


def test_the_command_compares_and_goes_on_at_the_variant(quick, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module, "learning_curve", lambda folder: stop() if "-" in folder.name else CURVE)
        assert ablate.Ablate(**FLAGS, out=out).run() == 130
    assert ablate.Ablate(resume=out).run() == 0
    assert quick == ["base", "learning_rate-0.0003", *list(LIVES)[1:]]
    told = json.loads((out / "results.json").read_text())
    each = {tuple(one["changes"].items()): one for one in told["variants"]}
    assert [one["lifetime"]["mean"] for one in told["variants"]] == [21, 11, 31, 22]
    gain = each[(("learning_rate", 0.003),)]["lifetime_gain"]
    assert (gain["mean"], gain["low"], gain["high"]) == (10, 10, 10)
    assert each[(("ticks", 8), ("realms", 16))]["agent_steps_per_second"] == 950
    assert told["variants"][0]["learning"] == [5, 5, 5] and told["base"]["learning_rate"] == 0.001
    text = (out / "report.md").read_text()
    assert "| ticks, realms | 8, 16 | 4, 8 | 22.0 ± 2.5 | 1.00" in text and "(ablation.png)" in text
    shown = capsys.readouterr().out
    assert "Shorter: learning_rate=0.0003 (-10.0 ± 0.0)" in shown and (out / "ablation.png").stat().st_size > 10_000


@pytest.mark.slow
def test_what_is_trained_is_played(tmp_path):
    study = made(tmp_path, agent_steps=4_000)
    results = {cell.name: cell.compute(lambda *_: None) for cell in study.cells()}
    assert np.isfinite(study.lives(results)).all() and np.isfinite(study.learning(results)).all()
    assert study.lives(results).shape == (2, 2, 2) and min(study.speeds(results)) > 0
