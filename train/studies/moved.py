"""Policies of a study that is resumed somewhere else: found where they lie now, and known by what is in them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from nmmo_jax.common.files import checksum
from nmmo_jax.common.spelling import near
from nmmo_jax.policies.workers import SCRIPTS
from train.checkpoint import load_params
from train.policy import find
from train.studies.entrants import in_package, replicates


def identity(name: str) -> str:
    """What a policy is, wherever it lies: the step of its checkpoint, and a checksum of its parameters."""
    params, about = load_params(find(name))
    arrays = {leaf: np.asarray(values) for leaf, values in flatten_dict(params, sep=".").items()}
    return f"step {about['step']}, parameters {checksum(arrays)[:16]}"


def made_of(names: Sequence[str]) -> dict[str, str]:
    """What the trained of these policies are (``identity``), by their names or folders, ready for JSON."""
    return {one: identity(one) for name in names if name not in SCRIPTS for one in replicates(name)}


def places(names: Sequence[str], study: Path, before: str | None, told: Sequence[str]) -> dict[str, str]:
    """Where policies lie, by the names that a study knows them by: folders from the root.

    A policy lies where it is said to; or, if the study's folder has been moved, at the same place as seen from that; or
    where it lay.

    Args:
      study: its folder.
      before: where that was when the names were written.
      told: ``OLD=NEW``, folders of policies or folders that these are in.

    Raises:
      ValueError: nothing is there, or ``told`` is of no policy.
    """
    trained = [name for name in dict.fromkeys(names) if not in_package(name)]
    moves = [_move(text, trained) for text in told]
    found = {}
    for name in trained:
        place = next((new / Path(name).relative_to(old) for old, new in moves if Path(name).is_relative_to(old)), None)
        if place is None:
            beside = study.resolve() / os.path.relpath(name, before or study.resolve())
            place = beside if beside.is_dir() else Path(name)
        if not place.is_dir():
            raise ValueError(
                f"--resume {study}: no policy is in {place} any more; --moved {name}=FOLDER tells where it is"
            )
        found[name] = os.path.realpath(place)
    return found


def _move(text: str, names: Sequence[str]) -> tuple[Path, Path]:
    parts = text.split("=")  # folders may have a = in their names
    for number in range(1, len(parts)):
        old, new = Path("=".join(parts[:number])).resolve(), "=".join(parts[number:])
        if new and any(Path(name).is_relative_to(old) for name in names):
            return old, Path(new)
    told = f"must be OLD=NEW, OLD {' or '.join(names) or 'a policy'} or a folder that it is in"
    raise ValueError(f"--moved {text}: {told}{near(parts[0], names)}")


def same(there: Any, now: dict[str, str]) -> bool:
    """Whether policies are those that a study was begun with, in the same order."""
    return isinstance(there, dict) and list(there.values()) == list(now.values())
