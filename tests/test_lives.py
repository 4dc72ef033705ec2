"""Lives from the events of a run: against a plain record of who was there after each tick, and what is measured."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from small import KEY, SMALL

from nmmo_jax import Environment
from nmmo_jax.commands.simulate import Simulate
from nmmo_jax.kinds import Cause
from nmmo_jax.play.lives import END, Lives, comings_and_goings, events_of, turnover
from nmmo_jax.policies.scripted import forager
from nmmo_jax.presets import preset

TICKS, SETTLE = 70, 12


@pytest.fixture(scope="module")
def played():
    """A world with parents, in which agents fight, expire and are born, followed from a tick at which some live."""
    config = dataclasses.replace(SMALL, layout="free", reproduction=True, max_lifetime=30, events=1)
    config = dataclasses.replace(config, events=events_of(config))
    numbers = {"birth_age": 2, "birth_food_above": 1, "birth_water_above": 1, "birth_food_cost": 0, "immunity_ticks": 3}
    env = Environment(config, preset("chaos")[1].replace(population_cap=12, birth_probability=0.2, **numbers))

    @jax.jit
    def tick(realm):
        key = jax.random.fold_in(KEY, realm.tick)
        action = forager(key, env.observe(realm), env.observe(realm).mask)
        mask = env.observe(realm).mask["target"]
        action = action.replace(style=0 * action.move, target=jax.numpy.argmax(mask[:, 0], axis=-1))
        _, realm, _, terminated, truncated, info = env.step(KEY, realm, action)
        return realm, terminated, truncated, info, comings_and_goings(info.events, turnover(config))

    _, realm = jax.jit(env.reset)(KEY)
    for _ in range(SETTLE):
        realm, *_ = tick(realm)
    several = jax.tree.map(lambda leaf: leaf[None], realm)
    lives, plain = Lives(), {}
    lives.begin(several)
    for slot in np.flatnonzero(realm.agents.alive):
        plain[int(realm.agents.uid[slot])] = {"seen": 0, "parent_uid": -1, "birth_tick": -1, "end": 2, "cause": 0}
    for _ in range(TICKS):
        before = realm
        realm, terminated, truncated, info, kept = tick(realm)
        lives.add(jax.tree.map(lambda leaf: np.asarray(leaf)[None], kept))
        for slot in range(config.num_agents):
            if terminated[slot] or truncated[slot]:
                plain[int(before.agents.uid[slot])] |= {
                    "end": 0 if terminated[slot] else 1, "end_tick": int(before.tick), "age": int(info.age[slot]),
                    "cause": int(info.cause[slot]) if terminated[slot] else 0,
                }  # fmt: skip
        there = np.asarray(realm.agents.alive)
        for slot in np.flatnonzero(there):
            uid, row = int(realm.agents.uid[slot]), np.flatnonzero(info.births.uid == realm.agents.uid[slot])
            if uid not in plain:
                plain[uid] = {"seen": 1, "parent_uid": int(info.births.parent_uid[row[0]]), "end": 2, "cause": 0,
                              "birth_tick": int(before.tick), "birth_row": int(realm.agents.row[slot])}  # fmt: skip
            if plain[uid]["end"] == 2:
                plain[uid] |= {"age": int(realm.agents.age[slot]), "end_tick": -1}
    lives.finish(jax.tree.map(lambda leaf: leaf[None], realm))
    return lives.table, plain


@pytest.mark.slow
def test_every_life_is_there_once(played):
    table, plain = played
    assert table.uid.tolist() == sorted(plain) and not table.realm.any()
    for k, uid in enumerate(table.uid.tolist()):
        for name, value in plain[uid].items():
            if name != "birth_tick" or plain[uid]["seen"]:
                assert getattr(table, name)[k] == value, (uid, name)
    of = [END[end] for end in table.end]
    assert min(of.count(end) for end in END) > 0 and (table.seen == 0).sum() > 0 and (table.parent_uid >= 0).sum() > 3


@pytest.mark.slow
def test_what_follows_from_each_other(played):
    table, _ = played
    died, alive = table.end == 0, table.end == 2
    ages = np.where(alive, SETTLE + TICKS - 1, table.end_tick) - table.birth_tick
    lava = table.cause == Cause.LAVA  # on which vitals are not completed
    np.testing.assert_array_equal(table.age, ages - lava)
    assert (table.age[table.end == 1] == 30).all() and (table.cause[died] > 0).all() and not table.cause[~died].any()
    assert (table.killer_uid[table.cause == Cause.COMBAT] >= 0).all() and (table.cause == Cause.COMBAT).any()
    assert (table.killer_uid[table.cause != Cause.COMBAT] == -1).all()
    assert ((table.birth_tick < SETTLE) == (table.seen == 0)).all() and (table.birth_tick >= 0).all()


def test_missing_events_are_told(played):
    _, realm = jax.jit(Environment(SMALL).reset)(KEY)
    several = jax.tree.map(lambda leaf: np.asarray(leaf)[None], realm)
    alive = several.agents.alive.copy()
    alive[0, 3] = True
    lives = Lives()
    lives.begin(several)
    with pytest.raises(ValueError, match="some are missing"):
        lives.finish(several.replace(agents=several.agents.replace(alive=alive)))


@pytest.mark.slow
def test_simulate_leaves_them(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "out"
    world = {"agents": 8, "populations": 2, "policy": ("wanderer", "random"), "initial_population": 5}
    rules = (("start_food=12", "start_water=12"),)
    run = Simulate(**world, realms=2, ticks=60, max_lifetime=25, set=rules, tables=("parquet",), out=out)
    assert run.run() == 0
    told, arrays = json.loads((out / "metrics.json").read_text()), np.load(out / "data.npz")
    found = parquet.read_table(out / "lives.parquet")
    lives = found.to_pandas()
    for p, row in enumerate(told["populations"]):
        own = lives[lives.population == p]
        assert (own.policy == row["policy"]).all() and len(own) == row["births"] > 0
        np.testing.assert_array_equal(np.bincount(own[own.died].age, minlength=62), arrays["died"][p])
        np.testing.assert_array_equal(np.bincount(own[~own.died].age, minlength=62), arrays["censored"][p])
        assert own.cause.value_counts().to_dict() == {c: n for c, n in row["deaths_by_cause"].items() if n}
        assert own.end.value_counts().get("truncation", 0) == row["truncations"]
    assert (lives.birth_tick == -1).sum() == 2 * 5 == (~lives.birth_seen).sum()
    about = json.loads(found.schema.metadata[b"nmmo-jax"])
    assert about["seed"] == 0 and about["rules"]["start_food"] == 12 and about["versions"] == told["versions"]
    assert found.schema.field("age").metadata == {
        b"unit": b"ticks",
        b"meaning": b"completed, at its end or at that of the run",
    }


def test_too_many_lives(tmp_path):
    pytest.importorskip("pyarrow")
    many = Simulate(realms=64, ticks=2**21, tables=("parquet",), out=tmp_path / "out")
    with pytest.raises(ValueError, match="--tables: allowed are at most 67,108,864 births"):
        many.run()
    with pytest.raises(ValueError, match="--tables netcdf: must be some of parquet"):
        dataclasses.replace(many, tables=("netcdf",)).run()
