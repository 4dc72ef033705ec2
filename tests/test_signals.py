"""Signals at any moment: one line and 128 + the signal, and what can be saved is saved. And streams that fail."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nmmo_jax.common import signals
from nmmo_jax.common.signals import WORDS, Signals

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The package without its first lines, which import JAX: what is tested is there before.
BEGIN = f"""
import gc, hashlib, os, sys, threading, time, types
sys.path.insert(0, {str(ROOT)!r})
package = sys.modules["nmmo_jax"] = types.ModuleType("nmmo_jax")
package.__path__ = [{str(ROOT / "nmmo_jax")!r}]
from nmmo_jax.common import entry, signals
def say(text):
    print(text, flush=True)
"""
HANDLED = f"{BEGIN}signals.handle('prog')\n"
STUCK = "say('ready'); hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"  # C, which Python's handlers wait for


def as_usual(*ignored):
    """What a process started by a shell in the foreground has, but for some signals."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)


def started(command, ignored=(), **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, text=True, cwd=ROOT, preexec_fn=lambda: as_usual(*ignored), **pipes)


def program(code, ignored=(), begin=HANDLED, **options):
    return started([sys.executable, "-c", begin + code], ignored, **options)


def ready(process):
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process, seconds=30.0):
    """Its status, and what it said."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"goes on: {process.communicate()}")
    return process.returncode, out, err


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "code",
    [
        "say('ready')\nwhile True: pass",
        STUCK,
        # What is raised here is lost: the garbage collector's callbacks, and destructors.
        "gc.callbacks.append(lambda *_: time.sleep(0.1)); say('ready')\nwhile True: gc.collect()",
        "class A:\n def __del__(self): time.sleep(0.1)\nsay('ready')\nwhile True: A()",
        "say('ready')\ntry:\n time.sleep(99)\nexcept BaseException: pass\nfinally: say('unheard of')",
        "threading.Thread(target=time.sleep, args=(99,)).start(); say('ready')",
    ],
)
def test_a_line_and_a_status_whatever_goes_on(code, number):
    process = ready(program(code))
    process.send_signal(number)
    assert ended(process) == (128 + number, "", f"prog: {WORDS[number]}\n")


@pytest.mark.slow
def test_who_listens_decides():
    loop = (
        "with signals.Signals() as watch:\n watch.grace = None; say('ready')\n while not watch.asked: time.sleep(0.1)"
    )
    after = "\n time.sleep(1.5); say('saved'); sys.exit(128 + watch.asked)"
    process = ready(program(loop + after))
    for _ in range(3):  # shells, timeout and terminals send the same one twice
        process.send_signal(signal.SIGTERM)
    assert ended(process) == (143, "saved\n", "")
    process = ready(program(loop + after))
    process.send_signal(signal.SIGTERM)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "prog: interrupted\n")


@pytest.mark.parametrize("grace", ["1.0", "None"])
def test_who_does_not_look_is_ended_unless_there_is_something_to_lose(grace):
    code = f"with signals.Signals() as watch:\n watch.grace = {grace}; say('ready'); time.sleep(2.5)"
    process = ready(program(code))
    process.send_signal(signal.SIGINT)
    assert ended(process) == ((130, "", "prog: interrupted\n") if grace == "1.0" else (0, "", ""))


def test_several_may_save_at_once():
    """Whoever saves may wait for a thread that saves."""
    inside = threading.Event()

    def other():
        with signals.saving():
            inside.set()

    with signals.saving():
        threading.Thread(target=other, daemon=True).start()
        assert inside.wait(10)


def test_saving_is_waited_for_and_what_is_half_done_is_undone(tmp_path):
    code = "with signals.saving():\n say('ready'); time.sleep(0.5); say('saved')\ntime.sleep(99)"
    process = ready(program(code))
    process.send_signal(signal.SIGHUP)
    assert ended(process) == (129, "saved\n", "prog: hung up\n")
    code = f"""
from nmmo_jax.common.files import write
from nmmo_jax.common.folders import new_folder
from pathlib import Path
def content(file):
    file.write(b"half"); say("ready"); time.sleep(99)
with signals.ending(lambda: "resume goes on"), new_folder(Path({str(tmp_path / "new")!r})):
    write(Path({str(tmp_path / "file")!r}), content)
"""
    process = ready(program(code))
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "prog: interrupted; resume goes on\n")
    assert not list(tmp_path.iterdir())


def test_what_is_ignored_stays_ignored():
    process = ready(program("say('ready'); time.sleep(0.5); say('done')", ignored=[signal.SIGHUP]))
    process.send_signal(signal.SIGHUP)
    assert ended(process) == (0, "done\n", "")


def test_nobody_reads_the_last_words():
    read, write = os.pipe()
    process = program("\nwhile True: print('x' * 1000)", stdout=write, stderr=write)
    os.close(write)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    os.close(read)


def test_outside_of_commands_a_signal_is_noted_and_the_next_does_what_it_did():
    before = [signal.getsignal(number) for number in NUMBERS]
    with Signals() as outer, Signals() as watch:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert outer.asked == watch.asked == signal.SIGTERM
        with Signals() as later:
            assert later.asked
        time.sleep(0.6)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in NUMBERS] == before
    heard = []

    def elsewhere():
        with Signals() as watch:  # where Python allows no handlers
            heard.append(watch.asked)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert heard == [None]
    signals.forget()


def test_output_that_nobody_reads_is_no_reason_to_stop(tmp_path):
    done = tmp_path / "done"
    code = f"entry.run('prog', lambda: [print('x' * 100000), open({str(done)!r}, 'w').close(), sys.exit(0)])"
    command = [sys.executable, "-c", BEGIN + code]

    def shell(redirection, status, told):
        done.unlink(missing_ok=True)
        process = subprocess.run(
            ["bash", "-c", f'"$0" "$@" {redirection}', *command], capture_output=True, text=True, check=False
        )
        assert (process.returncode, process.stderr) == (status, told), redirection
        assert done.exists()

    shell("| true; exit ${PIPESTATUS[0]}", 0, "")
    shell(">&-", 0, "")
    shell("<&- >&- 2>&-", 0, "")
    shell("2>/dev/full >/dev/null", 0, "")
    shell(">/dev/full", 2, "prog: standard output: No space left on device\n")


def test_a_train_of_somebody_else_is_named(tmp_path):
    code = "from nmmo_jax.common.hidden import check_train\ntry: check_train()\nexcept ValueError as error: say(error)"
    assert ended(program(code)) == (0, "", "")
    (tmp_path / "train.py").write_text("raise SystemExit('must not be run')")
    _, told, _ = ended(program(f"sys.path.insert(0, {str(tmp_path)!r})\n{code}"))
    assert told.startswith(f"train: {tmp_path / 'train.py'} hides the package of that name")
    (tmp_path / "train.py").unlink()
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "__init__.py").touch()
    _, told, _ = ended(program(f"sys.path.insert(0, {str(tmp_path)!r})\nimport train\n{code}"))
    assert told.startswith(f"train: {tmp_path / 'train'} hides")


@pytest.mark.slow
def test_what_is_not_ready_for_jax_is_a_line():
    for name, value, told in (
        ("JAX_ENABLE_X64", "maybe", "invalid truth value 'maybe' for environment 'JAX_ENABLE_X64'"),
        ("JAX_PLATFORMS", "foo", "JAX_PLATFORMS=foo: JAX does not start: "),
    ):
        command = [sys.executable, "-m", "nmmo_jax", "watch", "--game", "law"]
        result = subprocess.run(
            command, env={**os.environ, name: value}, capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
        assert result.stderr.startswith(f"nmmo-jax: {told}")
    assert "; there are cpu" in result.stderr


@pytest.mark.slow
def test_a_command_is_ended_while_it_is_imported_and_keeps_what_it_has_played(tmp_path):
    process = started([sys.executable, "-m", "nmmo_jax", "--help"])
    maps = Path(f"/proc/{process.pid}/maps")
    while maps.exists() and "jaxlib" not in maps.read_text():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "nmmo-jax: interrupted\n")
    command = "simulate --realms 1 --agents 8 --populations 2 --rows 40 --columns 40 --ticks 10000000"
    process = started([sys.executable, "-m", "nmmo_jax", *command.split(), "--out", str(tmp_path / "run")])
    while " ticks, " not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    status, out, err = ended(process)
    assert status == 129 and err.splitlines()[-1] == "nmmo-jax: hung up" and "interrupted" in out
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["interrupted"]
    assert len(list((tmp_path / "run").glob("*.png"))) == 3


COMMANDS = {
    "simulate": "simulate --realms 1 --agents 8 --populations 2 --ticks 400 --record 0 --out OUT",
    "train": "train law16 --updates 8 --set realms=8 ticks=8 --out OUT",
    "evaluate": "evaluate forager --no-baselines --worlds 2 --settle 8 --ticks 64 --out OUT",
    "maps": "maps generate --count 40 --out OUT",
    "watch": "watch --game law --agents 8 --populations 2 --realms 1 --port 0 --record OUT",
    "help": "train --help",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_any_moment(name, tmp_path):
    """Random moments from the start to the end; before Python has come to the command's first line, its own way."""
    chance, seconds = random.Random(name), None
    for attempt in range(int(os.environ.get("SIGNAL_MOMENTS", "20"))):
        out = tmp_path / str(attempt)
        command = [out if word == "OUT" else word for word in COMMANDS[name].split()]
        began, number = time.perf_counter(), NUMBERS[attempt % 3]
        process = started([sys.executable, "-m", "nmmo_jax", *map(str, command)])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60.0 if seconds is None and name != "watch" else chance.uniform(0, seconds or 20.0))
        if seconds is None:
            seconds = time.perf_counter() - began
        process.send_signal(number)
        status, _, err = ended(process, 60)
        lines = [line for line in err.splitlines() if "..." not in line and " of " not in line and "%" not in line]
        if status in (0, -number):  # it had ended, or Python had not yet begun
            assert not lines or (number == signal.SIGINT and status < 0), err
        else:
            assert status == 128 + number, err
            assert [line for line in lines if line.startswith(f"nmmo-jax: {WORDS[number]}")] == lines, err
