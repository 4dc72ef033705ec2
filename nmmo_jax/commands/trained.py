"""Trained policies, for commands that may do without: the package ``train`` is imported where one is named."""

from typing import Any

from nmmo_jax.common.hidden import check_train
from nmmo_jax.environment import Environment


def load_trained(name: str, env: Environment | None = None) -> Any:
    """The ``train.policy.Policy`` of that name, for a world; None: that in which it was trained.

    Raises:
      ValueError: there is none of that name, or it does not fit the world.
    """
    check_train()
    from train.policy import load_named  # training's libraries take a second to import

    return load_named(name, env)
