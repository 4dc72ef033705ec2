"""Niches: how far populations are apart in where they are and in what they do, and how much of that is chance.

Counts are ``[..., P, K]``: how often each of P populations was in each of K places. Places are tiles, kinds of ground
or styles of attack; nothing here knows which. Logarithms are to the base 2, so that information is in bits.

Two populations that behave alike are never counted alike, so that every divergence of counts is above 0. What chance
makes of it is what is left when the labels of populations are permuted.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from nmmo_jax.config import Config
from nmmo_jax.kinds import NUM_MATERIALS, Material

GROUND = ("grass", "grass beside water", "forest", "forest beside water")  # kinds of place that agents live on
CLASSIC = Config()
SIDE = 4  # tiles, of the cells that maps are counted in: most single tiles see nobody
PERMUTATIONS = 199  # the least p is 1 / (1 + PERMUTATIONS)
_ROUNDING = 1e-9  # permutations that change nothing give sums that differ in their last bits


class Niches(NamedTuple):
    """How many niches P populations fill, against permuted labels.

    Attributes:
      observed: effective number of distinct niches, 1 to P.
      null: its mean over permutations.
      excess: observed - null; about 0 where populations behave alike.
      p: share of permutations, the observed one included, with as many niches or more.
    """

    observed: float
    null: float
    excess: float
    p: float


def shares(counts: ArrayLike) -> np.ndarray:
    """Counts ``[..., P, K]`` as shares of the population's own, float64; 0 where it was nowhere."""
    counts = np.asarray(counts, np.float64)
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)


def entropy(counts: ArrayLike) -> np.ndarray:
    """Shannon's entropy of each population's places, ``[..., P, K] -> [..., P]`` bits; NaN where it was nowhere."""
    counts = np.asarray(counts)
    return np.where(counts.sum(axis=-1) > 0, _bits(shares(counts)), np.nan)


def divergence(counts: ArrayLike) -> np.ndarray:
    """Jensen-Shannon divergence between every two populations, ``[..., P, K] -> [..., P, P]``.

    H((a + b) / 2) - (H(a) + H(b)) / 2: 0 where they are in the same places, 1 where they share none; NaN where one is
    nowhere. Source: Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 37 (1991).
    """
    share, own = shares(counts), entropy(counts)
    both = _bits((share[..., :, None, :] + share[..., None, :, :]) / 2)
    return np.clip(both - (own[..., :, None] + own[..., None, :]) / 2, 0.0, 1.0)


def effective_niches(counts: ArrayLike) -> np.ndarray:
    """Effective number of distinct niches, ``[..., P, K] -> [...]``: 1 where all are in the same places, P where no two
    share any; populations that were nowhere are left out, and NaN where all were nowhere.

    2 to the mutual information of population and place, all populations weighing the same, which is their generalised
    Jensen-Shannon divergence (Lin, 1991) and the logarithm of the beta diversity of order 1 (Jost, Partitioning
    diversity into independent alpha and beta components, Ecology 88, 2007).
    """
    share = shares(counts)
    there = share.any(axis=-1)
    number = there.sum(axis=-1)
    weight = np.maximum(number, 1)
    # A population that is nowhere adds nothing to either sum.
    information = _bits(share.sum(axis=-2) / weight[..., None]) - _bits(share).sum(axis=-1) / weight
    return np.where(number > 0, 2.0 ** np.maximum(information, 0.0), np.nan)


def niches(counts: ArrayLike, permutations: int = PERMUTATIONS, seed: int = 0) -> Niches:
    """Effective number of niches in worlds on one or several maps, tested against chance.

    If populations behave alike, it makes no difference to a world which of its P maps is whose: labels are permuted
    within each world, and independently of other worlds. Worlds are the units: what agents of one world do is not
    independent, and stays together. A population's shares in the worlds of a map are added up, not its visits: who is
    seldom seen is then no further from the others for that alone, as each world brings the same noise under any label.

    Permuted labels leave some of a difference in the null: to second order the excess is 1 - 1 / R of what there is,
    as a mean over R worlds keeps 1 / R of the variance between populations. One world says nothing (p = 1).

    Args:
      counts: ``[M, R, P, K]``: M maps, R worlds on each. The number of niches is that of each map, mean over maps.
        Where places mean the same on all maps, as kinds of ground do, all worlds can be of one: ``[1, M * R, P, K]``.
      permutations: how many, drawn with replacement.

    Returns:
      With p = (1 + b) / (1 + permutations), where b have as many niches or more (Phipson and Smyth, Permutation
      p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9, 2010); NaN where a map has nobody.

    Raises:
      ValueError: not four axes, or less than one permutation.
    """
    share = shares(counts)
    if share.ndim != 4 or 0 in share.shape:
        raise ValueError(f"counts: shape {share.shape}: must be [maps, worlds, populations, places], none of them 0")
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: must be at least 1")
    maps, worlds, populations, places = share.shape
    generator = np.random.default_rng(seed)
    observed = float(effective_niches(share.sum(axis=1)).mean())
    null = np.zeros(permutations)
    for one in share:
        order = generator.random((permutations, worlds, populations)).argsort(axis=-1)
        # As a matrix it adds up all permutations at once: [permutations * P, worlds * P] times [worlds * P, K].
        chosen = (order[..., None] == np.arange(populations)).swapaxes(1, 2).reshape(permutations * populations, -1)
        mixed = chosen.astype(np.float64) @ one.reshape(-1, places)
        null += effective_niches(mixed.reshape(permutations, populations, places)) / maps
    if not np.isfinite(observed):
        return Niches(*[np.nan] * 4)
    p = (1 + int((null >= observed - _ROUNDING).sum())) / (1 + permutations)
    return Niches(observed, float(null.mean()), observed - float(null.mean()), p)


def cells_of(visits: ArrayLike, side: int = SIDE) -> np.ndarray:
    """Visits of tiles ``[..., rows, columns]`` in cells of side x side tiles, ``[..., K]``; the last may be cut."""
    visits = np.asarray(visits)
    rows, columns = visits.shape[-2:]
    sums = np.add.reduceat(visits, np.arange(0, rows, side), axis=-2)
    sums = np.add.reduceat(sums, np.arange(0, columns, side), axis=-1)
    return sums.reshape(*visits.shape[:-2], -1)


def ground_names(config: Config = CLASSIC) -> tuple[str, ...]:
    """The kinds of ground of a world: ``GROUND``, then what else its systems let agents stand on."""
    return (*GROUND, *(config.material_names[number] for number in _of_systems(config)))


def ground_of(visits: ArrayLike, material: np.ndarray, config: Config = CLASSIC) -> np.ndarray:
    """Visits of tiles ``[..., rows, columns]`` by kind of ground, ``[..., K]`` in the order of ``ground_names``.

    Args:
      material: ``[rows, columns]`` underlying materials; a forest is one whether it is ready or not. Scrub that does
        not grow back counts as grass: it feeds nobody either. Beside water: one of the four next tiles is.
      config: of the world.
    """
    visits = np.asarray(visits)
    water = np.pad(material == Material.WATER, 1)
    beside = water[:-2, 1:-1] | water[2:, 1:-1] | water[1:-1, :-2] | water[1:-1, 2:]
    forest, bare = material == Material.FOREST, np.isin(material, (Material.GRASS, Material.SCRUB))
    own = [material == number for number in _of_systems(config)]
    kinds = np.stack([bare & ~beside, bare & beside, forest & ~beside, forest & beside, *own])
    return (visits.reshape(*visits.shape[:-2], -1) @ kinds.reshape(len(kinds), -1).T.astype(visits.dtype)).astype(
        visits.dtype
    )


def _of_systems(config: Config) -> list[int]:
    return [number for number in config.walkable if number >= NUM_MATERIALS]


def _bits(share: np.ndarray) -> np.ndarray:
    """Entropy over the last axis; 0 log 0 is 0."""
    return -xlogy(share, share).sum(axis=-1) / np.log(2.0)
