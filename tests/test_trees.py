"""Trees of parameters: populations are picked and put together, or it is said why they cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_checkpoint import assert_same, params_of

from train.trees import Packed, combine, pick


@pytest.mark.slow
def test_pick_and_combine():
    a, b = params_of(4), params_of(2, start=100)
    picked = pick(a, [3, 0, 3])
    assert_same(picked, jax.tree.map(lambda leaf: jnp.stack([leaf[3], leaf[0], leaf[3]]), a))
    assert_same(pick(combine([a, b, picked]), range(4, 6)), b)
    assert_same(combine([pick(a, [0, 1]), pick(a, [2, 3])]), a)
    for populations in ([], [4], [-1]):
        with pytest.raises(ValueError, match="must be one or more of 0 to 3"):
            pick(a, populations)
    with pytest.raises(ValueError, match="value: has 4 populations, where another leaf has 2"):
        pick(b | {"value": a["value"]}, [0])
    with pytest.raises(ValueError, match=r"params\[1\] .* encoder.kernel differs in shape, float32\[3,5\] in place of"):
        combine([a, params_of(4, width=5)])
    with pytest.raises(ValueError, match=r"2 of its leaves: value is missing; extra is unexpected"):
        combine([a, {"encoder": a["encoder"], "extra": a["value"]}])
    with pytest.raises(ValueError, match="at least one"):
        combine([])


def test_what_a_loop_keeps_as_one_array_comes_apart_again():
    tree = {
        "counts": np.arange(24, dtype=np.int32).reshape(2, 3, 4),
        "mean": np.array([0.1, np.nan], np.float32),
        "none": None,
    }
    packed, kept = jax.lax.scan(lambda packed, _: (packed, packed), Packed.of(tree), length=3)
    assert packed.words.shape == (2, 13)
    assert_same(packed.apart(), tree)
    assert_same(kept.apart(), jax.tree.map(lambda leaf: np.stack([leaf] * 3), tree))
