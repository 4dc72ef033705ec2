"""``--over``: a rule and the values that a study gives it."""

import numpy as np

from nmmo_jax.commands.overrides import RULES, read, types_of_rules
from nmmo_jax.common.spelling import near
from nmmo_jax.config import Config
from nmmo_jax.rules import REPRODUCTION_RULES, rule_fields, rule_ndim
from nmmo_jax.system import System
from train.studies.axis import MOST_POINTS, Axis


def parse_axis(text: str, reproduction: bool = False, systems: tuple[System, ...] = ()) -> Axis:
    """A rule and its values from ``FIELD=LOW:HIGH:NUMBER``, ``FIELD=LOW:HIGH:NUMBER:log`` or ``FIELD=a,b,c``.

    Ranges of whole-number rules are rounded, and values that then are equal are one.

    >>> parse_axis("population_cap=4:16:4")
    Axis(field='population_cap', values=array([ 4.,  8., 12., 16.]), log=False)

    Args:
      reproduction: whether agents give birth.
      systems: of the world, whose rules can be swept, too.

    Raises:
      ValueError: not of that form, no such rule, one with a value per style or of births that there are not, or a value
        twice. Whether values are
        allowed is for who plays them to say.
    """
    field, equals, given = (part.strip() for part in text.partition("="))
    where = f"--over {text}"
    if not equals or not given:
        raise ValueError(f"{where}: must be FIELD=LOW:HIGH:NUMBER, FIELD=LOW:HIGH:NUMBER:log or FIELD=a,b,c")
    fields = rule_fields(Config(systems=systems))
    swept = sorted(name for name in fields if rule_ndim(name) == 0)
    if field not in swept:
        told = near(field, swept) or f"; there are {', '.join(swept)}"
        raise ValueError(f"{where}: there is no {field} of one value{told}")
    if field in REPRODUCTION_RULES and not reproduction:
        raise ValueError(f"{where}: means nothing where agents do not give birth")
    if ":" not in given:
        kind = {**RULES, **types_of_rules(systems)}[field]
        values = np.array([_float(read(one, kind, f"{where}: {one.strip()!r}"), where) for one in given.split(",")])
        if len(np.unique(values)) < len(values):
            raise ValueError(f"{where}: a value is given twice")
        return Axis(field, np.sort(values))
    low, high, number, *scale = (part.strip() for part in given.split(":", 3)) if given.count(":") > 1 else ("",) * 3
    if scale not in ([], ["log"]) or not number.isdecimal() or int(number) < 1:
        raise ValueError(f"{where}: a range must be LOW:HIGH:NUMBER or LOW:HIGH:NUMBER:log, of at least one value")
    first, last = _number(low, where), _number(high, where)
    if not (np.isfinite([first, last]).all() and first <= last):
        raise ValueError(f"{where}: LOW must be at most HIGH")
    if scale and first <= 0:
        raise ValueError(f"{where}: a range in log must begin above 0")
    if int(number) > MOST_POINTS:
        raise ValueError(f"{where}: {number} values: allowed are at most {MOST_POINTS:,}")
    values = (np.geomspace if scale else np.linspace)(first, last, int(number))
    if fields[field]["dtype"] != "float32":
        values = np.rint(values)
    return Axis(field, np.unique(values), bool(scale))


def _float(number: float, where: str) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError(f"{where}: a number is too large") from None


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: {text.strip()!r} is not a number") from None
