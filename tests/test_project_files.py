"""Files for those who carry the project on: their commands are there, and they agree with each other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[1]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())


def made(text):
    """The targets of all calls of make in a text."""
    calls = re.findall(r"(?:^|[`\s])make((?: [a-z-]+)+)(?=$|[\s`#,;:.])", text, flags=re.MULTILINE)
    return {target for call in calls for target in call.split()}


def test_targets_that_are_named_are_there():
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    runs = [step["run"] for step in steps if "run" in step]
    assert {"test", "test-slow", "test-lowest", "dist", "site"} == set().union(*map(made, runs))
    hooks = [
        hook
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repo["hooks"]
    ]
    assert [hook["entry"] for hook in hooks] == ["make lint"]
    guide = "\n".join(re.findall(r"```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL))
    named = set().union(*map(made, [*runs, *(hook["entry"] for hook in hooks), guide]))
    assert named <= TARGETS and {"setup", "test", "bench", "lint"} <= named


def test_nothing_is_kept_that_a_run_has_left():
    """What programs leave where they are started is soon committed with the rest."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no checkout")
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {name.partition("/")[0] for name in told.split("\0") if "/" in name}
    assert top <= {".ci", ".github", "benchmarks", "docs", "nmmo_jax", "tests", "train"}


def test_links_of_the_guide_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "CONTRIBUTING.md").read_text())
    assert links and all((ROOT / link).exists() for link in links)


def test_the_workflow_runs_each_python_on_linux_and_macos():
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert matrix["python"] == classifiers
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos"}


def test_the_citation_has_what_its_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= citation.keys()
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= paper.keys() and paper["year"] == 2019
    assert [author["family-names"] for author in paper["authors"]] == ["Suarez", "Du", "Isola", "Mordatch"]


def test_make_is_plain_enough_for_that_of_macos():
    """GNU make 3.81, BSD sed and awk: none of what came later, or is GNU's alone."""
    text = (ROOT / "Makefile").read_text()
    later = ("$(file", "$(let", "$(intcmp", "private ", "undefine", "::=", "!=", ".ONESHELL")
    of_gnu = ("sed -i", "sed -r", "readlink -f", "grep -P", "xargs -r", "date -d", "cp --", "nproc")
    for word in (*later, *of_gnu):
        assert word not in text, word
