"""Arrays with a leading population axis: parameters, their gradients, and optimisers of all populations at once."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float32


def each_population(optimiser: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimiser of one population's parameters, for all: arrays with a leading population axis.

    All that it keeps has that axis too, its counts as well, so that a population that waits begins where it was.
    """
    return optax.GradientTransformation(
        lambda params: jax.vmap(optimiser.init)(params),
        lambda updates, state, params=None: jax.vmap(optimiser.update)(updates, state, params),
    )


def sum_of_squares(tree: Any) -> Float32[Array, "P"]:
    """Of all numbers of each population (axis 0 of every array). As one array, which is a kernel for all."""
    leaves = jax.tree.leaves(tree)
    return jnp.square(jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)).sum(axis=1)


def clip_by_norm(most: float) -> optax.GradientTransformation:
    """Gradients of one population scaled down to this norm."""

    def clip(gradients: Any, params: Any) -> Any:
        norm = jnp.sqrt(sum_of_squares(jax.tree.map(lambda leaf: leaf[None], gradients))[0])
        return jax.tree.map(lambda leaf: jnp.where(norm < most, leaf, leaf / norm * most), gradients)

    return optax.stateless(clip)


def check_params(params: Any, populations: int) -> None:
    """Refuses parameters that are not by population.

    Raises:
      ValueError: names an array whose axis 0 is neither P nor, in all of them, 1 (shared weights).
    """
    shapes = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    rows = 1 if all(shape[:1] == (1,) for shape in shapes.values()) else populations
    for name, shape in shapes.items():
        if shape[:1] != (rows,):
            raise ValueError(
                f"Sword.init: {name}: shape {shape}: axis 0 must be num_populations={populations}, or 1 in every array"
            )


def per_row(values: jax.Array, leaf: jax.Array) -> jax.Array:
    """``[P]`` with axes to broadcast against a leaf ``[P, ...]``."""
    return values.reshape(-1, *[1] * (leaf.ndim - 1))
