"""Policies that have been trained, ready to be played in any world that their network fits.

>>> policy = load_policy("runs/law128-20261125-120000", env=env)
>>> core = policy.initial(num_realms)
>>> action, core = policy.act(policy.params, keys, obs, realm, core)

As a program it writes the parameters of a run, and what they are of, into a small folder of their own:
``python -m train.policy RUN --out FOLDER``.
"""

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import PRNGKeyArray

from nmmo_jax.actions import Action
from nmmo_jax.common import entry
from nmmo_jax.common.program import run_program
from nmmo_jax.common.spelling import near
from nmmo_jax.common.text import safe
from nmmo_jax.components import Realm
from nmmo_jax.config import Config
from nmmo_jax.draws import as_key
from nmmo_jax.environment import Environment
from nmmo_jax.observations import Observation, check_observation, to_action
from nmmo_jax.policies.workers import SCRIPTS
from nmmo_jax.references import find_class
from nmmo_jax.rules import Rules, as_rules, rule_ndim
from train.checkpoint import Checkpoints, load_params
from train.networks import clear
from train.rollouts import from_populations, to_populations
from train.settings import Experiment, Settings, experiment_of
from train.trees import fit, pick
from train.trinity import Sword

PRETRAINED = Path(__file__).parent / "pretrained"  # a folder of checkpoints for each policy that comes with the package


class Policy(NamedTuple):
    """Populations that have learned, in a world. Can be pickled and copied; its Sword must be of a module.

    Attributes:
      config, rules: of the world that it is to be played in.
      settings: of the training.
      params: arrays ``[P, ...]``, a row for each population of the world, or one that they share.
      initial: ``initial(realms) -> core``: what agents remember, ``[R, N, ...]``, who have seen nothing yet.
      act: ``act(params, keys, obs, realm, core, rules=None) -> (Action, core)``, for realms ``[R, ...]`` and keys of
        the tick, one per realm. Pure. The newborn begin with the first core, whoever had their slot before. ``rules``:
        other than those of the world, each with a realm axis or without.
      judge: ``judge(params, obs, realm, core, rules=None) -> (value [R, N], probabilities)``: what they expect, and of
        every choice, in the shapes of ``obs.mask``. Pure.
      kind: equal for policies of one world that differ in their parameters only.
    """

    config: Config
    rules: Rules
    settings: Settings
    params: Any
    initial: Callable[[int], Any]
    act: Callable[..., tuple[Action, Any]]
    judge: Callable[..., tuple[jax.Array, dict[str, jax.Array]]]
    kind: Any = None


def load_policy(
    path: Path | str,
    step: str | int = "best",
    populations: Sequence[int] | None = None,
    *,
    env: Environment | None = None,
    sword: Callable[[Experiment], Sword] = Sword,
) -> Policy:
    """The policy of a checkpoint.

    Args:
      path: the folder of a run or of checkpoints; or, as a string, the name of one that comes with the package.
      step: "best" (the latest where none has a score), "latest" or a step.
      populations: that are taken, in this order. Population p of the world plays the p-th of them, modulo their number.
        None: all.
      env: the world that it is to be played in; None: the one that it was trained in. The view must be as large, and
        its systems be there; all else may differ. What further systems show has no effect on it, and what they let
        agents choose is chosen nearly at random. Rows and columns are read as shares of the map it is played on.
      sword: the class that it was trained with; default, the one that the checkpoint names, ``module:Class``.

    Raises:
      ValueError: no checkpoint, one that is damaged or of other rules, or populations that are not there; parameters
        that do not fit the Sword, or a world that does not fit them.
    """
    params, about = load_params(find(path), step)
    try:
        trained = experiment_of(about)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    own = about.get("trinity", {}).get("sword", Sword.__qualname__)
    if sword is Sword and own != Sword.__qualname__:
        try:
            sword = find_class(own, Sword)
        except ValueError as error:
            told = f"{path}: was trained with a Sword of its own, {own}: give it, load_policy(..., sword=...): {error}"
            raise ValueError(told) from None
    env = trained.env if env is None else env
    there = {system.name for system in env.config.systems}
    named = zip(about["config"].get("systems", ()), trained.env.config.systems, strict=True)
    if lacking := [name for name, system in named if system.name not in there]:
        told = f"was trained with {', '.join(lacking)}, which this world lacks (--system, Config.systems)"
        raise ValueError(f"{path}: {told}")
    if env.config.view != trained.env.config.view:
        raise ValueError(f"view={env.config.view}: must be {trained.env.config.view}, as {path} was trained with")
    level = sword(dataclasses.replace(trained, env=env))
    try:
        template = jax.eval_shape(level.init, jax.random.key(0))
        more = there > {system.name for system in trained.env.config.systems}
        params = fit(params, jax.jit(level.init)(jax.random.key(0)), grow=True) if more else fit(params, template)
    except ValueError as error:
        raise ValueError(f"{path}: its parameters do not fit {type(level).__name__}: {error}") from None
    if populations is not None:
        params = pick(params, populations)
    params = jax.tree.map(lambda leaf, like: leaf[np.arange(len(like)) % len(leaf)], params, template)
    return _policy(level, env, params)


def load_named(name: str, env: Environment | None = None) -> Policy:
    """``load_policy`` by a name that somebody typed: an unknown one is refused with the nearest that is known."""
    check_name(name)
    return load_policy(name, env=env)


def check_name(name: str) -> None:
    """Refuses a name without separators that is no policy's and no folder's, with the nearest that is."""
    if Path(name).name == name and not find(name).is_dir():
        known = [*SCRIPTS, *shipped()]
        told = f"must be {', '.join(known)}, or the folder of a trained run{near(name, known)}"
        raise ValueError(f"policy={name}: {told}")


def shipped() -> list[str]:
    """Names of the policies that come with the package."""
    return sorted(path.name for path in PRETRAINED.glob("*") if path.is_dir())


def find(name: Path | str) -> Path:
    """The folder of that name: one that comes with the package, if it is a string without separators; or a path."""
    own = PRETRAINED / name
    return own if isinstance(name, str) and Path(name).name == name and own.is_dir() else Path(name)


def export(run: Path, out: Path, step: str | int = "best") -> Path:
    """Writes the parameters of a checkpoint, with what they are of and the run's evaluation, for ``load_policy``.

    Every number keeps the 8 bits of precision of a bfloat16, so that the files are compressed to half; its type is
    still float32.

    Raises:
      ValueError: no such checkpoint, or ``out`` is not empty.
    """
    params, about = load_params(run, step)
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"out={out}: is not empty")
    experiment_of(about)  # says what does not go together
    params = jax.tree.map(_rounded, params)
    Checkpoints(out).save(about["step"], {"params": params}, about, about["score"])
    if (run / "evaluation.json").exists():
        shutil.copy(run / "evaluation.json", out)
    return out


def _rounded(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.bfloat16).astype(leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@dataclasses.dataclass(frozen=True)
class _Player:
    """What the functions of a ``Policy`` are methods of, and can be pickled by."""

    sword: Sword
    env: Environment

    def initial(self, realms: int) -> Any:
        config = self.env.config
        shape = (config.num_populations, realms, config.num_agents // config.num_populations)
        return from_populations(self.sword.network.initial(shape))

    def judge(self, params: Any, obs: Observation, realm: Realm, core: Any, rules: Rules | None = None) -> Any:
        return self.sword.judge(params, obs, realm, *self._given(obs, realm, core, rules))

    def act(
        self, params: Any, keys: PRNGKeyArray, obs: Observation, realm: Realm, core: Any, rules: Rules | None = None
    ) -> tuple[Action, Any]:
        each, core = self._given(obs, realm, core, rules)
        keys = as_key(keys, "keys", realm.tick.shape, "one per realm, of the tick")
        decision, core = self.sword.act(params, keys, obs, realm, each, core)
        action = jax.vmap(lambda choices, obs: to_action(choices, obs, self.env.config))(decision.choices, obs)
        return action, from_populations(core)

    def _given(self, obs: Observation, realm: Realm, core: Any, rules: Rules | None) -> tuple[Rules, Any]:
        config = self.env.config
        if not isinstance(realm, Realm) or realm.tick.ndim != 1:
            found = f"tick of shape {realm.tick.shape}" if isinstance(realm, Realm) else type(realm).__name__
            raise ValueError(f"realm: {found}: must be realms with an axis in front, as vectorize gives them")
        check_observation(obs, config, len(realm.tick))
        known = as_rules(self.env.rules if rules is None else rules, config, batched=True)
        each = {name: _per_realm(rule, rule_ndim(name), len(realm.tick)) for name, rule in known.named().items()}
        core = to_populations(clear(core, realm.agents.age == 0), config)  # what an agent sees first, it sees at age 0
        return Rules.from_named(each), core


def _policy(sword: Sword, env: Environment, params: Any) -> Policy:
    player, settings = _Player(sword, env), sword.settings
    # A Sword of one's own may read any setting, ours reads none but these.
    ours, own = (settings.network, settings.options), (type(sword), dataclasses.replace(settings, seed=0))
    kind = ours if type(sword) is Sword else own
    return Policy(env.config, env.rules, settings, params, player.initial, player.act, player.judge, kind)


def _per_realm(rule: jax.Array, ndim: int, realms: int) -> jax.Array:
    return rule if rule.ndim > ndim else jnp.broadcast_to(rule, (realms, *rule.shape))


@dataclasses.dataclass
class Export:
    """Write the parameters of a run into a folder of their own, small enough to keep."""

    source: tyro.conf.Positional[Path]
    """Folder of a run, or of its checkpoints."""
    out: Path
    """Folder to write; must be empty or not be there."""
    step: Annotated[str, tyro.conf.arg(metavar="best|latest|NUMBER")] = "best"
    """Which checkpoint."""

    def run(self) -> None:
        """Writes it."""
        if self.step not in ("best", "latest") and not self.step.isdecimal():
            raise ValueError(
                f"--step {self.step}: must be best, latest or a number{near(self.step, ('best', 'latest'))}"
            )
        out = export(self.source, self.out, int(self.step) if self.step.isdecimal() else self.step)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        print(f"{safe(out)}: {size / 1e6:.2f} MB")


def main() -> None:
    """Exports, and exits."""
    run_program(Export, "train.policy")


if __name__ == "__main__":
    entry.run("python -m train.policy", main)
