"""Recorded play of the original, and files that are not quite recordings."""

from pathlib import Path

import numpy as np
import pytest
from recordings import GOLDEN

from nmmo_jax.cli import main
from nmmo_jax.kinds import Material
from nmmo_jax.play.recorded import compare, read_recording

RECORDINGS = sorted(GOLDEN.glob("*_N*.npz"))
needs_recordings = pytest.mark.skipif(not RECORDINGS, reason="no recorded play beside this repository")


@needs_recordings
def test_there_are_all_recordings():
    assert len(RECORDINGS) == 78


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_sequential_play_equals_the_original(path):
    assert compare(read_recording(path), "sequential") is None


@pytest.mark.parametrize("path", [p for p in RECORDINGS if "free" not in p.stem], ids=lambda path: path.stem)
def test_simultaneous_play_equals_the_original(path):
    assert compare(read_recording(path), "simultaneous") is None


@needs_recordings
def test_simultaneous_play_differs_where_order_matters():
    free = [path for path in RECORDINGS if path.stem.startswith("chaos_free_N128")]
    assert any(compare(read_recording(path), "simultaneous") is not None for path in free)


def invented(ticks: int = 3, agents: int = 2) -> dict[str, np.ndarray]:
    """A recording made by hand, of a map without spawn tile or forest: everybody stands and grows hungry."""
    material = np.full((5, 7), Material.WATER, np.int8)
    material[2, 2:5] = Material.GRASS
    material[0, 0] = Material.LAVA
    steps = np.arange(ticks + 1)[:, None]
    state = np.ones((ticks + 1, agents), int)
    return {
        "map0": material,
        "tiles_end": np.repeat(material[None], ticks + 1, axis=0),
        "move": np.zeros((ticks, agents), np.int8),
        "style": np.zeros((ticks, agents), np.int8),
        "target": np.full((ticks, agents), -1),
        "acted": np.ones((ticks, agents), bool),
        "pos": np.broadcast_to([2, 3], (ticks + 1, agents, 2)),
        "food": 32 - steps * state,
        "water": np.where(steps > 0, 31, 32) * state,
        "health": 10 * state,
        "freeze": 0 * state,
        "damage": -1 * state,
        "timeAlive": steps * state,
        "immune": steps * state < 15,
        "alive": state > 0,
        "present": state > 0,
        "kill": state < 0,
        "meta": np.array(["family=law_by_hand"]),
    }


def written(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = folder / "play.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("mode", ["sequential", "simultaneous"])
def test_other_sizes_and_no_spawn_tile(tmp_path, mode):
    assert compare(read_recording(written(tmp_path, invented(ticks=12))), mode) is None


def test_the_first_difference_is_named(tmp_path, capsys):
    arrays = invented()
    arrays["food"][2:, 1] += 1
    arrays["water"][3, 0] = 7
    difference = compare(read_recording(written(tmp_path, arrays)), "sequential")
    assert (difference.tick, difference.array, difference.where) == (1, "food", "agent 1")
    assert (difference.expected, difference.got) == (31, 30)
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(tmp_path / "play.npz")])
    assert stop.value.code == 1
    assert "tick 1, agent 1, food: expected 31, got 30" in capsys.readouterr().out


def test_a_difference_on_the_map_is_named(tmp_path):
    arrays = invented()
    arrays["tiles_end"] = arrays["tiles_end"].copy()
    arrays["tiles_end"][3, 2, 4] = Material.SCRUB
    difference = compare(read_recording(written(tmp_path, arrays)), "sequential")
    assert (difference.tick, difference.array, difference.where) == (2, "tiles_end", "row 2, column 4")


def test_matching_files_give_status_zero(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["verify", "--mode", "simultaneous", str(written(tmp_path, invented()))])
    assert stop.value.code == 0
    assert "1 match, 0 differ" in capsys.readouterr().out


def without(name):
    return lambda arrays: arrays.pop(name)


def changed(name, change):
    def apply(arrays):
        arrays[name] = change(arrays[name])

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("pos"), "without pos"),
        (without("meta"), "without meta"),
        (changed("meta", lambda _: np.array(["seed=1"])), "family"),
        (changed("food", lambda x: x[:-1]), "food: shape"),
        (changed("tiles_end", lambda x: x[:, 1:]), "tiles_end: shape"),
        (changed("move", lambda x: x.astype(float)), "move: type float64"),
        (changed("alive", lambda x: x.astype(int)), "alive: type int64"),
        (changed("move", lambda x: x[:, :0]), "no agents"),
        (changed("map0", lambda x: x + 9), "material"),
        (changed("pos", lambda x: x - 2), "water|lava"),
        (changed("pos", lambda x: x + 9), "row=11"),
        (changed("health", lambda x: x - 20), "health"),
    ],
)
def test_damaged_recordings_are_refused_by_name(tmp_path, damage, message):
    arrays = invented()
    damage(arrays)
    path = written(tmp_path, arrays)
    with pytest.raises(ValueError, match=message) as error:
        compare(read_recording(path), "sequential")
    assert str(path) in str(error.value)
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(path)])
    assert stop.value.code == 2


@pytest.mark.parametrize("content", [b"", b"no archive at all", "cut", "header"])
def test_files_that_are_no_archives(tmp_path, content, capsys):
    path = written(tmp_path, invented())
    whole = path.read_bytes()
    if content == "header":  # a shape with an unclosed parenthesis
        whole = whole.replace(b"(5, 7), }", b"(5, 7,  }")
        assert whole != path.read_bytes()
    path.write_bytes({"cut": whole[:700], "header": whole}.get(content, content))
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(path), str(tmp_path / "absent.npz")])
    assert stop.value.code == 2
    out = capsys.readouterr().out
    assert "2 cannot be read" in out
    assert str(path) in out and "absent.npz" in out
