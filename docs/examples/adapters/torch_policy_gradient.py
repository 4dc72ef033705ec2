"""PyTorch: a policy gradient through ``VecEnv``, whose rows go to and fro as tensors by DLPack.

python docs/examples/adapters/torch_policy_gradient.py [seconds]
"""

import sys
import time

import torch
from torch.nn.functional import one_hot, pad, softplus

import nmmo_jax as nmmo
from nmmo_jax.kinds import Material
from train.vec_env import VecEnv

REALMS, TICKS, DISCOUNT, TRACE, RATE, ENTROPY = 16, 16, 0.97, 0.9, 2e-3, 0.01
SIGHT = 4  # tiles to each side that are looked at, of 7


class Policy(torch.nn.Module):
    """What lies around, and health, food and water, to logits of moves and the reward that is still to come."""

    def __init__(self):
        super().__init__()
        inputs = (2 * SIGHT + 1) ** 2 * len(Material) + 3
        self.body = torch.nn.Sequential(torch.nn.Linear(inputs, 128), torch.nn.ReLU())
        self.heads = torch.nn.Linear(128, 5 + 1)

    def forward(self, inputs, mask):
        """The distribution of moves, and the value, of every row."""
        out = self.heads(self.body(inputs))
        return torch.distributions.Categorical(logits=out[:, :5].masked_fill(~mask, -1e9)), softplus(out[:, 5])


def inputs_of(obs):
    """``[n, inputs]`` and the mask ``[n, 5]`` of all who live now."""
    around = slice(7 - SIGHT, 8 + SIGHT)
    tiles = one_hot(obs.tiles[:, 0, around, around].long(), len(Material)).flatten(1)
    return torch.cat([tiles, obs.self[:, 1:4] / 32], dim=1).float(), obs.mask["move"]


def advantages(steps, value):
    """Generalised advantages of every row of every tick; ``value`` is that of who lives at the end."""
    found, later = [], torch.zeros_like(value)
    for _, _, _, own, reward, next_row in reversed(steps):
        # Who has left has row -1: the zero that is put behind the others.
        value, later = (pad(column, (0, 1))[next_row] for column in (value, later))
        later = reward + DISCOUNT * value - own + DISCOUNT * TRACE * later
        found.append(later)
        value = own
    return torch.cat(found[::-1])


def main(seconds=120.0, seed=0, told=print):
    """Trains for so long; returns the mean lifetime (ticks) of who died in the first, and in the last tenth of it."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # a small network; other threads would only stand in the way of JAX
    env = VecEnv(nmmo.make("law", num_populations=1), REALMS, seed, initial_population=64, arrays=torch.from_dlpack)
    policy, obs, lives = Policy(), env.reset(), []
    optimiser = torch.optim.Adam(policy.parameters(), RATE)
    began, last = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        steps = []
        for _ in range(TICKS):
            inputs, mask = inputs_of(obs)
            with torch.no_grad():
                choice, value = policy(inputs, mask)
            move = choice.sample()
            obs, rewards, dones, info = env.step({"move": move})
            steps.append((inputs, mask, move, value, rewards.reward / 10, info.next_row))
            ages = dones.age[dones.terminated].tolist()
            lives.append((now / seconds, sum(ages), len(ages)))
        inputs, mask, move, value = (torch.cat([step[column] for step in steps]) for column in range(4))
        with torch.no_grad():
            gain = advantages(steps, policy(*inputs_of(obs))[1])
        choice, own = policy(inputs, mask)
        better = (gain - gain.mean()) / (gain.std() + 1e-6)
        loss = -(choice.log_prob(move) * better).mean() - ENTROPY * choice.entropy().mean()
        loss = loss + 0.5 * (own - value - gain).square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        if int(10 * now / seconds) > last:
            last = int(10 * now / seconds)
            told(f"{now:4.0f} s: {lifetime(lives, (last - 1) / 10, 1.0):6.1f} ticks, {len(obs.uid)} live")
    return lifetime(lives, 0.0, 0.1), lifetime(lives, 0.9, 1.0)


def lifetime(lives, since, until):
    """Mean age of who died in a part of the time."""
    part = [(ages, number) for when, ages, number in lives if since <= when < until]
    return sum(ages for ages, _ in part) / max(sum(number for _, number in part), 1)


if __name__ == "__main__":
    first, end = main(*map(float, sys.argv[1:]))
    print(f"lifetime: {first:.1f} ticks in the first tenth, {end:.1f} in the last")
