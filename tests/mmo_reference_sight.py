"""What agents of the role-playing reference see of its units, and may choose of what these offer."""

from __future__ import annotations

import numpy as np
from mmo_reference_parts import PLACES, RECIPES, Character, Monster, far

SEEN, NEAR = 16, 3  # at most in a list; tiles up to which monsters come first


class MmoSight:
    """The part of a realm that looks at what the units have made of it."""

    def observers(self) -> list[tuple[int, Character]]:
        found = [(slot, self.slots[slot] or self.departed.get(slot)) for slot in range(self.settings.num_agents)]
        return [(slot, agent) for slot, agent in found if agent is not None]

    def own_masks(self) -> dict[str, np.ndarray]:
        """By argument, what does something if nothing else happens to the agent in the coming tick."""
        n, seen = self.settings.num_agents, self.settings.num_visible
        sizes = {}
        if "monsters" in self.units:
            sizes["prey"] = 1 + SEEN
        if "items" in self.units:
            sizes |= {"use": 1 + PLACES, "destroy": 1 + PLACES, "give_item": 1 + PLACES, "give_to": seen}
        if "crafts" in self.units:
            sizes["craft"] = 1 + len(RECIPES)
        masks = {name: np.zeros((n, size), bool) for name, size in sizes.items()}
        for mask in masks.values():
            mask[:, 0] = True  # nothing
        for slot, agent in self.observers():
            if agent.health <= 0:
                continue
            if "monsters" in self.units:
                for index, monster in enumerate(self.monsters_in_sight(agent)):
                    masks["prey"][slot, 1 + index] = self.could_strike(agent, monster)
            if "items" in self.units:
                places = range(PLACES)
                masks["use"][slot, 1:] = [self.can_use(agent, place) for place in places]
                masks["destroy"][slot, 1:] = [self.can_destroy(agent, place) for place in places]
                things = [self.can_give(agent, place) for place in places]
                takers = [self.can_give_to(agent, other) for other in self.in_sight(agent)]
                if any(things) and any(takers):  # each does something with the other alone
                    masks["give_item"][slot, 1:] = things
                    masks["give_to"][slot, : len(takers)] |= takers
            if "crafts" in self.units:
                masks["craft"][slot, 1:] = [self.crafted(agent, recipe) is not None for recipe in RECIPES]
        return masks

    def could_strike(self, agent: Character, monster: Monster) -> bool:
        return far(agent, monster) <= max(self.rules.attack_range)

    def monsters_in_sight(self, agent: Character) -> list[Monster]:
        """First those that are near, each group by row of the table."""
        half = self.settings.view // 2
        seen = [monster for monster in self.monsters if far(agent, monster) <= half]
        seen.sort(key=lambda monster: (far(agent, monster) > NEAR, monster.number))
        return seen[:SEEN]

    def shown(self) -> dict[str, np.ndarray]:
        """What is shown, by name, one row per slot: zeros where nobody looks."""
        n, shown = self.settings.num_agents, {}
        if "skills" in self.units:
            shown |= {"skill_levels": np.zeros((n, 8)), "skill_progress": np.zeros((n, 8))}
            shown["fighters"] = np.zeros((n, SEEN, 2))
        if "monsters" in self.units:
            shown["monsters_in_view"] = np.zeros((n, SEEN, 6))
        if "items" in self.units:
            shown |= {"pack": np.zeros((n, PLACES, 4)), "gold": np.zeros(n), "busy": np.zeros(n)}
        for slot, agent in self.observers():
            if "skills" in self.units:
                shown["skill_levels"][slot] = agent.level
                shown["skill_progress"][slot] = [self.progress(agent, skill) for skill in range(8)]
                for index, other in enumerate(self.in_sight(agent)[:SEEN]):
                    shown["fighters"][slot, index] = (other.combat_level, other.stance)
            if "monsters" in self.units:
                for index, one in enumerate(self.monsters_in_sight(agent)):
                    away = (one.row - agent.row, one.col - agent.col)
                    shown["monsters_in_view"][slot, index] = (*away, one.kind, one.level, one.health, one.style)
            if "items" in self.units:
                for place, item in enumerate(agent.pack):
                    if item:
                        shown["pack"][slot, place] = (item.kind, item.level, item.quantity, item.worn)
                shown["gold"][slot], shown["busy"][slot] = agent.gold, self.busy(agent)
        return {name: values.astype(np.int64) for name, values in shown.items()}

    def listed(self) -> dict[str, np.ndarray]:
        """Which rows are listed, by the name of the list; -1 for none."""
        n, rows = self.settings.num_agents, {}
        if "skills" in self.units:
            rows["fighters"] = np.full((n, SEEN), -1)
        if "monsters" in self.units:
            rows["monsters_in_view"] = np.full((n, SEEN), -1)
        if "items" in self.units:
            rows["pack"] = np.full((n, PLACES), -1)
        for slot, agent in self.observers():
            if "skills" in self.units:
                slots = [other.slot for other in self.in_sight(agent)[:SEEN]]
                rows["fighters"][slot, : len(slots)] = slots
            if "monsters" in self.units:
                numbers = [monster.number for monster in self.monsters_in_sight(agent)]
                rows["monsters_in_view"][slot, : len(numbers)] = numbers
            if "items" in self.units:
                rows["pack"][slot] = [-1 if item is None else place for place, item in enumerate(agent.pack)]
        return rows
