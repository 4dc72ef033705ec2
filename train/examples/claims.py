"""Foragers by other rules for whom a forest belongs to, all else equal: what it is worth to know who goes where.

python -m train.examples.claims
"""

import jax
import jax.numpy as jnp

from nmmo_jax import goals, make
from nmmo_jax.common.text import console
from nmmo_jax.config import Config
from nmmo_jax.paths import FAR, steps_to
from nmmo_jax.policies.foraging import forage, in_peace, look
from train.evaluate import evaluate, scripted
from train.smith import EVALUATION

SECOND_HAND = 3  # steps dearer is a forest that another claims and leaves
NOBODY = 2**15  # a difference in food that nobody has


def claimant(left: bool):
    """A forager that goes to the forests it claims, and, if ``left``, to those that others claim and leave."""

    def policy(key, obs, realm):
        view, places = goals.View(obs, Config()), look(obs, obs.mask)
        forest = view.material("forest")
        some = steps_to(jnp.stack([view.claimed(forest), view.left(forest)]), view.ground)
        own, others = jnp.moveaxis(some, -1, 1).astype(jnp.int32)
        food = jnp.minimum(own, jnp.minimum(others + SECOND_HAND, FAR)) if left else own
        return in_peace(forage(key, obs, places.replace(food=food)))

    return lambda params, keys, obs, realm, core: (jax.vmap(policy)(keys, obs, realm), core)


def main() -> None:
    """Plays them, and tells how long they live and what they harvest."""
    out, env, hunger = console(), make("law"), goals.HUNGER
    rows = (
        ("nobody is there first within 3 steps: the forager", scripted("forager"), hunger),
        ("claimed, without regard to hunger", claimant(left=False), NOBODY),
        ("claimed, or left: without regard to hunger", claimant(left=True), NOBODY),
        ("claimed, or left: the hungry lead", claimant(left=True), hunger),
    )
    for name, act, difference in rows:
        goals.HUNGER = difference
        told = evaluate(env, act, (), (), **EVALUATION)
        out.print(f"{told['lifetime']:6.1f} ticks  {100 * told['harvested']:5.1f} %  {name}")
    goals.HUNGER = hunger


if __name__ == "__main__":
    main()
