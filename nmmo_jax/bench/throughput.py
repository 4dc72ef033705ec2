"""Agent-steps per second of one row of the benchmark, observations written to a rollout buffer.

    taskset -c 0 python -m nmmo_jax.bench.throughput --row full_house
    python -m nmmo_jax.bench.throughput --row full_house --devices 2  # on a CPU a device is a core

Only living agents that acted are counted. Compilation is timed apart; then ``--ticks`` ticks run in one call, repeated.

The buffer is a ring (``nmmo_jax.ring``), or has the rows of the living of each tick (``nmmo_jax.living``).
"""

import dataclasses
import importlib
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import tyro
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import nmmo_jax
from nmmo_jax.bench.machine import machine, peak_memory, run_program
from nmmo_jax.bench.profile import profile, profile_table
from nmmo_jax.bench.rows import Row, observation_bytes, row, start
from nmmo_jax.common.hidden import check_train
from nmmo_jax.common.text import console
from nmmo_jax.config import Config
from nmmo_jax.draws import fold_in
from nmmo_jax.living import fold_living, most_living
from nmmo_jax.play.measure import use_all_cores
from nmmo_jax.policies.scripted import BY_AGENT, POLICIES, offered

_AXIS = "realms"
_WHOLE, SPLIT = PartitionSpec(), (PartitionSpec(_AXIS), PartitionSpec(None, _AXIS))  # of realms and rollout


@dataclasses.dataclass
class Throughput:
    """Measure one row of the benchmark, and print it as JSON."""

    row: Literal["full_house", "chaos", "law", "crowd", "large", "huge", "mmo", "mmo1024"] = "full_house"
    """full_house: nearly all places alive. law: no attacks. crowd: the full house at any --agents, at the same
    density. large, huge, mmo, mmo1024: the presets, filled."""
    policy: Literal["random", "classic"] = "random"
    """classic: the network of the original, with random weights."""
    realms: int = 64
    """Realms side by side."""
    agents: int | None = None
    """Places per realm. Default: 128; full_house and the presets have their own number."""
    populations: int | None = None
    """Populations per realm. Default: 8, likewise."""
    world: str = ""
    """Of chaos and law: other fields of the configuration and rules as JSON: {"systems": ["poison:POISON"]}."""
    devices: int = 1
    """Over which the realms are shared out."""
    ticks: int = 16
    """Ticks per call, and of the rollout buffer."""
    loop: Literal["ring", "living", "stack"] = "ring"
    """ring: ``nmmo_jax.unroll``. living: ``nmmo_jax.fold_living``. stack: a scan that returns what is observed."""
    repeats: int = 10
    """Calls that are timed."""
    warm_up: int | None = None
    """Ticks before the first timed call. Default: until the row has settled."""
    seed: int = 0
    """Of births and play, and of generated maps."""
    out: Path | None = None
    """File for the result. Default: standard output."""
    profile: Path | None = None
    """Folder for a trace of one more call, of which the slowest parts are shown."""


@dataclasses.dataclass
class Program:
    """A row, compiled and at its first tick.

    Attributes:
      play: ``(carry, params) -> carry, agents that acted, living, fewest living in a realm, stack`` of one call; the
        stack of observations is None where there is a ring.
      carry: realms ``[realms, ...]``, and ring ``[ticks + 1, realms, agents, ...]``; or rows of the living
        ``[ticks, rows, ...]`` with what is done next, ``[1, realms, agents]``; or the present ``[1, ...]``.
      params: of the policy, or None.
    """

    play: Any
    carry: tuple[Any, Any]
    params: Any
    compile_seconds: float


def main(args: Throughput) -> dict[str, Any]:
    """Measures, and returns a record ready for JSON.

    Raises:
      ValueError: what cannot be measured.
      RuntimeError: a realm fell below its number of living agents.
    """
    chosen = devices(args.devices)  # before anything starts JAX with one device
    world = check(args)
    program = compile_row(args, world, chosen)
    for _ in range(math.ceil(warm_up(args, world) / args.ticks)):
        program.carry, *_ = program.play(program.carry, program.params)
    jax.block_until_ready(program.carry)
    seconds, steps, living, fewest = [], [], 0, world.environment.config.num_agents
    for _ in range(args.repeats):
        began = time.perf_counter()
        program.carry, acted, alive, least, _ = jax.block_until_ready(program.play(program.carry, program.params))
        seconds.append(time.perf_counter() - began)
        steps.append(int(acted))
        living += int(alive)
        fewest = min(fewest, int(least))
    if fewest < world.at_least_alive:
        raise RuntimeError(
            f"{args.row}: {fewest} agents alive in a realm: must be at least {world.at_least_alive} at every tick"
        )
    config, ticks = world.environment.config, args.ticks * args.realms
    realm, rollout = (sum(leaf.nbytes for leaf in jax.tree.leaves(part)) for part in program.carry)
    record = {
        **{name: value for name, value in dataclasses.asdict(args).items() if name not in ("out", "profile")},
        "agents": config.num_agents,
        "populations": config.num_populations,
        "warm_up": warm_up(args, world),
        **rates(steps, seconds),
        "mean_population": round(living / (ticks * args.repeats), 2),
        "least_population": fewest,
        "realm_ticks_per_second": round(statistics.median(ticks / duration for duration in seconds), 2),
        "compile_seconds": round(program.compile_seconds, 2),
        "state_bytes_per_realm": realm // args.realms,
        "buffer_bytes": rollout,
        "observation_bytes_per_agent": observation_bytes(world.environment),
        "peak_memory_bytes": peak_memory(),
    }
    if args.profile is not None:
        record["profile"] = profile(program.play, (program.carry, program.params), args.ticks, args.profile)
    return record | {"machine": machine()}


def check(args: Throughput) -> Row:
    """The row, where it can be measured as asked; before anything is compiled.

    Raises:
      ValueError: names the field, its value and what is allowed.
    """
    for name, least in {"realms": 1, "ticks": 1, "repeats": 1, "devices": 1, "seed": 0, "agents": 1}.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise ValueError(f"{name}={value}: must be at least {least}")
    world = row(args.row, args.agents, args.populations, args.world)
    least = world.warm_up if world.at_least_alive else 0
    if args.warm_up is not None and args.warm_up < least:
        raise ValueError(f"warm_up={args.warm_up}: must be at least {least}, when {args.row} has settled")
    if args.loop == "living" and (args.policy not in BY_AGENT or world.environment.config.systems):
        told = "policy must be random, and the world without systems"
        raise ValueError(f"loop=living: policy={args.policy}, world={args.world!r}: {told}")
    if args.realms % args.devices:
        raise ValueError(f"realms={args.realms}: must be divisible by devices={args.devices}")
    return world


def rates(steps: list[int], seconds: list[float]) -> dict[str, Any]:
    """Agent-steps per second of timed calls, median and worst, with what each did and took."""
    each = [number / duration for number, duration in zip(steps, seconds, strict=True)]
    return {
        "agent_steps_per_second": round(statistics.median(each)),
        "worst": round(min(each)),
        "seconds": [round(duration, 6) for duration in seconds],
        "agent_steps": steps,
    }


def warm_up(args: Throughput, world: Row) -> int:
    """Ticks before the first timed call: at least one, so that no first call is timed."""
    return max(1, world.warm_up if args.warm_up is None else args.warm_up)


def policy(name: str, config: Config) -> tuple[Callable[[jax.Array], Any], Callable[..., Any]]:
    """Of one realm: ``init(key) -> params`` and ``act(params, key, obs, realm) -> Action``.

    Raises:
      ValueError: the package of the networks is not there.
    """
    if name in POLICIES:

        def act(params: Any, key: jax.Array, obs: Any, realm: Any) -> Any:
            action = POLICIES[name](key, obs, realm)
            return action.replace(of=offered(fold_in(key, 1), obs, config)) if config.systems else action

        return lambda key: None, act
    check_train()
    try:
        networks = importlib.import_module("train.networks")
    except ImportError as error:
        raise ValueError(f"policy={name!r}: needs the package train, which cannot be imported ({error})") from None
    return networks.make_policy(config, name)


def devices(number: int) -> list[Any]:
    """So many devices; on a CPU, cores.

    Raises:
      ValueError: there are not as many.
    """
    use_all_cores(number)  # no more than asked for: a device that is not used costs the others a tenth of their speed
    if not 1 <= number <= len(jax.devices()):
        raise ValueError(f"devices={number}: allowed are 1 to {len(jax.devices())}")
    return jax.devices()[:number]


def compile_row(args: Throughput, world: Row, chosen: list[Any]) -> Program:
    """Compiles the play of a row for the chosen devices, and starts its realms; see ``Program``."""
    mesh = jax.make_mesh((args.devices,), (_AXIS,), (AxisType.Auto,), devices=chosen)
    key, play_key = jax.random.key(args.seed), jax.random.key(args.seed + 1)
    init, act = policy(args.policy, world.environment.config)
    params = jax.device_put(jax.jit(init)(jax.random.key(args.seed + 2)), NamedSharding(mesh, _WHOLE))
    obs, realm = start(world, key, args.realms)
    realms, rows = (NamedSharding(mesh, spec) for spec in SPLIT)

    def kept(obs, realm):
        if args.loop == "ring":
            return nmmo_jax.make_ring(obs, args.ticks)
        if args.loop == "stack":
            return jax.tree.map(lambda leaf: leaf[None], obs)
        keys = jax.vmap(fold_in)(fold_in(play_key, jnp.arange(args.realms)), realm.tick)
        number = args.devices * most_living(nmmo_jax.vectorize(world.environment, args.realms // args.devices))
        action = jax.vmap(act, (None, 0, 0, 0))(params, keys, obs, realm)
        empty = jax.tree.map(lambda leaf: jnp.zeros((args.ticks, number, *leaf.shape[2:]), leaf.dtype), obs)
        return empty, jax.tree.map(lambda leaf: leaf[None], action)  # the realms second, as in the rows

    realm = jax.device_put(realm, realms)
    carry = realm, jax.jit(kept, out_shardings=rows)(jax.device_put(obs, realms), realm)
    began = time.perf_counter()
    lowered = jax.jit(make_play(args, world, act, mesh, key, play_key), donate_argnums=0).lower(carry, params)
    return Program(lowered.compile(), carry, params, time.perf_counter() - began)


def _stacked(tick: Callable[..., Any], ticks: int, present: Any, carry: Any) -> tuple[Any, Any, Any, Any]:
    """``unroll`` as whoever does not know of rings writes it: a scan that carries observations, and returns them too.

    Args:
      present: observations, with a leading axis of one.
    """

    def one(state: Any, _: None) -> tuple[Any, Any]:
        obs, carry, told = tick(*state)
        return (obs, carry), (obs, told)

    present = jax.tree.map(lambda leaf: leaf[0], present)
    (present, carry), (seen, told) = jax.lax.scan(one, (present, carry), length=ticks)
    return jax.tree.map(lambda leaf: leaf[None], present), carry, told, seen


def make_play(
    args: Throughput, world: Row, act: Callable[..., Any], mesh: Mesh, key: jax.Array, play_key: jax.Array
) -> Callable[..., Any]:
    """The program of one call; see ``Program``."""
    here = args.realms // args.devices

    def play(carry, params):
        first = jax.lax.axis_index(_AXIS) * here
        many = nmmo_jax.vectorize(world.environment, here, first)
        play_keys = jax.vmap(fold_in, (None, 0))(play_key, first + jnp.arange(here))

        def step(realm, action):
            obs, realm, *_, info = many.step(key, realm, action)
            alive = realm.agents.alive.sum(axis=1)
            return obs, realm, (info.acted.sum(), alive.sum(), alive.min())

        def tick(obs, realm):
            keys = jax.vmap(fold_in)(play_keys, realm.tick)
            return step(realm, jax.vmap(act, (None, 0, 0, 0))(params, keys, obs, realm))

        def living_tick(carry, t):
            realm, rows, action = carry
            _, realm, told = step(realm, jax.tree.map(lambda leaf: leaf[0], action))
            keys = jax.vmap(fold_in)(play_keys, realm.tick)

            def decide(carry, obs, who):
                rows, action = carry
                choice = act(params, keys[who.realm], obs, None)
                return who.write(rows, obs, t), jax.tree.map(lambda a, c: who.put(a[0], c)[None], action, choice)

            return (realm, *fold_living(many, realm, decide, (rows, action))), told

        realm, ring = carry
        if args.loop == "ring":
            (ring, realm, told), seen = nmmo_jax.unroll(tick, ring, realm), None
        elif args.loop == "living":
            (rows, action), seen = ring, None
            state, ticks = (realm, rows, action), jnp.arange(args.ticks, dtype=jnp.int32)
            (realm, rows, action), told = jax.lax.scan(living_tick, state, ticks)
            ring = rows, action
        else:
            ring, realm, told, seen = _stacked(tick, args.ticks, ring, realm)
        acted, alive, fewest = told
        total = jax.lax.psum((acted.sum(), alive.sum()), _AXIS)
        return (realm, ring), *total, jax.lax.pmin(fewest.min(), _AXIS), seen

    out_specs = (SPLIT, _WHOLE, _WHOLE, _WHOLE, SPLIT[1])
    return jax.shard_map(play, mesh=mesh, in_specs=(SPLIT, _WHOLE), out_specs=out_specs, check_vma=False)


if __name__ == "__main__":
    result = run_program("throughput", main, tyro.cli(Throughput))
    if "profile" in result:
        console(stderr=True).print(profile_table(result["profile"]))
