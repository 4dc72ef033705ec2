"""What is told of training, per population: sums that are streamed through the loop, and means made of them."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32

from nmmo_jax.components import Cause, Realm
from nmmo_jax.config import STYLES, Config
from nmmo_jax.environment import Info
from nmmo_jax.world.materials import Material

CAUSES = [cause for cause in Cause if cause != Cause.NONE]


class Sums(flax.struct.PyTreeNode):
    """Sums over ticks, realms and the agents of each of P populations."""

    steps: Int32[Array, "P"]  # of living agents
    deaths: Int32[Array, "P"]
    lifetime: Int32[Array, "P"]  # ages at death
    causes: Int32[Array, "P 4"]
    reward: Float32[Array, "P"]
    value: Float32[Array, "P"]
    attacks: Int32[Array, "P 3"]  # hits, by style
    damage_given: Int32[Array, "P"]
    damage_taken: Int32[Array, "P"]
    forage: Int32[Array, "P"]  # food from forests


def measure(
    before: Realm, info: Info, reward: Float32[Array, "R N"], value: Float32[Array, "R N"], config: Config
) -> Sums:
    """What one tick of all realms adds. ``before``: the realms as they were."""
    outcome, alive = info.outcome, before.agents.alive
    dead = info.cause > 0

    def total(what: jax.Array, of: jax.Array = alive) -> jax.Array:
        shares = jnp.where(of, what, 0).reshape(len(what), config.num_populations, -1)
        return shares.sum(axis=(0, 2), dtype=jnp.float32 if what.dtype == jnp.float32 else jnp.int32)

    def each(what: jax.Array, kinds: list[int], of: jax.Array) -> jax.Array:
        return jnp.stack([total(what == kind, of) for kind in kinds], axis=-1)

    return Sums(
        steps=total(alive),
        deaths=total(dead),
        lifetime=total(info.age, dead),
        causes=each(info.cause, [int(cause) for cause in CAUSES], dead),
        reward=total(reward),
        value=total(value),
        attacks=each(outcome.attack_style, list(range(len(STYLES))), alive & (outcome.attack_target >= 0)),
        damage_given=total(outcome.attack_damage),
        damage_taken=total(outcome.damage_taken),
        forage=total(outcome.forage),
    )


def map_yield(realm: Realm, rules: Any) -> Float32[Array, "R"]:
    """Food that each map can yield per tick: every forest harvested as soon as it is ready."""
    forests = (realm.tiles.material == Material.FOREST).sum(axis=(1, 2))
    return forests * rules.regrowth_probability * rules.forage_amount


def means(sums: Sums, losses: dict[str, Any], ticks: int, food: float) -> dict[str, Any]:
    """Plain numbers for a log, of sums over ``ticks`` realm-ticks (ticks times realms).

    Args:
      losses: by name, per population ``[P]``, or a number.
      food: that the maps could have yielded in all.
    """
    total: Any = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), sums)

    def share(what: np.ndarray, of: np.ndarray) -> list[float | None]:
        return [round(float(a / b), 6) if b else None for a, b in zip(what, of, strict=True)]

    deaths, steps = total.deaths, total.steps
    populations = {
        "population": [round(float(number / ticks), 4) for number in steps],
        "lifetime": share(total.lifetime, deaths),
        "reward": share(total.reward, steps),
        "value": share(total.value, steps),
        "damage_given": share(total.damage_given, steps),
        "damage_taken": share(total.damage_taken, steps),
        **{f"deaths_{c.name.lower()}": share(total.causes[:, i], deaths) for i, c in enumerate(CAUSES)},
        **{f"attacks_{style}": share(total.attacks[:, i], steps) for i, style in enumerate(STYLES)},
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
