"""Scripts with other rules, all else equal: what it is worth to know who goes where, and what nobody can know.

python -m train.examples.claims
"""

from unittest.mock import patch

import jax
import jax.numpy as jnp

from nmmo_jax import goals, make
from nmmo_jax.common.text import console
from nmmo_jax.config import Config
from nmmo_jax.paths import FAR, steps_to
from nmmo_jax.policies import planner
from nmmo_jax.policies.foraging import forage, in_peace, look
from train.evaluate import Act, evaluate, scripted
from train.smith import EVALUATION

SECOND_HAND = 3  # steps dearer is a forest that another claims and leaves
NOBODY = 2**15  # a difference in food that nobody has
IN_SIGHT = 14  # steps across the window that agents see


def claimant(left: bool) -> Act:
    """A forager that goes to the forests it claims, and, if ``left``, to those that others claim and leave."""

    def policy(key, obs, realm):
        view, places = goals.View(obs, Config()), look(key, obs, obs.mask)
        forest = view.material("forest")
        some = steps_to(jnp.stack([view.claimed(forest), view.left(forest)]), view.ground)
        own, others = jnp.moveaxis(some, -1, 1).astype(jnp.int32)
        food = jnp.minimum(own, jnp.minimum(others + SECOND_HAND, FAR)) if left else own
        return in_peace(forage(key, obs, places.replace(food=food)))

    return lambda params, keys, obs, realm, core: (jax.vmap(policy)(keys, obs, realm), core)


def without_foresight(params, keys, obs, realm, core):
    """The planner where a forest that is not ready may be long in coming: that is drawn, and nobody's to know."""
    tick = realm.tick[:, None, None]
    ready = jnp.where(realm.tiles.ready_tick > tick, tick + FAR, realm.tiles.ready_tick)
    return scripted("planner")(params, keys, obs, realm.replace(tiles=realm.tiles.replace(ready_tick=ready)), core)


def main() -> None:
    """Plays them, and tells how long they live and what they harvest."""
    out, env = console(), make("law")
    equal, short = patch.object(goals, "HUNGER", NOBODY), patch.object(planner, "SWEEPS", IN_SIGHT)
    usual = patch.object(goals, "HUNGER", goals.HUNGER)
    rows = (
        ("forager: nobody is there first within 3 steps", scripted("forager"), usual),
        ("forager: claimed, without regard to hunger", claimant(left=False), equal),
        ("forager: claimed, or left: without regard to hunger", claimant(left=True), equal),
        ("forager: claimed, or left: the hungry lead", claimant(left=True), usual),
        ("planner", scripted("planner"), usual),
        ("planner: does not know when a forest will be ready", without_foresight, usual),
        ("planner: nor ways of more than 14 steps", without_foresight, short),
    )
    for name, act, changed in rows:
        with changed:
            told = evaluate(env, act, (), (), **EVALUATION)
        out.print(f"{told['lifetime']:6.1f} ticks  {100 * told['harvested']:5.1f} %  {name}")


if __name__ == "__main__":
    main()
