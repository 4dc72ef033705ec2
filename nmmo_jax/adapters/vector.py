"""Gymnasium: every place of every realm is one of the environments of a ``gymnasium.vector.VectorEnv``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from nmmo_jax.adapters.spaces import action_space, observation_space
from nmmo_jax.adapters.worlds import RENDER_MODES, Seen, Worlds, as_choices, check_options, check_seed, host
from nmmo_jax.autoreset import AutoReset
from nmmo_jax.common.extras import need
from nmmo_jax.components import Realm, Tiles
from nmmo_jax.environment import Environment
from nmmo_jax.world.pool import MapPool

_vector: Any = need("gymnasium.vector", "gymnasium", "gymnasium")
_utils: Any = need("gymnasium.vector.utils", "gymnasium", "gymnasium")


class VectorEnv(_vector.VectorEnv):
    """The places of ``num_realms`` worlds, realm after realm: ``num_envs`` is ``num_realms * num_agents``.

    >>> envs = VectorEnv(nmmo_jax.make("law"), num_realms=8)
    >>> obs, info = envs.reset(seed=0)
    >>> obs, reward, terminated, truncated, info = envs.step(envs.action_space.sample())

    A place is an environment, and an episode is the life of an agent in it, with the ticks that the place was empty
    before. Empty places show zeros (and -1 for nobody), allow only what means nothing, and earn 0; ``info["alive"]``
    tells which have somebody. Who dies is terminated once, in that step; the observation of that step is already the
    next episode's (``AutoresetMode.SAME_STEP``): what a newborn sees, if somebody was born there in the same tick, else
    an empty place. Who reaches ``Config.max_lifetime``, or lives when a world made by ``autoreset`` starts anew, is
    truncated. ``info["final_obs"]`` has the last observation: the truncated's own, and of the dead, who see nothing,
    an empty place. ``info["final_info"]`` has ``uid``, ``population``, ``age`` and ``cause`` of who left.

    ``reset`` starts all worlds anew: ``seed=s`` those that ``vectorize`` plays with ``jax.random.key(s)``; without a
    seed, others each time, that follow from the last. Its options are ``initial_population`` and ``tiles``, as here.

    Args:
      env: configuration and rules, or what ``autoreset`` makes of them.
      num_realms: how many worlds.
      tiles: the map: materials ``[rows, columns]`` or ``[num_realms, rows, columns]``, ``Tiles``, or a pool.
      initial_population: births before the first tick.
      arguments: what an action chooses, in this order, one of them ``Discrete`` and several ``MultiDiscrete``; the
        others mean nothing. None: all.
      flat: one float32 vector per place (``as_vector``) instead of a dict of arrays.
      copy: False: read-only views of JAX's own memory, on a CPU, instead of arrays that can be written to.
      render_mode: ``"rgb_array"``: ``render`` gives a picture per environment, the same for all of a realm.

    Raises:
      ValueError: names the argument, its value and what is allowed; of ``reset`` and ``step``, too.
    """

    metadata = {  # noqa: RUF012  # as of Gymnasium's own
        "render_modes": list(RENDER_MODES),
        "render_fps": 10,
        "autoreset_mode": _vector.AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        env: Environment | AutoReset,
        num_realms: int,
        tiles: MapPool | Tiles | ArrayLike | None = None,
        initial_population: int | None = None,
        arguments: Sequence[str] | None = None,
        flat: bool = False,
        copy: bool = True,
        render_mode: str | None = None,
    ):
        worlds = Worlds(env, num_realms, tiles, initial_population, arguments, flat, False, render_mode)
        self.worlds, self.config, self._copy, self.render_mode = worlds, env.config, copy, render_mode
        self.num_envs = worlds.num_places
        self.single_observation_space = observation_space(env.config, flat)
        self.single_action_space = action_space(worlds.chosen)
        self.observation_space = _utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = _utils.batch_space(self.single_action_space, self.num_envs)
        self._all = np.ones(self.num_envs, bool)

    @property
    def realms(self) -> Realm:
        """The state of the worlds, on the device; the next step takes its memory."""
        return self.worlds.realms

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """New worlds."""
        seed, options = check_seed(seed), check_options(options)
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**32)) if seed is None else seed
        seen = self.worlds.begin(drawn, options)
        return self._shown(seen), self._info(seen)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One tick of all worlds. What is chosen for empty places is ignored."""
        choices = as_choices(actions, self.num_envs, self.worlds.chosen)
        seen, happened = self.worlds.advance(choices)
        reward, terminated, truncated = (host(leaf) for leaf in happened[:3])
        info = self._info(seen)
        info |= {"acted": host(happened.acted), "_acted": self._all}
        left = terminated | truncated
        if left.any():
            info |= {"final_obs": self._final(happened.final, left, truncated), "_final_obs": left}
            about = {name: host(getattr(happened, name)) for name in ("uid", "population", "age", "cause")}
            info |= {"final_info": about | {f"_{name}": left for name in about}, "_final_info": left}
        return self._shown(seen), reward, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture per environment, uint8 ``[height, width, 3]``; None without a ``render_mode``."""
        if self.render_mode is None:
            return None
        realms = self.worlds.play.many.num_realms
        pictures = [self.worlds.picture(index) for index in range(realms)]
        return tuple(picture for picture in pictures for _ in range(self.config.num_agents))

    def close_extras(self, **_: Any) -> None:
        """Lets go of the worlds; called by ``close``."""
        self.worlds.close()

    def _shown(self, seen: Seen) -> Any:
        return host(seen.obs, self._copy)

    def _info(self, seen: Seen) -> dict[str, Any]:
        info = {name: host(getattr(seen, name)) for name in ("alive", "uid", "population")}
        return info | {f"_{name}": self._all for name in info}

    def _final(self, final: Any, left: np.ndarray, truncated: np.ndarray) -> np.ndarray:
        """An observation for each of those who left, None elsewhere."""
        found = np.full(self.num_envs, None, object)
        for place in np.flatnonzero(left):
            found[place] = self.worlds.blank
        if truncated.any():
            rows = host(final, copy=False)
            for place in np.flatnonzero(truncated):
                flat = isinstance(rows, np.ndarray)
                found[place] = rows[place].copy() if flat else {name: row[place].copy() for name, row in rows.items()}
        return found
