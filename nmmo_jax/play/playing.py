"""One realm of a run, played and kept as a replay; what its agents do can be taken over.

It is the realm that ``measure`` plays under the same number: the same keys, so the same bits.
"""

import copy
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action, complete
from nmmo_jax.config import Config
from nmmo_jax.draws import fold_in, split
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import Players
from nmmo_jax.replay import Frame, Replay, next_frame
from nmmo_jax.vectorized import vectorize
from nmmo_jax.world.pool import MapPool

_CHUNK = 64  # ticks per call where nobody waits for the next


class HumanActions:
    """What is done by agents that people play: everything they do.

    Attributes:
      taken: which slots those are.
      choices: int32 arrays ``[num_agents]`` by argument, as in ``Action``; nothing at first.
    """

    def __init__(self, config: Config):
        self.taken = np.zeros(config.num_agents, bool)
        zero = jnp.zeros(config.num_agents, jnp.int32)
        nothing = complete(Action(zero, zero, zero - 1), config)
        self.choices: dict[str, Any] = {name: np.array(choice) for name, choice in nothing.named().items()}


class Play:
    """One realm and who plays it.

    Attributes:
      index: which realm of the run.
      replay: of what has been played.
    """

    def __init__(
        self,
        env: Environment,
        players: Players,
        names: Sequence[str],
        pool: MapPool,
        *,
        realm: int = 0,
        seed: int = 0,
        initial_population: int = 0,
        title: str = "",
    ):
        self.env, self.players, self.names, self.title = env, players, tuple(names), title
        self._pool, self._keys = pool, split(jax.random.key(seed))
        self._reset = jax.jit(
            lambda key, index, tiles: vectorize(env, 1, index).reset(key, None, tiles, initial_population)[1]
        )
        self._program = jax.jit(functools.partial(_ticks, env, players), static_argnums=5)
        self._begin(realm)

    def beside(self, realm: int) -> "Play":
        """Another realm of the same run, from its beginning; nothing is compiled again."""
        other = copy.copy(self)
        other._begin(realm)
        return other

    def _begin(self, realm: int) -> None:
        self.index = realm
        tiles = self._pool.tiles(jnp.asarray([realm % len(self._pool)]))
        self._worlds = (self._reset(self._keys[0], realm, tiles), self.players.initial(1))
        self.replay = Replay.begin(self.env, self.realm, fold_in(self._keys[0], realm), self.names, self.title)

    @property
    def realm(self) -> Any:
        """As it is now, without a realm axis."""
        return _one(self._worlds[0])

    @property
    def cores(self) -> Any:
        """What its agents remember, as ``Players.act`` returns it."""
        return self._worlds[1]

    def tick(self, people: HumanActions | None = None) -> Frame:
        """One tick, with what people do."""
        return self._advance(1, people or HumanActions(self.env.config))[0]

    def run(self, ticks: int) -> Replay:
        """So many ticks, and the replay of all so far."""
        nobody = HumanActions(self.env.config)
        for some in [_CHUNK] * (ticks // _CHUNK) + [1] * (ticks % _CHUNK):  # two programs serve any number
            self._advance(some, nobody)
        return self.replay

    def _advance(self, ticks: int, people: HumanActions) -> list[Frame]:
        given = people.taken, Action.from_named(people.choices)
        self._worlds, frames = self._program(self.players.params, self._keys, self.index, self._worlds, given, ticks)
        frames, ready = jax.device_get((frames, self._worlds[0].tiles.ready_tick[0]))
        # Copies: what XLA returns is kept whole as long as a part of it is.
        several = [jax.tree.map(lambda leaf, index=index: np.array(leaf[index]), frames) for index in range(ticks)]
        self.replay.append(several, ready)
        return several


def _ticks(
    env: Environment, players: Players, params: Any, keys: Any, index: Any, worlds: Any, given: Any, ticks: int
) -> Any:
    """The realm of that index and what its agents remember, ``[1, ...]``, after some ticks, and their frames."""
    world, (key, policy_key), (taken, theirs) = vectorize(env, 1, index), keys, given

    def tick(carry, _):
        before, core = carry
        own = fold_in(fold_in(policy_key, index), before.tick[0])[None]
        action, core = players.act(params, own, world.observe(before), before, core)
        action = jax.tree.map(lambda chosen, own: jnp.where(taken, chosen, own), theirs, action)
        _, after, _, terminated, truncated, info = world.step(key, before, action)
        before, now, action, left, info = _one((before, after, action, terminated | truncated, info))
        return (after, core), next_frame(before, now, action, left, info, env.config)

    return jax.lax.scan(tick, worlds, length=ticks)


def _one(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)
