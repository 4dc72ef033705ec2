"""Role-playing realms and their twins in the plain reference, played side by side, and where the two differ."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from mmo_reference import MmoRealm
from mmo_reference_parts import Item, Monster
from mmo_worlds import HARVESTED, hostile
from reference_parts import Draws, Rules, Settings

from nmmo_jax.config import Config
from nmmo_jax.draws import draw, fold_in, waiting_time, words
from nmmo_jax.environment import transition
from nmmo_jax.observations import Observation, observe
from nmmo_jax.rules import RULE_FIELDS

MOST_CHANCE = 256  # uids and indices below this have chance here


def twin_of(config: Config, rules, realm) -> MmoRealm:
    """The plain realm in the same state."""
    names = {field.name for field in dataclasses.fields(Settings)}
    settings = Settings(**{k: v for k, v in vars(config).items() if k in names})
    plain = {name: np.asarray(getattr(rules, name)).tolist() for name in RULE_FIELDS}
    own = {name: np.asarray(value).item() for name, value in rules.named().items() if "." in name}
    known = [system.name for system in config.systems]
    realm = jax.device_get(realm)
    places = realm.of["monsters"]["monsters"]["alive"].size if "monsters" in known else 0
    material = np.asarray(realm.tiles.material)
    twin = MmoRealm(settings, Rules(**plain), material, known, own, config.material_names, config.border, places)
    twin.ready_tick, twin.tick = np.array(realm.tiles.ready_tick, np.int64), int(realm.tick)
    agents = realm.agents
    for slot in np.flatnonzero(agents.alive):
        stats = {name: getattr(agents, name)[slot] for name in ("health", "food", "water", "freeze", "age", "damage")}
        place = (agents.population[slot], agents.row[slot], agents.col[slot], agents.uid[slot])
        agent = twin.place(int(slot), *place, **stats)
        if "skills" in known:
            mine = {name: values[..., slot] for name, values in realm.of["skills"].items()}
            agent.experience, agent.level = mine["experience"].tolist(), mine["level"].tolist()
            agent.skill_offence, agent.skill_defence = mine["offence"].tolist(), int(mine["defence"])
            agent.stance, agent.combat_level = int(mine["stance"]), int(mine["combat_level"])
        if "items" in known:
            mine = {name: values[..., slot] for name, values in realm.of["items"].items()}
            rows = zip(*(mine[name].tolist() for name in ("kind", "level", "quantity", "worn")), strict=True)
            agent.pack = [Item(*row) if row[0] else None for row in rows]
            agent.gold, agent.last_busy = int(mine["gold"]), twin.tick + int(mine["busy"]) - 1
            agent.item_offence, agent.item_defence = mine["offence"].tolist(), int(mine["defence"])
    twin.next_uid = int(realm.next_uid)
    if "monsters" in known:
        table = realm.of["monsters"]["monsters"]
        for row in np.flatnonzero(table["alive"]):
            numbers = [int(table[name][row]) for name in ("row", "col", "kind", "level", "health", "style")]
            twin.monsters.append(
                Monster(int(row), *numbers, *(int(table[n][row]) for n in ("foe_uid", "foe", "memory")))
            )
    return twin


# ---------------------------------------------------------------------------------------------------- a tick


@jax.jit
def _words(data, high, low):
    return jnp.stack(words(jax.random.wrap_key_data(data, impl="threefry2x32"), high, low), axis=-1)


_wait = jax.jit(waiting_time)


class TickChance:
    """The simulator's own words of one tick."""

    def __init__(self, draws):
        self.keys, self.known = draws.of, {}

    def _word(self, unit: str, first: int, index: int, counter: int) -> tuple[int, int]:
        if (unit, first, counter) not in self.known:
            high = (np.arange(MOST_CHANCE, dtype=np.uint64) + first).astype(np.uint32)
            low = np.full(MOST_CHANCE, counter, np.uint32)
            self.known[unit, first, counter] = np.asarray(_words(self.keys[unit], high, low)).tolist()
        return tuple(self.known[unit, first, counter][index])

    def words(self, unit: str, uid: int, counter: int) -> tuple[int, int]:
        return self._word(unit, 0, uid, counter)

    def words_of(self, unit: str, index: int, counter: int) -> tuple[int, int]:
        return self._word(unit, 2**31, index, counter)

    def waiting_time(self, word: int, probability: float) -> int:
        return int(_wait(np.uint32(word), np.float32(probability)))


def _play(key, realm, action, rules, config):
    draws = draw(fold_in(key, realm.tick), realm, rules, config)
    realm, _, terminated, truncated, info = transition(realm, action, draws, rules, config)
    leaving = truncated if config.max_lifetime is not None else None
    return draws, realm, terminated, info.cause, observe(realm, rules, config, leaving)


play = jax.jit(_play, static_argnames="config")
look = jax.jit(observe, static_argnames="config")


def both(key, realm, twin: MmoRealm, rng, obs: Observation, rules, config: Config):
    """One tick of the realm and of its twin, by the same senseless action."""
    action = hostile(rng, obs, config)
    draws, realm, terminated, cause, obs = jax.device_get(play(key, realm, action, rules, config))
    named = {name: np.asarray(choice).tolist() for name, choice in action.named().items()}
    outcome = twin.step(named, Draws(draws.regrowth.tolist(), draws.spawn.tolist()), TickChance(draws))
    return realm, obs, (terminated, cause), outcome


# -------------------------------------------------------------------------------------------- where they differ


def differences(realm, obs: Observation, twin: MmoRealm, config: Config) -> list[str]:
    """What is another in the realm than in its twin: column, agent, and both values."""
    state = twin.arrays()
    agents, alive, found = realm.agents, state["alive"], []
    if (agents.alive != alive).any():
        return [f"alive: slots {np.flatnonzero(agents.alive)}, reference {np.flatnonzero(alive)}"]

    living = alive & (state["health"] > 0)
    nobody_or_living = living | ~alive  # in sequence who was killed holds its place for a tick, and owns nothing

    def compare(name: str, got, expected, where: np.ndarray, row: str) -> None:
        got, expected = np.asarray(got), np.asarray(expected)
        if got.shape != expected.shape:
            found.append(f"{name}: shape {got.shape}, reference {expected.shape}")
            return
        for at in np.flatnonzero((got != expected).reshape(len(got), -1).any(axis=1) & where):
            who = f" (uid {state['uid'][at]})" if row == "slot" else ""
            one, other, where_in = got[at], expected[at], ""
            if one.ndim:  # of several numbers the first that differ
                index = tuple(np.argwhere(one != other)[0][: max(1, one.ndim - 1)])
                one, other, where_in = one[index], other[index], f" at {[*map(int, index)]}"
            found.append(f"{name}: {row} {at}{who}{where_in}: {one.tolist()}, reference {other.tolist()}")

    for name in (name for name in state if name != "alive"):
        compare(name, getattr(agents, name), state[name], alive, "slot")
    for name, expected in twin.columns().items():
        unit, _, column = name.partition(".")
        compare(name, realm.of[unit][column].T, expected, living, "slot")
    if "monsters" in twin.units:
        table, expected = realm.of["monsters"]["monsters"], twin.table()
        compare("monsters.alive", table["alive"], expected["alive"], np.ones(twin.places, bool), "monster")
        for name in (name for name in expected if name != "alive"):
            compare(f"monsters.{name}", table[name], expected[name], expected["alive"], "monster")
    ready = np.isin(
        twin.material, [config.material_names.index(name) for name in ("forest", *HARVESTED) if name in twin.names]
    )
    got = np.where(ready, realm.tiles.ready_tick, 0)
    compare("ready_tick", got, np.where(ready, twin.ready_tick, 0), np.ones(len(got), bool), "row")
    everybody = np.ones(config.num_agents, bool)
    seen = twin.observe()
    for name in ("tiles", "self", "visible", "visible_slot"):
        compare(f"obs.{name}", getattr(obs, name), seen[name], everybody, "slot")
    masks = {name: seen[name] for name in ("move", "style", "target")} | twin.own_masks()
    parts = {"mask": (obs.mask, masks), "of": (obs.of, twin.shown()), "rows": (obs.rows, twin.listed())}
    for part, (got, expected) in parts.items():
        if got.keys() != expected.keys():
            found.append(f"obs.{part}: {sorted(got)}, reference {sorted(expected)}")
        for name in got.keys() & expected.keys():
            compare(f"obs.{part}.{name}", got[name], expected[name], nobody_or_living, "slot")
    return found


def check_same(told: str, found: list[str]) -> None:
    if found:
        raise AssertionError("\n  ".join([f"{told}: simulator, and reference:", *found[:20]]))


def check_deaths(told: str, one, outcome, config: Config) -> None:
    """Who died in the tick, and of what."""
    terminated, cause = one
    got = [config.cause_names[number] if dead else None for dead, number in zip(terminated, cause, strict=True)]
    check_same(
        told,
        [f"death of slot {s}: {a}, {b}" for s, (a, b) in enumerate(zip(got, outcome.cause, strict=True)) if a != b],
    )
