"""One step of learning: a Sword's loss and a Pantheon's update against plain NumPy, and how rows are shuffled."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_training import SMALL

from nmmo_jax.actions import heads
from train import loop
from train.loop import make_train
from train.networks import Network
from train.settings import experiment
from train.trinity import Batch, Pantheon, Sword, Trinity

POPULATIONS, ROWS, FLOOR = 2, 6, 0.05


class Given(Sword):
    """A network whose parameters are its outputs."""

    def make_network(self):
        return Network(lambda key: {}, lambda params, inputs, core: (dict(params), core), lambda shape: (), FLOOR)


def plain(logits, mask, chosen, config):
    """Log-probability of what was chosen and entropy, of one row: every combination of a head's choices by itself."""
    log_prob, entropy = 0.0, 0.0
    for head in heads(config):
        for combination in itertools.product(*(range(argument.size) for argument in head.arguments)):
            probability, before = 1.0, None
            for argument, choice in zip(head.arguments, combination, strict=True):
                allowed = mask[argument.name]
                allowed = allowed[before] if allowed.ndim > 1 else allowed
                soft = np.exp(logits[argument.name]) * allowed
                soft = (soft / soft.sum() + FLOOR) * allowed
                probability *= soft[choice] / soft.sum()
                before = choice
            entropy -= probability * np.log(probability) if probability else 0.0
            if combination == tuple(chosen[argument.name] for argument in head.arguments):
                log_prob += np.log(probability)
    return log_prob, entropy


@pytest.mark.parametrize("kind", ["ppo", "policy_gradient"])
def test_the_loss_of_a_batch(kind):
    chosen = {"loss": kind, "clip": 0.3, "value_weight": 0.7, "entropy_weight": 0.2, "value_unit": 10.0}
    sword = Given(experiment("law16", **SMALL, **chosen))
    rng = np.random.default_rng(0)
    outputs, mask, choices = {"value": rng.normal(size=(POPULATIONS, ROWS, 1))}, {}, {}
    for head in heads(sword.config):
        for argument in head.arguments:
            outputs[argument.name] = rng.normal(size=(POPULATIONS, ROWS, argument.size))
            choices[argument.name] = rng.integers(argument.size, size=(POPULATIONS, ROWS))
            allowed = rng.random((POPULATIONS, ROWS, *argument.mask_shape)) < 0.6
            mask[argument.name] = allowed | (np.arange(argument.size) == choices[argument.name].reshape(
                POPULATIONS, ROWS, *[1] * len(argument.mask_shape)
            ))  # fmt: skip
    old, advantage, target = rng.normal(size=(3, POPULATIONS, ROWS)) * [[[1]], [[1]], [[20]]]
    old -= 3
    weight = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (outputs, old, advantage, target, weight))
    params, *numbers = single
    batch = Batch(None, mask, choices, *numbers[:-1], (), numbers[-1])
    loss, told = sword.loss(params, batch)

    expected = {"policy_loss": np.zeros(2), "value_loss": np.zeros(2), "entropy": np.zeros(2)}
    for p, row in zip(*weight.nonzero(), strict=True):
        of = [{name: leaf[p, row] for name, leaf in tree.items()} for tree in (outputs, mask, choices)]
        new, entropy = plain(*of, sword.config)
        ratio = np.exp(new - old[p, row])
        surrogate = min(ratio * advantage[p, row], np.clip(ratio, 0.7, 1.3) * advantage[p, row])
        expected["policy_loss"][p] -= surrogate if kind == "ppo" else new * advantage[p, row]
        expected["value_loss"][p] += (outputs["value"][p, row, 0] - target[p, row] / 10) ** 2 / 2
        expected["entropy"][p] += entropy
    expected = {name: value / ROWS for name, value in expected.items()}
    for name, value in expected.items():
        np.testing.assert_allclose(told[name], value, rtol=1e-4, err_msg=name)
    total = expected["policy_loss"] + 0.7 * expected["value_loss"] - 0.2 * expected["entropy"]
    np.testing.assert_allclose(loss, total, rtol=1e-4)


@pytest.mark.slow
def test_steps_of_the_optimiser():
    """Clipped by element and by norm, decayed, then Adam: each population by itself, and one that waits stays."""
    chosen = {"max_gradient": 0.4, "max_norm": 0.9, "weight_decay": 0.1, "learning_rate": 0.01, "epsilon": 1e-3}
    chosen["optimiser"] = "adam"
    pantheon = Pantheon(experiment("law16", **SMALL, **chosen))
    rng = np.random.default_rng(1)
    params = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=(2, 2, 2))}
    flat = np.concatenate([leaf.reshape(2, -1) for leaf in params.values()], axis=1)
    mean, square, count = np.zeros_like(flat), np.zeros_like(flat), np.zeros(2)
    state = pantheon.optimiser().init(params)
    for good in ([True, True], [True, False], [False, False], [True, True]):
        gradients = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params)
        gradient = np.concatenate([leaf.reshape(2, -1) for leaf in gradients.values()], axis=1)
        params, state = pantheon.update(params, state, gradients, jnp.array(good))
        for p in np.flatnonzero(good):
            g = np.clip(gradient[p], -0.4, 0.4)
            g = g * min(1, 0.9 / np.linalg.norm(g)) + 0.1 * flat[p]
            count[p] += 1
            mean[p] = 0.9 * mean[p] + 0.1 * g
            square[p] = 0.999 * square[p] + 0.001 * g**2
            corrected = mean[p] / (1 - 0.9 ** count[p]), square[p] / (1 - 0.999 ** count[p])
            flat[p] -= 0.01 * corrected[0] / (np.sqrt(corrected[1]) + 1e-3)
        got = np.concatenate([np.asarray(leaf).reshape(2, -1) for leaf in params.values()], axis=1)
        np.testing.assert_allclose(got, flat, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_muon_changes_matrices_by_orthogonal_steps_as_large_as_the_learning_rate():
    """Each population by itself, and one that waits stays; the learning rate falls to its end."""
    chosen = {"optimiser": "muon", "learning_rate": 0.01, "learning_rate_end": 0.002, "anneal": 64, "max_norm": 0}
    pantheon = Pantheon(experiment("law16", **SMALL, **chosen))  # minibatches of 32: at the end after two steps
    rng = np.random.default_rng(0)
    params = {"a": jnp.zeros((2, 12, 6)), "b": jnp.zeros((2, 6))}
    state, sizes = pantheon.optimiser().init(params), []
    for good in ([True, True], [True, False], [True, False]):
        gradients = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), params)
        after, state = pantheon.update(params, state, gradients, jnp.array(good))
        change = after["a"] - params["a"]
        assert good[1] or not change[1].any()
        sizes.append(float(jnp.sqrt((change[0] ** 2).mean())))
        values = np.linalg.svd(np.asarray(change[0]), compute_uv=False)
        assert values.max() < 2.5 * values.min()  # as near to orthogonal as its five iterations come
        params = after
    np.testing.assert_allclose(sizes, [0.01, 0.006, 0.002], rtol=0.3)


class Placed(Sword):
    """Tells how far back in its minibatch each row is that expects much."""

    def loss(self, params, batch):
        loss, told = super().loss(params, batch)
        place = jnp.arange(batch.weight.shape[1])
        return loss, {**told, "place": (place * batch.target * batch.weight).mean(axis=1)}


@pytest.mark.slow
def test_every_epoch_is_shuffled_anew_and_a_minibatch_can_be_the_whole_rollout():
    places = []
    for epochs in (1, 2):
        chosen = experiment("law16", **{**SMALL, "minibatch": 0}, epochs=epochs, learning_rate=0.0)
        train = make_train(chosen, Trinity(sword=Placed), jax.devices()[:1])
        state, report = train.run(train.init(jax.random.key(0)), 3)
        assert (np.asarray(optax.tree.get(state.optimiser, "count")) == 3 * epochs).all()
        places.append(np.asarray(report.losses["place"]))
    assert (places[0] != places[1]).all()  # the mean over both epochs is not that of the first


@pytest.mark.slow
def test_every_update_is_shuffled_anew(monkeypatch):
    def learn(experiment, levels, state, worlds, rollout, key):
        half = (jax.random.key_data(key) >> 16).astype(jnp.float32)  # exact
        return state.params, state.optimiser, {"key": half}, jnp.zeros(2, jnp.int32)

    monkeypatch.setattr(loop, "learn", learn)
    train = make_train(experiment("law16", **SMALL), devices=jax.devices()[:1])
    _, report = train.run(train.init(jax.random.key(0)), 5)
    assert len({tuple(row) for row in np.asarray(report.losses["key"]).tolist()}) == 5
