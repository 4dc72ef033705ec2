"""The scoreboard: who sits where, what is made of the counts, its table, and a small one played."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmo_jax.commands.scoreboard import Scoreboard as Command
from nmmo_jax.config import RULES_VERSION
from train.checkpoint import FOLDER, Checkpoints
from train.policy import shipped
from train.settings import describe, experiment
from train.studies import scoreboard as module
from train.studies.reports.scoreboard import BEGIN, END, put, report
from train.studies.scoreboard import WORLDS, Player, Scoreboard
from train.trinity import Sword, Trinity

NAMES = ("a", "b", "c")
TWO = tuple(world for world in WORLDS if world.name in ("law-16-small", "chaos-128"))
KEPT = ("aged", "died", "steps", "living", "forage")


class Own(Sword):
    """As ours, and yet one's own."""


@pytest.fixture
def board(monkeypatch):
    """``board(number, worlds)`` of policies that are not loaded; c does not fit where there are 16 agents."""

    def load(name, env):
        if name == "c" and env.config.num_agents == 16:
            raise ValueError("view=3: must be 15")

    def make(number=3, worlds=TWO, maps=3):
        names = [NAMES[k] if k < 3 else f"p{k}" for k in range(number)]
        return Scoreboard([Player(f"{name}|", name) for name in names], worlds, maps, 4, 10, 5)

    monkeypatch.setattr(module, "load_named", load)
    monkeypatch.setattr(Scoreboard, "origin", lambda self, name: "seed 3, step 7" if name == "a" else None)
    return make


def counts(study, strength):
    """Of a scoreboard in which policy e lives for ``strength[e]`` ticks, and twice as long on the last map."""
    found = {}
    for world in study.worlds:
        each = {module.alone(world, e): [e] * world.populations for e in study.fit(world)}
        each |= {module.together(world, turn): study.seats(world, turn) for turn in range(study.turns(world))}
        for name, seats in each.items():
            died = np.full((study.maps, world.populations), 4)
            aged = died * np.array([strength[e] for e in seats]) * np.array([1, 1, 2])[: study.maps, None]
            found[name] = {"aged": aged, "died": died, "steps": 2 * aged, "living": 10 * died, "forage": 3 * died}
    assert {cell.name for cell in study.cells()} == set(found)
    return found


@pytest.mark.parametrize("number", [2, 3, 7, 11])
def test_everyone_sits_everywhere_as_often(board, number):
    study = board(number)
    for world in study.worlds:
        who, turns = study.fit(world), [study.seats(world, turn) for turn in range(study.turns(world))]
        assert len(turns) == len(who) and (2 not in who if world.agents == 16 else 2 in who or number == 2)
        for seats in zip(*turns, strict=True):
            assert sorted(seats) == who
        assert all(len(set(seats)) == min(len(who), world.populations) for seats in turns)
    if number == 11:  # more than meet in a round
        orders = [study.seats(world, 0) for world in TWO]
        assert orders[0] != orders[1][: len(orders[0])]


def test_the_worlds_are_those_that_are_told():
    assert len({world.name for world in WORLDS}) == len(WORLDS) == 8
    for world in WORLDS:
        env = world.make()
        assert (env.config.num_agents, env.config.rows) == (world.agents, world.side)
        assert bool(env.rules.attacks_enabled) == (world.game == "chaos")


def test_lifetimes_advantages_and_ratings(board):
    study = board()
    found = counts(study, [10, 40, 20])
    small, large = (study.alone(found, world) for world in TWO)
    np.testing.assert_allclose(large["lifetime"].mean, np.array([10, 40, 20]) * 4 / 3)
    np.testing.assert_allclose(small["ticks_per_death"].mean[:2], np.array([20, 80]) * 4 / 3)
    np.testing.assert_allclose(small["population"].mean[:2], 4 * 40 / 10)
    assert all(np.isnan(value.mean[2]) for value in small.values()) and 0 < large["food"].mean[0] < 1
    mixed = study.mixed(found)
    np.testing.assert_allclose(mixed["lifetime"].mean[1], np.array([10, 40, 20]) * 4 / 3)
    np.testing.assert_allclose(mixed["advantage"].mean, [[0.5, 2, np.nan], [0.5, 2, 1]])
    np.testing.assert_allclose(mixed["overall"], np.full((3, 3), [0.5, 2, 1]))  # the same on every map
    rating = study.ratings(found)
    assert rating.mean[0] < rating.mean[2] - 100 < rating.mean[1] - 200
    assert (rating.low <= rating.mean).all() and (rating.mean <= rating.high).all()


def test_one_by_itself_is_not_rated(board, tmp_path):
    study = board(1)
    assert len(study.cells()) == len(TWO)
    report(study, tmp_path, counts(study, [10]))
    assert "| a\\| | - | - | 13.3 ± " in (tmp_path / "report.md").read_text()


def test_the_table_and_where_it_is_put(board, tmp_path):
    study, page = board(), tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{BEGIN}old\n{END}\nends so\n")
    report(study, tmp_path, counts(study, [10, 40, 20]), into=page)
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- ") and text.endswith(f"{END}\nends so\n") and "old" not in text
    head, _, *rows = re.findall(r"^\|.*\|$", text, re.MULTILINE)
    assert head == "| policy | rating | advantage | law-16-small | chaos-128 |"
    assert [row.split()[1] for row in rows] == ["b\\|", "c\\|", "a\\|"] and "| - | 26.7 ± " in rows[1]
    for told in (f"Rules version {RULES_VERSION}, ", "seed 5;", "3 maps", "a\\|: seed 3, step 7.", "128 agents in 8"):
        assert told in text
    assert "c\\| does not fit law-16-small: view=3: must be 15." in text
    assert text.count("chaos-128:") == 1
    written = json.loads((tmp_path / "results.json").read_text())
    assert (written["rules_version"], written["seed"]) == (RULES_VERSION, 5)
    assert written["worlds"][0] == TWO[0]._asdict()
    a, _, c = written["policies"]
    assert a["worlds"]["chaos-128"]["mixed"]["advantage"]["mean"] == pytest.approx(0.5)
    assert c["worlds"]["law-16-small"] == {"unfit": "view=3: must be 15"} and a["trained"] == "seed 3, step 7"
    assert all((tmp_path / f"{name}.png").stat().st_size > 5_000 for name in ("rating", "lifetimes"))
    put(tmp_path / "new.md", "table")
    put(tmp_path / "new.md", "other")
    assert (tmp_path / "new.md").read_text() == f"{BEGIN}\nother\n\n{END}"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A run with a Sword of one's own that nobody has trained."""
    folder, chosen = tmp_path_factory.mktemp("runs") / "mine", experiment("law16", hidden=8)
    levels = Trinity(sword=Own).of(chosen)
    shapes = jax.eval_shape(levels.sword.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    Checkpoints(folder / FOLDER).save(1, {"params": params}, {"update": 1, **describe(chosen, levels)}, 1.0)
    return folder


@pytest.mark.slow
def test_who_takes_part(own, tmp_path):
    command = Command()._filled()
    assert command.beside == ("random", "wanderer", "forager", "fighter", "planner", *shipped())
    assert command.policies() == command.beside and len(command.world) == len(WORLDS)
    again = Command(policy=("forager",), beside=command.beside[:1])._filled()  # as it is resumed
    assert again.policies() == ("forager", "random")
    study = Command(policy=(str(own),), beside=("random",), world=("law-16-small",))._filled().study(tmp_path)
    assert [player.label for player in study.players] == ["mine", "random"] and not study.unfit
    assert study.origin(str(own)).startswith("seed 0, step 1, parameters ") and study.origin("random") is None
    (policy,) = study._policies.values()
    assert policy.kind[0] is Own


def test_what_fits_no_world_is_refused_or_told_of(own, tmp_path, monkeypatch):
    load = module.load_named

    def refuse(name, env):
        raise ValueError(f"{name}: view=3: must be 15")

    monkeypatch.setattr(module, "load_named", refuse)
    with pytest.raises(ValueError, match=r"POLICY mine: fits none of the worlds: .*view=3"):
        Command(policy=(str(own),), beside=("random",))._filled().study(tmp_path)
    study = Command(policy=("random",), beside=(str(own),))._filled().study(tmp_path)
    assert len(study.unfit) == len(WORLDS) and study.fit(WORLDS[0]) == [0]
    assert load is not refuse


@pytest.mark.parametrize(("args", "told"), [
    ("nobody", "POLICY nobody: must be random, "),
    ("random --beside random", "POLICY random random: each must be named once"),
    ("--beside", "POLICY: at least one must be named, with --beside and nobody"),
    ("--world law-17", "--world law-17: allowed are law-16-small, "),
    ("--maps 0", "--maps 0: allowed are 1 to"),
    ("--ticks 0", "--ticks 0: allowed are 1 to"),
    ("--table gone/table.md", "--table gone/table.md: there is no folder gone"),
    ("--table page.md", "--table page.md: has no place for a table, the lines <!-- scoreboard"),
])  # fmt: skip
def test_what_cannot_be_is_said_in_a_line(args, told, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text("# Mine\n")
    assert refused("scoreboard", *args.split(), "--out", "out").startswith(told)
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.slow
def test_it_is_played_and_resumed(tmp_path, capsys):
    out = tmp_path / "out"
    few = {"beside": ("random", "wanderer"), "world": ("law-16-small", "chaos-16-small")}
    assert Command(**few, maps=2, settle=4, ticks=16, out=out, table=tmp_path / "table.md").run() == 0
    assert "chaos-16-small" in capsys.readouterr().out
    before, table = (out / "results.json").read_bytes(), (tmp_path / "table.md").read_text()
    (tmp_path / "table.md").unlink()
    assert len(list((out / "cells").iterdir())) == 2 * (2 + 2)
    with np.load(out / "cells" / "law-16-small-round-0.npz") as one:
        assert one["steps"].shape == (2, 4) and (one["steps"] > 0).all()
    (out / "cells" / "law-16-small-round-1.npz").unlink()
    assert Command(resume=out).run() == 0
    assert (out / "results.json").read_bytes() == before and (tmp_path / "table.md").read_text() == table
