"""Big worlds: what they keep is bounded, they are experiments by name, and leaving exploration out changes no play."""

import dataclasses

import jax
import numpy as np
import pytest

from nmmo_jax import Environment, digest
from nmmo_jax.policies.scripted import random
from nmmo_jax.presets import PRESETS, preset
from nmmo_jax.references import config_as_json, config_from_json
from train.loop import make_train
from train.settings import BIG, experiment, experiment_of
from train.sizes import check_fits, nbytes, parts

SMALL = {
    **{"num_agents": 16, "num_populations": 16, "rows": 20, "columns": 20, "border": 2, "view": 5, "num_visible": 4},
    **{"realms": 2, "groups": 2, "ticks": 4, "minibatch": 0, "hidden": 8, "shared_weights": False},
}


@pytest.fixture(scope="module")
def trained():
    """Two updates with exploration and two without, of a network for every agent."""
    found = {}
    for kept in (True, False):
        train = make_train(experiment("large", **SMALL, exploration=kept), devices=jax.devices()[:1])
        found[kept] = jax.device_get(train.run(train.init(jax.random.key(3)), 2))
    return found


@pytest.mark.slow
def test_without_exploration_all_else_is_equal(trained):
    (with_it, told), (without, other) = trained[True], trained[False]
    assert with_it.worlds.visited.shape == (2, 16, 13) and with_it.worlds.visited.any()
    assert without.worlds.visited is None and other.sums.unique is None and told.sums.unique.sum() > 0
    with_it = with_it.replace(worlds=with_it.worlds.replace(visited=None), key=None)
    told = told.replace(sums=told.sums.replace(unique=None))
    jax.tree.map(np.testing.assert_array_equal, (with_it, told), (without.replace(key=None), other))


@pytest.mark.slow
def test_every_agent_has_a_network_of_its_own_that_learns(trained):
    state, report = trained[False]
    for leaf in jax.tree.leaves(state.params):
        assert len(leaf) == 16
    assert (report.losses["gradient_norm"] > 0).any() and (report.skipped == 0).all()
    kernels = [leaf for leaf in jax.tree.leaves(state.params) if leaf.ndim > 2]
    assert all(len(np.unique(leaf.reshape(16, -1), axis=0)) == 16 for leaf in kernels if leaf.any())


@pytest.mark.slow
def test_a_config_without_exploration_plays_the_same_and_is_kept_in_files():
    config, rules = preset("chaos", num_agents=16, num_populations=4, rows=20, columns=20, border=2, visits=True)
    other = dataclasses.replace(config, exploration=False)
    assert "exploration" not in config_as_json(config) and config_from_json(config_as_json(other)) == other

    def played(config):
        env = Environment(config, rules)
        obs, realm = env.reset(jax.random.key(1))

        def tick(carry, key):
            obs, realm = carry
            obs, realm, *_ = env.step(jax.random.key(2), realm, random(key, obs, obs.mask))
            return (obs, realm), digest(realm)

        return jax.jit(lambda keys: jax.lax.scan(tick, (obs, realm), keys))(jax.random.split(jax.random.key(0), 30))

    jax.tree.map(np.testing.assert_array_equal, played(config), played(other))


@pytest.mark.parametrize(("name", "most"), [("medium", 50e6), ("large", 10e6), ("huge", 25e6)])
def test_what_a_world_keeps_is_bounded(name, most):
    """State of one realm, and a bit for each agent and tile where it is kept."""
    env = Environment(*preset(name))
    realm = jax.eval_shape(lambda key: env.reset(key)[1], jax.random.key(0))
    config = env.config
    explored = config.num_agents * config.rows * config.columns // 8 if config.exploration else 0
    assert PRESETS[name].get("exploration", True) == (name == "medium")
    assert nbytes(realm) + explored < most


@pytest.mark.parametrize("name", BIG)
def test_big_worlds_are_experiments(name):
    made = experiment(name)
    assert made.env.config == preset(name)[0] and made.settings.realms <= 2
    assert experiment(name, realms=4, groups=4).settings.realms == 4
    assert experiment(name, attacks_enabled=False).env.rules.attacks_enabled == 0
    about = {
        "experiment": name,
        "config": config_as_json(made.env.config),
        "rules": {rule: np.asarray(value).tolist() for rule, value in made.env.rules.named().items()},
        "settings": dataclasses.asdict(made.settings),
    }
    assert experiment_of(about).env.config == made.env.config


def test_what_cannot_fit_is_refused_in_a_line():
    made = experiment("large", **SMALL, exploration=True)
    found = parts(make_train(made, devices=jax.devices()[:1]))
    assert found["exploration"] == 2 * 16 * 13 * 4 and found["parameters"] > 0
    check_fits(made, found, sum(found.values()) + found["parameters"])
    with pytest.raises(ValueError, match=r"num_populations=16 with shared_weights=False: .* GB are free: fewer pop"):
        check_fits(made, {**found, "optimiser": 10**12}, 10**9)
    with pytest.raises(ValueError, match=r"exploration=True: .* 34\.4 of them exploration, .* False keeps none"):
        check_fits(made, {**found, "exploration": 34_359_738_368}, 20 * 10**9)
    with pytest.raises(ValueError, match="num_populations=65536"):
        experiment("huge", num_populations=65_536)  # a population is a number of 16 bits
