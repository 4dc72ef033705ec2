"""The commands ``nmmo-jax maps generate | show | convert``.

Each is a dataclass whose fields are its flags, with a ``run`` method; what goes wrong is raised as a
``ValueError`` or ``OSError`` of one line.
"""

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from string import ascii_letters
from typing import Annotated, Literal

import jax
import numpy as np
import tyro
from jaxtyping import UInt8
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from nmmo_jax.commands.overrides import Systems, find_systems, flags_named, named_by
from nmmo_jax.common.folders import new_folder
from nmmo_jax.common.text import console as terminal
from nmmo_jax.common.text import safe
from nmmo_jax.config import Config
from nmmo_jax.kinds import Material
from nmmo_jax.world.draw import map_image, palette, write_png
from nmmo_jax.world.files import load_map, save_map
from nmmo_jax.world.pool import MapPool
from nmmo_jax.world.tiled import ANY_SIZE, Encoding
from nmmo_jax.world.tiles import spawn_tiles

_BATCH = 64  # maps generated at a time
LETTERS = "^~.,T#o"  # per classic material, for terminals without colour
MAX_PIXELS = 2048  # longest side of a picture, where a pixel per tile allows it


@dataclass
class Generate:
    """Generate terrain: one file per map, and a picture (PNG) beside it."""

    out: Path
    """Folder to write to; made if it is not there."""
    count: int = 1
    """How many maps. The first maps of a seed stay the same when more are made."""
    seed: int = 0
    """Whole number from which the maps follow."""
    split: Literal["train", "held_out"] = "train"
    """Maps for training, or maps kept apart for evaluation: no seed's train maps are among its held_out maps."""
    rows: int = 80
    """Height in tiles."""
    columns: int = 80
    """Width in tiles."""
    border: int = 9
    """Width of the lava around the terrain, in tiles."""
    format: Literal["npy", "tmx"] = "npy"
    """npy: a NumPy array of materials (uint8, 0 lava, 1 water, 2 grass, 3 scrub, 4 forest, 5 stone, 6 ore).
    tmx: for the Tiled editor, with a tileset."""
    system: Systems = ()
    """Game systems whose ground is generated, too: poison:POISON of poison.py here, or of an installed module. Ground
    does not depend on rules, so that there is no --set. In files their materials come after the classic ones, those of
    the first system first: whoever reads them names the same systems."""
    overwrite: bool = False
    """Write into a folder that is not empty; files of the same names are replaced."""

    def run(self) -> None:
        """Writes the maps."""
        with flags_named(named_by(self)):
            systems = find_systems(self.system)
            config = Config(rows=self.rows, columns=self.columns, border=self.border, systems=systems)
            MapPool.check(self.seed, self.count, config, self.split)
        console, otherwise = terminal(), "--overwrite writes into it all the same"
        with (
            flags_named({"out": "--out "}),
            new_folder(self.out, overwrite=self.overwrite, otherwise=otherwise) as folder,
            Progress(console=terminal(stderr=True), disable=self.count == 1) as progress,
        ):
            task = progress.add_task("generating", total=self.count)
            for start in range(0, self.count, _BATCH):  # an interruption keeps the batches that are written
                number = min(_BATCH, self.count - start)
                pool = MapPool.generated(self.seed, number, config, self.split, first=start)
                for i, material in enumerate(np.asarray(pool.material), start):
                    path = self.out / f"{self.split}_{i:04d}"
                    save_map(path.with_suffix(f".{self.format}"), material, config=config)
                    folder.keep()
                    write_map_png(path.with_suffix(".png"), material, config)
                    progress.advance(task)
        console.print(f"maps of {self.rows} x {self.columns} tiles in {safe(self.out)}: {self.count}", soft_wrap=True)


@dataclass
class Show:
    """Show maps in the terminal: a picture, how much there is of each material, where agents are born."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Map files, .npy or .tmx."""
    tileset: Path | None = None
    """Tileset (.tsx) to use instead of the one that a .tmx names."""
    layer: str | None = None
    """Name of the tile layer, where a .tmx has several."""
    png: Path | None = None
    """Also write the picture to this file (one map only)."""
    system: Systems = ()
    """Game systems whose materials the maps have, in the order in which they were generated."""

    def run(self) -> None:
        """Prints the maps."""
        if not self.paths:
            raise ValueError("PATHS: name at least one map")
        if self.png is not None and len(self.paths) > 1:
            raise ValueError(f"--png {self.png}: takes one map, not {len(self.paths)}")
        console, config = terminal(), _any_size(self.system)
        for path in self.paths:
            material = _load(path, self.tileset, self.layer, config)
            console.print(_summary(safe(path), material, config), soft_wrap=True)
            width = console.width if console.is_terminal else material.shape[1]
            colour = console.color_system in ("256", "truecolor")
            console.print(picture(material, width, colour, config), soft_wrap=True)
            console.print(_shares(material, config))
            if self.png is not None:
                write_map_png(self.png, material, config)


@dataclass
class Convert:
    """Convert a map between .npy and .tmx (the Tiled editor)."""

    source: tyro.conf.Positional[Path]
    """Map to read."""
    target: tyro.conf.Positional[Path]
    """Map to write; its suffix, .npy or .tmx, says how. Beside a .tmx its tileset is written."""
    tileset: Path | None = None
    """Tileset (.tsx) to use instead of the one that the source names."""
    layer: str | None = None
    """Name of the tile layer, where the source has several."""
    encoding: Annotated[
        Encoding | None, tyro.conf.arg(help="How a .tmx holds its tiles; zlib and gzip are base64 too. Default: csv.")
    ] = None
    overwrite: bool = False
    """Replace the target if it exists."""
    system: Systems = ()
    """Game systems whose materials the map has, in the order in which it was generated."""

    def run(self) -> None:
        """Reads, then writes."""
        if self.encoding is not None and self.target.suffix.lower() == ".npy":
            raise ValueError(f"--encoding {self.encoding}: of .tmx maps, and {self.target} is none")
        if self.target.exists() and not self.overwrite:
            raise FileExistsError(f"{self.target}: exists (--overwrite replaces it)")
        config = _any_size(self.system)
        material = _load(self.source, self.tileset, self.layer, config)
        save_map(self.target, material, self.encoding or "csv", config)


def _any_size(systems: tuple[str, ...]) -> Config:
    """A world of these systems that maps of every size fit into."""
    return replace(ANY_SIZE, systems=find_systems(systems))


def _load(path: Path, tileset: Path | None, layer: str | None, config: Config) -> UInt8[np.ndarray, "R C"]:
    for flag, value in (("--tileset", tileset), ("--layer", layer)):
        if value is not None and path.suffix.lower() == ".npy":
            raise ValueError(f"{flag} {value}: of .tmx maps, and {path} is none")
    return load_map(path, tileset, layer, config)


def write_map_png(path: Path, material: UInt8[np.ndarray, "R C"], config: Config) -> None:
    """Writes a map as a picture, each tile outlined and as large as fits, 1 to 12 pixels."""
    scale = int(np.clip(MAX_PIXELS // max(material.shape), 1, 12))
    write_png(path, map_image(material, scale, scale >= 4, palette(config)))


def picture(material: UInt8[np.ndarray, "R C"], width: int, colour: bool, config: Config = ANY_SIZE) -> Text:
    """A map as text of at most ``width`` characters a line.

    In colour a character holds two tiles, one above the other; else it is a letter for one tile. Where the map
    is wider, only every second, third ... row and column is shown.
    """
    step = -(-material.shape[1] // max(width, 1))
    shown = material[::step, ::step]
    text = Text(no_wrap=True)
    if step > 1:
        text.append(f"(one tile of every {step} x {step})\n")
    if not colour:
        letters = _letters(config)
        lines = ["".join(letters[tile] for tile in row) for row in shown]
        legend = "  ".join(f"{letter} {name}" for letter, name in zip(letters, config.material_names, strict=True))
        return text.append("\n".join([*lines, legend]))
    colours = _colours(config)
    for top in range(0, len(shown), 2):
        pairs = zip(*(row.tolist() for row in shown[top : top + 2]), strict=True)
        for pair, run in groupby(pairs):
            text.append("▀" * len(list(run)), " on ".join(colours[tile] for tile in pair))
        text.append("\n")
    text.right_crop(1)
    return text


def _colours(config: Config) -> list[str]:
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in palette(config)]


def _letters(config: Config) -> str:
    """A letter per material: of a system's the first of its name, or of the alphabet, that no other has."""
    letters = LETTERS
    for name in config.material_names[len(LETTERS) :]:
        letters += next(one for one in name.replace("_", "") + ascii_letters if one not in letters)
    return letters


def _summary(name: str, material: UInt8[np.ndarray, "R C"], config: Config) -> str:
    births = int(jax.jit(spawn_tiles, static_argnums=1)(material, config)[1])
    where = f"{births} tiles to spawn on" if births else "no tile to spawn on, so it cannot be played"
    return f"{name}: {material.shape[0]} rows x {material.shape[1]} columns, {where}"


def _shares(material: UInt8[np.ndarray, "R C"], config: Config) -> Table:
    """How much there is of each material, on the whole map and on what is not lava."""
    counts = np.bincount(material.ravel(), minlength=len(config.material_names))
    solid = counts.sum() - counts[Material.LAVA]
    table = Table("material", *(("tiles", "of the map", "of the land")), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for one, (name, colour) in enumerate(zip(config.material_names, _colours(config), strict=True)):
        if counts[one]:
            land = "" if one == Material.LAVA else f"{counts[one] / solid:.1%}"
            swatch = Text("██ ", colour).append(name, "default")
            table.add_row(swatch, str(counts[one]), f"{counts[one] / material.size:.1%}", land)
    return table
