"""PettingZoo: one world as a ``ParallelEnv``, in which agents come and go."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from nmmo_jax.adapters.spaces import action_space, observation_space
from nmmo_jax.adapters.worlds import RENDER_MODES, Happened, Seen, Worlds, as_choices, check_options, check_seed, host
from nmmo_jax.common.extras import need
from nmmo_jax.components import Realm, Tiles
from nmmo_jax.environment import Environment
from nmmo_jax.values import check_choice, check_int
from nmmo_jax.world.pool import MapPool

_pettingzoo: Any = need("pettingzoo", "pettingzoo", "pettingzoo")
NAMES = ("uid", "place")


class ParallelEnv(_pettingzoo.ParallelEnv):
    """One world.

    >>> env = ParallelEnv(nmmo_jax.make("law", horizon=500))
    >>> obs, infos = env.reset(seed=0)
    >>> actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    >>> obs, rewards, terminations, truncations, infos = env.step(actions)

    Names by uid, ``agent_0`` and so on in the order of birth: an agent is one life, and never comes back, as PettingZoo
    has it. ``agents`` is the living; a newborn joins with its first observation, reward 0. Who dies is terminated in
    that step, with an empty place's zeros as its last observation; who reaches ``Config.max_lifetime``, or lives at
    ``Config.horizon``, is truncated, with its own last view. ``possible_agents`` has a name for everybody who can be
    born until the horizon, which must be set. The world is over at its horizon, or when nobody lives.

    Names by place, ``place_0`` and so on: ``agents`` is all places until the horizon, so that learners for a fixed
    number of agents (SuperSuit, Stable-Baselines3) can be used. A place whose agent dies is terminated in that step,
    and, other than PettingZoo has it, goes on: its observation is already of who comes next, as in
    ``nmmo_jax.adapters.vector``. Who is truncated by age leaves its last view in ``infos["terminal_observation"]``.

    ``reset(seed=s)`` starts the world that ``vectorize(env, 1)`` plays with ``jax.random.key(s)``; without a seed
    another one each time, that follows from the last. Options are ``initial_population`` and ``tiles``; others, which
    may be for wrappers, are passed over.

    Args:
      env: configuration and rules.
      names: ``"uid"`` or ``"place"``.
      tiles: the map: materials ``[rows, columns]``, ``Tiles``, or a pool from which one is drawn.
      initial_population: births before the first tick. None: one for every place.
      arguments: what an action chooses, in this order; the others mean nothing. None: all.
      flat: one float32 vector per agent (``as_vector``) instead of a dict of arrays.
      render_mode: ``"rgb_array"``: ``render`` gives a picture.

    Raises:
      ValueError: names the argument, its value and what is allowed; of ``reset`` and ``step``, too.
    """

    metadata = {  # noqa: RUF012  # as of PettingZoo's own
        "name": "nmmo_jax",
        "render_modes": list(RENDER_MODES),
        "render_fps": 10,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        env: Environment,
        names: str = "uid",
        tiles: MapPool | Tiles | ArrayLike | None = None,
        initial_population: int | None = None,
        arguments: Sequence[str] | None = None,
        flat: bool = False,
        render_mode: str | None = None,
    ):
        if not isinstance(env, Environment):
            raise ValueError(f"env={env!r}: must be an Environment; a world ends at its horizon, and reset starts anew")
        check_choice("names", names, NAMES)
        config, births = env.config, initial_population
        if names == "uid" and config.horizon is None:
            raise ValueError("horizon=None: names='uid' needs Config.horizon: possible_agents are all born until then")
        births = config.num_agents if births is None else check_int("initial_population", births, 0, config.num_agents)
        self.worlds = Worlds(env, 1, tiles, births, arguments, flat, True, render_mode)
        self.config, self.names, self.render_mode = config, names, render_mode
        if names == "uid":
            per_tick = config.max_spawns + (config.num_agents if config.reproduction else 0)
            most = config.num_agents + (config.horizon or 0) * per_tick
            self.possible_agents = [f"agent_{uid}" for uid in range(most)]
        else:
            self.possible_agents = [f"place_{place}" for place in range(config.num_agents)]
        self.agents: list[str] = []
        self._known = frozenset(self.possible_agents)
        self._space, self._action_spaces = observation_space(config, flat), {}
        self._place: dict[str, int] = {}  # of every agent
        self._rng: np.random.Generator | None = None

    @property
    def realms(self) -> Realm:
        """The state of the world, with a leading axis of 1, on the device; the next step takes its memory."""
        return self.worlds.realms

    def observation_space(self, agent: str) -> Any:
        """The same for all."""
        return self._check(agent) or self._space

    def action_space(self, agent: str) -> Any:
        """An own one per agent, with a generator of its own."""
        self._check(agent)
        if agent not in self._action_spaces:
            self._action_spaces[agent] = action_space(self.worlds.chosen)
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """A new world."""
        seed, options = check_seed(seed), check_options(options, strict=False)
        if seed is not None or self._rng is None:
            self._rng = np.random.default_rng(seed)
        drawn = int(self._rng.integers(2**32)) if seed is None else seed
        seen = Seen(*host(tuple(self.worlds.begin(drawn, options))))
        self._live(seen)
        return self._rows(seen.obs, self._place), {
            agent: self._about(seen, place) for agent, place in self._place.items()
        }

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """One tick. Agents that are left out do nothing.

        Returns:
          observations, rewards, terminations, truncations and infos, of all who lived before the tick or live after it.

        Raises:
          RuntimeError: before ``reset``, or when the world is over.
        """
        if not self.agents:
            raise RuntimeError("step: nobody lives: the world has not been started, or is over: call reset")
        seen, happened = self.worlds.advance(self._choices(actions))
        seen, happened = Seen(*host(tuple(seen))), Happened(*host(tuple(happened)))
        before, over = self._place, bool(happened.horizon[0])
        left = happened.terminated | happened.truncated
        self._live(seen)
        if over:
            self.agents, self._place = [], {}
        if self.names == "place":
            return self._by_place(seen, happened, before, over)
        gone = {agent: place for agent, place in before.items() if left[place]}
        fallen = {agent: self._final(happened, place) for agent, place in gone.items()}
        stayed = {agent: place for agent, place in before.items() if agent not in gone}
        born = {agent: place for agent, place in self._place.items() if agent not in before}
        obs = {**self._rows(seen.obs, stayed), **fallen, **self._rows(seen.obs, born)}
        infos = {agent: self._about(seen, place) for agent, place in (*stayed.items(), *born.items())}
        infos |= {agent: self._about_left(happened, place) for agent, place in gone.items()}
        for agent, place in before.items():
            infos[agent]["acted"] = happened.acted[place].item()
        told = [
            {**{agent: column[place].item() for agent, place in before.items()}, **dict.fromkeys(born, nothing)}
            for column, nothing in ((happened.reward, 0.0), (happened.terminated, False), (happened.truncated, False))
        ]
        return obs, *told, infos

    def render(self) -> np.ndarray | None:
        """The world as it is now, uint8 ``[height, width, 3]``; None without a ``render_mode``."""
        return None if self.render_mode is None else self.worlds.picture(0)

    def close(self) -> None:
        """Lets go of the world."""
        self.worlds.close()
        self.agents, self._place = [], {}

    def _check(self, agent: Any) -> None:
        if agent not in self._known:
            first, last = self.possible_agents[0], self.possible_agents[-1]
            raise ValueError(f"agent={agent!r}: must be one of possible_agents, {first} to {last}")

    def _live(self, seen: Seen) -> None:
        if self.names == "place":
            self._place = {agent: place for place, agent in enumerate(self.possible_agents)}
        else:
            order = [(uid, place) for place, uid in enumerate(seen.uid.tolist()) if uid >= 0]
            self._place = {f"agent_{uid}": place for uid, place in sorted(order)}
        self.agents = list(self._place)

    def _choices(self, actions: Any) -> np.ndarray:
        if not isinstance(actions, dict):
            raise ValueError(f"actions: {type(actions).__name__}: must be a dict, by agent")
        chosen = self.worlds.chosen
        choices = np.tile(np.array([one.nothing for one in chosen], np.int32), (self.config.num_agents, 1))
        for agent, action in actions.items():
            if agent not in self._place:
                raise ValueError(f"actions: {agent!r}: must be one of agents, who live now")
            choices[self._place[agent]] = as_choices(np.asarray(action)[None], 1, chosen, f"actions[{agent!r}]")[0]
        return choices

    def _by_place(
        self, seen: Seen, happened: Happened, before: dict[str, int], over: bool
    ) -> tuple[dict[str, Any], ...]:
        """Of all places; at the horizon all are truncated whose agent has not died, the empty ones too."""
        obs = self._rows(seen.obs, before)
        infos = {agent: self._about(seen, place) for agent, place in before.items()}
        truncated = happened.truncated | (over & ~happened.terminated)
        for agent, place in before.items():
            infos[agent]["acted"] = happened.acted[place].item()
            if happened.terminated[place] or happened.truncated[place]:
                infos[agent]["final_info"] = self._about_left(happened, place)
            if happened.truncated[place]:
                last = self._final(happened, place)
                infos[agent] |= {"terminal_observation": last, "TimeLimit.truncated": True}
                obs[agent] = last if over else obs[agent]
        columns = happened.reward, happened.terminated, truncated
        return obs, *({agent: column[place].item() for agent, place in before.items()} for column in columns), infos

    def _rows(self, obs: Any, places: dict[str, int]) -> dict[str, Any]:
        if isinstance(obs, np.ndarray):
            return {agent: obs[place] for agent, place in places.items()}
        return {agent: {name: rows[place] for name, rows in obs.items()} for agent, place in places.items()}

    def _final(self, happened: Happened, place: int) -> Any:
        if happened.final is None:
            return self.worlds.blank
        return self._rows(happened.final, {"": place})[""]

    def _about(self, seen: Seen, place: int) -> dict[str, Any]:
        alive, uid, population = (column[place].item() for column in seen[1:])
        return {"alive": alive, "uid": uid, "population": population, "place": place}

    def _about_left(self, happened: Happened, place: int) -> dict[str, Any]:
        names = ("uid", "population", "age", "cause")
        return {"alive": False, "place": place, **{name: getattr(happened, name)[place].item() for name in names}}
