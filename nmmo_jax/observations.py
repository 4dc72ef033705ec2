"""Observations: what every agent sees, as raw integers, and their specification.

Attributes of the visible agents and of oneself stand in the order of ``FEATURES``. Values are as they are
in the world and saturate at the bounds of their type.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int16, Int32, UInt8

from nmmo_jax.actions import Action, action_mask, heads
from nmmo_jax.components import Agents, Realm, check_realm, observed_material
from nmmo_jax.config import MAX_AMOUNT, Config
from nmmo_jax.declarations import Argument
from nmmo_jax.neighbours import MOST_IN_PAIRS, find_in_pairs, find_neighbours
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.systems.movement import neighbouring
from nmmo_jax.systems.sight import bounds_of, leaf_shape, look, tiles_in_view

# Name -> (meaning, lowest, highest; None: depends on the configuration).
FEATURES: dict[str, tuple[str, int | None, int | None]] = {
    "age": ("completed ticks", 0, 32_767),
    "health": ("", 0, MAX_AMOUNT),
    "food": ("", 0, MAX_AMOUNT),
    "water": ("", 0, MAX_AMOUNT),
    "row": ("", 0, None),
    "col": ("", 0, None),
    "row_difference": ("its row minus the observer's", None, None),
    "col_difference": ("its column minus the observer's", None, None),
    "damage": ("taken since its last vitals, 0 if none", 0, 32_767),
    "same_population": ("1 if of the observer's population", 0, 1),
    "freeze": ("ticks", 0, MAX_AMOUNT),
}
NUM_FEATURES = len(FEATURES)
_IS_DIFFERENCE = np.array([name.endswith("_difference") for name in FEATURES])
_ROW, _COL = (list(FEATURES).index(name) for name in ("row", "col"))
_IS_SAMENESS = np.array([name.startswith("same_") for name in FEATURES])


class Observation(flax.struct.PyTreeNode):
    """What the agents see. W = ``Config.view``, V = ``Config.num_visible``, F = ``NUM_FEATURES``.

    Rows of empty slots are zero (``visible_slot`` -1), and their masks allow only what means nothing.
    """

    tiles: UInt8[Array, "N 2 W W"]  # material as observed, agents on the tile (up to 255); outside is lava
    self: Int16[Array, "N F"]
    visible: Int16[Array, "N V F"]  # the observer, then who is in reach of an attack, then the rest in view
    visible_slot: Int32[Array, "N V"]  # whose row that is; -1: nobody
    mask: dict[str, Bool[Array, "N ..."]]  # per argument of the action heads, True: allowed
    of: dict[str, Int16[Array, "N ..."]] = dataclasses.field(default_factory=dict)  # what systems show, by name
    rows: dict[str, Int32[Array, "N K"]] = dataclasses.field(default_factory=dict)  # of what they list; -1: nothing
    steps: UInt8[Array, "N G 5"] | None = None  # to goals, where somebody asked: ``nmmo_jax.goals.with_steps``


def observe(realm: Realm, rules: Rules, config: Config, leaving: Bool[Array, "N"] | None = None) -> Observation:
    """What every agent sees now.

    Args:
      leaving: slots whose agent was just truncated. Each gets its final row, its own view as if
        it still stood there; the others do not see it.
    """
    check_realm(realm, config)
    rules, agents = as_rules(rules, config), realm.agents
    observer = agents.alive if leaving is None else agents.alive | leaving
    visible_slot = find_visible(agents, observer, rules.attack_range.max(), config)
    own = features_of(agents)
    window = window_of(planes_of(realm, config), observer, agents, config)
    if leaving is not None:
        middle, alone = config.radius, window[:, 1, config.radius, config.radius] < 255
        window = window.at[:, 1, middle, middle].add((leaving & alone).astype(jnp.uint8))
    age, enters = agents.age.at[visible_slot].get(mode="clip"), neighbouring(agents, realm.tiles, config)
    others = own.at[visible_slot].get(mode="clip")
    obs = seen_by(agents, observer, own, others, visible_slot, age, enters, window, rules)
    able = observer & (agents.health > 0)
    of, rows, masks = look(realm, rules, config, observer, able, visible_slot, by_name(obs.visible))
    return obs.replace(mask=obs.mask | masks, of=of, rows=rows)


def by_name(rows: Int16[Array, "*B F"]) -> dict[str, Int16[Array, "*B"]]:
    """Attributes of agents, as observed, by their names."""
    return {name: rows[..., index] for index, name in enumerate(FEATURES)}


def seen_by(
    agents: Agents,
    observer: Bool[Array, "K"],
    own: Int16[Array, "K F"],
    others: Int16[Array, "K V F"],
    visible_slot: Int32[Array, "K V"],
    age: Int32[Array, "K V"],
    enters: Bool[Array, "K 5"],
    window: UInt8[Array, "K 2 W W"],
    rules: Rules,
) -> Observation:
    """The observation of some agents, put together of what was looked up for each; without what systems show.

    Args:
      observer: which of them look; the rows of others are empty.
      own, others: attributes as in tables (``features_of``), of themselves and of the visible.
      age: of the visible.
      enters, rules: as for ``action_mask``.
    """
    seen, listed = _relative(others, own[:, None]), visible_slot >= 0
    distance = jnp.abs(seen[..., _IS_DIFFERENCE]).max(axis=-1)
    able = observer & (agents.health > 0)
    return Observation(
        tiles=window,
        self=jnp.where(observer[:, None], _relative(own, own), 0),
        visible=jnp.where(listed[..., None], seen, 0),
        visible_slot=visible_slot,
        mask=action_mask(agents, enters, able, listed, age, distance, rules),
    )


def to_action(choices: Mapping[str, Int32[Array, "N"]], obs: Observation, config: Config) -> Action:
    """The choices of one realm's agents, by argument, as an action: of a position in a list, what is there.

    Args:
      choices: from 0, within the size of each argument (``heads(config)``). Those by other names, which a Sword may
        note beside them, are passed over.
      obs: what they were made from.
    """
    arguments = {argument.name: argument for head in heads(config) for argument in head.arguments}
    own = {name: choice for name, choice in choices.items() if name in arguments}
    return Action.from_named({name: thing_at(choice, arguments[name], obs, config) for name, choice in own.items()})


def thing_at(choice: Int32[Array, "*B"], argument: Argument, obs: Observation, config: Config) -> Int32[Array, "*B"]:
    """What ``Action`` takes for one choice, as ``to_action``."""
    if not argument.among:
        return choice
    nothing: Any = False
    if argument.among == "visible":
        things = obs.visible_slot
    elif argument.among == "window":
        nothing = choice == argument.nothing
        things = tiles_in_view(obs.self[..., _ROW], obs.self[..., _COL], config)
    else:
        nothing, choice = choice <= 0, jnp.maximum(choice - 1, 0)
        things = obs.rows[argument.among]
    found = jnp.take_along_axis(things, choice[..., None], axis=-1)[..., 0]
    return found if argument.among == "visible" else jnp.where(nothing, -1, found)


def check_observation(obs: Any, config: Config, number: int) -> None:
    """Raises ``ValueError`` where observations ``[number, N, ...]`` are not those of this configuration."""
    if not isinstance(obs, Observation):
        raise ValueError(f"obs: {type(obs).__name__}: must be an Observation")
    for name, spec in observation_spec(config).items():
        field, _, part = name.partition(".")
        leaf = getattr(obs, field).get(part) if part else getattr(obs, field)
        if leaf is None:
            raise ValueError(f"obs.{name}: is not there: must be what the systems of this configuration show")
        if jnp.shape(leaf) != (number, *spec.shape):
            raise ValueError(
                f"obs.{name}: shape {jnp.shape(leaf)}: must be {(number, *spec.shape)}, as num_agents="
                f"{config.num_agents}, view={config.view}, num_visible={config.num_visible}, for {number} realms"
            )


def find_visible(
    agents: Agents, observer: Bool[Array, "N"], near: Int32[Array, ""], config: Config
) -> Int32[Array, "N V"]:
    """Slots of the agents each observer lists: itself; those in the window and at most ``near`` tiles away, the longest
    attack range; the others in the window; each group in slot order, cut at ``num_visible``.
    """
    n = agents.alive.size
    find = find_in_pairs if n <= MOST_IN_PAIRS else find_neighbours
    oneself = jnp.where(observer, jnp.arange(n, dtype=jnp.int32), -1)
    return jnp.concatenate([oneself[:, None], find(agents, observer, near, config)], axis=1)


def features_of(agents: Agents) -> Int16[Array, "N F"]:
    """One row per agent: its features, with its own place and population where rows of two agents are compared."""
    limit = np.iinfo(np.int16).max
    columns = {
        "age": jnp.minimum(agents.age, limit),
        "row_difference": agents.row,
        "col_difference": agents.col,
        "damage": jnp.clip(agents.damage, 0, limit),
        "same_population": agents.population,
    }
    rows = [columns[name] if name in columns else getattr(agents, name) for name in FEATURES]
    return jnp.stack([row.astype(jnp.int16) for row in rows], axis=-1)


def _relative(seen: Int16[Array, "*B F"], observer: Int16[Array, "*B F"]) -> Int16[Array, "*B F"]:
    """What was seen, from where the observer stands: all columns alike, which is faster than taking them apart."""
    difference, sameness = (flags.reshape(*[1] * (seen.ndim - 1), -1) for flags in (_IS_DIFFERENCE, _IS_SAMENESS))
    seen = jnp.where(difference, seen - observer, seen)
    return jnp.where(sameness, (seen == observer).astype(jnp.int16), seen)


def planes_of(realm: Realm, config: Config) -> UInt8[Array, "2 H L"]:
    """The map as observed and the agents on each tile, with a border that nobody sees beyond, and below it as many
    empty rows as a window has: there the windows of empty slots are cropped, so that nothing has to be blanked.

    The agents are counted half before and half after the material is laid in: XLA fuses a scatter neither with what
    comes before nor after, so that the map is written once, into zeros, instead of padded (a fifth of a millisecond
    less for 64 maps) or computed anew for each window.
    """
    agents, radius, view = realm.agents, config.radius, config.view
    empty = config.rows + 2 * radius  # the first of the empty rows
    row = jnp.where(agents.alive, agents.row + radius, empty + view)  # beyond the planes: dropped
    col = agents.col + radius
    shape = (2, empty + view, config.columns + 2 * radius)
    crowded, count = config.num_agents > 255, jnp.ones((config.num_agents,), jnp.uint8)
    if crowded:
        crowd = jnp.zeros(shape[1:], jnp.int32).at[row, col].add(1, mode="drop")
        count = jnp.minimum(crowd.at[row, col].get(mode="clip"), 255).astype(jnp.uint8)

    def with_agents(planes, some):
        at = planes.at[1, row[some], col[some]]
        return at.set(count[some], mode="drop") if crowded else at.add(count[some], mode="drop")

    half = config.num_agents // 2
    planes = with_agents(jnp.zeros(shape, jnp.uint8), slice(half))
    planes = planes.at[0, radius : radius + config.rows, radius : radius + config.columns].set(
        observed_material(realm, config)
    )
    return with_agents(planes, slice(half, None))


def window_of(
    planes: UInt8[Array, "*R 2 H L"],
    observer: Bool[Array, "N"],
    agents: Agents,
    config: Config,
    realm: Int32[Array, "N"] | None = None,
) -> UInt8[Array, "N 2 W W"]:
    """The square around each agent: two planes, cropped together.

    Args:
      realm: of planes of many realms, which.
    """
    view, row, col = config.view, agents.row.astype(jnp.int32), agents.col.astype(jnp.int32)
    row = jnp.where(observer, row, config.rows + 2 * config.radius)
    if realm is None:
        crop = jax.vmap(lambda row, col: jax.lax.dynamic_slice(planes, (np.int32(0), row, col), (2, view, view)))
        return crop(row, col)
    size = (1, 2, view, view)
    crop = jax.vmap(lambda *at: jax.lax.dynamic_slice(planes, (at[0], np.int32(0), *at[1:]), size)[0])
    return crop(realm, row, col)


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """Shape, type and inclusive bounds (scalars, or arrays that broadcast) of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype
    low: Any
    high: Any


def observation_spec(config: Config) -> dict[str, ArraySpec]:
    """Specification of one realm's observation, by field; masks as ``mask.<argument>``, what systems show as
    ``of.<name>``, and of their lists ``rows.<name>``.
    """
    n, w, v, materials = config.num_agents, config.view, config.num_visible, len(config.material_names)
    short = np.dtype(np.int16)
    low, high = _feature_bounds(config)
    specs = {
        "tiles": ArraySpec((n, 2, w, w), np.dtype(np.uint8), 0, np.array([materials - 1, 255]).reshape(2, 1, 1)),
        "self": ArraySpec((n, NUM_FEATURES), short, low, high),
        "visible": ArraySpec((n, v, NUM_FEATURES), short, low, high),
        "visible_slot": ArraySpec((n, v), np.dtype(np.int32), -1, n - 1),
    }
    for head in heads(config):
        for argument in head.arguments:
            shape = (n, *argument.mask_shape)
            specs[f"mask.{argument.name}"] = ArraySpec(shape, np.dtype(bool), False, True)
    for leaf in (leaf for system in config.systems for leaf in system.leaves):
        low, high = min(leaf.low, 0), max(leaf.high, 0)  # 0 where nobody looks
        specs[f"of.{leaf.name}"] = ArraySpec((n, *leaf_shape(leaf, config)), short, low, high)
    for name, one in config.lists.items():
        (low, high), most = bounds_of(one, config), one.listing.most
        low, high = np.minimum(low, 0), np.maximum(high, 0)  # 0 where the list has ended
        specs[f"of.{name}"] = ArraySpec((n, most, len(one.columns)), short, low, high)
        specs[f"rows.{name}"] = ArraySpec((n, most), np.dtype(np.int32), -1, (one.rows or n) - 1)
    return specs


def _feature_bounds(config: Config) -> tuple[np.ndarray, np.ndarray]:
    reach = config.radius
    known = {
        "row": (0, config.rows - 1),
        "col": (0, config.columns - 1),
        "row_difference": (-reach, reach),
        "col_difference": (-reach, reach),
    }
    bounds = [known.get(name, (low, high)) for name, (_, low, high) in FEATURES.items()]
    low, high = zip(*bounds, strict=True)
    return np.array(low, np.int16), np.array(high, np.int16)
