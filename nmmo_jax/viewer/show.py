"""One world that several people watch: played in a thread of its own, at the pace that they ask for."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from nmmo_jax.actions import heads
from nmmo_jax.play.playing import HumanActions, Play
from nmmo_jax.replay import Replay
from nmmo_jax.viewer.minds import Minds
from nmmo_jax.viewer.overlays import Lens
from nmmo_jax.viewer.protocol import SLOWEST
from nmmo_jax.viewer.scene import Totals, slot_of

_HISTORY_BYTES = 512 * 2**20  # of frames that are kept to go back to, of each realm
_ARRAY_BYTES = 160  # of an array beside its numbers
_RATE_SECONDS = 1.0  # over which rates are taken


class Stage(NamedTuple):
    """What is shown of one realm."""

    session: int  # another number, another world: what was sent before means nothing
    replay: Replay
    totals: Totals
    lens: Lens


class Now(NamedTuple):
    """What is shown, at one moment."""

    stage: Stage
    at: int  # index of the newest frame
    cores: Any  # what the agents remember then; None: nothing is known


@dataclasses.dataclass(frozen=True)
class Step:
    """One tick."""


@dataclasses.dataclass(frozen=True)
class Choose:
    """Another realm."""

    realm: int


@dataclasses.dataclass(frozen=True)
class Rewind:
    """The replay from its beginning."""


class Show:
    """A world that goes on: live, or through a replay.

    Attributes:
      now: what is shown; another thread may replace it at any time.
      realm: number of the realm that is shown.
      paused, seconds: the pace; 0 seconds per tick: as fast as possible.
      failed: what ended the play, if anything has.
    """

    def __init__(self, source: Play | Replay, realms: int, minds: Minds, seconds: float = 0.6):
        self._plays = {source.index: source} if isinstance(source, Play) else {}
        self._stages: dict[int, Stage] = {}  # by realm, of those that have been shown
        self.live = isinstance(source, Play)
        self.realms, self.realm = realms, source.index if isinstance(source, Play) else 0
        self._minds, self.paused, self.seconds = minds, False, seconds
        self.lock = threading.Lock()  # of the replay that is being written
        self._control = threading.Condition()
        self._asked: dict[type, Step | Choose | Rewind] = {}  # the last of each kind that was asked for, in that order
        self._orders: dict[int, dict[str, int]] = {}  # by uid, then argument; of agents, their uid
        self._listener: Callable[[], None] = lambda: None
        self._closed, self.failed = False, None
        self._since, self._ticks, self._steps = time.perf_counter(), 0, 0
        self.ticks_per_second = self.agent_steps_per_second = 0.0
        self._session = 0
        self._show(source.replay if isinstance(source, Play) else source)
        self._thread = threading.Thread(target=self._run, name="show", daemon=True)

    @property
    def stage(self) -> Stage:
        """Of the realm that is shown."""
        return self.now.stage

    @property
    def at(self) -> int:
        """Index of the newest frame."""
        return self.now.at

    def start(self, listener: Callable[[], None]) -> None:
        """Begins; ``listener`` is called, in the thread of the show, whenever there is something new."""
        self._listener = listener
        self._thread.start()

    def close(self) -> None:
        """Ends the play, after the tick in hand."""
        with self._control:
            self._closed = True
            self._control.notify()
        if self._thread.ident is not None:  # it has begun
            self._thread.join()

    def pace(self, seconds: float | None = None, paused: bool | None = None) -> None:
        """Seconds per tick, and whether it stands still.

        Raises:
          ValueError: so many seconds are not allowed.
        """
        if seconds is not None and not 0 <= seconds <= SLOWEST:
            raise ValueError(f"seconds {seconds}: allowed are 0 to {SLOWEST:g}")
        with self._control:
            self.seconds = self.seconds if seconds is None else seconds
            self.paused = self.paused if paused is None else paused
            self._control.notify()
        self._listener()

    def step(self) -> None:
        """One tick, then a pause."""
        self.pace(paused=True)
        self._ask(Step())

    def choose(self, realm: int) -> None:
        """Shows another realm, from its beginning or where it was left.

        Raises:
          ValueError: there is none of that number.
        """
        if not self.live or not 0 <= realm < self.realms:
            raise ValueError(
                f"realm {realm}: allowed are 0 to {self.realms - 1}" if self.live else "a replay has one realm"
            )
        self._ask(Choose(realm))

    def rewind(self) -> None:
        """A replay from its beginning.

        Raises:
          ValueError: the world is live.
        """
        if self.live:
            raise ValueError("a live world does not begin again: go back in the timeline")
        self._ask(Rewind())

    def take(self, uid: int) -> None:
        """An agent does nothing from now on but what ``act`` says.

        Raises:
          ValueError: it does not live, or this is a replay.
        """
        if not self.live:
            raise ValueError("agents of a replay cannot be played")
        now = self.now
        if slot_of(now.stage.replay, now.at, uid) is None:
            raise ValueError(f"agent {uid}: does not live")
        with self._control:
            self._orders[uid] = {}

    def release(self, uid: int) -> None:
        """It plays by itself again."""
        with self._control:
            self._orders.pop(uid, None)

    def act(self, uid: int, choices: dict[str, int]) -> None:
        """What an agent that was taken does in the coming tick, as of ``choice_fields``; what is not given stays as
        asked before, and is nothing where that was not.
        """
        with self._control:
            if uid in self._orders:
                self._orders[uid] |= choices

    def taken(self, uid: int | None) -> bool:
        """Whether somebody plays that agent."""
        return uid in self._orders

    def _ask(self, request: Step | Choose | Rewind) -> None:
        with self._control:
            self._asked.pop(type(request), None)
            self._asked[type(request)] = request
            self._control.notify()

    def _run(self) -> None:
        due = time.perf_counter()
        try:
            while True:
                with self._control:
                    due = min(due, time.perf_counter() + self.seconds)  # the pace may be another now
                    if not (self._asked or self._closed):
                        wait = None if self.paused else due - time.perf_counter()
                        if wait is None or wait > 0:
                            self._control.wait(wait)
                    if self._closed:
                        return
                    request = self._asked.pop(next(iter(self._asked))) if self._asked else None
                if request is not None:
                    self._obey(request)
                if self.paused:
                    due = time.perf_counter()
                    self._since, self._ticks, self._steps = due, 0, 0
                elif time.perf_counter() >= due:
                    began = time.perf_counter()
                    self._advance()
                    due = max(due, began - self.seconds) + self.seconds
        except Exception as error:
            self.failed = f"the play ended: {type(error).__name__}: {error}"
            self._listener()
            raise

    def _obey(self, request: Step | Choose | Rewind) -> None:
        match request:
            case Step():
                self._advance()
            case Choose(realm):
                if realm != self.realm:
                    self._change(realm)
            case Rewind():
                self._again()

    def _advance(self) -> None:
        if self.live:
            play = self._plays[self.realm]
            with self._control:
                people = self._of_people()
            with self.lock:
                play.tick(people)
                self.stage.totals.catch_up()
            self.now = Now(self.stage, len(play.replay), play.cores)
            self._trim(play)
        elif self.at < len(self.stage.replay):
            self.now = self.now._replace(at=self.at + 1)
        else:
            self.paused = True
        self._measure()
        self._listener()

    def _of_people(self) -> HumanActions:
        replay = self.stage.replay
        people = HumanActions(replay.config)
        of_agents = {one.name for head in heads(replay.config) for one in head.arguments if one.among_visible}
        for uid, choices in list(self._orders.items()):
            slot = slot_of(replay, self.at, uid)
            if slot is None:
                self._orders.pop(uid, None)
                continue
            people.taken[slot] = True
            for name, choice in choices.items():
                chosen = slot_of(replay, self.at, choice) if name in of_agents else choice
                people.choices[name][slot] = -1 if chosen is None else chosen
            self._orders[uid] = {}
        return people

    def _change(self, realm: int) -> None:
        if realm not in self._plays:
            self._plays[realm] = self._plays[self.realm].beside(realm)
        self.realm = realm
        self._show(self._plays[realm].replay)
        with self._control:
            self._orders.clear()
        self._listener()

    def _again(self) -> None:
        self._show(self.stage.replay)
        self.paused = False
        self._listener()

    def _show(self, replay: Replay) -> None:
        self._session += 1
        known = self._stages.get(self.realm)
        if known is None:
            stage = Stage(self._session, replay, Totals(replay), Lens(replay, self._minds, self.lock))
        else:
            stage = known._replace(session=self._session)
        self._stages[self.realm] = stage
        self.now = Now(stage, len(replay), self._plays[self.realm].cores) if self.live else Now(stage, 0, None)

    def _trim(self, play: Play) -> None:
        """Forgets the older half of what happened where it fills the memory."""
        replay = play.replay
        bytes_per_frame = sum(np.asarray(leaf).nbytes + _ARRAY_BYTES for leaf in jax.tree.leaves(replay.frames[-1]))
        if len(replay) * bytes_per_frame > _HISTORY_BYTES and len(replay) > 2:
            first = len(replay) // 2
            with self.lock:
                play.replay = replay.cut(first, len(replay))
            rest = Lens(play.replay, self._minds, self.lock), self.stage.totals.after(first, play.replay)
            stage = self.stage._replace(replay=play.replay, lens=rest[0], totals=rest[1])
            self._stages[self.realm] = stage
            self.now = Now(stage, len(play.replay), play.cores)

    def _measure(self) -> None:
        self._ticks += 1
        self._steps += int(self.stage.totals.living[self.at].sum())
        now = time.perf_counter()
        if now - self._since >= _RATE_SECONDS:
            self.ticks_per_second = self._ticks / (now - self._since)
            self.agent_steps_per_second = self._steps / (now - self._since)
            self._since, self._ticks, self._steps = now, 0, 0
