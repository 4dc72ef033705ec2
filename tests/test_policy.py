"""Trained policies elsewhere: read from checkpoints, in other worlds, in the simulator, and those of the package."""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sights import random_weights
from test_training import SMALL

from nmmo_jax import Environment, vectorize
from nmmo_jax.commands import simulate as simulate_module
from nmmo_jax.commands.simulate import Simulate
from nmmo_jax.draws import fold_in
from nmmo_jax.observations import to_action
from nmmo_jax.play.players import labels, players
from nmmo_jax.viewer.policies import TrainedPolicies
from train import policy as policy_module
from train.checkpoint import FOLDER, Checkpoints, load_params
from train.networks import clear, make_network
from train.policy import load_named, load_policy
from train.rollouts import to_populations
from train.settings import describe, experiment, experiment_of
from train.trinity import Sword, Trinity

ROOT = Path(__file__).resolve().parents[1]
REALMS, TICKS = 3, 24
LIVELY = {**SMALL, "max_spawns": 3, "max_lifetime": 6, "hidden": 8}  # slots change hands all the time
OPTIONS = {
    "classic": {"network": "classic"},
    "recurrent": {"network": "default", "core": "gru", "rules_input": True, "shared_weights": False},
    "shared": {"network": "default", "shared_weights": True, "auto_target": True},
}


@functools.cache
def made(name, sword):
    """An experiment, its Sword, and parameters that are far from indifferent."""
    chosen = experiment("chaos16", **{**LIVELY, **OPTIONS[name]})
    level = sword(chosen)
    params = random_weights(level.init)
    for head in params.keys() & {"move", "style", "target"}:
        params[head] = jax.tree.map(lambda leaf: 4 * leaf, params[head])
    return chosen, level, params


def kept(folder, name="recurrent", sword=Sword):
    """A run's folder with a checkpoint of them."""
    chosen, level, params = made(name, sword)
    about = {"update": 7, **describe(chosen, Trinity(sword=sword).of(chosen))}
    Checkpoints(folder / FOLDER).save(7, {"params": params, "optimiser": jnp.ones(1_000)}, about, 11.0)
    return chosen, level, params


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "recurrent"
    return folder, *kept(folder)


def played(env, act, params, core, ticks=TICKS):
    """The actions of some ticks, and who held the slots, by ``act(params, keys, obs, realm, core)``."""
    many, key = vectorize(env, REALMS), jax.random.key(5)

    def tick(carry, _):
        obs, realm, core = carry
        keys = jax.vmap(fold_in)(jax.random.split(key, REALMS), realm.tick)
        action, core = act(params, keys, obs, realm, core)
        new, after, *_ = many.step(key, realm, action)
        return (new, after, core), (action, realm.agents.uid)

    obs, realm = many.reset(key)
    return jax.lax.scan(tick, (obs, realm, core), length=ticks)[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_it_plays_as_in_training(name, tmp_path):
    chosen, level, params = kept(tmp_path, name)
    env, config = chosen.env, chosen.env.config

    def act(params, keys, obs, realm, carried):
        core, uid = carried
        core = clear(core, to_populations(realm.agents.uid != uid, config))
        rules = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (REALMS, *leaf.shape)), env.rules)
        decision, core = level.act(params, keys, obs, realm, rules, core)
        action = jax.vmap(lambda choices, obs: to_action(choices, obs, config))(decision.choices, obs)
        return action, (core, realm.agents.uid)

    policy = load_policy(tmp_path)
    assert (policy.config, policy.settings) == (config, chosen.settings)
    first = level.network.initial((2, REALMS, 8)), jnp.full((REALMS, 16), -1)

    @jax.jit
    def both(params, own):
        return played(env, act, params, first), played(env, policy.act, own, policy.initial(REALMS))

    (actions, uid), (mine, same) = both(params, policy.params)
    assert sum(len(np.unique(uid[:, :, slot])) > 3 for slot in range(16)) > 4
    np.testing.assert_array_equal(same, uid)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[uid >= 0], y[uid >= 0]), mine, actions)
    assert len(np.unique(actions.move[uid >= 0])) > 2


@pytest.mark.slow
def test_in_another_world(recurrent):
    folder, chosen, _, params = recurrent
    config = dataclasses.replace(
        chosen.env.config, num_agents=15, num_populations=3, rows=24, columns=18, num_visible=6
    )
    env = Environment(config, chosen.env.rules.replace(population_cap=15, max_food=40))
    policy = load_policy(folder, env=env)
    assert policy.config is config
    for populations, rows in ((None, [0, 1, 0]), ([1], [1, 1, 1]), ([1, 0], [1, 0, 1])):
        picked = load_policy(folder, populations=populations, env=env).params
        jax.tree.map(lambda x, y, rows=rows: np.testing.assert_array_equal(x, y[np.array(rows)]), picked, params)
    many = vectorize(env, REALMS)
    other = env.rules.replace(max_food=30_000, start_food=1, attack_range=(5, 5, 5), regrowth_probability=1.0)
    each = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (REALMS, *jnp.shape(leaf))), env.rules)

    @jax.jit
    def act(params, rules):
        obs, realm = many.reset(jax.random.key(0), initial_population=15)
        keys = jax.random.split(jax.random.key(1), REALMS)
        core = policy.initial(REALMS)
        return [policy.act(params, keys, obs, realm, core, given) for given in (None, each, rules)]

    plain, same, different = act(policy.params, other)
    assert plain[0].move.shape == (REALMS, 15) and plain[1].shape == (REALMS, 15, 8)
    jax.tree.map(np.testing.assert_array_equal, plain, same)
    assert (plain[1] != different[1]).any()  # the network reads the rules it is given
    with pytest.raises(ValueError, match=r"^view=7: must be 5, as .*recurrent was trained with"):
        load_policy(folder, env=Environment(dataclasses.replace(config, view=7)))
    with pytest.raises(ValueError, match=r"layout='free': training needs 'blocks'"):
        load_policy(folder, env=Environment(dataclasses.replace(config, layout="free")))
    with pytest.raises(ValueError, match=r"populations=\[2\]: must be one or more of 0 to 1"):
        load_policy(folder, populations=[2])


class Narrow(Sword):
    """A network of its own."""

    def make_network(self):
        return make_network(self.config, "default", dataclasses.replace(self.settings.options, hidden=4))


def test_a_sword_of_its_own(tmp_path, monkeypatch):
    _, _, params = kept(tmp_path, sword=Narrow)
    jax.tree.map(np.testing.assert_array_equal, load_policy(tmp_path, sword=Narrow).params, params)
    jax.tree.map(np.testing.assert_array_equal, load_policy(tmp_path).params, params)  # it names its class
    monkeypatch.setattr(sys.modules[__name__], "Narrow", None)
    with pytest.raises(ValueError, match=r"trained with a Sword of its own, .*test_policy:Narrow: give it"):
        load_policy(tmp_path)
    monkeypatch.undo()
    other = tmp_path / "other"
    kept(other)
    with pytest.raises(ValueError, match=r"other: its parameters do not fit Narrow: \d+ of its leaves: gru.hn.bias"):
        load_policy(other, sword=Narrow)


def test_an_experiment_is_made_again(recurrent):
    _, chosen, _, _ = recurrent
    about = json.loads(json.dumps(describe(chosen, Trinity().of(chosen))))
    again = experiment_of(about)
    assert (again.name, again.env.config, again.settings) == (chosen.name, chosen.env.config, chosen.settings)
    jax.tree.map(np.testing.assert_array_equal, again.env.rules, chosen.env.rules)
    for damaged in ({**about, "config": None}, {**about, "settings": {"depth": 3, **about["settings"]}}, {}, []):
        with pytest.raises(ValueError, match=r"^damaged, or of another version: "):
            experiment_of(damaged)
    with pytest.raises(ValueError, match=r"^ticks=0: must be"):
        experiment_of({**about, "settings": {**about["settings"], "ticks": 0}})


def test_parameters_are_written_apart(recurrent, tmp_path, capsys, monkeypatch):
    run, _, _, params = recurrent
    (run / "evaluation.json").write_text("{}")
    out = tmp_path / "pretrained" / "tiny"
    monkeypatch.setattr(sys, "argv", ["policy", str(run), "--out", str(out), "--step", "7"])
    with pytest.raises(SystemExit) as ended:
        policy_module.main()
    assert ended.value.code == 0
    assert f"{out}: 0.0" in capsys.readouterr().out
    assert (out / "evaluation.json").read_text() == "{}"
    assert not [path for path in out.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()]
    monkeypatch.setattr(policy_module, "PRETRAINED", tmp_path / "pretrained")
    written, about = load_params(out)
    assert (about["update"], about["score"], about["experiment"]) == (7, 11.0, "chaos16")
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2**-8), written, params)
    policy = load_policy("tiny")
    jax.tree.map(np.testing.assert_array_equal, policy.params, written)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        load_policy(Path("tiny"))  # a path is never a name
    for arguments, message in [
        ([str(run), "--out", str(out)], f"out={out}: is not empty"),
        ([str(tmp_path / "none"), "--out", str(tmp_path / "new")], "none: no such folder"),
        ([str(run), "--out", str(tmp_path / "new"), "--step", "8"], "no checkpoint of step 8; there are 7"),
    ]:
        monkeypatch.setattr(sys, "argv", ["policy", *arguments])
        with pytest.raises(SystemExit) as ended:
            policy_module.main()
        assert ended.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


WORLD = {"realms": 2, "ticks": 40, "agents": 16, "populations": 4, "rows": 20, "columns": 20, "border": 2}


@pytest.mark.slow
def test_they_are_mixed_by_population(recurrent):
    folder, chosen, _, _ = recurrent
    names = (str(folder), "wanderer", "random", str(folder))
    env = Environment(dataclasses.replace(chosen.env.config, num_populations=4), chosen.env.rules)
    mixed, policy = players(names, env, load_named), load_policy(folder, env=env)
    many, keys = vectorize(env, REALMS), jax.random.split(jax.random.key(1), REALMS)
    alone = players(("wanderer", "random"), env)

    @jax.jit
    def act(params, own):
        obs, realm = many.reset(jax.random.key(0), initial_population=16)
        actions, cores = mixed.act(params, keys, obs, realm, mixed.initial(REALMS))
        learned, core = policy.act(own, keys, obs, realm, policy.initial(REALMS))
        wandering = players(("wanderer",), env).act([], keys, obs, realm, [])[0]
        return realm, actions, cores, learned, core, wandering

    realm, actions, cores, learned, core, wandering = act(mixed.params, policy.params)
    population = realm.agents.population
    for name in ("move", "style", "target"):
        of_learned = (population == 0) | (population == 3)
        np.testing.assert_array_equal(getattr(actions, name)[of_learned], getattr(learned, name)[of_learned])
        ours, theirs = getattr(actions, name), getattr(wandering, name)
        np.testing.assert_array_equal(ours[population == 1], theirs[population == 1])
    np.testing.assert_array_equal(cores[0], core)
    assert (core != 0).any() and (alone.params, alone.initial(REALMS)) == ([], [])


@pytest.mark.slow
def test_whoever_sits_where_is_a_parameter_and_who_is_nowhere_does_nothing(recurrent):
    folder, chosen, _, _ = recurrent
    env = Environment(dataclasses.replace(chosen.env.config, num_populations=4), chosen.env.rules)
    names = ("random", str(folder), "wanderer")
    mixed = players(names, env, load_named, any_seat=True)
    many, keys = vectorize(env, REALMS), jax.random.split(jax.random.key(1), REALMS)
    obs, realm = jax.jit(many.reset, static_argnames="initial_population")(jax.random.key(0), initial_population=16)
    act, core = jax.jit(mixed.act), jax.tree.map(lambda leaf: leaf + 0.5, mixed.initial(REALMS))
    for seats in ((1, 2, 0, 1), (2, 2, 0, 2)):
        fixed = players(tuple(names[seat] for seat in seats), env, load_named)
        action, after = act(mixed.seat(seats), keys, obs, realm, core)
        same, other = jax.jit(fixed.act)(fixed.params, keys, obs, realm, core if 1 in seats else [])
        jax.tree.map(np.testing.assert_array_equal, action, same)
        jax.tree.map(np.testing.assert_array_equal, after, other if 1 in seats else core)
    assert act._cache_size() == 1


class Still(Sword):
    """Stays where it is."""

    def act(self, params, keys, obs, realm, rules, core):
        decision, core = super().act(params, keys, obs, realm, rules, core)
        return decision._replace(choices={**decision.choices, "move": 0 * decision.choices["move"]}), core


@pytest.mark.slow
def test_a_sword_of_ones_own_acts_as_itself_beside_others_of_its_network(recurrent):
    """And is no reason to play its program for theirs."""
    folder, chosen, _, _ = recurrent
    swords = {str(folder): Sword, f"{folder}/": Still}
    env = Environment(dataclasses.replace(chosen.env.config, num_populations=4), chosen.env.rules)
    one, other = (
        players(names, env, lambda name, env: load_policy(name, env=env, sword=swords[name]))
        for names in ((str(folder), f"{folder}/"), (f"{folder}/", str(folder)))
    )
    assert one.kind != other.kind and len(one.params) == 2
    keys = jax.random.split(jax.random.key(1), REALMS)
    obs, realm = jax.jit(vectorize(env, REALMS).reset, static_argnames="initial_population")(
        jax.random.key(0), initial_population=16
    )
    for who, still in ((one, 1), (other, 0)):
        move = np.asarray(jax.jit(who.act)(who.params, keys, obs, realm, who.initial(REALMS))[0].move)
        stays = np.asarray(realm.agents.population) % 2 == still
        assert not move[stays].any() and move[~stays & np.asarray(realm.agents.alive)].any()


@pytest.mark.slow
def test_what_those_of_one_network_remember_is_shown_for_each(recurrent):
    folder, chosen, _, _ = recurrent
    env = Environment(dataclasses.replace(chosen.env.config, num_populations=4), chosen.env.rules)
    names = (str(folder), "random", f"{folder}/")
    realm = jax.jit(env.reset, static_argnames="initial_population")(jax.random.key(0), initial_population=16)[1]
    shown = TrainedPolicies(env, names, load_named)
    core = players(names, env, load_named).initial(1)
    assert len(core) == 1
    np.testing.assert_array_equal(shown.forward(realm, core).value, shown.forward(realm).value)


@pytest.mark.slow
def test_the_simulator_plays_them(recurrent, tmp_path, monkeypatch):
    folder, _, _, _ = recurrent
    monkeypatch.setattr(simulate_module, "preset", small_view(simulate_module.preset))
    monkeypatch.setattr(simulate_module, "write_figure", lambda *_: None)
    run = {**WORLD, "policy": (str(folder), "random"), "max_lifetime": 9, "game": "chaos"}
    results, visits = [], []
    for name, devices, seconds in (("two", jax.devices()[:2], 0.4), ("one", jax.devices()[:1], 0.0)):
        monkeypatch.setattr(jax, "devices", lambda devices=devices: devices)
        monkeypatch.setattr(simulate_module.measure.__module__ + "._SECONDS", seconds)
        assert Simulate(**run, out=tmp_path / name).run() == 0
        results.append(json.loads((tmp_path / name / "metrics.json").read_text()))
        visits.append(np.load(tmp_path / name / "data.npz")["visits"])
    two, one = results
    assert (two["devices_used"], one["devices_used"]) == (2, 1)
    assert one["populations"] == two["populations"]
    np.testing.assert_array_equal(*visits)  # what agents remember goes on from chunk to chunk
    assert [row["policy"] for row in one["populations"]] == ["recurrent", "random"] * 2


def small_view(preset):
    def smaller(game, **overrides):
        config, rules = preset(game, **overrides)
        return dataclasses.replace(config, view=5, num_visible=4), rules

    return smaller


def test_what_they_are_called():
    assert labels(("random", "runs/a", "runs/b/", "runs/a/checkpoints")) != ("random", "a", "b", "a")
    assert labels(("random", "runs/a", "runs/b/checkpoints", "law128")) == ("random", "a", "b", "law128")
    assert labels(("x/a", "y/a")) == ("x/a", "y/a")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dancer", "--policy dancer: must be random, wanderer, forager, fighter, planner"),
        ("runs/none", "runs/none/: no such folder"),
        ("here", "here: no checkpoint in it"),
    ],
)
def test_names_that_mean_nothing(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(simulate_module, "measure", None)
    with pytest.raises(ValueError) as error:
        Simulate(**WORLD, policy=(name,)).run()
    assert message.replace("/:", ":") in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
