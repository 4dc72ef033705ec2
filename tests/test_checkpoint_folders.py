"""Folders of checkpoints: whatever they are called, whatever else is in them, and damaged."""

import json
import re

import numpy as np
import pytest
from test_checkpoint import assert_same, small

from nmmo_jax import RULES_VERSION
from nmmo_jax.common.files import write_json
from train import arrays
from train.checkpoint import FOLDER, Checkpoints, load_params


def test_folders_that_hold_no_checkpoint_of_ours(tmp_path):
    nowhere = tmp_path / "nowhere"
    for read in (lambda path: Checkpoints(path).restore(small(0)), load_params):
        with pytest.raises(ValueError, match=f"{nowhere}: no such folder"):
            read(nowhere)
        (tmp_path / "notes.txt").write_text("")
        with pytest.raises(ValueError, match=f"{tmp_path}: no checkpoint in it"):
            read(tmp_path)
    saved = Checkpoints(tmp_path / FOLDER)
    saved.save(1, small(1), {})
    file = saved.folder / "00000001" / "about.json"
    whole = json.loads(file.read_text())
    del whole["sha256"]
    for change, error in [
        ({"rules_version": RULES_VERSION + 1}, f"00000001: made under rules_version {RULES_VERSION + 1}, and this is"),
        ({"format": 0}, "00000001/about.json: its format is 0, and this version reads 2"),
    ]:
        write_json(file, whole | change)
        for read in (lambda path: Checkpoints(path / FOLDER).restore(small(0)), load_params):
            with pytest.raises(ValueError, match=error):
                read(tmp_path)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"about.json: damaged, or no JSON"):
        load_params(tmp_path)
    write_json(file, whole)
    with pytest.raises(ValueError, match="no checkpoint of step 3; there are 1"):
        saved.restore(small(0), 3)
    for data in saved.folder.rglob("d/*"):
        data.write_bytes(data.read_bytes()[:-20])
    with pytest.raises(ValueError, match="damaged: its checksum is another"):
        saved.restore(small(0))


ODD_NAMES = [
    *("a[b]c", "[", "a\\b", "a*b", "a?b", "a#b%20", "ünï", "a\nb", "$x", "{a}", "~x", "-x", "a'b\"c", "a|b", "x" * 200),
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_whatever_a_folder_is_called_what_is_saved_can_be_read(tmp_path, name):
    saved = Checkpoints(tmp_path / name / FOLDER)
    for step in (1, 2):
        saved.save(step, small(step), {})
    assert_same(Checkpoints(tmp_path / name / FOLDER).restore(small(0))[0], small(2))
    assert_same(load_params(tmp_path / name)[0], small(2)["params"])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in saved.folder.iterdir()] == ["00000002"]


def test_a_save_that_cannot_be_read_back_is_none(tmp_path, monkeypatch):
    saved = Checkpoints(tmp_path)
    saved.save(1, small(1), {})
    save = arrays.ocp.Checkpointer.save

    def lost(self, path, *args, **kwargs):
        save(self, path, *args, **kwargs)
        for data in path.rglob("d/*"):
            data.unlink()

    def full(self, path, *args, **kwargs):
        save(self, path, *args, **kwargs)
        raise ValueError("RESOURCE_EXHAUSTED: Error writing: No space left on device [os_error_code='28']")

    for broken, told in ((lost, "damaged: "), (full, "No space left on device$")):
        with monkeypatch.context() as patch:
            patch.setattr(arrays.ocp.Checkpointer, "save", broken)
            with pytest.raises(OSError, match=r"\A.*\Z") as caught:  # a line
                saved.save(2, small(2), {})
        assert re.search(told, caught.value.strerror)
        assert caught.value.filename.startswith(str(tmp_path / "00000002" / "arrays-"))
        assert_same(saved.restore(small(0))[0], small(1))
        assert [path.name for path in tmp_path.iterdir()] == ["00000001"]  # the room is given back
    saved.save(2, small(2), {})
    assert_same(saved.restore(small(0))[0], small(2))


def test_removed_is_only_what_was_written_by_oneself(tmp_path):
    earlier = Checkpoints(tmp_path, every=2)
    for step in (1, 2, 3, 4, 5):
        earlier.save(step, small(step), {}, score=-step)
    assert earlier.steps() == [1, 2, 4, 5]
    later = Checkpoints(tmp_path)  # whoever goes on need not know what is kept for good
    for step in (6, 7, 8):
        later.save(step, small(step), {}, score=float(step))
    assert later.steps() == [1, 2, 4, 5, 8]


def damages(rng, whole: bytes):
    """A flipped bit, a cut, something else."""
    for place in rng.integers(0, max(len(whole), 1), 4):
        yield whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :] if whole else b"x"
    yield from (whole[: len(whole) // 2], b"", b"{}", b"\xff" * 40, None)


def test_damage_is_never_read_as_something_else(tmp_path, capfd):
    """Every file of a checkpoint damaged in several ways: what is read is what was saved, or one line says why not."""
    saved = Checkpoints(tmp_path)
    saved.save(1, small(1), {"update": 1})
    rng, refused, tried = np.random.default_rng(0), 0, 0
    for file in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        for damaged in damages(rng, whole):
            file.unlink()
            if damaged is None:
                file.mkdir()
            else:
                file.write_bytes(damaged)
            tried += 1
            try:
                state, about = Checkpoints(tmp_path).restore(small(0))
            except ValueError as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 700
            else:
                assert_same(state, small(1))
                assert about["update"] == 1
            if damaged is None:
                file.rmdir()
            file.write_bytes(whole)
    assert tried > 50 and refused > 20
    assert capfd.readouterr() == ("", "")
    assert_same(saved.restore(small(0))[0], small(1))
