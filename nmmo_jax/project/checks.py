"""Tests of the project; ``pytest`` runs them."""

import jax
import numpy as np

import nmmo_jax as nmmo
from nmmo_jax.project.fishing import FISHING
from nmmo_jax.project.study import Fishing
from nmmo_jax.testing import check_system


def test_fishing_is_a_system_as_any_other():
    """Masks, accounts, digests, replays; without a chance the world is the classic one."""
    check_system(FISHING, off={"fishing.chance": 0}, reach=1)


def test_fish_are_caught_beside_water_only():
    """Two agents who are hungry: one stands beside water, one does not."""
    material = np.full((15, 15), nmmo.Material.GRASS, np.uint8)
    material[7, 3] = nmmo.Material.WATER
    world = {"num_agents": 2, "num_populations": 1, "rows": 15, "columns": 15, "border": 0}
    env = nmmo.make("law", **world, systems=[FISHING], **{"fishing.chance": 1.0, "fishing.food": 3})
    realm = nmmo.make_realm(env.config, material, row=[7, 12], col=[4, 12], food=[10, 10])
    _, after, *_, info = jax.jit(env.step)(jax.random.key(0), realm, nmmo.Action())
    assert info.outcome.of["fishing"].events["catch"].happened.tolist() == [True, False]
    assert int(after.agents.food[0] - after.agents.food[1]) == 3


def test_the_study_leaves_its_results(tmp_path):
    """A tiny form of it, interrupted before its figure was drawn, goes on."""
    study = Fishing(chances=(0.0, 1.0), worlds=2, agents=8, ticks=16, out=tmp_path / "study")
    assert study.run() == 0
    (tmp_path / "study" / "lifetimes.png").unlink()
    assert study.run() == 0 and (tmp_path / "study" / "lifetimes.png").exists()
