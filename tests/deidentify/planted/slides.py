"""Whole slides with tables of boxes: planted in tags, XML, and label and macro images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from .cells import cell
from .expected import Cell, facts_of_cells, label_of
from .fact import Array, Fact, go
from .fields import Box, mosaic, rows_of_boxes
from .invented import Invented
from .people import columns_of
from .tables import Part

_TILE = 64
_PLAIN: dict[str, Any] = {"photometric": "rgb", "metadata": None}


def write_svs_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write a slide as Aperio's scanners do, with thumbnail, label and macro image."""
    cells = _slide_cells("SVS", seed)
    field, boxes = mosaic(cells)
    folder.mkdir(parents=True)
    name = invented.name()
    path = folder / f"{name}.svs"
    words = {"Filename": invented.name(), "User": invented.name(), "Title": invented.number(),
             "ScanScope ID": invented.serial(), "Date": f"{invented.day():%m/%d/%Y}",
             "Barcode": invented.accession(), "Patient": invented.name(),
             "DSR ID": invented.email()}  # fmt: skip
    head = "Aperio Image Library v12.0.1\r\n{}|AppMag = 40|MPP = 0.25|" + "|".join(
        f"{key} = {value}" for key, value in words.items()
    )
    odd = invented.name()
    head += f"|{odd} = yes"
    label, macro, private = invented.plain_name(), invented.plain_name(), invented.name()
    with tifffile.TiffWriter(path) as file:
        file.write(field, tile=(_TILE, _TILE), description=_bytes(head.format("a slide")),
                   compression="adobe_deflate", software="Scanner",
                   extratags=[(65000, 2, 0, _bytes(private), True)], **_PLAIN)  # fmt: skip
        file.write(field[::4, ::4].copy(), description=_bytes(head.format("x -> 60x20 - ")),
                   **_PLAIN)  # fmt: skip
        file.write(field[::2, ::2].copy(), tile=(_TILE, _TILE), description=b"a level",
                   compression="adobe_deflate", **_PLAIN)  # fmt: skip
        file.write(_spelled(label), description=b"Aperio\r\nlabel 60x40", subfiletype=1, **_PLAIN)
        file.write(_spelled(macro), description=b"Aperio\r\nmacro 60x40", subfiletype=9, **_PLAIN)
    facts = [go("whole slides", f"SVS {key}", value) for key, value in words.items()]
    facts.append(go("whole slides", "SVS key of a description", odd))
    facts += [go("whole slides", "SVS label image", label), go("file names", "of a slide", name),
              go("whole slides", "SVS macro image", macro),
              go("whole slides", "SVS private tag", private)]  # fmt: skip
    return _with_boxes(path, cells, boxes, facts, invented)


def write_ome_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write a slide as OME-TIFF, with persons and devices in its XML."""
    cells = _slide_cells("OME-TIFF", seed)
    field, boxes = mosaic(cells)
    folder.mkdir(parents=True)
    name = invented.name()
    path = folder / f"{name}.ome.tif"
    xml, facts = _planted_ome(invented)
    with tifffile.TiffWriter(path) as file:
        file.write(field, tile=(_TILE, _TILE), description=_bytes(xml), **_PLAIN)
        file.write(field[::2, ::2].copy(), tile=(_TILE, _TILE), subfiletype=1, **_PLAIN)
    facts.append(go("file names", "of an OME-TIFF", name))
    return _with_boxes(path, cells, boxes, facts, invented)


def _planted_ome(invented: Invented) -> tuple[str, list[Fact]]:
    """Return an OME-XML text, and the facts in it."""
    texts = {
        "LastName": invented.name(), "Email": invented.email(), "Image": invented.number(),
        "SerialNumber": invented.serial(), "Description": invented.name(),
        "AcquisitionDate": invented.day().isoformat(), "comment": invented.name(),
        "annotation": invented.accession(), "name of an attribute": invented.name(),
    }  # fmt: skip
    last, email, image, serial, text, day, comment, note, odd = texts.values()
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<!-- {comment} --><Experimenter LastName="{last}" Email="{email}"/>'
        f'<Instrument><Microscope SerialNumber="{serial}"/></Instrument><Image Name="{image}">'
        f"<AcquisitionDate>{day}</AcquisitionDate><Description>{text}</Description></Image>"
        f'<Annotation ID="A:1"><Value>{note}</Value></Annotation>'
        f'<Attribute Name="{odd}">yes</Attribute></OME>'
    )
    return xml, [go("whole slides", f"OME {where}", value) for where, value in texts.items()]


def _bytes(text: str) -> bytes:
    # Given as text, it would have to be ASCII.
    return text.encode()


def _slide_cells(where: str, seed: int) -> list[Cell]:
    return [
        Cell("whole slides", f"{where} cell {number}", cell(seed + number), label_of(number))
        for number in range(8)
    ]


def _spelled(text: str) -> Array:
    """Return what stands in for a label: a picture whose bytes are a text, over and over."""
    raw = (text.encode() * 7200)[: 60 * 40 * 3]
    return np.frombuffer(raw, np.uint8).reshape(40, 60, 3)


def _with_boxes(
    path: Path, cells: Sequence[Cell], boxes: Sequence[Box], facts: list[Fact], invented: Invented
) -> Part:
    """Write the table of boxes beside a slide's folder."""
    table = path.parent.parent / f"{invented.name()}.csv"
    operator = invented.name()
    rows = rows_of_boxes(
        [{"operator": operator}] * len(cells), [path.name] * len(cells), boxes, cells
    )
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns_of(rows))
        writer.writeheader()
        writer.writerows(rows)
    facts = [*facts, go("file names", "of a table of boxes", table.stem),
             go("whole slides", f"operator in a table of {path.suffix}", operator)]  # fmt: skip
    known = (*facts, *facts_of_cells(cells))
    return Part(path.parent, tuple(cells), known, ("--boxes", table))
