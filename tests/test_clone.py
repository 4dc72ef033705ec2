"""Clones: what is taught, how it is mixed and learned, what agrees, and the study of it."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import SMALL as WORLD
from small import jit_digest, jit_of
from test_training import SMALL as SETTINGS
from test_training import TINY

from nmmo_jax import Action, to_action
from nmmo_jax.commands.clone import Clone
from nmmo_jax.draws import fold_in
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.vectorized import vectorize
from train.checkpoint import load_params
from train.cloning import Cloner, Tempered, as_choices, taught
from train.distributions import log_prob
from train.loop import make_train
from train.networks import nothing_seen
from train.policy import load_policy
from train.settings import experiment
from train.studies import clone as study_module
from train.studies import seeds as seeds_module
from train.studies.agreement import AGREEMENT, same
from train.studies.clone import played, reinforce
from train.studies.reports.clone import report
from train.trinity import Batch, Sword

KEY = jax.random.key(3)


choose = jax.jit(lambda action, obs: as_choices(action, obs, WORLD))


@pytest.fixture(scope="module")
def chaos():
    """A crowd that can attack, as ``(obs, realm, step)``."""
    _, reset, step = jit_of(WORLD)
    return *reset(KEY, initial_population=16), step


@pytest.mark.parametrize("name", POLICIES)
def test_choices_do_what_the_action_does(chaos, name):
    obs, realm, step = chaos
    act = jax.jit(lambda tick, obs, realm: POLICIES[name](fold_in(KEY, tick), obs, realm))
    back = jax.jit(lambda choices, obs: to_action(choices, obs, WORLD))
    attacks = 0
    for tick in range(24):
        action = act(tick, obs, realm)
        choices = choose(action, obs)
        for part in ("move", "style"):
            assert np.take_along_axis(np.asarray(obs.mask[part]), np.asarray(choices[part])[:, None], axis=1).all()
        one, other = step(KEY, realm, action), step(KEY, realm, back(choices, obs))
        np.testing.assert_array_equal(jit_digest(one[1]), jit_digest(other[1]))
        attacks += int((one[5].outcome.attack_target >= 0).sum())
        obs, realm = one[:2]
    assert (attacks > 0) == (name in ("fighter", "random"))


def test_who_is_not_listed_is_nobody(chaos):
    obs, *_ = chaos
    nobody = jnp.full(16, -1)  # as the list is filled up with
    choices = choose(Action(jnp.zeros(16, int), jnp.ones(16, int), nobody), obs)
    assert (choices["target"] == 0).all() and (choices["style"] == obs.mask["style"][:, 1]).all()


@pytest.fixture(scope="module")
def cloner():
    """A Cloner with parameters, and what it sees, for ``act``."""
    level = Cloner(TINY, "forager", ticks=10)
    many = vectorize(TINY.env, 8)
    obs, realm = jax.jit(many.reset, static_argnames="initial_population")(KEY, initial_population=16)
    rules = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (8, *leaf.shape)), TINY.env.rules)
    params, keys = jax.jit(level.init)(KEY), jax.vmap(fold_in, (None, 0))(KEY, jnp.arange(8))
    act = jax.jit(lambda realm: level.act(params, keys, obs, realm, rules, ())[0])
    return level, params, act, (keys, obs, realm, rules)


@pytest.mark.slow
def test_choices_of_the_teacher_are_played_less_and_less(cloner):
    _, params, act, (keys, obs, realm, rules) = cloner
    own = jax.jit(lambda: Sword(TINY).act(params, keys, obs, realm, rules, ())[0])()
    teacher = jax.jit(lambda: taught("forager", keys, obs, realm, TINY.env.config))()
    shares = []
    for tick in (0, 5, 10, 11):
        decision = act(realm.replace(tick=jnp.full(8, tick)))
        for name, choice in teacher.items():
            np.testing.assert_array_equal(decision.choices[f"taught.{name}"], choice)
        np.testing.assert_array_equal(decision.value, own.value)
        move = np.asarray(decision.choices["move"])
        apart = np.asarray(own.choices["move"] != teacher["move"])
        assert (move[~apart] == np.asarray(teacher["move"])[~apart]).all()
        shares.append((move == teacher["move"])[apart].mean())
    assert shares[0] == 1 and 0.3 < shares[1] < 0.7 and shares[2:] == [0, 0]
    for wrong in ({"ticks": -1}, {"teacher": "planer"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Cloner(TINY, **wrong)
    with pytest.raises(ValueError, match="temperature=0: must be above 0"):
        Tempered(TINY, 0)


@pytest.mark.slow
def test_the_loss_is_that_of_the_teachers_choices(cloner):
    level, params, act, (_, obs, realm, rules) = cloner
    decision = act(realm)

    def rows(leaf):  # one population's, then the other's
        return jnp.moveaxis(leaf.reshape(8, 2, 8, *leaf.shape[2:]), 1, 0).reshape(2, 64, *leaf.shape[2:])

    mask, choices, inputs = jax.tree.map(rows, (obs.mask, decision.choices, level.read(obs, rules)))
    nothing, weight = jnp.zeros((2, 64)), jnp.ones((2, 64)).at[:, 40:].set(0)
    batch = Batch(inputs, mask, choices, nothing, 7 + nothing, nothing, (), weight)
    total, told = jax.jit(level.loss)(params, batch)

    def plainly():
        outputs, _ = level.network.apply(params, inputs, ())
        of_teacher = {name: choices[f"taught.{name}"] for name in mask}
        log_p = log_prob(of_teacher, outputs, mask, TINY.env.config, level.network.floor)
        return -(log_p * weight).mean(axis=1), 0.5 * (outputs["value"][..., 0] ** 2 * weight).mean(axis=1)

    expected, value = jax.jit(plainly)()
    np.testing.assert_allclose(told["policy_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(total, expected + TINY.settings.value_weight * value, rtol=1e-5)


@pytest.mark.slow
def test_temperatures(cloner):
    _, params, _, (_, obs, realm, rules) = cloner
    levels = Sword(TINY), Tempered(TINY, 0.5), Tempered(TINY, 1e-3)
    values, judged = zip(*jax.jit(lambda: [one.judge(params, obs, realm, rules, ()) for one in levels])(), strict=True)
    np.testing.assert_array_equal(values[1], values[0])
    usual, half, sharp = (np.asarray(one["move"]) for one in judged)
    floor, n = 1e-3, np.asarray(obs.mask["move"]).sum(axis=-1, keepdims=True)
    plain, squared = (np.where(obs.mask["move"], one * (1 + n * floor) - floor, 0) for one in (usual, half))
    np.testing.assert_allclose(squared, plain**2 / (plain**2).sum(axis=-1, keepdims=True), atol=1e-5)
    clear = np.sort(plain)[..., -1] - np.sort(plain)[..., -2] > 0.01
    assert clear.any() and (sharp.max(axis=-1)[clear] > 0.99).all()
    assert (sharp.argmax(axis=-1) == usual.argmax(axis=-1))[clear].all()
    # An order of preference has no temperature.
    own = Tempered(experiment("law16", **SETTINGS, auto_target=True), 0.5)
    inputs = jax.tree.map(lambda leaf: jnp.zeros((2, 1, *leaf.shape), leaf.dtype), nothing_seen(TINY.env.config))
    outputs, _ = jax.eval_shape(own.network.apply, params, inputs, ())
    assert jnp.issubdtype(outputs["target"].dtype, jnp.integer)


def test_the_same_is_what_does_the_same():
    def action(move, style, target):
        return Action(*(jnp.array([value]) for value in ([move, 0], [style, 0], [target, -1])))

    for one, other, equal in (
        ((1, 0, 0), (1, 2, -1), True),  # oneself is nobody, and then the style does nothing
        ((1, 0, 1), (1, 0, 1), True), ((1, 0, 1), (1, 2, 1), False), ((1, 0, 1), (1, 0, 0), False),
        ((1, 0, 0), (2, 0, 0), False),
    ):  # fmt: skip
        assert same(action(*one), action(*other)).tolist() == [[equal, True]]


@pytest.mark.parametrize(("flags", "told"), [
    ("foragr", "TEACHER foragr: allowed are random, wanderer, forager, fighter, planner; did you mean forager?"),
    ("forager forager", "TEACHER forager forager: must be one or more, each once"),
    ("--experiment law17", "--experiment law17: allowed are law16, "),
    ("--seeds 0", "--seeds 0: allowed are 1 to"), ("--clone-steps 0", "--clone-steps 0: allowed are 1 to"),
    ("--mixture 1.5", "--mixture 1.5: allowed are 0 to 1"), ("--worlds 0", "--worlds 0: allowed are 1 to"),
    ("--set hiden=3", "--set hiden=3: there is no hiden; did you mean hidden?"),
    ("--set seed=3", "--set seed=3: use --seed"), ("--set maps=3", "seeds that share maps are not independent"),
    ("--set horizon=30", "horizon=30: must be None to learn from a teacher"),
    ("--variant max_food=40", "--variant max_food=40: there is no max_food"),
    ("--variant hidden=2,core=gru", "--variant hidden=2,core=gru: hidden=2: allowed are whole numbers from 4 to"),
    ("--variant core=gru --variant core=gru", "given once"),
])  # fmt: skip
def test_what_is_refused(flags, told, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told in refused("clone", *flags.split())
    assert not any(tmp_path.iterdir())


def test_variants_are_settings_beside_those_of_all(tmp_path):
    given = {
        "set": (("hidden=16", "attack_range=1,2,3"),),
        "variant": ("network=default", "core=gru,shared_weights=true"),
    }
    study = Clone(experiment="law16", **given)._filled().study(tmp_path)
    plain, other = (one.settings.options for one in study.experiments)
    assert (plain.hidden, plain.core, other.hidden, other.core, other.shared_weights) == (16, "mingru", 16, "gru", True)
    assert np.asarray(study.env.rules.attack_range).tolist() == [1, 2, 3]
    names = [one.name for one in study.trainings]
    assert len(names) == 10 and names[1:3] == ["0-forager-reinforced", "0-planner-clone"] and names[-1] == "1-scratch"
    assert study.trainings[-1].agent_steps == study.clone_steps + study.ppo_steps
    assert len({cell.name for cell in study.cells()}) == len(study.cells()) == 20


AMOUNT = {"seeds": 2, "clone_steps": 3_000, "ppo_steps": 2_000, "mixture": 0.3, "worlds": 2, "settle": 16, "ticks": 32}


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """A tiny study, and how it was made; every training of one Sword is compiled once."""
    made = {}

    def once(chosen, trinity, **options):
        kind = trinity.sword is Sword
        made[kind] = made.get(kind) or make_train(chosen, trinity, **options)
        return made[kind]

    out = tmp_path_factory.mktemp("clone") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seeds_module, "make_train", once)
        given = [f"{name}={value}" for name, value in {**SETTINGS, "start_food": 4, "start_water": 4}.items()]
        own = Clone(teacher=("forager",), experiment="law16", set=(tuple(given),), out=out, **AMOUNT)
        assert own.run() == 0
        yield own, out


@pytest.mark.slow
def test_the_study_tells_of_clones_and_what_becomes_of_them(command):
    _, out = command
    told = json.loads((out / "results.json").read_text())
    (variant,) = told["variants"]
    names = [one["policy"] for one in variant["policies"]]
    assert names == [
        "forager", "its clone", "at temperature 0.5", "most probable only", "in its teacher's play",
        "its clone, reinforced", "from nothing",
    ]  # fmt: skip
    policies = dict(zip(names, variant["policies"], strict=True))
    assert policies["forager"]["lifetime"]["mean"] > policies["from nothing"]["lifetime"]["mean"] > 1
    assert policies["forager"]["lifetime"]["high"] == policies["forager"]["lifetime"]["low"]  # seeds: the same play
    assert 0.5 < policies["forager"]["drawn"]["mean"] <= 1
    drawn = [policies[name]["drawn"]["mean"] for name in names[1:5]]
    assert all(0.1 < one < 1 for one in drawn)
    assert told["interval_over"] == "seeds of training" and len(told["findings"]) == 3
    curves = {(one["kind"], one["teacher"]): one for one in variant["curves"]}
    cloned, after, scratch = (
        curves[key] for key in (("clone", "forager"), ("reinforced", "forager"), ("scratch", None))
    )
    assert cloned["agent_steps"][0] == scratch["agent_steps"][0] == 0
    assert after["agent_steps"][0] == cloned["agent_steps"][-1] >= 3_000
    assert after["lifetime"]["mean"][0] == cloned["lifetime"]["mean"][-1] == policies[names[1]]["lifetime"]["mean"]
    text = (out / "report.md").read_text()
    assert "![lifetimes](lifetimes.png)" in text and (out / "lifetimes.png").stat().st_size > 5_000


@pytest.mark.slow
def test_a_clone_is_a_policy_as_any_other_and_says_no_word_of_its_teacher(command):
    _, out = command
    folder = out / "runs" / "0-forager-clone"
    policy = load_policy(folder / "seed-0")
    assert type(policy.act.__self__.sword) is Sword and policy.settings.loss == "ppo"
    losses = json.loads((folder / "config.json").read_text())
    assert losses["teacher"] == "forager" and losses["trinity"]["sword"] == "train.cloning:Cloner"


@pytest.mark.slow
def test_reinforcement_begins_with_the_clone(command, tmp_path):
    own, out = command
    study = own._filled().study(out)
    source = out / "runs" / "0-forager-clone"
    reinforce(study.experiments[0], [0, 1], 600, tmp_path / "a", snapshots=(0.0, 1.0), source=source)
    for seed in (0, 1):
        clone, _ = load_params(source / f"seed-{seed}", "latest")
        first, about = load_params(tmp_path / "a" / f"seed-{seed}", 0)
        last, _ = load_params(tmp_path / "a" / f"seed-{seed}", "latest")
        jax.tree.map(np.testing.assert_array_equal, clone, first)
        assert about["agent_steps"] == 0
        assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, first, last)))
    with pytest.raises(ValueError, match="begin"):  # another training's folder
        reinforce(study.experiments[0], [0, 1], 600, tmp_path / "a", snapshots=(0.0, 1.0))


@pytest.mark.slow
def test_the_study_goes_on(command, monkeypatch):
    _, out = command
    told = (out / "results.json").read_text()
    cell = out / "cells" / "play-0-scratch-1.npz"
    before = dict(np.load(cell))
    cell.unlink()
    monkeypatch.setattr(study_module, "train_seeds", None)  # what is trained is not trained again
    assert Clone(resume=out).run() == 0
    assert (out / "results.json").read_text() == told
    for name, value in np.load(cell).items():
        np.testing.assert_array_equal(value, before[name])


def cells(kind, lifetimes, agreement=0.5, worlds=2):
    """A seed's cell: lifetimes by snapshot, and of a clone's further plays the last one's."""
    plays = len(study_module._plays(len(lifetimes), kind))
    lives = np.array([*lifetimes, *[lifetimes[-1]] * (plays - len(lifetimes))])[:, None] * np.array([1, 3][:worlds])
    died = np.full((plays, worlds), 10)
    asked = np.full((plays, worlds), 100)
    agree = dict.fromkeys(AGREEMENT[1:], asked * agreement)
    steps = 100 * np.arange(len(lifetimes))
    return {"agent_steps": steps, "aged": lives * 10, "died": died, "forage": died, "asked": asked, **agree}


def test_units_are_seeds_or_the_worlds_of_one():
    food = np.array([20.0, 60.0])
    one = played([cells("clone", [1, 2, 4])], "clone", food)
    np.testing.assert_allclose(one.lifetime[:3], [[1, 3], [2, 6], [4, 12]])
    np.testing.assert_allclose(one.last(one.harvest), [0.5, 1 / 6])
    assert one.where[2, 0] == 2 and one.where[2, 3] == 5
    two = played([cells("scratch", [1, 2]), cells("scratch", [1, 4], agreement=0.25)], "scratch", food)
    np.testing.assert_allclose(two.lifetime, [[2, 2], [4, 8]])  # all lives of a seed together
    np.testing.assert_allclose(two.last(two.harvest), [0.25, 0.25])
    np.testing.assert_allclose(two.last(two.agreement["drawn"]), [0.5, 0.25])


def test_findings_say_what_the_intervals_do(tmp_path):
    names = {"clone": [10, 50], "reinforced": [60, 80], "scratch": [10, 90]}
    fields = {**AMOUNT, "name": "law16", "teachers": ["forager"], "variants": {"": {}, "core=gru": {}}}
    results = {}
    for variant in (0, 1):
        for kind, lives in names.items():
            for seed in (0, 1):
                training = f"{variant}-scratch" if kind == "scratch" else f"{variant}-forager-{kind}"
                noise = 40 * variant * seed * (kind == "reinforced")
                results[f"play-{training}-{seed}"] = cells(kind, np.array(lives) + seed + noise)
    fields["trainings"] = [SimpleNamespace(name=name) for name in {name[5:-2]: None for name in results}]

    def units(results, training):
        kind = training.name.rsplit("-", 1)[1]
        return played([results[f"play-{training.name}-{seed}"] for seed in (0, 1)], kind, np.ones(2))

    report(SimpleNamespace(**fields, units=units), tmp_path, results)
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["findings"][0].startswith("the clone of forager lives 100.0 ± 0.0 % as long")
    assert told["findings"][1].endswith("by 60.0 ± 0.0 ticks: it lives longer by that.")
    assert told["findings"][2].endswith("-20.0 ± 0.0 ticks longer than who learned from nothing: cloning does harm.")
    assert told["findings"][4].startswith("core=gru: ") and told["findings"][4].endswith(
        "the interval does not decide."
    )
    assert "## core=gru" in (tmp_path / "report.md").read_text()
