"""The command ``nmmo-jax bench``: how fast the world runs here, and whether that has changed."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import jax
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from nmmo_jax.bench import paper, peers
from nmmo_jax.bench import results as files
from nmmo_jax.bench.figures import write_figures
from nmmo_jax.bench.machine import ask
from nmmo_jax.bench.plan import Job, plan
from nmmo_jax.bench.report import compare, summary
from nmmo_jax.bench.rows import OPEN_ROWS, row
from nmmo_jax.bench.run import failures, measure, missing, run
from nmmo_jax.commands.overrides import Overrides, Systems, flags_named, named_by, parse_set
from nmmo_jax.common.drawing import drawing
from nmmo_jax.common.files import write_json
from nmmo_jax.common.folders import new_file
from nmmo_jax.common.formats import Format, check_formats
from nmmo_jax.common.progress import waiting
from nmmo_jax.common.signals import Signals
from nmmo_jax.common.spelling import near
from nmmo_jax.common.text import column, safe, verdict
from nmmo_jax.common.text import console as terminal

_OWN = {"num_agents": "is 128 in rows of chaos and law", "num_populations": "is 8 in rows of chaos and law"}


@dataclasses.dataclass
class Bench:
    """Measure how many agent-steps per second this machine plays.

    Quick, some minutes: the full house (nearly all places alive), chaos, the full house with the classic network, and
    training, on one core and on all. Results are kept in one JSON, which is written after every row; run again
    with the same --out, an interrupted run goes on where it ended.
    Exit status: 0; 1 a row failed; 2 bad input; 130 interrupted.
    """

    full: tyro.conf.FlagCreatePairsOff[bool] = False
    """Measure everything: also law, VecEnv, sweeps over realms and agents per realm, costs per system, start times.
    Takes quite some minutes."""
    only: tuple[str, ...] | None = None
    """Of that, only these: full_house, chaos, law, classic, training, vec_env, loop, realms, crowd, large, huge,
    systems, start; or single rows by name (realms-64-2)."""
    set: Overrides = ()
    """Measure chaos with other fields of the configuration and rules, and as it is, beside each other; with --full or
    --only law, too. The worlds of the other rows are fixed, so that they can be compared."""
    system: Systems = ()
    """Likewise with game systems, and --set their rules: poison:POISON of poison.py here, or of an installed module."""
    out: Path | None = None
    """File for the results. Default: runs/bench-DATE-TIME.json."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Where --out holds results that cannot be continued: those of another machine or version are replaced, and where
    nothing is missing, what is asked for is measured anew."""
    figures: Path | None = None
    """Folder for figures of the results."""
    figure_format: tuple[Format, ...] = ("png",)
    """Formats of the figures; svg and pdf are vector graphics."""
    plan: Literal["h100"] | None = None
    """Measure nothing, but compile world and training for an accelerator that need not be there, and tell what they
    would launch, write and read on it."""
    peers: tyro.conf.FlagCreatePairsOff[bool] = False
    """Measure other programs that pip installs, each in an environment of its own (in .cache/peers), in turn with the
    full house and chaos, all on one core. From a checkout: benchmarks/peers has what is needed."""
    compare: tuple[Path, Path] | None = None
    """Measure nothing, but show two results (or two plans) side by side, and how many times as fast the second is."""
    show: Path | None = None
    """Measure nothing, but show (and draw, with --figures) the results, or the plan, in a file."""

    def run(self) -> int:
        """Measures and tells; returns the exit status.

        Raises:
          ValueError, OSError: bad input, before anything is measured.
        """
        check_formats(self.figure_format)
        console = terminal()
        if self.compare is not None or self.show is not None or self.plan is not None or self.peers:
            self._check_reading()
        if self.compare is not None:
            one, other = self.compare
            for path in filter(peers.is_one, self.compare):
                raise ValueError(f"--compare: {path} compares ours with others already; --show shows it")
            if paper.is_one(one) and paper.is_one(other):
                console.print(paper.compare(paper.read(one), paper.read(other), (str(one), str(other))))
            else:
                console.print(compare(files.read(one), files.read(other), (str(one), str(other))))
            return 0
        if self.overwrite and self.out is None:
            raise ValueError("--overwrite: belongs to --out, which is not given")
        if self.plan is not None:
            return self._plan(console)
        if self.peers:
            return self._peers(console)
        for kind, name in ((paper, "a plan"), (peers, "of peers")):
            if self.show is not None and kind.is_one(self.show):
                if self.figures is not None:
                    raise ValueError(f"--figures: {self.show} is {name}, which has none")
                console.print(kind.summary(kind.read(self.show)))
                return 0
        if self.show is not None:
            results = files.read(self.show)
            _make_folder("--figures", self.figures)
            self._tell(console, results)
            return 0
        if self.only and self.full:
            raise ValueError("--full: means nothing with --only, which names what is measured")
        if self.figure_format != ("png",) and self.figures is None:
            raise ValueError("--figure-format: belongs to --figures, which is not given")
        if self.only == ():
            raise ValueError("--only: name at least one group or row after it")
        self._check_file()
        with flags_named(named_by(self)):
            world = self._world()
        with flags_named({"out": "--out "}), new_file(self.out, "bench", ".json") as out:
            return self._measure(out, world, console)

    def _world(self) -> str:
        """What is asked for of a world of one's own, as rows take it; checked."""
        given = parse_set(self.set, _OWN, systems=self.system)
        if not given:
            return ""
        world = json.dumps(given | {"systems": [*self.system]} if self.system else given)
        for name in OPEN_ROWS:
            row(name, world=world)
        return world

    def _measure(self, out: Path, world: str, console: Console) -> int:
        found = ask()
        # This process only plans; an accelerator's memory is left to those that measure.
        jax.config.update("jax_platforms", "cpu")
        jobs = self._chosen(plan(self.full or bool(self.only), found, world))
        results, todo = self._continued(out, jobs, found["machine"], console)
        begun = out.exists()
        files.write(out, results)
        try:
            with Signals() as watch, _progress(len(todo)) as bar:
                watch.grace = None
                task = bar.add_task("", total=len(todo))
                for job in todo:
                    bar.update(task, description=job.name)
                    if not bar.console.is_terminal:
                        bar.console.print(f"{job.name} ...")
                    run([job], results, lambda: files.write(out, results))
                    begun = True
                    bar.advance(task)
                    if watch.asked:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            if not begun:
                out.unlink()
                raise
            left = len(missing(jobs, results))
            told = f"interrupted: {left} of {len(jobs)} are missing in {safe(out)}; with --out {safe(out)} it goes on"
            console.print(told, soft_wrap=True)
            return 130
        self._tell(console, results)
        console.print(f"results: {safe(out)}", soft_wrap=True)
        failed = failures(jobs, results)
        for name, why in failed.items():
            console.print(verdict("failed", "red", f"{name}: {why}"), soft_wrap=True)
        return 1 if failed else 0

    def _plan(self, console: Console) -> int:
        """Compiles and counts in a process of its own, as that has other settings of JAX."""
        self._check_new()
        with flags_named({"plan": "--plan "}):
            paper.check_compiler(str(self.plan))
        with flags_named({"out": "--out "}), new_file(self.out, f"plan-{self.plan}", ".json") as out:
            job = Job("plan", "plan", "nmmo_jax.bench.paper", {"device": self.plan}, None)
            with waiting(f"compiling for {self.plan} ..."):
                try:
                    record = measure(job)
                except RuntimeError as error:
                    raise ValueError(f"--plan {self.plan}: {error}") from None
            write_json(out, record)
        console.print(paper.summary(record))
        console.print(f"plan: {safe(out)}", soft_wrap=True)
        return 0

    def _peers(self, console: Console) -> int:
        self._check_new()
        with flags_named({"out": "--out ", "peers": "--peers: "}), new_file(self.out, "peers", ".json") as out:
            found, machine = peers.find(peers.FOLDER), ask()["machine"]
            with _progress(peers.number_of_steps(found)) as bar:
                task = bar.add_task("", total=peers.number_of_steps(found), completed=-1)

                def told(what: str) -> None:
                    bar.update(task, description=what, advance=1)
                    if what and not bar.console.is_terminal:
                        bar.console.print(f"{what} ...")

                record = peers.run(found, machine, told)
            write_json(out, record)
        console.print(peers.summary(record))
        console.print(f"peers: {safe(out)}", soft_wrap=True)
        return 1 if record["failed"] else 0

    def _check_reading(self) -> None:
        only = self.only is not None
        others = {"--compare": self.compare, "--plan": self.plan, "--show": self.show, "--peers": self.peers or None}
        reader = next(name for name, value in others.items() if value is not None)
        given = {"--full": self.full, "--only": only, "--set": self.set, "--system": self.system}
        if reader in ("--compare", "--show"):
            given |= {"--out": self.out, "--overwrite": self.overwrite, "--plan": self.plan}
        if reader != "--peers":
            given |= {"--peers": self.peers}
        if reader != "--show":
            given |= {"--show": self.show, "--figures": self.figures, "--figure-format": self.figure_format != ("png",)}
        for flag, value in given.items():
            if value:
                does = "measures others, and ours beside them" if reader == "--peers" else "measures nothing"
                raise ValueError(f"{flag}: means nothing with {reader}, which {does}")

    def _check_new(self) -> None:
        self._check_file()
        if self.out is not None and self.out.exists() and not self.overwrite:
            raise ValueError(f"--out {self.out}: is there already; --overwrite replaces it")

    def _check_file(self) -> None:
        """That results can be written, before time is spent."""
        _make_folder("--figures", self.figures)
        if self.out is not None and self.out.is_dir():
            raise ValueError(f"--out {self.out}: is a folder; must be a file")
        if self.out is not None and self.out.exists() and not self.out.is_file():
            raise ValueError(f"--out {self.out}: must be an ordinary file")

    def _chosen(self, jobs: list[Job]) -> list[Job]:
        names = {name for job in jobs for name in (job.name, job.group)}
        for name in self.only or ():
            if name not in names:
                groups = ", ".join(dict.fromkeys(job.group for job in jobs))
                rows = ", ".join(job.name for job in jobs)
                fixed = " (with --set or --system; other worlds are fixed)" if self.set or self.system else ""
                raise ValueError(f"--only {name}: there are {groups}{fixed}; or single rows: {rows}{near(name, names)}")
        return [job for job in jobs if not self.only or job.name in self.only or job.group in self.only]

    def _continued(
        self, out: Path, jobs: list[Job], machine: dict[str, Any], console: Console
    ) -> tuple[dict[str, Any], list[Job]]:
        """The results to go on with, and the jobs that are missing in them."""
        if not out.exists():
            return files.new(machine), jobs
        results = files.read(out)
        todo = missing(jobs, results)
        differing = files.differences(results["machine"], {**machine, "date": results["machine"].get("date")})
        if todo and not differing:
            if len(todo) < len(jobs):
                console.print(f"{safe(out)}: goes on; {len(jobs) - len(todo)} of {len(jobs)} are there", soft_wrap=True)
            return results, todo
        if not self.overwrite:
            why = f"of another {', '.join(differing)}" if differing else "complete"
            raise ValueError(f"--out {out}: holds results that are {why}; --overwrite replaces them")
        return (files.new(machine) if differing else results), jobs

    def _tell(self, console: Console, results: dict[str, Any]) -> None:
        console.print(summary(results))
        if self.figures is not None:
            with drawing(self.figure_format):
                paths = write_figures(results, self.figures)
            for path in paths:
                console.print(f"figure: {safe(path)}", soft_wrap=True)


def _make_folder(flag: str, folder: Path | None) -> None:
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"{flag} {folder}: cannot be made: {error.strerror}") from None


def _progress(jobs: int) -> Progress:
    console = terminal(stderr=True)
    return Progress(
        column("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        column("left"),
        console=console,
        disable=not console.is_terminal or not jobs,
    )
