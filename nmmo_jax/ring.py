"""Playing many ticks in one call, with every observation kept: written once, where it stays.

A scan over ``step`` that carries the observations and returns them copies each twice more: into what is carried, and
from there into the stack of outputs, for which the call takes fresh memory. In a ring of ``ticks`` + 1 rows tick t
reads row t and writes row t + 1, and nothing else holds observations; given back with ``donate_argnums``, its memory is
used again. On a CPU core that is twice as fast (``benchmarks/README.md``).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nmmo_jax.values import check_int


def make_ring(obs: Any, ticks: int) -> Any:
    """A ring for ``ticks`` ticks a call, with the present in its last row: where a call finds it.

    Args:
      obs: observations of ``reset``, or any other tree of arrays.

    Raises:
      ValueError: ``ticks`` is below 1.
    """
    rows = check_int("ticks", ticks, 1) + 1
    return jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype).at[-1].set(leaf), obs)


def unroll(tick: Callable[[Any, Any], tuple[Any, Any, Any]], ring: Any, carry: Any) -> tuple[Any, Any, Any]:
    """Plays as many ticks as the ring has room for; to be called inside ``jit``.

    >>> ring = nmmo_jax.make_ring(obs, 16)
    >>> @functools.partial(jax.jit, donate_argnums=(0, 1))
    ... def play(ring, realms):
    ...     def tick(obs, realms):
    ...         obs, realms, reward, *_ = worlds.step(key, realms, policy(obs))
    ...         return obs, realms, reward
    ...     return nmmo_jax.unroll(tick, ring, realms)
    >>> ring, realms, rewards = play(ring, realms)

    Args:
      tick: ``(obs, carry) -> obs, carry, told``.
      ring: of ``make_ring``, or of the call before.
      carry: what goes on from tick to tick, the realms among it.

    Raises:
      ValueError: what is no ring, or observations of another kind.

    Returns:
      ring, in whose row t is what tick t saw, and in the last what is seen after all; carry; what was told, stacked.
    """
    rows = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(ring)}
    if len(rows) != 1 or min(rows) < (2,):
        raise ValueError(f"ring: its arrays have {sorted(rows)} rows: must be one of make_ring, of ticks + 1 rows")
    ticks = min(rows)[0] - 1

    def one(state: tuple[Any, Any], t: jax.Array) -> tuple[tuple[Any, Any], Any]:
        ring, carry = state
        before = row(ring, t)
        obs, carry, told = tick(before, carry)
        if (given := _kinds(obs)) != (wanted := _kinds(before)):
            raise ValueError(f"tick: gave observations {given}: must be as those of the ring, {wanted}")
        return (put(ring, t + 1, obs), carry), told

    (ring, carry), told = jax.lax.scan(one, (again(ring), carry), jnp.arange(ticks, dtype=jnp.int32))
    return ring, carry, told


def _kinds(obs: Any) -> str:
    return str(jax.tree.map(lambda leaf: f"{jnp.result_type(leaf)}{[*jnp.shape(leaf)]}", obs))


def again(ring: Any) -> Any:
    """The ring as the next ticks begin: its last row is the first."""
    return jax.tree.map(lambda leaf: leaf.at[0].set(leaf[-1]), ring)


def row(ring: Any, t: jax.Array) -> Any:
    """What is in a row."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, t, keepdims=False), ring)


def put(ring: Any, t: jax.Array, obs: Any) -> Any:
    """The ring with a row written."""
    return jax.tree.map(lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf, new, t, 0), ring, obs)
