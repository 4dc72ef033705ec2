"""What the documentation says is what the code does."""

import importlib.util
import re
import shlex
from pathlib import Path

import tyro

from nmmo_jax.cli import Command

ROOT = Path(__file__).resolve().parents[1]


def test_generated_texts_are_up_to_date():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path in generate.PAGES:
        assert path.read_text() == generate.page(path), f"{path.name}: run `make docs`"


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_of_the_readme_are_understood():
    text = re.search(r"## Commands\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL).group(1)
    commands = [shlex.split(line, comments=True)[1:] for line in text.splitlines()]
    assert len(commands) == 11
    for arguments in commands:
        command = tyro.cli(Command, args=arguments)
        assert hasattr(command, "run")
        if arguments[0] == "simulate":
            command._check_numbers()
            assert len(command._policies()) == command.populations
