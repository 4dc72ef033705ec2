"""What the browser is told of a replay: a hello, the curves so far, and frames."""

from typing import Any

import numpy as np

from nmmo_jax.config import STYLES
from nmmo_jax.replay import Frame, Replay
from nmmo_jax.viewer import protocol
from nmmo_jax.world.draw import palette

_MOST_POINTS = 2_000  # of a curve


def hello(replay: Replay, colours: list[str], fields: dict[str, Any]) -> bytes:
    """What does not change while the same realm is shown."""
    config, rules = replay.config, replay.rules
    names = replay.about["populations"]
    told = {
        "title": replay.about["title"],
        "rows": config.rows,
        "columns": config.columns,
        "size": np.asarray(replay.tiles.size).tolist(),
        "populations": [{"name": names[p], "colour": colours[p % len(colours)]} for p in range(config.num_populations)],
        "styles": list(STYLES),
        "reach": np.asarray(rules.attack_range).tolist(),
        "view": config.view,
        "most": {name: int(getattr(rules, f"max_{name}")) for name in ("health", "food", "water")},
        "materials": [
            {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*colour)}
            for name, colour in zip(config.material_names, palette(config).tolist(), strict=True)
        ],
    }
    return protocol.encode("hello", {**told, **fields}, material=np.asarray(replay.tiles.material))


class Totals:
    """What has happened up to each frame of a replay, counted as frames come.

    Attributes:
      living: ``[T + 1, P]`` agents of each population.
      deaths: ``[T + 1, causes]`` who have left so far, by cause; NONE: by age.
      ages: ``[T + 1]`` the sum of their ages, in ticks.
    """

    def __init__(self, replay: Replay):
        self._replay = replay
        self.living: list[np.ndarray] = []
        self.deaths: list[np.ndarray] = []
        self.ages: list[int] = []
        self.catch_up()

    def catch_up(self) -> None:
        """Counts the frames that have come since."""
        populations = self._replay.config.num_populations
        for frame in self._replay.frames[len(self.living) :]:
            before = self.deaths[-1] if self.deaths else np.zeros(len(self._replay.config.cause_names), np.int64)
            agents, left = frame.agents, frame.left
            self.deaths.append(before + np.bincount(frame.cause[left], minlength=len(self._replay.config.cause_names)))
            self.ages.append((self.ages[-1] if self.ages else 0) + int(frame.left_age[left].sum()))
            self.living.append(np.bincount(agents.population[agents.alive], minlength=populations))

    def after(self, first: int, replay: Replay) -> "Totals":
        """The same counts, for a replay that begins with the frame of that index."""
        other = object.__new__(Totals)
        other._replay = replay
        other.living, other.deaths, other.ages = self.living[first:], self.deaths[first:], self.ages[first:]
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
        )

    def told(self, index: int) -> dict[str, Any]:
        """Of one frame."""
        deaths = self.deaths[index]
        return {
            "deaths": {name: int(deaths[1 + i]) for i, name in enumerate(self._replay.config.deadly)},
            "lifetime": self.lifetime(index),
        }


def frame(replay: Replay, totals: Totals, index: int, since: int, fields: dict[str, Any]) -> bytes:
    """The world at the end of a tick.

    Args:
      since: the frame whose forests the browser has; -1: none, all ready.
    """
    now, agents = replay.frames[index], replay.frames[index].agents
    alive = np.flatnonzero(agents.alive)
    kinds = {"uid": np.int32, "population": np.uint16, "row": np.int16, "col": np.int16, "health": np.int16}
    kinds |= {"food": np.int16, "water": np.int16, "age": np.int32}
    columns = {name: getattr(agents, name)[alive].astype(kind) for name, kind in kinds.items()}
    columns["freeze"] = np.minimum(agents.freeze[alive], 255).astype(np.uint8)
    columns["damage"] = np.minimum(agents.damage[alive], np.iinfo(np.int16).max).astype(np.int16)
    columns["immune"] = (agents.age[alive] < int(replay.rules.immunity_ticks)).astype(np.uint8)
    before = replay.frames[max(index - 1, 0)].agents
    told = {"tick": int(now.tick), **totals.told(index), **fields}
    return protocol.encode(
        "frame",
        told,
        **columns,
        attacks=attacks_of(now, before),
        deaths=deaths_of(now, before),
        toggled=replay.toggles(since, index).astype(np.uint32),
        living=totals.living[index].astype(np.uint16),
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
    """Float32 ``[7, 7, 3]``: of the hits an agent has made so far, the share by where the target stood and style."""
    result, uid = np.zeros((7, 7, len(STYLES)), np.float32), replay.frames[index].agents.uid[slot]
    for at in range(index, 0, -1):
        now, before = replay.frames[at], replay.frames[at - 1].agents
        if before.uid[slot] != uid:
            break
        target = now.hit[slot]
        if target >= 0:
            where = [
                int(getattr(before, axis)[target]) - int(getattr(before, axis)[slot]) + 3 for axis in ("row", "col")
            ]
            if all(0 <= one < 7 for one in where):
                result[(*where, now.style[slot])] += 1
    return result / max(result.sum(), 1)
