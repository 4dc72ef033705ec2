"""Reproduction: living agents that have enough give birth. Reads Tiles.material; writes Agents, Realm.next_uid and
Probes.killer.

Between cull and the births of the spawn ring: the dead have made room, parents are first to use it, and the ring, which
needs no parents, fills what is left.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, UInt32

from nmmo_jax.bits import first_set, order
from nmmo_jax.components import NEVER, NO_UID, Births, Realm
from nmmo_jax.config import Config
from nmmo_jax.draws import coin
from nmmo_jax.kinds import Material
from nmmo_jax.rules import Rules
from nmmo_jax.systems.lifecycle import give_birth, uniform
from nmmo_jax.systems.movement import DIRECTIONS, can_enter


def reproduce(
    realm: Realm,
    occupied: Bool[Array, "N"],
    words: UInt32[Array, "N 2"] | None,
    rules: Rules,
    config: Config,
) -> tuple[Realm, Births]:
    """Who can give birth and wants to does so, oldest first, until the realm is full.

    Args:
      realm: after cull.
      occupied: slots that count as filled and cannot be given away.
      words: raw words (coin, tile) of each agent.

    Returns:
      The realm, in which parents have paid and newborns have their places, and the births, ``[N]``: row k is what the
      agent in slot k gave birth to.

    Raises:
      ValueError: there are no words.
    """
    if words is None:
        raise ValueError("draws.reproduction=None: must be two words per agent where reproduction=True")
    agents, n = realm.agents, config.num_agents
    able = agents.alive & (agents.health > 0) & (agents.age >= rules.birth_age)
    least = {"food": rules.birth_food_above, "water": rules.birth_water_above}
    for name, above in least.items():
        able &= getattr(agents, name).astype(jnp.int32) > above
    wants = able & coin(words[:, 0], rules.birth_probability)
    oldest_first = order(jnp.where(wants, agents.uid, NEVER))
    rank = jnp.zeros(n, jnp.int32).at[oldest_first].set(jnp.arange(n, dtype=jnp.int32), unique_indices=True)
    parent = wants & (rank < jnp.minimum(rules.population_cap, n) - occupied.sum(dtype=jnp.int32))
    row, col = birthplace(realm, words[:, 1], config)
    births = Births(
        slot=first_set(~occupied, n)[rank],
        uid=realm.next_uid + rank,
        parent_uid=agents.uid,
        population=agents.population.astype(jnp.int32),
        row=row,
        col=col,
    )
    births = jax.tree.map(lambda column: jnp.where(parent, column, NO_UID), births)
    paid = {"food": rules.birth_food_cost, "water": rules.birth_water_cost}
    for name, cost in paid.items():
        had = getattr(agents, name).astype(jnp.int32)
        left = jnp.where(parent, jnp.maximum(had - cost, 0), had).astype(jnp.int16)
        agents = agents.replace(**{name: left})
    start = rules.replace(start_food=rules.newborn_food, start_water=rules.newborn_water)
    return give_birth(realm.replace(agents=agents), births, start, config, by_parents=True), births


def birthplace(realm: Realm, word: UInt32[Array, "N"], config: Config) -> tuple[Int32[Array, "N"], Int32[Array, "N"]]:
    """Row and column of a newborn of each agent: one of the neighbouring tiles that can be entered and are not lava,
    each as likely, in the order of ``DIRECTIONS``; the parent's own where there is none.
    """
    step = jnp.asarray(DIRECTIONS, jnp.int32)
    row = realm.agents.row.astype(jnp.int32)[:, None] + step[None, :, 0]
    col = realm.agents.col.astype(jnp.int32)[:, None] + step[None, :, 1]
    material = realm.tiles.material.reshape(-1).at[row * config.columns + col].get(mode="clip")
    safe = can_enter(realm.tiles, row, col, config) & (material != Material.LAVA)
    beside = safe[:, 1:]
    direction = jnp.where(beside.any(axis=1), 1 + jax.vmap(uniform)(word, beside), 0)[:, None]
    return jnp.take_along_axis(row, direction, axis=1)[:, 0], jnp.take_along_axis(col, direction, axis=1)[:, 0]
