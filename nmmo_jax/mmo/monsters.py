"""Monsters: they appear by the danger of a place, wander, flee or hunt, and are hunted.

Rules: docs/rulebook-mmo.md, The world and Monsters.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from nmmo_jax.common.apart import apart
from nmmo_jax.common.lookup import one_of
from nmmo_jax.declarations import STYLES, Argument, Column, Goal, Head, Listing, Phase, Rule, Table
from nmmo_jax.draws import choose, coin
from nmmo_jax.goals import View
from nmmo_jax.mmo.hunting import MOST_SIGHT, nearest
from nmmo_jax.paths import Bits
from nmmo_jax.system import System
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.systems.world import World
from nmmo_jax.values import check_int

CHICKEN, GOBLIN, TROLL = range(3)
KINDS = ("chicken", "goblin", "troll")
ATTEMPTS = 8  # at an appearance, per tick
LEVELS = 10
APPEAR, MOVE, STRIKE = range(3)  # counters of chance
NOBODY = 2**31 - 1  # above every uid


def danger(world: World, row: Int32[Array, "*B"], col: Int32[Array, "*B"]) -> Int32[Array, "*B"]:
    """From 0 where the land begins to 100 in the middle of the map."""
    (rows, columns), border = world.tiles.size, world.config.border
    edge = jnp.minimum(jnp.minimum(row, rows - 1 - row), jnp.minimum(col, columns - 1 - col))
    half = jnp.maximum((jnp.minimum(rows, columns) - 1) // 2 - border, 1)
    return jnp.clip(100 * (edge - border) // half, 0, 100)


def appear(world: World) -> World:
    """Attempts of new ones, uniformly over the map."""
    words, rule = world.words_of((ATTEMPTS, 2), APPEAR), world.rule
    row, col = (choose(words[:, 0, axis], world.tiles.size[axis]) for axis in range(2))
    can = _can_stand(world, row, col)
    room = rule.cap - world["monsters"]["alive"].sum(dtype=jnp.int32)
    at = danger(world, row, col)
    kind = (at >= rule.neutral_from).astype(jnp.int32) + (at >= rule.aggressive_from).astype(jnp.int32)
    return world.add(
        "monsters",
        can & (jnp.cumsum(can, dtype=jnp.int32) <= room),
        row=row,
        col=col,
        kind=kind,
        level=1 + (LEVELS - 1) * at // 100,
        health=_health_of(world)[kind],
        style=choose(words[:, 1, 0], len(STYLES)),
    )


def aim(world: World) -> World:
    """Whom an agent will strike: a monster within reach of where it stands before it moves."""
    prey = world.chosen("prey")
    monster = world.row("monsters", prey)
    near = world.distance(monster["row"], monster["col"]) <= world.rules.attack_range[world.chosen("style")]
    return world.set(prey=jnp.where(monster["alive"] & near, prey, -1), slain_kind=-1, slain_level=0)


def strike(world: World) -> World:
    """Agents' attacks on their prey; what they do is summed when all have had their turns."""
    assert world.outcome is not None
    hits = world.acting & (world["prey"] >= 0) & (world.outcome.attack_target < 0)
    monster = world.row("monsters", world["prey"])
    damage = world.attack(world.chosen("style"), monster["style"], world.rule.defence_per_level * monster["level"])
    return world.set(prey=jnp.where(hits, world["prey"], -1)).tell("monster_hit", hits, damage)


def live(world: World) -> World:
    """What was done to monsters, and then what they do, all at once."""
    world, struck = _suffer(world)
    table, rule = world["monsters"], world.rule
    alive, kind = table["alive"], table["kind"]
    foe, distance = _foes(world, table)
    has_foe = alive & (foe >= 0)
    reach = world.rules.attack_range[table["style"]]
    strikes = has_foe & (kind != CHICKEN) & (distance <= reach)
    world = _attack(world, table, foe, strikes)
    row, col = _step(world, table, foe, alive & ~strikes)
    health = table["health"]
    healed = jnp.where(struck, health, jnp.minimum(health + rule.healing, jnp.maximum(_health_of(world)[kind], health)))
    return world.set(monsters={**table, "row": row, "col": col, "health": healed})


def _suffer(world: World) -> tuple[World, Bool[Array, "M"]]:
    """Damage of this tick's attacks, summed per monster; who was killed by whom, and whom the others remember."""
    table, uid = world["monsters"], world.agents.uid
    told, number = world.told("monster_hit"), table["alive"].size
    prey = jnp.where(told.happened, world["prey"], -1)
    at = jnp.where(prey >= 0, prey, number)  # beyond the table: dropped
    lost = jnp.zeros(number, jnp.int32).at[at].add(told.amount, mode="drop")
    most = jnp.zeros(number, jnp.int32).at[at].max(told.amount, mode="drop")
    leads = (prey >= 0) & (told.amount > 0) & (told.amount == most[prey])
    leader = jnp.full(number, NOBODY, jnp.int32).at[jnp.where(leads, at, number)].min(uid, mode="drop")
    is_leader = leads & (leader[prey] == uid)
    slot = jnp.arange(uid.size, dtype=jnp.int32)
    foe = jnp.full(number, -1, jnp.int32).at[jnp.where(is_leader, at, number)].set(slot, mode="drop")

    struck = table["alive"] & (lost > 0)
    health = jnp.maximum(table["health"] - lost, 0)
    dies = struck & (health == 0)
    killed = is_leader & dies[prey]
    world = world.set(
        slain_kind=jnp.where(killed, table["kind"][prey], -1), slain_level=jnp.where(killed, table["level"][prey], 0)
    ).tell("monster_killed", killed, table["level"][prey])

    memory = jnp.where(struck, world.rule.remembers, jnp.maximum(table["memory"] - 1, 0))
    foe, leader = jnp.where(struck, foe, table["foe"]), jnp.where(struck, leader, table["foe_uid"])
    there = (memory > 0) & (foe >= 0) & world.acting[foe] & (uid[foe] == leader)
    columns = {"alive": table["alive"] & ~dies, "health": health, "memory": jnp.where(there, memory, 0)}
    columns |= {"foe": jnp.where(there, foe, -1), "foe_uid": jnp.where(there, leader, -1)}
    return world.set(monsters=columns), struck


def _foes(world: World, table: dict[str, Any]) -> tuple[Int32[Array, "M"], Int32[Array, "M"]]:
    """The slot of whom each hunts or flees from, -1 for nobody, and how far away that is."""
    agents, sight = world.agents, world.rule.sight
    known = table["foe"]
    row, col = _places(world, known)
    to_known = jnp.maximum(jnp.abs(row - table["row"]), jnp.abs(col - table["col"]))
    remembered = (known >= 0) & (to_known <= sight)
    hunts = table["alive"] & (table["kind"] == TROLL)
    seen = world.acting & (agents.age >= world.rules.immunity_ticks)
    found, least = nearest(world, seen, table["row"], table["col"], hunts)
    foe = jnp.where(remembered, known, jnp.where(hunts & (least <= sight), found, -1))
    return apart((foe, jnp.where(remembered, to_known, least)))


def _places(world: World, slot: Int32[Array, "M"]) -> tuple[Int32[Array, "M"], Int32[Array, "M"]]:
    """Row and column of the agents in these slots."""
    code = apart(world.agents.row.astype(jnp.int32) << 16 | world.agents.col.astype(jnp.int32))  # one look for both
    found = apart(code.at[slot].get(mode="clip"))
    return found >> 16, found & 0xFFFF


def _attack(world: World, table: dict[str, Any], foe: Int32[Array, "M"], strikes: Bool[Array, "M"]) -> World:
    """Damage of all who strike an agent, summed; the immune take none."""
    rule, n = world.rule, world.config.num_agents
    word = world.words_of(foe.shape, STRIKE)[:, 0]
    offence = rule.offence_per_level * table["level"]
    damage = world.damage(table["style"], world.shared("stance")[foe], offence, world.shared("defence")[foe], word)
    at = jnp.where(strikes, foe, n)
    lost = jnp.zeros(n, jnp.int32).at[at].add(damage, mode="drop")
    hurt = (lost > 0) & (world.agents.age >= world.rules.immunity_ticks)
    return world.tell("monster_attack", hurt, lost).hurt(hurt, lost, "monster")


def _step(
    world: World, table: dict[str, Any], foe: Int32[Array, "M"], moves: Bool[Array, "M"]
) -> tuple[Int32[Array, "M"], Int32[Array, "M"]]:
    """One tile towards the foe, or away from it, or anywhere; along the second axis where the first is closed."""
    words = world.words_of(foe.shape, MOVE)
    row, col = table["row"], table["col"]
    foe_row, foe_col = _places(world, foe)
    down, right = foe_row - row, foe_col - col
    flees = table["kind"] == CHICKEN
    by_chance = jnp.where(words[:, 1] & 1 == 1, -1, 1)

    def sense(difference):
        away = jnp.where(difference == 0, by_chance, -jnp.sign(difference))
        return jnp.where(flees, away, jnp.sign(difference))

    rows_first = jnp.abs(down) >= jnp.abs(right)
    zero = jnp.zeros_like(row)
    along_rows, along_columns = (sense(down), zero), (zero, sense(right))
    first, second = (
        tuple(jnp.where(order, one, other) for one, other in zip(along_rows, along_columns, strict=True))
        for order in (rows_first, ~rows_first)
    )
    has_foe = foe >= 0
    anywhere = np.array(DIRECTIONS, np.int32).T
    direction = 1 + choose(words[:, 1], 4)
    some = (one_of(axis, direction) for axis in anywhere)
    first = tuple(jnp.where(has_foe, one, other) for one, other in zip(first, some, strict=True))
    moves &= has_foe | coin(words[:, 0], world.rule.wander)

    def can(step):
        down, right = step
        return ((down != 0) | (right != 0)) & _can_stand(world, row + down, col + right)

    goes_first = moves & can(first)
    goes_second = moves & has_foe & ~goes_first & can(second)
    return tuple(
        at + jnp.where(goes_first, one, jnp.where(goes_second, other, 0))
        for at, one, other in zip((row, col), first, second, strict=True)
    )


def _can_stand(world: World, row: Int32[Array, "*B"], col: Int32[Array, "*B"]) -> Bool[Array, "*B"]:
    return world.can_enter(*apart((row, col)), but=("lava",))


def _health_of(world: World) -> Int32[Array, "3"]:
    """What a monster of each kind has when it is well."""
    return jnp.stack([getattr(world.rule, f"{kind}_health") for kind in KINDS]).astype(jnp.int32)


def in_reach(world: World) -> Bool[Array, "N K"]:
    """Which of the monsters that an agent sees it can strike with one of the styles."""
    return world.away("monsters_in_view") <= world.rules.attack_range.max()


def in_view(view: View) -> Bits:
    """Tiles on which an agent sees monsters."""
    return view.listed("monsters_in_view")


def monsters(capacity: int = 128) -> System:
    """The unit, for at most so many monsters at a time.

    Raises:
      ValueError: fewer than 1, or more than 65,536.
    """
    capacity = check_int("monsters: capacity", capacity, 1, 65_536)
    return System(
        name="monsters",
        meaning="chickens that flee, goblins that fight back, and trolls that hunt, the stronger the farther inland",
        rules=(
            Rule("cap", capacity, "monsters", "how many there are at most", high=capacity),
            Rule("neutral_from", 50, "danger", "from which danger goblins appear", high=101),
            Rule("aggressive_from", 80, "danger", "from which danger trolls appear", high=101),
            Rule("chicken_health", 20, "health", "of a chicken that is well", low=1),
            Rule("goblin_health", 60, "health", "of a goblin that is well", low=1),
            Rule("troll_health", 100, "health", "of a troll that is well", low=1),
            Rule("offence_per_level", 8, "offence", "of a monster, for each of its levels", high=3_000),
            Rule("defence_per_level", 8, "defence", "of a monster, for each of its levels", high=3_000),
            Rule("sight", 5, "tiles", "as far as which they notice agents", high=MOST_SIGHT),
            Rule("remembers", 10, "ticks", "for which it is known who attacked"),
            Rule("healing", 1, "health", "healed in a tick without an attack"),
            Rule("wander", 0.5, "per tick", "that one without a foe takes a step", dtype="float32", high=1),
        ),
        agents=(
            Column("prey", "int32", empty=-1, low=-1, meaning="the row of the monster that it strikes; -1: none"),
            Column("slain_kind", "int8", empty=-1, low=-1, high=TROLL, meaning="what it has killed in this tick"),
            Column("slain_level", "uint8", high=LEVELS, meaning="of what level that was"),
        ),
        tables=(
            Table(
                "monsters",
                capacity,
                (
                    Column("row"),
                    Column("col"),
                    Column("kind", "uint8", high=TROLL, category=True, names=KINDS),
                    Column("level", "uint8", high=LEVELS),
                    Column("health", low=0),
                    Column("style", "uint8", high=len(STYLES) - 1, category=True, names=STYLES),
                    Column("foe", "int32", empty=-1, low=-1, meaning="slot of who attacked it; -1: not remembered"),
                    Column("foe_uid", "int32", empty=-1, low=-1),
                    Column("memory", low=0, meaning="ticks for which that is still remembered"),
                ),
            ),
        ),
        stats=("health",),
        causes=("monster",),
        events=("monster_hit", "monster_killed", "monster_attack"),
        observe=(
            Listing(
                "monsters_in_view",
                table="monsters",
                most=16,
                near=3,
                columns=("row", "col", "kind", "level", "health", "style"),
            ),
        ),
        goals=(Goal("monster", in_view, "the nearest monster"),),
        heads=(
            Head(
                "hunt",
                (Argument("prey", among="monsters_in_view", mask=in_reach, meaning="which monster to strike"),),
            ),
        ),
        phases=(Phase("vitals", aim), Phase("act", strike), Phase("settle", live), Phase("end", appear)),
    )


MONSTERS, MONSTERS_2048 = monsters(), monsters(2_048)
