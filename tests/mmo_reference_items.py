"""Items of the role-playing reference: packs, use, gifts, loot."""

from __future__ import annotations

from collections.abc import Callable

from mmo_reference_parts import (
    AMMUNITION,
    ARMOUR,
    DROPS,
    FEEDS,
    MADE,
    PLACES,
    PURSE,
    SKILL_OF,
    STACK,
    STACKS,
    STYLE_OF,
    TOOLS,
    WEAPONS,
    WORN_AS,
    Character,
    Item,
    Monster,
    far,
)
from reference_parts import choose, succeeds


class Items:
    """The part of a realm in which things change hands."""

    # ------------------------------------------------------------------------------------------- packs

    def place_for(self, agent: Character, kind: int, level: int, quantity: int) -> int | None:
        """The place of the pack into which an item is put; None: it does not fit."""
        for place, item in enumerate(agent.pack):
            same = item is not None and kind in STACKS and (item.kind, item.level) == (kind, level)
            if same and item.quantity + quantity <= STACK:
                return place
        return next((place for place, item in enumerate(agent.pack) if item is None), None)

    def put(self, agent: Character, kind: int, level: int, quantity: int = 1) -> bool:
        """Puts an item into the pack, if it fits."""
        place = self.place_for(agent, kind, level, quantity)
        if place is None:
            self.happened["item without room"] += 1
            return False
        if agent.pack[place] is None:
            agent.pack[place] = Item(kind, level, 0)
        agent.pack[place].quantity += quantity
        return True

    def take_out(self, agent: Character, place: int, quantity: int) -> None:
        agent.pack[place].quantity -= quantity
        if agent.pack[place].quantity == 0:
            agent.pack[place] = None

    def item_at(self, agent: Character, place: int) -> Item | None:
        return agent.pack[place] if 0 <= place < PLACES else None

    def worn(self, agent: Character) -> list[Item]:
        return [item for item in agent.pack if item and item.worn]

    def refresh_items(self, agent: Character) -> None:
        """What is worn counts from the next tick on."""
        agent.item_offence, agent.item_defence = [0, 0, 0], 0
        for item in self.worn(agent):
            if item.kind in ARMOUR:
                agent.item_defence += int(self.rule("items.armour")) * item.level
            if item.kind in TOOLS:
                agent.item_defence += int(self.rule("items.tool"))
            if item.kind in WEAPONS:
                agent.item_offence[STYLE_OF[item.kind]] += int(self.rule("items.weapon")) * (1 + item.level)
            if item.kind in AMMUNITION:
                agent.item_offence[STYLE_OF[item.kind]] += self.grown("ammunition", item.level)

    def grown(self, name: str, level: int) -> int:
        """A number that begins somewhere and grows with the level."""
        return int(self.rule(f"items.{name}") + self.rule(f"items.{name}_per_level") * level)

    # ------------------------------------------------------------------------------------------ combat

    def use_up(self, agent: Character) -> None:
        """If the agent has hit, one piece of ammunition of that style that it wears."""
        for place, item in enumerate(agent.pack):
            if item and item.worn and item.kind in AMMUNITION and STYLE_OF[item.kind] == agent.style:
                self.happened["ammunition"] += 1
                self.happened["last ammunition"] += item.quantity == 1
                self.take_out(agent, place, 1)

    def busy(self, agent: Character) -> int:
        """For how many ticks more, from the one that is played or comes next, it is in combat."""
        return max(0, agent.last_busy + 1 - self.tick)

    # --------------------------------------------------------------------------------------------- act

    def can_use(self, agent: Character, place: int) -> bool:
        item = self.item_at(agent, place)
        if item is None or self.busy(agent):
            return False
        wearable = item.kind in WORN_AS or item.kind in FEEDS
        return item.worn or (wearable and self.is_able(agent, SKILL_OF.get(item.kind), item.level))

    def use(self, agent: Character, place: int) -> None:
        if not self.can_use(agent, place):
            return
        item = agent.pack[place]
        if item.worn:
            item.worn = False
            self.happened["taken off"] += 1
        elif item.kind in WORN_AS:
            for other in self.worn(agent):
                if WORN_AS[other.kind] == WORN_AS[item.kind]:
                    other.worn = False
                    self.happened["exchanged"] += 1
            item.worn = True
            self.happened["put on"] += 1
        else:
            amount = self.grown("made" if item.kind in MADE else "raw", item.level)
            for stat in FEEDS[item.kind]:
                before, most = getattr(agent, stat), getattr(self.rules, f"max_{stat}")
                self.change(agent, stat, max(before, min(most, before + amount)), "items")
            self.take_out(agent, place, 1)
            self.happened["consumed"] += 1

    def can_destroy(self, agent: Character, place: int) -> bool:
        return self.item_at(agent, place) is not None and not self.busy(agent)

    def destroy(self, agent: Character, place: int) -> None:
        if self.can_destroy(agent, place):
            agent.pack[place] = None
            self.happened["destroyed"] += 1

    # ------------------------------------------------------------------------------------------ settle

    def settle_items(self, living: list[Character], dead: list[Character]) -> None:
        self.gifts(living)
        for agent in dead:
            if agent.cause == "combat" and agent.wounds:
                killer, _ = max(agent.wounds, key=lambda wound: (wound[1], -wound[0].uid))
                if killer in living:
                    self.loot(agent, killer)
            agent.pack, agent.gold = [None] * PLACES, 0
        for agent in living:
            if agent.slain is not None:
                self.loot_monster(agent, agent.slain)
            if agent.fights:
                agent.last_busy = self.tick + int(self.rule("items.combat_ticks"))

    def can_give(self, agent: Character, place: int) -> bool:
        item = self.item_at(agent, place)
        return item is not None and not item.worn and not self.busy(agent)

    def can_give_to(self, agent: Character, other: Character) -> bool:
        return other is not agent and other.health > 0 and far(agent, other) <= self.rule("items.reach")

    def gifts(self, living: list[Character]) -> None:
        """Of those who could give to an agent, judged before any gift has moved, one does."""
        offers: dict[int, list[tuple[Character, int]]] = {}
        for giver in living:
            place, slot = int(self.action["give_item"][giver.slot]), int(self.action["give_to"][giver.slot])
            taker = next((one for one in living if one.slot == slot), None)
            if taker is None or not self.can_give(giver, place) or not self.can_give_to(giver, taker):
                continue
            item = giver.pack[place]
            if self.place_for(taker, item.kind, item.level, item.quantity) is None:
                self.happened["gift without room"] += 1
                continue
            offers.setdefault(taker.uid, []).append((giver, place))
        moved = []
        for uid, givers in offers.items():
            self.happened["gift contested"] += len(givers) > 1
            giver, place = self.winner(givers, lambda one: one[0].uid, "items")
            moved.append((self.with_uid(uid), giver.pack[place]))
            giver.pack[place] = None
        for taker, item in moved:
            assert self.put(taker, item.kind, item.level, item.quantity)  # there is not less room than before
            self.happened["gift"] += 1

    def loot(self, dead: Character, killer: Character) -> None:
        """Gold, and items into empty places, as they come."""
        self.happened["gold looted"] += dead.gold
        killer.gold = min(PURSE, killer.gold + dead.gold)
        empty = [place for place, item in enumerate(killer.pack) if item is None]
        for place, item in zip(empty, filter(None, dead.pack), strict=False):
            killer.pack[place] = Item(item.kind, item.level, item.quantity)
            self.happened["item looted"] += 1

    def loot_monster(self, killer: Character, monster: Monster) -> None:
        killer.gold = min(PURSE, killer.gold + monster.level)
        self.happened["monster looted"] += 1
        for number, drop in enumerate(DROPS[monster.kind]):
            coin, which = self.chance.words("items", killer.uid, 1 + number)
            if succeeds(coin, drop.probability):
                kind = drop.kinds[choose(which, len(drop.kinds))]
                self.happened["drop"] += self.put(killer, kind, monster.level)

    def winner(self, those, uid: Callable, unit: str):
        """A contest goes to the lowest first word, of equals to the lowest uid."""
        return min(those, key=lambda one: (self.chance.words(unit, uid(one), 0)[0], uid(one)))
