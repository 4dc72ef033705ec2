"""Muon: what changes a matrix is its gradients' momentum, made orthogonal (Jordan et al., 2024); all else has Adam.

The numbers, and the layout of what is kept, are those of ``optax.contrib.muon`` with ``consistent_rms=1.0``, which goes
through the matrices one by one: on an accelerator that is half of the kernels that a step of learning launches. Here
all are padded with zeros to one shape and multiplied as one batch, which is the same: zeros stay what they are.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from jaxtyping import Array, Float32

TURNS = np.array(((3.4445, -4.7750, 2.0315),) * 5, np.float32)  # of the iteration, as its authors have them
BETA, EPSILON = 0.95, 1e-8


def muon(rate: float | Callable[[Any], Any]) -> optax.GradientTransformation:
    """Of one population's parameters: Muon for its matrices, Adam with Nesterov's momentum for the rest.

    Args:
      rate: of learning, or a schedule of it; the root mean square of a change of a matrix, about.
    """
    matrices = optax.chain(scale_by_muon(), optax.identity(), optax.identity(), optax.scale_by_learning_rate(rate))
    rest = optax.adamw(rate, weight_decay=0.0, nesterov=True)

    def kinds(params: Any) -> Any:
        return jax.tree.map(lambda leaf: "muon" if leaf.ndim == 2 else "adam", params)

    return optax.partition({"muon": matrices, "adam": rest}, kinds)


def scale_by_muon() -> optax.GradientTransformation:
    """Momentum of matrices, made orthogonal, with a root mean square of about 1 where they have full rank."""

    def init(params: Any) -> optax.contrib.MuonState:
        return optax.contrib.MuonState(jnp.zeros([], jnp.int32), optax.tree.zeros_like(params), jnp.asarray(TURNS))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.contrib.MuonState]:
        count = optax.safe_increment(state.count)
        momentum = optax.tree.update_moment(updates, state.mu, BETA, 1)
        ahead = jax.tree.map(
            lambda momentum, gradient: BETA * momentum + (1 - BETA) * gradient,
            optax.tree.bias_correction(momentum, BETA, optax.safe_increment(count)),
            optax.tree.bias_correction(updates, BETA, count),
        )
        leaves, tree = jax.tree.flatten(ahead)
        turned = jax.lax.platform_dependent(leaves, cpu=one_by_one, default=together)
        turned = [np.sqrt(np.float32(max(leaf.shape))) * leaf for leaf in turned]
        return jax.tree.unflatten(tree, turned), state._replace(count=count, mu=momentum)

    return optax.GradientTransformation(init, update)


def one_by_one(matrices: list[Array]) -> list[Array]:
    """Near to orthogonal matrices, made of each by itself: singular values of about 1."""
    return [_like(leaf, orthogonal(_wide(leaf))) for leaf in matrices]


def together(matrices: list[Array]) -> list[Array]:
    """As ``one_by_one``, in one batch."""
    if not matrices:
        return []
    wide = [_wide(leaf) for leaf in matrices]
    rows, columns = np.max([leaf.shape for leaf in wide], axis=0)
    padded = [jnp.pad(leaf, ((0, rows - leaf.shape[0]), (0, columns - leaf.shape[1]))) for leaf in wide]
    turned = orthogonal(jnp.stack(padded), written_out=True)
    parts = zip(matrices, wide, turned, strict=True)
    return [_like(leaf, one[: small.shape[0], : small.shape[1]]) for leaf, small, one in parts]


def orthogonal(x: Float32[Array, "*B R C"], written_out: bool = False) -> Float32[Array, "*B R C"]:
    """Newton and Schulz's iteration on matrices with at most as many rows as columns. As a loop, unless it is to be
    written out: then what tests compile takes half as long again.
    """
    x = x / (jnp.sqrt(jnp.square(x).sum(axis=(-2, -1), keepdims=True)) + EPSILON)

    def turn(x: Array, by: Float32[Array, "3"]) -> tuple[Array, None]:
        square = x @ x.mT
        return by[0] * x + (by[1] * square + by[2] * square @ square) @ x, None

    return jax.lax.scan(turn, x, jnp.asarray(TURNS), unroll=written_out)[0]


def _wide(leaf: Array) -> Array:
    return leaf.T if leaf.shape[0] > leaf.shape[1] else leaf


def _like(leaf: Array, wide: Array) -> Array:
    return wide.T if leaf.shape[0] > leaf.shape[1] else wide
