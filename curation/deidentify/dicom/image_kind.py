"""What kind of object a DICOM file is: only pictures of cells go further."""

from __future__ import annotations

from ...errors import ImageError
from .elements import elements, texts
from .read import OpenDicom, quietly
from .stream import Budget

NO_IMAGE = "dicom_no_image"
LABEL_IMAGE = "slide_label_image"
BURNED_IN = "burned_in_annotation"

# Value 3 of Image Type (0008,0008) of the whole-slide pictures that show the label or all of the
# glass. Source: DICOM PS3.3 C.8.12.4.1.1.
_LABELLED = {"LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER", "MACRO"}
_TYPES = ("ImageType", "FrameType")
_TYPE_HOLDERS = ("SharedFunctionalGroupsSequence", "WholeSlideMicroscopyImageFrameTypeSequence")
_FLAGS = {"SpecimenLabelInImage": LABEL_IMAGE, "BurnedInAnnotation": BURNED_IN}


def kind_problem(opened: OpenDicom) -> str | None:
    """Return why a file's pictures are not taken: what it is, or what its header says of them.

    "dicom_no_image" (reports, directories, waveforms), "slide_label_image" (label, overview,
    thumbnail) or "burned_in_annotation" (the device wrote text into the pixels).

    Raises: ImageError with reason unreadable or too_large.
    """
    if opened.pixels is None:
        return None if "Rows" in opened.dataset else NO_IMAGE
    with quietly():
        found = dict(_said(opened))
    if any(_LABELLED & set(found.get(name, ())[2:]) for name in _TYPES):
        return LABEL_IMAGE
    return next((problem for name, problem in _FLAGS.items() if "YES" in found.get(name, ())), None)


def check_kind(opened: OpenDicom) -> None:
    """Refuse what `kind_problem` names.

    Raises: ImageError with that reason.
    """
    problem = kind_problem(opened)
    if problem is not None:
        raise ImageError(problem, "by its DICOM header")


def _said(opened: OpenDicom) -> list[tuple[str, tuple[str, ...]]]:
    budget = Budget()
    pending = [(opened.dataset, 0)]
    found = []
    while pending:
        dataset, level = pending.pop()
        for element in elements(dataset, budget, level):
            if element.name in _TYPE_HOLDERS:
                pending += [(item, level + 1) for item in element.items]
            elif element.name in (*_TYPES, *_FLAGS):
                found.append((element.name, tuple(t.upper() for t in texts(element))))
    return found
