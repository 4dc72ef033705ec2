"""Replays: equal to the play that they keep, whole or cut; files that are not quite replays are refused."""

import copy
import json
import re
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from replays import BIRTHS, CHAOS, LAW, REALM, SEED, begun, played
from small import jit_digest

from nmmo_jax import digest
from nmmo_jax.common.files import write_arrays
from nmmo_jax.components import Cause
from nmmo_jax.config import RULES_VERSION
from nmmo_jax.draws import fold_in
from nmmo_jax.kinds import WALKABLE
from nmmo_jax.play.playing import HumanActions
from nmmo_jax.replay import FORMAT, VERSION, Replay
from nmmo_jax.replay_file import load_replay, save_replay
from nmmo_jax.systems.movement import DIRECTIONS
from nmmo_jax.vectorized import vectorize
from nmmo_jax.world.pool import MapPool


def equal(one: Replay, other: Replay) -> None:
    """Bit for bit."""
    assert one.about == other.about
    trees = [(replay.tiles, replay.frames, replay.toggled) for replay in (one, other)]
    jax.tree.map(np.testing.assert_array_equal, *trees)


@pytest.mark.slow
@pytest.mark.parametrize("law", [False, True])
def test_a_replay_is_the_play_of_the_simulator(law):
    """Realm 1 of two, played as ``measure`` plays them: every digest, and who lives where."""
    play, replay = begun(law), played(law)
    world = vectorize(play.env, 2)
    key, policy_key = jax.random.split(jax.random.key(SEED))
    keys = jax.vmap(fold_in, (None, 0))(policy_key, jnp.arange(2))

    def tick(carry, _):
        before, core = carry
        tick_keys = jax.vmap(fold_in)(keys, before.tick)
        action, core = play.players.act(play.players.params, tick_keys, world.observe(before), before, core)
        _, after, *_ = world.step(key, before, action)
        return (after, core), (jax.vmap(digest)(after), after.agents.alive, after.agents.row)

    @jax.jit
    def run(tiles):
        _, first = world.reset(key, tiles=tiles, initial_population=BIRTHS)
        _, told = jax.lax.scan(tick, (first, play.players.initial(2)), length=len(replay))
        return jax.vmap(digest)(first), told

    first, (digests, alive, row) = run(MapPool.generated(0, 2, play.env.config).tiles(jnp.arange(2)))
    np.testing.assert_array_equal(replay.frames[0].digest, first[REALM])
    np.testing.assert_array_equal([frame.digest for frame in replay.frames[1:]], digests[:, REALM])
    there = np.array([frame.agents.alive for frame in replay.frames[1:]])
    np.testing.assert_array_equal(there, alive[:, REALM])
    rows = np.array([frame.agents.row for frame in replay.frames[1:]])
    np.testing.assert_array_equal(rows, np.where(there, row[:, REALM], 0))
    assert replay.config == (LAW if law else CHAOS)


@pytest.mark.slow
@pytest.mark.parametrize("law", [False, True])
def test_what_happened_adds_up(law):
    replay, causes = played(law), []
    for before, now in zip(replay.frames, replay.frames[1:], strict=False):
        assert not (now.left & ~before.agents.alive).any()
        gone = before.agents.alive & (now.agents.uid != before.agents.uid)
        np.testing.assert_array_equal(now.left, gone)
        assert (now.left_age[~now.left] == 0).all() and (now.cause[~now.left] == Cause.NONE).all()
        causes += now.cause[now.left].tolist()
        if not law:
            np.testing.assert_array_equal(now.left_age[now.left & (now.cause == Cause.NONE)], CHAOS.max_lifetime)
        attacker = np.flatnonzero(now.hit >= 0)
        np.testing.assert_array_equal(now.hit[attacker], now.target[attacker])
        assert before.agents.alive[attacker].all() and before.agents.alive[now.hit[attacker]].all()
        empty = ~now.agents.alive
        assert (now.agents.uid[empty] == -1).all() and not now.agents.row[empty].any()
    expected = {Cause.LAVA, Cause.STARVATION, Cause.THIRST}
    assert set(causes) == (expected if law else {Cause.NONE, *expected, Cause.COMBAT})
    assert sum(map(len, replay.toggled)) > 10


@pytest.mark.slow
@pytest.mark.parametrize("law", [False, True])
def test_a_saved_replay_is_read_as_it_was(law, tmp_path):
    replay = played(law)
    save_replay(replay, tmp_path / "replay.npz")
    again = load_replay(tmp_path / "replay.npz")
    equal(again, replay)
    assert again.verify() is None
    assert list(tmp_path.iterdir()) == [tmp_path / "replay.npz"]
    assert (tmp_path / "replay.npz").stat().st_size < 300 * len(replay) + 6000
    with pytest.raises(FileNotFoundError, match=r"nowhere/replay\.npz"):
        save_replay(replay, tmp_path / "nowhere" / "replay.npz")


@pytest.mark.slow
@pytest.mark.parametrize("law", [False, True])
def test_a_realm_can_be_made_of_every_frame(law):
    replay = played(law)
    for index, frame in enumerate(replay.frames):
        np.testing.assert_array_equal(jit_digest(replay.realm(index)), frame.digest)
    for first in (1, len(replay) // 2):  # its future is the same, too
        assert replay.cut(first, len(replay)).verify() is None


@pytest.mark.slow
def test_cuts(tmp_path):
    replay = played()
    part = replay.cut(20, 50)
    assert len(part) == 30
    assert [int(frame.tick) for frame in part.frames] == list(range(20, 51))
    assert part.toggled[0].size  # what was harvested before
    assert not part.frames[0].left.any() and (part.frames[0].hit == -1).all()
    for index in (0, 13, 30):
        np.testing.assert_array_equal(part.ready_tick(index), replay.ready_tick(20 + index))
    assert part.verify() is None
    equal(part.cut(5, 20), replay.cut(25, 40))
    save_replay(part.cut(7, 7), tmp_path / "one.npz")  # a single frame
    one = load_replay(tmp_path / "one.npz")
    assert len(one) == 0 and one.verify() is None
    np.testing.assert_array_equal(jit_digest(one.realm(0)), replay.frames[27].digest)
    for first, last in ((-1, 3), (4, 3), (0, 65)):
        with pytest.raises(ValueError, match=f"frames {first} to {last}: allowed are 0 to 64"):
            replay.cut(first, last)


def altered() -> Replay:
    """One whose frames may be changed."""
    replay = played()
    return Replay(copy.deepcopy(replay.about), replay.tiles, [*replay.frames], [*replay.toggled])


def test_verify_finds_what_was_changed():
    replay = played()
    before, now = replay.frames[29:31]
    walked = np.flatnonzero((now.agents.uid == before.agents.uid) & (now.agents.row != before.agents.row))[0]

    stays = altered()
    move = now.move.copy()
    move[walked] = 0
    stays.frames[30] = now.replace(move=move)
    index, columns = stays.verify()
    assert index == 30
    assert {"agents.row", "digest"} <= set(columns.split(", "))

    sick = altered()
    agents = now.agents.replace(health=now.agents.health + np.int16(1))
    sick.frames[30] = now.replace(agents=agents)
    assert sick.verify() == (30, "agents.health")
    sick.frames[0] = sick.frames[0].replace(digest=now.digest)
    assert sick.verify() == (0, "digest")

    rekeyed = altered()
    rekeyed.about["key"][1] ^= 1
    index, columns = rekeyed.verify()
    assert index == 1 and "agents.population" in columns

    when = next(index for index, tiles in enumerate(replay.toggled) if index and tiles.size)
    unseen = altered()
    unseen.toggled[when] = unseen.toggled[when][1:]
    assert unseen.verify() == (when, "forests")
    late = altered()
    ready_tick = late.tiles.ready_tick.copy()
    ready_tick.reshape(-1)[replay.toggles(-1, 64)[0]] += 1
    late.tiles = late.tiles.replace(ready_tick=ready_tick)
    assert late.verify() == (64, "forests")

    other = altered()
    other.about["rules_version"] = RULES_VERSION + 1
    with pytest.raises(ValueError, match=r"rules_version=\d+: played by other rules"):
        other.verify()
    other.about |= {"rules_version": RULES_VERSION, "recomputable": False}
    with pytest.raises(ValueError, match="cannot be played again"):
        other.verify()


def test_who_is_taken_over_does_only_what_it_is_told():
    play, free = begun().beside(0), begun().beside(0)
    for _ in range(9):
        play.tick(), free.tick()
    slot = int(np.flatnonzero(play.replay.frames[-1].agents.alive)[-1])
    other = int(np.flatnonzero(play.replay.frames[-1].agents.alive)[0])
    idle, uid = HumanActions(CHAOS), play.replay.frames[-1].agents.uid[slot]
    idle.taken[slot] = True
    told, asked = play.tick(idle), free.tick()
    assert (told.move[slot], told.style[slot], told.target[slot]) == (0, 0, -1)
    others = np.arange(CHAOS.num_agents) != slot
    for name in ("move", "style", "target"):
        np.testing.assert_array_equal(getattr(told, name)[others], getattr(asked, name)[others])
    went = 0
    for move in (1, 2, 3, 4) * 2:
        before = play.replay.frames[-1].agents
        if before.uid[slot] != uid:
            break
        person = HumanActions(CHAOS)
        person.taken[slot] = True
        for name, value in (("move", move), ("style", 1), ("target", other)):
            person.choices[name][slot] = value
        now = play.tick(person)
        assert (now.move[slot], now.style[slot], now.target[slot]) == (move, 1, other)
        if now.agents.uid[slot] == uid:
            to = np.array([before.row[slot], before.col[slot]]) + DIRECTIONS[move]
            goes = before.freeze[slot] <= 1 and play.replay.tiles.material[tuple(to)] in WALKABLE
            assert ([now.agents.row[slot], now.agents.col[slot]] == to).all() == goes
            went += goes
    assert went
    assert play.replay.verify() is None  # it is in the actions


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A short replay in a file."""
    path = tmp_path_factory.mktemp("replays") / "short.npz"
    save_replay(played().cut(30, 33), path)
    return path


def test_damaged_files_are_refused_or_read_as_they_were(file, tmp_path):
    whole, path = file.read_bytes(), tmp_path / "damaged.npz"
    intact = load_replay(file)
    rng = np.random.default_rng(0)
    tail = len(whole) - 2200  # where the list of the archive's members is
    places = [*range(0, len(whole), 101), *rng.integers(tail, len(whole), 50)]
    refused = 0
    for place in places:
        for content in (
            whole[:place],
            bytes([*whole[:place], whole[place] ^ (1 << rng.integers(8)), *whole[place + 1 :]]),
        ):
            path.write_bytes(content)
            try:
                equal(load_replay(path), intact)
            except ValueError as error:
                assert str(path) in str(error)
                refused += 1
    assert refused > 1.5 * len(places)  # all that are cut short, and most others


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x93NUMPY", b"PK\x05\x06" + bytes(18)])
def test_foreign_files(content, tmp_path):
    (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.npz: (damaged, or no archive|not a replay)"):
        load_replay(tmp_path / "file.npz")
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("about", "none")
    with pytest.raises(ValueError, match=r"file\.npz: not a replay"):
        load_replay(tmp_path / "file.npz")


def put(name, value):
    return lambda arrays, about: arrays.update({name: np.asarray(value)})


def told(**fields):
    return lambda arrays, about: about.update(fields)


def bent(name, change):
    def damage(arrays, about):
        arrays[name] = change(arrays[name])

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (told(version=VERSION + 1), r"written by a newer nmmo-jax: version 2; known is 1"),
        (told(version=10**400), r"written by a newer nmmo-jax: version 1000+; known is 1"),
        (told(version="one"), "not a replay, or damaged"),
        (told(format="another"), "not a replay, or damaged"),
        (told(populations=["forager"]), "populations: must be 4 names"),
        (told(populations=[1, 2, 3, 4]), r"Expected `str`, got `int` - at `\$.populations"),
        (told(key=[1]), r"length >= 2 - at `\$.key"),
        (told(key=[1, 2**32]), r"`int` <= 4294967295 - at `\$.key"),
        (told(title=None), r"Expected `str`, got `null` - at `\$.title"),
        (told(rules_version="1"), r"Expected `int`, got `str` - at `\$.rules_version"),
        (told(config={"num_agents": 10**400}), "num_agents"),
        (told(config={}), "damaged"),
        (told(config={"num_agents": 0}), "num_agents=0"),
        (told(rules={"start_health": 10**9}), "rules.start_health=1000000000"),
        (told(rules={"flight": 1}), "flight"),
        (lambda arrays, about: about.pop("recomputable"), "recomputable"),
        (lambda arrays, about: arrays.pop("agents.uid"), "agents.uid"),
        (bent("agents.row", lambda x: x + np.uint16(20)), "agents.row: allowed are 0 to 19"),
        (bent("agents.population", lambda x: x + np.uint16(4)), "agents.population: allowed are 0 to 3"),
        (bent("agents.health", lambda x: x[:-1]), r"agents.health: uint16 of shape \(3, 16\)"),
        (bent("agents.health", lambda x: x.astype(np.uint32)), "agents.health: uint32"),
        (bent("agents.alive", lambda x: x + np.uint8(1)), "agents.alive: allowed are 0 to 1"),
        (bent("hit", lambda x: x + np.uint32(17)), "hit: allowed are -1 to 15"),
        (bent("move", lambda x: x + np.uint8(5)), "move: allowed are 0 to 4"),
        (bent("cause", lambda x: x + np.uint8(5)), "cause: allowed are 0 to 4"),
        (bent("tick", lambda x: x + np.uint32(1)), "tick: must count up by one"),
        (bent("tick", lambda x: x[:0]), "tick"),
        (bent("tiles.material", lambda x: x + np.uint8(9)), "tiles.material: allowed are 0 to 6"),
        (bent("tiles.material", lambda x: x[1:]), r"tiles.material: uint8 of shape \(19, 18\)"),
        (bent("tiles.size", lambda x: x + 1), "tiles.size"),
        (bent("tiles.spawn_tile", lambda x: x - 1), "tiles.spawn_tile: allowed are 0 to 359"),
        (put("tiles.num_spawn_tiles", np.int32(0)), "tiles.num_spawn_tiles: allowed are 1 to 72"),
        (bent("toggled.tile", lambda x: x + 360), "toggled.tile: allowed are 0 to 359"),
        (bent("toggled.tile", lambda x: 0 * x), "toggled: out of order, or tiles that are always ready"),
        (bent("toggled.tile", lambda x: x.astype(float)), "toggled: must be frames and tiles"),
        (bent("toggled.frame", lambda x: x - 1), "toggled.frame: allowed are 0 to 3"),
        (bent("toggled.frame", lambda x: x[::-1].copy()), "toggled: out of order"),
    ],
)
def test_files_that_say_what_cannot_be(damage, message, file, tmp_path):
    with np.load(file) as archive:
        arrays = dict(archive)
    about = json.loads(bytes(arrays["about"]))
    damage(arrays, about)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    path = tmp_path / "odd.npz"
    del arrays["sha256"]
    write_arrays(path, arrays)
    with pytest.raises(ValueError, match=message) as error:
        load_replay(path)
    assert re.match(re.escape(str(path)) + ": ", str(error.value))
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000


def test_numbers_that_were_changed_are_refused(file, tmp_path):
    """All of them could be: only the checksum tells."""
    with np.load(file) as archive:
        arrays = dict(archive)
    path = tmp_path / "changed.npz"
    arrays["agents.food"] = arrays["agents.food"] + np.uint16(1)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match=r"changed\.npz: damaged, or changed"):
        load_replay(path)
    del arrays["sha256"]
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match=r"changed\.npz: has no checksum: an earlier version wrote it"):
        load_replay(path)
    arrays["about"] = np.frombuffer(json.dumps({"format": FORMAT, "version": VERSION + 1}).encode(), np.uint8)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match=r"changed\.npz: written by a newer nmmo-jax: version 2; known is 1"):
        load_replay(path)
