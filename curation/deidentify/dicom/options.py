"""Which options of PS3.15 annex E apply beside the basic profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DicomOptions:
    """How DICOM data sets are cleaned.

    `clean_pixel_data` says that the pixels were searched for text, by whoever calls; `private` and
    `unlisted_standard` say whether such elements are dropped or make the file refused.
    """

    clean_pixel_data: bool = False
    modified_dates: bool = True
    patient_characteristics: bool = True
    private: Literal["drop", "refuse"] = "drop"
    unlisted_standard: Literal["drop", "refuse"] = "drop"
