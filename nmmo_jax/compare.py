"""Whether two results are the same, in all that means something."""

from typing import Any

import jax
import numpy as np

from nmmo_jax.components import Realm


def check_same(one: Any, other: Any, told: str) -> None:
    """Raises where two results differ, in places that mean something."""
    one, other = (blank_leftovers(jax.device_get(tree)) for tree in (one, other))
    pairs = zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True)
    for (path, a), b in pairs:
        if not np.array_equal(np.asarray(a), np.asarray(b)):
            raise AssertionError(f"{told}: {jax.tree_util.keystr(path)}")


def blank_leftovers(tree: Any) -> Any:
    """With the leftovers of empty slots made equal, wherever there is a realm."""

    def blank(node: Any) -> Any:
        if not isinstance(node, Realm):
            return node
        alive = node.agents.alive
        agents = jax.tree.map(lambda column: np.where(alive, column, 0), node.agents)
        return node.replace(agents=agents)

    return jax.tree.map(blank, tree, is_leaf=lambda node: isinstance(node, Realm))
