"""What somebody may have meant who misspelt a name."""

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str:
    """``"; did you mean NAME?"`` with the known name that is nearest, to be put after a message; or nothing.

    >>> near("foragr", ["forager", "random"])
    '; did you mean forager?'
    """
    found = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean {found[0]}?" if found else ""
