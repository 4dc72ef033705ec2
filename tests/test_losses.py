"""Losses and advantages against slow, obvious computations."""

import numpy as np
import pytest

from train.losses import advantages, policy_gradient, ppo


def slow_advantages(reward, value, following, terminated, truncated, discount, decay):
    """One place at a time, one step at a time, forwards: the discounted sum of errors until the agent has left."""
    ticks, places = reward.shape
    result = np.zeros_like(reward)
    for place in range(places):
        for start in range(ticks):
            factor = 1.0
            for t in range(start, ticks):
                after = 0.0 if terminated[t, place] else following[t, place]
                result[start, place] += factor * (reward[t, place] + discount * after - value[t, place])
                if terminated[t, place] or truncated[t, place]:
                    break
                factor *= discount * decay
    return result


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_advantages(decay):
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(2, 9, 20)).astype(np.float32)
    following = np.vstack([value[1:], rng.normal(size=(1, 20))]).astype(np.float32)
    terminated = rng.random((9, 20)) < 0.2
    truncated = (rng.random((9, 20)) < 0.2) & ~terminated
    truncated[4, :10] = True  # a horizon, after which the next row is of another episode
    following[4, :10] = rng.normal(size=10)
    steps = reward, value, following, terminated, truncated
    np.testing.assert_allclose(advantages(*steps, 0.97, decay), slow_advantages(*steps, 0.97, decay), atol=1e-5)


def test_nothing_reaches_over_a_change_of_owner():
    """The place is handed on at tick 1 (death) and at tick 3 (truncation); all else is the next owner's."""
    reward = np.ones((5, 1), np.float32)
    value = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]], np.float32)
    terminated = np.array([[0], [1], [0], [0], [0]], bool)
    truncated = np.array([[0], [0], [0], [1], [0]], bool)

    def of(value):
        following = np.vstack([value[1:], [[6.0]]]).astype(np.float32)
        return np.asarray(advantages(reward, value, following, terminated, truncated, 0.5, 1.0))[:, 0]

    got = of(value)
    assert got[1] == 1 - 2  # died: nothing after it
    assert got[0] == (1 + 0.5 * 1) - 1
    assert got[3] == (1 + 0.5 * 5) - 4  # truncated: the final observation is worth 5
    assert got[4] == (1 + 0.5 * 6) - 5
    changed = value.copy()
    changed[2:] += 100
    assert (of(changed)[:2] == got[:2]).all()


def test_ppo_against_its_formula():
    rng = np.random.default_rng(1)
    new, old, advantage, value, target, entropy = rng.normal(size=(6, 200)).astype(np.float32)
    terms = ppo(new, old, advantage, value, target, entropy, clip=0.2)
    for i in range(200):
        ratio = np.exp(new[i] - old[i])
        expected = -min(ratio * advantage[i], min(max(ratio, 0.8), 1.2) * advantage[i])
        assert terms.policy[i] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(terms.value, (value - target) ** 2 / 2, rtol=1e-6)
    np.testing.assert_array_equal(terms.entropy, entropy)


def test_the_published_loss_against_its_formula():
    rng = np.random.default_rng(2)
    log_prob, advantage, value, target, entropy = rng.normal(size=(5, 50)).astype(np.float32)
    terms = policy_gradient(log_prob, advantage, value, target, entropy)
    np.testing.assert_allclose(terms.policy, -log_prob * advantage, rtol=1e-6)
    np.testing.assert_allclose(terms.value, (value - target) ** 2 / 2, rtol=1e-6)
