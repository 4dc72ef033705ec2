"""Where the command ``nmmo-jax`` begins, before JAX is imported: its signals, its streams, its end.

The package imports this first, so that what is below holds while all else is imported, which takes seconds. Nothing
but the standard library is imported here.
"""

import signal

# They wait until they are heard.
_before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

import atexit
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

from nmmo_jax.common import signals

_PROGRAMS = ("train.figures", "train.policy", "train.studies.seeds")  # that are run by ``python -m``
_NOBODY_READS = (errno.EPIPE, errno.EIO)  # a pipe whose reader has gone, a terminal that was closed


class _Stream(io.FileIO):
    """Standard output or error of a run that goes on to its results although nobody can read what it says."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int | None:
        """As of any file; after a first error what is written goes nowhere."""
        if self.error is None and not signals.muted():
            try:
                return super().write(data)
            except BlockingIOError:
                raise
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


class _Process:
    """This process, as far as it is a command."""

    def __init__(self):
        self.begun = False
        self.program = ""
        self.whole = False  # whether nobody else had registered for its end before
        self.status: int | None = None
        self.output: _Stream | None = None


_process = _Process()


def run(program: str, command: Callable[[], Any]) -> None:
    """Runs all that this process does, and exits; ``program`` is its name in what is said of signals and errors."""
    begin(program)
    try:
        command()
    except SystemExit as ended:
        code = ended.code
        _process.status = 0 if code is None else code if isinstance(code, int) else 1
        if _process.whole:
            raise
    else:
        _process.status = 0
    if not _process.whole:
        _last_words(program)
        sys.exit(_process.status)


def begin(program: str, whole: bool = False) -> None:
    """Makes this process a command; see ``signals.handle``. Standard streams cannot fail from now on.

    Args:
      whole: from its beginning on, so that nobody else can have registered for its end.
    """
    _process.program = program
    if _process.begun:
        signals.handle(program)
        return
    _process.begun = True
    _process.whole = whole
    if whole:
        atexit.register(_end, program)  # the first to be registered is the last to be called
    sys.excepthook = lambda kind, error, trace: _uncaught(program, kind, error, trace)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file to be opened would be taken for it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    signals.handle(program)
    sys.stdout, _process.output = _lasting(1, sys.stdout)
    sys.stderr, _ = _lasting(2, sys.stderr)


def _lasting(descriptor: int, stream: Any) -> tuple[io.TextIOWrapper, _Stream]:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    errors = getattr(stream, "errors", None) or ("strict" if descriptor == 1 else "backslashreplace")
    with contextlib.suppress(Exception):
        stream.flush()
    raw = _Stream(descriptor, "wb", closefd=False)
    lines = descriptor == 2 or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=lines), raw


def _uncaught(program: str, kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """What JAX refuses when it is imported (JAX_ENABLE_X64=maybe) is bad input; the rest are faults."""
    _process.status = 1
    if issubclass(kind, ValueError):
        _process.status = 2
        print(f"{program}: {str(error).splitlines()[0] if str(error) else kind.__name__}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _last_words(program: str) -> None:
    """All that is said is said, or why it is not."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    lost = _process.output.error if _process.output is not None else None
    if lost is not None and lost.errno not in _NOBODY_READS and _process.status in (0, None):
        print(f"{program}: standard output: {lost.strerror}", file=sys.stderr, flush=True)
        _process.status = 2


def _end(program: str) -> None:
    """The end, once all who have registered for it were called. The interpreter is not taken apart: XLA's threads may
    crash at that, and a signal would be nobody's.
    """
    _last_words(program)
    if _process.status is not None:
        os._exit(_process.status)


def end_at_once() -> None:
    """Ends this process, which is about to end by an error, without those who registered for its end before."""
    _last_words(_process.program)
    os._exit(_process.status or 1)


def _own() -> str | None:
    """The name of this process, where it is ``nmmo-jax`` or ``python -m nmmo_jax``; None: it is somebody else's."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    first = (getattr(sys, "argv", None) or [""])[0]
    module = "" if spec is None else spec.name
    if first == "-m":  # the package of a module that is to be run
        words = sys.orig_argv
        module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    if module in ("nmmo_jax", "nmmo_jax.cli", "nmmo_jax.__main__"):
        return "nmmo-jax"
    if module.partition(".")[0] == "nmmo_jax" or module in _PROGRAMS or module.startswith("train.examples."):
        return f"python -m {module}"
    return "nmmo-jax" if os.path.basename(first) == "nmmo-jax" and first in sys.orig_argv else None


if (_name := _own()) is not None:
    begin(_name, whole=True)
signal.pthread_sigmask(signal.SIG_SETMASK, _before)
