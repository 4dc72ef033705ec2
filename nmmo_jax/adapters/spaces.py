"""What one agent sees and chooses, from the declarations: by name, or as one vector; and what an empty place shows."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32

from nmmo_jax.actions import heads
from nmmo_jax.common.extras import need
from nmmo_jax.common.spelling import near
from nmmo_jax.config import Config
from nmmo_jax.declarations import Argument
from nmmo_jax.observations import ArraySpec, Observation, observation_spec

_SCALE = 4.0  # of logarithms: the vector's numbers are about 1 where amounts are about 50
MOST = np.float32(math.log1p(2**15) / _SCALE)  # no number of a vector is further from 0
_MOST_JOINT = 2**16


def choices_of(config: Config, arguments: Sequence[str] | None = None) -> tuple[Argument, ...]:
    """The arguments that a learner chooses; the others mean nothing.

    Args:
      arguments: their names; None: all.

    Raises:
      ValueError: none, one there is not, or one twice.
    """
    known = {one.name: one for head in heads(config) for one in head.arguments}
    if arguments is None:
        return tuple(known.values())
    names = [arguments] if isinstance(arguments, str) else list(arguments)
    if not names or len({*names}) < len(names):
        raise ValueError(f"arguments={arguments!r}: must be one or more of {', '.join(known)}, each once")
    for name in names:
        if name not in known:
            raise ValueError(f"arguments: {name!r}: allowed are {', '.join(known)}{near(str(name), known)}")
    return tuple(known[name] for name in names)


def specs(config: Config) -> dict[str, ArraySpec]:
    """Of one agent's observation, by ``tiles``, ``self``, ``mask_move`` and so on. Masks are int8, 1: allowed."""
    found = {}
    for name, spec in observation_spec(config).items():
        shape, dtype, low, high = spec.shape[1:], spec.dtype, spec.low, spec.high
        if dtype.kind == "b":
            dtype, low, high = np.dtype(np.int8), 0, 1
        found[name.replace(".", "_")] = ArraySpec(shape, dtype, low, high)
    return found


def named(obs: Observation) -> dict[str, jax.Array]:
    """An observation by the names of ``specs``, with whatever axes it has in front."""
    parts = {"mask": obs.mask, "of": obs.of, "rows": obs.rows}
    found = {name: getattr(obs, name) for name in ("tiles", "self", "visible", "visible_slot")}
    found |= {f"{part}_{name}": leaf for part, leaves in parts.items() for name, leaf in leaves.items()}
    return {name: leaf.astype(jnp.int8) if leaf.dtype == bool else leaf for name, leaf in found.items()}


def as_vector(obs: Observation, config: Config) -> Float32[Array, "*B D"]:
    """All that an agent sees as one vector: what lies on each tile as zeros and a one, whether anybody stands there,
    and the other numbers as ``sign(x) log(1 + |x|) / 4``. Slots and rows, which are names, are left out.
    """
    tiles = obs.tiles
    lead = tiles.shape[:-3]
    kinds = jax.nn.one_hot(tiles[..., 0, :, :], len(config.material_names), dtype=jnp.float32)
    parts = [kinds.reshape(*lead, -1), (tiles[..., 1, :, :] > 0).astype(jnp.float32).reshape(*lead, -1)]
    for leaf in (obs.self, obs.visible, *obs.of.values()):
        number = leaf.astype(jnp.float32).reshape(*lead, -1)
        parts.append(jnp.sign(number) * jnp.log1p(jnp.abs(number)) * np.float32(1 / _SCALE))
    parts += [leaf.astype(jnp.float32).reshape(*lead, -1) for leaf in obs.mask.values()]
    return jnp.concatenate(parts, axis=-1)


def vector_size(config: Config) -> int:
    """How long the vector is."""
    nothing = {name: np.zeros(spec.shape, spec.dtype) for name, spec in observation_spec(config).items()}
    return jax.eval_shape(lambda: as_vector(_put_together(nothing), config)).shape[-1]


def blank(config: Config) -> Observation:
    """What an empty place shows, without an axis of places; NumPy arrays."""
    arrays = {name: np.zeros(spec.shape[1:], spec.dtype) for name, spec in observation_spec(config).items()}
    for name, array in arrays.items():
        if name == "visible_slot" or name.startswith("rows."):
            array[...] = -1
    for one in (one for head in heads(config) for one in head.arguments):
        arrays[f"mask.{one.name}"][..., one.nothing] = True
    return _put_together(arrays)


def _put_together(arrays: dict[str, Any]) -> Observation:
    parts: dict[str, dict[str, Any]] = {"mask": {}, "of": {}, "rows": {}}
    for name in (name for name in arrays if "." in name):
        part, _, leaf = name.partition(".")
        parts[part][leaf] = arrays[name]
    plain = {name: array for name, array in arrays.items() if "." not in name}
    return Observation(**plain, **parts)  # type: ignore[arg-type]


def observation_space(config: Config, flat: bool) -> Any:
    """Gymnasium's: a ``Dict`` of ``Box`` and ``MultiBinary``, or, ``flat``, the ``Box`` of the vector."""
    kinds: Any = need("gymnasium.spaces", "gymnasium", "gymnasium")
    if flat:
        return kinds.Box(-MOST, MOST, (vector_size(config),), np.float32)

    def space(name: str, spec: ArraySpec) -> Any:
        if name.startswith("mask_"):
            return kinds.MultiBinary(spec.shape)
        low, high = (np.broadcast_to(bound, spec.shape).astype(spec.dtype) for bound in (spec.low, spec.high))
        return kinds.Box(low, high, spec.shape, spec.dtype)

    return kinds.Dict({name: space(name, spec) for name, spec in specs(config).items()})


def action_space(chosen: Sequence[Argument]) -> Any:
    """Gymnasium's: ``Discrete`` for one argument, ``MultiDiscrete`` for several, in their order."""
    kinds: Any = need("gymnasium.spaces", "gymnasium", "gymnasium")
    sizes = [one.size for one in chosen]
    return kinds.Discrete(sizes[0]) if len(sizes) == 1 else kinds.MultiDiscrete(sizes)


def joint_size(chosen: Sequence[Argument]) -> int:
    """How many combinations of choices there are.

    Raises:
      ValueError: more than can be one action's.
    """
    number = math.prod(one.size for one in chosen)
    if number > _MOST_JOINT:
        told = ", ".join(f"{one.name} {one.size}" for one in chosen)
        raise ValueError(f"arguments: {told}: {number:,} combinations: allowed are {_MOST_JOINT:,}; choose fewer")
    return number


def joint_mask(mask: dict[str, Bool[Array, "..."]], chosen: Sequence[Argument]) -> Bool[Array, "*B K"]:
    """Which combinations are allowed: of targets, those of the style that is chosen with them; where none is chosen, no
    style attacks, and only nothing is allowed.
    """
    names, sizes = [one.name for one in chosen], {one.name: one.size for one in chosen}
    lead = mask["move"].shape[:-1]
    allowed = jnp.ones((*lead, *[1] * len(names)), bool)
    for one in chosen:
        given, axes = mask[one.name], {one.name}
        if one.name == "target" and "style" in names:
            axes = {"style", "target"}
            given = given if names.index("style") < names.index("target") else given.swapaxes(-1, -2)
        elif one.name == "target":
            given = jnp.broadcast_to(np.arange(one.size) == 0, (*lead, one.size))
        allowed &= given.reshape(*lead, *(sizes[name] if name in axes else 1 for name in names))
    return allowed.reshape(*lead, -1)
