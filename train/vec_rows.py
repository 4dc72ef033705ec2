"""What ``VecEnv`` hands out, rows of the living by realm; and what it is given, their actions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import flax.struct
import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float32, Int16, Int32, Int64, UInt8

from nmmo_jax.actions import heads
from nmmo_jax.common.spelling import near
from nmmo_jax.config import Config
from nmmo_jax.events import Events
from nmmo_jax.ledger import Ledger

Actions = Mapping[str, ArrayLike]  # by argument of the action heads; see ``VecEnv.step``


class Rows(flax.struct.PyTreeNode):
    """Agents of all R realms, a row each: realm after realm, in slot order; n rows.

    ``rows[i]`` is the same struct for realm ``i`` alone, of views; iterating goes by realm, and ``len(rows)`` is R.
    """

    offsets: Int64[np.ndarray, "R+1"]  # realm i has rows offsets[i] to offsets[i + 1]; NumPy always
    uid: Int32[Any, "n"]  # order of birth in the realm, never used again

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, realm: int) -> Self:
        if not -len(self) <= realm < len(self):
            raise IndexError(f"realm {realm}: there are {len(self)}")
        start, stop = (int(offset) for offset in self.offsets[realm % len(self) :][:2])
        one = jax.tree.map(lambda column: column[start:stop], self.replace(offsets=None))
        return one.replace(offsets=np.array([0, stop - start]))


class Observations(Rows):
    """What the living see, as in ``nmmo_jax.Observation``. W = ``Config.view``, V = ``Config.num_visible``.

    In sequential mode, who was killed after its turn is among the living for one more tick, and may do nothing.
    """

    population: Int32[Any, "n"]
    slot: Int32[Any, "n"]  # its place in the realm, 0 to num_agents - 1, as long as it lives
    tiles: UInt8[Any, "n 2 W W"]
    self: Int16[Any, "n F"]
    visible: Int16[Any, "n V F"]
    visible_uid: Int32[Any, "n V"]  # whose row that is; -1: nobody
    mask: dict[str, Bool[Any, "n ..."]]  # per argument of the action heads, True: allowed
    of: dict[str, Int16[Any, "n ..."]]  # what systems show, by name
    rows: dict[str, Int32[Any, "n K"]]  # of what systems list: row of its table, -1: nothing


class Rewards(Rows):
    """Of those alive before the step: of every row of the observations before it, in their order."""

    reward: Float32[Any, "n"]
    acted: Bool[Any, "n"]  # whether it lived to act: what throughput counts


class Dones(Rows):
    """Which of those alive before the step have left in it; rows as in ``Rewards``."""

    terminated: Bool[Any, "n"]
    truncated: Bool[Any, "n"]
    age: Int32[Any, "n"]  # completed ticks; of who left: the age at which it left
    cause: Int32[Any, "n"]  # nmmo_jax.Cause, of the terminated; 0 otherwise


class StepInfo(NamedTuple):
    """What else a step tells. ``final`` is None without ``Config.max_lifetime``, events and ledger where ``Config``
    leaves them off; those are NumPy arrays with a leading realm axis.
    """

    final: Observations | None  # the last rows of the truncated, who are not among the living
    events: Events | None
    ledger: Ledger | None
    next_row: Int32[Any, "n"]  # of every row of the observations before: its row in those after; -1: it has left


class Living(NamedTuple):
    """Who is alive, in the order of the rows: what actions are understood by. L = rows."""

    realm: Int64[np.ndarray, "L"]
    slot: Int64[np.ndarray, "L"]
    uid: Int32[np.ndarray, "L"]


def as_choices(
    actions: Actions | Sequence[Actions], living: Living, num_realms: int, config: Config
) -> Int32[np.ndarray, "A R N"]:
    """Actions, in any of the forms of ``VecEnv.step``, by argument and slot; -1 for nothing.

    Raises:
      ValueError: an unknown argument, a wrong shape or type, an agent that is not alive or is named twice.
    """
    arguments = {argument.name: argument.size for head in heads(config) for argument in head.arguments}
    if isinstance(actions, Mapping):
        columns = _columns(actions, arguments, len(living.uid))
    else:
        columns = _joined(actions, arguments, living, num_realms)
    rows = _rows(columns["realm"], columns["uid"], living) if "uid" in columns else slice(None)
    choices = np.full((len(arguments), num_realms, config.num_agents), -1, np.int32)
    for choice, (name, size) in zip(choices, arguments.items(), strict=True):
        if name in columns:
            given = columns[name]
            choice[living.realm[rows], living.slot[rows]] = np.where((given >= 0) & (given < size), given, -1)
    return choices


def _joined(
    actions: Sequence[Actions], arguments: Mapping[str, int], living: Living, num_realms: int
) -> dict[str, np.ndarray]:
    """The columns of actions that are given in parts, one per realm."""
    if not isinstance(actions, Sequence) or len(actions) != num_realms:
        found = f"{len(actions)} parts" if isinstance(actions, Sequence) else type(actions).__name__
        raise ValueError(f"actions: {found}: must be a mapping, or a list of num_realms={num_realms} mappings")
    number = np.bincount(living.realm, minlength=num_realms)
    parts = [_columns(part, arguments, int(number[realm]), realm) for realm, part in enumerate(actions)]
    for realm, part in enumerate(parts):
        if set(part) != set(parts[0]):
            raise ValueError(f"actions[{realm}]: has {sorted(part)}: must have {sorted(parts[0])}, as actions[0]")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _columns(
    actions: Actions, arguments: Mapping[str, int], number: int, realm: int | None = None
) -> dict[str, np.ndarray]:
    """The checked columns of actions, or of the part of one realm; ``number`` agents live there."""
    where, who = ("actions", {"realm", "uid"}) if realm is None else (f"actions[{realm}]", {"uid"})
    names = set(actions) if isinstance(actions, Mapping) else {type(actions).__name__}
    if not names <= set(arguments) | who or (names & who and not names >= who):
        allowed = f"{', '.join(arguments)}, or these with {' and '.join(sorted(who))}"
        wrong = next(iter(sorted(map(str, names - set(arguments) - who))), "")
        raise ValueError(f"{where}: has {sorted(names)}: must be a mapping of {allowed}{near(wrong, arguments)}")
    if "uid" in names:
        number = np.size(actions["uid"])
    columns = {name: np.asarray(column) for name, column in actions.items()}
    for name, column in columns.items():
        if column.shape != (number,) or (number and column.dtype.kind not in "iu"):
            raise ValueError(
                f"{where}[{name!r}]: {column.dtype} of shape {column.shape}: must be integers of shape ({number},)"
            )
    columns = {name: column.astype(np.int64) for name, column in columns.items()}  # the largest become negative
    return columns if realm is None or "uid" not in names else columns | {"realm": np.full(number, realm)}


def _rows(realm: np.ndarray, uid: np.ndarray, living: Living) -> np.ndarray:
    """The rows of these agents."""
    known = living.realm * 2**32 + living.uid
    possible = (realm >= 0) & (realm < 2**31) & (uid >= 0) & (uid < 2**31)
    wanted = np.where(possible, realm * 2**32 + uid, -2)
    order = np.argsort(known)
    rows = np.append(order, -1)[np.searchsorted(known, wanted, sorter=order)]
    unknown = np.append(known, -1)[rows] != wanted
    twice = np.bincount(rows[~unknown], minlength=len(known) + 1)[rows] > 1
    for wrong, must in ((unknown, "alive in the last observations"), (twice, "named once")):
        if wrong.any():
            first = wrong.argmax()
            raise ValueError(f"actions: realm {realm[first]}, uid {uid[first]}: must be {must}")
    return rows
