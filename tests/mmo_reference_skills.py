"""Skills of the role-playing reference: what an attack does, and what agents learn."""

from __future__ import annotations

from mmo_reference_parts import BEATS, Character, thresholds
from reference_parts import choose


class Skills:
    """The part of a realm in which agents get better."""

    def blow(self, style: int, stance: int, offence: int, defence: int, word: int) -> int:
        """What an attack does, of whomever on whomever."""
        if "skills" not in self.units:
            return max(offence - defence, 0)
        if self.rule("skills.accuracy") and (word & 0x7FFF) >= hits_in_32768(offence, defence):
            return 0
        factor, spread = 3 if BEATS[style] == stance else 2, int(self.rule("skills.spread"))
        damage = max(factor * offence // 2 - defence, offence // 4)
        return damage * (100 - spread + choose(word, 2 * spread + 1)) // 100

    def learn(self, agent: Character) -> None:
        """The experience of this tick, and of each skill one level, if it is enough for that."""
        levels = thresholds(int(self.rule("skills.curve")))
        for skill, experience in agent.lessons:
            agent.experience[skill] = min(levels[-1], agent.experience[skill] + experience)
        for skill, level in enumerate(agent.level):
            if level < len(levels) and agent.experience[skill] >= levels[level]:
                agent.level[skill] += 1
                self.happened["level"] += 1

    def refresh_skills(self, agent: Character) -> None:
        """Offence, defence and stance for the coming tick."""
        agent.skill_offence = [int(self.rule("skills.offence_per_level")) * agent.level[style] for style in range(3)]
        agent.skill_defence = int(self.rule("skills.defence_per_level")) * max(agent.level)
        agent.combat_level = max(agent.level[:3])
        agent.stance = max(range(3), key=lambda style: (agent.experience[style], -style))

    def is_able(self, agent: Character, skill: int | None, level: int) -> bool:
        """Whether an agent can handle something of a level, of a skill or (None) of any."""
        if "skills" not in self.units:
            return True
        return level <= (max(agent.level) if skill is None else agent.level[skill])

    def progress(self, agent: Character, skill: int) -> int:
        """Hundredths of the way to the next level; all of it where there is no next."""
        levels, level = thresholds(int(self.rule("skills.curve"))), agent.level[skill]
        if level >= len(levels):
            return 100
        done, all_of_it = agent.experience[skill] - levels[level - 1], levels[level] - levels[level - 1]
        return max(0, min(100, 100 * done // all_of_it))


def hits_in_32768(a: int, d: int) -> int:
    """Of how many of 32,768 words an attack does something."""
    a, d = min(a, 60_000), min(d, 60_000)
    if a > d:
        return 32768 - 32768 * (d + 2) // (2 * (a + 1))
    return 32768 * a // (2 * (d + 1))
