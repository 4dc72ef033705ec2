"""The report on results: tables for a terminal, tables in Markdown, and two runs side by side."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from nmmo_jax.bench.results import differences, measured, part
from nmmo_jax.bench.rows import named
from nmmo_jax.common.text import safe

_SETTINGS = ("group", "row", "policy", "realms", "agents", "populations", "devices", "world")
_HEADLINES = {  # (row, policy) -> how it is called, in the order of the README's table
    ("full_house", "random"): "full house",
    ("chaos", "random"): "`chaos`",
    ("law", "random"): "`law`",
    ("full_house", "classic"): "full house, classic network",
    ("training", "default"): "training, default network",
    ("vec_env", "random"): "`VecEnv`, random play",
}
_HEADLINE_GROUPS = ("full_house", "chaos", "law", "classic", "training", "vec_env")
_WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 6: "six", 8: "eight"}
_MIB, _GIB = 2**20, 2**30
_NO_ROW = ("skipped", "failed")


def devices_of(row: dict[str, Any], machine: dict[str, Any]) -> str:
    """How many cores or devices a row had, in words."""
    number = row["devices"]
    kind = "core" if machine["backend"] == "cpu" else machine["device"]
    return f"{_WORDS.get(number, number)} {kind}{'s' if number != 1 else ''}"


def nanoseconds(row: dict[str, Any]) -> float:
    """Wall time per living agent-step, in nanoseconds."""
    return 1e9 / max(row["agent_steps_per_second"], 1)


def _name(row: dict[str, Any]) -> str:
    parts = [row["row"].replace("vec_env", "VecEnv").replace("_", " ")]
    parts += [row["policy"]] if row["policy"] != "random" else []
    parts += {"stack": ["without a ring"], "living": ["of the living"]}.get(row.get("loop", ""), [])
    return safe(", ".join([*parts, named(row["world"])] if row.get("world") else parts))


def summary(results: dict[str, Any]) -> RenderableType:
    """All of a run, for a terminal."""
    machine, rows = results["machine"], measured(results)
    parts: list[RenderableType] = [safe(_about(machine))]
    if rows:
        on = "cores" if machine["backend"] == "cpu" else "devices"
        table = columns("row", "realms", "agents", "alive", on, "steps/s", "ns each", "compiled", "GiB")
        for row in rows:
            table.add_row(
                _name(row),
                f"{row['realms']:,}",
                f"{row['agents']:,}",
                f"{row['mean_population'] / row['agents']:.0%}",
                str(row["devices"]),
                f"{row['agent_steps_per_second']:,}",
                f"{nanoseconds(row):,.0f}",
                f"{row['compile_seconds']:.1f} s",
                f"{row['peak_memory_bytes'] / _GIB:,.2f}",
            )
        parts.append(table)
    for row in results["rows"]:
        parts += [safe(f"{row['name']}: {what}: {row[what]}") for what in _NO_ROW if what in row]
    if systems := part(results, "systems"):
        table = columns("system", "alone µs", "in place µs", "ns per agent")
        for one in systems["systems"]:
            table.add_row(*_system_cells(one))
        parts.append(table)
    if start := part(results, "start"):
        parts.append(safe(_start_line(start)))
    return Group(*parts)


def readme_table(results: dict[str, Any]) -> str:
    """The table of the README, in Markdown, with what it was measured on."""
    machine, table = results["machine"], {}
    for row in measured(results):
        if row["group"] in _HEADLINE_GROUPS and not row.get("world"):
            table.setdefault((row["row"], row["policy"]), {})[devices_of(row, machine)] = row
    columns = list(dict.fromkeys(name for cells in table.values() for name in cells))
    lines = [
        f"{_about(machine)}:",
        "",
        f"| agent-steps per second | {' | '.join(columns)} | living per realm |",
        f"|---|{'---|' * len(columns)}---|",
    ]
    for key, name in _HEADLINES.items():
        if key in table:
            cells = [table[key].get(column) for column in columns]
            rates = [f"{round(cell['agent_steps_per_second'], -3):,}" if cell else "" for cell in cells]
            living = next(cell for cell in cells if cell)["mean_population"]
            lines.append(f"| {name} | {' | '.join(rates)} | {living:.1f} |")
    return "\n".join(lines) + "\n"


def results_tables(results: dict[str, Any]) -> str:
    """Every row of a run, costs per system and start times, in Markdown."""
    machine = results["machine"]
    lines = [
        f"{_about(machine)}, commit {machine['commit']}, {machine['date']}.",
        "",
        "| row | realms | agents | alive per realm | on | agent-steps/s | worst | ns each | compile s | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        if any(what in row for what in _NO_ROW):
            continue
        lines.append(
            f"| {_name(row)} | {row['realms']:,} | {row['agents']:,} | {row['mean_population']:,.1f} (at least "
            f"{row['least_population']:,}) | {devices_of(row, machine)} | {row['agent_steps_per_second']:,} "
            f"| {row['worst']:,} | {nanoseconds(row):,.0f} | {row['compile_seconds']:.1f} "
            f"| {row['peak_memory_bytes'] / _MIB:,.0f} |"
        )
    lines += [f"\n{row['name']}: {what}: {row[what]}" for row in results["rows"] for what in _NO_ROW if what in row]
    if rows := [row for row in measured(results) if row["agents"] == 128]:
        lines += [
            "",
            f"A realm of 128 agents holds {rows[0]['state_bytes_per_realm']:,} bytes of state, "
            f"an observation {rows[0]['observation_bytes_per_agent']:,} bytes.",
        ]
    if systems := part(results, "systems"):
        lines += [
            "",
            f"Per tick of {systems['realms']} realms at full house, {systems['living_agents']:,.0f} living agents, "
            f"{systems['microseconds_per_tick']:,.0f} microseconds by the clock:",
            "",
            "| system | alone, µs | in place, µs | in place, ns per living agent |",
            "|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(_system_cells(one))} |" for one in systems["systems"]]
    if start := part(results, "start"):
        lines += ["", _start_line(start)]
    return "\n".join(lines) + "\n"


def compare(one: dict[str, Any], other: dict[str, Any], names: tuple[str, str]) -> RenderableType:
    """Two runs side by side: rows of the same settings, and how many times as fast the second is.

    Args:
      names: what the runs are called.
    """
    parts: list[RenderableType] = [safe(f"{letter}: {name}") for letter, name in zip("AB", names, strict=True)]
    table = columns("row", "realms", "agents", "on", "A", "B", "B/A")
    first, second = ({_settings(row): row for row in measured(results)} for results in (one, other))
    for key, row in first.items():
        if key in second:
            rates = [each["agent_steps_per_second"] for each in (row, second[key])]
            table.add_row(
                _name(row),
                f"{row['realms']:,}",
                f"{row['agents']:,}",
                devices_of(row, one["machine"]),
                *(f"{rate:,}" for rate in rates),
                f"{rates[1] / max(rates[0], 1):.2f}",
            )
    parts.append(table if table.row_count else safe("no row is in both"))
    for name, rows, others in (("A", first, second), ("B", second, first)):
        alone = [row["name"] for key, row in rows.items() if key not in others]
        if alone:
            parts.append(safe(f"only in {name}: {', '.join(alone)}"))
    costs = [
        {each["system"]: each for each in (part(results, "systems") or {}).get("systems", [])}
        for results in (one, other)
    ]
    if all(costs):
        table = columns("system, in place µs", "A", "B", "B/A")
        for name in [name for name in costs[0] if name in costs[1]]:
            times = [cost[name]["in_place_microseconds"] for cost in costs]
            ratio = f"{times[1] / times[0]:.2f}" if times[0] else ""
            table.add_row(name, *(f"{time:,.1f}" for time in times), ratio)
        parts.append(table)
    for name, values in differences(one["machine"], other["machine"]).items():
        parts.append(safe(f"{name}: A {values[0]}, B {values[1]}"))
    return Group(*parts)


def _settings(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) or None for name in _SETTINGS)


def columns(first: str, *others: str) -> Table:
    """A table of a name and numbers."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column(first)  # a long name is wrapped before numbers are cut off
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _system_cells(one: dict[str, Any]) -> tuple[str, str, str, str]:
    alone = one["alone_microseconds"]
    return (
        one["system"],
        "" if alone is None else f"{alone:,.1f}",
        f"{one['in_place_microseconds']:,.1f}",
        f"{one['in_place_nanoseconds_per_agent']:,.1f}",
    )


def _about(machine: dict[str, Any]) -> str:
    number = machine["cores"]
    device = "" if machine["backend"] == "cpu" else f"{machine['device']}, "
    cores = f"{_WORDS.get(number, number)} core{'s' if number != 1 else ''}"
    return f"{device}{machine['processor']}, {cores}, {machine['system']}, jax {machine['jax']}"


def _start_line(start: dict[str, Any]) -> str:
    cold, cached = start["cold"], start["cached"]
    return (
        f"From the start of a process to the result of its first step ({start['row']}, {start['realms']} realms): "
        f"{cold['seconds']:.1f} s cold, of which {cold['step_compile_seconds']:.1f} s compile the step; "
        f"{cached['seconds']:.1f} s with the compilation cache filled."
    )
