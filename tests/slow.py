"""Which parameters of a test are slow."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(*fast: Any, of: Iterable[Any]) -> list[Any]:
    """All of them, for ``pytest.mark.parametrize``, of which those that are not named first are slow."""
    of = list(of)
    assert {*fast} <= {*of}, fast  # else none of them would be fast
    return [one if one in fast else pytest.param(one, marks=pytest.mark.slow) for one in of]
