"""What a system declares, checked before anything is compiled; and what follows of it without playing."""

import importlib
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sights import random_weights

import nmmo_jax
from nmmo_jax import Action, Config, Rules
from nmmo_jax.actions import as_orders, heads
from nmmo_jax.components import empty_outcome
from nmmo_jax.declarations import SCHEDULE, Argument, Column, Head, Leaf, NewMaterial, Phase, Rule, Table
from nmmo_jax.digest import digest
from nmmo_jax.draws import draw
from nmmo_jax.ledger import sinks, sources
from nmmo_jax.references import config_as_json, config_from_json, find, reference
from nmmo_jax.replay import Replay
from nmmo_jax.replay_file import load_replay, save_replay
from nmmo_jax.rules import as_rules
from nmmo_jax.system import System, identity
from nmmo_jax.systems.combat import strike
from nmmo_jax.systems.world import World
from nmmo_jax.testing import WORLD
from nmmo_jax.vectorized import vectorize
from nmmo_jax.world.draw import palette
from train.inputs import NUM_RULES, encode_rules
from train.networks import NetworkOptions, make_network, nothing_seen
from train.trees import fit, leaves

NOISE = np.random.default_rng(0)
pytestmark = pytest.mark.usefixtures("example_systems")


@pytest.fixture(scope="module")
def three(example_systems):
    return tuple(getattr(importlib.import_module(name), name.upper()) for name in ("poison", "scent", "rest"))


@pytest.mark.parametrize(("make", "told"), [
    (lambda: System("Poison"), "system: name='Poison': must be a word"),
    (lambda: System("class"), "system: name='class': must be a word"),
    (lambda: System("a", rules=Rule("b", 1)), "system a: rules=Rule"),
    (lambda: System("a", rules=[Rule("b", 1), Rule("b", 2)]), "system a: rules: b is there twice"),
    (lambda: System("a", agents=[Column("b")], tiles=[Column("b")]), "columns and tables: b is there twice"),
    (lambda: System("a", agents=[Column("b", newborn="c")]), "newborn='c': no such rule"),
    (lambda: System("a", stats=["gold"]), "stats='gold': must be one of health, food, water"),
    (lambda: System("a", terrain=3), "system a: terrain: 3: must be a function"),
    (lambda: Rule("b", 7, high=5), "rule b: default=7: allowed are whole numbers from 0 to 5"),
    (lambda: Rule("b", "x", dtype="float32"), "rule b: default='x': allowed are numbers"),
    (lambda: Column("b", dtype="float32"), "column b: dtype='float32': must be one of bool, int8"),
    (lambda: Column("b", dtype="int8", high=200), "column b: high=200: allowed are whole numbers from -128 to 127"),
    (lambda: Column("b", empty=-1, low=0), "column b: empty=-1: allowed"),
    (lambda: Column("b", high=1, low=0, names=("c", "d")), "column b: names=('c', 'd'): must be ()"),
    (lambda: Column("b", high=2, low=0, category=True, names=("c", "d")), "column b: names: 2: must be 3"),
    (lambda: Column("b", high=1, low=0, category=True, names=("c", "c")), "column b: names: c is there twice"),
    (lambda: Column("b", high=1, low=0, category=True, names=("c", "")), "must not be empty"),
    (lambda: Argument("b", 3, names=("c", "d")), "argument b: names: 2: must be 3"),
    (lambda: Argument("b", among="visible", names=("c",)), "argument b: names: 1: must be 0"),
    (lambda: NewMaterial("m", color="red"), "material m: color='red': must be '#rrggbb'"),
    (lambda: Table("t", 0, [Column("b")]), "table t: capacity=0: allowed"),
    (lambda: Table("t", 4, [Column("alive")]), "table t: columns: alive is there twice"),
    (lambda: Phase("noon", print), "phase: point='noon': must be one of vitals, move, act, settle, end"),
    (lambda: Phase("act", None), "phase act: None: must be a function"),
    (lambda: Leaf("l", print, shape=("wide",)), "observation l: shape='wide'"),
    (lambda: System("a", heads=[Head("h", [Argument("h", 1)])]), "argument h: size=1: allowed"),
    (lambda: Config(systems=System("a")), "systems=System"),
    (lambda: Config(systems=[System("a"), System("a")]), "systems: a is there twice"),
    (lambda: Config(systems=[System("a", needs=["b"])]), "systems: a needs b, which is not among a"),
    (lambda: Config(systems=[System("a", materials=[NewMaterial("lava")])]), "systems: materials: lava is there twice"),
    (lambda: Config(systems=[System("a", causes=["combat"])]), "systems: causes: combat is there twice"),
    (lambda: Config(systems=[System("a", heads=[Head("h", [Argument("move", 2)])])]), "arguments: move is there twice"),
    (lambda: Config(systems=[System("a", heads=[Head("h", [Argument("value", 2)])])]), "value is there twice"),
    (lambda: Config(systems=[System("a", heads=[Head("move", [Argument("h", 2)])])]), "heads: move is there twice"),
    (lambda: Config(systems=[System("a", materials=[NewMaterial(f"m{k}") for k in range(26)])]), "33 materials"),
])  # fmt: skip
def test_what_cannot_be_is_refused_by_name(make, told):
    with pytest.raises(ValueError) as error:
        make()
    assert told in str(error.value)


def test_names_are_numbers_for_ever():
    assert identity("poison") == identity("poison") != identity("poison", "damage")
    assert (identity("poison"), identity("scent", "trail")) == (49_437_372, 1_521_783_658)
    assert identity("poison") >= 1_024  # above the classic streams and salts


def test_a_configuration_with_systems_is_a_value(three):
    config = Config(systems=list(three))
    assert config == Config(systems=three) != Config() and hash(config) == hash(Config(systems=three))
    assert config.material_names[-1] == "poison" and config.walkable[-1] == 7
    assert config.deadly == ("lava", "starvation", "thirst", "combat", "poison", "exhaustion")
    assert config.event_names[-1] == "rest" and palette(config)[-1].tolist() == [0x7A, 0x3B, 0x8F]
    told = json.loads(json.dumps(config_as_json(config)))
    assert told["systems"] == ["poison:POISON", "scent:SCENT", "rest:REST"] and config_from_json(told) == config
    assert "systems" not in config_as_json(Config())
    assert pickle.loads(pickle.dumps(three[0])) == three[0]
    assert reference(Config) == "nmmo_jax.config:Config" and find("nmmo_jax.config:Config") is Config
    with pytest.raises(ValueError, match="system a: is no variable of a module"):
        config_as_json(Config(systems=[System("a")]))


@pytest.mark.parametrize(("name", "told"), [
    ("poison", "must be 'module:NAME'"), ("a b:C", "must be 'module:NAME'"), ("nowhere_at_all:X", "no module"),
    ("poison:NOTHING", "has no attribute 'NOTHING'"), ("poison:suffer", "function: must be a System"),
])  # fmt: skip
def test_a_system_that_cannot_be_found(name, told, refused):
    line = refused("simulate", "--system", name)
    assert line.startswith("--system ") and told in line


def test_flags_of_systems(refused):
    assert "there is no poison.damage" in refused("simulate", "--set", "poison.damage=3")
    assert "did you mean poison.damage?" in refused("simulate", "--system", "poison:POISON", "--set", "poison.damge=3")
    assert "poison.damage=-1" in refused("simulate", "--system", "poison:POISON", "--set", "poison.damage=-1")
    assert "--system systems: poison is there twice" in refused(
        "simulate", "--system", "poison:POISON", "--system", "poison:POISON"
    )


def test_rules_by_name(three):
    env = nmmo_jax.make("chaos", systems=three, **{"poison.damage": 3})
    assert env.rules.named()["poison.damage"] == 3 and env.rules.of["scent"]["fading"] == 5
    assert Rules.from_named(env.rules.named()) == env.rules != env.rules.put({"poison.damage": 4})
    with pytest.raises(ValueError, match=r"rules.poison.damage=-1: allowed are whole numbers from 0 to 30000"):
        nmmo_jax.make("chaos", systems=three, **{"poison.damage": -1})
    with pytest.raises(ValueError, match=r"rules.poison.damage: no such rule"):
        nmmo_jax.Environment(Config(), env.rules)
    several = vectorize(env, 2)
    assert several.rules.named()["poison.damage"] == 3
    _, axes = several._rules(env.rules.put({"poison.damage": np.array([1, 2])}))
    assert axes.named()["poison.damage"] == 0 and axes.named()["scent.fading"] is None


def test_what_agents_choose(three):
    config = Config(**{**WORLD, "systems": three})
    assert [head.name for head in heads(config)] == ["move", "attack", "rest"]
    orders = as_orders(Action(of={"rest": np.array([0, 1, 2, -1] * 3)}), config)
    assert np.asarray(orders.of["rest"]).tolist() == [0, 1, 0, 0] * 3
    with pytest.raises(ValueError, match=r"action.of\['sleep'\]: no argument of a system: there are rest"):
        as_orders(Action(of={"sleep": np.zeros(12, int)}), config)
    assert sources(config)["health"][-2:] == ("health_gained_by_poison", "health_gained_by_rest")
    assert sinks(config)["food"] == sinks(Config())["food"]


def test_realms_of_arrays(three):
    config = Config(**{**WORLD, "systems": three})
    ground = np.full((5, 6), 2)
    ground[2, 3] = config.material_names.index("poison")
    realm = nmmo_jax.make_realm(config, ground, row=[2, 2], col=[3, 4], of={"rest.energy": [4, 9], "scent.trail": 7})
    assert np.asarray(realm.of["rest"]["energy"][:5]).tolist() == [4, 9, 0, 0, 0]
    trail = np.asarray(realm.of["scent"]["trail"])
    assert (trail[:5, :6] == 7).all() and trail.sum() == 7 * 30
    plain = nmmo_jax.make_realm(config, ground, row=[2], col=[3])
    assert plain.of["rest"]["energy"][0] == 30  # of a newborn: a rule
    with pytest.raises(ValueError, match=r"of: 'rest\.sleep': no column of agents or tiles"):
        nmmo_jax.make_realm(config, ground, of={"rest.sleep": 1})
    with pytest.raises(ValueError, match=r"of\['rest.energy'\]=-1: allowed are whole numbers from 0 to 1000"):
        nmmo_jax.make_realm(config, ground, row=[2], col=[3], of={"rest.energy": -1})
    with pytest.raises(ValueError, match=r"realm\.of.*is there without its system; configured systems: none"):
        jax.eval_shape(nmmo_jax.Environment(Config(**WORLD)).observe, plain)


@pytest.mark.slow
def test_phases_are_told_what_they_do_wrong(three):
    def stepped(**parts):
        env = nmmo_jax.make("chaos", **{**WORLD, "systems": [System("wrong", **parts)]})
        jax.eval_shape(env.step, jax.random.key(0), jax.eval_shape(env.reset, jax.random.key(0))[1], Action())

    def at(point, function, **parts):
        return {"phases": [Phase(point, function)], **parts}

    for parts, told in (
        (at("act", lambda world: None), "at act: gave NoneType: must give a World"),
        (at("act", lambda world: world.heal(True, 1)), "health is changed: declared is stats=()"),
        (
            at("act", lambda world: world.hurt(True, 1, "x"), stats=["health"]),
            r"hurt\(cause='x'\): its causes are none",
        ),
        (at("end", lambda world: world.heal(True, 1), stats=["health"]), "can be done at vitals, move, act, settle"),
        (at("act", lambda world: world.set(x=1)), r"world\['x'\]: it has nothing"),
        (at("act", lambda world: world.set(x=1.5), agents=[Column("x")]), "wrong.x: float32: must be whole numbers"),
        (at("act", lambda world: world.set(x=world["x"][:3]), agents=[Column("x")]), r"wrong.x: shape \(3,\)"),
        (at("act", lambda world: world.tell("x", True)), "its events are none"),
        (at("act", lambda world: world.set(x=world.chosen("x"))), "its arguments are none"),
        (at("act", lambda world: world.hurt(world.standing_on("x"), 1, "y")), "material 'x': there are lava, water"),
        ({"observe": [Leaf("x", lambda world: world.alive[:3])]}, r"observation x: bool of shape \(3,\)"),
        ({"heads": [Head("x", [Argument("x", 2, mask=lambda world: world.alive)])]}, "mask of x: bool of shape"),
    ):
        with pytest.raises(ValueError, match=told):
            stepped(**parts)


@pytest.mark.slow
def test_networks_grow_without_another_thought(three):
    """Parameters of a world without systems say the same in one with them, of what they knew."""
    old, new = (Config(num_agents=16, num_populations=2, systems=systems) for systems in ((), three))
    for name, options in (("default", {}), ("classic", {}), ("default", {"rules_input": True})):
        small, large = (make_network(config, name, NetworkOptions(**options)) for config in (old, new))
        params, others, seen = random_weights(small.init), random_weights(large.init), nothing_seen(new, bool(options))
        there = leaves(params)  # the rest alone is compiled
        begun = jax.jit(lambda key, init=large.init, there=there: {
            name: leaf for name, leaf in leaves(init(key)).items() if name not in there
        })(jax.random.key(1))  # fmt: skip
        begun = jax.tree.unflatten(jax.tree.structure(others), [*(leaves(others) | begun).values()])
        grown = fit(params, begun, grow=True)
        seen = jax.tree.map(lambda leaf: jnp.asarray(NOISE.integers(0, 2, (2, 3, *leaf.shape)), leaf.dtype), seen)
        known = seen._replace(of={}, rules=seen.rules[..., :NUM_RULES] if options else None)
        before, _ = jax.jit(small.apply)(params, known, small.initial((2, 3)))
        after, _ = jax.jit(large.apply)(grown, seen, large.initial((2, 3)))
        assert after.keys() - before.keys() == {"rest"} and after["rest"].shape == (2, 3, 2)
        for output, values in before.items():
            np.testing.assert_allclose(after[output], values, atol=1e-5)
        if options:
            assert all((grown[f"see_rules-{name}"]["kernel"] == 0).all() for name in ("poison", "scent", "rest"))
            grown["see_rules-poison"]["kernel"] += 1.0
            other, _ = jax.jit(large.apply)(grown, seen._replace(rules=seen.rules.at[..., NUM_RULES].add(0.5)), ())
            assert (np.abs(other["value"] - after["value"]) > 1e-6).all()
        with pytest.raises(ValueError, match="is missing"):
            fit(params, begun)


@pytest.mark.parametrize("name", ["default", "classic"])
def test_names_of_systems_are_not_those_of_layers(name):
    """Whatever a system calls what it has, it is not taken for a part of the network."""
    words = ("self", "trunk", "trunk2", "observer", "others", "tiles_bias", "bias", "agents", "mix", "materials", "gru")
    own = System(
        "tiles",
        rules=[Rule("self", 1)],
        materials=[NewMaterial(word) for word in ("bias", "s", "self")],
        observe=[Leaf(word, lambda world: world.alive) for word in ("trunk", "rules", "see", "own")],
        heads=[Head(word, [Argument(word, 2)]) for word in words],
    )
    config = Config(num_agents=16, num_populations=2, systems=[own])
    network = make_network(
        config, name, NetworkOptions(**{"core": "gru", "rules_input": True} if name == "default" else {})
    )
    inputs = jax.tree.map(
        lambda leaf: jnp.zeros((2, 3, *leaf.shape), leaf.dtype), nothing_seen(config, name == "default")
    )
    params = jax.eval_shape(network.init, jax.random.key(0))
    outputs, _ = jax.eval_shape(network.apply, params, inputs, network.initial((2, 3)))
    assert set(outputs) == {"value", "move", "style", "target", *words}


def test_rules_of_systems_are_encoded_after_the_classic_ones(three):
    old, new = (nmmo_jax.make("chaos", systems=systems) for systems in ((), three))
    codes = [encode_rules(new.rules.put({"poison.damage": n}), new.config) for n in (0, 2, 30_000)]
    for code, first in zip(codes, (-1, None, 1), strict=True):
        np.testing.assert_array_equal(code[:NUM_RULES], encode_rules(old.rules, old.config))
        assert len(code) == NUM_RULES + sum(len(system.rules) for system in three)
        assert first is None or code[NUM_RULES] == pytest.approx(first)
        np.testing.assert_array_equal(code[NUM_RULES + 1 :], codes[0][NUM_RULES + 1 :])


def test_the_schedule_is_told_in_order():
    assert list(SCHEDULE) == ["vitals", "move", "act", "settle", "end"]


def test_a_replay_keeps_what_systems_keep(three, tmp_path):
    env = nmmo_jax.make("chaos", **{**WORLD, "ledger": False, "events": 0}, systems=three)
    ground = np.full((5, 6), 2)
    realm = nmmo_jax.make_realm(env.config, ground, row=[2, 2], col=[3, 4], of={"rest.energy": 4, "scent.trail": 7})
    replay = Replay.begin(env, realm, jax.random.key(0), ["a", "b", "c"])
    save_replay(replay, tmp_path / "one.npz")
    read = load_replay(tmp_path / "one.npz")
    assert read.config == replay.config and read.config.systems == three
    assert read.about["rules"]["scent.fading"] == 5
    jax.tree.map(np.testing.assert_array_equal, read.realm(0).of, jax.device_get(realm.of))
    damaged = replay.about["config"] | {"systems": ["poison:POISON", "gone_away:GONE", "rest:REST"]}
    replay.about = {**replay.about, "config": damaged}
    save_replay(replay, tmp_path / "two.npz")
    with pytest.raises(ValueError, match=r"two\.npz: gone_away:GONE: no module gone_away in "):
        load_replay(tmp_path / "two.npz")


@pytest.mark.slow
def test_combat_reads_offence_and_defence():
    armed = System("armed", agents=[Column("offence"), Column("defence")])
    ground, place = np.full((5, 6), 2), {"row": [2, 2], "col": [3, 4], "age": 20, "health": 30}
    config = Config(**{**WORLD, "systems": [armed]})

    def lost(offence, defence):
        given = {"armed.offence": [offence, 0], "armed.defence": [0, defence]}
        realm = nmmo_jax.make_realm(config, ground, **place, of=given)
        n = config.num_agents
        hits, style, target = jnp.arange(n) == 0, jnp.zeros(n, jnp.int32), jnp.ones(n, jnp.int32)
        rules = as_rules(Rules(), config)
        draws = draw(jax.random.key(0), realm, rules, config)
        after, _ = strike(realm, empty_outcome(config), hits, style, target, draws, rules, config)
        return 30 - int(after.agents.health[1])

    assert [lost(0, 0), lost(5, 0), lost(5, 3), lost(0, 25)] == [10, 15, 12, 0]


@pytest.mark.slow
def test_rows_of_tables_that_are_not_alive_are_blank():
    herd = System("herd", tables=[Table("sheep", 3, [Column("wool", empty=7, low=0, high=9)])])
    config = Config(**{**WORLD, "systems": [herd]})
    realm = nmmo_jax.make_realm(config, np.full((5, 6), 2))
    nobody = jnp.zeros(config.num_agents, bool)
    world = World(herd, "end", realm, as_rules(Rules(), config), config, nobody, nobody)
    assert np.asarray(world["sheep"]["wool"]).tolist() == [7, 7, 7]
    alive = jnp.array([True, False, True])
    after = world.set(sheep={"alive": alive, "wool": jnp.array([3, 4, 50])})
    assert np.asarray(after["sheep"]["wool"]).tolist() == [3, 7, 9]  # blank, and saturated
    assert (np.asarray(digest(after.realm)) != np.asarray(digest(realm))).any()
    with pytest.raises(ValueError, match=r"herd\.sheep\.horns: its columns are alive, wool"):
        world.set(sheep={"horns": 1})
