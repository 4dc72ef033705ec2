"""What ends a run: Ctrl-C (SIGINT), SIGTERM, and SIGHUP, which a terminal that is closed sends.

Python runs its handlers in the main thread, between two of its own instructions. So there is none while XLA compiles,
and what a handler raises inside a destructor, the garbage collector's callbacks or JAX's is printed and lost. A command
(``handle`` was called) therefore raises nothing: the system's own handler wakes a thread, which decides at once,
whatever the main thread is in.

- Somebody listens (``with Signals() as watch``): it is noted in ``watch.asked``, which is looked at wherever the work
  can be left. It waits as long as ``watch.grace`` says: as long as it takes where something would be lost, else a
  second. Another signal ends the process.
- Else the process ends: a line, and ``os._exit(128 + number)``. ``finally`` is not heeded, but callbacks of
  ``ending`` are called. The interpreter is not taken apart, which crashes while XLA's threads compile.

Inside ``saving`` no signal ends the process. Two within half a second are one: shells, ``timeout`` and terminals send
the same one twice.

Where there is no command, in a notebook or a program of one's own, ``Signals`` puts handlers in place that note, and at
another signal do what was done before; in a thread other than the main one it hears nothing. A signal that is ignored
(nohup, jobs in the background) stays ignored.

Nothing but the standard library is imported here: it is there before JAX is.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

WORDS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_GRACE = 1.0  # seconds
_SAME = 0.5  # seconds within which two signals are one
_LAST_SECONDS = 0.5  # that the last words may take, where nobody reads


class Signals:
    """A context in which the first signal is noted.

    Args:
      wake: called once when it is, from any thread.

    Attributes:
      grace: seconds that a signal waits until ``asked`` is looked at, before a command ends all the same; None: as
        long as that takes. Set it to None as soon as something would be lost.
    """

    def __init__(self, wake: Callable[[], Any] = lambda: None):
        self.grace: float | None = _GRACE
        self._wake, self._answered = wake, False
        self._asked: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> int | None:
        """The signal that came; None: there was none. Who looks at it reacts to it."""
        self._answered = self._answered or self._asked is not None
        return self._asked

    def __enter__(self) -> "Signals":
        with _state.lock:
            self._asked = next((one._asked for one in _state.listeners if one._asked is not None), None)
            _state.listeners.append(self)
        if _state.program is None and threading.current_thread() is threading.main_thread():
            for number in WORDS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # None: not Python's
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        with _state.lock:
            _state.listeners.remove(self)

    def _handle(self, number: int, frame: Any) -> None:
        """Where there is no command."""
        if _state.note(number):
            return
        before = self._before[number]
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, before)
            os.kill(os.getpid(), number)


class _State:
    """Of this process."""

    def __init__(self):
        self.lock = threading.RLock()
        self.program: str | None = None  # its name, where it is a command
        self.listeners: list[Signals] = []
        self.endings: list[Callable[[], str | None]] = []
        self.saved = threading.Condition()
        self.saving = 0  # contexts of ``saving``, in whatever thread
        self.ended = False
        self.noted: int | None = None
        self.at = 0.0  # when

    def note(self, number: int) -> bool:
        """Whether it is left to those who listen; False: it is nobody's, or another one."""
        now = time.monotonic()
        with self.lock:
            new = [one for one in self.listeners if one._asked is None]
            if not new:
                return bool(self.listeners) and now - self.at < _SAME
            self.noted, self.at = number, now
            for one in new:
                one._asked = number
        for one in new:
            one._wake()
        return True

    def waiting(self) -> list[Signals]:
        """Those who have not looked at what was noted."""
        with self.lock:
            return [one for one in self.listeners if one._asked is not None and not one._answered]


_state = _State()


def handle(program: str) -> None:
    """Makes this process a command: from now on signals end it in one line, "``program``: interrupted"."""
    if _state.program is not None:
        _state.program = program
        return
    if threading.current_thread() is not threading.main_thread():
        return
    _state.program = program
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), name="signals", daemon=True).start()
    for number in WORDS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, lambda _number, _frame: None)


def noted() -> int | None:
    """The signal that somebody who listened has noted last; None: there was none."""
    return _state.noted


def forget() -> None:
    """What was noted is over."""
    _state.noted = None


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """A context in which no signal ends the command: the last of a file's writing, some seconds at most."""
    with _state.saved:
        while _state.ended:  # nothing more is begun
            _state.saved.wait()
        _state.saving += 1
    try:
        yield
    finally:
        with _state.saved:
            _state.saving -= 1
            _state.saved.notify_all()


@contextlib.contextmanager
def ending(callback: Callable[[], str | None]) -> Iterator[None]:
    """A context in which ``callback`` is called if a signal ends the command; what it returns is told, in that line.

    It runs beside the main thread, so it is to take no locks and import nothing. Exceptions end the context as ever.
    """
    _state.endings.append(callback)
    try:
        yield
    finally:
        _state.endings.remove(callback)


def muted() -> bool:
    """Whether the last line has been said, and nothing may follow it."""
    return _muted.is_set()


_muted = threading.Event()


def _watch(read: int) -> None:
    """The thread that ends the command."""
    while True:
        waiting = _state.waiting()
        if waiting and all(one.grace is not None and time.monotonic() - _state.at > one.grace for one in waiting):
            _end(_state.noted or signal.SIGTERM)
        if select.select([read], [], [], 0.05 if waiting else None)[0]:
            for number in os.read(read, 64):
                if number in WORDS and not _state.note(number):
                    _end(number)


def broken(told: str, program: str) -> None:
    """Ends the process at once, from any thread, in one line and with status 1: it cannot go on, whatever it is in."""
    _last_words(f"{_state.program or program}: {told}", 1)


def _end(number: int) -> None:
    with _state.saved:
        _state.ended = not _state.saving
        while not _state.ended:
            _state.saved.wait()
            _state.ended = not _state.saving
    _last_words(f"{_state.program}: {WORDS[number]}", 128 + number)


def _last_words(first: str, status: int) -> None:
    _within(_LAST_SECONDS, 1, sys.stdout.flush)
    _muted.set()
    told = [first]
    for callback in reversed([*_state.endings]):
        with contextlib.suppress(Exception):
            told += [words] if (words := callback()) else []
    # Takes a progress bar away, and shows the cursor.
    bar = b"\r\x1b[2K\x1b[?25h" if os.isatty(2) else b""
    _within(_LAST_SECONDS, 2, lambda: os.write(2, bar + "; ".join(told).encode(errors="replace") + b"\n"))
    os._exit(status)


def _within(seconds: float, stream: int, function: Callable[[], Any]) -> None:
    """Calls a function that writes to a stream, and may wait for ever: for its reader, or for who holds it."""

    def call():
        with contextlib.suppress(Exception):
            function()

    caller = threading.Thread(target=call, daemon=True)
    try:
        caller.start()
    except RuntimeError:  # from Python 3.12 on none can be started while the last threads are waited for
        with contextlib.suppress(OSError):
            if select.select([], [stream], [], seconds)[1]:
                call()
        return
    caller.join(seconds)
