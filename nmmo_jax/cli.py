"""The one console command, ``nmmo-jax``."""

import signal
import sys
from typing import Annotated

import jax
import tyro

from nmmo_jax.commands.bench import Bench
from nmmo_jax.commands.maps import Convert, Generate, Show
from nmmo_jax.commands.simulate import Simulate
from nmmo_jax.commands.train import Train
from nmmo_jax.commands.verify import Verify

Maps = (
    Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
)
Command = (
    Annotated[Simulate, tyro.conf.subcommand("simulate")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Maps, tyro.conf.subcommand("maps", description="Generate, show and convert maps.")]
)


def main(args: list[str] | None = None) -> None:
    """Runs a command; bad input ends with one readable line and status 2, an interruption with 130."""
    command = tyro.cli(Command, prog="nmmo-jax", description="Neural MMO as a JAX simulator.", args=args)
    # A terminated run ends as an interrupted one: what was measured so far is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = command.run()
    except OSError as error:
        known = error.filename is not None and error.strerror is not None
        print(f"nmmo-jax: {error.filename}: {error.strerror}" if known else f"nmmo-jax: {error}", file=sys.stderr)
        status = 2
    except ValueError as error:
        print(f"nmmo-jax: {error}", file=sys.stderr)
        status = 2
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print("nmmo-jax: does not fit into memory: fewer realms, agents or tiles need less", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("nmmo-jax: interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
