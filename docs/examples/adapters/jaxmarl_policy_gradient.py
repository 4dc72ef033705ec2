"""JaxMARL: a policy gradient with shared parameters, in the form of its IPPO: all of it in one program.

python docs/examples/adapters/jaxmarl_policy_gradient.py [updates]
"""

import functools
import sys

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxmarl.wrappers.baselines import LogWrapper

import nmmo_jax as nmmo
from nmmo_jax.adapters.marl import MarlEnv

WORLDS, TICKS, GAMMA, LAMBDA, RATE, ENTROPY = 8, 32, 0.97, 0.9, 1e-3, 0.01


class Network(nn.Module):
    """Logits of actions and the reward that is still to come."""

    actions: int

    @nn.compact
    def __call__(self, obs):
        """Of observations with any axes in front."""
        hidden = nn.tanh(nn.Dense(64)(obs))
        return nn.Dense(self.actions)(hidden), nn.Dense(1)(hidden)[..., 0]


def main(updates=100, seed=0, told=print):
    """Trains; returns the mean lifetime (ticks) of the first and of the last fifth of the updates."""
    world = nmmo.make("law", num_agents=32, num_populations=1, rows=40, columns=40, view=9, num_visible=2, horizon=512)
    env = LogWrapper(MarlEnv(world, tiles=nmmo.MapPool.generated(seed, 16, world.config), arguments=["move"]))
    network = Network(env.action_space(env.agents[0]).n)
    optimiser = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(RATE))
    stack = lambda by_agent: jnp.stack([by_agent[agent] for agent in env.agents], axis=1)  # noqa: E731  # [worlds, agents]
    each = lambda stacked: {agent: stacked[:, place] for place, agent in enumerate(env.agents)}  # noqa: E731

    def tick(params, carry, key):
        obs, state, alive = carry
        acting, stepping = jax.random.split(key)
        logits, value = network.apply(params, stack(obs))
        allowed = stack(jax.vmap(env.get_avail_actions)(state.env_state))
        logits = jnp.where(allowed, logits, -1e9)
        action = jax.random.categorical(acting, logits)
        keys = jax.random.split(stepping, WORLDS)
        after, state, rewards, dones, info = jax.vmap(env.step)(keys, state, each(action))
        kept = (stack(obs), allowed, action, value, stack(rewards) / 10, stack(dones), alive, info["age"])
        return (after, state, info["alive"]), kept

    def loss_of(params, obs, allowed, action, gain, aim, alive):
        logits, value = network.apply(params, obs)
        chances = jax.nn.log_softmax(jnp.where(allowed, logits, -1e9))
        chosen = jnp.take_along_axis(chances, action[..., None], -1)[..., 0]
        entropy = -(jnp.exp(chances) * jnp.where(allowed, chances, 0)).sum(-1)
        each = -chosen * gain + 0.5 * jnp.square(value - aim) - ENTROPY * entropy
        return (each * alive).sum() / alive.sum()

    @jax.jit
    def update(params, memory, carry, key):
        carry, kept = jax.lax.scan(functools.partial(tick, params), carry, jax.random.split(key, TICKS))
        obs, allowed, action, value, reward, done, alive, age = kept

        def back(later, now):
            gain, next_value = later
            value, reward, done = now
            gain = reward + GAMMA * next_value * (1 - done) - value + GAMMA * LAMBDA * (1 - done) * gain
            return (gain, value), gain

        end = network.apply(params, stack(carry[0]))[1]
        _, gain = jax.lax.scan(back, (jnp.zeros_like(end), end), (value, reward, done), reverse=True)
        better = (gain - gain.mean(where=alive)) / (gain.std(where=alive) + 1e-8)
        gradient = jax.grad(loss_of)(params, obs, allowed, action, better, gain + value, alive)
        changes, memory = optimiser.update(gradient, memory, params)
        died = alive & done
        return optax.apply_updates(params, changes), memory, carry, (age * died).sum() / died.sum()

    key = jax.random.key(seed)
    obs, state = jax.vmap(env.reset)(jax.random.split(key, WORLDS))
    params = network.init(key, stack(obs))
    carry, memory, lifetimes = (obs, state, state.env_state.realm.agents.alive), optimiser.init(params), []
    for number in range(updates):
        params, memory, carry, lifetime = update(params, memory, carry, jax.random.fold_in(key, number))
        lifetimes.append(float(lifetime))
        if number % 20 == 19:
            told(f"update {number + 1}: lifetime {sum(lifetimes[-20:]) / 20:.1f} ticks")
    fifth = max(updates // 5, 1)
    return sum(lifetimes[:fifth]) / fifth, sum(lifetimes[-fifth:]) / fifth


if __name__ == "__main__":
    begin, end = main(*map(int, sys.argv[1:]))
    print(f"lifetime: {begin:.1f} ticks at first, {end:.1f} at last")
