"""Where the packaged generator lies: a generator folder in bfloat16, without code of its own.

pbc-64/
  generator.json  model_index.json  unet/  conditioner/  scheduler/
  training_ids.txt.gz  training_codes.npy     the cells it learned from: see `seen`
  README.md  LICENSE                          its card, and whose cells they were
"""

from __future__ import annotations

import json
from pathlib import Path

from curation.errors import GeneratorError

PRETRAINED = "pretrained"
"""What `load_generator` takes for it, in the place of a path."""
LIMIT_BYTES = 16_000_000
_FOLDER = Path(__file__).with_name("pbc-64")


def pretrained_folder() -> Path:
    """Return the folder of the packaged generator.

    Raises: GeneratorError where this copy of the package came without it.
    """
    if not (_FOLDER / "generator.json").is_file():
        raise GeneratorError(
            "this copy of smearkit has no pretrained generator in it. Next: install it from a "
            "wheel that has, or train one with `smearkit train` and give its folder"
        )
    return _FOLDER


def has_pretrained() -> bool:
    """Return whether this copy of the package came with a generator."""
    return (_FOLDER / "generator.json").is_file()


def is_pretrained(fingerprint: str) -> bool:
    """Return whether a fingerprint is that of the packaged generator."""
    if not has_pretrained():
        return False
    content = json.loads((_FOLDER / "generator.json").read_bytes())
    return bool(content["fingerprint"] == fingerprint)
