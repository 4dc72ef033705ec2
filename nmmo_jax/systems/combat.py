"""Combat: who aims at whom, and what the hits do. Reads and writes Agents and Probes.killer."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from nmmo_jax.components import NO_UID, Cause, Killer, Outcome, Realm
from nmmo_jax.config import MAX_AMOUNT, STYLES, Config
from nmmo_jax.rules import Rules
from nmmo_jax.systems.phases import shared

MAGE = STYLES.index("mage")
NOBODY = 2**31 - 1  # above every uid


def aim(
    realm: Realm,
    acting: Bool[Array, "N"],
    targetable: Bool[Array, "N"],
    style: Int32[Array, "N"],
    target: Int32[Array, "N"],
    rules: Rules,
) -> Bool[Array, "N"]:
    """Whose attack is legal: an existing other agent within the style's Chebyshev range, from before moving.

    ``style`` is 0 to 2; ``target`` is a slot, or -1 for nobody.
    """
    agents = realm.agents
    slot = jnp.maximum(target, 0)
    rows, columns = (
        jnp.abs(place.astype(jnp.int32) - place[slot].astype(jnp.int32)) for place in (agents.row, agents.col)
    )
    other = (target >= 0) & (target != jnp.arange(target.size, dtype=jnp.int32)) & targetable[slot]
    return acting & rules.attacks_enabled & other & (jnp.maximum(rows, columns) <= rules.attack_range[style])


def strike(
    realm: Realm,
    outcome: Outcome,
    attacks: Bool[Array, "N"],
    style: Int32[Array, "N"],
    target: Int32[Array, "N"],
    rules: Rules,
    config: Config,
) -> tuple[Realm, Outcome]:
    """Resolves all attacks at once: damage, losses and gains are summed per agent, then clamped once."""
    agents = realm.agents
    immune = agents.age < rules.immunity_ticks
    slot = jnp.maximum(target, 0)
    hits = attacks & ~(rules.immunity_blocks_drain & immune[slot])
    amount = jnp.where(hits, _damage(realm, style, slot, rules, config), 0)
    at = jnp.where(hits, target, target.size)  # beyond the table: dropped

    lost = jnp.zeros(target.size, jnp.int32).at[at].add(amount, mode="drop")
    frozen = jnp.zeros(target.size, bool).at[at].max(style == MAGE, mode="drop")
    harm = jnp.where(immune, 0, lost)
    old_food, old_water, old_health = (stat.astype(jnp.int32) for stat in (agents.food, agents.water, agents.health))
    health = jnp.where(harm > 0, jnp.maximum(old_health - harm, 0), old_health)
    food, food_gained, food_drained = _exchange(old_food, lost, amount, rules.max_food)
    water, water_gained, water_drained = _exchange(old_water, lost, amount, rules.max_water)
    killed = (agents.health > 0) & (health <= 0) & ~outcome.dead  # who burns in lava dies of it

    probes = realm.probes
    if probes.killer is not None:
        killer = _killers(realm, at, style, jnp.where(immune[slot], 0, amount))
        killer = jax.tree.map(lambda new, old: jnp.where(killed, new, old), killer, probes.killer)
        probes = probes.replace(killer=killer)
    outcome = outcome.replace(
        cause=jnp.where(killed, Cause.COMBAT, outcome.cause),
        attack_target=jnp.where(hits, target, outcome.attack_target),
        attack_style=jnp.where(hits, style, outcome.attack_style),
        attack_damage=jnp.where(hits & ~immune[slot], amount, outcome.attack_damage),
        damage_taken=outcome.damage_taken + (old_health - health),
        food_gained=outcome.food_gained + food_gained,
        water_gained=outcome.water_gained + water_gained,
        food_drained=outcome.food_drained + food_drained,
        water_drained=outcome.water_drained + water_drained,
    )
    agents = agents.replace(
        health=health.astype(jnp.int16),
        food=food.astype(jnp.int16),
        water=water.astype(jnp.int16),
        freeze=jnp.where(frozen, rules.freeze_ticks.astype(jnp.int16), agents.freeze),
        damage=jnp.where(harm > 0, harm, agents.damage),
    )
    return realm.replace(agents=agents, probes=probes), outcome


def _damage(realm: Realm, style: Int32[Array, "N"], slot: Int32[Array, "N"], rules: Rules, config: Config) -> jax.Array:
    """What each attack asks of its target: that of its style, and what systems add and take away."""
    base = rules.attack_damage[style]
    offence, defence = (shared(name, realm, config) for name in ("offence", "defence"))
    damage = base if offence is None else jnp.where(base > 0, base + offence, base)
    damage = damage if defence is None else damage - defence[slot]
    return damage if damage is base else jnp.clip(damage, 0, MAX_AMOUNT)


def _exchange(
    stat: Int32[Array, "N"], lost: Int32[Array, "N"], gain: Int32[Array, "N"], most: jax.Array
) -> tuple[Int32[Array, "N"], Int32[Array, "N"], Int32[Array, "N"]]:
    """The new value, clip(stat - lost + gain, 0, most), and what was really gained and drained."""
    involved = (lost > 0) | (gain > 0)
    after = jnp.where(involved, jnp.clip(stat - lost + gain, 0, most), stat)
    drained = jnp.where(involved, jnp.minimum(lost, stat + gain), 0)
    return after, after - stat + drained, drained


def _killers(realm: Realm, at: Int32[Array, "N"], style: Int32[Array, "N"], harm: Int32[Array, "N"]) -> Killer:
    """Per target: uid and style of the attacker with the largest damage, then the oldest; -1 if none."""
    uid, n = realm.agents.uid, at.size
    largest = jnp.zeros(n, jnp.int32).at[at].max(harm, mode="drop")
    leads = (harm > 0) & (harm == largest.at[at].get(mode="clip"))
    killer = jnp.full(n, NOBODY, jnp.int32).at[jnp.where(leads, at, n)].min(uid, mode="drop")
    is_killer = leads & (uid == killer.at[at].get(mode="clip"))
    killer_style = jnp.full(n, -1, jnp.int32).at[jnp.where(is_killer, at, n)].set(style, mode="drop")
    return Killer(uid=jnp.where(killer == NOBODY, NO_UID, killer), style=killer_style)
