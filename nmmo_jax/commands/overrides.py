"""``--set NAME=VALUE``: any field of what a command makes, read by the type of the field; and flags in messages."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro

from nmmo_jax.common.spelling import near
from nmmo_jax.config import STYLES, Config
from nmmo_jax.presets import PRESETS
from nmmo_jax.references import find_system, reference
from nmmo_jax.rules import REPRODUCTION_RULES, RULE_FIELDS, rule_ndim
from nmmo_jax.system import System

Overrides = Annotated[
    tuple[tuple[str, ...], ...],
    tyro.conf.arg(metavar="NAME=VALUE", aliases=["--rule"]),
    tyro.conf.UseAppendAction,
]
"""Of a flag that takes one or more pairs, and can be repeated."""
Systems = Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODULE:NAME"), tyro.conf.UseAppendAction]
"""Of a flag that names game systems, and can be repeated."""

_RULE_TYPES = {"int32": int, "float32": float, "bool": bool}
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_PER_STYLE = list[float]


def types_of(kind: type) -> dict[str, Any]:
    """The fields of a dataclass of settings and their types."""
    return {field.name: field.type for field in dataclasses.fields(kind)}


RULES: dict[str, Any] = {
    name: _PER_STYLE if rule_ndim(name) else _RULE_TYPES[field.metadata["dtype"]] for name, field in RULE_FIELDS.items()
}
WORLD: dict[str, Any] = {name: kind for name, kind in types_of(Config).items() if name != "systems"} | RULES
PROBES = dict.fromkeys(("visits", "events", "ledger"), "changes nothing that this command shows")
NO_EFFECT = {**dict.fromkeys(("reward", "horizon"), "changes nothing where nobody learns"), **PROBES}
"""Fields of ``Config`` that change nothing in the play of a world, and what is said where they are given."""
PLACES = {"num_agents": "--agents", "num_populations": "--populations"}


def parse_set(
    given: Iterable[str | Iterable[str]],
    elsewhere: Mapping[str, str] = PLACES,
    fields: Mapping[str, Any] = WORLD,
    *,
    reproduction: bool | None = None,
    systems: Iterable[str] = (),
    flag: str = "--set",
) -> dict[str, Any]:
    """Fields and their values from ``name=value``.

    Values are numbers; true or false; ``a,b,c`` or ``[a,b,c]`` where there is one per style; a name where there are
    some to choose from; none where that can be.

    >>> parse_set(("regrowth_probability=0.05", "attack_range=1,2,3", "layout=free"))
    {'regrowth_probability': 0.05, 'attack_range': [1, 2, 3], 'layout': 'free'}

    Args:
      elsewhere: fields that cannot be set so, and the flag that sets them or why not.
      fields: those there are, and their types.
      systems: game systems as ``module:NAME``, whose rules can be set too; what is found has them as ``systems``.
      reproduction: whether agents give birth, which rules of births need; None: as is given, and if nothing is, not.
      flag: for messages.

    Raises:
      ValueError: not of that form, no such field, one that cannot be set so or is given twice, or a value of another
        type. Whether values are in range is for what is made of them to say.
    """
    own = find_systems(systems)
    found: dict[str, Any] = {"systems": own} if own else {}
    fields = {**fields, **types_of_rules(own)}
    for text in flat(given):
        name, equals, value = (part.strip() for part in text.partition("="))
        told = f"{flag} {text}"
        if not equals or not name:
            raise ValueError(f"{told}: must be NAME=VALUE")
        if name in elsewhere:
            why = elsewhere[name]
            raise ValueError(f"{told}: use {why}" if why.startswith("--") else f"{told}: {name} {why}")
        if name not in fields:
            known = sorted(fields.keys() - elsewhere.keys())
            raise ValueError(f"{told}: there is no {name}{near(name, known) or '; there are ' + ', '.join(known)}")
        if name in found:
            raise ValueError(f"{told}: given twice")
        found[name] = read(value, fields[name], told)
    births = found.get("reproduction", False) if reproduction is None else reproduction
    for name in () if births or "reproduction" not in fields else REPRODUCTION_RULES:
        if name in found:
            raise ValueError(f"{flag} {name}={found[name]}: means nothing where agents do not give birth")
    return found


def of_game(game: str, given: Iterable[str]) -> tuple[str, ...]:
    """The systems of a world by name, ``module:NAME``: those that are given, else those that the game has."""
    return tuple(given) or tuple(map(reference, PRESETS[game].get("systems", ())))


def find_systems(names: Iterable[str]) -> tuple[System, ...]:
    """The systems of ``--system``, checked against each other.

    Raises:
      ValueError: one is not to be found, or they cannot be together.
    """
    try:
        return Config(systems=tuple(find_system(name) for name in names)).systems
    except ValueError as error:
        raise ValueError(f"--system {error}") from None


def types_of_rules(systems: Iterable[System]) -> dict[str, Any]:
    """The rules of systems by name, ``poison.damage``, and their types."""
    return {f"{system.name}.{rule.name}": _RULE_TYPES[rule.dtype] for system in systems for rule in system.rules}


def read(text: str, kind: Any, told: str) -> Any:
    """A value of a type from text.

    Args:
      kind: int, float, bool, a Literal of names, a list of numbers, or one of these or None.

    Raises:
      ValueError: it is none; begins with ``told``.
    """
    kinds = set(get_args(kind)) if get_origin(kind) not in (None, Literal, list) else {kind}
    value: Any = _value(text)
    if value is None and type(None) in kinds:
        return None
    kind = next(one for one in kinds if one is not type(None))
    if get_origin(kind) is Literal:
        name = text.strip("'\"")
        if name not in get_args(kind):
            raise ValueError(f"{told}: allowed are {', '.join(get_args(kind))}{near(name, get_args(kind))}")
        return name
    if kind is bool:
        if not isinstance(value, bool) and value not in (0, 1):
            raise ValueError(f"{told}: allowed are true and false")
        return bool(value)
    if kind == _PER_STYLE:
        if isinstance(value, list) and len(value) == len(STYLES) and all(map(_is_number, value)):
            return value
        raise ValueError(f"{told}: must be {len(STYLES)} numbers a,b,c, one per style {', '.join(STYLES)}")
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not _is_number(value) or (kind is int and isinstance(value, float)):
        raise ValueError(f"{told}: must be a {'whole ' if kind is int else ''}number")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(text: str) -> Any:
    """What a text stands for: JSON, Python's words and numbers, several with commas between; or itself."""
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for reader in (json.loads, int, float):
        with contextlib.suppress(ValueError, RecursionError):
            return reader(text)
    return [_value(one) for one in text.split(",")] if "," in text else text


@contextlib.contextmanager
def flags_named(flags: Mapping[str, str]) -> Iterator[None]:
    """A context in which ``ValueError`` tell of what was typed, ``--agents 7``, not of the field, ``num_agents=7``.

    Args:
      flags: of fields: what goes before the value, ``"--agents "`` or ``"--set num_agents="``.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(_with_flags(str(error), flags)) from None


def named_by(command: Any, **others: str) -> dict[str, str]:
    """What ``flags_named`` needs for a command whose fields are its flags, and whose field ``set`` holds pairs.

    Args:
      others: fields of what it makes, and the flag that sets each, where that is of another name.
    """
    own = {field.name: f"--{field.name.replace('_', '-')} " for field in dataclasses.fields(command)}
    own |= {name: f"{flag} " for name, flag in PLACES.items() if flag.removeprefix("--") in own}
    own |= {name: f"{flag} " for name, flag in others.items()}
    own |= {name: f"{name}=" for name in names_in([getattr(command, "over", ())])}  # those messages begin with --over
    return own | {name: f"--set {name}=" for name in names_in(getattr(command, "set", ()))}


def names_in(given: Iterable[str | Iterable[str]]) -> list[str]:
    """The fields that pairs are of."""
    return [text.partition("=")[0].strip() for text in flat(given)]


def flat(given: Iterable[str | Iterable[str]]) -> Iterator[str]:
    """All pairs of a flag that was given once or several times."""
    for some in given:
        yield from (some,) if isinstance(some, str) else some


def _with_flags(message: str, flags: Mapping[str, str]) -> str:
    names = "|".join(map(re.escape, flags))
    # Not after a flag, in which case it is as it was typed, nor within a path.
    field = re.compile(rf"(?<!--set )(?<!--rule )(?<!--over )(?<![\w./=-])(?:rules\.)?({names})=(?:'([^']*)')?")
    return field.sub(lambda found: flags[found[1]] + (found[2] or ""), message) if flags else message
