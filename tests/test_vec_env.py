"""``VecEnv`` against the same worlds driven by hand, its actions in all their forms, and what it refuses."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import SMALL
from vec_envs import (
    REALMS,
    SEQUENTIAL,
    TICKS,
    TRUNCATING,
    by_hand,
    check_next_rows,
    check_rows,
    hostile,
    make_env,
    started,
)

from nmmo_jax import Action, Cause, MapPool
from nmmo_jax.bench.vec_env import random_actions, rate


@pytest.mark.parametrize(
    "config", [TRUNCATING, pytest.param(SEQUENTIAL, marks=pytest.mark.slow)], ids=["truncating", "sequential"]
)
def test_the_worlds_are_those_driven_by_hand(config):
    rng, env = np.random.default_rng(1), make_env(config)
    step, obs, realm = by_hand(config, seed=5)
    observations = env.reset()
    alive, uid = np.asarray(realm.agents.alive), np.asarray(realm.agents.uid)
    check_rows(observations, alive, uid, np.asarray(realm.agents.population), obs, uid)
    births, deaths, truncations = 0, 0, 0
    for _ in range(TICKS):
        actions = hostile(rng, observations)
        at, before = np.nonzero(alive), observations
        place = {}
        for argument, given in actions.items():
            choice = np.full(alive.shape, -1)
            choice[at] = given
            place[argument] = choice
        position = place["target"]
        listed = (position >= 0) & (position < config.num_visible)
        slot = np.take_along_axis(np.asarray(obs.visible_slot), np.where(listed, position, 0)[..., None], 2)[..., 0]
        place["target"] = np.where(listed, slot, -1)

        observations, rewards, dones, info = env.step(actions)
        check_next_rows(before, observations, info.next_row)
        obs, realm, reward, terminated, truncated, told = step(realm, Action(**place))

        for given, expected in (
            (rewards.reward, reward),
            (rewards.acted, told.acted),
            (dones.terminated, terminated),
            (dones.truncated, truncated),
            (dones.age, told.age),
            (dones.cause, told.cause),
        ):
            np.testing.assert_array_equal(given, np.asarray(expected)[at])
            assert given.dtype == expected.dtype
        for rows in (rewards, dones):
            np.testing.assert_array_equal(rows.uid, before.uid)
            np.testing.assert_array_equal(rows.offsets, before.offsets)
        alive = np.asarray(realm.agents.alive)
        left = np.asarray(truncated)
        known = np.where(left, uid, realm.agents.uid)
        population = np.where(left, told.population, realm.agents.population)
        uid = np.asarray(realm.agents.uid)
        check_rows(observations, alive, uid, population, obs, known)
        if config.max_lifetime is None:
            assert info.final is None
        else:
            check_rows(info.final, left, known, population, obs, known)
        chex.assert_trees_all_equal((info.events, info.ledger), (told.events, told.ledger))
        # Who is missing has left, and nobody else has.
        for index in range(REALMS):
            one, gone = before[index], dones[index].terminated | dones[index].truncated
            assert set(one.uid[gone]).isdisjoint(observations[index].uid)
            assert set(one.uid[~gone]) <= set(observations[index].uid)
        births += int((told.births.slot >= 0).sum())
        deaths += int(np.count_nonzero(dones.terminated))
        truncations += int(np.count_nonzero(dones.truncated))
    assert births > 20
    assert deaths > 10
    assert np.diff(observations.offsets)[2] == 0 < np.diff(observations.offsets)[0]
    assert (truncations > 0) == (config.max_lifetime is not None)
    chex.assert_trees_all_equal(env.realms, realm)


def test_the_rows_of_a_realm_are_views():
    _, observations = started()
    assert len(observations) == REALMS
    for index, one in enumerate(observations):
        start, stop = observations.offsets[index : index + 2]
        assert one.offsets.tolist() == [0, stop - start]
        for whole, part in zip(jax.tree.leaves(observations)[1:], jax.tree.leaves(one)[1:], strict=True):
            assert np.shares_memory(whole, part)
            np.testing.assert_array_equal(whole[start:stop], part)
    np.testing.assert_array_equal(observations[-1].uid, observations[REALMS - 1].uid)
    with pytest.raises(IndexError, match="realm 3: there are 3"):
        observations[REALMS]


def test_actions_in_every_form_mean_the_same():
    rng = np.random.default_rng(3)
    envs = [make_env() for _ in range(4)]
    observations, *_ = [env.reset() for env in envs]
    for _ in range(8):
        actions, whose = random_actions(rng, observations), np.repeat(np.arange(REALMS), np.diff(observations.offsets))
        cuts = observations.offsets[1:-1]
        parts = {name: np.split(values, cuts) for name, values in actions.items()}
        order = rng.permutation(len(whose))
        named = {"realm": whose, "uid": observations.uid, **actions}
        shuffled = [rng.permutation(len(part)) for part in parts["move"]]
        forms = [
            actions,
            {name: values[order].tolist() for name, values in named.items()},
            [{name: part[realm] for name, part in parts.items()} for realm in range(REALMS)],
            [
                {name: part[realm][shuffled[realm]] for name, part in parts.items()}
                | {"uid": observations[realm].uid[shuffled[realm]]}
                for realm in range(REALMS)
            ],
        ]
        results = [env.step(form) for env, form in zip(envs, forms, strict=True)]
        for other in results[1:]:
            chex.assert_trees_all_equal(results[0], other)
        observations = results[0][0]


def test_who_is_not_named_does_nothing():
    envs = [make_env() for _ in range(4)]
    observations, *_ = [env.reset() for env in envs]
    move = np.zeros(len(observations.uid), int)
    move[2] = 1
    alone = {"realm": [0], "uid": observations.uid[2:3], "move": [1]}
    nobody = {"uid": [], "move": []}
    parts = [{"uid": observations.uid[2:3], "move": [1]}, nobody, nobody]
    everything = {"move": move, "style": np.full(len(move), -1), "target": np.full(len(move), 2**64 - 1, np.uint64)}
    results = [env.step(form) for env, form in zip(envs, ({"move": move}, alone, parts, everything), strict=True)]
    for other in results[1:]:
        chex.assert_trees_all_equal(results[0], other)


def test_a_target_is_a_position_in_the_list():
    env, killed = make_env(), 0
    observations = env.reset()
    for _ in range(30):
        hits = observations.mask["target"][:, 1, 1:]
        target = np.where(hits.any(axis=1), 1 + hits.argmax(axis=1), 0)
        aimed_at = observations.visible_uid[np.arange(len(target)), target]
        whose = np.repeat(np.arange(REALMS), np.diff(observations.offsets))
        attacked = set(zip(whose[target > 0], aimed_at[target > 0], strict=True))
        assert (observations.visible_uid[:, 0] == observations.uid).all()
        observations, _, dones, _ = env.step({"style": np.ones_like(target), "target": target})
        fell = dones.cause == Cause.COMBAT
        assert set(zip(whose[fell], dones.uid[fell], strict=True)) <= attacked
        killed += int(fell.sum())
    assert killed > 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n, uid: {"mvoe": [0] * n}, r"actions: has \['mvoe'\]: must be a mapping of move, style, target, or"),
        (lambda n, uid: {"move": [0] * (n + 1)}, r"actions\['move'\]: int64 of shape \(\d+,\): must be integers of"),
        (lambda n, uid: {"move": [0.5] * n}, r"actions\['move'\]: float64 of shape"),
        (lambda n, uid: {"move": [True] * n}, r"actions\['move'\]: bool of shape"),
        (lambda n, uid: {"move": 1}, r"actions\['move'\]: int64 of shape \(\)"),
        (lambda n, uid: {"uid": uid[:1], "move": [0]}, r"or these with realm and uid"),
        (lambda n, uid: {"realm": [0], "uid": [999], "move": [0]}, "realm 0, uid 999: must be alive in the last"),
        (lambda n, uid: {"realm": [0], "uid": [2**32], "move": [0]}, "realm 0, uid 4294967296: must be alive"),
        (lambda n, uid: {"realm": [-1], "uid": uid[:1], "move": [0]}, "realm -1, uid .*: must be alive"),
        (lambda n, uid: {"realm": [7], "uid": uid[:1], "move": [0]}, "realm 7, uid .*: must be alive"),
        (lambda n, uid: {"realm": [0, 0], "uid": [uid[0]] * 2, "move": [0, 1]}, "realm 0, uid .*: must be named once"),
        (lambda n, uid: {"realm": [0, 0], "uid": uid[:1], "move": [0]}, r"actions\['realm'\]: int64 of shape \(2,\)"),
        (lambda n, uid: [{}], r"actions: 1 parts: must be a mapping, or a list of num_realms=3"),
        (lambda n, uid: None, "actions: NoneType: must be a mapping, or"),
        (lambda n, uid: [{}, {}, None], r"actions\[2\]: has \['NoneType'\]: must be a mapping of"),
        (lambda n, uid: [{}, {"move": [0] * 99}, {}], r"actions\[1\]\['move'\]: int64 of shape \(99,\)"),
        (lambda n, uid: [{}, {"uid": [], "move": []}, {}], r"actions\[1\]: has \['move', 'realm', 'uid'\]: must have"),
        (
            lambda n, uid: [{"uid": uid[:2], "move": [0]}, {}, {}],
            r"actions\[0\]\['move'\]: .* integers of shape \(2,\)",
        ),
    ],
)
def test_actions_that_mean_nothing_known_are_refused(make, message):
    env, observations = started()
    with pytest.raises(ValueError, match=message):
        env.step(make(len(observations.uid), observations.uid))


def test_worlds_start_once():
    env = make_env()
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step({})
    with pytest.raises(RuntimeError, match="call reset first"):
        _ = env.realms
    env.reset()
    with pytest.raises(RuntimeError, match="persist"):
        env.reset()


@pytest.mark.parametrize("on_host", [True, False])
def test_worlds_may_be_empty(on_host):
    env = make_env(births=0, on_host=on_host)
    env._start = jax.jit(env._begin)
    observations = env.reset()
    assert observations.offsets.tolist() == [0] * (REALMS + 1)
    assert observations.tiles.shape == (0, 2, 5, 5)
    with pytest.raises(ValueError, match="realm 0, uid 0: must be alive"):
        env.step({"realm": [0], "uid": [0], "move": [1]})
    observations, rewards, dones, info = env.step({"move": []})
    assert len(rewards.uid) == len(dones.uid) == len(info.final.uid) == 0
    assert observations.uid.tolist()[:3] == [0, 1, 2]


def test_what_is_handed_out_is_the_learners_own():
    env, twin = make_env(), make_env()
    observations, same = env.reset(), twin.reset()
    for _ in range(3):
        kept = jax.tree.map(np.copy, same)
        for leaf in jax.tree.leaves(observations):
            leaf[...] = 1  # what a learner does to its arrays is none of the world's business
        actions = random_actions(np.random.default_rng(0), same)
        observations, later = env.step(actions)[0], twin.step(actions)[0]
        chex.assert_trees_all_equal(observations, later)
        chex.assert_trees_all_equal(same, kept)
        same = later


@pytest.mark.slow
def test_a_pool_gives_every_realm_its_map():
    pool = MapPool.generated(0, 8, SMALL)
    env = make_env(tiles=pool)
    env.reset()
    maps = np.asarray(env.realms.tiles.material)
    assert all((np.asarray(pool.material) == one).all(axis=(1, 2)).any() for one in maps)
    assert len(np.unique(maps, axis=0)) > 1


def test_rows_gathered_on_the_device_are_the_same():
    env, device = make_env(), make_env(on_host=False)  # False: as on an accelerator
    rng, observations = np.random.default_rng(0), env.reset()
    chex.assert_trees_all_equal(observations, device.reset())
    for _ in range(12):
        actions = random_actions(rng, observations)
        result = env.step(actions)
        chex.assert_trees_all_equal(result, device.step(actions))
        observations = result[0]


@pytest.mark.parametrize("on_host", [True, False])
def test_tensors_through_dlpack_are_not_copied(on_host):
    passed = []

    def tensor(array):
        passed.append((array, np.from_dlpack(array)))
        return passed[-1][1]

    tensors, arrays = make_env(arrays=tensor, on_host=on_host).reset(), make_env().reset()
    chex.assert_trees_all_equal(tensors, arrays)
    chex.assert_trees_all_equal_dtypes(tensors, arrays)
    assert len(passed) == len(jax.tree.leaves(tensors)) - 1  # all but the offsets
    assert all(np.shares_memory(np.asarray(array), given) for array, given in passed)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    env, plain = make_env(arrays=torch.from_dlpack), make_env()
    tensors, arrays = env.reset(), plain.reset()
    assert isinstance(tensors[1].tiles, torch.Tensor)
    actions = {"move": torch.ones(len(tensors.uid), dtype=torch.int64)}
    tensors, arrays = env.step(actions)[0], plain.step({"move": np.ones(len(arrays.uid), int)})[0]
    chex.assert_trees_all_equal(jax.tree.map(np.asarray, tensors), arrays)


def test_state_may_be_looked_at_and_kept():
    env = make_env()
    env.reset()
    seen, kept = np.asarray(env.realms.agents.uid), jax.tree.map(jnp.copy, env.realms)
    first = seen.copy()
    for _ in range(5):
        env.step({})
    np.testing.assert_array_equal(seen, first)
    np.testing.assert_array_equal(kept.agents.uid, first)


def test_rate_counts_the_living():
    env = make_env()
    found = rate(env, ticks=2, repeats=3, warm_up=2)
    steps = found["agent_steps"]
    assert len(steps) == len(found["seconds"]) == 3
    assert all(0 < number <= 2 * REALMS * SMALL.num_agents for number in steps)
    assert found["mean_population"] == round(sum(steps) / (2 * 3 * REALMS), 2)
    assert found["least_population"] < found["mean_population"]  # one realm dies out
    assert found["without_actions"] >= found["agent_steps_per_second"] >= found["worst"] > 0
    assert (env.realms.tick == 2 + 2 * 3).all()
    for wrong in ("ticks", "repeats", "warm_up"):
        with pytest.raises(ValueError, match=f"{wrong}=0: must be at least 1"):
            rate(env, **{"ticks": 1, wrong: 0})
