"""How it is learned: every number of a training run that is not of the world."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import numpy as np

from nmmo_jax import __version__
from nmmo_jax.common.spelling import near
from nmmo_jax.config import RULES_VERSION, Config
from nmmo_jax.environment import Environment, make
from nmmo_jax.presets import PRESETS
from nmmo_jax.references import config_as_json, config_from_json, reference
from nmmo_jax.rules import RULE_FIELDS, Rules, default_rules
from nmmo_jax.values import check_bool, check_choice, check_float, check_int, keep, keep_plain
from nmmo_jax.world.pool import MAX_MAPS, MapPool
from train.networks import NETWORKS, NetworkOptions, make_network

LOSSES = ("ppo", "policy_gradient")
OPTIMISERS = ("adam", "muon")
OPTIONS: dict[str, dict[str, Any]] = {"default": {"shared_weights": True, "core": "mingru"}, "classic": {}}
"""How networks are trained unless something else is asked for, where it is not as ``NetworkOptions`` has it."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Numbers of a training run. Bad values raise ``ValueError``."""

    network: Literal["default", "classic"] = "default"
    """default: ours. classic: as published."""
    options: NetworkOptions = None  # pyright: ignore[reportAssignmentType] - until it is made
    """Of the network, default: as ``OPTIONS`` has them; by keyword of ``experiment`` as if they were settings: hidden,
    core, shared_weights ..."""
    loss: Literal["ppo", "policy_gradient"] = "ppo"
    """policy_gradient: as published."""
    realms: int = 16
    """Worlds side by side, shared out over the devices."""
    maps: int = 0
    """Generated maps that the realms share, dealt out in turn and drawn from at every horizon; 0: each realm has maps
    of its own."""
    ticks: int = 32
    """Per rollout; an update follows each."""
    groups: int = 8
    """Parts of the realms, each with an equal share of every minibatch; devices hold whole groups, so that what is
    learned does not depend on how many there are."""
    minibatch: int = 256
    """Living agent-steps per population and step of the optimiser, over all devices; 0, or more than a rollout has
    places for: the whole rollout."""
    sequence: int = 0
    """Ticks in a row that an agent is learned from at once, and that gradients of a network with a core go back
    through; divides ``ticks``. 0: 1 without a core; with one as many as ticks and minibatch allow."""
    epochs: int = 1
    """Times that a rollout is gone through."""
    discount: float = 0.99
    decay: float = 0.95
    """Of generalised advantage estimation (lambda)."""
    clip: float = 0.2
    """Of the ratio of probabilities, in PPO."""
    value_weight: float = 0.5
    value_unit: float = 20.0
    """Reward that a network's value of 1 stands for, so that errors of the value do not drown all else."""
    entropy_weight: float = 0.01
    optimiser: Literal["adam", "muon"] = "muon"
    """adam, or muon for all weights that are matrices: their changes are made orthogonal (Jordan et al., 2024), and the
    root mean square of a change is the learning rate; what else there is has Adam."""
    learning_rate: float = 1e-3
    learning_rate_end: float = 0.0
    """To which it falls, in a straight line, over ``anneal``."""
    anneal: int = 0
    """Agent-steps that a population learns from, in minibatches that are full, until the learning rate is at its end;
    0: it stays as it is."""
    epsilon: float = 1e-5
    """Of ``optimiser=adam``, beside the root of the mean square of gradients."""
    weight_decay: float = 0.0
    """Added to the gradient for every unit of a weight, before the optimiser."""
    max_norm: float = 0.5
    """The gradient of each population is scaled down to this norm; 0: not."""
    max_gradient: float = 0.0
    """Every number of a gradient is cut to at most this size, as published (5); 0: not."""
    sample_cap: bool = False
    """Whether every realm draws its own population cap, uniformly, as the original's SAMPLE option did."""
    seed: int = 0

    def __post_init__(self):
        keep_plain(self)
        for name, allowed in {"network": tuple(NETWORKS), "loss": LOSSES, "optimiser": OPTIMISERS}.items():
            check_choice(name, getattr(self, name), allowed)
        if self.options is None:
            keep(self, options=NetworkOptions(**OPTIONS[self.network]))
        for name in ("realms", "ticks", "groups", "epochs"):
            check_int(name, getattr(self, name), 1)
        for name, most in {"maps": MAX_MAPS, "seed": 2**32 - 1}.items():
            check_int(name, getattr(self, name), 0, most)
        for name in ("minibatch", "sequence", "anneal"):
            check_int(name, getattr(self, name), 0)
        if self.realms % self.groups:
            raise ValueError(f"realms={self.realms}: must be divisible by groups={self.groups}")
        if self.sequence and self.ticks % self.sequence:
            raise ValueError(f"sequence={self.sequence}: must divide ticks={self.ticks}")
        if self.minibatch % (self.groups * max(self.sequence, 1)):
            each = f"groups={self.groups}" + (f" times sequence={self.sequence}" if self.sequence > 1 else "")
            raise ValueError(f"minibatch={self.minibatch}: must be divisible by {each}")
        if self.learning_rate_end and not self.anneal:
            raise ValueError(f"learning_rate_end={self.learning_rate_end}: means nothing without anneal")
        if self.anneal and not self.minibatch:
            raise ValueError(f"anneal={self.anneal}: must be 0 with minibatch=0, of which none is full")
        check_bool("sample_cap", self.sample_cap)
        if check_float("value_unit", self.value_unit, 0, 1e9) == 0:
            raise ValueError(f"value_unit={self.value_unit!r}: allowed are numbers above 0, to 1e9")
        limits = {"discount": 1, "decay": 1, "clip": 1e9, "value_weight": 1e9, "entropy_weight": 1e9}
        limits |= dict.fromkeys(("learning_rate", "learning_rate_end", "epsilon", "weight_decay"), 1e9)
        limits |= dict.fromkeys(("max_norm", "max_gradient"), 1e9)
        for name, most in limits.items():
            check_float(name, getattr(self, name), 0, most)
        if not isinstance(self.options, NetworkOptions):
            raise ValueError(
                f"options={self.options!r}: must be NetworkOptions; each of its fields goes by its own name"
            )

    @property
    def piece(self) -> int:
        """Ticks in a row that are learned from at once: ``sequence``, or what it stands for."""
        if self.sequence:
            return self.sequence
        if self.options.core == "none":
            return 1
        return math.gcd(self.ticks, self.minibatch // self.groups or self.ticks)


PUBLISHED = {
    "network": "classic",
    "loss": "policy_gradient",
    "optimiser": "adam",
    "realms": 8,
    "ticks": 128,
    "minibatch": 0,
    "decay": 1.0,
    "value_weight": 0.25,
    "value_unit": 1.0,
    "entropy_weight": 0.01,
    "learning_rate": 1e-3,
    "epsilon": 1e-8,
    "weight_decay": 1e-5,
    "max_norm": 0.0,
    "max_gradient": 5.0,
}
"""What the original trained with, where it is not the default. It updated after 3,200 agent-ticks of a realm: as many
as 128 ticks are of 25 agents."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained: a world, and how."""

    name: str
    env: Environment
    settings: Settings

    def __post_init__(self):
        if self.env.config.layout != "blocks":
            raise ValueError(f"layout={self.env.config.layout!r}: training needs 'blocks', a population's own slots")
        if self.settings.maps:
            MapPool.check(self.settings.seed, self.settings.maps, self.env.config)
        make_network(self.env.config, self.settings.network, self.settings.options)  # says what does not go together


BIG: dict[str, dict[str, Any]] = {
    "medium": {"realms": 2, "groups": 2, "minibatch": 1_024},
    "large": {"realms": 2, "groups": 2, "ticks": 16, "minibatch": 2_048},
    "huge": {"realms": 1, "groups": 1, "ticks": 16, "minibatch": 8_192},
}
"""Presets of the same names that train, and what is set for them: few worlds side by side, so that all fits the memory
of a small machine; minibatches grow with the agents of a population."""

EXPERIMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    # As published: a population for every 16 agents.
    f"{game}{agents}": (game, {"num_agents": agents, "num_populations": agents // 16})
    for game in ("law", "chaos")
    for agents in (16, 32, 64, 128)
} | {name: (name, {}) for name in (*BIG, "mmo")}
"""By name: the game, and what of its world is set."""


def game_of(name: str) -> str:
    """The game of an experiment.

    Raises:
      ValueError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment={name!r}: allowed are {', '.join(EXPERIMENTS)}{near(name, EXPERIMENTS)}")
    return EXPERIMENTS[name][0]


def experiment(name: str, /, **overrides: Any) -> Experiment:
    """One of the published experiments or of ``BIG``, with any field of ``Config``, ``Rules``, ``Settings`` or
    ``NetworkOptions`` by keyword.

    >>> experiment("law128", realms=8, regrowth_probability=0.05)

    Raises:
      ValueError: names the field, the value and what is allowed.
    """
    game, usual_world = game_of(name), EXPERIMENTS[name][1]
    of_settings, of_options, of_config = (
        {field.name for field in dataclasses.fields(of)} for of in (Settings, NetworkOptions, Config)
    )
    _check_no_options(overrides)
    systems = overrides.get("systems", PRESETS[game].get("systems", ()))
    own = default_rules(Config(systems=systems)).keys()
    known = of_settings | of_options | of_config | RULE_FIELDS.keys() | own
    for field in [field for field in overrides if field not in known]:
        where = "the settings, the network's options, Config or Rules"
        raise ValueError(f"{field}={overrides[field]!r}: no field of {where}{near(field, known)}")
    settings = {**BIG.get(name, {}), **{field: value for field, value in overrides.items() if field in of_settings}}
    options = {field: value for field, value in overrides.items() if field in of_options}
    world = {field: value for field, value in overrides.items() if field not in of_settings | of_options}
    network = settings.get("network", Settings.network)
    check_choice("network", network, tuple(NETWORKS))
    usual = OPTIONS[network]
    settings["options"] = NetworkOptions(**{**usual, **options})
    return Experiment(name, make(game, **{**usual_world, **world}), Settings(**settings))


def all_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings of an experiment and the options of its network, by the names that ``experiment`` takes them by."""
    both = (experiment.settings, experiment.settings.options)
    named = {field.name: getattr(one, field.name) for one in both for field in dataclasses.fields(one)}
    return {name: value for name, value in named.items() if name != "options"}


def changed(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """The experiment with some of ``all_settings`` changed, in the same world.

    Raises:
      ValueError: names the field, the value and what is allowed.
    """
    _check_no_options(changes)
    settings = experiment.settings
    names = {field.name for field in dataclasses.fields(NetworkOptions)}
    options = dataclasses.replace(settings.options, **{n: v for n, v in changes.items() if n in names})
    own = {name: value for name, value in changes.items() if name not in names}
    return dataclasses.replace(experiment, settings=dataclasses.replace(settings, options=options, **own))


def _check_no_options(given: Mapping[str, Any]) -> None:
    if "options" in given:
        raise ValueError(f"options={given['options']!r}: each of its fields goes by its own name, hidden=128")


_BEFORE = {
    "options": {"steps_input": False, "near": 0, "precision": "float32"},
    "settings": {"optimiser": "adam", "sequence": 1},
}
"""What was meant before there were these."""


def experiment_of(about: Mapping[str, Any]) -> Experiment:
    """The experiment that ``describe`` has described, in a run's config.json or beside a checkpoint.

    Raises:
      ValueError: something is missing, unknown or not allowed in it.
    """
    try:
        env = Environment(config_from_json(about["config"]), Rules.from_named(about["rules"]))
        options = NetworkOptions(**{**_BEFORE["options"], **about["settings"]["options"]})
        settings = {**_BEFORE["settings"], **about["settings"], "options": options}
        return Experiment(about["experiment"], env, Settings(**settings))
    except (KeyError, TypeError) as error:
        raise ValueError(f"damaged, or of another version: {error}") from None


def completed(about: Mapping[str, Any]) -> dict[str, Any]:
    """What ``describe`` has written, with the fields that came to be since; as it is where it cannot be read."""
    try:
        return {**about, **_parts(experiment_of(about))}
    except ValueError:
        return {**about}


def _parts(experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "config": config_as_json(experiment.env.config),
        "rules": {name: np.asarray(value).tolist() for name, value in experiment.env.rules.named().items()},
        "settings": dataclasses.asdict(experiment.settings),
    }


def _named(level: type) -> str:
    """A class of the three levels as files name it: ``module:Class``, of one that is its own level just ``Class``."""
    own = level.__module__ == "train.trinity" or "<locals>" in level.__qualname__  # of a function: nobody can find it
    return level.__qualname__ if own else reference(level)


def describe(experiment: Experiment, levels: Any) -> dict[str, Any]:
    """All that is needed to make the experiment again, and the names of its three levels, ready for JSON.

    Args:
      levels: a ``train.trinity.Trinity`` of the experiment.
    """
    return {
        **_parts(experiment),
        "trinity": {name: _named(type(level)) for name, level in levels._asdict().items()},
        "rules_version": RULES_VERSION,
        "nmmo_jax": __version__,
        "jax": jax.__version__,
    }
