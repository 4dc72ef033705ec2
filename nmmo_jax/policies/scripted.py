"""Scripted policies: pure functions of what the agents of one realm see, to play against and to measure learners by.

Each draws a number per agent, so that agents in the same place differ. What comes out for empty slots means nothing.
Those ``BY_AGENT`` can be asked for any agents of any realms (``nmmo_jax.fold_living``), with its realm's key for each.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, PRNGKeyArray

from nmmo_jax.actions import Action
from nmmo_jax.bits import count_bits, nth_bit, pack
from nmmo_jax.common.apart import apart
from nmmo_jax.common.spelling import near
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.draws import choose, fold_in, shape_of, words
from nmmo_jax.goals import View
from nmmo_jax.observations import FEATURES, Observation, to_action
from nmmo_jax.policies.foraging import (
    MOVES,
    Mask,
    chances,
    forage,
    heading,
    in_peace,
    look,
    own_slot,
    safe_moves,
)
from nmmo_jax.policies.planner import planner

STRAY = 32  # in 256: how often a wanderer leaves its heading

Policy = Callable[[PRNGKeyArray, Observation, Realm], Action]


def random(key: PRNGKeyArray, obs: Observation, mask: Mask) -> Action:
    """Uniform over all five moves, also those that fail; then over styles; then over oneself and whom that reaches."""
    slot = own_slot(key, obs)
    move, style = words(key, slot, jnp.zeros_like(slot))
    which, _ = words(key, slot, jnp.ones_like(slot))
    styles = mask["target"].shape[1]
    style = choose(style, styles)
    of_style = (jnp.arange(styles, dtype=jnp.int32)[None] == style[:, None])[..., None]
    reached = pack(jnp.where(of_style, mask["target"], False).any(axis=1).T)
    index = nth_bit(reached, choose(which, count_bits(reached).sum(axis=0, dtype=jnp.int32)))
    return Action(move=choose(move, MOVES), style=style, target=slot_of(obs, index))


def wanderer(key: PRNGKeyArray, obs: Observation, mask: Mask) -> Action:
    """Walks about, mostly straight on, around stone and water, and never onto lava."""
    word = chances(key, obs, MOVES)
    ahead = (jnp.arange(MOVES, dtype=jnp.int32)[None] == heading(key, obs)[:, None]) & (word[:, :1] >= STRAY)
    safe = safe_moves(View(obs, Config()), mask).at[:, 0].set(False)
    score = jnp.where(safe, 1 + word + 256 * ahead.astype(jnp.int32), 0)
    return in_peace(jax.lax.argmax(score, 1, jnp.int32))


def forager(key: PRNGKeyArray, obs: Observation, mask: Mask) -> Action:
    """Goes to the forests and the water it sees; attacks nobody."""
    return in_peace(forage(key, obs, look(key, obs, mask)))


def fighter(key: PRNGKeyArray, obs: Observation, mask: Mask) -> Action:
    """Moves as a forager does and attacks the weakest in reach, others before its own population.

    Weakest: lowest health, then lowest food. Of the styles that reach the target the first is taken, in the
    classic game the one that does most damage.
    """
    names = list(FEATURES)
    health, food, same = (obs.visible[..., names.index(name)] for name in ("health", "food", "same_population"))
    strength = (health.astype(jnp.int32) << 15) | food.astype(jnp.int32)  # health and food are below 2^15
    in_reach = mask["target"].any(axis=1).at[:, 0].set(False)
    for candidates in (in_reach & (same == 0), in_reach):
        strength = jnp.where(candidates.any(axis=1, keepdims=True) & ~candidates, jnp.iinfo(jnp.int32).max, strength)
    index = jnp.where(in_reach.any(axis=1), jax.lax.argmin(strength, 1, jnp.int32), 0)
    reaches = jnp.take_along_axis(mask["target"], index[:, None, None], axis=2)[:, :, 0]
    move = forage(key, obs, look(key, obs, mask))
    return Action(move=move, style=jax.lax.argmax(reaches, 1, jnp.int32), target=slot_of(obs, index))


def offered(key: PRNGKeyArray, obs: Observation, config: Config) -> dict[str, Int32[Array, "N"]]:
    """Of every argument of systems one of what is allowed, each as likely, as ``Action.of`` takes it."""
    slot, choices = own_slot(key, obs), {}
    for index, argument in enumerate(one for system in config.systems for one in system.arguments):
        word, _ = words(key, slot, jnp.full_like(slot, index))
        allowed = pack(obs.mask[argument.name].T)
        choices[argument.name] = nth_bit(allowed, choose(word, count_bits(allowed).sum(axis=0, dtype=jnp.int32)))
    action = to_action(apart(choices), obs, config)
    return {name: choice for name, choice in action.of.items() if choice is not None}


def slot_of(obs: Observation, index: Int32[Array, "N"]) -> Int32[Array, "N"]:
    """The slot of the agent at a position of the list of visible agents."""
    return jnp.take_along_axis(obs.visible_slot, index[:, None], axis=1)[:, 0]


POLICIES: dict[str, Policy] = {
    "random": lambda key, obs, realm: random(key, obs, obs.mask),
    "wanderer": lambda key, obs, realm: wanderer(key, obs, obs.mask),
    "forager": lambda key, obs, realm: forager(key, obs, obs.mask),
    "fighter": lambda key, obs, realm: fighter(key, obs, obs.mask),
    "planner": lambda key, obs, realm: planner(key, obs, obs.mask, realm),
}
BY_AGENT = frozenset(POLICIES) - {"planner"}  # what an agent does depends on what it sees, and the key of its realm


def play(names: tuple[str, ...]) -> Policy:
    """One policy for a whole realm, in which population p plays ``names[p % len(names)]``.

    >>> policy = play(("forager", "random"))
    >>> action = policy(key, obs, realm)

    Raises:
      ValueError: a name that is not in ``POLICIES``, or no name.
    """
    known = list(POLICIES)
    if isinstance(names, str) or not names or not set(names) <= set(known):
        wrong = next((name for name in names if name not in known), "") if not isinstance(names, str) else names
        told = f"policies={names!r}: must be names, at least one, out of {', '.join(known)}"
        raise ValueError(f"{told}{near(str(wrong), known)}")
    distinct = sorted(set(names), key=known.index)
    position = [distinct.index(name) for name in names]

    def policy(key: PRNGKeyArray, obs: Observation, realm: Realm) -> Action:
        keys = [fold_in(key, jnp.full(shape_of(key), known.index(name), jnp.uint32)) for name in distinct]
        actions = [POLICIES[name](k, obs, realm) for k, name in zip(keys, distinct, strict=True)]
        which = jnp.asarray(position)[realm.agents.population % len(names)]
        return jax.tree.map(lambda *choices: jax.lax.select_n(which, *choices), *actions)

    return policy
