"""What training would write and read on a GPU, and launch, counted from the program compiled for it, without one.

    python -m nmmo_jax.bench.traffic h100.txtpb --realms 1024 --minibatch 32768

Needs a description of the GPU (XLA's ``TargetConfigProto`` as text) and, beside this package,

    pip install --no-deps jax-cuda12-plugin==VERSION jax-cuda12-pjrt==VERSION  # that of jax
    pip install --no-deps nvidia-cuda-nvcc-cu12 nvidia-cuda-runtime-cu12 nvidia-cuda-nvrtc-cu12
    pip install --no-deps nvidia-cuda-cupti-cu12 nvidia-nvjitlink-cu12

What comes out is exact about what would run, with matrix products of the library in place of those that XLA chooses by
trying them, and silent about how fast.

Counted is what each kernel has to touch: of a gather what it takes, of what is written in place what is written, of the
rest operands and results. Loops count as often as they turn; of a loop whose turns follow from data, one.
"""

import collections
import dataclasses
import functools
import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import tyro
from jax._src import xla_bridge
from jax.experimental import topologies

from nmmo_jax.bench.machine import run_program
from train.loop import make_train
from train.settings import Experiment, experiment

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

    def longest(self, turns: int | None) -> Cost:
        """Of a turn of the loop that launches most, of those with so many turns; None: as many as data ask for.

        Raises:
          ValueError: there is none.
        """
        loops = [one for part in self.parts.values() for one in part.values() if one.op == "while"]
        costs = [self.cost(_named(one, "body")) for one in loops if _turns(one) == turns]
        if not costs:
            raise ValueError(f"turns={turns}: there is no such loop")
        return max(costs, key=lambda cost: cost.launches)

    @functools.cache  # noqa: B019 - lives as long as the program
    def cost(self, name: str) -> Cost:
        """Of one turn of a computation."""
        part, total, launches = self.parts[name], 0, 0
        for one in part.values():
            if one.op == "while":
                body, turns = self.cost(_named(one, "body")), _turns(one) or 1
                total, launches = total + turns * body.bytes, launches + turns * body.launches
            elif one.op not in FREE | {"conditional", "call"}:
                total, launches = total + self._kernel(part, one), launches + 1
        return Cost(total, launches)

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


@dataclasses.dataclass
class Traffic:
    """Count what training would write and read on a GPU, and launch, from the program compiled for it."""

    description: tyro.conf.Positional[Path]
    """Of the GPU: XLA's TargetConfigProto as text."""
    experiment: str = "law128"
    """What is trained."""
    realms: int = 1024
    """Side by side."""
    minibatch: int = 32_768
    """Agent-steps per population."""
    keep: Path | None = None
    """File for the program's text."""
    out: Path | None = None
    """File for the result. Default: standard output."""


def measure(settings: Traffic) -> dict[str, Any]:
    """Bytes per agent-step where all places are taken, and launches per tick and per minibatch.

    Raises:
      ValueError: something that cannot be.
      RuntimeError: there are no packages to compile with, or not for such a GPU.
    """
    trained = experiment(settings.experiment, realms=settings.realms, minibatch=settings.minibatch)
    text = compiled(trained, settings.description.read_text())
    if settings.keep:
        settings.keep.write_text(text)
    program, config = Program(text), trained.env.config
    acting, learning = program.longest(trained.settings.ticks), program.longest(None)
    told = {
        "acting": {"bytes": round(acting.bytes / (settings.realms * config.num_agents)), "launches": acting.launches},
        "learning": {
            "bytes": round(trained.settings.epochs * learning.bytes / (settings.minibatch * config.num_populations)),
            "launches": learning.launches,
        },
    }
    return {**told, "bytes": told["acting"]["bytes"] + told["learning"]["bytes"]}


def compiled(trained: Experiment, target: str) -> str:
    """The text of an update, for a GPU of that description."""
    known = xla_bridge.canonicalize_platform

    def canonical(platform: str) -> str:  # that of jax looks for a device (jax issue 23971)
        try:
            return known(platform)
        except RuntimeError:
            return "cuda"

    xla_bridge.canonicalize_platform = canonical
    try:
        jax.devices()  # registers the plugins
        there = topologies.get_topology_desc("gpu", platform="cuda", target_config=target, topology="1x1x1").devices
        train = make_train(trained, devices=list(there))
        state = jax.eval_shape(train.init, jax.random.key(0))
        return train.compile(state, 1, lowering_platforms=("cuda",)).as_text()
    except NotImplementedError as error:
        raise RuntimeError(f"cannot compile for a GPU, see the module's docstring: {error}") from None
    finally:
        xla_bridge.canonicalize_platform = known


if __name__ == "__main__":
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # that cuDNN is there
    os.environ.setdefault("XLA_FLAGS", "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false")
    run_program("traffic", measure, tyro.cli(Traffic))
