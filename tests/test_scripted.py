"""The scripted policies: what each promises.

One compiled run of a small world in which every population plays another policy serves most of the checks,
by the rules of law and of chaos.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripted_play import GAMES, simulate

from nmmo_jax import Action, Cause, Config, Environment, Material, make_realm
from nmmo_jax.observations import FEATURES
from nmmo_jax.policies.scripted import POLICIES, play, random

NAMES = tuple(POLICIES)
REALMS, TICKS = 3, 200
SMALL = Config(num_agents=40, num_populations=len(NAMES), rows=48, columns=48, border=4)


# --------------------------------------------------------------------------------------------- a small world


def everything(realm, obs, action, info):
    agents = realm.agents
    standing = jax.vmap(lambda material, row, col: material[row, col])(realm.tiles.material, agents.row, agents.col)
    names = list(FEATURES)
    return {
        "population": info.population,
        "age": info.age,
        "cause": info.cause,
        "uid": info.uid,
        "standing": standing,
        "slot": obs.visible_slot,
        "health": obs.visible[..., names.index("health")],
        "food": obs.visible[..., names.index("food")],
        "same": obs.visible[..., names.index("same_population")] == 1,
        "may_move": obs.mask["move"],
        "may_hit": obs.mask["target"],
        "move": action.move,
        "style": action.style,
        "target": action.target,
    }


@pytest.fixture(scope="module")
def small_world():
    run = simulate(Environment(SMALL), NAMES, REALMS, TICKS, everything)
    return {game: jax.tree.map(np.asarray, run(rules, jax.random.key(3))) for game, rules in GAMES.items()}


def of(history, name):
    """The part of a history that concerns the agents that play a policy, agent-ticks first."""
    chosen = history["population"] == NAMES.index(name)
    assert chosen.sum() > 500
    return {key: value[chosen] for key, value in history.items()}


@pytest.mark.slow
@pytest.mark.parametrize("game", ["law", "chaos"])
def test_only_random_play_meets_lava_or_walls(small_world, game):
    for name in NAMES:
        seen = of(small_world[game], name)
        burnt = (seen["standing"] == Material.LAVA).sum()
        bumps = ~np.take_along_axis(seen["may_move"], seen["move"][:, None], axis=1)[:, 0]
        assert seen["move"].min() >= 0 and seen["move"].max() == 4
        if name == "random":
            assert burnt > 100 and bumps.sum() > 100
        else:
            assert burnt == 0 and not bumps.any()


@pytest.mark.slow
def test_wanderers_keep_walking_and_mostly_straight_on(small_world):
    history = small_world["law"]
    wanders = history["population"] == NAMES.index("wanderer")
    free = history["may_move"][..., 1:].sum(axis=-1) == 4  # nothing in the way (but perhaps lava)
    assert (history["move"][wanders & free] == 0).mean() < 0.01
    again = wanders[1:] & (history["uid"][1:] == history["uid"][:-1]) & free[1:] & free[:-1]
    share = (history["move"][1:] == history["move"][:-1])[again].mean()
    assert 0.4 < share < 0.95  # 0.25 if each step were drawn anew; stray steps and obstacles take their part


def mean_life(history, name):
    """Ticks lived by a policy's agents for each death, an estimate of the mean lifetime that needs no full lives."""
    seen = of(history, name)
    return len(seen["age"]) / max((seen["cause"] != Cause.NONE).sum(), 1)


@pytest.mark.slow
def test_foresight_lengthens_lives(small_world):
    lives = {name: mean_life(small_world["law"], name) for name in NAMES}
    assert lives["wanderer"] > 3 * lives["random"]
    assert lives["forager"] > 10 * lives["random"] and lives["forager"] > 2 * lives["wanderer"]
    assert lives["planner"] > 10 * lives["random"] and lives["planner"] > 2 * lives["wanderer"]


def test_fighters_live_longer_than_their_prey(small_world):
    assert mean_life(small_world["chaos"], "fighter") > 1.5 * mean_life(small_world["chaos"], "forager")


@pytest.mark.parametrize("game", ["law", "chaos"])
def test_targets_are_oneself_nobody_or_in_reach(small_world, game):
    own = np.broadcast_to(np.arange(SMALL.num_agents), small_world[game]["target"].shape)
    history = {**small_world[game], "own": own}
    attacks = {}
    for name in NAMES:
        seen = of(history, name)
        real = (seen["target"] != seen["own"]) & (seen["target"] != -1)
        reach = np.take_along_axis(seen["may_hit"], seen["style"][:, None, None], axis=1)[:, 0]
        assert ((seen["slot"] == seen["target"][:, None]) & reach)[real].any(axis=1).all()
        attacks[name] = real.sum()
    fights = attacks.pop("fighter"), attacks.pop("random")
    assert all(n > 20 for n in fights) if game == "chaos" else fights == (0, 0)
    assert not any(attacks.values())


def test_fighters_hit_the_weakest_in_reach_with_the_first_style_that_reaches(small_world):
    seen = of(small_world["chaos"], "fighter")
    kinds = set()
    for k in range(len(seen["move"])):
        reach = seen["may_hit"][k].any(axis=0)
        reach[0] = False
        candidates = np.flatnonzero(reach & ~seen["same"][k])
        if candidates.size == 0:
            candidates = np.flatnonzero(reach)
        if candidates.size == 0:
            assert seen["target"][k] == seen["slot"][k, 0]
            continue
        weakest = min(candidates, key=lambda v, k=k: (seen["health"][k, v], seen["food"][k, v]))
        chosen = int(np.flatnonzero(seen["slot"][k] == seen["target"][k])[0])
        for stat in ("health", "food"):
            assert seen[stat][k, chosen] == seen[stat][k, weakest]
        assert chosen in candidates
        assert seen["style"][k] == np.flatnonzero(seen["may_hit"][k, :, chosen])[0]
        kinds.add((candidates.size > 1, bool(seen["same"][k, chosen])))
    assert len(kinds) == 4  # few and many in reach, of others and of its own population


def test_random_play_is_uniform(small_world):
    """Each number of choices with equal shares, within 4.5 standard deviations; several thousand draws."""

    def check(draws, choices):
        count = np.bincount(draws, minlength=choices)
        assert count.size == choices
        expected = draws.size / choices
        assert np.abs(count - expected).max() < 4.5 * np.sqrt(expected * (1 - 1 / choices)), count

    histories = [of(small_world[game], "random") for game in ("law", "chaos")]
    check(np.concatenate([seen["move"] for seen in histories]), 5)
    check(np.concatenate([seen["style"] for seen in histories]), 3)


@pytest.fixture(scope="module")
def crowd():
    """Agents in a row, and what they see: three on the first tile, two two tiles on, one a tile further."""
    config = Config(num_agents=8, num_populations=2, rows=9, columns=20, layout="free")
    realm = make_realm(config, np.full((9, 20), Material.GRASS), row=[4] * 6, col=[8, 8, 8, 10, 10, 11])
    realm = realm.replace(agents=realm.agents.replace(population=jnp.arange(8, dtype=jnp.int16) % 2))
    return jax.jit(Environment(config).observe)(realm), realm


@pytest.mark.slow
def test_random_targets_are_uniform_over_oneself_and_those_in_reach(crowd):
    obs, _ = crowd
    keys = jax.random.split(jax.random.key(5), 6000)
    action = jax.jit(jax.vmap(lambda key: random(key, obs, obs.mask)))(keys)
    style, target = np.asarray(action.style[:, 0]), np.asarray(action.target[:, 0])
    for chosen, reached in enumerate((3, 5, 6)):  # melee: its tile; range: two further; mage: all
        count = np.bincount(target[style == chosen], minlength=reached)
        assert count.size == reached
        expected = count.sum() / reached
        assert np.abs(count - expected).max() < 4.5 * np.sqrt(expected)
    # Agents on one tile, with the same choices, choose apart.
    assert (np.asarray(action.move[:, 0]) == np.asarray(action.move[:, 1])).mean() < 0.25


# ------------------------------------------------------------------------------------------ single situations


@pytest.mark.slow
def test_foragers_on_their_way():
    """An agent beside water drinks up; one that is full goes to the forest it sees, around a wall; one that
    another comes before leaves the forest to it."""
    config = Config(num_agents=2, num_populations=1, rows=21, columns=21)
    material = np.full((21, 21), Material.GRASS)
    material[10, 4] = Material.WATER
    material[10, 13] = Material.FOREST
    material[7:14, 12] = Material.STONE
    env = Environment(config)

    @jax.jit
    def act(realm):
        return [POLICIES[name](jax.random.key(0), env.observe(realm), realm) for name in ("forager", "planner")]

    def moves(**where):
        return [int(action.move[0]) for action in act(make_realm(config, material, **where))]

    assert moves(row=[10], col=[5], food=20, water=12) == [0, 0]
    assert moves(row=[9], col=[11], food=20, water=30) == [4, 4]  # up and around the wall, five steps from its end
    assert moves(row=[11], col=[11], food=20, water=30) == [2, 2]
    assert moves(row=[10], col=[6], food=20, water=2) == [3, 3]
    assert moves(row=[10, 10], col=[15, 14], food=20, water=30)[0] != 3
    assert moves(row=[10, 8], col=[15, 15], food=20, water=30) == [3, 3]


def test_play_gives_each_population_its_policy(crowd):
    key = jax.random.key(2)
    both = jax.jit(play(("wanderer", "random")))(key, *crowd)
    single = {name: jax.jit(play((name,)))(key, *crowd) for name in ("wanderer", "random")}
    for slot in range(8):
        expected = single["random" if slot % 2 else "wanderer"]
        for field in ("move", "style", "target"):
            assert getattr(both, field)[slot] == getattr(expected, field)[slot]


@pytest.mark.slow
def test_jit_changes_nothing(crowd):
    policy, key = play(("wanderer",)), jax.random.key(4)
    plain, compiled = policy(key, *crowd), jax.jit(policy)(key, *crowd)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(compiled), strict=True))


@pytest.mark.parametrize("names", [(), ("forager", "dreamer"), "forager"])
def test_unknown_policies_are_refused(names):
    with pytest.raises(ValueError, match="random, wanderer, forager, fighter, planner"):
        play(names)


@pytest.mark.slow
def test_every_policy_gives_whole_actions(crowd):
    for name in NAMES:
        shapes = jax.eval_shape(POLICIES[name], jax.random.key(0), *crowd)
        assert isinstance(shapes, Action)
        assert {(s.shape, s.dtype) for s in jax.tree.leaves(shapes)} == {((8,), jnp.dtype(jnp.int32))}
        assert len(jax.tree.leaves(shapes)) == 3
