"""A plain reference realm with the units of the role-playing world, written from ``docs/rulebook-mmo.md`` alone.

As `reference.Realm`, which it extends: slow and obvious, one object per agent, monster and item. A unit that is not
named in `units` is not there. Chance comes as raw words, so that the comparison with the simulator is exact.

>>> realm = MmoRealm(Settings(2, 1), Rules(), material, {"skills", "items"}, {"skills.spread": 20, ...})
>>> outcome = realm.step({"move": [1, 0], ..., "use": [3, -1]}, draws, chance)
>>> realm.happened["put on"]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from mmo_reference_items import Items
from mmo_reference_monsters import Monsters
from mmo_reference_parts import GROUND, Blow, Chance, Character
from mmo_reference_sight import MmoSight
from mmo_reference_skills import Skills
from mmo_reference_trades import Trades
from reference import Realm
from reference_parts import Draws, Hit, Outcome, Rules, Settings

CLASSIC = ("lava", "water", "grass", "scrub", "forest", "stone", "ore")
NOT_ENTERED = ("shoal", "ocean")


class MmoRealm(Skills, Monsters, Items, Trades, MmoSight, Realm):
    """One world.

    Args:
      units: of skills, monsters, items, professions, crafts.
      numbers: the rules of the units, by "unit.rule".
      names: of the materials, by their numbers.
      border: of the map.
      places: for monsters at once, whatever the cap.
    """

    character = Character

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        material: np.ndarray,
        units: Collection[str],
        numbers: Mapping[str, float],
        names: Sequence[str] = CLASSIC,
        border: int = 9,
        places: int = 64,
    ):
        self.units, self.numbers, self.names = set(units), dict(numbers), tuple(names)
        self.border, self.places = border, places
        self.drains = "skills" not in self.units
        new = [number for number, name in enumerate(names) if name not in (*CLASSIC, *NOT_ENTERED)]
        self.walkable = (*Realm.walkable, *new)
        self.monsters = []
        self.blows: list[Blow] = []
        self.happened = Counter()  # what was played so far, for whoever asks whether anything was
        super().__init__(settings, rules, material)

    def rule(self, name: str) -> float:
        return self.numbers[name]

    def observed_material(self) -> np.ndarray:
        """What can be harvested looks spent until it is ready again."""
        seen = super().observed_material()
        for name in set(GROUND) & set(self.names):
            spent = (self.material == self.names.index(name)) & (self.ready_tick > self.tick)
            seen = np.where(spent, self.names.index(GROUND[name].spent), seen)
        return seen

    def with_uid(self, uid: int) -> Character | None:
        return next((agent for agent in self.occupants() if agent.uid == uid), None)

    # ------------------------------------------------------------------------------------------- tick

    def step(self, action: Mapping[str, Sequence[int]], draws: Draws, chance: Chance) -> Outcome:
        """One tick of the classic game, with what units do at the points of it."""
        self.chance, self.action, self.blows = chance, action, []
        for agent in self.occupants():
            agent.forget()
        outcome = super().step(action, draws)
        self.end()
        return outcome

    def resolve_at_once(self, agents: list[Character], action: Mapping, draws: Draws) -> set[Character]:
        living = [agent for agent in agents if self.vitals(agent, draws)]
        self.harvest(living)
        hits = [hit for agent in living if (hit := self.aim(agent, action, living))]
        fighters = {hit.actor.uid for hit in hits}
        aimed = [(agent, self.prey_of(agent)) for agent in living if agent.uid not in fighters]
        for agent in living:
            self.move(agent, action)
        self.strike(hits)
        self.strike_prey([pair for pair in aimed if pair[0].health > 0])  # who lives after attacks
        self.act([agent for agent in living if agent.health > 0])
        return {agent for agent in living if agent.health > 0}

    def resolve_in_turn(self, agents: list[Character], action: Mapping, draws: Draws) -> set[Character]:
        survivors = set()
        for agent in agents:
            if self.vitals(agent, draws):
                self.harvest([agent])
                hit = self.aim(agent, action, agents)
                aimed = [] if hit else [(agent, self.prey_of(agent))]
                self.move(agent, action)
                self.strike([hit] if hit else [])
                self.strike_prey(aimed)
                self.act([agent])
                survivors.add(agent)
        return survivors

    def damage(self, hit: Hit) -> int:
        """D: what the hit asks of its target."""
        target, word = hit.target, self.word_of_attack(hit.actor)
        return self.blow(hit.style, target.stance, self.offence(hit.actor, hit.style), self.defence(target), word)

    def strike(self, hits: list[Hit]) -> None:
        """As ever; and who is in combat, what is learned, and which ammunition is used up."""
        before = {hit.target.uid: hit.target.health for hit in hits}
        done = [(hit, 0 if self.immune(hit.target) else self.damage(hit)) for hit in hits]
        super().strike(hits)
        for hit, damage in done:
            self.has_hit(hit.actor, hit.style, damage)
            self.happened["attack without damage"] += damage == 0
            hit.target.fights |= hit.target.health < before[hit.target.uid]
            hit.target.wounds.append((hit.actor, damage))

    def strike_prey(self, aimed: Iterable) -> None:
        """Notes what is done to monsters, for settle."""
        for agent, monster in aimed:
            if monster is not None:
                style = self.style_of(agent)
                offence, word = self.offence(agent, style), self.word_of_attack(agent)
                damage = self.blow(style, monster.style, offence, self.defence_of(monster), word)
                agent.prey = monster
                self.blows.append(Blow(agent, monster, damage))
                self.has_hit(agent, style, damage)

    def has_hit(self, agent: Character, style: int, damage: int) -> None:
        agent.fights, agent.style = True, style
        if "skills" in self.units and damage > 0:
            experience = self.rule("skills.attack_experience") + self.rule("skills.damage_experience") * damage
            agent.lessons.append((style, int(experience)))

    def act(self, agents: list[Character]) -> None:
        for agent in agents:
            if "items" in self.units:
                self.use_up(agent)
                self.use(agent, int(self.action["use"][agent.slot]))
                self.destroy(agent, int(self.action["destroy"][agent.slot]))
            if "crafts" in self.units:
                self.craft(agent, int(self.action["craft"][agent.slot]))

    def cull(self, agents: list[Character], survivors: set[Character]) -> tuple:
        """Settle, once everybody has had a turn; then the dead leave."""
        self.settle(agents, survivors)
        return super().cull(agents, survivors)

    def settle(self, agents: list[Character], survivors: set[Character]) -> None:
        def living() -> list[Character]:
            return [agent for agent in agents if agent in survivors and agent.health > 0]

        if "skills" in self.units:
            for agent in living():
                self.learn(agent)
        if "monsters" in self.units:
            for agent in self.settle_monsters(living()):
                survivors.discard(agent)
        if "items" in self.units:
            self.settle_items(living(), [agent for agent in agents if agent not in living()])

    def end(self) -> None:
        """After births: what counts from the next tick on, and new monsters."""
        for agent in self.occupants():
            if agent.health > 0:
                self.refresh(agent)
        if "monsters" in self.units:
            self.monsters_appear()

    def refresh(self, agent: Character) -> None:
        if "skills" in self.units:
            self.refresh_skills(agent)
        if "items" in self.units:
            self.refresh_items(agent)

    # ----------------------------------------------------------------------------------------- combat

    def offence(self, agent: Character, style: int) -> int:
        base = self.rules.attack_damage[style]
        return base + agent.skill_offence[style] + agent.item_offence[style] if base > 0 else base

    def defence(self, agent: Character) -> int:
        return agent.skill_defence + agent.item_defence

    def word_of_attack(self, agent: Character) -> int:
        """An agent's attack has the same word whomever it is on."""
        return self.chance.words("skills", agent.uid, 2**32 - 2)[0] if "skills" in self.units else 0

    # -------------------------------------------------------------------------------------- as columns

    def columns(self) -> dict[str, np.ndarray]:
        """What units keep of agents, by "unit.column", one row per slot."""
        agents = [agent or Character(0, -1, 0, 0, 0, 0, 0, 0) for agent in self.slots]
        kept = {}
        if "skills" in self.units:
            kept["skills.experience"] = [agent.experience for agent in agents]
            kept["skills.level"] = [agent.level for agent in agents]
            kept["skills.offence"] = [agent.skill_offence for agent in agents]
            kept["skills.defence"] = [agent.skill_defence for agent in agents]
            kept["skills.combat_level"] = [max(agent.level[:3]) for agent in agents]
            kept["skills.stance"] = [agent.stance for agent in agents]
        if "monsters" in self.units:
            kept["monsters.prey"] = [agent.prey.number if agent.prey else -1 for agent in agents]
            kept["monsters.slain_kind"] = [agent.slain.kind if agent.slain else -1 for agent in agents]
            kept["monsters.slain_level"] = [agent.slain.level if agent.slain else 0 for agent in agents]
        if "items" in self.units:
            for name in ("kind", "level", "quantity", "worn"):
                kept[f"items.{name}"] = [[getattr(one, name) if one else 0 for one in agent.pack] for agent in agents]
            kept["items.gold"] = [agent.gold for agent in agents]
            kept["items.busy"] = [self.busy(agent) for agent in agents]
            kept["items.offence"] = [agent.item_offence for agent in agents]
            kept["items.defence"] = [agent.item_defence for agent in agents]
        return {name: np.array(rows, np.int64) for name, rows in kept.items()}

    def table(self) -> dict[str, np.ndarray]:
        """The monsters, by column, one row per place; in empty ones only `alive` means something."""
        rows = [next((one for one in self.monsters if one.number == row), None) for row in range(self.places)]
        names = {"foe": "foe_slot", **{n: n for n in ("row", "col", "kind", "level", "health", "style")}}
        names |= {"foe_uid": "foe_uid", "memory": "memory"}
        table = {name: [getattr(one, own) if one else 0 for one in rows] for name, own in names.items()}
        return {"alive": np.array([one is not None for one in rows])} | {k: np.array(v) for k, v in table.items()}
