"""Several processes that train as one: how they meet, agree, and notice that one of them is gone.

JAX's own runtime (``jax.distributed``) makes the devices of all of them one mesh. Beside it every process holds a
connection to the first, over which what has to be the same everywhere is said in lines of JSON: whether to go on, what
is saved when. A process that ends breaks its connection, whatever the others are in just then, compiling or waiting in
a collective; JAX would notice after 100 seconds, and end them with a page of its own. One that leaves by an error says
it before, and all others end with its words.

In one process all of this does nothing.
"""

import atexit
import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from nmmo_jax.common.entry import end_at_once
from nmmo_jax.common.files import one_line
from nmmo_jax.common.signals import broken
from nmmo_jax.values import check_int

SECONDS = 60  # within which all processes have to come
SILENT = 10, 10, 3  # of a machine that is gone: seconds until it is asked, between, and how often: 40 s in all
MOST = 65_536  # processes
_AUTO = 300  # seconds that JAX waits where it finds the others by the cluster's variables
_END = b"!"  # what a line begins with that ends whoever hears it


class _Group:
    """The processes, as this one knows them."""

    def __init__(self, index: int, number: int, program: str):
        self.index, self.number, self.program = index, number, program
        self.peers: dict[int, Any] = {}  # files to all others, of the first; of the others, to the first
        self.heard: dict[int, queue.Queue] = {}
        self.over = threading.Lock()  # held by who ends this process, or has left with all others
        self.failed = False

    def add(self, index: int, peer: socket.socket) -> None:
        idle, between, times = SILENT
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in {"TCP_KEEPIDLE": idle, "TCP_KEEPINTVL": between, "TCP_KEEPCNT": times}.items():
            if hasattr(socket, name):  # not on every system
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        peer.settimeout(None)
        self.peers[index], self.heard[index] = peer.makefile("rwb", buffering=0), queue.Queue()

    def listen(self) -> None:
        for index, peer in self.peers.items():
            threading.Thread(target=self._hear, args=(index, peer), daemon=True).start()

    def say(self, told: Any, mark: bytes = b"") -> None:
        line = mark + json.dumps(told).encode() + b"\n"
        for peer in self.peers.values():
            with contextlib.suppress(OSError):  # who hears notices that it is gone
                peer.write(line)

    def _hear(self, index: int, peer: Any) -> None:
        told = f"process {index} of {self.number} has ended: what was saved is whole, and --resume goes on with it"
        with contextlib.suppress(OSError):
            for line in peer:
                if line.startswith(_END):
                    told = json.loads(line.removeprefix(_END))
                    break
                self.heard[index].put(json.loads(line))
        if self.over.acquire(blocking=False):
            if not self.index:  # to whom alone the others listen
                self.say(told, _END)
            broken(told, self.program)


_group: _Group | None = None


def join(coordinator: str, processes: int, process: int, program: str = "nmmo-jax", seconds: float = SECONDS) -> None:
    """Meets the other processes; before JAX starts.

    Args:
      coordinator: ``host:port`` of the first process, where it waits for the others. JAX's own service takes another
        port of that host, which is free.
      processes: how many there are.
      process: which of them this is: 0, the first, to ``processes`` - 1.
      program: its name in what is said where another one ends.
      seconds: within which all have to come.

    Raises:
      ValueError: names the flag, its value and what is allowed; a port that is in use; processes that do not fit
        together, or did not come in time.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"coordinator={coordinator}: must be HOST:PORT, a port of 1 to 65,535")
    processes = check_int("processes", processes, 1, MOST)
    process = check_int("process_id", process, 0, processes - 1)
    host, address = host.strip("[]"), (host.strip("[]"), int(port))
    group = _Group(process, processes, program)
    service = (_met if process else _gathered)(group, address, seconds)
    try:
        _initialize(service, processes, process, initialization_timeout=max(1, round(seconds)))
    except RuntimeError as error:
        raise ValueError(f"coordinator={coordinator}: JAX's own service, {service}: {one_line(error)}") from None
    _begin(group)


def detect(program: str = "nmmo-jax") -> None:
    """Meets the other processes as the cluster's variables say (SLURM, Open MPI, Cloud TPU); before JAX starts.

    Raises:
      ValueError: there are none that JAX knows.
    """
    try:
        _initialize(initialization_timeout=_AUTO)
    except (ValueError, RuntimeError) as error:
        told = "JAX finds no cluster (SLURM, Open MPI, Cloud TPU); --coordinator, --processes and --process-id name one"
        raise ValueError(f"--distributed: {told}: {str(error).splitlines()[0]}") from None
    group = _Group(jax.process_index(), jax.process_count(), program)
    if group.number == 1:
        return
    server, address = None, np.zeros(256, np.uint8)
    if group.index == 0:
        server = _server(("", 0))
        # The name, as its own address may be that of the machine to itself, 127.0.1.1.
        here = f"{socket.gethostname()} {server.getsockname()[1]}".encode()
        address[: len(here)] = np.frombuffer(here, np.uint8)
    host, port = bytes(multihost_utils.broadcast_one_to_all(address)).rstrip(b"\0").decode().split()
    if server is None:
        _met(group, (host, int(port)), SECONDS)
    else:
        with server:
            _gather(group, server, SECONDS, "")
    _begin(group)


def first() -> bool:
    """Whether this is the process that writes and speaks, or the only one."""
    return _group is None or _group.index == 0


def share(told: Any) -> Any:
    """What the first process says, everywhere; ready for JSON."""
    if _group is None:
        return told
    if _group.index == 0:
        _group.say(told)
        return told
    return _group.heard[0].get()


def led(function: Callable[[], Any]) -> Any:
    """What ``function()`` gives in the first process, everywhere; ready for JSON. The others do not call it.

    Raises:
      ValueError: with what it raised there, ValueError or OSError; there, that itself.
    """
    if _group is None:
        return function()
    if _group.index:
        told = share(None)
        if "error" in told:
            raise ValueError(told["error"])
        return told["given"]
    try:
        given = function()
    except (OSError, ValueError) as error:
        share({"error": str(error)})
        raise
    share({"given": given})
    return given


def either(*flags: bool) -> list[bool]:
    """Which of these hold in any process."""
    if _group is None:
        return [*flags]
    if _group.index:
        _group.say(flags)
        return _group.heard[0].get()
    others = [heard.get() for heard in _group.heard.values()]
    return share([bool(any(flag)) for flag in zip(flags, *others, strict=True)])


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A context that all processes leave together. If one leaves it by an error, all others end with its words."""
    with _telling():
        yield
        if _group is not None and not _group.failed:
            share(None)  # the others wait until the first has done its part, too
            _group.over.acquire()


@contextlib.contextmanager
def noticing() -> Iterator[None]:
    """A context in which JAX's own word of another process's end waits until it is known which, and this one ends; if
    one leaves it by an error, all others end with its words.
    """
    with _telling():
        try:
            yield
        except jax.errors.JaxRuntimeError:
            if _group is not None:
                idle, between, times = SILENT
                time.sleep(idle + between * times)
            raise


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if _group is not None and not _group.failed:
            _group.over.acquire()  # where another's end was heard it is not had: who heard that ends this process
            _group.failed = True
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else one_line(error)
            _group.say(f"process {_group.index} of {_group.number}: {why}", _END)
        raise


def _initialize(*args: Any, **how: Any) -> None:
    """JAX's own runtime, without its notice of SIGTERM, which would keep that from ours."""
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(*args, **how)


def _part() -> None:
    """JAX, which is asked next, waits five minutes for all others to end: who ends by an error does not."""
    if _group is not None and _group.failed:
        end_at_once()


def _begin(group: _Group) -> None:
    global _group
    _group = group
    atexit.register(_part)
    group.listen()


def _gathered(group: _Group, address: tuple[str, int], seconds: float) -> str:
    """Waits for the others; returns where JAX's service is to be."""
    host, port = address
    try:
        server = _server((host if _local(host) else "", port))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise ValueError(f"coordinator={host}:{port}: {why}: must be a free port of this machine") from None
    with server, _server((host if _local(host) else "", 0)) as other:
        service = f"{f'[{host}]' if ':' in host else host}:{other.getsockname()[1]}"
        _gather(group, server, seconds, service)
    return service


def _gather(group: _Group, server: socket.socket, seconds: float, service: str) -> None:
    until = time.monotonic() + seconds
    while len(group.peers) < group.number - 1:
        try:
            server.settimeout(max(0.01, until - time.monotonic()))
            peer, _ = server.accept()
            peer.settimeout(5)
            asked = json.loads(peer.makefile("rb").readline(1024))
            index, processes = asked["process"], asked["processes"]
        except TimeoutError:
            if time.monotonic() < until:
                continue  # somebody who said nothing
            missing = [index for index in range(1, group.number) if index not in group.peers]
            told = f"{', '.join(map(str, missing[:8]))}{' ...' if len(missing) > 8 else ''} did not come"
            raise _refused(group, f"processes={group.number}: within {seconds:.0f} s process {told}") from None
        except (OSError, ValueError, TypeError, KeyError):
            continue  # somebody else
        if processes != group.number:
            told = f"processes={group.number}: process {index} was told {processes}"
        elif index in group.peers or index == 0:
            told = f"process_id={index}: two processes have it"
        else:
            group.add(index, peer)
            continue
        with contextlib.suppress(OSError):
            peer.sendall(json.dumps({"error": told}).encode() + b"\n")
        raise _refused(group, told)
    group.say({"service": service})


def _refused(group: _Group, told: str) -> ValueError:
    """What is said to all who came, and raised here."""
    group.say({"error": told})
    return ValueError(told)


def _met(group: _Group, address: tuple[str, int], seconds: float) -> str:
    """Goes to the first process; returns where JAX's service is to be."""
    until, where = time.monotonic() + seconds, f"coordinator={address[0]}:{address[1]}"
    while True:
        try:
            peer = socket.create_connection(address, timeout=5)
            break
        except OSError as error:
            if time.monotonic() > until:
                raise ValueError(
                    f"{where}: within {seconds:.0f} s nobody answered: {error.strerror or error}"
                ) from None
            time.sleep(0.1)
    peer.settimeout(None)
    peer.sendall(json.dumps({"process": group.index, "processes": group.number}).encode() + b"\n")
    group.add(0, peer)
    peer.settimeout(max(1.0, until - time.monotonic() + 5))
    try:
        line = group.peers[0].readline()
        told = json.loads(line) if line else {"error": f"{where}: the first process has ended"}
    except (OSError, ValueError) as error:
        told = {"error": f"{where}: does not answer as the first process does: {error}"}
    peer.settimeout(None)
    if "error" in told:
        raise ValueError(told["error"])
    return told["service"]


def _server(address: tuple[str, int]) -> socket.socket:
    kind = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    return socket.create_server(address, family=kind, backlog=1024, reuse_port=False)


def _local(host: str) -> bool:
    """Whether a name means this machine alone."""
    return host == "localhost" or host.startswith("127.") or host == "::1"
