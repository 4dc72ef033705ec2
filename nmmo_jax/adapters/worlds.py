"""Worlds that are played from outside JAX, place by place: what the adapters for NumPy have in common."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nmmo_jax.actions import Action
from nmmo_jax.adapters.spaces import as_vector, blank, choices_of, named
from nmmo_jax.autoreset import AutoReset, Episode
from nmmo_jax.common.spelling import near
from nmmo_jax.components import Realm, Tiles
from nmmo_jax.declarations import Argument
from nmmo_jax.draws import Stream, fold_in
from nmmo_jax.environment import Environment, Info
from nmmo_jax.observations import Observation, to_action
from nmmo_jax.rules import Rules, rule_ndim
from nmmo_jax.values import check_choice, check_int
from nmmo_jax.vectorized import Vectorized, vectorize
from nmmo_jax.world.pool import MapPool

OPTIONS = ("initial_population", "tiles")
RENDER_MODES = ("rgb_array",)


class Seen(NamedTuple):
    """Of every place, realm after realm, who lives there now and what it sees; arrays ``[R * N, ...]``."""

    obs: Any  # by name, or vectors
    alive: Any  # bool
    uid: Any  # int32, -1: nobody
    population: Any  # int32, -1: nobody


class Happened(NamedTuple):
    """Of every place, what became in a tick of who held it before; arrays ``[R * N, ...]``."""

    reward: Any  # float32
    terminated: Any  # bool
    truncated: Any  # bool
    acted: Any  # bool
    uid: Any
    population: Any
    age: Any  # ticks
    cause: Any  # nmmo_jax.Cause
    final: Any  # the last observation of the truncated, elsewhere what an empty place shows; None: nobody is truncated
    horizon: Any  # bool [R]: the world has reached its horizon


@dataclasses.dataclass(frozen=True)
class Play:
    """What a compiled program depends on; by value, so that equal worlds share their programs."""

    many: Vectorized
    chosen: tuple[str, ...]
    flat: bool
    ends: bool  # whether the horizon truncates who lives

    def shown(self, obs: Observation) -> Any:
        """As learners get it, ``[R * N, ...]``."""
        leaves = as_vector(obs, self.many.config) if self.flat else named(obs)
        return jax.tree.map(_by_place, leaves)


class Worlds:
    """``num_realms`` worlds and their places.

    Args:
      env: configuration and rules; with ``autoreset`` worlds start anew at their horizon.
      num_realms: how many.
      tiles: the map: materials ``[rows, columns]`` or ``[num_realms, rows, columns]``, ``Tiles``, or a pool from which
        one is drawn per realm. None: terrain is generated, or drawn from the pool of ``autoreset``.
      initial_population: births before the first tick.
      arguments: what is chosen, None: all; see ``choices_of``.
      flat: whether observations are vectors.
      ends: whether the horizon of a world that does not start anew truncates who lives.
      render_mode: None or ``"rgb_array"``.

    Raises:
      ValueError: names the argument, its value and what is allowed.
    """

    def __init__(
        self,
        env: Environment | AutoReset,
        num_realms: int,
        tiles: MapPool | Tiles | ArrayLike | None,
        initial_population: int | None,
        arguments: Sequence[str] | None,
        flat: bool,
        ends: bool,
        render_mode: str | None,
    ):
        if not isinstance(env, Environment | AutoReset):
            raise ValueError(f"env={env!r}: must be an Environment, or what autoreset makes of one")
        if render_mode is not None:
            check_choice("render_mode", render_mode, RENDER_MODES)
        self.config, self.chosen = env.config, choices_of(env.config, arguments)
        names = tuple(one.name for one in self.chosen)
        again = isinstance(env, AutoReset)
        self.play = Play(
            vectorize(env, num_realms), names, bool(flat), again or (ends and env.config.horizon is not None)
        )
        self.defaults = {"initial_population": initial_population, "tiles": tiles}
        self._checked(self.defaults)
        if tiles is None:
            jax.eval_shape(lambda key: _new_realms(self.play, key, None, 0), jax.random.key(0))  # has terrain room?
        self.num_places = self.play.many.num_realms * env.config.num_agents
        empty = blank(env.config)
        self.blank: Any = np.asarray(as_vector(empty, env.config)) if flat else host(named(empty))
        self._state: tuple[Any, Observation] | None = None
        self._key = jax.random.key(0)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "_key": np.asarray(jax.random.key_data(self._key)),
            "_state": jax.device_get(self._state),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._key = jax.random.wrap_key_data(state["_key"])
        self._state = jax.tree.map(jnp.array, self._state)  # copied: the next step takes their memory

    def begin(self, seed: int, options: dict[str, Any]) -> Seen:
        """New worlds; with ``jax.random.key(seed)`` those that ``vectorize`` plays."""
        given = {**self.defaults, **self._checked(options)}
        self._key = jax.random.key(seed)
        tiles, births = given["tiles"], given["initial_population"]
        tiles = tiles if tiles is None or isinstance(tiles, Tiles | MapPool) else np.asarray(tiles)
        state, listed, seen = _begin(self.play, self._key, tiles, births)
        self._state = state, listed
        return seen

    def advance(self, choices: np.ndarray) -> tuple[Seen, Happened]:
        """One tick. ``choices``: ``[R * N, A]``, int32, in range."""
        if self._state is None:
            raise RuntimeError("step: these worlds have not been started, or are closed: call reset first")
        state, listed, seen, happened = _advance(self.play, *self._state, self._key, choices)
        self._state = state, listed
        return seen, happened

    def close(self) -> None:
        """Lets go of the worlds."""
        self._state = None

    @property
    def realms(self) -> Realm:
        """The state ``[num_realms, ...]``, on the device. The next step takes its memory: copy what is to be kept."""
        if self._state is None:
            raise RuntimeError("these worlds have not been started, or are closed: call reset first")
        state = self._state[0]
        return state.realm if isinstance(state, Episode) else state

    def picture(self, index: int) -> np.ndarray:
        """Realm ``index`` as it is now, uint8 ``[height, width, 3]``."""
        from nmmo_jax.replay import Replay  # with what it needs, only where somebody looks
        from nmmo_jax.viewer.render import Painter

        many = self.play.many
        rules = many.rules.named()
        own = {name: leaf[index] if jnp.ndim(leaf) > rule_ndim(name) else leaf for name, leaf in rules.items()}
        env = Environment(dataclasses.replace(self.config, visits=False, events=0, ledger=False), Rules.from_named(own))
        realm = jax.tree.map(lambda leaf: leaf[index], self.realms)
        replay = Replay.begin(env, realm, self._key, ["agents"] * self.config.num_populations)
        return Painter(replay, range(1)).picture(0)

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options whose values can be; shapes and maps are checked without anything being compiled."""
        if options.get("initial_population") is not None:
            births = check_int("initial_population", options["initial_population"], 0, self.config.num_agents)
            options = {**options, "initial_population": births}
        if options.get("tiles") is not None:
            tiles = options["tiles"]
            jax.eval_shape(lambda key: _new_realms(self.play, key, tiles, 0), jax.random.key(0))
        return options


def check_options(options: Any, strict: bool = True) -> dict[str, Any]:
    """The options of a ``reset``.

    Args:
      strict: whether others than ``OPTIONS`` are refused; else only what looks like one of them misspelt.
    """
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise ValueError(f"options={options!r}: must be a dict of {', '.join(OPTIONS)}")
    for name in options:
        if name not in OPTIONS and (strict or near(str(name), OPTIONS)):
            raise ValueError(f"options: {name!r}: allowed are {', '.join(OPTIONS)}{near(str(name), OPTIONS)}")
    return {name: value for name, value in options.items() if name in OPTIONS}


def check_seed(seed: Any) -> int | None:
    """The seed of a ``reset``."""
    return None if seed is None else check_int("seed", seed, 0, 2**32 - 1)


def as_choices(actions: Any, places: int, chosen: Sequence[Argument], name: str = "actions") -> np.ndarray:
    """Actions of ``places`` places as int32 ``[places, A]``.

    Raises:
      ValueError: of another shape or type, or out of range.
    """
    try:
        given = np.asarray(actions)
    except (ValueError, RuntimeError, TypeError) as error:
        raise ValueError(f"{name}: {type(actions).__name__}: must be an array of integers ({error})") from None
    shape = (places,) if len(chosen) == 1 else (places, len(chosen))
    if given.shape != shape or given.dtype.kind not in "iu":
        raise ValueError(f"{name}: {given.dtype} of shape {given.shape}: must be integers of shape {shape}")
    given = given.reshape(places, len(chosen))
    wrong = (given < 0) | (given >= np.array([one.size for one in chosen]))
    if wrong.any():
        place, column = np.argwhere(wrong)[0]
        one = chosen[column]
        raise ValueError(
            f"{name}: {given[place, column]} for {one.name}, of place {place}: must be 0 to {one.size - 1}"
        )
    return given.astype(np.int32)


def host(told: Any, copy: bool = True) -> Any:
    """NumPy arrays of JAX's: copies that may be written to, or, where that is possible, views that may not."""
    return jax.tree.map(np.array if copy else np.asarray, told)


def _by_place(leaf: jax.Array) -> jax.Array:
    return leaf.reshape(-1, *leaf.shape[2:])


def _new_realms(play: Play, key: jax.Array, tiles: Any, births: int | None) -> tuple[Observation, Any]:
    if isinstance(tiles, MapPool):
        pool, keys = tiles, jax.vmap(fold_in, (None, 0))(key, jnp.arange(play.many.num_realms, dtype=jnp.int32))
        tiles = jax.vmap(lambda key: pool.sample(fold_in(key, Stream.EPISODE)))(keys)
    return play.many.reset(key, tiles=tiles, initial_population=births)


def _seen(play: Play, obs: Observation, state: Any) -> Seen:
    agents = (state.realm if isinstance(state, Episode) else state).agents
    population = jnp.where(agents.alive, agents.population, -1).astype(jnp.int32)
    uid = jnp.where(agents.alive, agents.uid, -1)
    return Seen(play.shown(obs), *map(_by_place, (agents.alive, uid, population)))


def _listed(obs: Observation) -> Observation:
    """What choices are positions in: observations without all else."""
    return obs.replace(tiles=None, visible=None, mask={}, of={})


@functools.partial(jax.jit, static_argnums=(0, 3))
def _begin(play: Play, key: jax.Array, tiles: Any, births: int | None) -> tuple[Any, Observation, Seen]:
    obs, state = _new_realms(play, key, tiles, births)
    return state, _listed(obs), _seen(play, obs, state)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _advance(
    play: Play, state: Any, listed: Observation, key: jax.Array, choices: jax.Array
) -> tuple[Any, Observation, Seen, Happened]:
    config, many = play.many.config, play.many
    columns = choices.reshape(many.num_realms, config.num_agents, -1)
    by_name = {name: columns[..., index] for index, name in enumerate(play.chosen)}
    action: Action = jax.vmap(lambda by_name, listed: to_action(by_name, listed, config))(by_name, listed)
    obs, state, reward, terminated, truncated, info = many.step(key, state, action)
    last, nothing = obs, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None, None], blank(config))
    held: jax.Array = info.population >= 0
    if config.max_lifetime is not None:  # their rows are the last of who was truncated: what comes after is nothing
        empty = ~(state.realm if isinstance(state, Episode) else state).agents.alive
        obs = _where(empty, nothing, obs)
    if play.ends:
        last = last if info.final_observation is None else info.final_observation
        truncated |= held & ~terminated & info.horizon[:, None]
    final = None
    if config.max_lifetime is not None or play.ends:
        final = play.shown(_where(truncated, last, nothing))
    return state, _listed(obs), _seen(play, obs, state), _happened(reward, terminated, truncated, info, final)


def _happened(reward: jax.Array, terminated: jax.Array, truncated: jax.Array, info: Info, final: Any) -> Happened:
    held = info.population >= 0
    uid = jnp.where(held, info.uid, -1)
    columns = (reward, terminated, truncated, info.acted, uid, info.population, info.age, info.cause)
    return Happened(*[_by_place(column) for column in columns], final=final, horizon=info.horizon)


def _where(which: jax.Array, yes: Observation, no: Observation) -> Observation:
    def choose(yes: jax.Array, no: jax.Array) -> jax.Array:
        return jnp.where(which.reshape(*which.shape, *[1] * (max(yes.ndim, no.ndim) - 2)), yes, no)

    return jax.tree.map(choose, yes, no)
