"""What every synthetic image says about itself, inside its own file: that it is synthetic.

A row of a table is lost as soon as somebody saves the picture; so the picture carries the IPTC
digital source type for media of a trained model, with the generator, the class and the seed.
Source: IPTC Photo Metadata Standard 2025.1, and its NewsCodes "Digital Source Type".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from curation.deidentify.jpeg import MalformedJpegError, clean_jpeg
from curation.errors import GeneratorError

from .provenance_files import split_xmp, with_xmp

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SYSTEM = "smearkit"
_PROMPT = re.compile(r"label=([a-z_]+) seed=(\d+)")
_PLAIN = re.compile(r"[0-9a-zA-Z_.:-]+")
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{iptc}"'
    ' Iptc4xmpExt:DigitalSourceType="{source_type}"'
    ' Iptc4xmpExt:AISystemUsed="{system}" Iptc4xmpExt:AISystemVersionUsed="{generator}"'
    ' Iptc4xmpExt:AIPromptInformation="label={label} seed={seed}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))


@dataclass(frozen=True, slots=True)
class Marker:
    """What a synthetic image says of itself; `generator` is a fingerprint."""

    generator: str
    label: str
    seed: int


def packet_of(marker: Marker) -> bytes:
    """Return the XMP packet of a marker.

    Raises: GeneratorError where a value is not plain letters and digits.
    """
    for value in (marker.generator, marker.label):
        if not _PLAIN.fullmatch(value):
            raise GeneratorError(f"{value!r} cannot stand in the metadata of an image")
    text = _PACKET.format(
        rdf=_RDF, iptc=_IPTC, source_type=SOURCE_TYPE, system=_SYSTEM, generator=marker.generator,
        label=marker.label, seed=marker.seed,
    )  # fmt: skip
    return text.encode()


def marked(data: bytes, marker: Marker) -> bytes:
    """Return an encoded image that says in its own metadata that it is synthetic."""
    return with_xmp(data, packet_of(marker))


def read_marker(packet: bytes) -> Marker | None:
    """Return what an XMP packet says of its image; None where it is no packet of ours."""
    try:
        root = ElementTree.fromstring(packet.decode())
    except (ElementTree.ParseError, UnicodeDecodeError):
        return None
    found = root.find(f".//{{{_RDF}}}Description")
    said: Mapping[str, str] = {} if found is None else found.attrib
    prompt = _PROMPT.fullmatch(said.get(f"{{{_IPTC}}}AIPromptInformation", ""))
    if said.get(f"{{{_IPTC}}}DigitalSourceType") != SOURCE_TYPE or prompt is None:
        return None
    generator = said.get(f"{{{_IPTC}}}AISystemVersionUsed", "")
    return Marker(generator, prompt[1], int(prompt[2]))


def fault_of_synthetic(data: bytes, marker: Marker) -> str | None:
    """Return what is wrong with the metadata of a synthetic image, or None.

    It should hold the marker of its row and nothing else beside its pixels.
    """
    bare, packet = split_xmp(data)
    if packet is None:
        return "does not say in its own metadata that it is synthetic"
    if packet != packet_of(marker):
        return "says in its metadata another generator, class or seed than its row"
    return fault_of_real(bare)


def fault_of_real(data: bytes) -> str | None:
    """Return what is wrong with the metadata of a released image, None where it holds none."""
    if data[:2] == b"\xff\xd8":
        try:
            bare = clean_jpeg(data).data == data
        except MalformedJpegError:
            return "is no JPEG that can be vouched for"
        return None if bare else "holds more than its pixels need"
    return _fault_of_png(data)


def _fault_of_png(data: bytes) -> str | None:
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return "is neither JPEG nor PNG"
    position, name = 8, b""
    while position + 12 <= len(data) and name != b"IEND":
        name = data[position + 4 : position + 8]
        if name not in _PIXEL_CHUNKS:
            return "holds more than its pixels need"
        position += 12 + int.from_bytes(data[position : position + 4])
    return None if name == b"IEND" and position == len(data) else "holds more than its pixels need"
