"""Small worlds that have been played and kept as replays, for the tests of all that is done with these."""

import dataclasses
import functools

from small import SMALL

from nmmo_jax import Environment, Rules
from nmmo_jax.play.players import players
from nmmo_jax.play.playing import Play
from nmmo_jax.world.pool import MapPool

NAMES = ("forager", "fighter", "wanderer", "random")
SEED, REALM, BIRTHS = 3, 1, 6
CHAOS = dataclasses.replace(SMALL, max_lifetime=25, max_spawns=2)
LAW = dataclasses.replace(SMALL, num_populations=2, resolution="sequential", layout="free")
HUNGRY = Rules(start_food=12, start_water=12, regrowth_probability=0.2, immunity_ticks=3)


@functools.cache
def begun(law: bool = False) -> Play:
    """Realm 1 of a world that has not been played yet; ``beside`` gives others without compiling."""
    config, rules = (LAW, HUNGRY.replace(attacks_enabled=False)) if law else (CHAOS, HUNGRY)
    env = Environment(config, rules)
    names = NAMES[2:] if law else NAMES
    given = {"realm": REALM, "seed": SEED, "initial_population": BIRTHS, "title": "law" if law else "chaos"}
    return Play(env, players(names, env), names, MapPool.generated(0, 2, config), **given)


@functools.cache
def played(law: bool = False):
    """A replay of it: 64 ticks of chaos, 20 of law; not to be changed."""
    return begun(law).beside(REALM).run(20 if law else 64)
