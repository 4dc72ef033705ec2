"""What can be overridden in training: who is born and who learns, evolution, the best and the log; and the examples."""

import json
import runpy
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import GRASS
from test_training import SMALL, TINY

from nmmo_jax import Config, cli, make_realm
from nmmo_jax.common import entry
from train import smith
from train.checkpoint import Checkpoints
from train.examples import population_based
from train.examples.explorer import Explorer
from train.examples.own_network import Own
from train.examples.population_based import PopulationBased
from train.loop import make_train
from train.settings import experiment
from train.trinity import God, Pantheon, Sword, Trinity

FULL = experiment("law16", **SMALL, max_spawns=4)
VISITS = experiment("chaos16", **SMALL, max_spawns=4, visits=True, hidden=8)


class Nursery(God):
    """The newborn join population 1 while it has room; of them nobody learns."""

    def newborn(self, word, room, realm):
        return jnp.where(room[1], 1, 0)

    def learners(self, realm):
        return jnp.arange(16) < 8


class Seen(NamedTuple):
    update: jax.Array
    steps: jax.Array
    key: jax.Array


class Keeper(Pantheon):
    """Keeps what it is told in the optimiser's state; the first checkpoint is the best, and little is logged."""

    def optimiser(self):
        sgd = optax.sgd(0.01, momentum=0.9)
        seen = Seen(jnp.int32(0), jnp.zeros(2, jnp.int32), jnp.zeros((3, 2), jnp.uint32))

        def update(updates, state, params=None):
            updates, after = sgd.update(updates, state[0], params)
            return updates, (after, state[1])

        return optax.GradientTransformation(lambda params: (sgd.init(params), seen), update)

    def evolve(self, params, optimiser, sums, update, key):
        sgd, seen = optimiser
        keys = jnp.roll(seen.key, 1, axis=0).at[0].set(jax.random.key_data(key))
        return params, (sgd, Seen(update, seen.steps + sums.steps, keys))

    def score(self, line):
        return -float(line["update"])

    def log(self, line):
        return {"alive": line["population"], "update": -1}


LEVELS = Trinity(Keeper, Nursery)
EXAMPLES = Trinity(PopulationBased, Explorer, Own)


@pytest.fixture(scope="module")
def train():
    return make_train(FULL, LEVELS, jax.devices()[:1])


@pytest.fixture(scope="module")
def four(train):
    """The parameters at first, the state and the report after four updates."""
    state = train.init(jax.random.key(0))
    first = jax.device_get(state.params)
    state, one = train.run(state, 2)
    one = jax.device_get(one)
    state, two = train.run(state, 2)
    return first, jax.device_get(state), jax.tree.map(lambda *x: np.concatenate(x), one, jax.device_get(two))


@pytest.fixture(scope="module")
def examples():
    """The examples together, in one program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population_based, "EVERY", 2)
        train = make_train(VISITS, EXAMPLES, jax.devices()[:1])
        state = train.init(jax.random.key(0))
        first = jax.device_get(state.params)
        state, report = train.run(state, 2)
    return train, first, jax.device_get(state), jax.device_get(report)


def rows_that_differ(one, other):
    """By population, whether any leaf does."""
    differ = [(a != b).reshape(2, -1).any(axis=1) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True)]
    return np.array(differ).any(axis=0).tolist()


@pytest.mark.slow
def test_a_god_says_where_the_newborn_go_and_who_learns(four):
    first, state, report = four
    steps = report.sums.steps
    assert steps[0, 1] > 3 * steps[0, 0]
    assert (steps[1:] > 0).all()  # all that live are counted
    assert rows_that_differ(first, state.params) == [True, False]
    trace = state.optimiser[0][0].trace
    assert [any(leaf[p].any() for leaf in jax.tree.leaves(trace)) for p in range(2)] == [True, False]
    assert (report.losses["entropy"][1:, 0] > 0.5).all() and (report.losses["entropy"][:, 1] == 0).all()


@pytest.mark.slow
def test_a_pantheon_is_told_of_every_update(four):
    _, state, report = four
    seen = state.optimiser[1]
    assert seen.update == 4
    np.testing.assert_array_equal(seen.steps, report.sums.steps.sum(axis=0))
    assert len({tuple(key) for key in seen.key.tolist()}) == 3


@pytest.mark.slow
def test_a_pantheon_says_what_is_best_and_what_is_logged(train, tmp_path, monkeypatch):
    monkeypatch.setattr(smith, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(smith, "_SAVE_SHARE", 1e9)
    monkeypatch.setattr(smith, "make_train", lambda *_: train)
    monkeypatch.setattr(smith, "write_figures", lambda *_: None)
    native = smith.Native(FULL, LEVELS, tmp_path / "run", updates=4, per_call=2)
    native.run()
    assert Checkpoints(tmp_path / "run" / "checkpoints").best() == 2
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [2, 4]
    assert all(line.keys() == {"alive", "update", "agent_steps", "seconds", "crc32"} for line in lines)
    with pytest.raises(ValueError, match=r"trinity differs: pantheon is '.*Keeper' there, 'Pantheon' given"):
        smith.Native(FULL, Trinity(god=Nursery), tmp_path / "run", updates=8, resume=True).run()
    worlds = []
    monkeypatch.setattr(smith, "evaluate", lambda env, *_, **__: worlds.append(env) or {})
    native.evaluate()
    assert worlds and all(world.newborn(None, jnp.array([True, True]), None) == 1 for world in worlds)


class State(NamedTuple):
    """All kinds of leaves that an optimiser may keep."""

    inner: tuple
    count: jax.Array
    table: jax.Array
    rate: jax.Array
    key: jax.Array


class Various(Pantheon):
    def optimiser(self):
        inner = optax.inject_hyperparams(optax.adam)(learning_rate=0.1)

        def init(params):
            return State(inner.init(params), jnp.int32(0), jnp.zeros(5), jnp.ones(2), jax.random.key(0))

        def update(updates, state, params=None):
            updates, after = inner.update(updates, state.inner, params)
            key = jax.random.fold_in(state.key, 1)
            return updates, State(after, state.count + 1, state.table + 1, state.rate * 2, key)

        return optax.GradientTransformation(init, update)


@pytest.mark.parametrize("rows", [2, 1])
def test_what_an_optimiser_keeps_of_a_population_waits_with_it(rows):
    pantheon, params = Various(TINY), {"kernel": jnp.ones((rows, 3)), "bias": jnp.ones(rows)}
    state, good = pantheon.optimiser().init(params), jnp.array([True, False])
    gradients = jax.tree.map(lambda leaf: leaf.at[1:].set(jnp.nan), params)
    after, kept = pantheon.update(params, state, gradients, good)
    # Of shared weights the one row goes on, though there is a population that has nothing to learn from.
    assert [(after["kernel"][p] < 1).all().item() for p in range(rows)] == [True, False][:rows]
    assert [(after["bias"][p] < 1).item() for p in range(rows)] == [True, False][:rows]
    moments = kept.inner.inner_state[0]
    assert moments.count == kept.inner.count == kept.count == 1
    assert [(moments.mu["kernel"][p] > 0).all().item() for p in range(rows)] == [True, False][:rows]
    assert kept.table.tolist() == [1] * 5 and kept.rate.tolist() == [2, 1]
    assert (jax.random.key_data(kept.key) != jax.random.key_data(state.key)).any()
    after, kept = pantheon.update(params, state, jax.tree.map(jnp.ones_like, params), jnp.array([False, False]))
    jax.tree.map(np.testing.assert_array_equal, after, params)
    assert kept.rate.tolist() == [1, 1] and not kept.inner.inner_state[0].mu["kernel"].any()


class Flat(Sword):
    def init(self, key):
        return {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(())}


def test_parameters_must_be_by_population():
    message = r"Sword.init: \['bias'\]: shape \(\): axis 0 must be num_populations=2, or 1 in every array"
    with pytest.raises(ValueError, match=message):
        make_train(TINY, Trinity(sword=Flat), jax.devices()[:1])


@pytest.mark.slow
def test_the_explorer_is_paid_for_what_is_new(examples):
    *_, report = examples
    bonus = report.sums.reward - (report.sums.steps - report.sums.deaths)
    assert (bonus > 0.1 * report.sums.steps).all() and (bonus < report.sums.steps).all()
    config = Config(num_agents=16, num_populations=2, rows=20, columns=18, visits=True)
    before = make_realm(config, GRASS, row=[5, 6, 7], col=[5] * 3, population=[0, 1, 1])
    after = before.replace(
        agents=before.agents.replace(uid=before.agents.uid.at[9].set(77)),  # another has been born in the third's place
        probes=before.probes.replace(visits=before.probes.visits.at[0, 5, 5].set(3).at[0, 6, 5].set(8)),
    )
    reward = Explorer(VISITS).reward(jnp.full(16, 2.0), before, after, None)
    assert reward[jnp.array([0, 8, 9, 10])].tolist() == [2.5, 3.0, 2.0, 2.0]
    with pytest.raises(ValueError, match=r"visits=False: must be True for Explorer"):
        make_train(TINY, Trinity(god=Explorer))


@pytest.mark.slow
def test_a_network_of_ones_own_learns(examples):
    _, first, state, report = examples
    assert (report.skipped == 0).all() and (report.losses["entropy"] > 0.5).all()
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), first, state.params)
    assert all(jax.tree.leaves(moved)), moved


@pytest.mark.slow
def test_the_worst_population_becomes_a_copy_of_the_best(examples):
    _, first, state, report = examples
    assert rows_that_differ(*(jax.tree.map(lambda x, p=p: x[[p, p]], first) for p in range(2))) == [True, True]
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf[0], leaf[1]), state.params)
    moments = [leaf for leaf in jax.tree.leaves(state.optimiser.inner) if leaf.shape[:1] == (2,)]
    assert moments and all((leaf[0] == leaf[1]).all() for leaf in moments)
    score = report.sums.steps.sum(axis=0) / np.maximum(report.sums.deaths.sum(axis=0), 1)
    rate = state.optimiser.rate
    assert rate[score.argmax()] == 1 and np.isin(rate[score.argmin()], np.float32([1.25, 0.8]))
    assert not state.optimiser.steps.any() and not state.optimiser.deaths.any()


def test_examples_are_programs(examples, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(smith, "make_train", lambda *_: examples[0])
    monkeypatch.setattr(smith, "write_figures", lambda *_: None)
    settings = [f"{name}={json.dumps(value)}" for name, value in {**SMALL, "visits": True}.items()]
    with pytest.raises(SystemExit) as ended:
        cli.train(EXAMPLES, ["law16", "--updates=2", "--no-evaluate", f"--out={tmp_path / 'run'}", "--set", *settings])
    assert ended.value.code == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["trinity"] == {
        "pantheon": "train.examples.population_based:PopulationBased",
        "god": "train.examples.explorer:Explorer",
        "sword": "train.examples.own_network:Own",
    }
    assert Checkpoints(tmp_path / "run" / "checkpoints").latest() == 2


def test_populations_are_selected_where_each_has_a_network_of_its_own():
    with pytest.raises(ValueError, match="shared_weights=True: must be False where populations are selected"):
        Trinity(pantheon=PopulationBased).of(experiment("law32", shared_weights=True))
    levels = Trinity(pantheon=PopulationBased).of(experiment("law32", shared_weights=False, hidden=8))
    params = jax.eval_shape(levels.sword.init, jax.random.key(0))
    state = jax.eval_shape(levels.pantheon.optimiser().init, params)
    after, _ = jax.eval_shape(levels.pantheon.update, params, state, params, jnp.ones(2, bool))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, params)


def test_a_program_with_levels_of_its_own_takes_no_others(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.train(Trinity(sword=Own), ["law16", "--god", "nowhere:God"])
    assert ended.value.code == 2 and "--god: means nothing here: python" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", ["explorer", "own_network", "population_based", "selecting_god"])
def test_examples_name_themselves(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "law16", "--set", "realms=7"])
    monkeypatch.setattr(entry, "run", lambda _program, command: command())  # which would take pytest's streams
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"train.examples.{name}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 2
    assert f"python -m train.examples.{name}: --set realms=7: must be divisible by" in capsys.readouterr().err
