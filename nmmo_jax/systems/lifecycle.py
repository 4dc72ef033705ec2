"""Lifecycle: the dead and the expired leave, newborns arrive. Reads Tiles.spawn_tile; writes Agents,
Realm.next_uid and Probes.killer.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, UInt32

from nmmo_jax.bits import first_set
from nmmo_jax.components import NO_DAMAGE, NO_UID, Births, Outcome, Realm, State, own_columns, per_agent, put_columns
from nmmo_jax.config import Config
from nmmo_jax.declarations import Column
from nmmo_jax.draws import choose
from nmmo_jax.rules import Rules

MOST_IN_TURN = 64  # attempts at a birth one after another, where they need not be
Newborn = Callable[[UInt32[Array, ""], Bool[Array, "P"], Realm], Int32[Array, ""]]  # see ``Environment``


def cull(realm: Realm, outcome: Outcome, config: Config) -> tuple[Realm, Bool[Array, "N"], Bool[Array, "N"]]:
    """Takes the dead, and who has reached ``max_lifetime``, from their places.

    In sequential mode an agent killed after its own turn stays until the next tick's cull.

    Returns:
      The realm, who was terminated and who was truncated.
    """
    agents = realm.agents
    no_health = agents.alive & (agents.health <= 0)
    terminated = agents.alive & outcome.dead
    if config.resolution == "simultaneous":
        terminated |= no_health
    truncated = jnp.zeros_like(terminated)
    if config.max_lifetime is not None:
        expired = agents.alive & (agents.age >= config.max_lifetime)
        terminated |= expired & no_health
        truncated = expired & ~terminated
    leaves = terminated | truncated
    agents = agents.replace(alive=agents.alive & ~leaves, uid=jnp.where(leaves, NO_UID, agents.uid))
    here = agents.alive | truncated  # who was truncated looks once more

    def kept(system: str, column: Column) -> jax.Array:
        values = realm.of[system][column.name]
        return jnp.where(per_agent(here, values), values, column.blank)

    own = _columns(config, kept)
    return realm.replace(agents=agents, of=put_columns(realm.of, own)), terminated, truncated


def plan_births(
    realm: Realm,
    occupied: Bool[Array, "N"],
    passed: Bool[Array, "A"],
    words: UInt32[Array, "A 3"],
    rules: Rules,
    config: Config,
    newborn: Newborn | None = None,
) -> Births:
    """Attempts at a birth, in order, each seeing the result of the one before.

    Args:
      occupied: slots that count as filled and cannot be given away.
      passed: which attempts take place at all (their coin).
      words: raw words (coin, population, tile) of each attempt.
      newborn: as in ``Environment``.

    Raises:
      ValueError: ``newborn`` does not return one whole number.
    """
    attempts, populations = words.shape[0], config.num_populations
    cap = jnp.minimum(rules.population_cap, config.num_agents)
    has_tile = realm.tiles.num_spawn_tiles > 0
    blocks = config.layout == "blocks"
    groups = populations if blocks else 1  # slots are handed out within a group
    group_size = config.num_agents // groups
    places = occupied.reshape(groups, group_size)
    free = first_set(~places.T, min(attempts, group_size))
    group = jnp.arange(groups, dtype=jnp.int32)
    room = jnp.full(groups, config.num_agents, jnp.int32)
    if blocks:
        room = cap // groups + (group < cap % groups).astype(jnp.int32)
    filled = places.sum(axis=1, dtype=jnp.int32)

    if newborn is None and attempts > MOST_IN_TURN and groups <= MOST_IN_TURN:
        chosen, rank = _attempts(passed & has_tile, words[:, 1], filled, room, cap)
        population = chosen if blocks else choose(words[:, 1], populations)
        slot = jnp.where(chosen >= 0, chosen * group_size + free[rank, chosen], -1)
    else:
        slot, population = _in_turn(passed & has_tile, words, free, filled, room, cap, realm, config, newborn)
    succeeds = slot >= 0
    uid = realm.next_uid + jnp.cumsum(succeeds, dtype=jnp.int32) - 1
    place = realm.tiles.spawn_tile[choose(words[:, 2], realm.tiles.num_spawn_tiles)]
    nothing = jnp.full(attempts, -1, jnp.int32)
    return Births(
        slot=slot.astype(jnp.int32),
        uid=jnp.where(succeeds, uid, NO_UID),
        parent_uid=nothing,
        population=jnp.where(succeeds, population, nothing),
        row=jnp.where(succeeds, place // config.columns, nothing),
        col=jnp.where(succeeds, place % config.columns, nothing),
    )


def _in_turn(
    passed: Bool[Array, "A"],
    words: UInt32[Array, "A 3"],
    free: Int32[Array, "K G"],
    filled: Int32[Array, "G"],
    room: Int32[Array, "G"],
    cap: Int32[Array, ""],
    realm: Realm,
    config: Config,
    newborn: Newborn | None,
) -> tuple[Int32[Array, "A"], Int32[Array, "A"]]:
    """Slot and population of each attempt, one after another; slot -1 where it fails."""
    blocks, populations, groups = config.layout == "blocks", config.num_populations, filled.size
    group, group_size = jnp.arange(groups, dtype=jnp.int32), config.num_agents // groups

    def attempt(carry, inputs):
        born, total = carry
        passed, word = inputs
        eligible = (filled + born < room) & (total < cap)
        if newborn is None:
            chosen, possible = uniform(word[1], eligible), eligible.sum(dtype=jnp.int32) > 0
            population = chosen if blocks else choose(word[1], populations)
        else:
            room_in = jnp.broadcast_to(eligible, populations)
            population = _scalar(newborn(word[1], room_in, realm))
            possible = (room_in & (jnp.arange(populations, dtype=jnp.int32) == population)).any()
            chosen = jnp.where(possible, population, 0) if blocks else 0
        succeeds = passed & possible
        slot = jnp.where(succeeds, chosen * group_size + free[born[chosen], chosen], -1)
        born = born + (succeeds & (group == chosen)).astype(jnp.int32)
        return (born, total + succeeds.astype(jnp.int32)), (slot, population)

    carry = (jnp.zeros(groups, jnp.int32), filled.sum(dtype=jnp.int32))
    return jax.lax.scan(attempt, carry, (passed, words), unroll=min(len(passed), 4))[1]


def _attempts(
    passed: Bool[Array, "A"],
    word: UInt32[Array, "A"],
    filled: Int32[Array, "G"],
    room: Int32[Array, "G"],
    cap: Int32[Array, ""],
) -> tuple[Int32[Array, "A"], Int32[Array, "A"]]:
    """Group of each attempt, -1 where it fails, and how many were born into that group before: as one after another.

    What an attempt can choose from changes only when a group fills up or the cap is reached. Up to there all attempts
    are made at once, then those that follow: as many times as groups fill up, and once more.
    """
    number = jnp.arange(passed.size, dtype=jnp.int32)
    group = jnp.arange(filled.size, dtype=jnp.int32)

    def eligible(filled):
        return (filled < room) & (filled.sum(dtype=jnp.int32) < cap)

    def more(carry):
        begin, filled, *_ = carry
        return (begin < passed.size) & eligible(filled).any()

    def stage(carry):
        begin, filled, chosen, rank = carry
        possible = eligible(filled)
        choice = choose(word, possible.sum(dtype=jnp.int32))
        choice = (jnp.cumsum(possible, dtype=jnp.int32) <= choice[:, None]).sum(axis=1, dtype=jnp.int32)
        tries = passed & (number >= begin)
        with_them = filled + jnp.cumsum(tries[:, None] & (choice[:, None] == group), axis=0, dtype=jnp.int32)
        changes = (jax.vmap(eligible)(with_them) != possible).any(axis=1)
        end = jnp.where(changes.any(), jax.lax.argmax(changes, 0, jnp.int32), passed.size - 1)
        born = tries & (number <= end)
        chosen = jnp.where(born, choice, chosen)
        own = jnp.take_along_axis(with_them, choice[:, None], axis=1)[:, 0]
        return end + 1, with_them[end], chosen, jnp.where(born, own - 1, rank)

    nobody = jnp.full(passed.size, -1, jnp.int32)
    _, _, chosen, rank = jax.lax.while_loop(more, stage, (jnp.int32(0), filled, nobody, nobody))
    return chosen, rank - filled[chosen]


def uniform(word: UInt32[Array, ""], possible: Bool[Array, "K"]) -> Int32[Array, ""]:
    """Index of one of those that are possible, each as likely; 0 if none is. ``word``: raw chance."""
    chosen = choose(word, possible.sum(dtype=jnp.int32))
    return jax.lax.argmax(jnp.cumsum(possible, dtype=jnp.int32) > chosen, 0, jnp.int32)


def _scalar(population: jax.Array) -> Int32[Array, ""]:
    population = jnp.asarray(population)
    if population.shape or not jnp.issubdtype(population.dtype, jnp.integer):
        raise ValueError(
            f"newborn: gave {population.dtype} of shape {population.shape}: must give one whole number, a population"
        )
    return population.astype(jnp.int32)


def give_birth(realm: Realm, births: Births, rules: Rules, config: Config, by_parents: bool = False) -> Realm:
    """Fills slots with the newborns of the births table.

    Args:
      by_parents: whether row k is what the agent in slot k gave birth to, who inherits what is inherited.

    By scatter, which XLA does not fuse into what looks at the agents next: a select here would have it compute the
    whole tick anew for every pair of agents, and a step with observations take three times as long. What systems keep
    is not compared in pairs: there a select is as fast on a CPU, and 20 launches fewer on a GPU in ``mmo``.
    """
    agents, n = realm.agents, realm.agents.alive.size
    succeeds = births.slot >= 0
    slot = jnp.where(succeeds, births.slot, n)

    def fill(column: jax.Array, newborn: jax.Array | int) -> jax.Array:
        return column.at[..., slot].set(jnp.asarray(newborn, column.dtype), mode="drop")

    agents = agents.replace(
        alive=fill(agents.alive, 1),
        uid=fill(agents.uid, births.uid),
        population=fill(agents.population, births.population),
        row=fill(agents.row, births.row),
        col=fill(agents.col, births.col),
        health=fill(agents.health, rules.start_health),
        food=fill(agents.food, rules.start_food),
        water=fill(agents.water, rules.start_water),
        freeze=fill(agents.freeze, 0),
        age=fill(agents.age, 0),
        damage=fill(agents.damage, NO_DAMAGE),
    )
    probes = realm.probes
    if probes.killer is not None:
        probes = probes.replace(killer=jax.tree.map(lambda column: fill(column, -1), probes.killer))
    next_uid = realm.next_uid + succeeds.sum(dtype=jnp.int32)
    born = agents.alive & ~realm.agents.alive

    def begin(column: jax.Array, newborn: jax.Array | int) -> jax.Array:
        if jnp.ndim(newborn):
            return fill(column, newborn)
        return jnp.where(born, jnp.asarray(newborn, column.dtype), column)

    given = newborn_columns(rules, config, realm.of if by_parents else None)
    own = jax.tree.map(begin, own_columns(realm.of, realm.tiles), given)
    return realm.replace(agents=agents, probes=probes, next_uid=next_uid, of=put_columns(realm.of, own))


def newborn_columns(rules: Rules, config: Config, parents: State | None = None) -> dict[str, dict[str, Any]]:
    """What newborns have in the columns of systems: one number, or ``[*K, N]`` where it is inherited.

    Args:
      parents: what systems keep, for those born by the agents of each slot.
    """

    def given(system: str, column: Column) -> Any:
        if column.inherited and parents is not None:
            return parents[system][column.name]
        return _newborn(column, rules.of.get(system, {}))

    return _columns(config, given)


def _columns(config: Config, function: Callable[[str, Column], Any]) -> dict[str, dict[str, Any]]:
    """A value for every column of agents, by system and name."""
    given = {one.name: {column.name: function(one.name, column) for column in one.agents} for one in config.systems}
    return {system: own for system, own in given.items() if own}


def _newborn(column: Column, rules: dict[str, jax.Array]) -> jax.Array | int:
    """A number, or a rule of the column's system."""
    if not isinstance(column.newborn, str):
        return int(column.newborn or 0)
    rule = rules[column.newborn]
    return jnp.clip(jnp.round(rule).astype(jnp.int32), *column.bounds)
