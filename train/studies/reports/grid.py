"""A sweep as NetCDF, which xarray reads: a grid with an axis for each rule, and one for the worlds of a point."""

import json
from pathlib import Path

import numpy as np

from nmmo_jax.common.extras import need
from nmmo_jax.common.files import write as write_file
from nmmo_jax.common.tables import ABOUT
from train.studies.reports.tables import COUNTED, about, rule_column
from train.studies.study import Results
from train.studies.sweep import Sweep


def write(study: Sweep, out: Path, results: Results) -> None:
    """sweep.nc: measures ``[rules...]`` with their intervals, ``_low`` and ``_high``, and counts ``[rules..., world]``.

    Raises:
      ValueError: xarray or h5netcdf is not installed.
    """
    xarray = need("xarray", "xarray", "science")
    need("h5netcdf", "h5netcdf", "science")
    fields = tuple(axis.field for axis in study.axes)

    def told(unit: str, meaning: str) -> dict[str, str]:
        return {"units": unit or "1", "long_name": meaning}  # 1: no unit, in NetCDF

    coords = {axis.field: (axis.field, axis.values, told(*rule_column(study, axis.field))) for axis in study.axes}
    coords["world"] = ("world", np.arange(study.worlds), told("", "index of the world, and of its map"))
    variables = {}
    for name, interval in study.measures(results).items():
        kind = study.kinds[name]
        for end, value in zip(("", "_low", "_high"), interval, strict=True):
            text = kind.title + {"": "", "_low": ": low end of the 95 % interval", "_high": ": high end of it"}[end]
            variables[name + end] = (fields, np.asarray(value).reshape(study.shape), told(kind.unit, text))
    for name, value in study.counts(results).items():
        unit, meaning = COUNTED.get(name, ("deaths", f"by {name.removeprefix('dead_')}"))
        shape = (*study.shape, study.worlds)
        variables[f"count_{name}"] = ((*fields, "world"), value.reshape(shape), told(unit, meaning))
    found = xarray.Dataset(
        variables,
        coords,
        attrs={"title": f"nmmo-jax sweep: {study.title}", ABOUT: json.dumps(about(study, out))},
    )
    packed = {name: {"zlib": True} for name in variables}
    # By name: not all versions of xarray write into what is open.
    write_file(out / "sweep.nc", lambda file: found.to_netcdf(file.name, engine="h5netcdf", encoding=packed))
