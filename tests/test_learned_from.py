"""What reaches a Sword's loss after rollouts, births, horizons and shuffling: the right rows, advantages, targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_training import SMALL

from train.distributions import log_prob
from train.loop import make_train
from train.settings import experiment
from train.trinity import Sword, Trinity

EXPECTED = 100.0
SETTINGS = {
    "hidden": 8,
    "core": "gru",
    "max_lifetime": 3,
    "optimiser": "adam",
    "learning_rate": 0.0,
    "epochs": 2,
    "discount": 0.5,
    "decay": 0.0,
    "horizon": 6,
    "maps": 3,
}


class Telling(Sword):
    """Expects the same always, and tells what it is given to learn from."""

    def act(self, *args):
        decision, core = super().act(*args)
        return decision._replace(value=jnp.full_like(decision.value, EXPECTED)), core

    def value(self, *args):
        return jnp.full_like(super().value(*args), EXPECTED)

    def loss(self, params, batch):
        loss, _ = super().loss(params, batch)
        outputs, _ = self.network.apply(params, batch.inputs, batch.core)
        outputs.pop("value")
        new = log_prob(batch.choices, outputs, batch.mask, self.config, self.network.floor)
        raw = batch.target - EXPECTED
        told = {
            "rows": jnp.ones_like(raw),
            "change": jnp.abs(new - batch.log_prob),
            "advantage": batch.advantage,
            "squared_advantage": batch.advantage**2,
            "target": batch.target,
            "raw": raw,
            "squared_raw": raw**2,
            "product": raw * batch.advantage,
        }
        return loss, {name: (value * batch.weight).reshape(len(raw), -1).mean(axis=1) for name, value in told.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("core", "sequence"), [("gru", 1), ("gru", 4), ("mingru", 4)])
def test_what_is_learned_from(core, sequence):
    """Also in pieces, in which lives begin and end: from the core before a piece follows what was played in it."""
    own = {"network": "default", "core": core, "sequence": sequence}
    chosen = experiment("law16", **{**SMALL, **SETTINGS, **own})
    train = make_train(chosen, Trinity(sword=Telling), jax.devices()[:1])
    _, report = train.run(train.init(jax.random.key(0)), 5)
    told = {name: np.asarray(value, np.float64)[1:] for name, value in report.losses.items()}
    sums = jax.tree.map(lambda x: np.asarray(x, np.float64)[1:], report.sums)
    assert sums.deaths.min() > 0
    np.testing.assert_allclose(told["rows"], 1, rtol=1e-6)  # each living row once an epoch
    np.testing.assert_allclose(told["change"], 0, atol=1e-5)  # what acted is what is learned from, its core included
    np.testing.assert_allclose(told["advantage"], 0, atol=1e-4)
    np.testing.assert_allclose(told["squared_advantage"], 1, rtol=1e-3)
    # 1 + 100 / 2 for who lives on, also past the horizon or the end of its age; 0 for the dead.
    np.testing.assert_allclose(told["target"], 51 * (1 - sums.deaths / sums.steps), rtol=1e-4)
    np.testing.assert_allclose(told["product"] ** 2, told["squared_raw"] - told["raw"] ** 2, rtol=1e-3)
