"""Learning to choose what a scripted policy chooses, and playing more or less decidedly than was learned.

>>> make_train(experiment("law128"), Trinity(sword=functools.partial(Cloner, teacher="planner", ticks=2_000)))
>>> load_policy("law128", sword=functools.partial(Tempered, temperature=0.5))
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, PRNGKeyArray

from nmmo_jax.actions import Action, heads
from nmmo_jax.common.spelling import near
from nmmo_jax.components import Realm
from nmmo_jax.config import ARGUMENTS, Config
from nmmo_jax.draws import fold_in, words
from nmmo_jax.observations import Observation
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.rules import Rules
from train.distributions import Choices
from train.networks import Network
from train.settings import Experiment
from train.trinity import Batch, Decision, Sword

_TAUGHT = "taught."  # before the name of an argument: what the teacher chooses there
_TEACHER, _WHO = range(2)  # what the key of a tick is folded with


class Cloner(Sword):
    """Learns to choose what a teacher chooses, in the states that it comes to itself.

    In the first ticks of a training a choice played is the teacher's with a probability that falls from 1 to 0, else
    the learner's own; learned is the teacher's, whosever was played. The value is that of what is played. What has been
    learned is a ``Sword``'s, with all that it needs to be played or to learn otherwise.

    Source: Ross, Gordon and Bagnell, A reduction of imitation learning and structured prediction to no-regret online
    learning (2011).

    Args:
      teacher: one of ``POLICIES``.
      ticks: of a realm in which the probability falls; 0: only the learner's own are played.

    Raises:
      ValueError: no such teacher, fewer than no ticks, or a horizon: ticks are counted from the beginning of a realm.
    """

    def __init__(self, experiment: Experiment, teacher: str = "forager", ticks: int = 0):
        check_teacher(teacher)
        if ticks < 0:
            raise ValueError(f"ticks={ticks}: must be at least 0")
        if (horizon := experiment.env.config.horizon) is not None:
            raise ValueError(f"horizon={horizon}: must be None to learn from a teacher")
        self.teacher, self.ticks = teacher, ticks
        # Its gradient is that of the log-probability of what was chosen, where every advantage is 1.
        settings = dataclasses.replace(experiment.settings, loss="policy_gradient", entropy_weight=0.0)
        super().__init__(dataclasses.replace(experiment, settings=settings))

    def act(
        self, params: Any, keys: PRNGKeyArray, obs: Observation, realm: Realm, rules: Rules, core: Any
    ) -> tuple[Decision, Any]:
        """As ``Sword.act``, with what the teacher chooses noted among the choices."""
        decision, core = super().act(params, keys, obs, realm, rules, core)
        teacher = taught(self.teacher, keys, obs, realm, self.config)

        def share(key, uid):  # from 0 to 1, of each agent
            return (words(fold_in(key, _WHO), uid, jnp.zeros_like(uid))[0] >> 8).astype(jnp.float32) * 2.0**-24

        left = (self.ticks - realm.tick[:, None]).astype(jnp.float32) / max(self.ticks, 1)
        mixed = jax.vmap(share)(keys, realm.agents.uid) < left
        choices = {name: jnp.where(mixed, teacher[name], own) for name, own in decision.choices.items()}
        noted = {f"{_TAUGHT}{name}": choice for name, choice in teacher.items()}
        return decision._replace(choices={**choices, **noted}), core

    def loss(self, params: Any, batch: Batch) -> tuple[Float32[Array, "P"], dict[str, Float32[Array, "P"]]]:
        """Minus the log-probability of what the teacher chooses, and the error of the value."""
        teacher = {
            name.removeprefix(_TAUGHT): choice for name, choice in batch.choices.items() if name.startswith(_TAUGHT)
        }
        return super().loss(params, batch._replace(choices=teacher, advantage=jnp.ones_like(batch.advantage)))


class Tempered(Sword):
    """Plays with logits divided by a temperature: below 1 what is probable becomes more so, near 0 nothing else is
    played.

    Raises:
      ValueError: a temperature that is not above 0.
    """

    def __init__(self, experiment: Experiment, temperature: float = 1.0):
        if not temperature > 0:
            raise ValueError(f"temperature={temperature}: must be above 0")
        self.temperature = temperature
        super().__init__(experiment)

    def make_network(self) -> Network:
        """As ``Sword.make_network``; an order of preference (integers) stays as it is."""
        network = super().make_network()

        def apply(*args: Any, **options: Any) -> Any:
            outputs, core = network.apply(*args, **options)
            logits = {name for name, leaf in outputs.items() if jnp.issubdtype(leaf.dtype, jnp.floating)} - {"value"}
            return {k: leaf / self.temperature if k in logits else leaf for k, leaf in outputs.items()}, core

        return network._replace(apply=apply)


def taught(teacher: str, keys: PRNGKeyArray, obs: Observation, realm: Realm, config: Config, again: int = 0) -> Choices:
    """What a scripted policy chooses for the agents of some realms, as a network would: int32 ``[R, N]`` by argument.

    Args:
      keys: of the tick, one per realm.
      obs, realm: ``[R, ...]``.
      again: with another number, a policy that draws by chance draws anew.
    """

    def of_one(key, obs, realm):
        action = POLICIES[teacher](fold_in(fold_in(key, _TEACHER), again), obs, realm)
        return as_choices(action, obs, config)

    return jax.vmap(of_one)(keys, obs, realm)


def as_choices(action: Action, obs: Observation, config: Config) -> Choices:
    """Actions of the agents of one realm as the choices that ``to_action`` makes them of, int32 ``[N]``.

    What is not allowed has no effect, and becomes the choice that means nothing; so do arguments of systems, of which
    scripted policies know nothing.
    """
    found: Choices = {}
    for head in heads(config):
        before = None
        for argument in head.arguments:
            mask = obs.mask[argument.name]
            given = action.named().get(argument.name) if argument.name in ARGUMENTS else None
            choice = jnp.full(mask.shape[0], argument.nothing, jnp.int32) if given is None else given
            if given is not None and argument.among == "visible":
                listed = (obs.visible_slot == given[:, None]) & (given >= 0)[:, None]
                choice = jnp.where(listed.any(axis=1), jax.lax.argmax(listed, 1, jnp.int32), argument.nothing)
            if before is not None and mask.ndim > 2:  # a row per choice of the argument before
                mask = jnp.take_along_axis(mask, before[:, None, None], axis=1)[:, 0]
            allowed = jnp.take_along_axis(mask, choice[:, None], axis=1)[:, 0]
            before = found[argument.name] = jnp.where(allowed, choice, argument.nothing).astype(jnp.int32)
    return found


def check_teacher(name: str) -> None:
    """Refuses what is no scripted policy, with the nearest that is."""
    if name not in POLICIES:
        raise ValueError(f"teacher={name!r}: allowed are {', '.join(POLICIES)}{near(name, POLICIES)}")
