"""Checkpoints of a run: what is needed to continue it, written in whole or not at all, and the parameters alone.

A folder of checkpoints holds one folder per step. In it are the arrays, by orbax, and ``about.json``, which comes last:
without it there is no checkpoint, whatever else was written before a process was killed.

>>> checkpoints = Checkpoints(run / FOLDER, every=100)
>>> checkpoints.save(200, {"params": params, "optimiser": optimiser, "realms": realms, "key": key}, about, lifetime)
>>> state, about = checkpoints.restore(jax.eval_shape(init, key))
"""

import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import unflatten_dict

from nmmo_jax.config import RULES_VERSION
from nmmo_jax.files import write_json

PyTree = Any
Leaf = Any  # jax.Array, np.ndarray or jax.ShapeDtypeStruct

FOLDER = "checkpoints"  # of a run's folder
FORMAT = 1  # of about.json and of how leaves are stored
_ABOUT = "about.json"

logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells of what it does, and of choices that are ours


class Checkpoints:
    """The checkpoints of one run: the latest, the best by score, and every n-th step. One process writes them.

    Attributes:
      folder: where they are; made by the first ``save``.
      every: steps divisible by this are kept for good; None: none are.
    """

    def __init__(self, folder: Path, every: int | None = None):
        if every is not None and every < 1:
            raise ValueError(f"every={every}: must be at least 1, or None")
        self.folder = Path(folder).absolute()
        self.every = every

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint, ascending."""
        return sorted(int(path.parent.name) for path in self.folder.glob(f"*/{_ABOUT}") if path.parent.name.isdecimal())

    def latest(self) -> int | None:
        """The last step; None: there is no checkpoint."""
        return max(self.steps(), default=None)

    def best(self) -> int | None:
        """The step of the highest score, the later one of equals; None: no checkpoint has a score."""
        scores = [(_record(self._path(step))["score"], step) for step in self.steps()]
        return max([pair for pair in scores if pair[0] is not None], default=(None, None))[1]

    def save(self, step: int, state: PyTree, about: dict[str, Any], score: float | None = None) -> None:
        """Writes a checkpoint, then removes those that are not kept. What was there stays until the new one is whole.

        Args:
          step: not before the latest; that one is replaced.
          state: a tree of arrays, JAX's (of any sharding) or NumPy's. Keys of ``jax.random.key`` are arrays as others.
          about: ready for JSON.
          score: higher is better; None or not finite: never the best.

        Raises:
          ValueError, TypeError: a step before the latest, a leaf that is not an array, a name with "." or "/", or
            ``about`` is not ready for JSON.
        """
        if step < (latest := self.latest() or 0):
            raise ValueError(f"step={step}: must be {latest} or later, the latest in {self.folder}")
        json.dumps(about, allow_nan=False)
        leaves = _leaves(state)
        record = {
            "format": FORMAT,
            "rules_version": RULES_VERSION,
            "step": int(step),
            "score": float(score) if score is not None and math.isfinite(score) else None,
            "about": about,
            "leaves": {name: _describe(name, leaf) for name, leaf in leaves.items()},
        }
        keys_as_data = {name: jax.random.key_data(leaf) if _is_key(leaf) else leaf for name, leaf in leaves.items()}
        values = {name: value for name, value in keys_as_data.items() if value.size}  # orbax takes no empty arrays
        self._clean()
        path = self._path(step)
        path.mkdir(parents=True, exist_ok=True)
        record["arrays"] = f"arrays-{time.time_ns()}"  # beside this step's arrays so far

        def write():
            with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
                orbax.save(path / record["arrays"], args=ocp.args.PyTreeSave(values))
            write_json(path / _ABOUT, record)

        with ThreadPoolExecutor(1) as pool:  # which is waited for, also at Ctrl-C
            pool.submit(write).result()

        keep = {self.latest(), self.best()}
        for other in self.steps():
            if other not in keep and (self.every is None or other % self.every):
                (self._path(other) / _ABOUT).unlink()
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
        wanted = _leaves(template)
        if differences := _differences(record["leaves"], {name: _describe(name, wanted[name]) for name in wanted}):
            raise ValueError(f"{path} does not fit: {differences}")
        values = _read(path / record["arrays"], wanted)
        return jax.tree.unflatten(jax.tree.structure(template), list(values.values())), record["about"]

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
                for arrays in set(path.glob("arrays-*")) - {path / _record(path)["arrays"]}:
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
        raise ValueError(f"step={step!r}: must be 'best', 'latest' or a number")
    checkpoints = Checkpoints(path / FOLDER if (path / FOLDER).is_dir() else path)
    folder = checkpoints._find(checkpoints.best() if step == "best" else None if step == "latest" else int(step))
    record = _record(folder, readable=True)
    wanted = {}
    for name, text in record["leaves"].items():
        if name.startswith("params."):
            dtype, shape = text[:-1].split("[")
            wanted[name] = jax.ShapeDtypeStruct([int(size) for size in shape.split(",") if size], jnp.dtype(dtype))
    if not wanted:
        raise ValueError(f"{folder}: its state has no params")
    return unflatten_dict(_read(folder / record["arrays"], wanted), sep=".")["params"], record["about"]


def pick(params: PyTree, populations: Sequence[int]) -> PyTree:
    """The parameters of some populations, in that order: arrays ``[P, ...]`` become ``[len(populations), ...]``.

    Raises:
      ValueError: no population, one that is not there, or leaves that differ in the number of populations.
    """
    sizes = {name: leaf.shape[0] if leaf.shape else 0 for name, leaf in _leaves(params).items()}
    count = min(sizes.values(), default=0)
    for name, size in sizes.items():
        if size != count:
            raise ValueError(f"{name}: has {size} populations, where another leaf has {count}")
    if not len(populations) or not all(0 <= population < count for population in populations):
        raise ValueError(f"populations={list(populations)}: must be one or more of 0 to {count - 1}")
    return jax.tree.map(lambda leaf: leaf[np.asarray(populations)], params)


def combine(params: Sequence[PyTree]) -> PyTree:
    """The populations of several trees of parameters as those of one, in that order.

    Raises:
      ValueError: no tree, or trees that are not of the same network: the message says which leaves differ, and how.
    """
    if not params:
        raise ValueError("params=[]: must be at least one tree")
    trees = []
    for index, tree in enumerate(params):
        try:
            trees.append(fit(tree, params[0]))
        except ValueError as error:
            message = f"params[{index}] does not fit params[0], population by population: {error}"
            raise ValueError(message) from None
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *trees)


def fit(params: PyTree, template: PyTree) -> PyTree:
    """Parameters in the structure of a template, which may have another number of populations.

    Raises:
      ValueError: they are not of the same network: the message says which leaves differ, and how.
    """
    leaves, wanted = _leaves(params), _leaves(template)
    there, here = ({name: _describe(name, leaf, 1) for name, leaf in some.items()} for some in (leaves, wanted))
    if differences := _differences(there, here):
        raise ValueError(differences)
    return jax.tree.unflatten(jax.tree.structure(template), [leaves[name] for name in wanted])


def _leaves(tree: PyTree) -> dict[str, Leaf]:
    """The leaves by path, ``params.encoder.kernel``, in the order of the tree."""
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name.count(".") != len(path) - 1 or "/" in name:
            raise ValueError(f"{jax.tree_util.keystr(path) or 'state'}: must have a name, without '.' and '/'")
        leaves[name] = leaf
    return leaves


def _describe(name: str, leaf: Leaf, first_axis: int = 0) -> str:
    """Type and shape, ``float32[8,64]``."""
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct):
        raise ValueError(f"{name}: must be an array, and is {type(leaf).__name__}")
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape[first_axis:]))}]"


def _differences(there: dict[str, str], wanted: dict[str, str]) -> str:
    """How leaves differ from those wanted: how many do, and the first few. Empty: they fit."""
    result = [f"{name} is missing" for name in wanted if name not in there]
    result += [f"{name} is unexpected" for name in there if name not in wanted]
    for name in [name for name, text in wanted.items() if there.get(name, text) != text]:
        what = "shape" if there[name].split("[")[0] == wanted[name].split("[")[0] else "dtype"
        result.append(f"{name} differs in {what}, {there[name]} in place of {wanted[name]}")
    return f"{len(result)} of its leaves: {'; '.join(result[:5])}{'; ...' if len(result) > 5 else ''}" if result else ""


def _is_key(leaf: Leaf) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _read(arrays: Path, wanted: dict[str, Leaf]) -> dict[str, jax.Array | np.ndarray]:
    """The arrays of these names and no others, placed as wanted."""
    place = {name: _sharding(leaf) for name, leaf in wanted.items()}
    how = {
        name: ocp.ArrayRestoreArgs(sharding=place[name]) if place[name] else ocp.RestoreArgs(restore_type=np.ndarray)
        for name, leaf in wanted.items()
        if leaf.size
    }
    args = ocp.args.PyTreeRestore(item=how, restore_args=how, partial_restore=True)
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
            values = orbax.restore(arrays, args=args)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{arrays} is damaged: {error}") from error
    return {name: _placed(values.get(name), leaf, place[name]) for name, leaf in wanted.items()}


def _sharding(leaf: Leaf) -> jax.sharding.Sharding | None:
    """Where the template wants the array; None: it does not say."""
    return getattr(leaf, "sharding", None) if getattr(leaf, "committed", True) else None


def _placed(value: Any, leaf: Leaf, sharding: jax.sharding.Sharding | None) -> jax.Array | np.ndarray:
    """A value as read (None: an empty array) as the template has it."""
    if value is None:
        plain = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        value = np.zeros(plain.shape, plain.dtype)
    if isinstance(leaf, np.ndarray | np.generic):
        return value
    value = jax.device_put(value, sharding)
    if not _is_key(leaf):
        return value
    names: list[Any] = []  # the implementation's, of a template that may be a shape only
    jax.eval_shape(lambda key: names.append(jax.random.key_impl(key)), leaf)
    return jax.random.wrap_key_data(value, impl=names[0])


def _record(path: Path, readable: bool = False) -> dict[str, Any]:
    """What is written beside the arrays; ``readable``: which must be of these rules."""
    try:
        record = json.loads((path / _ABOUT).read_text())
        form, rules = record["format"], record["rules_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path / _ABOUT}: not that of a checkpoint: {error}") from error
    if form != FORMAT:
        raise ValueError(f"{path}: a checkpoint of format {form}, and this version reads format {FORMAT}")
    if readable and rules != RULES_VERSION:
        raise ValueError(f"{path}: made under rules_version {rules}, and this is {RULES_VERSION}")
    record["about"] |= {name: record[name] for name in ("step", "score", "rules_version")}
    return record
