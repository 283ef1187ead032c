"""A drawing as a picture, for a card that cannot show SVG: the page's light colours on white."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from .charts_shapes import Box, Dot, Drawing, Line, Shape

_SCALE = 2
_MARGIN = 12
_INK, _SOFT, _PAPER = "#1f2029", "#565867", "#ffffff"
_COLOURS = {
    "bar": "#a79bcb", "dot": "#4d3d8f", "floor-band": "#f0cfd3", "floor": "#b3404f",
    "goal": "#dcefe4", "whisker": _INK, "grid": "#dcdce5", "zero": "#8b8c9b", "tick": _SOFT,
}  # fmt: skip
_WIDTHS = {"whisker": 1.5, "floor": 2.5}
_PALE = {"bar": "#d3cde5", "dot": "#a69ec7", "whisker": "#8f9098", "floor": "#d99fa7"}
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
# Pillow's own typeface has no sign for these.
_PLAIN = str.maketrans({"−": "-", "–": "-", "…": ".", "\u00a0": " ", "’": "'", "∞": " inf"})


def png(drawing: Drawing, title: str) -> Image.Image:
    """Return a drawing as an RGB picture at twice its size, with its title above."""
    head = 30
    size = (drawing.width + 2 * _MARGIN, drawing.height + head + 2 * _MARGIN)
    image = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), _PAPER)
    pen = _Pen(ImageDraw.Draw(image), _MARGIN, _MARGIN + head)
    pen.write(0, -14, "start", title, 15, _INK)
    for kind, shapes in drawing.groups:
        for shape in shapes:
            pen.draw(shape, pale="unreliable" in kind)
    return image


class _Pen:
    """Draws shapes in CSS pixels from an origin."""

    def __init__(self, draw: ImageDraw.ImageDraw, left: float, top: float) -> None:
        self._draw, self._left, self._top = draw, left, top

    def draw(self, shape: Shape, *, pale: bool) -> None:
        colour = (_PALE if pale else {}).get(shape.kind) or _COLOURS.get(shape.kind, _INK)
        if isinstance(shape, Line):
            width = round(_WIDTHS.get(shape.kind, 1) * _SCALE)
            ends = [*self._at(shape.x1, shape.y1), *self._at(shape.x2, shape.y2)]
            self._draw.line(ends, fill=colour, width=width)
        elif isinstance(shape, Box):
            corners = (
                self._at(shape.x, shape.y),
                self._at(shape.x + shape.width, shape.y + shape.height),
            )
            self._draw.rectangle([*corners[0], *corners[1]], fill=colour)
        elif isinstance(shape, Dot):
            centre = self._at(shape.x, shape.y)
            self._draw.circle(centre, shape.radius * _SCALE, fill=colour)
        else:
            size = 12 if shape.kind == "tick" else 13
            self.write(shape.x, shape.y, shape.anchor, shape.text, size, colour)

    def write(self, x: float, y: float, anchor: str, text: str, size: int, colour: str) -> None:
        font = ImageFont.load_default(size=size * _SCALE)
        plain = text.translate(_PLAIN)
        self._draw.text(self._at(x, y), plain, fill=colour, font=font, anchor=_ANCHORS[anchor])

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (x + self._left) * _SCALE, (y + self._top) * _SCALE
