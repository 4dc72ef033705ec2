"""Metrics of training, per population: sums that are streamed through the loop, and means made of them."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, UInt8, UInt32

from nmmo_jax.components import Births, Realm, observed_material
from nmmo_jax.config import STYLES, Config
from nmmo_jax.environment import Info
from nmmo_jax.kinds import NUM_MATERIALS, Material
from nmmo_jax.rules import Rules

GROUND = (Material.GRASS, Material.SCRUB, Material.FOREST)  # what is explored


class Sums(flax.struct.PyTreeNode):
    """Sums over ticks, realms and the agents of each of P populations; of ``measure``, of each realm: ``[R, ...]``."""

    steps: Int32[Array, "P"]  # of living agents
    deaths: Int32[Array, "P"]
    lifetime: Int32[Array, "P"]  # ages at death
    causes: Int32[Array, "P D"]  # as in ``Config.deadly``
    reward: Float32[Array, "P"]
    value: Float32[Array, "P"]
    attacks: Int32[Array, "P 3"]  # hits, by style
    damage_given: Int32[Array, "P"]
    damage_taken: Int32[Array, "P"]
    forage: Int32[Array, "P"]  # food from forests
    visits: Int32[Array, "P G"]  # living agents standing on each of ``explored``, as observed
    unique: Int32[Array, "P G"] | None  # of those, who stand there for the first time in life; None: not known
    food: Float32[Array, ""]  # that the maps can yield: every forest harvested as soon as it is ready


def explored(config: Config) -> list[int]:
    """The materials of which visits are counted: ``GROUND``, and what else systems let agents stand on."""
    return [*GROUND, *(number for number in config.walkable if number >= NUM_MATERIALS)]


def visit(
    visited: UInt32[Array, "R N W"] | None, before: Realm, births: Births
) -> tuple[UInt32[Array, "R N W"] | None, Bool[Array, "R N"] | None]:
    """Notes where agents stand, and tells who stands there for the first time.

    Args:
      visited: a bit per tile, in W words of 32, of the tiles that an agent has stood on; None: that is not kept.
      before: the realms before a tick.
      births: of that tick; who was born has visited nothing.
    """
    if visited is None:
        return None, None
    agents = before.agents
    realm, slot = (
        jnp.arange(len(visited), dtype=jnp.int32)[:, None],
        jnp.arange(visited.shape[1], dtype=jnp.int32)[None],
    )
    tile = agents.row.astype(jnp.int32) * before.tiles.material.shape[-1] + agents.col.astype(jnp.int32)
    word, bit = tile // 32, jnp.uint32(1) << (tile % 32).astype(jnp.uint32)
    known = visited[realm, slot, word]
    visited = visited.at[realm, slot, word].set(known | bit, unique_indices=True)
    born = jnp.where(births.slot < 0, visited.shape[1], births.slot)
    return visited.at[realm, born].set(0, mode="drop"), known & bit == 0


def nothing_visited(realms: int, config: Config) -> UInt32[Array, "R N W"] | None:
    """For ``visit``, at the beginning; None without ``Config.exploration``."""
    if not config.exploration:
        return None
    return jnp.zeros((realms, config.num_agents, -(-config.rows * config.columns // 32)), jnp.uint32)


def standing_on(realm: Realm) -> UInt8[Array, "R N"]:
    """The material, as observed, of the tiles that agents stand on; of realms ``[R, ...]``."""
    return jax.vmap(lambda realm: observed_material(realm)[realm.agents.row, realm.agents.col])(realm)


def measure(
    before: Realm,
    ground: UInt8[Array, "R N"],
    first: Bool[Array, "R N"] | None,
    info: Info,
    reward: Float32[Array, "R N"],
    value: Float32[Array, "R N"],
    rules: Rules,
    config: Config,
) -> Sums:
    """What one tick adds, in each realm: arrays ``[R, ...]``.

    Args:
      before: the realms as they were.
      ground: what the agents stood on, see ``standing_on``.
      first: who stands where it has not stood before, see ``visit``.
      rules: ``[R, ...]``, or of all realms.
    """
    outcome, alive = info.outcome, before.agents.alive
    dead = info.cause > 0
    forests = (before.tiles.material == Material.FOREST).sum(axis=(1, 2), dtype=jnp.int32)

    def total(what: jax.Array, of: jax.Array = alive) -> jax.Array:
        shares = jnp.where(of, what, 0).reshape(len(what), config.num_populations, -1)
        return shares.sum(axis=2, dtype=jnp.float32 if what.dtype == jnp.float32 else jnp.int32)

    def each(what: jax.Array, kinds: list[int], of: jax.Array) -> jax.Array:
        return jnp.stack([total(what == kind, of) for kind in kinds], axis=-1)

    return Sums(
        steps=total(alive),
        deaths=total(dead),
        lifetime=total(info.age, dead),
        causes=each(info.cause, list(range(1, 1 + len(config.deadly))), dead),
        reward=total(reward),
        value=total(value),
        attacks=each(outcome.attack_style, list(range(len(STYLES))), alive & (outcome.attack_target >= 0)),
        damage_given=total(outcome.attack_damage),
        damage_taken=total(outcome.damage_taken),
        forage=total(outcome.forage),
        visits=each(ground, explored(config), alive),
        unique=None if first is None else each(ground, explored(config), alive & first),
        food=forests.astype(jnp.float32) * rules.regrowth_probability * rules.forage_amount.astype(jnp.float32),
    )


def summed(sums: Sums, axes: int) -> Sums:
    """Over so many of the first axes."""
    return jax.tree.map(lambda leaf: leaf.sum(axis=tuple(range(axes)), dtype=leaf.dtype), sums)


def means(sums: Sums, losses: dict[str, Any], ticks: int, config: Config) -> dict[str, Any]:
    """Plain numbers for a log, of sums over ``ticks`` realm-ticks (ticks times realms).

    Args:
      losses: by name, per population ``[P]``, or a number.
    """
    total: Any = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), sums)

    def share(what: np.ndarray, of: np.ndarray) -> list[float | None]:
        return [round(float(a / b), 6) if b else None for a, b in zip(what, of, strict=True)]

    def ground(name: str, what: np.ndarray, of: np.ndarray) -> dict[str, list[float | None]]:
        of = np.broadcast_to(of.T, what.T.shape)
        kinds = [config.material_names[number] for number in explored(config)]
        return {f"{name}_{kind}": share(what[:, i], of[i]) for i, kind in enumerate(kinds)}

    deaths, steps, food = total.deaths, total.steps, float(total.food)
    populations = {
        "population": [round(float(number / ticks), 4) for number in steps],
        "lifetime": share(total.lifetime, deaths),
        "reward": share(total.reward, steps),
        "value": share(total.value, steps),
        "damage_given": share(total.damage_given, steps),
        "damage_taken": share(total.damage_taken, steps),
        **{f"deaths_{cause}": share(total.causes[:, i], deaths) for i, cause in enumerate(config.deadly)},
        **{f"attacks_{style}": share(total.attacks[:, i], steps) for i, style in enumerate(STYLES)},
        **ground("visits", total.visits, steps),
        **({} if total.unique is None else ground("unique", total.unique, steps)),
        **({} if total.unique is None else ground("exploration", total.unique, total.visits)),
        **{name: np.asarray(value, np.float64).round(6).tolist() for name, value in losses.items()},
    }
    return {
        "agent_steps": int(steps.sum()),
        "deaths": int(deaths.sum()),
        "lifetime": float(total.lifetime.sum() / deaths.sum()) if deaths.sum() else None,
        "population": float(steps.sum() / ticks),
        "harvested": float(total.forage.sum() / food) if food else None,
        "populations": populations,
    }


class Streak:
    """How many updates in a row each population had steps that were not finite."""

    patience = 10  # updates in a row, after which a run stops

    def __init__(self):
        self._since: dict[int, int] = {}

    @property
    def clean(self) -> bool:
        """Whether the last update was good for all."""
        return not self._since

    def see(self, skipped: np.ndarray, update: int) -> tuple[int, int] | None:
        """A population with ``patience`` of them in a row, and the update with which it began.

        Args:
          skipped: steps that were not finite, ``[updates, P]``.
          update: the last of them.
        """
        for index, row in enumerate(skipped, update - len(skipped) + 1):
            self._since = {int(p): self._since.get(int(p), index) for p in np.flatnonzero(row)}
            for population, since in self._since.items():
                if index - since + 1 >= self.patience:
                    return population, since
        return None
