"""Configurations in files, and what files cannot hold but name: classes and systems, as ``module:NAME``.

Whoever reads such a file imports the modules that it names, from where Python looks for modules or the working folder:
files of strangers deserve the same care as their code.
"""

import dataclasses
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmmo_jax.common.spelling import near
from nmmo_jax.config import Config
from nmmo_jax.system import System


def config_as_json(config: Config) -> dict[str, Any]:
    """A configuration ready for JSON; its systems by reference, if it has some; ``exploration`` if it is off.

    Raises:
      ValueError: a system that is no variable of a module.
    """
    plain = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    systems = plain.pop("systems")
    if plain["exploration"]:  # as it was before there was a choice: files stay as they are
        del plain["exploration"]
    return plain | ({"systems": [reference(system) for system in systems]} if systems else {})


def config_from_json(about: Mapping[str, Any]) -> Config:
    """The configuration that ``config_as_json`` told of.

    Raises:
      ValueError, TypeError: something is unknown or not allowed in it, or a system cannot be found.
    """
    if not isinstance(about, Mapping):
        raise TypeError(f"config: {type(about).__name__}: must be the fields of a Config")
    systems = about.get("systems", ())
    if isinstance(systems, str) or not all(isinstance(name, str) for name in systems):
        raise ValueError(f"systems={systems!r}: must be several 'module:NAME'")
    return Config(**{**about, "systems": tuple(find_system(name) for name in systems)})


def reference(thing: Any) -> str:
    """What a class or a system is named by in files, ``module:NAME``.

    Raises:
      ValueError: it is no variable of a module.
    """
    if isinstance(thing, type):
        return f"{_module(thing.__module__)}:{thing.__qualname__}"
    # A module that others import it from comes last: the shortest list of parents is that of the file it is in.
    for name in sorted(sys.modules, key=lambda name: (name == "__main__", name.count("."), name)):
        for variable, value in list(vars(sys.modules[name]).items()) if sys.modules[name] is not None else ():
            if value is thing and not variable.startswith("_"):
                return f"{_module(name)}:{variable}"
    raise ValueError(f"system {thing.name}: is no variable of a module: files name systems by 'module:NAME'")


def _module(name: str) -> str:
    """The name by which a module can be imported: of the program that runs, that of its file."""
    main = sys.modules["__main__"]
    if name != "__main__":
        return name
    spec = getattr(main, "__spec__", None)
    return spec.name if spec is not None else Path(getattr(main, "__file__", None) or name).stem


def find_system(name: str) -> System:
    """The system that ``module:NAME`` names.

    Raises:
      ValueError: not of that form, no such module or variable, or something else.
    """
    found = find(name)
    if not isinstance(found, System):
        raise ValueError(f"{name}: {type(found).__name__}: must be a System")
    return found


def find_class(name: str, base: type) -> Any:
    """The class that ``module:NAME`` names, of a kind.

    Raises:
      ValueError: as ``find``, or something else than such a class.
    """
    found = find(name)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{name}: must be a class made of {base.__qualname__}")
    return found


def find(name: str) -> Any:
    """What ``module:NAME`` names, imported from Python's path or the working folder.

    Raises:
      ValueError: not of that form, no such module or variable, or a module that cannot be imported; says where it was
        sought.
    """
    module, colon, variable = name.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *variable.split("."))):
        raise ValueError(f"{name!r}: must be 'module:NAME', as in 'poison:POISON'")
    here = os.getcwd()
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
        for part in variable.split("."):
            found = getattr(found, part)
        return found
    except ModuleNotFoundError as error:
        if error.name and not (module == error.name or module.startswith(f"{error.name}.")):
            raise ValueError(f"{name}: cannot be imported: {error}") from None
        raise ValueError(f"{name}: no module {module} in {here} or on Python's path (PYTHONPATH adds to it)") from None
    except AttributeError as error:
        raise ValueError(f"{name}: {error}{near(str(error.name), dir(error.obj))}") from None
    except Exception as error:  # whatever a stranger's module raises
        raise ValueError(f"{name}: cannot be imported: {type(error).__name__}: {error}") from None
    finally:
        if added:
            sys.path.remove(here)
