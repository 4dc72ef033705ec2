"""What is drawn from logits and masks: probabilities, frequencies, and those of the joint choice."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sights import CONFIG, VISIBLE, one, random_logits, random_masks

from train.distributions import entropy, log_prob, log_probabilities, probabilities, sample


def plain_probabilities(logits: np.ndarray, mask: np.ndarray, floor: float) -> np.ndarray:
    """Of one agent."""
    e = np.where(mask, np.exp(logits.astype(np.float64) - logits[mask].max()), 0)
    p = np.where(mask, e / e.sum() + floor, 0)
    return p / p.sum()


@pytest.mark.parametrize("floor", [0.0, 1e-3])
def test_probabilities(floor):
    logits, masks = random_logits(40, 8.0)["target"], random_masks(40)["target"][:, 1]
    p, log_p = probabilities(logits, masks, floor), log_probabilities(logits, masks, floor)
    for index in range(40):
        np.testing.assert_allclose(p[index], plain_probabilities(logits[index], masks[index], floor), rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-4)
    assert (np.asarray(p > 0) == masks).all()


def test_sampled_frequencies_agree_with_the_probabilities():
    number, floor = 100_000, 0.05  # so large that leaving it out would be noticed
    logits, masks = one(random_logits(1, 2.0, seed=1), 0), one(random_masks(1, seed=1), 0)
    masks["target"][:, 2] = True

    def draw(key):
        everyone = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (number, *leaf.shape)), (logits, masks))
        return sample(key, jnp.arange(number), *everyone, CONFIG, floor)

    choices = jax.jit(draw)(jax.random.key(5))
    expected = {name: plain_probabilities(logits[name], masks[name], floor) for name in ("move", "style")}
    for name, p in expected.items():
        frequency = np.bincount(choices[name], minlength=len(p)) / number
        np.testing.assert_allclose(frequency, p, atol=0.008)
        assert (frequency[~masks[name]] == 0).all()
    for style in np.flatnonzero(masks["style"]):
        chosen = np.asarray(choices["target"])[np.asarray(choices["style"]) == style]
        p = plain_probabilities(logits["target"], masks["target"][style], floor)
        np.testing.assert_allclose(np.bincount(chosen, minlength=VISIBLE) / len(chosen), p, atol=0.03)
    together = np.corrcoef(choices["move"], choices["style"])[0, 1]
    assert abs(together) < 0.02


@pytest.mark.parametrize("floor", [0.0, 1e-3])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_nothing_illegal_is_ever_drawn(scale, floor):
    number = 20_000
    logits, masks = random_logits(number, scale), random_masks(number)
    choices = jax.jit(sample, static_argnums=(4, 5))(
        jax.random.key(0), jnp.arange(number), logits, masks, CONFIG, floor
    )
    rows = np.arange(number)
    assert masks["move"][rows, choices["move"]].all()
    assert masks["style"][rows, choices["style"]].all()
    assert masks["target"][rows, choices["style"], choices["target"]].all()


@pytest.mark.parametrize("floor", [0.0, 1e-3])
def test_log_prob_and_entropy_are_those_of_the_joint_choice(floor):
    logits, masks = random_logits(4), random_masks(4, seed=2)
    every = np.array(list(itertools.product(range(5), range(3), range(VISIBLE)))).T
    choices = {name: jnp.asarray(every[index])[:, None] for index, name in enumerate(("move", "style", "target"))}
    p = jax.jit(log_prob, static_argnums=(3, 4))(choices, logits, masks, CONFIG, floor)
    p = np.exp(p, dtype=np.float64)  # [choice, agent]
    np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-5)
    for agent in range(4):
        alone, allowed = one(logits, agent), one(masks, agent)
        first, second = (plain_probabilities(alone[name], allowed[name], floor) for name in ("move", "style"))
        third = np.stack([plain_probabilities(alone["target"], row, floor) for row in allowed["target"]])
        joint = first[:, None, None] * second[:, None] * third
        np.testing.assert_allclose(p[:, agent], joint.reshape(-1), rtol=1e-4, atol=1e-8)
    surprise = np.log(p, where=p > 0, out=np.zeros_like(p))
    np.testing.assert_allclose(
        jax.jit(entropy, static_argnums=(2, 3))(logits, masks, CONFIG, floor), -(p * surprise).sum(axis=0), rtol=1e-4
    )
