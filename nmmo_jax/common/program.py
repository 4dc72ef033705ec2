"""How a command ends, ``nmmo-jax`` or a program of its own: with a status, and in one line where something is wrong."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.backend import backends

from nmmo_jax.common import signals
from nmmo_jax.common.parsing import parse_flags
from nmmo_jax.common.text import any_encoding, safe


def run_program(kind: Any, module: str, args: Sequence[str] | None = None) -> None:
    """Runs ``python -m MODULE``, and exits.

    Args:
      kind: a dataclass whose fields are its flags, with a method ``run() -> exit status``.
      module: its name.
      args: None: those of the process.
    """
    any_encoding()
    program = f"python -m {module}"
    end(lambda: parse_flags(kind, program, args).run(), program)


def end(run: Callable[[], int | None], program: str) -> None:
    """Runs a command and exits with its status: bad input ends with one readable line and status 2, an interruption
    with one and 130 (SIGTERM 143, SIGHUP 129).
    """
    signals.forget()
    try:
        status = run()
    except OSError as error:
        known = error.filename is not None and error.strerror is not None
        print(
            f"{program}: {safe(error.filename)}: {error.strerror}" if known else f"{program}: {safe(error)}",
            file=sys.stderr,
        )
        status = 2
    except ValueError as error:
        print(f"{program}: {safe(error)}", file=sys.stderr)
        status = 2
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"{program}: does not fit into memory: fewer realms, agents or tiles need less", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except Exception:
        if (why := _jax_does_not_start()) is None:
            raise
        print(f"{program}: {why}", file=sys.stderr)
        status = 2
    if status in (None, 0, 130) and (number := signals.noted() or (signal.SIGINT if status else None)):
        print(f"{program}: {signals.WORDS[number]}", file=sys.stderr)
        status = 128 + number
    sys.exit(status or 0)


def _jax_does_not_start() -> str | None:
    """Why, in a line that names what was set and the platforms that there are; None: it does."""
    try:
        jax.devices()
        return None
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else "no such platform"
    names = ("JAX_NUM_CPU_DEVICES",) if "'cpu'" in why.partition(":")[0] else ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
    told = "".join(f"{name}={os.environ[name]}: " for name in names if name in os.environ)
    try:
        jax.config.update("jax_platforms", "")
        jax.config.update("jax_platform_name", "")
        there = f"; there are {', '.join(sorted(backends()))}"
    except Exception:
        there = ""
    return f"{told}JAX does not start: {why}{there}"
