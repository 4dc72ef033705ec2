"""Replays: the play of one realm, frame by frame, from which it can be shown, cut, checked and gone on with.

When depleted forests will be ready follows from when they were seen to be so, and from ``ready_tick`` after the last
frame: a realm can be made of any frame without playing up to it. ``nmmo_jax.replay_file`` writes and reads files.
"""

import dataclasses
import functools
import json
from collections.abc import Iterable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int8, Int32, UInt8, UInt32

from nmmo_jax.actions import Action, as_orders
from nmmo_jax.components import NO_DAMAGE, NO_UID, Agents, Realm, State, Tiles, empty_probes, observed_material
from nmmo_jax.config import RULES_VERSION, Config
from nmmo_jax.digest import digest
from nmmo_jax.environment import Environment, Info
from nmmo_jax.references import config_as_json, config_from_json
from nmmo_jax.rules import Rules, as_rules

FORMAT, VERSION = "nmmo-jax replay", 1
_ORDERS = ("move", "style", "target")
_CHUNK = 64  # frames that are played again per call


class Frame(flax.struct.PyTreeNode):
    """A realm at the end of a tick, and what happened in that tick. Empty slots are zero, with uid and damage -1.

    Arrays of what happened speak of who held the slot in the frame before; in the first frame nothing has.
    """

    tick: Int32[Array, ""]
    next_uid: Int32[Array, ""]
    agents: Agents
    move: Int8[Array, "N"]  # what was ordered, as in ``Orders``
    style: Int8[Array, "N"]
    target: Int32[Array, "N"]
    hit: Int32[Array, "N"]  # slot of whom its attack hit, -1: nobody
    hit_damage: Int32[Array, "N"]
    left: Bool[Array, "N"]
    left_age: Int32[Array, "N"]  # ticks
    cause: Int8[Array, "N"]  # ``Cause`` of who left; NONE: by age
    digest: UInt32[Array, "2"]
    of: State  # what systems keep
    choices: dict[str, Int32[Array, "N"]]  # of systems' arguments, as in ``Orders``
    depleted: UInt8[Array, "B"] | None  # bit per tile, row-major: what is not ready; None within a ``Replay``


@functools.partial(jax.jit, static_argnums=1)
def first_frame(realm: Realm, config: Config) -> Frame:
    """Of a realm in which nothing has happened yet."""
    n = config.num_agents
    zero, byte, nobody = jnp.zeros(n, jnp.int32), jnp.zeros(n, jnp.int8), jnp.full(n, -1, jnp.int32)
    happened: dict[str, Any] = {"move": byte, "style": byte, "target": nobody, "hit": nobody, "hit_damage": zero}
    happened |= {"left": zero > 0, "left_age": zero, "cause": byte}
    happened["choices"] = {argument.name: zero for system in config.systems for argument in system.arguments}
    return Frame(**_state(realm, config), **happened)


def next_frame(
    before: Realm, after: Realm, action: Action, left: Bool[Array, "N"], info: Info, config: Config
) -> Frame:
    """Of the realm after a step; pure.

    Args:
      left: who died, or left by age.
    """
    orders, owned, outcome = as_orders(action, config), before.agents.alive, info.outcome
    return Frame(
        **_state(after, config),
        move=jnp.where(owned, orders.move, 0).astype(jnp.int8),
        style=jnp.where(owned, orders.style, 0).astype(jnp.int8),
        target=jnp.where(owned, orders.target, -1),
        hit=jnp.where(owned, outcome.attack_target, -1),
        hit_damage=jnp.where(owned & (outcome.attack_target >= 0), outcome.attack_damage, 0),
        left=left,
        left_age=jnp.where(left, info.age, 0),
        cause=jnp.where(left, info.cause, 0).astype(jnp.int8),
        choices={name: jnp.where(owned, choice, 0) for name, choice in orders.of.items()},
    )


def _state(realm: Realm, config: Config) -> dict[str, Any]:
    agents = realm.agents
    nothing = {"uid": NO_UID, "damage": NO_DAMAGE}
    columns = {
        field.name: jnp.where(agents.alive, getattr(agents, field.name), nothing.get(field.name, 0))
        for field in dataclasses.fields(Agents)
    }
    columns = {name: column.astype(getattr(agents, name).dtype) for name, column in columns.items()}
    depleted = jnp.packbits((observed_material(realm, config) != realm.tiles.material).reshape(-1))
    state = {"tick": realm.tick, "next_uid": realm.next_uid, "agents": Agents(**columns), "digest": digest(realm)}
    return {**state, "depleted": depleted, "of": realm.of}


class Replay:
    """The play of one realm, so far.

    Attributes:
      about: what a file says of itself; ready for JSON.
      config: without probes.
      frames: T + 1 of them, of NumPy arrays; ``frames[0]`` is where it begins.
      toggled: per frame, the tiles (row * columns + col, int32) whose forest was harvested or became ready in it; of
        the first, those that are depleted.
    """

    def __init__(self, about: dict[str, Any], tiles: Tiles, frames: list[Frame], toggled: list[np.ndarray]):
        self.about, self.tiles, self.frames, self.toggled = about, tiles, frames, toggled
        self.config = config_from_json(about["config"])
        self.rules = as_rules(Rules.from_named(about["rules"]), self.config)
        self._depleted = np.packbits(np.isin(np.arange(tiles.material.size), self.toggles(-1, len(frames) - 1)))

    @classmethod
    def begin(
        cls, env: Environment, realm: Realm, key: jax.Array, populations: Iterable[str], title: str = ""
    ) -> "Replay":
        """Of a realm that is about to be played.

        Args:
          env: of the realm, with rules of one realm.
          key: that ``env.step`` is given for it.
          populations: what plays each.
        """
        about = {
            "format": FORMAT,
            "version": VERSION,
            "rules_version": RULES_VERSION,
            "title": title,
            "config": config_as_json(dataclasses.replace(env.config, visits=False, events=0, ledger=False)),
            "rules": {name: np.asarray(value).tolist() for name, value in env.rules.named().items()},
            "key": np.asarray(jax.random.key_data(key)).tolist(),
            "populations": list(populations),
            "recomputable": env.newborn is None,  # else births follow a rule that no file can keep
        }
        replay = cls(about, jax.device_get(realm.tiles), [], [])
        replay.append([jax.device_get(first_frame(realm, env.config))], realm.tiles.ready_tick)
        return replay

    def append(self, frames: Iterable[Frame], ready_tick: Int32[Array, "R C"]) -> None:
        """The frames that follow, of NumPy arrays, and ``ready_tick`` of the realm after the last."""
        for frame in frames:
            assert frame.depleted is not None
            bits = np.unpackbits(self._depleted ^ frame.depleted, count=self.tiles.material.size)
            self.toggled.append(np.flatnonzero(bits).astype(np.int32))
            self._depleted = frame.depleted
            self.frames.append(frame.replace(depleted=None))
        self.tiles = self.tiles.replace(ready_tick=np.asarray(ready_tick))

    def __len__(self) -> int:
        """Ticks that have been played, T."""
        return len(self.frames) - 1

    def toggles(self, since: int, until: int) -> np.ndarray:
        """Tiles that are ready in one of two frames and depleted in the other; -1: before the first."""
        low, high = sorted((since, until))
        some = [np.zeros(0, np.int32), *self.toggled[low + 1 : high + 1]]
        tiles, times = np.unique(np.concatenate(some), return_counts=True)
        return tiles[times % 2 == 1]

    def ready_tick(self, index: int) -> Int32[np.ndarray, "R C"]:
        """From which tick each tile is ready, as of a frame; 0 where it is."""
        ready = np.zeros(self.tiles.material.size, np.int32)
        if index == len(self):
            depleted = np.flatnonzero(np.unpackbits(self._depleted, count=ready.size))
        else:
            depleted = self.toggles(-1, index)
        ready[depleted] = self.tiles.ready_tick.reshape(-1)[depleted]
        for later in range(len(self), index, -1):
            # What became ready then was to be ready at that tick; what was harvested then counts for nothing before.
            ready[self.toggled[later]] = self.frames[later].tick
        kept = np.zeros_like(ready)
        kept[depleted] = ready[depleted]
        return kept.reshape(self.tiles.material.shape)

    def realm(self, index: int) -> Realm:
        """The realm of a frame, as good as the one that was played: its digest is the frame's, and so is its future."""
        frame = self.frames[index]
        tiles = self.tiles.replace(ready_tick=self.ready_tick(index))
        realm = Realm(frame.tick, frame.next_uid, tiles, frame.agents, empty_probes(self.config), frame.of)
        return jax.tree.map(jnp.asarray, realm)

    def action(self, index: int) -> Action:
        """What was ordered between a frame and the next."""
        return _ordered(self.frames[index + 1])

    def cut(self, first: int, last: int) -> "Replay":
        """The frames from one index to another, both included.

        Raises:
          ValueError: they are not there, or in the wrong order.
        """
        if not 0 <= first <= last <= len(self):
            raise ValueError(f"frames {first} to {last}: allowed are 0 to {len(self)}, in this order")
        frames, toggled = self.frames[first : last + 1], self.toggled[first : last + 1]
        frames[0] = jax.device_get(first_frame(self.realm(first), self.config)).replace(depleted=None)
        toggled[0] = self.toggles(-1, first)
        return Replay(self.about, self.tiles.replace(ready_tick=self.ready_tick(last)), frames, toggled)

    def verify(self) -> tuple[int, str] | None:
        """Plays the realm again, from its first frame, key and actions: the first frame that differs, and in what.

        Raises:
          ValueError: it cannot be played again by these rules.
        """
        if self.about["rules_version"] != RULES_VERSION:
            version = self.about["rules_version"]
            raise ValueError(f"rules_version={version}: played by other rules; these are of version {RULES_VERSION}")
        if not self.about["recomputable"]:
            raise ValueError("cannot be played again: which population a newborn joins was decided by a function")
        key = jax.random.wrap_key_data(jnp.asarray(self.about["key"], jnp.uint32), impl="threefry2x32")
        play = _program(self.config, json.dumps(self.about["rules"]))
        again, realm = self.cut(0, 0), self.realm(0)
        differs = _difference(again.frames[0], self.frames[0])
        if differs:
            return 0, differs
        for start in range(1, len(self.frames), _CHUNK):
            some = self.frames[start : start + _CHUNK]
            padded = some + some[-1:] * (_CHUNK - len(some))
            actions = jax.tree.map(lambda *each: jnp.stack(each), *map(_ordered, padded))
            realm, frames = play(key, realm, actions)
            frames = jax.device_get(frames)
            each = (jax.tree.map(lambda leaf, index=index: leaf[index], frames) for index in range(len(some)))
            again.append(each, realm.tiles.ready_tick)
            for index in range(start, start + len(some)):
                differs = _difference(again.frames[index], self.frames[index])
                if not differs and not np.array_equal(again.toggled[index], self.toggled[index]):
                    differs = "forests"
                if differs:
                    return index, differs
        # When the forests that are depleted at the end will be ready is told by no frame.
        return (len(self), "forests") if (digest(self.realm(len(self))) != self.frames[-1].digest).any() else None


@functools.lru_cache(maxsize=4)
def _program(config: Config, rules: str) -> Any:
    """``play_again`` by these rules (JSON), compiled; they are constants of it, as they are where it was played."""
    env = Environment(config, Rules.from_named(json.loads(rules)))
    return jax.jit(lambda key, realm, actions: play_again(env, key, realm, actions))


def play_again(env: Environment, key: jax.Array, realm: Realm, actions: Action) -> tuple[Realm, Frame]:
    """A realm played with given actions, ``[T, N]``, and its frames, ``[T, ...]``; pure."""

    def tick(before, action):
        _, after, _, terminated, truncated, info = env.step(key, before, action)
        return after, next_frame(before, after, action, terminated | truncated, info, env.config)

    return jax.lax.scan(tick, realm, actions)


def _ordered(frame: Frame) -> Action:
    return Action(*(getattr(frame, name) for name in _ORDERS), of=dict(frame.choices))


def _difference(one: Frame, other: Frame) -> str:
    """Names of the columns in which two frames differ."""
    pairs = zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True)
    return ", ".join(
        jax.tree_util.keystr(path, simple=True, separator=".") for (path, a), b in pairs if not np.array_equal(a, b)
    )
