"""The command ``nmmo-jax train``: populations that learn, in a folder of their own."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclasses.dataclass
class Train:
    """Train all populations of an experiment, and see how long they live on maps they have not been trained on.

    The run's folder has config.json, metrics.jsonl (a line per call of the loop), checkpoints, figures and
    evaluation.json. Ctrl-C saves; --resume goes on exactly.
    Exit status: 0; 2 bad input; 1 the run broke off as gradients were not finite; 130 interrupted, and saved.
    """

    experiment: tyro.conf.Positional[str] = "law128"
    """law or chaos, and how many agents: law16, law32, law64, law128, chaos16 ... chaos128."""
    minutes: float | None = None
    """Wall time. Default: 4, unless --updates is given."""
    updates: int | None = None
    """Updates in all, those before an interruption included."""
    out: Path | None = None
    """Folder of the run. Default: runs/EXPERIMENT-DATE-TIME."""
    resume: Path | None = None
    """Folder of a run to go on with, as it was configured."""
    every: int | None = None
    """Keep a checkpoint of so many updates for good. Default: only the latest and the best."""
    published: bool = False
    """Train as the original did: the classic network and the published policy gradient, with its numbers; --set
    changes them."""
    evaluate: bool = True
    """Evaluate at the end: the trained populations beside random play, the forager and the planner."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Any field of the training's settings, or of the world's configuration and rules: realms=64 network=classic
    regrowth_probability=0.05 max_spawns=2."""

    def run(self) -> int:
        """Trains; returns the exit status.

        Raises:
          ValueError, OSError: bad input, before anything is compiled.
        """
        from train.loop import use_cores  # training's libraries take a second to import
        from train.settings import PUBLISHED, experiment
        from train.smith import Native

        use_cores()
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"--minutes {self.minutes}: must be above 0")
        if self.updates is not None and self.updates < 1:
            raise ValueError(f"--updates {self.updates}: must be at least 1")
        minutes = 4.0 if self.minutes is None and self.updates is None else self.minutes
        if self.resume is not None:
            if self.out is not None or self.set or self.published:
                raise ValueError(
                    "--resume: goes on with a run as it was configured; --out, --set and --published mean nothing"
                )
            out, chosen = self.resume, _of_folder(self.resume)
        else:
            out = self.out or Path("runs") / time.strftime(f"{self.experiment}-%Y%m%d-%H%M%S")
            published = PUBLISHED if self.published else {}
            chosen = experiment(self.experiment, **{**published, **_overrides(self.set)})
        console = Console(highlight=False)
        resume = self.resume is not None
        native = Native(chosen, out=out, minutes=minutes, updates=self.updates, resume=resume, every=self.every)
        try:
            line = native.run()
        except RuntimeError as error:
            console.print(f"[red]stopped[/]  {error}", soft_wrap=True)
            return 1
        console.print(
            f"{out}: saved at update {line['update']:,}, after {line['agent_steps']:,} agent-steps", soft_wrap=True
        )
        if line["interrupted"]:
            console.print(f"nmmo-jax train --resume {out} goes on", soft_wrap=True)
            return 130
        if self.evaluate:
            console.print(_table(native.evaluate()))
        return 0


def _overrides(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Fields by name; values are read as JSON where they can be."""
    overrides = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"--set {pair}: must be NAME=VALUE")
        try:
            overrides[name] = json.loads(value)
        except json.JSONDecodeError:
            overrides[name] = value
    return overrides


def _of_folder(folder: Path) -> Any:
    """The experiment of a run."""
    from nmmo_jax.config import Config, Rules
    from nmmo_jax.environment import Environment
    from train.networks import NetworkOptions
    from train.settings import Experiment, Settings

    path = folder / "config.json"
    if not path.exists():
        raise ValueError(f"--resume {folder}: holds no run (no config.json)")
    try:
        there = json.loads(path.read_text())
        env = Environment(Config(**there["config"]), Rules(**there["rules"]))
        return Experiment(
            there["experiment"],
            env,
            Settings(**{**there["settings"], "options": NetworkOptions(**there["settings"]["options"])}),
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged, or of another version: {error}") from None


def _table(told: dict[str, dict[str, Any]]) -> Table:
    """Lifetimes side by side."""
    table = Table(box=SIMPLE_HEAD, title="On maps not seen in training", title_justify="left")
    for name, justify in (("policy", "left"), ("lifetime", "right"), ("times random", "right"), ("alive", "right")):
        table.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
    random = told["random"]["lifetime"]
    for name, one in told.items():
        lifetime = one["lifetime"]
        times = "" if not lifetime or not random else f"{lifetime / random:.1f}"
        table.add_row(name, "none died" if lifetime is None else f"{lifetime:.1f}", times, f"{one['population']:.1f}")
    return table
