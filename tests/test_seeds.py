"""Seeds trained side by side: each as if it were alone; until a budget is used up, whatever comes between."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_training import SMALL as SETTINGS
from test_training import TINY

from nmmo_jax.common.files import read_json, read_lines
from train.checkpoint import Checkpoints, load_params
from train.loop import SEEDS, make_train
from train.minibatches import AXIS
from train.policy import load_policy
from train.settings import experiment
from train.studies import seeds as module
from train.studies.seeds import main, train_seeds
from train.trinity import Trinity

UPDATES, CALLS = 3, 4  # per call, and in which a budget is used up where everyone lives
ROWS = TINY.settings.realms * TINY.settings.ticks * TINY.env.config.num_agents
BUDGET = UPDATES * CALLS * ROWS // TINY.env.config.num_populations
NUMBERS = (5, 3)


def keys(numbers):
    return jnp.stack([jax.random.key(number) for number in numbers])


def quiet(fraction, words):
    del fraction, words


@pytest.fixture(scope="module")
def alone():
    """The runs of seeds 5, 3 and 4 by themselves, on one device: reports, parameters and agents after 3 updates."""
    train = make_train(TINY, devices=jax.devices()[:1])
    found = []
    for number in (*NUMBERS, 4):
        state, report = train.run(train.init(jax.random.key(number)), UPDATES)
        found.append(jax.device_get((report, state.params, state.worlds.realm.agents)))
    return found


@pytest.fixture(scope="module")
def both():
    return make_train(TINY, devices=jax.devices()[:2], seeds=2)


def check(train, alone):
    numbers = (*NUMBERS, 4)[: len(alone)]
    state, report = train.run(train.init(keys(numbers)), UPDATES)
    assert report.skipped.shape[:2] == (UPDATES, len(numbers))
    report, params, agents = jax.device_get((report, state.params, state.worlds.realm.agents))
    for index, (own, own_params, own_agents) in enumerate(alone):
        told, of, who = (
            jax.tree.map(lambda leaf, i=index: leaf[:, i], report),
            *(jax.tree.map(lambda leaf, i=index: leaf[i], tree) for tree in (params, agents)),
        )
        np.testing.assert_array_equal(told.sums.steps, own.sums.steps)
        jax.tree.map(np.testing.assert_array_equal, who, own_agents)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), told, own)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), of, own_params)
    assert (report.sums.steps[:, 0] != report.sums.steps[:, 1]).any()
    return state


@pytest.mark.slow
def test_a_seed_is_trained_as_if_alone(alone, both):
    state = check(both, alone[:2])
    assert state.update.sharding.mesh.shape == {SEEDS: 2, AXIS: 1}
    assert state.worlds.realm.tick.addressable_shards[0].data.shape == (1, TINY.settings.realms)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "seeds", "mesh"), [(1, 2, (1, 1)), (2, 3, (1, 2))])
def test_devices_left_over_share_the_realms(alone, devices, seeds, mesh):
    state = check(make_train(TINY, devices=jax.devices()[:devices], seeds=seeds), alone[:seeds])
    assert tuple(state.update.sharding.mesh.shape.values()) == mesh


def test_what_cannot_be_shared_out():
    with pytest.raises(ValueError, match="seeds=0: must be at least 1, or None"):
        make_train(TINY, seeds=0)
    with pytest.raises(ValueError, match="groups=8: must be divisible by the number of devices of a seed, 3"):
        make_train(TINY, devices=[None] * 6, seeds=4)


@pytest.fixture
def quick(both, monkeypatch):
    monkeypatch.setattr(module, "make_train", lambda *_, **__: both)
    monkeypatch.setattr(module, "_LEAST_CALLS", CALLS)
    monkeypatch.setattr(module, "_SAVE_SECONDS", 0.0)


def run(out, told=quiet, snapshots=(0.5,)):
    return train_seeds(TINY, NUMBERS, BUDGET, out, told, snapshots)


def lines(out):
    return read_lines(out / "metrics.jsonl", module.Line)


def result(out):
    """What must not depend on interruptions."""
    log = [{name: value for name, value in line.items() if "second" not in name} for line in lines(out)]
    steps = [Checkpoints(out / f"seed-{number}").steps() for number in NUMBERS]
    params = [
        jax.device_get(load_params(out / f"seed-{n}", s)[0]) for n, of in zip(NUMBERS, steps, strict=True) for s in of
    ]
    return log, steps, params


@pytest.fixture(scope="module")
def whole(both, tmp_path_factory):
    """A training that nothing came between, and what was told of it."""
    out, told = tmp_path_factory.mktemp("seeds") / "whole", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_train", lambda *_, **__: both)
        patch.setattr(module, "_LEAST_CALLS", CALLS)
        done = run(out, lambda *of: told.append(of))
    return out, told, done


@pytest.mark.slow
def test_seeds_are_trained_until_the_budget_is_used_up(whole, alone):
    out, told, done = whole
    log = lines(out)
    for (report, *_), number, of in zip(alone, range(2), log[0]["steps"], strict=False):
        assert report.sums.steps.sum(axis=0).tolist() == of
        deaths, lifetime = report.sums.deaths.sum(), report.sums.lifetime.sum()
        assert log[0]["lifetime"][number] == pytest.approx(lifetime / deaths)
    used = [np.mean(line["steps"]) / BUDGET for line in log]
    assert used[-2] < 1 <= used[-1] and [fraction for fraction, _ in told] == [*used[:-1], 1.0]
    assert [line["update"] for line in log] == [UPDATES * (1 + index) for index in range(len(log))]
    assert done == read_json(out / "done.json", dict)
    assert done["reached"] and done["budget"] == BUDGET and done["steps"] == log[-1]["steps"]
    half = next(line["update"] for line, share in zip(log, used, strict=True) if share >= 0.5)
    for index, number in enumerate(NUMBERS):
        folder = out / f"seed-{number}"
        assert Checkpoints(folder).steps() == [half, log[-1]["update"]]
        params, about = load_params(folder)
        assert (about["settings"]["seed"], about["update"]) == (number, log[-1]["update"])
        assert about["steps"] == done["steps"][index] and about["agent_steps"] == sum(about["steps"])
        jax.tree.map(np.testing.assert_array_equal, load_policy(folder).params, params)
    first, second = (load_params(out / f"seed-{number}")[0] for number in NUMBERS)
    assert all((a != b).any() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True) if a.any())


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_training_goes_on_exactly(whole, quick, tmp_path, error):
    """At a request to stop, which saves; and at anything else, after which the last call is made again."""
    calls = []

    def told(fraction, words):
        del words
        calls.append(fraction)
        if len(calls) == 3:
            raise error

    with pytest.raises(error):
        run(tmp_path, told)
    assert len(lines(tmp_path)) == 3
    assert Checkpoints(tmp_path / "checkpoints").latest() == UPDATES * (3 if error is KeyboardInterrupt else 2)
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"update": 1')  # a process killed while it wrote
    done = run(tmp_path, told)
    log, steps, params = result(whole[0])
    again, again_steps, again_params = result(tmp_path)
    assert (again, again_steps, done["steps"]) == (log, steps, whole[2]["steps"])
    jax.tree.map(np.testing.assert_array_equal, again_params, params)


@pytest.mark.slow
def test_a_process_killed_after_two_snapshots_within_a_minute(whole, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SAVE_SECONDS", 1e9)

    def told(fraction, words):
        del words
        if fraction >= 0.75:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run(tmp_path, told, (0.25, 0.5))
    run(tmp_path, quiet, (0.25, 0.5))
    log, steps, params = result(tmp_path)
    expected_log, expected_steps, expected = result(whole[0])
    assert log == expected_log and [of[1:] for of in steps] == expected_steps
    jax.tree.map(np.testing.assert_array_equal, [params[i] for i in (1, 2, 4, 5)], expected)


@pytest.mark.slow
def test_a_training_that_has_ended_is_left_alone(whole, monkeypatch):
    out, _, done = whole
    monkeypatch.setattr(module, "make_train", None)
    assert run(out, None) == done
    with pytest.raises(ValueError, match=rf"whole: budget differs: {BUDGET} there, 7 given"):
        train_seeds(TINY, NUMBERS, 7, out, quiet, (0.5,))
    with pytest.raises(ValueError, match=r"settings differs: learning_rate is 0\.001 there, 0\.5 given"):
        train_seeds(experiment("law16", **{**SETTINGS, "learning_rate": 0.5}), NUMBERS, BUDGET, out, quiet, (0.5,))


def test_what_is_refused(tmp_path, monkeypatch, capsys):
    def refused(match, seeds=NUMBERS, budget=BUDGET, snapshots=(1.0,), chosen=TINY, out=tmp_path / "new"):
        with pytest.raises(ValueError, match=match):
            train_seeds(chosen, seeds, budget, out, quiet, snapshots)

    refused(r"seeds=\[1, 1\]: must be one or more different", seeds=(1, 1))
    refused(r"seeds=\[\]", seeds=())
    refused(r"seeds=\[-1\]", seeds=(-1,))
    refused("budget=0: must be at least 1", budget=0)
    refused(r"snapshots=\[-0\.5\]: allowed are 0 to 1", snapshots=(-0.5,))
    refused("maps=2: must be 0", chosen=experiment("law16", **SETTINGS, maps=2))
    assert not (tmp_path / "new").exists()
    (tmp_path / "begun").mkdir()
    of = (TINY, NUMBERS, BUDGET, (1.0,), Trinity())
    module._open(tmp_path / "begun", *of, {"begin": "a clone"})  # is not gone on with from nothing
    refused("begun: begin differs", out=tmp_path / "begun")
    (tmp_path / "other").touch()
    refused("is not empty; it holds no training of seeds", out=tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["seeds", "law17", "--seeds", "0", "--budget", "1", "--out", str(tmp_path / "new")]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2 and "experiment='law17'" in capsys.readouterr().err
