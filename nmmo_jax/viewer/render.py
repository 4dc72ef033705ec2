"""Pictures of a replay, seen from above: a small rasteriser of tiles, agents, things, and what they do."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from nmmo_jax.replay import Frame, Replay
from nmmo_jax.viewer import declared, scene
from nmmo_jax.viewer.legend import DARK, FAINT, INK, legend
from nmmo_jax.world.draw import STAT_COLOURS, STYLE_COLOURS, map_image, palette, population_colours

_NEWBORN, _FROZEN, _HEALTH = (255, 255, 255), (150, 214, 255), ImageColor.getrgb(STAT_COLOURS["health"])
_STYLES = tuple(ImageColor.getrgb(one) for one in STYLE_COLOURS.values())
_SIDE = 640  # pixels of the map's longer side, where --scale is not given
_MOST_SIDE = 8_192
_STRIP, _LEAST_WIDTH = 60, 360  # pixels, of the strip below the map
_BLACK = 120  # red, green and blue together, below which a colour is not seen on dark ground
_EDGE = 2  # tiles of lava around the land that are shown: agents still step on them
_AROUND = 31  # tiles, of a window that follows an agent
_SHIFTS = np.array([(-1, -1), (1, 1), (-1, 1), (1, -1)])  # of agents that share a tile


class Painter:
    """Paints frames of a replay, all at one size.

    >>> painter = Painter(replay, range(len(replay) + 1))
    >>> painter.picture(0)

    Attributes:
      shape: height and width of every picture, pixels.
      colours: ``[K, 3]`` those that have a meaning, the populations' last.
    """

    def __init__(
        self,
        replay: Replay,
        frames: Sequence[int],
        scale: int | None = None,
        window: int | None = None,
        follow: int | None = None,
    ):
        """Of some frames.

        Args:
          frames: their indices, at least one; ``picture(k)`` is of the k-th.
          scale: pixels per tile. None: what gives a picture of about 640 pixels.
          window: side of the square that is shown, tiles: where most agents are in these frames. None: all land.
          follow: uid of the agent in whose middle the window is; it stays where that one lived last.

        Raises:
          ValueError: names the argument, its value and what is allowed.
        """
        self._replay, self._frames = replay, frames
        begin, size = scene.land(np.asarray(replay.tiles.material), _EDGE)
        if window is None and follow is not None:
            window = _AROUND
        if window is not None and window < 1:
            raise ValueError(f"window={window}: must be at least 1 tile")
        self._tiles = size if window is None else (min(window, size[0]), min(window, size[1]))
        self._corners = self._places(follow, begin, size)
        longer = max(self._tiles)
        self._scale = max(1, min(32, _SIDE // longer)) if scale is None else scale
        if not 1 <= self._scale * longer <= _MOST_SIDE:
            most = max(1, _MOST_SIDE // longer)
            raise ValueError(f"scale={scale}: allowed are 1 to {most} pixels per tile, for {longer} tiles")
        height, width = (side * self._scale for side in self._tiles)
        width = max(width, _LEAST_WIDTH)
        named = population_colours(replay.config.num_populations)
        self._populations = np.array([ImageColor.getrgb(one) for one in named], np.uint8)
        self._tables = declared.placed_tables(replay.config)
        coloured = declared.colours_of_things(replay.config)
        self._kinds = [[ImageColor.getrgb(one) for one in colours] for colours in coloured]
        others = [*_STYLES, INK, FAINT, DARK, _NEWBORN, _FROZEN, _HEALTH, *itertools.chain(*self._kinds)]
        self.colours = np.concatenate([palette(replay.config), np.array(others, np.uint8), self._populations])
        self._ready, self._at = np.ones(replay.tiles.material.shape, bool), -1
        spent = replay.config.spent
        self._spent = np.array([spent.get(one, one) for one in range(len(replay.config.material_names))])
        self._strip = _Strip(replay, self._populations, width)
        self._legend = legend(replay, self._tables, self._kinds, width)
        self.shape = (height + _STRIP + len(self._legend), width)
        # Where tiles are small, agents are larger, as long as their neighbours can be seen.
        radius = max(0.42 * self._scale, min(0.6 * self._scale, 5.0), min(self._scale, 3.0))
        line = max(1.0, self._scale / 10) if self._scale >= 4 else 0.0
        self._discs = [_disc(self._scale, radius), _disc(self._scale, radius - line)]

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._frames)

    def picture(self, k: int) -> UInt8[np.ndarray, "H W 3"]:
        """The k-th picture: the world at the end of a tick, with the attacks, births and deaths of that tick."""
        replay, index, scale = self._replay, self._frames[k], self._scale
        now, before = replay.frames[index], replay.frames[max(index - 1, 0)]
        self._ready.reshape(-1)[replay.toggles(self._at, index)] ^= True
        self._at = index
        (top, left), (rows, columns) = self._corners[k], self._tiles
        part = slice(top, top + rows), slice(left, left + columns)
        material = replay.tiles.material[part]
        material = np.where(self._ready[part], material, self._spent[material])
        margin = scale + 4  # what goes over the edge is cut off at the end
        shown = map_image(material, scale, scale >= 8, self.colours)
        canvas = Image.fromarray(np.pad(shown, ((margin, margin), (margin, margin), (0, 0))))

        def middle(row: int, col: int) -> tuple[float, float]:
            return margin + (col - left + 0.5) * scale - 0.5, margin + (row - top + 0.5) * scale - 0.5

        draw = ImageDraw.Draw(canvas)
        for _, population, row, col, _ in scene.deaths_of(now, before.agents).tolist():
            self._cross(draw, middle(row, col), tuple(self._populations[population].tolist()))
        for placed, colours in zip(self._tables, self._kinds, strict=True):
            _, thing = placed.rows(now)
            inside = (thing["row"] >= top) & (thing["row"] < top + rows)
            inside &= (thing["col"] >= left) & (thing["col"] < left + columns)
            for row, col, kind in np.stack([thing["row"], thing["col"], placed.kinds(thing)], axis=1)[inside].tolist():
                self._diamond(draw, middle(row, col), colours[kind])
        canvas = self._agents(np.array(canvas), now, before, (top, left), margin)
        canvas = Image.fromarray(canvas)
        draw = ImageDraw.Draw(canvas)
        for _, style, _, _, *places in scene.attacks_of(now, before.agents).tolist():
            self._attack(draw, middle(*places[:2]), middle(*places[2:]), _STYLES[style])
        picture = np.empty((*self.shape, 3), np.uint8)
        picture[:] = DARK
        height, width = rows * scale, columns * scale
        picture[:height, :width] = np.asarray(canvas)[margin : margin + height, margin : margin + width]
        picture[height : height + _STRIP] = self._strip.picture(index)
        picture[height + _STRIP :] = self._legend
        return picture

    def _agents(
        self, canvas: np.ndarray, now: Frame, before: Frame, corner: tuple[int, int], margin: int
    ) -> np.ndarray:
        """Discs in the colours of the populations; the newborn have a white edge, the frozen one like ice."""
        agents, scale = now.agents, self._scale
        row, col = np.asarray(agents.row, int) - corner[0], np.asarray(agents.col, int) - corner[1]
        inside = (row >= 0) & (row < self._tiles[0]) & (col >= 0) & (col < self._tiles[1])
        slot = np.flatnonzero(agents.alive & inside)
        row, col = row[slot], col[slot]
        edge = np.tile(np.array(DARK, np.uint8), (len(slot), 1))
        fill = self._populations[agents.population[slot]]
        edge[fill.astype(int).sum(axis=1) < _BLACK] = FAINT  # on dark ground, too
        edge[agents.freeze[slot] > 0] = _FROZEN
        edge[(agents.uid[slot] >= before.next_uid) & (now is not before)] = _NEWBORN
        rank, shared = _sharing(row * self._tiles[1] + col)
        shift = np.where(shared[:, None], _SHIFTS[rank % len(_SHIFTS)] * (scale // 5), 0)
        y, x = margin + row * scale + shift[:, 0], margin + col * scale + shift[:, 1]
        for level in range(int(rank.max(initial=-1)) + 1):  # one above the other
            some = rank == level
            for disc, colour in zip(self._discs, (edge, fill), strict=True):
                _blend(canvas, y[some], x[some], disc, colour[some])
        if scale >= 10:
            self._bars(canvas, y, x, np.asarray(agents.health)[slot])
        return canvas

    def _bars(self, canvas: np.ndarray, y: np.ndarray, x: np.ndarray, health: np.ndarray) -> None:
        """What is left of the health of those who have lost some."""
        most, scale = int(self._replay.rules.max_health), self._scale
        high, wide = max(2, scale // 8), scale - 2
        for top, left, left_over in zip(y + scale - high - 1, x + 1, health.tolist(), strict=True):
            if left_over < most:
                canvas[top : top + high, left : left + wide] = DARK
                canvas[top : top + high, left : left + round(wide * max(left_over, 0) / most)] = _HEALTH

    def _cross(self, draw: ImageDraw.ImageDraw, middle: tuple[float, float], colour: tuple[int, ...]) -> None:
        (x, y), reach, width = middle, max(0.35 * self._scale, 1.0), max(1, self._scale // 6)
        for paint, wide in ((DARK, width + 2), (colour, width)):
            if wide == width or self._scale >= 8:
                draw.line((x - reach, y - reach, x + reach, y + reach), paint, wide)
                draw.line((x - reach, y + reach, x + reach, y - reach), paint, wide)

    def _diamond(self, draw: ImageDraw.ImageDraw, middle: tuple[float, float], colour: tuple[int, ...]) -> None:
        """A thing of a system, in the colour of its kind."""
        x, y = middle
        reach, edge = max(0.5 * self._scale, 1.5), max(1.0, self._scale / 10) if self._scale >= 6 else 0.0
        for paint, far in ((DARK, reach), (colour, reach - edge)):
            if paint == colour or edge:
                draw.polygon(((x, y - far), (x + far, y), (x, y + far), (x - far, y)), fill=paint)

    def _attack(
        self,
        draw: ImageDraw.ImageDraw,
        begin: tuple[float, float],
        end: tuple[float, float],
        colour: tuple[int, int, int],
    ) -> None:
        """A line that ends in a dot at the target; on one tile, a ring."""
        width, dot = max(1, self._scale // 8), max(0.16 * self._scale, 1.0)
        cased = self._scale >= 8
        if begin == end:
            reach = 0.5 * self._scale
            box = (end[0] - reach, end[1] - reach, end[0] + reach, end[1] + reach)
            draw.ellipse(box, outline=colour, width=width + cased)
            return
        for paint, more in ((DARK, 1), (colour, 0)):
            if cased or not more:
                draw.line((*begin, *end), paint, width + 2 * more)
                reach = dot + more
                draw.ellipse((end[0] - reach, end[1] - reach, end[0] + reach, end[1] + reach), fill=paint)

    def _places(self, follow: int | None, begin: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int]]:
        """The tile in the upper left corner of each picture, within the land."""
        rows, columns = self._tiles
        frames = [self._replay.frames[index] for index in self._frames]
        if follow is None:
            crowd = np.zeros(self._replay.tiles.material.shape, int)
            for frame in frames:
                alive = frame.agents.alive
                np.add.at(crowd, (frame.agents.row[alive], frame.agents.col[alive]), 1)
            crowd = crowd[begin[0] : begin[0] + size[0], begin[1] : begin[1] + size[1]]
            sums = np.pad(crowd.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
            sums = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
            top, left = np.unravel_index(sums.argmax(), sums.shape)
            return [(begin[0] + int(top), begin[1] + int(left))] * len(frames)
        found = [np.flatnonzero(frame.agents.alive & (frame.agents.uid == follow)) for frame in frames]
        seen = [
            (int(frame.agents.row[slot[0]]), int(frame.agents.col[slot[0]]))
            for frame, slot in zip(frames, found, strict=True)
            if slot.size
        ]
        if not seen:
            raise ValueError(f"follow={follow}: no agent of that number lives in these ticks")
        corners, place = [], seen[0]
        for slot in found:
            place = seen.pop(0) if slot.size else place
            sides = zip(place, self._tiles, begin, size, strict=True)
            top, left = (min(max(at - part // 2, low), low + side - part) for at, part, low, side in sides)
            corners.append((top, left))
        return corners


class _Strip:
    """What is written below the map: the tick, how many live, and how many have lived since the replay began."""

    def __init__(self, replay: Replay, colours: np.ndarray, width: int):
        self._first = int(replay.frames[0].tick)
        agents = [frame.agents for frame in replay.frames]
        number = replay.config.num_populations
        self._living = np.stack([np.bincount(one.population[one.alive], minlength=number) for one in agents])
        self._width, self._colours = width, [tuple(one) for one in colours.tolist()]
        self._small, self._large = (ImageFont.load_default(size=size) for size in (12, 17))
        self._curve = min(220, width // 4)
        names = [name if len(name) <= 12 else f"{name[:11]}…" for name in replay.about["populations"]]
        several = len(set(names)) > 1  # of one policy there is nothing to say
        room, digits = width - self._curve - 130, self._small.getlength(f"{self._living.max()} ")
        self._names = scene.told_apart(names) if several else [""] * number
        for _ in range(2):
            self._column = int(18 + digits + max(self._small.getlength(name) for name in self._names))
            self._columns = max(1, room // self._column)
            if self._columns * 3 < number:  # names only where there is room for them
                self._names = [""] * number

    def picture(self, index: int) -> np.ndarray:
        """``[_STRIP, width, 3]`` as of a frame."""
        image = Image.new("RGB", (self._width, _STRIP), DARK)
        draw = ImageDraw.Draw(image)
        living = self._living[index]
        draw.text((10, 9), f"tick {self._first + index}", INK, self._large)
        draw.text((10, 34), f"{living.sum()} living", FAINT, self._small)
        places = 3 * self._columns
        for p, (number, name) in enumerate(zip(living.tolist(), self._names, strict=True)):
            x, y = 116 + p // 3 * self._column, 8 + p % 3 * 16
            if p == places - 1 and len(living) > places:
                draw.text((x, y - 1), f"+{len(living) - p}", FAINT, self._small)
                break
            draw.rectangle((x, y + 1, x + 9, y + 10), self._colours[p], FAINT)
            draw.text((x + 15, y - 1), f"{number} {name}", INK, self._small)
        self._draw_curves(draw, index)
        return np.asarray(image)

    def _draw_curves(self, draw: ImageDraw.ImageDraw, index: int) -> None:
        left, right, top, bottom = self._width - self._curve - 8, self._width - 9, 8, _STRIP - 9
        draw.line((left, bottom + 1, right, bottom + 1), FAINT)
        points = np.unique(np.linspace(0, index, min(index + 1, self._curve)).astype(int))
        x = left + points * (right - left) / max(len(self._living) - 1, 1)
        y = bottom - self._living[points] * (bottom - top) / max(self._living.max(), 1)
        for p, colour in enumerate(self._colours):
            colour = FAINT if sum(colour) < _BLACK else colour  # would not be seen
            line = np.stack([x, y[:, p]], axis=1)
            if len(line) > 1:
                draw.line([tuple(one) for one in line.tolist()], colour, 1)
            else:
                draw.point(tuple(line[0].tolist()), colour)


def _disc(scale: int, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of a disc in the middle of a tile, from the tile's corner, and the share of each that it covers."""
    beyond = max(0, int(np.ceil(radius - scale / 2)))
    at = np.arange(-beyond, scale + beyond)
    away = np.hypot(*np.meshgrid(at + 0.5 - scale / 2, at + 0.5 - scale / 2, indexing="ij"))
    covered = np.clip(radius + 0.5 - away, 0, 1)
    row, col = np.nonzero(covered)
    return at[row], at[col], covered[row, col]


def _blend(canvas: np.ndarray, y: np.ndarray, x: np.ndarray, disc: tuple[np.ndarray, ...], colour: np.ndarray) -> None:
    """Paints discs ``[K]`` that do not overlap."""
    rows, columns, covered = y[:, None] + disc[0], x[:, None] + disc[1], disc[2][:, None]
    under = canvas[rows, columns]
    canvas[rows, columns] = np.rint(under + covered * (colour[:, None].astype(float) - under)).astype(np.uint8)


def _sharing(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each agent, how many before it stand on the same tile, and whether anybody else does."""
    order = np.argsort(place, kind="stable")
    _, first, inverse, times = np.unique(place[order], return_index=True, return_inverse=True, return_counts=True)
    rank, shared = np.empty(len(place), int), np.empty(len(place), bool)
    rank[order], shared[order] = np.arange(len(place)) - first[inverse], times[inverse] > 1
    return rank, shared
