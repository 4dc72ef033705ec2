"""What generated ground is like, how long it takes to make, and what that of Neural MMO 2 is like.

    python -m nmmo_jax.bench.terrain mmo mmo1024 --peer Medium --out runs/terrain.json
    python -m nmmo_jax.bench.terrain mmo --rows 1024 --columns 1024 --maps 4

Shows a table, and writes JSON. All is of the land inside the ring of grass. Neural MMO 2's maps are made by its own
generator, in an environment of its own as ``nmmo-jax bench --peers`` has it; they are as they are played, with the
water and forest that it scatters when a world begins. Seconds are the processor's, so that other work does not count:
on one core (``taskset -c 0``) they are those that one waits.
"""

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro
from jaxtyping import Bool, Int, UInt8
from rich.box import SIMPLE_HEAD
from rich.table import Table
from scipy import ndimage

from nmmo_jax.bench import peers
from nmmo_jax.bench.machine import machine, run_program
from nmmo_jax.bench.run import output_of
from nmmo_jax.common.spelling import near
from nmmo_jax.common.text import console
from nmmo_jax.config import Config
from nmmo_jax.draws import split
from nmmo_jax.presets import preset
from nmmo_jax.values import check_int
from nmmo_jax.world.terrain import generate

RESOURCES = ("vein", "tree", "gems", "herbs", "shoal")
KINDS = ("water", "grass", "forest", "stone", *RESOURCES)
_THEIRS = {"foilage": "forest", "ore": "vein", "crystal": "gems", "herb": "herbs", "fish": "shoal"}
_CLOSED = ("water", "stone", "shoal")  # nobody enters
_FOR_LIFE = ("water", "forest")  # how far away they are counts; nobody drinks from a shoal, there neither
_DANGERS = {"below_50": (0, 50), "50_to_80": (50, 80), "from_80": (80, 101)}  # chickens', goblins', trolls'
_PEER, _DRIVER = "nmmo_2", peers.FOLDER / "maps_of_nmmo_2.py"


@dataclasses.dataclass
class Terrain:
    """Count what generated ground has, and time how it is made."""

    games: tyro.conf.Positional[tuple[str, ...]] = ("mmo",)
    """Presets that have professions."""
    maps: int = 32
    """Of each."""
    rows: int | None = None
    """In place of the preset's."""
    columns: int | None = None
    """In place of the preset's."""
    peer: tuple[Literal["Small", "Medium", "Large"], ...] = ()
    """Maps of Neural MMO 2 as well, of these of its settings: land of 31 x 31, 127 x 127, 1,023 x 1,023 tiles. A large
    one takes minutes and 4 GB."""
    seed: int = 0
    """Of our maps."""
    out: Path | None = None
    """File for the result. Default: standard output, without the table."""


def main(args: Terrain) -> dict[str, Any]:
    """Makes maps and counts; a record ready for JSON.

    Raises:
      ValueError: what cannot be measured.
      RuntimeError: the peer cannot be installed, or failed.
    """
    check_int("maps", args.maps, 1)
    rows = [_ours(args, name) for name in args.games] + [_theirs(args, size) for size in args.peer]
    return {"rows": rows, "machine": machine()}


def _ours(args: Terrain, game: str) -> dict[str, Any]:
    sides = {name: value for name in ("rows", "columns") if (value := getattr(args, name)) is not None}
    config, _ = preset(game, **sides)
    if missing := set(RESOURCES) - set(config.material_names):
        raise ValueError(f"game={game}: has no {min(missing)}: must be one with professions")
    keys = split(jax.random.key(args.seed), args.maps)
    jax.config.update("jax_enable_compilation_cache", False)
    began = time.process_time()
    make = jax.jit(generate, static_argnums=1).lower(keys[0], config).compile()
    compiled, lands, seconds = time.process_time() - began, [], []
    jax.block_until_ready(make(keys[0]))
    for key in keys:
        began = time.process_time()
        material = jax.block_until_ready(make(key))
        seconds.append(time.process_time() - began)
        lands.append(land(np.asarray(material), config))
    about = {"game": game, "rows": config.rows, "columns": config.columns, "compile_seconds": round(compiled, 2)}
    return {**about, **counts(np.stack(lands)), "seconds_per_map": float(np.median(seconds))}


def _theirs(args: Terrain, size: str) -> dict[str, Any]:
    peer = next(one for one in peers.find(peers.FOLDER) if one.name == _PEER)
    python = peers.install(peer, peers.CACHE)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "maps.npz"
        output_of([str(python), str(_DRIVER), size, str(args.maps), str(out)], 1, {"PYTHONPATH": ""})
        with np.load(out) as file:
            made, seconds = _renamed(file["land"], file["names"].tolist()), file["seconds"]
    package = peer.requirements.read_text().split()[-1].replace("==", " ")
    about = {"game": f"{package} {size}", "rows": made.shape[1], "columns": made.shape[2]}
    return {**about, **counts(made), "seconds_per_map": float(np.median(seconds))}


def land(material: UInt8[np.ndarray, "R C"], config: Config) -> UInt8[np.ndarray, "r c"]:
    """Of a generated map what is inside the ring of grass, as places in ``KINDS``.

    Raises:
      ValueError: there is another material.
    """
    inside = slice(config.border + 1, -config.border - 1)
    return _renamed(material[inside, inside], config.material_names)


def _renamed(material: np.ndarray, names: Any) -> UInt8[np.ndarray, "*B r c"]:
    known = [_THEIRS.get(name, name) for name in names]
    made = np.array([KINDS.index(name) if name in KINDS else len(KINDS) for name in known], np.uint8)[material]
    if (odd := made == len(KINDS)).any():
        name = names[int(material[odd][0])]
        raise ValueError(f"material {name}: must be one of {', '.join(KINDS)}{near(name, KINDS)}")
    return made


def counts(lands: UInt8[np.ndarray, "maps r c"]) -> dict[str, Any]:
    """What there is on some maps' land.

    Returns:
      ``kinds``, of each of ``KINDS``: ``per_1000`` tiles of land and its standard deviation between maps ``sd``,
      ``pieces`` on 1,000 tiles (tiles that touch along an edge are one piece), ``tiles`` of a piece in the mean.
      ``steps`` to the nearest water and forest from tiles that can be entered, were nothing in between, in the mean.
      ``open``: share of the land that can be entered; ``largest``: of that, the share in one piece, and ``danger``: the
      shares where each kind of monster appears.
    """
    kinds = {}
    for index, name in enumerate(KINDS):
        there = lands == index
        per_map, pieces = 1000 * there.mean((1, 2)), sum(len(_pieces(one)) for one in there)
        told = {"per_1000": per_map.mean(), "sd": per_map.std(), "pieces": 1000 * pieces / lands.size}
        told["tiles"] = there.sum() / max(pieces, 1)
        kinds[name] = {one: round(float(value), 2) for one, value in told.items()}
    enters = ~np.isin(lands, [KINDS.index(name) for name in _CLOSED])
    number, danger = max(int(enters.sum()), 1), _danger(*lands.shape[1:])
    zones = {name: enters[:, (danger >= low) & (danger < high)].sum() for name, (low, high) in _DANGERS.items()}
    return {
        "maps": len(lands),
        "kinds": kinds,
        "steps": {name: round(_steps(lands == KINDS.index(name), enters), 2) for name in _FOR_LIFE},
        "open": round(float(enters.mean()), 3),
        "largest": round(sum(int(_pieces(one).max(initial=0)) for one in enters) / number, 3),
        "danger": {name: round(int(zone) / number, 3) for name, zone in zones.items()},
    }


def _pieces(there: Bool[np.ndarray, "r c"]) -> Int[np.ndarray, "P"]:
    """Tiles of each piece."""
    numbers, _ = ndimage.label(there)  # pyright: ignore[reportGeneralTypeIssues]
    return np.bincount(numbers.ravel())[1:]


def _steps(there: Bool[np.ndarray, "maps r c"], enters: Bool[np.ndarray, "maps r c"]) -> float:
    """To the nearest of these along rows and columns, in the mean over tiles that can be entered."""
    pairs = zip(there, enters, strict=True)
    away = [np.asarray(ndimage.distance_transform_cdt(~one, "taxicab"))[on] for one, on in pairs if one.any()]
    return float(np.concatenate(away).mean()) if away else float("nan")


def _danger(rows: int, columns: int) -> np.ndarray:
    """From 0 at the ring to 100 in the middle, of land inside the ring; as monsters have it."""
    row, col = np.indices((rows, columns)) + 1
    edge = np.minimum(np.minimum(row, rows + 1 - row), np.minimum(col, columns + 1 - col))
    return np.minimum(100 * edge // max((min(rows, columns) + 1) // 2, 1), 100)


def table(record: dict[str, Any]) -> Table:
    """The rows of a record: of each kind tiles on 1,000, and of resources tiles of a piece."""
    rows, title = record["rows"], "On 1,000 tiles of land (tiles of a piece)"
    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    for name in ("", *(f"{row['game']} {row['rows']} x {row['columns']}" for row in rows)):
        made.add_column(name, justify="right" if name else "left")
    for name in KINDS:
        kinds = (row["kinds"][name] for row in rows)
        made.add_row(name, *(f"{one['per_1000']:.1f} ({one['tiles']:.1f})" for one in kinds))
    for name in _FOR_LIFE:
        made.add_row(f"steps to {name}", *(f"{row['steps'][name]:.1f}" for row in rows))
    for title, name in (("can be entered", "open"), ("- in one piece", "largest")):
        made.add_row(title, *(f"{row[name]:.1%}" for row in rows))
    for name in _DANGERS:
        made.add_row(f"- danger {name.replace('_', ' ')}", *(f"{row['danger'][name]:.1%}" for row in rows))
    made.add_row("seconds per map", *(f"{row['seconds_per_map']:.3f}" for row in rows))
    made.add_row("seconds to compile", *(str(row.get("compile_seconds", "")) for row in rows))
    return made


if __name__ == "__main__":
    settings = tyro.cli(Terrain)
    measured = run_program("terrain", main, settings)
    if settings.out is not None:
        console().print(table(measured))
