"""What kind of object a DICOM file is: only pictures of cells go further."""

from __future__ import annotations

from ...errors import ImageError
from .elements import elements, texts
from .read import OpenDicom, quietly
from .stream import Budget

NO_IMAGE = "dicom_no_image"
LABEL_IMAGE = "slide_label_image"
BURNED_IN = "burned_in_annotation"
KINDS = (NO_IMAGE, LABEL_IMAGE, BURNED_IN)

# Image Type (0008,0008) of the whole-slide pictures that show the label or all of the glass: its
# value 3, but nothing else is called so, wherever it stands. Source: DICOM PS3.3 C.8.12.4.1.1.
_LABELLED = {"LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER", "MACRO"}
_TYPES = ("ImageType", "FrameType")
_TYPE_HOLDERS = (
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "WholeSlideMicroscopyImageFrameTypeSequence",
)  # fmt: skip
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
        found = _said(opened)
    if any(name in _TYPES and said & _LABELLED for name, said in found):
        return LABEL_IMAGE
    return next((_FLAGS[name] for name, said in found if name in _FLAGS and "YES" in said), None)


def check_kind(opened: OpenDicom) -> None:
    """Refuse what `kind_problem` names.

    Raises: ImageError with that reason.
    """
    problem = kind_problem(opened)
    if problem is not None:
        raise ImageError(problem, "by its DICOM header")


def _said(opened: OpenDicom) -> list[tuple[str, set[str]]]:
    budget = Budget()
    pending = [(opened.dataset, 0)]
    found = []
    while pending:
        dataset, level = pending.pop()
        for element in elements(dataset, budget, level, only=(*_TYPE_HOLDERS, *_TYPES, *_FLAGS)):
            if element.name in _TYPE_HOLDERS:
                pending += [(item, level + 1) for item in element.items]
            else:
                found.append((element.name, {text.upper() for text in texts(element)}))
    return found
