"""Actions, declared as data: an ordered list of heads, each with its arguments.

Networks, masks, specs and documentation are made from ``heads(config)``; the classic heads come first, then those of
systems.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from nmmo_jax.common.spelling import near
from nmmo_jax.components import Agents
from nmmo_jax.components import Orders as Orders
from nmmo_jax.config import ARGUMENTS, STYLES, Config
from nmmo_jax.declarations import Argument as Argument
from nmmo_jax.declarations import Head as Head
from nmmo_jax.rules import Rules
from nmmo_jax.systems.movement import DIRECTIONS


def heads(config: Config) -> tuple[Head, ...]:
    """The action heads of a world: the two of the classic game, then those of its systems."""
    styles, visible = len(STYLES), config.num_visible
    move = Argument("move", len(DIRECTIONS), meaning="0 stay, 1 column+1, 2 row+1, 3 column-1, 4 row-1")
    style = Argument("style", styles, meaning="0 melee, 1 range, 2 mage")
    target = Argument(
        "target",
        visible,
        0,
        (styles, visible),
        "position in the list of visible agents, one mask row per style; Action.target takes visible_slot of it",
        among="visible",
    )
    classic = Head("move", (move,)), Head("attack", (style, target))
    return (*classic, *(head for own in config.own_heads.values() for head in own))


def number_of_things(argument: Argument, config: Config) -> int:
    """How many different numbers from 0 ``Action`` can have for an argument."""
    if not argument.among:
        return argument.size
    if argument.among == "window":
        return config.rows * config.columns
    rows = None if argument.among == "visible" else config.lists[argument.among].rows
    return config.num_agents if rows is None else rows


class Action(flax.struct.PyTreeNode):
    """What every agent does in one tick; int arrays ``[num_agents]``, or None for nothing.

    Values out of range mean nothing: a move other than 0 to 4 stays; a style other than 0 to 2, or a target
    that is no slot, does not attack. ``target`` is an agent *slot* (-1, or oneself: no attack).
    What is given for empty slots is ignored. ``of`` has the choices of systems, by argument.
    """

    move: Int[Array, "N"] | None = None
    style: Int[Array, "N"] | None = None
    target: Int[Array, "N"] | None = None
    of: dict[str, Int[Array, "N"] | None] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_named(cls, choices: Mapping[str, Any]) -> "Action":
        """An action of choices by argument, those of systems among them."""
        classic = {name: choice for name, choice in choices.items() if name in ARGUMENTS}
        return cls(**classic, of={name: choice for name, choice in choices.items() if name not in ARGUMENTS})

    def named(self) -> dict[str, Any]:
        """The choices by argument."""
        return {**{name: getattr(self, name) for name in ARGUMENTS}, **self.of}


def complete(action: Action, config: Config) -> Action:
    """The action with nothing for every system's argument that it leaves out, so that it is as those of others."""
    nothing = {one.name: one.no_choice for system in config.systems for one in system.arguments}
    assert action.move is not None  # policies say what they do
    of = {name: jnp.full(action.move.shape, choice, jnp.int32) for name, choice in nothing.items()}
    return action.replace(of={**of, **action.of})


def as_orders(action: Action, config: Config) -> Orders:
    """The action with everything out of range, or left out, turned into nothing.

    Without a style or without a target there is no attack.

    Raises:
      ValueError: an array is not of integers or not of shape ``[num_agents]``.
    """
    n = config.num_agents
    if not isinstance(action, Action):
        raise ValueError(f"action: {type(action).__name__}: must be an Action(move=..., style=..., target=...)")

    own = {one.name: one for system in config.systems for one in system.arguments}
    for name in action.of:
        if name not in own:
            there = f"there are {', '.join(own) or 'none'}{near(str(name), own)}"
            raise ValueError(f"action.of[{name!r}]: no argument of a system: {there}")

    def known(name: str, size: int, nothing: int) -> jax.Array:
        value = action.of.get(name) if name in own else getattr(action, name)
        if value is None:
            return jnp.full(n, nothing, jnp.int32)
        value = value if isinstance(value, jax.Array) else np.asarray(value)
        if not jnp.issubdtype(value.dtype, jnp.integer) or value.shape != (n,):
            raise ValueError(f"action.{name}: {value.dtype} of shape {value.shape}: must be integers of shape ({n},)")
        if value.dtype.itemsize > 4:  # before it could wrap around
            value = value.clip(0 if value.dtype.kind == "u" else -1, 2**31 - 1)
        value = jnp.asarray(value).astype(jnp.int32)
        return jnp.where((value >= 0) & (value < size), value, nothing)

    style = known("style", len(STYLES), -1)
    target = jnp.where(style >= 0, known("target", n, -1), -1)
    of = {name: known(name, number_of_things(one, config), one.no_choice) for name, one in own.items()}
    slot = np.arange(n, dtype=np.int32)
    for name in (name for name, one in own.items() if one.among == "visible"):
        of[name] = jnp.where(of[name] == slot, -1, of[name])  # the first in one's own list is oneself
    return Orders(move=known("move", len(DIRECTIONS), 0), style=jnp.maximum(style, 0), target=target, of=of)


def action_mask(
    agents: Agents,
    enters: Bool[Array, "N 5"],
    able: Bool[Array, "N"],
    listed: Bool[Array, "N V"],
    age: Int[Array, "N V"],
    distance: Int[Array, "N V"],
    rules: Rules,
) -> dict[str, Bool[Array, "N ..."]]:
    """Which choices do something, at the moment of observation; deaths in the coming vitals are not foreseen.

    Args:
      agents: who chooses.
      enters: whether each of the five moves leads to a tile that can be entered.
      able: who will act; the others' masks allow nothing but nothing.
      listed: whether there is a visible agent at that position of the list.
      age, distance: of each of them; Chebyshev, in tiles.
      rules: those of the realm, or a row of them for each agent.
    """
    move = enters & (able & (agents.freeze <= 1))[:, None]  # the coming vitals count freeze down first
    move |= _is_first(move)

    ticks, blocks, enabled = (
        rule[:, None] if rule.ndim else rule
        for rule in (rules.immunity_ticks, rules.immunity_blocks_drain, rules.attacks_enabled)
    )
    legal = listed & ~(blocks & (age + 1 < ticks)) & able[:, None] & enabled
    reach = rules.attack_range.reshape(-1, len(STYLES), 1)
    target = legal[:, None, :] & (distance.astype(jnp.int32)[:, None, :] <= reach)
    target |= _is_first(target)
    style = jnp.broadcast_to(able[:, None], (able.size, len(STYLES)))
    style |= _is_first(style)
    return {"move": move, "style": style, "target": target}


def _is_first(mask: jax.Array) -> Bool[np.ndarray, "..."]:
    """Whether it is the first choice, of as many axes as the mask."""
    return (np.arange(mask.shape[-1]) == 0).reshape(*[1] * (mask.ndim - 1), -1)
