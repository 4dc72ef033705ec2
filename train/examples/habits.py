"""What agents of a policy die of, and what they do that others do not: by themselves, in the same worlds.

python -m train.examples.habits law128 forager planner
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax import make
from nmmo_jax.common import entry
from nmmo_jax.common.program import run_program
from nmmo_jax.common.text import console, safe
from nmmo_jax.environment import Environment
from nmmo_jax.goals import goals, with_steps
from nmmo_jax.kinds import Cause
from nmmo_jax.observations import FEATURES
from nmmo_jax.paths import FAR
from nmmo_jax.play.players import Players, players
from train.evaluate import totals
from train.policy import load_named
from train.studies.intervals import Interval, ratio_interval

REALMS, SETTLE, TICKS, SEED = 16, 256, 768, 1_000_003
YOUNG, OLD = 45, 400  # ticks: supplies and health are used up before the first if nothing is found
_FOOD, _WATER = (list(FEATURES).index(name) for name in ("food", "water"))

Sums = dict[str, tuple[np.ndarray, np.ndarray]]
"""By name, ``[R]`` each: what is counted, and of how many."""


def played(env: Environment, who: Players) -> Sums:
    """Counts of the worlds in which all are of a policy."""
    names = [goal.name for goal in goals(env.config)]
    forest, own, shore, others = (names.index(name) for name in ("forest", "claimed_forest", "shore", "others"))

    def tell(_, tick):
        obs, realm, new, info, outcome = tick.obs, tick.realm, tick.after, tick.info, tick.info.outcome
        steps = jnp.asarray(with_steps(obs, env.config).steps)[..., 0]  # from where one stands
        food, water = (obs.self[..., at].astype(jnp.int32) for at in (_FOOD, _WATER))
        lives, dies = info.acted, info.cause > 0
        starved, parched = (info.cause == cause for cause in (Cause.STARVATION, Cause.THIRST))
        stays = (new.agents.row == realm.agents.row) & (new.agents.col == realm.agents.col)
        there = lives & (new.agents.uid == realm.agents.uid)
        eats, drinks, sees = outcome.harvested, outcome.drink > 0, steps < FAR
        told = {
            "age at death": (jnp.where(dies, info.age, 0), dies),
            "agent-ticks per death": (lives | dies, dies),
            "deaths: starvation, %": (100 * starved, dies),
            "deaths: thirst, %": (100 * parched, dies),
            f"deaths before the {YOUNG}th tick, %": (100 * (dies & (info.age < YOUNG)), dies),
            f"deaths after {OLD} ticks, %": (100 * (dies & (info.age > OLD)), dies),
            "starved: a ready forest in sight, %": (100 * (starved & sees[..., forest]), starved),
            "starved: one that nobody else claims, %": (100 * (starved & sees[..., own]), starved),
            "starved: water left": (jnp.where(starved, water, 0), starved),
            "died of thirst: water in sight, %": (100 * (parched & sees[..., shore]), parched),
            "died of thirst: food left": (jnp.where(parched, food, 0), parched),
            "died of thirst: age": (jnp.where(parched, info.age, 0), parched),
            "food held": (jnp.where(lives, food, 0), lives),
            "water held": (jnp.where(lives, water, 0), lives),
            "food held where it eats": (jnp.where(eats, food, 0), eats),
            "water held where it drinks": (jnp.where(drinks, water, 0), drinks),
            "eats, % of ticks": (100 * eats, lives),
            "drinks, % of ticks": (100 * drinks, lives),
            "stands still, % of ticks": (100 * (there & stays), there),
            "steps to the nearest other in sight": (
                jnp.where(lives & sees[..., others], steps[..., others], 0), lives & sees[..., others],
            ),
            "steps to the nearest ready forest in sight": (
                jnp.where(lives & sees[..., forest], steps[..., forest], 0), lives & sees[..., forest],
            ),
        }  # fmt: skip
        return (), jax.tree.map(lambda leaf: leaf.astype(jnp.int32).sum(axis=-1), told)

    worlds = {"realms": REALMS, "settle": SETTLE, "ticks": TICKS, "seed": SEED}
    return totals(env, who.act, who.params, who.initial(REALMS), tell, **worlds)


@dataclasses.dataclass
class Habits:
    """Play each policy by itself in the same worlds; tell what its agents die of and what they do, 95 % over worlds."""

    policies: tyro.conf.Positional[tuple[str, ...]] = ("law128", "forager", "planner")
    """Policies that come with the package, scripts, or folders of runs."""
    game: Literal["law", "chaos"] = "law"
    """law: no attacks. chaos: attacks."""
    agents: Literal[16, 32, 64, 128] = 128
    """Places in every world, a population for every 16."""

    def run(self) -> None:
        """Plays and tells."""
        env, out = make(self.game, num_agents=self.agents, num_populations=self.agents // 16), console()
        who = [players((name,), env, load_named) for name in self.policies]  # what cannot be played is said first
        found: list[dict[str, Interval]] = []
        for name, one in zip(self.policies, who, strict=True):
            out.print(f"{safe(name)} plays ...", markup=False)
            found.append({what: ratio_interval(*sums) for what, sums in played(env, one).items()})
        shown = Table("", *(safe(name) for name in self.policies), box=SIMPLE_HEAD)
        for what in found[0]:
            shown.add_row(what, *(str(one[what]) for one in found))
        out.print(shown)


def main() -> None:
    """Plays, and exits."""
    run_program(Habits, "train.examples.habits")


if __name__ == "__main__":
    entry.run("python -m train.examples.habits", main)
