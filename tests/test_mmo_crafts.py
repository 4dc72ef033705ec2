"""Crafts: a pack after every recipe against plain Python, masks, who cannot craft, and tables of one's own."""

import pickle
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmo_jax
from nmmo_jax import Action, Column, Phase, System
from nmmo_jax.draws import choose
from nmmo_jax.mmo.crafts import CRAFTS, RECIPES, Recipe, crafts
from nmmo_jax.mmo.items import ITEMS, put
from nmmo_jax.mmo.kinds import (
    ARROW,
    CRYSTAL,
    FISH,
    HAT,
    HERB,
    KINDS,
    MEAT,
    ORE,
    POTION,
    RATION,
    SKILLS,
    WHETSTONE,
    WOOD,
)
from nmmo_jax.testing import WORLD, check_system

GOODS = (FISH, MEAT, HERB, ORE, WOOD, CRYSTAL)
RULEBOOK = Path(__file__).parents[1] / "docs" / "rulebook-mmo.md"
TABLE = """
ration fishing fish 1 wood 1 1
ration fishing meat 1 wood 1 1
potion herbalism herb 2 1
whetstone prospecting ore 1 5
arrow carving wood 1 5
runes alchemy crystal 1 5
spear prospecting ore 2 wood 1 1
bow carving wood 2 herb 1 1
wand alchemy crystal 2 wood 1 1
hat prospecting ore 1 herb 1 1
top prospecting ore 3 crystal 1 1
bottom prospecting ore 2 herb 1 1
rod carving wood 2 ore 1 1
gloves herbalism herb 2 wood 1 1
pickaxe prospecting ore 1 wood 1 1
axe carving wood 1 ore 1 1
chisel alchemy crystal 1 ore 1 1
"""


def endow(world):
    """After their first tick agents have some goods of any levels."""
    born = world.alive & (world.agents.age == 1)
    for index in range(5):
        word = world.words(index)
        kind = jnp.asarray(GOODS, jnp.int32)[choose(word[:, 0], len(GOODS))]
        level, amount = 1 + choose(word[:, 1], 3), 1 + choose(word[:, 1] << 8, 4)
        world = world.through("items", lambda w, k=kind, n=level, a=amount: put(w, born, k, n, a))
    return world


ENDOWED = System("endowed", needs=["items"], phases=[Phase("settle", endow)])
STUDIES = System("skills", agents=[Column("level", newborn=1, low=0, high=99, each=SKILLS)])
PLAY = {**WORLD, "num_agents": 24, "spawn_rate": 0.0}
ENV = nmmo_jax.make("law", **PLAY, systems=[ITEMS, CRAFTS])
SKILLED = nmmo_jax.make("law", **PLAY, systems=[STUDIES, ITEMS, CRAFTS])
steps = {env: jax.jit(env.step) for env in (ENV, SKILLED)}
looks = {env: jax.jit(lambda realm, env=env: env.observe(realm).mask["craft"]) for env in (ENV, SKILLED)}


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["simultaneous", "sequential"])
def test_it_is_as_systems_are(resolution):
    check_system(CRAFTS, needs=[ITEMS, ENDOWED], reach=8, resolution=resolution, ticks=30)


def test_the_table():
    """That of the rulebook."""
    given = []
    for recipe in RECIPES:
        goods = [f"{KINDS[kind].name} {quantity}" for kind, quantity in recipe.ingredients]
        given.append(" ".join([KINDS[recipe.product].name, recipe.skill, *goods, str(recipe.amount)]))
    assert given == TABLE.split("\n")[1:-1]
    page = RULEBOOK.read_text()
    rows = re.findall(r"^\| ([\d, to]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", page[page.index("\n## Crafts") :], re.M)
    assert sum(len(numbers.split(", ")) for numbers, *_ in rows if numbers[0].isdigit()) == len(RECIPES) == 17


def world(packs, env=ENV, **more):
    """A realm of agents far from each other, each with a pack of (kind, level, quantity, worn)."""
    number = len(packs)
    columns = np.zeros((4, number, 12), int)
    for agent, items in enumerate(packs):
        for place, item in enumerate(items):
            columns[: len(item), agent, place] = item
    of = {f"items.{name}": columns[k].T for k, name in enumerate(("kind", "level", "quantity", "worn"))}
    of |= more.pop("of", {})
    place = np.arange(number)
    ground = np.full((24, 22), 2)
    return nmmo_jax.make_realm(
        env.config,
        ground,
        row=4 * (place // 5) + 2,
        col=4 * (place % 5) + 2,
        slot=place,
        population=place // 8,
        rules=env.rules,
        of=of,
        **more,
    )


def packs_of(realm, number):
    columns = [np.asarray(realm.of["items"][name].T[:number]) for name in ("kind", "level", "quantity")]
    return [[tuple(map(int, item)) for item in zip(*agent, strict=True)] for agent in zip(*columns, strict=True)]


def play(realm, choices, env=ENV, **more):
    """A tick in which agents craft this: packs after it, and ``{event: {slot: amount}}``."""
    n = env.config.num_agents
    choice = jnp.zeros(n, jnp.int32).at[: len(choices)].set(jnp.asarray(choices, jnp.int32))
    _, after, *_, info = steps[env](jax.random.key(0), realm, Action(of={"craft": choice, **more}))
    events = {}
    for name, one in info.outcome.of["crafts"].events.items():
        for slot in np.flatnonzero(np.asarray(one.happened)):
            events.setdefault(name, {})[int(slot)] = int(one.amount[slot])
    return packs_of(after, len(choices)), events


def crafted(pack, levels, recipe):
    """A pack of (kind, level, quantity, worn) after crafting, and the product's level; None: it cannot be crafted."""
    pack, lowest = [*pack], 99
    for kind, quantity in recipe.ingredients:
        fits = [
            (-item[1], place)
            for place, item in enumerate(pack)
            if item[0] == kind and item[2] >= quantity and not item[3] and item[1] <= levels[recipe.skill]
        ]
        if not fits:
            return None
        place = min(fits)[1]
        _, level, there, _ = pack[place]
        lowest = min(lowest, level)
        pack[place] = (kind, level, there - quantity, 0) if there > quantity else (0, 0, 0, 0)
    most = KINDS[recipe.product].most
    for place, (kind, level, there, worn) in enumerate(pack):
        if (kind, level) == (recipe.product, lowest) and there + recipe.amount <= most:
            pack[place] = (kind, level, there + recipe.amount, worn)
            return pack, lowest
    for place, item in enumerate(pack):
        if not item[0]:
            pack[place] = (recipe.product, lowest, recipe.amount, 0)
            return pack, lowest
    return None


def test_every_recipe():
    """Of just its ingredients, and of one too few."""
    just = [[(kind, 3, quantity, 0) for kind, quantity in recipe.ingredients] for recipe in RECIPES]
    after, events = play(world(just), range(1, 18))
    for slot, recipe in enumerate(RECIPES):
        assert [item for item in after[slot] if item[0]] == [(recipe.product, 3, recipe.amount)]
        assert events[f"crafted_{recipe.skill}"][slot] == 3
    assert sum(map(len, events.values())) == 17
    for part in (0, -1):
        few = [[*pack] for pack in just]
        for pack in few:
            kind, level, quantity, worn = pack[part]
            pack[part] = (kind, level, quantity - 1, worn) if quantity > 1 else (0, 0, 0, 0)
        realm = world(few)
        after, events = play(realm, range(1, 18))
        assert after == packs_of(realm, 17) and not events


def random_pack(rng):
    """Few kinds, so that much can be crafted; often full, and stacks that are nearly so."""
    pack = []
    for _ in range(12):
        kind = int(rng.choice([0, ARROW, ARROW + 1, ARROW - 1, HAT, *GOODS, *GOODS]))
        if kind == 0 and rng.random() < 0.7:
            kind = ORE
        most = KINDS[kind].most
        quantity = int(rng.choice([1, 1, 2, 3, most - 5, most - 4, most])) if most > 1 else most
        pack.append((kind, int(rng.integers(1, 5)), quantity, 0) if kind else (0, 0, 0, 0))
    worn = next((place for place, item in enumerate(pack) if item[0] == ARROW), None)
    if worn is not None:
        pack[worn] = (*pack[worn][:3], 1)
    return pack


@pytest.mark.slow
@pytest.mark.parametrize("env", [ENV, SKILLED], ids=["without skills", "with skills"])
def test_random_packs_against_plain_python(env):
    """What is crafted and told, and all masks."""
    rng, number, can = np.random.default_rng(1), 24, []
    for round_ in range(40):
        packs = [random_pack(rng) for _ in range(number)]
        levels = rng.integers(1, 5, (number, len(SKILLS))) if env is SKILLED else np.full((number, len(SKILLS)), 10)
        of = {"skills.level": levels.T} if env is SKILLED else {}
        realm = world(packs, env, of=of)
        limits = [dict(zip(SKILLS, map(int, level), strict=True)) for level in levels]
        want = [[crafted(*one, recipe) for recipe in RECIPES] for one in zip(packs, limits, strict=True)]
        mask = np.asarray(looks[env](realm))
        assert mask[:, 0].all() and (mask[:, 1:] == [[one is not None for one in row] for row in want]).all()
        can.append(mask[:, 1:])
        choices = rng.integers(0, 18, number)
        after, events = play(realm, choices, env)
        told = {}
        for slot, choice in enumerate(choices):
            result = want[slot][choice - 1] if choice else None
            expected = packs[slot] if result is None else result[0]
            assert after[slot] == [item[:3] for item in expected], (round_, slot)
            if result is not None:
                told.setdefault(f"crafted_{RECIPES[choice - 1].skill}", {})[slot] = result[1]
        assert events == told
    some = np.concatenate(can).mean(axis=0)
    assert (some > 0.02).all() and (some < 0.98).all()  # both happened, of every recipe


def test_which_place():
    """Of those with enough the highest level, of equals the first; the product has the lower level."""
    pack = [(ORE, 2, 5), (ORE, 4, 1), (ORE, 3, 2), (ORE, 3, 9), (WOOD, 2, 9), (WOOD, 5, 1)]
    (after,), events = play(world([pack]), [7])  # a spear, of 2 ore and 1 wood
    spear = RECIPES[6].product
    assert after[:6] == [(ORE, 2, 5), (ORE, 4, 1), (spear, 3, 1), (ORE, 3, 9), (WOOD, 2, 9), (0, 0, 0)]
    assert events == {"crafted_prospecting": {0: 3}}


def test_the_level_of_the_skill():
    """What is above it is not taken, and the skill is that of the recipe."""
    level = np.ones((2, 8), int)
    level[0, SKILLS.index("prospecting")] = 3
    pack = [(ORE, 4, 5), (ORE, 2, 5), (WOOD, 3, 1)]
    realm = world([pack, pack], SKILLED, of={"skills.level": level.T})
    after, events = play(realm, [15, 15], SKILLED)  # a pickaxe
    assert events == {"crafted_prospecting": {0: 2}} and after[0][1] == (ORE, 2, 4)
    assert np.asarray(looks[SKILLED](realm))[:2, [4, 15, 16]].tolist() == [[True, True, False], [False] * 3]


def test_room():
    """A place that its ingredients leave, or a stack: what counts is the pack when they are taken."""
    full = [(HAT, 1, 1)] * 11
    cases = [
        ([*full, (ORE, 2, 1)], True),
        ([*full, (ORE, 2, 2)], False),
        ([*full[1:], (ORE, 2, 2), (WHETSTONE, 2, 95)], True),
        ([*full[1:], (ORE, 2, 2), (WHETSTONE, 2, 96)], False),
        ([*full[1:], (ORE, 2, 2), (WHETSTONE, 1, 5)], False),
    ]
    realm = world([pack for pack, _ in cases])
    after, events = play(realm, [4] * len(cases))
    assert [slot in events["crafted_prospecting"] for slot in range(len(cases))] == [fits for _, fits in cases]
    assert np.asarray(looks[ENV](realm))[: len(cases), 4].tolist() == [fits for _, fits in cases]
    assert after[2][-1] == (WHETSTONE, 2, 100) and after[2][-2] == (ORE, 2, 1)


@pytest.mark.slow
def test_what_is_worn_is_kept():
    """By a table of one's own, of which an ingredient can be worn."""
    mine = crafts([Recipe(HAT, 1, "carving", ((ARROW, 2), (MEAT, 1)))])
    env = nmmo_jax.make("law", **PLAY, systems=[ITEMS, mine])
    goods = (MEAT, 1, 1)
    realm = world([[(ARROW, 5, 9, 1), (ARROW, 1, 9, 0), goods], [(ARROW, 5, 9, 1), goods]], env)
    steps[env] = jax.jit(env.step)
    after, events = play(realm, [1, 1], env)
    assert events == {"crafted_carving": {0: 1}} and after[0][:3] == [(ARROW, 5, 9), (ARROW, 1, 7), (HAT, 1, 1)]
    assert np.asarray(jax.jit(env.observe)(realm).mask["craft"])[:3].tolist() == [
        [True, True],
        [True, False],
        [True, False],
    ]


@pytest.mark.slow
def test_nobody_crafts_in_combat():
    env = nmmo_jax.make("chaos", **PLAY, systems=[ITEMS, CRAFTS], immunity_ticks=0)
    step, look, n = jax.jit(env.step), jax.jit(env.observe), PLAY["num_agents"]
    realm = world([[(ORE, 1, 50)], [(ORE, 1, 50)], [(ORE, 1, 50)]], env)
    agents = realm.agents.replace(col=realm.agents.col.at[1].set(realm.agents.col[0]))
    realm, nobody = realm.replace(agents=agents), jnp.full(n, -1, jnp.int32)
    fought, may, did = 0, [], []
    for tick in range(6):
        may.append(np.asarray(look(realm).mask["craft"])[:3, 4].tolist())
        target = nobody.at[0].set(1) if tick == fought else nobody
        choice = Action(jnp.zeros(n, jnp.int32), jnp.ones(n, jnp.int32), target, {"craft": jnp.full(n, 4, jnp.int32)})
        _, realm, *_, info = step(jax.random.key(0), realm, choice)
        did.append(np.asarray(info.outcome.of["crafts"].events["crafted_prospecting"].happened)[:3].tolist())
    assert may == did and all(one[2] for one in did)
    # In the tick of the fight it is not known yet; then three must have ended since.
    assert [one[0] for one in did] == [one[1] for one in did] == [True, False, False, False, True, True]


@pytest.mark.slow
def test_use_and_destroy_come_first():
    """Each means the pack as it is then: what is destroyed is not crafted from."""
    pack = [(ORE, 3, 1), (ORE, 1, 1)]
    n = PLAY["num_agents"]
    destroy = jnp.full(n, -1, jnp.int32).at[0].set(0)
    (after,), events = play(world([pack]), [4], destroy=destroy)
    assert events == {"crafted_prospecting": {0: 1}} and [one for one in after if one[0]] == [(WHETSTONE, 1, 5)]


REFUSED = {
    "no recipes": ([], "recipes: how many=0: allowed are whole numbers from 1 to 255"),
    "too many": ([RECIPES[0]] * 256, "recipes: how many=256: allowed are whole numbers from 1 to 255"),
    "something else": ([(RATION, 1, "fishing", ((FISH, 1),))], "recipes: .*: must be of type Recipe"),
    "product": ([RECIPES[0], Recipe(23, 1, "fishing", ((FISH, 1),))], "recipe 2: product=23: allowed .* 1 to 22"),
    "nothing": ([Recipe(0, 1, "fishing", ((FISH, 1),))], "recipe 1: product=0: allowed are whole numbers from 1 to 22"),
    "amount": ([Recipe(ARROW, 101, "carving", ((WOOD, 1),))], "recipe 1: amount of arrow=101: allowed .* 1 to 100"),
    "no stack": ([Recipe(HAT, 2, "carving", ((WOOD, 1),))], "recipe 1: amount of hat=2: allowed .* 1 to 1"),
    "skill": ([Recipe(HAT, 1, "melee", ((WOOD, 1),))], "recipe 1: skill='melee': allowed are 'fishing', .*'alchemy'"),
    "misspelt": ([Recipe(HAT, 1, "carvin", ((WOOD, 1),))], "recipe 1: skill='carvin': .*carving"),
    "no ingredients": ([Recipe(HAT, 1, "carving", ())], "recipe 1: ingredients: how many=0: allowed .* 1 to 2"),
    "three": ([Recipe(HAT, 1, "carving", ((ORE, 1), (WOOD, 1), (HERB, 1)))], "ingredients: how many=3: allowed"),
    "kind": ([Recipe(HAT, 1, "carving", ((23, 1),))], "recipe 1: kind of an ingredient=23: allowed .* 1 to 22"),
    "quantity": ([Recipe(HAT, 1, "carving", ((WOOD, 0),))], "recipe 1: quantity of wood=0: allowed .* 1 to 100"),
    "more than a stack": ([Recipe(HAT, 1, "carving", ((WOOD, 101),))], "recipe 1: quantity of wood=101: allowed"),
    "two of one place": ([Recipe(HAT, 1, "carving", ((POTION, 2),))], "quantity of potion=2: allowed .* 1 to 1"),
    "no pair": (
        [Recipe(HAT, 1, "carving", ((WOOD, 1, 1),))],
        r"ingredient \(22?1?, 1, 1\): must be \(kind, quantity\)",
    ),
    "no kind": ([Recipe(HAT, 1, "carving", (WOOD, 1))], "recipe 1: ingredients: 21: must be of type tuple or list"),
    "twice": ([Recipe(HAT, 1, "carving", ((WOOD, 1), (WOOD, 2)))], "product and ingredients: wood is there twice"),
    "itself": ([Recipe(WOOD, 1, "carving", ((WOOD, 2),))], "product and ingredients: wood is there twice"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_tables_are_refused(what):
    recipes, told = REFUSED[what]
    with pytest.raises(ValueError, match=told):
        crafts(recipes)


def test_tables_of_ones_own():
    mine = crafts([Recipe(np.int32(HAT), 1, "carving", [[WOOD, np.int64(7)]])] * 255)
    assert nmmo_jax.make("law", **PLAY, systems=[ITEMS, mine]).observation_spec()["mask.craft"].shape == (24, 256)
    assert mine == crafts([Recipe(HAT, 1, "carving", ((WOOD, 7),))] * 255) and hash(mine)
    assert crafts() == CRAFTS == pickle.loads(pickle.dumps(CRAFTS))
