"""Gymnasium: PPO in one file, in the form of CleanRL, over the vector env of all places of all worlds.

python docs/examples/adapters/gymnasium_ppo.py [updates]
"""

import sys

import numpy as np
import torch

import nmmo_jax as nmmo
from nmmo_jax.adapters.vector import VectorEnv

REALMS, STEPS, EPOCHS, MINIBATCHES = 8, 32, 3, 4
RATE, GAMMA, LAMBDA, CLIP, ENTROPY = 1e-3, 0.97, 0.9, 0.2, 0.01


class Agent(torch.nn.Module):
    """The classic network of two layers."""

    def __init__(self, envs):
        super().__init__()
        inputs, actions = envs.single_observation_space.shape[0], envs.single_action_space.n
        self.body = torch.nn.Sequential(torch.nn.Linear(inputs, 64), torch.nn.Tanh())
        self.actor, self.critic = torch.nn.Linear(64, actions), torch.nn.Linear(64, 1)

    def forward(self, obs):
        """The distribution of actions, and the value, of every row."""
        hidden = self.body(obs)
        return torch.distributions.Categorical(logits=self.actor(hidden)), self.critic(hidden).squeeze(-1)


def main(updates=100, seed=0, told=print):
    """Trains; returns the mean lifetime (ticks) of the first and of the last fifth of the updates."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # a small network; other threads would only stand in the way of JAX
    world = nmmo.make("law", num_agents=32, num_populations=1, rows=40, columns=40, view=9, num_visible=2)
    envs = VectorEnv(world, REALMS, initial_population=16, arguments=["move"], flat=True)
    agent = Agent(envs)
    optimizer = torch.optim.Adam(agent.parameters(), lr=RATE, eps=1e-5)
    next_obs, info = envs.reset(seed=seed)
    next_obs, next_done, alive = torch.from_numpy(next_obs), torch.zeros(envs.num_envs), info["alive"]
    lifetimes = []
    for update in range(updates):
        kept, ages = [], []
        for _ in range(STEPS):
            with torch.no_grad():
                choice, value = agent(next_obs)
            action, obs, done, acts = choice.sample(), next_obs, next_done, torch.from_numpy(alive)
            next_obs, reward, terminated, truncated, info = envs.step(action.numpy())
            next_obs, alive = torch.from_numpy(next_obs), info["alive"]
            next_done = torch.from_numpy(terminated | truncated).float()
            kept.append((obs, action, choice.log_prob(action), value, torch.from_numpy(reward) / 10, done, acts))
            if "final_info" in info:
                ages += info["final_info"]["age"][info["_final_info"]].tolist()
        obs, actions, logprobs, values, rewards, dones, acts = map(torch.stack, zip(*kept, strict=True))
        with torch.no_grad():
            next_value, advantages, last = agent(next_obs)[1], torch.zeros_like(rewards), 0.0
            for t in reversed(range(STEPS)):
                more = 1.0 - (next_done if t == STEPS - 1 else dones[t + 1])
                later = next_value if t == STEPS - 1 else values[t + 1]
                last = rewards[t] + GAMMA * later * more - values[t] + GAMMA * LAMBDA * more * last
                advantages[t] = last
        rows = torch.nonzero(acts.flatten()).squeeze(-1)  # empty places have nothing to learn from
        obs, actions, logprobs, values, advantages = (
            column.flatten(0, 1)[rows] for column in (obs, actions, logprobs, values, advantages)
        )
        for _ in range(EPOCHS):
            for part in torch.randperm(len(rows)).chunk(MINIBATCHES):
                choice, value = agent(obs[part])
                ratio = (choice.log_prob(actions[part]) - logprobs[part]).exp()
                better = (advantages[part] - advantages.mean()) / (advantages.std() + 1e-8)
                loss = -torch.min(better * ratio, better * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
                loss = loss + 0.5 * (value - values[part] - advantages[part]).square().mean()
                loss = loss - ENTROPY * choice.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        lifetimes.append(np.mean(ages) if ages else np.nan)
        if update % 10 == 9:
            told(f"update {update + 1}: lifetime {np.nanmean(lifetimes[-10:]):.1f} ticks")
    envs.close()
    fifth = max(updates // 5, 1)
    return float(np.nanmean(lifetimes[:fifth])), float(np.nanmean(lifetimes[-fifth:]))


if __name__ == "__main__":
    begin, end = main(*map(int, sys.argv[1:]))
    print(f"lifetime: {begin:.1f} ticks at first, {end:.1f} at last")
