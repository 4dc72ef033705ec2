"""What agents remember: a forest that was seen, eaten, and will be ripe again."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sights import CONFIG, POPULATIONS

from nmmo_jax.kinds import Material
from nmmo_jax.observations import FEATURES
from train.cores import remember
from train.networks import NetworkOptions, make_network, nothing_seen

TICKS, ROWS = 6, 64
RIGHT, LEFT = 1, 3


def lives(new_at):
    """Pieces in which a forest is seen at the first tick, right or left, then scrub on both sides; and where it was.

    Args:
      new_at: the tick with which another agent begins; none: a tick that there is not.
    """
    rng = np.random.default_rng(0)
    shape = POPULATIONS, ROWS, TICKS
    move = rng.choice([RIGHT, LEFT], shape[:2])
    inputs = jax.tree.map(lambda leaf: np.zeros((*shape, *leaf.shape), leaf.dtype), nothing_seen(CONFIG))
    inputs.self[..., list(FEATURES).index("age")] = np.where(np.arange(TICKS) == new_at, 0, 1 + np.arange(TICKS))
    inputs.tiles[:, :, :, 0] = Material.GRASS
    inputs.tiles[:, :, :, 0, 3, [1, 5]] = Material.SCRUB
    inputs.tiles[:, :, 0, 0, 3, 5] = np.where(move == RIGHT, Material.FOREST, Material.SCRUB)
    inputs.tiles[:, :, 0, 0, 3, 1] = np.where(move == LEFT, Material.FOREST, Material.SCRUB)
    return inputs, jnp.asarray(move)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["gru", "mingru"])
def test_where_a_forest_was_is_learned_through_time_and_known_to_nobody_else(core):
    """The last tick looks the same to all: what is right follows from the first, five ticks before."""
    made, adam = make_network(CONFIG, options=NetworkOptions(hidden=16, core=core)), optax.adam(3e-3)
    start = made.initial((POPULATIONS, ROWS))

    def last_move(params, inputs):
        return made.apply(params, inputs, start, False)[0]["move"][:, :, -1]

    def loss(params, inputs, move):
        log_p = jax.nn.log_softmax(last_move(params, inputs)[..., [RIGHT, LEFT]])
        return -jnp.take_along_axis(log_p, jnp.where(move == RIGHT, 0, 1)[..., None], axis=-1).mean()

    @jax.jit
    def learn(key, inputs, move):
        def step(carry, _):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params, inputs, move)
            change, state = adam.update(gradient, state)
            return (optax.apply_updates(params, change), state), value

        params = made.init(key)
        (params, _), losses = jax.lax.scan(step, (params, adam.init(params)), length=200)
        return params, losses

    params, losses = learn(jax.random.key(0), *lives(TICKS))
    assert losses[0] == pytest.approx(np.log(2), rel=0.1)
    assert losses[-1] < 0.05, losses[::10]
    # Of another agent, born in that place since, it is not asked: it has nothing to know it by.
    logits = jax.jit(last_move)(params, lives(3)[0])
    np.testing.assert_allclose(logits, jnp.broadcast_to(logits[:, :1], logits.shape), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("ticks", [1, 6, 32])
def test_what_is_remembered_is_what_a_plain_loop_remembers(ticks):
    keys = jax.random.split(jax.random.key(1), 4)
    core, gates = jax.random.normal(keys[0], (5, 4)), jax.random.normal(keys[1], (5, ticks, 8))
    fresh, asked = jax.random.bernoulli(keys[2], 0.2, (5, ticks)), jax.random.normal(keys[3], (5, ticks, 4))

    def plainly(core, gates):
        told = []
        for tick in range(ticks):
            gate, new = jax.nn.sigmoid(gates[:, tick, :4]), jnp.tanh(gates[:, tick, 4:])
            core = jnp.where(fresh[:, tick, None], 0, core) * (1 - gate) + gate * new
            told.append(core)
        return jnp.stack(told, axis=1)

    def of(remembered):
        return jax.jit(jax.value_and_grad(lambda *args: (remembered(*args) * asked).sum(), argnums=(0, 1)))(core, gates)

    expected = of(plainly)
    for got, want in zip(
        jax.tree.leaves(of(lambda *args: remember(*args, fresh))), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
