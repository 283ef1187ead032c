"""A data set without identity: PS3.15 annex E, and an allow-list over it.

The clean data set is built anew from what was parsed and judged; nothing is deleted from the
original, so nothing can be forgotten in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import ImageError, PolicyError
from ..vault import Vault
from .codes import meaning
from .elements import Element, elements, texts
from .options import DicomOptions
from .read import quietly
from .srgb import srgb_profile
from .statement import add_meta, state_methods
from .stream import Budget
from .tables import Fate, fate
from .values import (
    Subject,
    Value,
    clean_age,
    clean_body_part,
    clean_date,
    clean_numbers,
    clean_pointers,
    clean_pseudonym,
    clean_sex,
    clean_terms,
    clean_uids,
    read_subject,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class CleanDataset:
    """A cleaned data set without pixel data, and the names of what was left out for its own sake.

    `unknown`: in no dictionary. `broken`: bytes that do not fit their VR.
    """

    dataset: Dataset
    unknown: tuple[str, ...]
    broken: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    vault: Vault
    options: DicomOptions
    subject: Subject
    budget: Budget = field(default_factory=Budget)
    names: dict[str, dict[str, None]] = field(default_factory=dict)

    def note(self, what: str, name: str) -> None:
        self.names.setdefault(what, {})[name] = None


def deidentify_dataset(
    dataset: Dataset, keys: Vault, options: DicomOptions | None = None
) -> CleanDataset:
    """Return a data set of which only what is known not to identify is left; pixels are not in it.

    Dates are moved by the subject's days, identifiers and UIDs are keyed, codes stay that are
    known. The file meta is new, for explicit VR little endian.

    Raises: ImageError with reason unreadable, too_large or dicom_unsupported; PolicyError naming
    elements that the options refuse.
    """
    options = options or DicomOptions()
    with quietly():
        work = _Work(keys, options, read_subject(patient_id(dataset), keys))
        clean = _cleaned(dataset, work, 0)
        _refuse(work)
        _check_class(clean)
        state_methods(clean, options, dated=work.subject.shift_days is not None)
        add_meta(clean)
    return CleanDataset(clean, _names(work, "unknown"), _names(work, "broken"))


def patient_id(dataset: Dataset) -> str:
    """Return the patient's identifier, "" where there is none."""
    found = (texts(element) for element in elements(dataset, Budget(), only=("PatientID",)))
    return next((text for said in found for text in said), "")


def _cleaned(dataset: Dataset, work: _Work, level: int) -> Dataset:
    from pydicom.dataset import Dataset

    made = Dataset()
    for element in elements(dataset, work.budget, level):
        how = _fate(element, work.options)
        if element.is_broken:
            work.note("broken", element.name)
        elif how in ("unknown", "private", "unlisted"):
            work.note(how, element.name)
        elif how in ("sequence", "codes"):
            _add_items(made, element, how, work, level)
        else:
            _add_value(made, element, how, work)
    return made


def _fate(element: Element, options: DicomOptions) -> Fate:
    how = fate(element.tag)
    if how == "date" and not options.modified_dates:
        return "empty"
    if how in ("age", "sex") and not options.patient_characteristics:
        return "empty"
    return how


def _add_items(made: Dataset, element: Element, how: Fate, work: _Work, level: int) -> None:
    found = [_cleaned(item, work, level + 1) for item in element.items]
    if how == "codes":
        pairs = zip(element.items, found, strict=True)
        found = [new for item, new in pairs if _add_code(new, item, work.budget)]
    found = [item for item in found if _says_something(item)]
    if found or not element.items:
        _add(made, element.tag, found)


def _add_code(new: Dataset, item: Dataset, budget: Budget) -> bool:
    said = {e.name: texts(e) for e in elements(item, budget, only=_CODE)}
    value, scheme, own = (" ".join(said.get(name, ())) for name in _CODE)
    known = meaning(value, scheme, own)
    if known is None:
        return False
    new.CodeValue, new.CodingSchemeDesignator, new.CodeMeaning = value, scheme, known[:64]
    return True


_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")

# What an item of structured content must say, by its value type; without that it is left out.
_CONTENT: Mapping[str, tuple[str, ...]] = {
    "TEXT": (), "PNAME": (), "TIME": (),
    "NUM": ("MeasuredValueSequence", "NumericValue"), "NUMERIC": ("NumericValue",),
    "CODE": ("ConceptCodeSequence",), "DATE": ("Date",), "DATETIME": ("DateTime",),
    "UIDREF": ("UID",),
}  # fmt: skip


def _says_something(item: Dataset) -> bool:
    needed = _CONTENT.get(str(item.get("ValueType", "")))
    return needed is None or any(item.get(name) for name in needed)


def _add_value(made: Dataset, element: Element, how: Fate, work: _Work) -> None:
    from pydicom.datadict import dictionary_VM

    if how == "profile":
        _add(made, element.tag, srgb_profile())
        return
    values = _values(element, how, work)
    if len(values) > 1 and dictionary_VM(element.tag) == "1":
        values = []  # which one is meant, nobody knows
    if values or how == "empty" or element.name in _NEVER_MISSING:
        _add(made, element.tag, values)


_NEVER_MISSING = (
    "PatientID", "PatientName", "PatientSex", "StudyDate", "SeriesNumber", "InstanceNumber",
    "Laterality", "Manufacturer", "Modality", "ContainerIdentifier", "ContentDate",
)  # fmt: skip
"""Elements that may be empty but must be there."""


def _values(element: Element, how: Fate, work: _Work) -> list[Value]:
    if how == "date":
        return clean_date(element, work.subject)
    if how == "pseudonym":
        return clean_pseudonym(element, work.subject, work.vault)
    if how == "uid":
        return clean_uids(element, work.vault)
    clean = _VALUES.get(how)
    return [] if clean is None else clean(element)


_VALUES: Mapping[Fate, Callable[[Element], list[Value]]] = {
    "age": clean_age,
    "sex": clean_sex,
    "pointer": clean_pointers,
    "body part": clean_body_part,
    "number": clean_numbers,
    "term": clean_terms,
}


def _add(made: Dataset, tag: int, values: object) -> None:
    from pydicom.datadict import dictionary_VR

    vr = dictionary_VR(tag)
    if isinstance(values, list) and vr != "SQ":
        values = values[0] if len(values) == 1 else (values or None)
    if vr == "US or SS":
        vr = "SS" if isinstance(values, int) and values < 0 else "US"
    made.add_new(tag, vr, values)


def _refuse(work: _Work) -> None:
    rules = {"private": work.options.private, "unlisted": work.options.unlisted_standard}
    for what, rule in rules.items():
        names = _names(work, what)
        if names and rule == "refuse":
            raise PolicyError(
                f"DICOM elements that the policy refuses ({what}): {', '.join(names)}. Next: say "
                "'drop' for them in the policy's section `dicom`"
            )


def _names(work: _Work, what: str) -> tuple[str, ...]:
    return tuple(work.names.get(what, {}))


def _check_class(clean: Dataset) -> None:
    from pydicom.uid import UID

    if not (clean.get("SOPClassUID") and clean.get("SOPInstanceUID")):
        raise ImageError("unreadable", "the DICOM element SOPClassUID or SOPInstanceUID is missing")
    if not UID(clean.SOPClassUID).type == "SOP Class":
        raise ImageError("dicom_unsupported", "an object that is not of the standard")
