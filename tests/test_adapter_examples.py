"""The programs of ``docs/examples/adapters`` run, and their agents come to live longer.

Those with PyTorch run where it is installed: ``make test-torch``.
"""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "examples" / "adapters"


def program(name: str):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "needs", "length", "times"),
    [
        ("torch_policy_gradient", ("torch",), 60, 2.0),
        ("gymnasium_ppo", ("torch", "gymnasium"), 24, 1.2),
        ("stable_baselines", ("torch", "supersuit", "stable_baselines3"), 12_000, 1.5),
        ("jaxmarl_policy_gradient", ("jaxmarl",), 60, 1.2),
    ],
)
@pytest.mark.slow
def test_agents_come_to_live_longer(name, needs, length, times):
    for module in needs:
        pytest.importorskip(module)
    told = []
    first, last = program(name).main(length, told=told.append)
    assert told and 0 < times * first < last


@pytest.mark.slow
def test_the_jaxmarl_program_runs():
    pytest.importorskip("jaxmarl")
    first, last = program("jaxmarl_policy_gradient").main(2)
    assert first > 0 and last > 0
