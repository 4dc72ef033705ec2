"""Folders of runs: each belongs to one process at a time, from its first moment, and only what began leaves something.

>>> with new_folder(Path("runs/a")) as folder:
...     prepare()
...     folder.keep()  # from now on what is in it stays, whatever happens
"""

import contextlib
import errno
import fcntl
import functools
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from nmmo_jax.common.files import beside, is_part
from nmmo_jax.common.signals import ending

_LOCK = ".lock"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A context in which no other process works in a folder: each would remove what the other writes.

    Raises:
      ValueError: another does.
      OSError: the folder is not there, or cannot be written to.
    """
    with _held(folder / _LOCK) as held:
        if not held:
            raise ValueError(f"out={folder}: another process works in it")
        yield


class Folder:
    """What ``new_folder`` hands out.

    Attributes:
      path: where it is.
    """

    def __init__(self, path: Path, begun: Callable[[Path], bool] = lambda _: False):
        self.path, self._begun, self._kept = path, begun, False

    @property
    def kept(self) -> bool:
        """Whether what is in it stays; see ``keep``."""
        return self._kept or (self.path.is_dir() and self._begun(self.path))

    def keep(self) -> None:
        """From now on, what is in it stays, whatever happens."""
        self._kept = True


@contextlib.contextmanager
def new_folder(
    path: Path | None,
    name: str = "",
    overwrite: bool = False,
    otherwise: str = "",
    begun: Callable[[Path], bool] = lambda _: False,
) -> Iterator[Folder]:
    """A context in which a folder, made if it is not there, is this process's own; ``alone`` all the while.

    If it ends before ``Folder.keep``, what was made and written is removed.

    Args:
      path: None: a new one in ``runs``, named after what runs and when.
      name: what runs.
      overwrite: whether something may be in it already; then everything stays in any case.
      otherwise: what can be done about a folder that is not empty, in words.
      begun: whether what is in it stays although nobody has asked to ``keep`` it.

    Raises:
      ValueError: it is not empty, is a file, or another process works in it.
      OSError: it cannot be made or written to; names it.
    """
    path, made = _made(path, name)
    folder = Folder(path, begun)
    try:
        with alone(path):
            there = any(one.name != _LOCK and not is_part(one) for one in path.iterdir())
            if there and not overwrite:
                raise ValueError(f"out={path}: is not empty" + (f"; {otherwise}" if otherwise else ""))
            if there:
                folder.keep()
            try:
                with ending(lambda: _remove(folder, made)):
                    yield folder
            finally:
                if not folder.kept:
                    _empty(path)
    finally:
        _unmake(made)


@contextlib.contextmanager
def new_file(path: Path | None, name: str = "", suffix: str = "") -> Iterator[Path]:
    """A context in which no other process writes a file, which may be there already; its folder is made.

    Args:
      path: None: a new one in ``runs``, named after what runs and when.
      name: what runs.
      suffix: of the new one.

    Raises:
      ValueError: another process writes it, or its folder is a file.
      OSError: its folder cannot be made or written to; names it.
    """
    made: list[Path] = []
    try:
        for one in [path] if path is not None else _names(name, suffix):
            try:
                made += _make(one.parent)
            except (FileExistsError, NotADirectoryError):
                raise ValueError(f"out={one}: {one.parent} is no folder") from None
            lock = beside(one, "lock")

            with _held(lock) as held:
                if path is not None and not held:
                    raise ValueError(f"out={path}: another process writes it")
                if path is not None or (held and not one.exists()):
                    with ending(functools.partial(_let_go, lock, made)):
                        yield one
                    return
    finally:
        _unmake(made)


def _let_go(lock: Path, made: list[Path]) -> None:
    """What is left to do where the process ends."""
    lock.unlink(missing_ok=True)
    _unmake(made)


@contextlib.contextmanager
def _held(lock: Path) -> Iterator[bool]:
    """Whether this process has a lock to itself, until the context ends."""
    file = _lock(lock)
    if file is None:
        yield False
        return
    with file:
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()  # while it is held: who has it open finds that it is gone, and makes another


def _lock(lock: Path) -> IO[str] | None:
    while True:
        file = lock.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which ends with the process, however that ends
            if lock.exists() and os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                return file
            file.close()
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOTSUP):  # a file system that knows no locks
                return file
            file.close()
            if error.errno != errno.ENOENT:
                raise


def _names(name: str, suffix: str = "") -> Iterator[Path]:
    """Where something new goes: after the first, for those that began in the same second."""
    first = time.strftime(f"{name}-%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        yield Path("runs") / f"{first}{'' if number == 1 else f'-{number}'}{suffix}"


def _remove(folder: Folder, made: list[Path]) -> None:
    """What is not kept, where the process ends."""
    if not folder.kept:
        _empty(folder.path)
        (folder.path / _LOCK).unlink(missing_ok=True)
        _unmake(made)


def _made(path: Path | None, name: str) -> tuple[Path, list[Path]]:
    """The folder, and which had to be made for it, from the outermost on."""
    try:
        if path is not None:
            return path, _make(path)
        made = _make(Path("runs"))
        for path in _names(name):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return path, [*made, path]
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"out={path}: is a file, not a folder") from None
    raise AssertionError


def _make(path: Path) -> list[Path]:
    """Makes a folder and those it lies in; returns those that were made."""
    if path.is_dir():
        return []
    made = [] if path.parent == path else _make(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        if path.is_dir():  # another process was first
            return made
        raise
    except OSError:
        _unmake(made)
        raise
    return [*made, path]


def _unmake(made: list[Path]) -> None:
    """Removes folders in which nothing is."""
    for one in reversed(made):
        with contextlib.suppress(OSError):  # something else is in it by now
            one.rmdir()


def _empty(path: Path) -> None:
    for one in path.iterdir():
        if one.name == _LOCK:
            continue  # which goes when it is let go
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(one)
