"""Every block of code of README.md and docs runs, and every command in them is understood."""

import contextlib
import importlib.util
import io
import re
import shlex
import sys
from pathlib import Path

import pytest
from slow import slow_but

from nmmo_jax.cli import Command
from nmmo_jax.commands.new import project
from nmmo_jax.commands.overrides import parse_set
from nmmo_jax.commands.settings import fields
from nmmo_jax.commands.train import Train
from nmmo_jax.common import parsing
from train.settings import experiment

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(r"(?:<!-- not run: ([^\n]*) -->\n)?^(```+)(\w*)\n(.*?)^\2$", re.DOTALL | re.MULTILINE)
NOT_RUN = {
    "docs/clone.md": 1,
    "docs/fork.md": 1,
    "docs/replay.md": 1,
    "docs/train.md": 1,
    "docs/tutorials/pytorch.md": 1,
}
"""Blocks that pages mark so, <!-- not run: why -->: a new one is a line here."""


def blocks(name):
    """Language, text and why it is not run, of each."""
    return [(found[3], found[4], found[1]) for found in BLOCK.finditer((ROOT / name).read_text())]


ELSEWHERE = {"docs/science.md": "tests/test_tables.py"}
"""Pages that read what commands leave, and the tests that have it."""
NEEDS = {"docs/adapters.md": ("gymnasium", "pettingzoo", "jaxmarl")}
"""What is no plain dependency."""
QUICK = ("README.md", "docs/api.md", "docs/systems.md", "docs/tutorials/own_map.md")
PYTHON = [name for name in NAMES if any(language == "python" for language, *_ in blocks(name))]


@pytest.fixture(scope="module")
def my_world(tmp_path_factory):
    """The project that the tutorials share, on Python's path."""
    folder = tmp_path_factory.mktemp("my_world")
    for file, text in project("my_world").items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for module in [one for one in sys.modules if one.partition(".")[0] == "my_world"]:
        del sys.modules[module]


@pytest.mark.parametrize("name", slow_but(*QUICK, of=(name for name in PYTHON if name not in ELSEWHERE)))
def test_blocks_run(name, my_world, monkeypatch, tmp_path):
    """Those of a page one after another, as somebody does who follows it."""
    for library in NEEDS.get(name, ()):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    known = {"__name__": "page"}
    for language, text, why in blocks(name):
        if language == "python" and not why:
            exec(compile(text, name, "exec"), known)


def test_blocks_that_are_not_run_are_known():
    assert set(ELSEWHERE) <= set(PYTHON)
    assert all(f'"{Path(name).name}"' in (ROOT / test).read_text() for name, test in ELSEWHERE.items())
    found = {name: sum(bool(why) for _, _, why in blocks(name)) for name in NAMES}
    assert {name: number for name, number in found.items() if number} == NOT_RUN


def lines():
    """Page and text of what is to be typed into a shell: lines of blocks, and what is set as code in sentences."""
    for name in NAMES:
        text = (ROOT / name).read_text()
        typed = [line for language, block, _ in blocks(name) if language != "python" for line in _joined(block)]
        for line in typed + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", BLOCK.sub("", text)):
            yield name, line.strip()


def _joined(block):
    return block.replace("\\\n", " ").splitlines()


@pytest.mark.slow
def test_commands_are_understood(my_world, example_systems, capsys):
    """With the parser of ``nmmo-jax``; what has ``...`` in place of an argument is no command."""
    count, wrong = 0, []
    for name, line in lines():
        if not line.startswith("nmmo-jax ") or "..." in line.split():
            continue
        words = shlex.split(line, comments=True)[1:]
        count += 1
        chosen = Command  # a command may be spoken of without its arguments
        for word in words:
            chosen = parsing._commands(chosen).get(word) if chosen is not None else None
        parse = lambda words=words: _checked(parsing.parse(Command, "nmmo-jax", "", "", words))  # noqa: E731
        if chosen is None and (why := _refused(parse)):
            wrong.append(f"{name}: {line}: {why}")
    assert not wrong, "\n".join(wrong)
    assert count > 150


def _checked(command):
    """What a command reads only when it runs: the names and values of ``--set``, an experiment, numbers."""
    systems = getattr(command, "system", ())
    parse_set(getattr(command, "set", ()), {}, fields(), reproduction=True, systems=systems)
    if isinstance(named := getattr(command, "experiment", None), str):
        experiment(named)
    if hasattr(command, "_check_numbers"):
        command._check_numbers()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train law16 --set hiden=8", "did you mean hidden"),
        ("train lore16", "lore16"),
        ("sweep --set layout=fre", "did you mean free"),
        ("simulate --system my_world.fishing:FISHING --set fishing.chanse=1", "did you mean fishing.chance"),
        ("simulate --realms 0", "realms 0"),
    ],
)
def test_what_a_command_would_refuse_is_found(words, said, my_world):
    parse = lambda: _checked(parsing.parse(Command, "nmmo-jax", "", "", words.split()))  # noqa: E731
    assert said in _refused(parse)


def test_lists_within_lists_are_lists_on_the_site():
    """Its Markdown wants four spaces, GitHub's two or three."""
    for name in NAMES:
        assert not re.findall(r"^ {1,3}(?:[-*]|\d+\.) ", BLOCK.sub("", (ROOT / name).read_text()), re.MULTILINE), name


def test_programs_and_targets_are_there(my_world, example_systems, capsys):
    """``python -m MODULE``, with its arguments where it has a parser, and ``make TARGET``."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    wrong, modules, made = [], set(), set()
    for name, line in lines():
        for target in re.findall(r"^make ([a-z-]+)", line):
            made.add(target)
            if target not in targets:
                wrong.append(f"{name}: {line}: no such target")
        if (found := re.match(r"(?:taskset -c \d+ )?python -m ([\w.]+)(.*)", line)) is None:
            continue
        module, arguments = found[1], shlex.split(found[2], comments=True)
        modules.add(module)
        spec = importlib.util.find_spec(module)
        if spec is None:
            wrong.append(f"{name}: {line}: no such module")
            continue
        kind = _kind(module, spec) if arguments and "..." not in arguments else None
        parse = lambda kind=kind, words=arguments: _checked(parsing.parse_flags(kind, "", words))  # noqa: E731
        if kind and (why := _refused(parse)):
            wrong.append(f"{name}: {line}: {why}")
    assert not wrong, "\n".join(wrong)
    assert {"test", "bench", "watch"} <= made and {"train.figures", "my_world.study", "my_world.training"} <= modules


def _kind(module, spec):
    """The dataclass that a program's flags are of, if it has one."""
    text = Path(spec.origin).read_text() if spec.origin and spec.origin.endswith(".py") else ""
    if (found := re.search(r"run_program\((\w+),", text)) is not None:
        return getattr(importlib.import_module(module), found[1])
    return Train if "from nmmo_jax.cli import train" in text else None


def _refused(parse):
    """Why, if it is."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            parse()
    except ValueError as error:
        return str(error)
    except SystemExit as ended:
        return ended.code and "refused"
    return None


@pytest.mark.slow
def test_the_notebook_runs():
    """From top to bottom, and its pictures are in it."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for needed in ("ipykernel", "pandas"):
        pytest.importorskip(needed)
    notebook = nbformat.read(ROOT / "docs" / "first_world.ipynb", as_version=4)
    nbformat.validate(notebook)
    kept = [list(cell.get("outputs", ())) for cell in notebook.cells]
    assert sum("image/png" in one.get("data", {}) for outputs in kept for one in outputs) == 2
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    tables = [
        [one["data"]["text/plain"] for one in outputs if "text/html" in one.get("data", {})]
        for outputs in (kept, [cell.get("outputs", ()) for cell in notebook.cells])
        for outputs in [[one for some in outputs for one in some]]
    ]
    assert tables[0] == tables[1] and len(tables[0]) == 2


def test_the_reference_has_all_that_is_public():
    import nmmo_jax

    text = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    told = re.findall(r"^::: ([\w.]+)$", text, flags=re.MULTILINE)
    assert set(nmmo_jax.__all__) <= {one.rpartition(".")[2] for one in told}
    for one in told:
        module, _, variable = one.rpartition(".")
        assert importlib.util.find_spec(one) if variable.islower() and _is_module(one) else _has(module, variable), one


def _is_module(name):
    return (ROOT / (name.replace(".", "/") + ".py")).exists() or (ROOT / name.replace(".", "/")).is_dir()


def _has(module, variable):
    return hasattr(importlib.import_module(module), variable)


def test_the_site_builds(tmp_path):
    """Strict: a link that leads nowhere, or a name that the reference does not find, is a warning, and fails."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    from mkdocs.__main__ import cli

    with pytest.raises(SystemExit) as ended:
        cli(["build", "--strict", "--config-file", str(ROOT / "mkdocs.yml"), "--site-dir", str(tmp_path / "site")])
    assert not ended.value.code
    front = (tmp_path / "site" / "index.html").read_text()
    assert 'src="figures/watch.png"' in front and (tmp_path / "site" / "figures" / "watch.png").exists()
    assert not re.findall(r'(?:src|href)="https?://(?!squidfunk|www.mkdocs)[^"]*\.(?:js|css|woff2?)', front)
