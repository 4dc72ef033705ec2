"""The command ``nmmo-jax simulate``: policies live in many realms, and are measured."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console

from nmmo_jax.commands.figures import population_figure, survival_figure, visits_figure
from nmmo_jax.commands.measure import Measured, longest_chunk, measure, use_all_cores
from nmmo_jax.commands.players import labels, players
from nmmo_jax.commands.playing import Play
from nmmo_jax.commands.progress import Progress, waiting
from nmmo_jax.commands.report import (
    censored_lives,
    rules_as_json,
    summarise,
    table,
    versions,
    write_figure,
)
from nmmo_jax.config import MAX_TICKS, REPRODUCTION_RULES, RULE_FIELDS, Config, preset
from nmmo_jax.environment import Environment
from nmmo_jax.files import write, write_json
from nmmo_jax.replay_file import save_replay
from nmmo_jax.signals import Signals
from nmmo_jax.world.files import load_map
from nmmo_jax.world.pool import MAX_MAPS, MapPool
from nmmo_jax.world.terrain import check_size
from nmmo_jax.world.tiled import ANY_SIZE
from nmmo_jax.world.tiles import check_map

DEFAULT_POLICIES = {
    "chaos": ("fighter", "forager", "wanderer", "random"),
    "law": ("planner", "forager", "wanderer", "random"),
}
_SIDE = 80  # tiles, of generated maps
_MOST_VISITS = 8  # maps of which visits are drawn
_MOST_RECORDED = 2**25  # ticks times agents of a replay: about 1.6 GB before it is written
_OUTPUTS = ("metrics.json", "data.npz", "population.png", "survival.png", "visits*.png", "replay.npz")
_OWN_FLAGS = {"population_cap": "--population-cap", "spawn_rate": "--spawn-rate"}


@dataclasses.dataclass
class Simulate:
    """Play policies in many realms, scripted or trained, and measure their populations.

    Shows a table, and writes metrics.json, data.npz and the figures population.png, survival.png and visits.png.
    Ctrl-C ends the play; what was measured so far is written. Exit status: 0; 2 bad input; 130 interrupted.
    With --record also replay.npz, for nmmo-jax watch, render and replay.
    """

    game: Literal["law", "chaos"] = "chaos"
    """law: no attacks. chaos: attacks with melee, range and mage."""
    policy: tuple[str, ...] = ()
    """What the populations play in turn: random, wanderer, forager, fighter, planner; law128, chaos128, trained ones
    that come with the package; or the folder of a run of nmmo-jax train. Default: several, so that they can be
    compared."""
    realms: int = 8
    """Worlds played side by side."""
    ticks: int = 1000
    """How long to play."""
    agents: int = 128
    """Capacity: agent slots per realm."""
    populations: int = 8
    """Populations; divides --agents."""
    seed: int = 0
    """Of maps, births, regrowth and policies: the same seed, the same run."""

    map: tuple[Path, ...] | None = None
    """Maps to play on (.tmx, .npy), realm i on map i modulo their number. Default: generated terrain."""
    tileset: Path | None = None
    """Tileset (.tsx) of .tmx maps whose own is not beside them."""
    maps: int = 1
    """How many different maps to generate, where --map is not given."""
    rows: int | None = None
    """Rows of tiles. Default: 80, or those of the largest map; smaller maps are padded with lava."""
    columns: int | None = None
    """Columns of tiles, likewise."""
    border: int = Config.border
    """Width of the lava border of generated maps, in tiles."""

    initial_population: int = 0
    """Births in each realm before the first tick."""
    spawn_rate: float = 1.0
    """Probability of a birth per tick, while there is room."""
    population_cap: int | None = None
    """How many may live in a realm, at most --agents. Default: --agents."""
    max_lifetime: int | None = None
    """Age in ticks at which an agent leaves. Default: none."""
    mode: Literal["simultaneous", "sequential"] = "simultaneous"
    """All agents at once, or one after another as in the original (exact, and slow)."""
    rule: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Any other number of the rulebook, name=value; values per style as a,b,c. Repeat for more."""

    record: int | None = None
    """Number of a realm of which a replay is left: it is played again after the measurement, by itself."""
    out: Path | None = None
    """Folder for the results. Default: runs/simulate-DATE-TIME."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write into --out although it is not empty, replacing earlier results."""

    def run(self) -> int:
        """Plays, reports and writes; returns the exit status.

        Raises:
          ValueError, OSError: what cannot be played or written, before anything is compiled.
        """
        use_all_cores()
        self._check_numbers()
        maps = self._load_maps()
        env = self._environment(maps)
        policies = self._policies()
        who = players(policies, env)
        policies = labels(policies)
        out = self._open_folder()

        names = [str(path) for path in self.map or ()] or [f"generated map {i}" for i in range(self.maps)]
        with Signals() as watch:  # until the results are written
            with Progress(self.ticks) as progress:
                if maps:
                    pool = MapPool.from_maps(maps, env.config, names)
                else:
                    pool = MapPool.generated(self.seed, self.maps, env.config)
                measured = measure(
                    env,
                    who,
                    pool,
                    realms=self.realms,
                    ticks=self.ticks,
                    seed=self.seed,
                    initial_population=self.initial_population,
                    watch=watch,
                    progress=progress.update,
                )
            metrics = {
                "game": self.game,
                "seed": self.seed,
                "ticks_asked": self.ticks,
                "initial_population": self.initial_population,
                **summarise(measured, env, pool, names, policies, self.realms),
                "config": dataclasses.asdict(env.config),
                "rules": rules_as_json(env.rules),
                "versions": versions(),
            }
            self._write(out, metrics, measured, env, np.asarray(pool.material), policies)
            self._tell(out, metrics)
        if self.record is not None:
            where = Path(names[self.record % len(names)]).name
            title = f"{self.game}, realm {self.record}, {where}, seed {self.seed}"
            start = {"seed": self.seed, "initial_population": self.initial_population, "title": title}
            with waiting(f"playing realm {self.record} again ..."):
                replay = Play(env, who, policies, pool, realm=self.record, **start).run(measured.ticks)
                save_replay(replay, out / "replay.npz")
        return 130 if measured.interrupted else 0

    def _check_numbers(self) -> None:
        """Checks the numbers that nothing below checks, or checks under another name."""
        for name, value in (("agents", self.agents), ("populations", self.populations)):
            if value < 1:
                raise ValueError(f"--{name} {value}: must be at least 1")
        if self.agents % self.populations:
            raise ValueError(f"--populations {self.populations}: must divide --agents {self.agents}")
        for name, value, low, high in (
            ("realms", self.realms, 1, 2**20),
            ("ticks", self.ticks, 1, MAX_TICKS),
            ("seed", self.seed, 0, 2**32 - 1),
            ("initial-population", self.initial_population, 0, max(self.agents, 0)),
        ):
            if not low <= value <= high:
                raise ValueError(f"--{name} {value}: allowed are {low} to {high:,}")
        if self.record is not None and not 0 <= self.record < self.realms:
            raise ValueError(f"--record {self.record}: allowed are realms 0 to {self.realms - 1}")
        if self.record is not None and self.ticks * self.agents > _MOST_RECORDED:
            most = f"{_MOST_RECORDED // self.agents:,} ticks with {self.agents:,} agents"
            raise ValueError(f"--record: a replay of {self.ticks:,} ticks: allowed are at most {most}")

    def _load_maps(self) -> list[np.ndarray]:
        """The maps of --map, checked."""
        if self.tileset is not None and self.map is None:
            raise ValueError("--tileset: belongs to --map, which is not given")
        if self.map is not None and self.maps != 1:
            raise ValueError("--maps: counts generated maps, and --map is given")
        most = min(self.realms, MAX_MAPS)
        for flag, number in (("--maps", self.maps), ("--map", 1 if self.map is None else len(self.map))):
            if not 1 <= number <= most:
                raise ValueError(f"{flag}: {number} maps: allowed are 1 to {most}, one per realm")
        return [check_map(load_map(path, self.tileset), ANY_SIZE, str(path)) for path in self.map or ()]

    def _environment(self, maps: list[np.ndarray]) -> Environment:
        """Configuration and rules, checked, and that the run can be counted."""
        config, rules = preset(
            self.game,
            num_agents=self.agents,
            num_populations=self.populations,
            rows=max((one.shape[0] for one in maps), default=_SIDE) if self.rows is None else self.rows,
            columns=max((one.shape[1] for one in maps), default=_SIDE) if self.columns is None else self.columns,
            border=self.border,
            resolution=self.mode,
            max_lifetime=self.max_lifetime,
            visits=True,
            spawn_rate=self.spawn_rate,
            population_cap=self.agents if self.population_cap is None else self.population_cap,
            **parse_rules(self.rule),
        )
        for path, material in zip(self.map or (), maps, strict=True):
            check_map(material, config, str(path))
        if not maps:
            check_size(config)
        env = Environment(config, rules)
        longest_chunk(env, self.realms, self.ticks)
        return env

    def _policies(self) -> tuple[str, ...]:
        """A policy name for each population."""
        given = self.policy or DEFAULT_POLICIES[self.game]
        if self.policy and self.populations % len(given):
            raise ValueError(
                f"--policy: {len(given)} names for {self.populations} populations: must divide them; "
                "population p plays name p modulo their number"
            )
        return tuple(given[p % len(given)] for p in range(self.populations))

    def _open_folder(self) -> Path:
        """The folder for the results, empty of earlier ones, and known to be writable."""
        out = self.out or Path("runs") / time.strftime("simulate-%Y%m%d-%H%M%S")
        if out.exists() and not out.is_dir():
            raise ValueError(f"--out {out}: not a folder")
        if out.exists() and any(out.iterdir()) and not self.overwrite:
            raise ValueError(f"--out {out}: not empty; --overwrite replaces earlier results in it")
        try:
            out.mkdir(parents=True, exist_ok=True)
            write(out / _OUTPUTS[0], lambda file: file.write(b"{}"))
            for pattern in _OUTPUTS:
                for path in out.glob(pattern):
                    path.unlink()
        except OSError as error:
            raise OSError(f"--out {out}: cannot be written: {error.strerror}") from None
        return out

    def _write(
        self,
        out: Path,
        metrics: dict[str, Any],
        measured: Measured,
        env: Environment,
        material: np.ndarray,
        policies: tuple[str, ...],
    ) -> None:
        censored = censored_lives(measured, env)
        write_json(out / "metrics.json", metrics)
        arrays = {
            "ticks_per_point": measured.stride,
            "population": measured.population.astype(np.float32),
            "depleted": measured.depleted.astype(np.float32),
            "died": measured.tally.died,
            "censored": censored,
            "visits": measured.visits.astype(np.min_scalar_type(measured.visits.max())),
            "material": material,
        }
        write(out / "data.npz", lambda file: np.savez_compressed(file, **arrays))
        title = self._title(metrics)
        quota = float(env.rules.population_cap) / self.populations
        write_figure(out / "population.png", population_figure(measured, policies, title, quota))
        write_figure(out / "survival.png", survival_figure(measured, policies, title, censored))
        for i, one in enumerate(metrics["maps"][:_MOST_VISITS]):
            where = title if len(metrics["maps"]) == 1 else f"{title}; {Path(one['name']).name}"
            figure = visits_figure(measured.visits[i], material[i], policies, where)
            write_figure(out / ("visits.png" if i == 0 else f"visits-{i + 1}.png"), figure)

    def _title(self, metrics: dict[str, Any]) -> str:
        """What was played, in a line."""
        maps, realms = metrics["maps"], "1 realm" if self.realms == 1 else f"{self.realms} realms"
        where = Path(maps[0]["name"]).name if len(maps) == 1 else f"{len(maps)} maps"
        stop = ", interrupted" if metrics["interrupted"] else ""
        return f"{self.game}, {realms}, {where}, {metrics['ticks']:,} ticks{stop}, seed {self.seed}"

    def _tell(self, out: Path, metrics: dict[str, Any]) -> None:
        console = Console(highlight=False)
        console.width = max(console.width, 80)  # a line that wraps is easier to read than a number cut off
        console.print(table(metrics, self._title(metrics)))
        console.print(
            f"{metrics['agent_steps']:,} agent-steps in {metrics['play_seconds']:.1f} s "
            f"({metrics['agent_steps_per_second']:,.0f} per second), after {metrics['compile_seconds']:.1f} s "
            f"of compiling. On average {metrics['forests_depleted']:.1%} of the forests were depleted."
        )
        console.print(f"Results: {out}", markup=False)


def parse_rules(
    given: tuple[str, ...], flags: Mapping[str, str] = _OWN_FLAGS, reproduction: bool = False
) -> dict[str, Any]:
    """Rules from ``name=value``; values are numbers, true or false, or ``a,b,c`` with one per style.

    >>> parse_rules(("regrowth_probability=0.05", "attack_range=1,2,3"))
    {'regrowth_probability': 0.05, 'attack_range': [1.0, 2.0, 3.0]}

    Args:
      flags: rules that have a flag of their own, and the flag.
      reproduction: whether agents give birth.

    Raises:
      ValueError: not of that form, no such rule, a rule with a flag of its own or of births that there are not, or one
        given twice.
    """
    rules: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals:
            raise ValueError(f"--rule {text}: must be name=value")
        if name in flags:
            raise ValueError(f"--rule {text}: use {flags[name]}")
        if name not in RULE_FIELDS:
            names = ", ".join(sorted(set(RULE_FIELDS) - set(flags)))
            raise ValueError(f"--rule {text}: no such rule; there are {names}")
        if name in REPRODUCTION_RULES and not reproduction:
            raise ValueError(f"--rule {text}: means nothing where agents do not give birth")
        if name in rules:
            raise ValueError(f"--rule {text}: given twice")
        words = {"true": 1, "false": 0}
        try:
            numbers = [float(words.get(one.strip().lower(), one)) for one in value.split(",")]
        except ValueError:
            raise ValueError(f"--rule {text}: must be a number, or numbers a,b,c") from None
        rules[name] = numbers if len(numbers) > 1 else numbers[0]
    return rules
