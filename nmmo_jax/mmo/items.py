"""Items: what agents carry, wear, use, give away, and take from those they kill."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int8, Int32, UInt32

from nmmo_jax.common.apart import apart
from nmmo_jax.components import Outcome
from nmmo_jax.config import STYLES
from nmmo_jax.declarations import Argument, Column, Head, Leaf, Listing, Phase, Rule
from nmmo_jax.draws import choose, coin
from nmmo_jax.kinds import Cause
from nmmo_jax.mmo import packs
from nmmo_jax.mmo.kinds import (
    CHISEL,
    DROPS,
    FISH,
    HERB,
    KINDS,
    MAX_LEVEL,
    MEAT,
    NONE,
    POTION,
    RATION,
    RUNES,
    SKILLS,
    SPEAR,
    STACK,
    WHETSTONE,
)
from nmmo_jax.mmo.packs import HAND, PLACES, Pack
from nmmo_jax.system import System
from nmmo_jax.systems.world import World

PURSE = 30_000  # the most gold an agent can have


def place_for(world: World, kind: Any, level: Any, amount: Any) -> Int32[Array, "N"]:
    """The place of each agent's pack into which so many items would be put, -1 where they do not fit.

    Args:
      world: of any system that needs this one.
      kind, level, amount: ``[N]``, or one for all.
    """
    return packs.place_in(carried(world), kind, level, amount)


def put(world: World, who: Bool[Array, "N"], kind: Any, level: Any, amount: Any) -> World:
    """With so many items more in the packs of ``who``, where they fit: called as ``world.through("items", ...)``."""
    return _keep(world, packs.with_item(carried(world), who, kind, level, amount)[0])


def take(world: World, who: Bool[Array, "N"], place: Int32[Array, "N"], amount: Any) -> World:
    """With so many items less in that place of the packs of ``who``; called as ``put``."""
    return _keep(world, packs.without(carried(world), packs.at(jnp.where(who, place, -1)), amount))


def held(world: World) -> tuple[Int32[Array, "N"], Int32[Array, "N"]]:
    """Kind and level of what each agent wears in its hand, 0 and 0 for nothing."""
    item = packs.worn_at(carried(world), HAND)
    return item.kind, item.level


def carried(world: World) -> Pack:
    """What all agents have in their packs."""
    kind, level, quantity = (world[f"items.{name}"].astype(jnp.int8) for name in ("kind", "level", "quantity"))
    return apart(Pack(kind, level, quantity, world["items.worn"]))


def in_combat(world: World) -> Bool[Array, "N"]:
    """Who may not use, destroy, give or craft in this tick, where agents look in the coming one; up to ``settle``."""
    return world["items.busy"] > 0


def act(world: World) -> World:
    """What the attack of this tick uses up; then use, then destroy."""
    pack = carried(world)
    fits = (WHETSTONE + world.chosen("style")).astype(jnp.int8)
    fits, shoots = packs.beside(fits, _hits(world) & world.acting)
    shot = pack.worn & (pack.kind == fits) & shoots
    pack = packs.without(pack, shot, 1)
    world = world.tell("ammunition_used", shot.any(axis=0), 1)
    world, pack = _use(world, pack)
    here = packs.at(apart(jnp.where(in_combat(world), -1, world.chosen("destroy"))))
    amount = jnp.where(here, pack.quantity, 0).sum(axis=0, dtype=jnp.int32)
    world = world.tell("item_destroyed", amount > 0, amount)
    return _keep(world, packs.without(pack, here, STACK))


def settle(world: World) -> World:
    """Gifts, loot of agents, then of monsters; and what all that counts from the next tick on."""
    before = pack = carried(world)
    world, pack = _give(world, pack)
    world, pack, gold, whose = _loot(world, pack, before)
    world, pack, more = _drops(world, pack)
    gold = jnp.minimum(gold + more, PURSE - world["gold"])
    world = world.tell("gold_gained", gold > 0, gold, whose)
    offence, defence = _worn(world, pack)
    struck = _hits(world) | (_outcome(world).damage_taken > 0) | world.told("monster_attack").happened
    busy = jnp.where(struck, world.rule.combat_ticks, world["busy"] - 1)
    return _keep(world, pack).set(gold=world["gold"] + gold, busy=busy, offence=offence, defence=defence)


def _use(world: World, pack: Pack) -> tuple[World, Pack]:
    """Of what is worn takes it off, of what can be puts it on, of food and potions consumes one."""
    place = jnp.where(in_combat(world), -1, world.chosen("use"))
    item = packs.item_at(pack, place)
    uses = _usable(world, Pack(*(part[None] for part in item)))[0]
    eats, wears = apart((uses & (item.kind >= RATION), uses & (item.kind < RATION)))
    here = packs.at(apart(place))
    wearing, worn_as = packs.beside(wears, packs.worn_as(item.kind))
    same = wearing & (packs.worn_as(pack.kind) == worn_as)
    pack = packs.without(pack._replace(worn=jnp.where(same, here & ~pack.worn, pack.worn)), eats[None] & here, 1)
    rule, kind = world.rule, item.kind
    made, found = rule.made + rule.made_per_level * item.level, rule.raw + rule.raw_per_level * item.level
    amount = jnp.where(kind < FISH, made, found)
    world = world.give(eats & ((kind == RATION) | (kind == FISH) | (kind == MEAT)), "food", amount)
    world = world.give(eats & (kind == RATION), "water", amount)
    world = world.heal(eats & ((kind == POTION) | (kind == HERB)), amount)
    return world.tell("item_used", eats, 1).tell("item_worn", wears, jnp.where(item.worn, 0, kind)), pack


def _give(world: World, pack: Pack) -> tuple[World, Pack]:
    """All that is in a place goes to another agent, one gift to each: if it fits beside all that is there."""
    place, to = world.chosen("give_item"), world.chosen("give_to")
    item, slot, agents = packs.item_at(pack, place), jnp.maximum(to, 0), world.agents
    near = world.distance(agents.row[slot], agents.col[slot]) <= world.rule.reach
    able = world.acting & ~in_combat(world) & (item.kind > NONE) & ~item.worn
    able &= (to >= 0) & world.acting[slot] & near
    able &= packs.place_in(packs.packs_of(pack, slot), item.kind, item.level, item.quantity) >= 0
    gives = apart(_foremost(able, slot, world.words(0)[:, 0], agents.uid))
    pack = packs.without(pack, gives[None] & packs.at(place), STACK)
    new = packs.brought(item, jnp.where(gives, to, -1))
    pack, _ = packs.with_item(pack, new.kind > NONE, new.kind, new.level, new.quantity)
    return world.tell("item_given", gives, item.quantity, agents.uid[slot]), pack


def _loot(world: World, pack: Pack, before: Pack) -> tuple[World, Pack, Int32[Array, "N"], Int32[Array, "N"]]:
    """What an agent killed by another had goes to the killer.

    Returns:
      Also the gold that each killer finds, and the uid of whose it was.
    """
    outcome, agents = _outcome(world), world.agents
    slot = jnp.maximum(outcome.attack_target, 0)
    harms = (outcome.attack_target >= 0) & (outcome.attack_damage > 0)
    killer = _foremost(harms, slot, ~outcome.attack_damage.astype(jnp.uint32), agents.uid)
    # Who is killed after its own turn is found dead in the next tick: it takes no more damage there.
    killed = agents.alive & (agents.health <= 0) & (outcome.cause == Cause.COMBAT) & (outcome.damage_taken > 0)
    takes = killer & killed[slot] & world.acting
    after = packs.with_all(pack, takes, packs.packs_of(before, slot))
    amount = (after.quantity - pack.quantity).sum(axis=0, dtype=jnp.int32)
    uid = jnp.where(takes, agents.uid[slot], -1)
    world = world.tell("item_looted", amount > 0, amount, uid)
    return world, after, jnp.where(takes, world["gold"][slot], 0), uid


def _drops(world: World, pack: Pack) -> tuple[World, Pack, Int32[Array, "N"]]:
    """What monsters leave to those who killed them; also the gold of each."""
    slain, level = world.find("monsters.slain_kind", -1), world.find("monsters.slain_level", 0)
    if slain.ndim == 0:  # no such unit
        return world, pack, jnp.zeros(world.config.num_agents, jnp.int32)
    kills = world.acting & (slain >= 0)
    amount = jnp.zeros_like(slain)
    for index in range(max(map(len, DROPS))):
        of = [drops[index] if index < len(drops) else None for drops in DROPS]
        kind, number, probability = (
            sum(jnp.where(slain == monster, one[part], 0) for monster, one in enumerate(of) if one) for part in range(3)
        )
        words = world.words(1 + index)
        falls = kills & coin(words[:, 0], jnp.asarray(probability))
        pack, fits = packs.with_item(pack, falls, kind + choose(words[:, 1], number), level, 1)
        amount += fits.astype(jnp.int32)
    return world.tell("item_dropped", amount > 0, amount), pack, jnp.where(kills, level, 0)


def _worn(world: World, pack: Pack) -> tuple[Int32[Array, "3 N"], Int32[Array, "N"]]:
    """Offence of each style, and defence, of what is worn."""
    rule, style = world.rule, np.arange(len(STYLES), dtype=np.int32)[:, None]
    hand, shots = (packs.worn_at(pack, where) for where in (HAND, packs.AMMUNITION))
    weapon, shot = rule.weapon * (1 + hand.level), rule.ammunition + rule.ammunition_per_level * shots.level
    weapons, ammunition, weapon, shot = packs.beside(hand.kind, shots.kind, weapon, shot)
    offence = jnp.where(weapons == SPEAR + style, weapon, 0) + jnp.where(ammunition == WHETSTONE + style, shot, 0)
    tool = jnp.where((hand.kind >= SPEAR + len(STYLES)) & (hand.kind <= CHISEL), rule.tool, 0)
    return offence, rule.armour * packs.armour_levels(pack) + tool


def _hits(world: World) -> Bool[Array, "N"]:
    """Whose attack hit an agent or a monster in this tick, whatever damage it did."""
    return (_outcome(world).attack_target >= 0) | world.told("monster_hit").happened


def _foremost(
    who: Bool[Array, "N"], of: Int32[Array, "N"], key: UInt32[Array, "N"], uid: Int32[Array, "N"]
) -> Bool[Array, "N"]:
    """Of those ``who`` are concerned with the same agent the one of lowest key, of equals the oldest."""
    n = of.size
    for order, most in ((key, 2**32 - 1), (uid, 2**31 - 1)):
        lowest = jnp.full(n, most, order.dtype).at[jnp.where(who, of, n)].min(order, mode="drop")
        who &= order == lowest[of]
    return who


def _limits(world: World, kind: Int[Array, "P N"]) -> Int8[Array, "P N"]:
    """The highest level at which each agent can use items of these kinds; without the unit skills, any."""
    levels = world.find("skills.level", MAX_LEVEL).astype(jnp.int8)
    if levels.ndim == 0:
        return jnp.broadcast_to(levels, kind.shape)
    skill = jnp.where(kind < WHETSTONE, kind - SPEAR, jnp.where(kind <= RUNES, kind - WHETSTONE, -1))
    limit = jnp.broadcast_to(levels.max(axis=0), kind.shape)
    for index in range(len(SKILLS)):
        limit = jnp.where(skill == index, levels[index], limit)
    return limit


def _usable(world: World, pack: Pack) -> Bool[Array, "P N"]:
    """What can be used, out of combat. Taking off can be done at any level."""
    limits = _limits(world, pack.kind).astype(pack.level.dtype)
    return (pack.kind > NONE) & (pack.kind <= HERB) & (pack.worn | (pack.level <= limits))


def can_use(world: World) -> Bool[Array, "N 12"]:
    """Which places can be used."""
    return apart(_usable(world, carried(world)) & ~in_combat(world)[None]).T


def can_destroy(world: World) -> Bool[Array, "N 12"]:
    """Which places can be emptied."""
    return apart((world["kind"] > NONE) & ~in_combat(world)[None]).T


def _givable(world: World) -> Bool[Array, "N 12"]:
    return can_destroy(world) & apart(~world["worn"]).T


def _reached(world: World) -> Bool[Array, "N V"]:
    """Which of the visible are others to whom an agent can give."""
    slot = world.visible_slot
    assert slot is not None  # where masks are made
    own = jnp.arange(world.config.num_agents, dtype=jnp.int32)[:, None]
    other = (slot >= 0) & (slot != own) & (world.visible["health"] > 0)
    return apart(other & (world.away("visible") <= world.rule.reach))


def can_give(world: World) -> Bool[Array, "N 12"]:
    """Which places can be given to somebody, if the receiver has room."""
    return _givable(world) & _reached(world).any(axis=1, keepdims=True)


def can_receive(world: World) -> Bool[Array, "N V"]:
    """To which of the visible something can be given, if there is room."""
    return _reached(world) & _givable(world).any(axis=1, keepdims=True)


def own_gold(world: World) -> Int32[Array, "N"]:
    """What each agent has of it."""
    return world["gold"]


def own_busy(world: World) -> Int32[Array, "N"]:
    """For how many ticks each agent is in combat still."""
    return world["busy"]


def has_used(before: World, after: World) -> Bool[Array, "N"]:
    """Who wears something else, or has less."""
    return has_less(before, after) | (before["worn"] != after["worn"]).any(axis=0)


def has_less(before: World, after: World) -> Bool[Array, "N"]:
    """Who has fewer items."""
    return after["quantity"].sum(axis=0, dtype=jnp.int32) < before["quantity"].sum(axis=0, dtype=jnp.int32)


def _shown(world: World) -> Int32[Array, "N 12"]:
    return jnp.where(world["kind"].T > NONE, jnp.arange(PLACES, dtype=jnp.int32), -1)


def _outcome(world: World) -> Outcome:
    assert world.outcome is not None  # in these phases
    return world.outcome


def _keep(world: World, pack: Pack) -> World:
    return world.set(**pack._asdict())


EACH = tuple(f"place_{number}" for number in range(1, PLACES + 1))
ITEMS = System(
    name="items",
    meaning="items and gold: worn, used, given away, and taken from whom one has killed",
    rules=(
        Rule("armour", 3, unit="defence", meaning="of a hat, top or bottom that is worn, per level", high=1_000),
        Rule("weapon", 5, unit="damage", meaning="offence of one that is held, per level and once more", high=1_000),
        Rule("tool", 15, unit="defence", meaning="of one that is held", high=10_000),
        Rule("ammunition", 5, unit="damage", meaning="offence of what is worn of it", high=10_000),
        Rule("ammunition_per_level", 10, unit="damage", meaning="offence beside, per level", high=1_000),
        Rule("made", 50, unit="food, water, health", meaning="of a ration (food and water) or potion (health)"),
        Rule("made_per_level", 5, unit="food, water, health", meaning="beside, per level", high=1_000),
        Rule("raw", 20, unit="food, health", meaning="of fish or meat (food), or herbs (health)"),
        Rule("raw_per_level", 2, unit="food, health", meaning="beside, per level", high=1_000),
        Rule("combat_ticks", 3, unit="ticks", meaning="after a fight in which nothing is used or given", high=100),
        Rule("reach", 3, unit="tiles", meaning="of a gift", high=127),
    ),
    agents=(
        Column(
            "kind",
            "int8",
            low=0,
            high=len(KINDS) - 1,
            category=True,
            each=EACH,
            names=tuple(kind.name for kind in KINDS),
            meaning="of item; 0: none",
        ),
        Column("level", "int8", low=0, high=MAX_LEVEL, each=EACH, meaning="of the item"),
        Column("quantity", "int8", low=0, high=STACK, each=EACH, booked=True, meaning="how many there are"),
        Column("worn", "bool", each=EACH, meaning="whether it is worn"),
        Column("gold", low=0, high=PURSE, booked=True, meaning="what it has of it"),
        Column("busy", "int8", low=0, high=100, unit="ticks", meaning="in which it is in combat still"),
        Column("offence", low=0, each=STYLES, meaning="of what it wears, in each style"),
        Column("defence", low=0, meaning="of what it wears"),
    ),
    observe=(
        Listing("pack", "own", PLACES, ("kind", "level", "quantity", "worn"), rows=_shown, meaning="what it carries"),
        Leaf("gold", own_gold, high=PURSE, meaning="its own"),
        Leaf("busy", own_busy, high=100, meaning="ticks in which it is in combat still"),
    ),
    heads=(
        Head("use", (Argument("use", among="pack", mask=can_use, effect=has_used, meaning="wear, take off, consume"),)),
        Head("destroy", (Argument("destroy", among="pack", mask=can_destroy, effect=has_less, meaning="all of it"),)),
        Head(
            "give",
            (
                Argument("give_item", among="pack", mask=can_give, meaning="all of what is there"),
                Argument("give_to", among="visible", mask=can_receive, meaning="to whom"),
            ),
        ),
    ),
    stats=("food", "water", "health"),
    events=(
        "item_used",
        "item_worn",
        "item_destroyed",
        "item_given",
        "item_looted",
        "item_dropped",
        "ammunition_used",
        "gold_gained",
    ),
    phases=(Phase("act", act), Phase("settle", settle)),
)
