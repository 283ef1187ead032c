"""A drawing as inline SVG: the page's own style sheet colours it, by the kinds of its shapes."""

from __future__ import annotations

from markupsafe import Markup

from .charts_shapes import Box, Dot, Drawing, Line, Shape


def svg(drawing: Drawing, key: str, title: str, description: str) -> Markup:
    """Return a drawing with a name and a description; `key` makes its ids unique in the page."""
    head = Markup('role="img" aria-labelledby="{0}-title {0}-desc"').format(key)
    inside = Markup('\n<title id="{0}-title">{1}</title>\n<desc id="{0}-desc">{2}</desc>').format(
        key, title, description
    )
    return _element(drawing, head, inside)


def mute_svg(drawing: Drawing) -> Markup:
    """Return a drawing that says nothing which the text beside it does not."""
    return _element(drawing, Markup('aria-hidden="true"'), Markup(""))


def _element(drawing: Drawing, head: Markup, inside: Markup) -> Markup:
    groups = Markup("\n").join(
        Markup('<g class="{}">{}</g>').format(kind, Markup("").join(map(_shape, shapes)))
        for kind, shapes in drawing.groups
    )
    return Markup('<svg class="chart chart-{}" viewBox="0 0 {} {}" {}>{}\n{}\n</svg>').format(
        drawing.name, drawing.width, drawing.height, head, inside, groups
    )


def _shape(shape: Shape) -> Markup:
    if isinstance(shape, Line):
        return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            shape.kind, *map(_px, (shape.x1, shape.y1, shape.x2, shape.y2))
        )
    if isinstance(shape, Box):
        return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
            shape.kind, *map(_px, (shape.x, shape.y, shape.width, shape.height))
        )
    if isinstance(shape, Dot):
        return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(
            shape.kind, *map(_px, (shape.x, shape.y, shape.radius))
        )
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        shape.kind, _px(shape.x), _px(shape.y), shape.anchor, shape.text
    )


def _px(length: float) -> str:
    return f"{length:.1f}"
