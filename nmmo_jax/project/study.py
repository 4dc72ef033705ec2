"""A study: how long do foragers live where there is fish, and where there is more of it?

python -m nmmo_jax.project.study --chances 0 0.03 0.1

Every chance is a part of its own, kept in the folder as soon as it is computed: after an interruption the same command
with ``--out FOLDER`` goes on.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import nmmo_jax as nmmo
from nmmo_jax.common import entry
from nmmo_jax.common.program import run_program
from nmmo_jax.policies.scripted import forager
from nmmo_jax.project.fishing import FISHING
from train.studies.intervals import ratio_interval
from train.studies.study import Cell, compute, open_study, study_folder


@dataclasses.dataclass
class Fishing:
    """Play foragers in the same worlds with more and more fish, and tell how long they live, 95 % over worlds."""

    chances: tuple[float, ...] = (0.0, 0.03, 0.1)
    """Of a fish, per tick beside water."""
    worlds: int = 8
    """Independent worlds: the intervals are over these."""
    agents: int = 128
    """Places in each."""
    ticks: int = 1024
    """That are played; the second half of them is counted."""
    seed: int = 0
    """Of maps, births and play."""
    out: Path | None = None
    """Folder for the results. Default: runs/fishing-DATE-TIME."""

    def cells(self) -> list[Cell]:
        """A part per chance; all of them are one compiled program, as rules are arguments of it."""
        env = nmmo.make("law", num_agents=self.agents, num_populations=1, systems=[FISHING])
        many = nmmo.vectorize(env, self.worlds)

        @jax.jit
        def play(rules):
            key = jax.random.key(self.seed)

            def tick(carry, time):
                obs, realms = carry
                keys = jax.random.split(jax.random.fold_in(key, time), self.worlds)
                action = jax.vmap(forager)(keys, obs, obs.mask)
                obs, realms, _, died, _, info = many.step(key, realms, action, rules)
                counted = time >= self.ticks // 2
                return (obs, realms), jnp.stack([info.uid >= 0, died]).sum(axis=2) * counted

            _, sums = jax.lax.scan(tick, many.reset(key, rules), jnp.arange(self.ticks))
            return dict(zip(("lived", "deaths"), sums.sum(axis=0), strict=True))  # ticks and deaths of each world

        def cell(chance: float) -> Cell:
            rules = env.rules.put({"fishing.chance": jnp.float32(chance)})
            return Cell(f"chance-{chance}", 1.0, lambda on_progress: play(rules))

        return [cell(chance) for chance in self.chances]

    def run(self) -> int:
        """Computes what is not there yet, prints a line per chance, and draws them.

        A lifetime is ticks lived per death, so that those who live on count, too; where nobody dies there is none.
        """
        asked = {name: value for name, value in dataclasses.asdict(self).items() if name != "out"}
        with study_folder(self.out, "fishing") as out:
            open_study(out, "fishing", {**asked, "chances": list(self.chances)})
            results, _ = compute(self.cells(), out)
            found = [ratio_interval(one["lived"], one["deaths"]) for one in results.values()]
            for chance, lifetime in zip(self.chances, found, strict=True):
                print(f"chance {chance}: {lifetime} ticks")
            axes = (figure := Figure(figsize=(5, 3), layout="constrained")).subplots()
            means = [one.mean for one in found]
            axes.errorbar(self.chances, means, [one.mean - one.low for one in found], marker="o", capsize=3)
            axes.set(xlabel="chance of a fish, per tick beside water", ylabel="lifetime, ticks")
            figure.savefig(out / "lifetimes.png", dpi=150)
            print(f"{out}: lifetimes.png")
        return 0


def main() -> None:
    """Runs the study, and exits."""
    run_program(Fishing, "nmmo_jax.project.study")


if __name__ == "__main__":
    entry.run("python -m nmmo_jax.project.study", main)
