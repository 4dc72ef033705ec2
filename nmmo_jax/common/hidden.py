"""The package ``train`` comes with this one, and may be hidden by a file or folder of that name of somebody else's."""

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parents[2]


def check_train() -> None:
    """Checks, before it is imported, that ``train`` is the package that comes with this one.

    Raises:
      ValueError: it is another one; the message names it. Or there is none.
    """
    loaded = sys.modules.get("train")
    try:
        spec = importlib.util.find_spec("train") if loaded is None else None
        path = getattr(spec, "origin", None) if loaded is None else getattr(loaded, "__file__", None)
    except (ImportError, ValueError):
        path = None
    if path is None:
        raise ValueError(f"train: the package that comes with nmmo_jax is not in {_HERE}")
    if Path(path).resolve() == _HERE / "train" / "__init__.py":
        return
    found = Path(path).parent if Path(path).name == "__init__.py" else Path(path)
    raise ValueError(
        f"train: {found} hides the package of that name that comes with nmmo_jax: rename it, or start where it is not "
        "found (another folder, PYTHONPATH)"
    )
