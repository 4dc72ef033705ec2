"""Gymnasium's and PettingZoo's interfaces: their own checks, and the same worlds driven by hand."""

import copy
import dataclasses
import functools
import importlib.metadata
import pickle

import jax
import numpy as np
import pytest
from packaging.version import Version
from small import GRASS, SMALL

from nmmo_jax import Action, Environment, Rules, autoreset, make, vectorize

pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")
from gymnasium.utils import env_checker
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from pettingzoo.test import parallel_api_test, parallel_seed_test

from nmmo_jax.adapters.parallel import ParallelEnv
from nmmo_jax.adapters.spaces import blank, named, specs
from nmmo_jax.adapters.vector import VectorEnv

CHECKS = [
    getattr(env_checker, f"check_{name}")
    for name in (
        "reset_seed_determinism",
        "reset_options",
        "reset_return_type",
    )
]
REALMS, HORIZON = 2, 16
DEADLY = Rules(immunity_ticks=2, attack_damage=(6, 5, 4), food_metabolism=2, spawn_rate=np.float32(0.9))
CONFIG = dataclasses.replace(SMALL, horizon=HORIZON, max_lifetime=9, max_spawns=3)
PLACES = REALMS * CONFIG.num_agents
BEFORE_1_4 = Version(importlib.metadata.version("gymnasium")) < Version("1.4")


@functools.cache
def world(config=CONFIG) -> Environment:
    return Environment(config, DEADLY)


def vector(**changed) -> VectorEnv:
    return VectorEnv(autoreset(world(), initial_population=8), REALMS, GRASS, **changed)


def parallel(**changed) -> ParallelEnv:
    return ParallelEnv(world(), tiles=GRASS, initial_population=8, **changed)


def random_actions(rng: np.random.Generator, obs: dict) -> np.ndarray:
    """By place, uniform over moves and styles, then over whom the style reaches."""
    move, style = rng.integers(5, size=len(obs["self"])), rng.integers(3, size=len(obs["self"]))
    reached = obs["mask_target"][np.arange(len(style)), style]
    target = (rng.integers(1, 256, reached.shape) * reached).argmax(axis=1)
    return np.stack([move, style, target], axis=1)


@pytest.mark.slow
def test_places_are_environments_and_lives_are_episodes():
    """Against the worlds of ``vectorize``: rewards, flags, first and final observations, also where one is reborn."""
    env, rng = vector(), np.random.default_rng(0)
    many, key = vectorize(autoreset(world(), initial_population=8), REALMS), jax.random.key(4)
    step = jax.jit(many.step)
    first, state = jax.jit(functools.partial(many.reset, tiles=GRASS))(key)
    obs, info = env.reset(seed=4)
    empty = jax.tree.map(np.asarray, named(blank(CONFIG)))
    reborn = waited = aged = ended = 0
    by_place = lambda leaf: np.asarray(leaf).reshape(PLACES, *leaf.shape[2:])  # noqa: E731
    before = by_place(state.realm.agents.alive)
    np.testing.assert_array_equal(info["alive"], before)
    for tick in range(HORIZON + 8):
        assert env.observation_space.contains(obs)
        actions = random_actions(rng, obs)
        move, style, target = actions.T.reshape(3, REALMS, -1)
        slot = np.take_along_axis(np.asarray(first.visible_slot), target[..., None], 2)[..., 0]
        first, state, reward, terminated, truncated, told = step(
            key, state, Action(move=move, style=style, target=slot)
        )
        obs, rewards, dead, cut, info = env.step(actions)
        np.testing.assert_array_equal(rewards, by_place(reward))
        np.testing.assert_array_equal(dead, by_place(terminated))
        over = tick % HORIZON == HORIZON - 1
        np.testing.assert_array_equal(cut, by_place(truncated) | (over & before & ~dead))
        assert not (dead & cut).any() and not ((dead | cut) & ~before).any()  # an empty place ends nothing
        alive = by_place(state.realm.agents.alive)
        np.testing.assert_array_equal(info["alive"], alive)
        np.testing.assert_array_equal(info["acted"], by_place(told.acted))
        seen, last = (jax.tree.map(by_place, named(one)) for one in (first, told.final_observation))
        for name in obs:
            np.testing.assert_array_equal(obs[name][alive], seen[name][alive])
            np.testing.assert_array_equal(obs[name][~alive], np.broadcast_to(empty[name], obs[name][~alive].shape))
        left = dead | cut
        if left.any():
            np.testing.assert_array_equal(info["_final_obs"], left)
            np.testing.assert_array_equal(info["final_info"]["age"][left], by_place(told.age)[left])
            assert (info["final_info"]["uid"][left] >= 0).all()
            for place, one in enumerate(info["final_obs"]):
                assert (one is None) == (not left[place])
                expected = empty if dead[place] else {name: rows[place] for name, rows in last.items()}
                if one is not None:
                    jax.tree.map(np.testing.assert_array_equal, one, expected)
        else:
            assert "final_obs" not in info
        reborn, waited = reborn + int((dead & alive).sum()), waited + int((dead & ~alive).sum())
        aged, ended = aged + int(truncated.sum()), ended + int((cut & over).sum())
        before = alive
    assert min(reborn, waited, aged, ended) > 0


@pytest.mark.slow
def test_gymnasiums_checks_and_wrappers():
    for check in CHECKS:
        check(vector())
    env_checker.check_space_limit(vector().single_observation_space, "observation")
    env = RecordEpisodeStatistics(vector(), buffer_length=1000)
    obs, _ = env.reset(seed=1)
    rng, earned, number, ended = np.random.default_rng(1), 0.0, 0, np.zeros(PLACES, bool)
    for _ in range(12):
        obs, reward, dead, cut, info = env.step(random_actions(rng, obs))
        # Before 1.4 Gymnasium leaves out the tick after an end, whatever the autoreset mode.
        earned += reward[~ended].sum() if BEFORE_1_4 else reward.sum()
        ended = dead | cut
        number += int((dead | cut).sum())
        if "_episode" in info:
            assert (info["episode"]["r"] <= info["episode"]["l"])[info["_episode"]].all()
    assert env.episode_count == number > 5
    assert earned == pytest.approx(sum(env.return_queue) + env.episode_returns[~ended].sum())
    listed = DictInfoToList(vector())
    _, infos = listed.reset(seed=1)
    assert len(infos) == PLACES and infos[0].keys() == {"alive", "uid", "population"}


def test_seeds_give_the_same_worlds_again():
    one, two = vector(), vector()
    for seed in (7, None, None, 7):
        first, second = one.reset(seed=seed)[0], two.reset(seed=seed)[0]
        jax.tree.map(np.testing.assert_array_equal, first, second)
        last = first if seed else last
        if seed is None:
            assert (first["self"] != last["self"]).any()
        elif last is not first:
            jax.tree.map(np.testing.assert_array_equal, first, last)
    assert int(one.reset(options={"initial_population": 3})[1]["alive"].sum()) == 3 * REALMS


def test_arrays_are_the_learners_own_and_copies_go_on():
    env = vector()
    obs, _ = env.reset(seed=2)
    kept, actions = copy.deepcopy(obs), np.zeros((PLACES, 3), int)
    other = pickle.loads(pickle.dumps(env))
    result, again = env.step(actions), other.step(actions)
    jax.tree.map(np.testing.assert_array_equal, result[:4], again[:4])
    jax.tree.map(np.testing.assert_array_equal, obs, kept)
    assert all(leaf.flags.writeable for leaf in jax.tree.leaves(obs))
    views = vector(copy=False).reset(seed=2)[0]
    jax.tree.map(np.testing.assert_array_equal, views, kept)
    assert not any(leaf.flags.writeable for leaf in jax.tree.leaves(views))


@pytest.mark.slow
def test_spaces_are_the_declarations(example_systems):
    from fruit import FRUIT

    env = make("law", num_agents=4, num_populations=2, rows=20, columns=20, view=5, num_visible=3, systems=(FRUIT,))
    envs = VectorEnv(env, 1, initial_population=2)
    assert list(envs.single_action_space.nvec) == [5, 3, 3, 5]
    assert envs.single_observation_space.keys() == specs(env.config).keys() >= {"of_fruit_in_view", "mask_eat"}
    obs, info = envs.reset(seed=0)
    assert envs.observation_space.contains(obs) and info["alive"].sum() == 2
    nothing = jax.tree.map(np.asarray, named(blank(env.config)))
    for name, rows in obs.items():
        np.testing.assert_array_equal(rows[~info["alive"]], np.stack([nothing[name]] * 2))
    alone, two = (VectorEnv(env, 1, arguments=chosen, flat=True) for chosen in (["eat"], ["eat", "move"]))
    assert alone.single_action_space.n == 5 and list(two.single_action_space.nvec) == [5, 5]


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, {"flat": True, "arguments": ["move"]}], ids=["dict", "flat"])
@pytest.mark.filterwarnings("ignore:No agents present")  # who would have been born later was not
@pytest.mark.filterwarnings("error:Live agent was not", "error:Agent was given")
def test_pettingzoos_own_checks(changed, capsys):
    parallel_api_test(parallel(**changed), num_cycles=HORIZON + 5)
    assert "Passed" in capsys.readouterr().out
    parallel_seed_test(functools.partial(parallel, **changed), num_cycles=HORIZON)


@pytest.mark.slow
def test_agents_come_and_go():
    """By uid, every life is one agent's; by place the same world, told as the places of the vector env are."""
    env, places = parallel(), parallel(names="place")
    vectors = VectorEnv(world(), 1, GRASS, initial_population=8)
    obs, infos = env.reset(seed=3)
    fixed, _ = places.reset(seed=3)
    rows, _ = vectors.reset(seed=3)
    lives, rng, reborn = set(env.agents), np.random.default_rng(3), 0
    for tick in range(HORIZON):
        chosen = random_actions(rng, rows)
        place_of = {agent: infos[agent]["place"] for agent in env.agents}
        before = list(env.agents)
        assert [infos[agent]["uid"] for agent in before] == [int(agent[6:]) for agent in before]
        obs, rewards, dead, cut, infos = env.step({agent: chosen[place] for agent, place in place_of.items()})
        fixed, *flags, about = places.step({f"place_{place}": chosen[place] for place in range(16)})
        rows, reward, terminated, truncated, info = vectors.step(chosen)
        over = tick == HORIZON - 1
        assert set(obs) == set(rewards) == set(infos) == set(dead) == set(before) | set(env.agents)
        for agent in before:
            place = place_of[agent]
            assert (rewards[agent], dead[agent]) == (reward[place], terminated[place])
            assert cut[agent] == (truncated[place] or (over and not dead[agent]))
            assert (agent in env.agents) == (not dead[agent] and not cut[agent])
            if cut[agent] and not over:
                jax.tree.map(np.testing.assert_array_equal, obs[agent], info["final_obs"][place])
                final = about[f"place_{place}"]["terminal_observation"]
                jax.tree.map(np.testing.assert_array_equal, obs[agent], final)
            assert env.observation_space(agent).contains(obs[agent])
        for agent in set(env.agents) - set(before):
            assert agent not in lives and rewards[agent] == 0 and not dead[agent] and not cut[agent]
            reborn += 1
        lives |= set(env.agents)
        assert flags[0] == {f"place_{place}": value for place, value in enumerate(reward.tolist())}
        assert list(flags[1].values()) == terminated.tolist()
        if not over:
            assert list(flags[2].values()) == truncated.tolist()
            for place, agent in enumerate(places.agents):
                jax.tree.map(
                    np.testing.assert_array_equal, fixed[agent], {name: row[place] for name, row in rows.items()}
                )
    assert reborn > 10 and lives <= set(env.possible_agents)
    assert env.agents == places.agents == [] and all(
        one or two for one, two in zip(*[list(f.values()) for f in flags[1:]], strict=True)
    )
    with pytest.raises(RuntimeError, match="is over: call reset"):
        env.step({})


def test_pictures():
    env = vector(render_mode="rgb_array")
    env.reset(seed=0)
    pictures = env.render()
    assert len(pictures) == PLACES and pictures[0].dtype == np.uint8 and pictures[0].shape[2] == 3
    assert pictures[0] is pictures[15] and (pictures[0] != pictures[16]).any()
    env.step(np.zeros((PLACES, 3), int))
    assert (env.render()[0] != pictures[0]).any()
    assert vector().render() is None and parallel().render() is None
    one = parallel(render_mode="rgb_array")
    one.reset(seed=0)
    assert one.render().ndim == 3
    env.close()
    one.close()
    with pytest.raises(RuntimeError, match="closed: call reset first"):
        env.step(np.zeros((PLACES, 3), int))


@functools.cache
def started() -> tuple[VectorEnv, ParallelEnv]:
    envs = vector(), parallel()
    for env in envs:
        env.reset(seed=0)
    return envs


ZEROS = np.zeros((PLACES, 3), int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v, p: v.reset(seed=-1), "seed=-1: allowed are whole numbers from 0 to 4294967295"),
        (lambda v, p: v.reset(seed=[1, 2]), r"seed=\[1, 2\]: allowed are"),
        (lambda v, p: p.reset(seed="0"), "seed='0': allowed are"),
        (lambda v, p: v.reset(options={"initial_popluation": 3}), "options: .*did you mean initial_population"),
        (lambda v, p: p.reset(options={"initial_popluation": 3}), "options: .*did you mean initial_population"),
        (lambda v, p: v.reset(options={"seed": 3}), "options: 'seed': allowed are initial_population, tiles"),
        (lambda v, p: v.reset(options=[3]), r"options=\[3\]: must be a dict of initial_population, tiles"),
        (lambda v, p: v.reset(options={"initial_population": 17}), "initial_population=17: allowed are"),
        (lambda v, p: v.reset(options={"tiles": np.full((3, 3), 99)}), "tiles: material 99 at row 0"),
        (lambda v, p: v.step(ZEROS[:5]), r"actions: int64 of shape \(5, 3\): must be integers of shape \(32, 3\)"),
        (lambda v, p: v.step(ZEROS + 0.5), r"actions: float64 of shape \(32, 3\): must be integers"),
        (lambda v, p: v.step(ZEROS + np.array([0, 3, 0])), "actions: 3 for style, of place 0: must be 0 to 2"),
        (lambda v, p: v.step(ZEROS - 1), "actions: -1 for move, of place 0: must be 0 to 4"),
        (lambda v, p: v.step([[0], [0, 1]]), "actions: list: must be an array of integers"),
        (lambda v, p: p.step([0]), "actions: list: must be a dict, by agent"),
        (lambda v, p: p.step({"agent_9": 0}), "actions: 'agent_9': must be one of agents, who live now"),
        (lambda v, p: p.step({"agent_0": [0, 0]}), r"actions\['agent_0'\]: int64 of shape \(1, 2\): must be integers"),
        (lambda v, p: p.action_space("agent_x"), "agent='agent_x': must be one of possible_agents, agent_0 to agent_"),
        (lambda v, p: vector(arguments=["moev"]), "arguments: 'moev': allowed are .*did you mean move"),
        (lambda v, p: vector(render_mode="human"), "render_mode='human': allowed are 'rgb_array'"),
        (lambda v, p: VectorEnv(world(), 0), "num_realms=0: must be a whole number, at least 1"),
        (lambda v, p: VectorEnv("law", 1), "env='law': must be an Environment, or what autoreset makes of one"),
        (lambda v, p: ParallelEnv(Environment(SMALL)), "horizon=None: names='uid' needs Config.horizon"),
        (lambda v, p: parallel(names="slot"), "names='slot': allowed are 'uid', 'place'"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call(*started())
    assert "\n" not in str(refused.value)


def test_a_library_that_is_missing_is_named(monkeypatch):
    import importlib
    import sys

    for module, package in (("vector", "gymnasium"), ("parallel", "pettingzoo"), ("marl", "jaxmarl")):
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"nmmo_jax.adapters.{module}", raising=False)
        with pytest.raises(
            ValueError, match=rf"{package}.* cannot be imported .*pip install {package}, or .*\[{package}\]"
        ):
            importlib.import_module(f"nmmo_jax.adapters.{module}")
