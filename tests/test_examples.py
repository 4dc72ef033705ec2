"""Programs of ``train.examples`` that nothing else tests: encoders of tiles, why policies fight, how agents live."""

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
from train.evaluate import evaluate
from train.examples import fighting, habits, places
from train.examples.places import Attending, Convolving, Iterating
from train.networks import make_network, nothing_seen
from train.settings import experiment

CONFIG = Config(view=7)


@pytest.mark.slow
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


@pytest.mark.slow
def test_who_fights_is_counted_by_its_food(monkeypatch):
    """A script that attacks whenever it can, beside one that never does."""
    for name, value in {"REALMS": 2, "SETTLE": 24, "TICKS": 24}.items():
        monkeypatch.setattr(fighting, name, value)
    env = make("chaos", num_agents=16, num_populations=2, rows=24, columns=24)
    who = players(("fighter", "forager"), env)
    fights, rests = (fighting.played(env, who, peaceful) for peaceful in (False, True))
    assert fights.hits[:, 0].min() > 0 and not fights.hits[:, 1].any() and not rests.hits.any()
    assert (fights.did <= fights.could).all() and not rests.did.any() and rests.could.any()
    assert fights.did.sum() == fights.hits[:, 0].sum()
    assert (fights.ticks.sum(axis=1) <= 2 * 24 * 16).all() and fights.ticks.min() > 0
    assert fights.deaths[:, 1].sum() > rests.deaths[:, 1].sum()


@pytest.mark.slow
def test_how_agents_live_and_die_is_counted(monkeypatch):
    """Foragers of a small world: what is counted is what an evaluation of the same play tells."""
    settle, ticks = 8, 240
    for name, value in {"REALMS": 2, "SETTLE": settle, "TICKS": ticks, "YOUNG": 80, "OLD": 79}.items():
        monkeypatch.setattr(habits, name, value)
    env = make("law", num_agents=16, num_populations=1, rows=40, columns=40)
    who = players(("forager",), env)
    sums = habits.played(env, who)
    told = evaluate(
        env, who.act, who.params, who.initial(2), realms=2, settle=settle, ticks=ticks, seed=habits.SEED
    )  # fmt: skip
    amounts, counts = ({name: int(one[at].sum()) for name, one in sums.items()} for at in (0, 1))
    assert counts["age at death"] == told["deaths"] > 10
    assert amounts["agent-ticks per death"] == told["agent_steps"]
    assert counts["food held"] == told["agent_steps"] - told["deaths"]  # who dies of want does not act
    assert amounts["age at death"] / counts["age at death"] == pytest.approx(told["lifetime"])
    for cause, deaths in {"starvation": "starved: water left", "thirst": "died of thirst: age"}.items():
        assert amounts[f"deaths: {cause}, %"] == 100 * counts[deaths]
        share = told["populations"][f"deaths_{cause}"][0]
        assert counts[deaths] / told["deaths"] == pytest.approx(share, abs=1e-5)
    young, old = (amounts[f"deaths {when}, %"] for when in ("before the 80th tick", "after 79 ticks"))
    assert young > 0 and old > 0 and young + old == 100 * told["deaths"]
    assert 0 < amounts["starved: water left"] / counts["starved: water left"] < 33
    mean = {name: amounts[name] / max(counts[name], 1) for name in sums}
    assert 0 < mean["food held where it eats"] < mean["water held where it drinks"] < 33
    assert 1 <= mean["steps to the nearest ready forest in sight"] < 14
    assert amounts["eats, % of ticks"] == 100 * counts["food held where it eats"] > 0
    assert amounts["drinks, % of ticks"] == 100 * counts["water held where it drinks"] > 0
    assert mean["stands still, % of ticks"] < 50
    assert mean["starved: one that nobody else claims, %"] <= mean["starved: a ready forest in sight, %"]


@pytest.mark.parametrize(
    ("program", "given", "said"),
    [
        (fighting.Fighting, ["forger", "figure"], "policy=forger: must be .*did you mean forager"),
        (fighting.Fighting, ["forager", "nowhere/figure"], "FIGURE nowhere/figure: there is no folder nowhere"),
        (habits.Habits, ["forger"], "policy=forger: must be .*did you mean forager"),
        (habits.Habits, ["forager", "--game", "lore"], "--game lore: allowed are law, chaos"),
        (habits.Habits, ["forager", "--agents", "20"], "--agents 20: allowed are 16, 32, 64, 128"),
    ],
)
def test_what_cannot_be_played_or_drawn_is_said_in_a_line(program, given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_program(program, program.__module__, given)
    told = capsys.readouterr()
    assert ended.value.code == 2 and not told.out and told.err.count("\n") == 1
    assert re.match(f"python -m {program.__module__}: {said}", told.err)
