"""Playing: the realms of one device go on for some ticks, and what is needed to learn from them is kept.

Observations are kept in a ring of T + 1 rows (``nmmo_jax.ring``). A rollout begins with the last row of the one before.
"""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, UInt32

from nmmo_jax.autoreset import Episode
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.draws import fold_in
from nmmo_jax.observations import Observation, to_action
from nmmo_jax.ring import again, put, row
from nmmo_jax.rules import Rules
from nmmo_jax.vectorized import Vectorized
from train.distributions import Choices
from train.metrics import Sums, measure, standing_on, summed, visit
from train.networks import clear
from train.trees import Packed


class Worlds(flax.struct.PyTreeNode):
    """The realms, and what is known of them when a rollout begins."""

    world: Realm | Episode  # [R, ...]; episodes where there is a horizon, at which realms start anew
    rules: Rules  # [R, ...]
    observed: Observation  # [T + 1, R, N, ...]; the last row is the present
    core: Any  # of recurrent networks, [P, R, N / P, ...]
    visited: UInt32[Array, "R N W"] | None  # tiles, see ``train.metrics.visit``

    @property
    def realm(self) -> Realm:
        """The realms, ``[R, ...]``."""
        return self.world.realm if isinstance(self.world, Episode) else self.world


class Step(NamedTuple):
    """What the agents did and what became of it, in a tick ``[R, N]``, or in T ``[T, R, N]``."""

    choices: Choices
    log_prob: Float32[Array, "T R N"]
    value: Float32[Array, "T R N"]
    reward: Float32[Array, "T R N"]
    alive: Bool[Array, "T R N"]  # when it observed, and one of the God's learners: what is learned from
    terminated: Bool[Array, "T R N"]
    truncated: Bool[Array, "T R N"]  # by age, or with the realm at its horizon


class Rollout(NamedTuple):
    """T ticks, and what the agents expect after each."""

    steps: Step
    following: Float32[Array, "T R N"]  # value of the observation after the step, of the same episode
    core: Any  # before the first of each ``Settings.piece`` ticks L, [T / L, P, R, N / P, ...]


def to_populations(tree: Any, config: Config) -> Any:
    """``[R, N, ...]`` as ``[P, R, N / P, ...]``."""

    def move(leaf: jax.Array) -> jax.Array:
        return jnp.moveaxis(leaf.reshape(len(leaf), config.num_populations, -1, *leaf.shape[2:]), 1, 0)

    return jax.tree.map(move, tree)


def from_populations(tree: Any) -> Any:
    """``[P, R, N / P, ...]`` as ``[R, N, ...]``."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(leaf.shape[1], -1, *leaf.shape[3:]), tree)


def play(
    trinity: Any, params: Any, worlds: Worlds, many: Vectorized, key: jax.Array, play_key: jax.Array
) -> tuple[Worlds, Rollout, Sums]:
    """Plays as many ticks as the ring of observations has room for.

    Args:
      trinity: its Sword acts, its God shapes rewards and says who learns.
      many: the environment of these realms.
      key, play_key: of the worlds' chance and of the agents'; the same for a whole run.
    """
    config, ticks = many.config, len(worlds.observed.visible_slot) - 1
    play_keys = jax.vmap(fold_in, (None, 0))(play_key, many.first_realm + jnp.arange(many.num_realms, dtype=jnp.int32))

    def tick(carry, t):
        worlds, fresh, ground = carry
        worlds = worlds.replace(core=clear(worlds.core, fresh))
        world, realm, rules = worlds.world, worlds.realm, worlds.rules
        obs = row(worlds.observed, t)
        # The ticks of every episode begin at 0.
        keys = jax.vmap(fold_in)(play_keys, world.number) if isinstance(world, Episode) else play_keys
        decision, core = trinity.sword.act(params, jax.vmap(fold_in)(keys, realm.tick), obs, realm, rules, worlds.core)
        action = jax.vmap(lambda choices, obs: to_action(choices, obs, config))(decision.choices, obs)
        result = many.advance(key, world, action, rules)
        new, world, reward, terminated, truncated, info = result
        after = worlds.replace(world=world).realm
        reward = jax.vmap(trinity.god.reward)(reward, realm, after, info)
        visited, first = visit(worlds.visited, realm, info.births)
        step = Step(
            decision.choices, decision.log_prob, decision.value, reward,
            realm.agents.alive & jax.vmap(trinity.god.learners)(realm),
            terminated, truncated | info.horizon[:, None],
        )  # fmt: skip
        final = None
        if config.horizon is not None:

            def expected():
                return trinity.sword.value(params, new, after, rules, core)

            final = jax.lax.cond(info.horizon.any(), expected, lambda: jnp.zeros_like(reward)), info.horizon
            new, world, *_ = many.renew(key, result, rules)
        # Found here, as a map, or a ring, that is looked at when it has been written to is copied for that.
        standing = new.tiles[:, :, 0, config.radius, config.radius]
        new = trinity.sword.see(new)
        worlds = Worlds(world, rules, put(worlds.observed, t + 1, new), core, visited)
        sums = Packed.of(measure(realm, ground, first, info, reward, decision.value, rules, config))
        # Who has left keeps its core for a tick: its last observation is still to be valued.
        old, now = realm.agents.uid, worlds.realm.agents.uid
        fresh = (old < 0) | ((now >= 0) & (now != old)) | info.horizon[:, None]
        return (worlds, to_populations(fresh, config), standing), (step, final, sums)

    worlds = worlds.replace(observed=again(worlds.observed))
    nobody = to_populations(jnp.zeros_like(worlds.realm.agents.alive), config)  # whose core is to be cleared

    def piece(carry, ticks):
        worlds, fresh, ground = carry
        core = clear(worlds.core, fresh)
        carry, told = jax.lax.scan(tick, (worlds.replace(core=core), nobody, ground), ticks)
        return carry, (core, told)

    pieces = jnp.arange(ticks, dtype=jnp.int32).reshape(-1, trinity.sword.settings.piece)
    carry = worlds, nobody, standing_on(worlds.realm)
    (worlds, fresh, _), (core, told) = jax.lax.scan(piece, carry, pieces)
    worlds = worlds.replace(core=clear(worlds.core, fresh))
    steps, final, sums = jax.tree.map(lambda leaf: leaf.reshape(ticks, *leaf.shape[2:]), told)
    last = jax.tree.map(lambda ring: ring[-1], worlds.observed)
    last_value = trinity.sword.value(params, last, worlds.realm, worlds.rules, worlds.core)
    following = jnp.concatenate([steps.value[1:], last_value[None]])
    if final is not None:
        value, reached = final
        following = jnp.where(reached[..., None], value, following)
    return worlds, Rollout(steps, following, core), summed(sums.apart(), 2)
