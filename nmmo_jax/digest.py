"""A fingerprint of a realm, the same on every backend."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt32

from nmmo_jax.components import Realm, is_of_agents, per_agent
from nmmo_jax.kinds import NUM_MATERIALS, Material
from nmmo_jax.system import identity

# Odd multipliers and the finaliser of MurmurHash3 (public domain, Austin Appleby).
_LANES = (0x9E3779B1, 0x85EBCA77)


def digest(realm: Realm) -> UInt32[Array, "2"]:
    """A 64-bit hash of one realm, as two uint32 words (high, low).

    It covers everything that play depends on: tick, births so far, map, when what is depleted is ready, and
    the rows of occupied slots, and what systems keep. Leftovers of empty slots, ready ticks that are past, and probes
    do not count. A column of a system is salted by its name: no system changes what another adds to the digest.
    Sums of mixed words modulo 2^32: integers only, so the order of summation is free and backends agree.

    >>> high, low = digest(realm)
    """
    tiles, agents = realm.tiles, realm.agents
    renews = (tiles.material == Material.FOREST) | (tiles.material >= NUM_MATERIALS)
    columns = [
        realm.tick,
        realm.next_uid,
        tiles.size,
        tiles.material,
        jnp.where(renews, jnp.maximum(tiles.ready_tick - realm.tick, 0), 0),
    ]
    columns += [jnp.where(agents.alive, column.astype(jnp.int32), -1) for column in jax.tree.leaves(agents)]
    salted = list(enumerate(columns)) + [(identity(name), column) for name, column in _own(realm).items()]
    lanes = [jnp.stack([_hash(column, salt, lane) for salt, column in salted]) for lane in _LANES]
    return jnp.stack([_mix(lane.sum(dtype=jnp.uint32)) for lane in lanes])


def digest_hex(words: UInt32[Array, "2"]) -> str:
    """A digest as 16 hexadecimal digits."""
    high, low = (int(word) for word in words)
    return f"{high:08x}{low:08x}"


def _own(realm: Realm) -> dict[str, jax.Array]:
    """The columns of systems by name, -1 in empty slots and rows."""
    found = {}
    for system, state in realm.of.items():
        for name, column in state.items():
            if isinstance(column, dict):
                for part, values in column.items():
                    found[f"{system}.{name}.{part}"] = jnp.where(column["alive"], values.astype(jnp.int32), -1)
            else:
                of_agents = is_of_agents(column, realm.tiles)  # or of tiles
                here = per_agent(realm.agents.alive, column) if of_agents else True
                found[f"{system}.{name}"] = jnp.where(here, column.astype(jnp.int32), -1)
    return found


def _hash(column: jax.Array, salt: int, lane: int) -> jax.Array:
    values = column.astype(jnp.int32).reshape(-1).astype(jnp.uint32)
    position = jnp.arange(values.size, dtype=jnp.uint32) * jnp.uint32(lane)
    keyed = _mix(position + jnp.uint32((salt * 0x27D4EB2F + lane) & 0xFFFFFFFF))
    return _mix(values + keyed).sum(dtype=jnp.uint32)


def _mix(word: jax.Array) -> jax.Array:
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)
