"""A misspelt name is answered with the nearest, wherever a name is read: in Python here, on the command line in
``test_flags.py``.
"""

import ast
import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import GRASS, KEY, SMALL, small

import nmmo_jax
import train
from nmmo_jax import (
    Action,
    Argument,
    Column,
    Config,
    Environment,
    Head,
    Listing,
    MapPool,
    Phase,
    Rule,
    System,
    Table,
    make_realm,
)
from nmmo_jax.bench.rows import row
from nmmo_jax.common.formats import check_formats
from nmmo_jax.common.spelling import near
from nmmo_jax.goals import View
from nmmo_jax.play.players import scripted_only
from nmmo_jax.policies.scripted import play
from nmmo_jax.references import find
from nmmo_jax.viewer.film import film
from nmmo_jax.world.tiled import read_tmx, write_tmx
from train.checkpoint import load_params
from train.cloning import check_teacher
from train.loggers import Loggers
from train.networks import make_network
from train.policy import PRETRAINED, Export, load_named
from train.settings import Settings

LISTS = re.compile(r"\bare\b|one of|some of|must be|it has|there is no")
EXEMPT = {
    "nmmo_jax/commands/clone.py: study": "given twice",
    "nmmo_jax/commands/collapse.py: study": "given twice; the parser has read the names",
    "nmmo_jax/viewer/protocol.py: parse_request": "a browser wrote it",
    "train/checkpoint.py: _find": "a number",
    "train/studies/clone.py: __post_init__": "given twice",
    "train/studies/entrants.py: named": "given twice",
    "train/studies/specialisation.py: __post_init__": "given twice",
    "train/studies/tuning.py: _check": "given twice",
}
"""Functions that list names where something else than the spelling of one is wrong, and what."""
BAG = Table("bag", 4, [Column("weight")])


def step(does=lambda world: world, **chosen):
    """A step, traced alone, of a small world with a system that does something, by agents that choose something."""
    head = Head("rest", [Argument("pose", 3)])
    own = System("own", rules=[Rule("damage", 2)], tables=[BAG], heads=[head], causes=["hunger"], events=["drunk"],
                 phases=[Phase("act", does)])  # fmt: skip
    env = Environment(dataclasses.replace(SMALL, systems=[own]))
    choices = {name: np.zeros(SMALL.num_agents, int) for name in chosen}
    return lambda: jax.eval_shape(lambda: env.step(KEY, env.reset(KEY, tiles=GRASS)[1], Action(of=choices)))


def listing(*of):
    return lambda: Config(systems=[System("own", tables=[BAG], observe=[Listing("seen", *of, rows=jnp.zeros)])])


def material(name):
    """A goal's word for tiles of a material, of nobody's observations."""
    env = small()  # kept for other tests, so not made while tracing
    return jax.eval_shape(lambda: View(env.reset(KEY, tiles=GRASS)[0], SMALL).material(name))


@pytest.mark.parametrize(("call", "told"), [
    (lambda: System("own", stats=["helth"]), "health"),
    (lambda: System("own", rules=[Rule("damage", 2)], agents=[Column("x", newborn="damge")]), "damage"),
    (listing("bga", 2, ["weight"]), "bag"),
    (listing("bag", 2, ["wieght"]), "weight"),
    (lambda: Column("x", "int23"), "int32"),
    (lambda: Rule("x", 2, dtype="flaot32"), "float32"),
    (lambda: Phase("mve", print), "move"),
    (lambda: MapPool.check(0, 1, SMALL, "held-out"), "held_out"),
    (lambda: write_tmx("a.tmx", GRASS, "base46"), "base64"),
    (step(poes=0), "pose"),
    (lambda: material("grss"), "grass"),
    (lambda: make_realm(Config(systems=[System("own", tables=[BAG])]), GRASS, of={"own.bga": {}}), "own.bag"),
    (lambda: make_realm(Config(systems=[System("own", tables=[BAG])]), GRASS, of={"own.bag": {"wait": 3}}), "weight"),
    (lambda: play(("foragr",)), "forager"),
    (lambda: scripted_only("plannr", small()), "planner"),
    (lambda: load_named("law182"), "law128"),
    (lambda: check_teacher("wandrer"), "wanderer"),
    (lambda: film(".mp3"), ".mp4"),
    (lambda: check_formats(["png", "svgg"]), "svg"),
    (lambda: Loggers(["tensorbord"]), "tensorboard"),
    (lambda: make_network(SMALL, "clasic"), "classic"),
    (lambda: Settings(optimiser="moun"), "muon"),
    (lambda: row("caos"), "chaos"),
    (lambda: find("nmmo_jax.presets:PRESET"), "PRESETS"),
    (lambda: load_params(PRETRAINED / "law128", "latst"), "latest"),
    (lambda: Export(PRETRAINED / "law128", Path("out"), "bst").run(), "best"),
    (step(lambda world: world.add("bga", np.ones(2, bool))), "bag"),
    (step(lambda world: world.add("bag", np.ones(2, bool), wieght=3)), "weight"),
    (step(lambda world: world.number_of("grss")), "grass"),
    (step(lambda world: world.chosen("poes")), "pose"),
    (step(lambda world: world.tell("drnk", True)), "drunk"),
    (step(lambda world: world.hurt(True, 1, "hungr")), "hunger"),
    (step(lambda world: world["bga"]), "bag"),
    (step(lambda world: world.rule.damge), "damage"),
])  # fmt: skip
def test_the_nearest_name_is_told(call, told):
    with pytest.raises((ValueError, AttributeError)) as error:
        call()
    assert str(error.value).endswith(f"; did you mean {told}?"), error.value


def test_layers_of_maps(tmp_path):
    write_tmx(tmp_path / "a.tmx", GRASS)
    with pytest.raises(ValueError, match=r"exactly one must be called 'matrial'; did you mean material\?"):
        read_tmx(tmp_path / "a.tmx", layer="matrial")


def test_no_place_that_lists_names_is_without_it():
    """Where an error lists what there is, the function that raises it asks for the nearest, or is a check that does."""
    lacking = []
    for package in (nmmo_jax, train):
        folder = Path(package.__file__).parent
        for path in sorted(folder.rglob("*.py")):
            source = path.read_text()
            for function in ast.walk(ast.parse(source)) if ".join(" in source else ():
                if isinstance(function, ast.FunctionDef) and any(
                    isinstance(one, ast.Raise) for one in ast.walk(function)
                ):
                    text = ast.unparse(function)
                    raised = [ast.unparse(one) for one in ast.walk(function) if isinstance(one, ast.Raise)]
                    lists = any(".join(" in one and LISTS.search(one) for one in raised)
                    if lists and "near(" not in text:
                        lacking.append(f"{path.relative_to(folder.parent)}: {function.name}")
    assert lacking == sorted(EXEMPT)


def test_nothing_is_told_where_nothing_is_near():
    assert near("", ["law"]) == near("zzz", ["law", "chaos"]) == near("law", []) == ""
