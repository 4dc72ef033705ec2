"""Sword, God and Pantheon: what may be overridden at the level of agents, of a realm, and of the whole.

Their methods are pure and run inside jit, but for ``Pantheon.score`` and ``Pantheon.log``, which the host calls. The
base classes are what is trained by default; a user's own derive from them. What a level is to keep of a run has its
place in the parameters or the optimiser's state, never in an attribute.

>>> class Explorer(God):
...     def reward(self, reward, before, after, info):
...         return reward + 0.1 * ((after.agents.row != before.agents.row) & (after.agents.uid == before.agents.uid))
>>> trinity = Trinity(Pantheon, Explorer, Sword)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float32, Int32, PRNGKeyArray, UInt32

from nmmo_jax.components import Realm
from nmmo_jax.draws import choose, words
from nmmo_jax.environment import Environment, Info
from nmmo_jax.goals import with_steps
from nmmo_jax.observations import Observation
from nmmo_jax.rules import Rules
from nmmo_jax.systems.lifecycle import uniform
from train import losses
from train.distributions import Choices, all_probabilities, entropy, log_prob, sample
from train.inputs import Inputs, encode_rules, inputs_of
from train.metrics import Sums
from train.muon import muon
from train.networks import make_network
from train.populations import clip_by_norm, each_population, per_row
from train.rollouts import from_populations, to_populations
from train.settings import Experiment


class Decision(NamedTuple):
    """What agents chose. Arrays ``[R, N]``."""

    choices: Choices
    log_prob: Float32[Array, "R N"]
    value: Float32[Array, "R N"]


class Batch(NamedTuple):
    """Agent-steps to learn from, B per population. Arrays ``[P, B, ...]``; with ``Settings.piece`` L more than 1 all
    but ``core`` are ``[P, B, L, ...]``.
    """

    inputs: Inputs
    mask: dict[str, jax.Array]
    choices: Choices
    log_prob: Float32[Array, "P B"]  # when they were chosen
    advantage: Float32[Array, "P B"]  # normalised per population
    target: Float32[Array, "P B"]  # of the value
    core: Any  # of recurrent networks, before the step
    weight: Float32[Array, "P B"]  # 1; 0 where there are no more rows


class Sword:
    """The level of agents: observe, act, learn."""

    def __init__(self, experiment: Experiment):
        self.config, self.settings = experiment.env.config, experiment.settings
        self.network = self.make_network()

    def __getstate__(self) -> dict[str, Any]:
        """All but the network, whose functions cannot be pickled: it is made anew."""
        return {name: value for name, value in self.__dict__.items() if name != "network"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.network = self.make_network()

    def make_network(self):
        """The network of all populations, a ``train.networks.Network``."""
        return make_network(self.config, self.settings.network, self.settings.options)

    def init(self, key: PRNGKeyArray) -> Any:
        """Parameters, arrays with a leading population axis."""
        return self.network.init(key)

    def act(
        self, params: Any, keys: PRNGKeyArray, obs: Observation, realm: Realm, rules: Rules, core: Any
    ) -> tuple[Decision, Any]:
        """What every agent of some realms does, and the recurrent core after it.

        Args:
          keys: of the tick, one per realm.
          obs, realm, rules: ``[R, ...]``.
          core: ``[P, R, N / P, ...]``.
        """
        outputs, core = self._outputs(params, obs, rules, core)
        value = outputs.pop("value")[..., 0] * self.settings.value_unit

        def draw(key, uid, logits, mask):
            choices = sample(key, uid, logits, mask, self.config, self.network.floor)
            return choices, log_prob(choices, logits, mask, self.config, self.network.floor)

        choices, log_probs = jax.vmap(draw)(keys, realm.agents.uid, outputs, obs.mask)
        return Decision(choices, log_probs, value), core

    def value(self, params: Any, obs: Observation, realm: Realm, rules: Rules, core: Any) -> Float32[Array, "R N"]:
        """What the agents expect, for the step after the last of a rollout."""
        return self._outputs(params, obs, rules, core)[0]["value"][..., 0] * self.settings.value_unit

    def judge(
        self, params: Any, obs: Observation, realm: Realm, rules: Rules, core: Any
    ) -> tuple[Float32[Array, "R N"], dict[str, Float32[Array, "R N ..."]]]:
        """What the agents expect, and how probable every choice is to them, in the shapes of ``obs.mask``: for who
        looks on. Arguments as for ``act``.
        """
        outputs, _ = self._outputs(params, obs, rules, core)
        value = outputs.pop("value")[..., 0] * self.settings.value_unit
        return value, all_probabilities(outputs, obs.mask, self.config, self.network.floor)

    def loss(self, params: Any, batch: Batch) -> tuple[Float32[Array, "P"], dict[str, Float32[Array, "P"]]]:
        """The loss of each population over its share of the rows, and what to tell of it.

        Sums over rows are divided by B, so that a batch which is not full counts for less.
        """
        settings = self.settings
        outputs, _ = self.network.apply(params, batch.inputs, batch.core)
        value, target = outputs.pop("value")[..., 0], batch.target / settings.value_unit
        new = log_prob(batch.choices, outputs, batch.mask, self.config, self.network.floor)
        spread = entropy(outputs, batch.mask, self.config, self.network.floor)
        if settings.loss == "ppo":
            terms = losses.ppo(new, batch.log_prob, batch.advantage, value, target, spread, settings.clip)
        else:
            terms = losses.policy_gradient(new, batch.advantage, value, target, spread)
        policy, error, spread = ((term * batch.weight).reshape(len(term), -1).mean(axis=1) for term in terms)
        total = policy + settings.value_weight * error - settings.entropy_weight * spread
        return total, {"policy_loss": policy, "value_loss": error, "entropy": spread}

    def see(self, obs: Observation) -> Observation:
        """Observations ``[R, N, ...]`` as they are kept to learn from: with the steps to all goals, found once per
        tick, if the network reads them.
        """
        return with_steps(obs, self.config) if self.network.steps and obs.steps is None else obs

    def read(self, obs: Observation, rules: Rules) -> Inputs:
        """What the network reads of observations ``[R, N, ...]`` under the rules of their realms."""
        obs = self.see(obs)
        if not self.settings.options.rules_input:
            return inputs_of(obs)
        return inputs_of(obs, jax.vmap(lambda rules: encode_rules(rules, self.config))(rules))

    def _outputs(self, params: Any, obs: Observation, rules: Rules, core: Any) -> tuple[dict[str, jax.Array], Any]:
        outputs, core = self.network.apply(params, to_populations(self.read(obs, rules), self.config), core)
        return from_populations(outputs), core


class God:
    """The level of a realm; methods are for one realm.

    Attributes:
      env: the experiment's world, with births as this God has them: that in which agents train and are evaluated.
    """

    def __init__(self, experiment: Experiment):
        self.config, self.settings, self.given = experiment.env.config, experiment.settings, experiment.env.rules
        self.env = experiment.env
        if type(self).newborn is not God.newborn:
            self.env = Environment(self.config, self.given, self.newborn)

    def rules(self, key: PRNGKeyArray) -> Rules:
        """The rules of a realm, which it keeps. Default: those of the experiment, with a population cap of its own if
        ``Settings.sample_cap``.
        """
        if not self.settings.sample_cap:
            return self.given
        word, _ = words(key, jnp.zeros((), jnp.uint32), jnp.zeros((), jnp.uint32))
        return self.given.replace(population_cap=1 + choose(word, self.given.population_cap))

    def reward(self, reward: Float32[Array, "N"], before: Realm, after: Realm, info: Info) -> Float32[Array, "N"]:
        """What the agents are to learn from a tick; default: the world's own reward. Arrays ``[N]`` speak of who held
        the slot before.
        """
        return reward

    def newborn(self, word: UInt32[Array, ""], room: Bool[Array, "P"], realm: Realm) -> Int32[Array, ""]:
        """The population that a newborn joins, one of those with room: any other, and nobody is born in that attempt.
        Default: each as likely, or what the experiment's ``Environment`` says.

        Args:
          word: raw chance of this attempt.
          room: which populations have room, those born earlier in this tick counted.
          realm: after the dead have left, without those born in this tick.
        """
        return uniform(word, room)

    def learners(self, realm: Realm) -> Bool[Array, "N"]:
        """Whose steps of this tick are learned from; of them, the living. Default: all the living.

        The others play, are rewarded and counted as ever. A population of which nobody learns keeps its parameters, if
        they are its own.

        Args:
          realm: as the agents observed it, before they act.
        """
        return realm.agents.alive


class Pantheon:
    """The level of all realms and devices: gradients, what they do to the parameters, and how populations evolve.

    ``score`` and ``log`` run on the host, once per line of the log; all others inside jit.
    """

    def __init__(self, experiment: Experiment):
        self.config, self.settings = experiment.env.config, experiment.settings

    def optimiser(self) -> optax.GradientTransformation:
        """Of parameters with a leading population axis. Default: the settings' own, for each population by itself."""
        settings = self.settings
        clip = [optax.clip(settings.max_gradient)] if settings.max_gradient else []
        if settings.max_norm:
            clip.append(clip_by_norm(settings.max_norm))
        decay = optax.add_decayed_weights(settings.weight_decay)
        rate: Any = settings.learning_rate
        if settings.anneal:
            steps = max(settings.anneal * settings.epochs // settings.minibatch, 1)
            rate = optax.linear_schedule(rate, settings.learning_rate_end, steps)
        step = muon(rate) if settings.optimiser == "muon" else optax.adam(rate, eps=settings.epsilon)
        return each_population(optax.chain(*clip, decay, step))

    def aggregate(self, gradients: Any, axis: str) -> Any:
        """The gradients of all devices together; default: their sum, as each has its share of the rows.

        As one array, as waiting for a sum for each layer costs a CPU half as much time again. One device has none.
        """
        if jax.lax.axis_size(axis) == 1:
            return gradients
        together, apart = ravel_pytree(gradients)
        return apart(jax.lax.psum(together, axis))

    def update(self, params: Any, optimiser: Any, gradients: Any, good: Bool[Array, "P"]) -> tuple[Any, Any]:
        """Parameters and state of the optimiser after a step.

        Leaves with one row per population (axis 0 is P) belong to each; the one row of shared weights is good if any
        population is, as gradients that are not finite spoil all of it. What else an optimiser keeps, counts and
        tables and numbers for all, goes on with every step.

        Args:
          good: the populations that have finite gradients and rows to learn from; the others stay as they are.
        """

        def keep(new: jax.Array, old: jax.Array | float) -> jax.Array:
            rows = jnp.shape(new)[:1]
            if rows not in (good.shape, (1,)):
                return new
            return jnp.where(per_row(good if rows == good.shape else good.any()[None], new), new, old)

        gradients = jax.tree.map(lambda leaf: keep(leaf, 0.0), gradients)
        updates, after = self.optimiser().update(gradients, optimiser, params)
        return jax.tree.map(keep, optax.apply_updates(params, updates), params), jax.tree.map(keep, after, optimiser)

    def evolve(
        self, params: Any, optimiser: Any, sums: Sums, update: Int32[Array, ""], key: PRNGKeyArray
    ) -> tuple[Any, Any]:
        """Parameters and state of the optimiser after an update, of the same shapes and types: where populations are
        selected, copied and changed. Default: as they are. On several devices each does the same.

        Args:
          sums: of the rollout that was learned from, over all realms and devices.
          update: updates so far, this one counted.
          key: of this update.
        """
        return params, optimiser

    def score(self, line: dict[str, Any]) -> float | None:
        """On the host: what the best checkpoint has most of, from a line as ``log`` is given; None: never the best.
        Default: the mean lifetime.
        """
        return line["lifetime"]

    def log(self, line: dict[str, Any]) -> dict[str, Any]:
        """On the host: what goes into metrics.jsonl and wherever else it is logged, ready for JSON. ``update``,
        ``agent_steps`` and ``seconds`` are told whatever it returns, and figures leave out what it does. Default: the
        line as it is.

        Args:
          line: ``train.metrics.means`` over the updates of a call, and how far the run is.
        """
        return line


class Trinity(NamedTuple):
    """The three levels. Give classes; ``of`` makes them for an experiment."""

    pantheon: Any = Pantheon
    god: Any = God
    sword: Any = Sword

    def of(self, experiment: Experiment) -> "Trinity":
        """An instance of each."""
        return Trinity(*(level(experiment) for level in self))
