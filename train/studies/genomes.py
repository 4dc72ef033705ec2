"""Genomes: the weights of a small network for every agent, and how newborns come to theirs. No gradient is needed.

An agent looks at the tile that each of its five moves leads to, and the same network with one hidden layer values it by
what it smells there and by its own needs; it moves with the probabilities of a softmax. There is no attack, and what
systems let agents choose is not chosen.
"""

import functools
from enum import IntEnum

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, PRNGKeyArray, Shaped, UInt32

from nmmo_jax.actions import Action
from nmmo_jax.components import NO_UID, Births, Realm
from nmmo_jax.config import Config
from nmmo_jax.declarations import Leaf
from nmmo_jax.draws import choose, words
from nmmo_jax.kinds import NUM_MATERIALS, Material
from nmmo_jax.observations import FEATURES, Observation
from nmmo_jax.policies.foraging import MOST
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.systems.sight import leaf_shape

INPUTS = (
    "forest_ahead",  # log2 of the smell at the tile over that where one stands: 1 straight towards it, -1 away from it
    "water_ahead",
    "agents_ahead",
    "forest_near",  # s / (1 + s) of the smell s at the tile, which is the sum of 2^-distance over what is seen
    "water_near",
    "agents_near",
    "open",  # whether it can be entered and is not lava
    "lava",  # whether it is lava that can be entered
    "stay",  # whether it is the tile on which one stands
    "hunger",  # 0 full, 1 nothing left
    "thirst",
    "wounds",
    "bias",
)
HIDDEN = 6
FOUNDER_SCALE = 0.5  # standard deviation of the genes of those who inherit nothing
_HEALTH = 10  # most that an agent can have, in the classic game
_FAINT = 2.0**-12  # smell where nothing is seen


class Source(IntEnum):
    """Whose genome a newborn inherits."""

    PARENT = 0  # of who gave birth to it; on the spawn ring nobody's
    LONG_LIVED = 1  # likewise; on the spawn ring of one of the living, drawn in proportion to age
    RECENT = 2  # of one of those born last, as many as there are slots, each as likely, dead or alive: no selection
    POOL = 3  # of one of the pool, which stays as it is


class Genomes(flax.struct.PyTreeNode):
    """Of R realms: the genome in every slot, and a pool of as many, by default of those who were born last.

    G = ``genes(config)``: the weights of the hidden units, ``[inputs, units]``, and then of the output.
    """

    genome: Float32[Array, "R N G"]  # leftovers in empty slots
    pool: Float32[Array, "R N G"]
    pool_uid: Int32[Array, "R N"]  # whose they are; -1: none yet; filled from index 0


def input_names(config: Config) -> tuple[str, ...]:
    """What the network of a genome reads: ``INPUTS``, and of systems their materials and what they show, by name.

    Of a material, whether the tile is of it; of what is shown in every tile of the view, what there is at the tile; of
    single numbers, the agent's own. Other things that systems show are not read, nor are categories, whose numbers are
    names and no amounts.
    """
    new = [material.name for system in config.systems for material in system.materials]
    return (*INPUTS, *new, *(leaf.name for leaf in _leaves(config)))


def genes(config: Config) -> int:
    """G, of a world."""
    return (len(input_names(config)) + 1) * HIDDEN


def no_genomes(realms: int, config: Config) -> Genomes:
    """Before anybody was born."""
    nothing = jnp.zeros((realms, config.num_agents, genes(config)), jnp.float32)
    return Genomes(nothing, nothing, jnp.full((realms, config.num_agents), NO_UID, jnp.int32))


def act(genome: Float32[Array, "R N G"], keys: PRNGKeyArray, obs: Observation, realm: Realm, config: Config) -> Action:
    """What the agents of R realms do; chance by (key, uid).

    Args:
      keys: of the tick, one per realm.
      obs, realm: ``[R, ...]``.
    """

    def one(genome, key, obs, uid):
        gumbel = -jnp.log(-jnp.log(_uniform(_words(key, uid, len(DIRECTIONS))[0])))
        return jnp.argmax(logits(genome, inputs_of(obs, config)) + gumbel, axis=-1).astype(jnp.int32)

    return Action(move=jax.vmap(one)(genome, keys, obs, realm.agents.uid))


def logits(genome: Float32[Array, "N G"], inputs: Float32[Array, "N 5 I"]) -> Float32[Array, "N 5"]:
    """Of the moves: w . tanh(W x), with the weights of each agent."""
    number = inputs.shape[-1]
    hidden = genome[:, : number * HIDDEN].reshape(-1, 1, number, HIDDEN)
    out = genome[:, None, number * HIDDEN :]
    return (jnp.tanh((inputs[..., None] * hidden).sum(axis=-2)) * out).sum(axis=-1)


def inputs_of(obs: Observation, config: Config) -> Float32[Array, "N 5 I"]:
    """What the network reads of each move of the agents of a realm, in the order of ``input_names``."""
    material, count = obs.tiles[:, 0], obs.tiles[:, 1]
    n, view = material.shape[:2]
    centre = view // 2
    others = jnp.minimum(count.at[:, centre, centre].set(0), 3)
    seen = jnp.stack([material == Material.FOREST, material == Material.WATER, others], axis=1, dtype=jnp.float32)
    smell = (seen.reshape(n, 3, -1) @ _smells(view)).transpose(0, 2, 1)  # [N, 5, 3]
    there = _reached(material)
    enters = obs.mask["move"]
    own = obs.self.astype(jnp.float32)
    needs = [1 - own[:, list(FEATURES).index(name)] / most for name, most in
             (("food", MOST), ("water", MOST), ("health", _HEALTH))]  # fmt: skip
    lava = there == Material.LAVA
    of_move = [enters & ~lava, enters & lava, jnp.arange(5)[None] == 0]
    of_agent = [*(need[:, None] for need in needs), 1.0]
    of_systems = [there == number for number in range(NUM_MATERIALS, len(config.material_names))]
    for leaf in _leaves(config):
        value = obs.of[leaf.name].astype(jnp.float32) / max(abs(leaf.low), abs(leaf.high), 1)
        of_systems.append(_reached(value) if leaf.shape else value[:, None])
    told = [jnp.broadcast_to(jnp.asarray(one, jnp.float32), (n, 5)) for one in (*of_move, *of_agent, *of_systems)]
    ahead = jnp.log2((smell + _FAINT) / (smell[:, :1] + _FAINT))
    return jnp.concatenate([ahead, smell / (1 + smell), jnp.stack(told, axis=-1)], axis=-1)


def inherit(
    genomes: Genomes,
    keys: PRNGKeyArray,
    before: Realm,
    after: Realm,
    births: Births,
    source: Int32[Array, ""],
    sigma: Float32[Array, ""],
) -> tuple[Genomes, Int32[Array, "R A"]]:
    """The genomes after a tick: newborns have that of another plus ``sigma`` times normal numbers in every gene.

    Chance depends on (key, uid of the newborn). Who finds nobody to inherit from gets genes of normal numbers times
    ``FOUNDER_SCALE``.

    Args:
      keys: of the tick, one per realm; other than those of ``act``.
      before, after: the realms ``[R, ...]`` around the tick.
      source: a ``Source``.

    Returns:
      The genomes; and for every row of the births table whose genome it was, a uid, or -1.
    """
    realms, n = genomes.pool_uid.shape
    realm = jnp.arange(realms)
    stays = before.agents.alive & (after.agents.uid == before.agents.uid)
    ages = jnp.cumsum(jnp.where(stays, jnp.minimum(before.agents.age, 2**24 // n), 0), axis=1)  # exact as float32
    full = (genomes.pool_uid >= 0).sum(axis=1)

    def one(k, carry):
        new, inherited = carry
        uid = before.next_uid + k
        found = births.uid == uid[:, None]
        born, row = found.any(axis=1), jnp.argmax(found, axis=1)
        normal, by_age, by_pool = jax.vmap(functools.partial(_chance, number=genomes.genome.shape[-1]))(keys, uid)
        target = _uniform(by_age) * ages[:, -1]
        old = (ages <= target[:, None]).sum(axis=1)
        has_parent = births.parent_uid[realm, row] >= 0
        slot = jnp.minimum(jnp.where(has_parent, row, old), n - 1)
        living = genomes.genome[realm, slot], before.agents.uid[realm, slot]
        index = choose(by_pool, jnp.maximum(full, 1))
        pooled = genomes.pool[realm, index], genomes.pool_uid[realm, index]
        from_pool = source >= Source.RECENT
        genome, whose = (jnp.where(from_pool, *pair) for pair in zip(pooled, living, strict=True))
        somebody = has_parent | ((source == Source.LONG_LIVED) & (ages[:, -1] > 0))
        whose = jnp.where(from_pool | somebody, whose, NO_UID)
        inherits = (whose >= 0)[:, None]
        genome = jnp.where(inherits, genome, 0) + jnp.where(inherits, sigma, FOUNDER_SCALE) * normal
        at = jnp.where(born, births.slot[realm, row], n)
        kept = jnp.where(born & (source != Source.POOL), uid % n, n)
        new = Genomes(
            new.genome.at[realm, at].set(genome, mode="drop"),
            new.pool.at[realm, kept].set(genome, mode="drop"),
            new.pool_uid.at[realm, kept].set(uid, mode="drop"),
        )
        at = jnp.where(born, row, births.uid.shape[1])
        return new, inherited.at[realm, at].set(whose, mode="drop")

    number = (after.next_uid - before.next_uid).max()
    return jax.lax.fori_loop(0, number, one, (genomes, jnp.full(births.uid.shape, NO_UID, jnp.int32)))


def diversity(genomes: Genomes, realm: Realm) -> Float32[Array, "R"]:
    """Root mean square of the difference in a gene between two of the living; NaN of fewer than two."""
    alive = realm.agents.alive[..., None]
    number = alive.sum(axis=1)
    mean = jnp.where(alive, genomes.genome, 0).sum(axis=1) / number
    squares = jnp.where(alive, (genomes.genome - mean[:, None]) ** 2, 0).sum(axis=1)
    return jnp.where(number[:, 0] > 1, jnp.sqrt(2 * (squares / (number - 1)).mean(axis=-1)), jnp.nan)


def _leaves(config: Config) -> list[Leaf]:
    """What systems show that genomes read."""
    window = (config.view, config.view)
    leaves = [leaf for system in config.systems for leaf in system.leaves]
    return [leaf for leaf in leaves if leaf_shape(leaf, config) in ((), window) and not leaf.category]


def _reached(window: Shaped[Array, "N W W"]) -> Shaped[Array, "N 5"]:
    """What there is at the tile that each move leads to; where a window is one tile wide, 0 beyond it."""
    around, centre = jnp.pad(window, ((0, 0), (1, 1), (1, 1))), window.shape[1] // 2
    return jnp.stack([around[:, centre + 1 + row, centre + 1 + col] for row, col in DIRECTIONS], axis=1)


def _smells(view: int) -> np.ndarray:
    """``[W * W, 5]``: how much of a tile of the window is smelled at the tile that each move leads to."""
    place = np.arange(view) - view // 2
    row, col = (np.array([step[axis] for step in DIRECTIONS]) for axis in (0, 1))
    distance = np.abs(place[:, None, None] - row) + np.abs(place[None, :, None] - col)
    return (2.0**-distance).reshape(view * view, len(DIRECTIONS)).astype(np.float32)


def _chance(key: PRNGKeyArray, uid: Int32[Array, ""], number: int) -> tuple[Float32[Array, "G"], jax.Array, jax.Array]:
    """Of one newborn: ``number`` normal numbers, by the method of Box and Muller (1958), and two raw words."""
    first, second = (word[0] for word in _words(key, uid[None], number + 1))
    radius = jnp.sqrt(-2 * jnp.log(_uniform(first[:number])))
    return radius * jnp.cos(2 * np.pi * _uniform(second[:number])), first[number], second[number]


def _words(key: PRNGKeyArray, uid: Int32[Array, "N"], number: int) -> tuple[UInt32[Array, "N K"], UInt32[Array, "N K"]]:
    """Two times ``number`` raw words for each uid."""
    low = jnp.arange(number, dtype=jnp.uint32)
    return words(key, *jnp.broadcast_arrays(uid[:, None], low))


def _uniform(word: UInt32[Array, "*B"]) -> Float32[Array, "*B"]:
    """Above 0 and below 1, in steps of 2^-23."""
    return ((word >> 9).astype(jnp.float32) + 0.5) * 2.0**-23
