"""Scripted agents of the role-playing world: each lives by one trade, and eats, drinks, arms and heals itself.

They are pure functions of what an agent sees, as all scripts (``nmmo_jax.policies.scripted``), of the units that are
there: without packs nobody equips, without monsters nobody hunts. Rules: docs/rulebook-mmo.md.

One program serves all trades: which of them an agent has is a number.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, PRNGKeyArray

from nmmo_jax.actions import Action
from nmmo_jax.common.lookup import one_of
from nmmo_jax.config import Config
from nmmo_jax.goals import View
from nmmo_jax.mmo import kinds
from nmmo_jax.mmo.crafts import RECIPES
from nmmo_jax.mmo.monsters import CHICKEN, TROLL
from nmmo_jax.observations import Observation, to_action
from nmmo_jax.paths import FAR, Bits, spread, steps_to
from nmmo_jax.policies.foraging import descend, feature, heading, safe_moves
from nmmo_jax.policies.scripted import POLICIES

LOW = 45  # of 100: with less food or water than that, an agent goes for it
NEAR = 5  # steps from a strong troll at which it is too near
ILL = 60  # with less health than that, it takes what heals, and runs from trolls


@dataclasses.dataclass(frozen=True)
class Trade:
    """What a worker lives by.

    Attributes:
      places: materials at which it works; empty: it hunts.
      tool: the kind of item that it prefers in its hand, 0: a weapon.
      makes: kinds of item that it crafts, what it wants most first.
    """

    places: tuple[str, ...] = ()
    tool: int = kinds.NONE
    makes: tuple[int, ...] = ()


TRADES = {
    "hunter": Trade(makes=(kinds.RATION,)),
    "fisher": Trade(("shoal", "tree"), kinds.ROD, (kinds.ROD, kinds.RATION)),
    "herbalist": Trade(("herbs",), kinds.GLOVES, (kinds.POTION,)),
    "miner": Trade(("vein",), kinds.PICKAXE, (kinds.WHETSTONE,)),
    "woodcutter": Trade(("tree",), kinds.AXE, (kinds.ARROW,)),
    "alchemist": Trade(("gems",), kinds.CHISEL, (kinds.RUNES,)),
    "smith": Trade(
        ("vein", "tree", "herbs"),
        kinds.PICKAXE,
        (kinds.PICKAXE, kinds.SPEAR, kinds.BOTTOM, kinds.TOP, kinds.HAT),
    ),
}


SCRIPTS = (*POLICIES, *TRADES)
"""The names of all scripts."""
_TRADES = tuple(TRADES.values())
_PLACES = tuple(dict.fromkeys(place for trade in _TRADES for place in trade.places))


def check_units(names: Iterable[str], config: Config) -> None:
    """Raises ``ValueError`` where a worker of ``TRADES`` is named and the units by which it lives are not there."""
    there = {system.name for system in config.systems}
    for name in (name for name in names if name in TRADES):
        needed = "professions" if TRADES[name].places else "monsters"
        if needed not in there:
            raise ValueError(f"policy={name}: needs a world with the system {needed}, as that of mmo")


def worker(trade: Int32[Array, "N"], key: PRNGKeyArray, obs: Observation, config: Config) -> Action:
    """What agents of some trades, by their places in ``TRADES``, do: moves, blows, and the use of their packs."""
    view, names = View(obs, config), {system.name for system in config.systems}
    choices: dict[str, Any] = {}
    if "items" in names:
        pack = _Pack(obs, config)
        choices["use"] = pack.use(trade)
    if "crafts" in names:
        choices["craft"] = _craft(trade, obs)
    style, nowhere = _style(obs, config), view.ground ^ view.ground
    game, peril = nowhere, nowhere
    if "monsters" in names:
        monsters = _Monsters(obs, config)
        choices["prey"] = monsters.prey()
        game, peril = monsters.places(view)
    work = jnp.where(_has([not one.places for one in _TRADES], trade), game, nowhere)
    if "professions" in names:
        work |= view.claimed(_works(trade, view))
    move = _move(key, obs, view, work, peril)
    nobody = jnp.zeros_like(move)
    return to_action({"move": move, "style": style, "target": nobody, **choices}, obs, config)


def _works(trade: Int32[Array, "N"], view: View) -> Bits:
    """The places at which each works."""
    places = view.ground ^ view.ground
    for name in _PLACES:
        there = view.material(name)
        there = view.beside(there) if name == "shoal" else there
        places |= jnp.where(_has([name in one.places for one in _TRADES], trade), there, 0)
    return places


def _has(trades: list[bool], trade: Int32[Array, "N"]) -> Bool[Array, "1 N"]:
    return one_of(map(int, trades), trade)[None] > 0


def _move(key: PRNGKeyArray, obs: Observation, view: View, work: Bits, peril: Bits) -> Int32[Array, "N"]:
    """Out of peril; to water or a forest where that is needed; else to where it works; else on, as it was heading."""
    calm = view.ground & ~peril
    goals = [view.material("forest"), view.beside(view.material("water")), work, view.edge(heading(key, obs)), calm]
    threatened = ((peril & view.here) != 0).any(axis=0)
    ways = jnp.where(threatened[None], view.ground, calm)
    food, water, working, away, out = jnp.moveaxis(steps_to(jnp.stack(goals), ways), -1, 1).astype(jnp.int32)
    hungry, thirsty = (feature(obs, stat) < LOW for stat in ("food", "water"))
    thirst_first = thirsty & ~(hungry & (feature(obs, "food") < feature(obs, "water")))

    def known(steps):
        return (steps < FAR).any(axis=1)

    goal = jnp.where((thirst_first & known(water))[:, None], water, away)
    eats = hungry & ~thirst_first & known(food)
    goal = jnp.where(eats[:, None], food, goal)
    works = ~hungry & ~thirsty & known(working)
    goal = jnp.where(works[:, None], working, goal)
    goal = jnp.where((threatened & known(out))[:, None], out, goal)
    return descend(key, obs, goal, away, safe_moves(view, obs.mask))


def _style(obs: Observation, config: Config) -> Int32[Array, "N"]:
    """That of the weapon in hand, else the one in which the agent is best."""
    levels = obs.of["skill_levels"][:, :3] if "skill_levels" in obs.of else jnp.zeros((obs.self.shape[0], 3), jnp.int16)
    best = jnp.argmax(levels, axis=1).astype(jnp.int32)
    if "pack" not in obs.of:
        return best
    kind, _, _, worn = _columns(obs, "pack", config, "kind", "level", "quantity", "worn")
    weapon = jnp.where((worn > 0) & (kind >= kinds.SPEAR) & (kind <= kinds.WAND), kind - kinds.SPEAR, -1).max(axis=1)
    return jnp.where(weapon >= 0, weapon, best)


def _craft(trade: Int32[Array, "N"], obs: Observation) -> Int32[Array, "N"]:
    """The first of what it makes that can be made now; 0: nothing."""
    wanted = np.zeros((len(_TRADES), len(RECIPES) + 1), np.int32)
    for row, one in zip(wanted, _TRADES, strict=True):
        order = [number for kind in one.makes for number, recipe in enumerate(RECIPES, 1) if recipe.product == kind]
        row[order] = np.arange(len(order), 0, -1)
    return jnp.argmax(jnp.where(obs.mask["craft"], jnp.asarray(wanted)[trade], 0), axis=1).astype(jnp.int32)


class _Pack:
    """What agents carry, and what of it they should use."""

    def __init__(self, obs: Observation, config: Config):
        self.obs = obs
        self.kind, self.level, _, self.worn = _columns(obs, "pack", config, "kind", "level", "quantity", "worn")
        self.allowed = obs.mask["use"][:, 1:]

    def use(self, trade: Int32[Array, "N"]) -> Int32[Array, "N"]:
        """The position to use: what heals or feeds where that is needed, else better equipment; 0: nothing."""
        kind, health = self.kind, feature(self.obs, "health")[:, None]
        heals = ((kind == kinds.POTION) | (kind == kinds.HERB)) & (health < ILL)
        starved = jnp.minimum(feature(self.obs, "food"), feature(self.obs, "water"))[:, None] < LOW
        feeds = (kind == kinds.RATION) & starved
        feeds |= ((kind == kinds.FISH) | (kind == kinds.MEAT)) & (feature(self.obs, "food")[:, None] < LOW)
        worth = jnp.where(heals, 900, 0) + jnp.where(feeds, 800, 0) + self._better(trade)
        worth = jnp.where(self.allowed, worth, 0)
        return jnp.where(worth.max(axis=1) > 0, 1 + jnp.argmax(worth, axis=1), 0).astype(jnp.int32)

    def _better(self, trade: Int32[Array, "N"]) -> Int32[Array, "N 12"]:
        """By how much each thing to wear is better than what is worn in its place."""
        kind, total = self.kind, jnp.zeros(self.kind.shape, jnp.int32)
        hand = (kind >= kinds.SPEAR) & (kind <= kinds.CHISEL)
        tool = one_of([one.tool for one in _TRADES], trade)[:, None]
        value = self.level + jnp.where(kind == tool, 100, 0)
        weapon = (kind >= kinds.SPEAR) & (kind <= kinds.WAND)
        value += jnp.where(weapon, 50, 0)
        places = [hand, *(kind == one for one in (kinds.HAT, kinds.TOP, kinds.BOTTOM))]
        places.append((kind >= kinds.WHETSTONE) & (kind <= kinds.RUNES))
        for place in places:
            worn = jnp.where(place & (self.worn > 0), value, 0).max(axis=1, keepdims=True)
            total += jnp.where(place & (self.worn == 0), jnp.maximum(value - worn, 0), 0)
        return total


class _Monsters:
    """The monsters that agents see, and which of them are too strong for each."""

    def __init__(self, obs: Observation, config: Config):
        self.obs, self.config = obs, config
        self.kind, self.level, self.health = _columns(obs, "monsters_in_view", config, "kind", "level", "health")
        own = obs.of["skill_levels"].max(axis=1) if "skill_levels" in obs.of else jnp.ones(len(self.kind), jnp.int16)
        own = own.astype(jnp.int32)
        self.strong = (self.kind != CHICKEN) & (self.level > 2 * own[:, None])

    def places(self, view: View) -> tuple[Bits, Bits]:
        """Where those are that can be hunted, and all tiles near the strong ones that hunt."""
        row, col = _columns(self.obs, "monsters_in_view", self.config, "row", "col")
        there = self.obs.rows["monsters_in_view"] >= 0
        peril = view.places(row, col, there & self.strong & (self.kind == TROLL))
        for _ in range(NEAR):
            peril = spread(peril)
        return view.places(row, col, there & ~self.strong) & view.ground, peril

    def prey(self) -> Int32[Array, "N"]:
        """The position of the weakest in reach that is not too strong. 0: none."""
        can = self.obs.mask["prey"][:, 1:] & ~self.strong
        weakest = jnp.argmin(jnp.where(can, self.health, 2**15), axis=1)
        return jnp.where(can.any(axis=1), 1 + weakest, 0).astype(jnp.int32)


def _columns(obs: Observation, name: str, config: Config, *columns: str) -> list[Int32[Array, "N K"]]:
    """Columns of what a system lists."""
    names = [column.name for column in config.lists[name].columns]
    return [obs.of[name][..., names.index(column)].astype(jnp.int32) for column in columns]
