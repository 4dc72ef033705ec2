"""Trees of arrays by the names of their leaves: what is in them, how two differ, and parameters put together."""

import math
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

PyTree = Any
Leaf = Any  # jax.Array, np.ndarray or jax.ShapeDtypeStruct


def pick(params: PyTree, populations: Sequence[int]) -> PyTree:
    """The parameters of some populations, in that order: arrays ``[P, ...]`` become ``[len(populations), ...]``.

    Raises:
      ValueError: no population, one that is not there, or leaves that differ in the number of populations.
    """
    sizes = {name: leaf.shape[0] if leaf.shape else 0 for name, leaf in leaves(params).items()}
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


def fit(params: PyTree, template: PyTree, grow: bool = False) -> PyTree:
    """Parameters in the structure of a template, which may have another number of populations.

    Args:
      grow: whether leaves that are missing are those of the template, whose numbers then must be known: of a network
        that reads or chooses more, because its world has more systems.

    Raises:
      ValueError: they are not of the same network: the message says which leaves differ, and how.
    """
    own, wanted = leaves(params), leaves(template)
    if grow and own:
        number = len(next(iter(own.values())))
        new = {name: leaf for name, leaf in wanted.items() if name not in own}
        own |= {name: leaf[np.arange(number) % len(leaf)] for name, leaf in new.items()}
    there, here = ({name: describe(name, leaf, 1) for name, leaf in some.items()} for some in (own, wanted))
    if told := differences(there, here):
        raise ValueError(told)
    return jax.tree.unflatten(jax.tree.structure(template), [own[name] for name in wanted])


def leaves(tree: PyTree) -> dict[str, Leaf]:
    """The leaves by path, ``params.encoder.kernel``, in the order of the tree."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name.count(".") != len(path) - 1 or "/" in name:
            raise ValueError(f"{jax.tree_util.keystr(path) or 'state'}: must have a name, without '.' and '/'")
        found[name] = leaf
    return found


def describe(name: str, leaf: Leaf, first_axis: int = 0) -> str:
    """Type and shape, ``float32[8,64]``."""
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct):
        raise ValueError(f"{name}: must be an array, and is {type(leaf).__name__}")
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape[first_axis:]))}]"


def differences(there: dict[str, str], wanted: dict[str, str]) -> str:
    """How leaves differ from those wanted: how many do, and the first few. Empty: they fit."""
    result = [f"{name} is missing" for name in wanted if name not in there]
    result += [f"{name} is unexpected" for name in there if name not in wanted]
    for name in [name for name, text in wanted.items() if there.get(name, text) != text]:
        what = "shape" if there[name].split("[")[0] == wanted[name].split("[")[0] else "dtype"
        result.append(f"{name} differs in {what}, {there[name]} in place of {wanted[name]}")
    return f"{len(result)} of its leaves: {'; '.join(result[:5])}{'; ...' if len(result) > 5 else ''}" if result else ""


def is_key(leaf: Leaf) -> bool:
    """Whether it is an array of ``jax.random.key``."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


class Packed(flax.struct.PyTreeNode):
    """Arrays ``[*B, R, ...]`` of 32 bits as one: what a loop keeps of each turn is then written at once."""

    words: Int32[Array, "*B R K"]
    layout: Any = flax.struct.field(pytree_node=False)  # structure, shapes after R, types

    @classmethod
    def of(cls, tree: Any) -> "Packed":
        """Of arrays ``[R, ...]``."""
        leaves, structure = jax.tree.flatten(tree)
        words = [jax.lax.bitcast_convert_type(leaf, jnp.int32).reshape(len(leaf), -1) for leaf in leaves]
        layout = structure, tuple((leaf.shape[1:], leaf.dtype) for leaf in leaves)
        return cls(jnp.concatenate(words, axis=1), layout)

    def apart(self) -> Any:
        """The arrays."""
        structure, leaves = self.layout
        ends = np.cumsum([math.prod(shape) for shape, _ in leaves])
        words = jnp.split(self.words, ends[:-1], axis=-1)
        return structure.unflatten(
            jax.lax.bitcast_convert_type(word.reshape(*word.shape[:-1], *shape), dtype)
            for word, (shape, dtype) in zip(words, leaves, strict=True)
        )
