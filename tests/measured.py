"""Results of the benchmark that nobody has measured."""

from nmmo_jax.bench import systems

MACHINE = {"backend": "cpu", "device": "cpu", "processor": "Abacus", "cores": 2, "system": "Linux", "jax": "1"}
MACHINE |= {"commit": "c0ffee", "date": "2020-01-01", "flags": {}}
FOUND = {"machine": MACHINE, "available_memory": 2**34, "devices": 1}


def record(options, rate=1_000_000):
    """A record as ``throughput`` leaves it."""
    defaults = {"policy": "random", "agents": 128, "populations": 8}
    numbers = {"agent_steps_per_second": rate, "worst": rate - 1, "mean_population": 127.5, "least_population": 122}
    numbers |= {"compile_seconds": 4.0, "peak_memory_bytes": 2**29, "state_bytes_per_realm": 36_740}
    numbers |= {"observation_bytes_per_agent": 950}
    return {**defaults, **options, **numbers, "machine": MACHINE | {"cores": options["devices"]}}


def stub(job):
    """Measures nothing."""
    if job.group == "systems":
        names = [*systems.FUNCTIONS, systems.REST, systems.WITHOUT_OBSERVATION, systems.OBSERVE, systems.STEP]
        costs = {"alone_microseconds": None, "in_place_microseconds": 2.0, "in_place_nanoseconds_per_agent": 3.0}
        parts = [{"system": name, **costs} for name in names]
        return {"realms": 64, "living_agents": 8_000.0, "microseconds_per_tick": 4_000.0, "systems": parts}
    if job.group == "start":
        stages = {"seconds": 9.0, "step_compile_seconds": 5.0}
        return {"row": "chaos", "realms": 64, "cold": stages, "cached": stages}
    if job.group == "training":
        return record({"row": "training", "policy": "default", **job.options}, rate=60_000)
    if job.group == "vec_env":
        return record({"row": "vec_env", "devices": 2, **job.options}, rate=300_000)
    return record(job.options)
