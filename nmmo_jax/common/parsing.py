"""From the words of a command line to a command: tyro reads them; what is misspelt is told of in one line before."""

import contextlib
import dataclasses
import io
import re
import sys
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

import tyro

from nmmo_jax.common.spelling import near

_POSITIONAL, _ONE_WAY = (get_args(one)[1:] for one in (tyro.conf.Positional[int], tyro.conf.FlagCreatePairsOff[bool]))
_BEFORE = ("--help", "--version")
_OF_TYRO = "--tyro-"  # flags that tyro adds: completion scripts for shells


def parse(commands: Any, prog: str, description: str, version: str, args: Sequence[str] | None = None) -> Any:
    """The command that is asked for: an instance of one of a union of dataclasses, groups of them included.

    Args:
      version: what ``--version`` tells.

    Raises:
      ValueError: a misspelt command, flag or choice.
      SystemExit: help or the version was asked for, or something else is wrong; what is to be said has been printed.
    """
    args = list(sys.argv[1:] if args is None else args)
    if args[:1] == ["--version"]:
        print(version)
        sys.exit(0)
    chosen, path, rest = commands, [prog], args
    while (below := _commands(chosen)) and rest and not rest[0].startswith("-"):
        name = rest[0]
        if name not in below:
            raise ValueError(f"{name}: {' '.join(path)} --help lists what there is{near(name, below)}")
        chosen, path, rest = below[name], [*path, name], rest[1:]
    if below and rest and rest[0] not in ("-h", "--help") and not rest[0].startswith(_OF_TYRO):
        raise ValueError(f"{rest[0]}: {' '.join(path)} --help lists what there is{near(rest[0], _BEFORE)}")
    if below and not rest:  # a command is missing: help, and the status of bad input
        with contextlib.suppress(SystemExit):
            tyro.cli(commands, prog=prog, description=description, args=[*path[1:], "--help"])
        sys.exit(2)
    if below:
        return tyro.cli(commands, prog=prog, description=description, args=args)
    return parse_flags(chosen, " ".join(path), rest)


def parse_flags(kind: type, prog: str, args: Sequence[str] | None = None) -> Any:
    """A command of one kind, a dataclass, from its flags; raises as ``parse`` does."""
    args = list(sys.argv[1:] if args is None else args)
    flags, choices = _flags(kind)
    for index, word in enumerate(args):
        flag, equals, value = word.partition("=")
        flag = flag.replace("_", "-")
        if flag.startswith(_OF_TYRO) or not re.match("--?[a-z]", flag, re.IGNORECASE):
            continue
        if flag not in flags:
            raise ValueError(f"{flag}: {prog} --help lists what there is{near(flag, flags)}")
        allowed, several = choices.get(flag, ((), False))
        for given in ([value] if equals else _values(args[index + 1 :], several)) if allowed else ():
            if given not in allowed:
                raise ValueError(f"{flag} {given}: allowed are {', '.join(allowed)}{near(given, allowed)}")
    return tyro.cli(kind, prog=prog, args=args)


def completion(commands: Any, prog: str, shell: str) -> str:
    """The script with which a shell completes commands and flags.

    Args:
      shell: ``bash`` or ``zsh``.
    """
    script = io.StringIO()
    with contextlib.redirect_stdout(script), contextlib.suppress(SystemExit):
        tyro.cli(commands, prog=prog, args=["--tyro-print-completion", shell])
    return script.getvalue()


def _commands(kind: Any) -> dict[str, Any]:
    """The members of a union of commands by name; none if it is a command itself."""
    one = get_args(kind)[0] if get_origin(kind) is typing.Annotated else kind
    return {member.__metadata__[0].name: get_args(member)[0] for member in get_args(one)}


def _flags(kind: type) -> tuple[set[str], dict[str, tuple[tuple[str, ...], bool]]]:
    """The flags of a command; and of those with names to choose from, these, and whether several can be given."""
    hints = typing.get_type_hints(kind, include_extras=True)
    flags, choices = {"-h", "--help"}, {}
    for field in dataclasses.fields(kind):
        parts = list(_parts(hints[field.name]))
        if any(part in _POSITIONAL for part in parts):
            continue
        name = field.name.replace("_", "-")
        flags |= {f"--{name}", *(alias for part in parts for alias in getattr(part, "aliases", None) or ())}
        if bool in parts and not any(part in _ONE_WAY for part in parts):
            flags.add(f"--no-{name}")
        literals = [part for part in parts if get_origin(part) is Literal]
        if literals:
            choices[f"--{name}"] = (
                tuple(map(str, get_args(literals[0]))),
                any(get_origin(part) is tuple for part in parts),
            )
    return flags, choices


def _parts(hint: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield hint
    for part in (*getattr(hint, "__metadata__", ()), *(() if get_origin(hint) is Literal else get_args(hint))):
        yield from _parts(part)


def _values(words: Sequence[str], several: bool) -> Iterator[str]:
    """The values that follow a flag."""
    for word in words[: None if several else 1]:
        if word.startswith("--"):
            return
        yield word
