"""nmmo-jax: Neural MMO as a vectorised, data-oriented simulator in JAX."""

from nmmo_jax.common import entry as _entry  # noqa: F401 - first: a command may be interrupted while the rest is imported
from nmmo_jax.common import mpl as _mpl  # noqa: F401 - before matplotlib is imported

# isort: split
from nmmo_jax.actions import Action, Argument, Head, heads
from nmmo_jax.autoreset import Episode, autoreset
from nmmo_jax.components import Agents, Births, Cause, Draws, Realm, Tiles, observed_material
from nmmo_jax.config import RULES_VERSION, Config
from nmmo_jax.declarations import Column, Goal, Leaf, Listing, NewMaterial, Phase, Rule, Table
from nmmo_jax.digest import digest, digest_hex
from nmmo_jax.draws import draw
from nmmo_jax.environment import Environment, Info, make, transition
from nmmo_jax.events import Event, Events
from nmmo_jax.kinds import Material
from nmmo_jax.ledger import Ledger
from nmmo_jax.living import Who, fold_living, most_living
from nmmo_jax.observations import FEATURES, ArraySpec, Observation, observation_spec, observe, to_action
from nmmo_jax.ring import make_ring, unroll
from nmmo_jax.rules import Rules
from nmmo_jax.scenario import make_realm
from nmmo_jax.system import System
from nmmo_jax.vectorized import Vectorized, vectorize
from nmmo_jax.world.pool import MapPool

__all__ = [
    "FEATURES",
    "RULES_VERSION",
    "Action",
    "Agents",
    "Argument",
    "ArraySpec",
    "Births",
    "Cause",
    "Column",
    "Config",
    "Draws",
    "Environment",
    "Episode",
    "Event",
    "Events",
    "Goal",
    "Head",
    "Info",
    "Leaf",
    "Ledger",
    "Listing",
    "MapPool",
    "Material",
    "NewMaterial",
    "Observation",
    "Phase",
    "Realm",
    "Rule",
    "Rules",
    "System",
    "Table",
    "Tiles",
    "Vectorized",
    "Who",
    "autoreset",
    "digest",
    "digest_hex",
    "draw",
    "fold_living",
    "heads",
    "make",
    "make_realm",
    "make_ring",
    "most_living",
    "observation_spec",
    "observe",
    "observed_material",
    "to_action",
    "transition",
    "unroll",
    "vectorize",
]
__version__ = "0.1.0"
