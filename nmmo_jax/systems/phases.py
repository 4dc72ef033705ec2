"""The points of a tick at which systems act."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from nmmo_jax.common.apart import apart
from nmmo_jax.components import Draws, Orders, Outcome, Realm
from nmmo_jax.config import Config
from nmmo_jax.rules import Rules
from nmmo_jax.systems.booking import booked
from nmmo_jax.systems.world import World


def run_phases(
    point: str,
    realm: Realm,
    outcome: Outcome | None,
    whose: Bool[Array, "N"] | None,
    orders: Orders,
    draws: Draws,
    rules: Rules,
    config: Config,
) -> tuple[Realm, Any]:
    """What the systems do at a point of the tick, one after another; without systems, nothing.

    Args:
      whose: whose turn it is; None: everybody's, at the points that come once per tick.
    """
    if not config.systems:
        return realm, outcome
    acting = realm.agents.alive & (realm.agents.health > 0)
    if outcome is not None:
        acting &= ~outcome.dead
        acting &= True if whose is None else whose & outcome.acted
    turn = acting
    for system in config.systems:
        for phase in system.phases:
            if phase.point == point:
                world = World(system, point, realm, rules, config, turn, acting, outcome, orders, draws)
                after = phase.function(world)
                if not isinstance(after, World):
                    given = type(after).__name__
                    raise ValueError(f"system {system.name}, at {point}: gave {given}: must give a World")
                state, before = (after.realm, after.outcome, after.acting), realm
                realm, outcome, acting = _changed((realm, outcome, acting), state, config)
                if config.ledger and outcome is not None:  # at the end nothing that is booked can be changed
                    outcome = booked(system, before, realm, outcome, config)
    return realm, outcome


def _changed(before: Any, after: Any, config: Config) -> Any:
    """``after``, of which what a phase has changed is computed before the next looks at it; but for maps, which it has
    scattered into.
    """
    known = {id(leaf) for leaf in jax.tree.leaves(before)}
    leaves, shape = jax.tree.flatten(after)
    size = config.rows, config.columns
    new = [index for index, leaf in enumerate(leaves) if id(leaf) not in known and jnp.shape(leaf) != size]
    for index, leaf in zip(new, apart([leaves[index] for index in new]), strict=True):
        leaves[index] = leaf
    return jax.tree.unflatten(shape, leaves)
