"""Files of replays: compact, and nothing else is needed to show or play them again.

A file is a NumPy archive (``.npz``) with a checksum: ``about``, JSON with the configuration, rules, key and names; the
map; and every column of ``Frame`` for T + 1 frames, as differences from frame to frame (modulo the range of its type),
of which most are zero and compress to little. Forests that are harvested or ready again are a list of (frame, tile).
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Annotated, Any, TypedDict

import jax
import jax.numpy as jnp
import msgspec
import numpy as np

from nmmo_jax.actions import number_of_things
from nmmo_jax.common.files import of_kind, one_line, read_arrays, write_arrays
from nmmo_jax.components import Realm, Tiles, empty_agents, empty_probes, empty_state
from nmmo_jax.config import STYLES, Config
from nmmo_jax.references import config_from_json
from nmmo_jax.replay import FORMAT, VERSION, Frame, Replay, first_frame
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.world.tiles import make_tiles

_Word = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class _About(TypedDict):
    rules_version: int
    title: str
    config: dict[str, Any]
    rules: dict[str, Any]
    key: Annotated[list[_Word], msgspec.Meta(min_length=2, max_length=2)]
    populations: list[str]
    recomputable: bool


def save_replay(replay: Replay, path: Path) -> None:
    """Writes a file, in whole or not at all."""
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *replay.frames)
    arrays: dict[str, Any] = {name: _differences(column) for name, column in _columns(stacked).items()}
    arrays["about"] = np.frombuffer(json.dumps(replay.about).encode(), np.uint8)
    arrays |= {f"tiles.{field.name}": getattr(replay.tiles, field.name) for field in dataclasses.fields(Tiles)}
    arrays["toggled.frame"] = np.repeat(np.arange(len(replay.toggled), dtype=np.int32), [*map(len, replay.toggled)])
    arrays["toggled.tile"] = np.concatenate(replay.toggled).astype(np.int32)
    write_arrays(path, arrays)


def load_replay(path: Path) -> Replay:
    """Reads a file that ``save_replay`` wrote.

    Raises:
      ValueError: it is no replay, cut short, damaged, changed, or of a newer version; nothing is half read.
      OSError: it cannot be opened.
    """
    arrays = read_arrays(path, _about)
    about = of_kind(_about(arrays), _About, f"{path}: about")
    try:
        config_from_json({"systems": about["config"].get("systems", ())})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        return _put_together(dict(about), arrays)
    except Exception as error:  # whatever numbers that cannot be lead NumPy and JAX to raise
        raise ValueError(f"{path}: not a replay, or damaged: {one_line(error)}") from None


def _about(arrays: dict[str, np.ndarray]) -> Any:
    """What a replay says of itself, once it is known to be one that this version reads."""
    try:
        about = json.loads(bytes(arrays["about"]))
        form, version = about["format"], about["version"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError("not a replay, or damaged") from None
    if form != FORMAT or not isinstance(version, int):
        raise ValueError("not a replay, or damaged")
    if version > VERSION:
        raise ValueError(f"written by a newer nmmo-jax: version {str(version)[:20]}; known is {VERSION}")
    return about


def _put_together(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> Replay:
    """A replay of what was read. It is checked, so that nothing in it points beyond the tables."""
    config = config_from_json(about["config"])
    names = about["populations"]
    if len(names) != config.num_populations:
        raise ValueError(f"populations: must be {config.num_populations} names")
    tiles = _tiles(config, arrays)
    number, columns, example = len(arrays["tick"]), {}, _example(config, tiles)
    for name, like in _columns(example).items():
        column = arrays[name]
        if number == 0 or column.dtype != _stored(like.dtype) or column.shape != (number, *like.shape):
            raise ValueError(f"{name}: {column.dtype} of shape {column.shape}")
        low, high = (0, 1) if like.dtype == bool else _ranges(config).get(name, (None, None))
        column = np.cumsum(column, axis=0, dtype=column.dtype)
        _check(name, column if like.dtype == bool else column.view(like.dtype), low, high)
        columns[name] = column.view(like.dtype)
    if (np.diff(columns["tick"].astype(np.int64)) != 1).any():
        raise ValueError("tick: must count up by one")
    when, tile = arrays["toggled.frame"], arrays["toggled.tile"]
    if not when.dtype == tile.dtype == np.int32 or when.ndim != 1 or when.shape != tile.shape:
        raise ValueError("toggled: must be frames and tiles")
    _check("toggled.frame", when, 0, number - 1)
    _check("toggled.tile", tile, 0, tiles.material.size - 1)
    if (np.diff(when) < 0).any() or not np.isin(tiles.material.reshape(-1)[tile], [*config.spent]).all():
        raise ValueError("toggled: out of order, or tiles that are always ready")
    stacked = jax.tree.unflatten(jax.tree.structure(example), columns.values())
    frames = [jax.tree.map(lambda leaf, index=index: leaf[index], stacked) for index in range(number)]
    return Replay(about, tiles, frames, np.split(tile, np.searchsorted(when, np.arange(1, number))))


def _tiles(config: Config, arrays: dict[str, Any]) -> Tiles:
    like = jax.eval_shape(
        functools.partial(make_tiles, config=config), jax.ShapeDtypeStruct((config.rows, config.columns), np.uint8)
    )
    tiles = Tiles(**{field.name: arrays[f"tiles.{field.name}"] for field in dataclasses.fields(Tiles)})
    for field in dataclasses.fields(Tiles):
        one, other = getattr(tiles, field.name), getattr(like, field.name)
        if one.dtype != other.dtype or one.shape != other.shape:
            raise ValueError(f"tiles.{field.name}: {one.dtype} of shape {one.shape}")
    _check("tiles.material", tiles.material, 0, len(config.material_names) - 1)
    _check("tiles.spawn_tile", tiles.spawn_tile, 0, tiles.material.size - 1)
    _check("tiles.num_spawn_tiles", tiles.num_spawn_tiles, 1, tiles.spawn_tile.size)
    _check("tiles.size", tiles.size, 1, tiles.material.shape)
    return tiles


def _ranges(config: Config) -> dict[str, tuple[int, int]]:
    """What columns can be, where others look something up with them."""
    choices, state = {}, {}
    for system in config.systems:
        for one in system.arguments:
            choices[one.name] = (min(one.no_choice, 0), number_of_things(one, config) - 1)
        state |= {f"{system.name}.{column.name}": column.bounds for column in (*system.agents, *system.tiles)}
        for table in system.tables:
            state |= {f"{system.name}.{table.name}.{column.name}": column.bounds for column in table.columns}
    return {
        "tick": (0, 2**31 - 2),
        "agents.population": (0, config.num_populations - 1),
        "agents.row": (0, config.rows - 1),
        "agents.col": (0, config.columns - 1),
        "move": (0, len(DIRECTIONS) - 1),
        "style": (0, len(STYLES) - 1),
        "target": (-1, config.num_agents - 1),
        "hit": (-1, config.num_agents - 1),
        "cause": (0, len(config.cause_names) - 1),
        **{f"choices.{name}": limits for name, limits in choices.items()},
        **{f"of.{name}": limits for name, limits in state.items()},
    }


def _check(name: str, values: Any, low: Any, high: Any) -> None:
    if low is not None and ((values < low) | (values > high)).any():
        raise ValueError(f"{name}: allowed are {low} to {high}")


def _example(config: Config, tiles: Tiles) -> Frame:
    """Shapes and types of a frame."""
    zero = jnp.zeros((), jnp.int32)
    realm = Realm(zero, zero, tiles, empty_agents(config), empty_probes(config), empty_state(config))
    return jax.eval_shape(functools.partial(first_frame, config=config), realm).replace(depleted=None)


def _columns(frame: Frame) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(frame)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _stored(dtype: Any) -> np.dtype:
    """Unsigned, of the same size: differences wrap around."""
    return np.dtype(f"u{np.dtype(dtype).itemsize}")


def _differences(column: np.ndarray) -> np.ndarray:
    column = np.ascontiguousarray(column).view(_stored(column.dtype))
    return np.concatenate([column[:1], column[1:] - column[:-1]])
