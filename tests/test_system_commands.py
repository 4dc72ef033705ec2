"""Runs whose systems and Sword are the user's own: found by what config.json names, or told what is missing where."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_training import SMALL

from nmmo_jax import Environment, make
from nmmo_jax.commands.evaluate import Evaluate
from nmmo_jax.commands.niches import Niches
from nmmo_jax.commands.simulate import Simulate
from nmmo_jax.commands.tournament import Tournament
from nmmo_jax.commands.watch import Watch
from train.checkpoint import FOLDER, Checkpoints
from train.metrics import Sums, explored, means
from train.policy import load_policy
from train.settings import describe, experiment, experiment_of
from train.studies.axis import Axis
from train.studies.entrants import trained_in
from train.studies.sweep import Sweep
from train.trinity import Sword, Trinity

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "systems"
OWN = """
from train.trinity import Sword

class Brave(Sword):
    pass
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of poisoned ground whose parameters nobody has trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        from poison import POISON

        folder = tmp_path_factory.mktemp("runs") / "run"
        chosen = experiment("law16", **{**SMALL, "hidden": 8, "view": 15, "systems": (POISON,)})
        levels = Trinity().of(chosen)
        shapes = jax.eval_shape(levels.sword.init, jax.random.key(0))
        params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        about = {"update": 1, **describe(chosen, levels)}
        Checkpoints(folder / FOLDER).save(1, {"params": params}, about, 1.0)
    return folder, params, about


@pytest.mark.slow
def test_a_run_is_evaluated_and_watched_in_the_world_of_its_systems(run, tmp_path, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    name = str(run[0])
    assert trained_in(["random", name]) == ("law", *trained_in([name])[1:3], ("poison:POISON",))
    assert trained_in(["random", "miner"]).game == "mmo" and trained_in(["random"]).game == "law"
    env = Evaluate(policy=(name,), set=(("poison.damage=3",),))._filled().study(tmp_path).env
    assert env.rules.named()["poison.damage"] == 3
    env, _ = Watch()._world((name,), [])
    assert [system.name for system in env.config.systems] == ["poison"]
    watched, _ = Watch(set=(("poison.damage=3",),))._world((name,), [])
    assert watched.rules.named()["poison.damage"] == 3 and watched.config == env.config
    assert Niches(policy=(name,))._filled().study(tmp_path).arms[0].config.systems == env.config.systems


@pytest.mark.slow
def test_a_world_without_them_says_what_it_lacks(run, tmp_path, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    name, told = str(run[0]), "was trained with poison:POISON, which this world lacks .--system"
    with pytest.raises(ValueError, match=told):
        load_policy(name, env=make("law", num_agents=16, num_populations=1))
    with pytest.raises(ValueError, match=told):
        Simulate(policy=(name,), agents=16, populations=1, out=tmp_path / "a").run()
    with pytest.raises(ValueError, match=told):
        Watch(policy=(name,), system=("rest:REST",))._source()
    with pytest.raises(ValueError, match=told):
        Tournament(policy=(name,))._filled().study(tmp_path)
    assert Tournament(policy=(name,), system=("poison:POISON",))._filled().study(tmp_path).env.config.systems


def test_ground_of_systems_is_explored(run):
    config = experiment_of(run[2]).env.config
    assert [config.material_names[number] for number in explored(config)] == ["grass", "scrub", "forest", "poison"]
    shapes = {"causes": (1, 5), "attacks": (1, 3), "visits": (1, 4), "unique": (1, 4), "food": ()}
    sums = Sums(**{field.name: np.full(shapes.get(field.name, 1), 2) for field in dataclasses.fields(Sums)})
    told = means(sums, {}, 1, config)["populations"]
    assert told["deaths_poison"] == told["visits_poison"] == told["exploration_poison"] == [1.0]


def test_a_sweep_tells_of_deaths_by_causes_of_systems(run):
    config = experiment_of(run[2]).env.config
    study = Sweep([Axis("poison.damage", np.array([0.0, 10]))], Environment(config), ("random",), 2, 0, 4, 0)
    names = ("aged", "died", "births", "living", "steps", "combat", "hits", "empty", "depleted")
    counts = {name: np.full(4, 4) for name in names} | {"dead_poison": np.array([0, 0, 1, 3])}
    found = study.measures({cell.name: counts for cell in study.cells()})["dead_poison"]
    np.testing.assert_allclose(found.mean, [0, 0.5])
    assert study.kinds["dead_poison"].title == "share of deaths by poison"


def test_what_cannot_be_imported_is_named_with_where_it_was_sought(run, tmp_path, monkeypatch):
    _, params, about = run
    bare = {**about, "config": {name: value for name, value in about["config"].items() if name != "systems"}}
    bare["rules"] = {name: value for name, value in about["rules"].items() if not name.startswith("poison.")}
    cases = {
        "system": ({**about, "config": about["config"] | {"systems": ["gone_away:GONE"]}}, "gone_away:GONE: no module"),
        "sword": ({**bare, "trinity": about["trinity"] | {"sword": "own_gone:Brave"}}, "own_gone:Brave: no module"),
    }
    monkeypatch.chdir(tmp_path)
    for name, (there, told) in cases.items():
        Checkpoints(tmp_path / name / FOLDER).save(1, {"params": params}, there, 1.0)
        for command in (
            lambda name=name: Evaluate(policy=(name,))._filled().study(tmp_path),
            lambda name=name: Tournament(policy=(name,))._filled().study(tmp_path),
            lambda name=name: Simulate(policy=(name,), out=tmp_path / "out").run(),
            lambda name=name: Watch()._world((name,), []),
        ):
            with pytest.raises(ValueError, match=rf"{name}: .*{told} \w+ in {tmp_path} or on Python's path"):
                command()
    (tmp_path / "own_gone.py").write_text(OWN)
    with pytest.raises(ValueError, match="do not fit Brave"):  # found; these parameters are of poisoned ground
        load_policy(tmp_path / "sword")
    assert issubclass(__import__("own_gone").Brave, Sword)
