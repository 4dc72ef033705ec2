"""Combat: who aims at whom, and what the hits do. Reads and writes Agents and Probes.killer."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Int32, UInt32

from nmmo_jax.common.lookup import one_of
from nmmo_jax.components import NO_UID, Cause, Draws, Killer, Outcome, Realm
from nmmo_jax.config import MAX_AMOUNT, STYLES, Config
from nmmo_jax.declarations import SHARED
from nmmo_jax.draws import words
from nmmo_jax.rules import OwnRules, Rules
from nmmo_jax.system import System
from nmmo_jax.systems.tables import whole

MAGE = STYLES.index("mage")
BLOW = -2  # counter of the chance of an agent's attack
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
    draws: Draws,
    rules: Rules,
    config: Config,
) -> tuple[Realm, Outcome]:
    """Resolves all attacks at once: damage, losses and gains are summed per agent, then clamped once.

    Where a system says what attacks do, they take no food and water.
    """
    agents = realm.agents
    immune = agents.age < rules.immunity_ticks
    slot = jnp.maximum(target, 0)
    hits = attacks & ~(rules.immunity_blocks_drain & immune[slot])
    amount = jnp.where(hits, _damage(realm, style, slot, draws, rules, config), 0)
    drain = amount if blow_of(config) is None else jnp.zeros_like(amount)
    at = jnp.where(hits, target, target.size)  # beyond the table: dropped

    lost = jnp.zeros(target.size, jnp.int32).at[at].add(amount, mode="drop")
    frozen = jnp.zeros(target.size, bool).at[at].max(style == MAGE, mode="drop")
    harm = jnp.where(immune, 0, lost)
    old_food, old_water, old_health = (stat.astype(jnp.int32) for stat in (agents.food, agents.water, agents.health))
    health = jnp.where(harm > 0, jnp.maximum(old_health - harm, 0), old_health)
    drained = lost if drain is amount else jnp.zeros_like(lost)
    food, food_gained, food_drained = _exchange(old_food, drained, drain, rules.max_food)
    water, water_gained, water_drained = _exchange(old_water, drained, drain, rules.max_water)
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


def _damage(
    realm: Realm, style: Int32[Array, "N"], slot: Int32[Array, "N"], draws: Draws, rules: Rules, config: Config
) -> jax.Array:
    """What each attack asks of its target: that of its style, and what systems add and take away."""
    defence = shared("defence", realm, config)
    if blow_of(config) is not None:
        stance = shared("stance", realm, config)
        nobody = jnp.full_like(style, -1)
        defence = jnp.zeros_like(style) if defence is None else defence[slot]
        stance = nobody if stance is None else stance[slot]
        return attack(realm, style, stance, defence, draws, rules, config)
    offence = offence_of(realm, style, rules, config)
    damage = offence if defence is None else offence - defence[slot]
    plain = defence is None and shared("offence", realm, config, style) is None
    return damage if plain else jnp.clip(damage, 0, MAX_AMOUNT)


def offence_of(realm: Realm, style: Int32[Array, "N"], rules: Rules, config: Config) -> Int32[Array, "N"]:
    """What agents bring to attacks in these styles: the damage of the style, and what systems add where it has some."""
    base, more = rules.attack_damage[style], shared("offence", realm, config, style)
    return base if more is None else jnp.where(base > 0, base + more, base)


def attack(
    realm: Realm,
    style: Int32[Array, "N"],
    stance: Int32[Array, "N"],
    defence: Int32[Array, "N"],
    draws: Draws,
    rules: Rules,
    config: Config,
) -> Int32[Array, "N"]:
    """What each agent's attack does, on whomever with that stance and defence; the chance is the agent's own."""
    offence, word = offence_of(realm, style, rules, config), jnp.zeros(style.shape, jnp.uint32)
    if (system := blow_of(config)) is not None:
        uid, key = realm.agents.uid, jax.random.wrap_key_data(draws.of[system.name], impl="threefry2x32")
        word = words(key, uid, jnp.full_like(uid, BLOW))[0]
    return damage_of(style, stance, offence, defence, word, rules, config)


def blow_of(config: Config) -> System | None:
    """The system that says what an attack does; None: none."""
    return next((system for system in config.systems if system.blow is not None), None)


def damage_of(
    style: Int32[Array, "*B"],
    stance: Int32[Array, "*B"],
    offence: Int32[Array, "*B"],
    defence: Int32[Array, "*B"],
    word: UInt32[Array, "*B"],
    rules: Rules,
    config: Config,
) -> Int32[Array, "*B"]:
    """What attacks do, of whomever on whomever: as the system with a ``blow`` says, else offence less defence."""
    system = blow_of(config)
    if system is None or system.blow is None:
        return jnp.clip(offence - defence, 0, MAX_AMOUNT)
    rule = OwnRules(system.name, rules.of.get(system.name, {}))
    made = system.blow(rule, style, stance, offence, defence, word)
    return jnp.clip(whole(made, f"system {system.name}: blow"), 0, MAX_AMOUNT)


def shared(name: str, realm: Realm, config: Config, style: Int32[Array, "N"] | None = None) -> Int[Array, "N"] | None:
    """The sum of a column of ``SHARED`` over the systems that have it; None where none has.

    Args:
      style: of columns with a number for each style, which.
    """
    assert name in SHARED
    having = [system.name for system in config.systems if name in {one.name for one in system.agents}]
    found = [realm.of[system][name] for system in having]
    if style is not None:
        found = [one if one.ndim == 1 else one_of(one, style) for one in found]
    return sum(column.astype(jnp.int32) for column in found) if found else None  # pyright: ignore[reportReturnType]


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
