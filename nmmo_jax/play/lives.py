"""Lives: a row for each agent that ever lived, made of the events of a run.

>>> lives = Lives()
>>> lives.begin(realm)                       # [R, ...]
>>> lives.add(info.events)                   # of every tick, [R, E]; or of several, [T, R, E]
>>> lives.finish(realm)
>>> lives.table.age

An agent that is alive at the end has not been seen to die: its life is censored on the right, and its age is that which
it has reached. One that was alive at the beginning was not seen to be born: its birth is reckoned from its age.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.bits import first_set
from nmmo_jax.common.lookup import lookup
from nmmo_jax.common.tables import Column
from nmmo_jax.components import NO_UID, Realm
from nmmo_jax.config import Config
from nmmo_jax.events import Events
from nmmo_jax.kinds import Event

_ENDS = (Event.DEATH, Event.TRUNCATION)
_NONE = -1
END = ("death", "truncation", "alive")  # how a life ends, or that it does not


class Lived(NamedTuple):
    """A row per life, int32 ``[L]``, ordered by realm and uid; -1 where there is nothing to tell."""

    realm: np.ndarray
    uid: np.ndarray
    parent_uid: np.ndarray  # -1: born on the spawn ring, or before the beginning
    population: np.ndarray
    birth_tick: np.ndarray  # in which it was born; before the beginning, reckoned
    seen: np.ndarray  # 1: it was seen to be born; 0: it was there at the beginning
    birth_row: np.ndarray  # place, -1: not seen
    birth_col: np.ndarray
    end: np.ndarray  # index into ``END``
    end_tick: np.ndarray  # in which it left; -1: alive
    age: np.ndarray  # in ticks, at the end of its life or of the run
    cause: np.ndarray  # of death, as in ``Config.cause_names``; 0: none
    killer_uid: np.ndarray
    end_row: np.ndarray
    end_col: np.ndarray


def events_of(config: Config) -> int:
    """A capacity of the event log, ``Config.events``, that no tick exceeds."""
    own = sum(len(system.events) for system in config.systems)
    return (4 + own) * config.num_agents + turnover(config)


def turnover(config: Config) -> int:
    """How many can come and go in a tick."""
    return config.num_agents * (2 if config.reproduction else 1) + config.max_spawns


def comings_and_goings(events: Events, rows: int) -> Events:
    """Of the events of a tick those of births, deaths and truncations, in the first of so many rows; the rest -1."""
    kept = (events.kind == Event.BIRTH) | (events.kind == Event.DEATH) | (events.kind == Event.TRUNCATION)
    size = events.kind.size
    index = jnp.pad(first_set(kept, min(rows, size)), (0, max(rows - size, 0)), constant_values=-1)
    columns = {name: lookup(getattr(events, name), index, -1) for name in Events.__dataclass_fields__
               if name not in ("count", "overflow")}  # fmt: skip
    return events.replace(count=kept.sum(dtype=jnp.int32), **columns)


class Lives:
    """Puts lives together; on the host.

    Attributes:
      table: the lives, once ``finish`` was called.
    """

    table: Lived

    def __init__(self) -> None:
        self._first: Any = None
        self._events: list[np.ndarray] = []

    def begin(self, realm: Realm) -> None:
        """Those who live in realms ``[R, ...]`` at the beginning."""
        self._first = _living(realm)

    def add(self, events: Events) -> None:
        """Events of one tick, ``[R, E]``, or of several in their order, ``[T, R, E]``.

        Raises:
          ValueError: some found no room in the log.
        """
        if np.asarray(events.overflow).any():
            raise ValueError(
                "events: some found no room in the log, and lives would be missing: a larger Config.events"
            )
        kind = np.asarray(events.kind)
        kind = kind if kind.ndim == 3 else kind[None]
        tick, realm, row = np.nonzero(np.isin(kind, (Event.BIRTH, *_ENDS)))
        names = ("tick", "kind", "uid", "other_uid", "population", "row", "col", "amount", "detail")
        columns = [np.asarray(getattr(events, name)).reshape(kind.shape)[tick, realm, row] for name in names]
        self._events.append(np.stack([realm, *columns], axis=1, dtype=np.int32))

    def finish(self, realm: Realm) -> None:
        """Puts together ``table``, all lives, of realms as they are at the end.

        Raises:
          ValueError: somebody left who was not there, or is there who did not come: events are missing.
        """
        events = np.concatenate(self._events) if self._events else np.zeros((0, 10), np.int32)
        born, gone = events[events[:, 2] == Event.BIRTH], events[np.isin(events[:, 2], _ENDS)]
        first, last = self._first, _living(realm)
        unknown = np.full(len(first["uid"]), _NONE)
        at_first = np.stack([first["realm"], first["uid"], unknown, first["population"],
                             first["tick"] - 1 - first["age"], unknown + 1, unknown, unknown], axis=1)  # fmt: skip
        at_birth = np.stack([*born[:, [0, 3, 4, 5, 1]].T, np.ones(len(born)), *born[:, [6, 7]].T], axis=1)
        begun = np.concatenate([at_first, at_birth]).astype(np.int32)
        begun = begun[np.lexsort((begun[:, 1], begun[:, 0]))]
        dead = gone[:, 2] == Event.DEATH
        nobody = np.full(len(last["uid"]), _NONE)
        at_last = np.stack([last["realm"], last["uid"], nobody + 3, nobody, last["age"], nobody + 1,
                            nobody, nobody, nobody], axis=1)  # fmt: skip
        at_end = np.stack([gone[:, 0], gone[:, 3], np.where(dead, 0, 1), gone[:, 1], gone[:, 8],
                           np.where(dead, gone[:, 9], 0), np.where(dead, gone[:, 4], _NONE),
                           *gone[:, [6, 7]].T], axis=1)  # fmt: skip
        ended = np.concatenate([at_end, at_last]).astype(np.int32)
        ended = ended[np.lexsort((ended[:, 1], ended[:, 0]))]
        if not np.array_equal(begun[:, :2], ended[:, :2]):
            raise ValueError("events: those who came are not those who left or are there: some are missing")
        self.table = Lived(*begun.T, *ended[:, 2:].T)


def columns(table: Lived, config: Config, policies: Sequence[str]) -> list[Column]:
    """Lives as a table for other programs.

    Args:
      policies: what each population plays.
    """

    def known(values: np.ndarray) -> Any:
        return np.ma.masked_equal(values, _NONE)

    causes = np.ma.array(np.array(config.cause_names)[table.cause], mask=table.cause == 0)
    return [
        Column("realm", table.realm, "", "index of the world"),
        Column("uid", table.uid, "", "order of birth in its world, from 0"),
        Column("parent_uid", known(table.parent_uid), "", "who gave birth to it; null: the spawn ring, or not seen"),
        Column("population", table.population, "", "index of its population"),
        Column("policy", np.array(policies, object)[table.population], "", "what its population plays"),
        Column("birth_tick", table.birth_tick, "ticks", "in which it was born; before the first tick: -1 or earlier"),
        Column("birth_seen", table.seen == 1, "", "false: it was there at the beginning"),
        Column("birth_row", known(table.birth_row), "tiles", "where it was born, counted downwards"),
        Column("birth_col", known(table.birth_col), "tiles", "where it was born, counted to the right"),
        Column(
            "end", np.array(END, object)[table.end], "", "death; truncation: it reached max_lifetime; alive: censored"
        ),
        Column("died", table.end == 0, "", "whether its death was seen; false: the life is censored on the right"),
        Column("end_tick", known(table.end_tick), "ticks", "in which it left; null: alive at the end"),
        Column("age", table.age, "ticks", "completed, at its end or at that of the run"),
        Column("cause", causes, "", "of its death; null: it did not die"),
        Column("killer_uid", known(table.killer_uid), "", "who killed it; null: nobody"),
        Column("end_row", known(table.end_row), "tiles", "where it left"),
        Column("end_col", known(table.end_col), "tiles", "where it left"),
    ]


def _living(realm: Realm) -> dict[str, np.ndarray]:
    """Who lives in realms ``[R, ...]``: int32 ``[K]`` each."""
    agents, tick = jax.device_get((realm.agents, realm.tick))
    which, slot = np.nonzero(np.asarray(agents.alive))
    names = ("uid", "population", "age")
    assert NO_UID == _NONE
    return {"realm": which, "tick": np.asarray(tick)[which],
            **{name: np.asarray(getattr(agents, name))[which, slot].astype(np.int32) for name in names}}  # fmt: skip
