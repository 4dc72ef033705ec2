"""What trained policies give for the agents of a realm, values and probabilities, and for probes that nobody sees.

A probe stands in a slot beyond those of the world and is observed as agents in their last tick are: it sees the world
and itself, and nobody sees it.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32

from nmmo_jax.components import Agents, Realm, State, empty_probes, own_columns, put_columns
from nmmo_jax.config import Config
from nmmo_jax.declarations import STATS
from nmmo_jax.environment import Environment
from nmmo_jax.kinds import is_walkable
from nmmo_jax.observations import Observation, observe
from nmmo_jax.play.players import Load, groups, scripted_only
from nmmo_jax.policies.workers import SCRIPTS
from nmmo_jax.rules import Rules
from nmmo_jax.systems.lifecycle import newborn_columns

PROBES = 8_192  # per call
_NEAR = 64  # agents that a window is taken to hold at most, where another is added to it


class PolicyOutputs(NamedTuple):
    """Of all agents of a realm; rows of agents that are not trained mean nothing."""

    trained: Bool[np.ndarray, "N"]
    value: Float32[np.ndarray, "N"]
    probabilities: dict[str, Float32[np.ndarray, "N ..."]]  # in the shapes of the masks
    obs: Observation  # of NumPy arrays, without realm axis


class TrainedPolicies:
    """The trained policies of a world's populations: population p has that of name p modulo their number.

    Args:
      load: trained ones, as of ``players``.

    Attributes:
      trained: names of those that are trained, each once.
    """

    def __init__(self, env: Environment, names: Sequence[str], load: Load = scripted_only):
        self.env, self.names, self._load = env, tuple(names), load
        self.trained = [name for name in dict.fromkeys(names) if name not in SCRIPTS]
        self._policies = [load(name, env) for name in self.trained]
        self._compiled = jax.jit(self._forward)

    def is_trained(self, population: int) -> bool:
        """Whether that population is trained."""
        return self._name(population) in self.trained

    def forward(self, realm: Realm, cores: Any = None) -> PolicyOutputs:
        """The values and probabilities of the agents of a realm.

        Args:
          cores: what they remember, as ``Players.act`` returns it; None: nothing.
        """
        if cores is None:
            cores = [policy.initial(1) for policy in self._policies]
        else:  # one for each group
            alike = groups(dict(zip(self.trained, self._policies, strict=True)), self.env.config.num_populations)
            cores = [cores[list(dict.fromkeys(alike.values())).index(alike[name])] for name in self.trained]
        value, probabilities, obs = jax.device_get(
            self._compiled([policy.params for policy in self._policies], realm, self.env.rules, cores)
        )
        trained = np.array([self.is_trained(p) for p in range(self.env.config.num_populations)])
        return PolicyOutputs(trained[np.asarray(realm.agents.population)], value, probabilities, obs)

    def _forward(self, params: Any, realm: Realm, rules: Rules, cores: Any) -> Any:
        config, one = self.env.config, jax.tree.map(lambda leaf: leaf[None], realm)
        obs = observe(realm, rules, config)
        many = jax.tree.map(lambda leaf: leaf[None], obs)
        value = jnp.zeros((1, config.num_agents), jnp.float32)
        probabilities = jax.tree.map(lambda mask: jnp.zeros(mask.shape, jnp.float32), many.mask)
        which = jnp.array([self.trained.index(name) if name in self.trained else -1 for name in self.names], jnp.int32)
        which = which[realm.agents.population % len(self.names)]
        for index, (policy, own, core) in enumerate(zip(self._policies, params, cores, strict=True)):
            new_value, new_probabilities = policy.judge(own, many, one, core, rules)
            mine = which == index
            value = jnp.where(mine, new_value, value)
            probabilities = jax.tree.map(
                lambda new, old, mine=mine: jnp.where(mine.reshape(1, -1, *[1] * (new.ndim - 2)), new, old),
                new_probabilities,
                probabilities,
            )
        return value[0], jax.tree.map(lambda leaf: leaf[0], probabilities), obs

    def tile_values(
        self, realm: Realm, population: int, row: Int32[np.ndarray, "K"], col: Int32[np.ndarray, "K"]
    ) -> Float32[np.ndarray, "K"]:
        """What a newborn of a population would expect if it stood on these tiles, each by itself."""
        policy, params = self._one(population, PROBES)
        values = []
        for start in range(0, len(row), PROBES):
            some = [np.resize(axis[start : start + PROBES], PROBES) for axis in (row, col)]
            values.append(
                np.asarray(_tile_values(self._probing, policy, params, realm, self.env.rules, population, *some))
            )
        return np.concatenate([*values, np.zeros(0, np.float32)])[: len(row)]

    def dependency(self, realm: Realm, slot: int) -> Float32[np.ndarray, "W W"]:
        """How much more an agent expects with another beside it, by where that one stands in its window; NaN where
        nobody can stand. The other is a copy of the agent, of the next population. Only the nearest agents are there,
        in other slots than in the realm: a column of a system that holds slots points at others.
        """
        population = int(realm.agents.population[slot])
        policy, params = self._one(population, self.env.config.view**2 + 1)
        return np.asarray(_dependency(self._crowded, policy, params, realm, self.env.rules, slot))

    @functools.cached_property
    def _probing(self) -> Config:
        return _wider(self.env.config, self.env.config.num_agents + PROBES)

    @functools.cached_property
    def _crowded(self) -> Config:
        return _wider(self.env.config, min(self.env.config.num_agents, _NEAR) + 1)

    def _name(self, population: int) -> str:
        return self.names[population % len(self.names)]

    def _one(self, population: int, number: int) -> tuple[Any, Any]:
        """The policy of one population for so many agents of it, and its parameters."""
        policy = self._policies[self.trained.index(self._name(population))]
        params = jax.tree.map(lambda leaf: leaf[population % len(leaf)][None], policy.params)
        return self._of_one(self._name(population), number), params

    @functools.cache  # noqa: B019 - as many as there are names, for as long as there is the world
    def _of_one(self, name: str, number: int) -> "_StaticPolicy":
        config = dataclasses.replace(_wider(self.env.config, number), num_populations=1, layout="blocks")
        return _StaticPolicy(self._load(name, Environment(config)))


class _StaticPolicy:
    """A policy that can be an argument of a compiled function: itself is its hash."""

    def __init__(self, policy: Any):
        self.policy = policy

    def value(
        self, params: Any, obs: Observation, agents: tuple[Agents, State], realm: Realm, rules: Rules
    ) -> Float32[Array, "K"]:
        """What agents of one population expect."""
        realm = _with(realm, agents).replace(probes=empty_probes(self.policy.config))
        obs, realm = jax.tree.map(lambda leaf: leaf[None], (obs, realm))
        return self.policy.judge(params, obs, realm, self.policy.initial(1), rules)[0][0]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _tile_values(
    config: Config, policy: _StaticPolicy, params: Any, realm: Realm, rules: Rules, population: Any, row: Any, col: Any
) -> Float32[Array, "K"]:
    zero = jnp.zeros_like(row)
    start = {name: zero + getattr(rules, f"start_{name}") for name in STATS}
    newborn = {"alive": zero > 0, "uid": zero, "population": zero + population, "row": row, "col": col}
    given = newborn_columns(rules, config)
    own = {
        system.name: {
            one.name: jnp.broadcast_to(given[system.name][one.name], (*one.shape, *zero.shape)) for one in system.agents
        }
        for system in config.systems
        if system.agents
    }
    probes = Agents(**newborn, **start, freeze=zero, age=zero, damage=zero - 1), own
    agents = _joined((realm.agents, own_columns(realm.of, realm.tiles)), probes)
    leaving = jnp.arange(agents[0].alive.size) >= realm.agents.alive.size
    obs = observe(_with(realm, agents), rules, config, leaving)
    number = realm.agents.alive.size
    own, probes = jax.tree.map(lambda leaf: leaf[number:], obs), jax.tree.map(lambda leaf: leaf[..., number:], agents)
    return policy.value(params, own, probes, realm, rules)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _dependency(
    config: Config, policy: _StaticPolicy, params: Any, realm: Realm, rules: Rules, slot: Any
) -> Float32[Array, "W W"]:
    agents, radius = realm.agents, config.radius
    row, col = agents.row.astype(jnp.int32), agents.col.astype(jnp.int32)
    far = jnp.maximum(jnp.abs(row - row[slot]), jnp.abs(col - col[slot]))
    far = jnp.where(agents.alive, far, 2**20).at[slot].set(-1)
    near = jnp.sort(jnp.argsort(far)[: config.num_agents - 1])  # in the order of slots, as agents list each other
    mine = jnp.argmax(near == slot)
    columns = own_columns(realm.of, realm.tiles)
    around = jax.tree.map(lambda leaf: leaf[..., near], (agents, columns))
    other, own = jax.tree.map(lambda leaf: leaf[..., slot][..., None], (agents, columns))
    population = (agents.population[slot] + 1) % jnp.maximum(1, config.num_populations)
    offset = jnp.arange(config.view) - radius
    there = jnp.stack(jnp.meshgrid(row[slot] + offset, col[slot] + offset, indexing="ij"), axis=-1).reshape(-1, 2)

    def seen(place, alive):
        new = other.replace(alive=alive[None], row=place[:1], col=place[1:], population=population[None])
        joined = _joined(around, (new, own))
        obs = observe(_with(realm, joined), rules, config)
        return jax.tree.map(lambda leaf: leaf[mine], obs), jax.tree.map(lambda leaf: leaf[..., mine], joined)

    places = jnp.concatenate([jnp.zeros((1, 2), there.dtype), there])
    obs, agents = jax.vmap(seen, out_axes=(0, -1))(places, jnp.arange(len(places)) > 0)
    value = policy.value(params, obs, agents, realm, rules)
    limit = jnp.array(realm.tiles.material.shape)
    inside = ((there >= 0) & (there < limit)).all(axis=-1)
    stands = inside & is_walkable(realm.tiles.material[tuple(jnp.clip(there, 0, limit - 1).T)], config.walkable)
    return jnp.where(stands, value[1:] - value[0], jnp.nan).reshape(config.view, config.view)


def _with(realm: Realm, agents: tuple[Agents, State]) -> Realm:
    """A realm with other agents, and what systems keep of them."""
    return realm.replace(agents=agents[0], of=put_columns(realm.of, agents[1]))


def _joined(agents: Any, others: Any) -> Any:
    return jax.tree.map(lambda one, two: jnp.concatenate([one, two.astype(one.dtype)], axis=-1), agents, others)


def _wider(config: Config, number: int) -> Config:
    """The same world for another number of agents, without what happens only in steps."""
    off = {"visits": False, "events": 0, "ledger": False, "max_lifetime": None, "horizon": None, "reproduction": False}
    return dataclasses.replace(config, num_agents=number, layout="free", **off)
