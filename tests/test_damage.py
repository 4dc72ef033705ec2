"""Damaged files: whatever became of one, a line says that it cannot be read, or it is read as it was written.

Every file that a command reads has its place in ``KINDS``. ``DAMAGES=5000 pytest tests/test_damage.py`` does more.
"""

import copy
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from measured import FOUND, MACHINE, stub
from rich.console import Console
from test_recorded import invented

from nmmo_jax import Config
from nmmo_jax.bench import results as bench_results
from nmmo_jax.bench import run as bench_run
from nmmo_jax.bench.figures import figures
from nmmo_jax.bench.plan import plan
from nmmo_jax.bench.report import compare, results_tables, summary
from nmmo_jax.commands import replay as replay_command
from nmmo_jax.common.files import append_line, checksum, read_json, read_lines, write_arrays, write_json
from nmmo_jax.config import RULES_VERSION
from nmmo_jax.kinds import Material
from nmmo_jax.play.recorded import read_recording
from nmmo_jax.replay import FORMAT, VERSION, Replay
from nmmo_jax.replay_file import _example, load_replay, save_replay
from nmmo_jax.rules import RULE_FIELDS, Rules, as_rules
from nmmo_jax.world.files import load_map, save_map
from nmmo_jax.world.tiles import make_tiles
from train import runs
from train.checkpoint import Checkpoints, load_params
from train.evaluate import Evaluation
from train.settings import describe, experiment
from train.studies import seeds
from train.studies.study import CELLS, open_study, read_cell, read_config
from train.trinity import Trinity

NUMBER = int(os.environ.get("DAMAGES", "12"))  # of random ones, of each file
LONG = 10**400
DEEP: Any = json.loads("[" * 900 + "]" * 900)
WRONG = (None, True, -1, 0, 1.5, LONG, 1e300, "", "x", [], ["x"], {}, {"x": 1}, DEEP)
TERRAIN = np.tile(np.array([*Material], np.uint8), (6, 1))


class Kind(NamedTuple):
    """A file, and how a command reads it.

    Attributes:
      write: into an empty folder; returns the file that is damaged.
      read: that file, as commands do; what it returns is equal for equal contents.
      sealed: whether a checksum tells what was changed.
      parts: of the file what is JSON, to be changed and written again with a checksum of its own; returns the value
        and ``write(value)``.
      use: what commands do with what was read, whatever that is.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    sealed: bool = True
    parts: Callable[[Path], tuple[Any, Callable[[Any], None]]] | None = None
    use: Callable[[Path], Any] | None = None


def of_json(path: Path) -> tuple[Any, Callable[[Any], None]]:
    value = read_json(path, dict[str, Any])
    return value, lambda changed: write_json(path, changed)


def of_lines(path: Path) -> tuple[Any, Callable[[Any], None]]:
    def write(changed: Any) -> None:
        path.unlink()
        append_line(path, changed)

    return read_lines(path, dict[str, Any])[0], write


def of_replay(path: Path) -> tuple[Any, Callable[[Any], None]]:
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["sha256"]
    about = json.loads(bytes(arrays["about"]))

    def write(changed: Any) -> None:
        write_arrays(path, {**arrays, "about": np.frombuffer(json.dumps(changed).encode(), np.uint8)})

    return about, write


def a_replay(folder: Path) -> Path:
    """Four frames in which nobody lives, made without playing."""
    config = Config(num_agents=4, num_populations=2, rows=6, columns=7, view=5, num_visible=4, border=1)
    tiles = jax.device_get(make_tiles(TERRAIN, config))
    rules = as_rules(Rules(), config)
    about = {
        **{"format": FORMAT, "version": VERSION, "rules_version": RULES_VERSION, "title": "nobody"},
        "config": dataclasses.asdict(config),
        "rules": {name: np.asarray(getattr(rules, name)).tolist() for name in RULE_FIELDS},
        **{"key": [1, 2], "populations": ["forager", "random"], "recomputable": True},
    }
    empty = jax.tree.map(lambda like: np.zeros(like.shape, like.dtype), _example(config, tiles))
    frames = [empty.replace(tick=np.int32(tick)) for tick in range(4)]
    path = folder / "replay.npz"
    save_replay(Replay(about, tiles, frames, [np.zeros(0, np.int32)] * 4), path)
    return path


def replayed(path: Path) -> Any:
    replay = load_replay(path)
    leaves = jax.tree.leaves((replay.tiles, replay.frames, replay.toggled))
    return replay.about, checksum({str(index): leaf for index, leaf in enumerate(leaves)})


def told_of_replay(path: Path) -> None:
    replay = load_replay(path)
    replay_command._facts(replay, 1)
    shown(replay_command._populations(replay))


def some_results(folder: Path) -> Path:
    results = bench_results.new(MACHINE)
    jobs = [job for job in plan(True, FOUND) if job.name in ("full_house-1", "realms-4", "systems", "start")]
    bench_run.run(jobs, results, lambda: None, stub)
    results["rows"] += [{"name": "a", "group": "b", "skipped": "c"}, {"name": "d", "group": "b", "failed": "e"}]
    bench_results.write(folder / "bench.json", results)
    return folder / "bench.json"


def told_of_results(path: Path) -> None:
    results = bench_results.read(path)
    shown(summary(results))
    shown(compare(results, results, ("a", "b")))
    results_tables(results)
    figures(results)


def a_map(name: str, **how: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        save_map(folder / name, TERRAIN, **how)
        return folder / name

    return write


def a_tileset(folder: Path) -> Path:
    return a_map("map.tmx")(folder).with_name("nmmo-materials.tsx")


def a_study(folder: Path) -> Path:
    open_study(folder, "sweep", {"seed": 1, "policy": ["forager"], "over": None}, {"runs/a": 3})
    return folder / "config.json"


def a_cell(folder: Path) -> Path:
    (folder / CELLS).mkdir()
    write_arrays(folder / CELLS / "a.npz", {"aged": np.arange(12.0).reshape(3, 4), "died": np.arange(3)})
    return folder / CELLS / "a.npz"


def a_log(folder: Path) -> Path:
    for update in (1, 2):
        line = {"update": update, "lifetime": [None, 1.5], "steps": [[1, 2], [3, 4]], "seconds": 0.5}
        append_line(folder / "metrics.jsonl", line)
    return folder / "metrics.jsonl"


def an_end(folder: Path) -> Path:
    done = {"budget": 9, "reached": True, "update": 2, "seconds": 0.5, "steps": [[1, 2]]}
    write_json(folder / "done.json", done)
    return folder / "done.json"


def a_recording(folder: Path) -> Path:
    np.savez(folder / "play.npz", **invented())
    return folder / "play.npz"


def recorded(path: Path) -> Any:
    recording = read_recording(path)
    return recording.family, checksum(recording.arrays)


def a_config(tmp_path: Path) -> Path:
    asked = {"minutes": 4.0, "updates": None, "every": 2, "loggers": [], "figure_format": ["png"]}
    chosen = experiment("law16")
    write_json(tmp_path / runs.CONFIG, {**describe(chosen, Trinity().of(chosen)), "asked": asked})
    return tmp_path / runs.CONFIG


def a_run(tmp_path: Path) -> Path:
    for update in (8, 16):
        line = {"update": update, "agent_steps": 100 * update, "seconds": 0.5, "lifetime": 11.5}
        append_line(tmp_path / runs.LOG, {**line, "populations": {"lifetime": [10.5, None]}})
    return tmp_path / runs.LOG


def an_evaluation(tmp_path: Path) -> Path:
    write_json(tmp_path / "evaluation.json", {"realms": 4, "random": {"lifetime": 11.5}, "planner": {"lifetime": None}})
    return tmp_path / "evaluation.json"


def an_about(tmp_path: Path) -> Path:
    Checkpoints(tmp_path).save(3, {"params": {"w": np.arange(6.0, dtype=np.float32)}}, {"update": 3}, 11.5)
    return tmp_path / "00000003" / "about.json"


def parameters(path: Path) -> str:
    params, about = load_params(path.parents[1])
    return f"{np.asarray(params['w']).tolist()} {about}"


KINDS = {
    "run": Kind(a_config, lambda path: runs.read_config(path.parent), parts=of_json),
    "log of a run": Kind(a_run, lambda path: runs.read_log(path.parent), parts=of_lines),
    "evaluation": Kind(an_evaluation, lambda path: read_json(path, Evaluation), parts=of_json),
    "checkpoint": Kind(an_about, parameters, parts=of_json),
    "replay": Kind(a_replay, replayed, parts=of_replay, use=told_of_replay),
    "bench": Kind(some_results, bench_results.read, parts=of_json, use=told_of_results),
    "study": Kind(a_study, lambda path: read_config(path.parent), parts=of_json),
    "cell": Kind(a_cell, lambda path: checksum(dict(read_cell(path.parents[1], path.stem)))),
    "log of seeds": Kind(a_log, lambda path: read_lines(path, seeds.Line), parts=of_lines),
    "end of seeds": Kind(an_end, lambda path: read_json(path, seeds.Done), parts=of_json),
    "recording": Kind(a_recording, recorded, sealed=False),
    "map.npy": Kind(a_map("map.npy"), lambda path: load_map(path).tolist(), sealed=False),
    "map.tmx": Kind(a_map("map.tmx"), lambda path: load_map(path).tolist(), sealed=False),
    "packed.tmx": Kind(
        a_map("map.tmx", encoding="zlib"), lambda path: load_map(path).tolist(), sealed=False
    ),
    "tileset": Kind(a_tileset, lambda path: load_map(path.with_name("map.tmx")).tolist(), sealed=False),
}  # fmt: skip


def shown(renderable: Any) -> None:
    Console(quiet=True, width=80).print(renderable)


def told(read: Callable[[Path], Any], path: Path) -> tuple[Any, str | None]:
    """What a command reads, or the line with which it ends."""
    try:
        return read(path), None
    except OSError as error:  # as in nmmo_jax.cli
        line = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    except ValueError as error:
        line = str(error)
    assert "\n" not in line and len(line) < 1000 + len(str(path)), line
    assert str(path.parent) in line or str(path.parents[1]) in line, line
    return None, line


def damages(whole: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    yield from (b"", b"\0" * len(whole), b"[" * 100_000, b"null", b"{}", b"\xff\xfe" + whole, whole * 2, whole + b"x")
    for _ in range(NUMBER):
        place, length = int(rng.integers(len(whole))), int(rng.integers(1, 9))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        yield bytes(damaged)
        yield whole[:place]
        yield whole[:place] + rng.bytes(length) + whole[place + length :]
        yield whole[:place] + whole[place + length :]


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where something is in a value of JSON, but the value itself."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (name,)
        yield from ((name, *path) for path in paths(inner))


def changed(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = wrong
    return value


@pytest.fixture(params=KINDS)
def kind(request) -> Kind:
    return KINDS[request.param]


def test_what_is_damaged_is_refused_in_a_line_or_read_as_it_was(kind, tmp_path):
    path, rng = kind.write(tmp_path), np.random.default_rng(0)
    whole, intact = path.read_bytes(), kind.read(path)
    for damaged in damages(whole, rng):
        path.write_bytes(damaged)
        read, line = told(kind.read, path)
        if line is None and kind.sealed:
            # A line of a log has a checksum of its own.
            assert read == intact or (isinstance(read, list) and all(line in intact for line in read)), damaged
    path.unlink()
    assert told(kind.read, path)[1]
    path.mkdir()
    assert told(kind.read, path)[1]
    path.rmdir()
    shutil.rmtree(path.parent)
    path.parent.write_text("")
    assert told(kind.read, path)[1]


@pytest.mark.parametrize("name", [name for name, one in KINDS.items() if one.parts is not None])
def test_json_of_another_kind_is_refused_in_a_line(name, tmp_path):
    """Everywhere something that does not belong there, or nothing, as it were written by us."""
    kind = KINDS[name]
    path, rng = kind.write(tmp_path), np.random.default_rng(0)
    assert kind.parts is not None
    value, write = kind.parts(path)
    places = [(place, wrong) for place in paths(value) for wrong in WRONG]
    chosen = rng.permutation(len(places))[: 2 * NUMBER]
    for place, wrong in [places[index] for index in chosen]:
        write(changed(value, place, wrong))
        _, line = told(kind.read, path)
        if line is None and kind.use is not None:
            kind.use(path)
    for name in value:
        write({other: inner for other, inner in value.items() if other != name})
        told(kind.read, path)
