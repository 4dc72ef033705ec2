"""Processes that are to train as one come to the first: who fits is told where they meet, who does not, why."""

import contextlib
import re
import socket
import threading

import pytest

from train import distributed


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def met(first, *others, seconds=0.5):
    """What each process is told that comes to meet the first, which knows of ``first`` processes; others are pairs."""
    said, port = {}, free_port()

    def come(name, meet, group):
        try:
            said[name] = meet(group, ("127.0.0.1", port), seconds)
        except ValueError as error:
            said[name] = str(error)

    groups = [("first", distributed._gathered, distributed._Group(0, first, "test"))]
    for number, (index, processes) in enumerate(others):
        groups.append((number, distributed._met, distributed._Group(index, processes, "test")))
    threads = [threading.Thread(target=come, args=one) for one in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [said[name] for name, _, _ in groups]


def test_they_meet():
    first, *others = met(3, (2, 3), (1, 3), seconds=20)
    host, _, port = first.rpartition(":")
    assert host == "127.0.0.1" and 0 < int(port) < 65_536 and others == [first, first]


def test_who_does_not_fit_is_told():
    told = "processes=2: process 1 was told 3"
    assert met(2, (1, 3), seconds=20) == [told, told]
    first, *others = met(3, (1, 3), (1, 3), seconds=20)
    assert first == "process_id=1: two processes have it" and others == [first, first]
    assert met(4, (2, 4)) == ["processes=4: within 0 s process 1, 3 did not come"] * 2


def test_somebody_else_is_not_heeded():
    port, said = free_port(), []
    group = distributed._Group(0, 2, "test")
    first = threading.Thread(target=lambda: said.append(distributed._gathered(group, ("127.0.0.1", port), 20)))
    first.start()
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
            break
    assert distributed._met(distributed._Group(1, 2, "test"), ("127.0.0.1", port), 20)
    first.join()
    assert len(said) == 1


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--coordinator", "here:1"], "--processes: --coordinator, --processes and --process-id belong together"),
        (["--process-id", "0", "--processes", "2"], "--coordinator: .* belong together"),
        (["--coordinator", "here", "--processes", "2", "--process-id", "0"], "--coordinator here: must be HOST:PORT"),
        (["--coordinator", "here:99999", "--processes", "2", "--process-id", "0"], "--coordinator here:99999: must be"),
        (["--coordinator", "here:1", "--processes", "0", "--process-id", "0"], "--processes 0: .*at least 1|1 to"),
        (["--coordinator", "here:1", "--processes", "2", "--process-id", "2"], "--process-id 2: .*0 to 1"),
        (["--distributed", "--processes", "2"], "--distributed: finds out what"),
        (["--distributed"], "--distributed: JAX finds no cluster"),
    ],
)
def test_wrong_flags_are_refused(refused, flags, told):
    assert re.search(told, refused("train", *flags))


def test_a_port_in_use_and_a_coordinator_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ValueError, match=f"coordinator=127.0.0.1:{port}: Address already in use: must be a free"):
            distributed.join(f"127.0.0.1:{port}", 2, 0)
    with pytest.raises(ValueError, match=f"coordinator=127.0.0.1:{port}: within 0 s nobody answered"):
        distributed.join(f"127.0.0.1:{port}", 2, 1, seconds=0.3)
