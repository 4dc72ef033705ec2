"""JaxMARL: one world as a ``MultiAgentEnv``, pure and compiled, an agent for every place."""

import functools
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int32

from nmmo_jax.adapters.spaces import MOST, as_vector, choices_of, joint_mask, joint_size, vector_size
from nmmo_jax.common.extras import need
from nmmo_jax.components import Realm, Tiles
from nmmo_jax.draws import Stream, fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.observations import Observation, to_action
from nmmo_jax.values import check_int
from nmmo_jax.world.pool import MapPool

_base: Any = need("jaxmarl.environments.multi_agent_env", "jaxmarl", "jaxmarl")
_spaces: Any = need("jaxmarl.environments.spaces", "jaxmarl", "jaxmarl")


class State(flax.struct.PyTreeNode):
    """A world, and what its agents see."""

    done: Bool[Array, ""]  # at its horizon
    step: Int32[Array, ""]  # ticks
    realm: Realm
    obs: Observation


class MarlEnv(_base.MultiAgentEnv):
    """One world; ``jax.vmap`` plays many.

    >>> env = MarlEnv(nmmo_jax.make("law", horizon=512))
    >>> obs, state = env.reset(jax.random.key(0))
    >>> obs, state, rewards, dones, infos = env.step(key, state, actions)

    ``agent_i`` is place i. Observations are float32 vectors (``as_vector``), an action is one number: ``Discrete`` over
    all combinations of the arguments, the last of them fastest (``np.ravel_multi_index``); ``get_avail_actions`` tells
    which are allowed. ``dones["agent_i"]`` is True in the step in which the agent leaves, and as long as the place is
    empty, as of the dead of other worlds of JaxMARL; its observation is then zeros, or already the next agent's, if
    that one was born in the same tick. ``dones["__all__"]`` is True at ``Config.horizon``, in the step in which it
    starts anew; without a horizon never. ``infos`` has ``[num_agents]`` arrays: ``alive`` now; ``acted``, ``age``
    (ticks), ``truncated`` of who held the place before.

    Args:
      env: configuration and rules.
      tiles: the map: materials ``[rows, columns]``, ``Tiles``, or a pool from which one is drawn for every world. None:
        terrain is generated, whenever a world starts.
      initial_population: births before the first tick. None: one for every place.
      arguments: what an action chooses, in this order; the others mean nothing. None: all.

    Raises:
      ValueError: names the argument, its value and what is allowed.
    """

    def __init__(
        self,
        env: Environment,
        tiles: MapPool | Tiles | ArrayLike | None = None,
        initial_population: int | None = None,
        arguments: Sequence[str] | None = None,
    ):
        if not isinstance(env, Environment):
            raise ValueError(f"env={env!r}: must be an Environment; JaxMARL starts it anew at its horizon")
        config, births = env.config, initial_population
        super().__init__(num_agents=config.num_agents)
        births = config.num_agents if births is None else check_int("initial_population", births, 0, config.num_agents)
        self.env, self.config, self.chosen = env, config, choices_of(config, arguments)
        self._tiles = tiles if tiles is None or isinstance(tiles, Tiles | MapPool) else np.asarray(tiles)
        self._births, number, size = births, joint_size(self.chosen), vector_size(config)
        self.observation_spaces = {
            agent: _spaces.Box(-float(MOST), float(MOST), (size,), jnp.float32) for agent in self.agents
        }
        self.action_spaces = {agent: _spaces.Discrete(number) for agent in self.agents}
        jax.eval_shape(self._new, jax.random.key(0))  # checks the map, whose values are known here

    @functools.partial(jax.jit, static_argnums=0)
    def reset(self, key: jax.Array) -> tuple[dict[str, jax.Array], State]:
        """A new world."""
        state = self._new(key)
        return self.get_obs(state), state

    @functools.partial(jax.jit, static_argnums=0)
    def step(
        self, key: jax.Array, state: State, actions: dict[str, jax.Array], reset_state: State | None = None
    ) -> tuple[dict[str, jax.Array], State, dict[str, jax.Array], dict[str, jax.Array], dict[str, jax.Array]]:
        """One tick, and a new world at the horizon, as JaxMARL's own; but new worlds are made in those ticks only in
        which one of all that are stepped together needs one.
        """
        key, key_reset = jax.random.split(key)
        _, after, rewards, dones, infos = self.step_env(key, state, actions)
        if self.config.horizon is not None:
            after = self._renewed(key_reset, dones["__all__"], after, reset_state)
        return self.get_obs(after), after, rewards, dones, infos

    def step_env(
        self, key: jax.Array, state: State, actions: dict[str, jax.Array]
    ) -> tuple[dict[str, jax.Array], State, dict[str, jax.Array], dict[str, jax.Array], dict[str, jax.Array]]:
        """One tick, without starting anew."""
        if not isinstance(actions, dict) or set(actions) != set(self.agents):
            told = sorted(set(self.agents) ^ set(actions))[:3] if isinstance(actions, dict) else type(actions).__name__
            raise ValueError(f"actions: {told}: must be a dict with one whole number for each of agents")
        joint = jnp.stack([jnp.asarray(actions[agent]) for agent in self.agents])
        if joint.shape != (self.num_agents,) or not jnp.issubdtype(joint.dtype, jnp.integer):
            told = f"{joint.dtype} of shape {joint.shape[1:]} each"
            raise ValueError(f"actions: {told}: must be one whole number for each of agents")
        sizes = [one.size for one in self.chosen]
        columns = jnp.unravel_index(jnp.clip(joint, 0, joint_size(self.chosen) - 1), sizes)
        choices = {one.name: column.astype(jnp.int32) for one, column in zip(self.chosen, columns, strict=True)}
        action = to_action(choices, state.obs, self.config)
        obs, realm, reward, terminated, truncated, info = self.env.step(key, state.realm, action)
        after = State(info.horizon, realm.tick, realm, obs)
        alive = realm.agents.alive
        gone = terminated | truncated | ~alive | info.horizon
        infos = {"alive": alive, "acted": info.acted, "age": info.age, "truncated": truncated}
        dones = self._by_agent(gone) | {"__all__": info.horizon}
        return self.get_obs(after), after, self._by_agent(reward), dones, infos

    def get_obs(self, state: State) -> dict[str, jax.Array]:
        """What the agents of a state see, float32 vectors."""
        return self._by_agent(as_vector(state.obs, self.config))

    @functools.partial(jax.jit, static_argnums=0)
    def get_avail_actions(self, state: State) -> dict[str, jax.Array]:
        """Which actions are allowed, bool, of every agent; of empty places those that mean nothing."""
        return self._by_agent(joint_mask(state.obs.mask, self.chosen))

    @property
    def name(self) -> str:
        """Of the world."""
        return "nmmo_jax"

    @property
    def agent_classes(self) -> dict[str, list[str]]:
        """The agents of every population, whose places are known in layout ``blocks``; else all."""
        if self.config.layout == "free":
            return {"agents": self.agents}
        block = self.config.num_agents // self.config.num_populations
        return {
            f"population_{index}": self.agents[index * block : (index + 1) * block]
            for index in range(self.config.num_populations)
        }

    def _by_agent(self, column: jax.Array) -> dict[str, jax.Array]:
        return {agent: column[place] for place, agent in enumerate(self.agents)}

    def _new(self, key: jax.Array) -> State:
        tiles = self._tiles
        if isinstance(tiles, MapPool):
            tiles = tiles.sample(fold_in(key, Stream.EPISODE))
        obs, realm = self.env.reset(key, tiles=tiles, initial_population=self._births)
        return State(jnp.asarray(False), realm.tick, realm, obs)

    def _renewed(self, key: jax.Array, done: jax.Array, after: State, given: State | None) -> State:
        """The state, or a new one (the one that is given) where the world is done."""

        def renew(key, done, after, given):
            new = self._new(key) if given is None else given
            return jax.tree.map(lambda new, old: jax.lax.select(done, new, old), new, after)

        def keep(key, done, after, given):
            return after

        @jax.custom_batching.custom_vmap
        def maybe(key, done, after, given):
            return jax.lax.cond(done, renew, keep, key, done, after, given)

        @maybe.def_vmap
        def _(axis_size, batched, *args):
            # A condition that differs from world to world would become a choice between two that are both computed.
            key, done, after, given = jax.tree.map(
                lambda leaf, has_axis: leaf if has_axis else _repeat(leaf, axis_size), args, tuple(batched)
            )
            new = jax.lax.cond(jnp.any(done), jax.vmap(renew), keep, key, done, after, given)
            return new, jax.tree.map(lambda _: True, new)

        return maybe(key, done, after, given)


def _repeat(leaf: jax.Array, number: int) -> jax.Array:
    return jnp.broadcast_to(leaf, (number, *leaf.shape))
