"""The commands for maps, through their flags."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tyro
from rich.console import Console

from nmmo_jax.commands.maps import Convert, Generate, Show, picture
from nmmo_jax.config import Config
from nmmo_jax.declarations import NewMaterial
from nmmo_jax.kinds import Material
from nmmo_jax.system import System
from nmmo_jax.world.draw import COLOURS
from nmmo_jax.world.files import load_map, save_map
from nmmo_jax.world.pool import MapPool

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "systems"
SIZE = ["--rows", "20", "--columns", "23", "--border", "4"]
CONFIG = Config(rows=20, columns=23, border=4)


def run(command, *arguments):
    tyro.cli(command, args=[str(argument) for argument in arguments]).run()


@pytest.mark.parametrize("form", ["npy", "tmx"])
def test_generate_writes_the_pools_maps(tmp_path, capsys, form):
    out = tmp_path / "new" / "maps"
    run(Generate, "--out", out, "--count", 3, "--seed", 4, "--split", "held_out", "--format", form, *SIZE)
    assert f"{out}: 3" in capsys.readouterr().out
    expected = np.asarray(MapPool.generated(4, 3, CONFIG, "held_out").material)
    for i in range(3):
        np.testing.assert_array_equal(load_map(out / f"held_out_{i:04d}.{form}"), expected[i])
        assert (out / f"held_out_{i:04d}.png").read_bytes()[:4] == b"\x89PNG"


def test_generate_spares_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty; --overwrite writes into it"):
        run(Generate, "--out", tmp_path, *SIZE)
    assert len(list(tmp_path.iterdir())) == 1
    run(Generate, "--out", tmp_path, "--overwrite", *SIZE)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "train_0000.npy", "train_0000.png"}
    with pytest.raises(ValueError, match="is a file, not a folder"):
        run(Generate, "--out", tmp_path / "notes.txt", *SIZE)
    with pytest.raises(ValueError, match="--count 0"):
        run(Generate, "--out", tmp_path / "none", "--count", 0)
    with pytest.raises(ValueError, match="--columns 19: a generated map"):
        run(Generate, "--out", tmp_path / "none", "--columns", 19)
    assert not (tmp_path / "none").exists()


def test_show(tmp_path, capsys):
    material = np.full((6, 8), Material.LAVA)
    material[1:5, 1:7] = Material.GRASS
    material[2, 2:5] = (Material.WATER, Material.FOREST, Material.ORE)
    path = tmp_path / "world[1].npy"
    save_map(path, material)
    run(Show, path, "--png", tmp_path / "world.png")
    text = capsys.readouterr().out
    assert "world[1].npy: 6 rows x 8 columns, 16 tiles to spawn on" in text
    assert "^.~To..^" in text
    shares = {line.split()[1]: line.split()[2:] for line in text.splitlines() if line.strip().startswith("█")}
    assert shares["lava"] == ["24", "50.0%"]
    assert shares["grass"] == ["21", "43.8%", "87.5%"]
    assert shares["ore"] == ["1", "2.1%", "4.2%"]
    assert set(shares) == {"lava", "water", "grass", "forest", "ore"}
    assert (tmp_path / "world.png").stat().st_size > 100
    save_map(path, np.zeros((2, 2), np.uint8))
    run(Show, path, path)
    assert capsys.readouterr().out.count("no tile to spawn on") == 2
    with pytest.raises(ValueError, match="takes one map, not 2"):
        run(Show, path, path, "--png", tmp_path / "two.png")
    with pytest.raises(ValueError, match="PATHS: name at least one map"):
        run(Show)


def test_maps_of_systems_go_through_files_of_both_kinds(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from poison import POISON

    system, config = ("--system", "poison:POISON"), replace(CONFIG, systems=(POISON,))
    expected = np.asarray(MapPool.generated(4, 1, config).material)[0]
    assert (expected == 7).any()
    run(Generate, "--out", tmp_path, "--seed", 4, "--format", "tmx", *SIZE, *system)
    tiled, plain, again = (tmp_path / name for name in ("train_0000.tmx", "a.npy", "b.tmx"))
    run(Convert, tiled, plain, *system)
    run(Convert, plain, again, *system)
    for path in (tiled, plain, again):
        np.testing.assert_array_equal(load_map(path, config=config), expected)
    capsys.readouterr()
    run(Show, plain, "--png", tmp_path / "a.png", *system)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "train_0000.png").read_bytes()
    told = capsys.readouterr().out
    assert "p poison" in told
    assert told.count("p") > (expected == 7).sum()
    output = io.StringIO()
    Console(file=output, color_system="truecolor", force_terminal=True).print(picture(expected, 80, True, config))
    assert ";".join(map(str, bytes.fromhex(POISON.materials[0].color[1:]))) in output.getvalue()
    save_map(tmp_path / "classic.tmx", np.full((2, 2), Material.GRASS))  # leaves the tileset of the others as it is
    np.testing.assert_array_equal(load_map(tiled, config=config), expected)
    for path, named in ((tiled, "'poison', tile 7 of .*nmmo-materials-poison.tsx, is none"), (plain, "material 7 at")):
        with pytest.raises(ValueError, match=rf"{named}.* lava, water,.*is a system missing \(--system"):
            run(Show, path)
    with pytest.raises(ValueError, match="material 7 at row"):
        save_map(tmp_path / "bad.tmx", expected)


def test_every_material_has_a_letter_of_its_own():
    names = ["poison", "pit", "post_office", "p_p", "o_o"]
    config = Config(systems=(System(name="ground", materials=[NewMaterial(name) for name in names]),))
    legend = picture(np.zeros((1, 1), np.uint8), 80, False, config).plain.splitlines()[-1].split("  ")
    assert [one.split()[1] for one in legend] == [*config.material_names]
    assert len({one.split()[0] for one in legend}) == len(legend)


def test_pictures_in_the_terminal():
    material = np.array([[0, 2, 2], [1, 2, 4], [5, 6, 3]], np.uint8)
    assert picture(material, 80, colour=False).plain.splitlines()[:3] == ["^..", "~.T", "#o,"]
    assert picture(material, 2, colour=False).plain.splitlines()[:3] == ["(one tile of every 2 x 2)", "^.", "#,"]
    output = io.StringIO()
    Console(file=output, color_system="truecolor", force_terminal=True).print(picture(material, 80, colour=True))
    first, second = output.getvalue().splitlines()
    lava, water = (";".join(map(str, COLOURS[one])) for one in (Material.LAVA, Material.WATER))
    assert first.startswith(f"\x1b[38;2;{lava};48;2;{water}m▀")
    assert first.count("▀") == second.count("▀") == 3


def test_convert(tmp_path):
    material = np.random.default_rng(0).integers(0, 7, (5, 9)).astype(np.uint8)
    source, tiled, back = (tmp_path / name for name in ("a.npy", "b.tmx", "c.npy"))
    save_map(source, material)
    run(Convert, source, tiled, "--encoding", "gzip")
    assert 'compression="gzip"' in tiled.read_text()
    run(Convert, tiled, back)
    np.testing.assert_array_equal(load_map(back), material)
    with pytest.raises(FileExistsError, match=r"c\.npy: exists"):
        run(Convert, tiled, back)
    save_map(source, material[::-1])
    run(Convert, source, back, "--overwrite")
    np.testing.assert_array_equal(load_map(back), material[::-1])
    (tmp_path / "nmmo-materials.tsx").rename(tmp_path / "moved.tsx")
    command = Convert(tiled, tmp_path / "d.npy")
    with pytest.raises(ValueError, match=r"b\.tmx: its tileset 'nmmo-materials\.tsx' is not there"):
        command.run()
    replace(command, tileset=tmp_path / "moved.tsx").run()
    np.testing.assert_array_equal(load_map(tmp_path / "d.npy"), material)
    with pytest.raises(ValueError, match="exactly one must be called 'x'"):
        run(Convert, tiled, tmp_path / "e.npy", "--layer", "x")
