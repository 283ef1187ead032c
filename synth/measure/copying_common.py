"""What the measurements of copying have in common."""

from __future__ import annotations

from typing import Any

from .sides import Context

PIXELS = "normalised cross-correlation, 32 px, 8 orientations"


def copying_common(context: Context, label: str, n_real: int) -> dict[str, Any]:
    """Return the fields of a measurement of pixels, counted in training cells."""
    return {
        "family": "copying", "label": label, "n_real": n_real,
        "pipeline": pixels_of(context), "reference": context.train_reference,
    }  # fmt: skip


def pixels_of(context: Context) -> str:
    """Return what happened to the pixels before any extractor."""
    return context.pipeline.split(";")[0]
