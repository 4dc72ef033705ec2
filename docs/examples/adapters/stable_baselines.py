"""PettingZoo, SuperSuit, Stable-Baselines3: its PPO on the places of four worlds.

python docs/examples/adapters/stable_baselines.py [steps]
"""

import sys

import numpy as np
import supersuit
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

import nmmo_jax as nmmo
from nmmo_jax.adapters.parallel import ParallelEnv

WORLDS = 4


class Lifetimes(BaseCallback):
    """Notes the age of everybody who dies."""

    def __init__(self):
        super().__init__()
        self.ages = []

    def _on_step(self):
        self.ages += [info["final_info"]["age"] for info in self.locals["infos"] if "final_info" in info]
        return True


def main(steps=40_000, told=print):
    """Trains for so many steps of places; returns the mean lifetime (ticks) of the first and the last fifth."""
    torch.set_num_threads(1)  # a small network; other threads would only stand in the way of JAX
    world = nmmo.make("law", num_agents=16, num_populations=1, rows=40, columns=40, view=9, num_visible=2, horizon=1000)
    env = ParallelEnv(world, names="place", arguments=["move"], flat=True)
    env = supersuit.pettingzoo_env_to_vec_env_v1(env)
    env = supersuit.concat_vec_envs_v1(env, WORLDS, num_cpus=0, base_class="stable_baselines3")
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=512, learning_rate=1e-3, n_epochs=4, gamma=0.97)
    lifetimes = Lifetimes()
    model.learn(steps, callback=lifetimes)
    env.close()
    fifth = max(len(lifetimes.ages) // 5, 1)
    told(f"{len(lifetimes.ages)} lives")
    return float(np.mean(lifetimes.ages[:fifth])), float(np.mean(lifetimes.ages[-fifth:]))


if __name__ == "__main__":
    begin, end = main(*map(int, sys.argv[1:]))
    print(f"lifetime: {begin:.1f} ticks at first, {end:.1f} at last")
