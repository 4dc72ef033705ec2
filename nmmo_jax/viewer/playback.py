"""One world that several people watch, live or from a replay: played in a thread of its own, at the pace they ask."""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from nmmo_jax.play.playing import Play
from nmmo_jax.replay import Replay
from nmmo_jax.viewer.control import Control
from nmmo_jax.viewer.inspector import Inspector
from nmmo_jax.viewer.policies import TrainedPolicies
from nmmo_jax.viewer.protocol import SLOWEST
from nmmo_jax.viewer.scene import Totals, slot_of

_HISTORY_BYTES = 512 * 2**20  # of frames that are kept to go back to, of each realm
_ARRAY_BYTES = 160  # of an array beside its numbers
_RATE_SECONDS = 1.0  # over which rates are taken


class RealmView(NamedTuple):
    """What is shown of one realm."""

    session: int  # another number, another world: what was sent before means nothing
    replay: Replay
    totals: Totals
    inspector: Inspector


class Snapshot(NamedTuple):
    """What is shown at one moment."""

    view: RealmView
    newest: int  # index of the newest frame
    cores: Any  # what the agents remember then; None: nothing is known


class Playback:
    """A world that goes on: live, or through a replay.

    Attributes:
      snapshot: what is shown; another thread may replace it at any time.
      realm: number of the realm that is shown.
      paused, seconds: the pace; 0 seconds per tick: as fast as possible.
      control: the agents that people play.
      compiling: since when the play is compiled, which its first tick begins with, of ``time.perf_counter``; None: it
        is not.
      failed: what ended the play, if anything has.
    """

    def __init__(self, source: Play | Replay, realms: int, policies: TrainedPolicies, seconds: float = 0.6):
        self._plays = {source.index: source} if isinstance(source, Play) else {}
        self._views: dict[int, RealmView] = {}  # by realm, of those that have been shown
        self.live = isinstance(source, Play)
        self.realms, self.realm = realms, source.index if isinstance(source, Play) else 0
        self._policies, self.paused, self.seconds = policies, False, seconds
        self.control = Control()
        self.lock = threading.Lock()  # of the replay that is being written
        self._wake = threading.Condition()
        self._requests: dict[str, Callable[[], None]] = {}  # the last of each kind, in the order in which they came
        self._listener: Callable[[], None] = lambda: None
        self._closed, self.failed = False, None
        self._compiled, self.compiling = not self.live, None
        self._since, self._ticks, self._steps = time.perf_counter(), 0, 0
        self.ticks_per_second = self.agent_steps_per_second = 0.0
        self._session = 0
        self._begin_session(source.replay if isinstance(source, Play) else source)
        self._thread = threading.Thread(target=self._run, name="playback", daemon=True)

    @property
    def view(self) -> RealmView:
        """Of the realm that is shown."""
        return self.snapshot.view

    @property
    def newest(self) -> int:
        """Index of the newest frame."""
        return self.snapshot.newest

    def start(self, listener: Callable[[], None]) -> None:
        """Begins; ``listener`` is called, in the thread of the playback, whenever there is something new."""
        self._listener = listener
        self._thread.start()

    def close(self) -> None:
        """Ends the play, after the tick in hand."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread.ident is not None:  # it has begun
            self._thread.join()

    def set_pace(self, seconds: float | None = None, paused: bool | None = None) -> None:
        """Seconds per tick, and whether it stands still.

        Raises:
          ValueError: so many seconds are not allowed.
        """
        if seconds is not None and not 0 <= seconds <= SLOWEST:
            raise ValueError(f"seconds {seconds}: allowed are 0 to {SLOWEST:g}")
        with self._wake:
            self.seconds = self.seconds if seconds is None else seconds
            self.paused = self.paused if paused is None else paused
            self._wake.notify()
        self._listener()

    def step(self) -> None:
        """One tick, then a pause."""
        self.set_pace(paused=True)
        self._request("step", self._advance)

    def show_realm(self, realm: int) -> None:
        """Shows another realm, from its beginning or where it was left.

        Raises:
          ValueError: there is none of that number.
        """
        if not self.live or not 0 <= realm < self.realms:
            raise ValueError(
                f"realm {realm}: allowed are 0 to {self.realms - 1}" if self.live else "a replay has one realm"
            )
        self._request("realm", lambda: self._switch(realm))

    def restart(self) -> None:
        """A replay from its beginning.

        Raises:
          ValueError: the world is live.
        """
        if self.live:
            raise ValueError("a live world does not begin again: go back in the timeline")
        self._request("restart", self._restart)

    def take(self, uid: int) -> None:
        """A person plays an agent from now on.

        Raises:
          ValueError: it does not live, or this is a replay.
        """
        if not self.live:
            raise ValueError("agents of a replay cannot be played")
        view, newest, _ = self.snapshot
        if slot_of(view.replay, newest, uid) is None:
            raise ValueError(f"agent {uid}: does not live")
        self.control.take(uid)

    def _request(self, kind: str, work: Callable[[], None]) -> None:
        """Something that the thread of the playback does next; of each kind, only the last."""
        with self._wake:
            self._requests.pop(kind, None)
            self._requests[kind] = work
            self._wake.notify()

    def _run(self) -> None:
        due = time.perf_counter()
        try:
            while True:
                with self._wake:
                    due = min(due, time.perf_counter() + self.seconds)  # the pace may be another now
                    if not (self._requests or self._closed):
                        wait = None if self.paused else due - time.perf_counter()
                        if wait is None or wait > 0:
                            self._wake.wait(wait)
                    if self._closed:
                        return
                    work = self._requests.pop(next(iter(self._requests))) if self._requests else None
                if work is not None:
                    work()
                if self.paused:
                    due = time.perf_counter()
                    self._since, self._ticks, self._steps = due, 0, 0
                elif time.perf_counter() >= due:
                    began = time.perf_counter()
                    self._advance()
                    due = max(due, began - self.seconds) + self.seconds
        except Exception as error:
            self.failed, self.compiling = f"the play ended: {type(error).__name__}: {error}", None
            self._listener()
            raise

    def _advance(self) -> None:
        if self.live:
            play = self._plays[self.realm]
            actions = self.control.next_actions(play.replay, self.newest)
            if not self._compiled:
                self._compiled, self.compiling = True, time.perf_counter()
                self._listener()
            with self.lock:
                play.tick(actions)
                self.view.totals.catch_up()
            self.compiling = None
            self.snapshot = Snapshot(self.view, len(play.replay), play.cores)
            self._forget(play)
        elif self.newest < len(self.view.replay):
            self.snapshot = self.snapshot._replace(newest=self.newest + 1)
        else:
            self.paused = True
        self._measure_rates()
        self._listener()

    def _switch(self, realm: int) -> None:
        if realm == self.realm:
            return
        if realm not in self._plays:
            self._plays[realm] = self._plays[self.realm].beside(realm)
        self.realm = realm
        self._begin_session(self._plays[realm].replay)
        self.control.clear()
        self._listener()

    def _restart(self) -> None:
        self._begin_session(self.view.replay)
        self.paused = False
        self._listener()

    def _begin_session(self, replay: Replay) -> None:
        self._session += 1
        known = self._views.get(self.realm)
        if known is None:
            view = RealmView(self._session, replay, Totals(replay), Inspector(replay, self._policies, self.lock))
        else:
            view = known._replace(session=self._session)
        self._views[self.realm] = view
        self.snapshot = (
            Snapshot(view, len(replay), self._plays[self.realm].cores) if self.live else Snapshot(view, 0, None)
        )

    def _forget(self, play: Play) -> None:
        """Forgets the older half of what happened where it fills the memory."""
        replay = play.replay
        bytes_per_frame = sum(np.asarray(leaf).nbytes + _ARRAY_BYTES for leaf in jax.tree.leaves(replay.frames[-1]))
        if len(replay) * bytes_per_frame > _HISTORY_BYTES and len(replay) > 2:
            first = len(replay) // 2
            with self.lock:
                play.replay = replay.cut(first, len(replay))
            inspector = Inspector(play.replay, self._policies, self.lock)
            totals = self.view.totals.after(first, play.replay)
            view = self.view._replace(replay=play.replay, totals=totals, inspector=inspector)
            self._views[self.realm] = view
            self.snapshot = Snapshot(view, len(play.replay), play.cores)

    def _measure_rates(self) -> None:
        self._ticks += 1
        self._steps += int(self.view.totals.living[self.newest].sum())
        now = time.perf_counter()
        if now - self._since >= _RATE_SECONDS:
            self.ticks_per_second = self._ticks / (now - self._since)
            self.agent_steps_per_second = self._steps / (now - self._since)
            self._since, self._ticks, self._steps = now, 0, 0
