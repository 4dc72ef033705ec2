"""Recorded play: reading it, playing it through the simulator and finding the first difference.

A recording is a NumPy archive (``.npz``) of one realm without births: T ticks, N agents, an R x C map.

=================================  =====================  ====================================================
``map0``                           [R, C]                 underlying material
``tiles_start`` (optional)         [T, R, C]              material as observed at the start of each tick: forests
                                                          regrow as it says; without it they do not
``tiles_end``                      [T+1, R, C]            material as observed after each tick's acts; [0] at first
``move``, ``style``, ``target``    [T, N]                 actions; -1: none; target: index of an agent
``acted``                          [T, N] bool            whose action counts
``pos``                            [T+1, N, 2]            row and column at the end of each tick; [0] at first
``food`` ``water`` ``health``      [T+1, N]               state, likewise; damage -1: none
``freeze`` ``damage``
``timeAlive``
``immune`` ``alive`` ``present``   [T+1, N] bool          alive: has health and is not killed by lava; present:
                                                          still on the map
``meta``                           strings "key=value"    ``family`` beginning with ``law``: no attacks
=================================  =====================  ====================================================
"""

import dataclasses
import functools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action
from nmmo_jax.common.files import one_line
from nmmo_jax.components import NEVER, Draws, Realm, observed_material
from nmmo_jax.config import Config
from nmmo_jax.environment import transition
from nmmo_jax.kinds import Material
from nmmo_jax.presets import preset
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.scenario import make_realm

_CHUNK = 50  # ticks per call: bounds memory, and one compilation serves any length
_STATE = ("food", "water", "health", "freeze", "damage", "timeAlive")
_FLAGS = ("immune", "alive", "present")


@dataclasses.dataclass(frozen=True)
class Recording:
    """One recording: its arrays by name, its path and its family."""

    path: Path
    family: str
    arrays: dict[str, np.ndarray]

    @property
    def num_ticks(self) -> int:
        """T."""
        return self.arrays["move"].shape[0]

    @property
    def num_agents(self) -> int:
        """N."""
        return self.arrays["move"].shape[1]


@dataclasses.dataclass(frozen=True)
class Difference:
    """The first place at which the simulator and a recording part."""

    tick: int  # 0: the first, after which state index 1 is compared; -1: the initial state
    array: str
    where: str  # the agent, or the tile
    expected: Any
    got: Any

    def __str__(self) -> str:
        when = f"tick {self.tick}" if self.tick >= 0 else "before the first tick"
        return f"{when}, {self.where}, {self.array}: expected {self.expected}, got {self.got}"


def read_recording(path: Path) -> Recording:
    """Reads and checks a recording.

    Raises:
      ValueError: names the file and what is wrong with it (not an archive, cut short, an array that is missing
        or of the wrong shape or kind, a value that is not allowed).
    """
    with open(path, "rb") as file:  # a file that cannot be opened is an OSError, as everywhere
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path}: not a recording (.npz), or cut short")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            entries = [str(item) for item in np.asarray(arrays.get("meta", ())).astype(str).reshape(-1)]
        except Exception as error:  # whatever a damaged file leads NumPy and zipfile to raise
            raise ValueError(f"{path}: not a recording, or damaged: {one_line(error)}") from None
    _check_arrays(path, arrays)
    meta = dict(item.split("=", 1) for item in entries if "=" in item)
    if "family" not in meta:
        raise ValueError(f"{path}: meta: no entry family=...")
    return Recording(path, meta["family"], arrays)


def _check_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    required = ("map0", "tiles_end", "move", "style", "target", "acted", "pos", *_STATE, *_FLAGS, "meta")
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ValueError(f"{path}: not a recording: holds something other than arrays")
    missing = [name for name in required if name not in arrays]
    if missing:
        raise ValueError(f"{path}: not a recording: without {', '.join(missing)}")
    if arrays["move"].ndim != 2 or arrays["map0"].ndim != 2:
        raise ValueError(f"{path}: move and map0 must have two axes")
    (ticks, agents), size = arrays["move"].shape, arrays["map0"].shape
    if agents == 0:
        raise ValueError(f"{path}: move: shape {(ticks, agents)}: no agents")
    shapes = dict.fromkeys(("move", "style", "target", "acted"), (ticks, agents))
    shapes |= dict.fromkeys((*_STATE, *_FLAGS), (ticks + 1, agents))
    shapes |= {"pos": (ticks + 1, agents, 2), "tiles_end": (ticks + 1, *size), "tiles_start": (ticks, *size)}
    for name, shape in shapes.items():
        if name not in arrays:
            continue
        array = arrays[name]
        if array.shape != shape:
            raise ValueError(f"{path}: {name}: shape {array.shape}: expected {shape}")
        kinds = "b" if name in (*_FLAGS, "acted") else "iu"
        if array.dtype.kind not in kinds:
            raise ValueError(f"{path}: {name}: type {array.dtype}: expected {'bool' if kinds == 'b' else 'integers'}")


def compare(recording: Recording, mode: str) -> Difference | None:
    """Plays a recording and returns the first difference, or None.

    Args:
      mode: ``sequential``: every array of every present agent must match. ``simultaneous``: likewise for
        families that begin with ``law``; for others, of every agent alive (the dead leave at once).

    Raises:
      ValueError: the recording begins in a state that cannot be.
    """
    arrays = recording.arrays
    law = recording.family.startswith("law")
    presence = "present" if mode == "sequential" or law else "alive"
    config, rules = preset(
        "law" if law else "chaos",
        num_agents=recording.num_agents,
        num_populations=1,
        rows=arrays["map0"].shape[0],
        columns=arrays["map0"].shape[1],
        layout="free",
        resolution=mode,
    )
    try:
        realm = _first_realm(recording, presence, config)
    except ValueError as error:
        raise ValueError(f"{recording.path}: first state: {error}") from None
    rules = as_rules(rules, config)
    difference = _difference(recording, presence, -1, _host(realm, rules))
    play = _player(config)
    for start in range(0, recording.num_ticks, _CHUNK):
        if difference is not None:
            break
        stop = min(start + _CHUNK, recording.num_ticks)
        realm, states = play(realm, rules, *_inputs(recording, start, stop))
        states = jax.device_get(states)
        for tick in range(start, stop):
            state = {name: values[tick - start] for name, values in states.items()}
            difference = difference or _difference(recording, presence, tick, state)
    return difference


def _first_realm(recording: Recording, presence: str, config: Config) -> Realm:
    arrays = recording.arrays
    there = np.flatnonzero(arrays[presence][0])
    depleted = (arrays["map0"] == Material.FOREST) & (arrays["tiles_end"][0] != Material.FOREST)
    first = {name: arrays[name][0][there] for name in ("food", "water", "health", "freeze", "damage")}
    return make_realm(
        config,
        arrays["map0"],
        row=arrays["pos"][0, there, 0],
        col=arrays["pos"][0, there, 1],
        slot=there,
        uid=there,
        age=arrays["timeAlive"][0][there],
        ready_tick=np.where(depleted, NEVER, 0),
        **first,
    )


def _inputs(recording: Recording, start: int, stop: int) -> tuple[Action, jax.Array]:
    """Actions, and material as observed at the start of each tick (zero size: no regrowth), of one chunk.

    Both are padded to the length of a chunk; what the padding does is not looked at.
    """
    arrays = recording.arrays

    def padded(values: np.ndarray) -> jax.Array:
        return jnp.asarray(np.pad(values, [(0, _CHUNK - len(values))] + [(0, 0)] * (values.ndim - 1)))

    acted = arrays["acted"][start:stop]
    action = Action.from_named(
        {
            name: padded(np.where(acted, arrays[name][start:stop], nothing).astype(np.int32))
            for name, nothing in (("move", 0), ("style", 0), ("target", -1))
        }
    )
    regrown = arrays.get("tiles_start", np.zeros((recording.num_ticks, 0), np.uint8))[start:stop]
    return action, padded(regrown.astype(np.uint8))


@functools.lru_cache
def _player(config: Config) -> Callable[..., tuple[Realm, dict[str, jax.Array]]]:
    """A jitted function that plays a chunk and returns the states at the end of its ticks."""

    def play(realm: Realm, rules: Rules, actions: Action, regrown: jax.Array):
        draws = Draws(
            regrowth=jnp.full(config.num_agents, NEVER, jnp.int32),
            spawn=jnp.zeros((config.max_spawns, 3), jnp.uint32),
        )
        rules = rules.replace(spawn_rate=jnp.float32(0))

        def tick(realm, inputs):
            action, observed = inputs
            if observed.size:
                ready = jnp.where(observed == Material.FOREST, 0, NEVER)
                realm = realm.replace(tiles=realm.tiles.replace(ready_tick=ready))
            realm, *_ = transition(realm, action, draws, rules, config)
            return realm, _state(realm, rules)

        return jax.lax.scan(tick, realm, (actions, regrown))

    return jax.jit(play)


def _state(realm: Realm, rules: Rules) -> dict[str, jax.Array]:
    agents = realm.agents
    return {
        "present": agents.alive,
        "alive": agents.alive & (agents.health > 0),
        "pos": jnp.stack([agents.row, agents.col], axis=-1),
        **{name: getattr(agents, name) for name in _STATE if name != "timeAlive"},
        "timeAlive": agents.age,
        "immune": agents.age < rules.immunity_ticks,
        "tiles_end": observed_material(realm),
    }


def _host(realm: Realm, rules: Rules) -> dict[str, np.ndarray]:
    return jax.device_get(_state(realm, rules))


def _difference(recording: Recording, presence: str, tick: int, state: dict[str, np.ndarray]) -> Difference | None:
    """The first difference at the end of a tick, in the order of the state's arrays."""
    expected = {name: recording.arrays[name][tick + 1] for name in state}
    if presence == "alive":  # the dead do not stay
        expected["present"] = expected["alive"]
    there = expected["present"]
    for name, got in state.items():
        want = expected[name].astype(got.dtype) if got.dtype.kind == "b" else expected[name]
        differs = want != got
        if name not in ("present", "tiles_end"):
            differs &= there[:, None] if name == "pos" else there
        if differs.any():
            first = tuple(int(i) for i in np.argwhere(differs)[0])
            where = f"row {first[0]}, column {first[1]}" if name == "tiles_end" else f"agent {first[0]}"
            at = first if name == "tiles_end" else first[0]
            return Difference(tick, name, where, want[at].tolist(), got[at].tolist())
    return None
