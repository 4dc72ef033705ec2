"""The default network in plain NumPy, an agent at a time."""

import numpy as np

from nmmo_jax.kinds import Material
from nmmo_jax.observations import FEATURES
from nmmo_jax.paths import FAR
from train.layers import LIMIT


def plain_scaled(x: np.ndarray) -> dict[str, np.ndarray]:
    """By name, of agents ``[..., F]``."""
    most = {"age": 50, "health": 10, "food": 32, "water": 32, "row": 35, "col": 32, "damage": 5, "freeze": 2}
    result = {}
    for index, name in enumerate(FEATURES):
        value = x[..., index].astype(np.float64)
        result[name] = value / 3 if name.endswith("_difference") else value / (most.get(name, 1) / 2) - 1
    return {name: np.clip(value, -LIMIT, LIMIT) for name, value in result.items()}


def plain_approach(steps: np.ndarray) -> list[float]:
    """Of one goal: the steps from one's own tile, and from those right, below, left and above."""
    own, *beside = (int(one) for one in steps)
    if own == FAR:
        return [0, 0, 0, -2, -2, -2, -2]
    nearer = [-2 if there == FAR else max(-2, min(2, own - there)) for there in beside]
    return [1, own / 16, 1 / (1 + own), *nearer]


def plain_network(params, tiles, own, visible, listed, steps) -> dict[str, np.ndarray]:
    """Of one agent."""

    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    def relu(x):
        return np.maximum(x, 0)

    distance = np.abs(np.arange(7) - 3)
    near = 1 / (1 + np.maximum(distance[:, None], distance)).reshape(-1)
    weights = params["tiles"] * (2 * near / np.sqrt((near**2).mean()))[:, None]
    from_tiles = sum(weights[material, place] for place, material in enumerate(tiles[0].reshape(-1)))
    from_tiles = from_tiles + np.minimum(tiles[1].reshape(-1), 3) @ weights[-1] + params["tiles_bias"]
    around = [tiles[0, 3, 3], tiles[0, 3, 4], tiles[0, 4, 3], tiles[0, 3, 2], tiles[0, 2, 3]]
    footing = [float(Material.GRASS <= material <= Material.FOREST) for material in around]
    own = np.concatenate([list(plain_scaled(own).values()), footing, *(plain_approach(goal) for goal in steps)])
    attributes = plain_scaled(visible)
    attributes["row"], attributes["col"] = np.abs(attributes["row_difference"]), np.abs(attributes["col_difference"])
    attributes = np.stack(list(attributes.values()), axis=-1)
    others = attributes[1:][listed[1:]] @ params["others"] + dense("observer", own)
    from_others = relu(others).max(axis=0) if len(others) else np.zeros(4)
    x = np.concatenate([relu(from_tiles), relu(dense("self", own)), from_others])
    x = relu(dense("trunk2", relu(dense("trunk", x))))
    query = dense("target", x)
    target = attributes @ query[:-1]
    target[0] += query[-1]
    return {"target": target} | {name: dense(name, x) for name in ("value", "move", "style")}
