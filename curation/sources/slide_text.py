"""What a slide file says about itself in words: tags, scanner descriptions and XML.

All of it may identify a patient, a person or a scanner. It is read so that a policy can decide
about it, and so that it can be searched for in what is published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

SLIDE_PREFIX = "slide:"
"""What the names of a slide's texts begin with where a policy treats them as columns."""

MAX_TEXT_CHARS = 2000
"""Longer texts are not kept: they are pictures and tables in disguise, not names."""

PUBLIC_KEYS = frozenset((
    "AppMag", "Operator", "Reference",
    "MPP", "Left", "Top", "Filename", "Title", "User", "Date", "Time", "Time Zone",
    "ScanScope ID", "ScannerType", "Parmset", "Barcode", "Slide", "ImageID", "OriginalWidth",
    "OriginalHeight", "Originalheight", "Filtered", "Focus Offset", "StripeWidth", "LineCameraSkew",
    "LineAreaXOffset", "LineAreaYOffset", "DSR ID", "ICC Profile", "Rack", "SessionMode",
    "Exposure Time", "Exposure Scale", "DisplayColor", "Gamma", "Macro.S/N", "NDP.S/N", "Product",
    "Created", "Updated", "Owner", "SlideCenterX", "SlideCenterY",
))  # fmt: skip
"""Keys that scanners are known to write; no other key is shown: it may itself name someone."""

# The elements of OME-XML are a closed list, but for annotations, whose names are free.
_OME_PATH = re.compile(r"OME(/[A-Z][A-Za-z]+)*(@[A-Za-z]+)?")
_ASCII = 2
_XMP, _DESCRIPTION, _NDPI_PROPERTIES = 700, 270, 65449
_MAX_XML_CHARS = 16 * 2**20
_MAX_PATH_CHARS = 200


def page_texts(page: Any) -> Iterator[tuple[str, str | None]]:
    """Yield (name, text) of one page of a `tifffile.TiffFile`; None for a text that is too long.

    Names begin with `SLIDE_PREFIX`.
    """
    for tag in page.tags:
        text = _tag_text(tag)
        if not text:
            continue
        name = tag.name if not tag.name.isdigit() else f"tag {tag.name}"
        for key, value in _split(tag.code, name, text):
            kept = value.strip() if len(value) <= MAX_TEXT_CHARS else None
            if kept != "":
                yield f"{SLIDE_PREFIX}{_public_key(key.strip(), name)}", kept
                if _public_key(key.strip(), name) != key.strip():
                    # A key that no scanner is known to write may itself name someone.
                    yield f"{SLIDE_PREFIX}{name}", key.strip()


def _public_key(key: str, tag_name: str) -> str:
    """Return what a text is called in reports: a known key, else the name of its tag."""
    known = key == tag_name or key in PUBLIC_KEYS or _OME_PATH.fullmatch(key) is not None
    return key if known and "StructuredAnnotations" not in key else tag_name


def _tag_text(tag: Any) -> str:
    if tag.dtype != _ASCII and tag.code not in (_XMP, _NDPI_PROPERTIES):
        return ""
    value = tag.value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    # What a text tag ends with, and what separates several texts in one.
    return value.replace("\x00", " ").strip() if isinstance(value, str) else ""


def _split(code: int, name: str, text: str) -> Iterator[tuple[str, str]]:
    if text.lstrip("\ufeff").startswith("<") and len(text) <= _MAX_XML_CHARS:
        try:
            root = ElementTree.fromstring(text.lstrip("\ufeff"))
        except (ElementTree.ParseError, ValueError):
            yield name, text
        else:
            yield from _xml_texts(root)
    elif code == _DESCRIPTION and "|" in text:
        yield from _pairs(text.split("|"), name)
    elif code == _NDPI_PROPERTIES:
        yield from _pairs(text.splitlines(), name)
    else:
        yield name, text


def _pairs(parts: list[str], name: str) -> Iterator[tuple[str, str]]:
    """Yield "key = value" parts; what has no key goes by the name of the tag."""
    for part in parts:
        key, sign, value = part.partition("=")
        yield (key, value) if sign and key.strip() else (name, part)


def _xml_texts(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield the texts and attributes of all elements, each with the path to it."""
    pending = [(root, "")]
    while pending:
        element, above = pending.pop()
        path = f"{above}/{_step(element)}".lstrip("/")[-_MAX_PATH_CHARS:]
        attributes = ((f"{path}@{_local(key)}", value) for key, value in element.attrib.items())
        inside = ((path, text) for text in (element.text, *(child.tail for child in element)))
        for key, value in (*attributes, *inside):
            if value and value.strip():
                yield key, value
        pending.extend((child, path) for child in reversed(element))


def _step(element: ElementTree.Element) -> str:
    own = _local(element.tag)
    # Philips writes <Attribute Name="DICOM_...">; others name their elements.
    return element.get("Name") or own if own == "Attribute" else own


def _local(tag: object) -> str:
    """Return a tag without its namespace; comments and instructions have none."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else "comment"
