"""What the browser is sent of a replay: a hello, the curves so far, and frames."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from nmmo_jax.components import Agents
from nmmo_jax.config import STYLES
from nmmo_jax.kinds import Material
from nmmo_jax.replay import Frame, Replay
from nmmo_jax.viewer import declared, protocol
from nmmo_jax.world.draw import STAT_COLOURS, STYLE_COLOURS, cause_colours, palette

_MOST_POINTS = 2_000  # of a curve
_COLUMNS = [field.name for field in dataclasses.fields(Agents) if field.name != "alive"]


def hello(replay: Replay, colours: list[str], fields: dict[str, Any]) -> bytes:
    """What does not change while the same realm is shown."""
    config, rules = replay.config, replay.rules
    names = told_apart(replay.about["populations"])
    materials = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in palette(config).tolist()]
    most = {name: int(getattr(rules, f"max_{name}")) for name in STAT_COLOURS}
    begin, size = land(np.asarray(replay.tiles.material))
    described = {
        "title": replay.about["title"],
        "rows": config.rows,
        "columns": config.columns,
        "size": np.asarray(replay.tiles.size).tolist(),
        "land": [*begin, *size],
        "populations": [{"name": names[p], "colour": colours[p % len(colours)]} for p in range(config.num_populations)],
        "styles": _coloured(STYLE_COLOURS.items()),
        "reach": np.asarray(rules.attack_range).tolist(),
        "view": config.view,
        "stats": [{**one, "most": most[one["name"]]} for one in _coloured(STAT_COLOURS.items())],
        "causes": _coloured(zip(config.deadly, cause_colours(config), strict=True)),
        "materials": _coloured(zip(config.material_names, materials, strict=True)),
        "harvested": [config.spent.get(one, one) for one in range(len(materials))],  # as which each looks, not ready
        "agents": [*_COLUMNS, "immune"],
        "own": declared.columns_of_agents(config),
        "tables": declared.things(config),
        "arguments": declared.arguments(config),
    }
    return protocol.encode("hello", {**described, **fields}, material=np.asarray(replay.tiles.material))


def told_apart(names: Iterable[str]) -> list[str]:
    """Names of populations by which they can be told apart: one that several have is numbered."""
    names, found = list(names), []
    for name in names:
        numbered = (f"{name} {number}" for number in itertools.count(1))
        free = (one for one in numbered if one not in found and one not in names)
        found.append(name if names.count(name) == 1 else next(free))
    return found


def land(material: np.ndarray, edge: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where what is not lava begins, and its size, with so many tiles around it: rows and columns."""
    solid, begins, sizes = material != Material.LAVA, [], []
    if not solid.any():
        return (0, 0), material.shape
    for axis, side in ((1, 0), (0, 1)):
        there = np.flatnonzero(solid.any(axis))
        begins.append(max(int(there[0]) - edge, 0))
        sizes.append(min(int(there[-1]) + edge + 1, material.shape[side]) - begins[-1])
    return (begins[0], begins[1]), (sizes[0], sizes[1])


def _coloured(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "colour": colour} for name, colour in pairs]


class Totals:
    """What has happened up to each frame of a replay, counted as frames come.

    Attributes:
      living: ``[T + 1, P]`` agents of each population.
      deaths: ``[T + 1, causes]`` who have left so far, by cause; NONE: by age.
      ages: ``[T + 1]`` the sum of their ages, in ticks.
      living_ages: ``[T + 1]`` the mean age of the living; NaN: nobody lives.
    """

    def __init__(self, replay: Replay):
        self._replay = replay
        self.living: list[np.ndarray] = []
        self.deaths: list[np.ndarray] = []
        self.ages: list[int] = []
        self.living_ages: list[float] = []
        self.catch_up()

    def catch_up(self) -> None:
        """Counts the frames that have come since."""
        populations = self._replay.config.num_populations
        for frame in self._replay.frames[len(self.living) :]:
            before = self.deaths[-1] if self.deaths else np.zeros(len(self._replay.config.cause_names), np.int64)
            agents, left = frame.agents, frame.left
            self.deaths.append(before + np.bincount(frame.cause[left], minlength=len(self._replay.config.cause_names)))
            self.ages.append((self.ages[-1] if self.ages else 0) + int(frame.left_age[left].sum()))
            self.living_ages.append(float(agents.age[agents.alive].mean()) if agents.alive.any() else float("nan"))
            self.living.append(np.bincount(agents.population[agents.alive], minlength=populations))

    def after(self, first: int, replay: Replay) -> "Totals":
        """The same counts, for a replay that begins with the frame of that index."""
        other = object.__new__(Totals)
        other._replay = replay
        for name in ("living", "deaths", "ages", "living_ages"):
            setattr(other, name, getattr(self, name)[first:])
        return other

    def lifetime(self, index: int) -> float:
        """Mean age of who died so far, ticks; NaN before the first."""
        dead = self.deaths[index].sum()
        return self.ages[index] / dead if dead else float("nan")

    def history(self) -> bytes:
        """The curves so far."""
        number = len(self.living)
        stride = -(-number // _MOST_POINTS)
        points = range(0, number, stride)
        return protocol.encode(
            "history",
            {"first": int(self._replay.frames[0].tick), "stride": stride},
            living=np.stack([self.living[point] for point in points]).astype(np.uint16),
            lifetime=np.array([self.lifetime(point) for point in points], np.float32),
            age=np.array([self.living_ages[point] for point in points], np.float32),
        )

    def summary(self, index: int) -> dict[str, Any]:
        """Of one frame."""
        deaths = self.deaths[index]
        return {
            "deaths": {name: int(deaths[1 + i]) for i, name in enumerate(self._replay.config.deadly)},
            "lifetime": self.lifetime(index),
            "age": self.living_ages[index],
        }


def frame(replay: Replay, totals: Totals, index: int, since: int, fields: dict[str, Any]) -> bytes:
    """The world at the end of a tick.

    Args:
      since: the frame whose forests the browser has; -1: none, all ready.
    """
    now, agents = replay.frames[index], replay.frames[index].agents
    alive = np.flatnonzero(agents.alive)
    columns = {name: getattr(agents, name)[alive] for name in _COLUMNS}
    columns["immune"] = (agents.age[alive] < int(replay.rules.immunity_ticks)).astype(np.uint8)
    before = replay.frames[max(index - 1, 0)].agents
    return protocol.encode(
        "frame",
        {"tick": int(now.tick), **totals.summary(index), **fields},
        **columns,
        attacks=attacks_of(now, before),
        deaths=deaths_of(now, before),
        toggled=replay.toggles(since, index).astype(np.uint32),
        living=totals.living[index].astype(np.uint16),
        **declared.arrays_of_things(now, declared.placed_tables(replay.config)),
    )


def attacks_of(now: Frame, before: Any) -> np.ndarray:
    """``[k, 8]``: attacker, style, target, damage, where both are, or were last."""
    attacker = np.flatnonzero((now.hit >= 0) & before.alive)
    target = now.hit[attacker]
    rows = [before.uid[attacker], now.style[attacker], before.uid[target], now.hit_damage[attacker]]
    for slot in (attacker, target):
        still = now.agents.uid[slot] == before.uid[slot]
        rows += [
            np.where(still, getattr(now.agents, axis)[slot], getattr(before, axis)[slot]) for axis in ("row", "col")
        ]
    return np.stack(rows, axis=1).astype(np.int32)


def deaths_of(now: Frame, before: Any) -> np.ndarray:
    """``[d, 5]``: who left, its population, where it was last, and why."""
    slot = np.flatnonzero(now.left)
    rows = [getattr(before, name)[slot] for name in ("uid", "population", "row", "col")]
    return np.stack([*rows, now.cause[slot]], axis=1).astype(np.int32)


def slot_of(replay: Replay, index: int, uid: int) -> int | None:
    """Where in the tables that agent is; None: it does not live in that frame."""
    agents = replay.frames[index].agents
    found = np.flatnonzero(agents.alive & (agents.uid == uid))
    return int(found[0]) if found.size else None


def attack_map(replay: Replay, index: int, slot: int) -> np.ndarray:
    """Float32 ``[2 r + 1, 2 r + 1, styles]``: of the hits an agent has made so far, the share by where the target stood
    and style; r is the longest reach, or as far as agents see.
    """
    reach = min(int(np.max(replay.rules.attack_range)), replay.config.radius)
    side, uid = 2 * reach + 1, replay.frames[index].agents.uid[slot]
    result = np.zeros((side, side, len(STYLES)), np.float32)
    for at in range(index, 0, -1):
        now, before = replay.frames[at], replay.frames[at - 1].agents
        if before.uid[slot] != uid:
            break
        target = now.hit[slot]
        if target >= 0:
            where = [
                int(getattr(before, axis)[target]) - int(getattr(before, axis)[slot]) + reach for axis in ("row", "col")
            ]
            if all(0 <= one < side for one in where):
                result[(*where, now.style[slot])] += 1
    return result / max(result.sum(), 1)
