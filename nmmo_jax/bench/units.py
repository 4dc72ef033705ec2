"""What each unit of the role-playing world costs, alone and in place.

    taskset -c 0 python -m nmmo_jax.bench.units
    taskset -c 0 python -m nmmo_jax.bench.units --row mmo1024 --realms 8 --warm-up 384

*Alone*: each phase, and each mask, by itself, as in ``systems``. *In place*: the profiler's times of the row's compiled
program, by the file of the source from which an instruction comes: the outermost that is a unit's, with what agents see
of it. What comes from none is the classic world, its observations, all lists of what is in view, and the buffer.
"""

import dataclasses
import inspect
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax.actions import as_orders
from nmmo_jax.bench.machine import machine, run_program
from nmmo_jax.bench.profile import Instruction, instructions
from nmmo_jax.bench.rows import Row
from nmmo_jax.bench.systems import elements, microseconds, settle_and_trace
from nmmo_jax.bench.throughput import Throughput, check, compile_row, devices, policy
from nmmo_jax.common.text import console
from nmmo_jax.components import empty_outcome
from nmmo_jax.draws import draw, fold_in, split
from nmmo_jax.observations import by_name
from nmmo_jax.system import System
from nmmo_jax.systems.seen import LATE
from nmmo_jax.systems.world import World

REST = "classic world, observations, buffer"


@dataclasses.dataclass
class Units:
    """Measure what each unit of the role-playing world costs, and print it as JSON."""

    row: Literal["mmo", "mmo1024"] = "mmo"
    """Of the benchmark."""
    realms: int = 64
    """Realms side by side, on one device."""
    ticks: int = 16
    """Ticks that are profiled."""
    warm_up: int | None = None
    """Ticks before. Default: until the row has settled."""
    seed: int = 0
    """Of births and play."""
    out: Path | None = None
    """File for the result. Default: standard output."""


def main(args: Units) -> dict[str, Any]:
    """Measures; returns a record ready for JSON.

    Raises:
      ValueError: what cannot be measured.
    """
    given = {name: value for name, value in dataclasses.asdict(args).items() if name != "out"}
    row = Throughput(**given)
    world = check(row)
    program = compile_row(row, world, devices(row.devices))
    profiled = settle_and_trace(program, row, world)
    systems = world.environment.config.systems
    in_place = by_unit(profiled.times, instructions(program.play.as_text()), row.ticks, systems)
    alone = each_alone(world, *profiled.settled)
    living_agents = profiled.living_agents
    return {
        "row": row.row,
        "realms": row.realms,
        "agents": world.environment.config.num_agents,
        "living_agents": round(living_agents, 1),
        "microseconds_per_tick": round(profiled.microseconds_per_tick, 1),
        "units": [
            {
                "unit": name,
                "alone_microseconds": {what: round(time, 1) for what, time in alone.get(name, {}).items()},
                "in_place_microseconds": round(in_place[name], 1),
                "in_place_nanoseconds_per_agent": round(in_place[name] * 1e3 / living_agents, 2),
            }
            for name in (*(system.name for system in systems), REST)
        ],
        "machine": machine(),
    }


def by_unit(
    times: dict[str, float], known: dict[str, Instruction], ticks: int, systems: tuple[System, ...]
) -> dict[str, float]:
    """Microseconds per tick of each unit, and of the rest. A fusion is of who computes most elements in it."""
    files = {
        inspect.getsourcefile(inspect.unwrap(_plain(system.phases[0].function))): system.name for system in systems
    }
    total = dict.fromkeys((*files.values(), REST), 0.0)
    for name, microseconds_in_all in times.items():
        weights: Counter[str] = Counter()
        parts = [part for part in (name, *(known[name].within if name in known else ())) if part in known]
        for part in (known[part] for part in parts):
            for owner in [files[file] for file in part.files if file in files][-1:]:
                weights[owner] += elements(part.shape)
        total[weights.most_common(1)[0][0] if weights else REST] += microseconds_in_all / ticks
    return total


def _plain(function: Any) -> Any:
    """A function that has a source: of an object that is called, its class."""
    return function if inspect.isfunction(function) else type(function)


def each_alone(row: Row, realm: Any, obs: Any) -> dict[str, dict[str, float]]:
    """Microseconds of each phase and mask of each unit, for all realms ``[realms, ...]`` of a settled state."""
    config, rules = row.environment.config, row.environment.rules
    _, act = policy("random", config)
    keys = split(jax.random.key(0), realm.tick.size)
    action = jax.jit(jax.vmap(act, (None, 0, 0, 0)))(None, keys, obs, realm)
    orders = jax.jit(jax.vmap(lambda action: as_orders(action, config)))(action)
    draws = jax.jit(jax.vmap(lambda key, realm: draw(fold_in(key, 1), realm, rules, config)))(keys, realm)
    outcome = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (keys.size, *leaf.shape)), empty_outcome(config))

    def phase(system: System, point: str, function: Any) -> Any:
        def run(realm, given):
            orders, draws, outcome, _ = given
            alive = realm.agents.alive
            told = None if point in LATE else outcome.replace(acted=alive)
            after = function(World(system, point, realm, rules, config, alive, alive, told, orders, draws))
            return after.realm, (after.outcome, after.acting)

        return run

    def mask(system: System, function: Any) -> Any:
        def run(realm, given):
            obs, alive = given[3], realm.agents.alive
            seen = {"visible_slot": obs.visible_slot, "visible": by_name(obs.visible), "listed": obs.rows}
            entries = {name: obs.of[name] for name in config.lists}
            world = World(system, "observe", realm, rules, config, alive, alive, **seen, entries=entries)
            return realm, function(world)

        return run

    found: dict[str, dict[str, float]] = {}
    for system in config.systems:
        parts = {f"at {one.point}": phase(system, one.point, one.function) for one in system.phases}
        masks = {one.name: one.mask for one in system.arguments if one.mask is not None}
        parts |= {f"mask of {name}": mask(system, function) for name, function in masks.items()}
        given = orders, draws, outcome, obs
        found[system.name] = {name: microseconds(part, realm, given) for name, part in parts.items()}
    return found


def table(record: dict[str, Any]) -> Table:
    """What ``main`` returns, for a terminal."""
    found = Table(title=f"Microseconds per tick of {record['realms']} realms", box=SIMPLE_HEAD, title_justify="left")
    for name in ("unit", "in place", "ns per agent", "alone"):
        found.add_column(name, justify="left" if name in ("unit", "alone") else "right")
    for one in record["units"]:
        alone = ", ".join(f"{name} {time:,.0f}" for name, time in one["alone_microseconds"].items())
        cells = f"{one['in_place_microseconds']:,.0f}", f"{one['in_place_nanoseconds_per_agent']:,.0f}"
        found.add_row(one["unit"], *cells, alone)
    return found


if __name__ == "__main__":
    console(stderr=True).print(table(run_program("units", main, tyro.cli(Units))))
