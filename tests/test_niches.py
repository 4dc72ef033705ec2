"""Niches: counts whose divergence is known by hand, chance that is told from difference, and the study's own frame."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import kstest

from nmmo_jax.commands.niches import Niches
from nmmo_jax.config import Config
from nmmo_jax.declarations import NewMaterial
from nmmo_jax.kinds import Material
from nmmo_jax.system import System
from train.studies import niches as of
from train.studies.reports.specialisation import Played, findings, report
from train.studies.specialisation import Amount, Arm

GENERATOR_SEED = 11
BOG = Config(systems=(System("swamp", materials=(NewMaterial("bog"), NewMaterial("pool", walkable=False))),))


def planted(generator, worlds, populations=4, places=12, visits=30, apart=0.0):
    """Worlds in which each population takes a part of its visits to a place of its own: ``[1, R, P, K]``."""
    chance = np.full((populations, places), (1 - apart) / places)
    chance[np.arange(populations), np.arange(populations)] += apart
    return generator.multinomial(visits, chance, size=(1, worlds, populations))


def test_divergence_by_hand():
    counts = np.array([[4, 0, 0, 0], [0, 3, 0, 0], [1, 1, 0, 0], [8, 0, 0, 0], [0, 0, 0, 0]])
    found = of.divergence(counts)
    # H(3/4, 1/4) - (0 + 1) / 2 = 0.811278 - 0.5
    np.testing.assert_allclose(found[:4, :4], [
        [0, 1, 0.311278, 0], [1, 0, 0.311278, 1], [0.311278, 0.311278, 0, 0.311278], [0, 1, 0.311278, 0],
    ], atol=1e-6)  # fmt: skip
    assert np.isnan(found[4]).all() and np.isnan(found[:, 4]).all()
    np.testing.assert_allclose(of.entropy(counts), [0, 0, 1, 0, np.nan])
    np.testing.assert_allclose(of.divergence(np.stack([counts, counts]))[1], found)


def test_effective_number_by_hand():
    apart, together = np.eye(5, 7, dtype=int) * [[1], [2], [3], [4], [5]], np.tile([[3, 1, 0]], (5, 1))
    assert of.effective_niches(apart) == pytest.approx(5)
    assert of.effective_niches(together) == pytest.approx(1)
    assert of.effective_niches(together[:1]) == pytest.approx(1)
    # Two pairs: within a pair alike, between them apart; numbers of visits do not matter.
    assert of.effective_niches([[2, 2, 0, 0], [9, 9, 0, 0], [0, 0, 1, 1], [0, 0, 5, 5]]) == pytest.approx(2)
    # Of two populations it is 2 to the power of their divergence; who is nowhere is left out.
    assert of.effective_niches([[1, 0], [1, 1], [0, 0]]) == pytest.approx(2**0.311278, abs=1e-6)
    assert np.isnan(of.effective_niches(np.zeros((2, 3))))


def test_p_is_uniform_where_all_behave_alike():
    generator = np.random.default_rng(GENERATOR_SEED)
    p = [of.niches(planted(generator, worlds=5), permutations=99, seed=i).p for i in range(200)]
    assert kstest(p, "uniform").pvalue > 0.01
    excess = [of.niches(planted(generator, worlds=5), permutations=99, seed=i).excess for i in range(50)]
    assert abs(np.mean(excess)) < 3 * np.std(excess) / np.sqrt(50)


def test_a_planted_difference_is_found():
    generator = np.random.default_rng(GENERATOR_SEED)
    found = of.niches(planted(generator, worlds=6, apart=0.9), permutations=99)
    assert found.p == 0.01 and 2 < found.excess < 3
    assert found.excess == found.observed - found.null
    assert of.niches(planted(generator, worlds=6, populations=1)) == (1, 1, 0, 1)
    assert np.isnan(of.niches(np.zeros((1, 2, 3, 4))).p)
    assert of.niches(planted(generator, worlds=1, apart=0.9))[2:] == (pytest.approx(0), 1)
    # The same way apart in every world, or one way in each: only the first is a niche of the population's own.
    worlds = planted(generator, worlds=6, apart=0.9)
    moved = np.stack([np.roll(worlds[0, i], i, axis=0) for i in range(6)])[None]
    assert of.niches(moved, permutations=99).p > 0.05


def test_unequal_numbers_alone_are_no_niche():
    generator = np.random.default_rng(GENERATOR_SEED)
    p = []
    for i in range(40):
        many, few = planted(generator, 6, visits=400), planted(generator, 6, visits=20)
        p.append(of.niches(np.where(np.arange(4)[:, None] == 0, few, many), permutations=99, seed=i).p)
    assert np.mean(np.array(p) <= 0.05) < 0.2


def test_maps_are_means_and_the_seed_repeats():
    counts = planted(np.random.default_rng(GENERATOR_SEED), worlds=4, apart=0.3)
    other = np.zeros_like(counts)
    other[..., 0] = 1
    both = of.niches(np.concatenate([counts, other]), permutations=19)
    alone = of.niches(counts, permutations=19)
    assert both.observed == pytest.approx((alone.observed + 1) / 2)
    assert both == of.niches(np.concatenate([counts, other]), permutations=19)
    for wrong, message in ((counts[0], "shape"), (counts[:, :0], "shape")):
        with pytest.raises(ValueError, match=message):
            of.niches(wrong)
    with pytest.raises(ValueError, match="permutations=0"):
        of.niches(counts, permutations=0)


def test_cells_and_ground():
    visits = np.arange(2 * 5 * 6).reshape(2, 5, 6)
    cells = of.cells_of(visits, 4)
    assert cells.shape == (2, 4) and cells[1, 0] == visits[1, :4, :4].sum() and cells[1, 3] == visits[1, 4:, 4:].sum()
    material = np.full((3, 4), Material.GRASS)
    material[1, 1], material[1, 2], material[2, 3], material[0, 3] = (
        Material.WATER, Material.FOREST, Material.FOREST, Material.SCRUB,
    )  # fmt: skip
    ground = of.ground_of(np.ones((2, 3, 4), int), material)
    # Beside the water: three of grass and the forest to its right; on the water nobody is counted.
    np.testing.assert_array_equal(ground, [[6, 3, 1, 1]] * 2)
    material[0, 0], material[2, 0] = 7, 8  # of systems: the first can be stood on, the second cannot
    ground = of.ground_of(np.ones((2, 3, 4), int), material, BOG)
    np.testing.assert_array_equal(ground, [[4, 3, 1, 1, 1]] * 2)
    assert of.ground_names(BOG) == (*of.GROUND, "bog") and of.ground_names() == of.GROUND


def played(group, populations, excess, kind="tiles", config=of.CLASSIC):
    """An arm in which each seed ends with that excess."""
    folders = tuple(Path(f"seed-{i}") for i in range(len(excess)))
    arm = Arm(f"{group}-{populations}", group, populations, folders, config=config)
    nothing = np.full((2, 4), np.nan)
    seeds = []
    for value in excess:
        found = np.array([[1.1, 1.1, 0.0, 1.0], [1.1 + value, 1.1, value, 0.01]])
        seeds.append({
            "tiles": nothing, "ground": nothing, "styles": nothing, kind: found,
            "agent_steps": np.array([100, 200]), "lifetime": np.array([9.0, 20.0]),
            "population": np.array([8.0, 9.0]), "overlap": np.zeros((populations, populations)),
            "style_bits": np.full(populations, np.nan), "style_counts": np.zeros((populations, 3), int),
            "ground_counts": np.ones((populations, len(of.ground_names(config))), int),
            "visits": np.ones((populations, 5, 6), np.uint32),
            "material": np.full((5, 6), len(config.material_names) - 1, np.uint8),
        })  # fmt: skip
    return Played(arm, seeds)


def test_findings_say_what_the_intervals_do():
    few, many = played("law, own weights", 2, [0.1, 0.11, 0.12]), played("law, own weights", 8, [0.5, 0.52, 0.51])
    shared = played("law, shared weights", 8, [0.01, -0.01, 0.0])
    strangers = played("law, strangers", 8, [0.4, 0.51, 0.63])
    said = findings([few, many, shared, strangers], "tiles")
    # 0.51 - 0.11 between 8 and 2; 0.51 / 7 and 0.11 / 1 per population beyond the first.
    assert "0.400 ± 0.025" in said[0] and said[0].endswith("2: more populations fill more niches, as published.")
    assert "0.110 ± 0.025 with 2" in said[1] and "0.0729 ± 0.0035 with 8" in said[1]
    assert said[2].endswith("weights of their own set populations apart.") and "0.510 ± " in said[2]
    assert "these seeds do not decide whether populations that learn together are" in said[3]
    assert findings([many, few], "tiles")[0] == said[0]
    assert "more fill fewer" in findings([played("law, own weights", 2, [0.9, 0.91, 0.92]), many], "tiles")[0]
    assert "one seed" in findings([played("a, own weights", n, [0.1]) for n in (2, 4)], "tiles")[0]
    assert not findings([few, many], "styles") and not findings([shared], "tiles")


def test_the_report_has_its_numbers_and_figures(tmp_path):
    amount = Amount(("law",), (1, 2), 16, 2, 100, 8, 128, 1, 2, 4, 8, 0)
    each = [played("law, own weights", 1, [0.0, 0.0]), played("law, own weights", 2, [0.1, 0.2], config=BOG)]
    results = {f"play-{one.arm.name}-{i}": one.seeds[i] for one in each for i in range(2)}
    report(SimpleNamespace(amount=amount, arms=[one.arm for one in each]), tmp_path, results)
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["arms"]["law, own weights-2"]["tiles"]["excess"]["seeds"] == pytest.approx([0.1, 0.2])
    assert told["arms"]["law, own weights-2"]["tiles"]["excess"]["mean"] == pytest.approx([0, 0.15])
    assert "styles" not in told["arms"]["law, own weights-2"] and told["asked"]["seeds"] == 2
    assert told["arms"]["law, own weights-2"]["ground"]["kinds"][-1] == "bog"
    text = (tmp_path / "report.md").read_text()
    names = sorted(path.stem for path in tmp_path.glob("*.png"))
    assert names == ["maps", "niches", "over-training"] and all(f"({name}.png)" in text for name in names)


@pytest.mark.parametrize(("flag", "value", "message"), [
    ("populations", (3,), "--populations 3: must divide agents=16"), ("populations", (2, 2), "each once"),
    ("games", ("peace",), "law and chaos"), ("agents", 20, "--agents 20"), ("worlds", 1, "--worlds 1"),
    ("rows", 30, "minibatch=30"), ("realms", 6, "realms=6"), ("policy", ("forager",), "--policy forager"),
    ("set", (("layout=free",),), "layout='free': training needs"), ("system", ("no:X",), "--system no:X: no module no"),
])  # fmt: skip
def test_bad_input_is_refused_before_anything_is_compiled(flag, value, message, tmp_path):
    command = Niches(populations=(1,), agents=16)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(command, **{flag: value})._filled().study(tmp_path)


@pytest.mark.slow
def test_a_study_goes_on_and_its_control_is_chance(tmp_path, monkeypatch):
    small = {
        "populations": (2,), "agents": 16, "seeds": 2, "agent_steps": 20_000, "realms": 8, "rows": 256,
        "maps": 1, "worlds": 4, "settle": 32, "ticks": 64, "out": tmp_path / "study",
    }  # fmt: skip
    assert Niches(**small).run() == 0
    told = json.loads((tmp_path / "study" / "results.json").read_text())
    assert set(told["arms"]) == {"law-2-own", "law-2-shared", "law-2-strangers"}
    assert len(told["arms"]["law-2-own"]["agent_steps"]["mean"]) > 1
    assert min(told["arms"]["law-2-shared"]["tiles"]["p"]["seeds"]) > 0.01
    (tmp_path / "study" / "cells" / "play-law-2-own-1.npz").unlink()
    monkeypatch.setattr("train.studies.specialisation.train_seeds", None)  # what is trained is not trained again
    assert Niches(resume=tmp_path / "study").run() == 0
    assert json.loads((tmp_path / "study" / "results.json").read_text()) == told
    runs = tmp_path / "study" / "runs" / "law-2-own"
    assert Niches(policy=(str(runs),), maps=1, worlds=4, settle=32, ticks=64, out=tmp_path / "given").run() == 0
    given = json.loads((tmp_path / "given" / "results.json").read_text())["arms"]["policy-0"]
    assert len(given["runs"]) == 2 and given["populations"] == 2
