"""The command ``nmmo-jax train``: populations that learn, in a folder of their own."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax.commands.overrides import Overrides, Systems, flags_named, named_by, of_game, parse_set
from nmmo_jax.commands.settings import fields
from nmmo_jax.common.formats import Format, check_formats
from nmmo_jax.common.hidden import check_train
from nmmo_jax.common.text import console as terminal
from nmmo_jax.common.text import pasted, safe, verdict
from nmmo_jax.play.measure import use_all_cores


@dataclasses.dataclass
class Train:
    """Train all populations of an experiment, and see how long they live on maps they have not been trained on.

    The run's folder has config.json, metrics.jsonl (a line per call of the loop), checkpoints, figures,
    evaluation.json, a replay of what was learned, and a film of it, world.gif. Ctrl-C saves; --resume goes on exactly.
    Exit status: 0; 2 bad input; 1 the run broke off as gradients were not finite; 130 interrupted, and saved.
    """

    experiment: tyro.conf.Positional[str | None] = None
    """law or chaos, and how many agents: law16, law32, law64, law128, chaos16 ... chaos128; chaos in a big world:
    medium (1,024 agents), large (4,096), huge (65,536); or mmo, the role-playing world. Default: law128."""
    minutes: float | None = None
    """Minutes of training; compilation, saving and evaluation come on top. Default: 4, unless --updates is given; with
    --resume what is left of those that were asked for, and if it is given, so many more."""
    updates: int | None = None
    """Updates in all, those before an interruption included."""
    out: Path | None = None
    """Folder of the run. Default: runs/EXPERIMENT-DATE-TIME."""
    resume: Path | None = None
    """Folder of a run to go on with, as it was configured and asked for: to the same end, with the same --every and
    --log, unless others are given."""
    every: int | None = None
    """Keep a checkpoint of so many updates for good. Default: only the latest and the best."""
    published: bool = False
    """Train as the original did: the classic network and the published policy gradient, with its numbers; --set
    changes them."""
    evaluate: bool = True
    """Evaluate at the end: the trained populations beside random play, the forager and the planner; and record them."""
    log: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Send each line of metrics.jsonl there, too. Needs the package tensorboardX, or wandb."""
    figure_format: tuple[Format, ...] | None = None
    """Formats of the figures, default png; svg and pdf are vector graphics."""
    set: Overrides = ()
    """Any field of the training's settings, or of the world's configuration and rules: realms=64 network=classic
    regrowth_probability=0.05 max_spawns=2."""
    system: Systems = ()
    """Game systems to play with, and --set their rules: poison:POISON of poison.py here, or of an installed module."""

    sword: Annotated[str | None, tyro.conf.arg(metavar="MODULE:CLASS")] = None
    """A Sword of your own, own:Sword of own.py here, or of an installed module. Kept in config.json, as --god is."""
    god: Annotated[str | None, tyro.conf.arg(metavar="MODULE:CLASS")] = None
    """A God of your own, likewise."""
    pantheon: Annotated[str | None, tyro.conf.arg(metavar="MODULE:CLASS")] = None
    """A Pantheon of your own, likewise."""

    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Train with several processes as one, each started with this, --processes and --process-id: where the first of
    them waits for the others, a minute at most. All must see the run's folder; devices of all are used."""
    processes: int | None = None
    """How many processes there are."""
    process_id: int | None = None
    """Which of them this is, from 0."""
    distributed: bool = False
    """The same, where SLURM, Open MPI or Cloud TPU tell who is who: without the three flags above."""

    def run(self, trinity: Any = None, program: str = "nmmo-jax train") -> int:
        """Trains; returns the exit status.

        Args:
          trinity: classes of the three levels, a ``train.trinity.Trinity``; None: the base classes.
          program: with which the run can be resumed.

        Raises:
          ValueError, OSError: bad input, before anything is compiled.
        """
        check_train()
        use_all_cores()
        self._join(program)
        from train import distributed

        with distributed.together():
            return self._train(trinity, program)

    def _train(self, trinity: Any, program: str) -> int:
        from train import distributed
        from train.settings import PUBLISHED, experiment, game_of
        from train.smith import Native, NotFinite
        from train.trinity import Trinity

        if self.figure_format is not None:
            check_formats(self.figure_format)
        if self.minutes is not None and not 0 < self.minutes <= 1e6:
            raise ValueError(f"--minutes {self.minutes}: must be above 0, and at most 1,000,000")
        if self.updates is not None and self.updates < 1:
            raise ValueError(f"--updates {self.updates}: must be at least 1")
        minutes = 4.0 if (self.minutes, self.updates, self.resume) == (None, None, None) else self.minutes
        if self.resume is not None:
            given = {"EXPERIMENT": self.experiment, "--out": self.out, "--published": self.published}
            for flag, value in {**given, "--set": self.set, "--system": self.system}.items():
                if value:
                    raise ValueError(f"{flag}: means nothing with --resume: a run goes on as it was configured")
            out, chosen = self.resume, _of_folder(self.resume)
        else:
            published = PUBLISHED if self.published else {}
            with flags_named(self._flags()):
                systems = of_game(game_of(self.experiment or "law128"), self.system)
                chosen = experiment(
                    self.experiment or "law128",
                    **{**published, **parse_set(self.set, {}, fields(), systems=systems)},
                )
            out = self.out
        console = terminal(quiet=not distributed.first())
        resume = self.resume is not None
        for level in Trinity._fields if trinity else ():
            if getattr(self, level) is not None:
                raise ValueError(f"--{level}: means nothing here: {program} has levels of its own")
        trinity = trinity or _levels(self, Trinity())
        native = Native(chosen, trinity, out, minutes, self.updates, resume, every=self.every, loggers=self.log)
        native.figure_format = self.figure_format or ()
        try:
            with flags_named(self._flags()):
                line = native.run()
            out = native.out
        except NotFinite as error:
            console.print(verdict("stopped", "red", error), soft_wrap=True)
            return 1
        console.print(
            f"{safe(out)}: saved at update {line['update']:,}, after {line['agent_steps']:,} agent-steps in "
            f"{line['seconds'] / 60:.1f} minutes of training; {line['compile_seconds']:.0f} s of compilation before",
            soft_wrap=True,
        )
        if line["interrupted"]:
            console.print(f"{program} --resume {pasted(out)} goes on", soft_wrap=True)
            return 130
        if self.evaluate and distributed.first():
            console.print(_table(native.evaluate()))
            native.record()
            console.print(f"{safe(out)}: replay.npz, world.gif", soft_wrap=True)
        return 0

    def _join(self, program: str) -> None:
        """Meets the other processes, if there are to be any: before JAX starts."""
        from train import distributed

        flags = {"--coordinator": self.coordinator, "--processes": self.processes, "--process-id": self.process_id}
        if all(value is None for value in flags.values()):
            if self.distributed:
                distributed.detect(program)
            return
        if self.distributed:
            raise ValueError(
                "--distributed: finds out what --coordinator, --processes and --process-id say: give one or the other"
            )
        for flag in (flag for flag, value in flags.items() if value is None):
            raise ValueError(f"{flag}: --coordinator, --processes and --process-id belong together")
        with flags_named(named_by(self)):
            distributed.join(self.coordinator, self.processes, self.process_id, program)  # pyright: ignore[reportArgumentType]

    def _flags(self) -> dict[str, str]:
        """See ``flags_named``."""
        return {**named_by(self, loggers="--log", out="--out" if self.resume is None else "--resume"), "experiment": ""}


def _levels(command: Train, base: Any) -> Any:
    """The classes of the three levels: those named by flags, and of a run that is resumed those that it names."""
    from nmmo_jax.references import find_class
    from train.runs import read_config

    kept = {} if command.resume is None else read_config(command.resume)["trinity"]
    found = {}
    for level, kind in base._asdict().items():
        name, flag = getattr(command, level), f"--{level}"
        if name is None and ":" in kept.get(level, ""):
            name, flag = kept[level], f"--resume {command.resume}: its {level}, --{level} names another,"
        if name is not None:
            try:
                found[level] = find_class(name, kind)
            except ValueError as error:
                raise ValueError(f"{flag} {error}") from None
    return base._replace(**found)


def _of_folder(folder: Path) -> Any:
    """The experiment of a run."""
    from train.runs import CONFIG, read_config
    from train.settings import experiment_of

    try:
        return experiment_of(read_config(folder))
    except ValueError as error:
        known = str(error).startswith(str(folder))
        raise ValueError(f"--resume {error}" if known else f"--resume {folder / CONFIG}: {error}") from None


def _table(told: dict[str, dict[str, Any]]) -> Table:
    """Lifetimes side by side: the mean age of who died, and agent-steps per death, which tell of who did not."""
    table = Table(box=SIMPLE_HEAD, title="On maps not seen in training", title_justify="left")
    table.add_column("policy")
    for name in ("lifetime", "times random", "steps per death", "alive"):
        table.add_column(name, justify="right")
    random = told["random"]["lifetime"]
    for name, one in told.items():
        lifetime, deaths = one["lifetime"], one["deaths"]
        times = "" if not lifetime or not random else f"{lifetime / random:.1f}"
        each = "none died" if lifetime is None else f"{lifetime:.1f}"
        table.add_row(
            name, each, times, f"{one['agent_steps'] / deaths:,.1f}" if deaths else "", f"{one['population']:,.1f}"
        )
    return table
