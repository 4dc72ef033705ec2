"""``VecEnv``: persistent worlds for agents outside JAX, a variable number of them, as NumPy arrays or tensors.

A step is one compiled program, which leaves tables with a row per slot. The rows of the living are then gathered: on a
CPU by NumPy, from views of the program's memory; elsewhere on the device, so that no empty slot crosses to the host.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nmmo_jax.actions import Action, heads
from nmmo_jax.components import Realm, Tiles
from nmmo_jax.draws import Stream, fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.observations import Observation, thing_at
from nmmo_jax.values import check_int
from nmmo_jax.vectorized import vectorize
from nmmo_jax.world.pool import MapPool
from train.vec_rows import Actions, Dones, Living, Observations, Rewards, StepInfo, as_choices


class VecEnv:
    """``num_realms`` persistent worlds, for agents outside JAX: ``reset`` once, then ``step``.

    >>> env = VecEnv(nmmo_jax.make("chaos"), num_realms=64)
    >>> observations = env.reset()
    >>> observations, rewards, dones, info = env.step({"move": np.ones(len(observations.uid), int)})

    Bit for bit the worlds that ``vectorize(env, num_realms)`` plays with ``jax.random.key(seed)``. What is handed out
    is never written to again. Can be pickled and copied: the copy goes on from the same state.

    Args:
      env: configuration and rules; each leaf of the rules may have a realm axis.
      num_realms: how many realms.
      seed: of all chance, 0 to 2^32 - 1.
      tiles: the map: materials ``[rows, columns]`` or ``[num_realms, rows, columns]``, ``Tiles``, or a pool from which
        one is drawn for every realm. Default: terrain is generated.
      initial_population: births before the first tick.
      arrays: what all rows are passed through before they are cut into views; it gets arrays that speak DLPack.
        ``torch.from_dlpack`` makes them tensors where they are, and copies nothing.

    Raises:
      ValueError: names the argument, its value and what is allowed.
    """

    def __init__(
        self,
        env: Environment,
        num_realms: int,
        seed: int = 0,
        tiles: MapPool | Tiles | ArrayLike | None = None,
        initial_population: int = 0,
        arrays: Callable[[Any], Any] = np.asarray,
    ):
        if not isinstance(env, Environment):
            raise ValueError(f"env={env!r}: must be an Environment, which never starts anew")
        seed = check_int("seed", seed, 0, 2**32 - 1)
        if not callable(arrays):
            raise ValueError(f"arrays={arrays!r}: must be a function of an array, such as torch.from_dlpack")
        num_realms = check_int("num_realms", num_realms, 1)
        self.config, self.num_realms = env.config, num_realms
        self._many, self._seed, self._births = vectorize(env, num_realms), seed, initial_population
        # Checks the map, whose values are known here.
        jax.eval_shape(lambda key: self._begin(key, tiles), jax.random.key(seed))
        self._tiles = tiles if tiles is None or isinstance(tiles, Tiles | MapPool) else np.asarray(tiles)
        self._arrays = arrays
        self._state: tuple[Realm, Observation] | None = None  # realms, and what choices are positions in
        self._compile()

    def _compile(self) -> None:
        self._key, self._on_host = jax.random.key(self._seed), jax.default_backend() == "cpu"
        self._start, self._step = jax.jit(self._begin), jax.jit(self._advance, donate_argnums=0)
        _keep_memory()

    def __getstate__(self) -> dict[str, Any]:
        """The worlds as they are, in NumPy's arrays, and the last observations' agents; programs are made anew."""
        state = {name: value for name, value in self.__dict__.items() if name not in ("_key", "_start", "_step")}
        return state | jax.device_get({name: state[name] for name in ("_state", "_uid") if name in state})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._state = jax.tree.map(jnp.array, self._state)  # copied: the next step takes their memory
        self._compile()

    @property
    def realms(self) -> Realm:
        """The state ``[num_realms, ...]``, on the device. The next step takes its memory: copy what is to be kept.

        Raises:
          RuntimeError: before ``reset``.
        """
        if self._state is None:
            raise RuntimeError("these worlds have not been started: call reset first")
        return self._state[0]

    def reset(self) -> Observations:
        """Starts the worlds.

        Raises:
          RuntimeError: they have been started, and persist; to start anew is to make another ``VecEnv``.
        """
        if self._state is not None:
            raise RuntimeError("reset: these worlds have been started, and persist: make another VecEnv to start anew")
        self._state, alive, table = self._start(self._key, self._tiles)
        return self._observed(alive, table)

    def step(self, actions: Actions | Sequence[Actions]) -> tuple[Observations, Rewards, Dones, StepInfo]:
        """One tick of all realms.

        Actions are integers by argument (``move``, ``style``, ``target``, those of systems), in arrays that NumPy can
        read. ``target`` is a position in the agent's list of visible agents, as in its mask. Positions, too, are the
        arguments of systems among the visible, a list (0: nothing), or the tiles of the window (its middle: nothing).
        An argument that is left out, or out of range, as -1 is, means nothing.

        - ``{"move": [n], ...}``: for all rows of the last observations, in their order;
        - ``{"realm": [k], "uid": [k], "move": [k], ...}``: for these agents, in any order; the others do nothing;
        - ``[{"move": [n of realm 0], ...}, ...]`` or ``[{"uid": [k], "move": [k], ...}, ...]``: the same in parts, one
          per realm, all with the same arguments.

        Returns:
          observations of who is alive now (who is missing has left); rewards, dones and info of who was before.
          ``info.next_row`` tells which row each of them has in the observations, -1 for who has left.

        Raises:
          ValueError: an unknown argument, a wrong shape or type, an agent that is not alive or is named twice.
          RuntimeError: before ``reset``.
        """
        if self._state is None:
            raise RuntimeError("step: these worlds have not been started: call reset first")
        before, places = self._place, self.config.num_agents
        living = Living(before // places, before % places, np.asarray(self._uid).reshape(-1)[before])
        choices = as_choices(actions, living, self.num_realms, self.config)
        self._state, alive, table, lives, extras = self._step(self._state, self._key, choices)
        final = None
        if self.config.max_lifetime is not None:
            final = self._rows(Observations, table, np.flatnonzero(lives["truncated"]))
        rewards, dones = (
            self._rows(kind, {"uid": lives["uid"]} | {name: lives[name] for name in names}, before)
            for kind, names in ((Rewards, ("reward", "acted")), (Dones, ("terminated", "truncated", "age", "cause")))
        )
        observations, left = self._observed(alive, table), lives["terminated"] | lives["truncated"]
        next_row = self._next_row(before, np.asarray(left).reshape(-1)[before])
        events, ledger = jax.device_get(extras)
        return observations, rewards, dones, StepInfo(final, events, ledger, next_row)

    def _begin(self, key: jax.Array, tiles: Any) -> tuple[Any, ...]:
        if isinstance(tiles, MapPool):
            keys = jax.vmap(fold_in, (None, 0))(key, jnp.arange(self.num_realms, dtype=jnp.int32))
            tiles = jax.vmap(lambda key: tiles.sample(fold_in(key, Stream.EPISODE)))(keys)
        obs, realms = self._many.reset(key, tiles=tiles, initial_population=self._births)
        agents = realms.agents
        return (realms, self._listed(obs)), agents.alive, _table(obs, agents.uid, agents.population)

    def _advance(self, state: tuple[Realm, Observation], key: jax.Array, choices: jax.Array) -> tuple[Any, ...]:
        realms, listed = state
        arguments = [argument for head in heads(self.config) for argument in head.arguments]
        orders = {}
        for argument, choice in zip(arguments, choices, strict=True):
            known = jnp.maximum(choice, 0) if argument.among else choice  # -1, nothing, is no position
            thing = thing_at(known, argument, listed, self.config)
            orders[argument.name] = jnp.where(choice < 0, -1, thing) if argument.among else thing
        obs, realms, reward, terminated, truncated, info = self._many.step(key, realms, Action.from_named(orders))
        # The slot of who was truncated is empty, but its row is the last of who held it.
        uid = jnp.where(truncated, info.uid, realms.agents.uid)
        population = jnp.where(truncated, info.population, realms.agents.population)
        lives = {"reward": reward, "terminated": terminated, "truncated": truncated}
        lives |= {name: getattr(info, name) for name in ("uid", "acted", "age", "cause")}
        table = _table(obs, uid, population)
        return (realms, self._listed(obs)), realms.agents.alive, table, lives, (info.events, info.ledger)

    def _listed(self, obs: Observation) -> Observation:
        """What choices are positions in: observations without all else."""
        arguments = [argument for head in heads(self.config) for argument in head.arguments]
        place = obs.self if any(argument.among == "window" for argument in arguments) else None
        return dataclasses.replace(obs, **{"self": place, "tiles": None, "visible": None, "mask": {}, "of": {}})

    def _observed(self, alive: jax.Array, table: dict[str, Any]) -> Observations:
        self._place, self._uid = np.flatnonzero(alive), table["uid"]  # flat slots of the living; uids by slot
        return self._rows(Observations, table, self._place)

    def _next_row(self, before: np.ndarray, left: np.ndarray) -> Any:
        """Of flat slots ``before`` their rows among the living now; a slot that was left may be another's already."""
        rows = np.where(left, -1, np.searchsorted(self._place, before)).astype(np.int32)
        return self._arrays(rows if self._on_host else jnp.asarray(rows))

    def _rows(self, kind: Callable[..., Any], table: dict[str, Any], place: np.ndarray) -> Any:
        """The rows of flat slots ``place``, in order, from tables ``[R, N, ...]``."""
        number, places = len(place), self.config.num_agents
        if self._on_host:
            flat = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:]), table)
            rows = jax.tree.map(lambda leaf: self._arrays(np.take(leaf, place, axis=0)), flat)
        else:
            padded = np.zeros(1 << max(number - 1, 0).bit_length(), np.int32)  # few lengths, so few programs
            padded[:number] = place
            rows = jax.tree.map(lambda leaf: self._arrays(leaf)[:number], _take(table, padded))
        return kind(offsets=np.searchsorted(place, np.arange(self.num_realms + 1) * places), **rows)


def _table(obs: Observation, uid: jax.Array, population: jax.Array) -> dict[str, Any]:
    """The columns of ``Observations``, ``[R, N, ...]``; ``uid`` and ``population`` are those of each row's agent."""
    listed = obs.visible_slot
    visible_uid = jnp.take_along_axis(uid[:, None], jnp.maximum(listed, 0), axis=2)
    return {
        "uid": uid,
        "population": population.astype(jnp.int32),
        "slot": jnp.broadcast_to(jnp.arange(uid.shape[1], dtype=jnp.int32), uid.shape),
        "tiles": obs.tiles,
        "self": obs.self,
        "visible": obs.visible,
        "visible_uid": jnp.where(listed >= 0, visible_uid, -1),
        "mask": obs.mask,
        "of": obs.of,
        "rows": obs.rows,
    }


@jax.jit
def _take(table: Any, place: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[place], table)


def _keep_memory() -> None:
    """Has the C library keep what is freed. Else, depending on what was freed before, every step gives its memory back
    to the system and is handed pages to clear anew, for a third of its time.

    glibc sizes what it keeps by the largest block that was freed, up to 32 MiB. Other libraries take no notice.
    """
    np.empty(2**25 - 2**16, np.uint8)
