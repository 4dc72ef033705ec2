"""The one console command, ``nmmo-jax``."""

import dataclasses
import platform
import sys
from typing import Annotated, Any

import jax
import tyro

import nmmo_jax
from nmmo_jax.commands.ablate import Ablate
from nmmo_jax.commands.bench import Bench
from nmmo_jax.commands.clone import Clone
from nmmo_jax.commands.collapse import Collapse
from nmmo_jax.commands.evaluate import Evaluate
from nmmo_jax.commands.evolve import Evolve
from nmmo_jax.commands.experiment import Experiment
from nmmo_jax.commands.fork import Fork
from nmmo_jax.commands.info import Info as About
from nmmo_jax.commands.maps import Convert, Generate, Show
from nmmo_jax.commands.new import New
from nmmo_jax.commands.niches import Niches
from nmmo_jax.commands.rare import Rare
from nmmo_jax.commands.render import Render
from nmmo_jax.commands.replay import Cut, Info, VerifyReplay
from nmmo_jax.commands.scoreboard import Scoreboard
from nmmo_jax.commands.simulate import Simulate
from nmmo_jax.commands.sweep import Sweep
from nmmo_jax.commands.tournament import Tournament
from nmmo_jax.commands.train import Train
from nmmo_jax.commands.tune import Tune
from nmmo_jax.commands.verify import Verify
from nmmo_jax.commands.watch import Watch
from nmmo_jax.common import entry
from nmmo_jax.common.parsing import completion, parse, parse_flags
from nmmo_jax.common.program import end
from nmmo_jax.common.text import any_encoding
from nmmo_jax.config import RULES_VERSION
from nmmo_jax.values import check_choice


@dataclasses.dataclass
class Completion:
    """Print a script with which bash or zsh completes commands and flags.

    nmmo-jax completion bash > ~/.local/share/bash-completion/completions/nmmo-jax
    """

    shell: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="bash|zsh")]
    """Which shell."""

    def run(self) -> None:
        """Prints it."""
        check_choice("SHELL", self.shell, ("bash", "zsh"))
        print(completion(Command, "nmmo-jax", self.shell), end="")


Maps = (
    Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
)
Replays = (
    Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Cut, tyro.conf.subcommand("cut")]
    | Annotated[VerifyReplay, tyro.conf.subcommand("verify")]
)
Command = (
    Annotated[Simulate, tyro.conf.subcommand("simulate")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Tournament, tyro.conf.subcommand("tournament")]
    | Annotated[Scoreboard, tyro.conf.subcommand("scoreboard")]
    | Annotated[Experiment, tyro.conf.subcommand("experiment")]
    | Annotated[Ablate, tyro.conf.subcommand("ablate")]
    | Annotated[Tune, tyro.conf.subcommand("tune")]
    | Annotated[Clone, tyro.conf.subcommand("clone")]
    | Annotated[Fork, tyro.conf.subcommand("fork")]
    | Annotated[Rare, tyro.conf.subcommand("rare")]
    | Annotated[Niches, tyro.conf.subcommand("niches")]
    | Annotated[Sweep, tyro.conf.subcommand("sweep")]
    | Annotated[Collapse, tyro.conf.subcommand("collapse")]
    | Annotated[Evolve, tyro.conf.subcommand("evolve")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Watch, tyro.conf.subcommand("watch")]
    | Annotated[Replays, tyro.conf.subcommand("replay", description="Look into replays, cut and check them.")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[New, tyro.conf.subcommand("new")]
    | Annotated[Maps, tyro.conf.subcommand("maps", description="Generate, show and convert maps.")]
    | Annotated[About, tyro.conf.subcommand("info")]
    | Annotated[Completion, tyro.conf.subcommand("completion")]
)


def main(args: list[str] | None = None) -> None:
    """Runs a command of ``nmmo-jax``, and exits."""
    any_encoding()
    told = "Neural MMO as a JAX simulator. --version tells the versions."
    versions = f"rules {RULES_VERSION}, jax {jax.__version__}, Python {platform.python_version()}"
    version = f"nmmo-jax {nmmo_jax.__version__} ({versions})"
    end(lambda: parse(Command, "nmmo-jax", told, version, args).run(), "nmmo-jax")


def train(trinity: Any, args: list[str] | None = None) -> None:
    """``nmmo-jax train`` with classes of one's own, as the program that is running, and exits.

    Args:
      trinity: a ``train.trinity.Trinity``.
    """
    any_encoding()
    spec = sys.modules["__main__"].__spec__
    program = f"python {sys.argv[0]}" if spec is None else f"python -m {spec.name}"

    def run() -> None:
        end(lambda: parse_flags(Train, program, args).run(trinity, program), program)

    if args is None:
        entry.run(program, run)
    run()


if __name__ == "__main__":
    entry.run("nmmo-jax", main)
