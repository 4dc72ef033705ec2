"""Lineages: who descends from whom, which clades grow, and how fast the rare do.

Plain NumPy over a ``Lineage``, a table with a row per birth. Trees follow ``genome_uid``, whose genome an agent
inherited: with births by living agents that is its parent.
"""

from typing import NamedTuple

import numpy as np

ALIVE = -1  # in place of the tick of a death


class Lineage(NamedTuple):
    """A row per birth, int32 ``[B]``, ordered by realm and uid; in each realm uids go from 0 without a gap."""

    realm: np.ndarray
    tick: np.ndarray  # in which it was born
    uid: np.ndarray
    parent_uid: np.ndarray  # who gave birth to it; -1: the spawn ring
    genome_uid: np.ndarray  # whose genome it has; -1: nobody's, a founder
    population: np.ndarray
    death: np.ndarray  # tick in which it left; -1: alive at the end
    age: np.ndarray  # at death, in ticks; -1: alive

    def of(self, realm: int) -> "Lineage":
        """The rows of one realm: row k is uid k."""
        own = self.realm == realm
        return Lineage(*(column[own] for column in self))


def lineage(births: np.ndarray, deaths: np.ndarray) -> Lineage:
    """One table of births ``[B, 6]`` and deaths ``[D, 4]``, as ``Evolution.run`` records them from the first tick.

    Raises:
      ValueError: births are missing, or somebody died who was not born, or twice.
    """
    births = births[np.lexsort((births[:, 2], births[:, 0]))]
    realm, tick, uid, parent_uid, genome_uid, population = births.T
    first = np.searchsorted(realm, np.arange(realm.max(initial=-1) + 1))
    if len(births) and not np.array_equal(uid, np.arange(len(uid)) - first[realm]):
        raise ValueError("births: must be all births of the realms: uids 0, 1, 2 ... of each")
    death, age = (np.full(len(births), ALIVE, np.int32) for _ in range(2))
    known = (deaths[:, 0] < len(first)) & (deaths[:, 2] >= 0)
    if not known.all():
        raise ValueError("deaths: of realms in which nobody was born")
    row = first[deaths[:, 0]] + deaths[:, 2]
    if np.unique(row).size < len(row) or (row >= len(births)).any() or (realm[row] != deaths[:, 0]).any():
        raise ValueError("deaths: of who was not born, or twice of the same")
    death[row], age[row] = deaths[:, 1], deaths[:, 3]
    return Lineage(realm, tick, uid, parent_uid, genome_uid, population, death, age)


def founders(genome_uid: np.ndarray) -> np.ndarray:
    """The founder whom each agent of a realm descends from, ``[B]``; founders are their own."""
    # Nobody is older than whom it inherited from: half of the steps are left after each round.
    root = np.where(genome_uid < 0, np.arange(len(genome_uid)), genome_uid)
    while True:
        further = root[root]
        if np.array_equal(further, root):
            return root
        root = further


def ancestors(genome_uid: np.ndarray, uid: int) -> list[int]:
    """From an agent to its founder, both included."""
    line = [uid]
    while genome_uid[line[-1]] >= 0:
        line.append(int(genome_uid[line[-1]]))
    return line


def depths(genome_uid: np.ndarray) -> np.ndarray:
    """Generations since the founder, ``[B]``."""
    depth = np.zeros(len(genome_uid), np.int32)
    for uid, whose in enumerate(genome_uid):
        if whose >= 0:
            depth[uid] = depth[whose] + 1
    return depth


def common_ancestor(genome_uid: np.ndarray, members: np.ndarray) -> int:
    """The most recent one of some agents; -1: they have none, or there is nobody."""
    line = set(map(int, members))
    while len(line) > 1:  # the youngest cannot be an ancestor of another: it gives way to whom it inherited from
        youngest = max(line)
        if genome_uid[youngest] < 0:
            return -1
        line.remove(youngest)
        line.add(int(genome_uid[youngest]))
    return line.pop() if line else -1


def living(table: Lineage, tick: int) -> np.ndarray:
    """Who was alive after a tick: a mask of the rows."""
    return (table.tick <= tick) & ((table.death == ALIVE) | (table.death > tick))


def clades(table: Lineage, ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Living descendants of every founder of a realm: the founders' uids ``[F]`` and numbers ``[T, F]``."""
    root = founders(table.genome_uid)
    who, index = np.unique(root, return_inverse=True)
    return who, np.stack([np.bincount(index[living(table, tick)], minlength=len(who)) for tick in ticks])


def shannon(sizes: np.ndarray) -> np.ndarray:
    """Effective number of clades, exp of Shannon's entropy, of sizes ``[..., F]``; NaN where nobody lives.

    Source: Hill, Diversity and evenness, Ecology 54 (1973), of order 1.
    """
    share = _shares(sizes)
    logs = np.log(share, where=share > 0, out=np.zeros_like(share))
    return np.exp(-(share * logs).sum(axis=-1))


def simpson(sizes: np.ndarray) -> np.ndarray:
    """Effective number of clades, 1 over the probability that two agents are of one, of sizes ``[..., F]``; NaN where
    nobody lives. Source: Hill (1973), of order 2.
    """
    return 1 / (_shares(sizes) ** 2).sum(axis=-1)


def growth(births: np.ndarray, deaths: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Growth rate per head and tick, of births, deaths and ticks lived ``[...]``; NaN where nobody lived.

    Of a type that is rare among residents who keep their number it is the invasion fitness: above 0 it spreads.
    Source: Metz, Nisbet and Geritz, How should we define fitness?, Trends Ecol. Evol. 7 (1992).
    """
    return np.divide(births - deaths, steps, out=np.full(np.shape(steps), np.nan), where=np.asarray(steps) > 0)


def _shares(sizes: np.ndarray) -> np.ndarray:
    total = sizes.sum(axis=-1, keepdims=True)
    return np.divide(sizes, total, out=np.full(sizes.shape, np.nan), where=total > 0)
