"""Text that others chose: shown as it is on terminals, in reports and in figures, whatever it is."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.cbook import is_math_text
from matplotlib.text import Text as Drawn
from rich.table import Table
from small import GRASS

from nmmo_jax.commands.maps import Show
from nmmo_jax.commands.studying import StudyCommand
from nmmo_jax.common import text
from nmmo_jax.common.progress import Shown, waiting
from nmmo_jax.play.players import labels
from nmmo_jax.world.files import save_map
from train import figures as of_training
from train.studies.reports import charts
from train.studies.reports.text import markdown, table, write_report
from train.studies.study import open_study

ODD = (
    "a$b^{c$", "_x", "long-" * 18, "a\nb", "\udc80\udcff", "夏🌍", "$\\frac{1$", " ",
    "x[/y]", "[bold]", "a[b]c", ":smile:", "_", "\x1b[31mred", "a\\$b$", "\u202eabc",
    "a|b`c`", "*a* _b_", "[a](b)", "<b>&amp;", "%s{}{0}", "\x00\x07",
)  # fmt: skip
FEW = ODD[:7]  # that figures have most trouble with
PACKAGES = [Path(text.__file__).parents[1], Path(of_training.__file__).parent]


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(), min_size=1))  # lone surrogates, too
def test_any_text_is_one_line_that_can_be_printed(name):
    line = text.safe(name)
    assert line.isprintable() and (line == name) == name.isprintable()
    line.encode()
    assert len(text.safe(name, 12)) <= 12 and text.safe(name, 12)[:5] == line[:5]
    assert text.safe(line) == line


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(), min_size=1))
def test_no_text_is_mathematics_or_left_out_of_a_legend(name):
    for told in (text.drawn(name), text.drawn(name, None), text.heading(name, 3)):
        assert not is_math_text(told) and not told.startswith("_")
        assert Drawn(0, 0, told)._preprocess_math(told) == (told.replace("\\$", "$"), False)
    assert text.drawn(name, None).replace("\\$", "$").lstrip(" ") == text.safe(name).lstrip(" ")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(), min_size=1), min_size=1, max_size=3), st.sampled_from(["utf-8", "ascii"]))
def test_a_terminal_shows_text_as_it_is(names, encoding):
    """No markup, no emoji, nothing that moves the cursor: in tables, titles, lines and progress."""
    file = io.TextIOWrapper(io.BytesIO(), encoding, errors="nmmo-simpler", newline="")
    text.any_encoding()
    console = text.console()
    console.file, console.width = file, 1_000
    made = Table("", *map(text.safe, names), title=text.safe(names[0]))
    made.add_row("row", *map(text.safe, names))
    console.print(made)
    for name in names:
        console.print(name, soft_wrap=True)
        console.print(text.verdict("match", "green", name), soft_wrap=True)
    file.flush()
    shown = file.buffer.getvalue().decode(encoding)
    assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f]*", shown)
    if encoding == "utf-8":
        for name in names:
            assert shown.count(text.safe(name).strip()) >= 3


def test_progress_shows_text_as_it_is(capsys):
    for name in ODD:
        with Shown(1.0, text.column("{task.fields[told]}"), begin="x") as shown:
            shown.show(name, 0.5, name, name)
            shown.console.width = 500
            shown.console.print(shown._bar.make_tasks_table(shown._bar.tasks))
        with waiting(f"{name}: playing"):
            pass
        told = capsys.readouterr().err
        assert told.count(text.safe(name).strip()) >= 3 and "\x1b" not in told


@pytest.mark.parametrize("name", [name for name in ODD if "\x00" not in name])
def test_files_of_any_name(name, tmp_path, capsys):
    path = tmp_path / f"{name}.npy"
    path.parent.mkdir(exist_ok=True)
    save_map(path, GRASS)
    Show((path,)).run()
    assert capsys.readouterr().out.startswith(f"{text.safe(path)}: 20 rows")
    assert text.fault(path, ValueError(f"{path}: is damaged")) == f"{text.safe(path)}: is damaged"
    assert text.fault(path, ValueError("")) == f"{text.safe(path)}: "


def test_encodings_that_have_little():
    text.any_encoding()
    assert "± ▀ • ─ µ 夏 \udc80".encode("ascii", "nmmo-simpler") == rb"+- # * - u \u590f \udc80"
    assert "± ▀ µ".encode("latin-1", "nmmo-simpler") == "± # µ".encode("latin-1")
    file = io.TextIOWrapper(io.BytesIO(), "ascii", errors="nmmo-simpler")
    console = text.console()
    console.file = file
    console.print(table("t", ("", "lifetime"), [["a", "85.12 ± 1.20"], ["b", "9.0 ± 0.1"], ["c", "-"]]))
    file.flush()
    told = file.buffer.getvalue().decode()
    lines = {len(line) for line in told.split("\n") if "+-" in line or "lifetime" in line}
    assert len(lines) == 1 and "85.12 +- 1.20" in told


def test_a_report_of_any_names(tmp_path):
    for name in ODD:
        row = markdown(["", name], [[name, "1"]]).split("\n")[2]
        assert len(re.findall(r"(?<!\\)\|", row)) == 3 and "`" not in row.replace("\\`", "")
    write_report(tmp_path, *ODD)
    assert (tmp_path / "report.md").read_text()
    assert markdown(["policy", "a_b"], [["long_name", "1.0 ± 2 (3) [4]"]]).split("\n") == [
        "| policy | a_b |", "| --- | ---: |", "| long_name | 1.0 ± 2 (3) [4] |",
    ]  # fmt: skip


def test_names_of_policies_are_lines(tmp_path):
    assert labels(("random", f"{tmp_path}/a\nb", "x/[b]")) == ("random", "a\\nb", "[b]")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5, unique=True))
def test_numbers_that_differ_are_told_apart(values):
    values = [value + 0.0 for value in values]  # of -0 and 0, one
    assert len(set(text.told_apart(values))) == len(set(values))
    assert [float(text.in_full(value)) for value in values] == values


class Nothing(StudyCommand):
    NAME = "nothing"
    FORMS: ClassVar = {"minutes": {}, "hour": {}, "night": {}}

    def study(self, out):
        return SimpleNamespace(cells=lambda: [])

    def report(self):
        def report(_study, out, _results):
            made, axes = charts.figure()
            axes.plot([1, 2])
            charts.save(out, "figure", made)
            return "[bold]"

        return report


def test_a_study_keeps_its_formats_and_can_be_drawn_in_others(tmp_path, capsys):
    out = tmp_path / "a[/b]"
    Nothing(out=out, figure_format=("svg",)).run()
    assert "[bold]" in capsys.readouterr().out and (out / "figure.svg").exists()
    (out / "figure.svg").unlink()
    Nothing(resume=out).run()
    assert sorted(path.suffix for path in out.glob("figure.*")) == [".svg"]
    Nothing(resume=out, figure_format=("pdf",)).run()
    assert sorted(path.suffix for path in out.glob("figure.*")) == [".pdf", ".svg"]
    with pytest.raises(ValueError, match="asked differs"):
        open_study(out, "nothing", {"form": "hour", "seed": 0}, {})


def test_any_terminal_and_any_settings_of_matplotlib(tmp_path):
    """What a notebook, a container or an old terminal have in their environment."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    odd = {"PYTHONIOENCODING": "ascii", "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "20", "HOME": "/proc/nobody"}
    odd |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MPLCONFIGDIR": "/proc/nothing"}
    code = "import sys; from nmmo_jax.cli import main; main(['simulate', '--help'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | odd, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "") and "usage" in done.stdout and done.stdout.isascii()


def test_there_is_one_way_to_print_and_one_to_draw():
    ways = {
        r"\bConsole\(|\bTextColumn\(|from_markup|rich\.print|rich import print": {"text.py"},
        r"\.savefig\(|pyplot|rcParams": {"drawing.py", "mpl.py"},
        r"suptitle\(": {"charts.py", "figures.py"},
    }
    for path in (path for package in PACKAGES for path in package.rglob("*.py")):
        source = path.read_text() if path.parent.name != "project" else ""  # what a user's own is made from
        for pattern, allowed in ways.items():
            assert path.name in allowed or not re.search(pattern, source), f"{path}: {pattern}"
