"""Where the lines of a run's log go besides its folder: TensorBoard, Weights & Biases."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nmmo_jax.common.extras import need
from nmmo_jax.common.files import write
from nmmo_jax.common.spelling import near

PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}  # what each is written with


class Loggers:
    """A context in which ``send`` hands on every line, with its update as the step.

    >>> loggers = Loggers(["tensorboard"])
    >>> loggers.open(out, 0, {})
    >>> with loggers:
    ...     loggers.send(line)

    Raises:
      ValueError: an unknown name, or its package is not installed.
    """

    def __init__(self, names: Sequence[str]):
        self._modules, self._open = {}, []
        for name in names:
            if name not in PACKAGES:
                raise ValueError(f"loggers={name!r}: allowed are {', '.join(PACKAGES)}{near(name, PACKAGES)}")
            try:
                self._modules[name] = need(PACKAGES[name], PACKAGES[name], name)
            except ValueError as error:
                raise ValueError(f"loggers={name!r}: {error}") from None

    def open(self, out: Path, update: int, config: dict[str, Any]) -> None:
        """Begins, or goes on.

        Args:
          out: folder of the run; what it was logged as is kept there.
          update: after which it goes on; what was sent of later ones is taken back, or not sent again.
          config: what the run is, ready for JSON.
        """
        kinds = {"tensorboard": _TensorBoard, "wandb": _WandB}
        self._open = [kinds[name](module, out, update, config) for name, module in self._modules.items()]

    def send(self, line: dict[str, Any]) -> None:
        """Hands on the numbers of a line; see ``scalars``."""
        for logger in self._open:
            logger.send(scalars(line), line["update"])

    def __enter__(self) -> "Loggers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for logger in self._open:
            logger.close(failed=kind is not None)


def scalars(line: dict[str, Any]) -> dict[str, float]:
    """The numbers of a line by name, those of population p with ``/p`` after it; what is None is left out."""
    lists = {name: values for name, values in line.get("populations", {}).items() if isinstance(values, list)}
    each = {f"{name}/{p}": value for name, values in lists.items() for p, value in enumerate(values)}
    return {name: value for name, value in {**line, **each}.items() if isinstance(value, int | float)}


class _TensorBoard:
    def __init__(self, module: Any, out: Path, update: int, config: dict[str, Any]):
        # Readers drop the events of this step and later that were written before. The suffix tells files apart that are
        # begun in the same second.
        suffix = f".{update}"
        self._writer = module.SummaryWriter(str(out / "tensorboard"), purge_step=update + 1, filename_suffix=suffix)

    def send(self, numbers: dict[str, float], update: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, update)
        self._writer.flush()

    def close(self, failed: bool) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, module: Any, out: Path, update: int, config: dict[str, Any]):
        kept = out / "wandb-id"
        known = kept.read_bytes().decode(errors="replace").strip() if kept.exists() else None
        if known is not None and not re.fullmatch(r"[\w-]{1,128}", known):
            raise ValueError(f"{kept}: damaged: must be the id of a run of wandb; without it, a new one begins")
        project = os.environ.get("WANDB_PROJECT", "nmmo-jax")
        try:
            self._run = module.init(
                project=project, name=out.name, dir=str(out), id=known, resume="allow", config=config,
                settings={"console": "off"},  # the progress bar is none of its business
            )  # fmt: skip
        except module.Error as error:
            raise ValueError(f"loggers='wandb': {error}") from None
        write(kept, lambda file: file.write(self._run.id.encode()))

    def send(self, numbers: dict[str, float], update: int) -> None:
        self._run.log(numbers, step=update)  # a step that it has already is dropped

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))
