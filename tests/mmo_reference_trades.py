"""Professions and crafts of the role-playing reference."""

from __future__ import annotations

from mmo_reference_parts import AROUND, GROUND, RECIPES, Character
from reference_parts import NEVER, succeeds

MOST = 10  # the highest level of an item


class Trades:
    """The part of a realm in which agents make a living."""

    def harvest(self, agents: list[Character]) -> None:
        """Each agent whose turn it is wants one tile; of those who want the same, one gets it."""
        if "professions" not in self.units:
            return
        wanted: dict[tuple[int, int], list[Character]] = {}
        for agent in agents:
            tile = self.wants(agent)
            if tile is not None:
                wanted.setdefault(tile, []).append(agent)
        for tile, those in wanted.items():
            self.happened["harvest contested"] += len(those) > 1
            self.reap(self.winner(those, lambda one: one.uid, "professions"), tile)

    def ground(self, row: int, col: int) -> str | None:
        """What can be harvested there, if it is ready."""
        number = self.at(row, col)
        name = None if number is None else self.names[number]
        return name if name in GROUND and self.ready_tick[row, col] <= self.tick else None

    def wants(self, agent: Character) -> tuple[int, int] | None:
        here = (agent.row, agent.col)
        beside = [(agent.row + down, agent.col + right) for down, right in AROUND]
        tiles = [tile for tile in beside if self.ground(*tile) == "shoal"]
        if self.ground(*here):
            tiles.insert(0, here)
        if not tiles:
            return None
        ground = GROUND[self.ground(*tiles[0])]
        fits = self.place_for(agent, ground.product, self.product_level(agent, ground.tool), 1) is not None
        self.happened["harvest without room"] += not fits
        return tiles[0] if fits else None

    def product_level(self, agent: Character, tool: int) -> int:
        held = next((item for item in self.worn(agent) if item.kind == tool), None)
        return min(1 + held.level, MOST) if held else 1

    def reap(self, agent: Character, tile: tuple[int, int]) -> None:
        name = self.ground(*tile)
        ground, regrowth = GROUND[name], self.rule(f"professions.{name}_regrowth")
        wait = self.chance.waiting_time(self.chance.words("professions", agent.uid, 1)[0], regrowth)
        level = self.product_level(agent, ground.tool)
        assert self.put(agent, ground.product, level)
        self.ready_tick[tile] = min(NEVER, self.tick + wait)
        self.happened[f"{name} harvested"] += 1
        self.happened["harvest with a tool"] += level > 1
        if "skills" in self.units:
            agent.lessons.append((ground.skill, int(self.rule(f"skills.{ground.experience}"))))
        find = self.chance.words("professions", agent.uid, 2)[0]
        if ground.found and succeeds(find, self.rule("professions.find")):
            self.happened["find"] += self.put(agent, ground.found, level)

    def ingredients(self, agent: Character, number: int) -> list[tuple[int, int]] | None:
        """From which place how many are taken; None: one is missing."""
        taken = []
        for kind, many in RECIPES[number].ingredients:
            good = [
                (item.level, -place)
                for place, item in enumerate(agent.pack)
                if item and item.kind == kind and item.quantity >= many
                if self.is_able(agent, RECIPES[number].skill, item.level)
            ]
            if not good:
                return None
            taken.append((-max(good)[1], many))
        return taken

    def crafted(self, agent: Character, number: int) -> list | None:
        """The pack as it is after crafting; None: nothing happens."""
        if number not in RECIPES or self.busy(agent) or (taken := self.ingredients(agent, number)) is None:
            return None
        recipe, before = RECIPES[number], agent.pack
        level = min(before[place].level for place, _ in taken)
        agent.pack = [item and item.copy() for item in before]
        for place, many in taken:
            self.take_out(agent, place, many)
        fits = self.put(agent, recipe.product, level, recipe.quantity)
        after, agent.pack = agent.pack, before
        return after if fits else None

    def craft(self, agent: Character, number: int) -> None:
        after = self.crafted(agent, number)
        if after is None:
            return
        agent.pack = after
        self.happened[f"recipe {number}"] += 1
        if "skills" in self.units:
            agent.lessons.append((RECIPES[number].skill, int(self.rule("skills.craft_experience"))))
