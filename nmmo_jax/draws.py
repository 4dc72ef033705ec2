"""Where all chance comes from.

What an agent draws depends on (key, tick, system, its uid), never on its slot or on who else lives; what
a birth draws depends on (key, tick, attempt). A world forked with one agent removed therefore differs only
in what that agent caused. Words come from Threefry-2x32 with the uid as counter: the same bits for
any number of agents, realms or devices.
"""

from enum import IntEnum

import jax
import jax.numpy as jnp
from jax.extend.random import threefry_2x32
from jaxtyping import Array, Float, Int32, UInt32

from nmmo_jax.components import NEVER, Draws, Realm
from nmmo_jax.config import Config, Rules, as_rules


class Stream(IntEnum):
    """What a key is folded with, one number per use. Never renumber: recorded play depends on it."""

    REGROWTH = 0
    SPAWN = 1
    # Folded into the key of a whole run, beside its ticks: beyond any of them.
    INITIAL = 2**31 + 2
    TERRAIN = 2**31 + 3
    EPISODE = 2**31 + 4


def draw(key: jax.Array, realm: Realm, rules: Rules, config: Config) -> Draws:
    """All the chance of one tick. ``key`` is the tick's own: ``step`` folds ``realm.tick`` into the run's key."""
    rules = as_rules(rules, config)
    word, _ = words(jax.random.fold_in(key, Stream.REGROWTH), realm.agents.uid, jnp.zeros_like(realm.agents.uid))
    return Draws(
        regrowth=waiting_time(word, rules.regrowth_probability),
        spawn=birth_words(jax.random.fold_in(key, Stream.SPAWN), config.max_spawns),
    )


def birth_words(key: jax.Array, attempts: int) -> UInt32[Array, "A 3"]:
    """Raw words (coin, population, tile) of each attempt at a birth."""
    attempt = jnp.arange(attempts, dtype=jnp.uint32)
    coin, population = words(key, attempt, jnp.zeros_like(attempt))
    tile, _ = words(key, attempt, jnp.ones_like(attempt))
    return jnp.stack([coin, population, tile], axis=-1)


def words(key: jax.Array, high: jax.Array, low: jax.Array) -> tuple[UInt32[Array, "K"], UInt32[Array, "K"]]:
    """Two words per counter (high, low), the same whatever the other counters are."""
    data = jax.random.key_data(key).reshape(-1)[-2:]
    counts = jnp.concatenate([high.astype(jnp.uint32), low.astype(jnp.uint32)])
    first, second = jnp.split(threefry_2x32(data, counts), 2)
    return first, second


def choose(word: UInt32[Array, "*B"], n: jax.Array | int) -> Int32[Array, "*B"]:
    """A number from 0 to n - 1: floor(word * n / 2^32), for n up to 2^16, in 32-bit arithmetic."""
    n = jnp.asarray(n).astype(jnp.uint32)
    high, low = word >> 16, word & 0xFFFF
    return ((high * n + ((low * n) >> 16)) >> 16).astype(jnp.int32)


def coin(word: UInt32[Array, "*B"], probability: Float[Array, ""]) -> jax.Array:
    """True with the given probability (exactly never at 0 and always at 1): (word >> 8) < p * 2^24."""
    return (word >> 8).astype(jnp.float32) < probability * 2.0**24


def waiting_time(word: UInt32[Array, "N"], probability: Float[Array, ""]) -> Int32[Array, "N"]:
    """Ticks until the first success of a coin tossed each tick: geometric, at least 1; NEVER at probability 0.

    By inversion: ceil(log(u) / log(1 - p)) with u uniform on (0, 1].
    """
    uniform = (word.astype(jnp.float32) + 1.0) * 2.0**-32
    ticks = jnp.ceil(jnp.log(uniform) / jnp.log1p(-probability))
    ticks = jnp.clip(ticks, 1.0, 2.0**30).astype(jnp.int32)
    return jnp.where((probability > 0) & (ticks < 2**30), ticks, NEVER)
