"""What an accelerator would do, on paper: the programs of world and training compiled for it, without one.

    nmmo-jax bench --plan h100 --out runs/h100.json      # the extra plan
    python -m nmmo_jax.bench.paper --realms 1024         # what that runs

Exact about what would run: kernels, their bytes, memory; with matrix products of the library in place of those that XLA
chooses by trying them. Silent about how fast: the roof is what memory would allow if nothing else took time, and beside
it what is left with some microseconds for each launch.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import jax
import msgspec
import tyro
from jax.sharding import AxisType, NamedSharding
from rich.console import Group, RenderableType

from nmmo_jax.bench.machine import machine, run_program
from nmmo_jax.bench.report import columns
from nmmo_jax.bench.results import differences
from nmmo_jax.bench.rows import start
from nmmo_jax.bench.throughput import SPLIT, Throughput, check, make_play, policy
from nmmo_jax.bench.traffic import Program
from nmmo_jax.common.files import read_json
from nmmo_jax.common.hidden import check_train
from nmmo_jax.common.requirements import extras
from nmmo_jax.common.text import safe

FORMAT, VERSION = "nmmo-jax bench --plan", 1
DEVICES = {"h100": Path(__file__).with_name("h100.txtpb")}
"""By name: a description of the device, XLA's ``TargetConfigProto`` as text."""
XLA_FLAGS = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"  # else both try things out on a device
LAUNCH = 3e-6  # seconds that a kernel takes at least, as launched one after another
_MOST, _SHOWN = 12, 5  # kernels that are kept, and shown
_PLUMBING = re.compile(r"(?:while/body|closed_call|vmap\(\)|cond/branch_\d_fun)/")
_TOLD = {"jax", "jaxlib", "commit", "name"}  # in what plans differ, beside their settings
_TICKS = 8  # of the world's loop, which costs the same in each


@dataclasses.dataclass
class Paper:
    """Count what world and training would launch, write and read on an accelerator, compiled for it without one."""

    device: Literal["h100"] = "h100"
    """Which."""
    realms: int = 4096
    """Of the world, side by side, of 128 places (chaos, random play)."""
    experiment: str = "law128"
    """What is trained."""
    trained_realms: int = 1024
    """Side by side."""
    minibatch: int = 32_768
    """Agent-steps per population."""
    text: Path | None = None
    """Folder for the programs' texts."""
    out: Path | None = None
    """File for the result. Default: standard output."""


def measure(settings: Paper) -> dict[str, Any]:
    """Bytes per agent-step where all places are taken, launches, memory, and what follows.

    Raises:
      ValueError: something that cannot be.
      RuntimeError: there are no packages to compile with, or not for such a device.
    """
    check_train()
    description = DEVICES[settings.device].read_text()
    bandwidth, memory = (int(_told(description, name)) for name in ("memory_bandwidth", "device_memory_size"))
    with _there(description) as devices:
        world, mmo = (_world(settings, devices, row) for row in ("chaos", "mmo"))
        acting, learning, steps = _training(settings, devices)
    rates = {"bandwidth": bandwidth, "launch_seconds": LAUNCH}
    parts = {"world": [(world, 1)], "mmo": [(mmo, 1)]}
    parts |= {"training": [(acting, steps["acting"]), (learning, steps["learning"])]}
    steps |= {"world": world["agent_steps"], "mmo": mmo["agent_steps"]}
    return {
        "format": FORMAT,
        "version": VERSION,
        "device": {"name": settings.device, "memory_bytes": memory, **rates},
        "settings": {key: value for key, value in dataclasses.asdict(settings).items() if key not in ("text", "out")},
        "programs": {"world": world, "mmo": mmo, "acting": acting, "learning": learning},
        "roofs": {name: _roof(part, steps[name], rates) for name, part in parts.items()},
        "machine": machine(),
    }


def _roof(parts: list[tuple[dict[str, Any], int]], agent_steps: int, rates: dict[str, float]) -> dict[str, int]:
    """Agent-steps per second that memory allows, and that are left with the launches."""
    seconds = sum(turns * one["bytes"] for one, turns in parts) / rates["bandwidth"]
    launched = rates["launch_seconds"] * sum(turns * one["launches"] for one, turns in parts)
    return {"memory": round(agent_steps / seconds), "with_launches": round(agent_steps / (seconds + launched))}


def _world(settings: Paper, devices: list[Any], name: Literal["chaos", "mmo"]) -> dict[str, Any]:
    args = Throughput(row=name, realms=settings.realms, ticks=_TICKS)
    row = check(args)
    mesh = jax.make_mesh((1,), ("realms",), (AxisType.Auto,), devices=devices)
    _, act = policy(args.policy, row.environment.config)
    obs, realm = jax.eval_shape(lambda key: start(row, key, args.realms), jax.random.key(0))
    ring = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((args.ticks + 1, *leaf.shape), leaf.dtype), obs)
    shards = [NamedSharding(mesh, spec) for spec in SPLIT]
    carry = tuple(
        jax.tree.map(lambda leaf, at=at: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=at), part)
        for part, at in zip((realm, ring), shards, strict=True)
    )
    play = make_play(args, row, act, mesh, jax.random.key(0), jax.random.key(1))
    lowered = jax.jit(play, donate_argnums=0).trace(carry, None).lower(lowering_platforms=("cuda",))
    compiled = lowered.compile()
    program = _program(settings, name, compiled.as_text() or "")
    agents = settings.realms * row.environment.config.num_agents
    return _counted(program, args.ticks, agents) | {"memory_bytes": _memory(compiled)}


def _training(settings: Paper, devices: list[Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """Acting, learning, and how many turns of each an update has, with its agent-steps."""
    from train.loop import make_train
    from train.settings import experiment

    trained = experiment(settings.experiment, realms=settings.trained_realms, minibatch=settings.minibatch)
    train = make_train(trained, devices=devices)
    state = jax.eval_shape(train.init, jax.random.key(0))
    compiled = train.compile(state, 1, lowering_platforms=("cuda",))
    program, config, own = _program(settings, "training", compiled.as_text()), trained.env.config, trained.settings
    rows, places = settings.minibatch * config.num_populations, settings.trained_realms * config.num_agents
    acting, learning = _counted(program, own.ticks, places), _counted(program, None, rows)
    learning |= {"memory_bytes": _memory(compiled)}
    agent_steps = own.ticks * places
    turns = {"acting": own.ticks, "learning": own.epochs * max(agent_steps // rows, 1), "training": agent_steps}
    return acting, learning, turns


def _program(settings: Paper, name: str, text: str) -> Program:
    if settings.text is not None:
        settings.text.mkdir(parents=True, exist_ok=True)
        (settings.text / f"{name}.hlo").write_text(text)
    return Program(text)


def _counted(program: Program, turns: int | None, agent_steps: int) -> dict[str, Any]:
    body = program.longest(turns)
    cost = program.cost(body)
    kernels = sorted(program.kernels(body), key=lambda one: -one.bytes)[:_MOST]
    return {
        "agent_steps": agent_steps,
        "launches": cost.launches,
        "bytes": cost.bytes,
        "bytes_per_agent_step": round(cost.bytes / agent_steps),
        "kernels": [
            {**one._asdict(), "bytes_per_agent_step": round(one.bytes / agent_steps), "source": one.source[-120:]}
            for one in kernels
        ],
    }


def _memory(compiled: Any) -> int:
    told = compiled.memory_analysis()
    needed = told.argument_size_in_bytes + told.output_size_in_bytes - told.alias_size_in_bytes
    return needed + told.temp_size_in_bytes


def _told(description: str, name: str) -> str:
    found = re.search(rf"\b{name}: (\d+)", description)
    assert found, name
    return found[1]


@contextlib.contextmanager
def _there(description: str) -> Iterator[list[Any]]:
    """The devices of that description, for which can be compiled within.

    Raises:
      RuntimeError: there are no packages to compile with, or not for such a device.
    """
    from jax._src import xla_bridge  # may be elsewhere tomorrow: only who asks for a plan needs it
    from jax.experimental import topologies

    jax.config.update("jax_platforms", None)  # where only the processor is asked for, nothing else is found
    known = xla_bridge.canonicalize_platform

    def canonical(platform: str) -> str:  # that of jax looks for a device (jax issue 23971)
        try:
            return known(platform)
        except RuntimeError:
            return "cuda"

    xla_bridge.canonicalize_platform = canonical
    try:
        jax.devices()  # registers the plugins
        described = topologies.get_topology_desc("gpu", platform="cuda", target_config=description, topology="1x1x1")
        yield list(described.devices)
    except NotImplementedError as error:
        raise RuntimeError(f"cannot compile for a GPU ({error}): {_how_to_install()}") from None
    finally:
        xla_bridge.canonicalize_platform = known


def check_compiler(device: str) -> None:
    """Raises ``ValueError`` where nothing is installed that compiles for a GPU."""
    known = [f"jax_plugins.xla_cuda{version}" for version in (12, 13)]
    if importlib.util.find_spec("jax_plugins") is None or not any(map(importlib.util.find_spec, known)):
        raise ValueError(f"plan={device}: nothing is here that compiles for a GPU: {_how_to_install()}")


def _how_to_install() -> str:
    """What the extra needs, its plugin in the version of jax: no other will do."""
    plugin = f"jax-cuda12-plugin=={jax.__version__}"
    others = [one for one in extras()["plan"].missing if not one.startswith("jax-cuda12-plugin")]
    return shlex.join([sys.executable, "-m", "pip", "install", plugin, *others])


class _Counts(TypedDict):
    agent_steps: int
    launches: int
    bytes: int
    bytes_per_agent_step: int
    kernels: list[dict[str, Any]]


class _Record(TypedDict):
    device: dict[str, Any]
    settings: dict[str, Any]
    programs: dict[str, _Counts]
    roofs: dict[str, dict[str, Annotated[int, msgspec.Meta(ge=0)]]]
    machine: dict[str, Any]


def is_one(path: Path) -> bool:
    """Whether a file says that it is a record of this; what cannot be read is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return json.loads(path.read_bytes()).get("format") == FORMAT
    return False


def read(path: Path) -> dict[str, Any]:
    """A record; raises as ``read_json``."""
    return dict(read_json(path, _Record, format=FORMAT, version=VERSION))


def summary(record: dict[str, Any]) -> RenderableType:
    """Counts, what follows, and the kernels that move most, for a terminal."""
    counts = columns("of", "launches", "bytes per agent-step", "memory, GB")
    for name, one in record["programs"].items():
        memory = f"{one['memory_bytes'] / 1e9:.2f}" if "memory_bytes" in one else ""
        counts.add_row(name, f"{one['launches']:,}", f"{one['bytes_per_agent_step']:,}", memory)
    device, roofs = record["device"], columns("agent-steps/s at most", "by memory", "and launches")
    for name, roof in record["roofs"].items():
        roofs.add_row(name, f"{roof['memory']:,}", f"{roof['with_launches']:,}")
    parts: list[RenderableType] = [counts, roofs]
    for name, one in record["programs"].items():
        kernels = columns(f"{name}: what moves most", "bytes per agent-step", "launches")
        for kernel in one["kernels"][:_SHOWN]:
            source = "/".join(_PLUMBING.sub("", kernel["source"]).split("/")[-2:])
            kernels.add_row(safe(source), f"{kernel['bytes_per_agent_step']:,}", f"{kernel['launches']:,}")
        parts.append(kernels)
    speed, launch = device["bandwidth"] / 1e12, 1e6 * device["launch_seconds"]
    return Group(safe(f"{device['name']}, on paper: {speed:.2f} TB/s, {launch:.0f} µs a launch"), *parts)


def compare(one: dict[str, Any], other: dict[str, Any], names: tuple[str, str]) -> RenderableType:
    """Two records side by side."""
    parts: list[RenderableType] = [safe(f"{letter}: {name}") for letter, name in zip("AB", names, strict=True)]
    table = columns("", "A", "B", "B/A")
    for name in [name for name in one["programs"] if name in other["programs"]]:
        for what in ("launches", "bytes_per_agent_step", "memory_bytes"):
            pair = [record["programs"][name].get(what) for record in (one, other)]
            if all(pair):
                table.add_row(
                    f"{name}, {what.replace('_', ' ')}", *(f"{n:,}" for n in pair), f"{pair[1] / pair[0]:.2f}"
                )
    for name in [name for name in one["roofs"] if name in other["roofs"]]:
        pair = [record["roofs"][name]["with_launches"] for record in (one, other)]
        table.add_row(f"{name}, agent-steps/s at most", *(f"{n:,}" for n in pair), f"{pair[1] / max(pair[0], 1):.2f}")
    about = [{**record["device"], **record["settings"], **record["machine"]} for record in (one, other)]
    differing = {name: pair for name, pair in differences(*about).items() if name in _TOLD | one["settings"].keys()}
    return Group(*parts, table, *(safe(f"{name}: A {a}, B {b}") for name, (a, b) in differing.items()))


if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {XLA_FLAGS}".strip()
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # that cuDNN is there
    run_program("paper", measure, tyro.cli(Paper))
