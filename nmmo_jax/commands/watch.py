"""The command ``nmmo-jax watch``: a world, live or recorded, in the browser."""

import dataclasses
import threading
import webbrowser
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.text import Text

from nmmo_jax.commands.overrides import (
    NO_EFFECT,
    PLACES,
    Overrides,
    Systems,
    find_systems,
    flags_named,
    named_by,
    of_game,
    parse_set,
)
from nmmo_jax.commands.trained import load_trained
from nmmo_jax.common.files import write
from nmmo_jax.common.signals import Signals
from nmmo_jax.common.text import console, safe
from nmmo_jax.config import Config
from nmmo_jax.environment import Environment, make
from nmmo_jax.play.players import labels, players
from nmmo_jax.play.playing import Play
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.policies.workers import SCRIPTS
from nmmo_jax.references import reference
from nmmo_jax.replay import Replay
from nmmo_jax.replay_file import load_replay, save_replay
from nmmo_jax.rules import Rules, rule_fields
from nmmo_jax.system import System
from nmmo_jax.world.draw import population_colours
from nmmo_jax.world.files import load_map
from nmmo_jax.world.pool import MAX_MAPS, MapPool
from nmmo_jax.world.tiled import ANY_SIZE
from nmmo_jax.world.tiles import check_map

_SHIPPED = "chaos128"
_OF_REPLAYS = ("replay", "host", "port", "speed", "open", "allow_origin")  # flags that mean something with --replay


@dataclasses.dataclass
class Watch:
    """Watch a world in the browser: look around, go back in time, see what agents see and expect, play one of them.

    With nothing given it is the world of the last training run in runs/, or that of the policy chaos128 that comes
    with the package. Ctrl-C ends it.
    """

    checkpoint: Path | None = None
    """Folder of a run of nmmo-jax train: its populations, in their world."""
    policy: tuple[str, ...] = ()
    """What the populations play in turn: random, wanderer, forager, fighter, planner; in mmo also hunter,
    fisher, herbalist, miner, woodcutter, alchemist, smith; law128, chaos128, trained ones that come with the
    package; or folders of runs."""
    replay: Path | None = None
    """A recorded world instead, from simulate --record, train or this command."""

    game: Literal["law", "chaos", "medium", "large", "huge", "mmo", "mmo1024"] | None = None
    """The world. Default: that in which the first of the policies was trained; else chaos."""
    agents: int | None = None
    """Capacity: agent slots. Default: that of the world."""
    populations: int | None = None
    """Populations. Default: those of the world."""
    map: tuple[Path, ...] = ()
    """Maps to play on (.tmx, .npy), realm i on map i modulo their number. Default: generated terrain."""
    tileset: Path | None = None
    """Tileset (.tsx) of .tmx maps whose own is not beside them."""
    set: Overrides = ()
    """Any other field of the world's configuration and rules: regrowth_probability=0.05 attack_damage=10,2,1
    max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module.
    Default: those that the first trained policy was trained with, unless --game is given."""
    realms: int | None = None
    """Worlds to choose from; one is played at a time. Default: 4."""
    seed: int | None = None
    """Of maps, births, regrowth and policies: the same seed, the same world. Default: 0."""
    initial_population: int | None = None
    """Births before the first tick. Default: half of the places."""

    host: str = "127.0.0.1"
    """Address to serve at. The default can be reached from this machine only; at another, 0.0.0.0 for all that this
    machine has, the address that is printed has a token, and whoever has that can play."""
    port: int = 8765
    """Port; 0: any that is free."""
    allow_origin: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a proxy (JupyterHub, a cloud IDE, nginx) that the page may be asked for under, as hub.example.org or
    https://hub.example.org. Repeat for more."""
    speed: float = 0.6
    """Seconds per tick, 0: as fast as possible. It can be changed in the browser."""
    open: tyro.conf.FlagCreatePairsOff[bool] = False
    """Also open it in this machine's browser."""
    record: Path | None = None
    """New file for a replay, written at the end: what is still kept of the realm that is shown then."""

    def run(self) -> int:
        """Serves until it is interrupted; returns the exit status.

        Raises:
          ValueError, OSError: what cannot be shown or served.
        """
        from nmmo_jax.viewer.access import Access
        from nmmo_jax.viewer.hub import Hub  # training's libraries take a second to import
        from nmmo_jax.viewer.playback import Playback
        from nmmo_jax.viewer.policies import TrainedPolicies
        from nmmo_jax.viewer.protocol import SLOWEST
        from nmmo_jax.viewer.server import serving

        if not 0 <= self.speed <= SLOWEST:
            raise ValueError(f"--speed {self.speed}: allowed are 0 to {SLOWEST:g} seconds per tick")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"--port {self.port}: allowed are 0 to {2**16 - 1}")
        access = Access(self.host, self.port, self.allow_origin)  # before anything is made
        self._check_record()
        with flags_named(named_by(self)):
            source, names, game = self._source()
        env = source.env if isinstance(source, Play) else Environment(source.config, source.rules)
        policies = self._policies(TrainedPolicies, env, names)
        playback = Playback(source, self._realms if isinstance(source, Play) else 1, policies, self.speed)
        can = {"value": bool(policies.trained), "probabilities": bool(policies.trained), "take": playback.live}
        about = {"game": game, "tick_seconds": 0.6, "can": {**can, "realm": playback.live and self._realms > 1}}
        hub = Hub(playback, population_colours(env.config.num_populations), about)
        ended = threading.Event()
        with Signals(ended.set) as watch:
            if self.record is not None:
                watch.grace = None  # it is still to be written
            with serving(hub, access) as port:
                self._print_address(playback, access, port)
                ended.wait()
            if self.record is not None:
                save_replay(playback.view.replay, self.record)
                console().print(f"{safe(self.record)}: {len(playback.view.replay)} ticks", soft_wrap=True)
        return 1 if playback.failed else 0

    def _print_address(self, playback: Any, access: Any, port: int) -> None:
        urls, text = access.urls(port), [f"{safe(playback.view.replay.about['title'])}: "]
        for url in urls:
            text += [*([] if url is urls[0] else [" or "]), (safe(url), "bold")]
        console().print(Text.assemble(*text, "   Ctrl-C ends it"), soft_wrap=True)
        if access.token is not None:
            console().print(
                f"Other machines can reach {safe(self.host)}, unencrypted; whoever has the token of this address can "
                "look, pause and play.",
                soft_wrap=True,
            )
        if self.open:
            webbrowser.open(urls[-1])

    def _check_record(self) -> None:
        """That the recording can be written, before anything is made."""
        if self.record is not None:
            if self.record.exists():
                raise FileExistsError(f"--record {self.record}: exists")
            write(self.record, lambda file: file.write(b""))
            self.record.unlink()

    def _source(self) -> tuple[Play | Replay, tuple[str, ...], str]:
        """What is shown, the policies of its populations, and the name of the game."""
        if self.replay is not None:
            for field in dataclasses.fields(self):
                if field.name not in _OF_REPLAYS and getattr(self, field.name) not in (None, ()):
                    raise ValueError(f"--{field.name.replace('_', '-')}: means nothing with --replay")
            replay = load_replay(self.replay)
            run = self.replay.resolve().parent  # that of a training run lies in its folder
            names = (str(run),) if (run / "checkpoints").is_dir() else tuple(replay.about["populations"])
            return replay, names, "replay"
        if self.tileset is not None and not self.map:
            raise ValueError("--tileset: belongs to --map, which is not given")
        seed = 0 if self.seed is None else self.seed
        if not 1 <= self._realms <= MAX_MAPS:
            raise ValueError(f"--realms {self.realms}: allowed are 1 to {MAX_MAPS}")
        if not 0 <= seed < 2**32:
            raise ValueError(f"--seed {self.seed}: allowed are 0 to 2^32 - 1")
        names = self._names()
        known = dataclasses.replace(ANY_SIZE, systems=find_systems(self.system) or self._trained_with(names))
        maps = [check_map(load_map(path, self.tileset, config=known), known, str(path)) for path in self.map]
        env, game = self._world(names, maps)
        config, born = env.config, self.initial_population
        if born is not None and not 0 <= born <= config.num_agents:
            raise ValueError(f"--initial-population {born}: allowed are 0 to {config.num_agents}")
        if self.map:
            pool = MapPool.from_maps(maps, config, [*map(str, self.map)])
        else:
            pool = MapPool.generated(seed, self._realms, config)
        births = int(env.rules.population_cap) // 2 if born is None else born
        shown = labels(names)
        of_populations = [shown[p % len(names)] for p in range(config.num_populations)]
        title = ", ".join(dict.fromkeys([game, *of_populations]))
        who = players(names, env, load_trained)
        play = Play(env, who, of_populations, pool, seed=seed, initial_population=births, title=title)
        return play, names, game

    @property
    def _realms(self) -> int:
        return 4 if self.realms is None else self.realms

    def _names(self) -> tuple[str, ...]:
        if self.checkpoint is not None and self.policy:
            raise ValueError("--checkpoint, --policy: give one of them")
        if self.checkpoint is not None:
            return (str(self.checkpoint),)
        if self.policy or self.game is not None:
            return self.policy or ("forager", "wanderer", "random", "fighter")
        runs = [path.parent for path in Path("runs").glob("*/config.json") if (path.parent / "checkpoints").is_dir()]
        runs = [run for run in runs if any((run / "checkpoints").glob("[0-9]*"))]
        newest = max(runs, key=lambda run: (run / "checkpoints").stat().st_mtime, default=None)
        return (_SHIPPED if newest is None else str(newest),)

    def _trained_with(self, names: tuple[str, ...]) -> tuple[System, ...]:
        """The systems of the world that ``_world`` makes where none are given."""
        trained = next((name for name in names if name not in SCRIPTS), None)
        return () if self.game is not None or trained is None else load_trained(trained).config.systems

    def _world(self, names: tuple[str, ...], maps: list[Any]) -> tuple[Environment, str]:
        sides = {"rows": 0, "columns": 1} if maps else {}
        own: dict[str, Any] = {"num_agents": self.agents, "num_populations": self.populations}
        own |= {name: max(one.shape[axis] for one in maps) for name, axis in sides.items()}
        own = {name: value for name, value in own.items() if value is not None}
        systems = self.system or tuple(map(reference, self._trained_with(names)))
        systems = of_game(self.game, systems) if self.game is not None else systems
        own |= parse_set(self.set, PLACES | NO_EFFECT, systems=systems)
        trained = next((name for name in names if name not in SCRIPTS), None)
        if self.game is not None or trained is None:
            game = self.game or "chaos"
            return make(game, **own), game
        policy = load_trained(trained)
        if self.agents is not None:
            own.setdefault("population_cap", self.agents)
        fields = {field.name for field in dataclasses.fields(Config)}
        given = {name: own.pop(name) for name in [*own] if name not in fields}
        config = dataclasses.replace(policy.config, **own)
        known = rule_fields(config)  # --system can be without a system that there was in training
        rules = {name: value for name, value in policy.rules.named().items() if name in known}
        return Environment(config, Rules.from_named({**rules, **given})), labels(names)[0]

    def _policies(self, kind: Any, env: Environment, names: tuple[str, ...]) -> Any:
        """The policies of the populations; where those of a replay cannot be found, of nobody trained."""
        try:
            return kind(env, names, load_trained)
        except (ValueError, OSError):
            if self.replay is None:
                raise
            return kind(env, tuple(POLICIES)[:1])
