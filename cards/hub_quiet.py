"""Keeps the progress bars of the Hub's libraries off the terminal, where the verbs' own stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide their bars in this block, and show them again where they were shown."""
    import datasets
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    # With the variable set to 0 the user asks for them, and the library refuses to hide any.
    hub = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    tables = not datasets.utils.are_progress_bars_disabled()
    if hub:
        disable_progress_bars()
    if tables:
        datasets.utils.disable_progress_bars()
    try:
        yield
    finally:
        if hub:
            enable_progress_bars()
        if tables:
            datasets.utils.enable_progress_bars()
