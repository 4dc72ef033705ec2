"""Arrays that are computed before what is made of them, so that it is not computed anew for every number made of it.

XLA for CPUs fuses what is cheap into whatever reads it, however often that is: the chance of an agent, twenty rounds of
Threefry, into each of the twelve places of its pack, and all that an agent has chosen into every phase of its tick.
Barriers (``optimization_barrier``) it takes away before it fuses. It does not fuse across a condition, and that only
copies what it is given. What that brought: benchmarks/README.md. On other devices nothing is done.
"""

from typing import Any

import jax
import jax.numpy as jnp


def apart(tree: Any) -> Any:
    """The same arrays of numbers, computed by themselves; whatever else is in the tree stays as it is."""
    leaves, shape = jax.tree.flatten(tree)
    some = [index for index, leaf in enumerate(leaves) if isinstance(leaf, jax.Array) and leaf.size]
    if not some:
        return tree
    given = (leaves[index] for index in some)
    computed = jax.lax.platform_dependent(*given, cpu=_computed, default=lambda *same: same)
    for index, leaf in zip(some, computed, strict=True):
        leaves[index] = leaf
    return jax.tree.unflatten(shape, leaves)


@jax.custom_batching.custom_vmap
def _computed(*leaves: jax.Array) -> tuple[jax.Array, ...]:
    sure = leaves[0].reshape(-1)[0].astype(jnp.int32) | 1 != 0  # always, but XLA does not know
    return jax.lax.cond(sure, lambda *same: same, lambda *others: tuple(map(jnp.zeros_like, others)), *leaves)


@_computed.def_vmap
def _batched(size: int, is_batched: list[bool], *leaves: jax.Array) -> tuple[tuple[jax.Array, ...], tuple[bool, ...]]:
    return _computed(*leaves), tuple(is_batched)
