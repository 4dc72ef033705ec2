"""For tests of one's own systems: ``check_system`` plays a system hard and says in what it is not as others are.

>>> def test_poison():
...     check_system(POISON, off={"poison.damage": 0})
"""

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action, as_orders, complete, heads
from nmmo_jax.checking import check_same, exercised, senseless
from nmmo_jax.components import Outcome, Probes, Realm, empty_outcome
from nmmo_jax.config import Config
from nmmo_jax.declarations import Phase
from nmmo_jax.digest import digest
from nmmo_jax.draws import draw, fold_in
from nmmo_jax.environment import Environment, make
from nmmo_jax.ledger import sinks, sources
from nmmo_jax.observations import Observation, by_name, thing_at
from nmmo_jax.replay import Replay, next_frame
from nmmo_jax.rules import Rules, as_rules
from nmmo_jax.system import System
from nmmo_jax.systems.booking import amount
from nmmo_jax.systems.sight import look
from nmmo_jax.systems.world import World
from nmmo_jax.vectorized import vectorize

WORLD = {
    "num_agents": 12,
    "num_populations": 3,
    "rows": 24,
    "columns": 22,
    "border": 3,
    "view": 5,
    "num_visible": 6,
    "max_spawns": 3,
    "ledger": True,
    "events": 64,
}
"""The world in which a system is checked unless something else is said: small, crowded, with all probes."""


def check_system(
    system: System,
    *,
    needs: Sequence[System] = (),
    off: Mapping[str, Any] | None = None,
    reach: int | None = None,
    ticks: int = 24,
    seed: int = 0,
    **world: Any,
) -> None:
    """Plays a system with random and senseless actions; raises ``AssertionError`` with what is wrong, and when.

    Checked are: observations and masks within their spec; nothing follows from what empty slots hold, so that newborns
    are clean; the accounts of the ledger; a digest that sees every column; jit or not, one realm or many, played again
    from a recording: the same; every choice that a mask allows has its effect and no other has, of arguments that
    declare one. A warning tells what never happened: events, causes, stats that were not changed, arguments of which
    nothing could be chosen, goals that nobody saw.

    Args:
      needs: other systems that it needs.
      off: rules by which the system does nothing: played by these, the world must be as it is without the system.
      reach: in tiles; given, an agent that is removed must change nobody within a tick who is farther away.
      ticks: how many are played.
      world: fields of ``Config`` and rules beside, or in place of, those of ``WORLD``.
    """
    env = make("chaos", **{**WORLD, **world}, systems=(*needs, system))
    check = _Check(system, env, seed)
    check.play(ticks)
    check.leftovers()
    check.digests()
    check.effects()
    check.without_jit()
    check.many()
    if reach is not None:
        check.removal(reach)
    check.replays()
    if off is not None:
        plain = {name: value for name, value in {**WORLD, **world}.items() if not name.startswith(f"{system.name}.")}
        check.off(off, make("chaos", **plain, systems=tuple(needs)), ticks)


class _Check:
    def __init__(self, system: System, env: Environment, seed: int):
        self.system, self.env, self.seed, self.config = system, env, seed, env.config
        self.key = jax.random.key(seed)
        self.reset, step = _compiled(env.config)
        self.step = lambda key, realm, action, rules=env.rules: step(key, realm, action, rules)
        self.realms: list[Realm] = []  # before each tick that was played
        self.seen: list[Observation] = []
        self.actions: list[Action] = []

    def play(self, ticks: int) -> None:
        """Random play, in which every tick is looked at; warns of what never happened in it."""
        never = exercised(self.system)
        rng = np.random.default_rng(self.seed)
        obs, realm = self.reset(self.key, self.env.rules, initial_population=self.config.num_agents // 2)
        for _ in range(ticks):
            action = senseless(rng, obs, self.config)
            self.realms.append(realm)
            self.seen.append(obs)
            self.actions.append(action)
            self._observation(obs, realm)
            before = realm
            obs, realm, _, _, _, info = self.step(self.key, realm, action)
            never -= exercised(self.system, obs, info, self.config)
            if self.config.ledger:
                self._accounts(before, realm, info)
        self._observation(obs, realm)
        if never:
            told = f"not seen in {ticks} ticks: {', '.join(sorted(never))}; more ticks or other rules may show it"
            warnings.warn(self._told(told, realm), stacklevel=3)

    def _observation(self, obs: Observation, realm: Realm) -> None:
        for name, spec in self.env.observation_spec().items():
            field, _, part = name.partition(".")
            leaf = np.asarray(getattr(obs, field)[part] if part else getattr(obs, field))
            self._true(
                leaf.shape == spec.shape and leaf.dtype == spec.dtype, f"{name}: {leaf.dtype}{leaf.shape}", realm
            )
            if field == "mask":
                continue
            good = (leaf >= np.asarray(spec.low)) & (leaf <= np.asarray(spec.high))
            self._true(good.all(), f"{name}: from {leaf.min()} to {leaf.max()}: beyond its spec", realm)

    def _accounts(self, before: Realm, after: Realm, info: Any) -> None:
        ledger = info.ledger.named()
        for stat in sources(self.config):
            for population in range(self.config.num_populations):
                stands = [_total(realm, stat, population) for realm in (before, after)]
                came = sum(int(ledger[name][population]) for name in sources(self.config)[stat])
                went = sum(int(ledger[name][population]) for name in sinks(self.config)[stat])
                told = f"{stat} of population {population}: {stands[0]} + {came} - {went} is not {stands[1]}"
                self._true(stands[0] + came - went == stands[1], told, before)

    def leftovers(self) -> None:
        """Whatever empty slots hold, what follows is the same."""
        rng = np.random.default_rng(self.seed)
        for realm, action in list(zip(self.realms, self.actions, strict=True))[:: max(1, len(self.realms) // 6)]:
            one, other = (self.step(self.key, who, action) for who in (realm, self._littered(realm, rng)))
            check_same(one, other, self._told("it reads what empty slots hold", realm))

    def _littered(self, realm: Realm, rng: np.random.Generator) -> Realm:
        state = {name: dict(own) for name, own in realm.of.items()}
        own, empty = state[self.system.name], ~np.asarray(realm.agents.alive)
        for column in self.system.agents:
            values = np.array(own[column.name])
            values[..., empty] = rng.integers(*column.bounds, (*column.shape, empty.sum()), endpoint=True)
            own[column.name] = jnp.asarray(values)
        return realm.replace(of=state)

    def digests(self) -> None:
        """Every column counts in the digest, wherever something is."""
        realm = self.realms[-1]
        for name, one, other in self._unlike(realm):
            same = (np.asarray(_digest(one)) == np.asarray(_digest(other))).all()
            self._true(not same, f"{name}: is changed, and the digest is the same", realm)

    def _unlike(self, realm: Realm) -> Iterator[tuple[str, Realm, Realm]]:
        """Of every column two realms that differ in one number of it alone."""
        own = realm.of[self.system.name]

        def put(**columns: Any) -> Realm:
            return realm.replace(of={**realm.of, self.system.name: {**own, **columns}})

        def other(values: jax.Array, bounds: tuple[int, int], where: np.ndarray) -> jax.Array:
            changed = np.array(values)
            at = tuple(np.argwhere(where)[-1])
            changed[at] = bounds[0] if changed[at] == bounds[1] else changed[at] + 1
            return jnp.asarray(changed)

        alive = np.asarray(realm.agents.alive)
        places = [(column, np.broadcast_to(alive, own[column.name].shape)) for column in self.system.agents]
        places += [(column, np.ones(own[column.name].shape, bool)) for column in self.system.tiles]
        for column, where in places:
            if where.any():
                yield column.name, realm, put(**{column.name: other(own[column.name], column.bounds, where)})
        for table in self.system.tables:
            rows = {**own[table.name], "alive": jnp.ones(table.capacity, bool)}
            full, everywhere = put(**{table.name: rows}), np.ones(table.capacity, bool)
            for name, bounds in {"alive": (0, 1), **{column.name: column.bounds for column in table.columns}}.items():
                changed = {**rows, name: other(rows[name], bounds, everywhere)}
                yield f"{table.name}.{name}", full, put(**{table.name: changed})

    def effects(self) -> None:
        """What a mask allows does something, and what it forbids does not; of arguments that say how to tell."""
        some = list(zip(self.realms, self.seen, strict=True))[:: max(1, len(self.realms) // 6)]
        arguments = {one.name: one for head in heads(self.config) for one in head.arguments}
        for argument in (arguments[one.name] for one in self.system.arguments if one.effect is not None):
            for choice in (choice for choice in range(argument.size) if choice != argument.nothing):
                for realm, obs in some:
                    self._effect(argument, choice, realm, obs)

    def _effect(self, argument: Any, choice: int, realm: Realm, obs: Observation) -> None:
        n = self.config.num_agents
        chosen = thing_at(jnp.full(n, choice, jnp.int32), argument, obs, self.config)
        alone = np.ones(n, bool)
        if argument.among:  # of those who want the same thing the first: the others might lose it to each other
            things = np.asarray(chosen)
            alone = (np.arange(n) == np.unique(things, return_index=True)[1][:, None]).any(axis=0) | (things < 0)
            chosen = jnp.where(alone, chosen, -1)
        still = jnp.full(n, -1, jnp.int32)
        action = complete(Action(still, still, still, {argument.name: chosen}), self.config)
        seen, after, _, terminated, truncated, _ = self.step(self.key, realm, action)
        worlds = [
            self._world("observe", at, visible_slot=then.visible_slot, listed=then.rows)
            for at, then in ((realm, obs), (after, seen))
        ]
        did, allowed = np.asarray(argument.effect(*worlds)), np.asarray(obs.mask[argument.name][:, choice])
        lives = np.asarray(realm.agents.alive & (realm.agents.health > 0) & ~terminated & ~truncated)
        wrong = np.flatnonzero((did != allowed) & lives & alone)
        if wrong.size:
            what = "has no effect and is allowed" if allowed[wrong[0]] else "has an effect and is not allowed"
            raise AssertionError(self._told(f"choice {choice} of {argument.name}, slot {wrong[0]}: {what}", realm))

    def _world(self, point: str, realm: Realm, **known: Any) -> World:
        living = realm.agents.alive & (realm.agents.health > 0)
        return World(self.system, point, realm, self.env.rules, self.config, living, living, **known)

    def without_jit(self) -> None:
        """Its functions do the same operation by operation."""
        realm, orders = self.realms[-1], as_orders(self.actions[-1], self.config)
        draws = draw(self.key, realm, self.env.rules, self.config)
        for phase in self.system.phases:

            def run(realm: Realm, outcome: Outcome, phase: Phase = phase) -> tuple[Realm, Any]:
                late = phase.point == "end"
                known = {"outcome": None if late else outcome, "orders": orders, "draws": draws}
                after = phase.function(self._world(phase.point, realm, **known))
                return after.realm, after.outcome

            outcome = empty_outcome(self.config)
            with jax.disable_jit():
                plain = run(realm, outcome)
            check_same(
                jax.jit(run)(realm, outcome), plain, self._told(f"at {phase.point}, without jit it is another", realm)
            )

        def seen(realm: Realm) -> Any:
            alive = realm.agents.alive
            able = alive & (realm.agents.health > 0)
            slot, visible = self.seen[-1].visible_slot, by_name(self.seen[-1].visible)
            return look(realm, self.env.rules, self.config, alive, able, slot, visible)

        with jax.disable_jit():
            plain = seen(realm)
        check_same(jax.jit(seen)(realm), plain, self._told("without jit, what agents see is another", realm))

    def many(self, number: int = 2, ticks: int = 4) -> None:
        """Realms side by side are those that are played alone."""
        worlds = vectorize(self.env, number)
        step, action = jax.jit(worlds.step), self.actions[-1]
        actions = jax.tree.map(lambda one: jnp.stack([one] * number), action)
        alone = [self.realms[0], self.realms[len(self.realms) // 2]]
        together = jax.tree.map(lambda *each: jnp.stack(each), *alone)
        for _ in range(ticks):
            results = step(self.key, together, actions)
            singles = [self.step(fold_in(self.key, index), realm, action) for index, realm in enumerate(alone)]
            told = self._told("one of many realms is another than alone", together)
            for index, one in enumerate(singles):
                check_same(one, jax.tree.map(lambda leaf, i=index: leaf[i], jax.device_get(results)), told)
            together, alone = results[1], [one[1] for one in singles]

    def replays(self) -> None:
        """The realms, and the choices, of a recording are those that were played."""
        replay = Replay.begin(self.env, self.realms[0], self.key, ["nobody"] * self.config.num_populations)
        framed = jax.jit(functools.partial(next_frame, config=self.config))
        for realm, action in zip(self.realms, self.actions, strict=True):
            _, after, _, terminated, truncated, info = self.step(self.key, realm, action)
            frames = [jax.device_get(framed(realm, after, action, terminated | truncated, info))]
            replay.append(frames, after.tiles.ready_tick)
        realm = replay.realm(0).replace(probes=self.realms[0].probes)
        for index in range(len(replay)):
            action = jax.tree.map(lambda choice: jnp.asarray(choice, jnp.int32), replay.action(index))
            _, realm, *_ = self.step(self.key, realm, action)
            same = (np.asarray(_digest(realm)) == replay.frames[index + 1].digest).all()
            self._true(same, "played again from its recording, it is another", realm)
        same = (np.asarray(_digest(replay.realm(len(replay)))) == replay.frames[-1].digest).all()
        self._true(same, "the realm of a recorded frame is another", realm)

    def off(self, off: Mapping[str, Any], other: Environment, ticks: int) -> None:
        """By rules by which it does nothing, the world is as without it, on ground that both know."""
        rng, births = np.random.default_rng(self.seed), self.config.num_agents // 2
        ground = rng.choice([kind for kind in other.config.walkable if kind], (self.config.rows, self.config.columns))
        rules = as_rules(Rules.from_named({**self.env.rules.named(), **off}), self.config)
        reset, step = _compiled(other.config)
        seen, one = self.reset(self.key, rules, ground, initial_population=births)
        two = reset(self.key, other.rules, ground, initial_population=births)[1]
        known = {one.name for head in heads(other.config) for one in head.arguments}
        for _ in range(ticks):
            action = senseless(rng, seen, self.config)
            plain = {name: choice for name, choice in action.named().items() if name in known}
            results = (
                self.step(self.key, one, action, rules),
                step(self.key, two, Action.from_named(plain), other.rules),
            )
            told = self._told("by the rules of `off` the world is another than without the system", one)
            seen, one, two = results[0][0], results[0][1], results[1][1]
            bare = [realm.replace(of={}, probes=Probes()) for realm in (one, two)]
            check_same((bare[0], *results[0][2:5]), (bare[1], *results[1][2:5]), told)

    def removal(self, reach: int) -> None:
        """One agent fewer changes nobody who is far away, within a tick."""
        for realm, action in list(zip(self.realms, self.actions, strict=True))[:: max(1, len(self.realms) // 6)]:
            agents = realm.agents
            for slot in np.flatnonzero(np.asarray(agents.alive))[:3]:
                fewer = agents.replace(alive=agents.alive.at[slot].set(False), uid=agents.uid.at[slot].set(-1))
                one, other = (self.step(self.key, who, action)[1] for who in (realm, realm.replace(agents=fewer)))
                row, col = (np.asarray(place, np.int32) for place in (agents.row, agents.col))
                far = np.maximum(abs(row - row[slot]), abs(col - col[slot])) > reach
                stays = far & np.asarray(one.agents.alive & (one.agents.uid == agents.uid)) & np.asarray(agents.alive)
                own = {column.name for column in self.system.agents}
                for name in own:
                    a, b = (np.asarray(realm.of[self.system.name][name]) for realm in (one, other))
                    told = f"{name}: without the agent in slot {slot} it is another, more than {reach} tiles away"
                    self._true((a == b)[..., stays].all(), told, realm)
                for stat in ("health", "food", "water", "row", "col"):
                    a, b = (np.asarray(getattr(realm.agents, stat)) for realm in (one, other))
                    told = f"{stat}: without the agent in slot {slot} it is another, more than {reach} tiles away"
                    self._true((a == b)[stays].all(), told, realm)

    def _true(self, holds: Any, told: str, realm: Realm) -> None:
        assert holds, self._told(told, realm)

    def _told(self, what: str, realm: Realm) -> str:
        return f"system {self.system.name}, tick {np.asarray(realm.tick).flat[0]}: {what}"


_digest = jax.jit(digest)


@functools.lru_cache(maxsize=4)
def _compiled(config: Config) -> tuple[Any, Any]:
    """``reset`` and ``step`` with rules, the same for all checks in that world."""
    env = Environment(config)
    return jax.jit(env.reset, static_argnames="initial_population"), jax.jit(env.step)


def _total(realm: Realm, what: str, population: int) -> int:
    own = np.asarray(realm.agents.alive) & (np.asarray(realm.agents.population) == population)
    return int(np.asarray(amount(realm, what), np.int64)[own].sum())
