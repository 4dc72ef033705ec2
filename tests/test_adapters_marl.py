"""JaxMARL's interface: its own wrappers and rollout manager on it, against the same world driven by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import GRASS, SMALL

from nmmo_jax import Action, Environment, Rules

pytest.importorskip("jaxmarl")
from jaxmarl.wrappers.baselines import CTRolloutManager, LogWrapper

from nmmo_jax.adapters.marl import MarlEnv

HORIZON = 12
DEADLY = Rules(immunity_ticks=2, attack_damage=(6, 5, 4), food_metabolism=2, spawn_rate=np.float32(0.9))
CONFIG = dataclasses.replace(SMALL, num_agents=8, horizon=HORIZON, max_lifetime=9, max_spawns=2)
KEY = jax.random.key(3)


@functools.cache
def made(**changed) -> MarlEnv:
    return MarlEnv(Environment(dataclasses.replace(CONFIG, **changed), DEADLY), GRASS)


def drawn(env: MarlEnv, key: jax.Array, state) -> dict:
    """Uniform over what is allowed."""
    allowed = env.get_avail_actions(state)
    keys = jax.random.split(key, env.num_agents)
    return {
        a: jax.random.categorical(k, jnp.where(allowed[a], 0.0, -jnp.inf))
        for a, k in zip(env.agents, keys, strict=True)
    }


@pytest.mark.slow
def test_the_world_is_that_driven_by_hand():
    env = made()
    obs, state = env.reset(KEY)
    choose, hand = jax.jit(functools.partial(drawn, env)), jax.jit(env.env.step)
    left = 0
    for tick in range(HORIZON):
        actions = choose(jax.random.fold_in(KEY, 100 + tick), state)
        key = jax.random.fold_in(KEY, tick)
        joint = np.stack([actions[agent] for agent in env.agents])
        move, style, target = np.unravel_index(joint, (5, 3, CONFIG.num_visible))
        mask = jax.tree.map(np.asarray, state.obs.mask)
        at = np.arange(8)
        assert (
            mask["move"][at, move].all() and mask["style"][at, style].all() and mask["target"][at, style, target].all()
        )
        slot = np.asarray(state.obs.visible_slot)[at, target]
        realm = state.realm
        obs, state, rewards, dones, infos = env.step(key, state, actions)
        inner, _ = jax.random.split(key)
        _, realm, reward, terminated, truncated, info = hand(inner, realm, Action(move=move, style=style, target=slot))
        gone = np.asarray(terminated | truncated | ~realm.agents.alive) | (tick == HORIZON - 1)
        assert [bool(dones[agent]) for agent in env.agents] == gone.tolist()
        assert [float(rewards[agent]) for agent in env.agents] == reward.tolist()
        np.testing.assert_array_equal(infos["acted"], info.acted)
        np.testing.assert_array_equal(infos["alive"], realm.agents.alive)
        assert bool(dones["__all__"]) == (tick == HORIZON - 1)
        left += int((terminated | truncated).sum())
        box = env.observation_space("agent_0")
        assert all(box.contains(one) and one.shape == box.shape and one.dtype == jnp.float32 for one in obs.values())
    assert left > 3
    assert state.step == 0 and int(state.realm.agents.alive.sum()) > 4  # the next world


@pytest.mark.slow
def test_starting_anew_is_as_in_its_base():
    """New worlds are made in few ticks only, and are those that JaxMARL's own step makes."""
    env = made()
    base = functools.partial(jax.jit(type(env).__mro__[1].step.__wrapped__, static_argnums=0), env)
    keys = jax.random.split(KEY, 3)
    _, states = jax.vmap(env.reset)(keys)
    shorter = states.realm.tick.at[1].set(HORIZON - 2)  # one is done earlier than the others
    states = others = states.replace(realm=states.realm.replace(tick=shorter))
    actions = {agent: jnp.zeros(3, jnp.int32) for agent in env.agents}
    done = []
    for tick in range(HORIZON + 1):
        keys = jax.random.split(jax.random.fold_in(KEY, tick), 3)
        obs, states, _, dones, _ = jax.vmap(env.step)(keys, states, actions)
        expected, others, *_ = jax.vmap(base)(keys, others, actions)
        jax.tree.map(np.testing.assert_array_equal, (obs, states), (expected, others))
        done.append(np.asarray(dones["__all__"]).tolist())
    assert done[1] == [False, True, False] and done[HORIZON - 1] == [True, False, True]


@pytest.mark.slow
def test_its_log_wrapper_counts_ticks_lived():
    env = made()
    logged = LogWrapper(env)
    _, state = jax.vmap(logged.reset)(jax.random.split(KEY, 2))

    def tick(state, key):
        acting, stepping = jax.random.split(key)
        actions = jax.vmap(functools.partial(drawn, env))(jax.random.split(acting, 2), state.env_state)
        _, state, _, _, info = jax.vmap(logged.step)(jax.random.split(stepping, 2), state, actions)
        return state, info

    _, info = jax.jit(lambda state: jax.lax.scan(tick, state, jax.random.split(KEY, HORIZON)))(state)
    assert info["returned_episode"].sum(axis=0).tolist() == [[1] * 8] * 2
    assert all(leaf.shape == (HORIZON, 2, 8) for leaf in jax.tree.leaves(info))  # as its baselines take them apart
    returns = np.asarray(info["returned_episode_returns"][-1])
    assert (info["returned_episode_lengths"][-1] == HORIZON).all()
    assert 0 < returns.min() < returns.max() <= HORIZON
    died = np.asarray(info["acted"]).sum(axis=0) - returns
    assert (died >= 0).all()


@pytest.mark.slow
def test_its_rollout_manager_plays():
    env = made()
    manager = CTRolloutManager(env, batch_size=2)
    obs, state = manager.batch_reset(KEY)
    assert obs["agent_0"].shape == (2, manager.obs_size) and obs["__all__"].shape[0] == 2
    total = 0.0
    for tick in range(HORIZON):
        key = jax.random.fold_in(KEY, tick)
        actions = {agent: manager.batch_sample(key, agent) for agent in manager.agents}
        obs, state, rewards, dones, _ = manager.batch_step(key, state, actions)
        total += float(rewards["__all__"].sum())
    assert dones["__all__"].all() and total > 20


def test_joint_masks_whatever_the_order():
    env = made()
    _, state = env.reset(KEY)
    turned = made_of(("target", "move", "style"))
    one = np.stack([*env.get_avail_actions(state).values()]).reshape(8, 5, 3, 4)
    other = np.stack([*turned.get_avail_actions(state).values()]).reshape(8, 4, 5, 3)
    np.testing.assert_array_equal(one, other.transpose(0, 2, 3, 1))
    assert not one.all() and one[..., 0].any()
    alone = np.stack([*made_of(("target",)).get_avail_actions(state).values()])
    assert alone.tolist() == [[True, False, False, False]] * 8  # without a style nobody attacks


def made_of(arguments) -> MarlEnv:
    return MarlEnv(Environment(CONFIG, DEADLY), GRASS, arguments=arguments)


def test_classes_are_populations():
    classes = made().agent_classes
    assert [len(agents) for agents in classes.values()] == [2] * 4
    assert classes["population_1"] == ["agent_2", "agent_3"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: made_of(("moev",)), "arguments: 'moev': allowed are move, style, target; did you mean move"),
        (lambda: made_of(()), "arguments=.*: must be one or more of move"),
        (lambda: MarlEnv(Environment(SMALL), initial_population=99), "initial_population=99: allowed are"),
        (lambda: MarlEnv(Environment(SMALL), np.full((2, 2), 77)), "tiles: material 77 at row 0"),
        (lambda: MarlEnv(None), "env=None: must be an Environment"),
        (lambda: MarlEnv(Environment(dataclasses.replace(SMALL, num_visible=9000))), "combinations: allowed are"),
        (lambda: stepped({"agent_0": 1}), r"actions: \['agent_1', .*must be a dict with one whole number for each"),
        (lambda: stepped(dict.fromkeys(made().agents, 0.5)), "actions: float32 of shape .*one whole number for each"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def stepped(actions):
    env = made()
    return env.step_env(KEY, env.reset(KEY)[1], actions)
