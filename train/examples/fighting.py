"""Why a trained policy fights: worlds shared with scripts or its like, as it learned to play and without attacks.

python -m train.examples.fighting chaos128 docs/figures/fighting
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Int32
from matplotlib.figure import Figure

from nmmo_jax import make
from nmmo_jax.common import entry
from nmmo_jax.common.drawing import write_figure
from nmmo_jax.common.program import run_program
from nmmo_jax.common.text import console, drawn
from nmmo_jax.environment import Environment
from nmmo_jax.observations import FEATURES
from nmmo_jax.play.players import Players, players
from train.evaluate import totals
from train.policy import load_named
from train.studies.intervals import Interval, ratio_interval

REALMS, SETTLE, TICKS, SEED = 16, 256, 1024, 2_000_003
BESIDE = ("forager", "planner")
FOOD = 33  # amounts that an agent can hold
LEAST = 200  # ticks of an amount, below which no share is drawn
_OWN, _FOOD, _SAME = 0, list(FEATURES).index("food"), list(FEATURES).index("same_population")


class Seen(NamedTuple):
    """Sums over ticks, by realm; axis 1: the trained, and the others."""

    ages: Int32[Array, "R 2"]  # at death
    deaths: Int32[Array, "R 2"]
    ticks: Int32[Array, "R 2"]
    foraged: Int32[Array, "R 2"]
    hits: Int32[Array, "R 2"]
    could: Int32[
        Array, "R 2 F"
    ]  # the trained, by their food: somebody of another population, or of one's own, in reach
    did: Int32[Array, "R 2 F"]  # and was hit


def played(env: Environment, who: Players, peaceful: bool) -> Seen:
    """Worlds in which every second population is the trained one's; if asked, it attacks nobody."""

    def own(realm):
        return realm.agents.alive & (realm.agents.population % 2 == _OWN)

    def act(params, keys, obs, realm, core):
        action, core = who.act(params, keys, obs, realm, core)
        aimed = jnp.asarray(action.target)
        return action.replace(target=jnp.where(own(realm) & peaceful, -1, aimed)), core

    def tell(_, tick):
        obs, realm, info = tick.obs, tick.realm, tick.info
        trained = own(realm)
        groups = jnp.stack([trained, realm.agents.alive & ~trained], axis=1)
        hit = info.outcome.attack_target >= 0

        def each(amount):
            return jnp.where(groups, amount[:, None], 0).sum(axis=-1)

        # Who is in reach of any style, and of whose population: the first of those visible is oneself.
        reach = obs.mask["target"].any(axis=-2).at[..., 0].set(False)
        same = obs.visible[..., _SAME] > 0
        victim = jnp.take_along_axis(realm.agents.population, info.outcome.attack_target, axis=1)
        kin = victim == realm.agents.population
        food = jax.nn.one_hot(obs.self[..., _FOOD], FOOD, dtype=jnp.int32)

        def by_food(other, own):
            which = jnp.stack([other, own], axis=1) & trained[:, None]
            return jnp.einsum("rgn,rnf->rgf", which.astype(jnp.int32), food)

        return (), Seen(
            each(jnp.where(info.cause > 0, info.age, 0)),
            each((info.cause > 0).astype(jnp.int32)),
            each(jnp.ones_like(info.age)),
            each(info.outcome.forage),
            each(hit.astype(jnp.int32)),
            by_food((reach & ~same).any(axis=-1), (reach & same).any(axis=-1)),
            by_food(hit & ~kin, hit & kin),
        )

    worlds = {"realms": REALMS, "settle": SETTLE, "ticks": TICKS, "seed": SEED}
    return totals(env, act, who.params, who.initial(REALMS), tell, **worlds)


@dataclasses.dataclass
class Fighting:
    """Play a policy beside foragers, planners and its like, as it learned to and without attacks; tell, and draw."""

    policy: tyro.conf.Positional[str]
    """One that comes with the package, or the folder of a run in a world like chaos."""
    figure: tyro.conf.Positional[Path]
    """Where to write it, without a suffix."""

    def run(self) -> None:
        """Plays, tells and draws."""
        name, path, env, out = self.policy, self.figure, make("chaos"), console()
        players((name,), env, load_named)  # what cannot be played is said before anything is
        if not path.parent.is_dir():
            raise ValueError(f"FIGURE {path}: there is no folder {path.parent}")
        figure = Figure(figsize=(12, 4), layout="constrained")
        lives, choices = figure.subplots(1, 2, width_ratios=(3, 2))
        shown: list[tuple[str, Interval]] = []
        for other in (*BESIDE, name):
            who = players((name, other), env, load_named)
            beside = "beside its like" if other == name else f"beside {other}s"
            for peaceful in (False, True):
                seen, how = played(env, who, peaceful), "without attacks" if peaceful else "as learned"
                lifetime = ratio_interval(seen.ages, seen.deaths)
                shown.append((f"{beside},\n{how}", lifetime))
                food, hits = (100 * (one.sum(axis=0) / seen.ticks.sum(axis=0)) for one in (seen.foraged, seen.hits))
                for group, label in enumerate((name, "the others")):
                    mean, low, high = (float(one[group]) for one in lifetime)
                    told = f"{mean:.1f} ({low:.1f} to {high:.1f}) ticks; food foraged in 100 ticks {food[group]:.1f}"
                    out.print(f"{beside}, {how}: {label}: {told}, hits {hits[group]:.1f}", soft_wrap=True)
                if not peaceful:
                    could, did = seen.could.sum(axis=0), seen.did.sum(axis=0)
                    share = np.where(could >= LEAST, did / np.maximum(could, 1), np.nan)
                    for group, whom in enumerate(("other populations", "its own")):
                        choices.plot(share[group], "-" if group == 0 else ":", label=f"{whom}, {beside}")
        for group, label in enumerate((name, "the others")):
            mean, low, high = np.array([[one[group] for one in interval] for _, interval in shown]).T
            at = np.arange(len(shown)) + 0.4 * group - 0.2
            lives.bar(at, mean, 0.38, yerr=(mean - low, high - mean), capsize=3, label=drawn(label))
        lives.set_xticks(range(len(shown)), [label for label, _ in shown], fontsize="small")
        lives.set_ylabel("lifetime, ticks")
        lives.legend()
        choices.set_xlabel("food that it has")
        choices.set_ylabel("hits, of ticks with somebody of these in reach")
        choices.set_ylim(0)
        choices.legend(fontsize="small")
        out.print(*map(str, write_figure(path, figure)))


def main() -> None:
    """Plays, and exits."""
    run_program(Fighting, "train.examples.fighting")


if __name__ == "__main__":
    entry.run("python -m train.examples.fighting", main)
