"""Counterfactuals: one realm runs on many times at once, with one thing changed in each branch.

Branches of one future draw the same numbers (common random numbers): what an agent draws depends on the future's key,
the tick and the agent, never on who else lives. They differ in what the change has caused, and in nothing else. Effects
are measured on the agents that live at the fork, who have the same uids and slots everywhere. Newborns may not: a
removed agent leaves a slot to somebody who is born somewhere on the map. Rules with ``spawn_rate`` 0 leave that out.

>>> branches = jax.vmap(remove_agent, (None, 0))(realm, jnp.array([-1, 4, 9]))  # as it is; without slot 4; without 9
>>> lives = run_on(env, who, branches, futures(jax.random.key(1), 8), ticks=64)
>>> effect = mean_interval(lives.lived[:, 1:] - lives.lived[:, :1])  # of each removal on each agent: [2, N]
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Bool, Int32, PRNGKeyArray

from nmmo_jax.components import NEVER, NO_UID, Realm
from nmmo_jax.config import Config
from nmmo_jax.draws import fold_in, split
from nmmo_jax.environment import Environment, Info
from nmmo_jax.play.players import Players
from nmmo_jax.rules import Rules, as_rules, rule_ndim

_AXIS = "rows"
_STATE = ("row", "col", "health", "food", "water", "freeze", "age", "damage")


class Keys(NamedTuple):
    """Where all chance comes from, of so many realms or futures; the tick is folded into each.

    Attributes:
      world: of births and regrowth.
      policy: of what agents do.
    """

    world: PRNGKeyArray
    policy: PRNGKeyArray


class Outcomes(NamedTuple):
    """How those fared who live at the fork, by the slot that they hold; int32 ``[F, B, N]``, 0 for empty slots.

    Attributes:
      lived: ticks lived through after the fork.
      food, water: gained, from the map and by attacks.
      damage: health lost to attacks.
      health: at the end; 0 of those who have left.
      changed: ticks after the fork when it first was not as in branch 0, in any of its attributes; NEVER: always was.
    """

    lived: Int32[Array, "F B N"]
    food: Int32[Array, "F B N"]
    water: Int32[Array, "F B N"]
    damage: Int32[Array, "F B N"]
    health: Int32[Array, "F B N"]
    changed: Int32[Array, "F B N"]


@functools.partial(jax.jit, static_argnames="number")
def futures(key: PRNGKeyArray, number: int) -> Keys:
    """Keys of so many futures, each as likely as the others."""
    pairs = jax.vmap(lambda index: split(fold_in(key, index)))(jnp.arange(number))
    return Keys(pairs[:, 0], pairs[:, 1])


def fork(tree: Any, branches: int) -> Any:
    """A realm, or what its agents remember, so many times: a new axis in front."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (branches, *leaf.shape)), tree)


def remove_agent(realm: Realm, slot: jax.Array | int) -> Realm:
    """A realm in which nobody holds that slot any more; -1: as it is."""
    agents = realm.agents
    stays = jnp.arange(agents.alive.size) != slot
    agents = agents.replace(alive=agents.alive & stays, uid=jnp.where(stays, agents.uid, NO_UID))
    return realm.replace(agents=agents)


def advance(
    env: Environment, players: Players, keys: Keys, realms: Realm, core: Any, rules: Rules | None = None
) -> tuple[Realm, Any, Bool[Array, "R N"], Info]:
    """One tick of R realms with keys of their own: the realms, what agents remember, who was terminated, and more.

    Args:
      rules: to play by, each with a realm axis or without; None: those of the environment. A trained policy that reads
        rules is told those of the environment.
    """
    rules, axes = _per_row(env, rules, realms.tick.size)
    obs = jax.vmap(env.observe, (0, axes))(realms, rules)
    action, core = players.act(players.params, jax.vmap(fold_in)(keys.policy, realms.tick), obs, realms, core)
    _, after, _, terminated, _, info = jax.vmap(env.step, (0, 0, 0, axes))(keys.world, realms, action, rules)
    return after, core, terminated, info


def run_on(
    env: Environment,
    players: Players,
    branches: Realm,
    keys: Keys,
    ticks: int,
    core: Any = None,
    rules: Rules | None = None,
) -> Outcomes:
    """Runs B branches of one realm on in F futures, ``[F, B, ...]`` side by side; pure.

    Args:
      players: what the agents do.
      branches: ``[B, ...]``; branch 0 is what the others are compared with.
      keys: of the futures, ``[F]``.
      core: what agents remember, ``[B, N, ...]``; None: they have seen nothing yet.
      rules: each with an axis of branches, ``[B]``, or without; None: those of the environment.

    Raises:
      ValueError: rules that are out of range, or of other shapes.
    """
    number, many = branches.tick.size, keys.world.size
    core = players.initial(number) if core is None else core
    rules, axes = _per_row(env, rules, number)

    def every(tree: Any) -> Any:  # [B, ...] for each future
        return jax.tree.map(lambda leaf: leaf.reshape(many * number, *leaf.shape[2:]), fork(tree, many))

    along = axes.named()
    leaves = {name: leaf if along[name] is None else every(leaf) for name, leaf in rules.named().items()}
    rules = Rules.from_named(leaves)
    rows = Keys(*(jnp.broadcast_to(key[:, None], (many, number)).reshape(-1) for key in keys))
    realms = every(branches)
    born, here = realms.agents.uid, realms.agents.alive
    nothing = jnp.zeros(born.shape, jnp.int32)

    def tick(carry, elapsed):
        before, core, here, out = carry
        after, core, terminated, info = advance(env, players, rows, before, core, rules)
        still = here & after.agents.alive & (after.agents.uid == born)
        told = info.outcome

        def count(amount):
            return jnp.where(here, amount, 0)

        out = Outcomes(
            lived=out.lived + count(~terminated),
            food=out.food + count(told.forage + told.food_gained),
            water=out.water + count(told.drink + told.water_gained),
            damage=out.damage + count(told.damage_taken),
            health=jnp.where(still, after.agents.health, 0).astype(jnp.int32),
            changed=jnp.where(
                (out.changed == NEVER) & _differs(after, still, number, branches.agents.alive[0]), elapsed, out.changed
            ),
        )
        return (after, core, still, out), None

    out = Outcomes(nothing, nothing, nothing, nothing, nothing, nothing + NEVER)
    (_, _, _, out), _ = jax.lax.scan(tick, (realms, every(core), here, out), jnp.arange(1, ticks + 1, dtype=jnp.int32))
    return jax.tree.map(lambda leaf: leaf.reshape(many, number, -1), out)


def runner(env: Environment, players: Players, ticks: int, many: int) -> Callable[..., Outcomes]:
    """``run_on`` as one compiled program, ``run(branches, keys, core, rules) -> Outcomes``, with the futures shared out
    over devices.

    Args:
      many: futures, F.
    """
    devices = max(d for d in range(1, len(jax.devices()) + 1) if many % d == 0)
    mesh = jax.make_mesh((devices,), (_AXIS,), (AxisType.Auto,), devices=jax.devices()[:devices])

    def run(params, branches, keys, core, rules):
        return run_on(env, players._replace(params=params), branches, keys, ticks, core, rules)

    shared, split = PartitionSpec(), PartitionSpec(_AXIS)
    specs = (shared, shared, split, shared, shared)
    program = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False))
    return lambda branches, keys, core, rules: program(players.params, branches, keys, core, rules)


def remove_each(
    run: Callable[..., Outcomes],
    realm: Realm,
    keys: Keys,
    core: Any,
    rules: Rules,
    batch: int = 32,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> dict[str, np.ndarray]:
    """What becomes of the others without each of the U living agents, in order of uid.

    Args:
      run: of ``runner``.
      realm: at the fork.
      keys: of F futures.
      core: what agents remember, ``[N, ...]``.
      batch: removals per call; the same for all calls, so that there is one program.
      on_progress: called after each call with the share that is done.

    Returns:
      ``uid``, ``population``, ``row``, ``col``, ``[U]``; and by the names of ``Outcomes`` ``[F, 1 + U, U]``: of branch
      0, in which nobody is removed, and of those without each of the agents.
    """
    agents = jax.device_get(realm.agents)
    living = np.flatnonzero(agents.alive)
    living = living[np.argsort(agents.uid[living])]
    parts = []
    for start in range(0, max(1, living.size), batch):
        slots = np.full(1 + batch, -1)
        some = living[start : start + batch]
        slots[1 : 1 + some.size] = some
        branches = jax.vmap(remove_agent, (None, 0))(realm, jnp.asarray(slots))
        lives = jax.device_get(run(branches, keys, fork(core, 1 + batch), rules))
        first = 0 if start == 0 else 1  # branch 0 is the same in every call
        parts.append(jax.tree.map(lambda leaf, rows=slice(first, 1 + some.size): leaf[:, rows][..., living], lives))
        on_progress(min(1.0, (start + batch) / max(1, living.size)))
    found = jax.tree.map(lambda *some: np.concatenate(some, axis=1), *parts)._asdict()
    return {**{name: getattr(agents, name)[living] for name in ("uid", "population", "row", "col")}, **found}


def instead(one: Players, other: Players) -> Players:
    """Players of whom the first play the branches 0, 2, 4 ..., the others 1, 3, 5 ...; all remember, in a pair."""

    def act(params, keys, obs, realm, cores, rules=None):
        each = zip((one, other), params, cores, strict=True)
        (first, own), (second, new) = (who.act(weights, keys, obs, realm, core, rules) for who, weights, core in each)
        odd = jnp.arange(realm.tick.size)[:, None] % 2 == 1
        return jax.tree.map(lambda a, b: jnp.where(odd, b, a), first, second), (own, new)

    return Players(act, (one.params, other.params), lambda realms: (one.initial(realms), other.initial(realms)))


def reach(config: Config, rules: Rules, ticks: int) -> int:
    """How far apart two agents are at the fork, at most, of whom one can have changed the other after so many ticks.

    In tiles, the larger of rows and columns; for policies that know no more than their agent's window, without births
    and systems. In a tick a difference is seen by those up to a window's radius away; who acts otherwise moves by 1
    tile, or hits one who is as far from it as its attacks reach; and the other may have come 1 tile nearer.
    """
    attack = min(int(np.max(np.asarray(rules.attack_range))), config.radius) if np.any(rules.attacks_enabled) else 0
    return ticks * (config.radius + attack + 2)


def _differs(realms: Realm, still: Bool[Array, "FB N"], number: int, real: Bool[Array, "N"]) -> Bool[Array, "FB N"]:
    """Which of the agents of the fork are not as in branch 0 of their future."""

    def other(column):
        each = column.reshape(-1, number, column.shape[-1])
        return (each != each[:, :1]).reshape(column.shape)

    columns = [getattr(realms.agents, name) for name in _STATE]
    own = [column for state in realms.of.values() for column in state.values() if not isinstance(column, dict)]
    columns += [column for column in own if column.ndim == still.ndim]  # of agents, not of tiles
    unlike = other(still)
    for column in columns:
        unlike |= other(jnp.where(still, column, 0))
    return unlike & real


def _per_row(env: Environment, rules: Rules | None, number: int) -> tuple[Rules, Rules]:
    """Rules as arrays, and which of them have an axis of realms or branches in front."""
    rules = as_rules(env.rules if rules is None else rules, env.config, batched=True)
    leaves = rules.named()
    axes = {name: 0 if leaf.ndim > rule_ndim(name) else None for name, leaf in leaves.items()}
    for name, axis in axes.items():
        shape = leaves[name].shape
        if axis == 0 and shape[0] != number:
            raise ValueError(f"rules.{name}: shape {shape}: an axis in front must have {number} entries")
    return rules, Rules.from_named(axes)
