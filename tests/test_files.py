"""Files are read back as they were written, or not at all; folders belong to one process at a time."""

import errno
import json
import os
from typing import Any, TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmmo_jax.common import files
from nmmo_jax.common.files import append_line, read_arrays, read_json, read_lines, write, write_arrays, write_json
from nmmo_jax.common.folders import alone, new_folder


class Told(TypedDict):
    update: files.Count
    share: files.Number


VALUE = {"update": 3, "share": 0.25, "more": {"2": [1, None, "x"], "10": True}}
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(value=st.dictionaries(st.text().filter(lambda name: name not in ("sha256", "crc32")), plain, max_size=4))
def test_what_was_written_is_read(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "a"
    write_json(path, value)
    assert read_json(path, dict[str, Any]) == value
    append_line(path.with_name("b"), value)
    append_line(path.with_name("b"), {})
    assert read_lines(path.with_name("b"), dict[str, Any]) == [value, {}]


def damages(whole: bytes):
    """A file with a flipped bit at every place, cut anywhere, or emptied; and things that are no such file at all."""
    yield from (whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :] for i in range(len(whole)))
    yield from (whole[:i] for i in range(len(whole) - 1))  # the last is the end of a line
    yield from (b"[" * 100_000, b"{}", b"[]", b"null", b"\xff\xfe", b'{"update":1}', b"\0" * 100, b"9" * 5000)


def test_damage_is_not_read(tmp_path):
    """A flipped bit may be one of the layout, or in a name that means the same; numbers are never others."""
    path = tmp_path / "a.json"
    write_json(path, VALUE)
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            assert read_json(path, Told) == VALUE
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 600


def test_damaged_lines_are_named(tmp_path):
    path = tmp_path / "log"
    for update in range(3):
        append_line(path, {**VALUE, "update": update})
    whole, log = path.read_bytes(), read_lines(path, Told)
    for damaged in damages(whole):
        path.write_bytes(damaged)
        try:
            read = read_lines(path, Told)
        except ValueError as error:
            assert f"{path}: line " in str(error) and "\n" not in str(error)
        else:
            assert read == log[: len(read)]
            assert len(read) >= damaged.count(b"\n")
    path.write_bytes(whole[:-5])
    assert read_lines(path, Told) == log[:2]  # the last was not written to its end


def test_damaged_arrays_are_not_read(tmp_path):
    path = tmp_path / "a.npz"
    arrays = {
        "a": np.arange(5.0),
        "b.c": np.zeros((), np.int8),
        "none": np.zeros((0, 2)),
        "text": np.array(["x", "yz"]),
    }
    write_arrays(path, arrays)

    def same(there):
        return there.keys() == arrays.keys() and all(np.array_equal(there[name], arrays[name]) for name in arrays)

    assert same(read_arrays(path))
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            assert same(read_arrays(path))
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
    for change in ({"a": np.zeros(5)}, {"a": np.arange(5)}, {"b.c": np.ones((), np.int8)}):
        np.savez(path, **{**arrays, **change, "sha256": np.frombuffer(bytes.fromhex(files.checksum(arrays)), np.uint8)})
        with pytest.raises(ValueError, match="changed"):
            read_arrays(path)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="no checksum"):
        read_arrays(path)


def test_a_change_by_hand_is_told(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, VALUE)
    path.write_text(path.read_text().replace("0.25", "0.5"))
    with pytest.raises(ValueError, match=r"a\.json: damaged, or changed"):
        read_json(path, Told)
    write_json(path, {"format": 2})
    with pytest.raises(ValueError, match=r"a\.json: its format is 2, and this version reads 1"):
        read_json(path, Told, format=1)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"update": "1", "share": 1}, r"Expected `int`, got `str` - at `\$.update`"),
        ({"update": 1}, "missing required field `share`"),
        ({"update": -1, "share": 1}, "`int` >= 0"),
        ({"update": 1, "share": 10**400}, r"a\.json"),
        ({"update": 10**400, "share": 1}, r"a\.json"),
        ({"update": 1.5, "share": 1}, "Expected `int`, got `float`"),
        ({"update": 1, "share": None}, "Expected `float`, got `null`"),
    ],
)
def test_what_is_of_another_kind_is_told_in_a_line(value, told, tmp_path):
    path = tmp_path / "a.json"
    write_json(path, value)
    with pytest.raises(ValueError, match=told) as caught:
        read_json(path, Told)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_are_null_in_a_log(tmp_path):
    append_line(tmp_path / "log", {"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads((tmp_path / "log").read_text()) | {"crc32": ""} == {"a": None, "b": [None, 1.5], "crc32": ""}
    assert read_lines(tmp_path / "log", dict[str, Any]) == [{"a": None, "b": [None, 1.5]}]


def test_nothing_half_written_has_the_name_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / ("x" * 250)
    write_json(path, VALUE)

    def full(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def interrupted(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(OSError, match="No space left") as caught:
        write(path, full)
    assert caught.value.filename == str(path)
    with pytest.raises(KeyboardInterrupt):
        write(path, interrupted)
    assert read_json(path, Told) == VALUE
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_is_ones_own_and_leaves_nothing_unless_it_is_kept(tmp_path, monkeypatch):
    out = tmp_path / "runs" / "deep" / "a"
    with pytest.raises(KeyError), new_folder(out) as folder:
        assert folder.path == out
        (out / "some" / "thing").mkdir(parents=True)
        (out / "file").write_text("x")
        with pytest.raises(ValueError, match="another process works in it"), new_folder(out):
            pass
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), new_folder(out) as folder:
        (out / "file").write_text("x")
        folder.keep()
        raise KeyError
    assert (out / "file").read_text() == "x"
    with pytest.raises(ValueError, match="is not empty; move it"), new_folder(out, otherwise="move it"):
        pass
    with pytest.raises(KeyError), new_folder(out, overwrite=True):
        raise KeyError
    assert (out / "file").read_text() == "x"
    with pytest.raises(ValueError, match="is a file"), new_folder(out / "file"):
        pass
    with pytest.raises(ValueError, match="is a file"), new_folder(out / "file" / "below"):
        pass
    (tmp_path / "mine").mkdir()  # made by another
    with pytest.raises(KeyError), new_folder(tmp_path / "mine"):
        raise KeyError
    assert (tmp_path / "mine").is_dir() and not any((tmp_path / "mine").iterdir())
    with alone(tmp_path / "mine"), pytest.raises(ValueError, match="another process"), alone(tmp_path / "mine"):
        pass


def test_two_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: form.replace("%Y%m%d-%H%M%S", "then"))
    with new_folder(None, "simulate") as one, new_folder(None, "simulate") as other:
        assert [str(folder.path) for folder in (one, other)] == ["runs/simulate-then", "runs/simulate-then-2"]
