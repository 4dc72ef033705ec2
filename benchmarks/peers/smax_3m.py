"""JaxMARL's SMAX, map 3m: six units per world, both sides with random actions. Worlds that end begin anew."""

import jax
from jaxmarl import make
from jaxmarl.environments.smax import map_name_to_scenario
from timing import tell

WORLDS, TICKS = 1024, 16

env = make("SMAX", scenario=map_name_to_scenario("3m"))


def play(worlds, key):
    """Some ticks; returns worlds, units that acted, and observations ``[ticks, worlds, ...]`` by name of unit."""

    def tick(worlds, key):
        act, step = jax.random.split(key)
        keys = jax.random.split(act, env.num_agents)
        action = {
            name: jax.random.randint(key, (WORLDS,), 0, env.action_space(name).n)
            for name, key in zip(env.agents, keys, strict=True)
        }
        acted = worlds.unit_alive.sum()
        obs, worlds, *_ = jax.vmap(env.step)(jax.random.split(step, WORLDS), worlds, action)
        return worlds, (obs, acted)

    worlds, (obs, acted) = jax.lax.scan(tick, worlds, jax.random.split(key, TICKS))
    return worlds, acted.sum(), obs


_, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), WORLDS))
compiled = jax.jit(play, donate_argnums=0).lower(state, jax.random.key(1)).compile()


def call(index):
    """Plays on."""
    global state
    state, acted, _ = jax.block_until_ready(compiled(state, jax.random.key(index)))
    return int(acted)


tell("jaxmarl", f"3m, {WORLDS:,} worlds of {env.num_agents} units", call, warm_up=8)
