"""What the drivers of peers share: calls that are timed, and the line of JSON that tells of them."""

import json
import time
from collections.abc import Callable
from importlib.metadata import version


def tell(package: str, setting: str, call: Callable[[int], int], warm_up: int, repeats: int = 10) -> None:
    """Times calls, and prints their record as a line of JSON, the last of the driver.

    Args:
      package: the peer's distribution, whose version is told.
      setting: what is played, in words.
      call: plays the ``index``-th stretch, observations kept, to its end; returns how many living agents acted. What is
        compiled was compiled before.
      warm_up: calls that are not timed.
    """
    steps, seconds = [], []
    for index in range(warm_up + repeats):
        began = time.perf_counter()
        acted = call(index)
        if index >= warm_up:
            seconds.append(time.perf_counter() - began)
            steps.append(acted)
    told = {"package": package, "version": version(package), "setting": setting}
    print(json.dumps({**told, "agent_steps": steps, "seconds": seconds}))
