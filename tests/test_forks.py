"""Counterfactuals: against stepping by hand, lives worked out by hand, and how far anything can come."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.actions import Action
from nmmo_jax.commands.fork import Fork
from nmmo_jax.components import NEVER
from nmmo_jax.environment import Environment
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import Players, players
from nmmo_jax.presets import preset
from nmmo_jax.scenario import make_realm
from nmmo_jax.system import System
from train.studies.dependency import beyond_reach, by_distance, by_policy, strongest
from train.studies.forks import fork, futures, instead, reach, remove_agent, remove_each, run_on, runner
from train.studies.intervals import mean_interval
from train.studies.reports import charts, counterfactual

TICKS, FUTURES, FAR = 24, 6, 40
SHAPE = {"num_agents": 8, "num_populations": 1, "rows": 9, "columns": 50, "view": 5, "num_visible": 4}
CONFIG, RULES = preset(
    "chaos", **SHAPE, start_food=3, start_health=3, water_metabolism=0, spawn_rate=0.0, regrowth_probability=0.5
)
ENV = Environment(CONFIG, RULES)


def standing(move: int) -> Players:
    """All make the same move, and attack nobody."""

    def act(params, keys, obs, realm, core, rules=None):
        nothing = jnp.zeros(realm.agents.alive.shape, jnp.int32)
        return Action(move=nothing + move, style=nothing, target=nothing - 1), core

    return Players(act, None, lambda realms: ())


@pytest.fixture(scope="module")
def stage():
    """Two agents on one forest, of which the older always eats; a third on a forest of its own, far away."""
    material = np.full((9, 50), Material.GRASS, np.uint8)
    material[4, 4] = material[4, 4 + FAR] = Material.FOREST
    realm = make_realm(CONFIG, material, row=[4, 4, 4], col=[4, 4, 4 + FAR], slot=[5, 2, 0], uid=[0, 3, 7], rules=RULES)
    run = runner(ENV, standing(0), TICKS, FUTURES)
    rules = ENV.rules.replace(regrowth_probability=np.full(3, 0.5))
    keys = futures(jax.random.key(3), FUTURES)
    return realm, run, keys, rules, remove_each(run, realm, keys, (), rules, batch=2)


@pytest.mark.slow
def test_what_lives_at_the_fork_goes_on_as_without_it(stage):
    realm, _, keys, _, found = stage
    step = jax.jit(ENV.step)
    nothing = Action(move=jnp.zeros(8, jnp.int32))
    for future in range(2):
        now, lived, food = realm, np.zeros(8, int), np.zeros(8, int)
        for _ in range(TICKS):
            held = np.asarray(now.agents.alive)
            _, now, _, terminated, _, info = step(keys.world[future], now, nothing)
            lived += held & ~np.asarray(terminated)
            food += np.asarray(info.outcome.forage)
        assert found["lived"][future, 0].tolist() == lived[[5, 2, 0]].tolist()
        assert found["food"][future, 0].tolist() == food[[5, 2, 0]].tolist()
        health = np.where(now.agents.alive, now.agents.health, 0)
        assert found["health"][future, 0].tolist() == health[[5, 2, 0]].tolist()
    assert len({tuple(each) for each in found["food"][:, 0].tolist()}) > 1  # futures differ


@pytest.mark.slow
def test_a_neighbour_matters_and_one_far_away_does_not(stage):
    found = stage[-1]
    assert found["uid"].tolist() == [0, 3, 7]
    # 3 food, 3 health, and nothing to eat: food 2, 1, 0; health 2 at the third vitals, then 1, and dead at the fifth.
    assert (found["lived"][:, 0, 1] == 4).all()
    effect = (found["lived"][:, 1:] - found["lived"][:, :1])[:, 0, 1]  # of the older on the younger
    assert mean_interval(effect).low > 0
    assert (found["changed"][:, 1, 1] == 1).all()  # it eats in the first tick
    for name in ("lived", "food", "water", "damage", "health"):
        assert (found[name][:, 3, :2] == found[name][:, 0, :2]).all()  # without the one far away
        assert (found[name][:, 1:3, 2] == found[name][:, :1, 2]).all()  # and for it
    assert (found["changed"][:, 3, :2] == NEVER).all()
    assert (found["changed"][:, 1:3, 2] == NEVER).all()
    assert (found["changed"][:, 2, 0] == NEVER).all()  # the younger never had anything
    assert (found["lived"][:, [1, 2, 3], [0, 1, 2]] == 0).all()  # who is removed does not live


def test_rules_of_a_branch_act_in_it_alone(stage):
    realm, run, keys, rules, found = stage
    other = rules.replace(regrowth_probability=np.array([0.5, 0.5, 0.0]))
    lives = run(fork(realm, 3), keys, (), other)
    assert (lives.changed[:, 1] == NEVER).all()
    assert np.asarray(lives.food[:, 0, [5, 2, 0]]).tolist() == found["food"][:, 0].tolist()
    assert (lives.food[:, 2, 5] == 5).all()  # one harvest


@pytest.mark.slow
def test_influence_comes_no_farther_than_its_reach():
    config, rules = preset("chaos", **{**SHAPE, "num_agents": 16, "num_populations": 4}, spawn_rate=0.0)
    env = Environment(config, rules)
    rng = np.random.default_rng(0)
    places = {"row": rng.integers(1, 8, 16), "col": rng.integers(1, 49, 16)}
    material = np.full((9, 50), Material.GRASS, np.uint8)
    realm = make_realm(config, material, **places, population=np.arange(16) // 4, age=50)
    run = runner(env, players(("random",), env), 10, 2)
    found = remove_each(run, realm, futures(jax.random.key(0), 2), [], env.rules, batch=16)
    step = reach(config, rules, 1)
    assert step == 2 + 2 + 2  # seen two tiles away; hit two tiles away, as nobody farther is seen; both may move
    numbers = beyond_reach([found], step, 10)
    assert numbers["looked_at"] > 1_000
    assert numbers["changed"] == 0
    assert beyond_reach([{**found, "col": found["col"] * 20}], step, 10)["changed"] > 0  # were they farther apart
    near, far = by_distance([found])[0], by_distance([found])[-1]
    assert near["pairs_changed"] > near["pairs"] / 2
    assert far["low"] == 32 and far["pairs_changed"] == 0


@pytest.mark.parametrize(("game", "tiles"), [("law", 9), ("chaos", 12)])
def test_reach_of_the_classic_games(game, tiles):
    assert reach(*preset(game), 3) == 3 * tiles


def test_a_removed_agent_holds_no_place(stage):
    realm = stage[0]
    without = remove_agent(realm, 2)
    assert np.flatnonzero(without.agents.alive).tolist() == [0, 5]
    assert int(without.agents.uid[2]) == -1
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), remove_agent(realm, -1), realm))


def test_the_second_of_two_branches_plays_another_policy(stage):
    both = instead(standing(0), standing(3))
    rows = fork(stage[0], 4)
    action, core = both.act(both.params, None, None, rows, both.initial(4))
    assert np.asarray(action.move)[:, 0].tolist() == [0, 3, 0, 3]
    assert core == ((), ())


def test_numbers_of_a_dependency():
    lived = np.zeros((4, 4, 3), int) + 10
    lived[:, 1, 1] = [12, 14, 12, 14]  # without agent 0, agent 1 lives 2 or 4 ticks more
    lived[:, 1, 0] = lived[:, 2, 1] = lived[:, 3, 2] = 0
    changed = np.full((4, 4, 3), NEVER)
    changed[:, 1, 1] = 3
    places = {"row": np.array([0, 0, 9]), "col": np.array([0, 1, 9]), "population": np.array([0, 1, 1])}
    world = {"uid": np.array([4, 5, 8]), **places, "lived": lived, "food": lived, "changed": changed}
    near, far = by_distance([world, world])
    assert (near["tiles"], near["pairs"], near["pairs_changed"], far["pairs_changed"]) == ("0 to 1", 16, 8, 0)
    assert (near["lived"].mean, near["lived_abs"].mean, far["lived"].mean) == (1.5, 1.5, 0.0)
    table = by_policy([world, world], ("a", "b"))
    assert [[one.mean for one in row] for row in table["intervals"]][1] == [0.0, 0.0]
    assert table["intervals"][0][1].mean == 3.0
    best = strongest([world])
    assert (best["removed"], best["other"], best["tiles"], best["effect"].mean) == (4, 5, 1, 4.0)
    assert beyond_reach([world], 2, 8) == {"tiles_per_tick": 2, "looked_at": 4 * 4 * 4, "changed": 0}
    assert beyond_reach([{**world, "col": np.array([0, 8, 9])}], 2, 8)["changed"] == 4


@pytest.mark.parametrize("changed", [{}, {"systems": (System("still"),)}, {"born": 0.1}])
def test_a_report_tells_of_a_bound_where_there_is_one(changed, tmp_path, monkeypatch):
    """Systems and births know no distance."""
    config, rules = preset("law", **SHAPE, systems=changed.get("systems", ()))
    lived, flat = np.full((4, 3, 2), 9), np.array([0, 1])
    world = {"uid": flat, "row": flat, "col": flat, "population": flat, "lived": lived, "food": lived}
    world |= {"changed": np.full((4, 3, 2), NEVER)}
    forks = SimpleNamespace(env=Environment(config, rules), after=rules.replace(spawn_rate=changed.get("born", 0.0)))
    forks.names, forks.labels, forks.horizon, forks.title = ("random",), ("random",), 4, lambda: "test"
    lines = []
    monkeypatch.setattr(counterfactual.fork_figures, "dependency", lambda *_: None)
    monkeypatch.setattr(charts, "save", lambda out, name, figure: lines.extend(figure.axes[1].lines))
    study = SimpleNamespace(forks=forks, cells=lambda: [SimpleNamespace(name="0")])
    counterfactual.removals(study, tmp_path, {"0": world})
    told = "Nothing comes farther than" in (tmp_path / "report.md").read_text()
    assert told == bool(lines) == (not changed)


def test_rules_with_another_number_of_branches_are_refused(stage):
    rules = ENV.rules.replace(regrowth_probability=np.full(2, 0.5))
    with pytest.raises(ValueError, match=r"rules\.regrowth_probability: shape \(2,\).*3 entries"):
        run_on(ENV, standing(0), fork(stage[0], 3), futures(jax.random.key(0), 2), 1, rules=rules)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"futures": 5}, "--futures 5: must be even"),
        ({"worlds": 0}, "--worlds 0: allowed are 1 to 4,096"),
        ({"horizon": 0}, "--horizon 0"),
        ({"policy": ("forager",) * 3}, "--policy: 3 names for 8 populations"),
        ({"rule": ("max_food=20",), "swap": "0=random"}, "--swap: one thing is changed"),
        ({"rule": ("spawn_rate=0.1",)}, "--rule spawn_rate=0.1: spawn_rate acts on births"),
        ({"rule": ("max_food=2.5",)}, "--rule max_food=2.5: must be a whole number"),
        ({"swap": "9=random"}, "--swap 9=random: must be P=POLICY"),
    ],
)
def test_bad_input_is_refused_by_name(given, told, tmp_path):
    with pytest.raises(ValueError, match=told.replace("(", r"\(")):
        Fork(**given)._filled().study(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "files"),
    [
        ({}, ("dependency.png", "distance.png")),
        ({"rule": ("regrowth_probability=0.5",)}, ("effect.png",)),
        ({"swap": "1=random", "births": True}, ("effect.png",)),
    ],
)
def test_the_command(given, files, tmp_path):
    small = {"agents": 16, "populations": 2, "worlds": 2, "futures": 4, "horizon": 8, "at": 64}
    assert Fork(out=tmp_path / "out", **small, **given).run() == 0
    for name in ("report.md", "results.json", *files):
        assert (tmp_path / "out" / name).stat().st_size > 0
