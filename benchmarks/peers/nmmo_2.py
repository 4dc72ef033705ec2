"""Neural MMO 2: a world of 128 players and 128 NPCs, default settings, but that nobody dies, as in our full house.

Actions are drawn beforehand, as drawing them from its spaces takes a while. Mortal, 128 players who act at random are
one after 160 ticks, and a step of the last one takes as long as that of eighty.
"""

import os
import random
import tempfile

import nmmo
from timing import tell

TICKS = 16


class Immortal(nmmo.config.Default):
    """The default settings."""

    IMMORTAL = True


folder = tempfile.TemporaryDirectory()
os.chdir(folder.name)  # it writes its maps where it runs
env = nmmo.Env(Immortal(), seed=0)
env.reset(seed=0)
draw = random.Random(0)
pool = [env.action_space(1).sample() for _ in range(512)]
kept = []


def call(index):
    """Plays on."""
    kept.clear()
    acted = 0
    for _ in range(TICKS):
        if not env.agents:
            kept.append(env.reset())
        actions = {agent: draw.choice(pool) for agent in env.agents}
        acted += len(actions)
        kept.append(env.step(actions))
    return acted


tell("nmmo", "one world of 128 players and 128 NPCs, immortal", call, warm_up=2)
