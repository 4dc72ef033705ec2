"""What is counted by kind: causes of death and events, the classic ones and those of systems."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmmo_jax.config import Config


class Cause(IntEnum):
    """What took an agent's health to zero."""

    NONE = 0
    LAVA = 1
    STARVATION = 2
    THIRST = 3
    COMBAT = 4


class Event(IntEnum):
    """Kinds of event, in the order in which a tick lists them; those of systems follow."""

    HARVEST = 0  # amount: food gained
    DRINK = 1  # amount: water gained
    ATTACK = 2  # other: the target; amount: damage (0 if immune); detail: style
    DEATH = 3  # other: the killer; amount: age; detail: Cause; style: the killer's
    TRUNCATION = 4  # amount: age
    BIRTH = 5  # other: the parent


CAUSES = tuple(one.name.lower() for one in Cause)
EVENTS = tuple(one.name.lower() for one in Event)


def cause_names(config: Config) -> tuple[str, ...]:
    """The causes of death of a world by their numbers, ``none`` first."""
    return (*CAUSES, *(name for system in config.systems for name in system.causes))


def event_names(config: Config) -> tuple[str, ...]:
    """The kinds of event of a world by their numbers."""
    return (*EVENTS, *(name for system in config.systems for name in system.events))
