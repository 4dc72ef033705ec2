"""The policies that come with the package, and what of training is not needed to play."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from sights import random_weights
from test_policy import LIVELY, REALMS, played

from nmmo_jax import Environment
from nmmo_jax.play.players import players
from train.checkpoint import Checkpoints, load_params
from train.policy import PRETRAINED, export, load_named, load_policy
from train.runs import differing
from train.settings import completed, describe, experiment, experiment_of
from train.trinity import Sword, Trinity

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_what_is_scripted_needs_nothing_of_training():
    program = """
import sys
import nmmo_jax
from nmmo_jax import cli
from nmmo_jax.play.players import players
players(("random", "forager"), nmmo_jax.make("law", num_agents=4, num_populations=2))
print([name for name in ("train", "orbax.checkpoint", "optax") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("name", ["law128", "law-any", "chaos128"])
def test_the_package_has(name):
    assert (PRETRAINED / name).is_dir(), f"make it with: python -m train.policy RUN --out train/pretrained/{name}"


@pytest.mark.parametrize(
    "name", ["law128", *(pytest.param(name, marks=pytest.mark.slow) for name in ("law-any", "chaos128"))]
)
def test_those_of_the_package_live_longer_than_at_random(name):
    policy = load_policy(name)
    env = Environment(policy.config, policy.rules)
    mixed = players((name, "random"), env, load_named)
    play = jax.jit(lambda params: played(env, mixed.act, params, mixed.initial(REALMS), 80)[1])
    living = np.asarray(play(mixed.params) >= 0).reshape(80 * REALMS, policy.config.num_populations, -1)
    trained, random = (living[:, first::2].sum() for first in (0, 1))
    assert trained > 1.5 * random


@pytest.mark.slow
def test_half_of_the_bytes(tmp_path):
    """What is written apart takes half of what its numbers would, and stays float32.

    So many numbers that what is told of them, in files of which the number depends on how fast they are written, is
    nothing beside them.
    """
    chosen = experiment("law16", **{**LIVELY, "hidden": 256, "num_populations": 1, "network": "default", "view": 15})
    params = random_weights(Sword(chosen).init)
    about = describe(chosen, Trinity().of(chosen))
    Checkpoints(tmp_path / "run").save(1, {"params": params}, about)
    export(tmp_path / "run", tmp_path / "out")
    files = [[path for path in (tmp_path / name).rglob("*") if path.is_file()] for name in ("run", "out")]
    sizes = [sum(path.stat().st_size for path in some) for some in files]
    assert sizes[0] > 10 * 2**17 and sizes[1] < 0.6 * sizes[0]
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(load_params(tmp_path / "out")[0])} == {"float32"}


@pytest.mark.parametrize("name", ["law128", "chaos128"])
def test_what_was_trained_before_there_were_other_settings_is_the_same(name):
    """A run of an older version goes on: what its files do not tell is as it was when there was no choice."""
    now = experiment(name, shared_weights=False, core="none", steps_input=False, near=0, optimiser="adam")
    about = describe(now, Trinity().of(now))
    older = {**about, "settings": {**about["settings"], "options": {**about["settings"]["options"]}}}
    for field in ("optimiser", "sequence", "anneal", "learning_rate_end"):
        older["settings"].pop(field, None)
    for field in ("steps_input", "near", "precision"):
        older["settings"]["options"].pop(field, None)
    chosen = experiment_of(older)
    assert (chosen.settings.optimiser, chosen.settings.piece) == ("adam", 1)
    options = chosen.settings.options
    assert (options.steps_input, options.near, options.precision) == (False, 0, "float32")
    mine = describe(chosen, Trinity().of(chosen))
    assert differing(older, mine) == ""
    mine["settings"]["discount"] = 0.5
    assert differing(older, mine).startswith("settings differs: discount is 0.99 there, 0.5 given")
    assert completed({"settings": {}}) == {"settings": {}}


def test_a_classic_network_of_before_there_was_a_choice_of_precision_is_read():
    now = experiment("law16", network="classic")
    about = describe(now, Trinity().of(now))
    about["settings"]["options"].pop("precision")
    assert experiment_of(about).settings.options.precision == "float32"
