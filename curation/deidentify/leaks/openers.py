"""Every format that is taken apart, in the order in which it is tried."""

from __future__ import annotations

from .archives import open_tar
from .documents import open_numpy, open_pdf, open_pdf_text, open_safetensors
from .gif import open_gif
from .jpeg import open_jpeg
from .pieces import Opened, Opener, Room
from .png import open_png
from .tables import open_arrow, open_parquet
from .tiff import open_tiff
from .webp import open_riff

OPENERS: tuple[Opener, ...] = (
    open_jpeg, open_png, open_gif, open_tiff, open_riff,
    open_parquet, open_arrow, open_tar, open_safetensors, open_numpy, open_pdf, open_pdf_text,
)  # fmt: skip


def opened(data: memoryview, room: Room) -> Opened:
    """Yield what is inside bytes of any format known here."""
    for opener in OPENERS:
        yield from opener(data, room)
