"""Flags: those that mean nothing are refused, misspelt ones told of, and values read the same way everywhere."""

import dataclasses
import typing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from nmmo_jax import Config, Rules, cli
from nmmo_jax.commands import (
    ablate,
    clone,
    collapse,
    evaluate,
    evolve,
    fork,
    niches,
    rare,
    simulate,
    sweep,
    tournament,
    tune,
    watch,
)
from nmmo_jax.commands import (
    experiment as experiment_command,
)
from nmmo_jax.commands.overrides import NO_EFFECT, PLACES, WORLD, flags_named, parse_set, types_of
from nmmo_jax.common import parsing
from nmmo_jax.presets import preset
from nmmo_jax.rules import RULE_FIELDS
from train.networks import NetworkOptions
from train.settings import Settings, experiment

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "systems"


@pytest.mark.parametrize(("mode", "flags"), [
    ("simulate --map a.npy", ("--maps 1", "--border 9")),
    ("simulate", ("--tileset a.tsx", "--overwrite")),
    ("watch --replay a.npz", (
        "--checkpoint x", "--policy random", "--game law", "--agents 8", "--populations 2", "--map a.npy",
        "--tileset a.tsx", "--set max_food=40", "--realms 4", "--seed 0", "--initial-population 3", "--record b.npz",
    )),
    ("watch", ("--tileset a.tsx",)),
    ("train --resume a", ("--out b", "--published", "--set realms=8")),
    ("evaluate --resume a", ("--form hour", "--seed 1", "--out b", "--game law", "--agents 8", "--populations 2",
                             "--no-baselines", "--worlds 2", "--settle 2", "--ticks 2", "--set max_food=40")),
    ("fork --rule max_food=40", ("--swap 0=random",)),
    ("niches --policy law128", ("--games law", "--populations 1 2", "--agents 128", "--seeds 2", "--agent-steps 10",
                                "--realms 8", "--rows 2048")),
    ("collapse --births ring", ("--spawn-rate 0.01",)),
    ("evolve --inherit long-lived", ("--mutants 6", "--horizon 192")),
    ("render a.npz --out b.png", ("--first 1", "--last 1", "--every 1", "--fps 10")),
    ("render a.npz --out b.gif", ("--tick 1",)),
    ("maps show a.npy", ("--tileset a.tsx", "--layer b")),
    ("maps convert a.npy b.tmx", ("--tileset a.tsx", "--layer b")),
    ("maps convert a.tmx b.npy", ("--encoding csv",)),
    ("bench --show a.json", ("--full", "--only law", "--out b.json", "--overwrite")),
    ("bench --compare a.json b.json", ("--full", "--only law", "--out b.json", "--overwrite", "--figures f",
                                       "--show a.json")),
    ("bench", ("--overwrite",)),
])  # fmt: skip
def test_flags_that_do_not_apply_are_refused_by_name(mode, flags, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for flag in flags:
        told = refused(*f"{mode} {flag}".split())
        assert flag.split()[0] in told.split(":")[0], told
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "told"), [
    ("simlate", "simlate: nmmo-jax --help lists what there is; did you mean simulate?"),
    ("maps genrate", "genrate: nmmo-jax maps --help lists what there is; did you mean generate?"),
    ("--verson", "--verson: nmmo-jax --help lists what there is; did you mean --version?"),
    ("simulate --polcy forager", "--polcy: nmmo-jax simulate --help lists what there is; did you mean --policy?"),
    ("evaluate --no-baseline", "--no-baseline: nmmo-jax evaluate --help lists what there is; did you mean"),
    ("simulate --no-overwrite", "--no-overwrite: "),
    ("simulate --game lwa", "--game lwa: allowed are law, chaos, medium, large, huge, mmo, mmo1024; did you mean law?"),
    ("watch --game=lrg", "--game lrg: allowed are law, chaos, medium, large, huge, mmo, mmo1024; did you mean large?"),
    ("experiment --game law choas", "--game choas: allowed are law, chaos; did you mean chaos?"),
    ("niches --form ours", "--form ours: allowed are minutes, hour, night; did you mean hour?"),
    ("simulate --policy forger", "--policy forger: must be random, "),
    ("simulate --policy law18", "law128, or the folder of a trained run; did you mean law128?"),
    ("tournament planer", "did you mean planner?"),
    ("train law129", "law129: allowed are law16, "),
    ("train chaos12", "did you mean chaos128?"),
    ("train --log wanb", "--log wanb: allowed are tensorboard, wandb; did you mean wandb?"),
    ("train --set netwrok=classic", "--set netwrok=classic: there is no netwrok; did you mean network?"),
    ("train --set network=clasic", "--set network=clasic: allowed are default, classic; did you mean classic?"),
    ("simulate --set max_helth=3", "--set max_helth=3: there is no max_helth; did you mean max_health?"),
    ("simulate --rule max_helth=3", "there is no max_helth; did you mean max_health?"),
    ("sweep --over max_helth=3,4", "did you mean max_health?"),
])  # fmt: skip
def test_the_nearest_name_is_told(arguments, told, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told in refused(*arguments.split())


def test_so_it_is_in_python():
    for call, told in (
        (lambda: preset("choas"), "did you mean chaos?"),
        (lambda: preset("law", num_agnts=3), "did you mean num_agents?"),
        (lambda: experiment("law123"), "did you mean law128?"),
        (lambda: Config(layout="fre"), "did you mean free?"),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value).endswith(told)


@pytest.mark.parametrize(("arguments", "status", "told"), [
    ([], 2, "simulate"), (["maps"], 2, "generate"), (["replay"], 2, "verify"), (["--help"], 0, "simulate"),
    (["maps", "--help"], 0, "generate"), (["simulate", "--help"], 0, "--policy"), (["--version"], 0, "rules 1, jax"),
])  # fmt: skip
def test_help_and_version(arguments, status, told, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    shown = capsys.readouterr()
    assert ended.value.code == status and told in shown.out and not shown.err


def commands():
    """All dataclasses of commands, by the words that call them."""
    for name, kind in parsing._commands(cli.Command).items():
        groups = parsing._commands(kind)
        yield from (((name, below), one) for below, one in groups.items()) if groups else [((name,), kind)]


@pytest.mark.parametrize(("words", "kind"), [pytest.param(*one, id=" ".join(one[0])) for one in commands()])
def test_all_flags_are_known_that_tyro_knows(words, kind, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    shown = capsys.readouterr().out
    flags, choices = parsing._flags(kind)
    for flag in flags:
        assert flag in shown
    for field in dataclasses.fields(kind):
        flag = f"--{field.name.replace('_', '-')}"
        assert flag in flags or flag not in shown
        literal = "Literal" in str(typing.get_type_hints(kind)[field.name])
        assert literal == (flag in choices)


@pytest.mark.parametrize(("text", "value"), [
    ("attacks_enabled=False", False), ("attacks_enabled=true", True), ("attacks_enabled=0", False),
    ("shared_weights=True", True), ("shared_weights=false", False), ("reproduction=1", True),
    ("regrowth_probability=5e-2", 0.05), ("learning_rate=.5", 0.5), ("realms=64", 64), ("realms=1e2", 100),
    ("realms=1_000", 1000), ("max_lifetime=None", None), ("max_lifetime=null", None), ("horizon=30", 30),
    ("attack_damage=10,2,1", [10, 2, 1]), ("attack_damage=[10, 2.5, 1]", [10, 2.5, 1]), ("core=none", "none"),
    ('network="classic"', "classic"), (" layout = free ", "free"),
])  # fmt: skip
def test_values_are_read_by_the_type_of_their_field(text, value):
    fields = types_of(Settings) | types_of(NetworkOptions) | WORLD
    (found,) = parse_set([(text,)], {}, fields).values()
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(("text", "told"), [
    ("max_food", "must be NAME=VALUE"), ("=3", "must be NAME=VALUE"), ("num_agents=8", "use --agents"),
    ("attacks_enabled=maybe", "allowed are true and false"), ("attacks_enabled=2", "allowed are true and false"),
    ("max_food=many", "must be a whole number"), ("max_food=2.5", "must be a whole number"),
    ("max_food=", "must be a whole number"), ("max_food=true", "must be a whole number"),
    ("max_food=nan", "must be a whole number"), ("spawn_rate=often", "must be a number"),
    ("spawn_rate=" + "[" * 10_000, "must be a number"), ("attack_range=3", "must be 3 numbers a,b,c"),
    ("attack_range=1,2", "must be 3 numbers a,b,c"), ("attack_range=1,2,x", "must be 3 numbers a,b,c"),
    ("layout=rows", "allowed are blocks, free"), ("max_spawns=none", "must be a whole number"),
    ("reward=death", "changes nothing where nobody learns"), ("visits=true", "changes nothing that this command shows"),
    ("birth_age=3", "means nothing where agents do not give birth"),
])  # fmt: skip
def test_values_of_another_kind_are_refused(text, told):
    with pytest.raises(ValueError) as error:
        parse_set((text,), PLACES | NO_EFFECT)
    assert str(error.value).startswith(f"--set {text}: ") and told in str(error.value)


def test_every_field_can_be_read():
    defaults = {**dataclasses.asdict(Config()), **{name: getattr(Rules(), name) for name in RULE_FIELDS}}
    del defaults["systems"]  # of --system
    defaults |= {"population_cap": 128, "max_lifetime": 5, "horizon": 5, "reproduction": True}
    given = [f"{name}={','.join(map(str, np.ravel(value)))}" for name, value in defaults.items()]
    read = parse_set(given, {})
    assert read.keys() == defaults.keys() == WORLD.keys()
    for name, value in defaults.items():
        assert np.array_equal(read[name], value), name
    with pytest.raises(ValueError, match="--set max_food=50: given twice"):
        parse_set(("max_food=40", ("max_food=50",)))
    assert parse_set(("birth_age=3", "reproduction=true")) == {"birth_age": 3, "reproduction": True}


@pytest.mark.parametrize(("arguments", "told"), [
    ("simulate --agents 7 --populations 3", "--agents 7: must be divisible by --populations 3 in layout"),
    ("simulate --population-cap 200", "--population-cap 200: allowed are 0 to the capacity --agents 128"),
    ("simulate --set view=4", "--set view=4: must be odd"),
    ("simulate --rows 10", "--rows 10: a generated map"),
    ("watch --game law --agents 7 --populations 3", "--agents 7: must be divisible by --populations 3 in layout"),
    ("watch --game law --set max_food=5", "rules.start_food=32: must be at most --set max_food=5"),
    ("evaluate random --agents 7 --populations 3", "--agents 7: must be divisible by --populations 3 in layout"),
    ("evaluate random --worlds 0", "--worlds 0: allowed are 1 to"),
    ("tournament random --sizes 200", "--sizes 200: allowed are"),
    ("fork --agents 7 --populations 3", "--agents 7: must be divisible by --populations 3 in layout"),
    ("fork --rule max_food=5", "rules.start_food=32: must be at most --rule max_food=5"),
    ("rare --agents 8 --populations 3", "--agents 8: must be divisible by --populations 3 in layout"),
    ("sweep --over spawn_rate=0,2", "--over: spawn_rate=2.0: allowed are numbers from 0 to 1"),
    ("collapse --over spawn_rate=0,2", "--over spawn_rate: is given a value of its own, too"),
    ("collapse --set layout=free", "--set layout=free: use --births"),
    ("evolve --side 10", "--side 10: a generated map"),
    ("evolve --mutation -1", "--mutation -1.0: allowed are numbers"),
    ("evolve --set num_visible=3", "--set num_visible=3: num_visible is 2"),
    ("train law16 --set num_agents=7 num_populations=2", "--set num_agents=7: must be divisible by --set num_pop"),
    ("train law32 --set num_agents=7", "--set num_agents=7: must be divisible by num_populations=2 in layout"),
    ("train law16 --every 0", "--every 0: allowed are"),
    ("maps generate --out x --count 0", "--count 0: allowed are"),
    ("maps generate --out x --columns 0", "--columns 0: allowed are"),
])  # fmt: skip
def test_messages_name_what_was_typed(arguments, told, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(*arguments.split()).startswith(told)
    assert not any(tmp_path.iterdir())


def test_only_fields_are_renamed():
    flags = {"seed": "--seed ", "out": "--out ", "rows": "--set rows="}
    with pytest.raises(ValueError) as error, flags_named(flags):
        raise ValueError("out=runs/seed=3/out=4: rules.rows=2 and --set seed=5 and my_seed=6, game='a b', seed='x'")
    told = "--out runs/seed=3/out=4: --set rows=2 and --set seed=5 and my_seed=6, game='a b', --seed x"
    assert str(error.value) == told


def environments():
    """How each command that makes a world makes it, without playing in it."""
    few = {"policy": ("random",)}
    small = {"populations": (2,), "agents": 16, "seeds": 2}
    yield "simulate", lambda out, **given: simulate.Simulate(**given)._environment([])
    yield "watch", lambda out, **given: watch.Watch(**given)._world(("random",), [])[0]
    yield "watch a trained one", lambda out, **given: watch.Watch(**given)._world(("law128",), [])[0]
    for name, kind, look, more in (
        ("evaluate", evaluate.Evaluate, lambda study: study.env, few),
        ("tournament", tournament.Tournament, lambda study: study.env, few),
        ("fork", fork.Fork, lambda study: study.forks.env, few),
        ("rare", rare.Rare, lambda study: study.env, few),
        ("sweep", sweep.Sweep, lambda study: study.env, few),
        ("collapse", collapse.Collapse, lambda study: study.kinds[1].env, few),
        ("evolve", evolve.Evolve, lambda study: study.env, {}),
        ("experiment", experiment_command.Experiment, lambda study: study.tournaments["law"].env, {"agents": (16,)}),
        (
            "experiment's trainings",
            experiment_command.Experiment,
            lambda study: study.trainings["law16"].env,
            {"agents": (16,)},
        ),
        ("niches", niches.Niches, lambda study: study.trainings["law-2-own"].env, small),
        ("ablate", ablate.Ablate, lambda study: study.base.env, {}),
        *([("tune", tune.Tune, lambda study: study.base.env, {})] if find_spec("optuna") else []),
        ("clone", clone.Clone, lambda study: study.env, {"experiment": "law16"}),
    ):
        yield name, lambda out, k=kind, look=look, m=more, **given: look(k(**given, **m)._filled().study(out))


@pytest.mark.parametrize("make_world", [pytest.param(make, id=name) for name, make in environments()])
def test_any_field_of_a_world_can_be_set(make_world, tmp_path):
    env = make_world(tmp_path, set=(("max_spawns=3", "attack_damage=4,3,2"), ("attacks_enabled=True",)))
    assert env.config.max_spawns == 3 and np.asarray(env.rules.attack_damage).tolist() == [4, 3, 2]
    assert bool(env.rules.attacks_enabled)
    with pytest.raises(ValueError, match="--set ledger=true: ledger changes nothing that this command shows"):
        make_world(tmp_path, set=(("ledger=true",),))


@pytest.mark.parametrize("make_world", [pytest.param(make, id=name) for name, make in environments()])
def test_any_world_can_have_systems(make_world, tmp_path, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    env = make_world(tmp_path, system=("poison:POISON",), set=(("poison.damage=3",),))
    assert [system.name for system in env.config.systems] == ["poison"] and env.rules.named()["poison.damage"] == 3
    with pytest.raises(ValueError, match=f"--system nowhere:X: no module nowhere in {EXAMPLES} or on Python's path"):
        make_world(tmp_path, system=("nowhere:X",))


def test_nobody_is_born_after_a_fork(tmp_path):
    given = (("reproduction=true", "layout=free"),)
    forks = fork.Fork(set=given, policy=("random",))._filled().study(tmp_path).forks
    assert forks.env.config.reproduction and forks.env.rules.birth_probability > 0
    assert forks.after.spawn_rate == 0 == forks.after.birth_probability
