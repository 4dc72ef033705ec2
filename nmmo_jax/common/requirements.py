"""What the package needs, and what its extras need, as it was installed: ``pyproject.toml`` is the one home of it."""

import dataclasses
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement

PACKAGE = "nmmo-jax"


@dataclasses.dataclass(frozen=True)
class Extra:
    """An extra of ``pyproject.toml``.

    Attributes:
      missing: what is not there of it, or too old, as requirements.
      command: what installs that, in this very environment, whether nmmo-jax came as a wheel or as a clone.
    """

    missing: list[str]
    command: str


def versions() -> dict[str, str]:
    """Installed versions: of nmmo-jax, of jaxlib, and of all that nmmo-jax needs without extras.

    Raises:
      ValueError: nmmo-jax is not installed.
    """
    names = [PACKAGE, "jaxlib", *(one.name for one in _needed(""))]
    return {name: version(name) for name in dict.fromkeys(names)}


def extras() -> dict[str, Extra]:
    """The extras by name; raises as ``versions``."""
    _needed("")
    found = {}
    for name in metadata(PACKAGE).get_all("Provides-Extra") or ():
        missing = [str(one) for one in _needed(name) if not _is_there(one)]
        found[name] = Extra(missing, shlex.join([sys.executable, "-m", "pip", "install", *missing]))
    return found


def _needed(extra: str) -> list[Requirement]:
    """What nmmo-jax needs, or an extra of it needs besides."""
    try:
        return list(_of(PACKAGE, extra))
    except PackageNotFoundError:
        raise ValueError(f"{PACKAGE} is not installed here: {sys.executable} -m pip install FOLDER OR WHEEL") from None


def _of(name: str, extra: str) -> Iterator[Requirement]:
    for text in requires(name) or ():
        one = Requirement(text)
        plain = one.marker is None or one.marker.evaluate({"extra": ""})
        if (extra == "" and plain) or (
            extra and not plain and one.marker is not None and one.marker.evaluate({"extra": extra})
        ):
            yield _bare(one)


def _bare(requirement: Requirement) -> Requirement:
    """Without the marker, which holds here."""
    requirement.marker = None
    return requirement


def _is_there(requirement: Requirement) -> bool:
    """Whether a package is installed in a version that is allowed, with what its own extras need."""
    try:
        there = version(requirement.name)
    except PackageNotFoundError:
        return False
    if not requirement.specifier.contains(there, prereleases=True):
        return False
    return all(_is_there(one) for extra in requirement.extras for one in _of(requirement.name, extra))
