"""Text that others chose, as names of files, policies and maps are: on terminals, in reports and in figures."""

import codecs
import contextlib
import io
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import TextColumn
from rich.text import Text

_MOST = 40  # characters of a name where it shares a line with others
_DRAWN = 24  # above a panel, or in a legend
_MARKDOWN = re.compile(r"[\\`|*<&~$]|(?<![^\W_])_|_(?![^\W_])|(?<=\])\(")  # of which something would become
_SIMPLER = str.maketrans(
    {"±": "+-", "µ": "u", "≥": ">=", "≤": "<=", "…": "...", "—": "-", "•": "*"}
    | {"▀": "#", "█": "#", "─": "-", "━": "-", "│": "|", "╷": " ", "╵": " ", "╸": "-", "╺": "-", "⠋": "*"}
    | dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╶╴", "+")
)  # what we and our libraries print, where an encoding has it not


def safe(text: object, most: int | None = None) -> str:
    r"""Any text as one line that can be shown: what is not printable is written as Python would.

    >>> safe("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'

    Args:
      most: characters; longer text is shortened in the middle.
    """
    line = _printable(str(text))
    if most is None or len(line) <= most:
        return line
    return f"{line[: most // 2]}…{line[len(line) - (most - 1) // 2 :]}"


def pasted(path: Any) -> str:
    """A path as a word of a command that can be pasted into a shell."""
    return safe(shlex.quote(str(path)))


def short(text: object) -> str:
    """``safe``, and short enough for a table, a legend or a title that tells of several."""
    return safe(text, _MOST)


def listed(names: Iterable[str]) -> str:
    """Names in a line, each once."""
    return ", ".join(map(short, dict.fromkeys(names)))


def drawn(text: object, most: int | None = _DRAWN) -> str:
    """``safe`` for a figure: nothing of it is mathematics, and no legend leaves it out."""
    line = safe(text, most).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line  # a legend shows no names that begin with it


def heading(text: str, width: float) -> str:
    """``drawn``, in as many lines as a figure of ``width`` inches needs; lines stay apart."""
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, max(20, int(12.5 * width))) or [""]]
    return "\n".join(drawn(line, None) for line in lines)


def quoted(text: object) -> str:
    """``safe`` for Markdown: nothing of it is markup, and no cell of a table ends in it."""
    return _MARKDOWN.sub(r"\\\g<0>", safe(text))


def in_full(value: Any) -> str:
    """A number in full, so that two that differ are told apart: as short as Python can write it.

    >>> in_full(1234567.0), in_full(0.1), in_full(np.float32(0.1))
    ('1234567', '0.1', '0.1')
    """
    if isinstance(value, np.generic):  # a float32 has fewer digits than what it is as a float
        text = str(value)
        return text.removesuffix(".0") if "e" not in text else text
    whole = isinstance(value, bool | int) or (float(value).is_integer() and abs(value) < 1e16)
    return str(int(value)) if whole else repr(float(value))


def typed(value: Any) -> str:
    """A setting as it is typed after ``--set NAME=``.

    >>> typed(True), typed(0.001), typed("gru")
    ('true', '0.001', 'gru')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return in_full(value) if isinstance(value, int | float) else str(value)


def told_apart(values: Sequence[Any], least: int = 3, most: int = 9) -> list[str]:
    """Numbers side by side: in full, or, where that takes more than ``most`` characters, with as many digits, at least
    ``least``, as tell them apart.
    """
    full = [in_full(value) for value in values]
    if max(map(len, full), default=0) <= most:
        return full
    for digits in range(least, 17):
        told = [
            text if len(text) <= digits else f"{value:.{digits}g}" for value, text in zip(values, full, strict=True)
        ]
        shifted = any("e" in short and "e" not in whole for short, whole in zip(told, full, strict=True))
        if len(set(told)) == len(set(full)) and not shifted:
            return told
    return full


def console(stderr: bool = False, quiet: bool = False) -> Console:
    """A terminal, or the file in its place, on which text is what it is: no markup, no emoji, no control characters.

    Args:
      quiet: nothing is shown.
    """
    return _Console(stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False)


def verdict(word: str, colour: str, text: object) -> Text:
    """A line that begins with a word in colour."""
    return Text.assemble((word, colour), " " * (9 - len(word)), safe(text))


def fault(path: Path, error: Exception) -> str:
    """What is wrong with a file, in a line that names it."""
    name = safe(path)
    first = str(error).replace(str(path), name).partition("\n")[0]
    return safe(first if name in first else f"{name}: {first}")


def column(form: str) -> TextColumn:
    """Of a bar that tells how far something has come."""
    return TextColumn(form, markup=False)


def any_encoding() -> None:
    """Lets standard output and errors take any text: what their encoding has not is written in what it has."""
    codecs.register_error("nmmo-simpler", _simpler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):  # it is closed
                stream.reconfigure(errors="nmmo-simpler")


class _Console(Console):
    def render_str(self, text: str, **options: Any) -> Any:
        if not self.encoding.startswith("utf"):  # before lines are broken, so that columns stay under each other
            text = "".join(one if _encodable(one, self.encoding) else one.translate(_SIMPLER) for one in text)
        return super().render_str(_printable(text, but="\n"), **options)


def _printable(text: str, but: str = "") -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in but else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def _encodable(one: str, encoding: str) -> bool:
    try:
        one.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _simpler(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    simple = error.object[error.start : error.end].translate(_SIMPLER)
    return "".join(one if one.isascii() else _escaped(one) for one in simple), error.end
