"""Monsters of the role-playing reference."""

from __future__ import annotations

from mmo_reference_parts import (
    AGGRESSIVE,
    AROUND,
    ATTEMPTS,
    CHICKEN,
    GOBLIN,
    MELEE,
    PASSIVE,
    TROLL,
    Character,
    Monster,
    danger,
    far,
)
from reference_parts import LAVA, choose, succeeds


class Monsters:
    """The part of a realm in which monsters come, fight, move and heal."""

    def defence_of(self, monster: Monster) -> int:
        return int(self.rule("monsters.defence_per_level")) * monster.level

    def most_health(self, kind: int) -> int:
        names = {CHICKEN: "chicken_health", GOBLIN: "goblin_health", TROLL: "troll_health"}
        return int(self.rule(f"monsters.{names[kind]}"))

    # ---------------------------------------------------------------------------- agents attack monsters

    def style_of(self, agent: Character) -> int:
        """The style in which it attacks monsters: melee, if it names none."""
        style = int(self.action["style"][agent.slot])
        return style if style in (0, 1, 2) else MELEE

    def prey_of(self, agent: Character) -> Monster | None:
        """The monster that the agent strikes from where it stands now, if it does not hit an agent."""
        if "monsters" not in self.units:
            return None
        style, number = self.style_of(agent), int(self.action["prey"][agent.slot])
        monster = next((one for one in self.monsters if one.number == number), None)
        if monster is None or far(agent, monster) > self.rules.attack_range[style]:
            return None
        return monster

    def settle_monsters(self, living: list[Character]) -> list[Character]:
        """They are attacked, and those who live act, all at once; returns whom they killed."""
        attacked = self.suffer()
        for monster in self.monsters:
            self.remember(monster, attacked, living)
        foes = {monster.number: self.foe_of(monster, living) for monster in self.monsters}
        strikers = [one for one in self.monsters if self.strikes(one, foes[one.number])]
        killed = self.strike_agents(strikers, foes, living)
        for monster in self.monsters:
            if monster not in strikers:
                self.move_monster(monster, foes[monster.number])
        for monster in self.monsters:
            if monster not in attacked:
                full = self.most_health(monster.kind)
                monster.health = max(monster.health, min(full, monster.health + int(self.rule("monsters.healing"))))
        return killed

    def suffer(self) -> list[Monster]:
        """Damage is summed per monster; the dead leave their table. Returns those that were attacked, and live."""
        attacked = []
        for monster in list(self.monsters):
            blows = [blow for blow in self.blows if blow.monster is monster and blow.damage > 0]
            if not blows:
                continue
            attacked.append(monster)
            monster.health = max(0, monster.health - sum(blow.damage for blow in blows))
            worst = max(blows, key=lambda blow: (blow.damage, -blow.actor.uid)).actor
            monster.foe_uid, monster.foe_slot = worst.uid, worst.slot
            monster.memory = int(self.rule("monsters.remembers"))
            self.happened["monster hurt"] += 1
            if monster.health == 0:
                self.monsters.remove(monster)
                worst.slain = monster
                self.happened[f"monster {monster.kind} killed"] += 1
        return attacked

    # ------------------------------------------------------------------------------------------ they act

    def remember(self, monster: Monster, attacked: list[Monster], living: list[Character]) -> None:
        if monster not in attacked:
            monster.memory = max(0, monster.memory - 1)
        if monster.memory == 0 or monster.foe_uid not in [agent.uid for agent in living]:
            self.happened["monster forgot"] += monster.foe_uid >= 0
            monster.forget()

    def foe_of(self, monster: Monster, living: list[Character]) -> Character | None:
        sight = self.rule("monsters.sight")
        near = [agent for agent in living if far(monster, agent) <= sight]
        remembered = next((agent for agent in near if agent.uid == monster.foe_uid), None)
        if remembered is not None or monster.kind != AGGRESSIVE:
            return remembered
        near = [agent for agent in near if not self.immune(agent)]
        return min(near, key=lambda agent: (far(monster, agent), agent.uid), default=None)

    def strikes(self, monster: Monster, foe: Character | None) -> bool:
        if foe is None or monster.kind == PASSIVE:
            return False
        return far(monster, foe) <= self.rules.attack_range[monster.style]

    def strike_agents(self, strikers: list[Monster], foes: dict, living: list[Character]) -> list[Character]:
        """What all of them do to an agent is summed."""
        lost = dict.fromkeys([agent.uid for agent in living], 0)
        for monster in strikers:
            foe, word = foes[monster.number], self.chance.words_of("monsters", monster.number, 2)[0]
            if "skills" not in self.units:
                word = 0
            offence = int(self.rule("monsters.offence_per_level")) * monster.level
            damage = self.blow(monster.style, foe.stance, offence, self.defence(foe), word)
            lost[foe.uid] += 0 if self.immune(foe) else damage
        killed = []
        for agent in living:
            before = agent.health
            if lost[agent.uid] > 0:
                self.change(agent, "health", max(0, before - lost[agent.uid]), "monsters")
                self.happened["agent hurt by monsters"] += 1
            agent.fights |= agent.health < before
            if agent.health == 0:
                agent.cause = "monster"
                killed.append(agent)
                self.happened["agent killed by monsters"] += 1
        return killed

    def move_monster(self, monster: Monster, foe: Character | None) -> None:
        first, second = self.chance.words_of("monsters", monster.number, 1)
        if foe is None:
            steps = [AROUND[choose(second, 4)]] if succeeds(first, self.rule("monsters.wander")) else []
        else:
            away, by_chance = monster.kind == PASSIVE, -1 if second & 1 else 1
            down, right = foe.row - monster.row, foe.col - monster.col
            along_rows = (one_step(down, away, by_chance), 0)
            along_columns = (0, one_step(right, away, by_chance))
            steps = [along_rows, along_columns] if abs(down) >= abs(right) else [along_columns, along_rows]
        for down, right in steps:
            row, col = monster.row + down, monster.col + right
            if (down, right) != (0, 0) and self.at(row, col) in self.walkable and self.at(row, col) != LAVA:
                monster.row, monster.col = row, col
                self.happened["monster fled" if foe and monster.kind == PASSIVE else "monster moved"] += 1
                return

    # --------------------------------------------------------------------------------------- they appear

    def monsters_appear(self) -> None:
        rows, columns = self.material.shape
        for attempt in range(ATTEMPTS):
            if len(self.monsters) >= min(self.rule("monsters.cap"), self.places):
                return
            row_word, col_word = self.chance.words_of("monsters", 2 * attempt, 0)
            style_word = self.chance.words_of("monsters", 2 * attempt + 1, 0)[0]
            row, col = choose(row_word, rows), choose(col_word, columns)
            if self.at(row, col) not in self.walkable or self.at(row, col) == LAVA:
                continue
            there = danger(row, col, self.material.shape, self.border)
            kind = TROLL
            if there < self.rule("monsters.aggressive_from"):
                kind = GOBLIN
            if there < self.rule("monsters.neutral_from"):
                kind = CHICKEN
            number = min(set(range(self.places)) - {one.number for one in self.monsters})
            level, style = 1 + 9 * there // 100, choose(style_word, 3)
            self.monsters.append(Monster(number, row, col, kind, level, self.most_health(kind), style))
            self.monsters.sort(key=lambda one: one.number)
            self.happened["monster appeared"] += 1


def one_step(difference: int, away: bool, by_chance: int) -> int:
    """Along one axis, on which the foe is so far."""
    if difference == 0:
        return by_chance if away else 0
    return (1 if difference > 0 else -1) * (-1 if away else 1)
