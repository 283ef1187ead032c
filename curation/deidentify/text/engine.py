"""rapidocr, loaded once per process from the models in its wheel, and never from the network."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import SmearkitError
from ...pixels import Pixels

if TYPE_CHECKING:
    from rapidocr import RapidOCR

MODELS = {
    "Det.model_path": "PP-OCRv6_det_small.onnx",
    "Rec.model_path": "PP-OCRv6_rec_small.onnx",
    "Cls.model_path": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}
_ANY_SIZE_PX = 1_000_000
_DETECTED = 0.45
"""The detector's score from which a place is read; text scored 0.56 and more."""

_LEAST_ASPECT = 1.2  # a single cell is about as long as it is high, and reading it is dear
_UNREAD = ("", 0.0)

_engines: dict[int, Engine] = {}
_loading = threading.Lock()


class TextModelsError(SmearkitError):
    """The models that look for text are not installed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands at a place: its corners (4, 2) in px, the text, and its confidence in [0, 1]."""

    corners: NDArray[np.float32]
    text: str
    confidence: float


class Engine:
    """The detector and the recogniser; they hold no state between images."""

    def __init__(self, threads: int) -> None:
        """Load the models. Raises: TextModelsError."""
        self._rapidocr = _loaded(threads)

    def read(self, pixels: Pixels) -> list[Reading]:
        """Read every place in an RGB image (h, w, 3) uint8 that the detector takes for text.

        Places too short for three letters come back unread, with a confidence of 0.

        The detector finds text in any direction. The recogniser reads from left to right, so
        that a place is read twice, turned by 180 degrees in between, and the surer reading counts.
        """
        from rapidocr.main import RapidOCRError

        try:
            places, found = self._rapidocr.detect_and_crop(
                np.ascontiguousarray(pixels[:, :, ::-1]), {}
            )
        except RapidOCRError:
            return []  # its way to say that there is no text
        boxes = found.boxes if found.boxes is not None else np.empty((0, 4, 2))
        texts = iter(self._recognised([place for place in places if _is_line(place)]))
        return [
            Reading(np.asarray(corners, np.float32), *(next(texts) if _is_line(place) else _UNREAD))
            for place, corners in zip(places, boxes, strict=True)
        ]

    def _recognised(self, places: list[Pixels]) -> list[tuple[str, float]]:
        if not places:
            return []
        turned = [np.ascontiguousarray(np.rot90(place, 2)) for place in places]
        read = self._rapidocr.recognize_txt(places + turned)
        scores = [float(score) for score in read.scores or ()]
        both = list(zip(read.txts or (), scores, strict=True))
        return [
            max(pair, key=_informative)
            for pair in zip(both[: len(places)], both[len(places) :], strict=True)
        ]


def engine(threads: int | None = None) -> Engine:
    """Return the engine of this process, loaded at the first call; it takes about a second.

    A process forked after that must not use it with more than one thread.
    Raises: TextModelsError where the models are missing.
    """
    count = _threads(threads)
    with _loading:
        if count not in _engines:
            _engines[count] = Engine(count)
        return _engines[count]


def _is_line(place: Pixels) -> bool:
    """Say whether a place, turned upright already, is long enough for three letters."""
    height, width = place.shape[:2]
    return bool(max(width, height) >= _LEAST_ASPECT * min(width, height))


def _informative(reading: tuple[str, float]) -> float:
    text, confidence = reading
    return confidence * min(sum(char.isalnum() for char in text), 4)


def _threads(wanted: int | None) -> int:
    cores = os.cpu_count() or 1
    if wanted is None:
        # onnxruntime does not read this variable, by which a user holds every other library.
        given = os.environ.get("OMP_NUM_THREADS", "")
        wanted = int(given) if given.isdecimal() else cores
    return min(max(wanted, 1), cores)


def _loaded(threads: int) -> RapidOCR:
    from rapidocr import RapidOCR

    paths = {setting: str(path) for setting, path in model_files().items()}
    return RapidOCR(
        params=paths
        | {
            # It would print the paths of its models.
            "Global.log_level": "critical",
            "Global.use_preprocess_img": False,
            "Global.use_vertical_padding": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": _ANY_SIZE_PX,
            "Det.box_thresh": _DETECTED,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def model_files() -> dict[str, Path]:
    """Return the files of the models by rapidocr's setting for each.

    rapidocr downloads a model that it is not given a path to; so each is given.
    Raises: TextModelsError where one is missing.
    """
    found = find_spec("rapidocr")
    if found is None or found.origin is None:
        raise TextModelsError("rapidocr is not installed. Next: pip install 'rapidocr>=3.10'")
    folder = Path(found.origin).parent / "models"
    files = {setting: folder / name for setting, name in MODELS.items()}
    for path in files.values():
        if not path.is_file():
            raise TextModelsError(
                f"rapidocr's package has no {path.name}; searching images for text needs the "
                "models that its wheel ships. Next: pip install --force-reinstall 'rapidocr>=3.10'"
            )
    return files
