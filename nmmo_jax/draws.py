"""Where all chance comes from.

What an agent draws depends on (key, tick, system, its uid), never on its slot or on who else lives; what
a birth on the spawn ring draws depends on (key, tick, attempt). A world forked with one agent removed therefore
differs only in what that agent caused. Words come from Threefry-2x32 with the uid as counter: the same bits for
any number of agents, realms or devices.

``fold_in``, ``split``, ``bits`` and ``words`` are JAX's own Threefry written out. Its rolled loop costs 40 microseconds
per call on a CPU however little there is to draw, and a tick makes ten such calls; and which words it gives is a matter
of settings (``jax_threefry_partitionable``, ``jax_default_prng_impl``), while these are always those of its defaults.
"""

import math
from enum import IntEnum
from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PRNGKeyArray, UInt32

from nmmo_jax.components import NEVER, Draws, Realm, check_realm
from nmmo_jax.config import Config
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.system import identity

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # bits, of four rounds in turn


class Stream(IntEnum):
    """What a key is folded with, one number per use. Never renumber: recorded play depends on it.

    Systems have the numbers of their names (``identity``), from 1,024 to 2^31 + 1,023.
    """

    REGROWTH = 0
    SPAWN = 1
    REPRODUCTION = 2
    # Folded into the key of a whole run, beside its ticks: beyond any of them.
    INITIAL = 2**31 + 2
    TERRAIN = 2**31 + 3
    EPISODE = 2**31 + 4


def draw(key: jax.Array, realm: Realm, rules: Rules, config: Config) -> Draws:
    """All the chance of one tick. ``key`` is the tick's own: ``step`` folds ``realm.tick`` into the run's key."""
    check_realm(realm, config)
    rules = as_rules(rules, config)
    word, _ = words(fold_in(key, Stream.REGROWTH), realm.agents.uid, jnp.zeros_like(realm.agents.uid))
    draws = Draws(
        regrowth=waiting_time(word, rules.regrowth_probability),
        spawn=birth_words(fold_in(key, Stream.SPAWN), config.max_spawns),
    )
    if config.reproduction:
        pair = words(fold_in(key, Stream.REPRODUCTION), realm.agents.uid, jnp.zeros_like(realm.agents.uid))
        draws = draws.replace(reproduction=jnp.stack(pair, axis=-1))
    own = {system.name: jax.random.key_data(fold_in(key, identity(system.name))) for system in config.systems}
    return draws.replace(of=own)


def birth_words(key: jax.Array, attempts: int) -> UInt32[Array, "A 3"]:
    """Raw words (coin, population, tile) of each attempt at a birth."""
    attempt = jnp.arange(attempts, dtype=jnp.uint32)
    coin, population = words(key, attempt, jnp.zeros_like(attempt))
    tile, _ = words(key, attempt, jnp.ones_like(attempt))
    return jnp.stack([coin, population, tile], axis=-1)


def as_key(key: Any, name: str = "key", shape: tuple[int, ...] = (), hint: str = "") -> PRNGKeyArray:
    """A key that was given, checked, as a Threefry key. Shapes are known inside jit too, so that it checks there.

    Args:
      key: of ``jax.random.key`` or, as raw uint32 words, of ``jax.random.PRNGKey``. Of one of another kind than
        Threefry, the last two words are the key.
      name: what the error calls it.
      shape: how many keys it must be; ``()`` is one.
      hint: what else the error says.

    Raises:
      ValueError: names it and its shape, and says what is allowed.
    """
    must = "must be one key, jax.random.key(seed)" if shape == () else f"must be keys of shape {shape}"
    must += f"; {hint}" if hint else ""
    if not isinstance(key, jax.Array | np.ndarray):
        raise ValueError(f"{name}={key!r}: {must}")
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape != shape:
            raise ValueError(f"{name}: keys of shape {key.shape}: {must}")
        if str(jax.random.key_impl(key)) == "threefry2x32":
            return jnp.asarray(key) if isinstance(key, np.ndarray) else key
        data = jax.random.key_data(key)
    else:
        if key.dtype != jnp.uint32 or key.shape[:-1] != shape or key.shape[-1:] not in ((2,), (4,)):
            raise ValueError(f"{name}: {key.dtype} of shape {key.shape}: {must}")
        data = jnp.asarray(key)
    return jax.random.wrap_key_data(data[..., -2:], impl="threefry2x32")


def shape_of(key: Any) -> tuple[int, ...]:
    """Of how many keys it is: those of ``jax.random.key``, or raw words; ``()`` is one."""
    shape = jnp.shape(key)
    return shape if jnp.issubdtype(jnp.result_type(key), jax.dtypes.prng_key) else shape[:-1]


def fold_in(key: PRNGKeyArray, data: jax.Array | int) -> PRNGKeyArray:
    """``jax.random.fold_in`` of a Threefry key, to the last bit; of an array of numbers, a key for each."""
    data = jnp.asarray(data, jnp.uint32)
    return jax.random.wrap_key_data(jnp.stack(words(key, jnp.zeros_like(data), data), axis=-1), impl="threefry2x32")


def split(key: PRNGKeyArray, number: int = 2) -> PRNGKeyArray:
    """``jax.random.split`` into ``[number]`` keys, to the last bit."""
    return fold_in(key, jnp.arange(number, dtype=jnp.uint32))


def bits(key: PRNGKeyArray, shape: tuple[int, ...] = (), dtype: Any = jnp.uint32) -> jax.Array:
    """``jax.random.bits``, to the last bit, of at most 32 each; fewer than 2^32 of them."""
    counter = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
    high, low = words(key, jnp.zeros_like(counter), counter)
    return (high ^ low).astype(dtype)


def for_jax(keys: PRNGKeyArray) -> PRNGKeyArray:
    """Keys with which the functions of ``jax.random``, and whoever calls them, draw as they do by JAX's defaults."""
    return jax.random.wrap_key_data(_apart(jax.random.key_data(keys)), impl=_DEFAULTS)


def words(key: PRNGKeyArray, high: jax.Array, low: jax.Array) -> tuple[UInt32[Array, "*K"], UInt32[Array, "*K"]]:
    """Two words per counter (high, low), the same whatever the other counters are: Threefry-2x32, 20 rounds.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).

    Args:
      key: one, or one for each counter; of their shape, or with 1 for some sizes of it.
    """
    given = shape_of(key) if isinstance(key, jax.Array | np.ndarray) else ()
    fits = len(given) == jnp.ndim(high) and all(
        one in (1, size) for one, size in zip(given, jnp.shape(high), strict=True)
    )
    data = jax.random.key_data(as_key(key, shape=given if fits else ()))
    first, second = data[..., 0], data[..., 1]
    schedule = (first, second, first ^ second ^ np.uint32(0x1BD11BDA))
    x, y = high.astype(jnp.uint32) + first, low.astype(jnp.uint32) + second
    for step in range(1, 6):
        for rotation in _ROTATIONS[(step - 1) % 2]:
            x = x + y
            y = x ^ ((y << rotation) | (y >> (32 - rotation)))
        x, y = x + schedule[step % 3], y + schedule[(step + 1) % 3] + np.uint32(step)
    return x, y


def _default_bits(data: UInt32[Array, "2"], width: int, shape: tuple[int, ...]) -> jax.Array:
    """``jax.random.bits`` of a width of 8 to 64, to the last bit."""
    if width < 64:
        return bits(_threefry(data), shape, jnp.dtype(f"uint{width}"))
    counter = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
    high, low = words(_threefry(data), jnp.zeros_like(counter), counter)
    return (high.astype(jnp.uint64) << jnp.uint64(32)) | low.astype(jnp.uint64)


def _apart(words: UInt32[Array, "*K"]) -> UInt32[Array, "*K"]:
    """The same, computed before what is made of them: several Threefrys one after another in one loop keep the
    compiler of jax 0.12 (LLVM's loop vectoriser, on CPUs) busy for ever.
    """
    return jax.lax.optimization_barrier(words)


def _threefry(data: UInt32[Array, "2"]) -> PRNGKeyArray:
    return jax.random.wrap_key_data(data, impl="threefry2x32")


_DEFAULTS = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=lambda seed: jax.random.key_data(jax.random.key(seed, impl="threefry2x32")),
    split=lambda data, shape: _apart(jax.random.key_data(split(_threefry(data), math.prod(shape))).reshape(*shape, 2)),
    random_bits=_default_bits,
    fold_in=lambda data, number: _apart(jax.random.key_data(fold_in(_threefry(data), number))),
    name="threefry2x32_defaults",
    tag="fry",
)


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
