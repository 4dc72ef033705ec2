"""The environment of one realm, and the schedule: the order of the systems in a tick."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float32, Int32

from nmmo_jax.actions import Action, Orders, as_orders
from nmmo_jax.bits import order
from nmmo_jax.common.apart import apart
from nmmo_jax.components import (
    NEVER,
    Births,
    Draws,
    Outcome,
    Realm,
    Tiles,
    check_realm,
    empty_agents,
    empty_outcome,
    empty_probes,
    empty_state,
)
from nmmo_jax.config import Config
from nmmo_jax.draws import Stream, as_key, birth_words, coin, draw, fold_in
from nmmo_jax.events import Events, collect_events
from nmmo_jax.ledger import Ledger, account
from nmmo_jax.neighbours import MOST_IN_PAIRS
from nmmo_jax.observations import ArraySpec, Observation, observation_spec, observe
from nmmo_jax.presets import preset
from nmmo_jax.rules import Rules, as_rules, rule_values
from nmmo_jax.systems.combat import aim, strike
from nmmo_jax.systems.lifecycle import Newborn, cull, give_birth, plan_births
from nmmo_jax.systems.movement import movement
from nmmo_jax.systems.phases import run_phases
from nmmo_jax.systems.reproduction import reproduce
from nmmo_jax.systems.vitals import vitals
from nmmo_jax.values import check_int, is_traced
from nmmo_jax.world.terrain import generate
from nmmo_jax.world.tiles import check_map, check_spawns, make_tiles

_MANY = "vectorize plays many realms, with one key too"


class Info(flax.struct.PyTreeNode):
    """What else a step tells. Arrays ``[N]`` speak of who held the slot before the step."""

    acted: Bool[Array, "N"]  # living agents that acted: what throughput counts
    uid: Int32[Array, "N"]
    population: Int32[Array, "N"]  # -1: the slot was empty
    age: Int32[Array, "N"]  # completed vitals; of who left: the age at which it left
    cause: Int32[Array, "N"]  # Cause, for the terminated; 0 otherwise
    outcome: Outcome
    births: Births
    horizon: Bool[Array, ""]  # the realm has reached Config.horizon
    events: Events | None = None
    ledger: Ledger | None = None
    final_observation: Observation | None = None  # set by autoreset


def turn(
    realm: Realm,
    outcome: Outcome,
    whose: Bool[Array, "N"],
    orders: Orders,
    draws: Draws,
    rules: Rules,
    config: Config,
) -> tuple[Realm, Outcome]:
    """Vitals, then act, of the agents whose turn it is: all at once, or one."""
    realm, outcome = vitals(realm, outcome, whose, draws, rules, config)
    realm, outcome = run_phases("vitals", realm, outcome, whose, orders, draws, rules, config)
    acting = whose & outcome.acted
    targetable = realm.agents.alive
    if config.resolution == "simultaneous":
        targetable &= ~outcome.dead
    attacks = aim(realm, acting, targetable, orders.style, orders.target, rules)
    realm = movement(realm, acting, orders.move, config)
    realm, outcome = run_phases("move", realm, outcome, whose, orders, draws, rules, config)
    realm, outcome = strike(realm, outcome, attacks, orders.style, orders.target, draws, rules, config)
    return run_phases("act", realm, outcome, whose, orders, draws, rules, config)


def in_sequence(
    realm: Realm, outcome: Outcome, orders: Orders, draws: Draws, rules: Rules, config: Config
) -> tuple[Realm, Outcome]:
    """The turns of all agents one after another, oldest first."""
    agents = realm.agents
    present = agents.alive
    oldest_first = order(jnp.where(present, agents.uid, NEVER))
    slots = jnp.arange(config.num_agents, dtype=jnp.int32)

    def one(k, carry):
        realm, outcome = carry
        return turn(realm, outcome, (slots == oldest_first[k]) & present, orders, draws, rules, config)

    return jax.lax.fori_loop(0, present.sum(dtype=jnp.int32), one, (realm, outcome))


def transition(
    realm: Realm, action: Action, draws: Draws, rules: Rules, config: Config, newborn: Newborn | None = None
) -> tuple[Realm, Float32[Array, "N"], Bool[Array, "N"], Bool[Array, "N"], Info]:
    """One tick, given all its chance: the schedule of the systems.

    Args:
      newborn: as in ``Environment``.

    Returns:
      realm, reward, terminated, truncated, info; the last four belong to who held the slot before.
    """
    check_realm(realm, config)
    rules = as_rules(rules, config)
    before = realm
    orders = apart(as_orders(apart(action), config))
    outcome = empty_outcome(config)
    if config.resolution == "simultaneous":
        realm, outcome = turn(realm, outcome, realm.agents.alive, orders, draws, rules, config)
    else:
        realm, outcome = in_sequence(realm, outcome, orders, draws, rules, config)
    realm, outcome = run_phases("settle", realm, outcome, None, orders, draws, rules, config)
    played = realm
    realm, terminated, truncated = cull(realm, outcome, config)
    offspring = None
    if config.reproduction:
        realm, offspring = reproduce(realm, realm.agents.alive | truncated, draws.reproduction, rules, config)
    passed = coin(draws.spawn[:, 0], rules.spawn_rate)
    births = plan_births(realm, realm.agents.alive | truncated, passed, draws.spawn, rules, config, newborn)
    realm = give_birth(realm, births, rules, config)
    if offspring is not None:
        births = jax.tree.map(lambda *rows: jnp.concatenate(rows), offspring, births)
    realm, _ = run_phases("end", realm, None, None, orders, draws, rules, config)
    realm = realm.replace(tick=realm.tick + 1)

    owned = before.agents.alive
    if config.reward == "survival":
        reward = (owned & ~terminated).astype(jnp.float32)
    else:
        reward = jnp.where(terminated, -1.0, 0.0).astype(jnp.float32)
    info = Info(
        acted=outcome.acted,
        uid=before.agents.uid,
        population=jnp.where(owned, before.agents.population, -1).astype(jnp.int32),
        age=jnp.where(owned, played.agents.age, 0),
        cause=jnp.where(terminated, outcome.cause, 0),
        outcome=outcome,
        births=births,
        horizon=jnp.asarray(False) if config.horizon is None else realm.tick >= config.horizon,
    )
    if config.events:
        info = info.replace(events=collect_events(before, played, outcome, terminated, truncated, births, config))
    if config.ledger:
        leaves = terminated | truncated
        info = info.replace(ledger=account(before, played, outcome, leaves, births, rules, config))
    return realm, reward, terminated, truncated, info


class Environment:
    """One persistent world as pure functions; nothing is kept between calls but what it was made with.

    Attributes:
      config: capacities, sizes and switches.
      rules: numbers to play by where a call is not given others.
      newborn: ``newborn(word, room, realm) -> population``, which population one born on the spawn ring joins; pure.
        ``word`` is raw chance, uint32; ``room`` Bool[P], which populations have room (layout ``free``: all, or none);
        ``realm``, as it is after cull, without those born on the ring in this tick. The result, an integer scalar, must
        be one of those with room: otherwise nobody is born in that attempt, and the next goes on. None: each of those
        with room is as likely.

    >>> env = Environment(Config(num_agents=16, num_populations=2))
    >>> obs, realm = env.reset(jax.random.key(0))
    >>> obs, realm, reward, terminated, truncated, info = env.step(jax.random.key(1), realm, Action())
    """

    def __init__(self, config: Config | None = None, rules: Rules | None = None, newborn: Newborn | None = None):
        if newborn is not None and not callable(newborn):
            raise ValueError(f"newborn={newborn!r}: must be a function of (word, room, realm), or None")
        self.config = Config() if config is None else config
        if not isinstance(self.config, Config):
            raise ValueError(f"config={config!r}: must be a Config")
        self.rules = as_rules(Rules() if rules is None else rules, self.config, batched=True)
        self.newborn = newborn

    def __eq__(self, other: object) -> bool:
        """By value, so that ``jit`` does not trace again for an equal one; ``newborn`` by equality of functions."""
        if not isinstance(other, Environment):
            return NotImplemented
        return (self.config, self.newborn, self._numbers) == (other.config, other.newborn, other._numbers)

    def __hash__(self) -> int:
        return hash((self.config, self.newborn, self._numbers))

    @functools.cached_property
    def _numbers(self) -> tuple[Any, ...]:
        return rule_values(self.rules)

    def reset(
        self,
        key: jax.Array,
        rules: Rules | None = None,
        tiles: Tiles | ArrayLike | None = None,
        initial_population: int = 0,
    ) -> tuple[Observation, Realm]:
        """A new realm at tick 0.

        Args:
          key: of the whole run; the same key may be given to ``step``.
          rules: numbers to play by; default, those of the environment.
          tiles: the map, as ``Tiles``, or as materials ``[rows, columns]`` of at most the configured size;
            default, terrain generated from the key.
          initial_population: births before the first tick, as many as the cap allows; ``spawn_rate`` is ignored.

        Raises:
          ValueError: rules or map out of range, where their values are known; more than one key.
        """
        key, config, rules = as_key(key, hint=_MANY), self.config, self._rules(rules)
        initial_population = check_int("initial_population", initial_population, 0, config.num_agents)
        if tiles is None:
            tiles = make_tiles(generate(fold_in(key, Stream.TERRAIN), config), config)
        elif not isinstance(tiles, Tiles):
            tiles = self._tiles(tiles)
        else:
            check_spawns(tiles)
        if tiles.material.shape != (config.rows, config.columns):
            raise ValueError(
                f"tiles: shape {tiles.material.shape}: must be ({config.rows}, {config.columns}), "
                "the configured rows and columns"
            )
        nobody, crowded = empty_agents(config), config.num_agents > MOST_IN_PAIRS
        own: Tiles = jax.tree.map(jnp.copy, tiles)  # who gave them keeps them, also where the realm is donated
        realm = Realm(
            tick=jnp.zeros((), jnp.int32),
            next_uid=jnp.zeros((), jnp.int32),
            tiles=own,
            # Of a constant crowd XLA would make the first observation while it compiles, which takes long.
            agents=jax.lax.optimization_barrier(nobody) if crowded else nobody,
            probes=empty_probes(config),
            of=empty_state(config),
        )
        if initial_population:
            words = birth_words(fold_in(key, Stream.INITIAL), initial_population)
            passed = jnp.ones(initial_population, bool)
            births = plan_births(realm, realm.agents.alive, passed, words, rules, config, self.newborn)
            realm = give_birth(realm, births, rules, config)
        return observe(realm, rules, config), realm

    def step(
        self, key: jax.Array, realm: Realm, action: Action, rules: Rules | None = None
    ) -> tuple[Observation, Realm, Float32[Array, "N"], Bool[Array, "N"], Bool[Array, "N"], Info]:
        """One tick. The same ``key`` serves a whole run: the tick is folded into it."""
        key, config, rules = as_key(key, hint=_MANY), self.config, self._rules(rules)
        check_realm(realm, config)
        draws = draw(fold_in(key, realm.tick), realm, rules, config)
        realm, reward, terminated, truncated, info = transition(realm, action, draws, rules, config, self.newborn)
        leaving = truncated if config.max_lifetime is not None else None
        return observe(realm, rules, config, leaving), realm, reward, terminated, truncated, info

    def observe(self, realm: Realm, rules: Rules | None = None) -> Observation:
        """What the agents of a realm see now."""
        return observe(realm, self._rules(rules), self.config)

    def observation_spec(self) -> dict[str, ArraySpec]:
        """Shape, type and bounds of each array of the observation."""
        return observation_spec(self.config)

    def _rules(self, rules: Rules | None) -> Rules:
        return as_rules(self.rules if rules is None else rules, self.config)

    def _tiles(self, material: ArrayLike) -> Tiles:
        """The tile table of a map, checked where it is known."""
        config = self.config
        array = jnp.asarray(material if is_traced(material) else check_map(material, config, "tiles"))
        if array.ndim != 2 or array.shape[0] > config.rows or array.shape[1] > config.columns:
            raise ValueError(
                f"tiles: shape {array.shape}: must be [rows, columns], at most ({config.rows}, {config.columns})"
            )
        padding = [(0, config.rows - array.shape[0]), (0, config.columns - array.shape[1])]
        return make_tiles(jnp.pad(array, padding), config, (array.shape[0], array.shape[1]))


def make(game: str, **overrides: Any) -> Environment:
    """The environment of a game, ``"law"``, ``"chaos"``, ``"mmo"`` or another (see ``preset``), with any field of
    ``Config`` or ``Rules`` by keyword.

    >>> env = make("chaos", num_agents=128, num_populations=8, regrowth_probability=0.05)

    Raises:
      ValueError: names the field, the value and what is allowed.
    """
    return Environment(*preset(game, **overrides))
