"""What a program compiled for a GPU launches, writes and reads, counted from its text.

Counted is what each kernel has to touch: of a gather what it takes, of what is written in place what is written, of the
rest operands and results. Loops count as often as they turn; of a loop whose turns follow from data, one.
"""

import collections
import functools
import math
import re
from typing import NamedTuple

BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s64": 8, "u64": 8, "f64": 8}  # else 4
FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "after-all", "iota"}
MOVES = {"bitcast", "reshape", "transpose", "copy"}  # change no number


class Instruction(NamedTuple):
    """A line of a program's text."""

    name: str
    shape: str
    op: str
    operands: tuple[str, ...]
    line: str


class Cost(NamedTuple):
    """Bytes written and read, and kernels launched."""

    bytes: int
    launches: int


class Kernel(NamedTuple):
    """One of those that a computation launches: the place in the source that it is from, and what it costs in all."""

    name: str
    source: str
    bytes: int
    launches: int


def size(shape: str) -> int:
    """Bytes of a shape as text; of a tuple, of all."""
    parts = re.findall(r"(pred|[suf]\d+|bf16)\[([\d,]*)\]", shape)
    return sum(BYTES.get(kind, 4) * math.prod(map(int, filter(None, sides.split(",")))) for kind, sides in parts)


class Program:
    """The text of a compiled program, by computation."""

    def __init__(self, text: str):
        self.parts: dict[str, dict[str, Instruction]] = {}
        self.roots: dict[str, str] = {}
        name = ""
        for line in text.splitlines():
            if begin := re.match(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line):
                name = begin.group(1)
                self.parts[name] = {}
            elif match := re.match(r"\s+(ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*)", line):
                root, own, shape, op, rest = match.groups()
                inner = re.split(r"\)(?:, |$)", rest, maxsplit=1)[0]
                operands = tuple(re.findall(r"%([\w.\-]+)", inner))
                self.parts[name][own] = Instruction(own, shape, op, operands, line)
                if root:
                    self.roots[name] = own

    def longest(self, turns: int | None) -> str:
        """The body of the loop that launches most, of those with so many turns; None: as many as data ask for.

        Raises:
          ValueError: there is none.
        """
        loops = [one for part in self.parts.values() for one in part.values() if one.op == "while"]
        bodies = [_named(one, "body") for one in loops if _turns(one) == turns]
        if not bodies:
            raise ValueError(f"turns={turns}: there is no such loop")
        return max(bodies, key=lambda body: self.cost(body).launches)

    def cost(self, name: str) -> Cost:
        """Of one turn of a computation."""
        kernels = self.kernels(name)
        return Cost(sum(one.bytes for one in kernels), sum(one.launches for one in kernels))

    @functools.cache  # noqa: B019 - lives as long as the program
    def kernels(self, name: str) -> tuple[Kernel, ...]:
        """What one turn of a computation launches, with what its loops do."""
        part, found = self.parts[name], []
        for one in part.values():
            if one.op == "while":
                turns = _turns(one) or 1
                inner = self.kernels(_named(one, "body"))
                found += [each._replace(bytes=turns * each.bytes, launches=turns * each.launches) for each in inner]
            elif one.op not in FREE | {"conditional", "call"}:
                source = re.search(r'op_name="([^"]*)"', one.line)
                found.append(Kernel(one.name, source[1] if source else one.op, self._kernel(part, one), 1))
        return tuple(found)

    def _kernel(self, part: dict[str, Instruction], one: Instruction) -> int:
        read = sum(size(part[name].shape) for name in one.operands if name in part)
        if one.op == "custom-call":  # what is given to it in bytes is its workspace
            return read + size(re.sub(r"s8\[[\d,]*\]", "", one.shape))
        return self._fused(_named(one, "calls")) if one.op == "fusion" else read + size(one.shape)

    def _fused(self, name: str) -> int:
        part, users = self.parts[name], collections.defaultdict(list)
        for one in part.values():
            for operand in one.operands:
                users[operand].append(one)
        read = sum(_taken(one, users) for one in part.values() if one.op == "parameter")
        return read + self._written(part, part[self.roots[name]])

    def _written(self, part: dict[str, Instruction], one: Instruction) -> int:
        if one.op == "tuple":
            return sum(self._written(part, part[name]) for name in one.operands)
        if one.op == "bitcast":
            return self._written(part, part[one.operands[0]])
        if one.op == "dynamic-update-slice":
            return size(part[one.operands[1]].shape)
        return 2 * size(part[one.operands[-1]].shape) if one.op == "scatter" else size(one.shape)


def _named(one: Instruction, what: str) -> str:
    match = re.search(rf"{what}=%?([\w.\-]+)", one.line)
    assert match, one.line
    return match.group(1)


def _turns(one: Instruction) -> int | None:
    match = re.search(r'known_trip_count":\{"n":"(\d+)"', one.line)
    return int(match.group(1)) if match else None


def _taken(one: Instruction, users: dict[str, list[Instruction]]) -> int:
    """Bytes that are read of an operand: of one that is only gathered or sliced from, what is."""
    whole, total = size(one.shape), 0
    for user in users[one.name]:
        first = user.operands[0] == one.name
        if user.op == "slice" or (first and user.op in ("gather", "dynamic-slice")):
            total += _taken(user, users) if users[user.name] else size(user.shape)
        elif user.op in MOVES and users[user.name]:
            total += _taken(user, users)
        elif not (first and user.op in ("dynamic-update-slice", "scatter")):
            return whole
    return min(total, whole)
