"""Skills: experience from what agents do, levels, and what attacks do by levels and styles.

Rules: docs/rulebook-mmo.md, Combat and Skills.
"""

import itertools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32, UInt32

from nmmo_jax.common.apart import apart
from nmmo_jax.declarations import STYLES, Column, Leaf, Listing, Phase, Rule
from nmmo_jax.draws import choose
from nmmo_jax.mmo.kinds import SKILLS
from nmmo_jax.system import System
from nmmo_jax.systems.world import World

MOST = 99  # levels of the longer curve
NEVER = 2**31 - 1
TEN = tuple(itertools.accumulate((round(90 * math.sqrt(level)) for level in range(1, 10)), initial=0))
NINETY_NINE = tuple(
    itertools.accumulate(
        (math.floor(math.floor(level + 300 * 2 ** (level / 7)) / 4) for level in range(1, MOST)), initial=0
    )
)
EVENTS = (  # of what the experience is of which skill, and by which rule; an agent tells one of each in a tick
    {
        "mined": ("prospecting", "ammunition_experience"),
        "felled": ("carving", "ammunition_experience"),
        "crushed": ("alchemy", "ammunition_experience"),
        "picked": ("herbalism", "consumable_experience"),
        "fished": ("fishing", "consumable_experience"),
    },
    {f"crafted_{skill}": (skill, "craft_experience") for skill in SKILLS[len(STYLES) :]},
)


def needed(curve: Int32[Array, ""]) -> Int32[Array, "100"]:
    """The experience at which level i + 1 begins, at index i; beyond the last level one that nobody has."""
    ten, all_of_them = ([*curve, *[NEVER] * (MOST + 1 - len(curve))] for curve in (TEN, NINETY_NINE))
    return jnp.where(curve == 0, jnp.array(ten, jnp.int32), jnp.array(all_of_them, jnp.int32))


def blow(
    rule,
    style: Int32[Array, "*B"],
    stance: Int32[Array, "*B"],
    offence: Int32[Array, "*B"],
    defence: Int32[Array, "*B"],
    word: UInt32[Array, "*B"],
) -> Int32[Array, "*B"]:
    """What an attack does: half as much again on who is at home in the style that it beats, and at least a quarter."""
    factor = jnp.where((style + 1) % len(STYLES) == stance, 3, 2)
    damage = jnp.maximum(factor * offence // 2 - defence, offence // 4)
    damage = damage * (100 - rule.spread + choose(word, 2 * rule.spread + 1)) // 100
    a, d = (jnp.clip(number, 0, 60_000) for number in (offence, defence))
    hit = jnp.where(a > d, 2**15 - 2**15 * (d + 2) // (2 * (a + 1)), 2**15 * a // (2 * (d + 1)))
    return jnp.where(rule.accuracy & ((word & 0x7FFF).astype(jnp.int32) >= hit), 0, damage)


def learn(world: World) -> World:
    """Experience for what was done in this tick, and at most one level more in each skill."""
    table = needed(world.rule.curve)
    last = jnp.where(world.rule.curve == 0, TEN[-1], NINETY_NINE[-1])
    experience = jnp.minimum(world["experience"] + _earned(world), last)
    level = world["level"]
    level += (experience >= table[jnp.clip(level, 0, MOST)]).astype(jnp.int32)
    return world.set(experience=experience, level=level)


def refresh(world: World) -> World:
    """What levels are worth in the fights of the coming tick."""
    level, styles = world["level"], len(STYLES)
    return world.set(
        offence=world.rule.offence_per_level * level[:styles],
        defence=world.rule.defence_per_level * level.max(axis=0),
        stance=jnp.argmax(world["experience"][:styles], axis=0),
        combat_level=level[:styles].max(axis=0),
    )


def _earned(world: World) -> Int32[Array, "8 N"]:
    outcome, rule = world.outcome, world.rule
    assert outcome is not None
    hunted = world.told("monster_hit")
    style = jnp.where(hunted.happened, world.chosen("style"), outcome.attack_style)
    fought = jnp.where(outcome.attack_target >= 0, outcome.attack_damage, 0)
    damage = jnp.where(hunted.happened, hunted.amount, fought)
    earned = jnp.where(damage > 0, rule.attack_experience + rule.damage_experience * damage, 0)
    style, earned = apart((style, earned))
    skill = np.arange(len(SKILLS), dtype=np.int32)[:, None]
    gains = jnp.where(style[None] == skill, earned[None], 0)
    # An agent does one thing of each kind in a tick: one number says which, so that no column is made by itself.
    for kind in EVENTS:
        which, gain = jnp.full_like(style, -1), jnp.zeros_like(style)
        for event, (name, by) in kind.items():
            told = world.told(event).happened
            which, gain = jnp.where(told, SKILLS.index(name), which), jnp.where(told, getattr(rule, by), gain)
        which, gain = apart((which, gain))
        gains += jnp.where(which[None] == skill, gain[None], 0)
    return gains


def levels(world: World) -> Int32[Array, "N 8"]:
    """The levels of each agent."""
    return apart(world["level"]).T


def progress(world: World) -> Int[Array, "N 8"]:
    """How far each skill is from its level to the next, in hundredths; 100 at the last."""
    table, level = needed(world.rule.curve), world["level"]
    begins, ends = (table[jnp.clip(level - back, 0, MOST)] for back in (1, 0))
    # At the last level there is no next; and 100 times the largest difference still fits 31 bits.
    share = 100 * (world["experience"] - begins) // jnp.maximum(ends - begins, 1)
    return apart(jnp.where(ends == NEVER, 100, jnp.clip(share, 0, 100))).T


SKILLS_UNIT = System(
    name="skills",
    meaning="experience from fights and work, levels, and attacks that follow from them",
    rules=(
        Rule("curve", 0, meaning="0: ten levels; 1: 99", high=1),
        Rule("attack_experience", 6, "experience", "of an attack that does damage"),
        Rule("damage_experience", 0, "experience", "of each point of damage, beside that"),
        Rule("ammunition_experience", 15, "experience", "of ore, wood or crystal harvested"),
        Rule("consumable_experience", 30, "experience", "of herbs or fish harvested"),
        Rule("craft_experience", 15, "experience", "of something crafted"),
        Rule("offence_per_level", 5, "offence", "of each level of a style", high=300),
        Rule("defence_per_level", 5, "defence", "of each level of an agent", high=300),
        Rule("spread", 20, "percent", "by which damage is drawn, up and down", high=100),
        Rule("accuracy", False, "", "whether attacks can miss, the more the better the defence", dtype="bool"),
    ),
    agents=(
        Column("experience", "int32", low=0, each=SKILLS, meaning="in each skill"),
        Column("level", "uint8", newborn=1, each=SKILLS, high=MOST, meaning="of each skill"),
        Column("offence", newborn="offence_per_level", each=STYLES, low=0, meaning="of its levels"),
        Column("defence", newborn="defence_per_level", low=0, meaning="of its level"),
        Column("stance", "uint8", high=2, category=True, names=STYLES, meaning="the style of most experience"),
        Column("combat_level", "uint8", newborn=1, high=MOST, meaning="the highest level of a style"),
    ),
    blow=blow,
    observe=(
        Leaf("skill_levels", levels, shape=(len(SKILLS),), high=MOST, meaning="its own levels"),
        Leaf("skill_progress", progress, shape=(len(SKILLS),), high=100, meaning="hundredths of the way to the next"),
        Listing("fighters", table="agents", most=16, columns=("combat_level", "stance"), meaning="of those in view"),
    ),
    phases=(Phase("settle", learn), Phase("end", refresh)),
)
