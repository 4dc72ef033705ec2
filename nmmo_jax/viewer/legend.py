"""The legend of pictures and films: what things and materials on the map are called."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from nmmo_jax.kinds import Material
from nmmo_jax.replay import Replay
from nmmo_jax.viewer.declared import Placed
from nmmo_jax.world.draw import palette

INK, FAINT, DARK = (232, 236, 241), (140, 150, 160), (22, 26, 33)
_LINE, _SWATCH, _EDGE = 18, 13, 10  # pixels, of a line, of a colour with its gap, and left and right
_MOST = 48  # entries
Colour = tuple[int, ...]


def legend(
    replay: Replay, tables: Sequence[Placed], kinds: Sequence[Sequence[Colour]], width: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Of a world whose systems have things or materials; of another, of no height: there is nothing to tell.

    Args:
      kinds: the colours of each table's kinds.
      width: pixels.
    """
    things = [
        (name, [colour])
        for placed, own in zip(tables, kinds, strict=True)
        for name, colour in zip(placed.names, own, strict=True)
    ]
    names, spent, colours = replay.config.material_names, replay.config.spent, palette(replay.config).tolist()
    there = set(np.unique(replay.tiles.material).tolist())
    known = sorted(there - {spent[one] for one in there if one in spent})  # what is spent stands beside what it was
    if not things and all(one < len(Material) for one in known):
        return np.zeros((0, width, 3), np.uint8)
    ground = [(names[one], [tuple(colours[at]) for at in (one, spent.get(one)) if at is not None]) for one in known]
    entries, font = [*things, *ground][:_MOST], ImageFont.load_default(size=12)
    places, x, y = [], _EDGE, 0
    for name, each in entries:
        wide = round(_SWATCH * len(each) + 4 + font.getlength(name))
        if x > _EDGE and x + wide > width - _EDGE:
            x, y = _EDGE, y + _LINE
        places.append((x, y))
        x += wide + 14
    image = Image.new("RGB", (width, y + _LINE + 6), DARK)
    draw = ImageDraw.Draw(image)
    for number, ((name, each), (x, y)) in enumerate(zip(entries, places, strict=True)):
        for k, colour in enumerate(each):
            left = x + _SWATCH * k
            if number < len(things):
                draw.polygon(((left, y + 7), (left + 5, y + 2), (left + 10, y + 7), (left + 5, y + 12)), colour, FAINT)
            else:
                draw.rectangle((left, y + 2, left + 10, y + 12), colour, FAINT)
        draw.text((x + _SWATCH * len(each) + 3, y), name.replace("_", " "), INK, font)
    return np.asarray(image)
