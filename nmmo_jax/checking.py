"""What ``check_system`` plays with and compares: senseless actions, what has happened, whether results are the same."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action, heads, number_of_things
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.environment import Info
from nmmo_jax.goals import goals, with_steps
from nmmo_jax.observations import Observation, thing_at
from nmmo_jax.paths import FAR
from nmmo_jax.system import System


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


def senseless(rng: np.random.Generator, obs: Observation, config: Config) -> Action:
    """A random action of one realm: half of what systems offer is chosen of what is allowed, a part is out of range."""
    n, choices = config.num_agents, {}
    for argument in (argument for head in heads(config) for argument in head.arguments):
        choice = rng.integers(0, number_of_things(argument, config), n)
        mask = np.asarray(obs.mask[argument.name])
        if mask.ndim == 2:
            allowed = (rng.random(mask.shape) * mask).argmax(axis=1).astype(np.int32)
            choice = np.where(rng.random(n) < 0.5, thing_at(jnp.asarray(allowed), argument, obs, config), choice)
        wild = rng.integers(-(2**31), 2**31, n)
        choices[argument.name] = np.where(rng.random(n) < 0.1, wild, choice).astype(np.int32)
    return Action.from_named({name: jnp.asarray(choice) for name, choice in choices.items()})


def exercised(
    system: System, obs: Observation | None = None, info: Info | None = None, config: Config | None = None
) -> set[str]:
    """What of a system happened in a tick of one realm; without one, all that there is."""
    if obs is None or info is None or config is None:
        names = {"event": system.events, "death by": system.causes, "change of": system.stats}
        names["choice of"] = tuple(one.name for one in system.arguments)
        names["goal"] = tuple(goal.name for goal in system.goals)
        return {f"{what} {name}" for what, some in names.items() for name in some}
    deeds, causes = info.outcome.of[system.name], np.unique(np.asarray(info.cause))
    found = {f"event {name}" for name, one in deeds.events.items() if np.asarray(one.happened).any()}
    found |= {f"death by {config.cause_names[cause]}" for cause in causes}
    found |= {f"change of {stat}" for some in (deeds.gained, deeds.lost) for stat, one in some.items() if one.any()}
    if system.goals:
        steps = np.asarray(_with_steps(obs, config).steps)
        found |= {f"goal {one.name}" for index, one in enumerate(goals(config)) if (steps[:, index] < FAR).any()}
    return found | {f"choice of {one.name}" for one in system.arguments if (obs.mask[one.name].sum(axis=-1) > 1).any()}


_with_steps = jax.jit(with_steps, static_argnums=1)
