"""Figures of training: drawn from a log alone, and of several runs."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from rich.console import Console

from nmmo_jax.commands.train import _table
from nmmo_jax.common.files import append_line, write_json
from train import figures
from train.figures import compare, main, write_figures
from train.runs import read_log

KINDS = {"deaths_{}": ("lava", "starvation", "thirst", "combat")}
GROUND = ("grass", "scrub", "forest")
PANELS = [number for rows in figures._FIGURES.values() for row in rows for number, _ in row]
NUMBERS = [one.format(kind) for one in PANELS for kind in (KINDS.get(one, GROUND) if "{}" in one else [""])]


def write_log(folder, lines=3, populations=3, told=tuple(NUMBERS), start=10.0):
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").touch()
    for i in range(lines):
        values = {number: [start + i + p for p in range(populations)] for number in told}
        values["lifetime"] = [None, *values["lifetime"][1:]] if i == 0 and populations > 1 else values["lifetime"]
        about = {"update": i + 1, "agent_steps": 100 * (i + 1), "seconds": 0.5 * (i + 1), "lifetime": start + i}
        append_line(folder / "metrics.jsonl", {**about, "populations": values})
    return folder


def test_a_run(tmp_path):
    paths = write_figures(write_log(tmp_path / "short"))
    assert [path.name for path in paths] == ["learning.png", "lives.png", "exploration.png"]
    for path in paths:
        image = matplotlib.image.imread(path)
        assert image.shape[1] == 1950 and (image[..., :3].min(axis=-1) < 0.5).mean() > 0.01
    lines = read_log(write_log(tmp_path / "run", lines=400, populations=9))
    figure = figures._figure(lines, figures._FIGURES["learning"])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [*(f"population {p}" for p in range(9)), "mean"]
    drawn = figure.axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 10
    assert to_rgba(drawn[-1].get_color()) == (0, 0, 0, 1)
    assert figure.axes[0].get_title() == "lifetime, ticks"
    means = [np.nanmean([x for x in line["populations"]["lifetime"] if x is not None]) for line in lines]
    parts = np.array_split(np.arange(400), figures._POINTS)
    np.testing.assert_allclose(drawn[-1].get_ydata(), [np.mean([means[i] for i in part]) for part in parts])


def test_of_hundreds_of_populations_a_band(tmp_path):
    lines = read_log(write_log(tmp_path / "run", populations=300))
    lines[0]["populations"]["lifetime"] = [None] * 300
    figure = figures._figure(lines, figures._FIGURES["learning"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["nine tenths of populations", "mean"]
    assert len(figure.axes[0].get_lines()) == 1
    low, high = np.percentile(lines[1]["populations"]["lifetime"], (5, 95))
    corners = figure.axes[0].collections[0].get_paths()[0].vertices
    assert {(200, low), (200, high)} <= {tuple(corner) for corner in corners} and corners[:, 0].min() == 200


def test_lifetimes_side_by_side_tell_of_who_did_not_die():
    told = {
        "random": {"lifetime": 10.0, "deaths": 800, "agent_steps": 10_000, "population": 12.0},
        "planner": {"lifetime": 182.0, "deaths": 1, "agent_steps": 1_048_576, "population": 1024.0},
        "trained": {"lifetime": None, "deaths": 0, "agent_steps": 5, "population": 1.0},
    }
    console = Console(width=100)
    with console.capture() as captured:
        console.print(_table(told))
    rows = {line.split()[0]: line.split()[1:] for line in captured.get().splitlines() if line.split()[:1]}
    assert rows["random"] == ["10.0", "1.0", "12.5", "12.0"]
    assert rows["planner"] == ["182.0", "18.2", "1,048,576.0", "1,024.0"]
    assert rows["trained"] == ["none", "died", "1.0"]


def test_of_what_is_told_only(tmp_path):
    assert write_figures(tmp_path / "nowhere") == []
    assert [p.name for p in write_figures(write_log(tmp_path / "run", told=("lifetime", "score")))] == ["learning.png"]


def test_causes_and_ground_of_systems_have_panels(tmp_path):
    told = ("deaths_lava", "deaths_poison", "visits_grass", "visits_poison", "attacks_melee")
    run = write_log(tmp_path / "run", told=("lifetime", *told))
    assert [path.name for path in write_figures(run)] == ["learning.png", "lives.png", "exploration.png"]
    for name, titles in (
        ("lives", ["deaths by lava, share", "deaths by poison, share", "", "", "melee hits per agent-step"]),
        ("exploration", ["visits: time spent on grass, share", "visits: time spent on poison, share"]),
    ):
        rows = figures._rows(figures._FIGURES[name], read_log(run)[-1]["populations"])
        assert [axes.get_title() for axes in figures._figure(read_log(run), rows).axes][: len(titles)] == titles


def test_runs_side_by_side(tmp_path, capsys):
    runs = [write_log(tmp_path / name, start=start) for name, start in (("one", 10.0), ("two", 30.0))]
    with (runs[0] / "metrics.jsonl").open("a") as log:
        log.write('{"upd')  # it is still being written
    for run, planner in zip(runs, (90.0, 95.0), strict=True):
        told = {"random": 20.0, "forager": 70.0, "planner": planner}
        told = {name: {"lifetime": lifetime} for name, lifetime in told.items()}
        write_json(run / "evaluation.json", {"realms": 16, **told})
    figure = compare(runs)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["one", "two", "random", "forager", "planner, one", "planner, two"]
    for axes, x in zip(figure.axes, ([100, 200, 300], [0.5, 1.0, 1.5]), strict=True):
        one, two, *others = axes.get_lines()
        np.testing.assert_allclose([one.get_xdata(), two.get_xdata()], [x, x])
        np.testing.assert_allclose(two.get_ydata(), [30, 31, 32])
        assert [line.get_ydata()[0] for line in others] == [20, 70, 90, 95]
    with pytest.raises(SystemExit) as ended:
        main([*map(str, runs), "--out", str(tmp_path / "learning.png")])
    assert ended.value.code == 0
    assert matplotlib.image.imread(tmp_path / "learning.png").shape[1] == 1650
    assert figures._names([tmp_path / "one", tmp_path / "other" / "one"])[1].endswith("other/one")


def test_bad_runs(tmp_path, capsys):
    good, empty = write_log(tmp_path / "good"), write_log(tmp_path / "empty", lines=0)
    damaged = write_log(tmp_path / "damaged")
    log = damaged / "metrics.jsonl"
    log.write_text("{" + log.read_text())
    other = write_log(tmp_path / "other")
    (other / "evaluation.json").write_text("{")
    for arguments, message in (
        ([good, other], "evaluation.json: damaged"),
        ([good, tmp_path / "nowhere"], "nowhere: holds no log (no metrics.jsonl)"),
        ([good, empty], "empty: its log, metrics.jsonl, is empty"),
        ([damaged], "metrics.jsonl: line 1: damaged"),
        ([good, "--out", tmp_path / "no" / "x.png"], "No such file"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))
    with pytest.raises(ValueError, match=r"RUN: must be at least one"):
        compare([])
