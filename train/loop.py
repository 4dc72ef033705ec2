"""The one training loop: rollouts and updates of all populations, inside one jitted program over all devices."""

import functools
import math
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float32, Int32, PRNGKeyArray

from nmmo_jax.autoreset import autoreset
from nmmo_jax.draws import as_key, fold_in
from nmmo_jax.ring import make_ring
from nmmo_jax.vectorized import vectorize
from nmmo_jax.world.pool import MapPool
from train.losses import advantages, normalise
from train.metrics import Sums, nothing_visited
from train.minibatches import AXIS, Rows, moments
from train.populations import check_params, per_row, sum_of_squares
from train.rollouts import Rollout, Worlds, play
from train.settings import Experiment
from train.trinity import Batch, Sword, Trinity

SEEDS = "seeds"  # of the mesh of devices, beside AXIS
WORLD, PLAY, NETWORK, RULES, SHUFFLE, EVOLVE = range(6)  # what a run's key is folded with


class State(flax.struct.PyTreeNode):
    """All of a training run: with it and the experiment, it goes on exactly."""

    params: Any  # [P, ...]
    optimiser: Any
    worlds: Worlds
    key: PRNGKeyArray  # of the run, as it was given
    update: Int32[Array, ""]  # rollouts learned from


class Report(flax.struct.PyTreeNode):
    """What to tell of one update."""

    sums: Sums
    losses: dict[str, Float32[Array, "P"]]  # means over the rows
    skipped: Int32[Array, "P"]  # steps of the optimiser that were not made, as something was not finite


class Train(NamedTuple):
    """A training run as pure functions.

    Attributes:
      init: ``init(key) -> state``.
      run: ``run(state, updates) -> state, report``: so many updates in one compiled call, whose reports are stacked
        ``[updates, ...]``; the state given is used up.
      compile: ``compile(state, updates)``: what ``run`` would compile at its first call with so many updates; for
        other platforms with ``lowering_platforms`` by keyword, as JAX has it.
      saved: what of a state has to be kept: all but the observations, which follow from the realms.
      restored: the state of which that was kept.
      template: shapes, types and shardings of what is kept.

    With seeds, keys, states and reports have an axis for them: ``init(keys [S])``, states ``[S, ...]``, reports
    ``[updates, S, ...]``. Each seed is trained as if it were alone.
    """

    init: Any
    run: Any
    compile: Any
    saved: Any
    restored: Any
    template: Any


def make_train(
    experiment: Experiment,
    trinity: Trinity | None = None,
    devices: list[Any] | None = None,
    seeds: int | None = None,
) -> Train:
    """The training of an experiment.

    Args:
      trinity: classes of the three levels; default, the base classes.
      devices: over which the seeds are shared out, as far as they can be, and then the realms; default, as many as
        seeds and ``Settings.groups`` can be shared out over.
        ``nmmo_jax.play.measure.use_all_cores``, before JAX starts, makes every core of a CPU one.
      seeds: runs side by side, each with a key of its own; None: one, without an axis for it.

    Raises:
      ValueError: fewer than one seed, the realms cannot be shared out over the devices, or the parameters are not by
        population.
    """
    settings = experiment.settings
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds={seeds}: must be at least 1, or None")
    if devices is not None and not devices:
        raise ValueError("devices=[]: must be at least one, or None")

    def per_seed(devices: int) -> int:
        return devices // math.gcd(devices, seeds or 1)

    if devices is None:
        devices = jax.devices()
        if jax.process_count() == 1:  # several take part with all that they have
            devices = devices[: max(n for n in range(1, len(devices) + 1) if settings.groups % per_seed(n) == 0)]
    share = per_seed(len(devices))
    if settings.groups % share:
        each = "" if seeds is None else " of a seed"
        raise ValueError(f"groups={settings.groups}: must be divisible by the number of devices{each}, {share}")
    levels = (trinity or Trinity()).of(experiment)
    env = levels.god.env
    axes = {AXIS: share} if seeds is None else {SEEDS: len(devices) // share, AXIS: share}
    mesh = jax.make_mesh(tuple(axes.values()), tuple(axes), (AxisType.Auto,) * len(axes), devices=devices)
    here = settings.realms // share

    many = vectorize(env, settings.realms)
    pool = MapPool.generated(settings.seed, settings.maps, env.config) if settings.maps else None
    pool = jax.device_put(pool, NamedSharding(mesh, PartitionSpec()))

    def worlds_of(pool, number, first: Any = 0):
        return vectorize(env if env.config.horizon is None else autoreset(env, pool), number, first)

    def begin(pool, key):
        key = as_key(key)
        keys = jax.vmap(fold_in, (None, 0))(fold_in(key, RULES), jnp.arange(settings.realms, dtype=jnp.int32))
        rules = jax.vmap(levels.god.rules)(keys)
        tiles = None if pool is None else pool.tiles(jnp.arange(settings.realms, dtype=jnp.int32) % len(pool))
        obs, world = worlds_of(pool, settings.realms).reset(fold_in(key, WORLD), rules, tiles)
        obs = levels.sword.see(obs)
        config = env.config
        shape = (config.num_populations, settings.realms, config.num_agents // config.num_populations)
        params = levels.sword.init(fold_in(key, NETWORK))
        check_params(params, config.num_populations)
        visited = nothing_visited(settings.realms, config)
        worlds = Worlds(world, rules, make_ring(obs, settings.ticks), levels.sword.network.initial(shape), visited)
        return State(params, levels.pantheon.optimiser().init(params), worlds, key, jnp.zeros((), jnp.int32))

    example = jax.eval_shape(begin, pool, jax.random.key(0))
    specs = _specs(example)
    if seeds is not None:
        # One after another: QR of a batch, which networks begin with, can wait for itself on a CPU of few cores.
        begin = _over(begin, seeds)
        example = jax.eval_shape(begin, pool, jax.random.split(jax.random.key(0), seeds))
        specs = jax.tree.map(lambda spec: PartitionSpec(SEEDS, *spec), specs, is_leaf=_is_spec)
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=_is_spec)

    def one(pool, state):
        many = worlds_of(pool, here, jax.lax.axis_index(AXIS) * here)
        key = state.key
        worlds, rollout, sums = play(levels, state.params, state.worlds, many, fold_in(key, WORLD), fold_in(key, PLAY))
        shuffle = fold_in(fold_in(key, SHUFFLE), state.update)
        params, optimiser, told, skipped = learn(experiment, levels, state, worlds, rollout, shuffle)
        sums, update = jax.lax.psum(sums, AXIS), state.update + 1
        evolution = fold_in(fold_in(key, EVOLVE), update)
        params, optimiser = levels.pantheon.evolve(params, optimiser, sums, update, evolution)
        return State(params, optimiser, worlds, key, update), Report(sums, told, skipped)

    def run(pool, state, updates):
        def some(pool, state):
            return jax.lax.scan(lambda state, _: one(pool, state), state, length=updates)

        def each(pool, state):
            one_seed = functools.partial(some, pool)
            # A core goes through its seeds one after another: what the agents of one see then stays in its cache.
            in_turn = devices[0].platform == "cpu"
            state, report = jax.lax.map(one_seed, state) if in_turn else jax.vmap(one_seed)(state)
            return state, jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), report)

        whole = PartitionSpec()
        function, told = (some, whole) if seeds is None else (each, PartitionSpec(None, SEEDS))
        return jax.shard_map(function, mesh=mesh, in_specs=(whole, specs), out_specs=(specs, told), check_vma=False)(
            pool, state
        )

    def saved(state):
        return state.replace(worlds=state.worlds.replace(observed=None))

    def restored(kept):
        def see(worlds):
            obs = levels.sword.see(many.observe(worlds.realm, worlds.rules))
            return worlds.replace(observed=make_ring(obs, settings.ticks))

        return kept.replace(worlds=(see if seeds is None else jax.vmap(see))(kept.worlds))

    template = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        saved(example),
        saved(shardings),
    )
    # Cores that are devices do their own arithmetic. Shared out over XLA's threads, as many as there are cores, it may
    # find all of them waiting in a collective; with more threads than cores training takes up to twice as long.
    options = {"xla_cpu_multi_thread_eigen": False} if devices[0].platform == "cpu" and len(devices) > 1 else None
    running = jax.jit(run, static_argnums=2, donate_argnums=1, compiler_options=options)
    return Train(
        functools.partial(jax.jit(begin, out_shardings=shardings), pool),
        functools.partial(running, pool),
        lambda state, updates, **how: running.trace(pool, state, updates).lower(**how).compile(),
        saved,
        jax.jit(restored, out_shardings=shardings),
        template,
    )


def learn(
    experiment: Experiment, levels: Trinity, state: State, worlds: Worlds, rollout: Rollout, key: PRNGKeyArray
) -> tuple[Any, Any, dict[str, Float32[Array, "P"]], Int32[Array, "P"]]:
    """Some epochs over the living of a rollout, in minibatches; on one device of several.

    The rows of each group of realms and population are shuffled by themselves, the living first; a minibatch takes as
    many from each, until all have been taken. What is learned is the same however the groups are spread over devices.
    """
    settings, config = experiment.settings, experiment.env.config
    steps = rollout.steps
    advantage = advantages(
        steps.reward, steps.value, rollout.following, steps.terminated, steps.truncated,
        settings.discount, settings.decay,
    )  # fmt: skip
    target = advantage + steps.value
    number, mean, deviation = moments(advantage, steps.alive, config.num_populations)
    rows = Rows(experiment, steps.alive)
    there = rows.alive.shape[-1]
    size = min(settings.minibatch // settings.groups // settings.piece or there, there)

    def step(index, carry):
        params, optimiser, order, total, skipped = carry
        batch = rows.batch(levels, order, index, size, worlds, rollout, advantage, target)
        usual = (per_row(moment, batch.advantage) for moment in (mean, deviation))
        batch = batch._replace(advantage=normalise(batch.advantage, *usual))

        gradients, (each, told) = gradients_of(levels.sword, params, batch)
        share = jax.lax.axis_size(AXIS)  # every device divides by its own rows
        gradients = levels.pantheon.aggregate(jax.tree.map(lambda leaf: leaf / share, gradients), AXIS)
        of_here = batch.weight.reshape(len(number), -1).sum(axis=1)
        filled, each = jax.lax.psum(jnp.stack((of_here, each)), AXIS)
        squares = sum_of_squares(gradients)
        finite = jnp.isfinite(squares) & jnp.isfinite(each)
        params, optimiser = levels.pantheon.update(params, optimiser, gradients, finite & (filled > 0))
        told = {name: value * batch.weight[0].size for name, value in told.items()}
        told["gradient_norm"] = jnp.sqrt(squares) * filled / share
        total = {name: total[name] + jnp.where(finite, value, 0) for name, value in told.items()}
        return params, optimiser, order, total, skipped + (~finite & (filled > 0))

    params, optimiser = state.params, state.optimiser
    first = rows.shuffled(key, size), jnp.zeros((), jnp.int32)
    example = rows.batch(levels, *first, size, worlds, rollout, target, target)
    told = jax.eval_shape(levels.sword.loss, params, example)[1]  # what a Sword tells is its own affair
    total = dict.fromkeys((*told, "gradient_norm"), jnp.zeros(config.num_populations, jnp.float32))
    skipped = jnp.zeros(config.num_populations, jnp.int32)
    for epoch in range(settings.epochs):
        order = rows.shuffled(fold_in(key, epoch), size)
        carry = (params, optimiser, order, total, skipped)
        params, optimiser, _, total, skipped = jax.lax.fori_loop(0, rows.batches(size), step, carry)
    total = jax.lax.psum(total, AXIS)
    return params, optimiser, {k: v / jnp.maximum(settings.epochs * number, 1) for k, v in total.items()}, skipped


def gradients_of(sword: Sword, params: Any, batch: Batch) -> tuple[Any, tuple[Float32[Array, "P"], dict[str, Any]]]:
    """Gradients of the sum of all populations' losses; the loss of each, and what is told of it.

    A CPU goes from each population's rows to its gradients and then to the next, so that what lies between forward and
    backward pass stays in its cache. A Sword with a loss or a network of its own may look at all populations at once.
    """

    def at_once(params, batch):
        def loss(params):
            each, told = sword.loss(params, batch)
            return each.sum(), (each, told)

        return jax.grad(loss, has_aux=True)(params)

    def in_turn(params, batch):
        def one(gradients, rows):
            index, batch = rows
            mine = params if shared else jax.tree.map(lambda leaf: leaf[index][None], params)
            more, told = at_once(mine, jax.tree.map(lambda leaf: leaf[None], batch))
            if shared:
                return jax.tree.map(jnp.add, gradients, more), told
            return jax.tree.map(lambda leaf, row: leaf.at[index].set(row[0]), gradients, more), told

        nothing = jax.tree.map(jnp.zeros_like, params)
        gradients, told = jax.lax.scan(one, nothing, (jnp.arange(len(batch.weight), dtype=jnp.int32), batch))
        return gradients, jax.tree.map(lambda leaf: leaf[:, 0], told)

    shared = all(len(leaf) == 1 for leaf in jax.tree.leaves(params))
    if type(sword).loss is not Sword.loss or type(sword).make_network is not Sword.make_network:
        return at_once(params, batch)
    return jax.lax.platform_dependent(params, batch, cpu=in_turn, default=at_once)


def _specs(state: State) -> State:
    """How each leaf of a state lies on the devices: realms are shared out, the rest is everywhere."""
    whole, first, second = PartitionSpec(), PartitionSpec(AXIS), PartitionSpec(None, AXIS)
    worlds = state.worlds
    worlds = Worlds(
        world=jax.tree.map(lambda _: first, worlds.world),
        rules=jax.tree.map(lambda _: first, worlds.rules),
        observed=jax.tree.map(lambda _: second, worlds.observed),
        core=jax.tree.map(lambda _: second, worlds.core),
        visited=jax.tree.map(lambda _: first, worlds.visited),
    )
    params, optimiser = jax.tree.map(lambda _: whole, (state.params, state.optimiser))
    return state.replace(params=params, optimiser=optimiser, worlds=worlds, key=whole, update=whole)


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, PartitionSpec)


def _over(begin: Any, seeds: int) -> Any:
    """``begin`` of one key for an axis of keys."""
    return lambda pool, keys: jax.lax.map(functools.partial(begin, pool), as_key(keys, "keys", (seeds,)))
