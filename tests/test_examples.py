"""Programs of ``train.examples`` that nothing else tests: other encoders of tiles, and why trained policies fight."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax import make
from nmmo_jax.common.program import run_program
from nmmo_jax.config import Config
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import players
from train.examples import fighting, places
from train.examples.places import Attending, Convolving, Iterating
from train.networks import make_network, nothing_seen
from train.settings import experiment

CONFIG = Config(view=7)


@pytest.mark.parametrize("sword", [Convolving, Iterating, Attending])
def test_what_is_far_away_is_known(sword, monkeypatch):
    """A forest at the edge of the window changes what is made of it, and gradients go there."""
    monkeypatch.setattr(places, "DILATIONS", (1, 2))
    monkeypatch.setattr(places, "TURNS", 4)
    chosen = experiment("law128", steps_input=False, near=0)
    module = sword.module(CONFIG, 8)
    example = jax.tree.map(lambda leaf: jnp.zeros((2, *leaf.shape), leaf.dtype), nothing_seen(CONFIG, steps=False))
    tiles = np.zeros((2, 2, 7, 7), np.uint8)
    tiles[:, 0] = Material.GRASS
    tiles[1, 0, 3, 6] = Material.FOREST
    inputs = example._replace(tiles=jnp.asarray(tiles))

    @jax.jit
    def made(key):
        params = module.init(key, inputs, ())["params"]
        given = lambda params: module.apply({"params": params}, inputs, ())[0]["move"]  # noqa: E731
        gradient = jax.grad(lambda params: jnp.square(given(params)).sum())(params)
        return given(params), gradient

    moves, gradient = made(jax.random.key(0))
    assert moves.shape == (2, 5) and np.isfinite(moves).all()
    assert np.abs(moves[0] - moves[1]).max() > 1e-6
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.abs(gradient["told"]["kernel"]).max() > 0
    assert sword(chosen).network.initial((3,)).shape == (3, 64)
    assert make_network(chosen.env.config, "default", chosen.settings.options).steps is False


def test_who_fights_is_counted_by_its_food(monkeypatch):
    """A script that attacks whenever it can, beside one that never does."""
    for name, value in {"REALMS": 2, "SETTLE": 24, "TICKS": 24}.items():
        monkeypatch.setattr(fighting, name, value)
    env = make("chaos", num_agents=16, num_populations=2, rows=24, columns=24)
    run = fighting.playing(env, players(("fighter", "forager"), env))
    fights, rests = run(False), run(True)
    assert fights.hits[:, 0].min() > 0 and not fights.hits[:, 1].any() and not rests.hits.any()
    assert (fights.did <= fights.could).all() and not rests.did.any() and rests.could.any()
    assert fights.did.sum() == fights.hits[:, 0].sum()
    assert (fights.ticks.sum(axis=1) <= 2 * 24 * 16).all() and fights.ticks.min() > 0
    assert fights.deaths[:, 1].sum() > rests.deaths[:, 1].sum()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["forger", "figure"], "policy=forger: must be .*did you mean forager"),
        (["forager", "nowhere/figure"], "FIGURE nowhere/figure: there is no folder nowhere"),
    ],
)
def test_what_cannot_be_played_or_drawn_is_said_in_a_line(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_program(fighting.Fighting, "train.examples.fighting", given)
    told = capsys.readouterr()
    assert ended.value.code == 2 and not told.out and told.err.count("\n") == 1
    assert re.match(f"python -m train.examples.fighting: {said}", told.err)
