"""Tables for other programs: Parquet files whose columns say their unit and what they mean.

Every column of a file has ``unit`` and ``meaning`` in its metadata; the file's own metadata hold what it was made with,
as JSON under ``nmmo-jax``. What is not known is null.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from nmmo_jax.common.extras import need
from nmmo_jax.common.files import write
from nmmo_jax.common.spelling import near

TableFormat = Literal["parquet", "netcdf", "trees"]
ABOUT = "nmmo-jax"  # of a file's metadata
_EXTRA = "science"
_MODULES = {"parquet": ("pyarrow",), "netcdf": ("xarray", "h5netcdf", "h5py"), "trees": ("tskit",)}


class Column(NamedTuple):
    """A column of a table.

    Attributes:
      values: numbers, text or truth values, ``[rows]``; of a masked array what is masked, and of floats NaN, is null.
      unit: as in ``Rule.unit``; empty where there is none.
    """

    name: str
    values: Any
    unit: str
    meaning: str


def check_tables(asked: Sequence[str], there: Sequence[str]) -> None:
    """Refuses formats that a command does not write, and those whose libraries cannot be imported.

    Args:
      there: formats that it writes.

    Raises:
      ValueError: says which there are, or how to get the library.
    """
    for kind in asked:
        if kind not in there:
            raise ValueError(f"--tables {kind}: must be some of {', '.join(there)}{near(kind, there)}")
        for module in _MODULES[kind]:
            need(module, module, _EXTRA)


def write_parquet(path: Path, columns: Sequence[Column], about: Mapping[str, Any]) -> None:
    """Writes a table; see ``nmmo_jax.common.files.write``.

    Args:
      about: what it was made with, ready for JSON.

    Raises:
      ValueError: pyarrow is not installed, or columns differ in length.
      OSError: it cannot be written.
    """
    arrow, parquet = (need(module, "pyarrow", _EXTRA) for module in ("pyarrow", "pyarrow.parquet"))
    arrays, fields = [], []
    for column in columns:
        values, mask = np.ma.getdata(column.values), np.ma.getmaskarray(np.ma.asarray(column.values))
        if values.dtype.kind == "f":
            mask = mask | np.isnan(values)
        arrays.append(arrow.array(values.tolist() if values.dtype.kind in "UO" else values, mask=mask))
        told = {"unit": column.unit, "meaning": column.meaning}
        fields.append(arrow.field(column.name, arrays[-1].type, metadata=told))
    table = arrow.Table.from_arrays(arrays, schema=arrow.schema(fields, metadata={ABOUT: json.dumps(about)}))
    write(path, lambda file: parquet.write_table(table, file, compression="zstd"))
