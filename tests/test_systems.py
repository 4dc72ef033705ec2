"""Game systems as units: the worked examples, and what follows from their declarations."""

import jax.numpy as jnp
import pytest

from nmmo_jax.declarations import Argument, Column, Head, Phase
from nmmo_jax.system import System
from nmmo_jax.testing import check_system

pytestmark = pytest.mark.usefixtures("example_systems")


def test_poison():
    from poison import POISON

    check_system(POISON, off={"poison.damage": 0}, reach=8, **{"poison.damage": 9})


@pytest.mark.slow
def test_scent():
    from scent import SCENT

    check_system(SCENT, off={}, reach=8)


@pytest.mark.slow
def test_rest():
    from rest import REST

    check_system(REST, off={"rest.exhaustion": 0}, reach=8, **{"rest.most": 8, "rest.exhaustion": 10})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*not seen in")
def test_all_together_one_after_another():
    from poison import POISON
    from rest import REST
    from scent import SCENT

    check_system(REST, needs=[SCENT, POISON], resolution="sequential", ticks=12, max_lifetime=9)


def unbooked(world):
    return world._with(realm=world.realm.replace(agents=world.agents.replace(food=world.agents.food // 2)))


def by_slot(world):
    first = jnp.argmax(world.agents.alive)
    return world.set(mark=jnp.where(jnp.arange(world.config.num_agents) == first, 2, 1))


BROKEN = {
    "accounts": ({"phases": [Phase("act", unbooked)]}, "food of population"),
    "leftovers": (
        {
            "agents": [Column("mark")],
            "phases": [Phase("act", lambda world: world.hurt(world.realm.of["broken"]["mark"].max() > 3, 1, "why"))],
        },
        "reads what empty slots hold",
    ),
    "effects": (
        {
            "agents": [Column("mark")],
            "heads": [Head("press", [Argument("press", 2, effect=lambda one, two: two["mark"] > one["mark"])])],
        },
        "has no effect and is allowed",
    ),
    "masks": (
        {
            "agents": [Column("mark")],
            "phases": [Phase("act", lambda world: world.set(mark=world["mark"] + world.chosen("press")))],
            "heads": [
                Head(
                    "press",
                    [
                        Argument(
                            "press",
                            2,
                            mask=lambda world: jnp.arange(2) == jnp.zeros((world.config.num_agents, 1), int),
                            effect=lambda one, two: two["mark"] > one["mark"],
                        )
                    ],
                )
            ],
        },
        "has an effect and is not allowed",
    ),
    "far away": ({"agents": [Column("mark")], "phases": [Phase("settle", by_slot)]}, "tiles away"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*not seen in")
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found(what):
    parts, told = BROKEN[what]
    broken = System("broken", stats=["health"], causes=["why"], **parts)
    probes = {} if what == "accounts" else {"ledger": False, "events": 0}  # what is not asked for is not compiled
    with pytest.raises(AssertionError, match=told):
        check_system(broken, ticks=8, reach=4, max_spawns=1, **probes)
