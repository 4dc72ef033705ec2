"""Which agent is nearest to each monster that hunts, against plain Python."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.mmo.hunting import MOST_SIGHT, nearest


@pytest.mark.parametrize(("agents", "monsters"), [(12, 30), (300, 700), (1_024, 2_048), (3_000, 600)])
def test_nearest(agents, monsters):
    """By age, pair by pair and by a sort; all monsters, and blocks of those that hunt; in two realms side by side."""
    rng = np.random.default_rng(0)
    row, col = rng.integers(0, 200, (2, 2, agents))
    there = rng.integers(0, 200, (2, 2, monsters))
    uid = np.stack([rng.permutation(4 * agents)[:agents] for _ in range(2)])
    uid[rng.random(uid.shape) < 0.2] = -1
    seen, hunts = (uid >= 0) & (rng.random(uid.shape) < 0.7), rng.random((2, monsters)) < 0.3

    def search(row, col, uid, seen, monster_row, monster_col, hunts):
        columns = {"row": row.astype(jnp.int16), "col": col.astype(jnp.int16), "uid": uid.astype(jnp.int32)}
        world = SimpleNamespace(agents=SimpleNamespace(**columns), config=SimpleNamespace(num_agents=agents))
        return nearest(world, seen, monster_row, monster_col, hunts)

    found = jax.jit(jax.vmap(search))(row, col, uid, seen, *there, hunts)
    for realm in range(2):
        slot, away = (np.asarray(part[realm]) for part in found)
        for k in np.flatnonzero(hunts[realm]):
            distance = np.maximum(abs(row[realm] - there[0, realm, k]), abs(col[realm] - there[1, realm, k]))
            near = [(int(distance[i]), int(uid[realm, i]), i) for i in np.flatnonzero(seen[realm])]
            least, _, who = min(near)
            if least <= MOST_SIGHT:
                assert (away[k], slot[k]) == (least, who)
            else:
                assert away[k] > MOST_SIGHT


def test_nobody_to_hunt():
    columns = {name: jnp.zeros(8, jnp.int16) for name in ("row", "col")} | {"uid": jnp.full(8, -1, jnp.int32)}
    world = SimpleNamespace(agents=SimpleNamespace(**columns), config=SimpleNamespace(num_agents=8))
    place = jnp.zeros(3, jnp.int32)
    _, away = nearest(world, jnp.zeros(8, bool), place, place, jnp.ones(3, bool))
    assert (away > MOST_SIGHT).all()
