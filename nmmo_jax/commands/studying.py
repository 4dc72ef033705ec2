"""What the commands of studies share: how much is asked for, a folder, and going on in it."""

import abc
import dataclasses
import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import tyro

from nmmo_jax.commands.overrides import flags_named, named_by
from nmmo_jax.common.drawing import drawing
from nmmo_jax.common.formats import Format, check_formats
from nmmo_jax.common.hidden import check_train
from nmmo_jax.common.signals import ending
from nmmo_jax.common.tables import check_tables
from nmmo_jax.common.text import console as terminal
from nmmo_jax.common.text import pasted, safe
from nmmo_jax.play.measure import use_all_cores


@dataclasses.dataclass
class StudyCommand(abc.ABC):
    """A command that computes a study, and can be interrupted and goes on.

    A field that is None takes its value from ``FORMS``, where it is there; ``study`` makes the study of what is asked.
    """

    NAME: ClassVar[str]
    FORMS: ClassVar[dict[str, dict[str, Any]]]  # form -> field -> value
    FLAGS: ClassVar[dict[str, str]] = {}  # what is called otherwise where it is checked -> flag

    form: Literal["minutes", "hour", "night"] = "minutes"
    """How much is computed: what two cores do within some minutes, about an hour, or a night."""
    seed: int = 0
    """Of maps, births, regrowth and policies: the same seed, the same results."""
    out: Path | None = None
    """Folder for the results. Default: runs/NAME-DATE-TIME."""
    resume: Path | None = None
    """Folder of a study that was interrupted, to go on with; no other flags but --moved, --figure-format, --tables."""
    moved: Annotated[tuple[str, ...], tyro.conf.arg(metavar="OLD=NEW")] = ()
    """With --resume: folders of policies, or folders that these are in, that are elsewhere now."""
    figure_format: tuple[Format, ...] | None = None
    """Formats of the figures, default png; svg and pdf are vector graphics."""

    @abc.abstractmethod
    def study(self, out: Path) -> Any:
        """The ``train.studies.study.Study``; raises ValueError for what cannot be."""

    @abc.abstractmethod
    def report(self) -> Any:
        """The ``train.studies.study.Report`` of such a study."""

    def tabulated(self) -> Mapping[str, Callable[[Any, Path, Any], None]]:
        """What writes the tables of each format of ``--tables``, of those commands that have this flag:
        ``write(study, out, results)``.
        """
        return {}

    def check(self) -> None:  # noqa: B027
        """Refuses flags that mean nothing beside others; called before ``FORMS`` give theirs."""

    def policies(self) -> tuple[str, ...]:
        """Names of those who play, as far as they are given: a study goes on with the same checkpoints only."""
        return getattr(self, "policy", ())

    def run(self) -> int:
        """Computes, writes and shows; returns the exit status: 0, or 130 interrupted.

        Raises:
          ValueError, OSError: what cannot be computed or written, before anything is compiled.
        """
        check_train()
        from train.studies.study import has_begun, study_folder  # training's libraries take a second to import

        use_all_cores()
        if self.figure_format is not None:
            check_formats(self.figure_format)
        if self.resume is None:
            if self.moved:
                raise ValueError("--moved: belongs to --resume, which is not given")
            self.check()
        command = self if self.resume is None else self._resumed(self.resume)
        if not 0 <= command.seed < 2**32:
            raise ValueError(f"--seed {command.seed}: allowed are 0 to 2^32 - 1")
        command = command._filled()
        check_tables(command._tables, [*command.tabulated()] if command._tables else ())
        flags = {**self.FLAGS, "out": "--out" if self.resume is None else "--resume"}
        with (
            flags_named(named_by(command, **flags)),
            study_folder(self.resume or command.out, self.NAME) as out,
        ):
            try:
                return command._compute(out, resumed=self.resume is not None)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not has_begun(out):
                    raise
                told = f"{error.filename}: {error.strerror}; nmmo-jax {self.NAME} --resume {pasted(out)} goes on"
                raise OSError(told) from None

    def _compute(self, out: Path, resumed: bool) -> int:
        from train.studies.moved import made_of
        from train.studies.study import compute, has_begun, left, move_study, open_study

        console = terminal()
        console.width = max(console.width, 80)
        study = self.study(out)
        asked, made = self._asked(), made_of(self.policies())
        if resumed:  # and known to be of the same policies
            move_study(out, asked, made)
        open_study(out, self.NAME, asked, made)
        cells, report, goes_on = study.cells(), self.report(), f"nmmo-jax {self.NAME} --resume {pasted(out)} goes on"
        with ending(lambda: goes_on if has_begun(out) else None):
            try:
                results, seconds = compute(cells, out)
            except KeyboardInterrupt:
                if not has_begun(out):
                    raise
                done = len(cells) - len(left(cells, out))
                console.print(f"{safe(out)}: {done} of {len(cells)} parts are done\n{goes_on}", soft_wrap=True)
                return 130
            with drawing(self.figure_format):
                shown = report(study, out, results)
            for kind in dict.fromkeys(self._tables):
                self.tabulated()[kind](study, out, results)
        console.print(shown)
        console.print(f"{seconds:.0f} s. Results: {safe(out)}", soft_wrap=True)
        return 0

    @property
    def _tables(self) -> tuple[str, ...]:
        return getattr(self, "tables", ())

    def _filled(self) -> Self:
        """With the form's values where nothing was said."""
        values = self.FORMS[self.form]
        return dataclasses.replace(
            self, **{name: value for name, value in values.items() if getattr(self, name) is None}
        )

    def _asked(self) -> dict[str, Any]:
        """All settings but the folder, ready for JSON; folders of policies wherever it is resumed."""
        from train.studies.entrants import where

        fields = [field.name for field in dataclasses.fields(self) if field.name not in ("out", "resume", "moved")]
        folders = {name: where(name) for name in self.policies()}
        return {name: _plain(getattr(self, name), folders) for name in fields}

    def _resumed(self, folder: Path) -> Self:
        from train.studies.moved import made_of, places, same
        from train.studies.study import read_config

        for field in dataclasses.fields(self):
            default = field.default if field.default is not dataclasses.MISSING else None
            if (
                field.name not in ("resume", "moved", "figure_format", "tables")
                and getattr(self, field.name) != default
            ):
                flag = ("--no-" if getattr(self, field.name) is False else "--") + field.name.replace("_", "-")
                raise ValueError(f"{flag}: means nothing with --resume: a study goes on as it was asked for")
        there = read_config(folder)
        if there.get("study") != self.NAME:
            raise ValueError(f"--resume {folder}: holds a study of {there.get('study')!r}, not of {self.NAME!r}")
        try:
            asked = there["asked"]
            if self.figure_format is not None:
                asked = {**asked, "figure_format": [*self.figure_format]}
            if self._tables:
                asked = {**asked, "tables": [*self._tables]}
            command = self._of(asked)
            found = places(command.policies(), folder, there.get("folder"), self.moved)
            command = self._of(_plain(asked, found))
            before = there["made_of"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{folder / 'config.json'}: damaged, or of another version: {error}") from None
        if found:
            now = made_of(command.policies())
            if not same(before, now):
                told = f"{before} when it was begun, {now} now; --moved OLD=NEW tells where they are"
                raise ValueError(f"--resume {folder}: its policies are others: {told}")
        return command

    def _of(self, asked: dict[str, Any]) -> Self:
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in asked.items()}
        return type(self)(**fields)


def _plain(value: Any, folders: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one, folders) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one, folders) for one in value]
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, str):
        first, equals, last = value.partition("=")  # as of ``fork --swap``
        return folders.get(value) or (first + equals + folders.get(last, last))
    return value
