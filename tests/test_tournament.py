"""Tournaments: who sits where, what is made of the counts, and a small one played."""

import dataclasses
import json
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import SMALL

from nmmo_jax import Config, Environment
from nmmo_jax.commands.tournament import Tournament as TournamentCommand
from nmmo_jax.play.players import players
from nmmo_jax.world.pool import MapPool
from train.checkpoint import Checkpoints
from train.policy import PRETRAINED, load_named
from train.settings import describe, experiment
from train.studies.census import Census
from train.studies.entrants import Entrant, Programs, entrants
from train.studies.matrix import Matrix
from train.studies.moved import made_of
from train.studies.reports.matrix import PUBLISHED, TRAINED
from train.studies.reports.matrix import report as report_matrix
from train.studies.reports.tournament import report
from train.studies.study import compute
from train.studies.tournament import Tournament
from train.trinity import Sword, Trinity

NOBODY = [Entrant("a", ("a0", "a1")), Entrant("b", ("b0", "b1")), Entrant("c", ("c0", "c1"))]


def tournament(who, **changes):
    given = {"sizes": (8, 16), "worlds": 2, "settle": 6, "ticks": 20, "seed": 5, **changes}
    return Tournament(who, Environment(SMALL), **given)


def told(lifetimes, deaths=10):
    """Counts of a match ``[rotations, sizes, worlds, entrants]`` in which entrants live so long."""
    shape = (len(lifetimes), 2, 2, len(lifetimes))
    died = np.zeros((*shape, 4), int)
    died[..., 0], died[..., 2] = deaths - 3, 3
    ticks = np.broadcast_to(np.array(lifetimes) * deaths, shape)
    return {"aged": ticks, "deaths": died, "steps": 2 * ticks}


def results(strength):
    """Of a tournament in which a training's strength is how long it lives, whoever it meets."""
    made = tournament(NOBODY)
    return made, {m.name: told([strength(e, int(p[1])) for e, p in zip(*m[:2], strict=True)]) for m in made.matches()}


def test_matches_are_of_all_pairs_and_all_together():
    matches = tournament(NOBODY).matches()
    pairs = {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2), (0, 1, 2)}
    assert {match.entrants for match in matches} == pairs and len(matches) == 2 * len(pairs)
    for match in matches:
        assert len(set(match.policies)) == len(match.policies)  # of itself, another training
    assert {m.policies for m in matches if m.entrants == (0, 1)} == {("a0", "b1"), ("a1", "b0")}


def test_lifetimes_wins_and_ratings():
    made, counts = results(lambda entrant, replicate: (entrant + 1) * 10 + replicate)
    lifetimes = made.lifetimes(counts)
    assert lifetimes.shape == (2, 3, 3, 2)
    for row in range(3):
        for replicate in range(2):
            np.testing.assert_allclose(lifetimes[:, row, row:, replicate], (row + 1) * 10 + replicate)
            np.testing.assert_allclose(lifetimes[:, row, :row, replicate], (row + 1) * 10 + 1 - replicate)
    interval = made.interval(counts, "steps")
    np.testing.assert_allclose(interval.mean[0], np.array([[21] * 3, [41] * 3, [61] * 3]))
    assert (interval.high > interval.mean).all()  # also of a policy against another training of its own
    wins = made.wins(counts)
    np.testing.assert_array_equal(wins[0, :, :, 0], [[np.nan, 0, 0], [1, np.nan, 0], [1, 1, np.nan]])
    rating = made.ratings(counts)
    assert rating.mean[0] < rating.mean[1] - 200 < rating.mean[2] - 400
    assert (rating.low <= rating.mean).all() and (rating.mean <= rating.high).all()
    even, same = results(lambda entrant, replicate: 10)
    np.testing.assert_array_equal(even.wins(same)[0, 0, 1], 0.5)
    assert np.ptp(even.ratings(same).mean) < 60


def test_nobody_dead_is_no_lifetime_but_a_win():
    made, counts = results(lambda entrant, replicate: 10)
    name = "match-0-1-seed-0"
    counts[name]["deaths"][..., 1, :] = 0
    counts[name]["steps"] = np.full(counts[name]["steps"].shape, 900)
    assert np.isnan(made.lifetimes(counts)[:, 1, 0, 0]).all()
    assert (made.wins(counts)[:, 1, 0, 0] == 1).all()


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    env = Environment(SMALL)
    made = tournament(entrants(("random",), env))
    out = tmp_path_factory.mktemp("tournament")
    (out / "cells").mkdir()
    return made, compute(made.cells(), out)[0], out


@pytest.mark.slow
def test_a_match_is_the_census_of_its_worlds(played):
    made, found, _ = played
    result, env = found["match-0-0-seed-0"], made.env
    pool = MapPool.generated(5, 2, SMALL, split="held_out")
    census = Census(env, players(("random", "random"), env), 4)
    rules = env.rules.replace(population_cap=jnp.array([8, 8, 16, 16]))
    worlds, _ = census.run(census.begin(5, pool.tiles(jnp.array([0, 1, 0, 1])), rules), 6, rules=rules)
    counts = census.run(worlds, 20, rules=rules)[1].counts
    np.testing.assert_array_equal(result["aged"][0], counts.aged.reshape(2, 2, 2, 2).sum(axis=2))  # 0 and 2; 1 and 3
    assert len(result["aged"]) == 1  # by itself, both seats are the same
    steps = result["steps"].sum(axis=-1)
    assert (steps[:, 0] <= 8 * 20).all() and result["deaths"].sum() > 0


@pytest.mark.parametrize("seats", [2, 3, 4])
def test_seats_are_changed_back(seats, monkeypatch):
    """Whoever sits where, counts go to the policy that made them; and everyone sits everywhere."""
    who = [Entrant(f"e{i}", (f"p{i}",)) for i in range(seats)]
    made, sat = tournament(who), []

    class Counted:
        def __init__(self, names):
            populations = made._programs[seats].env.config.num_populations
            plays = [int(names[p % seats][1]) for p in range(populations)]
            sat.append(plays[:seats])
            count = np.broadcast_to(np.array([10**e for e in plays]), (4, populations))
            self.counts = type("", (), dict.fromkeys(("aged", "steps"), count))
            self.counts.deaths = count[..., None]

    class Census:
        def __init__(self, names):
            self.names = names

        def run(self, worlds, ticks, **_):
            return worlds, types.SimpleNamespace(counts=Counted(self.names).counts)

    monkeypatch.setattr(Programs, "census", lambda self, names: (Census(names), None))
    monkeypatch.setattr(Programs, "begin", lambda *_: None)
    match = next(m for m in made.matches() if m.entrants == tuple(range(seats)))
    aged = made._play(match, lambda *_: None)["aged"]
    each = aged / 10 ** np.arange(seats)
    assert aged.shape == (seats, 2, 2, seats) and len(np.unique(each)) == 1
    assert sorted(zip(*sat[::2], strict=True)) == sorted(zip(*sat[1::2], strict=True))  # settling and counting
    assert all(sorted(seat) == list(range(seats)) for seat in zip(*sat[::2], strict=True))


def test_three_meet_in_a_world_that_they_can_share():
    made = Tournament([*NOBODY], Environment(Config(num_agents=128)), (128,), 1, 1, 1, 0)
    config = made._programs[3].env.config
    assert (config.num_agents, config.num_populations) == (126, 3)


@pytest.mark.slow
def test_report(played):
    made, found, out = played
    report(made, out, found)
    written = json.loads((out / "results.json").read_text())
    assert written["sizes"] == [8, 16] and np.shape(written["lifetime"]["mean"]) == (2, 1, 1)
    assert "Worlds of 16 agents" in (out / "report.md").read_text()
    assert all((out / f"{name}.png").stat().st_size > 5_000 for name in ("lifetimes", "wins"))


def test_matrix_reports_beside_the_published_table(tmp_path):
    """From made-up counts that are the published numbers, so that the order of rows and columns is held, too."""
    study = Matrix(tmp_path, ("law",), TRAINED, (0, 1), 1_000, (16, 128), 2, 1, 1, 0, {"max_spawns": 2})
    assert not any(one.settings.options.shared_weights for one in study.trainings.values())  # as published
    assert [cell.name for cell in study.cells()][:5] == [*(f"train-law{n}" for n in TRAINED), "law-match-0-0-seed-0"]
    found = {}
    for match in study.tournaments["law"].matches():
        deaths, counts = 10, told([0.0] * len(match.entrants))
        counts["aged"] = np.array(counts["aged"], float)
        for size, cap in enumerate((16, 128)):
            for seat, own in enumerate(match.entrants):
                other = match.entrants[1 - seat] if len(match.entrants) == 2 else own  # pairs only are told of
                counts["aged"][:, size, :, seat] = PUBLISHED[cap][own][other] * deaths
        found[f"law-{match.name}"] = counts
    for n in TRAINED:
        steps = np.cumsum(np.full((3, 2, n // 16), 300.0), axis=0)
        found[f"train-law{n}"] = {"lifetime": np.array([[10.0, np.nan], [20, 21], [30, 32]]), "steps": steps}
    report_matrix(study, tmp_path, found)
    report = (tmp_path / "report.md").read_text()
    assert "| 32 | 74.3 ± 0.0 (74.3) | 74.3 ± 0.0 (74.3) | 62.4 ± 0.0 (62.4) | 52.5 ± 0.0 (52.5) |" in report
    assert "throughout in 8 of 8 columns" in report and "not those published: max" in report
    assert (tmp_path / "learning.png").exists() and (tmp_path / "tournament-law" / "lifetimes.png").exists()


def test_matrix_compares_rows_against_the_same_opponents(tmp_path):
    """Where a training of the opponent alone makes lives longer, the difference between rows is the same in all."""
    study = Matrix(tmp_path, ("law",), TRAINED, (0, 1, 2), 1_000, (16, 128), 2, 1, 1, 0)
    made = study.tournaments["law"]
    found = {}
    for match in made.matches():
        replicate = [int(name[-1]) for name in match.policies]
        found[match.name] = told(
            [100 * own + 10 * other for own, other in zip(match.entrants, replicate[::-1], strict=True)]
        )
    gain = study.gain(made.lifetimes(found))
    np.testing.assert_allclose(gain, np.full((3, 2, 4), 300.0))


def test_what_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="sizes=17"):
        tournament(NOBODY, sizes=(17,))
    with pytest.raises(ValueError, match="num_populations=1"):
        odd = Environment(dataclasses.replace(SMALL, num_populations=1))
        Tournament(NOBODY, odd, (4,), 1, 1, 1, 0)
    with pytest.raises(ValueError, match="budget=0"):
        Matrix(tmp_path, ("law",), (16,), (0, 1), 0, (16,), 1, 1, 1, 0)
    with pytest.raises(ValueError, match=r"games=\('law', 'law'\): each once"):
        Matrix(tmp_path, ("law", "law"), (16,), (0, 1), 9, (16,), 1, 1, 1, 0)


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """Two trained policies of one network, in which every population has weights of its own."""
    chosen = experiment("law128", shared_weights=False, core="none", hidden=4)
    about, init = describe(chosen, Trinity().of(chosen)), jax.jit(Sword(chosen).init)
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    for seed, folder in enumerate(folders):
        Checkpoints(folder).save(1, {"params": init(jax.random.key(seed))}, about)
    return [str(folder) for folder in folders]


@pytest.mark.slow
def test_programs_are_shared_by_who_differs_in_parameters_only(alike):
    """Not by those of whom another sits at a seat: the program of (one, one, a script) is not that of others."""
    one, other = alike
    env = Environment(Config(num_agents=12, num_populations=3))
    kinds = [players(names, env, load_named).kind for names in ((one, other, "random"), (other, one, "random"))]
    assert kinds[0] == kinds[1]
    others = [(one, "random", other), (one, other, "forager"), (one, one, one)]
    assert all(players(names, env, load_named).kind != kinds[0] for names in others)


@pytest.mark.slow
def test_one_program_serves_however_they_are_seated():
    """And counts what a program of those seats alone does."""
    env = Environment(SMALL)
    programs, tiles = Programs(env, 2), MapPool.generated(5, 2, SMALL, split="held_out").tiles(jnp.arange(2))
    used = []
    for names in (("forager", "random"), ("random", "forager")):
        census, params = programs.census(names)
        alone = Census(env, players(names, env), 2)
        counts = [
            one.run(one.begin(5, tiles), 40, **given)[1].counts
            for one, given in ((census, {"params": params}), (alone, {}))
        ]
        jax.tree.map(np.testing.assert_array_equal, *counts)
        assert counts[0].steps.sum() > 0
        used.append(census)
    assert used[0] is used[1]


def test_the_game_is_that_of_who_takes_part(tmp_path):
    def env(*names, **given):
        return TournamentCommand(policy=names, form="minutes", sizes=(8,), **given)._filled().study(tmp_path).env

    assert [system.name for system in env("random", "hunter").config.systems][:2] == ["skills", "monsters"]
    assert not env("random", "forager").config.systems
    attacks = [bool(env("random", name).rules.attacks_enabled) for name in ("chaos128", "law128")]
    assert attacks == [True, False]
    assert bool(env("random", "law128", game="chaos").rules.attacks_enabled)


def test_a_study_goes_on_from_any_folder(tmp_path, monkeypatch):
    for seed in (0, 1, 10):
        shutil.copytree(PRETRAINED / "law128", tmp_path / "runs" / f"seed-{seed}")
    monkeypatch.chdir(tmp_path)
    env = Environment(Config(num_agents=8, num_populations=2))
    given = [(str(name), "law128", "random") for name in ("runs", tmp_path / "runs")]
    one, other = (entrants(names, env) for names in given)
    assert one == other
    assert [name.rsplit("-")[-1] for name in one[0].replicates] == ["0", "1", "10"]
    assert one[1].replicates == ("law128",)
    read = made_of(given[0])
    assert read == made_of(given[1]) and len(read) == 4 and len(set(read.values())) == 1
    assert set(read) == {*one[0].replicates, "law128"}


@pytest.mark.slow
def test_policies_of_one_network_keep_their_own_parameters(alike):
    """Population p plays with row p of policy p modulo their number."""
    env = Environment(Config(num_agents=16, num_populations=4))
    both = players(tuple(alike), env, load_named).params[0]
    alone = [players((name,), env, load_named).params[0] for name in alike]
    for population in range(4):
        rows = (jax.tree.map(lambda leaf, p=population: leaf[p], tree) for tree in (both, alone[population % 2]))
        jax.tree.map(np.testing.assert_array_equal, *rows)
