"""Files that are written in whole or not at all."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from nmmo_jax.signals import ending, saving


def write(path: Path, content: Callable[[BinaryIO], Any]) -> None:
    """Writes a file in whole or not at all: under another name beside it, which then takes its place.

    Raises:
      OSError: of the file that was asked for.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with ending(lambda: beside.unlink(missing_ok=True)), open(beside, "wb") as file:
            content(file)
        with saving():
            os.replace(beside, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with contextlib.suppress(OSError):  # where even that cannot be asked for
            beside.unlink(missing_ok=True)
