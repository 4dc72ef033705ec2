"""Maps of Neural MMO 2 as they are played: its own generator, then what it does to them when a world begins.

    python maps_of_nmmo_2.py SIZE NUMBER OUT.npz          # Small, Medium (its default) or Large

No peer, as it plays nothing; ``nmmo_jax.bench.terrain --peer`` runs it in the environment of ``nmmo_2``. Writes what is
inside the ring of grass, ``land [maps, rows, columns]`` of material numbers, with the materials' names by number, and
the seconds of the processor that each map took to generate.
"""

import os
import sys
import tempfile
import time

import nmmo
import numpy as np
from nmmo.core.map import Map
from nmmo.core.terrain import MapGenerator
from nmmo.lib import material, seeding, utils

size, number, out = sys.argv[1], int(sys.argv[2]), os.path.abspath(sys.argv[3])


class Settings(getattr(nmmo.config, size), nmmo.config.AllGameSystems):
    """All games' systems on so many maps, over which it varies how far scales of noise are mixed."""

    MAP_N = number


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    config = Settings()
    generator, (chance, _) = MapGenerator(config), seeding.np_random(0)
    world = Map.__new__(Map)  # without a tile's object for each tile, which takes a minute where maps are large
    world.config, world.l1 = config, utils.l1_map(config.MAP_SIZE)
    middle, reach = config.MAP_SIZE // 2, config.MAP_SIZE // 2 - config.MAP_BORDER - 1
    inside = slice(middle - reach, middle + reach + 1)
    lands, seconds = [], []
    for index in range(number):
        began = time.process_time()
        height, tiles = generator.generate_map(index, chance)
        seconds.append(time.process_time() - began)
        made = {"map": tiles, "fractal": height.astype(np.float16)}  # as its files have it
        lands.append(np.asarray(world._process_map(made, chance), np.uint8)[inside, inside])
    os.chdir("/")
names = [one.tex for one in sorted(material.All, key=lambda one: one.index)]
np.savez_compressed(out, land=np.stack(lands), names=names, seconds=seconds)
