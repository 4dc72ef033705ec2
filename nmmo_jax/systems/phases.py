"""The points of a tick at which systems act."""

from typing import Any

from jaxtyping import Array, Bool

from nmmo_jax.components import Draws, Orders, Outcome, Realm
from nmmo_jax.config import Config
from nmmo_jax.rules import Rules
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
                realm, outcome, acting = after.realm, after.outcome, after.acting
    return realm, outcome
