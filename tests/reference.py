"""A plain reference realm: the classic rulebook, one agent at a time, in ordinary Python.

It shares no code with the simulator. It is slow and obvious on purpose: an agent is one small object in a
list of slots, a tick is a loop over agents, and every number is a Python int, so nothing can overflow.
Recorded play of the original program holds this file to the original, and this file holds the simulator to
the rulebook, exactly, on whatever actions and draws both are given.

>>> realm = Realm(Settings(num_agents=2, num_populations=1), Rules(), material)
>>> realm.populate(2, words)                            # words: uint32[2, 3], see `Draws.spawn`
>>> outcome = realm.step({"move": [1, 0], "style": [0, 2], "target": [-1, 0]}, draws)
>>> observation = realm.observe()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from reference_parts import (
    COMPONENTS,
    FOREST,
    GRASS,
    LAVA,
    MAGE,
    NEVER,
    OFFSETS,
    SCRUB,
    WALKABLE,
    WATER,
    Agent,
    Birth,
    Draws,
    Event,
    Hit,
    Outcome,
    Rules,
    Settings,
    choose,
    distance,
    spawn_tiles,
    succeeds,
)
from reference_sight import Sight


class Realm(Sight):
    """One world. What is an attribute of the class, or a method of its own, is so for worlds with more rules."""

    character = Agent
    drains = True  # whether attacks take food and water
    walkable = WALKABLE

    def __init__(self, settings: Settings, rules: Rules, material: np.ndarray):
        self.settings = settings
        self.rules = rules
        self.material = np.array(material)
        self.ready_tick = np.zeros(self.material.shape, np.int64)  # a forest is ready when this <= tick
        self.tick = 0
        self.next_uid = 0
        self.slots: list[Agent | None] = [None] * settings.num_agents
        self.departed: dict[int, Agent] = {}  # truncated in the last step: gone, but owed a last look
        self.spawn_tiles = spawn_tiles(self.material, self.walkable)
        self.visits = np.zeros((settings.num_populations, *self.material.shape), np.int64)
        self.births: list[Birth] = []
        self.events: list[Event] = []
        self.ledger = Counter()  # (population, stat_reason) -> units in the last tick

    # ------------------------------------------------------------------------------------------ state

    def occupants(self) -> list[Agent]:
        """Who holds a place, in slot order."""
        return [agent for agent in self.slots if agent is not None]

    def place(self, slot: int, population: int, row: int, col: int, uid: int | None = None, **stats) -> Agent:
        """Put an agent into a slot by hand; what is not given is as at birth."""
        rules = self.rules
        stats = {"health": rules.start_health, "food": rules.start_food, "water": rules.start_water, **stats}
        uid = self.next_uid if uid is None else int(uid)
        self.next_uid = max(self.next_uid, uid + 1)
        place = (int(slot), uid, int(population), int(row), int(col))
        self.slots[slot] = agent = self.character(*place, **{name: int(value) for name, value in stats.items()})
        return agent

    def arrays(self) -> dict[str, np.ndarray]:
        """The agents as columns; an empty slot has uid and damage -1, and zeros."""
        empty = Agent(0, -1, 0, 0, 0, 0, 0, 0)
        rows = [agent or empty for agent in self.slots]
        columns = {name: np.array([getattr(agent, name) for agent in rows], np.int64) for name in COMPONENTS}
        return {"alive": np.array([agent is not None for agent in self.slots]), **columns}

    def observed_material(self) -> np.ndarray:
        """The map as it looks: a depleted forest is scrub."""
        return np.where((self.material == FOREST) & (self.ready_tick > self.tick), SCRUB, self.material)

    def at(self, row: int, col: int) -> int | None:
        """Underlying material; None outside the map, so that nobody walks or drinks there."""
        inside = 0 <= row < self.material.shape[0] and 0 <= col < self.material.shape[1]
        return int(self.material[row, col]) if inside else None

    def immune(self, agent: Agent) -> bool:
        return agent.age < self.rules.immunity_ticks

    def note(self, kind: str, agent: Agent, other: int = -1, amount: int = 0, place: tuple = ()) -> None:
        row, col = place or (agent.row, agent.col)
        self.events.append(Event(kind, agent.uid, other, row, col, amount))

    def change(self, agent: Agent, stat: str, value: int, reason: str) -> int:
        """Set a stat, and book the difference under its reason; returns the size of the difference."""
        amount = abs(value - getattr(agent, stat))
        setattr(agent, stat, value)
        self.ledger[agent.population, f"{stat}_{reason}"] += amount
        return amount

    # ------------------------------------------------------------------------------------------- tick

    def step(self, action: Mapping[str, Sequence[int]], draws: Draws) -> Outcome:
        """One tick: vitals, act, cull, spawn; forests regrow by appointment when the tick advances."""
        self.births, self.events, self.departed, self.ledger = [], [], {}, Counter()
        oldest_first = sorted(self.occupants(), key=lambda agent: agent.uid)
        if self.settings.resolution == "simultaneous":
            survivors = self.resolve_at_once(oldest_first, action, draws)
        else:
            survivors = self.resolve_in_turn(oldest_first, action, draws)
        reward, terminated, truncated, cause = self.cull(oldest_first, survivors)
        if self.settings.reproduction:
            for agent in oldest_first:
                if agent in self.slots and agent.health > 0:
                    self.reproduce(agent, *draws.reproduction[agent.slot])
        for coin, population_word, tile_word in draws.spawn:
            if succeeds(coin, self.rules.spawn_rate):
                self.give_birth(population_word, tile_word)
        self.tick += 1
        return Outcome(reward, terminated, truncated, cause, self.births, self.events)

    def resolve_at_once(self, agents: list[Agent], action: Mapping, draws: Draws) -> set[Agent]:
        """Each phase for everybody. Vitals meet only at forests, where going by age is the rule itself."""
        living = [agent for agent in agents if self.vitals(agent, draws)]
        hits = [hit for agent in living if (hit := self.aim(agent, action, living))]  # before anyone moves
        for agent in living:
            self.move(agent, action)
        self.strike(hits)
        return {agent for agent in living if agent.health > 0}

    def resolve_in_turn(self, agents: list[Agent], action: Mapping, draws: Draws) -> set[Agent]:
        """Everything for one agent after another. Who dies after its turn is found dead in the next tick."""
        survivors = set()
        for agent in agents:
            if self.vitals(agent, draws):
                hit = self.aim(agent, action, agents)  # the dead can be targeted until they are removed
                self.move(agent, action)
                self.strike([hit] if hit else [])
                survivors.add(agent)
        return survivors

    def vitals(self, agent: Agent, draws: Draws) -> bool:
        """Forage, drink, heal, burn, age. Returns whether the agent is alive to act."""
        rules = self.rules
        if agent.health <= 0:
            agent.cause = agent.cause or "combat"  # nothing else leaves the dead in their place
            return False
        row, col = agent.row, agent.col
        agent.freeze = max(0, agent.freeze - 1)
        self.visits[agent.population, row, col] += 1
        if self.at(row, col) == LAVA:
            agent.cause = "lava"
            return False

        if self.at(row, col) == FOREST and self.ready_tick[row, col] <= self.tick:
            gain = self.change(agent, "food", min(rules.max_food, agent.food + rules.forage_amount), "forage")
            self.ready_tick[row, col] = min(NEVER, self.tick + int(draws.regrowth[agent.slot]))
            self.note("harvest", agent, amount=gain)
        around = [(row, col + 1), (row + 1, col), (row, col - 1), (row - 1, col)]
        if any(self.at(*tile) == WATER for tile in around):
            gain = self.change(agent, "water", min(rules.max_water, agent.water + rules.drink_amount), "drink")
            self.note("drink", agent, amount=gain)
        if agent.food > rules.heal_food_above and agent.water > rules.heal_water_above:
            self.change(agent, "health", min(rules.max_health, agent.health + rules.heal_amount), "healing")

        self.change(agent, "water", max(0, agent.water - rules.water_metabolism), "metabolism")
        self.change(agent, "food", max(0, agent.food - rules.food_metabolism), "metabolism")
        if agent.food == 0:
            self.change(agent, "health", max(0, agent.health - rules.starvation_damage), "starvation")
            agent.cause = None if agent.health > 0 else "starvation"
        if agent.water == 0 and agent.health > 0:
            self.change(agent, "health", max(0, agent.health - rules.thirst_damage), "thirst")
            agent.cause = None if agent.health > 0 else "thirst"
        agent.damage = -1
        agent.age += 1
        return agent.health > 0

    def aim(self, agent: Agent, action: Mapping, targetable: Iterable[Agent]) -> Hit | None:
        """The attack the agent makes, if its action is a legal one from where it stands now."""
        rules, style = self.rules, int(action["style"][agent.slot])
        target = next((other for other in targetable if other.slot == action["target"][agent.slot]), None)
        if not rules.attacks_enabled or style not in (0, 1, 2) or target is None or target is agent:
            return None
        if distance(agent, target) > rules.attack_range[style]:
            return None
        if rules.immunity_blocks_drain and self.immune(target):
            return None
        return Hit(agent, target, style, agent.row, agent.col)

    def move(self, agent: Agent, action: Mapping) -> None:
        down, right = OFFSETS.get(int(action["move"][agent.slot]), (0, 0))
        row, col = agent.row + down, agent.col + right
        # A forest and its scrub are both walkable, so the underlying material decides as the observed would.
        if agent.freeze == 0 and self.at(row, col) in self.walkable:
            agent.row, agent.col = row, col

    def damage(self, hit: Hit) -> int:
        """D: what the hit asks of its target."""
        return self.rules.attack_damage[hit.style]

    def strike(self, hits: list[Hit]) -> None:
        """Carry out attacks together: sum per agent what it suffers, loses and gains, then clamp once."""
        rules = self.rules
        for agent in dict.fromkeys(one for hit in hits for one in (hit.actor, hit.target)):
            received = [hit for hit in hits if hit.target is agent]
            lost = sum(self.damage(hit) for hit in received)
            gained = sum(self.damage(hit) for hit in hits if hit.actor is agent)
            if self.drains and (lost > 0 or gained > 0):
                for stat, most in (("food", rules.max_food), ("water", rules.max_water)):
                    held = getattr(agent, stat) + gained
                    after = min(most, max(0, held - lost))
                    drained = min(lost, held)  # what the others really took; the rest of the change was gained
                    self.ledger[agent.population, f"{stat}_drained"] += drained
                    self.ledger[agent.population, f"{stat}_gained"] += after - getattr(agent, stat) + drained
                    setattr(agent, stat, after)
            if any(hit.style == MAGE for hit in received):
                agent.freeze = rules.freeze_ticks
            if lost > 0 and not self.immune(agent):
                agent.damage = lost
                healthy = agent.health > 0
                self.change(agent, "health", max(0, agent.health - lost), "damage")
                if healthy and agent.health == 0 and agent.cause is None:
                    worst = max(received, key=lambda hit: (self.damage(hit), -hit.actor.uid))
                    agent.cause, agent.killer = "combat", worst.actor.uid
        for hit in hits:
            amount = 0 if self.immune(hit.target) else self.damage(hit)
            self.note("attack", hit.actor, hit.target.uid, amount, (hit.row, hit.col))

    def cull(self, agents: list[Agent], survivors: set[Agent]) -> tuple:
        """Remove the dead, and those whose time is up; pay everyone."""
        size, limit = self.settings.num_agents, self.settings.max_lifetime
        reward, cause = np.zeros(size), list[str | None]([None] * size)
        terminated, truncated = np.zeros(size, bool), np.zeros(size, bool)
        for agent in agents:
            time_is_up = limit is not None and agent.age >= limit
            if agent not in survivors or (time_is_up and agent.health <= 0):
                terminated[agent.slot] = True
                cause[agent.slot] = agent.cause
                reward[agent.slot] = -1 if self.settings.reward == "death" else 0
                self.leave(agent)
                self.note("death", agent, agent.killer, agent.age)
                continue
            reward[agent.slot] = 1 if self.settings.reward == "survival" else 0
            if time_is_up:
                truncated[agent.slot] = True
                self.leave(agent)
                self.departed[agent.slot] = agent
        return reward, terminated, truncated, cause

    def leave(self, agent: Agent) -> None:
        self.slots[agent.slot] = None
        for stat in ("health", "food", "water"):
            self.ledger[agent.population, f"{stat}_death"] += getattr(agent, stat)

    # ----------------------------------------------------------------------------------------- births

    def populate(self, count: int, words: Sequence[Sequence[int]]) -> list[Birth]:
        """Up to `count` births at the start of a realm, with the coin ignored; returns all births so far."""
        for _, population_word, tile_word in list(words)[:count]:
            self.give_birth(population_word, tile_word)
        return self.births

    def give_birth(self, population_word: int, tile_word: int) -> None:
        """One attempt: a population with room, its lowest free slot, a tile of the spawn ring."""
        settings, rules = self.settings, self.rules
        cap = settings.num_agents if rules.population_cap is None else rules.population_cap
        taken = [*self.occupants(), *self.departed.values()]  # the truncated fill theirs for this tick
        populations = range(settings.num_populations)
        room = range(settings.num_agents)
        if settings.layout == "blocks":
            share, extra = divmod(cap, settings.num_populations)
            counts = [sum(agent.population == p for agent in taken) for p in populations]
            populations = [p for p in populations if counts[p] < share + (p < extra)]
        if len(taken) >= cap or not populations or not self.spawn_tiles:
            return
        population = populations[choose(population_word, len(populations))]
        if settings.layout == "blocks":
            block = settings.num_agents // settings.num_populations
            room = range(population * block, (population + 1) * block)
        slot = min(set(room) - {agent.slot for agent in taken})
        row, col = self.spawn_tiles[choose(tile_word, len(self.spawn_tiles))]
        agent = self.place(slot, population, row, col)
        for stat in ("health", "food", "water"):
            self.ledger[population, f"{stat}_birth"] += getattr(agent, stat)
        self.births.append(Birth(slot, agent.uid, -1, population, agent.row, agent.col))
        self.note("birth", agent)

    def reproduce(self, parent: Agent, coin: int, tile_word: int) -> None:
        """A birth beside a parent that is old enough and has enough, if there is a place left."""
        settings, rules = self.settings, self.rules
        cap = settings.num_agents if rules.population_cap is None else rules.population_cap
        taken = {agent.slot for agent in [*self.occupants(), *self.departed.values()]}
        rich = parent.food > rules.birth_food_above and parent.water > rules.birth_water_above
        if not rich or parent.age < rules.birth_age or len(taken) >= cap or not succeeds(coin, rules.birth_probability):
            return
        self.change(parent, "food", max(0, parent.food - rules.birth_food_cost), "to_offspring")
        self.change(parent, "water", max(0, parent.water - rules.birth_water_cost), "to_offspring")
        row, col = parent.row, parent.col
        around = [(row, col + 1), (row + 1, col), (row, col - 1), (row - 1, col)]
        around = [tile for tile in around if self.at(*tile) in (GRASS, SCRUB, FOREST)]
        if around:
            row, col = around[choose(tile_word, len(around))]
        slot = min(set(range(settings.num_agents)) - taken)
        energy = {"food": rules.newborn_food, "water": rules.newborn_water}
        agent = self.place(slot, parent.population, row, col, **energy)
        self.ledger[agent.population, "health_birth"] += agent.health
        for stat, amount in energy.items():
            self.ledger[agent.population, f"{stat}_from_parents"] += amount
        self.births.append(Birth(slot, agent.uid, parent.uid, agent.population, row, col))
        self.note("birth", agent, parent.uid)
