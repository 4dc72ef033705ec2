"""Ticks of the five role-playing units together, and what holds in every one of them."""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
from mmo_worlds import hostile, random_numbers, random_start, world

from nmmo_jax import Environment
from nmmo_jax.ledger import sinks, sources
from nmmo_jax.mmo.crafts import RECIPES, TRADES
from nmmo_jax.mmo.items import PURSE
from nmmo_jax.mmo.kinds import DROPS, KINDS, MAX_LEVEL
from nmmo_jax.mmo.packs import PLACES
from nmmo_jax.mmo.professions import RESOURCES
from nmmo_jax.mmo.skills import NINETY_NINE, TEN
from nmmo_jax.systems.booking import amount

ALL = ("skills", "monsters", "items", "professions", "crafts")
TICKS = 10
MOST = np.array([kind.most for kind in KINDS])
BODY = np.array(["", *dict.fromkeys(kind.worn for kind in KINDS if kind.worn)])
WORN_AS = np.array([BODY.tolist().index(kind.worn) for kind in KINDS])


@functools.cache
def step_of(config):
    return jax.jit(Environment(config).step)


@functools.cache
def look_of(config):
    return jax.jit(Environment(config).observe)


class Tick:
    """A tick that was played, on the host; ``[N]`` by slot before it."""

    def __init__(self, before, action, result, config, rules):
        _, self.after, _, self.terminated, self.truncated, self.info = jax.device_get(result)
        self.before, self.config, self.rules = jax.device_get(before), config, rules
        self.choice = {name: np.asarray(choice) for name, choice in action.named().items()}
        self.lived, self.lives = (living(realm) for realm in (self.before, self.after))
        self.stays = self.lived & self.lives & (self.before.agents.uid == self.after.agents.uid)
        self.dies = self.lived & ~self.stays

    def told(self, event: str):
        """Of an event: the amount, 0 where it did not happen."""
        one = next(deeds.events[event] for deeds in self.info.outcome.of.values() if event in deeds.events)
        return np.where(one.happened, one.amount, 0)

    def other(self, event: str, system: str = "items"):
        """The slot of whom it happened with, -1 for nobody."""
        one, uid = self.info.outcome.of[system].events[event], self.before.agents.uid
        return np.where(one.happened, [np.flatnonzero(uid == who)[0] if who >= 0 else -1 for who in one.other_uid], -1)

    def booked(self, system: str, name: str):
        deeds = self.info.outcome.of[system]
        return deeds.gained[name] - deeds.lost[name]


def living(realm):
    return realm.agents.alive & (realm.agents.health > 0)


def play(seed, resolution="simultaneous", ticks=TICKS, start=None, **numbers):
    """The ticks of a random world; ``start(rng, config, realm, rules)`` gives another beginning, and actions."""
    rng = np.random.default_rng(seed)
    config, rules = world(ALL, resolution, ledger=True, **{**random_numbers(rng), **numbers})
    realm, key = random_start(rng, config, rules), jax.random.key(seed)
    choices = {}
    if start is not None:
        realm, choices = start(realm, config)
    obs = jax.device_get(look_of(config)(realm, rules))
    for _ in range(ticks):
        action = hostile(rng, obs, config)
        kept = {name: jnp.full(config.num_agents, choice, jnp.int32) for name, choice in choices.items()}
        action = action.replace(of={**action.of, **kept})
        result = step_of(config)(key, realm, action, rules)
        tick = Tick(realm, action, result, config, rules)
        yield tick
        obs, realm = jax.device_get(result[0]), tick.after


def holdings(realm, who):
    """How many of each kind and level each of ``who`` has, ``[N, 23, 11]``."""
    own = {name: np.where(who, realm.of["items"][name], 0) for name in ("kind", "level", "quantity")}
    found = np.zeros((len(who), len(KINDS), MAX_LEVEL + 1), int)
    np.add.at(found, (np.arange(len(who)), own["kind"], own["level"]), own["quantity"])
    return found


# ------------------------------------------------------------------------------------------- what holds in a tick


def check_state(tick: Tick) -> None:
    """Packs, purses and skills of the living can be; of nobody there is anything."""
    of, here = tick.after.of, tick.after.agents.alive
    own, skills = of["items"], of["skills"]
    kind, quantity = own["kind"][:, here], own["quantity"][:, here]
    level, worn = own["level"][:, here], own["worn"][:, here]
    there = kind > 0
    assert kind.shape[0] == PLACES and (quantity <= MOST[kind]).all() and ((quantity > 0) == there).all()
    assert ((level >= there) & (level <= MAX_LEVEL * there)).all() and (there | ~worn).all()
    for where in range(1, len(BODY)):
        assert ((WORN_AS[kind] == where) & worn).sum(axis=0).max(initial=0) <= 1, f"worn as {BODY[where]}"
    assert not (worn & (WORN_AS[kind] == 0)).any()
    assert (own["gold"][here] >= 0).all() and (own["gold"][here] <= PURSE).all()
    curve = (TEN, NINETY_NINE)[int(tick.rules.of["skills"]["curve"])]
    experience, level = skills["experience"][:, here], skills["level"][:, here]
    assert ((level >= 1) & (level <= len(curve)) & (experience <= curve[-1])).all()
    assert (experience >= np.array(curve)[level.astype(int) - 1]).all(), "a level without its experience"
    nobody = ~here & ~tick.truncated  # who was truncated looks once more
    for system in tick.config.systems:
        for column in system.agents:
            left = of[system.name][column.name][..., nobody]
            assert (left == column.blank).all(), f"{system.name}.{column.name} of nobody"


def check_growth(tick: Tick) -> None:
    """Who lives on forgets nothing and learns one level at a time; who is born has nothing, and knows nothing."""
    one, two = (realm.of["skills"] for realm in (tick.before, tick.after))
    risen = (two["level"].astype(int) - one["level"])[:, tick.stays]
    assert ((risen >= 0) & (risen <= 1)).all()
    assert (two["experience"] >= one["experience"])[:, tick.stays].all()
    born = tick.after.agents.alive & (tick.before.agents.uid != tick.after.agents.uid)
    assert not two["experience"][:, born].any() and (two["level"][:, born] == 1).all()
    assert not holdings(tick.after, born).any() and not tick.after.of["items"]["gold"][born].any()


def check_ledger(tick: Tick) -> None:
    """What there is is what there was, and what came less what went; each population by itself."""
    ledger, config = tick.info.ledger.named(), tick.config
    for what, came in sources(config).items():
        booked = [sum(ledger[name].astype(int) for name in names) for names in (came, sinks(config)[what])]
        stands = [
            np.bincount(realm.agents.population, np.where(realm.agents.alive, amount(realm, what), 0), minlength=3)
            for realm in (tick.before, tick.after)
        ]
        np.testing.assert_array_equal(stands[0] + booked[0] - booked[1], stands[1], what)


def check_accounts(tick: Tick) -> None:
    """Of every agent, what each unit has done to its pack and purse is what the unit has told."""
    quantity, gold = "items.quantity", "items.gold"
    given, to = tick.told("item_given"), tick.other("item_given")
    got = np.bincount(to[to >= 0], given[to >= 0], minlength=len(given)).astype(int)
    used = tick.told("ammunition_used") + tick.told("item_used") + tick.told("item_destroyed")
    found = tick.told("item_looted") + tick.told("item_dropped")
    np.testing.assert_array_equal(tick.booked("items", quantity), got + found - used - given)
    assert (np.bincount(to[to >= 0], minlength=len(to)) <= 1).all(), "two gifts to one"

    harvests = sum((tick.told(one.event) > 0).astype(int) for one in RESOURCES) + (tick.told("weapon_found") > 0)
    np.testing.assert_array_equal(tick.booked("professions", quantity), harvests)
    made = sum((tick.told(f"crafted_{skill}") > 0).astype(int) for skill in TRADES)
    more = [0, *(one.amount - sum(number for _, number in one.ingredients) for one in RECIPES)]
    recipe = np.where(made, tick.choice["craft"], 0)
    assert (made <= 1).all() and (recipe >= made).all()
    np.testing.assert_array_equal(tick.booked("crafts", quantity), np.array(more)[recipe])

    np.testing.assert_array_equal(tick.info.outcome.of["items"].gained[gold], tick.told("gold_gained"))
    assert not any(tick.info.outcome.of[unit].lost[gold].any() for unit in ("items", "professions", "crafts"))
    change = (amount(tick.after, quantity) - amount(tick.before, quantity))[tick.stays]
    booked = sum(tick.booked(unit, quantity) for unit in ("items", "professions", "crafts"))
    np.testing.assert_array_equal(change, booked[tick.stays])


def check_created(tick: Tick) -> None:
    """There is more of a kind and level only where it was harvested, found, made, or fell from a monster."""
    new = holdings(tick.after, tick.lives).sum(axis=0) - holdings(tick.before, tick.lived).sum(axis=0)
    for one in RESOURCES:
        level = tick.told(one.event)
        np.add.at(new[one.product], level[level > 0], -1)
        level = np.where(level > 0, tick.told("weapon_found"), 0)
        np.add.at(new[one.find], level[level > 0], -1)
    level = sum(tick.told(f"crafted_{skill}") for skill in TRADES)
    for agent in np.flatnonzero(level):
        recipe = RECIPES[tick.choice["craft"][agent] - 1]
        new[recipe.product, level[agent]] -= recipe.amount
    falls = np.zeros(new.shape, int)
    slain = {name: tick.after.of["monsters"][name] for name in ("slain_kind", "slain_level")}
    for agent in np.flatnonzero(tick.stays & (slain["slain_kind"] >= 0)):
        for drop in DROPS[slain["slain_kind"][agent]]:
            falls[drop.kind : drop.kind + drop.number, slain["slain_level"][agent]] += 1
    assert (new <= falls).all(), f"from nothing (kind, level): {np.argwhere(new > falls).tolist()}"
    assert np.maximum(new, 0).sum() <= tick.told("item_dropped").sum()


def check_owners(tick: Tick) -> Counter:
    """Gifts arrive as they left; what the dead had is at their killer's, or nowhere; nothing else changes hands."""
    expected, after = holdings(tick.before, tick.lived), holdings(tick.after, tick.lives)
    pack = {name: tick.before.of["items"][name].astype(int) for name in ("kind", "level", "quantity", "worn")}
    shot = tick.told("ammunition_used") > 0
    worn = (pack["worn"] > 0) & (WORN_AS[pack["kind"]] == BODY.tolist().index("ammunition"))
    for agent in np.flatnonzero(shot):
        place = worn[:, agent].argmax()
        expected[agent, pack["kind"][place, agent], pack["level"][place, agent]] -= 1
    given, to = tick.told("item_given"), tick.other("item_given")
    for agent in np.flatnonzero(to >= 0):
        place = tick.choice["give_item"][agent]
        what = pack["kind"][place, agent], pack["level"][place, agent]
        assert given[agent] == pack["quantity"][place, agent] and not pack["worn"][place, agent] and to[agent] != agent
        expected[(agent, *what)] -= given[agent]
        expected[(to[agent], *what)] += given[agent]
    looted, whose = tick.told("item_looted"), tick.other("item_looted")
    purse = [realm.of["items"]["gold"].astype(int) for realm in (tick.before, tick.after)]
    gold, of = tick.told("gold_gained"), tick.other("gold_gained")
    more = after - expected
    for agent in np.flatnonzero(tick.stays):
        dead = whose[agent]
        assert more[agent].sum() == looted[agent]
        if dead < 0:
            assert not more[agent].any()
        else:
            assert tick.dies[dead] and (whose == dead).sum() == 1
            assert ((more[agent] >= 0) & (more[agent] <= expected[dead])).all()
        assert purse[1][agent] - purse[0][agent] == gold[agent]
        assert gold[agent] == (min(purse[0][of[agent]], PURSE - purse[0][agent]) if gold[agent] else 0)
    return Counter(gift=(to >= 0).sum(), loot=(whose >= 0).sum(), gold=(gold > 0).sum(), shot=shot.sum())
