"""What networks see and say, from a NumPy generator: inputs, masks, logits and weights; compiles nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nmmo_jax
from nmmo_jax.goals import CLASSIC
from nmmo_jax.observations import FEATURES, NUM_FEATURES
from nmmo_jax.paths import FAR
from train.inputs import Inputs

ENV = nmmo_jax.make("chaos", num_agents=12, num_populations=3, rows=36, columns=33, view=7, num_visible=5)
CONFIG = ENV.config
POPULATIONS, VISIBLE = CONFIG.num_populations, CONFIG.num_visible


def random_inputs(rows: int = 6, seed: int = 0) -> Inputs:
    """Any materials and counts, features in the range they have, lists of any length from 1."""
    rng = np.random.default_rng(seed)
    shape = (POPULATIONS, rows)
    tiles = np.stack([rng.integers(0, 7, (*shape, 7, 7)), rng.integers(0, 4, (*shape, 7, 7))], axis=2).astype(np.uint8)
    high = [200, 11, 33, 33, 36, 33, 4, 4, 12, 2, 4]
    low = [-3 if name.endswith("_difference") else 0 for name in FEATURES]
    own = rng.integers(low, high, (*shape, NUM_FEATURES)).astype(np.int16)
    visible = rng.integers(low, high, (*shape, VISIBLE, NUM_FEATURES)).astype(np.int16)
    visible[..., 0, :] = own
    listed = np.arange(VISIBLE) < rng.integers(1, VISIBLE + 1, shape)[..., None]
    steps = rng.choice([0, 1, 2, 5, 12, FAR], (*shape, len(CLASSIC), 5)).astype(np.uint8)
    return Inputs(tiles, own, visible, listed, steps=steps)


def random_masks(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = {"move": rng.random((rows, 5)) < 0.5, "style": rng.random((rows, 3)) < 0.5}
    masks["target"] = rng.random((rows, 3, VISIBLE)) < 0.5
    for mask in masks.values():
        mask[..., 0] = True
    return masks


def random_logits(rows: int, scale: float = 1.0, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: scale * rng.normal(size=(rows, size)).astype(np.float32)
        for name, size in {"move": 5, "style": 3, "target": VISIBLE}.items()
    }


def random_weights(init: Any) -> Any:
    """Parameters as those of ``init``, which takes seconds to compile."""
    rng = np.random.default_rng(0)

    def normal(leaf):
        return jnp.asarray(rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[-2]), jnp.float32)

    return jax.tree.map(normal, jax.eval_shape(init, jax.random.key(0)))


def one(tree, index):
    return jax.tree.map(lambda leaf: np.asarray(leaf[index]), tree)
