"""The command ``nmmo-jax watch``: a world, live or recorded, in the browser."""

import asyncio
import dataclasses
import socket
import webbrowser
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape

from nmmo_jax.commands.players import labels, load_trained, players
from nmmo_jax.commands.playing import Play
from nmmo_jax.commands.simulate import parse_rules
from nmmo_jax.environment import Environment, make
from nmmo_jax.files import write
from nmmo_jax.policies.scripted import POLICIES
from nmmo_jax.replay import Replay
from nmmo_jax.replay_file import load_replay, save_replay
from nmmo_jax.signals import Signals
from nmmo_jax.world.draw import population_colours
from nmmo_jax.world.files import load_map
from nmmo_jax.world.pool import MapPool
from nmmo_jax.world.tiled import ANY_SIZE
from nmmo_jax.world.tiles import check_map

_SHIPPED = "chaos128"


@dataclasses.dataclass
class Watch:
    """Watch a world in the browser: look around, go back in time, see what agents see and expect, play one of them.

    With nothing given it is the world of the last training run in runs/, or that of the policy chaos128 that comes
    with the package. Ctrl-C ends it.
    """

    checkpoint: Path | None = None
    """Folder of a run of nmmo-jax train: its populations, in their world."""
    policy: tuple[str, ...] = ()
    """What the populations play in turn: random, wanderer, forager, fighter, planner; law128, chaos128, trained ones
    that come with the package; or folders of runs."""
    replay: Path | None = None
    """A recorded world instead, from simulate --record, train or this command."""

    game: Literal["law", "chaos", "large", "huge"] | None = None
    """The world. Default: that in which the first of the policies was trained; else chaos."""
    agents: int | None = None
    """Capacity: agent slots. Default: that of the world."""
    populations: int | None = None
    """Populations. Default: those of the world."""
    map: tuple[Path, ...] = ()
    """Maps to play on (.tmx, .npy), realm i on map i modulo their number. Default: generated terrain."""
    tileset: Path | None = None
    """Tileset (.tsx) of .tmx maps whose own is not beside them."""
    rule: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Any number of the rulebook, name=value; values per style as a,b,c. Repeat for more."""
    realms: int = 4
    """Worlds to choose from; one is played at a time."""
    seed: int = 0
    """Of maps, births, regrowth and policies: the same seed, the same world."""
    initial_population: int | None = None
    """Births before the first tick. Default: half of the places."""

    host: str = "127.0.0.1"
    """Address to serve at. The default can be reached from this machine only; whoever reaches another can play."""
    port: int = 8765
    """Port; 0: any that is free."""
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
        try:
            from nmmo_jax.viewer.server import Gallery, open_gallery
        except ImportError:
            raise ValueError("watch: needs the package websockets: pip install 'nmmo-jax[watch]'") from None
        from nmmo_jax.viewer.minds import Minds
        from nmmo_jax.viewer.show import SLOWEST, Show

        if not 0 <= self.speed <= SLOWEST:
            raise ValueError(f"--speed {self.speed}: allowed are 0 to {SLOWEST:.0f} seconds per tick")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"--port {self.port}: allowed are 0 to {2**16 - 1}")
        self._check_places()
        source, names, game = self._source()
        env = source.env if isinstance(source, Play) else Environment(source.config, source.rules)
        minds = self._minds(Minds, env, names)
        show = Show(source, self.realms if isinstance(source, Play) else 1, minds, self.speed)
        can = {"value": bool(minds.trained), "probabilities": bool(minds.trained), "take": show.live}
        about = {"game": game, "tick_seconds": 0.6, "can": {**can, "realm": show.live and self.realms > 1}}
        gallery = Gallery(show, population_colours(env.config.num_populations), about)
        try:
            asyncio.run(self._serve(open_gallery, gallery))
        except (KeyboardInterrupt, asyncio.CancelledError):
            pass
        finally:
            show.close()
        if self.record is not None:
            save_replay(show.stage.replay, self.record)
            Console(highlight=False).print(f"{self.record}: {len(show.stage.replay)} ticks", soft_wrap=True)
        return 1 if show.failed else 0

    async def _serve(self, open_gallery: Any, gallery: Any) -> None:
        server = await open_gallery(gallery, self.host, self.port)
        port = server.sockets[0].getsockname()[1]
        host = f"[{self.host}]" if ":" in self.host else self.host
        title = escape(gallery.show.stage.replay.about["title"])
        told = f"{title}: [bold]http://{host}:{port}[/]   Ctrl-C ends it"
        Console(highlight=False).print(told, soft_wrap=True)
        if self.open:
            webbrowser.open(f"http://{host}:{port}")
        loop, serving = asyncio.get_running_loop(), asyncio.current_task()
        assert serving is not None
        with Signals(lambda: loop.call_soon_threadsafe(serving.cancel)) as watch:
            watch.grace = None  # the recording is still to be written
            async with server:
                await server.serve_forever()

    def _check_places(self) -> None:
        """That the port is free and the recording can be written, before anything is made."""
        if self.port:
            try:
                family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
                socket.create_server((self.host, self.port), family=family).close()
            except OSError as error:
                raise OSError(f"--host {self.host} --port {self.port}: {error.strerror}") from None
        if self.record is not None:
            if self.record.exists():
                raise FileExistsError(f"--record {self.record}: exists")
            write(self.record, lambda file: file.write(b""))
            self.record.unlink()

    def _source(self) -> tuple[Play | Replay, tuple[str, ...], str]:
        """What is shown, the policies of its populations, and the name of the game."""
        if self.replay is not None:
            given = {"--checkpoint": self.checkpoint, "--policy": self.policy, "--game": self.game, "--map": self.map}
            given |= {"--tileset": self.tileset, "--rule": self.rule, "--record": self.record, "--agents": self.agents}
            given |= {"--populations": self.populations, "--initial-population": self.initial_population}
            for flag, value in given.items():
                if value not in (None, ()):
                    raise ValueError(f"{flag}: means nothing with --replay")
            replay = load_replay(self.replay)
            run = self.replay.resolve().parent  # that of a training run lies in its folder
            names = (str(run),) if (run / "checkpoints").is_dir() else tuple(replay.about["populations"])
            return replay, names, "replay"
        if self.tileset is not None and not self.map:
            raise ValueError("--tileset: belongs to --map, which is not given")
        if self.realms < 1:
            raise ValueError(f"--realms {self.realms}: must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed {self.seed}: allowed are 0 to 2^32 - 1")
        names, maps = self._names(), [check_map(load_map(path, self.tileset), ANY_SIZE, str(path)) for path in self.map]
        env, game = self._world(names, maps)
        config, born = env.config, self.initial_population
        if born is not None and not 0 <= born <= config.num_agents:
            raise ValueError(f"--initial-population {born}: allowed are 0 to {config.num_agents}")
        if self.map:
            pool = MapPool.from_maps(maps, config, [*map(str, self.map)])
        else:
            pool = MapPool.generated(self.seed, self.realms, config)
        births = int(env.rules.population_cap) // 2 if born is None else born
        shown = labels(names)
        of_populations = [shown[p % len(names)] for p in range(config.num_populations)]
        title = ", ".join(dict.fromkeys([game, *of_populations]))
        who = players(names, env)
        play = Play(env, who, of_populations, pool, seed=self.seed, initial_population=births, title=title)
        return play, names, game

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

    def _world(self, names: tuple[str, ...], maps: list[Any]) -> tuple[Environment, str]:
        sides = {"rows": 0, "columns": 1} if maps else {}
        own: dict[str, Any] = {"num_agents": self.agents, "num_populations": self.populations}
        own |= {name: max(one.shape[axis] for one in maps) for name, axis in sides.items()}
        own = {name: value for name, value in own.items() if value is not None} | parse_rules(self.rule)
        trained = next((name for name in names if name not in POLICIES), None)
        if self.game is not None or trained is None:
            game = self.game or "chaos"
            return make(game, **own), game
        policy = load_trained(trained)
        if self.agents is not None:
            own.setdefault("population_cap", self.agents)
        sizes = {name: own.pop(name) for name in ("num_agents", "num_populations", *sides) if name in own}
        return Environment(dataclasses.replace(policy.config, **sizes), policy.rules.replace(**own)), labels(names)[0]

    def _minds(self, kind: Any, env: Environment, names: tuple[str, ...]) -> Any:
        """The minds of the policies; where those of a replay cannot be found, of nobody trained."""
        try:
            return kind(env, names)
        except (ValueError, OSError):
            if self.replay is None:
                raise
            return kind(env, tuple(POLICIES)[:1])
