"""What agents of the reference realm see, and may do."""

from __future__ import annotations

import numpy as np
from reference_parts import FEATURES, LAVA, OFFSETS, Agent, distance


class Sight:
    """The part of a realm that looks at the rest."""

    def observe(self) -> dict[str, np.ndarray]:
        """What every slot sees and may do, in raw integers."""
        size, view, seen = self.settings.num_agents, self.settings.view, self.settings.num_visible
        half = view // 2
        observation = {
            "tiles": np.zeros((size, 2, view, view), np.uint8),
            "self": np.zeros((size, FEATURES), np.int16),
            "visible": np.zeros((size, seen, FEATURES), np.int16),
            "visible_slot": np.full((size, seen), -1, np.int32),
            "move": np.zeros((size, 5), bool),
            "style": np.zeros((size, 3), bool),
            "target": np.zeros((size, 3, seen), bool),
        }
        for name in ("move", "style", "target"):
            observation[name][..., 0] = True  # the first choice means nothing, and may always be made
        material = np.pad(self.observed_material(), half, constant_values=LAVA)
        heads = np.zeros(material.shape, np.int64)
        for agent in self.occupants():
            heads[agent.row + half, agent.col + half] += 1
        for slot in range(size):
            observer = self.slots[slot] or self.departed.get(slot)
            if observer is None:
                continue
            window = (slice(observer.row, observer.row + view), slice(observer.col, observer.col + view))
            counts = heads[window].copy()
            counts[half, half] += slot in self.departed  # seen by itself alone
            observation["tiles"][slot] = np.stack([material[window], np.minimum(counts, 255)])
            observation["self"][slot] = self.features(observer, observer)
            visible = self.in_sight(observer)
            known = slice(len(visible))
            observation["visible"][slot, known] = [self.features(observer, other) for other in visible]
            observation["visible_slot"][slot, known] = [other.slot for other in visible]
            if observer.health > 0:  # a corpse that still holds its place may do nothing
                observation["move"][slot] = [self.may_move(observer, move) for move in OFFSETS]
                observation["style"][slot] = True
                observation["target"][slot, :, known] = [
                    [self.may_target(observer, other, style) for other in visible] for style in range(3)
                ]
        return observation

    def in_sight(self, observer: Agent) -> list[Agent]:
        """The observer, then those in the window: first within the longest range, then the rest, by slot."""
        half = self.settings.view // 2
        others = [a for a in self.occupants() if a is not observer and distance(observer, a) <= half]
        reach = max(self.rules.attack_range)
        others.sort(key=lambda other: (distance(observer, other) > reach, other.slot))
        return [observer, *others][: self.settings.num_visible]

    def features(self, observer: Agent, other: Agent) -> np.ndarray:
        """The eleven numbers about `other` in the eyes of `observer`."""
        numbers = [
            *(other.age, other.health, other.food, other.water, other.row, other.col),
            *(other.row - observer.row, other.col - observer.col),
            *(max(0, other.damage), int(other.population == observer.population), other.freeze),
        ]
        return np.clip(numbers, -(2**15), 2**15 - 1)

    def may_move(self, agent: Agent, move: int) -> bool:
        down, right = OFFSETS[move]
        thawed = agent.freeze <= 1  # vitals count it down before the agent moves
        return move == 0 or (thawed and self.at(agent.row + down, agent.col + right) in self.walkable)

    def may_target(self, observer: Agent, other: Agent, style: int) -> bool:
        rules = self.rules
        if other is observer:
            return True  # oneself means nothing
        if rules.immunity_blocks_drain and other.age + 1 < rules.immunity_ticks:
            return False
        return rules.attacks_enabled and distance(observer, other) <= rules.attack_range[style]
