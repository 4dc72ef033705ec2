"""Which rules does a population depend on? Sobol's indices over four of them, a thousand rule sets in one program.

python docs/examples/science/sensitivity.py
"""

import numpy as np
from SALib.analyze import sobol as indices
from SALib.sample import sobol

import nmmo_jax as nmmo
from nmmo_jax.play.players import players
from nmmo_jax.rules import RULE_FIELDS
from nmmo_jax.world.pool import MapPool
from train.studies.census import Census

OVER = {
    "regrowth_probability": (0.001, 0.1),
    "forage_amount": (1, 10),
    "food_metabolism": (1, 3),
    "start_food": (8, 32),
}


def main(samples: int = 256, settle: int = 64, ticks: int = 192, agents: int = 32) -> dict[str, np.ndarray]:
    """Plays, prints and returns the indices of the population; ``samples`` is a power of two."""
    problem = {"num_vars": len(OVER), "names": [*OVER], "bounds": [*OVER.values()]}
    points = sobol.sample(problem, samples, calc_second_order=False, seed=0)  # [rule sets, rules]
    whole = [RULE_FIELDS[name].metadata["dtype"] == "int32" for name in OVER]
    points = np.where(whole, np.rint(points), points)
    env = nmmo.make("law", num_agents=agents, num_populations=1, rows=48, columns=48)
    rules = env.rules.put({name: points[:, i] for i, name in enumerate(OVER)})
    census = Census(env, players(("forager",), env), realms=len(points), bins=1)
    tiles = MapPool.generated(0, 1, env.config).tiles(np.zeros(len(points), int))  # the same map for all
    worlds, _ = census.run(census.begin(0, tiles, rules), settle, rules=rules)
    counts = census.run(worlds, ticks, rules=rules)[1].counts
    found = indices.analyze(problem, counts.living[:, 0] / ticks, calc_second_order=False, seed=0)
    print(f"{len(points):,} rule sets; share of the variance of the population, with 95 % intervals")
    for i, name in enumerate(OVER):
        first, total = (f"{found[s][i]:5.2f} ± {found[s + '_conf'][i]:.2f}" for s in ("S1", "ST"))
        print(f"{name:22} alone {first}   with others {total}")
    return found


if __name__ == "__main__":
    main()
