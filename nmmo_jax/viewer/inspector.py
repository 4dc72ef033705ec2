"""What can be laid over the map, and what is known of a selected agent, for any frame of a replay."""

import functools
import math
import threading
from typing import Any, NamedTuple

import numpy as np

from nmmo_jax.actions import heads
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.kinds import Material
from nmmo_jax.observations import FEATURES
from nmmo_jax.replay import Replay
from nmmo_jax.systems.sight import tiles_in_view
from nmmo_jax.viewer import protocol
from nmmo_jax.viewer.declared import numbers_of_agents
from nmmo_jax.viewer.policies import PolicyOutputs, TrainedPolicies
from nmmo_jax.viewer.scene import attack_map, slot_of, told_apart

_SIDE = 128  # cells of an overlay at most; larger maps have several tiles per cell
_BLUR = 2  # tiles to each side, twice


class Overlay(NamedTuple):
    """What an overlay needs and how it is drawn."""

    name: str
    label: str
    meaning: str
    unit: str
    agent: bool = False  # speaks of the selected agent
    populations: bool = False  # has a value for each population
    trained: bool = False  # needs a trained policy
    diverging: bool = False


OVERLAYS = {
    overlay.name: overlay
    for overlay in (
        Overlay("value", "Value", "What the network expects of a newborn there", "reward to come", trained=True),
        Overlay(
            "dependency",
            "Dependency",
            "How the selected agent's value changes with another agent there",
            "reward to come",
            agent=True,
            trained=True,
            diverging=True,
        ),
        Overlay(
            "target",
            "Target",
            "Probability that the selected agent attacks whoever stands there",
            "probability",
            agent=True,
            trained=True,
        ),
        Overlay("forest", "Forest", "Ticks until the forest is ready to be harvested", "ticks"),
        Overlay("visits", "Visits", "How often agents of each population stood there", "agent-ticks", populations=True),
        Overlay("density", "Density", "Agents of each population nearby", "agents per tile", populations=True),
    )
}


def _of_systems(config: Config) -> dict[str, Overlay]:
    """An overlay for every column of tiles of a world's systems."""
    columns = [(system.name, column) for system in config.systems for column in system.tiles]
    names = {f"{system}.{column.name}": (system, column) for system, column in columns}
    return {
        name: Overlay(name, f"{system}: {column.name}".capitalize(), column.meaning, column.unit)
        for name, (system, column) in names.items()
    }


class Inspector:
    """Messages about the agents and the map of any frame of one replay.

    Attributes:
      policies: of its populations.

    Another thread may append to the replay, with the lock.
    """

    def __init__(self, replay: Replay, policies: TrainedPolicies, lock: threading.Lock):
        self.policies, self._replay, self._lock = policies, replay, lock
        config, self._names = replay.config, told_apart(replay.about["populations"])
        self._shape = config.num_populations, config.rows, config.columns
        self._overlays = {**OVERLAYS, **_of_systems(config)}
        if not config.exploration:
            del self._overlays["visits"]
        self._visited = 0  # frames that are counted in it
        self._cached: tuple[int, Realm, PolicyOutputs] | None = None  # of the frame that was asked for last

    def list(self) -> list[dict[str, Any]]:
        """The overlays that there are, for the browser."""
        fields = ("name", "label", "meaning", "agent", "populations")
        known = [one for one in self._overlays.values() if self.policies.trained or not one.trained]
        return [{field: getattr(one, field) for field in fields} for one in known]

    def agent(self, index: int, uid: int, cores: Any = None) -> bytes:
        """What is known of an agent; ``cores`` as for ``TrainedPolicies.forward``."""
        replay, slot = self._replay, slot_of(self._replay, index, uid)
        fields = {"uid": uid, "tick": int(replay.frames[index].tick), "found": slot is not None}
        if slot is None:
            return protocol.encode("agent", fields)
        _, outputs = self._outputs(index, cores)
        population = int(replay.frames[index].agents.population[slot])
        fields |= {"population": population, "name": f"{self._names[population]} #{uid}", "value": None}
        kept = replay.frames[index].of
        fields["own"] = {
            name: int(kept[system][column.name][(*place, slot)])
            for name, (system, column, place) in numbers_of_agents(replay.config).items()
        }
        arrays: dict[str, Any] = {"attack_map": attack_map(replay, index, slot)}
        arrays |= {"tiles": outputs.obs.tiles[slot], "visible": self._visible(index, slot, outputs)}
        if outputs.trained[slot]:
            fields["value"] = float(outputs.value[slot])
            arrays |= {f"probability.{name}": rows[slot] for name, rows in outputs.probabilities.items()}
            arrays |= self._things(index, slot, outputs)
        return protocol.encode("agent", fields, **arrays)

    def mask(self, index: int, uid: int, cores: Any = None) -> bytes:
        """Which choices do something for an agent, of each argument, and whom it lists; nothing where it is dead."""
        slot = slot_of(self._replay, index, uid)
        arrays: dict[str, Any] = {}
        if slot is not None:
            _, outputs = self._outputs(index, cores)
            arrays = {f"mask.{name}": rows[slot].astype(np.uint8) for name, rows in outputs.obs.mask.items()}
            arrays["visible"] = self._visible(index, slot, outputs)
            arrays |= self._things(index, slot, outputs)
        return protocol.encode("mask", {"uid": uid, "tick": int(self._replay.frames[index].tick)}, **arrays)

    def _things(self, index: int, slot: int, outputs: PolicyOutputs) -> dict[str, np.ndarray]:
        """Of arguments among tiles or lists: what each choice is, as ``act`` takes it, and what is shown of it."""
        config, obs, found = self._replay.config, outputs.obs, {}
        for argument in (argument for head in heads(config) for argument in head.arguments):
            if argument.among in ("", "visible"):
                continue
            if argument.among in config.lists:
                rows = obs.rows[argument.among][slot]
                things = self._uids(index, rows) if protocol.is_of_agents(argument, config) else rows
                found[f"thing.{argument.name}"] = np.append(-1, things).astype(np.int32)
                found[f"shown.{argument.name}"] = np.asarray(obs.of[argument.among][slot], np.int32)
                continue
            own = dict(zip(FEATURES, obs.self[slot], strict=True))
            tiles = np.array(tiles_in_view(own["row"], own["col"], config))
            tiles[argument.nothing] = -1
            found[f"thing.{argument.name}"] = tiles
        return found

    def _visible(self, index: int, slot: int, outputs: PolicyOutputs) -> np.ndarray:
        """The uids of those whom an agent lists, -1 where its list ends."""
        return self._uids(index, outputs.obs.visible_slot[slot])

    def _uids(self, index: int, slots: Any) -> np.ndarray:
        """Who holds these slots; -1: nobody."""
        return np.where(slots >= 0, self._replay.frames[index].agents.uid[slots], -1).astype(np.int32)

    def overlay(self, index: int, name: str, uid: int | None, cores: Any = None) -> bytes:
        """The values of an overlay.

        Raises:
          ValueError: there is no such overlay here, or no agent that it could speak of.
        """
        overlay = self._overlays.get(name)
        if overlay is None or (overlay.trained and not self.policies.trained):
            raise ValueError(f"overlay {name}: there is none of that name here")
        slot = None if uid is None else slot_of(self._replay, index, uid)
        if overlay.agent and slot is None:
            raise ValueError(f"overlay {name}: select an agent that lives")
        if name in OVERLAYS:
            place, scale, values = getattr(self, f"_{name}")(index, slot, cores)
        else:
            system, _, column = name.partition(".")
            values = np.asarray(self._replay.frames[index].of[system][column], np.float64)
            place, scale, values = self._in_cells(values, _most)
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if overlay.diverging:
            high = max(abs(low), abs(high))
            low = -high
        elif name != "value":
            low = min(low, 0.0)
        fields = {"name": name, "tick": int(self._replay.frames[index].tick), "row": place[0], "col": place[1]}
        fields |= {"scale": scale, "low": low, "high": high, "diverging": overlay.diverging, "unit": overlay.unit}
        return protocol.encode("overlay", fields, values=values.astype(np.float32))

    def _outputs(self, index: int, cores: Any) -> tuple[Realm, PolicyOutputs]:
        """The realm of a frame and what its policies give, kept for whoever asks next."""
        tick = int(self._replay.frames[index].tick)
        if self._cached is None or self._cached[0] != tick:
            with self._lock:
                realm = self._replay.realm(index)
            self._cached = tick, realm, self.policies.forward(realm, cores)
        return self._cached[1:]

    def _value(self, index: int, slot: int | None, cores: Any) -> tuple[tuple[int, int], int, np.ndarray]:
        realm, _ = self._outputs(index, cores)
        material = self._replay.tiles.material
        scale = math.ceil(max(material.shape) / _SIDE)
        row, col = np.nonzero(np.isin(material[scale // 2 :: scale, scale // 2 :: scale], self._replay.config.walkable))
        population = 0 if slot is None else int(self._replay.frames[index].agents.population[slot])
        while not self.policies.is_trained(population):  # the first that is trained
            population = (population + 1) % self._replay.config.num_populations
        tiles = [(axis * scale + scale // 2).astype(np.int32) for axis in (row, col)]
        values = np.full([-(-side // scale) for side in material.shape], np.nan, np.float32)
        values[row, col] = self.policies.tile_values(realm, population, *tiles)
        return (0, 0), scale, values

    def _dependency(self, index: int, slot: int, cores: Any) -> tuple[tuple[int, int], int, np.ndarray]:
        realm, _ = self._outputs(index, cores)
        population = int(self._replay.frames[index].agents.population[slot])
        if not self.policies.is_trained(population):
            raise ValueError("overlay dependency: the agent is not trained")
        return self._corner(index, slot), 1, self.policies.dependency(realm, slot)

    def _target(self, index: int, slot: int, cores: Any) -> tuple[tuple[int, int], int, np.ndarray]:
        _, outputs = self._outputs(index, cores)
        if not outputs.trained[slot]:
            raise ValueError("overlay target: the agent is not trained")
        chosen = {name: rows[slot] for name, rows in outputs.probabilities.items()}
        probability = (chosen["style"][:, None] * chosen["target"]).sum(axis=0)
        agents, corner = self._replay.frames[index].agents, self._corner(index, slot)
        view = self._replay.config.view
        values = np.full((view, view), np.nan, np.float32)
        for other, share in zip(outputs.obs.visible_slot[slot][1:], probability[1:], strict=True):
            if other >= 0:
                at = int(agents.row[other]) - corner[0], int(agents.col[other]) - corner[1]
                values[at] = np.nan_to_num(values[at]) + share
        return corner, 1, values

    def _forest(self, index: int, slot: int | None, cores: Any) -> tuple[tuple[int, int], int, np.ndarray]:
        material, tick = self._replay.tiles.material, int(self._replay.frames[index].tick)
        with self._lock:
            ready = self._replay.ready_tick(index)
        left = np.maximum(ready.astype(np.float64) - tick, 0)
        return self._in_cells(np.where(material == Material.FOREST, left, np.nan), _most)

    @functools.cached_property
    def _visits_so_far(self) -> np.ndarray:
        return np.zeros(self._shape, np.int32)

    def _visits(self, index: int, slot: int | None, cores: Any) -> tuple[tuple[int, int], int, np.ndarray]:
        if index + 1 < self._visited:
            self._visits_so_far[:], self._visited = 0, 0
        for frame in self._replay.frames[self._visited : index + 1]:
            np.add.at(self._visits_so_far, _places(frame.agents), 1)
        self._visited = index + 1
        return self._in_cells(self._visits_so_far, np.sum)

    def _density(self, index: int, slot: int | None, cores: Any) -> tuple[tuple[int, int], int, np.ndarray]:
        count = np.zeros(self._shape, np.int32)
        np.add.at(count, _places(self._replay.frames[index].agents), 1)
        place, scale, count = self._in_cells(count, np.sum)
        for axis in (1, 2, 1, 2):
            count = _blurred(count, axis)
        return place, scale, count / scale**2

    def _corner(self, index: int, slot: int) -> tuple[int, int]:
        """The upper left tile of an agent's window."""
        agents, radius = self._replay.frames[index].agents, self._replay.config.radius
        return int(agents.row[slot]) - radius, int(agents.col[slot]) - radius

    def _in_cells(self, values: np.ndarray, reduce: Any) -> tuple[tuple[int, int], int, np.ndarray]:
        """Values of the whole map, of several tiles together where it is large."""
        scale = math.ceil(max(values.shape[-2:]) / _SIDE)
        if scale > 1:
            pad = [(0, 0)] * (values.ndim - 2) + [(0, -side % scale) for side in values.shape[-2:]]
            values = np.pad(values, pad, constant_values=np.nan if values.dtype.kind == "f" else 0)
            rows, columns = (side // scale for side in values.shape[-2:])
            values = reduce(values.reshape(*values.shape[:-2], rows, scale, columns, scale), axis=(-3, -1))
        return (0, 0), scale, values


def _most(values: np.ndarray, axis: tuple[int, int]) -> np.ndarray:
    """The largest, where there is any."""
    most = np.nan_to_num(values, nan=-1).max(axis=axis)
    return np.where(np.isnan(values).all(axis=axis), np.nan, most)


def _places(agents: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Population, row and column of the living."""
    return agents.population[agents.alive], agents.row[agents.alive], agents.col[agents.alive]


def _blurred(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean over a few cells along an axis; beyond the edge there is nobody."""
    pad = [(0, 0)] * values.ndim
    pad[axis] = (_BLUR, _BLUR)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, pad), 2 * _BLUR + 1, axis)
    return windows.mean(axis=-1)
