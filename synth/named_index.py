"""`model_index.json` in the form in which diffusers loads a pipeline by its name on the Hub.

From the Hub, diffusers takes every list of texts in it for a component with code of its own, and
stumbles over an empty list; from a folder it does neither. As an object whose keys are the texts,
a list passes, and the pipeline makes the same list of it. Both forms are one generator: they have
one fingerprint, that of the list.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

# Lists in the pipeline's configuration that hold texts, or may be empty.
_LISTS = ("labels", "trained", "latent_shift", "latent_scale")


def name_lists(index: Path) -> None:
    """Write a folder's `model_index.json` in the form for the Hub."""
    content = json.loads(index.read_bytes())
    for key in _LISTS:
        value = content.get(key)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            content[key] = {item: place for place, item in enumerate(value)}
    index.write_bytes(_text(content))


def index_sha256(index: Path) -> str:
    """Return the SHA-256 of a `model_index.json` as it was saved, whichever form it is in now."""
    data = index.read_bytes()
    content = json.loads(data)
    named = [key for key in _LISTS if isinstance(content.get(key), dict)]
    if named:
        data = _text(content | {key: list(content[key]) for key in named})
    return hashlib.sha256(data).hexdigest()


def _text(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
