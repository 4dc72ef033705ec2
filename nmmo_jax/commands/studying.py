"""What the commands of studies share: how much is asked for, a folder, and going on in it."""

import abc
import dataclasses
import time
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from rich.console import Console

from nmmo_jax.commands.measure import use_all_cores
from nmmo_jax.hidden import check_train
from nmmo_jax.signals import ending


@dataclasses.dataclass
class StudyCommand(abc.ABC):
    """A command that computes a study, and can be interrupted and goes on.

    A field that is None takes its value from ``FORMS``, where it is there; ``study`` makes the study of what is asked.
    """

    NAME: ClassVar[str]
    FORMS: ClassVar[dict[str, dict[str, Any]]]  # form -> field -> value

    form: Literal["minutes", "hour", "night"] = "minutes"
    """How much is computed: what two cores do within some minutes, about an hour, or a night."""
    seed: int = 0
    """Of maps, births, regrowth and policies: the same seed, the same results."""
    out: Path | None = None
    """Folder for the results. Default: runs/NAME-DATE-TIME."""
    resume: Path | None = None
    """Folder of a study that was interrupted, to go on with; no other flags."""

    @abc.abstractmethod
    def study(self, out: Path) -> Any:
        """The ``train.studies.study.Study``; raises ValueError for what cannot be."""

    def policies(self) -> tuple[str, ...]:
        """Names of those who play, as far as they are given: a study goes on with the same checkpoints only."""
        return getattr(self, "policy", ())

    def run(self) -> int:
        """Computes, writes and shows; returns the exit status: 0, or 130 interrupted.

        Raises:
          ValueError, OSError: what cannot be computed or written, before anything is compiled.
        """
        check_train()
        from train.studies.entrants import made_of  # training's libraries take a second to import
        from train.studies.study import compute, left, open_study

        use_all_cores()
        command = self if self.resume is None else self._resumed(self.resume)
        if not 0 <= command.seed < 2**32:
            raise ValueError(f"--seed {command.seed}: allowed are 0 to 2^32 - 1")
        out = self.resume or command.out or Path("runs") / time.strftime(f"{self.NAME}-%Y%m%d-%H%M%S")
        console = Console(highlight=False)
        console.width = max(console.width, 80)
        command = command._filled()
        study = command.study(out)
        open_study(out, self.NAME, command._asked(), made_of(command.policies()))
        cells, goes_on = study.cells(), f"nmmo-jax {self.NAME} --resume {out} goes on"
        with ending(lambda: goes_on):
            try:
                results, seconds = compute(cells, out)
            except KeyboardInterrupt:
                done = len(cells) - len(left(cells, out))
                told = f"{out}: {done} of {len(cells)} parts are done\n{goes_on}"
                console.print(told, soft_wrap=True, markup=False)
                return 130
            shown = study.report(out, results)
        console.print(shown)
        console.print(f"{seconds:.0f} s. Results: {out}", markup=False, soft_wrap=True)
        return 0

    def _filled(self) -> Self:
        """With the form's values where nothing was said."""
        values = self.FORMS[self.form]
        return dataclasses.replace(
            self, **{name: value for name, value in values.items() if getattr(self, name) is None}
        )

    def _asked(self) -> dict[str, Any]:
        """All settings but the folder, ready for JSON; folders of policies wherever it is resumed."""
        from train.studies.entrants import where

        fields = [field.name for field in dataclasses.fields(self) if field.name not in ("out", "resume")]
        folders = {name: where(name) for name in self.policies()}
        return {name: _plain(getattr(self, name), folders) for name in fields}

    def _resumed(self, folder: Path) -> Self:
        from train.studies.study import read_config

        for field in dataclasses.fields(self):
            default = field.default if field.default is not dataclasses.MISSING else None
            if field.name != "resume" and getattr(self, field.name) != default:
                raise ValueError(f"--{field.name}: means nothing with --resume: a study goes on as it was asked for")
        there = read_config(folder)
        if there.get("study") != self.NAME:
            raise ValueError(f"--resume {folder}: holds a study of {there.get('study')!r}, not of {self.NAME!r}")
        try:
            asked: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in there["asked"].items()}
            return type(self)(**asked)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{folder / 'config.json'}: damaged, or of another version: {error}") from None


def _plain(value: Any, folders: dict[str, str]) -> Any:
    if isinstance(value, tuple):
        return [_plain(one, folders) for one in value]
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, str):
        first, equals, last = value.rpartition("=")  # as of ``fork --swap``
        return first + equals + folders.get(last, last)
    return value
