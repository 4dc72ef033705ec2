"""Pictures and films of replays, and the commands for replays."""

import itertools
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageColor
from replays import played

from nmmo_jax.cli import main
from nmmo_jax.kinds import Material
from nmmo_jax.replay_file import load_replay, save_replay
from nmmo_jax.viewer.render import Painter
from nmmo_jax.world.draw import PALETTE, STYLE_COLOURS, population_colours

SCALE, EDGE = 16, 2
LAND = slice(0, 20), slice(0, 18)  # with a border of two tiles of lava, all of the map is shown


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("replays") / "world.npz"
    save_replay(played(), path)
    return path


def run(*arguments) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code


def middles(picture: np.ndarray, scale: int = SCALE) -> np.ndarray:
    """The colour in the middle of every tile, ``[20, 18, 3]``."""
    return picture[: 20 * scale, : 18 * scale][scale // 2 :: scale, scale // 2 :: scale]


def alone(agents) -> np.ndarray:
    """Slots of the agents that have nobody on their tile or next to it."""
    living = np.flatnonzero(agents.alive)
    row, col = (np.asarray(axis, int)[living] for axis in (agents.row, agents.col))
    near = np.maximum(np.abs(row[:, None] - row), np.abs(col[:, None] - col)) <= 1
    return living[near.sum(axis=1) == 1]


@pytest.mark.parametrize("scale", [4, 7, SCALE, 32])
def test_agents_are_where_they_are_and_forests_are_scrub(scale):
    replay = played(law=True)  # without attacks nothing is drawn over agents
    painter = Painter(replay, range(len(replay) + 1), scale)
    colours = np.array([ImageColor.getrgb(one) for one in population_colours(2)])
    harvested = 0
    for k in (20, 3, 0, 12):  # in any order
        agents, picture = replay.frames[k].agents, painter.picture(k)
        assert picture.shape == (*painter.shape, 3) == (20 * scale + 60, max(18 * scale, 360), 3)
        shown = middles(picture, scale)
        for slot in alone(agents):
            np.testing.assert_array_equal(
                shown[agents.row[slot], agents.col[slot]], colours[agents.population[slot]], str(k)
            )
        empty = np.ones((20, 18), bool)
        empty[agents.row[agents.alive], agents.col[agents.alive]] = False
        before = replay.frames[max(k - 1, 0)].agents
        left = replay.frames[k].left
        empty[before.row[left], before.col[left]] = False  # a cross
        depleted = np.isin(np.arange(360), replay.toggles(-1, k)).reshape(20, 18)
        harvested += depleted.sum()
        expected = PALETTE[np.where(depleted, Material.SCRUB, replay.tiles.material)]
        np.testing.assert_array_equal(shown[empty], expected[empty])
    assert harvested > 3


@pytest.mark.slow
def test_what_happens_is_seen():
    """Lines of attacks, crosses of the dead, white edges of the newborn, bars of lost health."""
    replay = played()
    painter = Painter(replay, range(len(replay) + 1), SCALE)
    colours = np.array([ImageColor.getrgb(one) for one in population_colours(4)])
    styles = [ImageColor.getrgb(one) for one in STYLE_COLOURS.values()]
    seen = dict.fromkeys(("line", "cross", "newborn", "bar"), 0)
    for k, (before, now) in enumerate(itertools.pairwise(replay.frames), 1):
        picture = painter.picture(k)
        lines = np.zeros((20, 18), int)  # that may go over each tile
        for attacker in np.flatnonzero(now.hit >= 0):
            both = [(agents, slot) for agents in (before.agents, now.agents) for slot in (attacker, now.hit[attacker])]
            ends = [(agents.row[slot], agents.col[slot]) for agents, slot in both]
            (top, left), (bottom, right) = np.min(ends, axis=0), np.max(ends, axis=0)
            lines[top : bottom + 1, left : right + 1] += 1
        free = lines == 0
        for attacker in np.flatnonzero(now.hit >= 0):
            target = now.hit[attacker]
            row, col = now.agents.row[target], now.agents.col[target]
            if now.agents.uid[target] == before.agents.uid[target] and lines[row, col] == 1:
                tile = picture[row * SCALE : (row + 1) * SCALE, col * SCALE : (col + 1) * SCALE]
                assert (tile == styles[now.style[attacker]]).all(-1).any()
                seen["line"] += 1
        for slot in alone(now.agents):
            row, col = int(now.agents.row[slot]), int(now.agents.col[slot])
            tile = picture[row * SCALE : (row + 1) * SCALE, col * SCALE : (col + 1) * SCALE]
            if free[row, col]:
                assert (tile[SCALE // 2, SCALE // 2] == colours[now.agents.population[slot]]).all()
                newborn = now.agents.uid[slot] >= before.next_uid
                assert (tile == 255).all(-1).any() == newborn
                hurt = now.agents.health[slot] < 10
                assert (tile == (240, 86, 91)).all(-1).any() == (hurt and now.agents.health[slot] > 0)
                seen["newborn"] += newborn
                seen["bar"] += hurt
        here = np.zeros((20, 18), bool)
        here[now.agents.row[now.agents.alive], now.agents.col[now.agents.alive]] = True
        for slot in np.flatnonzero(now.left):
            row, col = before.agents.row[slot], before.agents.col[slot]
            if not here[row, col] and free[row, col]:
                middle = picture[row * SCALE + SCALE // 2, col * SCALE + SCALE // 2]
                others = now.left & (before.agents.row == row) & (before.agents.col == col)
                assert others.sum() > 1 or (middle == colours[before.agents.population[slot]]).all()
                seen["cross"] += 1
    assert min(seen.values()) > 5, seen


def test_a_window_goes_along_with_an_agent():
    replay = played()
    lives = {int(uid): 0 for frame in replay.frames for uid in frame.agents.uid[frame.agents.alive]}
    for frame in replay.frames:
        for uid in frame.agents.uid[frame.agents.alive]:
            lives[int(uid)] += 1
    uid = max(lives, key=lives.__getitem__)
    whole = Painter(replay, range(65), 8)
    near = Painter(replay, range(65), 8, window=7, follow=uid)
    assert near.shape == (7 * 8 + 60, 360)
    for k, frame in enumerate(replay.frames):
        slot = np.flatnonzero(frame.agents.uid == uid)
        if slot.size:
            top = np.clip(frame.agents.row[slot[0]] - 3, 0, 13) * 8
            left = np.clip(frame.agents.col[slot[0]] - 3, 0, 11) * 8
            part = whole.picture(k)[top : top + 56, left : left + 56]
            same = (part == near.picture(k)[:56, :56]).all(-1)[8:-8, 8:-8]
            assert same.mean() > 0.95  # lines from outside may end there
    crowd = Painter(replay, range(65), 8, window=5).picture(64)
    assert crowd.shape == (5 * 8 + 60, 360, 3)
    with pytest.raises(ValueError, match="follow=9999: no agent of that number lives in these ticks"):
        Painter(replay, range(65), follow=9999)


def test_more_populations_than_there_is_room_for():
    replay = played()
    about = {**replay.about, "populations": [f"a long name, {p}" for p in range(4)]}
    named = type(replay)(about, replay.tiles, replay.frames, replay.toggled)
    for scale in (4, 32):
        strip = Painter(named, range(65), scale).picture(64)[-60:]
        assert (strip != strip[0, 0]).any()


def test_a_film_is_a_gif_of_the_ticks_that_were_asked_for(file, tmp_path, capsys):
    out = tmp_path / "world.gif"
    assert run("render", file, "--out", out, "--first", 10, "--last", 40, "--every", 4, "--fps", 15, "--scale", 8) == 0
    assert "8 of 8 pictures" in capsys.readouterr().err
    painter = Painter(played(), range(10, 41, 4), 8)
    gif = Image.open(out)
    assert (gif.n_frames, gif.size, gif.info["loop"]) == (8, painter.shape[::-1], 0)
    durations = []
    for k in range(8):
        gif.seek(k)
        durations.append(gif.info["duration"])
        exact, shown = painter.picture(k).astype(int), np.asarray(gif.convert("RGB")).astype(int)
        assert np.abs(exact - shown).mean() < 1
        np.testing.assert_array_equal(middles(shown, 8)[6:9, 6:9], middles(exact, 8)[6:9, 6:9])
        lava = (exact == PALETTE[Material.LAVA]).all(-1)
        np.testing.assert_array_equal(shown[lava], exact[lava])  # a colour that means something stays
    assert sum(durations) == 530 and set(durations) == {60, 70}  # ms; a GIF counts in hundredths of a second
    assert out.stat().st_size < 30_000  # eight whole pictures would be 48,000
    assert list(tmp_path.iterdir()) == [out]


def test_a_picture_of_a_tick(file, tmp_path, capsys):
    out = tmp_path / "world.png"
    assert run("render", file, "--out", out, "--tick", 30, "--scale", SCALE) == 0
    assert "360 x 380 pixels" in capsys.readouterr().out
    np.testing.assert_array_equal(np.asarray(Image.open(out)), Painter(played(), [30], SCALE).picture(0))


def test_an_mp4_needs_its_package(file, tmp_path, monkeypatch, capsys):
    out = tmp_path / "world.mp4"
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert run("render", file, "--out", out) == 2
    assert "-m pip install imageio-ffmpeg, or pip install '.[video]'" in capsys.readouterr().err
    assert not out.exists()
    program = tmp_path / "codec"
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", SimpleNamespace(get_ffmpeg_exe=lambda: str(program)))
    program.write_text(f"""#!/bin/sh
echo "$@" > {tmp_path}/given
for last; do :; done
cat > "$last"
""")
    program.chmod(0o755)
    assert run("render", file, "--out", out, "--last", 4, "--scale", 7, "--fps", 20) == 0
    given = (tmp_path / "given").read_text()
    assert "-s 360x200 -r 20 " in given and re.search(r"/\.world\.mp4\.[\d-]+\.part\n$", given)  # until it is whole
    sent = np.frombuffer(out.read_bytes(), np.uint8).reshape(5, 200, 360, 3)
    np.testing.assert_array_equal(sent[4], Painter(played(), range(5), 7).picture(4))
    capsys.readouterr()
    program.write_text("#!/bin/sh\necho '[mp4] Error closing file: No space left on device' >&2\nexit 228")
    assert run("render", file, "--out", tmp_path / "full.mp4") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"nmmo-jax: {tmp_path}/full.mp4: ffmpeg: Error closing file: No space left on device"
    assert not (tmp_path / "full.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "world.bmp"], "--out world.bmp: must end in .png, .gif or .mp4"),
        (["--out", "world"], "--out world: must end in .png"),
        (["--out", "a.gif", "--tick", "3"], "--tick 3: means nothing for a film (.gif)"),
        (["--out", "a.png", "--every", "3"], "--every 3: means nothing for a picture (.png)"),
        (["--out", "a.gif", "--every", "0"], "--every 0: must be at least 1 tick"),
        (["--out", "a.gif", "--fps", "51"], "--fps 51.0: allowed are 0.1 to 50 for .gif"),
        (["--out", "a.gif", "--fps", "nan"], "--fps nan: allowed are"),
        (
            ["--out", "a.gif", "--first", "9", "--last", "8"],
            "ticks 9 to 8: allowed are 0 to 64, in this order",
        ),
        (["--out", "a.gif", "--last", "65"], "ticks 0 to 65: allowed are 0 to 64"),
        (["--out", "a.png", "--tick", "65"], "ticks 65 to 65: allowed are 0 to 64"),
        (["--out", "a.gif", "--scale", "0"], "scale=0: allowed are 1 to 409 pixels per tile, for 20 tiles"),
        (["--out", "a.gif", "--scale", "500"], "scale=500: allowed are 1 to 409"),
        (["--out", "a.gif", "--window", "0"], "window=0: must be at least 1 tile"),
        (["--out", "nowhere/a.gif"], "nowhere/a.gif: No such file or directory"),
    ],
)
def test_bad_input(arguments, message, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("render", file, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_files_are_not_replaced_unasked(file, tmp_path, capsys):
    out = tmp_path / "out.png"
    out.write_text("mine")
    for command in (["render", file], ["replay", "cut", file]):
        assert run(*command, "--out", out) == 2
        assert "out.png: exists (--overwrite replaces it)" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run("render", file, "--out", out, "--overwrite") == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_replay_info(file, capsys):
    assert run("replay", "info", file) == 0
    told = capsys.readouterr().out
    words = " ".join(told.split())
    for fact in (
        "title chaos",
        "20 x 18 tiles, 16 places, simultaneous, layout blocks, lives end at 25 ticks",
        "start_food=12, start_water=12, regrowth_probability=0.2, immunity_ticks=3",
        "ticks 0 to 64",
        "living 6 at first, 16 at last",
    ):
        assert fact in words, fact
    rows = [line.split() for line in told.splitlines() if line.split()[1:2] in (["forager"], ["random"])]
    rows += [["4", *line.split()] for line in told.splitlines() if line.split()[:1] == ["all"]]
    for _, _, first, born, *left, last in rows:
        assert int(first) + int(born) - sum(map(int, left)) == int(last)
    assert [row[0] for row in rows] == ["0", "3", "4"]


def test_replay_cut_and_verify(file, tmp_path, capsys):
    part, changed, torn = (tmp_path / f"{name}.npz" for name in ("part", "changed", "torn"))
    assert run("replay", "cut", file, "--first", 20, "--last", 50, "--out", part) == 0
    replay = load_replay(part)
    assert [int(frame.tick) for frame in (replay.frames[0], replay.frames[-1])] == [20, 50]
    assert run("replay", "cut", part, "--last", 51, "--out", changed) == 2
    assert "ticks 20 to 51: allowed are 20 to 50, in this order" in capsys.readouterr().err
    assert run("replay", "verify", file, part) == 0
    assert "2 match, 0 differ" in capsys.readouterr().out
    frame = replay.frames[7]
    replay.frames[7] = frame.replace(agents=frame.agents.replace(food=frame.agents.food + np.int16(1)))
    save_replay(replay, changed)
    assert run("replay", "verify", part, changed) == 1
    assert "first at tick 27, in agents.food" in " ".join(capsys.readouterr().out.split())
    torn.write_bytes(part.read_bytes()[:-9])
    assert run("replay", "verify", torn, changed, tmp_path / "absent.npz") == 2
    told = capsys.readouterr().out
    assert "0 match, 1 differ, 2 cannot be read or played again" in told
    assert str(torn) in told and "absent.npz" in told
    assert run("replay", "info", torn) == 2
