"""Figures: of what others have named, in any format, the same whatever the settings of matplotlib are."""

import io
import warnings
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Text as Drawn
from small import GRASS, SMALL
from test_text import FEW, ODD

from nmmo_jax import Environment, Rules
from nmmo_jax.commands import figures as of_runs
from nmmo_jax.commands.axes import parse_axis
from nmmo_jax.common import drawing, text
from nmmo_jax.common.files import append_line
from nmmo_jax.common.formats import FORMATS, check_formats
from nmmo_jax.config import Config
from nmmo_jax.kinds import Material
from nmmo_jax.play.players import labels
from nmmo_jax.world.pool import MapPool
from train import figures as of_training
from train.studies import rarity
from train.studies.entrants import Entrant
from train.studies.evaluation import Evaluation
from train.studies.intervals import Interval
from train.studies.reports import charts, fork_figures
from train.studies.reports.evaluation import report as report_evaluation
from train.studies.reports.rarity import report as report_rarity
from train.studies.reports.specialisation import report as report_niches
from train.studies.reports.sweep import report as report_sweep
from train.studies.reports.tournament import report as report_tournament
from train.studies.specialisation import Amount, Arm
from train.studies.sweep import Sweep
from train.studies.tournament import Tournament


@pytest.fixture
def saved(monkeypatch, tmp_path):
    """Figures as they are written; a warning of any kind is an error."""
    made, save = [], Figure.savefig

    def kept(self, *arguments, **options):
        made.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with drawing.drawing(("svg",)):
            yield made
    assert made
    for figure in made:
        for one in figure.findobj(Drawn):
            assert not is_math_text(one.get_text()) or "mathdefault" in one.get_text()  # of a logarithmic axis


def named(figure):
    """How many are told of in its legends."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    return max((len(legend.get_texts()) for legend in legends), default=0)


def run(policies, points=3, ticks=30):
    number = len(policies)
    tally = SimpleNamespace(died=np.tile([[0, 12, 9, 3]], (number, 1)))
    return SimpleNamespace(
        ticks=ticks, tally=tally, stride=-(-ticks // points), depleted=np.linspace(0, 0.5, points),
        population=np.full((points, 2, number), 1.5) * np.arange(1, number + 1),
    )  # fmt: skip


@pytest.mark.parametrize("names", [ODD[:8], pytest.param(ODD[9:18], marks=pytest.mark.slow)])
def test_figures_of_runs(names, saved, tmp_path):
    measured, title = run(names), f"law, {text.listed(names)}"
    population = of_runs.population_figure(measured, names, title, 16.0)
    survival = of_runs.survival_figure(measured, names, title, np.ones((len(names), 4), int))
    visits = np.arange(len(names) * GRASS.size).reshape(len(names), *GRASS.shape)
    ground = GRASS.copy()
    ground[3, 3:5] = Material.WATER, Material.FOREST
    visited = of_runs.visits_figure(visits, ground, names, title, Config())
    for name, figure in (("population", population), ("survival", survival), ("visits", visited)):
        drawing.write_figure(tmp_path / name, figure)
    assert named(survival) == len(names)
    terrain = [one.get_text() for one in visited.legends[0].get_texts()]
    assert {"grass", "water", "forest"} <= set(terrain) and "ore" not in terrain
    panels = [axes for axes in population.axes if axes.get_visible()]
    assert len(panels) == len(names) + 1 and all(len(axes.collections) <= 1 for axes in panels)  # a band each


def test_few_points_are_seen(saved, tmp_path):
    population = of_runs.population_figure(run(("a", "b"), points=1, ticks=1), ("a", "b"), "t", 4.0)
    drawing.write_figure(tmp_path / "population", population)
    assert [axes.get_lines()[-2].get_marker() for axes in population.axes[:2]] == ["o", "o"]
    assert "one point" in [one.get_text() for one in population.axes[0].texts]
    for values, mark in (([1.0] * 30, None), ([1.0, 2.0], "o"), ([np.nan, 1.0, np.nan] * 9, "o")):
        assert drawing.marks(values).get("marker") == mark
    _, axes = charts.figure()
    charts.line(axes, [3], Interval(*np.array([[2.0], [1.0], [3.0]])), "black", "one")
    assert axes.containers and axes.texts[0].get_text() == "one point"  # bars in place of a band


def test_figures_of_training(saved, tmp_path):
    runs = [tmp_path / f"run-{index}" / name for index, name in enumerate(ODD) if "\x00" not in name]
    for index, folder in enumerate(runs):
        folder.mkdir(parents=True)
        line = {
            "update": 1,
            "agent_steps": 100,
            "seconds": 0.5,
            "lifetime": 10.0 + index,
            "populations": {"lifetime": [1.0]},
        }
        append_line(folder / "metrics.jsonl", line)
    figure = of_training.compare(runs)
    drawing.write_figure(tmp_path / "learning", figure)
    assert named(figure) == len(runs)
    assert "one point" in [one.get_text() for one in figure.axes[0].texts]
    (path,) = of_training.write_figures(runs[0])
    assert path.suffix == ".png"


def entrants(*names):
    return [Entrant(label, ("random",)) for label in labels(names)]


@pytest.mark.slow
def test_figures_of_evaluations(saved, tmp_path, monkeypatch):
    who = entrants(*FEW)
    study = Evaluation(who, Environment(SMALL, Rules()), 2, 2, 4, 0)
    monkeypatch.setattr(study, "_pool", lambda: MapPool.from_maps([GRASS], SMALL))
    w, p, bins = 2, SMALL.num_populations, 6
    some = {name: np.full((w, p), 8) for name in ("aged", "steps", "births", "forage", "living", "unique")}
    some |= {"deaths": np.full((w, p, 4), 2), "attacks": np.full((w, p, p), 3), "alive": np.ones(w), "stride": 1}
    some |= {
        "exposed": np.full((w, p, bins), 40),
        "ended": np.full((w, p, bins), 5),
        "visited": np.ones((w, *GRASS.shape)),
    }
    some["population"] = np.ones((6, w, p))
    report_evaluation(study, tmp_path, {f"policy-{index}-seed-0": some for index in range(len(who))})
    by_name = dict(zip(("survival", "population", "causes", "attacks"), saved, strict=True))
    assert named(by_name["survival"]) == len(who) and named(by_name["population"]) >= len(who)
    ticks = [one.get_text() for one in by_name["causes"].axes[0].get_yticklabels()]
    assert ticks == [text.drawn(one.label) for one in who]
    report = (tmp_path / "report.md").read_text()
    assert "![survival](survival.svg)" in report and text.quoted("a$b^{c$") in report


def test_figures_of_tournaments(saved, tmp_path, monkeypatch):
    study = Tournament(entrants("a$b^{c$", "_x", "long-" * 18), Environment(SMALL), (8, 16), 2, 2, 4, 0)
    nothing = Interval(*np.full((3, 3), np.nan))
    monkeypatch.setattr(study, "ratings", lambda _: nothing)
    found = {}
    for match in study.matches():
        shape = (len(match.entrants), 2, 2, len(match.entrants))
        counts = np.arange(np.prod(shape)).reshape(shape) + 40
        found[match.name] = {"aged": counts, "steps": counts, "deaths": np.ones((*shape, 4), int)}
    report_tournament(study, tmp_path, found)
    assert len(saved) == 2 and "(lifetimes.svg)" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_figures_of_niches(saved, tmp_path):
    amount = Amount(("law",), (1, 2), 16, 1, 100, 8, 128, 1, 2, 4, 8, 0)
    arms, results = [], {}
    for index, name in enumerate(labels(FEW)):
        arms.append(Arm(f"policy-{index}", name, 2, (Path("."),), index < 2))
        nothing = np.full((2, 4), np.nan)
        results[f"play-policy-{index}-0"] = {
            "tiles": np.array([[1.1, 1.1, 0.0, 1.0], [1.3, 1.1, 0.2, 0.01]]), "ground": nothing, "styles": nothing,
            "agent_steps": np.array([1, 2]), "lifetime": np.array([9.0, 20.0]), "population": np.array([8.0, 9.0]),
            "overlap": np.zeros((2, 2)), "style_bits": np.zeros(2), "style_counts": np.zeros((2, 3), int),
            "ground_counts": np.ones((2, 4), int), "visits": np.ones((2, *GRASS.shape), int), "material": GRASS,
        }  # fmt: skip
    report_niches(SimpleNamespace(amount=amount, arms=arms), tmp_path, results)
    assert named(saved[0]) == len(arms)


def test_figures_of_forks_and_rare_events(saved, tmp_path):
    who = labels(FEW)
    number, places = len(who), np.arange(len(who))
    world = {
        "lived": np.random.default_rng(0).integers(1, 9, (4, number + 1, number)), "row": places % 18,
        "col": places // 18, "uid": places, "population": places, "material": GRASS,
    }  # fmt: skip
    fork_figures.dependency(tmp_path, world, who, text.listed(who))
    unknown = Interval(1.0, 0.5, 1.5)
    few = who[:6]
    effects = {name: dict.fromkeys(("lived", "food", "water", "damage"), unknown) for name in few}
    fork_figures.effect(tmp_path, [world], effects, 9, f"population 0 plays {text.short(ODD[9])}: {text.listed(few)}")
    assert named(saved[0]) == number
    counts = {"lowest": np.arange(8) % 3, "spent": 10}
    rates = (0.1234567, 0.1234568)
    study = rarity.Rarity(*(None,) * 2, text.listed(few), rates, 9, 2, (1, 0), 4, 2, 8, 0)
    names = [cell.name for cell in study.cells()]
    assert len(set(names)) == 6
    splits = {name: {"shares": np.array([0.5, 0.25]), "spent": 5} for name in names if name.startswith("split")}
    report_rarity(study, tmp_path, dict.fromkeys(names, counts) | splits)
    assert (
        "0.1234567" in (tmp_path / "report.md").read_text()
        and "0.1234568 births" in (tmp_path / "rare.svg").read_text()
    )


def test_parameters_are_told_in_full(saved, tmp_path, monkeypatch):
    axis = parse_axis("immunity_ticks=1234567,1234568")
    study = Sweep([axis], Environment(SMALL), ("random",), 2, 0, 4, 0)
    found = {"lifetime": Interval(*np.array([[3.0, 4.0], [2.0, 3.0], [4.0, 5.0]]))}
    monkeypatch.setattr(study, "measures", lambda _: found)
    told = io.StringIO()
    text.Console(file=told, width=100).print(report_sweep(study, tmp_path, {}))
    csv = (tmp_path / "points.csv").read_text().split("\n")
    assert [line.split(",")[0] for line in csv[1:3]] == ["1234567", "1234568"]
    ticks = [one.get_text() for one in saved[0].axes[0].get_xticklabels()]
    assert ticks == ["1234567", "1234568"]
    for shown in (told.getvalue(), (tmp_path / "report.md").read_text()):
        assert "at 1234567" in shown and "at 1234568" in shown
    assert parse_axis("spawn_rate=0.001:0.1:3:log").texts == ["0.001", "0.01", "0.1"]
    assert parse_axis("spawn_rate=0.001:0.1:4:log").texts == ["0.001", "0.00464", "0.0215", "0.1"]
    assert text.in_full(1e-7) == "1e-07" and text.in_full(np.float32(0.3)) == "0.3" and text.in_full(True) == "1"


def test_formats_and_what_is_the_same_each_time(tmp_path):
    def draw(folder):
        folder.mkdir()
        with drawing.drawing(FORMATS):
            made, axes = charts.figure()
            charts.line(axes, range(30), Interval(*np.arange(90.0).reshape(3, 30)), "red", text.drawn("a$b<&"))
            charts.legend(axes)
            return drawing.write_figure(folder / "a.b", made)

    ours = draw(tmp_path / "one")
    assert [path.name for path in ours] == ["a.b.png", "a.b.svg", "a.b.pdf"]
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "text.usetex": True, "lines.linewidth": 9}):
        theirs = draw(tmp_path / "two")
        assert matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["font.size"] == 30
    for one, other in zip(ours, theirs, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert "a$b&lt;&amp;</text>" in ours[1].read_text()
    with drawing.drawing(("pdf",)):
        assert drawing.embedded("a") == "[a.pdf](a.pdf)"
    with drawing.drawing(("pdf", "svg")):
        assert drawing.embedded("a") == "![a](a.svg)" and drawing.files("a") == ["a.pdf", "a.svg"]
    with pytest.raises(ValueError, match="--figure-format : must be one or more of png, svg, pdf"):
        check_formats(())
