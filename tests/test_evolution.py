"""Evolution: newborns have exactly the genomes they should, every life is in the table, going on gives the same."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax import Config, Environment, Leaf, System, make_realm
from nmmo_jax.commands.evolve import Evolve
from nmmo_jax.components import Births
from nmmo_jax.kinds import Material
from train.examples.selecting_god import Selecting
from train.studies.evolution import Evolution
from train.studies.evolving import FOUNDING, replaced
from train.studies.genomes import (
    FOUNDER_SCALE,
    HIDDEN,
    INPUTS,
    Genomes,
    Source,
    act,
    genes,
    inherit,
    input_names,
    inputs_of,
    logits,
)
from train.studies.lineage import lineage
from train.studies.reports.evolution import report
from train.studies.study import compute

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "systems"
GENES = genes(Config())
FERTILE = ("birth_food_above=1", "birth_water_above=1", "birth_age=1", "birth_probability=0.3", "birth_food_cost=0",
           "birth_water_cost=0")  # fmt: skip
TINY = Evolve(
    agents=10, side=24, worlds=2, founding=24, ticks=48, stretches=2, garden=16, mutants=1, horizon=16, set=(FERTILE,)
)


@pytest.fixture(scope="module")
def evolution(tmp_path_factory):
    return TINY.study(tmp_path_factory.mktemp("evolve")).evolution


@pytest.fixture(scope="module")
def begun(evolution, tmp_path_factory):
    """Worlds that have people."""
    state = evolution.begin(3, TINY.study(tmp_path_factory.mktemp("evolve")).tiles("train"))
    return evolution.run(state, 24, Source.PARENT, 0.0)


@pytest.mark.slow
@pytest.mark.skipif(jax.device_count() < 2, reason="there is one device")
def test_on_one_device_the_same_happens(evolution, begun, tmp_path):
    one = Evolution(evolution.env, 2, jax.devices()[:1])
    there, lived = begun
    assert len(there.realm.agents.food.sharding.device_set) == 2
    here, alone = one.run(one.begin(3, TINY.study(tmp_path).tiles("train")), 24, Source.PARENT, 0.0)
    assert len(lived.births) > 0
    leaves = [jax.tree.leaves(one) for one in ((there.realm, there.genomes, lived), (here.realm, here.genomes, alone))]
    for a, b in zip(*leaves, strict=True):
        np.testing.assert_array_equal(a, b)


def slots(state, realm):
    alive = np.asarray(state.realm.agents.alive[realm])
    uid = np.asarray(state.realm.agents.uid[realm])
    return {int(uid[slot]): slot for slot in np.flatnonzero(alive)}


@pytest.mark.slow
@pytest.mark.parametrize("source", [Source.PARENT, Source.LONG_LIVED, Source.RECENT])
def test_newborns_have_the_genome_that_they_inherit(evolution, begun, source):
    """Without mutations to the last bit, into slots that were left in the same tick too; founders' are of chance."""
    state, _ = begun
    genome_of = {
        (r, uid): np.asarray(state.genomes.genome[r, slot]) for r in (0, 1) for uid, slot in slots(state, r).items()
    }
    genome_of |= {(r, int(uid)): np.asarray(state.genomes.pool[r, k]) for r in (0, 1)
                  for k, uid in enumerate(state.genomes.pool_uid[r]) if uid >= 0}  # fmt: skip
    inherited = reused = fresh = 0
    for _ in range(24):
        before = [slots(state, r) for r in (0, 1)]
        pool = np.asarray(state.genomes.pool_uid)
        state, record = evolution.run(state, 1, source, 0.0)
        after = [slots(state, r) for r in (0, 1)]
        for realm, _, uid, parent, whose, population in record.births.tolist():
            slot = after[realm][uid]
            own = np.asarray(state.genomes.genome[realm, slot])
            np.testing.assert_array_equal(state.genomes.pool[realm, uid % TINY.agents], own)
            assert state.genomes.pool_uid[realm, uid % TINY.agents] == uid and population == 0
            if source == Source.RECENT:
                assert whose in pool[realm]
            elif parent >= 0:
                assert whose == parent
            else:
                assert (source == Source.LONG_LIVED) == (whose >= 0)
            if whose >= 0:
                np.testing.assert_array_equal(own, genome_of[realm, whose])
                inherited += 1
                reused += slot in before[realm].values()
            else:
                assert all((own != other).all() for other in genome_of.values())
                fresh += 1
            genome_of[realm, uid] = own
        for realm in (0, 1):
            for uid in before[realm].keys() & after[realm].keys():
                np.testing.assert_array_equal(
                    state.genomes.genome[realm, after[realm][uid]], genome_of[realm, uid]
                )  # fmt: skip
    assert inherited > 15 and reused > 0
    assert fresh > 0 or source != Source.PARENT


@pytest.mark.slow
def test_every_life_is_in_the_table(evolution, begun):
    state, first = begun
    state, second = evolution.run(state, 70, Source.PARENT, 0.1)
    table = lineage(np.concatenate([first.births, second.births]), np.concatenate([first.deaths, second.deaths]))
    assert second.diversity.shape == (2, 2)
    for realm in (0, 1):
        own, alive = table.of(realm), slots(state, realm)
        assert own.uid.tolist() == list(range(int(state.realm.next_uid[realm])))
        assert set(own.uid[own.death < 0].tolist()) == set(alive)
        ages = np.asarray(state.realm.agents.age[realm])
        assert all(ages[slot] == 93 - own.tick[uid] for uid, slot in alive.items())
        dead = own.death >= 0
        lived = own.death[dead] - own.tick[dead]
        assert ((own.age[dead] == lived) | (own.age[dead] == lived - 1)).all()  # on lava vitals are not completed
        child = own.parent_uid >= 0
        parent = own.parent_uid[child]
        assert child.any() and (own.tick[parent] < own.tick[child]).all()
        assert ((own.death[parent] < 0) | (own.death[parent] > own.tick[child])).all()
        living = np.asarray(state.genomes.genome[realm])[list(alive.values())]
        pairs = living[:, None] - living[None]
        n = len(living)
        expected = np.sqrt((pairs**2).sum(axis=(0, 1)).mean() / (n * (n - 1)))
        np.testing.assert_allclose(second.diversity[-1, realm], expected, rtol=1e-4)


FREE = Config(num_agents=6, num_populations=1, rows=9, columns=9, view=5, num_visible=2, layout="free")
GRASS = np.full((9, 9), Material.GRASS, np.uint8)
jit_inherit = jax.jit(inherit)


def in_each(values, realms) -> Any:
    values = np.asarray(values)
    return np.broadcast_to(values.astype(np.int32) if values.dtype == int else values, (realms, *values.shape))


def one_tick(source, sigma, ages=(1, 3, 0), slots=(3, 4, 5), realms=300, key=5):
    """Three newborns on the spawn ring in each of many worlds in which three live."""
    realm = make_realm(FREE, GRASS, row=[1, 2, 3], col=[1, 2, 3], slot=[0, 1, 2], uid=[0, 1, 2], age=list(ages))
    realm = jax.tree.map(lambda leaf: in_each(leaf, realms), jax.device_get(realm))
    genome = in_each(np.full((6, GENES), 10) * np.arange(1.0, 7)[:, None], realms).astype(np.float32)
    genomes = Genomes(genome, 0 * genome, in_each(np.full(6, -1), realms))
    slot, uid, nothing = (in_each(values, realms) for values in (slots, (3, 4, 5), (-1, -1, -1)))
    births = Births(slot, uid, nothing, 0 * uid, nothing, nothing)
    after = realm.replace(next_uid=realm.next_uid + 3)
    keys = jax.random.split(jax.random.key(key), realms)
    return jax.device_get(jit_inherit(genomes, keys, realm, after, births, jnp.int32(source), jnp.float32(sigma)))


def test_the_long_lived_have_more_heirs_and_mutations_the_variance_asked_for():
    genomes, whose = one_tick(Source.LONG_LIVED, 0.2)
    share = np.bincount(whose.ravel(), minlength=3) / whose.size
    np.testing.assert_allclose(share, [0.25, 0.75, 0], atol=0.06)  # 4 standard errors
    assert share[2] == 0
    step = genomes.genome[:, 3:] - 10.0 * (1 + whose)[..., None]
    assert abs(step.mean()) < 0.003 and step.std() == pytest.approx(0.2, rel=0.02)
    assert abs(np.corrcoef(step.reshape(-1, GENES).T)[np.triu_indices(GENES, 1)]).mean() < 0.05  # genes by themselves
    # Chance belongs to the newborn: in another slot, the same.
    elsewhere, again = one_tick(Source.LONG_LIVED, 0.2, slots=(5, 3, 4))
    np.testing.assert_array_equal(again, whose)
    np.testing.assert_array_equal(elsewhere.genome[:, [5, 3, 4]], genomes.genome[:, 3:])
    for genomes, whose in (one_tick(Source.LONG_LIVED, 0.2, ages=(0, 0, 0)), one_tick(Source.PARENT, 0.2)):
        assert (whose == -1).all()
        assert genomes.genome[:, 3:].std() == pytest.approx(FOUNDER_SCALE, rel=0.02)


def test_what_an_agent_smells_and_how_it_decides():
    material = GRASS.copy()
    material[4, 6], material[2, 4], material[5, 4], material[4, 3] = (
        Material.FOREST, Material.WATER, Material.LAVA, Material.STONE,
    )  # fmt: skip
    realm = make_realm(FREE, material, row=[4, 4], col=[4, 5], slot=[0, 1], uid=[0, 1], food=[8, 32], health=[5, 10])
    rng = np.random.default_rng(0)
    genome = rng.normal(size=(6, GENES)).astype(np.float32)
    worlds = 1_000

    def see_and_move(realm, genome, key):
        obs = Environment(FREE).observe(realm)
        inputs = inputs_of(obs, FREE)
        many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (worlds, *leaf.shape)), (genome, obs, realm))
        return inputs, logits(genome, inputs), act(many[0], jax.random.split(key, worlds), *many[1:], FREE).move

    inputs, values, move = jax.device_get(jax.jit(see_and_move)(realm, genome, jax.random.key(1)))
    found = dict(zip(INPUTS, inputs[0].T, strict=True))
    np.testing.assert_allclose(found["forest_ahead"], [0, 1, -1, -1, -1], atol=0.01)
    np.testing.assert_allclose(found["water_ahead"], [0, -1, -1, -1, 1], atol=0.01)
    np.testing.assert_allclose(found["agents_ahead"], [0, 1, -1, -1, -1], atol=0.01)
    np.testing.assert_allclose(found["forest_near"], [1 / 5, 1 / 3, 1 / 9, 1 / 9, 1 / 9])
    np.testing.assert_allclose(found["agents_near"], [1 / 3, 1 / 2, 1 / 5, 1 / 5, 1 / 5])
    assert found["open"].tolist() == [1, 1, 0, 0, 1] and found["lava"].tolist() == [0, 0, 1, 0, 0]
    assert found["stay"].tolist() == [1, 0, 0, 0, 0] and set(found["bias"]) == {1}
    assert set(found["hunger"]) == {0.75} and set(found["thirst"]) == {0} and set(found["wounds"]) == {0.5}
    hidden = genome[0, : len(INPUTS) * HIDDEN].reshape(len(INPUTS), HIDDEN)
    expected = np.tanh(inputs[0] @ hidden) @ genome[0, len(INPUTS) * HIDDEN :]
    np.testing.assert_allclose(values[0], expected, rtol=1e-4, atol=1e-5)
    # Moves have the probabilities of a softmax.
    odds = np.exp(expected - expected.max())
    np.testing.assert_allclose(np.bincount(move[:, 0], minlength=5) / worlds, odds / odds.sum(), atol=0.065)


@pytest.mark.slow
def test_a_study_goes_on_where_it_was_and_tells_what_it_found(evolution, tmp_path):
    study = TINY.study(tmp_path)
    study.evolution = evolution
    results, _ = compute(study.cells(), tmp_path)
    assert [*results][:5] == [FOUNDING, "selection-1", "selection-2", "drift-1", "drift-2"]
    # The stretches, read from files, are what one play without them is.
    state, _ = evolution.run(evolution.begin(0, study.tiles("train")), 24, Source.PARENT, 0.1)
    closed = study.env.rules.replace(spawn_rate=jnp.float32(0))
    whole, record = evolution.run(state, 48, Source.PARENT, 0.1, closed)
    last = study.state("selection-2")
    for one, other in zip(jax.tree.leaves((last.realm, last.genomes)), jax.tree.leaves((whole.realm, whole.genomes)),
                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, other)
    parts = [results[f"selection-{k}"]["births"] for k in (1, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), record.births)
    assert (record.births[:, 3] >= 0).all()  # the ring is closed
    assert not np.array_equal(results["drift-1"]["births"], parts[0])
    report(study, tmp_path, results)
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["invasion"].keys() == {"neutral", "founders", "drift"} and len(told["ticks"]) == 40
    with np.load(tmp_path / "lineage.npz") as file:
        assert len(file["selection_uid"]) == len(results[FOUNDING]["births"]) + len(record.births)
    for name in ("lifetimes", "diversity", "clades", "tree"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000
    assert "| drift |" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_genomes_read_what_systems_show(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from poison import POISON
    from rest import REST
    from scent import SCENT

    mood = System("mood", observe=[Leaf("mood", lambda world: world.place % 3, high=2, category=True)])
    config = dataclasses.replace(FREE, systems=(POISON, SCENT, REST, mood))
    assert input_names(config) == (*INPUTS, "poison", "smell", "energy")
    assert genes(config) == GENES + 3 * HIDDEN and input_names(FREE) == INPUTS
    material = GRASS.copy()
    material[4, 5] = material[3, 4] = 7
    realm = make_realm(config, material, row=[4], col=[4])
    scent = {**realm.of["scent"], "trail": realm.of["scent"]["trail"].at[4, 4].set(500).at[5, 4].set(1_000)}
    rest = {**realm.of["rest"], "energy": realm.of["rest"]["energy"].at[0].set(20)}
    realm = realm.replace(of={**realm.of, "scent": scent, "rest": rest})
    inputs = jax.device_get(jax.jit(lambda obs: inputs_of(obs, config))(Environment(config).observe(realm)))
    found = dict(zip(input_names(config), inputs[0].T, strict=True))
    assert found["poison"].tolist() == [0, 1, 0, 0, 1]  # stay, east, south, west, north
    assert found["open"].tolist() == [1] * 5
    assert found["smell"].tolist() == [0.5, 0, 1, 0, 0] and found["energy"].tolist() == pytest.approx([0.02] * 5)


def test_who_is_put_among_others(begun):
    state, _ = begun
    pool = jnp.zeros((2, TINY.agents, GENES)).at[:, :2].set(7.0)
    uid = jnp.full((2, TINY.agents), -1).at[:, :2].set(3)  # two births only, so far
    changed, chosen = replaced(state, state.genomes.replace(pool=pool, pool_uid=uid), mutants=1, seed=0)
    alive = np.asarray(state.realm.agents.alive)
    assert chosen.sum(axis=1).tolist() == [int(row.sum() >= 4) for row in alive] and chosen.any()
    assert (np.asarray(changed.realm.agents.population) == chosen).all()
    assert (np.asarray(changed.genomes.genome)[chosen] == 7).all()
    np.testing.assert_array_equal(
        np.asarray(changed.genomes.genome)[~chosen], np.asarray(state.genomes.genome)[~chosen]
    )
    same, _ = replaced(state, None, mutants=1, seed=0)
    np.testing.assert_array_equal(same.genomes.genome, state.genomes.genome)


def test_a_god_that_selects_through_births():
    realm = make_realm(
        dataclasses.replace(FREE, num_populations=3), GRASS, row=[1, 2, 3], col=[1, 2, 3], population=[0, 1, 1],
        uid=[0, 1, 2], age=[2, 2, 4],
    )  # fmt: skip
    self: Any = SimpleNamespace(config=SimpleNamespace(num_populations=3))
    words = jnp.arange(2_000, dtype=jnp.uint32) * jnp.uint32(2**32 // 2_000)
    newborn = jax.jit(jax.vmap(lambda word, room: Selecting.newborn(self, word, room, realm), (0, None)))
    for room, weight in (([1, 1, 1], [16, 81, 1]), ([1, 0, 1], [16, 0, 1]), ([0, 0, 1], [0, 0, 1])):
        share = np.bincount(newborn(words, jnp.array(room, bool)), minlength=3) / 2_000
        np.testing.assert_allclose(share, np.array(weight) / sum(weight), atol=0.002)


def test_bad_input(tmp_path):
    for changed, message in (
        ({"stretches": 5}, "--stretches 5: must divide --ticks 48"),
        ({"worlds": 1}, "worlds=1: allowed are 2"),
        ({"mutation": -1.0}, "mutation=-1.0: allowed are numbers from 0 to 10"),
        ({"mutants": 10}, "mutants=10: must be fewer than agents=10"),
        ({"founding": 0}, "founding=0: allowed are 1"),
        ({"side": 12}, "rows=12: a generated map"),
        ({"agents": 1}, "--agents 1: must be at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(TINY, **changed).study(tmp_path)
    with pytest.raises(ValueError, match="realms=0: allowed are whole numbers"):
        Evolution(Environment(FREE), 0)
    assert not list(tmp_path.iterdir())
