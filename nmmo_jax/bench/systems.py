"""What each system of a tick costs, alone and in place, in the full house.

    taskset -c 0 python -m nmmo_jax.bench.systems

*Alone*: the system by itself, compiled in a loop in which it is applied to its own result, so that no call can be left
out or taken out of the loop; the time per call is the slope between a short loop and a long one. Features and masks
cannot be had without the list of the visible: theirs is what they add to it.

*In place*: the profiler's times of the compiled program of ``throughput``, summed by the function of the source that an
instruction comes from. XLA fuses across systems; a fusion belongs to the system that computes most elements in it.
"""

import dataclasses
import math
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro

from nmmo_jax.actions import Action, as_orders
from nmmo_jax.bench.machine import machine, run_program
from nmmo_jax.bench.profile import Instruction, instructions, trace
from nmmo_jax.bench.rows import Row
from nmmo_jax.bench.throughput import Program, Throughput, check, compile_row, devices, warm_up
from nmmo_jax.components import Draws, Outcome, Realm, empty_outcome
from nmmo_jax.draws import coin, draw, fold_in
from nmmo_jax.environment import Environment, transition
from nmmo_jax.observations import Observation, observe
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.systems.combat import aim, strike
from nmmo_jax.systems.lifecycle import cull, give_birth, plan_births
from nmmo_jax.systems.movement import movement
from nmmo_jax.systems.vitals import vitals

# System -> functions of the source. The first that an instruction was called from, in this order, has it.
FUNCTIONS = {
    "random policy": ("random",),
    "draws": ("draw",),
    "vitals": ("vitals",),
    "aim, movement, strike": ("aim", "movement", "strike"),
    "cull": ("cull",),
    "births": ("plan_births", "give_birth"),
    "list of the visible": ("find_visible",),
    "windows": ("window_of", "planes_of"),
    "masks": ("action_mask", "neighbouring"),
    "features of the visible": ("seen_by", "observe"),
}
REST = "rollout buffer, rewards, keys"
WITHOUT_OBSERVATION, OBSERVE, STEP = "step without observation", "observe", "whole step"
_OBSERVING = ("list of the visible", "windows", "masks", "features of the visible")
_ADDED = ("masks", "features of the visible")  # to the list of the visible
_SHORT, _LONG_SECONDS, _ROUNDS = 4, 0.1, 5


@dataclasses.dataclass
class Systems:
    """Measure what each system of a tick costs in the full house, and print it as JSON."""

    realms: int = 64
    """Realms side by side, on one device."""
    ticks: int = 16
    """Ticks that are profiled."""
    seed: int = 0
    """Of births and play."""
    out: Path | None = None
    """File for the result. Default: standard output."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What the systems of one realm read beside the realm."""

    key: jax.Array  # as words
    draws: Draws
    action: Action
    outcome: Outcome
    obs: Observation


jax.tree_util.register_dataclass(Inputs)


def main(args: Systems) -> dict[str, Any]:
    """Measures; returns a record ready for JSON.

    Raises:
      ValueError: what cannot be measured.
    """
    row = Throughput(row="full_house", realms=args.realms, ticks=args.ticks, seed=args.seed)
    world = check(row)
    program = compile_row(row, world, devices(row.devices))
    profiled = settle_and_trace(program, row, world)
    in_place = by_system(profiled.times, instructions(program.play.as_text()), args.ticks)
    alone = each_alone(world.environment, *profiled.settled)
    in_place[OBSERVE] = sum(in_place[name] for name in _OBSERVING)
    in_place[WITHOUT_OBSERVATION] = (
        sum(in_place[name] for name in FUNCTIONS if name not in _OBSERVING) - (in_place["random policy"])
    )
    in_place[STEP] = in_place[OBSERVE] + in_place[WITHOUT_OBSERVATION]
    living_agents = profiled.living_agents
    return {
        "row": "full_house",
        "realms": args.realms,
        "agents": world.environment.config.num_agents,
        "living_agents": round(living_agents, 1),
        "microseconds_per_tick": round(profiled.microseconds_per_tick, 1),
        "systems": [
            {
                "system": name,
                "alone_microseconds": round(alone[name], 1) if name in alone else None,
                "in_place_microseconds": round(in_place[name], 1),
                "in_place_nanoseconds_per_agent": round(in_place[name] * 1e3 / living_agents, 2),
            }
            for name in (*FUNCTIONS, REST, WITHOUT_OBSERVATION, OBSERVE, STEP)
        ],
        "machine": machine(),
    }


@dataclasses.dataclass(frozen=True)
class Profiled:
    """A row that has settled, timed and profiled.

    Attributes:
      settled: its realms and observations ``[realms, ...]``.
      times: microseconds of each instruction in one call, as ``profile.trace``.
      microseconds_per_tick: by the clock, median of some calls.
      living_agents: per tick, of all realms.
    """

    settled: tuple[Realm, Observation]
    times: dict[str, float]
    microseconds_per_tick: float
    living_agents: float


def settle_and_trace(program: Program, row: Throughput, world: Row) -> Profiled:
    """Plays a compiled row, in a ring, until it has settled, times some calls, and profiles one."""
    carry, living, seconds = program.carry, 0, []
    for _ in range(math.ceil(warm_up(row, world) / row.ticks)):
        carry, *_ = program.play(carry, program.params)
    for _ in range(_ROUNDS):
        jax.block_until_ready(carry)
        began = time.perf_counter()
        carry, _, living, *_ = jax.block_until_ready(program.play(carry, program.params))
        seconds.append(time.perf_counter() - began)
    realm, rollout = carry
    settled = jax.tree.map(jnp.copy, realm), jax.tree.map(lambda buffer: jnp.copy(buffer[-1]), rollout)
    with tempfile.TemporaryDirectory() as folder:
        times = trace(program.play, (carry, program.params), Path(folder))
    return Profiled(settled, times, 1e6 * statistics.median(seconds) / row.ticks, int(living) / row.ticks)


def by_system(times: dict[str, float], known: dict[str, Instruction], ticks: int) -> dict[str, float]:
    """Microseconds per tick of each system of ``FUNCTIONS``, and of the rest."""
    total = dict.fromkeys((*FUNCTIONS, REST), 0.0)
    for name, microseconds_in_all in times.items():
        weights: Counter[str] = Counter()
        for part in (name, *(known[name].within if name in known else ())):
            if part in known and (system := _system(known[part])) != REST:
                weights[system] += elements(known[part].shape)
        total[weights.most_common(1)[0][0] if weights else REST] += microseconds_in_all / ticks
    return total


def _system(instruction: Instruction) -> str:
    for system, functions in FUNCTIONS.items():
        if any(name in functions for name in instruction.functions):
            return system
    return REST


def elements(shape: str) -> int:
    """How many numbers an instruction's result has."""
    return sum(math.prod(int(n) for n in sizes.split(",") if n) for sizes in re.findall(r"\[([\d,]*)\]", shape))


def each_alone(env: Environment, realm: Realm, obs: Observation) -> dict[str, float]:
    """Microseconds that each system takes by itself, for all realms ``[realms, ...]`` of a settled state."""
    config, rules = env.config, env.rules
    words = jax.vmap(lambda tick: jax.random.key_data(fold_in(jax.random.key(0), tick)))(
        jnp.arange(len(realm.tick), dtype=jnp.uint32)
    )

    def chance(words, realm):
        return draw(jax.random.wrap_key_data(words, impl="threefry2x32"), realm, rules, config)

    def policy(realm, given):
        return realm, POLICIES["random"](jax.random.wrap_key_data(given.key, impl="threefry2x32"), given.obs, realm)

    def turn(realm, given):
        orders, alive = as_orders(given.action, config), realm.agents.alive
        attacks = aim(realm, alive, alive, orders.style, orders.target, rules)
        realm = movement(realm, alive, orders.move, config)
        return strike(realm, given.outcome, attacks, orders.style, orders.target, given.draws, rules, config)

    def births(realm, given):
        passed = coin(given.draws.spawn[:, 0], rules.spawn_rate)
        planned = plan_births(realm, realm.agents.alive, passed, given.draws.spawn, rules, config)
        return give_birth(realm, planned, rules, config), planned

    def left(realm, given):
        realm, *flags = cull(realm, given.outcome, config)
        return realm, flags

    def tick(realm, given):
        realm, *told = transition(realm, given.action, chance(given.key, realm), rules, config)
        return realm, told

    def whole(realm, given):
        realm, told = tick(realm, given)
        return realm, (told, observe(realm, rules, config))

    def part(name):
        return lambda realm, given: (realm, getattr(observe(realm, rules, config), name))

    def looks(realm, given):
        seen = observe(realm, rules, config)
        return realm, (seen.visible, seen.self, seen.visible_slot)

    systems = {
        "random policy": policy,
        "draws": lambda realm, given: (realm, chance(given.key, realm)),
        "vitals": lambda realm, given: vitals(realm, given.outcome, realm.agents.alive, given.draws, rules, config),
        "aim, movement, strike": turn,
        "cull": left,
        "births": births,
        "list of the visible": part("visible_slot"),
        "windows": part("tiles"),
        "masks": lambda realm, given: (realm, ((seen := observe(realm, rules, config)).mask, seen.visible_slot)),
        "features of the visible": looks,
        WITHOUT_OBSERVATION: tick,
        OBSERVE: lambda realm, given: (realm, observe(realm, rules, config)),
        STEP: whole,
    }
    outcome = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(words), *leaf.shape)), empty_outcome(config))
    keys = jax.random.wrap_key_data(words, impl="threefry2x32")
    action = jax.jit(jax.vmap(POLICIES["random"]))(keys, obs, realm)
    given = Inputs(words, jax.jit(jax.vmap(chance))(words, realm), action, outcome, obs)
    times = {name: microseconds(system, realm, given) for name, system in systems.items()}
    return times | {name: max(0.0, times[name] - times["list of the visible"]) for name in _ADDED}


def microseconds(system: Callable[[Any, Any], tuple[Any, Any]], realm: Any, given: Any) -> float:
    """Per call of ``(realm, given) -> realm, whatever else it computes`` over all realms, applied to its result."""

    def changed(realm, given):
        before = {id(leaf) for leaf in jax.tree.leaves((realm, given))}
        realm, out = system(realm, given)
        return realm, [leaf for leaf in jax.tree.leaves(out) if id(leaf) not in before]  # the rest is only handed on

    def loop(realm, given, calls):
        def body(_, carry):
            realm, out = carry
            # Behind the barrier every input may depend on the last call, so that nothing is computed once for all. (On
            # one number of it: results that are still needed could not be overwritten, and would be copied.)
            last = [jax.lax.slice(leaf, (0,) * leaf.ndim, (1,) * leaf.ndim) for leaf in out[:1]]
            (realm, known), _ = jax.lax.optimization_barrier(((realm, given), last))
            return jax.vmap(changed)(realm, known)

        shapes = jax.eval_shape(jax.vmap(changed), realm, given)[1]
        nothing = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in shapes]
        return jax.lax.fori_loop(0, calls, body, (realm, nothing))

    run = jax.jit(loop).lower(realm, given, 0).compile()

    def seconds(calls: int) -> float:
        began = time.perf_counter()
        jax.block_until_ready(run(realm, given, calls))
        return time.perf_counter() - began

    seconds(1)
    per_call = max((seconds(3 * _SHORT) - seconds(_SHORT)) / (2 * _SHORT), 1e-6)
    more = min(10_000, max(2 * _SHORT, round(_LONG_SECONDS / per_call)))
    slopes = [(seconds(_SHORT + more) - seconds(_SHORT)) / more for _ in range(_ROUNDS)]
    return max(0.0, statistics.median(slopes)) * 1e6


if __name__ == "__main__":
    run_program("systems", main, tyro.cli(Systems))
