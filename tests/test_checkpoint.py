"""Checkpoints: whole or not there, bit for bit, and clear about what does not fit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from nmmo_jax import RULES_VERSION
from train import arrays, checkpoint
from train.checkpoint import FOLDER, Checkpoints, load_params


class Table(flax.struct.PyTreeNode):
    small: jax.Array
    flags: jax.Array
    nothing: jax.Array | None = None


class Moments(NamedTuple):
    total: jax.Array
    rows: tuple


def params_of(populations: int, width: int = 4, start: int = 0):
    kernel = jnp.arange(populations * 3 * width, dtype=jnp.float32).reshape(populations, 3, width) + start
    return {"encoder": {"kernel": kernel, "bias": -kernel[:, 0]}, "value": kernel[..., 0].astype(jnp.bfloat16)}


def state_of(step: int):
    """All kinds of leaves."""
    params = params_of(4, start=step)
    return {
        "params": params,
        "optimiser": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3)).init(params),
        "realms": Table(
            small=(jnp.arange(48).reshape(6, 8) * 7 + step).astype(jnp.uint8), flags=jnp.arange(6) % 2 == step % 2
        ),
        "keys": jax.random.split(jax.random.key(step), 6),
        "other": jax.random.key(step, impl="rbg"),
        "moments": Moments(
            total=jnp.array([jnp.nan, -0.0, jnp.inf, 1e-40], jnp.float32), rows=((), jnp.zeros((0, 2), jnp.int16))
        ),
        "no_keys": jax.random.split(jax.random.key(0), 2)[:0],
        "steps": np.full((), 2**40 + step, np.int64),
        "ticks": np.uint32(7),
    }


def raw(leaf):
    plain = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return str(leaf.dtype), leaf.shape, np.asarray(plain).tobytes()


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
        assert raw(x) == raw(y), path


def small(step: int):
    return {"params": {"w": jnp.full((2, 3), step, jnp.float32)}, "step": jnp.int32(step)}


def test_a_state_comes_back_bit_for_bit(tmp_path, capfd, recwarn):
    about = {"config": {"num_agents": 8, "cap": None}, "agent_steps": 2**60}
    Checkpoints(tmp_path / "run" / FOLDER).save(3, state_of(3), about, score=np.float32(11.5))
    host = {name: state_of(0)[name] for name in ("steps", "ticks")}  # a shape does not say that it is NumPy's
    for template in (state_of(0), jax.eval_shape(lambda: state_of(0)) | host):
        state, told = Checkpoints(tmp_path / "run" / FOLDER).restore(template)
        assert_same(state, state_of(3))
        assert type(state["steps"]) is np.ndarray
        assert told == {**about, "step": 3, "score": 11.5, "rules_version": RULES_VERSION}
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_a_restored_state_can_be_donated(tmp_path):
    saved = Checkpoints(tmp_path)
    saved.save(1, small(1), {})
    state, _ = saved.restore(small(0))
    step = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    assert_same(step(step(state)), small(3))
    assert_same(saved.restore(small(0))[0], small(1))


def test_kept_are_the_latest_the_best_and_every_nth(tmp_path):
    saved = Checkpoints(tmp_path, every=4)
    assert (saved.steps(), saved.latest(), saved.best()) == ([], None, None)
    scores = [None, float("nan"), 5.0, 5.0, float("inf"), 2.0, float("-inf"), 4.0, None]
    kept = [[1], [2], [3], [4], [4, 5], [4, 6], [4, 7], [4, 8], [4, 8, 9]]
    for step, (score, steps) in enumerate(zip(scores, kept, strict=True), start=1):
        saved.save(step, small(step), {}, score)
        assert saved.steps() == steps == sorted(int(path.name) for path in tmp_path.iterdir())
        assert saved.latest() == step
    assert saved.best() == 4
    assert_same(saved.restore(small(0), 4)[0], small(4))
    assert_same(load_params(tmp_path)[0], small(4)["params"])
    with pytest.raises(ValueError, match=r"step=8: must be 9 or later"):
        saved.save(8, small(8), {})


def test_the_latest_step_can_be_saved_again(tmp_path):
    saved = Checkpoints(tmp_path)
    saved.save(2, small(2), {"first": True}, 1.0)
    saved.save(2, small(5), {"first": False})
    state, about = saved.restore(small(0))
    assert_same(state, small(5))
    assert about["first"] is False
    assert len(list((tmp_path / "00000002").iterdir())) == 2


@pytest.mark.parametrize("where", ["save", "write_json", "rmtree"])
def test_an_interrupted_save_leaves_what_was_there(tmp_path, monkeypatch, where):
    saved = Checkpoints(tmp_path)
    saved.save(1, small(1), {})

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    for step in (1, 2):  # the same step again, and the next
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            owner = {"save": arrays.ocp.PyTreeCheckpointHandler, "write_json": checkpoint, "rmtree": shutil}[where]
            patch.setattr(owner, "finalize" if where == "save" else where, interrupt)
            saved.save(step, small(7), {})
        left = small(7) if where == "rmtree" else small(1)
        assert_same(saved.restore(small(0))[0], left)
        assert_same(load_params(tmp_path)[0], left["params"])
    saved.save(3, small(3), {})
    assert [path.name for path in tmp_path.iterdir()] == ["00000003"]


CHILD = """
import sys
import train.networks
assert "orbax.checkpoint" not in sys.modules
from pathlib import Path
import jax
from test_checkpoint import Checkpoints, assert_same, small, state_of

assert jax.device_count() == 1
folder = Path(sys.argv[1])
assert_same(Checkpoints(folder / "two").restore(state_of(0))[0], state_of(6))
print("restored", flush=True)
for step in range(1, 10_000):
    Checkpoints(folder / "killed", every=5).save(step, state_of(step), {}, step % 3)
    print(step, flush=True)
"""


def test_killed_while_it_saves_and_saved_on_two_devices_for_one(tmp_path):
    assert jax.device_count() == 2
    two = jax.make_mesh((2,), ("realm",), axis_types=(jax.sharding.AxisType.Auto,))
    one = jax.make_mesh((1,), ("realm",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[1:])

    def place(state, mesh):
        split = {name: state[name] for name in ("realms", "keys", "no_keys")}
        return state | jax.device_put(split, NamedSharding(mesh, PartitionSpec("realm")))

    saved = Checkpoints(tmp_path / "two")
    saved.save(6, place(state_of(6), two), {})
    for mesh in (one, two):
        state, _ = saved.restore(place(state_of(0), mesh))
        assert_same(state, state_of(6))
        for name in ("realms", "keys", "no_keys"):
            for leaf in jax.tree.leaves(state[name]):
                assert leaf.sharding.device_set == set(mesh.devices.flat)
        assert not state["params"]["value"].committed

    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join([str(root), str(root / "tests")])
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": path}
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stderr
        lines = [child.stdout.readline() for _ in range(8)]  # it has begun the next one
        child.kill()
        lines += child.stdout.read().splitlines()
        assert child.stderr.read() == ""
    assert lines[0].strip() == "restored"
    told = max(int(line) for line in lines[1:])
    killed = Checkpoints(tmp_path / "killed", every=5)
    assert killed.latest() in (told, told + 1)
    assert 5 in killed.steps()
    for step in killed.steps():
        state, about = killed.restore(state_of(0), step)
        assert_same(state, state_of(step))
        assert (about["step"], about["score"]) == (step, step % 3)
    last = told + 2
    killed.save(last, state_of(last), {})
    assert sorted(int(path.name) for path in killed.folder.iterdir()) == killed.steps()
    assert all(len(list(path.iterdir())) == 2 for path in killed.folder.iterdir())


def test_what_does_not_fit_is_named(tmp_path):
    saved = Checkpoints(tmp_path)
    saved.save(1, state_of(1), {})
    good = state_of(0)

    def message(template):
        with pytest.raises(ValueError, match="00000001 does not fit: ") as caught:
            saved.restore(template)
        return str(caught.value).split("does not fit: ")[1]

    assert message(good | {"params": params_of(4, width=5)}) == (
        "2 of its leaves: params.encoder.bias differs in shape, float32[4,4] in place of float32[4,5]; "
        "params.encoder.kernel differs in shape, float32[4,3,4] in place of float32[4,3,5]"
    )
    assert message(good | {"ticks": np.int32(0)}) == (
        "1 of its leaves: ticks differs in dtype, uint32[] in place of int32[]"
    )
    assert "other differs in dtype, key<rbg>[] in place of key<fry>[]" in message(good | {"other": jax.random.key(0)})
    realms = good["realms"].replace(flags=None, nothing=jnp.zeros(2))
    assert message(good | {"realms": realms}) == (
        "2 of its leaves: realms.nothing is missing; realms.flags is unexpected"
    )
    text = message({name: leaf for name, leaf in good.items() if name != "optimiser"})
    assert text.startswith("7 of its leaves: optimiser.1.0.count is unexpected; ")
    assert text.endswith("; ...")
    with pytest.raises(ValueError, match=r"^ticks: must be an array, and is int"):
        saved.restore(good | {"ticks": 3})


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path):
    saved = Checkpoints(tmp_path / "new")
    for state, about, error in [
        ({"params": 1.0}, {}, "params: must be an array, and is float"),
        ({"params": {"a.b": jnp.ones(2)}}, {}, r"\['params'\]\['a.b'\]: must have a name"),
        (jnp.ones(2), {}, "state: must have a name"),
        (small(1), {"mean": float("nan")}, "not JSON compliant"),
    ]:
        with pytest.raises(ValueError, match=error):
            saved.save(1, state, about)
    with pytest.raises(TypeError):
        saved.save(1, small(1), {"counter": jnp.int32(1)})
    assert not saved.folder.exists()
    with pytest.raises(ValueError, match="every=0"):
        Checkpoints(tmp_path, every=0)


def test_params_alone(tmp_path, monkeypatch):
    saved = Checkpoints(tmp_path / FOLDER, every=1)
    for step, score in [(1, None), (2, 3.0), (3, 1.0)]:
        saved.save(step, state_of(step), {"name": "x"}, score)
        if step == 1:
            assert_same(load_params(tmp_path)[0], params_of(4, start=1))  # none has a score
    read = []
    restore_args = arrays.ocp.args.PyTreeRestore
    monkeypatch.setattr(arrays.ocp.args, "PyTreeRestore", lambda **kw: read.append(kw["item"]) or restore_args(**kw))
    for step, number in [("best", 2), ("latest", 3), (1, 1), (np.int64(1), 1)]:
        params, about = load_params(tmp_path, step)
        assert_same(params, params_of(4, start=number))
        assert not any(leaf.committed for leaf in jax.tree.leaves(params))
        assert (about["step"], about["name"]) == (number, "x")
    assert all(name.startswith("params.") for names in read for name in names)
    assert_same(load_params(tmp_path / FOLDER)[0], params_of(4, start=2))
    with pytest.raises(ValueError, match="step='first'"):
        load_params(tmp_path, "first")
    saved.save(4, {"realms": jnp.ones(2)}, {})
    with pytest.raises(ValueError, match="its state has no params"):
        load_params(tmp_path, "latest")
