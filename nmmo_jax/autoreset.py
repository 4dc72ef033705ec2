"""Realms that start anew at their horizon."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Int32

from nmmo_jax.actions import Action
from nmmo_jax.components import Realm, Tiles
from nmmo_jax.draws import Stream, fold_in
from nmmo_jax.environment import Environment, Info
from nmmo_jax.observations import Observation
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.values import check_int
from nmmo_jax.world.pool import MapPool


class Episode(flax.struct.PyTreeNode):
    """The state of an environment that starts anew: its realm, and how often it has done so."""

    realm: Realm
    number: Int32[Array, "*B"]


Step = tuple[Observation, Episode, jax.Array, jax.Array, jax.Array, Info]


class AutoReset:
    """An environment whose realm starts anew at its horizon; made by ``autoreset``."""

    def __init__(self, env: Environment, pool: MapPool | None, initial_population: int):
        if env.config.horizon is None:
            raise ValueError("horizon=None: autoreset needs Config.horizon, the tick at which a realm starts anew")
        births = check_int("initial_population", initial_population, 0, env.config.num_agents)
        self.env, self.pool, self.initial_population = env, pool, births
        self.config, self.rules = env.config, env.rules

    def __eq__(self, other: object) -> bool:
        """By value, as of environments; the pool must be the same object."""
        return self._value() == other._value() if isinstance(other, AutoReset) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def _value(self) -> tuple[Any, ...]:
        return self.env, id(self.pool), self.initial_population

    def reset(
        self,
        key: jax.Array,
        rules: Rules | None = None,
        tiles: Tiles | ArrayLike | None = None,
        initial_population: int | None = None,
    ) -> tuple[Observation, Episode]:
        """The first episode, on the map given or one from the pool."""
        number = jnp.zeros((), jnp.int32)
        births = self.initial_population if initial_population is None else initial_population
        obs, realm = self._begin(key, number, rules, tiles, births)
        return obs, Episode(realm, number)

    def step(self, key: jax.Array, episode: Episode, action: Action, rules: Rules | None = None) -> Step:
        """One tick. In the step that reaches the horizon, ``obs`` is the new episode's first observation and
        ``info.final_observation`` the old one's last; reward, flags and info are the old one's.
        """
        result = self.advance(key, episode, action, rules)
        rules = as_rules(self.rules if rules is None else rules, self.config)
        return jax.lax.cond(result[-1].horizon, self.renew, lambda _k, _r, result: result, key, rules, result)

    def advance(self, key: jax.Array, episode: Episode, action: Action, rules: Rules | None = None) -> Step:
        """One tick without starting anew."""
        if not isinstance(episode, Episode):
            raise ValueError(f"episode: {type(episode).__name__}: must be an Episode, as reset gives it")
        key = fold_in(key, episode.number)
        obs, realm, reward, terminated, truncated, info = self.env.step(key, episode.realm, action, rules)
        info = info.replace(final_observation=obs)
        return obs, episode.replace(realm=realm), reward, terminated, truncated, info

    def renew(self, key: jax.Array, rules: Rules, result: Step) -> Step:
        """What ``advance`` returned, with a realm that has reached its horizon replaced by a new one."""
        old_obs, old, reward, terminated, truncated, info = result
        number = old.number + 1
        obs, realm = self._begin(key, number, rules, None, self.initial_population)
        obs, episode = jax.tree.map(
            lambda new, old: jnp.where(info.horizon, new, old), (obs, Episode(realm, number)), (old_obs, old)
        )
        return obs, episode, reward, terminated, truncated, info

    def observe(self, episode: Episode, rules: Rules | None = None) -> Observation:
        """What the agents see now."""
        return self.env.observe(episode.realm, rules)

    def _begin(
        self, key: jax.Array, number: jax.Array, rules: Rules | None, tiles: Any, births: int
    ) -> tuple[Observation, Realm]:
        key = fold_in(key, number)
        if tiles is None and self.pool is not None:
            tiles = self.pool.sample(fold_in(key, Stream.EPISODE))
        return self.env.reset(key, rules, tiles, births)


def autoreset(env: Environment, pool: MapPool | None = None, initial_population: int = 0) -> AutoReset:
    """An environment that starts anew, on a map drawn from ``pool``, whenever it reaches ``Config.horizon``.

    Its state is an ``Episode``. Each episode has randomness of its own. ``vectorize`` takes it too, and
    then pays for new worlds only in ticks in which some realm needs one.

    Args:
      pool: maps to draw from; None: terrain is generated.
      initial_population: births at the start of every episode.

    Raises:
      ValueError: the configuration has no horizon.
    """
    return AutoReset(env, pool, initial_population)
