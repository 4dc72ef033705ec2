"""How long agents live: a policy played in worlds that it has not been trained in, without learning."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action
from nmmo_jax.common.files import Number
from nmmo_jax.components import Realm
from nmmo_jax.draws import fold_in
from nmmo_jax.environment import Environment, Info
from nmmo_jax.observations import Observation
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.vectorized import vectorize
from train.metrics import Sums, means, measure, nothing_visited, standing_on, summed, visit

_PLAY = 2**32 - 1  # what the key of the agents' chance is folded with: the number of no realm


class Lives(TypedDict):
    """What ``evaluate`` returns holds at least."""

    lifetime: Number | None


class Evaluation(TypedDict, total=False):
    """What a run's evaluation.json holds, by policy."""

    random: Lives
    forager: Lives
    planner: Lives
    trained: Lives


Act = Callable[[Any, jax.Array, Any, Any, Any], tuple[Action, Any]]


def evaluate(
    env: Environment, act: Act, params: Any, core: Any, *, realms: int, settle: int, ticks: int, seed: int
) -> dict[str, Any]:
    """Mean lifetime, population and the rest of ``train.metrics.means``, over worlds generated from a seed.

    Args:
      act: ``act(params, keys, obs, realm, core) -> action, core`` for realms ``[R, ...]``, keys of the tick; of a
        ``train.policy.Policy`` of this world, or ``scripted``.
      core: of the agents, at the start.
      settle: ticks before any are counted, so that lives that began in an empty world are over.
      ticks: that are counted; lives that end in them count.
      seed: of maps, births and play; other than that of training.
    """

    def tell(visited, tick):
        visited, first = visit(visited, tick.realm, tick.info.births)
        unvalued = jnp.zeros_like(tick.reward)
        ground = standing_on(tick.realm)
        told = measure(tick.realm, ground, first, tick.info, tick.reward, unvalued, env.rules, env.config)
        return visited, summed(told, 1)

    begin = nothing_visited(realms, env.config)
    sums: Sums = totals(env, act, params, core, tell, begin, realms=realms, settle=settle, ticks=ticks, seed=seed)
    return means(sums, {}, ticks * realms, env.config)


class Tick(NamedTuple):
    """A tick of many realms; leaves ``[R, ...]``."""

    obs: Observation
    realm: Realm  # before it
    after: Realm
    reward: Any  # float32 [R, N]
    info: Info


def totals(
    env: Environment,
    act: Act,
    params: Any,
    core: Any,
    tell: Callable[[Any, Tick], tuple[Any, Any]],
    kept: Any = (),
    *,
    realms: int,
    settle: int,
    ticks: int,
    seed: int,
) -> Any:
    """Plays as ``evaluate`` does; sums of what is told of every tick that is counted, as NumPy.

    Args:
      tell: ``tell(kept, tick) -> kept, told`` of every tick, those before any are counted, too. Inside jit.
      kept: what it is given at first.
    """
    many, key, index = vectorize(env, realms), jax.random.key(seed), jnp.arange(realms, dtype=jnp.int32)

    def one(carry, time):
        params, obs, realm, core, kept = carry
        keys = jax.vmap(lambda r, tick: fold_in(fold_in(fold_in(key, _PLAY), r), tick))(index, realm.tick)
        action, core = act(params, keys, obs, realm, core)
        seen, after, reward, _, _, info = many.step(key, realm, action)
        kept, told = tell(kept, Tick(obs, realm, after, reward, info))
        told = jax.tree.map(lambda leaf: jnp.where(time < settle, jnp.zeros_like(leaf), leaf), told)
        return (params, seen, after, core, kept), told

    @jax.jit
    def play(params, core):
        carry = (params, *many.reset(key), core, kept)
        _, told = jax.lax.scan(one, carry, jnp.arange(settle + ticks, dtype=jnp.int32))
        return jax.tree.map(lambda leaf: leaf.sum(axis=0, dtype=leaf.dtype), told)

    return jax.tree.map(np.asarray, play(params, core))


def scripted(name: str) -> Act:
    """A scripted policy; it has neither parameters nor a core."""
    return lambda params, keys, obs, realm, core: (jax.vmap(POLICIES[name])(keys, obs, realm), core)
