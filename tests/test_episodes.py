"""Training in worlds that start anew at their horizon, and what is told of where agents went: against the same ticks
played again by the public functions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_losses import slow_advantages
from test_training import SMALL, equal

from nmmo_jax.autoreset import autoreset
from nmmo_jax.components import Realm, observed_material
from nmmo_jax.kinds import Material
from nmmo_jax.observations import to_action
from nmmo_jax.vectorized import vectorize
from nmmo_jax.world.pool import MapPool
from train.checkpoint import Checkpoints
from train.evaluate import evaluate, scripted
from train.loop import PLAY, WORLD, make_train
from train.losses import advantages
from train.metrics import GROUND, Sums, means
from train.rollouts import Step, play
from train.settings import experiment
from train.smith import EVALUATION
from train.trinity import God, Trinity

HORIZON, TICKS, PIECE, MAPS, HIDDEN = 7, 12, 2, 3, 16
ANEW = experiment(
    "law16",
    **{
        **SMALL,
        "network": "default",
        "hidden": HIDDEN,
        "core": "gru",
        "ticks": TICKS,
        "sequence": PIECE,
        "maps": MAPS,
        "shared_weights": False,
    },
    **{"horizon": HORIZON, "max_lifetime": 5, "max_spawns": 3, "seed": EVALUATION["seed"]},
)
REALMS, POPULATIONS = ANEW.settings.realms, ANEW.env.config.num_populations
KEY = jax.random.key(3)


class Clock(God):
    """Rewards the time that has passed, which would show if a tick reached into the next episode."""

    def reward(self, reward, before, after, info):
        return reward + 10.0 * (after.tick - before.tick)


CLOCK = Trinity(god=Clock)
POOL = MapPool.generated(ANEW.settings.seed, MAPS, ANEW.env.config)


@pytest.fixture(scope="module")
def train():
    return make_train(ANEW, CLOCK, jax.devices()[:1])


class Tick(NamedTuple):
    """A tick played again; arrays ``[R, N]``."""

    realm: Realm  # before it
    number: np.ndarray  # of the episode, [R]
    value: np.ndarray  # of what was observed
    following: np.ndarray  # of the final observation
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    horizon: np.ndarray  # [R]


class Played(NamedTuple):
    """Two rollouts as the loop played them (``[2 * T, ...]``), and their ticks again, one by one."""

    steps: Step
    following: np.ndarray
    sums: list[Sums]
    ticks: list[Tick]


@pytest.fixture(scope="module")
def played(train):
    levels, state = CLOCK.of(ANEW), train.init(KEY)
    many = vectorize(autoreset(ANEW.env, POOL), REALMS)
    key, play_key = (jax.random.fold_in(KEY, use) for use in (WORLD, PLAY))
    loop = jax.jit(lambda worlds: play(levels, state.params, worlds, many, key, play_key))
    worlds, first, one = loop(state.worlds)
    _, second, two = loop(worlds)
    rollout = jax.tree.map(lambda *parts: np.concatenate(parts), first, second)
    params, rules = jax.device_get((state.params, state.worlds.rules))  # on a device of their own all is compiled twice

    @jax.jit
    def again(obs, episode, core, choices):
        def valued(obs, core):
            outputs, core = levels.sword._outputs(params, obs, rules, core)
            return outputs["value"][..., 0] * ANEW.settings.value_unit, core

        value, after = valued(obs, core)
        action = jax.vmap(lambda choices, obs: to_action(choices, obs, ANEW.env.config))(choices, obs)
        obs, episode, reward, terminated, truncated, info = many.step(key, episode, action, rules)
        following = valued(info.final_observation, after)[0]
        return obs, episode, after, (value, following, reward, terminated, truncated, info.horizon)

    obs, episode = jax.jit(many.reset)(key, rules, POOL.tiles(np.arange(REALMS) % MAPS))
    core, ticks = jnp.zeros((POPULATIONS, REALMS, 16 // POPULATIONS, HIDDEN)), []
    for t in range(2 * TICKS):
        realm, number = jax.device_get((episode.realm, episode.number))
        shape = (REALMS, POPULATIONS, -1)
        alive, newborn = (x.reshape(shape).swapaxes(0, 1) for x in (realm.agents.alive, realm.agents.age == 0))
        core = jnp.where(newborn[..., None], 0, core)  # whoever lives has its own core, of nothing if it was just born
        if t % PIECE == 0:
            np.testing.assert_allclose(rollout.core[t // PIECE][alive], core[alive], atol=1e-5)
        choices = jax.tree.map(lambda choice, t=t: choice[t], rollout.steps.choices)
        obs, episode, core, told = again(obs, episode, core, choices)
        ticks.append(Tick(realm, number, *jax.device_get(told)))
    return Played(rollout.steps, rollout.following, jax.device_get([one, two]), ticks)


@pytest.mark.slow
def test_realms_start_anew_on_all_maps_of_the_pool(played):
    maps = [material.tobytes() for material in np.asarray(POOL.material)]
    used = [[maps.index(material.tobytes()) for material in tick.realm.tiles.material] for tick in played.ticks]
    assert used[0] == [realm % MAPS for realm in range(REALMS)]
    assert {index for row in used for index in row} == set(range(MAPS))
    for t, tick in enumerate(played.ticks):
        assert (tick.realm.tick == t % HORIZON).all() and (tick.number == t // HORIZON).all()
    assert used[HORIZON] != used[0]
    moves: dict[tuple, list] = {}  # of the same place in the order of birth, in one episode and the next
    for t, tick in enumerate(played.ticks[: 2 * HORIZON]):
        for realm, slot in np.argwhere(tick.realm.agents.alive):
            one = realm, t % HORIZON, tick.realm.agents.uid[realm, slot]
            moves.setdefault(one, []).append(played.steps.choices["move"][t, realm, slot])
    same = [pair[0] == pair[1] for pair in moves.values() if len(pair) == 2]
    assert len(same) > 50 and np.mean(same) < 0.5  # every episode has chance of its own


@pytest.mark.slow
def test_what_is_learned_ends_with_the_episode(played):
    steps, ticks = played.steps, played.ticks
    value, following, reward, terminated, truncated, horizon = (
        np.stack([getattr(tick, name) for tick in ticks]) for name in Tick._fields[2:]
    )
    alive = np.stack([tick.realm.agents.alive for tick in ticks])
    ends = truncated | horizon[..., None]
    np.testing.assert_array_equal(steps.alive, alive)
    np.testing.assert_array_equal(steps.terminated, terminated)
    np.testing.assert_array_equal(steps.reward, reward + 10)
    np.testing.assert_array_equal(steps.truncated, ends)
    np.testing.assert_allclose(steps.value[alive], value[alive], atol=1e-4)
    goes_on = alive & ~terminated
    np.testing.assert_allclose(played.following[goes_on], following[goes_on], atol=1e-4)
    for living in (goes_on & horizon[..., None], goes_on & truncated, goes_on & truncated & horizon[..., None]):
        assert living.sum() > 3

    assert (np.abs(played.following[:-1] - steps.value[1:])[(goes_on & horizon[..., None])[:-1]] > 1e-3).all()
    for rollout in (slice(TICKS), slice(TICKS, None)):
        of = steps.reward, steps.value, played.following, steps.terminated, steps.truncated
        got = np.asarray(advantages(*(x[rollout] for x in of), 0.9, 0.8))
        of = reward + 10, value, following, terminated, ends
        expected = slow_advantages(*(x[rollout].reshape(TICKS, -1) for x in of), 0.9, 0.8).reshape(got.shape)
        np.testing.assert_allclose(got[alive[rollout]], expected[alive[rollout]], atol=1e-3)


@pytest.mark.slow
def test_sums(played):
    """Of lives one by one: what they stood on, and whether they had stood there before."""
    lives: dict[tuple, set] = {}
    visits, unique = (np.zeros((2, POPULATIONS, len(GROUND)), int) for _ in range(2))
    steps, reward, food = np.zeros((2, POPULATIONS)), np.zeros((2, POPULATIONS)), np.zeros(2)
    for t, tick in enumerate(played.ticks):
        rollout, agents = t // TICKS, tick.realm.agents
        for realm, slot in np.argwhere(agents.alive):
            one = jax.tree.map(lambda leaf, realm=realm: leaf[realm], tick.realm)
            place = int(agents.row[realm, slot]), int(agents.col[realm, slot])
            ground = int(np.asarray(observed_material(one))[place])
            been = lives.setdefault((realm, tick.number[realm], agents.uid[realm, slot]), set())
            population = slot // (16 // POPULATIONS)
            if ground in GROUND:
                visits[rollout, population, GROUND.index(ground)] += 1
                unique[rollout, population, GROUND.index(ground)] += place not in been
            been.add(place)
            steps[rollout, population] += 1
            reward[rollout, population] += tick.reward[realm, slot] + 10
        forests = (tick.realm.tiles.material == Material.FOREST).sum()
        food[rollout] += forests * ANEW.env.rules.regrowth_probability * ANEW.env.rules.forage_amount
    for rollout, sums in enumerate(played.sums):
        np.testing.assert_array_equal(sums.visits, visits[rollout])
        np.testing.assert_array_equal(sums.unique, unique[rollout])
        np.testing.assert_array_equal(sums.steps, steps[rollout])
        np.testing.assert_allclose(sums.reward, reward[rollout], rtol=1e-5)
        np.testing.assert_allclose(sums.food, food[rollout], rtol=1e-5)
    grass, scrub, _ = (unique < visits).any(axis=(0, 1))
    assert grass and scrub and (visits.sum(axis=(0, 1)) > 5).all()
    told = means(played.sums[0], {}, TICKS * REALMS, ANEW.env.config)["populations"]
    for i, kind in enumerate(("grass", "scrub", "forest")):
        assert told[f"visits_{kind}"] == pytest.approx(visits[0, :, i] / steps[0], abs=1e-5)
        assert told[f"unique_{kind}"] == pytest.approx(unique[0, :, i] / steps[0], abs=1e-5)
        assert told[f"exploration_{kind}"] == pytest.approx(unique[0, :, i] / visits[0, :, i], abs=1e-5)


@pytest.mark.slow
def test_a_run_over_episodes_goes_on_exactly(train, tmp_path):
    whole, _ = train.run(train.init(KEY), 1)  # until the middle of the second episode
    whole, told = train.run(whole, 1)
    state, _ = train.run(train.init(KEY), 1)
    Checkpoints(tmp_path).save(1, train.saved(state), {}, None)
    kept, _ = Checkpoints(tmp_path).restore(train.template)
    part, last = train.run(train.restored(kept), 1)
    equal(jax.device_get(train.saved(whole)), jax.device_get(train.saved(part)))
    equal(jax.device_get(told), jax.device_get(last))
    assert (np.asarray(whole.worlds.world.number) == 2 * TICKS // HORIZON).all()
    assert (np.asarray(told.skipped) == 0).all()


@pytest.mark.slow
def test_evaluation_sees_other_maps():
    """Also where both have the same seed, as here; and it tells of exploration too."""
    many = vectorize(ANEW.env, REALMS)
    evaluated = jax.jit(lambda key: many.reset(key)[1].tiles.material)(jax.random.key(EVALUATION["seed"]))
    trained = {material.tobytes() for material in np.asarray(POOL.material)}
    assert not trained & {material.tobytes() for material in np.asarray(evaluated)}
    told = evaluate(ANEW.env, scripted("random"), (), (), realms=2, settle=4, ticks=8, seed=0)
    assert all(0 < share <= 1 for share in told["populations"]["exploration_grass"]) and told["harvested"] is not None


def test_bad_maps():
    with pytest.raises(ValueError, match=r"maps=-1: allowed are whole numbers from 0 to 65536"):
        experiment("law16", maps=-1)
    with pytest.raises(ValueError, match=r"maps=70000: allowed are whole numbers from 0 to 65536"):
        experiment("law16", maps=70_000)
    with pytest.raises(ValueError, match=r"rows=5"):
        experiment("law16", maps=2, rows=5)
