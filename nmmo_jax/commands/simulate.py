"""The command ``nmmo-jax simulate``: policies live in many realms, and are measured."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from nmmo_jax.commands.figures import population_figure, survival_figure, visits_figure
from nmmo_jax.commands.overrides import (
    NO_EFFECT,
    Overrides,
    Systems,
    find_systems,
    flags_named,
    named_by,
    of_game,
    parse_set,
)
from nmmo_jax.commands.report import censored_lives, summarise, table
from nmmo_jax.commands.trained import load_trained
from nmmo_jax.common.drawing import drawing, write_figure
from nmmo_jax.common.files import write_arrays, write_json
from nmmo_jax.common.folders import Folder, new_folder
from nmmo_jax.common.formats import FORMATS, Format, check_formats
from nmmo_jax.common.progress import Progress, waiting
from nmmo_jax.common.signals import Signals
from nmmo_jax.common.tables import check_tables, write_parquet
from nmmo_jax.common.text import console as terminal
from nmmo_jax.common.text import safe, short
from nmmo_jax.config import MAX_TICKS, Config
from nmmo_jax.environment import Environment
from nmmo_jax.play import lives as of_lives
from nmmo_jax.play.measure import Measured, longest_chunk, measure, use_all_cores
from nmmo_jax.play.players import Players, labels, players
from nmmo_jax.play.playing import Play
from nmmo_jax.play.provenance import rules_as_json, versions
from nmmo_jax.presets import PRESETS, preset
from nmmo_jax.references import config_as_json
from nmmo_jax.replay_file import save_replay
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
_FIGURES = [f"{name}.{kind}" for name in ("population", "survival", "visits", "visits-[0-9]") for kind in FORMATS]
_OUTPUTS = ("metrics.json", "data.npz", *_FIGURES, "replay.npz", "lives.parquet")
_MOST_LIVES = 2**26  # of a table: about 5 GB before it is written
_TOLD = ("game", "seed", "ticks", "interrupted", "realms", "maps", "initial_population", "config", "rules", "versions")
_FLAGS = {"num_agents": "--agents", "num_populations": "--populations", "resolution": "--mode"}
_OWN = ("rows", "columns", "border", "max_lifetime", "population_cap", "spawn_rate")  # fields that are flags


@dataclasses.dataclass
class Simulate:
    """Play policies in many realms, scripted or trained, and measure their populations.

    Shows a table, and writes metrics.json, data.npz and the figures population, survival and visits.
    Ctrl-C ends the play; what was measured so far is written. Exit status: 0; 2 bad input; 130 interrupted.
    With --record also replay.npz, for nmmo-jax watch, render and replay.
    """

    game: Literal["law", "chaos", "medium", "large", "huge", "mmo", "mmo1024"] = "chaos"
    """law: no attacks. chaos: attacks with melee, range and mage. medium, large, huge: chaos with 1,024, 4,096 and
    65,536 agents on larger maps. mmo: a role-playing world of skills, monsters, items and trades; mmo1024: with 1,024
    agents and 2,048 monsters."""
    policy: tuple[str, ...] = ()
    """What the populations play in turn: random, wanderer, forager, fighter, planner; in mmo also hunter,
    fisher, herbalist, miner, woodcutter, alchemist, smith; law128, chaos128, trained ones that come with the
    package; or the folder of a run of nmmo-jax train. Default: several, so that they can be compared."""
    realms: int = 8
    """Worlds played side by side."""
    ticks: int = 1000
    """How long to play."""
    agents: int | None = None
    """Capacity: agent slots per realm. Default: those of the game, of law and chaos 128."""
    populations: int = 8
    """Populations; divides --agents."""
    seed: int = 0
    """Of maps, births, regrowth and policies: the same seed, the same run."""

    map: tuple[Path, ...] | None = None
    """Maps to play on (.tmx, .npy), realm i on map i modulo their number. Default: generated terrain."""
    tileset: Path | None = None
    """Tileset (.tsx) of .tmx maps whose own is not beside them."""
    maps: int | None = None
    """How many different maps to generate, where --map is not given. Default: 1."""
    rows: int | None = None
    """Rows of tiles. Default: those of the game, of law and chaos 80, or of the largest map; smaller maps are padded
    with lava."""
    columns: int | None = None
    """Columns of tiles, likewise."""
    border: int | None = None
    """Width of the lava border of generated maps, in tiles. Default: 9."""

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
    set: Overrides = ()
    """Any other field of the world's configuration and rules: regrowth_probability=0.05 attack_damage=10,2,1
    max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module."""

    record: int | None = None
    """Number of a realm of which a replay is left: it is played again after the measurement, by itself."""
    out: Path | None = None
    """Folder for the results. Default: runs/simulate-DATE-TIME."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write into --out although it is not empty, replacing earlier results."""
    figure_format: tuple[Format, ...] = ("png",)
    """Formats of the figures; svg and pdf are vector graphics."""
    tables: tuple[Literal["parquet"], ...] = ()
    """Tables for other programs: parquet, lives.parquet with a row for each agent that lived."""

    def run(self) -> int:
        """Plays, reports and writes; returns the exit status.

        Raises:
          ValueError, OSError: what cannot be played or written, before anything is compiled.
        """
        use_all_cores()
        if self.overwrite and self.out is None:
            raise ValueError("--overwrite: belongs to --out, which is not given")
        with flags_named(named_by(self, **_FLAGS)):
            self._check_numbers()
            maps = self._load_maps()
            env = self._environment(maps)
            policies = self._policies()
            who = players(policies, env, load_trained)
        policies = labels(policies)
        otherwise = "--overwrite replaces earlier results in it"
        with (
            flags_named({"out": "--out "}),
            new_folder(self.out, "simulate", self.overwrite, otherwise) as folder,
        ):
            return self._play(folder, env, who, maps, policies)

    def _play(
        self, folder: Folder, env: Environment, who: Players, maps: list[np.ndarray], policies: tuple[str, ...]
    ) -> int:
        """All that is left to do, once a folder is there."""
        out, names = folder.path, [str(path) for path in self.map or ()]
        names = names or [f"generated map {i}" for i in range(self._generated)]
        with Signals() as watch:  # until the results are written
            lives = of_lives.Lives() if self.tables else None
            with Progress(self.ticks) as progress:
                if maps:
                    pool = MapPool.from_maps(maps, env.config, names)
                else:
                    pool = MapPool.generated(self.seed, self._generated, env.config)
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
                    lives=lives,
                )
            folder.keep()
            metrics = {
                "game": self.game,
                "seed": self.seed,
                "ticks_asked": self.ticks,
                "initial_population": self.initial_population,
                **summarise(measured, env, pool, names, policies, self.realms),
                "config": config_as_json(env.config),
                "rules": rules_as_json(env.rules),
                "versions": versions(),
            }
            for path in [path for pattern in _OUTPUTS for path in out.glob(pattern)]:
                path.unlink()
            with drawing(self.figure_format):
                self._write(out, metrics, measured, env, np.asarray(pool.material), policies)
            if lives is not None:
                told = {"command": "simulate", **{name: metrics[name] for name in _TOLD}}
                write_parquet(out / "lives.parquet", of_lives.columns(lives.table, env.config, policies), told)
            self._tell(out, metrics)
        if self.record is not None:
            where = safe(Path(names[self.record % len(names)]).name)
            title = f"{self.game}, realm {self.record}, {where}, seed {self.seed}"
            start = {"seed": self.seed, "initial_population": self.initial_population, "title": title}
            with waiting(f"playing realm {self.record} again ..."):
                replay = Play(env, who, policies, pool, realm=self.record, **start).run(measured.ticks)
                save_replay(replay, out / "replay.npz")
        return 130 if measured.interrupted else 0

    def _check_numbers(self) -> None:
        """Checks the numbers that nothing below checks."""
        for name, value, low, high in (
            ("realms", self.realms, 1, 2**20),
            ("ticks", self.ticks, 1, MAX_TICKS),
            ("seed", self.seed, 0, 2**32 - 1),
            ("initial-population", self.initial_population, 0, max(self._agents, 0)),
        ):
            if not low <= value <= high:
                raise ValueError(f"--{name} {value}: allowed are {low} to {high:,}")
        check_formats(self.figure_format)
        check_tables(self.tables, ("parquet",))
        if self.record is not None and not 0 <= self.record < self.realms:
            raise ValueError(f"--record {self.record}: allowed are realms 0 to {self.realms - 1}")
        if self.record is not None and self.ticks * self._agents > _MOST_RECORDED:
            most = f"{_MOST_RECORDED // self._agents:,} ticks with {self._agents:,} agents"
            raise ValueError(f"--record: a replay of {self.ticks:,} ticks: allowed are at most {most}")

    def _load_maps(self) -> list[np.ndarray]:
        """The maps of --map, checked."""
        if self.tileset is not None and self.map is None:
            raise ValueError("--tileset: belongs to --map, which is not given")
        for flag, value in (("--maps", self.maps), ("--border", self.border)):
            if self.map is not None and value is not None:
                raise ValueError(f"{flag}: of generated maps, and --map is given")
        most = min(self.realms, MAX_MAPS)
        for flag, number in (("--maps", self._generated), ("--map", 1 if self.map is None else len(self.map))):
            if not 1 <= number <= most:
                raise ValueError(f"{flag}: {number} maps: allowed are 1 to {most}, one per realm")
        known = dataclasses.replace(ANY_SIZE, systems=find_systems(of_game(self.game, self.system)))
        return [load_map(path, self.tileset, config=known) for path in self.map or ()]

    @property
    def _agents(self) -> int:
        """Agent slots per realm."""
        return PRESETS[self.game].get("num_agents", Config.num_agents) if self.agents is None else self.agents

    @property
    def _generated(self) -> int:
        """How many maps, if they are generated."""
        return 1 if self.maps is None else self.maps

    def _environment(self, maps: list[np.ndarray]) -> Environment:
        """Configuration and rules, checked, and that the run can be counted."""
        agents, side = self._agents, PRESETS[self.game].get("rows", _SIDE)
        config, rules = preset(
            self.game,
            num_agents=agents,
            num_populations=self.populations,
            rows=max((one.shape[0] for one in maps), default=side) if self.rows is None else self.rows,
            columns=max((one.shape[1] for one in maps), default=side) if self.columns is None else self.columns,
            border=Config.border if self.border is None else self.border,
            resolution=self.mode,
            max_lifetime=self.max_lifetime,
            spawn_rate=self.spawn_rate,
            population_cap=agents if self.population_cap is None else self.population_cap,
            **parse_set(
                self.set,
                {**_FLAGS, **{name: f"--{name.replace('_', '-')}" for name in _OWN}, **NO_EFFECT},
                systems=of_game(self.game, self.system),
            ),
        )
        config = dataclasses.replace(config, visits=config.exploration)
        for path, material in zip(self.map or (), maps, strict=True):
            check_map(material, config, str(path))
        if not maps:
            check_size(config)
        env = Environment(config, rules)
        longest_chunk(env, self.realms, self.ticks)
        if self.tables and self.realms * self.ticks * config.max_spawns > _MOST_LIVES:
            most = f"{_MOST_LIVES:,} births, and {self.realms} realms of {self.ticks:,} ticks may have more"
            raise ValueError(f"--tables: allowed are at most {most}")
        return env

    def _policies(self) -> tuple[str, ...]:
        """A policy name for each population."""
        given = self.policy or DEFAULT_POLICIES["law" if self.game == "law" else "chaos"]
        if self.policy and self.populations % len(given):
            raise ValueError(
                f"--policy: {len(given)} names for {self.populations} populations: must divide them; "
                "population p plays name p modulo their number"
            )
        return tuple(given[p % len(given)] for p in range(self.populations))

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
            "material": material,
        }
        if measured.visits is not None:
            arrays["visits"] = measured.visits.astype(np.min_scalar_type(measured.visits.max()))
        write_arrays(out / "data.npz", arrays)
        title = self._title(metrics)
        quota = float(env.rules.population_cap) / (self.populations if env.config.layout == "blocks" else 1)
        write_figure(out / "population", population_figure(measured, policies, title, quota))
        write_figure(out / "survival", survival_figure(measured, policies, title, censored))
        if measured.visits is None:
            return
        for i, one in enumerate(metrics["maps"][:_MOST_VISITS]):
            where = title if len(metrics["maps"]) == 1 else f"{title}; {short(Path(one['name']).name)}"
            figure = visits_figure(measured.visits[i], material[i], policies, where, env.config)
            write_figure(out / ("visits" if i == 0 else f"visits-{i + 1}"), figure)

    def _title(self, metrics: dict[str, Any]) -> str:
        """What was played, in a line."""
        maps, realms = metrics["maps"], "1 realm" if self.realms == 1 else f"{self.realms} realms"
        where = short(Path(maps[0]["name"]).name) if len(maps) == 1 else f"{len(maps)} maps"
        stop = ", interrupted" if metrics["interrupted"] else ""
        return f"{self.game}, {realms}, {where}, {metrics['ticks']:,} ticks{stop}, seed {self.seed}"

    def _tell(self, out: Path, metrics: dict[str, Any]) -> None:
        console = terminal()
        causes = metrics["all"]["deaths_by_cause"]
        # A line that wraps is easier to read than a number cut off.
        console.width = max(console.width, 80 + sum(2 + len(cause) for cause in [*causes][4:]))
        console.print(table(metrics, self._title(metrics)))
        console.print(
            f"{metrics['agent_steps']:,} agent-steps in {metrics['play_seconds']:.1f} s "
            f"({metrics['agent_steps_per_second']:,.0f} per second), after {metrics['compile_seconds']:.1f} s "
            f"of compiling. On average {metrics['forests_depleted']:.1%} of the forests were depleted."
        )
        console.print(f"Results: {safe(out)}", soft_wrap=True)
