"""Lineages: trees, clades and growth whose answers are known by hand."""

import numpy as np
import pytest

from train.studies import lineage as of
from train.studies.evolution import Record
from train.studies.evolving import advantage, spread

#   0 ── 2 ── 4 ── 7
#   │    └─── 5
#   └─── 3 ── 6          1 ── 8
GENOME = np.array([-1, -1, 0, 0, 2, 2, 3, 4, 1])
BIRTHS = np.array(
    [[0, tick, uid, -1, whose, 0] for uid, (tick, whose) in enumerate(zip(range(9), GENOME, strict=True))]
)
DEATHS = np.array([[0, 3, 0, 3], [0, 8, 1, 6], [0, 5, 2, 3], [0, 7, 3, 4], [0, 9, 4, 5]])


def table():
    other = np.array([[1, 4, 0, -1, -1, 0], [1, 5, 1, 0, 0, 1]])
    shuffled = np.random.default_rng(0).permutation(np.concatenate([other, BIRTHS]))
    return of.lineage(shuffled.astype(np.int32), np.concatenate([DEATHS, [[1, 6, 0, 2]]]).astype(np.int32))


def test_table():
    found = table()
    assert found.realm.tolist() == [0] * 9 + [1] * 2 and found.uid.tolist() == [*range(9), 0, 1]
    assert found.death.tolist() == [3, 8, 5, 7, 9, -1, -1, -1, -1, 6, -1]
    assert found.age.tolist() == [3, 6, 3, 4, 5, -1, -1, -1, -1, 2, -1]
    np.testing.assert_array_equal(found.of(0).genome_uid, GENOME)
    assert found.of(1).population.tolist() == [0, 1] and found.of(1).parent_uid.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("births", "deaths", "message"),
    [
        (BIRTHS[BIRTHS[:, 2] != 4], DEATHS[:1], "births: must be all births"),
        (BIRTHS, [[0, 3, 9, 3]], "deaths: of who was not born"),
        (BIRTHS, [[0, 3, 1, 3], [0, 4, 1, 4]], "deaths: of who was not born, or twice"),
        (BIRTHS, [[1, 3, 0, 3]], "deaths: of realms in which nobody was born"),
    ],
)
def test_what_is_no_table(births, deaths, message):
    with pytest.raises(ValueError, match=message):
        of.lineage(np.asarray(births, np.int32), np.asarray(deaths, np.int32))


def test_tree_by_hand():
    assert of.founders(GENOME).tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert of.depths(GENOME).tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 1]
    assert of.ancestors(GENOME, 7) == [7, 4, 2, 0] and of.ancestors(GENOME, 1) == [1]
    for members, common in (([7, 5], 2), ([7, 6], 0), ([7, 4], 4), ([5], 5), ([7, 5, 6], 0), ([7, 8], -1), ([], -1)):
        assert of.common_ancestor(GENOME, np.array(members, int)) == common


def test_trees_of_chance_against_plain_search():
    rng = np.random.default_rng(1)
    for _ in range(20):
        genome = np.array([-1] + [int(rng.integers(-1, uid)) for uid in range(1, 60)])
        lines = [of.ancestors(genome, uid) for uid in range(60)]
        assert of.founders(genome).tolist() == [line[-1] for line in lines]
        assert of.depths(genome).tolist() == [len(line) - 1 for line in lines]
        members = rng.choice(60, 4, replace=False)
        shared = set.intersection(*(set(lines[uid]) for uid in members))
        assert of.common_ancestor(genome, members) == max(shared, default=-1)


def test_clades_and_their_number():
    own = table().of(0)
    who, sizes = of.clades(own, np.array([0, 2, 3, 8, 20]))
    assert who.tolist() == [0, 1]
    assert sizes.tolist() == [[1, 0], [2, 1], [2, 1], [4, 1], [3, 1]]
    assert of.living(own, 20).nonzero()[0].tolist() == [5, 6, 7, 8]
    np.testing.assert_allclose(of.simpson(sizes[:2]), [1, 1 / (4 / 9 + 1 / 9)])
    np.testing.assert_allclose(of.shannon(np.array([[5, 5, 0], [7, 0, 0], [0, 0, 0]])), [2, 1, np.nan])
    assert np.isnan(of.simpson(np.zeros((1, 3))))


def test_growth_of_the_rare():
    assert of.growth(np.array([3, 0]), np.array([1, 0]), np.array([100, 0])).tolist()[0] == 0.02
    # Ticks 10 to 19: a resident lives on, an invader bears one in tick 12 that dies in tick 15; it dies in tick 17.
    record = Record(
        births=np.array([[0, 12, 7, 5, 5, 1]]), deaths=np.array([[0, 15, 7, 3], [0, 17, 5, 9]]), diversity=np.zeros(0)
    )
    found = spread(record, np.array([[0, 4, 0], [0, 5, 1]]), begin=10, ticks=10, realms=2)
    assert found["births"].tolist() == [[0, 1], [0, 0]] and found["deaths"].tolist() == [[0, 2], [0, 0]]
    assert found["steps"].tolist() == [[10, 8 + 3], [0, 0]]
    np.testing.assert_allclose(advantage(found), [-1 / 11, np.nan])
