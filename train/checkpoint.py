"""Checkpoints of a run: what is needed to continue it, written in whole or not at all, and the parameters alone.

A folder of checkpoints holds one folder per step. In it are the arrays, by orbax, and ``about.json``, which comes last:
without it there is no checkpoint, whatever else was written before a process was killed. It has a checksum of every
file, and is written only after all arrays have been read back.

>>> checkpoints = Checkpoints(run / FOLDER, every=100)
>>> checkpoints.save(200, {"params": params, "optimiser": optimiser, "realms": realms, "key": key}, about, lifetime)
>>> state, about = checkpoints.restore(jax.eval_shape(init, key))
"""

import json
import math
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from msgspec import Meta

from nmmo_jax.common.files import Count, Number, read_json, write_json
from nmmo_jax.common.signals import saving
from nmmo_jax.common.spelling import near
from nmmo_jax.config import RULES_VERSION
from train import distributed
from train.arrays import read_arrays, save_arrays
from train.trees import PyTree, describe, differences, leaves

FOLDER = "checkpoints"  # of a run's folder
FORMAT = 2  # of about.json and of how leaves are stored
_ABOUT = "about.json"


class Record(TypedDict):
    """What about.json holds."""

    format: int
    rules_version: int
    step: Count
    score: Number | None
    about: dict[str, Any]
    leaves: dict[str, Annotated[str, Meta(pattern=r"^[\w<>]+\[(\d{1,18}(,\d{1,18})*)?\]$")]]  # "float32[8,64]"
    arrays: Annotated[str, Meta(pattern=r"^arrays-\d+$")]  # their folder, beside it
    files: dict[str, str]  # in that, with their checksums


class Checkpoints:
    """The checkpoints of one run: the latest, the best by score, and every n-th step. One process writes them, or
    several that train as one (``train.distributed``), each its own share of the arrays.

    Only those are ever removed that this object wrote, and that are none of these.

    Attributes:
      folder: where they are; made by the first ``save``.
      every: steps divisible by this are kept for good; None: none are.
    """

    def __init__(self, folder: Path, every: int | None = None):
        if every is not None and every < 1:
            raise ValueError(f"every={every}: must be at least 1, or None")
        self.folder = Path(folder).absolute()
        self.every = every
        self._written: dict[int, float | None] = {}  # step -> score

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint, ascending."""
        return sorted(int(path.parent.name) for path in self.folder.glob(f"*/{_ABOUT}") if path.parent.name.isdecimal())

    def latest(self) -> int | None:
        """The last step; None: there is no checkpoint."""
        return max(self.steps(), default=None)

    def best(self) -> int | None:
        """The step of the highest score, the later one of equals; None: no checkpoint has a score.

        Raises:
          ValueError: one is damaged, so that its score is not known.
        """
        return _best({step: _record(self._path(step))["score"] for step in self.steps()})

    def save(self, step: int, state: PyTree, about: dict[str, Any], score: float | None = None) -> None:
        """Writes a checkpoint, reads it back, then removes those that are not kept. What was there stays until the new
        one is whole.

        Args:
          step: not before the latest; that one is replaced.
          state: a tree of arrays, JAX's (of any sharding) or NumPy's. Keys of ``jax.random.key`` are arrays as others.
          about: ready for JSON.
          score: higher is better; None or not finite: never the best.

        Raises:
          ValueError, TypeError: a step before the latest, a leaf that is not an array, a name with "." or "/", or
            ``about`` is not ready for JSON.
          OSError: it could not be written, or not be read back; what was saved before is there.
        """
        if step < (latest := self.latest() or 0):
            raise ValueError(f"step={step}: must be {latest} or later, the latest in {self.folder}")
        json.dumps(about, allow_nan=False)
        values = leaves(state)
        described = {name: describe(name, leaf) for name, leaf in values.items()}
        path, first = self._path(step), distributed.first()
        if first:
            self._clean()
        arrays = distributed.share(f"arrays-{time.time_ns()}")  # beside this step's arrays so far
        score = float(score) if score is not None and math.isfinite(score) else None

        try:
            with saving():
                path.mkdir(parents=True, exist_ok=True)
                record: Record = {
                    "format": FORMAT,
                    "rules_version": RULES_VERSION,
                    "step": int(step),
                    "score": score,
                    "about": about,
                    "leaves": described,
                    "arrays": arrays,
                    "files": save_arrays(path / arrays, values),
                }
                if first:
                    write_json(path / _ABOUT, record)
        except OSError:
            if first:
                self._clean()  # room for others
            raise
        distributed.either()  # it is whole
        if not first:
            return
        self._written[step] = score
        keep = {self.latest(), _best(self._written)}
        for other in self._written.keys() - keep:
            if self.every is None or other % self.every:
                (self._path(other) / _ABOUT).unlink(missing_ok=True)
                del self._written[other]
        self._clean()

    def restore(self, template: PyTree, step: int | None = None) -> tuple[PyTree, dict[str, Any]]:
        """The state of a step, bit for bit, and ``about`` with ``step``, ``score`` and ``rules_version``.

        Args:
          template: has the structure of the state, and at its leaves arrays or ``jax.ShapeDtypeStruct``. Their sharding
            is where the arrays go, whatever it was when they were saved; without one, or if they are not committed to
            a device, it is the default device, not committed. NumPy arrays come back as such, weak types as strong.
          step: None: the latest.

        Raises:
          ValueError: no checkpoint there, one of other rules or of another format, one that is damaged, or one that
            does not fit the template: the message says which leaves, and how they differ.
        """
        path = self._find(step)
        record = _record(path, readable=True)
        wanted = leaves(template)
        if told := differences(record["leaves"], {name: describe(name, wanted[name]) for name in wanted}):
            raise ValueError(f"{path} does not fit: {told}")
        values = read_arrays(path / record["arrays"], wanted, record["files"])
        return jax.tree.unflatten(jax.tree.structure(template), [values[name] for name in wanted]), _about(record)

    def about(self, step: int | None = None) -> dict[str, Any]:
        """What ``restore`` tells of a step (None: the latest), without its arrays.

        Raises:
          ValueError: as ``restore``.
        """
        return _about(_record(self._find(step), readable=True))

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def _find(self, step: int | None) -> Path:
        """The folder of a step, or of the latest."""
        steps = self.steps()
        if not steps:
            raise ValueError(f"{self.folder}: {'no checkpoint in it' if self.folder.is_dir() else 'no such folder'}")
        if step is not None and step not in steps:
            raise ValueError(f"{self.folder}: no checkpoint of step {step}; there are {', '.join(map(str, steps))}")
        return self._path(steps[-1] if step is None else step)

    def _clean(self) -> None:
        """Removes what has no ``about.json``, and arrays that it does not name: of saves interrupted or replaced."""
        for path in self.folder.glob("*"):
            if path.name.isdecimal() and not (path / _ABOUT).exists():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.isdecimal():
                try:
                    named = path / _record(path)["arrays"]
                except ValueError:
                    continue  # not of this version, or damaged: nothing of it is touched
                for arrays in set(path.glob("arrays-*")) - {named}:
                    shutil.rmtree(arrays, ignore_errors=True)


def load_params(path: Path, step: str | int = "best") -> tuple[PyTree, dict[str, Any]]:
    """The parameters of a checkpoint, without reading the rest of its state, on the default device.

    Args:
      path: the folder of a run, or of its checkpoints.
      step: "best" (the latest where none has a score), "latest" or a step.

    Returns:
      The ``params`` as nested dictionaries of arrays ``[P, ...]``; and ``about``, as ``Checkpoints.restore``.

    Raises:
      ValueError: as ``Checkpoints.restore``; or a state without ``params``.
    """
    if isinstance(step, str) and step not in ("best", "latest"):
        raise ValueError(f"step={step!r}: must be 'best', 'latest' or a number{near(step, ('best', 'latest'))}")
    checkpoints = Checkpoints(path / FOLDER if (path / FOLDER).is_dir() else path)
    folder = checkpoints._find(checkpoints.best() if step == "best" else None if step == "latest" else int(step))
    record = _record(folder, readable=True)
    wanted = {}
    for name, text in record["leaves"].items():
        if name.startswith("params."):
            dtype, shape = text[:-1].split("[")
            try:
                wanted[name] = jax.ShapeDtypeStruct([int(size) for size in shape.split(",") if size], jnp.dtype(dtype))
            except TypeError:
                raise ValueError(f"{folder}: {name} is of no known type: {dtype}") from None
    if not wanted:
        raise ValueError(f"{folder}: its state has no params")
    values = read_arrays(folder / record["arrays"], wanted, record["files"])
    return unflatten_dict(values, sep=".")["params"], _about(record)


def _record(path: Path, readable: bool = False) -> Record:
    """What is written beside the arrays; ``readable``: which must be of these rules."""
    try:
        record = read_json(path / _ABOUT, Record, format=FORMAT)
    except OSError as error:
        raise ValueError(f"{path / _ABOUT}: cannot be read: {error.strerror}") from None
    if readable and record["rules_version"] != RULES_VERSION:
        raise ValueError(f"{path}: made under rules_version {record['rules_version']}, and this is {RULES_VERSION}")
    return record


def _about(record: Record) -> dict[str, Any]:
    return {**record["about"], **{name: record[name] for name in ("step", "score", "rules_version")}}


def _best(scores: dict[int, float | None]) -> int | None:
    """The step of the highest score, the later of equals."""
    known = [(score, step) for step, score in scores.items() if score is not None]
    return max(known, default=(None, None))[1]
