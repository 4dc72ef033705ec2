"""The command ``nmmo-jax new``: a project of one's own."""

import dataclasses
import importlib.util
import keyword
import re
import sys
import unicodedata
from importlib.resources import files
from pathlib import Path

import tyro

import nmmo_jax
from nmmo_jax.common.folders import new_folder
from nmmo_jax.common.text import console, pasted

# Where each file comes from; the same files are in the documentation's tutorials.
FILES = {
    "pyproject.toml": "nmmo_jax.project/pyproject.txt",
    "README.md": "nmmo_jax.project/readme.txt",
    "PACKAGE/fishing.py": "nmmo_jax.project/fishing.py",
    "PACKAGE/explorer.py": "train.examples/explorer.py",
    "PACKAGE/own_network.py": "train.examples/own_network.py",
    "PACKAGE/training.py": "nmmo_jax.project/training.py",
    "PACKAGE/study.py": "nmmo_jax.project/study.py",
    "tests/test_project.py": "nmmo_jax.project/checks.py",
}


@dataclasses.dataclass
class New:
    """Begin a project of your own: a game system, a God, a Sword, a study, tests, and how each is run.

    Its Python package is named after the folder: "Fishing world" has the package fishing_world.
    """

    folder: tyro.conf.Positional[Path]
    """Made if it is not there; must be empty."""

    def run(self) -> None:
        """Writes the files.

        Raises:
          ValueError, OSError: the folder is not empty, cannot be written to, or has a name that no package can have.
        """
        name = package(self.folder.resolve().name)
        out = console()
        try:
            with new_folder(self.folder, otherwise="a project begins in an empty folder") as folder:
                for target, text in project(name).items():
                    path = self.folder / target
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(text, encoding="utf-8")
                folder.keep()
        except ValueError as error:
            raise ValueError(str(error).replace("out=", "FOLDER ", 1)) from None
        out.print(f"cd {pasted(self.folder)}", soft_wrap=True)
        out.print("python -m pytest                # README.md has the other commands", soft_wrap=True)


def package(folder: str) -> str:
    """The name of a Python package, after that of a folder: ``My world-2`` becomes ``my_world_2``.

    Raises:
      ValueError: there is none, it is one of Python's words, or that of a module that is there already.
    """
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    name = re.sub("[^a-z0-9]+", "_", plain).strip("_")
    told = f"FOLDER {folder}: a Python package is named after it, and "
    if not name or name[0].isdigit():
        raise ValueError(f"{told}a package's name begins with one of the letters a to z")
    if keyword.iskeyword(name) or name == "tests":
        raise ValueError(f"{told}{name} means something else")
    spec = None if name in sys.stdlib_module_names else importlib.util.find_spec(name)
    if name in sys.stdlib_module_names or (spec is not None and spec.origin is not None):
        raise ValueError(f"{told}{name} is the name of one that is there already")
    return name


def project(name: str) -> dict[str, str]:
    """The files of a project whose package is of that name: path -> text."""
    told = {f"{name}/__init__.py": '"""A world of its own."""\n'}
    for target, source in FILES.items():
        module, _, file = source.partition("/")
        text = files(module).joinpath(file).read_text(encoding="utf-8")
        text = re.sub(r"\b(nmmo_jax\.project|train\.examples)\b", name, text)
        told[target.replace("PACKAGE", name)] = text.replace("PACKAGE", name).replace("VERSION", nmmo_jax.__version__)
    return told
