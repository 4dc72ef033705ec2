"""Every backend plays the same world: chaos and law end as they do on a CPU, and are seen as they are there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmo_jax
from nmmo_jax.draws import choose, fold_in, words
from nmmo_jax.policies.scripted import POLICIES

TICKS = 48
# chaos, law: the realm after so many ticks, and a sum over all observations on the way, as a CPU has them.
DIGESTS = ("28c4ebf6aefb6b56", "091edae9f2fb6aec")
SUMS = ("3f7904ea", "7343b4af")


def checksum(obs):
    """A sum of all numbers of one realm's observation, each with a weight of its own, modulo 2^32."""
    total = jnp.uint32(0)
    for salt, leaf in enumerate(jax.tree.leaves(obs)):
        weight = (2 * jnp.arange(leaf.size, dtype=jnp.uint32) + 1) * jnp.uint32(0x9E3779B1) + jnp.uint32(salt)
        total += (leaf.reshape(-1).astype(jnp.int32).astype(jnp.uint32) * weight).sum(dtype=jnp.uint32)
    return total


@pytest.mark.slow
def test_play_and_sight_are_those_of_a_cpu():
    env = nmmo_jax.make("chaos", num_agents=128, num_populations=8)
    law = nmmo_jax.make("law", num_agents=128, num_populations=8)
    rules = jax.tree.map(lambda *leaves: jnp.stack(leaves), env.rules, law.rules)

    def tick(carry, key):
        realm, obs, total, rules = carry
        action = POLICIES["random"](fold_in(key, 1), obs, realm)
        draws = nmmo_jax.draw(key, realm, rules, env.config)
        # Whole numbers throughout: the logarithm of a waiting time may differ in its last bit.
        word, _ = words(fold_in(key, 2), realm.agents.uid, jnp.zeros_like(realm.agents.uid))
        draws = draws.replace(regrowth=1 + choose(word, 80))
        realm, *_ = nmmo_jax.transition(realm, action, draws, rules, env.config)
        obs = nmmo_jax.observe(realm, rules, env.config)
        return (realm, obs, total * jnp.uint32(3) + checksum(obs), rules), None

    def play(key, rules):
        obs, realm = env.reset(key, rules, initial_population=env.config.num_agents)
        keys = jax.vmap(fold_in, (None, 0))(key, jnp.arange(TICKS))
        (realm, _, total, _), _ = jax.lax.scan(tick, (realm, obs, checksum(obs), rules), keys)
        return nmmo_jax.digest(realm), total, realm.agents.alive.sum()

    digests, sums, alive = jax.jit(jax.vmap(play, (None, 0)))(jax.random.key(3), rules)
    assert (np.asarray(alive) > 5).all()
    assert tuple(nmmo_jax.digest_hex(words) for words in digests) == DIGESTS
    assert tuple(f"{int(total):08x}" for total in sums) == SUMS
