"""How often learners choose what a scripted policy chooses in the same states, while one of them plays."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nmmo_jax.actions import Action
from nmmo_jax.config import Config
from nmmo_jax.observations import to_action
from nmmo_jax.play.players import Players
from train.cloning import taught
from train.policy import Policy

AGREEMENT = ("asked", "drawn", "likeliest", "teacher")
"""Choices of living agents, and of these how many equal the teacher's: as who plays draws them (where the teacher
plays, the first policy), as the last policy does, and as the teacher chooses, asked again where it plays."""


def watched(policies: Sequence[Policy], teacher: str, config: Config) -> Players:
    """Players of whom one plays, by number, the policies and then the teacher, while the others are asked.

    Their parameters are ``(params, number)``; their core's second part counts ``AGREEMENT`` in every realm, ``[R, 4]``.

    Args:
      policies: of one network, the last as decided as can be.
      teacher: one of ``POLICIES``.
    """

    def act(params: Any, keys: Any, obs: Any, realm: Any, core: Any, rules: Any = None) -> Any:
        (params, who), (memory, counts) = params, core

        def ask(again: int) -> Action:
            told = taught(teacher, keys, obs, realm, config, again)
            return jax.vmap(lambda choices, obs: to_action(choices, obs, config))(told, obs)

        wanted, likeliest = ask(0), policies[-1].act(params, keys, obs, realm, memory, rules)[0]
        draws = [functools.partial(policy.act, params, keys, obs, realm, memory, rules) for policy in policies]
        teaches = who == len(policies)
        drawn, memory = jax.lax.switch(jnp.where(teaches, 0, who), draws)
        again = jax.lax.cond(teaches, lambda: ask(1), lambda: wanted)
        alive = realm.agents.alive
        agree = [alive, *(alive & same(one, wanted) for one in (drawn, likeliest, again))]
        counts += jnp.stack([each.sum(axis=1, dtype=jnp.int32) for each in agree], axis=1)
        return jax.tree.map(lambda own, other: jnp.where(teaches, other, own), drawn, wanted), (memory, counts)

    def initial(realms: int) -> Any:
        return policies[0].initial(realms), jnp.zeros((realms, len(AGREEMENT)), jnp.int32)

    return Players(act, (policies[0].params, jnp.int32(0)), initial)


def same(one: Action, other: Action) -> jax.Array:
    """Whether actions do the same, bool ``[R, N]``: the style does nothing where nobody is attacked."""

    def target(action: Action) -> jax.Array:
        slot: Any = action.target
        return jnp.where(slot == jnp.arange(slot.shape[1]), -1, slot)

    equal = (one.move == other.move) & (target(one) == target(other))
    equal &= (one.style == other.style) | (target(one) < 0)
    for name, choice in one.of.items():
        equal &= choice == other.of[name]
    return equal
