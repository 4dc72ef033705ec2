"""Lists that agents see, what they choose among, and what newborns inherit, as systems declare it."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmo_jax
from nmmo_jax import Action, Argument, Column, Config, Head, Leaf, Listing, Phase, Rule, System, Table, neighbours
from nmmo_jax.actions import heads, number_of_things
from nmmo_jax.components import empty_agents
from nmmo_jax.goals import with_steps
from nmmo_jax.observations import thing_at
from nmmo_jax.play.players import players
from nmmo_jax.systems.world import World
from nmmo_jax.testing import WORLD, check_system
from train.inputs import entries, inputs_of, shown
from train.networks import NetworkOptions, make_network
from train.vec_env import VecEnv

GROUND = np.full((24, 22), 2)


@pytest.fixture(scope="module")
def fruit(example_systems):
    return importlib.import_module("fruit").FRUIT


@pytest.fixture(scope="module")
def env(fruit):
    """Two agents, side by side, and fruit that neither falls nor rots."""
    return nmmo_jax.make("law", **{**WORLD, "systems": [fruit], "fruit.falls": 0.0, "fruit.lasts": 30_000})


def meal(env, **fruit):
    return nmmo_jax.make_realm(
        env.config, GROUND, row=[9, 9], col=[9, 10], slot=[0, 1], food=[9, 9], spawns=False, of={"fruit.fruit": fruit}
    )


@pytest.mark.slow
def test_fruit(fruit):
    check_system(fruit, off={"fruit.falls": 0.0}, reach=8, **{"fruit.falls": 1.0})


def test_what_is_listed(env):
    """What is near comes first, then what is in view, in the order of rows; as differences from oneself."""
    realm = meal(env, row=[11, 9, 8, 20, 9], col=[9, 9, 10, 9, 12], age=[5, 6, 7, 8, 9])
    obs = jax.jit(env.observe)(realm)
    assert obs.rows["fruit_in_view"][:2].tolist() == [[1, 2, 0, -1], [1, 2, 0, 4]]
    assert obs.of["fruit_in_view"][0].tolist() == [[0, 0, 6], [-1, 1, 7], [2, 0, 5], [0, 0, 0]]
    assert obs.mask["eat"][:3].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
    assert not np.asarray(obs.of["fruit_in_view"][2:]).any() and (np.asarray(obs.rows["fruit_in_view"][2:]) == -1).all()


@pytest.mark.slow
def test_who_wants_the_same_fruit(env):
    """One gets it, and by another key the other; who wants what is out of reach gets nothing."""
    step, realm, got = jax.jit(env.step), meal(env, row=[9, 8, 15], col=[9, 10, 9]), set()
    for seed in range(12):
        _, after, *_ = step(jax.random.key(seed), realm, Action(of={"eat": jnp.zeros(12, int).at[2:].set(1)}))
        eaten = after.of["fruit"]["eaten"][:2].tolist()
        assert sum(eaten) == 1 and after.of["fruit"]["fruit"]["alive"][:4].tolist() == [False, True, True, False]
        assert after.agents.food[:2].tolist() == [8 + 10 * one for one in eaten]
        got.add(eaten[0])
    assert got == {0, 1}
    _, after, *_ = step(jax.random.key(0), realm, Action(of={"eat": jnp.full(12, 2).at[1].set(77)}))
    assert not np.asarray(after.of["fruit"]["eaten"]).any()
    _, after, *_ = step(jax.random.key(0), realm, Action(of={"eat": jnp.full(12, 1).at[1].set(0)}))
    assert after.of["fruit"]["eaten"][:2].tolist() == [1, 1] and after.of["fruit"]["fruit"]["alive"].sum() == 1


@pytest.mark.slow
def test_a_crowd_is_searched_as_pairs_are(monkeypatch):
    rng, config = np.random.default_rng(0), Config(num_agents=64, rows=40, columns=50, view=9)
    row, col = (jnp.asarray(rng.integers(0, side, (2, 64 + 300)), jnp.int16) for side in (40, 50))
    row, col = row.at[:, -9:].set(-700), col.at[:, 100:109].set(50)  # things that are nowhere on the map
    alive, agents = jnp.asarray(rng.random((2, 64 + 300)) < 0.7), empty_agents(config)

    def search(row, col, alive):
        table = {"row": row[64:], "col": col[64:], "alive": alive[64:]}
        return neighbours.find_things(agents.replace(row=row[:64], col=col[:64]), alive[:64], table, 2, 5, config)

    found = []
    for limit in (1, 2**20):
        monkeypatch.setattr(neighbours, "MOST_IN_PAIRS", limit)
        found.append(np.asarray(jax.jit(jax.vmap(lambda *given: search(*given)))(row, col, alive)))  # traced anew
    assert (found[0] == found[1]).all() and (found[0] >= 0).any() and (found[0] < 0).any()
    assert not np.isin(found, [*range(36, 45), *range(291, 300)]).any()


@pytest.mark.slow
def test_rows_come_into_what_room_there_is(fruit):
    """In order, and no more than fit; what has gone is blank."""
    env = nmmo_jax.make("law", **{**WORLD, "systems": [fruit], "fruit.falls": 1.0, "fruit.lasts": 3})
    realm = meal(env, row=[9] * 63, col=[3] * 63, age=[0] * 61 + [3] * 2)
    table = jax.jit(env.step)(jax.random.key(0), realm, Action())[1].of["fruit"]["fruit"]
    assert table["alive"].tolist() == [True] * 62 + [False] * 2  # two have rotted, one has fallen
    assert table["age"].tolist() == [1] * 61 + [0] * 3 and table["col"][62:].tolist() == [0, 0]


def everything():
    """A system that chooses among all that can be chosen among, and shows all that can be shown."""
    arguments = [
        Argument("whom", among="visible"),
        Argument("where", among="window"),
        Argument("which", among="whose", mask=lambda world: world.listed["whose"] % 2 == 0),
        Argument("word", 5, nothing=2),
    ]
    names = [argument.name for argument in arguments]

    def keep(world):
        return world.set(**{name: world.chosen(name) for name in names})

    return System(
        "all",
        agents=[
            *(Column(name, "int32", empty=-9) for name in names),
            Column("kind", low=1, high=3, newborn=2, empty=1),
        ],
        tables=[
            Table("thing", 6, [Column("kind", low=1, high=4, empty=1, category=True), Column("owner", low=0, high=5)])
        ],
        observe=[
            Listing(
                "whose", "thing", 3, ["owner", "kind"], rows=lambda world: jnp.full((12, 3), jnp.array([5, -1, 2]))
            ),
            Listing("seen", "agents", 8, ["kind", "row"]),
            Leaf("mood", lambda world: world["kind"], low=1, high=3, category=True),
            Leaf("most", lambda world: jnp.full(12, 2**32 - 1, jnp.uint32), high=100),
            Leaf("number", lambda world: (world.listed["whose"] >= 0).sum(axis=1, dtype=jnp.int32)),
        ],
        heads=[Head("all", arguments)],
        phases=[Phase("act", keep)],
    )


@pytest.fixture(scope="module")
def world():
    """Its environment, a realm with two agents, and what they see."""
    env = nmmo_jax.make("chaos", **{**WORLD, "systems": [everything()]})
    things = {"kind": [1, 2, 3, 4, 1, 2], "owner": range(6)}
    agents = {"row": [1, 9], "col": [9, 9], "slot": [0, 4], "population": [0, 1]}
    realm = nmmo_jax.make_realm(env.config, GROUND, **agents, of={"all.thing": things})
    return env, realm, jax.jit(env.observe)(realm)


@pytest.mark.slow
def test_all_that_can_be_chosen_among(world):
    """A position becomes what is there, in ``Action``; ``-1`` or the first, nothing."""
    env, realm, obs = world
    arguments = {one.name: one for head in heads(env.config) for one in head.arguments}
    sizes = {name: (arguments[name].size, number_of_things(arguments[name], env.config)) for name in ("whom", "where")}
    assert sizes == {"whom": (6, 12), "where": (25, 24 * 22)} and number_of_things(arguments["which"], env.config) == 6
    assert obs.mask["where"][0].reshape(5, 5).sum(axis=1).tolist() == [0, 5, 5, 5, 5]  # one row is beyond the map
    assert obs.mask["which"][0].tolist() == [True, False, False, True]  # 5 is odd, and the second is nothing
    assert obs.of["whose"][0].tolist() == [[5, 2], [0, 0], [2, 3]]
    assert obs.of["most"][0] == 100 and obs.of["number"][0] == 2
    assert obs.of["seen"][0, :2].tolist() == [[2, 0], [0, 0]]
    choices = {"whom": 0, "where": 12 + 5, "which": 3, "word": 4}
    action = nmmo_jax.to_action({name: jnp.full(12, choice) for name, choice in choices.items()}, obs, env.config)
    things = {name: int(thing[4]) for name, thing in action.of.items()}
    assert things == {"whom": 4, "where": 10 * 22 + 9, "which": 2, "word": 4}
    step = jax.jit(env.step)
    _, after, *_ = step(jax.random.key(0), realm, action)
    assert {name: int(after.of["all"][name][4]) for name in action.of} == {**things, "whom": -1}  # oneself: nobody
    assert int(thing_at(jnp.full(12, 12), arguments["where"], obs, env.config)[4]) == -1  # where it stands
    nothing = Action(
        of={"whom": None, "where": jnp.full(12, 9_999), "which": jnp.full(12, -1), "word": jnp.full(12, 5)}
    )
    _, after, *_ = step(jax.random.key(0), realm, nothing)
    assert [int(after.of["all"][name][4]) for name in choices] == [-1, -1, -1, 2]


@pytest.mark.slow
def test_choices_of_rows_outside_jax(world):
    """``VecEnv`` takes positions, as policies choose them."""
    env = VecEnv(world[0], 2, initial_population=8)
    seen = env.reset()
    assert seen.rows["whose"].shape == (16, 3) and seen.of["seen"].shape == (16, 8, 2)
    number = len(seen.uid)
    env.step({"where": np.full(number, 12 - 5), "which": np.full(number, -1), "word": np.full(number, 0)})
    state, alive = env.realms.of["all"], np.asarray(env.realms.agents.alive & (env.realms.agents.age > 0))
    above = np.asarray(env.realms.agents.row - 1, np.int32) * 22 + np.asarray(env.realms.agents.col)
    assert (np.asarray(state["where"])[alive] == above[alive]).all()
    assert set(np.asarray(state["which"])[alive]) == {-1} and set(np.asarray(state["word"])[alive]) == {0}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "classic"])
def test_networks_read_lists_and_choose_among_them(name, world):
    """What is not listed means nothing; kinds are inputs of their own; a row's logit is its own wherever it stands."""
    env, _, obs = world
    options = NetworkOptions(hidden=16) if name == "default" else None
    config, network = env.config, make_network(env.config, name, options)
    obs = with_steps(obs, config)
    inputs = jax.tree.map(lambda leaf: leaf.reshape(3, 4, *leaf.shape[1:]), inputs_of(obs))
    assert entries(inputs, config)["whose"][0, 0, 0].tolist() == [1, 0, 1, 0, 0]
    assert shown(inputs, config)["mood"][0, 0].tolist() == [0, 1, 0]
    params = jax.tree.map(lambda leaf: leaf + 0.1, network.init(jax.random.key(0)))  # so that nothing is without effect
    apply = jax.jit(network.apply)
    first, _ = apply(params, inputs, network.initial((3, 4)))
    assert [first[one].shape[-1] for one in ("whom", "where", "which", "word")] == [6, 25, 4, 5]

    def turned(leaf):
        return leaf[..., ::-1, :] if leaf.ndim > 3 else leaf[..., ::-1]

    littered = inputs.of["whose"].at[..., 1, :].set(99)
    again, _ = apply(params, inputs._replace(of={**inputs.of, "whose": littered}), network.initial((3, 4)))
    for one in ("value", "move", "word"):
        np.testing.assert_array_equal(again[one], first[one])
    rows = {"of": {**inputs.of, "whose": turned(inputs.of["whose"])}}
    rows["present"] = {**inputs.present, "whose": turned(inputs.present["whose"])}
    other, _ = apply(params, inputs._replace(**rows), network.initial((3, 4)))
    np.testing.assert_allclose(other["value"], first["value"], atol=1e-5)
    np.testing.assert_allclose(other["which"][..., 1:], first["which"][..., :0:-1], atol=1e-5)


@pytest.mark.slow
def test_random_play_chooses_what_systems_offer(world):
    """All that is allowed, each as likely; the other scripts nothing."""
    env, realm, obs = world
    play = players(["random", "forager", "random"], env, None)
    keys, many = (
        jax.random.split(jax.random.key(0), 64),
        jax.tree.map(lambda leaf: jnp.stack([leaf] * 64), (obs, realm)),
    )
    choices = jax.jit(lambda *given: play.act(play.params, *given, play.initial(64))[0].of)(keys, *many)
    chosen = {name: np.unique(thing[:, 0]).tolist() for name, thing in choices.items()}
    assert chosen["which"] == [-1, 2] and chosen["word"] == [0, 1, 2, 3, 4] and len(chosen["where"]) > 10
    assert [np.unique(choices[name][:, 4]).tolist() for name in ("whom", "where", "which", "word")] == [[-1]] * 3 + [
        [2]
    ]


@pytest.mark.slow
def test_newborns_inherit_from_who_bears_them():
    def mark(world):
        return world.set(founder=jnp.where(world["founder"] == 0, world.agents.uid + 1, world["founder"]))

    lines = System(
        "lines",
        rules=[Rule("own", 7)],
        agents=[Column("founder", inherited=True), Column("own", newborn="own"), Column("plain", newborn=3)],
        phases=[Phase("act", mark)],
    )
    settings = {"layout": "free", "reproduction": True, "systems": [lines], "birth_age": 2, "birth_probability": 1.0}
    settings |= {"birth_food_above": 1, "birth_water_above": 1, "birth_food_cost": 1, "birth_water_cost": 1}
    env = nmmo_jax.make("law", **{**WORLD, **settings})
    step, (_, realm) = jax.jit(env.step), env.reset(jax.random.key(0), tiles=GROUND, initial_population=2)
    founders, children = {}, 0
    for _ in range(6):
        _, realm, *_, info = step(jax.random.key(0), realm, Action())
        own, slot = realm.of["lines"], {int(uid): k for k, uid in enumerate(realm.agents.uid) if uid >= 0}
        founders |= {uid: int(own["founder"][k]) for uid, k in slot.items() if own["founder"][k]}
        for uid, parent in zip(info.births.uid.tolist(), info.births.parent_uid.tolist(), strict=True):
            if uid in slot and parent >= 0:
                assert int(own["founder"][slot[uid]]) == founders[parent] > 0
                children += 1
            elif uid in slot:
                assert int(own["founder"][slot[uid]]) == 0
            if uid in slot:
                assert (int(own["own"][slot[uid]]), int(own["plain"][slot[uid]])) == (7, 3)
    assert children > 3


def test_rows_go_by_number_or_by_flag_and_sums_do_not_wrap(env):
    realm = meal(env, row=[1, 2, 3, 4], col=[5] * 4, age=[32_767] * 4)
    nobody = jnp.zeros(12, bool)
    world = World(env.config.systems[0], "end", realm, env.rules, env.config, nobody, nobody)
    for rows in (jnp.array([3, -1, 1]), jnp.zeros(64, bool).at[jnp.array([1, 3])].set(True)):
        assert world.remove("fruit", rows)["fruit"]["alive"][:5].tolist() == [True, False, True, False, False]
    assert world.set(fruit={"age": world["fruit"]["age"] + 1})["fruit"]["age"][:5].tolist() == [32_767] * 4 + [0]
    assert world.row("fruit", jnp.array([0, -1, 9]))["age"].tolist() == [32_767, 0, 0]


@pytest.mark.slow
def test_rows_are_told_what_they_do_wrong(env):
    table = Table("t", 4, [Column("x", low=0, high=9)])

    def wrong(act=None, **parts):
        phases = [Phase("act", act)] if act else []
        systems = [System("other", agents=[Column("x")]), System("w", tables=[table], phases=phases, **parts)]
        world = nmmo_jax.make("law", **{**WORLD, "systems": systems})
        jax.eval_shape(world.step, jax.random.key(0), jax.eval_shape(world.reset, jax.random.key(0))[1], Action())

    there = jnp.ones(2, bool)
    for parts, told in (
        ({"act": lambda world: world.add("u", there)}, "table 'u': there are t"),
        ({"act": lambda world: world.add("t", there, y=1)}, r"w.t.y: its columns are alive, x"),
        ({"act": lambda world: world.add("t", there, x=0.5)}, r"w.t.x: float32: must be whole numbers"),
        ({"act": lambda world: world.add("t", there, alive=False)}, r"w.t.alive: new rows are alive"),
        ({"act": lambda world: world.remove("t", there)}, r"w.t: flags of shape \(2,\): must be \(4,\), or numbers"),
        (
            {"act": lambda world: world.heal(jnp.array([2]), 1), "stats": ["health"]},
            r"whom: int32 of shape \(1,\): must",
        ),
        ({"act": lambda world: world.set(x=world.rule.no)}, "rules of w: no: there are none"),
        (
            {"act": lambda world: world.set(**{"other.x": 1}), "needs": ["other"]},
            "columns of another system are its own",
        ),
        (
            {"act": lambda world: world.heal(True, 0.5), "stats": ["health"]},
            "w: health: float32: must be whole numbers",
        ),
        ({"act": lambda world: world.tell("e", True, 0.5), "events": ["e"]}, r"w: tell\('e'\): float32: must be whole"),
        ({"act": lambda world: world.add("t", there, x=jnp.zeros(3, int))}, r"w.t.x: shape \(3,\): must be \(2,\)"),
        (
            {"observe": [Listing("l", "t", 2, ["x"], rows=lambda world: jnp.zeros(3, int))]},
            r"rows of l: int32 of shape",
        ),
    ):
        with pytest.raises((ValueError, AttributeError), match=told):
            wrong(**parts)
    with pytest.raises(ValueError, match=r"of\['fruit.fruit'\]: 65 rows: allowed are at most 64"):
        meal(env, row=[1] * 65)
    with pytest.raises(ValueError, match="must be a mapping of some of its columns, row, col, age"):
        meal(env, taste=[1])
