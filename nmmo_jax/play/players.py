"""Who plays the populations of a command: scripted policies by name, and trained ones by the folder of their run."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmo_jax.actions import Action, complete
from nmmo_jax.common.spelling import near
from nmmo_jax.common.text import safe
from nmmo_jax.draws import fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.living import Who, fold_living
from nmmo_jax.observations import Observation
from nmmo_jax.policies.scripted import BY_AGENT, POLICIES, offered, play
from nmmo_jax.policies.workers import SCRIPTS, TRADES, check_units, worker
from nmmo_jax.vectorized import Vectorized

_SYSTEMS = 2**30  # of the key for what systems offer; the policies have small numbers


class Players(NamedTuple):
    """What the agents of many realms do; population p is played by policy p modulo their number.

    Attributes:
      act: ``act(params, keys, obs, realm, core, rules=None) -> (Action, core)`` for realms ``[R, ...]`` and keys of the
        tick, one per realm. Pure. ``rules``: that policies who read them are told, where they are not the world's.
      params: of the trained ones.
      initial: ``initial(realms) -> core``: what agents remember, ``[R, N, ...]``, who have seen nothing yet.
      each: ``each(keys [K], obs [K, ...], realm) -> Action [K]`` of any agents, whose tables ``realm.agents`` are, with
        the key of its realm for each; None where a policy looks at whole realms, or remembers.
      kind: equal for players that differ in their parameters only: one program serves them all.
      seat: ``seat(seats) -> params`` with which population p is played by policy ``seats[p]``; where any can be.
    """

    act: Callable[..., tuple[Action, Any]]
    params: Any
    initial: Callable[[int], Any]
    kind: Any = None
    seat: Callable[[Sequence[int]], Any] | None = None
    each: Callable[[Any, Any, Any], Action] | None = None

    def play(self, params: Any, keys: Any, world: Vectorized, realm: Any, core: Any) -> tuple[Action, Any]:
        """``act`` on what the agents of many realms see now; where each decides by itself, of the living alone."""
        if self.each is None:
            return self.act(params, keys, world.observe(realm), realm, core)
        each, shape = self.each, realm.agents.alive.shape

        def decide(action: Action, obs: Observation, who: Who) -> Action:
            return who.put(action, each(keys[who.realm], obs, realm.replace(agents=who.of(realm.agents))))

        nothing = jnp.zeros(shape, jnp.int32)
        return fold_living(world, realm, decide, Action(nothing, nothing, nothing - 1)), core


Load = Callable[[str, Environment], Any]


def scripted_only(name: str, env: Environment) -> Any:
    """A ``Load`` where there are no trained policies."""
    raise ValueError(f"policy={name}: must be {', '.join(SCRIPTS)}{near(name, SCRIPTS)}")


def players(names: tuple[str, ...], env: Environment, load: Load = scripted_only, any_seat: bool = False) -> Players:
    """Policies by name, at least one: those of ``SCRIPTS``, and trained ones.

    Args:
      load: the trained policy of any other name, for a world, as ``train.policy.load_named`` finds it.
      any_seat: whether who plays which population is a parameter, so that one program serves however they are seated;
        what nobody plays is not computed.

    Raises:
      ValueError: a name that means nothing, or a trained policy that does not fit the world.
    """
    populations = env.config.num_populations
    loaded = {name: load(name, env) for name in dict.fromkeys(names) if name not in SCRIPTS}
    alike = groups(loaded, populations)
    check_units(names, env.config)
    scripts = [name for name in dict.fromkeys(names) if name in POLICIES]
    workers = [worker] if TRADES.keys() & set(names) else []
    networks = list(dict.fromkeys(alike.values()))
    members = [[loaded[name] for name in loaded if alike[name] == group] for group in networks]
    kinds, trades = [*scripts, *workers, *networks], list(TRADES)  # one program plays all trades
    number = len(scripts) + len(workers)

    def seat(seats: Sequence[int]) -> Any:
        playing = [names[index] for index in seats]
        which = [kinds.index(worker if one in TRADES else alike.get(one, one)) for one in playing]
        trade = np.array([trades.index(one) if one in TRADES else 0 for one in playing], np.int32)
        rows = [_rows(policies, playing, loaded) for policies in members]
        return np.array(which, np.int32), [trade, *rows] if workers else rows

    def acts(index: int, params: Any, keys: Any, obs: Any, realm: Any, rules: Any, core: Any) -> Any:
        if index >= number:
            action, core = members[index - number][0].act(params, keys, obs, realm, core, rules)
        elif kinds[index] is worker:
            trade = jnp.asarray(params)[realm.agents.population]
            action = jax.vmap(lambda trade, key, obs: worker(trade, key, obs, env.config))(trade, keys, obs)
        else:
            action = jax.vmap(play((scripts[index],)))(keys, obs, realm)
            if env.config.systems and scripts[index] == "random":  # the other scripts do not know what systems offer
                of = jax.vmap(lambda key, obs: offered(fold_in(key, _SYSTEMS), obs, env.config))(keys, obs)
                action = action.replace(of=of)
        return complete(action, env.config), core

    def idles(like: Callable[..., Any], core: Any) -> Any:
        return jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), jax.eval_shape(like, core)[0]), core

    def act(params, keys, obs, realm, cores, rules=None):
        which, rows = params if any_seat else (fixed, params)
        which, told = jnp.asarray(which), []
        rows, cores = [*[()] * len(scripts), *rows], [*[()] * number, *cores]
        for index, (own, core) in enumerate(zip(rows, cores, strict=True)):
            some = functools.partial(acts, index, own, keys, obs, realm, rules)
            none = functools.partial(idles, some)
            told.append(jax.lax.cond((which == index).any(), some, none, core) if any_seat else some(core))
        plays = which[realm.agents.population]
        action = jax.tree.map(lambda *choices: jax.lax.select_n(plays, *choices), *(action for action, _ in told))
        return action, [core for _, core in told[number:]]

    def initial(realms: int) -> Any:
        return [policies[0].initial(realms) for policies in members]

    fixed, params = seat([population % len(names) for population in range(populations)])
    kind = (*scripts, *workers, *(policies[0].kind for policies in members))
    if any_seat:
        return Players(act, (fixed, params), initial, kind, seat)
    each = play(names) if BY_AGENT.issuperset(names) and not env.config.systems else None
    return Players(act, params, initial, (kind, *fixed.tolist()), each=each)


def groups(policies: Mapping[str, Any], populations: int) -> dict[str, Any]:
    """Of trained policies what is equal for those that act in one go, with one core: all that differ in their
    parameters only. Each population has its own; a policy whose populations share their weights acts by itself.
    """

    def own(policy: Any) -> bool:
        return all(len(leaf) == populations for leaf in jax.tree.leaves(policy.params))

    return {name: policy.kind if own(policy) else name for name, policy in policies.items()}


def _rows(policies: list[Any], playing: Sequence[str], loaded: dict[str, Any]) -> Any:
    """Parameters of policies of one group: row p from that which population p plays, if it is one of them."""
    if len(policies) == 1:
        return policies[0].params
    plays = [loaded.get(name) for name in playing]
    which: list[Any] = [policy if any(policy is one for one in policies) else policies[0] for policy in plays]
    trees = [jax.tree.map(lambda leaf, p=p: leaf[p], policy.params) for p, policy in enumerate(which)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """What to call policies in tables: trained ones by the folder of their run, as long as that tells them apart."""
    short = {name: name if name in SCRIPTS else _folder(name) for name in names}
    plain = len(set(short.values())) == len(short)
    return tuple(safe(short[name] if plain else name) for name in names)


def _folder(name: str) -> str:
    path = Path(name).resolve()
    return path.parent.name if path.name == "checkpoints" else path.name
