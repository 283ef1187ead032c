"""How long each step of `curate` takes: processor time per image, each step without those inside.

The functions of the steps are wrapped while `curate` runs as it is.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from importlib import import_module
from typing import Any
from unittest import mock

REST = "between the steps"

# Step -> the functions that do it, as "module:name" where they are looked up.
STEPS: dict[str, tuple[str, ...]] = {
    "list the source": ("curation.curate:open_source", "curation.curate:check_source_values"),
    "read the file": ("curation.sources.image_files:read_file",),
    "JPEG walk": ("curation.pixels:clean_jpeg",),
    "hidden text behind scans": ("curation.pixels:may_hide_text",),
    "decode": ("curation.pixels:_decode_clean", "curation.pixels:decode_any"),
    "id (blake3)": ("curation.pixels:pixel_id",),
    "fields by the policy": ("curation.deidentify.treat:Treat.__call__",),
    "text screen": ("curation.deidentify.text.find:text_likeness",),
    "barcode screen": ("curation.deidentify.text.find:may_hold_barcode",),
    "search for text": (
        "curation.deidentify.text.find:TextFinder._search_crop",
        "curation.deidentify.text.find:find_barcodes",
    ),
    "grey": ("curation.deidentify.text.find:grey",),
    "turned id": ("curation.closeup:turned_id",),
    "tile": ("curation.closeup:channels", "curation.glance:shrink"),
    "focus and blocks": ("curation.closeup:fine_detail",),
    "signature": ("curation.measures:sign",),
    "checks": ("curation.measures:check_scores",),
    "appearance": ("curation.measures:appearance_columns",),
    "staging write": ("curation.stage:write_rows", "curation.stage:_with_measures"),
    "second pass: acquisitions": ("curation.decide:find_acquisitions",),
    "second pass: checks": ("curation.decide:calibrate",),
    "second pass: candidates": ("curation.dedupe.near:find_candidates",),
    "second pass: registration": ("curation.dedupe.near:register", "curation.dedupe.near:align"),
    "second pass: the rest of decide": ("curation.curate:decide",),
    "second pass: split": ("curation.curate:split_kept",),
    "second pass: small groups": ("curation.curate:suppress",),
    "second pass: shards": ("curation.curate:write_shards",),
    "second pass: report": ("curation.curate:write_report",),
    "second pass: quarantine": ("curation.curate:write_quarantine",),
    "second pass: manifest": ("curation.curate:write_manifest",),
    "vault": ("curation.curate:record_identifiers", "curation.curate:vault_identifiers"),
}


class StepClock:
    """Processor time in ns by step."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = defaultdict(int)
        self._running = [REST]
        self._since = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Count while this is open."""
        with ExitStack() as stack:
            for step, places in STEPS.items():
                for place in places:
                    stack.enter_context(_patched(place, partial(self._timed, step)))
            self._since = time.process_time_ns()
            yield
            self._switch()

    def _switch(self) -> None:
        now = time.process_time_ns()
        self.spent[self._running[-1]] += now - self._since
        self._since = now

    def _timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*given: Any, **named: Any) -> Any:
            self._switch()
            self._running.append(step)
            try:
                return function(*given, **named)
            finally:
                self._switch()
                self._running.pop()

        return timed


def _patched(place: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Any:
    module, _, name = place.partition(":")
    owner: Any = import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    return mock.patch.object(owner, last, wrap(getattr(owner, last)))
