"""How long scripted agents live: random play as in the statistics of the original, the planner longer than foragers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recordings import GOLDEN
from scripted_play import GAMES, simulate

from nmmo_jax import Cause, make

RECORDED = {game: sorted(GOLDEN.glob(f"stats_{game.title()}_m0_s*.npz")) for game in ("law", "chaos")}
needs_recordings = pytest.mark.skipif(
    not all(RECORDED.values()), reason="no recorded statistics beside this repository"
)


def lives_and_population(realm, obs, action, info):
    died = info.cause != Cause.NONE
    lava = (info.cause == Cause.LAVA).astype(jnp.int16)
    return {
        "age": jnp.where(died, info.age, -1).astype(jnp.int16),
        "lava": lava,
        "living": info.acted.sum(axis=1),  # as recorded: after the tick's deaths, before its birth
    }


def summary(age, birth, lava, living, ticks):
    """Estimates with their standard errors: mean lifetime, share of deaths by lava, mean population.

    Only lives that began 200 ticks before the end count: hardly any of them is unfinished then. The population
    is averaged over blocks of 100 ticks, long against how long it remembers, and the errors taken over blocks.
    """
    assert 4 <= np.median(age) <= 5
    begun = birth < ticks - 200
    age, lava = age[begun], lava[begun]
    share = lava.mean()
    blocks = living[200:].reshape(-1, 100, *living.shape[1:]).mean(axis=1).ravel()
    return {
        "lifetime": (age.mean(), age.std() / np.sqrt(age.size)),
        "lava": (share, np.sqrt(share * (1 - share) / age.size)),
        "population": (blocks.mean(), blocks.std(ddof=1) / np.sqrt(blocks.size)),
    }


def recorded_summary(game):
    files = [np.load(path) for path in RECORDED[game]]
    age, birth, cause = (np.concatenate([f[key] for f in files]) for key in ("lifetimes", "birth_tick", "cause"))
    living = np.stack([f["pop"] for f in files], axis=1)
    return summary(age, birth, cause == 0, living, living.shape[0])


def simulated_summary(history):
    age = np.asarray(history["age"])
    tick, realm, slot = np.nonzero(age >= 0)
    age = age[tick, realm, slot]
    return summary(
        age,
        tick - age,
        np.asarray(history["lava"])[tick, realm, slot] == 1,
        np.asarray(history["living"]),
        len(history["age"]),
    )


@pytest.fixture(scope="module")
def random_worlds():
    """Random play on the map of the recordings, by resolution: a function of rules and key."""
    tiles = np.load(RECORDED["law"][0])["map0"]
    runs = {}
    for resolution, realms, ticks in (("simultaneous", 8, 1200), ("sequential", 4, 1200)):
        env = make("chaos", resolution=resolution)
        runs[resolution] = simulate(env, ("random",), realms, ticks, lives_and_population, jnp.asarray(tiles))
    return runs


@pytest.mark.slow
@needs_recordings
@pytest.mark.parametrize(
    ("game", "resolution"),
    [
        ("law", "simultaneous"),
        ("chaos", "simultaneous"),
        # Chance is drawn as in the other, and what is made of it equals recorded play (`test_recorded.py`).
        ("law", "sequential"),
        ("chaos", "sequential"),
    ],
)
def test_random_play_lives_as_in_the_original(random_worlds, game, resolution):
    ours = simulated_summary(random_worlds[resolution](GAMES[game], jax.random.key(17)))
    theirs = recorded_summary(game)
    for name, (value, error) in theirs.items():
        own_value, own_error = ours[name]
        assert abs(own_value - value) < 4 * np.hypot(error, own_error), (name, ours[name], theirs[name])
    assert ours["lifetime"][1] < 0.35 and ours["population"][1] < 0.5 and ours["lava"][1] < 0.01


@pytest.mark.slow
def test_the_planner_lives_clearly_longer_than_the_forager():
    """Each alone in its worlds, law, 128 agents: ticks lived per death after the worlds have filled."""
    lives = {}
    for name in ("forager", "planner"):
        run = simulate(make("law"), (name,), 8, 1000, lives_and_population)
        history = run(GAMES["law"], jax.random.key(1))
        deaths = (np.asarray(history["age"])[300:] >= 0).sum()
        lives[name] = np.asarray(history["living"])[300:].sum() / deaths
    assert lives["forager"] > 120
    assert lives["planner"] > 1.2 * lives["forager"]
