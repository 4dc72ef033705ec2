"""What a run of the benchmark measures: a list of jobs, each for a process of its own."""

import dataclasses
import importlib
import sys
from typing import Any

from nmmo_jax.bench.rows import OPEN_ROWS, named, observation_bytes, row
from nmmo_jax.bench.throughput import Throughput, check, policy
from nmmo_jax.common.hidden import check_train

GROUPS = (
    *("full_house", "chaos", "law", "classic", "training", "vec_env", "loop", "realms", "crowd", "large", "huge"),
    "mmo",
    *("systems", "start"),
)
_QUICK = ("full_house", "chaos", "classic", "training")
_TRAINED = 32  # realms
_TRAINED_ACCELERATED = 256
_LEARNERS = (1, 2, 4, 8)  # devices that training can be shared out over, as its realms are in eight groups
_STEPPED = 64  # realms, by VecEnv
_STEPPED_ACCELERATED = 1024  # every observation crosses to the host
_REALMS = (1, 4, 16, 64, 256, 1024, 4096)
_REALMS_ACCELERATED = (64, 1024, 4096, 16_384)
_CROWDS = (16, 128, 1024, 4096, 16_384, 65_536)
_CROWD = 8_192  # agents in all, at least
_ACCELERATED = 128  # times as many, on an accelerator
_BUFFER_BYTES = 2**32  # of the rollout, at most, on a CPU; calls are made shorter for it
_BUFFER_SHARE = 0.3  # likewise, of the available memory
_STATE_BYTES = 80 * 1024  # per realm of 128 agents, at most
_SPARE = 0.7  # share of the available memory that is used


@dataclasses.dataclass(frozen=True)
class Job:
    """One thing to measure.

    Attributes:
      name: by which its result is kept.
      group: of ``GROUPS``.
      module: the program, ``python -m module``; its last option is ``--out``.
      options: its settings, by name.
      cores: on which it may run; None: all.
      skipped: why it cannot be measured here; None: it can.
    """

    name: str
    group: str
    module: str
    options: dict[str, Any]
    cores: int | None
    skipped: str | None = None

    def command(self, out: str) -> list[str]:
        """The command line that measures it into a file."""
        words = [word for name, value in self.options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        return [sys.executable, "-m", self.module, *words, "--out", out]


def plan(full: bool, found: dict[str, Any], world: str = "") -> list[Job]:
    """The jobs of a run.

    Args:
      full: all of them, or those of the quick run.
      found: what ``machine.ask`` says: machine, available memory, devices.
      world: as in ``rows.row``: only the rows that it can be of, each with it and without.
    """
    accelerated = found["machine"]["backend"] != "cpu"
    available, devices = found["available_memory"], found["devices"] if accelerated else found["machine"]["cores"]
    realms = 64 * (_ACCELERATED if accelerated else 1)
    shares = sorted({1, devices})  # one core and all, or one device and all
    groups = GROUPS if full else _QUICK
    if world:
        groups = tuple(name for name in groups if name in OPEN_ROWS)
    loop = "ring" if accelerated or world else "living"  # worlds with systems are played in rings
    jobs = []

    def add(name: str, group: str, share: int, **options: Any) -> None:
        if group in groups:
            cores = None if accelerated else share
            jobs.append(_fitted(f"{name}-{share}", group, cores, available, devices=share, **options))

    for share in shares:
        for name in ("full_house", "chaos", "law"):
            add(name, name, share, row=name, realms=_rounded(realms, share), loop=loop)
            if world and name in OPEN_ROWS:
                own = f"{name}+{named(world)}".replace(", ", "+")
                add(own, name, share, row=name, realms=_rounded(realms, share), world=world)
        add("full_house-classic", "classic", share, row="full_house", policy="classic", realms=_rounded(realms, share))
    most = shares[-1]
    unable = _unable() if {"training", "vec_env"} & set(groups) else None
    if "training" in groups:
        number = _TRAINED_ACCELERATED if accelerated else _TRAINED
        for share in sorted({1, max(share for share in _LEARNERS if share <= most)}):
            options = {"realms": number, "devices": share}
            cores = None if accelerated else share
            jobs.append(Job(f"training-{share}", "training", "nmmo_jax.bench.training", options, cores, unable))
    if "vec_env" in groups:
        options = {"realms": _STEPPED_ACCELERATED if accelerated else _STEPPED}
        jobs.append(Job("vec_env", "vec_env", "nmmo_jax.bench.vec_env", options, None, unable))
    for name in ("full_house", "chaos"):
        for other in ("ring", "stack"):
            add(f"{name}-{other}", "loop", 1, row=name, realms=realms, loop=other)
    for number in _REALMS_ACCELERATED if accelerated else _REALMS:
        share = most if number >= most else 1
        add(f"realms-{number}", "realms", share, row="full_house", realms=_rounded(number, share), loop=loop)
    total = _CROWD * (_ACCELERATED if accelerated else 1)
    for agents in _CROWDS:
        # On one core or device, so that what a crowd costs is not mixed with how it is shared out.
        add(f"crowd-{agents}", "crowd", 1, row="crowd", agents=agents, realms=max(1, total // agents))
    for name, number in (("large", 2), ("huge", 1)):
        add(name, name, 1, row=name, realms=number)
    for share in shares:
        add("mmo", "mmo", share, row="mmo", realms=_rounded(realms, share))
        add("mmo1024", "mmo", share, row="mmo1024", realms=_rounded(max(realms // 16, share), share))
    cores = None if accelerated else 1
    if "systems" in groups:
        jobs.append(Job("systems", "systems", "nmmo_jax.bench.systems", {"realms": realms}, cores))
    if "start" in groups:
        jobs.append(Job("start", "start", "nmmo_jax.bench.start", {}, None))
    return jobs


def _unable() -> str | None:
    """Why what needs the package train cannot be measured; None: it can."""
    try:
        check_train()
        importlib.import_module("train.policy")
    except (ImportError, ValueError) as error:
        return f"needs the package train, which cannot be imported ({error})"
    return None


def _rounded(realms: int, share: int) -> int:
    return max(1, realms // share) * share


def _fitted(name: str, group: str, cores: int | None, available: int, **options: Any) -> Job:
    """A row with calls so short that its buffer fits into memory, or with the reason why it cannot be measured."""
    args = Throughput(**options)
    module = "nmmo_jax.bench.throughput"
    try:
        world = row(args.row, args.agents, args.populations, args.world)
        check(args)
        policy(args.policy, world.environment.config)
    except ValueError as error:
        return Job(name, group, module, options, cores, str(error))
    config = world.environment.config
    places = args.realms * config.num_agents
    observed = places * observation_bytes(world.environment)
    buffer = _BUFFER_SHARE * available if cores is None else min(_BUFFER_BYTES, _BUFFER_SHARE * available)
    ticks = max(1, min(args.ticks, int(buffer // observed) - 1))
    # The buffer, what a tick has in hand, and the realms (as they start, and as they are).
    need = (ticks + 3) * observed + 3 * _STATE_BYTES * places // 128
    options = {**options, "ticks": ticks}
    skipped = None
    if need > _SPARE * available:
        skipped = f"needs about {need / 2**30:.1f} GiB of memory, and {available / 2**30:.1f} GiB are available"
    return Job(name, group, module, options, cores, skipped)
