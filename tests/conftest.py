"""Fixtures for every test: made images, and the real cells where they lie beside the checkout."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Folder = Callable[..., Path]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real cells beside the checkout; the test is skipped where it is absent."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs the real cells in ../shared/data")
    return path


def _cell(seed: int = 0, side: int = 48, mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side + 8), Image.Resampling.BICUBIC).convert(mode)


def _encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="session")
def cell() -> Cell:
    """cell(seed, side, mode) -> an image of smooth colours, side x (side + 8) px."""
    return _cell


@pytest.fixture(scope="session")
def encoded() -> Encoded:
    """encoded(image, format, **options) -> the bytes that Pillow writes."""
    return _encoded


@pytest.fixture
def class_folders(tmp_path: Path) -> Folder:
    """class_folders(name, **label=count) -> a folder of class folders of distinct JPEG cells."""

    def make(name: str = "source", **counts: int) -> Path:
        root = tmp_path / name
        seed = 0
        for label, count in counts.items():
            (root / label).mkdir(parents=True)
            for index in range(count):
                seed += 1
                (root / label / f"{label}_{index:03d}.jpg").write_bytes(_encoded(_cell(seed)))
        return root

    return make
