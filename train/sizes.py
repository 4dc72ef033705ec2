"""What a training keeps, in bytes by part, known before anything is compiled."""

from typing import Any

import jax

from nmmo_jax.vectorized import vectorize
from train.loop import Train
from train.rollouts import play
from train.settings import Experiment
from train.trinity import Trinity


def parts(train: Train) -> dict[str, int]:
    """Bytes of what lasts, of all realms and populations together.

    Returns:
      ``state`` of the realms with their rules; ``exploration``, see ``Config.exploration``; ``observations`` of a
      rollout; ``memory`` of agents with a recurrent core; ``parameters`` and ``optimiser``.
    """
    state = jax.eval_shape(train.init, jax.random.key(0))
    worlds = state.worlds
    return {
        "state": nbytes((worlds.world, worlds.rules)),
        "exploration": nbytes(worlds.visited),
        "observations": nbytes(worlds.observed),
        "memory": nbytes(worlds.core),
        "parameters": nbytes(state.params),
        "optimiser": nbytes(state.optimiser),
    }


def rollout_bytes(experiment: Experiment, train: Train) -> int:
    """Of a rollout of all realms without its observations: what was chosen, expected and rewarded.

    Raises:
      ValueError: a world with a horizon, in which rollouts are made otherwise.
    """
    if experiment.env.config.horizon is not None:
        raise ValueError(f"horizon={experiment.env.config.horizon}: must be None")
    levels, key = Trinity().of(experiment), jax.random.key(0)
    many, state = vectorize(levels.god.env, experiment.settings.realms), jax.eval_shape(train.init, key)

    def rollout(params, worlds):
        return play(levels, params, worlds, many, key, key)[1]

    return nbytes(jax.eval_shape(rollout, state.params, state.worlds))


def check_fits(experiment: Experiment, found: dict[str, int], available: int) -> None:
    """Refuses a training that cannot fit, however well it is compiled: what it keeps, and a gradient.

    Args:
      found: of ``parts``.
      available: bytes.

    Raises:
      ValueError: names what takes most, and what would make it less.
    """
    config, settings = experiment.env.config, experiment.settings
    needed = sum(found.values()) + found["parameters"]
    if needed <= available:
        return
    largest = max(found, key=lambda name: found[name])
    networks = f"num_populations={config.num_populations} with shared_weights={settings.options.shared_weights}"
    blame, remedy = {
        "exploration": (f"exploration={config.exploration}", "False keeps none of it"),
        "parameters": (networks, "fewer populations, a smaller hidden, or shared weights"),
        "optimiser": (networks, "fewer populations, a smaller hidden, or shared weights"),
    }.get(largest, (f"realms={settings.realms}, ticks={settings.ticks}", "fewer of them"))
    raise ValueError(
        f"{blame}: training keeps at least {needed / 1e9:,.1f} GB, {found[largest] / 1e9:,.1f} of them "
        f"{largest}, and {available / 1e9:,.1f} GB are free: {remedy}"
    )


def nbytes(tree: Any) -> int:
    """Of all arrays, or shapes of arrays, of a tree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
