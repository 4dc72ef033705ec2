"""Skills and monsters: conformance, and sentences of the rulebook by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.actions import Action
from nmmo_jax.environment import make
from nmmo_jax.kinds import Cause, Material
from nmmo_jax.mmo.monsters import CHICKEN, GOBLIN, TROLL, monsters
from nmmo_jax.mmo.skills import NINETY_NINE, SKILLS_UNIT, TEN, blow
from nmmo_jax.rules import OwnRules
from nmmo_jax.scenario import make_realm
from nmmo_jax.testing import check_system

MELEE, RANGE, MAGE = range(3)
MONSTERS = monsters(24)
TOUGH = {"max_health": 60, "start_health": 60}
SIDE = 17


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*not seen in")
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_skills_conform(resolution):
    check_system(SKILLS_UNIT, resolution=resolution, ticks=12, immunity_ticks=0, **TOUGH)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*not seen in")
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_monsters_conform(resolution):
    own = {"monsters.neutral_from": 5, "monsters.aggressive_from": 30, "immunity_ticks": 2, "attack_range": (3, 3, 3)}
    own |= dict.fromkeys([f"monsters.{kind}_health" for kind in ("chicken", "goblin", "troll")], 12)
    check_system(MONSTERS, off={"monsters.cap": 0}, resolution=resolution, ticks=32, **TOUGH, **own)


@functools.cache
def environment(**rules):
    rules = {"spawn_rate": 0.0, "monsters.cap": 0, "monsters.wander": 0.0, "skills.spread": 0, **TOUGH, **rules}
    world = {"rows": SIDE, "columns": SIDE, "border": 0, "num_agents": 4, "num_populations": 1, "view": 7}
    env = make("chaos", **world, systems=(SKILLS_UNIT, MONSTERS), events=16, **rules)
    return env, jax.jit(env.step)


def realm_of(monster, agents=((8, 8),), material=None, of=None, rules=None, **columns):
    """Agents at these places, and monsters with these columns; on a meadow."""
    env, _ = environment(**(rules or {}))
    material = np.full((SIDE, SIDE), Material.GRASS, np.uint8) if material is None else material
    row, col = np.array(agents).reshape(-1, 2).T
    size = np.broadcast(*(np.asarray(value) for value in monster.values())).shape or (1,)
    table = {name: np.broadcast_to(value, size) for name, value in {"level": 1, "health": 60, **monster}.items()}
    columns = {"age": 100, **columns}
    of = {"monsters.monsters": table, **(of or {})}
    return make_realm(env.config, material, row=row, col=col, rules=env.rules, of=of, **columns)


def play(realm, prey=(), style=0, move=(), rules=None, ticks=1):
    """After some ticks in which agents hunt the monsters of these rows: the realm, and what was told of the last."""
    env, step = environment(**(rules or {}))
    n = env.config.num_agents

    def choices(some, nothing):
        return jnp.array([*some, *[nothing] * (n - len(some))], jnp.int32)

    action = Action(choices(move, 0), jnp.full(n, style, jnp.int32), choices((), -1), {"prey": choices(prey, -1)})
    for _ in range(ticks):
        obs, realm, _, _, _, info = step(jax.random.key(0), realm, action)
    return obs, realm, info


def table(realm):
    return {name: np.asarray(column) for name, column in realm.of["monsters"]["monsters"].items()}


def test_a_strike_takes_offence_less_defence_and_is_remembered():
    realm = realm_of({"row": 8, "col": 9, "kind": GOBLIN, "style": RANGE})
    _, realm, info = play(realm, [0], MELEE)
    monster = table(realm)
    damage = max(3 * (10 + 5) // 2 - 8, 15 // 4)  # melee beats range
    assert monster["health"][0] == 60 - damage
    assert (monster["foe"][0], monster["foe_uid"][0], monster["memory"][0]) == (0, 0, 10)
    assert int(realm.of["skills"]["experience"][MELEE, 0]) == 6
    told = info.outcome.of["monsters"].events["monster_hit"]
    assert told.happened[0] and told.amount[0] == damage


def test_reach_is_measured_before_moving():
    realm = realm_of({"row": 8, "col": 9, "kind": CHICKEN})
    _, after, _ = play(realm, [0], MELEE, move=[3])  # away from it
    assert table(after)["health"][0] < 60
    realm = realm_of({"row": 8, "col": 10, "kind": CHICKEN})
    _, after, _ = play(realm, [0], MELEE, move=[1])  # towards it
    assert table(after)["health"][0] == 60 and table(after)["memory"][0] == 0


def test_the_killer_is_who_did_most_then_the_oldest():
    strong = {
        "skills.level": np.array([[1, 4, 1]] * 8),
        "skills.offence": np.array([[5, 20, 5]] * 3),
    }
    realm = realm_of({"row": 8, "col": 8, "kind": CHICKEN, "health": 20}, [(8, 7), (8, 9), (7, 8)], of=strong)
    _, after, info = play(realm, [0, 0, 0], MELEE)
    killed = info.outcome.of["monsters"].events["monster_killed"]
    assert killed.happened.tolist() == [False, True, False, False]
    assert not table(after)["alive"].any()
    assert after.of["monsters"]["slain_kind"].tolist() == [-1, CHICKEN, -1, -1]
    realm = realm_of({"row": 8, "col": 8, "kind": GOBLIN, "health": 14}, [(8, 7), (8, 9)], uid=[7, 3])
    _, after, _ = play(realm, [0, 0], MELEE)
    assert after.of["monsters"]["slain_kind"].tolist() == [-1, GOBLIN, -1, -1]


def test_chickens_flee_goblins_hunt_back_and_forget():
    for kind, there in ((CHICKEN, 11), (GOBLIN, 9)):
        realm = realm_of({"row": 8, "col": 10, "kind": kind, "style": MELEE, "foe": 0, "foe_uid": 0, "memory": 2})
        _, after, _ = play(realm)
        assert table(after)["col"][0] == there and table(after)["row"][0] == 8
        _, after, _ = play(realm, ticks=3)
        assert table(after)["foe"][0] == -1


def test_trolls_hunt_the_nearest_who_is_not_immune_and_strike():
    monster = {"row": 8, "col": 8, "kind": TROLL, "style": MELEE, "level": 2}
    realm = realm_of(monster, [(8, 11), (8, 6), (8, 9)], age=[100, 100, 2])
    _, after, info = play(realm)
    assert (table(after)["row"][0], table(after)["col"][0]) == (8, 7)  # to the second, not to the immune third
    _, after, info = play(after)
    told = info.outcome.of["monsters"].events["monster_attack"]
    damage = max(2 * 16 // 2 - 5, 16 // 4)
    assert told.happened.tolist() == [False, True, False, False] and told.amount[1] == damage
    assert (table(after)["row"][0], table(after)["col"][0]) == (8, 7)  # who strikes stays


@pytest.mark.slow
def test_who_is_killed_by_a_monster_dies_of_it():
    realm = realm_of({"row": 8, "col": 8, "kind": TROLL, "level": 10}, [(8, 9)], health=1)
    env, step = environment()
    _, _, _, terminated, _, info = step(jax.random.key(0), realm, Action())
    assert terminated[0] and env.config.cause_names[int(info.cause[0])] == "monster"
    assert int(info.cause[0]) > Cause.COMBAT


def test_monsters_go_around_one_tile_and_never_into_walls_water_or_lava():
    material = np.full((SIDE, SIDE), Material.GRASS, np.uint8)
    for wall in (Material.STONE, Material.WATER, Material.LAVA):
        material[8, 9] = wall
        realm = realm_of({"row": 8, "col": 10, "kind": TROLL}, [(8, 7)], material=material)
        _, after, _ = play(realm)
        assert (table(after)["row"][0], table(after)["col"][0]) == (8, 10)  # on a level: no second axis
        realm = realm_of({"row": 8, "col": 10, "kind": TROLL}, [(9, 7)], material=material)
        _, after, _ = play(realm)
        assert (table(after)["row"][0], table(after)["col"][0]) == (9, 10)


@pytest.mark.slow
def test_who_fights_an_agent_strikes_no_prey():
    _, step = environment()
    realm = realm_of({"row": 8, "col": 9, "kind": CHICKEN}, [(8, 8), (8, 7)])
    both = Action(
        style=jnp.zeros(4, jnp.int32), target=jnp.array([1, -1, -1, -1]), of={"prey": jnp.array([0, -1, -1, -1])}
    )
    _, after, *_ = step(jax.random.key(0), realm, both)
    assert table(after)["health"][0] == 60 and after.agents.health[1] < 60


def test_they_appear_by_danger_up_to_the_cap_and_heal():
    rules = {"monsters.cap": 20, "monsters.aggressive_from": 60, "immunity_ticks": 10_000}
    realm = realm_of({"row": 8, "col": 8, "kind": TROLL, "health": 5}, rules=rules)
    _, realm, _ = play(realm, rules=rules, ticks=6)
    found = table(realm)
    assert found["alive"].sum() == 20 and found["health"][0] == 5 + 6
    new = found["alive"] & (np.arange(24) > 0)
    edge = np.minimum(
        np.minimum(found["row"], SIDE - 1 - found["row"]), np.minimum(found["col"], SIDE - 1 - found["col"])
    )
    at = np.minimum(100 * edge // (SIDE // 2), 100)
    np.testing.assert_array_equal(found["kind"][new], ((at >= 50) * 1 + (at >= 60))[new])
    np.testing.assert_array_equal(found["level"][new], (1 + 9 * at // 100)[new])
    assert set(found["kind"][new]) == {CHICKEN, GOBLIN, TROLL}


@pytest.mark.slow
def test_levels_rise_one_at_a_time_and_make_attacks_stronger():
    rules = {"skills.attack_experience": 500}
    realm = realm_of({"row": 8, "col": 9, "kind": GOBLIN, "health": 10_000}, rules=rules, health=60)
    levels = []
    for _ in range(3):
        obs, realm, _ = play(realm, [0], MAGE, rules=rules)
        levels.append(int(realm.of["skills"]["level"][MAGE, 0]))
    assert levels == [2, 3, 4]
    assert realm.of["skills"]["offence"][:, 0].tolist() == [5, 5, 20] and int(realm.of["skills"]["defence"][0]) == 20
    assert int(realm.of["skills"]["stance"][0]) == MAGE and int(realm.of["skills"]["combat_level"][0]) == 4
    assert obs.of["skill_levels"][0].tolist() == [1, 1, 4, 1, 1, 1, 1, 1]


def test_ten_levels_and_the_originals():
    assert TEN == (0, 90, 217, 373, 553, 754, 974, 1212, 1467, 1737)
    assert len(NINETY_NINE) == 99 and NINETY_NINE[:4] == (0, 83, 174, 275) and NINETY_NINE[-1] < 2**31


def test_spread_and_accuracy_are_as_written():
    words = jnp.asarray(np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint32))
    rule = OwnRules("skills", {"spread": 20, "accuracy": False})
    same = jnp.zeros(words.shape, jnp.int32)
    damage = np.asarray(blow(rule, same + MELEE, same + MAGE, same + 100, same + 20, words))
    assert (damage.min(), damage.max()) == (80 * 80 // 100, 80 * 120 // 100) and abs(damage.mean() - 79.5) < 0.2
    rule = OwnRules("skills", {"spread": 0, "accuracy": True})
    for offence, defence, share in ((99, 48, 1 - 50 / 200), (48, 99, 48 / 200)):
        damage = np.asarray(blow(rule, same, same + MAGE, same + offence, same + defence, words))
        assert abs((damage > 0).mean() - share) < 0.01
