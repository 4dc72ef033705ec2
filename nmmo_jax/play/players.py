"""Who plays the populations of a command: scripted policies by name, and trained ones by the folder of their run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nmmo_jax.actions import Action, complete
from nmmo_jax.common.spelling import near
from nmmo_jax.common.text import safe
from nmmo_jax.draws import fold_in
from nmmo_jax.environment import Environment
from nmmo_jax.policies.scripted import POLICIES, offered, play

_SYSTEMS = 2**30  # of the key for what systems offer; the policies have small numbers


class Players(NamedTuple):
    """What the agents of many realms do; population p is played by policy p modulo their number.

    Attributes:
      act: ``act(params, keys, obs, realm, core) -> (Action, core)`` for realms ``[R, ...]`` and keys of the tick, one
        per realm. Pure.
      params: of the trained ones.
      initial: ``initial(realms) -> core``: what agents remember, ``[R, N, ...]``, who have seen nothing yet.
      kind: equal for players that differ in their parameters only: one program serves them all.
    """

    act: Callable[..., tuple[Action, Any]]
    params: Any
    initial: Callable[[int], Any]
    kind: Any = None


Load = Callable[[str, Environment], Any]


def scripted_only(name: str, env: Environment) -> Any:
    """A ``Load`` where there are no trained policies."""
    raise ValueError(f"policy={name}: must be {', '.join(POLICIES)}{near(name, POLICIES)}")


def players(names: tuple[str, ...], env: Environment, load: Load = scripted_only) -> Players:
    """Policies by name, at least one: those of ``POLICIES``, and trained ones.

    Args:
      load: the trained policy of any other name, for a world, as ``train.policy.load_named`` finds it.

    Raises:
      ValueError: a name that means nothing, or a trained policy that does not fit the world.
    """
    scripted = [name for name in names if name in POLICIES]
    loaded = {name: load(name, env) for name in dict.fromkeys(names) if name not in POLICIES}
    # Policies of one network act in one go, each population with its own parameters; all who are scripted, too.
    networks = {name: _network(policy) or name for name, policy in loaded.items()}
    kinds = list(dict.fromkeys(networks.values()))
    firsts = [next(policy for name, policy in loaded.items() if networks[name] == kind) for kind in kinds]
    params = [_rows([loaded[name] for name in names if networks.get(name) == kind], names, loaded) for kind in kinds]
    script = play(tuple(name if name in POLICIES else scripted[0] for name in names)) if scripted else None
    first = script is not None
    position = [kinds.index(networks[name]) + first if name in loaded else 0 for name in names]

    def choose_any(keys, obs, realm):
        any_of = jax.vmap(lambda key, obs: offered(fold_in(key, _SYSTEMS), obs, env.config))(keys, obs)
        plays = jnp.asarray([name == "random" for name in names])[realm.agents.population % len(names)]
        nothing = {one.name: one.no_choice for system in env.config.systems for one in system.arguments}
        return {name: jnp.where(plays, choice, nothing[name]) for name, choice in any_of.items()}

    def act(params, keys, obs, realm, cores):
        each = zip(firsts, params, cores, strict=True)
        told = [policy.act(own, keys, obs, realm, core) for policy, own, core in each]
        actions = [action for action, _ in told]
        if script is not None:
            actions.insert(0, jax.vmap(script)(keys, obs, realm))
            if env.config.systems and "random" in names:  # the other scripts do not know what systems offer
                actions[0] = actions[0].replace(of=choose_any(keys, obs, realm))
        which = jnp.asarray(position)[realm.agents.population % len(names)]
        actions = [complete(action, env.config) for action in actions]
        return jax.tree.map(lambda *choices: jax.lax.select_n(which, *choices), *actions), [core for _, core in told]

    scripts = tuple(name if name in POLICIES else "" for name in names)
    kind = (scripts, tuple(position), tuple((one.settings.network, one.settings.options) for one in firsts))
    return Players(act, params, lambda realms: [one.initial(realms) for one in firsts], kind)


def _network(policy: Any) -> Any:
    """What is equal for policies that can act in one go; None: none can, as its populations share their weights."""
    settings = policy.settings
    return None if settings.options.shared_weights else (settings.network, settings.options)


def _rows(policies: list[Any], names: tuple[str, ...], loaded: dict[str, Any]) -> Any:
    """Parameters of policies of one network: row p from that which population p plays, if it is one of them."""
    if len({id(policy) for policy in policies}) == 1:
        return policies[0].params
    populations = policies[0].config.num_populations
    plays = [loaded.get(names[p % len(names)]) for p in range(populations)]
    which: list[Any] = [policy if any(policy is one for one in policies) else policies[0] for policy in plays]
    trees = [jax.tree.map(lambda leaf, p=p: leaf[p], policy.params) for p, policy in enumerate(which)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """What to call policies in tables: trained ones by the folder of their run, as long as that tells them apart."""
    short = {name: name if name in POLICIES else _folder(name) for name in names}
    plain = len(set(short.values())) == len(short)
    return tuple(safe(short[name] if plain else name) for name in names)


def _folder(name: str) -> str:
    path = Path(name).resolve()
    return path.parent.name if path.name == "checkpoints" else path.name
