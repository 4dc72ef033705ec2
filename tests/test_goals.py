"""Steps to goals, held against a plain breadth-first search, and what systems can declare as a goal."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slow import slow_but

from nmmo_jax import Column, Config, Environment, Goal, Leaf, Listing, Material, NewMaterial, System, Table, vectorize
from nmmo_jax.goals import CLAIM_STEPS, CLASSIC, HUNGER, LEAD, RACE_STEPS, View, goals, with_steps
from nmmo_jax.observations import FEATURES, NUM_FEATURES, Observation
from nmmo_jax.paths import DETOUR, FAR, MAX_RADIUS
from nmmo_jax.systems.movement import DIRECTIONS

BESIDE = ((0, 1), (1, 0), (0, -1), (-1, 0))
AGENTS, LISTED = 12, 4
FOOD, *PLACE = (list(FEATURES).index(name) for name in ("food", "row_difference", "col_difference"))


def windows(view, seed, most_lava=0.4):
    """Observations of agents who see tiles at random, themselves in the middle and some others."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0, most_lava, (AGENTS, 1, 1))
    material = rng.integers(Material.GRASS, Material.STONE + 1, (AGENTS, view, view))
    material = np.where(rng.random(material.shape) < share, Material.LAVA, material)
    ground = (material >= Material.GRASS) & (material <= Material.FOREST)
    count = (ground & (rng.random(material.shape) < 0.05)) * rng.integers(1, 3, material.shape)
    material[:, view // 2, view // 2] = rng.choice([Material.GRASS, Material.FOREST], AGENTS)
    count[:, view // 2, view // 2] = 1
    visible, slot = np.zeros((AGENTS, LISTED, NUM_FEATURES), np.int16), np.full((AGENTS, LISTED), -1, np.int32)
    visible[..., FOOD] = rng.choice([0, 10, 20], visible.shape[:2])
    for agent in range(AGENTS):
        rows, columns = np.nonzero(count[agent])
        there = rng.permutation(len(rows))[: rng.integers(0, LISTED)]
        visible[agent, 1 : 1 + len(there), PLACE[0]] = rows[there] - view // 2
        visible[agent, 1 : 1 + len(there), PLACE[1]] = columns[there] - view // 2
        slot[agent, : 1 + len(there)] = agent
    return Observation(
        tiles=jnp.asarray(np.stack([material, count], axis=1), jnp.uint8),
        self=jnp.zeros((AGENTS, NUM_FEATURES), jnp.int16),
        visible=jnp.asarray(visible),
        visible_slot=jnp.asarray(slot),
        mask={},
    )


def distances(starts, ground):
    """Steps from the nearest start to every tile, over ground; -1 where there is no way."""
    steps = np.full(ground.shape, -1)
    queue = deque(zip(*np.nonzero(starts & ground), strict=True))
    for place in queue:
        steps[place] = 0
    while queue:
        row, col = queue.popleft()
        for down, right in BESIDE:
            there = row + down, col + right
            inside = 0 <= there[0] < len(ground) and 0 <= there[1] < len(ground)
            if inside and ground[there] and steps[there] < 0:
                steps[there] = steps[row, col] + 1
                queue.append(there)
    return steps


def plainly(material, count, visible, slot):
    """The classic goals of one agent, ``[G, W, W]``, and the ground."""
    width = len(material)
    ground = (material >= Material.GRASS) & (material <= Material.FOREST)
    forest, here = material == Material.FOREST, np.zeros((width, width), bool)
    here[width // 2, width // 2] = True
    others = (count > 0) & ~here
    water = np.pad(material == Material.WATER, 1)
    shore = ground & (water[1:-1, 1:-1] | water[:-2, 1:-1] | water[2:, 1:-1] | water[1:-1, :-2] | water[1:-1, 2:])
    mine, theirs = here.copy(), others & ground
    for _ in range(RACE_STEPS):  # they move first, and where both come at once they are before one
        theirs = theirs | ((distances(theirs, ground) == 1) & ~mine)
        mine = mine | ((distances(mine, ground) == 1) & ~theirs)
    own = forest & ~here & ~theirs
    free, before = forest & ~here & ~others, np.arange(width**2).reshape(width, width) < width**2 // 2
    early, late = np.zeros_like(free), np.zeros_like(free)
    for other in visible[1:][slot[1:] >= 0]:
        place = tuple(width // 2 + other[PLACE])
        if min(place) >= 0 and max(place) < width and abs(other[FOOD] - visible[0, FOOD]) > HUNGER:
            (early if other[FOOD] < visible[0, FOOD] else late)[place] = True
    late &= ~early
    equal = others & ~early & ~late
    starts = {0: {"first": early}, 2 * LEAD: {"last": late}}
    starts[LEAD] = {"first": equal & before, "mine": here, "last": equal & ~before}
    claims = {who: np.zeros_like(free) for who in ("first", "mine", "last")}
    for step in range(2 * LEAD + CLAIM_STEPS + 1):
        nearer = {who: (distances(bits, ground) == 1) if step else 0 * bits > 0 for who, bits in claims.items()}
        for more in (nearer, starts.get(step, {})):
            for who, bits in more.items():
                taken = np.any([other for name, other in claims.items() if name != who], axis=0)
                claims[who] = claims[who] | (bits & ~taken)
    theirs = claims["first"] | claims["last"]
    wanted = np.zeros_like(free)
    far = distances(free & theirs, ground & theirs)
    for place in zip(*np.nonzero(others & ground), strict=True):
        if 0 <= far[place] <= CLAIM_STEPS:
            start = np.zeros_like(free)
            start[place] = True
            wanted |= free & theirs & (distances(start, ground & theirs) == far[place])
    return [forest, own, free & ~theirs, free & theirs & ~wanted, shore, others], ground


@pytest.mark.parametrize("platform", ["cpu", "default"])
@pytest.mark.parametrize("view", slow_but(1, 3, of=[1, 3, 9, 15, 2 * MAX_RADIUS + 7]))
def test_steps_are_those_of_a_plain_search(monkeypatch, platform, view):
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, **forms: forms[platform](*args))
    config = Config(view=view)
    obs = windows(view, view)
    found = np.asarray(jax.jit(lambda obs: with_steps(obs, config))(obs).steps)
    assert found.shape == (AGENTS, len(CLASSIC), 5) and found.dtype == np.uint8
    width = min(max(view, 3), 2 * MAX_RADIUS + 1)
    depth, cut = 2 * (width // 2) + DETOUR, (view - width) // 2
    seen = set()
    for agent, tiles in enumerate(np.asarray(obs.tiles)):
        tiles = np.pad(tiles, [(0, 0), (1, 1), (1, 1)]) if view == 1 else tiles[:, cut : view - cut, cut : view - cut]
        kinds, ground = plainly(*tiles, np.asarray(obs.visible[agent]), np.asarray(obs.visible_slot[agent]))
        for index, kind in enumerate(kinds):
            far = distances(kind, ground)
            places = [far[width // 2 + row, width // 2 + col] for row, col in DIRECTIONS]
            expected = [steps if 0 <= steps < depth else FAR for steps in places]
            np.testing.assert_array_equal(found[agent, index], expected, f"agent {agent}, {CLASSIC[index].name}")
            seen |= {*expected}
    assert FAR in seen and (view < 9 or len(seen) > 8)


@pytest.mark.slow
def test_what_nobody_asks_for_is_not_there():
    env = Environment(Config(num_agents=8, num_populations=1, rows=32, columns=32, border=4))
    obs, _ = env.reset(jax.random.key(0))
    assert obs.steps is None


# ------------------------------------------------------------------------------------------------------- systems

DEN = System(
    "den",
    materials=(NewMaterial("den"), NewMaterial("wall", walkable=False)),
    tables=(Table("wolves", 4, (Column("row"), Column("col"))),),
    observe=(
        Listing("pack", "wolves", 3, ("row", "col")),
        Leaf("smell", lambda world: jnp.zeros((world.config.num_agents, 9, 9), jnp.int32), ("view", "view"), 0, 9),
    ),
    goals=(
        Goal("to_den", lambda view: view.material("den")),
        Goal("pack_beside", lambda view: view.beside(view.listed("pack"))),
        Goal("smelt", lambda view: view.shown("smell") & view.ground),
        Goal("kin", lambda view: view.agents(same_population=True)),
        Goal("rivals", lambda view: view.agents(same_population=False)),
    ),
)


@pytest.mark.slow
def test_systems_declare_goals_of_all_that_is_seen():
    config = Config(num_agents=AGENTS, num_populations=1, view=9, systems=(DEN,))
    assert [goal.name for goal in goals(config)][len(CLASSIC) :] == ["to_den", "pack_beside", "smelt", "kin", "rivals"]
    names, obs = config.material_names, windows(9, 0, 0)
    tiles = np.full((AGENTS, 2, 9, 9), Material.GRASS, np.uint8)
    tiles[:, 1] = 0
    tiles[:, 0, 4, 7], tiles[:, 0, 4, 6] = names.index("den"), names.index("wall")  # three to the right, around a wall
    pack, rows = np.zeros((AGENTS, 3, 2), np.int16), np.full((AGENTS, 3), -1, np.int32)
    pack[:, 0], rows[:, 0] = (4, 0), 1  # four below
    pack[:, 1] = (0, 1)  # and what is not listed does not count
    smell = np.zeros((AGENTS, 9, 9), np.int16)
    smell[:, 0, 4] = 5  # four above
    visible, slot = np.zeros((AGENTS, 4, NUM_FEATURES), np.int16), np.full((AGENTS, 4), -1, np.int32)
    place = {name: list(FEATURES).index(name) for name in ("row_difference", "col_difference", "same_population")}
    for index, (down, right, same) in enumerate(((0, 0, 1), (0, -3, 1), (2, 2, 0)), 0):
        visible[:, index, list(place.values())] = down, right, same
        slot[:, index] = index
    obs = obs.replace(
        tiles=jnp.asarray(tiles),
        of={"pack": jnp.asarray(pack), "smell": jnp.asarray(smell)},
        rows={"pack": jnp.asarray(rows)},
        visible=jnp.asarray(visible),
        visible_slot=jnp.asarray(slot),
    )
    steps = np.asarray(with_steps(obs, config).steps)[0, len(CLASSIC) :]
    # One's own tile, and those right, below, left and above.
    np.testing.assert_array_equal(steps[0], [5, 4, 4, 6, 4])
    assert steps[1, 0] == 3 and steps[2].tolist() == [4, 5, 5, 5, 3]
    assert steps[3].tolist() == [3, 4, 4, 2, 4] and steps[4].tolist() == [4, 3, 3, 5, 5]


@pytest.mark.slow
def test_goals_are_seen_in_a_world_that_has_them():
    config = Config(num_agents=8, num_populations=1, rows=32, columns=32, border=4, view=9, systems=(DEN,))
    many = vectorize(Environment(config), 2)
    obs, _ = many.reset(jax.random.key(0))
    obs = jax.jit(lambda obs: with_steps(obs, config))(obs)
    assert obs.steps.shape == (2, 8, len(goals(config)), 5)


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (lambda view: view.material("mud"), "material 'mud': there are"),
        (lambda view: view.listed("mud"), "list 'mud': there are pack"),
        (lambda view: view.shown("mud"), "observation 'mud': must be one of shape"),
        (lambda view: view.ground.T, "goal odd: .*: must be bits of the view"),
        (lambda view: 1, "goal odd: int of shape .*: must be bits of the view"),
    ],
)
def test_goals_that_cannot_be_are_refused(places, told):
    goal = Goal("odd", places)
    system = System("odd", materials=DEN.materials, tables=DEN.tables, observe=DEN.observe, goals=[goal])
    config = Config(num_agents=AGENTS, num_populations=1, view=9, systems=(system,))
    obs = windows(9, 0).replace(
        of={"pack": jnp.zeros((AGENTS, 3, 2), jnp.int16), "smell": jnp.zeros((AGENTS, 9, 9), jnp.int16)},
        rows={"pack": jnp.full((AGENTS, 3), -1, jnp.int32)},
    )
    with pytest.raises(ValueError, match=told):
        with_steps(obs, config)


def test_names_of_goals_are_taken_once():
    assert [goal.name for goal in CLASSIC] == [goal.name for goal in goals(Config())]
    with pytest.raises(ValueError, match="forest"):
        Config(systems=(System("again", goals=(Goal("forest", lambda view: view.here),)),))
    with pytest.raises(ValueError, match="goal"):
        Goal("odd", "not a function")


def test_the_edge_lies_in_the_direction_of_a_move():
    view = View(windows(9, 0, 0), Config(view=9))
    edges = np.asarray(view.edge(jnp.arange(AGENTS, dtype=jnp.int32) % 4 + 1))
    ground = np.asarray(view.ground)
    for agent in range(4):
        row, col = DIRECTIONS[agent + 1]
        expected = np.zeros((9, 9), bool)
        expected[(0 if row < 0 else -1) if row else slice(None), (0 if col < 0 else -1) if col else slice(None)] = True
        bits = (edges[:, agent, None] >> np.arange(9)) & 1
        allowed = (ground[:, agent, None] >> np.arange(9)) & 1
        np.testing.assert_array_equal(bits.astype(bool), expected & allowed.astype(bool))
