"""The templates of review and validation pages, each escaped and strict."""

from __future__ import annotations

import jinja2


def page_templates() -> jinja2.Environment:
    """Return a new environment over the templates of `smearkit.review`."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("smearkit.review", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
