"""Booking: what agents have of what the ledger books, and what a phase has changed of it."""

import jax.numpy as jnp
from jaxtyping import Array, Int32

from nmmo_jax.components import Outcome, Realm
from nmmo_jax.config import Config
from nmmo_jax.system import System


def amount(realm: Realm, name: str) -> Int32[Array, "*B N"]:
    """What each agent has of a stat (``food``), or of a column (``items.gold``), of several numbers in all.

    Rows of empty slots mean nothing.
    """
    system, dot, column = name.rpartition(".")
    if not dot:
        return getattr(realm.agents, name).astype(jnp.int32)
    values = realm.of[system][column]
    several = values.ndim > realm.agents.alive.ndim
    return values.sum(axis=-2, dtype=jnp.int32) if several else values.astype(jnp.int32)


def booked(system: System, before: Realm, after: Realm, outcome: Outcome, config: Config) -> Outcome:
    """The outcome in which the system has gained and lost for each agent what a phase of it has changed."""
    deeds = outcome.of[system.name]
    gained, lost = dict(deeds.gained), dict(deeds.lost)
    for name in config.books[system.name]:
        owner, _, column = name.partition(".")
        if before.of[owner][column] is not after.of[owner][column]:
            change = amount(after, name) - amount(before, name)
            gained[name] += jnp.maximum(change, 0)
            lost[name] += jnp.maximum(-change, 0)
    return outcome.replace(of={**outcome.of, system.name: deeds.replace(gained=gained, lost=lost)})
