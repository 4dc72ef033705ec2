"""What the ledger books beyond the classic stats: columns that systems keep and say are to be booked."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from carrying import hand, play, scene

import nmmo_jax
from nmmo_jax import Action, Column, Config, Phase, Rule, System
from nmmo_jax.components import empty_outcome
from nmmo_jax.draws import choose
from nmmo_jax.ledger import sinks, sources
from nmmo_jax.mmo.kinds import ARROW, ORE, RATION
from nmmo_jax.testing import WORLD, check_system


def move(world, point):
    """Some have more and some less, up to the bounds of the columns."""
    word = world.words(point)
    some = jnp.stack([choose(word[:, 0] << shift, 9) - 4 for shift in (0, 8)])
    return world.set(coins=world["coins"] + some, land=world["land"] + choose(word[:, 1], 5) - 2)


HOARD = System(
    "hoard",
    rules=[Rule("dowry", 3)],
    agents=[
        Column("coins", newborn="dowry", each=("copper", "silver"), low=-5, high=20, booked=True),
        Column("land", "int32", newborn=4, inherited=True, low=0, high=1_000, booked=True),
        Column("rank"),
    ],
    phases=[Phase("act", lambda world: move(world, 0)), Phase("settle", lambda world: move(world, 1))],
)
HEIR = System(
    "heir",
    needs=["hoard"],
    phases=[Phase("settle", lambda world: world.through("hoard", lambda own: own.set(land=own["land"] + 1)))],
)
GUEST = System("guest", needs=["heir"])
GROWING = {
    **{"layout": "free", "reproduction": True, "max_lifetime": 9, "immunity_ticks": 0, "hoard.dowry": 5},
    **{"birth_food_above": 3, "birth_water_above": 3, "birth_age": 1, "birth_probability": 0.7},
}


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_all_that_is_booked_is_accounted_for(resolution):
    check_system(HEIR, needs=[HOARD], resolution=resolution, ticks=12, **GROWING)


def test_accounts_follow_from_declarations():
    config = Config(**WORLD, systems=(GUEST, HEIR, HOARD))
    by = [f"hoard.{{}}_gained_by_{name}" for name in ("guest", "heir", "hoard")]
    came, went = sources(config), sinks(config)
    assert came["hoard.coins"] == ("hoard.coins_birth", *(name.format("coins") for name in by))
    assert came["hoard.land"] == ("hoard.land_birth", "hoard.land_from_parents", *(name.format("land") for name in by))
    assert went["hoard.land"][:2] == ("hoard.land_death", "hoard.land_lost_to_guest")
    assert "hoard.rank" not in came and came.keys() == went.keys()
    ledger = jax.eval_shape(step(config), *began(config))[-1].ledger.named()
    accounts = {name for side in (came, went) for names in side.values() for name in names}
    assert {*ledger} == accounts


def step(config):
    env = nmmo_jax.Environment(config)
    return lambda key, realm: env.step(key, realm, Action())


def began(config):
    key = jax.random.key(0)
    return key, jax.eval_shape(nmmo_jax.Environment(config).reset, key)[1]


def test_without_the_ledger_nothing_is_booked():
    on = Config(**WORLD, systems=(HOARD,))
    off = dataclasses.replace(on, ledger=False)
    gained = [empty_outcome(config).of["hoard"].gained for config in (on, off)]
    assert [*gained[0]] == ["hoard.coins", "hoard.land"] and not gained[1]
    plain = dataclasses.replace(
        HOARD, agents=tuple(dataclasses.replace(column, booked=False) for column in HOARD.agents)
    )
    texts = [
        jax.jit(step(config)).lower(*began(config)).as_text()
        for config in (off, dataclasses.replace(off, systems=(plain,)))
    ]
    assert texts[0] == texts[1]


def test_what_cannot_be_booked_is_refused():
    with pytest.raises(ValueError, match="column x: booked=True: must be False, as category is True"):
        Column("x", low=0, high=3, category=True, booked=True)
    with pytest.raises(ValueError, match="column x: booked=3: allowed are True and False"):
        Column("x", booked=3)
    rich = System("rich", agents=[Column("x", "int32", each=("a", "b"), booked=True)])
    with pytest.raises(ValueError, match=r"ledger=True: column rich\.x: booked=True: 12 agents can have 51539607552: "):
        Config(**WORLD, systems=(rich,))
    Config(**{**WORLD, "ledger": False}, systems=(rich,))
    late = dataclasses.replace(HOARD, phases=(Phase("end", lambda world: world.set(land=0)),))
    config = Config(**{**WORLD, "ledger": False}, systems=(late,))
    with pytest.raises(ValueError, match=r"set\('land'\): is booked: can be changed at vitals, move, act, settle"):
        jax.eval_shape(step(config), *began(config))


@pytest.mark.slow
def test_gifts_loot_and_use_of_items():
    """What is given is lost by one and gained by another; what is looted the dead had, and the killer gains."""
    env = hand(layout="free")[0]
    carried = [[(3, ORE, 2, 7)], [(0, ARROW, 1, 90)], [(0, RATION, 1, 1)], [(0, ORE, 1, 4)]]
    of = {"items.gold": [0, 5, 6, 7]}
    realm = scene(carried, env, of, health=[50, 50, 50, 1])
    realm = realm.replace(agents=realm.agents.replace(population=jnp.arange(12, dtype=jnp.int16) % 3))
    world = hand(layout="free")
    chosen = {"give_item": {0: 3}, "give_to": {0: 1}, "use": {2: 0}, "destroy": {1: 0}, "target": {2: 3}}
    _, after, *_, info = play(realm, world=world, **chosen)
    ledger = {name: np.asarray(values).tolist() for name, values in info.ledger.named().items()}
    assert ledger["items.quantity_gained_by_items"] == [0, 7, 4]
    assert ledger["items.quantity_lost_to_items"] == [7, 90, 1]
    assert ledger["items.quantity_death"] == [4, 0, 0] and ledger["items.quantity_birth"] == [0, 0, 0]
    assert ledger["items.gold_death"] == ledger["items.gold_gained_by_items"][::-1] == [7, 0, 0]
    assert ledger["items.gold_lost_to_items"] == [0, 0, 0]
    assert np.asarray(after.of["items"]["quantity"]).sum() == 11
