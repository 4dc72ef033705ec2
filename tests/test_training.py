"""The training loop: learns from the living, each once; goes on exactly; the same on any number of devices."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train import loop, metrics, smith
from train.checkpoint import Checkpoints
from train.loop import make_train
from train.minibatches import AXIS, Rows
from train.settings import PUBLISHED, Settings, experiment
from train.trinity import Sword, Trinity

SMALL = {
    **{"num_agents": 16, "num_populations": 2, "rows": 20, "columns": 20, "border": 2, "view": 5, "num_visible": 4},
    **{"realms": 8, "ticks": 4, "minibatch": 32, "network": "classic"},
}
TINY = experiment("law16", **SMALL)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tiny():
    return make_train(TINY, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def six(tiny):
    """Six updates, in two calls."""
    state, first = tiny.run(tiny.init(jax.random.key(0)), 3)
    state, second = tiny.run(state, 3)
    return jax.device_get(tiny.saved(state)), jax.device_get(first), jax.device_get(second)


def equal(one, other):
    """Bit for bit."""
    one, other = (
        jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, tree)
        for tree in (one, other)
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
def test_reports_add_up(six):
    _, *reports = six
    for report in reports:
        assert (report.skipped == 0).all()
        sums = report.sums
        assert (sums.steps.sum(axis=1) <= 8 * 4 * 16).all()
        np.testing.assert_array_equal(sums.causes.sum(axis=-1), sums.deaths)
        np.testing.assert_allclose(sums.reward, sums.steps - sums.deaths, rtol=1e-6)  # 1 per tick lived through
        assert all(np.isfinite(value).all() for value in report.losses.values())
    assert reports[1].sums.deaths.sum() > 10
    assert (reports[1].losses["entropy"] > 0.5).all()


def test_an_interrupted_run_equals_an_uninterrupted_one(tiny, six, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    state, _ = tiny.run(tiny.init(jax.random.key(0)), 3)
    checkpoints.save(3, tiny.saved(state), {}, None)
    del state
    kept, _ = checkpoints.restore(tiny.template)
    state, report = tiny.run(tiny.restored(kept), 3)
    equal(jax.device_get(tiny.saved(state)), six[0])
    equal(jax.device_get(report), six[2])


def test_every_living_row_is_taken_once():
    settings, config = TINY.settings, TINY.env.config
    alive = np.random.default_rng(0).random((settings.ticks, settings.realms, config.num_agents)) < 0.4

    def taken(alive):
        rows = Rows(TINY, alive)
        order = rows.shuffled(jax.random.key(1), 3)

        def one(index):
            row = jax.lax.dynamic_slice_in_dim(order, index * 3, 3, axis=2)
            return row, index * 3 + jnp.arange(3) < rows.number[..., None]

        return [one(index) for index in range(order.shape[2] // 3)], rows.batches(3)

    batches, number = jax.vmap(taken, axis_name=AXIS)(jnp.asarray(alive)[None])
    groups, agents = settings.groups, config.num_agents // config.num_populations
    count = np.zeros_like(alive, int)
    for index, (row, valid) in enumerate(batches):
        assert index < number[0] or not np.asarray(valid).any()
        for group in range(groups):
            for population in range(config.num_populations):
                for r in np.asarray(row)[0, group, population][np.asarray(valid)[0, group, population]]:
                    tick, realm, slot = np.unravel_index(r, (settings.ticks, settings.realms // groups, agents))
                    count[tick, realm + group * (settings.realms // groups), slot + population * agents] += 1
    np.testing.assert_array_equal(count, alive)


def agree(one, other):
    """Reports, parameters and agents: to the last number before the first step of the optimiser, and nearly after."""
    jax.tree.map(np.testing.assert_array_equal, one[0].sums.steps[0], other[0].sums.steps[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one[0], other[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), one[1], other[1])
    jax.tree.map(np.testing.assert_array_equal, one[2], other[2])


PROGRAM = """
import sys, jax, numpy as np
sys.path.insert(0, "tests")
from test_training import SMALL, agree
from train.loop import make_train
from train.settings import experiment

chosen = experiment("law16", **SMALL, horizon=5, maps=3)
results = []
for number in map(int, sys.argv[1:]):
    train = make_train(chosen, devices=jax.devices()[:number])
    state, report = train.run(train.init(jax.random.key(0)), 2)
    assert len(state.worlds.realm.tick.sharding.device_set) == number
    results.append(jax.device_get((report, state.params, state.worlds.realm.agents)))
for other in results[1:]:
    agree(other, results[0])
print("agree")
"""


@pytest.mark.slow
def test_devices_agree():
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, "1", "2", "8"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == "agree", result.stderr[-3000:]


class Broken(Sword):
    """Its loss is not a number for population 1; and it tells something else."""

    def loss(self, params, batch):
        loss, told = super().loss(params, batch)
        loss *= jnp.array([1.0, jnp.nan])
        return loss, {"loss": loss, "half": told["entropy"] / 2}


@pytest.mark.slow
def test_what_is_not_finite_is_skipped_and_ends_the_run(tmp_path, monkeypatch):
    train = make_train(TINY, Trinity(sword=Broken), jax.devices()[:1])
    state = train.init(jax.random.key(0))
    before = jax.device_get(state.params)
    state, report = train.run(state, 2)
    after = jax.device_get(state.params)
    moved = jax.tree.map(lambda a, b: [(a[p] != b[p]).any() for p in range(2)], before, after)
    assert np.array(jax.tree.leaves(moved)).reshape(-1, 2).any(axis=0).tolist() == [True, False]
    assert (np.asarray(report.skipped)[:, 0] == 0).all() and (np.asarray(report.skipped)[:, 1] > 0).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after, report)))
    assert report.losses.keys() == {"loss", "half", "gradient_norm"}
    assert (np.asarray(report.losses["half"])[:, 0] > 0.1).all()
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    monkeypatch.setattr(metrics.Streak, "patience", 3)
    with pytest.raises(
        RuntimeError, match=r"population 1: gradients were not finite 3 updates in a row, from update 1"
    ):
        smith.Native(TINY, out=tmp_path / "run", updates=6, per_call=2).run()


@pytest.mark.slow
def test_realms_draw_their_caps():
    chosen = experiment("law16", **SMALL, sample_cap=True)
    caps = np.asarray(make_train(chosen, devices=jax.devices()[:1]).init(jax.random.key(0)).worlds.rules.population_cap)
    assert 1 <= caps.min() < caps.max() <= 16


@pytest.mark.slow
def test_seeds_can_be_vmapped(tiny, six):
    states = jax.vmap(tiny.init)(jax.random.split(jax.random.key(3), 2).at[0].set(jax.random.key(0)))
    states, report = jax.vmap(lambda state: tiny.run(state, 3))(states)
    np.testing.assert_array_equal(report.sums.steps[0], six[1].sums.steps)
    assert (report.sums.steps[0] != report.sums.steps[1]).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"core": "gru", "rules_input": True}, {"shared_weights": True, "auto_target": True}]
)
def test_options_of_the_network(options):
    train = make_train(
        experiment("chaos16", **{**SMALL, "network": "default", "hidden": 16}, **options), devices=jax.devices()[:1]
    )
    state = train.init(jax.random.key(0))
    before = jax.device_get(state.params)
    state, report = train.run(state, 2)
    assert (np.asarray(report.skipped) == 0).all()
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, jax.device_get(state.params))
    assert all(jax.tree.leaves(moved))


@pytest.mark.slow
def test_as_published():
    settings = experiment("law128", **PUBLISHED).settings
    assert (settings.network, settings.loss, settings.max_gradient) == ("classic", "policy_gradient", 5.0)
    small = {name: value for name, value in SMALL.items() if name not in ("network", "minibatch")}
    train = make_train(experiment("law16", **{**PUBLISHED, **small}), devices=jax.devices()[:1])
    _, report = train.run(train.init(jax.random.key(0)), 2)
    assert (np.asarray(report.skipped) == 0).all() and (np.asarray(report.losses["gradient_norm"]) > 0).all()


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"discount=2: allowed are numbers from 0 to 1"):
        Settings(discount=2)
    with pytest.raises(ValueError, match=r"minibatch=12: must be divisible by groups=8"):
        Settings(minibatch=12)
    with pytest.raises(ValueError, match=r"groups=8: must be divisible by the number of devices, 3"):
        loop.make_train(TINY, devices=[None] * 3)
